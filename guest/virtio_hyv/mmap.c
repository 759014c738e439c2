// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings: an application's mmap of its uverbs file shows a range of the window, where the host
 * shows the pages that its own mmap of the same offset would.
 *
 * The offsets are the host driver's, so nothing here is looked up: every mmap makes an entry of its
 * own, which the mappings made from it (forks, splits) keep. The last of them gives the range back,
 * whatever became of the object that it showed: until then it is never another's.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "virtio_hyv.h"

/**
 * struct mmap_entry - a range of the window that a process has mapped
 * @rdma: the core's part; it counts the mappings
 * @window_offset: the host's name for it
 */
struct mmap_entry {
	struct rdma_user_mmap_entry rdma;
	u64 window_offset;
};

static int cache_prot(u32 cache, pgprot_t *prot)
{
	switch (cache) {
	case HYV_CACHE_WRITE_BACK:
		return 0;
	case HYV_CACHE_WRITE_COMBINING:
		*prot = pgprot_writecombine(*prot);
		return 0;
	case HYV_CACHE_UNCACHED:
		*prot = pgprot_noncached(*prot);
		return 0;
	default:
		return -EINVAL;
	}
}

static bool in_window(const struct hyv_dev *hyv, u64 offset, u64 length)
{
	return PAGE_ALIGNED(offset) && offset >= HYV_DOORBELLS_SIZE && offset < hyv->window_size &&
	       length <= hyv->window_size - offset;
}

/**
 * hyv_mmap() - map what the host's driver shows at an offset of its uverbs file
 * @ib: the process's context
 * @vma: where; its offset is the provider's, and means something to the host alone
 *
 * Waits, with the process's mmap lock held. Return: 0; the host's errno; -EINVAL for a private
 * mapping, as rdma_user_mmap_io() would say; -EIO for an answer that makes no sense.
 */
int hyv_mmap(struct ib_ucontext *ib, struct vm_area_struct *vma)
{
	struct hyv_dev *hyv = to_hyv(ib->device);
	size_t length = vma->vm_end - vma->vm_start;
	pgprot_t prot = vma->vm_page_prot;
	struct hyv_resp_mmap *resp;
	struct mmap_entry *entry;
	struct hyv_req_mmap *req;
	struct hyv_cmd *cmd;
	u64 offset;
	int ret;

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;

	cmd = hyv_cmd_alloc(hyv, HYV_OP_MMAP, 0, 0);
	if (!cmd)
		return -ENOMEM;
	req = hyv_cmd_req(cmd);
	req->context = cpu_to_le64(to_hyv_ucontext(ib)->id);
	req->offset = cpu_to_le64((u64)vma->vm_pgoff << PAGE_SHIFT);
	req->length = cpu_to_le64(length);
	req->flags = cpu_to_le32(vma->vm_flags & VM_WRITE ? HYV_MMAP_WRITE : 0);
	ret = hyv_cmd_call(cmd);
	if (ret)
		goto out;

	resp = hyv_cmd_resp(cmd);
	offset = le64_to_cpu(resp->window_offset);
	if (!in_window(hyv, offset, length) || cache_prot(le32_to_cpu(resp->cache), &prot)) {
		hyv_err_limited(hyv, "wrong answer to MMAP: %#zx bytes at %#llx, cache mode %u\n",
				length, offset, le32_to_cpu(resp->cache));
		ret = -EIO;
		goto out;
	}

	entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	if (!entry) {
		ret = -ENOMEM;
		goto err_undo;
	}
	entry->window_offset = offset;
	ret = rdma_user_mmap_entry_insert(ib, &entry->rdma, length);
	if (ret)
		goto err_free;

	/* what the host mapped read-only must not become writable later */
	if (!(vma->vm_flags & VM_WRITE))
		vm_flags_clear(vma, VM_MAYWRITE);
	ret = rdma_user_mmap_io(ib, vma, PHYS_PFN(hyv->window.addr + offset), length, prot,
				&entry->rdma);
	/* from now on the mappings alone keep it: without one, this calls hyv_mmap_free() */
	rdma_user_mmap_entry_remove(&entry->rdma);
	goto out;

err_free:
	kfree(entry);
err_undo:
	hyv_cmd_undo(cmd);
out:
	hyv_cmd_put(cmd);
	return ret;
}

/** hyv_mmap_free() - the last mapping of a range is gone: the host may use it again. Sleeps */
void hyv_mmap_free(struct rdma_user_mmap_entry *rdma_entry)
{
	struct mmap_entry *entry = container_of(rdma_entry, struct mmap_entry, rdma);

	hyv_cmd_post_destroy(to_hyv(rdma_entry->ucontext->device), HYV_OP_MUNMAP,
			     entry->window_offset, NULL);
	kfree(entry);
}
