// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Completion queues. Polling one never comes here: the application reads the host device's queue
 * through the window.
 */
#include <errno.h>
#include <stdlib.h>
#include "verbs.h"

static const struct destroy_method destroy_cq = {
	.object = UVERBS_OBJECT_CQ,
	.method = UVERBS_METHOD_CQ_DESTROY,
	.resp_attr = UVERBS_ATTR_DESTROY_CQ_RESP,
	.resp_len = sizeof(struct ib_uverbs_destroy_cq_resp),
};

static int create_on_host(struct cmd *cmd, struct context *ctx, struct obj *cq,
			  const struct udata *udata)
{
	const struct hyv_req_create_cq *req = cmd->req;
	struct hyv_resp_create_cq *resp = cmd->resp;
	uint32_t cqe = le32toh(req->cqe), vector = le32toh(req->comp_vector),
		 flags = le32toh(req->flags), got;
	const __aligned_u64 *handle;
	struct uverbs_call call;
	int ret;

	uverbs_start(&call, UVERBS_OBJECT_CQ, UVERBS_METHOD_CQ_CREATE);
	handle = uverbs_new(&call, UVERBS_ATTR_CREATE_CQ_HANDLE);
	uverbs_in(&call, UVERBS_ATTR_CREATE_CQ_CQE, &cqe, sizeof(cqe));
	uverbs_in(&call, UVERBS_ATTR_CREATE_CQ_USER_HANDLE, &cq->id, sizeof(cq->id));
	uverbs_handle(&call, UVERBS_ATTR_CREATE_CQ_COMP_CHANNEL, (uint32_t)ctx->comp_fd);
	uverbs_in(&call, UVERBS_ATTR_CREATE_CQ_COMP_VECTOR, &vector, sizeof(vector));
	uverbs_in(&call, UVERBS_ATTR_CREATE_CQ_FLAGS, &flags, sizeof(flags));
	uverbs_out(&call, UVERBS_ATTR_CREATE_CQ_RESP_CQE, &got, sizeof(got));
	uverbs_handle(&call, UVERBS_ATTR_CREATE_CQ_EVENT_FD, (uint32_t)ctx->async_fd);
	uverbs_udata(&call, udata);
	ret = uverbs_call(ctx->fd, context_driver(ctx), &call);
	if (ret)
		return ret;
	cq->handle = (uint32_t)*handle;
	resp->cqe = htole32(got);
	return 0;
}

int create_cq_exec(struct cmd *cmd)
{
	const struct hyv_req_create_cq *req = cmd->req;
	struct hyv_resp_create_cq *resp = cmd->resp;
	struct context *ctx = cmd->target->context;
	const struct udata *udata = cmd_udata(cmd, ctx->device);
	struct obj *cq;
	int ret;

	if (!udata)
		return -EOPNOTSUPP;
	if (req->reserved)
		return -EINVAL;
	cq = calloc(1, sizeof(*cq));
	if (!cq)
		return -ENOMEM;
	object_init(cmd->vm, cq, OBJ_CQ, ctx);
	ret = create_on_host(cmd, ctx, cq, udata);
	if (ret) {
		cmd_put_object(cmd, cq);
		return ret;
	}
	return object_publish(cmd->vm, cq, &destroy_cq, &resp->cq);
}

int req_notify_cq_exec(struct cmd *cmd)
{
	const struct hyv_req_req_notify_cq *req = cmd->req;
	struct context *ctx = cmd->target->context;
	struct ib_uverbs_req_notify_cq in = {
		.cq_handle = cmd->target->handle,
		.solicited_only = le32toh(req->solicited_only),
	};

	if (req->reserved)
		return -EINVAL;
	return uverbs_write(ctx->fd, context_driver(ctx), IB_USER_VERBS_CMD_REQ_NOTIFY_CQ, &in,
			    sizeof(in), NULL, 0, NULL);
}

int resize_cq_exec(struct cmd *cmd)
{
	const struct hyv_req_resize_cq *req = cmd->req;
	struct hyv_resp_resize_cq *resp = cmd->resp;
	struct context *ctx = cmd->target->context;
	const struct udata *udata = cmd_udata(cmd, ctx->device);
	struct ib_uverbs_resize_cq in = {
		.cq_handle = cmd->target->handle,
		.cqe = le32toh(req->cqe),
	};
	struct ib_uverbs_resize_cq_resp out;
	int ret;

	if (!udata)
		return -EOPNOTSUPP;
	if (req->reserved)
		return -EINVAL;
	ret = uverbs_write(ctx->fd, context_driver(ctx), IB_USER_VERBS_CMD_RESIZE_CQ, &in,
			   sizeof(in), &out, sizeof(out), udata);
	if (!ret)
		resp->cqe = htole32(out.cqe);
	return ret;
}

int destroy_cq_exec(struct cmd *cmd)
{
	return object_destroy(cmd, &destroy_cq);
}
