/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host's rdma_cm device: see ucma.c. All return 0 or the negative errno of the host's kernel. */
#ifndef HYVD_UCMA_H
#define HYVD_UCMA_H

#include <netinet/in.h>
#include <stdint.h>
#include <rdma/rdma_user_cm.h>

/** ucma_open() - Return: the device's file, not blocking; by the thread whose rights all users have */
int ucma_open(void);

/** ucma_create() - @id: out: a new id, whose events carry @uid */
int ucma_create(int fd, uint64_t uid, uint32_t *id);

/** ucma_destroy() - no event of @id comes any more; waits for those under way in the kernel */
int ucma_destroy(int fd, uint32_t id);

/** ucma_bind() - to @local, a sockaddr_in or sockaddr_in6, and so to a device */
int ucma_bind(int fd, uint32_t id, const struct sockaddr_in6 *local);

int ucma_listen(int fd, uint32_t id, uint32_t backlog);

/** ucma_resolve_addr() - bind to @local, find the way to @remote; an event tells how that went */
int ucma_resolve_addr(int fd, uint32_t id, const struct sockaddr_in6 *local,
		      const struct sockaddr_in6 *remote, uint32_t timeout_ms);

/** ucma_resolve_route() - after that; an event tells how it went */
int ucma_resolve_route(int fd, uint32_t id, uint32_t timeout_ms);

int ucma_connect(int fd, uint32_t id, const struct rdma_ucm_conn_param *param);

/**
 * ucma_accept() - the passive side's yes, from which on events of @id carry @uid; without @param: the
 * active side's last word
 */
int ucma_accept(int fd, uint32_t id, uint64_t uid, const struct rdma_ucm_conn_param *param);

int ucma_reject(int fd, uint32_t id, const void *data, uint8_t len);
int ucma_disconnect(int fd, uint32_t id);

/** ucma_init_qp_attr() - what a QP needs to get into @state (enum ib_qp_state) for this connection */
int ucma_init_qp_attr(int fd, uint32_t id, uint32_t state, struct ib_uverbs_qp_attr *attr);

/** UCMA_NO_INDEX - the device's index, from a kernel before 5.8 */
#define UCMA_NO_INDEX UINT32_MAX

/**
 * ucma_query_route() - both ends' addresses, and the device: its node GUID in network byte order, its
 * index or UCMA_NO_INDEX, and its port, 0 if it is bound to none or after an error
 */
int ucma_query_route(int fd, uint32_t id, struct rdma_ucm_query_route_resp *route);

/** ucma_get_event() - the next event; -EAGAIN when there is none */
int ucma_get_event(int fd, struct rdma_ucm_event_resp *event);

#endif
