/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What cm.c and the cm_*.c files share, and nobody else includes. cm.c says how it all goes together. */
#ifndef HYVD_CM_PRIV_H
#define HYVD_CM_PRIV_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include "cm.h"
#include "cmd.h"
#include "context.h"
#include "qp.h"
#include "ucma.h"

#define NUM_CONNECTORS 4u

enum cm_state {
	CM_LISTENING,
	CM_RESOLVING_ADDR,
	CM_RESOLVING_ROUTE,
	CM_QUEUED,
	CM_CONNECTING,
	CM_REQUESTED,
	CM_ACCEPTING,
	CM_ESTABLISHED,
	CM_OVER,
};

/**
 * struct cm_id - a CM id of the guest
 * @vm: that is charged for it
 * @state: all below is guarded by struct cm.lock
 * @host_ids: the host's, @num_host_ids of them; none once they are destroyed
 * @host_addresses: of a listener: ids of the addresses that they listen on
 * @listen: of a listener: what the guest has asked for
 * @next_listener: in struct cm.listeners or .to_follow
 * @qp: that it connects, or NULL
 * @param: active, before it is sent: what to offer; then, what the other side offers
 * @is_connecting: a connector has it: neither its host id nor its QP may go
 * @connector: which
 * @next_connect: in struct cm.to_connect while it is QUEUED
 * @reply_due: HYV_CM_REPLY or HYV_CM_ESTABLISHED is to be told, or 0
 * @reply_status: with it
 * @close_due: HYV_CM_CLOSE is to be told
 * @requests: of a listener: those that the guest has not been told of, @num_requests of them
 */
struct cm_id {
	struct obj obj;
	struct vm *vm;
	enum cm_state state;
	uint32_t host_ids[VM_MAX_ADDRESSES];
	unsigned int num_host_ids;
	uint32_t host_addresses[VM_MAX_ADDRESSES];
	struct hyv_req_cm_listen listen;
	LIST_ENTRY(cm_id) next_listener;
	struct qp *qp;
	struct rdma_ucm_conn_param param;
	bool is_connecting;
	pthread_t connector;
	TAILQ_ENTRY(cm_id) next_connect;
	enum hyv_cm_event reply_due;
	int reply_status;
	bool close_due;
	uint32_t backlog;
	unsigned int num_requests;
	STAILQ_HEAD(, cm_id) requests;
	STAILQ_ENTRY(cm_id) next_request;
};

LIST_HEAD(listeners, cm_id);

/**
 * struct cm - the guest's connections
 * @fd: the host's rdma_cm
 * @stop_fd: eventfd that ends the thread
 * @wake_fd: eventfd that tells the event loop that the guest has to be notified
 * @lock: guards all CM ids and struct qp.cm; held over ioctls and commands, but not while a host id
 *        is destroyed
 * @listeners: ids in state CM_LISTENING, but for those in
 * @to_follow: that a look at the VM's addresses has yet to come to
 * @connectors: connect ids of iWARP devices, @num_connectors of them
 * @to_connect: those that no connector has taken
 * @connector_wakes: signalled when there is one, or when they have to end
 * @is_ending: they have
 * @connector_is_done: broadcast when one is done with an id
 */
struct cm {
	struct vm *vm;
	int fd;
	int stop_fd;
	int wake_fd;
	sd_event_source *wake;
	pthread_t thread;
	bool is_running;
	pthread_mutex_t lock;
	struct listeners listeners;
	struct listeners to_follow;
	pthread_t connectors[NUM_CONNECTORS];
	unsigned int num_connectors;
	TAILQ_HEAD(, cm_id) to_connect;
	pthread_cond_t connector_wakes;
	bool is_ending;
	pthread_cond_t connector_is_done;
};

static inline struct cm_id *id_of(struct obj *obj)
{
	return (struct cm_id *)obj; /* its first member */
}

/* ---- cm.c: ids. The lock is held, unless something else is said. ---- */

/** cm_notify() - tell the guest that @id has something to tell */
void cm_notify(struct cm *cm, struct cm_id *id);

/**
 * cm_id_create() - a new id, which the guest can name
 * @dev: of the listener or QP
 * @out: with a reference
 *
 * Return: 0, -ENOMEM, or -ENODEV when the device is going.
 */
int cm_id_create(struct cm *cm, enum cm_state state, struct device *dev, struct cm_id **out);

