/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Handlers of the verbs on PDs, MRs, MWs and CQs, and what they share: object.c, pd.c, mr.c, mw.c, cq.c */
#ifndef HYVD_VERBS_H
#define HYVD_VERBS_H

#include "cmd.h"
#include "context.h"

/** struct destroy_method - the host's native method that destroys objects of one type */
struct destroy_method {
	uint16_t object;
	uint16_t method;
	uint16_t resp_attr;
	uint16_t resp_len;
};

/** object_undo() - destroy an object on the host that the guest cannot find yet, and put it */
void object_undo(struct vm *vm, struct obj *obj, const struct destroy_method *how);

/**
 * object_publish() - the last step of making an object
 * @obj: made on the host, with its handle; the reference goes to the table
 * @how: undoes that
 * @id: out: what the guest calls it, when it worked
 *
 * Return: 0, or -ENODEV when its context is being freed meanwhile; then @obj is gone, here and on the
 * host.
 */
int object_publish(struct vm *vm, struct obj *obj, const struct destroy_method *how, __le64 *id);

/**
 * object_destroy() - destroy the request's target on the host, then let go of it
 *
 * Return: 0; or the host's errno, and then the guest keeps the object; or CMD_DEFERRED, and neither
 * target nor command are the caller's any more.
 */
int object_destroy(struct cmd *cmd, const struct destroy_method *how);

/** object_init() - the head of a new object that is freed with free() */
void object_init(struct vm *vm, struct obj *obj, enum obj_type type, struct context *ctx);

int alloc_pd_exec(struct cmd *cmd);
int dealloc_pd_exec(struct cmd *cmd);
int reg_mr_exec(struct cmd *cmd);
int rereg_mr_exec(struct cmd *cmd);
int dereg_mr_exec(struct cmd *cmd);
int alloc_mw_exec(struct cmd *cmd);
int dealloc_mw_exec(struct cmd *cmd);
int create_cq_exec(struct cmd *cmd);
int destroy_cq_exec(struct cmd *cmd);
int req_notify_cq_exec(struct cmd *cmd);
int resize_cq_exec(struct cmd *cmd);

#endif
