/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A verb of the guest on its way through the daemon: see dispatch.c */
#ifndef HYVD_CMD_H
#define HYVD_CMD_H

#include <endian.h>
#include <stdint.h>
#include <hyv/wire.h>
#include "pool.h"
#include "uverbs.h"
#include "vm.h"
#include "vring.h"

/** CMD_DEFERRED - what a handler returns that will call cmd_answer() itself, later */
#define CMD_DEFERRED 1

/**
 * struct cmd - a request, copied out of guest memory, and its answer to be
 * @vm: whose
 * @op: row of the operation table
 * @target: the object that the request starts with, with a reference; NULL for operations without
 * @device: the device that device_find() found, with a reference
 * @req: struct hyv_req_<op>
 * @resp: struct hyv_resp_<op>, zeroed
 * @udata: provider data; its out part lies in the answer
 * @tail: @tail_len bytes behind the request
 * @status: 0 or a negative errno, once it is done
 * @began: stats_now() when it came out of the ring
 *
 * The rest is dispatch.c's.
 */
struct cmd {
	struct vm *vm;
	const struct op *op;
	struct obj *target;
	struct device *device;
	const void *req;
	void *resp;
	struct udata udata;
	const void *tail;
	uint32_t tail_len;
	int status;
	uint64_t began;

	struct job job;
	STAILQ_ENTRY(cmd) answered;
	SLIST_ENTRY(cmd) waiting; /* in struct dying */
	struct dispatch *dispatch;
	struct vring_chain *chain;
	uint64_t generation;
	uint8_t *readable;
	uint8_t *writable;
	uint32_t writable_len;
};

/** cmd_answer() - a deferred command is done, in any thread; it is freed */
void cmd_answer(struct cmd *cmd, int status);

/**
 * cmd_get_object() - another object that the request names
 *
 * Return: it, with a reference to be dropped with cmd_put_object(), or NULL: answer -ENOENT.
 */
static inline struct obj *cmd_get_object(struct cmd *cmd, __le64 id, enum obj_type type)
{
	return objtab_get(cmd->vm->objtab, le64toh(id), type);
}

static inline void cmd_put_object(struct cmd *cmd, struct obj *obj)
{
	if (obj)
		obj_put(cmd->vm->objtab, obj);
}

/**
 * cmd_udata() - the command's provider data, if the provider's descriptor lets it pass
 *
 * Return: it, or NULL when the request holds bytes that the descriptor does not know: answer
 * -EOPNOTSUPP.
 */
const struct udata *cmd_udata(struct cmd *cmd, const struct device *dev);

#endif
