// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Shared receive queues. Posting to one never comes here: the application writes to the host
 * device's queue through the window.
 */
#include <errno.h>
#include <stdlib.h>
#include "srq.h"
#include "verbs.h"

static const struct destroy_method destroy_srq = {
	.object = UVERBS_OBJECT_SRQ,
	.method = UVERBS_METHOD_SRQ_DESTROY,
	.resp_attr = UVERBS_ATTR_DESTROY_SRQ_RESP,
	.resp_len = sizeof(struct ib_uverbs_destroy_srq_resp),
};

static int create_on_host(struct cmd *cmd, struct obj *srq, const struct udata *udata)
{
	const struct hyv_req_create_srq *req = cmd->req;
	struct hyv_resp_create_srq *resp = cmd->resp;
	struct context *ctx = srq->context;
	uint32_t max_wr = le32toh(req->max_wr), max_sge = le32toh(req->max_sge),
		 limit = le32toh(req->srq_limit), got_wr, got_sge;
	uint64_t type = IB_UVERBS_SRQT_BASIC;
	const __aligned_u64 *handle;
	struct uverbs_call call;
	int ret;

	uverbs_start(&call, UVERBS_OBJECT_SRQ, UVERBS_METHOD_SRQ_CREATE);
	handle = uverbs_new(&call, UVERBS_ATTR_CREATE_SRQ_HANDLE);
	uverbs_handle(&call, UVERBS_ATTR_CREATE_SRQ_PD_HANDLE, cmd->target->handle);
	uverbs_in(&call, UVERBS_ATTR_CREATE_SRQ_TYPE, &type, sizeof(type));
	uverbs_in(&call, UVERBS_ATTR_CREATE_SRQ_USER_HANDLE, &srq->id, sizeof(srq->id));
	uverbs_in(&call, UVERBS_ATTR_CREATE_SRQ_MAX_WR, &max_wr, sizeof(max_wr));
	uverbs_in(&call, UVERBS_ATTR_CREATE_SRQ_MAX_SGE, &max_sge, sizeof(max_sge));
	uverbs_in(&call, UVERBS_ATTR_CREATE_SRQ_LIMIT, &limit, sizeof(limit));
	uverbs_handle(&call, UVERBS_ATTR_CREATE_SRQ_EVENT_FD, (uint32_t)ctx->async_fd);
	uverbs_out(&call, UVERBS_ATTR_CREATE_SRQ_RESP_MAX_WR, &got_wr, sizeof(got_wr));
	uverbs_out(&call, UVERBS_ATTR_CREATE_SRQ_RESP_MAX_SGE, &got_sge, sizeof(got_sge));
	uverbs_udata(&call, udata);
	ret = uverbs_call(ctx->fd, context_driver(ctx), &call);
	if (ret)
		return ret;
	srq->handle = (uint32_t)*handle;
	resp->max_wr = htole32(got_wr);
	resp->max_sge = htole32(got_sge);
	return 0;
}

int create_srq_exec(struct cmd *cmd)
{
	const struct hyv_req_create_srq *req = cmd->req;
	struct hyv_resp_create_srq *resp = cmd->resp;
	struct context *ctx = cmd->target->context;
	const struct udata *udata = cmd_udata(cmd, ctx->device);
	struct obj *srq;
	int ret;

	if (!udata)
		return -EOPNOTSUPP;
	if (req->reserved)
		return -EINVAL;
	srq = calloc(1, sizeof(*srq));
	if (!srq)
		return -ENOMEM;
	object_init(cmd->vm, srq, OBJ_SRQ, ctx);
	ret = create_on_host(cmd, srq, udata);
	if (ret) {
		cmd_put_object(cmd, srq);
		return ret;
	}
	return object_publish(cmd->vm, srq, &destroy_srq, &resp->srq);
}

int modify_srq_exec(struct cmd *cmd)
{
	const struct hyv_req_modify_srq *req = cmd->req;
	struct context *ctx = cmd->target->context;
	const struct udata *udata = cmd_udata(cmd, ctx->device);
	struct ib_uverbs_modify_srq in = {
		.srq_handle = cmd->target->handle,
		.attr_mask = le32toh(req->attr_mask),
		.max_wr = le32toh(req->max_wr),
		.srq_limit = le32toh(req->srq_limit),
	};

	if (!udata)
		return -EOPNOTSUPP;
	if (req->reserved)
		return -EINVAL;
	return uverbs_write(ctx->fd, context_driver(ctx), IB_USER_VERBS_CMD_MODIFY_SRQ, &in,
			    sizeof(in), NULL, 0, udata);
}

int query_srq_exec(struct cmd *cmd)
{
	struct hyv_resp_query_srq *resp = cmd->resp;
	struct context *ctx = cmd->target->context;
	struct ib_uverbs_query_srq in = { .srq_handle = cmd->target->handle };
	struct ib_uverbs_query_srq_resp out;
	int ret;

	ret = uverbs_write(ctx->fd, context_driver(ctx), IB_USER_VERBS_CMD_QUERY_SRQ, &in,
			   sizeof(in), &out, sizeof(out), NULL);
	if (ret)
		return ret;
	resp->max_wr = htole32(out.max_wr);
	resp->max_sge = htole32(out.max_sge);
	resp->srq_limit = htole32(out.srq_limit);
	return 0;
}

int destroy_srq_exec(struct cmd *cmd)
{
	return object_destroy(cmd, &destroy_srq);
}
