// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Queue pairs. Posting never comes here, but for the doorbell of devices whose posts end in the
 * kernel.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "cm.h"
#include "gid.h"
#include "log.h"
#include "qp.h"
#include "verbs.h"

/* enum ib_qp_attr_mask and ib_qp_state, which no user header has */
#define QP_STATE    (1u << 0)
#define QP_AV	    (1u << 7)
#define QP_ALT_PATH (1u << 14)
#define QPS_ERR	    6

static const struct destroy_method destroy_qp = {
	.object = UVERBS_OBJECT_QP,
	.method = UVERBS_METHOD_QP_DESTROY,
	.resp_attr = UVERBS_ATTR_DESTROY_QP_RESP,
	.resp_len = sizeof(struct ib_uverbs_destroy_qp_resp),
};

static struct qp *qp_of(struct obj *obj)
{
	return (struct qp *)obj; /* its first member */
}

static void qp_release(struct obj *obj)
{
	struct qp *qp = qp_of(obj);

	cm_forget_qp(obj->context->vm, qp);
	doorbell_release(obj->context->vm->doorbell, qp->doorbell);
	free(qp);
}

static void cap_from_wire(struct ib_uverbs_qp_cap *out, const struct hyv_qp_cap *in)
{
	*out = (struct ib_uverbs_qp_cap){
		.max_send_wr = le32toh(in->max_send_wr),
		.max_recv_wr = le32toh(in->max_recv_wr),
		.max_send_sge = le32toh(in->max_send_sge),
		.max_recv_sge = le32toh(in->max_recv_sge),
		.max_inline_data = le32toh(in->max_inline_data),
	};
}

static void cap_to_wire(struct hyv_qp_cap *out, const struct ib_uverbs_qp_cap *in)
{
	*out = (struct hyv_qp_cap){
		.max_send_wr = htole32(in->max_send_wr),
		.max_recv_wr = htole32(in->max_recv_wr),
		.max_send_sge = htole32(in->max_send_sge),
		.max_recv_sge = htole32(in->max_recv_sge),
		.max_inline_data = htole32(in->max_inline_data),
	};
}

/** struct parents - the objects that a QP is made from */
struct parents {
	struct obj *pd;
	struct obj *send_cq;
	struct obj *recv_cq;
	struct obj *srq; /* or NULL */
};

static int create_on_host(struct cmd *cmd, struct qp *qp, const struct parents *from,
			  const struct udata *udata)
{
	const struct hyv_req_create_qp *req = cmd->req;
	struct hyv_resp_create_qp *resp = cmd->resp;
	struct context *ctx = from->pd->context;
	uint64_t type = le32toh(req->type), flags = le32toh(req->flags);
	struct ib_uverbs_qp_cap cap, got_cap;
	const __aligned_u64 *handle;
	struct uverbs_call call;
	uint32_t qp_num;
	int ret;

	cap_from_wire(&cap, &req->cap);
	uverbs_start(&call, UVERBS_OBJECT_QP, UVERBS_METHOD_QP_CREATE);
	handle = uverbs_new(&call, UVERBS_ATTR_CREATE_QP_HANDLE);
	uverbs_handle(&call, UVERBS_ATTR_CREATE_QP_PD_HANDLE, from->pd->handle);
	uverbs_handle(&call, UVERBS_ATTR_CREATE_QP_SEND_CQ_HANDLE, from->send_cq->handle);
	uverbs_handle(&call, UVERBS_ATTR_CREATE_QP_RECV_CQ_HANDLE, from->recv_cq->handle);
	uverbs_in(&call, UVERBS_ATTR_CREATE_QP_USER_HANDLE, &qp->obj.id, sizeof(qp->obj.id));
	uverbs_in(&call, UVERBS_ATTR_CREATE_QP_CAP, &cap, sizeof(cap));
	uverbs_in(&call, UVERBS_ATTR_CREATE_QP_TYPE, &type, sizeof(type));
	uverbs_in(&call, UVERBS_ATTR_CREATE_QP_FLAGS, &flags, sizeof(flags));
	if (from->srq)
		uverbs_handle(&call, UVERBS_ATTR_CREATE_QP_SRQ_HANDLE, from->srq->handle);
	uverbs_handle(&call, UVERBS_ATTR_CREATE_QP_EVENT_FD, (uint32_t)ctx->async_fd);
	uverbs_out(&call, UVERBS_ATTR_CREATE_QP_RESP_CAP, &got_cap, sizeof(got_cap));
	uverbs_out(&call, UVERBS_ATTR_CREATE_QP_RESP_QP_NUM, &qp_num, sizeof(qp_num));
	uverbs_udata(&call, udata);
	ret = uverbs_call(ctx->fd, context_driver(ctx), &call);
	if (ret)
		return ret;
	qp->obj.handle = (uint32_t)*handle;
	qp->num = qp_num;
	cap_to_wire(&resp->cap, &got_cap);
	resp->qp_num = htole32(qp_num);
	resp->doorbell = htole32(qp->doorbell);
	return 0;
}

