// SPDX-License-Identifier: GPL-2.0
/*
 * Contexts: every context of a guest process has one of its own on the host.
 */
#include "virtio_hyv.h"

/** hyv_alloc_ucontext() - a process opens the device. Return: 0 or a negative errno; waits */
int hyv_alloc_ucontext(struct ib_ucontext *ib, struct ib_udata *udata)
{
	struct hyv_ibdev *dev = to_hyv_ibdev(ib->device);
	struct hyv_ucontext *uctx = to_hyv_ucontext(ib);
	struct hyv_req_alloc_context *req;
	struct hyv_cmd *cmd;
	int ret;

	cmd = hyv_udata_cmd(ib->device, HYV_OP_ALLOC_CONTEXT, udata);
	if (IS_ERR(cmd))
		return PTR_ERR(cmd);
	req = hyv_cmd_req(cmd);
	req->device = cpu_to_le32(dev->id);
	ret = hyv_cmd_call(cmd);
	if (!ret)
		ret = hyv_udata_created(cmd, udata, &uctx->id);
	hyv_cmd_put(cmd);
	return ret;
}

/** hyv_dealloc_ucontext() - the core has destroyed what the context held; may wait */
void hyv_dealloc_ucontext(struct ib_ucontext *ib)
{
	hyv_cmd_free_context(ib->device, to_hyv_ucontext(ib)->id);
}

/**
 * hyv_disassociate_ucontext() - the device goes while a process has it open
 * @ib: the process's context
 *
 * The core has taken the mappings away and destroys the objects; to have this function is to say
 * that applications survive that.
 */
void hyv_disassociate_ucontext(struct ib_ucontext *ib)
{
}
