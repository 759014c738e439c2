// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What all verbs that make or destroy an object have in common: publishing it last, and destroying
 * it on the host before the guest's id for it goes.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include "verbs.h"

static void object_release(struct obj *obj)
{
	free(obj); /* the head is the first member of every object */
}

void object_init(struct vm *vm, struct obj *obj, enum obj_type type, struct context *ctx)
{
	obj_init(vm->objtab, obj, type, ctx, object_release);
}

static int destroy_on_host(const struct obj *obj, const struct destroy_method *how)
{
	struct context *ctx = obj->context;

	return uverbs_destroy(ctx->fd, context_driver(ctx), how->object, how->method, obj->handle,
			      how->resp_attr, how->resp_len);
}

void object_undo(struct vm *vm, struct obj *obj, const struct destroy_method *how)
{
	destroy_on_host(obj, how);
	obj_put(vm->objtab, obj);
}

int object_publish(struct vm *vm, struct obj *obj, const struct destroy_method *how, __le64 *id)
{
	__le64 published = htole64(obj->id); /* once published, it may be gone at once */
	int ret = objtab_publish(vm->objtab, obj);

	if (!ret) {
		*id = published;
		return 0;
	}
	object_undo(vm, obj, how); /* before the answer: the guest takes its memory back then */
	return ret;
}

int object_destroy(struct cmd *cmd, const struct destroy_method *how)
{
	int ret;

	/* once it is destroyed, the host may give its handle to another */
	if (atomic_exchange(&cmd->target->is_going, true))
		return -EBUSY;
	ret = destroy_on_host(cmd->target, how);
	/* that device's driver has been told to destroy everything, and may not have done so yet */
	if (ret == -EIO && atomic_load(&obj_device(cmd->target)->is_going))
		return context_await_end(cmd);
	if (!ret)
		objtab_remove(cmd->vm->objtab, cmd->target);
	else
		atomic_store(&cmd->target->is_going, false);
	return ret;
}
