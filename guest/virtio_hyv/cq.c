// SPDX-License-Identifier: GPL-2.0
/*
 * Completion queues. Applications poll them in the window; only arming comes through here.
 */
#include "virtio_hyv.h"

/** hyv_create_cq() - for applications alone. Return: 0 or a negative errno; waits */
int hyv_create_cq(struct ib_cq *ib, const struct ib_cq_init_attr *attr,
		  struct uverbs_attr_bundle *attrs)
{
	struct hyv_cq *cq = to_hyv_cq(ib);
	struct hyv_resp_create_cq *resp;
	struct hyv_req_create_cq *req;
	struct hyv_ucontext *uctx;
	struct ib_udata *udata;
	struct hyv_cmd *cmd;
	int ret;

	if (!attrs)
		return -EOPNOTSUPP;

	udata = &attrs->driver_udata;
	uctx = rdma_udata_to_drv_context(udata, struct hyv_ucontext, ib);
	cmd = hyv_udata_cmd(ib->device, HYV_OP_CREATE_CQ, udata);
	if (IS_ERR(cmd))
		return PTR_ERR(cmd);
	req = hyv_cmd_req(cmd);
	req->context = cpu_to_le64(uctx->id);
	req->cqe = cpu_to_le32(attr->cqe);
	req->comp_vector = cpu_to_le32(attr->comp_vector);
	req->flags = cpu_to_le32(attr->flags);
	ret = hyv_cmd_call(cmd);
	if (ret)
		goto out;

	resp = hyv_cmd_resp(cmd);
	ib->cqe = le32_to_cpu(resp->cqe);
	ret = hyv_event_created(cmd, udata, &cq->object, HYV_OBJECT_CQ);
out:
	hyv_cmd_put(cmd);
	return ret;
}

/**
 * hyv_req_notify_cq() - arm a completion queue
 * @ib: queue of an application
 * @flags: IB_CQ_*
 *
 * Waits: when it returns, the host's queue is armed, so that the application's next look at the
 * queue misses nothing. Return: 0 or a negative errno.
 */
int hyv_req_notify_cq(struct ib_cq *ib, enum ib_cq_notify_flags flags)
{
	struct hyv_req_req_notify_cq *req;
	struct hyv_cmd *cmd;
	int ret;

	cmd = hyv_cmd_alloc(to_hyv(ib->device), HYV_OP_REQ_NOTIFY_CQ, 0, 0);
	if (!cmd)
		return -ENOMEM;
	req = hyv_cmd_req(cmd);
	req->cq = cpu_to_le64(to_hyv_cq(ib)->object.id);
	req->solicited_only = cpu_to_le32((flags & IB_CQ_SOLICITED_MASK) == IB_CQ_SOLICITED);
	/* before the host is told, whose event may be here before its answer */
	atomic_add_unless(&to_hyv_cq(ib)->armed, 1, HYV_CQ_MAX_ARMED);
	ret = hyv_cmd_call(cmd);
	hyv_cmd_put(cmd);
	return ret;
}

/** hyv_resize_cq() - Return: 0 or a negative errno; waits */
int hyv_resize_cq(struct ib_cq *ib, HYV_CQE_TYPE cqe, struct ib_udata *udata)
{
	struct hyv_resp_resize_cq *resp;
	struct hyv_req_resize_cq *req;
	struct hyv_cmd *cmd;
	int ret;

	cmd = hyv_udata_cmd(ib->device, HYV_OP_RESIZE_CQ, udata);
	if (IS_ERR(cmd))
		return PTR_ERR(cmd);
	req = hyv_cmd_req(cmd);
	req->cq = cpu_to_le64(to_hyv_cq(ib)->object.id);
	req->cqe = cpu_to_le32(cqe);
	ret = hyv_cmd_call(cmd);
	if (!ret) {
		resp = hyv_cmd_resp(cmd);
		ib->cqe = le32_to_cpu(resp->cqe);
		ret = hyv_udata_reply(cmd, udata);
	}
	hyv_cmd_put(cmd);
	return ret;
}

/** hyv_destroy_cq() - Return: 0, and no event comes any more. Waits */
int hyv_destroy_cq(struct ib_cq *ib, struct ib_udata *udata)
{
	struct hyv_object *object = &to_hyv_cq(ib)->object;

	hyv_cmd_destroy(ib->device, HYV_OP_DESTROY_CQ, object->id, NULL);
	hyv_event_remove(to_hyv(ib->device), object);
	return 0;
}
