// SPDX-License-Identifier: GPL-2.0
/*
 * Queue pairs. Applications post in the window; a soft device's doorbell is the one data-path call
 * that comes through here.
 */
#include <rdma/ib_user_ioctl_verbs.h>

#include "virtio_hyv.h"

static void cap_to_wire(struct hyv_qp_cap *wire, const struct ib_qp_cap *cap)
{
	wire->max_send_wr = cpu_to_le32(cap->max_send_wr);
	wire->max_recv_wr = cpu_to_le32(cap->max_recv_wr);
	wire->max_send_sge = cpu_to_le32(cap->max_send_sge);
	wire->max_recv_sge = cpu_to_le32(cap->max_recv_sge);
	wire->max_inline_data = cpu_to_le32(cap->max_inline_data);
}

static void cap_from_wire(struct ib_qp_cap *cap, const struct hyv_qp_cap *wire)
{
	cap->max_send_wr = le32_to_cpu(wire->max_send_wr);
	cap->max_recv_wr = le32_to_cpu(wire->max_recv_wr);
	cap->max_send_sge = le32_to_cpu(wire->max_send_sge);
	cap->max_recv_sge = le32_to_cpu(wire->max_recv_sge);
	cap->max_inline_data = le32_to_cpu(wire->max_inline_data);
}

/**
 * hyv_ah_to_wire() - where to send to, as the host is told
 * @wire: zeroed
 * @ah: address
 */
void hyv_ah_to_wire(struct hyv_ah_attr *wire, const struct rdma_ah_attr *ah)
{
	const struct ib_global_route *grh = rdma_ah_read_grh(ah);

	if (rdma_ah_get_ah_flags(ah) & IB_AH_GRH) {
		wire->is_global = 1;
		memcpy(wire->dgid, grh->dgid.raw, sizeof(wire->dgid));
		wire->flow_label = cpu_to_le32(grh->flow_label);
		wire->sgid_index = grh->sgid_index;
		wire->hop_limit = grh->hop_limit;
		wire->traffic_class = grh->traffic_class;
	}
	wire->dlid = cpu_to_le16(rdma_ah_get_dlid(ah));
	wire->sl = rdma_ah_get_sl(ah);
	wire->src_path_bits = rdma_ah_get_path_bits(ah);
	wire->static_rate = rdma_ah_get_static_rate(ah);
	wire->port_num = rdma_ah_get_port_num(ah);
}

static void ah_from_wire(struct ib_device *ib, struct rdma_ah_attr *ah,
			 const struct hyv_ah_attr *wire)
{
	if (rdma_is_port_valid(ib, wire->port_num))
		ah->type = rdma_ah_find_type(ib, wire->port_num);
	if (wire->is_global) {
		rdma_ah_set_grh(ah, NULL, le32_to_cpu(wire->flow_label), wire->sgid_index,
				wire->hop_limit, wire->traffic_class);
		rdma_ah_set_dgid_raw(ah, (void *)wire->dgid);
	}
	rdma_ah_set_dlid(ah, le16_to_cpu(wire->dlid));
	rdma_ah_set_sl(ah, wire->sl);
	rdma_ah_set_path_bits(ah, wire->src_path_bits);
	rdma_ah_set_static_rate(ah, wire->static_rate);
	rdma_ah_set_port_num(ah, wire->port_num);
}

/* fields that the mask does not name are zero: the core zeroes what an application did not give */
static void attr_to_wire(struct hyv_qp_attr *wire, const struct ib_qp_attr *attr, int mask)
{
	if (mask & IB_QP_AV)
		hyv_ah_to_wire(&wire->ah, &attr->ah_attr);
	if (mask & IB_QP_ALT_PATH)
		hyv_ah_to_wire(&wire->alt_ah, &attr->alt_ah_attr);
	wire->qkey = cpu_to_le32(attr->qkey);
	wire->rq_psn = cpu_to_le32(attr->rq_psn);
	wire->sq_psn = cpu_to_le32(attr->sq_psn);
	wire->dest_qp_num = cpu_to_le32(attr->dest_qp_num);
	wire->qp_access_flags = cpu_to_le32(attr->qp_access_flags);
	wire->rate_limit = cpu_to_le32(attr->rate_limit);
	wire->pkey_index = cpu_to_le16(attr->pkey_index);
	wire->alt_pkey_index = cpu_to_le16(attr->alt_pkey_index);
	wire->qp_state = attr->qp_state;
	wire->cur_qp_state = attr->cur_qp_state;
	wire->path_mtu = attr->path_mtu;
	wire->path_mig_state = attr->path_mig_state;
	wire->en_sqd_async_notify = attr->en_sqd_async_notify;
	wire->max_rd_atomic = attr->max_rd_atomic;
	wire->max_dest_rd_atomic = attr->max_dest_rd_atomic;
	wire->min_rnr_timer = attr->min_rnr_timer;
	wire->port_num = attr->port_num;
	wire->timeout = attr->timeout;
	wire->retry_cnt = attr->retry_cnt;
	wire->rnr_retry = attr->rnr_retry;
	wire->alt_port_num = attr->alt_port_num;
	wire->alt_timeout = attr->alt_timeout;
}

