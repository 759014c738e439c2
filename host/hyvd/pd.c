// SPDX-License-Identifier: GPL-2.0-or-later
/* Protection domains. */
#include <errno.h>
#include <stdlib.h>
#include "verbs.h"

static int alloc_pd(struct cmd *cmd, struct context *ctx)
{
	const struct udata *udata = cmd_udata(cmd, ctx->device);
	struct hyv_resp_alloc_pd *resp = cmd->resp;
	struct ib_uverbs_alloc_pd in = { 0 };
	struct ib_uverbs_alloc_pd_resp out;
	struct obj *pd;
	int ret;

	if (!udata)
		return -EOPNOTSUPP;
	pd = calloc(1, sizeof(*pd));
	if (!pd)
		return -ENOMEM;
	ret = uverbs_write(ctx->fd, context_driver(ctx), IB_USER_VERBS_CMD_ALLOC_PD, &in,
			   sizeof(in), &out, sizeof(out), udata);
	if (ret) {
		free(pd);
		return ret;
	}
	object_init(cmd->vm, pd, OBJ_PD, ctx);
	pd->handle = out.pd_handle;
	return object_publish(cmd->vm, pd, &resp->pd);
}

int alloc_pd_exec(struct cmd *cmd)
{
	const struct hyv_req_alloc_pd *req = cmd->req;
	struct obj *ctx = cmd_get_object(cmd, req->context, OBJ_CONTEXT);
	int ret = ctx ? alloc_pd(cmd, ctx->context) : -EINVAL;

	cmd_put_object(cmd, ctx);
	return ret;
}

int dealloc_pd_exec(struct cmd *cmd)
{
	static const struct destroy_method how = {
		.type = OBJ_PD,
		.object = UVERBS_OBJECT_PD,
		.method = UVERBS_METHOD_PD_DESTROY,
	};
	const struct hyv_req_dealloc_pd *req = cmd->req;

	return object_destroy(cmd, req->pd, &how);
}
