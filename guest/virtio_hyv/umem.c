// SPDX-License-Identifier: GPL-2.0
/*
 * Application memory: pinned, and described to the host as guest-physical extents in tables that
 * the host reads during HYV_OP_REG_MR.
 *
 * Guest-physical addresses leave the guest here and nowhere else.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <rdma/ib_umem.h>

#include "virtio_hyv.h"

static_assert(HYV_EXTENTS_PER_TABLE * sizeof(struct hyv_extent) == PAGE_SIZE);

static int alloc_tables(struct hyv_mem *mem)
{
	u32 i, num = DIV_ROUND_UP(mem->num_extents, HYV_EXTENTS_PER_TABLE);
	u32 left = num * sizeof(__le64), chunk;
	struct scatterlist *sg;
	void *page;
	int ret;

	if (left > HYV_TAIL_MAX)
		return -ENOMEM;
	mem->tables = kvcalloc(num, sizeof(*mem->tables), GFP_KERNEL);
	if (!mem->tables)
		return -ENOMEM;
	for (i = 0; i < num; i++) {
		mem->tables[i] = (void *)__get_free_page(GFP_KERNEL);
		if (!mem->tables[i])
			return -ENOMEM;
		mem->num_tables++;
	}

	ret = sg_alloc_table(&mem->tail, DIV_ROUND_UP(left, PAGE_SIZE), GFP_KERNEL);
	if (ret)
		return ret;
	for_each_sgtable_sg(&mem->tail, sg, i) {
		page = (void *)__get_free_page(GFP_KERNEL);
		if (!page)
			return -ENOMEM;
		chunk = min_t(u32, left, PAGE_SIZE);
		sg_set_buf(sg, page, chunk);
		left -= chunk;
	}
	return 0;
}

static void fill_tables(struct hyv_mem *mem)
{
	u64 offset = ib_umem_offset(mem->umem), left = mem->umem->length, length;
	struct hyv_extent *extent;
	struct scatterlist *sg;
	struct hyv_extent **table = mem->tables;
	__le64 *addresses;
	u32 i, j;

	for_each_sgtable_sg(&mem->umem->sgt_append.sgt, sg, i) {
		extent = &mem->tables[i / HYV_EXTENTS_PER_TABLE][i % HYV_EXTENTS_PER_TABLE];
		length = min(sg->length - offset, left);
		extent->gpa = cpu_to_le64(sg_phys(sg) + offset);
		extent->length = cpu_to_le64(length);
		left -= length;
		offset = 0;
		cond_resched();
	}

	for_each_sgtable_sg(&mem->tail, sg, i) {
		addresses = sg_virt(sg);
		for (j = 0; j < sg->length / sizeof(*addresses); j++)
			addresses[j] = cpu_to_le64(virt_to_phys(*table++));
	}
}

/**
 * hyv_umem_pin() - pin memory of the calling process and describe it
 * @ib: device
 * @start: where it begins in the process
 * @length: bytes
 * @access: IB_ACCESS_*; decides whether the memory must be writable
 *
 * Sleeps. Return: the memory, for hyv_umem_unpin(); or what the RDMA core says of a native
 * registration: -EINVAL, -EFAULT, -ENOMEM, -EPERM.
 */
struct hyv_mem *hyv_umem_pin(struct ib_device *ib, u64 start, u64 length, int access)
{
	struct ib_umem *umem;
	struct hyv_mem *mem;
	int ret;

	umem = hyv_compat_umem_get(ib, start, length, access);
	if (IS_ERR(umem))
		return ERR_CAST(umem);

	mem = kzalloc(sizeof(*mem), GFP_KERNEL);
	if (!mem) {
		ib_umem_release(umem);
		return ERR_PTR(-ENOMEM);
	}
	get_device(&ib->dev);
	mem->ib = ib;
	mem->umem = umem;
	mem->num_extents = umem->sgt_append.sgt.orig_nents;
	ret = alloc_tables(mem);
	if (ret) {
		hyv_umem_unpin(mem);
		return ERR_PTR(ret);
	}
	fill_tables(mem);
	return mem;
}

/** hyv_umem_forget_tables() - the host has read the tables: free them. Sleeps */
void hyv_umem_forget_tables(struct hyv_mem *mem)
{
	struct scatterlist *sg;
	u32 i;

	for (i = 0; i < mem->num_tables; i++)
		free_page((unsigned long)mem->tables[i]);
	mem->num_tables = 0;
	kvfree(mem->tables);
	mem->tables = NULL;

	for_each_sgtable_sg(&mem->tail, sg, i)
		if (sg_page(sg))
			free_page((unsigned long)sg_virt(sg));
	sg_free_table(&mem->tail);
	mem->tail = (struct sg_table){};
}

/** hyv_umem_unpin() - free the memory's description and unpin it. Sleeps */
void hyv_umem_unpin(struct hyv_mem *mem)
{
	hyv_umem_forget_tables(mem);
	ib_umem_release(mem->umem);
	put_device(&mem->ib->dev);
	kfree(mem);
}