static void attr_from_wire(struct ib_device *ib, struct ib_qp_attr *attr,
			   const struct hyv_qp_attr *wire)
{
	ah_from_wire(ib, &attr->ah_attr, &wire->ah);
	ah_from_wire(ib, &attr->alt_ah_attr, &wire->alt_ah);
	attr->qkey = le32_to_cpu(wire->qkey);
	attr->rq_psn = le32_to_cpu(wire->rq_psn);
	attr->sq_psn = le32_to_cpu(wire->sq_psn);
	attr->dest_qp_num = le32_to_cpu(wire->dest_qp_num);
	attr->qp_access_flags = le32_to_cpu(wire->qp_access_flags);
	attr->rate_limit = le32_to_cpu(wire->rate_limit);
	attr->pkey_index = le16_to_cpu(wire->pkey_index);
	attr->alt_pkey_index = le16_to_cpu(wire->alt_pkey_index);
	attr->qp_state = wire->qp_state;
	attr->cur_qp_state = wire->cur_qp_state;
	attr->path_mtu = wire->path_mtu;
	attr->path_mig_state = wire->path_mig_state;
	attr->sq_draining = wire->sq_draining;
	attr->max_rd_atomic = wire->max_rd_atomic;
	attr->max_dest_rd_atomic = wire->max_dest_rd_atomic;
	attr->min_rnr_timer = wire->min_rnr_timer;
	attr->port_num = wire->port_num;
	attr->timeout = wire->timeout;
	attr->retry_cnt = wire->retry_cnt;
	attr->rnr_retry = wire->rnr_retry;
	attr->alt_port_num = wire->alt_port_num;
	attr->alt_timeout = wire->alt_timeout;
}

/** hyv_create_qp() - for applications alone. Return: 0 or a negative errno; waits */
int hyv_create_qp(struct ib_qp *ib, struct ib_qp_init_attr *attr, struct ib_udata *udata)
{
	struct hyv_dev *hyv = to_hyv(ib->device);
	struct hyv_qp *qp = to_hyv_qp(ib);
	struct hyv_resp_create_qp *resp;
	struct hyv_req_create_qp *req;
	struct hyv_cmd *cmd;
	u32 flags;
	int ret;

	if (!udata || !attr->send_cq || !attr->recv_cq) /* XRC has one or none */
		return -EOPNOTSUPP;

	cmd = hyv_udata_cmd(ib->device, HYV_OP_CREATE_QP, udata);
	if (IS_ERR(cmd))
		return PTR_ERR(cmd);
	flags = attr->create_flags;
	if (attr->sq_sig_type == IB_SIGNAL_ALL_WR)
		flags |= IB_UVERBS_QP_CREATE_SQ_SIG_ALL;
	req = hyv_cmd_req(cmd);
	req->pd = cpu_to_le64(to_hyv_pd(ib->pd)->id);
	if (attr->send_cq)
		req->send_cq = cpu_to_le64(to_hyv_cq(attr->send_cq)->object.id);
	if (attr->recv_cq)
		req->recv_cq = cpu_to_le64(to_hyv_cq(attr->recv_cq)->object.id);
	if (attr->srq)
		req->srq = cpu_to_le64(to_hyv_srq(attr->srq)->object.id);
	cap_to_wire(&req->cap, &attr->cap);
	req->type = cpu_to_le32(attr->qp_type);
	req->flags = cpu_to_le32(flags);
	ret = hyv_cmd_call(cmd);
	if (ret)
		goto out;

	resp = hyv_cmd_resp(cmd);
	cap_from_wire(&attr->cap, &resp->cap);
	ib->qp_num = le32_to_cpu(resp->qp_num);
	qp->state = IB_QPS_RESET;
	qp->doorbell = le32_to_cpu(resp->doorbell);
	ret = hyv_event_created(cmd, udata, &qp->object, HYV_OBJECT_QP);
	if (ret)
		goto out;
	/* the core warns of numbers that no packet can carry */
	if (qp->doorbell < HYV_NUM_DOORBELLS && ib->qp_num < BIT(24))
		ret = hyv_cm_add_qp(qp);
	else
		ret = -EIO;
	if (ret) {
		hyv_event_remove(hyv, &qp->object);
		hyv_cmd_undo(cmd);
	}
out:
	hyv_cmd_put(cmd);
	return ret;
}

