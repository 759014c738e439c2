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
	mr->id = le64_to_cpu(resp->mr);
	if (!mr->id) {
		ret = -EIO;
		goto err_put;
	}
	ret = hyv_udata_reply(cmd, udata);
	if (ret) {
		hyv_cmd_undo(cmd);
		goto err_put;
	}
	mr->ib.lkey = le32_to_cpu(resp->lkey);
	mr->ib.rkey = le32_to_cpu(resp->rkey);
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

/** hyv_dereg_mr() - deregister, then unpin. Return: 0 or a negative errno; waits */
int hyv_dereg_mr(struct ib_mr *ib, struct ib_udata *udata)
{
	struct hyv_mr *mr = to_hyv_mr(ib);
	int ret;

	ret = hyv_cmd_destroy(ib->device, HYV_OP_DEREG_MR, mr->id, mr->mem);
	if (!ret)
		kfree(mr);
	return ret;
}
