// SPDX-License-Identifier: GPL-2.0-or-later
/* Protection domains. */
#include <errno.h>
#include <stdlib.h>
#include "verbs.h"

static const struct destroy_method dealloc_pd = {
	.object = UVERBS_OBJECT_PD,
	.method = UVERBS_METHOD_PD_DESTROY,
};

int alloc_pd_exec(struct cmd *cmd)
{
	struct context *ctx = cmd->target->context;
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
	return object_publish(cmd->vm, pd, &dealloc_pd, &resp->pd);
}

int dealloc_pd_exec(struct cmd *cmd)
{
	return object_destroy(cmd, &dealloc_pd);
}