/** hyv_modify_qp() - Return: 0 or a negative errno; waits */
int hyv_modify_qp(struct ib_qp *ib, struct ib_qp_attr *attr, int mask, struct ib_udata *udata)
{
	struct hyv_qp *qp = to_hyv_qp(ib);
	struct hyv_req_modify_qp *req;
	struct hyv_cmd *cmd;
	int ret;

	ret = hyv_cm_modify_qp(qp, attr, &mask, udata);
	if (ret)
		return min(ret, 0);

	cmd = hyv_udata_cmd(ib->device, HYV_OP_MODIFY_QP, udata);
	if (IS_ERR(cmd))
		return PTR_ERR(cmd);
	req = hyv_cmd_req(cmd);
	req->qp = cpu_to_le64(qp->object.id);
	req->attr_mask = cpu_to_le32(mask);
	attr_to_wire(&req->attr, attr, mask);
	WRITE_ONCE(qp->object.told, 0);
	ret = hyv_cmd_call(cmd);
	if (!ret) {
		if (mask & IB_QP_STATE)
			WRITE_ONCE(qp->state, attr->qp_state);
		ret = hyv_udata_reply(cmd, udata);
	}
	hyv_cmd_put(cmd);
	return ret;
}

/** hyv_query_qp() - Return: 0 or a negative errno; waits */
int hyv_query_qp(struct ib_qp *ib, struct ib_qp_attr *attr, int mask,
		 struct ib_qp_init_attr *init)
{
	struct hyv_resp_query_qp *resp;
	struct hyv_req_query_qp *req;
	struct hyv_cmd *cmd;
	int ret;

	cmd = hyv_cmd_alloc(to_hyv(ib->device), HYV_OP_QUERY_QP, 0, 0);
	if (!cmd)
		return -ENOMEM;
	req = hyv_cmd_req(cmd);
	req->qp = cpu_to_le64(to_hyv_qp(ib)->object.id);
	req->attr_mask = cpu_to_le32(mask);
	ret = hyv_cmd_call(cmd);
	if (ret)
		goto out;

	resp = hyv_cmd_resp(cmd);
	memset(attr, 0, sizeof(*attr));
	attr_from_wire(ib->device, attr, &resp->attr);
	memset(init, 0, sizeof(*init));
	cap_from_wire(&init->cap, &resp->cap);
	attr->cap = init->cap;
	init->event_handler = ib->event_handler;
	init->qp_context = ib->qp_context;
	init->send_cq = ib->send_cq;
	init->recv_cq = ib->recv_cq;
	init->srq = ib->srq;
	init->qp_type = ib->qp_type;
	init->sq_sig_type = resp->sq_sig_all ? IB_SIGNAL_ALL_WR : IB_SIGNAL_REQ_WR;
out:
	hyv_cmd_put(cmd);
	return ret;
}

/** hyv_destroy_qp() - Return: 0, and no event comes any more. Waits */
int hyv_destroy_qp(struct ib_qp *ib, struct ib_udata *udata)
{
	struct hyv_qp *qp = to_hyv_qp(ib);

	hyv_cm_hide_qp(qp);
	hyv_cmd_destroy(ib->device, HYV_OP_DESTROY_QP, qp->object.id, NULL);
	hyv_event_remove(to_hyv(ib->device), &qp->object);
	hyv_cm_remove_qp(qp);
	return 0;
}

/**
 * hyv_post_send() - the doorbell of a soft device
 * @ib: queue pair of an application
 * @wr: NULL: the work requests are in the queue already
 * @bad: set to @wr on failure
 *
 * The host rings later, so what it would have refused is refused here. Return: 0; -EINVAL; what the
 * host's driver says of a queue pair in this state; -EIO when the host is gone.
 */
int hyv_post_send(struct ib_qp *ib, const struct ib_send_wr *wr, const struct ib_send_wr **bad)
{
	const struct hyv_provider *provider = to_hyv_ibdev(ib->device)->provider;
	struct hyv_dev *hyv = to_hyv(ib->device);
	struct hyv_qp *qp = to_hyv_qp(ib);

	*bad = wr;
	if (wr)
		return -EINVAL;
	if (!(provider->post_states & BIT(READ_ONCE(qp->state))))
		return -(int)provider->post_errno;
	if (READ_ONCE(hyv->dead))
		return -EIO;
	hyv_doorbell_ring(hyv, qp->doorbell);
	return 0;
}
