// SPDX-License-Identifier: GPL-2.0
/*
 * hyv_window: the side of those who have the window mapped. What a page shows is decided here
 * (insert_pte()), at a page fault or when MAP fills the entries; taking away is zapping them.
 */
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "compat.h"
#include "internal.h"

/**
 * struct hyv_vma - one mapping of a window; owned by the mapping's vm_private_data
 * @window: what it maps; the mapping holds the window's file
 * @vma: the mapping; its range changes only under its mmap_lock
 * @list: in hyv_window.vmas
 * @pass: the latest walk that needs not look here (any more)
 */
struct hyv_vma {
	struct hyv_window *window;
	struct vm_area_struct *vma;
	struct list_head list;
	unsigned long pass;
};

/**
 * struct insertion - what insert_pte() needs to know besides the entry's address
 * @window: the window
 * @vma: a mapping of it
 * @write: somebody wants to write
 * @fault: somebody waits for the page: a hole shows scratch. Otherwise it is left empty.
 */
struct insertion {
	struct hyv_window *window;
	struct vm_area_struct *vma;
	bool write, fault;
};

/* the protection of an entry that shows a piece: the VMM's rights, the source's memory type */
static pgprot_t map_prot(const struct hyv_map *m, const struct vm_area_struct *vma)
{
	pgprot_t prot = vm_get_page_prot(vma->vm_flags);

	prot = __pgprot((pgprot_val(prot) & ~_PAGE_CACHE_MASK) |
			(pgprot_val(m->prot) & _PAGE_CACHE_MASK));
	/* under memory encryption a device's registers are mapped unencrypted */
	if (pgprot_val(m->prot) == pgprot_val(pgprot_decrypted(m->prot)))
		prot = pgprot_decrypted(prot);
	return prot;
}

/* makes one page table entry, unless there is one; called with the page table locked */
static int insert_pte(pte_t *ptep, unsigned long addr, void *data)
{
	const struct insertion *ins = data;
	struct vm_area_struct *vma = ins->vma;
	struct hyv_window *w = ins->window;
	unsigned long page = linear_page_index(vma, addr);
	struct hyv_map *m;
	pte_t pte;

	if (!pte_none(ptep_get(ptep)))
		return 0;
	spin_lock(&w->lock);
	m = hyv_window_find(w, page, page);
	if (m && m->live && !w->orphan && !(m->ro && ins->write)) {
		pte = pfn_pte(m->pfn[page - m->node.start], map_prot(m, vma));
		if (m->ro)
			pte = pte_wrprotect(pte);
	} else if (ins->fault) {
		pte = pfn_pte(page_to_pfn(w->scratch), vm_get_page_prot(vma->vm_flags));
		atomic64_inc(&w->nhole_faults);
	} else {
		goto unlock;
	}
	set_pte_at(vma->vm_mm, addr, ptep, pte_mkspecial(pte));
unlock:
	spin_unlock(&w->lock);
	return 0;
}

/*
 * The entry is made when this asks for a retry, so a retry costs one more look and makes KVM start
 * over (main.c, "KVM and zapping").
 */
static vm_fault_t hyv_vmm_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct hyv_vma *v = vma->vm_private_data;
	struct insertion ins = {
		.window = v->window,
		.vma = vma,
		.write = vmf->flags & FAULT_FLAG_WRITE,
		.fault = true,
	};

	if (apply_to_page_range(vma->vm_mm, vmf->address & PAGE_MASK, PAGE_SIZE, insert_pte, &ins))
		return VM_FAULT_OOM;
	atomic64_inc(&v->window->nfaults);
	if (!fault_flag_allow_retry_first(vmf->flags) || vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_NOPAGE;
	release_fault_lock(vmf);
	return VM_FAULT_RETRY;
}

/*
 * A write to an entry that is read-only, because the piece is, or because mprotect() made it so.
 * The fault comes again, as a write to an empty entry.
 */
static vm_fault_t hyv_vmm_pfn_mkwrite(struct vm_fault *vmf)
{
	zap_special_vma_range(vmf->vma, vmf->address & PAGE_MASK, PAGE_SIZE);
	return VM_FAULT_NOPAGE;
}

/* @old: the mapping that this one is a copy of, entries and all, or NULL */
static void vma_add(struct hyv_window *w, struct vm_area_struct *vma, struct hyv_vma *v,
		    const struct hyv_vma *old)
{
	v->window = w;
	v->vma = vma;
	vma->vm_private_data = v;
	mutex_lock(&w->vma_lock);
	v->pass = old ? old->pass : w->pass;
	list_add(&v->list, &w->vmas);
	mutex_unlock(&w->vma_lock);
}

/* a mapping was split or moved: @vma is a copy of another one */
static void hyv_vmm_open(struct vm_area_struct *vma)
{
	struct hyv_vma *old = vma->vm_private_data;

	vma_add(old->window, vma, kmalloc(sizeof(*old), GFP_KERNEL_ACCOUNT | __GFP_NOFAIL), old);
}

static void hyv_vmm_close(struct vm_area_struct *vma)
{
	struct hyv_vma *v = vma->vm_private_data;

	mutex_lock(&v->window->vma_lock);
	list_del(&v->list);
	mutex_unlock(&v->window->vma_lock);
	kfree(v);
}