/* Return: whether work requests of such a QP say where they come from, instead of the QP */
static bool sends_datagrams(uint32_t type)
{
	return type != IB_UVERBS_QPT_RC && type != IB_UVERBS_QPT_UC &&
	       type != IB_UVERBS_QPT_XRC_INI;
}

static int create_qp(struct cmd *cmd, const struct parents *from)
{
	struct hyv_resp_create_qp *resp = cmd->resp;
	struct context *ctx = from->pd->context;
	const struct udata *udata = cmd_udata(cmd, ctx->device);
	const struct hyv_req_create_qp *req = cmd->req;
	struct qp *qp;
	int ret;

	/* a raw packet QP sees and sends whatever it likes on the host's wire: not for a VM */
	if (!udata || le32toh(req->type) == IB_UVERBS_QPT_RAW_PACKET)
		return -EOPNOTSUPP;
	if (sends_datagrams(le32toh(req->type)) && !gid_allows_ud(cmd->vm, ctx->device)) {
		log_guest(
			"the guest wants a queue pair for datagrams on %s, which could send as anybody: refused; 'hyvd --ud=on', or 'ud: on' in its configuration file, allows that",
			ctx->device->name);
		return -EOPNOTSUPP; /* as on a device that has RC and UC alone */
	}
	qp = calloc(1, sizeof(*qp));
	if (!qp)
		return -ENOMEM;
	qp->obj.context = ctx; /* a guest may ring any number, from now on this one */
	ret = doorbell_assign(cmd->vm->doorbell, qp, &qp->doorbell);
	if (ret) {
		free(qp);
		return ret;
	}
	obj_init(cmd->vm->objtab, &qp->obj, OBJ_QP, ctx, qp_release);
	ret = create_on_host(cmd, qp, from, udata);
	if (ret) {
		cmd_put_object(cmd, &qp->obj);
		return ret;
	}
	return object_publish(cmd->vm, &qp->obj, &destroy_qp, &resp->qp);
}

int create_qp_exec(struct cmd *cmd)
{
	const struct hyv_req_create_qp *req = cmd->req;
	struct context *ctx = cmd->target->context;
	struct parents from = {
		.pd = cmd->target,
		.send_cq = cmd_get_object(cmd, req->send_cq, OBJ_CQ),
		.recv_cq = cmd_get_object(cmd, req->recv_cq, OBJ_CQ),
		.srq = req->srq ? cmd_get_object(cmd, req->srq, OBJ_SRQ) : NULL,
	};
	int ret = -EINVAL;

	if (!from.send_cq || !from.recv_cq || (req->srq && !from.srq))
		ret = -ENOENT;
	else if (!req->cap.reserved && from.send_cq->context == ctx &&
		 from.recv_cq->context == ctx && (!from.srq || from.srq->context == ctx))
		ret = create_qp(cmd, &from);
	cmd_put_object(cmd, from.srq);
	cmd_put_object(cmd, from.recv_cq);
	cmd_put_object(cmd, from.send_cq);
	return ret;
}

