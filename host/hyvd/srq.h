/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Handlers of the verbs on shared receive queues: see srq.c */
#ifndef HYVD_SRQ_H
#define HYVD_SRQ_H

struct cmd;

int create_srq_exec(struct cmd *cmd);
int modify_srq_exec(struct cmd *cmd);
int query_srq_exec(struct cmd *cmd);
int destroy_srq_exec(struct cmd *cmd);

#endif
