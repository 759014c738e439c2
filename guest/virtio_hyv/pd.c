// SPDX-License-Identifier: GPL-2.0
/*
 * Protection domains.
 */
#include "virtio_hyv.h"

/** hyv_alloc_pd() - for applications alone. Return: 0 or a negative errno; waits */
int hyv_alloc_pd(struct ib_pd *ib, struct ib_udata *udata)
{
	struct hyv_pd *pd = to_hyv_pd(ib);
	struct hyv_req_alloc_pd *req;
	struct hyv_ucontext *uctx;
	struct hyv_cmd *cmd;
	int ret;

	if (!udata)
		return -EOPNOTSUPP;

	uctx = rdma_udata_to_drv_context(udata, struct hyv_ucontext, ib);
	cmd = hyv_udata_cmd(ib->device, HYV_OP_ALLOC_PD, udata);
	if (IS_ERR(cmd))
		return PTR_ERR(cmd);
	req = hyv_cmd_req(cmd);
	req->context = cpu_to_le64(uctx->id);
	ret = hyv_cmd_call(cmd);
	if (!ret)
		ret = hyv_udata_created(cmd, udata, &pd->id);
	hyv_cmd_put(cmd);
	return ret;
}

/** hyv_dealloc_pd() - Return: 0; waits */
int hyv_dealloc_pd(struct ib_pd *ib, struct ib_udata *udata)
{
	return hyv_cmd_destroy(ib->device, HYV_OP_DEALLOC_PD, to_hyv_pd(ib)->id, NULL);
}
