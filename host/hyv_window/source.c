// SPDX-License-Identifier: GPL-2.0
/*
 * hyv_window: the creator's side. Finds the pages behind an address, pins them or notes their page
 * frame numbers, and revokes the piece when they change.
 */
#include <linux/capability.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include "compat.h"
#include "internal.h"

#define PIN_BATCH	64UL	/* pages pinned by one call, on the stack */

/* does this event take away what a piece shows? */
static bool revokes(const struct hyv_map *m, enum mmu_notifier_event event)
{
	if (m->kind == HYV_WINDOW_KIND_PINNED)
		return event == MMU_NOTIFY_UNMAP || event == MMU_NOTIFY_RELEASE;
	return event != MMU_NOTIFY_SOFT_DIRTY;
}

/* the source addresses are about to change */
static bool source_invalidate(struct mmu_interval_notifier *notifier,
			      const struct mmu_notifier_range *range, unsigned long seq)
{
	struct hyv_map *m = container_of(notifier, struct hyv_map, notifier);
	struct hyv_window *w = m->window;
	bool live;

	if (!revokes(m, range->event))
		return true;
	spin_lock(&w->lock);
	live = m->live;
	if (live && !mmu_notifier_range_blockable(range)) {
		spin_unlock(&w->lock);
		return false;		/* zapping sleeps */
	}
	mmu_interval_set_seq(notifier, seq);
	m->live = false;
	/* the end of the creator is no revocation, and is seen to by creator_release() next */
	if (range->event == MMU_NOTIFY_RELEASE)
		live = false;
	if (live)
		w->nrevoked++;
	spin_unlock(&w->lock);
	if (live)
		hyv_vmm_zap(w, m->node.start, m->npages);
	return true;
}

static const struct mmu_interval_notifier_ops source_ops = {
	.invalidate = source_invalidate,
};

/* counts pages against RLIMIT_MEMLOCK, as ib_umem_get() does */
static int charge(struct hyv_window *w, unsigned long npages)
{
	atomic64_t *pinned = &w->creator.mm->pinned_vm;
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;

	if (atomic64_add_return(npages, pinned) > limit && !capable(CAP_IPC_LOCK)) {
		atomic64_sub(npages, pinned);
		return -ENOMEM;
	}
	spin_lock(&w->lock);
	w->npinned += npages;
	spin_unlock(&w->lock);
	return 0;
}

static void uncharge(struct hyv_window *w, unsigned long npages)
{
	atomic64_sub(npages, &w->creator.mm->pinned_vm);
	spin_lock(&w->lock);
	w->npinned -= npages;
	spin_unlock(&w->lock);
}

/**
 * hyv_source_unpin() - release the pages of a piece that nobody sees any more
 * @m: the piece; no other thread pins it
 *
 * Does nothing if it has no pinned pages, or another thread is at it: the end of the creator's
 * address space and the window's may tell of themselves at the same time. Sleeps.
 */
void hyv_source_unpin(struct hyv_map *m)
{
	struct hyv_window *w = m->window;
	unsigned long i, npinned;
	struct page *page;

	spin_lock(&w->lock);
	npinned = m->npinned;
	m->npinned = 0;
	spin_unlock(&w->lock);
	for (i = 0; i < npinned; i++) {
		page = pfn_to_page(m->pfn[i]);
		unpin_user_pages_dirty_lock(&page, 1, !m->ro);
		cond_resched();
	}
	uncharge(w, npinned);
}

static int pin_pages(struct hyv_map *m, unsigned long address)
{
	unsigned int flags = FOLL_LONGTERM | (m->ro ? 0 : FOLL_WRITE);
	struct page *pages[PIN_BATCH];
	int ret, got, i;

	ret = charge(m->window, m->npages);
	while (!ret && m->npinned < m->npages) {
		got = pin_user_pages_fast(address + (m->npinned << PAGE_SHIFT),
					  min(m->npages - m->npinned, PIN_BATCH), flags, pages);
		if (got <= 0) {
			uncharge(m->window, m->npages - m->npinned);
			return got ? got : -EFAULT;
		}
		for (i = 0; i < got; i++)
			m->pfn[m->npinned++] = page_to_pfn(pages[i]);
		cond_resched();
	}
	return ret;
}

/* finds the entry of one raw page, good enough for what the piece may do with it */
static int follow_pfn(const struct hyv_map *m, struct follow_pfnmap_args *args)
{
	if (follow_pfnmap_start(args))
		return -EAGAIN;
	if (m->ro || args->writable)
		return 0;
	follow_pfnmap_end(args);
	return -EAGAIN;
}

/*
 * Notes the raw pages behind an address. -EAGAIN: the mmap_lock was dropped on the way, or an entry
 * went away again. The mmap_lock is read-held when it is called and when it returns.
 */
static int read_pfns(struct hyv_map *m, struct vm_area_struct *vma, unsigned long address)
{
	struct follow_pfnmap_args args = { .vma = vma, .address = address };
	bool unlocked = false;
	unsigned long i;
	pgprot_t prot;
	int ret;

	for (i = 0; i < m->npages; i++, args.address += PAGE_SIZE) {
		if (follow_pfn(m, &args)) {
			ret = fixup_user_fault(vma->vm_mm, args.address,
					       m->ro ? 0 : FAULT_FLAG_WRITE, &unlocked);
			if (ret)
				return ret;
			if (unlocked || follow_pfn(m, &args))
				return -EAGAIN;
		}
		m->pfn[i] = args.pfn;
		prot = args.ptep ? args.pgprot : pgprot_large_2_4k(args.pgprot);
		follow_pfnmap_end(&args);
		if (!i)
			m->prot = prot;
		else if ((pgprot_val(m->prot) ^ pgprot_val(prot)) & _PAGE_CACHE_MASK)
			return -EOPNOTSUPP;
		cond_resched();
	}
	return 0;
}

