/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Queue pairs: see qp.c */
#ifndef HYVD_QP_H
#define HYVD_QP_H

#include <stdbool.h>
#include <rdma/ib_user_verbs.h>
#include "objtab.h"

struct cm_id;
struct cmd;

/**
 * struct qp - a queue pair
 * @num: what the network calls it
 * @doorbell: its number in the doorbells
 * @cm: the connection that it is used for, or NULL; cm.c's, and guarded there, as the next
 * @is_dying: it is being destroyed: its number may be another's soon
 */
struct qp {
	struct obj obj;
	uint32_t num;
	uint32_t doorbell;
	struct cm_id *cm;
	bool is_dying;
};

/**
 * qp_ring() - tell the host's driver that there is something in the send queue. Quick, unless some of the
 * context's space is hidden: then it waits for registrations, and shows that. Any error shows in completions.
 */
void qp_ring(struct qp *qp);

/**
 * qp_modify() - change a QP as the host's connection manager says
 *
 * Return: 0 or the host's errno.
 */
int qp_modify(struct qp *qp, const struct ib_uverbs_qp_attr *attr);

int create_qp_exec(struct cmd *cmd);
int modify_qp_exec(struct cmd *cmd);
int query_qp_exec(struct cmd *cmd);
int destroy_qp_exec(struct cmd *cmd);

#endif