/**
 * cm_id_finish() - without the lock: give the guest the id that was made, or undo it if there is an
 * error; drops the reference
 * @out: the request's answer
 *
 * Return: @ret.
 */
int cm_id_finish(struct cm *cm, struct cm_id *id, int ret, __le64 *out);

/** cm_unlink_qp() - @id has no QP any more; a connector that has its number does this when it is done */
void cm_unlink_qp(struct cm_id *id);

/** cm_end() - what comes of an id from now on: nothing, but what is due; @status: for a reply, if not 0 */
void cm_end(struct cm *cm, struct cm_id *id, int status);

/**
 * cm_is_on() - whether the host's rdma_cm has bound @host_id to @dev: it asks only who has the address
 * now, and that is another device when the operator has moved it
 * @route: out: to what it has
 *
 * Tells the log if not. What is bound stays so.
 */
bool cm_is_on(struct cm *cm, uint32_t host_id, const struct device *dev,
	      struct rdma_ucm_query_route_resp *route);

/** cm_can_connect() - Return: 0 or a negative errno */
int cm_can_connect(const struct qp *qp);

/**
 * cm_connect_qp() - the QP becomes able to receive and to send; in INIT again first, for the access that
 * was agreed on
 * @own: of the passive side: what it will answer with, as rdma_cm itself does (cma_modify_qp_rtr())
 *
 * On an iWARP device the host's driver does that. Return: 0 or a negative errno.
 */
int cm_connect_qp(struct cm *cm, struct cm_id *id, const struct rdma_ucm_conn_param *own);

/** cm_on_established() - the last word has been said; @param: what the other side offers */
void cm_on_established(struct cm *cm, struct cm_id *id, const struct rdma_ucm_conn_param *param);

/* ---- cm_connect.c. The lock is held, unless something else is said. ---- */

/**
 * cm_on_addr_resolved(), cm_on_route_resolved() - the next step to a connection
 *
 * Return: 0, and an event or the connector will tell what came of it; or a negative errno.
 */
int cm_on_addr_resolved(struct cm *cm, struct cm_id *id);
int cm_on_route_resolved(struct cm *cm, struct cm_id *id);

/** cm_on_response() - the peer has said yes; @param: what it offers */
void cm_on_response(struct cm *cm, struct cm_id *id, const struct rdma_ucm_conn_param *param);

/** cm_interrupt() - have an id's connector end, which may take another try; not held while it waits */
void cm_interrupt(struct cm *cm, const struct cm_id *id);

/** cm_start_connectors() - without the lock. Return: 0, or a negative errno, and some may have started */
int cm_start_connectors(struct cm *cm);

/** cm_stop_connectors() - without the lock: no connector runs any more */
void cm_stop_connectors(struct cm *cm);

/* ---- cm_accept.c. The lock is held. ---- */

/** cm_on_request() - the host's rdma_cm has a new id, @event->id, for somebody who asks @listener */
void cm_on_request(struct cm *cm, struct cm_id *listener, const struct rdma_ucm_event_resp *event);

/** cm_tell_request() - tell the guest of the first request of @listener; of none, if it is no more */
void cm_tell_request(struct cm *cm, struct cm_id *listener, struct hyv_resp_cm_get_event *resp);

/* ---- cm_wire.c: any thread ---- */

/** cm_to_sockaddr() - @out: a sockaddr_in or a sockaddr_in6 */
void cm_to_sockaddr(struct sockaddr_in6 *out, const uint8_t gid[16], __be16 port);

/** cm_from_sockaddr() - @in: a sockaddr_in or a sockaddr_in6 */
void cm_from_sockaddr(struct hyv_sockaddr *out, const struct sockaddr_in6 *in);

/** cm_has_reserved() - Return: whether the guest has set what it must not */
bool cm_has_reserved(const struct hyv_sockaddr *addr);

/**
 * cm_data_max() - Return: how much private data the device's transport carries, in bytes, if a RoCE one
 * does @roce_max
 */
uint32_t cm_data_max(const struct device *dev, uint32_t roce_max);

/** cm_param_from_wire() - @qp: that it is for; @roce_max: see cm_data_max(). Return: 0 or -EINVAL */
int cm_param_from_wire(struct rdma_ucm_conn_param *out, const struct hyv_cm_param *in,
		       const struct qp *qp, uint32_t roce_max);

/** cm_param_to_wire() - @out: zeroed */
void cm_param_to_wire(struct hyv_cm_param *out, const struct rdma_ucm_conn_param *in);

#endif
