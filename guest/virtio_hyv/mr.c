// SPDX-License-Identifier: GPL-2.0
/*
 * Memory regions. The host registers the pinned memory under the address that the application
 * uses, so that keys and addresses on the data path are the host's from the start.
 */
#include <linux/slab.h>

#include "virtio_hyv.h"

/**
 * hyv_reg_user_mr() - register memory of the calling process
 * @pd: protection domain
 * @start: where the memory begins in the process
 * @length: bytes
 * @iova: where it shall begin on the data path
 * @access: IB_ACCESS_*
 * @udata: the provider's
 *
 * The command owns the memory until the host has answered with success: a caller that is killed
 * meanwhile leaves it pinned exactly as long as the host may use it.
 *
 * Return: the region or an ERR_PTR(). Waits.
 */
struct ib_mr *hyv_reg_user_mr(struct ib_pd *pd, u64 start, u64 length, u64 iova, int access,
			      HYV_DMAH_PARAM struct ib_udata *udata)
{
	struct hyv_resp_reg_mr *resp;
	struct hyv_req_reg_mr *req;
	struct hyv_cmd *cmd;
	struct hyv_mem *mem;
	struct hyv_mr *mr;
	int ret;

	if (HYV_DMAH_GIVEN)
		return ERR_PTR(-EOPNOTSUPP);

	mr = kzalloc(sizeof(*mr), GFP_KERNEL);
	if (!mr)
		return ERR_PTR(-ENOMEM);
	cmd = hyv_udata_cmd(pd->device, HYV_OP_REG_MR, udata);
	if (IS_ERR(cmd)) {
		ret = PTR_ERR(cmd);
		goto err_free;
	}
	mem = hyv_umem_pin(pd->device, start, length, access);
	if (IS_ERR(mem)) {
		ret = PTR_ERR(mem);
		goto err_put;
	}

	mem->context = rdma_udata_to_drv_context(udata, struct hyv_ucontext, ib)->id;
	cmd->mem = mem;
	req = hyv_cmd_req(cmd);
	req->pd = cpu_to_le64(to_hyv_pd(pd)->id);
	req->length = cpu_to_le64(length);
	req->iova = cpu_to_le64(iova);
	req->access = cpu_to_le32(access);
	req->num_extents = cpu_to_le32(mem->num_extents);
	ret = hyv_cmd_call(cmd);
	if (ret)
		goto err_put;

	resp = hyv_cmd_resp(cmd);
	ret = hyv_udata_created(cmd, udata, &mr->id);
	if (ret)
		goto err_put;
	mr->ib.lkey = le32_to_cpu(resp->lkey);
	mr->ib.rkey = le32_to_cpu(resp->rkey);
	mr->access = access;
	mr->mem = cmd->mem;
	cmd->mem = NULL;
	hyv_umem_forget_tables(mr->mem);
	hyv_cmd_put(cmd);
	return &mr->ib;

err_put:
	hyv_cmd_put(cmd);
err_free:
	kfree(mr);
	return ERR_PTR(ret);
}

/* the host shows the region's owner new memory: the old one is free, the new one is the region's */
static void change_memory(struct hyv_mr *mr, struct hyv_cmd *cmd)
{
	hyv_umem_unpin(mr->mem);
	mr->mem = cmd->mem;
	cmd->mem = NULL;
	hyv_umem_forget_tables(mr->mem);
}

/**
 * hyv_rereg_user_mr() - change a region in its place
 * @ib: the region
 * @flags: IB_MR_REREG_*: what is to change
 * @start: IB_MR_REREG_TRANS: where its memory begins in the process
 * @length: IB_MR_REREG_TRANS: bytes
 * @iova: IB_MR_REREG_TRANS: where it shall begin on the data path
 * @access: IB_MR_REREG_ACCESS: IB_ACCESS_*
 * @pd: IB_MR_REREG_PD: its protection domain
 * @udata: not used: no provider sends any
 *
 * A caller that is killed meanwhile loses the region.
 *
 * Return: NULL, or an ERR_PTR() and nothing has changed. Waits.
 */
struct ib_mr *hyv_rereg_user_mr(struct ib_mr *ib, int flags, u64 start, u64 length, u64 iova,
				int access, struct ib_pd *pd, struct ib_udata *udata)
{
	struct hyv_mr *mr = to_hyv_mr(ib);
	struct hyv_resp_rereg_mr *resp;
	struct hyv_req_rereg_mr *req;
	struct hyv_cmd *cmd;
	struct hyv_mem *mem;
	int ret;

	if (flags & IB_MR_REREG_TRANS &&
	    to_hyv_ibdev(ib->device)->provider->flags & HYV_PROVIDER_NO_REREG_TRANS)
		return ERR_PTR(-EOPNOTSUPP);
	if (!(flags & IB_MR_REREG_ACCESS))
		access = mr->access;
	ret = ib_umem_check_rereg(mr->mem->umem, flags, access);
	if (ret)
		return ERR_PTR(ret);
	cmd = hyv_cmd_alloc(to_hyv(ib->device), HYV_OP_REREG_MR, 0, 0);
	if (!cmd)
		return ERR_PTR(-ENOMEM);
	req = hyv_cmd_req(cmd);
	req->mr = cpu_to_le64(mr->id);
	req->flags = cpu_to_le32(flags);
	req->access = cpu_to_le32(access);
	if (flags & IB_MR_REREG_PD)
		req->pd = cpu_to_le64(to_hyv_pd(pd)->id);
	if (flags & IB_MR_REREG_TRANS) {
		mem = hyv_umem_pin(ib->device, start, length, access);
		if (IS_ERR(mem)) {
			ret = PTR_ERR(mem);
			goto out;
		}
		mem->context = mr->mem->context;
		cmd->mem = mem;
		req->length = cpu_to_le64(length);
		req->iova = cpu_to_le64(iova);
		req->num_extents = cpu_to_le32(mem->num_extents);
	}
	ret = hyv_cmd_call(cmd);
	if (ret)
		goto out;

	resp = hyv_cmd_resp(cmd);
	mr->access = access;
	ib->lkey = le32_to_cpu(resp->lkey);
	ib->rkey = le32_to_cpu(resp->rkey);
	if (cmd->mem)
		change_memory(mr, cmd);
out:
	hyv_cmd_put(cmd);
	return ERR_PTR(ret);
}

/* whether nobody asks, but the core destroys what a process left behind, and warns of a refusal */
static bool is_left_behind(struct ib_udata *udata)
{
	const struct uverbs_attr_bundle *attrs = rdma_udata_to_uverbs_attr_bundle(udata);

	return !attrs->ucore.inlen && bitmap_empty(attrs->attr_present, UVERBS_API_ATTR_BKEY_LEN);
}

/** hyv_dereg_mr() - deregister, then unpin. Return: 0 or a negative errno; waits */
int hyv_dereg_mr(struct ib_mr *ib, struct ib_udata *udata)
{
	struct hyv_mr *mr = to_hyv_mr(ib);
	int ret;

	ret = hyv_cmd_destroy(ib->device, HYV_OP_DEREG_MR, mr->id, mr->mem);
	if (ret && is_left_behind(udata)) {
		/* so it goes with its context, and the memory is kept until then */
		hyv_cmd_post_destroy(to_hyv(ib->device), HYV_OP_DEREG_MR, mr->id, mr->mem);
		ret = 0;
	}
	if (!ret)
		kfree(mr);
	return ret;
}