static void dest_from_wire(struct ib_uverbs_qp_dest *out, const struct hyv_ah_attr *in)
{
	memcpy(out->dgid, in->dgid, sizeof(out->dgid));
	out->flow_label = le32toh(in->flow_label);
	out->dlid = le16toh(in->dlid);
	out->sgid_index = in->sgid_index;
	out->hop_limit = in->hop_limit;
	out->traffic_class = in->traffic_class;
	out->sl = in->sl;
	out->src_path_bits = in->src_path_bits;
	out->static_rate = in->static_rate;
	out->is_global = in->is_global;
	out->port_num = in->port_num;
}

static void dest_to_wire(struct hyv_ah_attr *out, const struct ib_uverbs_qp_dest *in)
{
	memcpy(out->dgid, in->dgid, sizeof(out->dgid));
	out->flow_label = htole32(in->flow_label);
	out->dlid = htole16(in->dlid);
	out->sgid_index = in->sgid_index;
	out->hop_limit = in->hop_limit;
	out->traffic_class = in->traffic_class;
	out->sl = in->sl;
	out->src_path_bits = in->src_path_bits;
	out->static_rate = in->static_rate;
	out->is_global = in->is_global;
	out->port_num = in->port_num;
}

/* what the guest calls the source GID becomes what the host calls it; @found: as gid_to_host()'s */
static int translate_source(const struct cmd *cmd, const struct context *ctx,
			    struct ib_uverbs_qp_dest *dest, struct ib_uverbs_gid_entry *found)
{
	if (!dest->is_global)
		return 0;
	return gid_to_host(cmd->vm, ctx->device, dest->port_num, &dest->sgid_index, found);
}

static int modify_on_host(const struct context *ctx, const struct ib_uverbs_ex_modify_qp *in,
			  const struct udata *udata)
{
	struct ib_uverbs_ex_modify_qp_resp out;

	return uverbs_write(ctx->fd, context_driver(ctx),
			    IB_USER_VERBS_CMD_FLAG_EXTENDED | IB_USER_VERBS_EX_CMD_MODIFY_QP, in,
			    sizeof(*in), &out, sizeof(out), udata);
}

/* Return: 0 or the host's errno */
static int stop_on_host(const struct obj *qp)
{
	const struct ib_uverbs_ex_modify_qp in = {
		.base = { .qp_handle = qp->handle, .attr_mask = QP_STATE, .qp_state = QPS_ERR },
	};

	return modify_on_host(qp->context, &in, NULL);
}

/*
 * A driver that goes by addresses finds no memory there once the QP's context is freed: see mr_release(). What
 * cannot be sent since there is no way to its memory is flushed.
 */
void qp_ring(struct qp *qp)
{
	struct context *ctx = qp->obj.context;
	struct ib_uverbs_post_send in = {
		.qp_handle = qp->obj.handle,
		/* of no work requests: they are in the queue */
		.wqe_size = sizeof(struct ib_uverbs_send_wr),
	};
	struct ib_uverbs_post_send_resp out;
	bool is_entered = !context_enter(ctx);
	int ret;

	if (!ctx->space || objtab_is_published(ctx->vm->objtab, &qp->obj)) {
		if (is_entered)
			uverbs_write(ctx->fd, context_driver(ctx), IB_USER_VERBS_CMD_POST_SEND, &in,
				     sizeof(in), &out, sizeof(out), NULL);
		else if (!atomic_load(&qp->obj.is_going) && (ret = stop_on_host(&qp->obj)))
			log_guest("a QP on %s whose memory cannot be shown cannot be stopped: %s",
				  ctx->device->name, strerror(-ret));
	}
	if (is_entered)
		context_leave(ctx);
}

static bool has_reserved(const struct hyv_req_modify_qp *req)
{
	static const uint8_t zero[sizeof(req->attr.reserved)];

	return req->reserved || req->attr.ah.reserved || req->attr.alt_ah.reserved ||
	       memcmp(req->attr.reserved, zero, sizeof(zero));
}

