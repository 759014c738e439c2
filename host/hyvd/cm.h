/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connections: see cm.c, which names the other files */
#ifndef HYVD_CM_H
#define HYVD_CM_H

#include <stdbool.h>
#include <stdint.h>

struct cm;
struct cmd;
struct device;
struct qp;
struct vm;

/**
 * cm_create() - be ready for the guest's connections
 * @out: NULL if the host's rdma_cm cannot be opened: in the sandbox it cannot be made up for
 * @vm: its event loop is there
 * @is_needed: that is an error
 *
 * Return: 0, or a negative errno after a message.
 */
int cm_create(struct cm **out, struct vm *vm, bool is_needed);

/**
 * cm_stop() - the host's events are not heard any more; the pool, which its thread uses, may go. No CM
 * id is left
 */
void cm_stop(struct cm *cm);

/** cm_destroy() - no CM id is left, nor a pool that uses any */
void cm_destroy(struct cm *cm);

/**
 * cm_destroy_all() - destroy every CM id of the guest
 * @device: id of the one that they are on; DEVICE_ANY: all of them, at the end of the guest's life
 */
void cm_destroy_all(struct vm *vm, uint32_t device);

/** cm_forget_qp() - a QP goes: whatever connection it has touches it no more when this returns */
void cm_forget_qp(struct vm *vm, struct qp *qp);

/**
 * cm_release_qp() - before a QP is destroyed on the host, where another VM's may get its number: as
 * cm_forget_qp(), and nothing connects it any more, even if the host then keeps it. Ends what does
 */
void cm_release_qp(struct vm *vm, struct qp *qp);

/**
 * cm_follow_addresses() - the VM's addresses on @dev may have changed: each listener of the guest has a
 * host's on each of them that is there, and on no other. Waits; one at a
 * time
 */
void cm_follow_addresses(struct vm *vm, const struct device *dev);

int cm_listen_exec(struct cmd *cmd);
int cm_connect_exec(struct cmd *cmd);
int cm_accept_exec(struct cmd *cmd);
int cm_reject_exec(struct cmd *cmd);
int cm_disconnect_exec(struct cmd *cmd);
int cm_destroy_exec(struct cmd *cmd);
int cm_get_event_exec(struct cmd *cmd);

#endif
