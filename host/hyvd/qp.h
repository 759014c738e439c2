/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Queue pairs: see qp.c */
#ifndef HYVD_QP_H
#define HYVD_QP_H

#include "objtab.h"

struct cmd;

/** struct qp - a queue pair; @doorbell: its number in the doorbells */
struct qp {
	struct obj obj;
	uint32_t doorbell;
};

/**
 * qp_ring() - tell the host's driver that there is something in the send queue. Quick; any error
 * shows in completions.
 */
void qp_ring(struct qp *qp);

int create_qp_exec(struct cmd *cmd);
int modify_qp_exec(struct cmd *cmd);
int query_qp_exec(struct cmd *cmd);
int destroy_qp_exec(struct cmd *cmd);

#endif