int modify_qp_exec(struct cmd *cmd)
{
	const struct hyv_req_modify_qp *req = cmd->req;
	const struct hyv_qp_attr *attr = &req->attr;
	struct context *ctx = cmd->target->context;
	struct ib_uverbs_ex_modify_qp in = {
		.base = {
			.qp_handle = cmd->target->handle,
			.attr_mask = le32toh(req->attr_mask),
			.qkey = le32toh(attr->qkey),
			.rq_psn = le32toh(attr->rq_psn),
			.sq_psn = le32toh(attr->sq_psn),
			.dest_qp_num = le32toh(attr->dest_qp_num),
			.qp_access_flags = le32toh(attr->qp_access_flags),
			.pkey_index = le16toh(attr->pkey_index),
			.alt_pkey_index = le16toh(attr->alt_pkey_index),
			.qp_state = attr->qp_state,
			.cur_qp_state = attr->cur_qp_state,
			.path_mtu = attr->path_mtu,
			.path_mig_state = attr->path_mig_state,
			.en_sqd_async_notify = attr->en_sqd_async_notify,
			.max_rd_atomic = attr->max_rd_atomic,
			.max_dest_rd_atomic = attr->max_dest_rd_atomic,
			.min_rnr_timer = attr->min_rnr_timer,
			.port_num = attr->port_num,
			.timeout = attr->timeout,
			.retry_cnt = attr->retry_cnt,
			.rnr_retry = attr->rnr_retry,
			.alt_port_num = attr->alt_port_num,
			.alt_timeout = attr->alt_timeout,
		},
		.rate_limit = le32toh(attr->rate_limit),
	};
	const struct udata *udata = cmd_udata(cmd, ctx->device);
	struct ib_uverbs_gid_entry found = { 0 }, alt_found;
	int ret = 0;

	if (!udata)
		return -EOPNOTSUPP;
	if (has_reserved(req))
		return -EINVAL;
	dest_from_wire(&in.base.dest, &attr->ah);
	dest_from_wire(&in.base.alt_dest, &attr->alt_ah);
	if (in.base.attr_mask & QP_AV)
		ret = translate_source(cmd, ctx, &in.base.dest, &found);
	if (!ret && in.base.attr_mask & QP_ALT_PATH) /* which the kernel refuses on RoCE */
		ret = translate_source(cmd, ctx, &in.base.alt_dest, &alt_found);
	if (!ret)
		ret = modify_on_host(ctx, &in, udata);
	if (ret || gid_was_own(cmd->vm, ctx->device, &found))
		return ret;
	ret = stop_on_host(cmd->target);
	if (ret)
		log_err("a QP on %s that has an address of others cannot be stopped: %s",
			ctx->device->name, strerror(-ret));
	return -EADDRNOTAVAIL;
}

static void dest_from_cm(struct ib_uverbs_qp_dest *out, const struct ib_uverbs_ah_attr *in)
{
	memcpy(out->dgid, in->grh.dgid, sizeof(out->dgid));
	out->flow_label = in->grh.flow_label;
	out->dlid = in->dlid;
	out->sgid_index = in->grh.sgid_index;
	out->hop_limit = in->grh.hop_limit;
	out->traffic_class = in->grh.traffic_class;
	out->sl = in->sl;
	out->src_path_bits = in->src_path_bits;
	out->static_rate = in->static_rate;
	out->is_global = in->is_global;
	out->port_num = in->port_num;
}

