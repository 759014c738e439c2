// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What all verbs that make or destroy an object have in common: publishing it last, and destroying
 * it on the host before
 * the guest's id for it goes.
 */
#include <errno.h>
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

int object_publish(struct vm *vm, struct obj *obj, __le64 *id)
{
	__le64 published = htole64(obj->id); /* once published, it may be gone at once */
	int ret = objtab_publish(vm->objtab, obj);

	if (ret)
		obj_put(vm->objtab, obj);
	else
		*id = published;
	return ret;
}

int object_destroy(struct cmd *cmd, __le64 id, const struct destroy_method *how)
{
	struct obj *obj = cmd_get_object(cmd, id, how->type);
	struct context *ctx;
	int ret;

	if (!obj)
		return -EINVAL;
	ctx = obj->context;
	ret = uverbs_destroy(ctx->fd, context_driver(ctx), how->object, how->method, obj->handle,
			     how->resp_attr, how->resp_len);
	if (!ret)
		objtab_remove(cmd->vm->objtab, obj);
	cmd_put_object(cmd, obj);
	return ret;
}