/* finds and checks the one mapping that the source lies in; mmap_lock read-held */
static int find_vma_of(const struct hyv_map *m, unsigned long address, struct vm_area_struct **res)
{
	struct vm_area_struct *vma = vma_lookup(current->mm, address);
	unsigned long need = m->ro ? VM_READ : VM_READ | VM_WRITE;

	if (!vma || m->npages > (vma->vm_end - address) >> PAGE_SHIFT)
		return -EFAULT;
	if ((vma->vm_flags & need) != need)
		return -EACCES;
	/* the pages of a private mapping may be copies, which are not raw */
	if (hyv_vmm_is_window(vma) ||
	    (vma->vm_flags & VM_PFNMAP && vma_is_cow_mapping(vma)))
		return -EINVAL;
	*res = vma;
	return 0;
}

static u32 kind_of(const struct vm_area_struct *vma)
{
	return vma->vm_flags & VM_PFNMAP ? HYV_WINDOW_KIND_PFNMAP : HYV_WINDOW_KIND_PINNED;
}

static int find_kind(struct hyv_map *m, unsigned long address)
{
	struct vm_area_struct *vma;
	int ret;

	mmap_read_lock(current->mm);
	ret = find_vma_of(m, address, &vma);
	if (!ret)
		m->kind = kind_of(vma);
	mmap_read_unlock(current->mm);
	return ret;
}

/* looks the pages up; -EAGAIN: look again */
static int find_pages(struct hyv_map *m, unsigned long address)
{
	struct vm_area_struct *vma;
	int ret;

	mmap_read_lock(current->mm);
	ret = find_vma_of(m, address, &vma);
	if (!ret && kind_of(vma) != m->kind)
		ret = -EFAULT;		/* changed since find_kind() */
	if (!ret && m->kind == HYV_WINDOW_KIND_PFNMAP)
		ret = read_pfns(m, vma, address);
	else if (!ret)
		m->prot = vma->vm_page_prot;
	mmap_read_unlock(current->mm);
	if (!ret && m->kind == HYV_WINDOW_KIND_PINNED)
		ret = pin_pages(m, address);
	return ret;
}

/* can the pages that were found be shown, and how are they cached? */
static int check_pages(struct hyv_map *m)
{
	unsigned long i, bits = pgprot_val(m->prot) & _PAGE_CACHE_MASK;

	/* in this order: without PAT, write combining is the same as uncached */
	if (bits == cachemode2protval(_PAGE_CACHE_MODE_WB))
		m->cache = HYV_WINDOW_CACHE_WB;
	else if (bits == cachemode2protval(_PAGE_CACHE_MODE_UC) ||
		 bits == cachemode2protval(_PAGE_CACHE_MODE_UC_MINUS))
		m->cache = HYV_WINDOW_CACHE_UC;
	else if (bits == cachemode2protval(_PAGE_CACHE_MODE_WC))
		m->cache = HYV_WINDOW_CACHE_WC;
	else
		return -EOPNOTSUPP;
	for (i = 0; i < m->npages; i++)
		if (!hyv_kvm_can_map(m->pfn[i]))
			return -EOPNOTSUPP;
	return 0;
}

/* puts the piece into the table, unless its source has changed since @seq was read */
static bool publish(struct hyv_map *m, unsigned long seq)
{
	struct hyv_window *w = m->window;
	bool current_pages;

	spin_lock(&w->lock);
	current_pages = !mmu_interval_read_retry(&m->notifier, seq);
	if (current_pages)
		hyv_window_insert(m);
	spin_unlock(&w->lock);
	return current_pages;
}

/**
 * hyv_source_attach() - find the pages of a new piece and put it into its window's table
 * @m: the piece, all zero but for its window, place, length and ro
 * @address: in the current address space, which is the creator's; page aligned
 *
 * The caller holds the window's ctl and has found the place free. Takes the current mmap_lock;
 * sleeps, if need be for memory, device drivers' faults and notifiers.
 *
 * Return: 0, and the piece can be seen by new page faults; or a negative error as documented for
 * HYV_WINDOW_MAP, and the piece holds nothing
 */
int hyv_source_attach(struct hyv_map *m, unsigned long address)
{
	unsigned long seq;
	int ret;

	ret = find_kind(m, address);
	if (ret)
		return ret;
	ret = mmu_interval_notifier_insert(&m->notifier, current->mm, address,
					   m->npages << PAGE_SHIFT, &source_ops);
	if (ret)
		return ret;
	do {
		seq = mmu_interval_read_begin(&m->notifier);
		ret = find_pages(m, address);
		if (!ret)
			ret = check_pages(m);
		if (!ret && publish(m, seq))
			return 0;
		hyv_source_unpin(m);
		cond_resched();
		if (fatal_signal_pending(current))
			ret = -EINTR;
	} while (!ret || ret == -EAGAIN);
	mmu_interval_notifier_remove(&m->notifier);
	return ret;
}

/**
 * hyv_source_detach() - the reverse of hyv_source_attach()
 * @m: a piece that is out of the table and that nobody sees any more; the caller may free it then
 *
 * Sleeps, also for notifiers of the creator's address space: no lock of theirs may be held.
 */
void hyv_source_detach(struct hyv_map *m)
{
	/* first, since it needs the creator's mm, of which the notifier may hold the last reference */
	hyv_source_unpin(m);
	mmu_interval_notifier_remove(&m->notifier);
}