int qp_modify(struct qp *qp, const struct ib_uverbs_qp_attr *attr)
{
	struct ib_uverbs_ex_modify_qp in = {
		.base = {
			.qp_handle = qp->obj.handle,
			.attr_mask = attr->qp_attr_mask,
			.qkey = attr->qkey,
			.rq_psn = attr->rq_psn,
			.sq_psn = attr->sq_psn,
			.dest_qp_num = attr->dest_qp_num,
			.qp_access_flags = attr->qp_access_flags,
			.pkey_index = attr->pkey_index,
			.alt_pkey_index = attr->alt_pkey_index,
			.qp_state = attr->qp_state,
			.cur_qp_state = attr->cur_qp_state,
			.path_mtu = attr->path_mtu,
			.path_mig_state = attr->path_mig_state,
			.en_sqd_async_notify = attr->en_sqd_async_notify,
			.max_rd_atomic = attr->max_rd_atomic,
			.max_dest_rd_atomic = attr->max_dest_rd_atomic,
			.min_rnr_timer = attr->min_rnr_timer,
			.port_num = attr->port_num,
			.timeout = attr->timeout,
			.retry_cnt = attr->retry_cnt,
			.rnr_retry = attr->rnr_retry,
			.alt_port_num = attr->alt_port_num,
			.alt_timeout = attr->alt_timeout,
		},
	};

	dest_from_cm(&in.base.dest, &attr->ah_attr);
	dest_from_cm(&in.base.alt_dest, &attr->alt_ah_attr);
	return modify_on_host(qp->obj.context, &in, NULL);
}

static void fill_qp(struct hyv_resp_query_qp *resp, const struct ib_uverbs_query_qp_resp *qp)
{
	resp->attr = (struct hyv_qp_attr){
		.qkey = htole32(qp->qkey),
		.rq_psn = htole32(qp->rq_psn),
		.sq_psn = htole32(qp->sq_psn),
		.dest_qp_num = htole32(qp->dest_qp_num),
		.qp_access_flags = htole32(qp->qp_access_flags),
		.pkey_index = htole16(qp->pkey_index),
		.alt_pkey_index = htole16(qp->alt_pkey_index),
		.qp_state = qp->qp_state,
		.cur_qp_state = qp->cur_qp_state,
		.path_mtu = qp->path_mtu,
		.path_mig_state = qp->path_mig_state,
		.sq_draining = qp->sq_draining,
		.max_rd_atomic = qp->max_rd_atomic,
		.max_dest_rd_atomic = qp->max_dest_rd_atomic,
		.min_rnr_timer = qp->min_rnr_timer,
		.port_num = qp->port_num,
		.timeout = qp->timeout,
		.retry_cnt = qp->retry_cnt,
		.rnr_retry = qp->rnr_retry,
		.alt_port_num = qp->alt_port_num,
		.alt_timeout = qp->alt_timeout,
	};
	dest_to_wire(&resp->attr.ah, &qp->dest);
	dest_to_wire(&resp->attr.alt_ah, &qp->alt_dest);
	resp->cap.max_send_wr = htole32(qp->max_send_wr);
	resp->cap.max_recv_wr = htole32(qp->max_recv_wr);
	resp->cap.max_send_sge = htole32(qp->max_send_sge);
	resp->cap.max_recv_sge = htole32(qp->max_recv_sge);
	resp->cap.max_inline_data = htole32(qp->max_inline_data);
	resp->sq_sig_all = htole32(qp->sq_sig_all);
}

int query_qp_exec(struct cmd *cmd)
{
	const struct hyv_req_query_qp *req = cmd->req;
	struct context *ctx = cmd->target->context;
	struct ib_uverbs_query_qp in = {
		.qp_handle = cmd->target->handle,
		.attr_mask = le32toh(req->attr_mask),
	};
	struct ib_uverbs_query_qp_resp out = { 0 };
	int ret;

	if (req->reserved)
		return -EINVAL;
	ret = uverbs_write(ctx->fd, context_driver(ctx), IB_USER_VERBS_CMD_QUERY_QP, &in,
			   sizeof(in), &out, sizeof(out), NULL);
	if (ret)
		return ret;
	if (out.dest.is_global)
		out.dest.sgid_index =
			gid_to_guest(ctx->device, out.dest.port_num, out.dest.sgid_index);
	if (out.alt_dest.is_global)
		out.alt_dest.sgid_index =
			gid_to_guest(ctx->device, out.alt_dest.port_num, out.alt_dest.sgid_index);
	fill_qp(cmd->resp, &out);
	return 0;
}

int destroy_qp_exec(struct cmd *cmd)
{
	cm_release_qp(cmd->vm, qp_of(cmd->target));
	return object_destroy(cmd, &destroy_qp);
}
