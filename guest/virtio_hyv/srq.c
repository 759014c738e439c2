// SPDX-License-Identifier: GPL-2.0
/*
 * Shared receive queues. Applications post to them in the window.
 */
#include "virtio_hyv.h"

/**
 * hyv_create_srq() - for applications alone
 * @ib: the new queue
 * @attr: what is asked for; set to what it has
 * @udata: the provider's
 *
 * Waits. Return: 0 or a negative errno; -EOPNOTSUPP for types that soft devices do not have.
 */
int hyv_create_srq(struct ib_srq *ib, struct ib_srq_init_attr *attr, struct ib_udata *udata)
{
	struct hyv_srq *srq = to_hyv_srq(ib);
	struct hyv_resp_create_srq *resp;
	struct hyv_req_create_srq *req;
	struct hyv_cmd *cmd;
	int ret;

	if (!udata || attr->srq_type != IB_SRQT_BASIC)
		return -EOPNOTSUPP;

	cmd = hyv_udata_cmd(ib->device, HYV_OP_CREATE_SRQ, udata);
	if (IS_ERR(cmd))
		return PTR_ERR(cmd);
	req = hyv_cmd_req(cmd);
	req->pd = cpu_to_le64(to_hyv_pd(ib->pd)->id);
	req->max_wr = cpu_to_le32(attr->attr.max_wr);
	req->max_sge = cpu_to_le32(attr->attr.max_sge);
	req->srq_limit = cpu_to_le32(attr->attr.srq_limit);
	ret = hyv_cmd_call(cmd);
	if (ret)
		goto out;

	resp = hyv_cmd_resp(cmd);
	attr->attr.max_wr = le32_to_cpu(resp->max_wr);
	attr->attr.max_sge = le32_to_cpu(resp->max_sge);
	ret = hyv_event_created(cmd, udata, &srq->object, HYV_OBJECT_SRQ);
out:
	hyv_cmd_put(cmd);
	return ret;
}

/** hyv_modify_srq() - Return: 0 or a negative errno; waits */
int hyv_modify_srq(struct ib_srq *ib, struct ib_srq_attr *attr, enum ib_srq_attr_mask mask,
		   struct ib_udata *udata)
{
	struct hyv_req_modify_srq *req;
	struct hyv_cmd *cmd;
	int ret;

	cmd = hyv_udata_cmd(ib->device, HYV_OP_MODIFY_SRQ, udata);
	if (IS_ERR(cmd))
		return PTR_ERR(cmd);
	req = hyv_cmd_req(cmd);
	req->srq = cpu_to_le64(to_hyv_srq(ib)->object.id);
	req->attr_mask = cpu_to_le32(mask);
	req->max_wr = cpu_to_le32(attr->max_wr);
	req->srq_limit = cpu_to_le32(attr->srq_limit);
	WRITE_ONCE(to_hyv_srq(ib)->object.told, 0);
	ret = hyv_cmd_call(cmd);
	if (!ret)
		ret = hyv_udata_reply(cmd, udata);
	hyv_cmd_put(cmd);
	return ret;
}

/** hyv_query_srq() - Return: 0 or a negative errno; waits */
int hyv_query_srq(struct ib_srq *ib, struct ib_srq_attr *attr)
{
	struct hyv_resp_query_srq *resp;
	struct hyv_req_query_srq *req;
	struct hyv_cmd *cmd;
	int ret;

	cmd = hyv_cmd_alloc(to_hyv(ib->device), HYV_OP_QUERY_SRQ, 0, 0);
	if (!cmd)
		return -ENOMEM;
	req = hyv_cmd_req(cmd);
	req->srq = cpu_to_le64(to_hyv_srq(ib)->object.id);
	ret = hyv_cmd_call(cmd);
	if (!ret) {
		resp = hyv_cmd_resp(cmd);
		attr->max_wr = le32_to_cpu(resp->max_wr);
		attr->max_sge = le32_to_cpu(resp->max_sge);
		attr->srq_limit = le32_to_cpu(resp->srq_limit);
	}
	hyv_cmd_put(cmd);
	return ret;
}

/** hyv_destroy_srq() - Return: 0, and no event comes any more. Waits */
int hyv_destroy_srq(struct ib_srq *ib, struct ib_udata *udata)
{
	struct hyv_object *object = &to_hyv_srq(ib)->object;

	hyv_cmd_destroy(ib->device, HYV_OP_DESTROY_SRQ, object->id, NULL);
	hyv_event_remove(to_hyv(ib->device), object);
	return 0;
}
