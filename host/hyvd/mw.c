// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory windows. Binding and invalidating them are work requests, which never come here. */
#include <errno.h>
#include <stdlib.h>
#include "verbs.h"

static const struct destroy_method dealloc_mw = {
	.object = UVERBS_OBJECT_MW,
	.method = UVERBS_METHOD_MW_DESTROY,
};

int alloc_mw_exec(struct cmd *cmd)
{
	const struct hyv_req_alloc_mw *req = cmd->req;
	struct hyv_resp_alloc_mw *resp = cmd->resp;
	struct context *ctx = cmd->target->context;
	const struct udata *udata = cmd_udata(cmd, ctx->device);
	struct ib_uverbs_alloc_mw in = {
		.pd_handle = cmd->target->handle,
		.mw_type = (__u8)le32toh(req->type),
	};
	struct ib_uverbs_alloc_mw_resp out;
	struct obj *mw;
	int ret;

	if (!udata)
		return -EOPNOTSUPP;
	if (req->reserved || le32toh(req->type) > UINT8_MAX)
		return -EINVAL;
	mw = calloc(1, sizeof(*mw));
	if (!mw)
		return -ENOMEM;
	ret = uverbs_write(ctx->fd, context_driver(ctx), IB_USER_VERBS_CMD_ALLOC_MW, &in,
			   sizeof(in), &out, sizeof(out), udata);
	if (ret) {
		free(mw);
		return ret;
	}
	object_init(cmd->vm, mw, OBJ_MW, ctx);
	mw->handle = out.mw_handle;
	resp->rkey = htole32(out.rkey);
	return object_publish(cmd->vm, mw, &dealloc_mw, &resp->mw);
}

int dealloc_mw_exec(struct cmd *cmd)
{
	return object_destroy(cmd, &dealloc_mw);
}
