/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Handlers of the verbs that only datagram QPs need: see datagram.c */
#ifndef HYVD_DATAGRAM_H
#define HYVD_DATAGRAM_H

struct cmd;

int create_ah_exec(struct cmd *cmd);
int destroy_ah_exec(struct cmd *cmd);
int attach_mcast_exec(struct cmd *cmd);
int detach_mcast_exec(struct cmd *cmd);

#endif