static const struct vm_operations_struct hyv_vmm_ops = {
	.open = hyv_vmm_open,
	.close = hyv_vmm_close,
	.fault = hyv_vmm_fault,
	.pfn_mkwrite = hyv_vmm_pfn_mkwrite,
};

/**
 * hyv_vmm_is_window() - whether a mapping shows a window
 * @vma: any mapping, its mmap_lock held
 */
bool hyv_vmm_is_window(const struct vm_area_struct *vma)
{
	return vma->vm_ops == &hyv_vmm_ops;
}

/**
 * hyv_vmm_mmap() - the mmap operation of a window's file
 * @file: the window
 * @vma: the new mapping, still empty; faults and MAP fill it
 *
 * Return: 0, or -EINVAL for a private mapping or one beyond the window, or -ENOMEM
 */
int hyv_vmm_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct hyv_window *w = file->private_data;
	struct hyv_vma *v;

	if (!(vma->vm_flags & VM_SHARED) || vma->vm_pgoff > w->npages ||
	    vma_pages(vma) > w->npages - vma->vm_pgoff)
		return -EINVAL;
	v = kmalloc(sizeof(*v), GFP_KERNEL_ACCOUNT);
	if (!v)
		return -ENOMEM;
	/* VM_IO: KVM maps registers only where it sees this flag */
	vm_flags_set(vma, VM_PFNMAP | VM_IO | VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_ops = &hyv_vmm_ops;
	vma_add(w, vma, v, NULL);
	return 0;
}

/* one mapping: empties what shows pages first to last, and fills it anew; mmap_lock write-held */
static void refresh_vma(struct hyv_window *w, struct vm_area_struct *vma, unsigned long first,
			unsigned long last, bool fill)
{
	struct insertion ins = { .window = w, .vma = vma };
	unsigned long addr, end, next;

	first = max(first, vma->vm_pgoff);
	last = min(last, vma->vm_pgoff + vma_pages(vma) - 1);
	if (first > last)
		return;
	addr = vma->vm_start + ((first - vma->vm_pgoff) << PAGE_SHIFT);
	end = addr + ((last - first + 1) << PAGE_SHIFT);
	zap_special_vma_range(vma, addr, end - addr);
	for (; fill && addr < end; addr = next) {
		next = pmd_addr_end(addr, end);
		if (apply_to_page_range(vma->vm_mm, addr, next - addr, insert_pte, &ins))
			break;		/* no memory for page tables: faults will do it */
		cond_resched();
	}
}

/*
 * The next address space that this pass over the mappings has not seen, or NULL; to be mmput().
 * One that is being torn down is passed over, which sets @skipped.
 */
static struct mm_struct *next_mm(struct hyv_window *w, bool *skipped)
{
	struct mm_struct *mm = NULL;
	struct hyv_vma *v;

	mutex_lock(&w->vma_lock);
	list_for_each_entry(v, &w->vmas, list) {
		if (v->pass == w->pass)
			continue;
		v->pass = w->pass;
		if (mmget_not_zero(v->vma->vm_mm)) {
			mm = v->vma->vm_mm;
			break;
		}
		*skipped = true;
	}
	mutex_unlock(&w->vma_lock);
	return mm;
}

/**
 * hyv_vmm_refresh() - make everyone see what the table now says about a piece
 * @w: the window, its ctl held
 * @m: the piece, just put into the table or just taken out of it
 * @fill: make the new entries at once. Otherwise page faults do.
 *
 * Sleeps for the mmap_lock of everyone who has the window mapped; the caller holds none. When it
 * returns, no entry that is older than the change of the table is left, in page tables or KVM's.
 */
void hyv_vmm_refresh(struct hyv_window *w, const struct hyv_map *m, bool fill)
{
	bool skipped = false;
	struct mm_struct *mm;
	struct hyv_vma *v;

	mutex_lock(&w->vma_lock);
	w->pass++;		/* mappings made from now on have no old entries */
	mutex_unlock(&w->vma_lock);
	while ((mm = next_mm(w, &skipped))) {
		if (mmap_write_lock_killable(mm)) {
			/* the caller is being killed and may not wait for somebody else's lock */
			skipped = true;
			mmput(mm);
			break;
		}
		mutex_lock(&w->vma_lock);
		list_for_each_entry(v, &w->vmas, list) {
			if (v->vma->vm_mm != mm)
				continue;
			v->pass = w->pass;
			refresh_vma(w, v->vma, m->node.start, m->node.last, fill);
		}
		mutex_unlock(&w->vma_lock);
		mmap_write_unlock(mm);
		mmput(mm);
	}
	/* of one that is being torn down, KVM may still mark the pages of its entries (before 6.13) */
	if (skipped)
		hyv_vmm_zap(w, m->node.start, m->npages);
}

/**
 * hyv_vmm_zap() - empty the entries of everyone, without their mmap_lock
 * @w: the window
 * @first: first page
 * @npages: how many
 *
 * For those who cannot wait for an mmap_lock (main.c, "KVM and zapping"). Sleeps.
 */
void hyv_vmm_zap(struct hyv_window *w, unsigned long first, unsigned long npages)
{
	/*
	 * In a notifier of the creator's address space this calls the notifiers of others. They do
	 * not come back here, since a window is no source of a window; lockdep cannot know.
	 */
	lockdep_off();
	unmap_mapping_pages(w->mapping, first, npages, false);
	lockdep_on();
}
