// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * uverbs contexts: for each context of the guest one opened uverbs file of the host, with a file
 * for its asynchronous events and one completion channel for all its CQs. Its host objects never
 * outlive it: when it is freed, the host's kernel destroys what is left in the order of dependency.
 *
 * Handlers that work in a context hold a reference; freeing takes it out of the table, and the file
 * is closed when the last of them is done, on the pool, because destroying many objects takes time.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "cmd.h"
#include "context.h"
#include "event.h"

static void close_files(struct context *ctx)
{
	if (ctx->comp_fd >= 0)
		close(ctx->comp_fd);
	if (ctx->async_fd >= 0)
		close(ctx->async_fd);
	if (ctx->fd >= 0)
		close(ctx->fd);
}

static void context_close(struct job *job)
{
	struct context *ctx = (struct context *)((char *)job - offsetof(struct context, closing));

	/* mappings keep the uverbs file open */
	if (ctx->vm->window)
		window_drop_context(ctx->vm->window, ctx->obj.id, ctx->guest_is_gone);
	close_files(ctx);
	limit_uncharge_all(&ctx->vm->limits, &ctx->charges);
	if (ctx->is_guests) {
		limit_uncharge(&ctx->vm->limits, NULL, LIMIT_CONTEXTS, 1);
		atomic_fetch_sub(&ctx->vm->num_contexts, 1);
	}
	if (ctx->freer)
		cmd_answer(ctx->freer, 0);
	free(ctx);
}

static void context_release(struct obj *obj)
{
	struct context *ctx = context_of(obj);

	ctx->closing.run = context_close;
	pool_submit(ctx->vm->pool, &ctx->closing);
}

static int get_context(struct context *ctx, const struct udata *udata)
{
	uint32_t num_comp_vectors;
	uint64_t core_support;
	struct uverbs_call call;
	int ret;

	uverbs_start(&call, UVERBS_OBJECT_DEVICE, UVERBS_METHOD_GET_CONTEXT);
	uverbs_out(&call, UVERBS_ATTR_GET_CONTEXT_NUM_COMP_VECTORS, &num_comp_vectors,
		   sizeof(num_comp_vectors));
	uverbs_out(&call, UVERBS_ATTR_GET_CONTEXT_CORE_SUPPORT, &core_support,
		   sizeof(core_support));
	uverbs_udata(&call, udata);
	ret = uverbs_call(ctx->fd, context_driver(ctx), &call);
	if (!ret)
		ctx->device->num_comp_vectors = num_comp_vectors;
	return ret;
}

static int open_async_events(struct context *ctx)
{
	const __aligned_u64 *fd;
	struct uverbs_call call;
	int ret;

	uverbs_start(&call, UVERBS_OBJECT_ASYNC_EVENT, UVERBS_METHOD_ASYNC_EVENT_ALLOC);
	fd = uverbs_new(&call, UVERBS_ATTR_ASYNC_EVENT_ALLOC_FD_HANDLE);
	ret = uverbs_call(ctx->fd, context_driver(ctx), &call);
	if (!ret)
		ctx->async_fd = (int)*fd;
	return ret;
}

static int open_comp_channel(struct context *ctx)
{
	struct ib_uverbs_create_comp_channel in = { 0 };
	struct ib_uverbs_create_comp_channel_resp out;
	int ret;

	ret = uverbs_write(ctx->fd, context_driver(ctx), IB_USER_VERBS_CMD_CREATE_COMP_CHANNEL, &in,
			   sizeof(in), &out, sizeof(out), NULL);
	if (!ret)
		ctx->comp_fd = (int)out.fd;
	return ret;
}

int context_open(struct vm *vm, struct device *dev, const struct udata *udata, struct context **out)
{
	struct context *ctx = calloc(1, sizeof(*ctx));
	int ret;

	if (!ctx)
		return -ENOMEM;
	ctx->vm = vm;
	ctx->device = dev;
	ctx->async_fd = -1;
	ctx->comp_fd = -1;
	TAILQ_INIT(&ctx->children);
	ctx->fd = open(dev->uverbs_path, O_RDWR | O_CLOEXEC);
	ret = ctx->fd < 0 ? -errno : get_context(ctx, udata);
	if (!ret)
		ret = open_async_events(ctx);
	if (!ret)
		ret = open_comp_channel(ctx);
	if (ret) {
		close_files(ctx);
		free(ctx);
		return ret;
	}
	obj_init(vm->objtab, &ctx->obj, OBJ_CONTEXT, NULL, context_release);
	ctx->obj.context = ctx;
	*out = ctx;
	return 0;
}

int alloc_context_exec(struct cmd *cmd)
{
	const struct hyv_req_alloc_context *req = cmd->req;
	struct hyv_resp_alloc_context *resp = cmd->resp;
	uint32_t index = le32toh(req->device);
	const struct udata *udata;
	struct context *ctx;
	uint64_t id;
	int ret;

	if (req->reserved || index >= cmd->vm->num_devices)
		return -EINVAL;
	udata = cmd_udata(cmd, cmd->vm->devices[index]);
	if (!udata)
		return -EOPNOTSUPP;
	ret = context_open(cmd->vm, cmd->vm->devices[index], udata, &ctx);
	if (ret)
		return ret;
	id = ctx->obj.id;
	ret = event_watch(cmd->vm->event, ctx);
	if (ret) {
		obj_put(cmd->vm->objtab, &ctx->obj);
		return ret;
	}
	ctx->is_guests = true;
	atomic_fetch_add(&cmd->vm->num_contexts, 1);
	objtab_publish(cmd->vm->objtab, &ctx->obj);
	resp->context = htole64(id);
	return 0;
}

int free_context_exec(struct cmd *cmd)
{
	struct obj *obj = cmd->target;
	int ret = -ENOENT; /* another request did */

	if (objtab_remove_context(cmd->vm->objtab, obj->context)) {
		obj->context->freer = cmd;
		ret = CMD_DEFERRED;
	}
	cmd->target = NULL; /* context_close(), which answers, waits for this reference */
	cmd_put_object(cmd, obj);
	return ret;
}

void context_free_all(struct vm *vm)
{
	struct context *ctx;

	while ((ctx = objtab_first_context(vm->objtab))) {
		ctx->guest_is_gone = true;
		objtab_remove_context(vm->objtab, ctx);
		obj_put(vm->objtab, &ctx->obj);
	}
}
