// SPDX-License-Identifier: GPL-2.0
/*
 * Memory windows. Applications bind and invalidate them by work requests.
 */
#include "virtio_hyv.h"

/** hyv_alloc_mw() - Return: 0 or a negative errno; waits */
int hyv_alloc_mw(struct ib_mw *ib, struct ib_udata *udata)
{
	struct hyv_mw *mw = to_hyv_mw(ib);
	struct hyv_resp_alloc_mw *resp;
	struct hyv_req_alloc_mw *req;
	struct hyv_cmd *cmd;
	int ret;

	cmd = hyv_udata_cmd(ib->device, HYV_OP_ALLOC_MW, udata);
	if (IS_ERR(cmd))
		return PTR_ERR(cmd);
	req = hyv_cmd_req(cmd);
	req->pd = cpu_to_le64(to_hyv_pd(ib->pd)->id);
	req->type = cpu_to_le32(ib->type);
	ret = hyv_cmd_call(cmd);
	if (ret)
		goto out;

	resp = hyv_cmd_resp(cmd);
	ib->rkey = le32_to_cpu(resp->rkey);
	ret = hyv_udata_created(cmd, udata, &mw->id);
out:
	hyv_cmd_put(cmd);
	return ret;
}

/** hyv_dealloc_mw() - Return: 0; waits */
int hyv_dealloc_mw(struct ib_mw *ib)
{
	return hyv_cmd_destroy(ib->device, HYV_OP_DEALLOC_MW, to_hyv_mw(ib)->id, NULL);
}
