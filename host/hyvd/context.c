// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * uverbs contexts: for each context of the guest one opened uverbs file of the host, with a file
 * for its asynchronous events and one completion channel for all its CQs. Its host objects never
 * outlive it: when it is freed, the host's kernel destroys what is left in the order of dependency.
 *
 * Handlers that work in a context hold a reference; freeing takes it out of the table, and the file
 * is closed when the last of them is done, on the pool, because destroying many objects takes time.
 * Each of the guest's holds its device; hyvd's own is the last on it, and hands it on when it goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "cmd.h"
#include "context.h"
#include "event.h"
#include "gmem.h"
#include "hotplug.h"

static void close_all(struct context *ctx)
{
	if (ctx->comp_fd >= 0)
		close(ctx->comp_fd);
	if (ctx->async_fd >= 0)
		close(ctx->async_fd);
	if (ctx->fd >= 0)
		close(ctx->fd);
	if (ctx->space)
		gmem_space_destroy(ctx->space);
}

int context_enter(struct context *ctx)
{
	return ctx->space ? gmem_enter(ctx->space) : 0;
}

void context_leave(struct context *ctx)
{
	if (ctx->space)
		gmem_leave(ctx->space);
}

/* before it leaves the table */
static void count_dying(struct context *ctx)
{
	struct dying *dying = &ctx->vm->dying;

	pthread_mutex_lock(&dying->lock);
	dying->num += !ctx->is_dying;
	ctx->is_dying = true;
	pthread_mutex_unlock(&dying->lock);
}

static void count_dead(struct dying *dying)
{
	SLIST_HEAD(, cmd) waiting = SLIST_HEAD_INITIALIZER(waiting);
	struct cmd *cmd;

	pthread_mutex_lock(&dying->lock);
	if (!--dying->num) {
		waiting.slh_first = SLIST_FIRST(&dying->waiting);
		SLIST_INIT(&dying->waiting);
	}
	pthread_mutex_unlock(&dying->lock);
	while ((cmd = SLIST_FIRST(&waiting))) {
		SLIST_REMOVE_HEAD(&waiting, waiting);
		cmd_answer(cmd, -ENOENT);
	}
}

bool context_wait(struct cmd *cmd)
{
	struct dying *dying = &cmd->vm->dying;
	bool any;

	pthread_mutex_lock(&dying->lock);
	any = dying->num;
	if (any)
		SLIST_INSERT_HEAD(&dying->waiting, cmd, waiting);
	pthread_mutex_unlock(&dying->lock);
	return any;
}

int context_await_end(struct cmd *cmd)
{
	struct obj *obj = cmd->target;
	struct vm *vm = cmd->vm;

	count_dying(obj->context);
	cmd->target = NULL; /* context_close() waits for this reference */
	context_wait(cmd);
	obj_put(vm->objtab, obj);
	return CMD_DEFERRED;
}

static void context_close(struct job *job)
{
	struct context *ctx = (struct context *)((char *)job - offsetof(struct context, closing));

	/* mappings keep the uverbs file open */
	if (ctx->vm->window)
		window_drop_context(ctx->vm->window, ctx->obj.id, ctx->guest_is_gone);
	close_all(ctx);
	limit_uncharge_all(&ctx->vm->limits, &ctx->charges);
	if (ctx->is_guests) {
		limit_uncharge(&ctx->vm->limits, NULL, LIMIT_CONTEXTS, 1);
		atomic_fetch_sub(&ctx->vm->num_contexts, 1);
	}
	if (ctx->freer)
		cmd_answer(ctx->freer, 0);
	if (ctx->is_dying)
		count_dead(&ctx->vm->dying);
	if (ctx == ctx->device->own)
		hotplug_gone(ctx->vm->hotplug, ctx->device);
	else
		device_put(ctx->vm, ctx->device);
	free(ctx);
}

static void context_release(struct obj *obj)
{
	struct context *ctx = context_of(obj);

	ctx->closing.run = context_close;
	if (ctx->vm->pool)
		pool_submit(ctx->vm->pool, &ctx->closing);
	else
		context_close(&ctx->closing); /* hyvd ends */
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
	if (!ret && dev->provider->flags & HYV_PROVIDER_NO_IOVA) {
		ctx->space = gmem_space_create(vm->gmem);
		ret = ctx->space ? 0 : -ENOMEM;
	}
	if (!ret)
		ret = open_async_events(ctx);
	if (!ret)
		ret = open_comp_channel(ctx);
	if (ret) {
		close_all(ctx);
		free(ctx);
		return ret;
	}
	obj_init(vm->objtab, &ctx->obj, OBJ_CONTEXT, NULL, context_release);
	ctx->obj.context = ctx;
	*out = ctx;
	return 0;
}

/* Return: 0, or -ENODEV when its device is going; then the reference is still the caller's */
static int publish(struct context *ctx)
{
	struct vm *vm = ctx->vm;
	int ret;

	ctx->is_guests = true;
	atomic_fetch_add(&vm->num_contexts, 1);
	ret = objtab_publish(vm->objtab, &ctx->obj);
	if (ret) {
		ctx->is_guests = false;
		atomic_fetch_sub(&vm->num_contexts, 1);
	}
	return ret;
}

static int alloc_context(struct cmd *cmd)
{
	struct hyv_resp_alloc_context *resp = cmd->resp;
	const struct udata *udata = cmd_udata(cmd, cmd->device);
	struct context *ctx;
	uint64_t id;
	int ret;

	if (!udata)
		return -EOPNOTSUPP;
	ret = context_open(cmd->vm, cmd->device, udata, &ctx);
	if (ret)
		return ret;
	device_hold(cmd->vm, cmd->device);
	id = ctx->obj.id;
	ret = event_watch(cmd->vm->event, ctx);
	if (!ret)
		ret = publish(ctx);
	if (ret)
		obj_put(cmd->vm->objtab, &ctx->obj);
	else
		resp->context = htole64(id);
	return ret;
}

int alloc_context_exec(struct cmd *cmd)
{
	const struct hyv_req_alloc_context *req = cmd->req;
	int ret = device_find(cmd, req->device, req->reserved);

	if (!ret)
		ret = limit_charge(&cmd->vm->limits, NULL, LIMIT_CONTEXTS, 1);
	if (ret)
		return ret;
	ret = alloc_context(cmd);
	if (ret)
		limit_uncharge(&cmd->vm->limits, NULL, LIMIT_CONTEXTS, 1);
	return ret;
}

int free_context_exec(struct cmd *cmd)
{
	struct obj *obj = cmd->target;
	struct vm *vm = cmd->vm;

	count_dying(obj->context);
	if (!objtab_remove_context(vm->objtab, obj->context))
		return context_await_end(cmd); /* another request did */
	obj->context->freer = cmd;
	cmd->target = NULL; /* context_close(), which answers, waits for this reference */
	obj_put(vm->objtab, obj);
	return CMD_DEFERRED;
}

void context_free_all(struct vm *vm, uint32_t device)
{
	struct obj *obj;

	while ((obj = objtab_first(vm->objtab, OBJ_CONTEXT, device))) {
		if (device == DEVICE_ANY)
			obj->context->guest_is_gone = true;
		count_dying(obj->context);
		objtab_remove_context(vm->objtab, obj->context);
		obj_put(vm->objtab, obj);
	}
}
