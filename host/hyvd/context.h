/* SPDX-License-Identifier: GPL-2.0-or-later */
/* uverbs contexts: see context.c */
#ifndef HYVD_CONTEXT_H
#define HYVD_CONTEXT_H

#include <pthread.h>
#include "device.h"
#include "limit.h"
#include "objtab.h"
#include "pool.h"
#include "uverbs.h"

/**
 * struct context - one opened uverbs file of the host: the guest's for one of its processes, or
 * hyvd's own
 * @fd: the uverbs file
 * @async_fd: its asynchronous events
 * @comp_fd: completion channel of all its CQs
 * @space: where its memory is, for a driver that goes by addresses (HYV_PROVIDER_NO_IOVA); else NULL
 * @charges: what its objects take of the VM's limits
 * @children: published objects in it, guarded by the table's lock
 * @is_guests: not hyvd's own: counted in the VM
 * @guest_is_gone: nobody will give its window ranges back
 * @is_dying: it is counted in struct dying
 * @closing: runs context_close() on the pool
 * @freer: the HYV_OP_FREE_CONTEXT that waits for the end, or NULL
 */
struct context {
	struct obj obj;
	struct vm *vm;
	struct device *device;
	int fd;
	int async_fd;
	int comp_fd;
	struct gmem_space *space;
	struct charges charges;
	struct obj_list children;
	bool is_guests;
	bool guest_is_gone;
	bool is_dying;
	struct job closing;
	struct cmd *freer;
};

/**
 * struct dying - contexts of the guest that are being closed, or will be soon
 * @lock: guards the rest, and struct context.is_dying
 * @num: how many
 * @waiting: commands to be answered when there are none
 *
 * All zeros is none. The guest takes -ENOENT for "the host has it no more", and its memory for its own
 * again. What it names may be in a context that it cannot find any more and that the host still has.
 */
struct dying {
	pthread_mutex_t lock;
	unsigned int num;
	SLIST_HEAD(, cmd) waiting;
};

static inline struct context *context_of(struct obj *obj)
{
	return (struct context *)obj; /* its first member */
}

/** context_driver() - Return: the number the host's ioctls want to see */
static inline uint32_t context_driver(const struct context *ctx)
{
	return ctx->device->provider->driver_id;
}

/**
 * context_enter() - before a call in which the host's driver may go by addresses of the guest's application
 *
 * Return: 0, and context_leave() ends it, in the same thread; or a negative errno as gmem_enter()
 */
int context_enter(struct context *ctx);
void context_leave(struct context *ctx);

/**
 * context_open() - open a uverbs context
 * @udata: provider data of the guest, or NULL
 * @out: the context, with the caller's reference; not published
 *
 * Return: 0 or a negative errno.
 */
int context_open(struct vm *vm, struct device *dev, const struct udata *udata,
		 struct context **out);

/**
 * context_free_all() - free every context of the guest
 * @device: id of the one that they are on; DEVICE_ANY: all of them, at the end of the guest's life
 *
 * They may go later, on the pool.
 */
void context_free_all(struct vm *vm, uint32_t device);

/**
 * context_wait() - a command names what there is not
 *
 * Return: true, and it is answered with -ENOENT when no context is dying; or false when none is now.
 */
bool context_wait(struct cmd *cmd);

/**
 * context_await_end() - what a command is about ends with its context, which is on a device that is
 * going: it is answered with -ENOENT then
 *
 * Return: CMD_DEFERRED.
 */
int context_await_end(struct cmd *cmd);

int alloc_context_exec(struct cmd *cmd);
int free_context_exec(struct cmd *cmd);

#endif
