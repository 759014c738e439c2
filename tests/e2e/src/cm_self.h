/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A connection by address of this process to itself, for devices that move data over no other. */
#ifndef TESTS_CM_SELF_H
#define TESTS_CM_SELF_H

#include <rdma/rdma_cma.h>
#include "rdma.h"

/** struct cm_self - the three ids of such a connection, and where their events come */
struct cm_self {
	struct rdma_event_channel *channel;
	struct rdma_cm_id *listener;
	struct rdma_cm_id *active;
	struct rdma_cm_id *passive;
};

/** cm_listen() - Return: an id that listens at an IPv4 or IPv6 address of this machine, or NULL with errno set */
struct rdma_cm_id *cm_listen(struct rdma_event_channel *channel, const char *address);

/** cm_self_connect() - connect @from to @to, RC QPs of this process in RESET, at @address, the device's own */
void cm_self_connect(struct cm_self *self, const char *address, struct ibv_qp *from,
		     struct ibv_qp *to);

/** cm_self_end() - destroy the ids; the QPs may be gone or not */
void cm_self_end(struct cm_self *self);

#endif
