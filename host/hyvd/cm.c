// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Connections: the guest's CM ids on the host's rdma_cm, through ucma.c.
 *
 * The guest knows connections as iWARP drivers do: it names a QP and two addresses, and is told when
 * it is connected; it knows nothing of routes and of the QP's attributes. Those are seen to here:
 *
 *   active   RESOLVING_ADDR -> RESOLVING_ROUTE -> (QUEUED, on an iWARP device) -> CONNECTING ->
 *            (peer's yes: QP to RTR and RTS, our last word) -> ESTABLISHED
 *   passive  REQUESTED -> (guest's yes: QP to RTR and RTS, our yes) -> ACCEPTING -> (peer's last
 *            word) -> ESTABLISHED
 *   both     -> OVER: told to the guest, nothing more to come
 *
 * An iWARP device of the host's moves the QP itself, and on its active side there is no last word.
 *
 * A listener has a host id per address: the guest may listen on its own addresses, and a wildcard of
 * the guest is never one of the host. Addresses come and go (gidwatch.c), and these ids with them.
 *
 * To connect over siw is to wait for TCP, two minutes for an address where nobody is. That is for a
 * few threads more, the connectors. Who destroys the id or the QP meanwhile ends the wait with a
 * signal, again and again until the connector is done, since one that comes just before the wait ends
 * nothing.
 *
 * The host's events are read by a thread of its own, since to act on them is to change QPs, which
 * may wait. What the guest has to be told is kept in the id, at most one of each kind, and requests
 * in their listener as far as its backlog goes; the guest is notified once and then asks.
 */
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include "cm.h"
#include "cmd.h"
#include "context.h"
#include "log.h"
#include "qp.h"
#include "ucma.h"

#define RESOLVE_TIMEOUT_MS 2000
#define ROCE_DATA_MAX	   56u /* what a request carries of the application's */
#define ROCE_REPLY_MAX	   196u
#define ROCE_REJECT_MAX	   148u
#define IWARP_DATA_MAX	   255u /* of any of the three: what a byte of rdma_cm's can count */
#define NUM_CONNECTORS	   4u
#define INTERRUPT	   SIGUSR1 /* of a connector's wait */
#define INTERRUPT_AGAIN_NS 10000000
#define MAX_BACKLOG	   1024u

/* enum ib_qp_state, which no user header has */
enum { QP_INIT = 1, QP_RTR = 2, QP_RTS = 3 };

/* enum rdma_cm_event_type of the kernel, which is in libibverbs' headers alone */
enum {
	EVENT_ADDR_RESOLVED,
	EVENT_ADDR_ERROR,
	EVENT_ROUTE_RESOLVED,
	EVENT_ROUTE_ERROR,
	EVENT_CONNECT_REQUEST,
	EVENT_CONNECT_RESPONSE,
	EVENT_CONNECT_ERROR,
	EVENT_UNREACHABLE,
	EVENT_REJECTED,
	EVENT_ESTABLISHED,
	EVENT_DISCONNECTED,
	EVENT_DEVICE_REMOVAL,
};

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
 * @next_listener: in struct cm.listeners
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

/**
 * struct cm - the guest's connections
 * @fd: the host's rdma_cm
 * @stop_fd: eventfd that ends the thread
 * @wake_fd: eventfd that tells the event loop that the guest has to be notified
 * @lock: guards all CM ids and struct qp.cm; held over ioctls and commands, but not while a host id
 *        is destroyed
 * @listeners: ids in state CM_LISTENING
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
	LIST_HEAD(, cm_id) listeners;
	pthread_t connectors[NUM_CONNECTORS];
	unsigned int num_connectors;
	TAILQ_HEAD(, cm_id) to_connect;
	pthread_cond_t connector_wakes;
	bool is_ending;
	pthread_cond_t connector_is_done;
};

static struct cm_id *id_of(struct obj *obj)
{
	return (struct cm_id *)obj; /* its first member */
}

static void raise_event(int fd)
{
	static const uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0)
		log_err("cannot write an eventfd: %s", strerror(errno));
}

static void notify(struct cm *cm, struct cm_id *id)
{
	objtab_notify(cm->vm->objtab, &id->obj.events, true, 0);
	raise_event(cm->wake_fd);
}

static void cm_id_release(struct obj *obj)
{
	limit_uncharge(&id_of(obj)->vm->limits, NULL, LIMIT_CM_IDS, 1);
	device_put(id_of(obj)->vm, obj->device);
	free(id_of(obj));
}

/*
 * With the lock held. @dev: of the listener or QP. @out: a new id, which the guest can name, with a
 * reference. Return: 0, -ENOMEM, or -ENODEV when the device is going
 */
static int id_create(struct cm *cm, enum cm_state state, struct device *dev, struct cm_id **out)
{
	struct cm_id *id = NULL;
	int ret;

	if (limit_charge(&cm->vm->limits, NULL, LIMIT_CM_IDS, 1))
		return -ENOMEM;
	id = calloc(1, sizeof(*id));
	if (!id) {
		limit_uncharge(&cm->vm->limits, NULL, LIMIT_CM_IDS, 1);
		return -ENOMEM;
	}
	id->vm = cm->vm;
	id->state = state;
	STAILQ_INIT(&id->requests);
	id->obj.device = dev;
	device_hold(cm->vm, dev);
	obj_init(cm->vm->objtab, &id->obj, OBJ_CM, NULL, cm_id_release);
	obj_get(cm->vm->objtab, &id->obj);
	ret = objtab_publish(cm->vm->objtab, &id->obj);
	if (ret) {
		obj_put(cm->vm->objtab, &id->obj);
		obj_put(cm->vm->objtab, &id->obj);
		return ret;
	}
	*out = id;
	return 0;
}

/* a connector that has the QP's number does this when it is done */
static void unlink_qp(struct cm_id *id)
{
	if (id->is_connecting)
		return;
	if (id->qp)
		id->qp->cm = NULL;
	id->qp = NULL;
}

/* with the lock held: nothing becomes of it any more */
static void set_over(struct cm *cm, struct cm_id *id)
{
	if (id->state == CM_QUEUED)
		TAILQ_REMOVE(&cm->to_connect, id, next_connect);
	else if (id->state == CM_LISTENING)
		LIST_REMOVE(id, next_listener);
	id->state = CM_OVER;
}

/* with the lock held, but not while it waits: have an id's connector end, which may take another try */
static void interrupt(struct cm *cm, const struct cm_id *id)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += INTERRUPT_AGAIN_NS;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_kill(id->connector, INTERRUPT);
	pthread_cond_clockwait(&cm->connector_is_done, &cm->lock, CLOCK_MONOTONIC, &until);
}

/* destroy an id, and the requests that the guest has not been told of; without the lock */
static void id_destroy(struct cm *cm, struct cm_id *id)
{
	struct cm_id *request;
	unsigned int i;

	if (!objtab_remove(cm->vm->objtab, &id->obj))
		return; /* another request did */
	pthread_mutex_lock(&cm->lock);
	set_over(cm, id);
	while (id->is_connecting)
		interrupt(cm, id);
	unlink_qp(id);
	pthread_mutex_unlock(&cm->lock);
	for (i = 0; i < id->num_host_ids; i++)
		ucma_destroy(cm->fd, id->host_ids[i]);
	while ((request = STAILQ_FIRST(&id->requests))) {
		STAILQ_REMOVE_HEAD(&id->requests, next_request);
		id_destroy(cm, request);
		obj_put(cm->vm->objtab, &request->obj);
	}
}

/* what comes of an id from now on: nothing, but what is due */
static void end(struct cm *cm, struct cm_id *id, int status)
{
	switch (id->state) {
	case CM_RESOLVING_ADDR:
	case CM_RESOLVING_ROUTE:
	case CM_QUEUED:
	case CM_CONNECTING:
		id->reply_due = HYV_CM_REPLY;
		id->reply_status = status ? status : -ECONNABORTED;
		break;
	case CM_ACCEPTING:
	case CM_ESTABLISHED:
		id->close_due = true;
		break;
	default:
		return; /* accepting it will fail */
	}
	set_over(cm, id);
	unlink_qp(id);
	notify(cm, id);
}

/* ---- what the host tells ---- */

static int move_qp(struct cm *cm, struct cm_id *id, uint32_t state,
		   const struct rdma_ucm_conn_param *own)
{
	struct ib_uverbs_qp_attr attr;
	int ret = ucma_init_qp_attr(cm->fd, id->host_ids[0], state, &attr);

	if (ret)
		return ret;
	if (own && state == QP_RTR)
		attr.max_dest_rd_atomic = own->responder_resources;
	if (own && state == QP_RTS)
		attr.max_rd_atomic = own->initiator_depth;
	return qp_modify(id->qp, &attr);
}

/*
 * The QP becomes able to receive and to send; in INIT again first, for the access that was agreed on.
 * @own: of the passive side: what it will answer with, as rdma_cm itself does (cma_modify_qp_rtr())
 */
static int connect_qp(struct cm *cm, struct cm_id *id, const struct rdma_ucm_conn_param *own)
{
	int ret;

	if (!id->qp)
		return -ENOTCONN;
	if (device_is_iwarp(id->obj.device))
		return 0;
	ret = move_qp(cm, id, QP_INIT, own);
	if (!ret)
		ret = move_qp(cm, id, QP_RTR, own);
	return ret ? ret : move_qp(cm, id, QP_RTS, own);
}

static void on_established(struct cm *cm, struct cm_id *id, const struct rdma_ucm_conn_param *param)
{
	id->reply_due = id->state == CM_CONNECTING ? HYV_CM_REPLY : HYV_CM_ESTABLISHED;
	id->reply_status = 0;
	id->param = *param;
	id->state = CM_ESTABLISHED;
	notify(cm, id);
}

static void on_response(struct cm *cm, struct cm_id *id, const struct rdma_ucm_conn_param *param)
{
	int ret = connect_qp(cm, id, NULL);

	if (!ret)
		ret = ucma_accept(cm->fd, id->host_ids[0], id->obj.id, NULL);
	if (!ret) {
		on_established(cm, id, param);
	} else {
		ucma_reject(cm->fd, id->host_ids[0], "", 0);
		end(cm, id, ret);
	}
}

static void on_request(struct cm *cm, struct cm_id *listener,
		       const struct rdma_ucm_event_resp *event)
{
	struct cm_id *id;

	if (listener->num_requests >= listener->backlog ||
	    id_create(cm, CM_REQUESTED, listener->obj.device, &id)) {
		log_guest("a listener of the guest has more requests than its backlog or than "
			  "the VM may have: one rejected");
		ucma_destroy(cm->fd, event->id);
		return;
	}
	id->host_ids[id->num_host_ids++] = event->id;
	id->param = event->param.conn;
	STAILQ_INSERT_TAIL(&listener->requests, id, next_request);
	listener->num_requests++;
	notify(cm, listener);
}

static void on_error(struct cm *cm, struct cm_id *id, const struct rdma_ucm_event_resp *event)
{
	switch (event->event) {
	case EVENT_REJECTED:
		id->param = event->param.conn;
		end(cm, id, -ECONNREFUSED);
		break;
	case EVENT_ADDR_ERROR:
	case EVENT_ROUTE_ERROR:
	case EVENT_UNREACHABLE:
		end(cm, id, -ETIMEDOUT);
		break;
	case EVENT_CONNECT_ERROR:
	case EVENT_DEVICE_REMOVAL:
		end(cm, id, -ECONNABORTED);
		break;
	default: /* of no interest: TIMEWAIT_EXIT, ADDR_CHANGE */
		break;
	}
}

/* Return: 0, and an event or the connector will tell what came of it; or a negative errno */
static int start_connect(struct cm *cm, struct cm_id *id)
{
	if (!device_is_iwarp(id->obj.device)) {
		id->state = CM_CONNECTING;
		return ucma_connect(cm->fd, id->host_ids[0], &id->param);
	}
	id->state = CM_QUEUED;
	TAILQ_INSERT_TAIL(&cm->to_connect, id, next_connect);
	pthread_cond_signal(&cm->connector_wakes);
	return 0;
}

/* the first that is to be connected, without the lock in between */
static void connect_first(struct cm *cm)
{
	struct cm_id *id = TAILQ_FIRST(&cm->to_connect);
	struct rdma_ucm_conn_param param = id->param;
	struct qp *qp = id->qp;
	int ret;

	/* one that has no reference left waits for our lock, in cm_forget_qp() */
	if (!qp || !obj_try_get(cm->vm->objtab, &qp->obj)) {
		end(cm, id, -ENOTCONN);
		return;
	}
	TAILQ_REMOVE(&cm->to_connect, id, next_connect);
	id->state = CM_CONNECTING;
	id->is_connecting = true;
	id->connector = pthread_self();
	do {
		pthread_mutex_unlock(&cm->lock);
		ret = ucma_connect(cm->fd, id->host_ids[0], &param);
		pthread_mutex_lock(&cm->lock);
	} while (ret == -EINTR && id->state == CM_CONNECTING && !qp->is_dying);
	id->is_connecting = false;
	if (ret && id->state == CM_CONNECTING)
		end(cm, id, ret);
	if (id->state == CM_OVER)
		unlink_qp(id);
	pthread_cond_broadcast(&cm->connector_is_done);
	pthread_mutex_unlock(&cm->lock); /* whoever destroys the id may go on */
	obj_put(cm->vm->objtab, &qp->obj);
	pthread_mutex_lock(&cm->lock);
}

static void *connector_thread(void *arg)
{
	struct cm *cm = arg;

	pthread_mutex_lock(&cm->lock);
	while (!cm->is_ending) {
		if (TAILQ_EMPTY(&cm->to_connect))
			pthread_cond_wait(&cm->connector_wakes, &cm->lock);
		else
			connect_first(cm);
	}
	pthread_mutex_unlock(&cm->lock);
	return NULL;
}

static void on_event(struct cm *cm, struct cm_id *id, const struct rdma_ucm_event_resp *event)
{
	int ret = 0;

	if (event->event == EVENT_CONNECT_REQUEST) {
		on_request(cm, id, event);
	} else if (event->event == EVENT_ADDR_RESOLVED && id->state == CM_RESOLVING_ADDR) {
		id->state = CM_RESOLVING_ROUTE;
		ret = ucma_resolve_route(cm->fd, id->host_ids[0], RESOLVE_TIMEOUT_MS);
	} else if (event->event == EVENT_ROUTE_RESOLVED && id->state == CM_RESOLVING_ROUTE) {
		ret = start_connect(cm, id);
	} else if (event->event == EVENT_CONNECT_RESPONSE && id->state == CM_CONNECTING) {
		on_response(cm, id, &event->param.conn);
	} else if (event->event == EVENT_ESTABLISHED &&
		   (id->state == CM_ACCEPTING || id->state == CM_CONNECTING)) {
		on_established(cm, id, &event->param.conn);
	} else if (event->event == EVENT_DISCONNECTED) {
		ucma_disconnect(cm->fd, id->host_ids[0]); /* the answer, if it is the peer's wish */
		end(cm, id, -ECONNRESET);
	} else {
		on_error(cm, id, event);
	}
	if (ret)
		end(cm, id, ret);
}

static void take_event(struct cm *cm, const struct rdma_ucm_event_resp *event)
{
	struct obj *obj = objtab_get(cm->vm->objtab, event->uid, OBJ_CM);
	bool is_request = event->event == EVENT_CONNECT_REQUEST, is_known = false;

	if (obj) {
		pthread_mutex_lock(&cm->lock);
		is_known = is_request ? id_of(obj)->state == CM_LISTENING :
					id_of(obj)->state != CM_OVER;
		if (is_known)
			on_event(cm, id_of(obj), event);
		pthread_mutex_unlock(&cm->lock);
		obj_put(cm->vm->objtab, obj);
	}
	if (!is_known && is_request)
		ucma_destroy(cm->fd, event->id); /* its listener is gone */
}

static void *event_thread(void *arg)
{
	struct cm *cm = arg;
	struct pollfd files[] = { { .fd = cm->fd, .events = POLLIN },
				  { .fd = cm->stop_fd, .events = POLLIN } };
	struct rdma_ucm_event_resp event;

	while (!files[1].revents) {
		while (!ucma_get_event(cm->fd, &event))
			take_event(cm, &event);
		if (poll(files, 2, -1) < 0 && errno != EINTR) {
			log_err("cannot wait for connections: %s", strerror(errno));
			break;
		}
	}
	return NULL;
}

static int on_wake(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct cm *cm = arg;
	uint64_t count;

	(void)source;
	(void)revents;
	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_err("cannot read an eventfd: %s", strerror(errno));
	event_kick(cm->vm->event);
	return 0;
}

/* ---- what the guest asks for ---- */

static void to_sockaddr(struct sockaddr_in6 *out, const uint8_t gid[16], __be16 port)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = port };

	*out = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = port };
	memcpy(&out->sin6_addr, gid, 16);
	if (gid_is_v4(gid)) {
		memcpy(&v4.sin_addr, gid + sizeof(gid_v4_prefix), 4);
		*out = (struct sockaddr_in6){ 0 };
		memcpy(out, &v4, sizeof(v4));
	}
}

static void from_sockaddr(struct hyv_sockaddr *out, const struct sockaddr_in6 *in)
{
	struct sockaddr_in v4;

	out->port = in->sin6_port;
	memcpy(out->addr, &in->sin6_addr, sizeof(out->addr));
	if (in->sin6_family == AF_INET) {
		memcpy(&v4, in, sizeof(v4));
		memcpy(out->addr, gid_v4_prefix, sizeof(gid_v4_prefix));
		memcpy(out->addr + sizeof(gid_v4_prefix), &v4.sin_addr, 4);
	}
}

static bool has_reserved(const struct hyv_sockaddr *addr)
{
	static const uint8_t zero[sizeof(addr->reserved)];

	return memcmp(addr->reserved, zero, sizeof(zero));
}

/* private data that the device's transport carries, if a RoCE one does @roce_max bytes */
static uint32_t data_max(const struct device *dev, uint32_t roce_max)
{
	return device_is_iwarp(dev) ? IWARP_DATA_MAX : roce_max;
}

/* Return: 0 or -EINVAL */
static int param_from_wire(struct rdma_ucm_conn_param *out, const struct hyv_cm_param *in,
			   const struct qp *qp, uint32_t roce_max)
{
	uint32_t ird = le32toh(in->ird), ord = le32toh(in->ord), len = le32toh(in->data_len);

	if (in->reserved || len > data_max(qp->obj.context->device, roce_max))
		return -EINVAL;
	*out = (struct rdma_ucm_conn_param){
		.qp_num = qp->num,
		.private_data_len = (uint8_t)len,
		.responder_resources = (uint8_t)(ird < UINT8_MAX ? ird : UINT8_MAX),
		.initiator_depth = (uint8_t)(ord < UINT8_MAX ? ord : UINT8_MAX),
		.flow_control = 1,
		.retry_count = 7,
		.rnr_retry_count = 7,
		.valid = 1,
	};
	memcpy(out->private_data, in->data, len);
	return 0;
}

static void param_to_wire(struct hyv_cm_param *out, const struct rdma_ucm_conn_param *in)
{
	out->ird = htole32(in->initiator_depth);
	out->ord = htole32(in->responder_resources);
	out->data_len = htole32(in->private_data_len);
	memcpy(out->data, in->private_data, in->private_data_len);
}

static bool is_wildcard(const uint8_t addr[16])
{
	static const uint8_t zero[16];
	size_t done = gid_is_v4(addr) ? sizeof(gid_v4_prefix) : 0;

	return !memcmp(addr + done, zero, sizeof(zero) - done);
}

/* whether a listener hears of connections to @address */
static bool matches(const struct address *address, const struct hyv_req_cm_listen *req)
{
	const uint8_t *local = req->local.addr;

	if (!is_wildcard(local))
		return !memcmp(local, address->gid, sizeof(address->gid));
	if (gid_is_v4(local))
		return gid_is_v4(address->gid);
	return !(le32toh(req->flags) & HYV_CM_V6ONLY) || !gid_is_v4(address->gid);
}

/* with the lock held */
static int listen_on(struct cm *cm, struct cm_id *id, const struct address *address)
{
	struct sockaddr_in6 local;
	uint32_t host_id;
	int ret = ucma_create(cm->fd, id->obj.id, &host_id);

	if (ret)
		return ret;
	to_sockaddr(&local, address->gid, id->listen.local.port);
	ret = ucma_listen(cm->fd, host_id, &local, id->backlog);
	if (ret) {
		ucma_destroy(cm->fd, host_id);
		return ret;
	}
	id->host_addresses[id->num_host_ids] = address->id;
	id->host_ids[id->num_host_ids++] = host_id;
	return 0;
}

/* with the lock held. Return: its place in @id->host_ids, or their number if there is none */
static unsigned int find_listening(const struct cm_id *id, uint32_t address)
{
	unsigned int i = 0;

	while (i < id->num_host_ids && id->host_addresses[i] != address)
		i++;
	return i;
}

/* with the lock held. Return: true and a host id that listens on none of the VM's addresses any more */
static bool take_astray(struct cm_id *id, const struct address *addresses, unsigned int num,
			uint32_t *host_id)
{
	unsigned int i, j, last;

	for (i = 0; i < id->num_host_ids; i++) {
		for (j = 0; j < num && addresses[j].id != id->host_addresses[i]; j++)
			;
		if (j < num)
			continue;
		*host_id = id->host_ids[i];
		last = --id->num_host_ids;
		id->host_ids[i] = id->host_ids[last];
		id->host_addresses[i] = id->host_addresses[last];
		return true;
	}
	return false;
}

/* without the lock: nobody listens where the VM must not */
static void leave_addresses(struct cm *cm, const struct device *dev)
{
	struct address addresses[VM_MAX_ADDRESSES];
	uint32_t host_id;
	unsigned int num;
	struct cm_id *id;

	do {
		pthread_mutex_lock(&cm->lock);
		num = gid_addresses(cm->vm, dev, addresses);
		LIST_FOREACH(id, &cm->listeners, next_listener)
			if (id->obj.device == dev && take_astray(id, addresses, num, &host_id))
				break;
		pthread_mutex_unlock(&cm->lock);
		if (id)
			ucma_destroy(cm->fd, host_id);
	} while (id);
}

/*
 * With the lock held: listen wherever @id should. Return: 0; -EADDRNOTAVAIL when its one address is not
 * there; or the host's first error
 */
static int join_addresses(struct cm *cm, struct cm_id *id)
{
	struct address addresses[VM_MAX_ADDRESSES];
	unsigned int num = gid_addresses(cm->vm, id->obj.device, addresses), i;
	int ret = 0, one;

	for (i = 0; i < num; i++) {
		if (!addresses[i].is_there || !matches(&addresses[i], &id->listen) ||
		    find_listening(id, addresses[i].id) < id->num_host_ids ||
		    id->num_host_ids == VM_MAX_ADDRESSES)
			continue;
		one = listen_on(cm, id, &addresses[i]);
		ret = ret ? ret : one;
	}
	return ret || id->num_host_ids || is_wildcard(id->listen.local.addr) ? ret : -EADDRNOTAVAIL;
}

void cm_follow_addresses(struct vm *vm, const struct device *dev)
{
	struct cm *cm = vm->cm;
	struct cm_id *id;
	int ret;

	if (!cm)
		return;
	leave_addresses(cm, dev);
	pthread_mutex_lock(&cm->lock);
	LIST_FOREACH(id, &cm->listeners, next_listener) {
		ret = id->obj.device == dev ? join_addresses(cm, id) : 0;
		if (ret && ret != -EADDRNOTAVAIL)
			log_guest(
				"a listener of the guest cannot listen on an address that has come: %s",
				strerror(-ret));
	}
	pthread_mutex_unlock(&cm->lock);
}

/* without the lock: give the guest the id that was made, or undo it; drops the reference */
static int id_finish(struct cm *cm, struct cm_id *id, int ret, __le64 *out)
{
	if (ret)
		id_destroy(cm, id);
	else
		*out = htole64(id->obj.id);
	obj_put(cm->vm->objtab, &id->obj);
	return ret;
}

int cm_listen_exec(struct cmd *cmd)
{
	const struct hyv_req_cm_listen *req = cmd->req;
	int ret = device_find(cmd, req->device, req->reserved);
	uint32_t backlog = le32toh(req->backlog);
	struct hyv_resp_cm_listen *resp = cmd->resp;
	struct cm *cm = cmd->vm->cm;
	struct cm_id *id;

	if (ret)
		return ret;
	if (!req->local.port || has_reserved(&req->local) || le32toh(req->flags) & ~HYV_CM_V6ONLY)
		return -EINVAL;
	if (!cm)
		return -EOPNOTSUPP;
	pthread_mutex_lock(&cm->lock);
	ret = id_create(cm, CM_LISTENING, cmd->device, &id);
	if (ret) {
		pthread_mutex_unlock(&cm->lock);
		return ret;
	}
	LIST_INSERT_HEAD(&cm->listeners, id, next_listener);
	id->listen = *req;
	id->backlog = backlog && backlog < MAX_BACKLOG ? backlog : MAX_BACKLOG;
	ret = join_addresses(cm, id);
	pthread_mutex_unlock(&cm->lock);
	return id_finish(cm, id, ret, &resp->cm);
}

/* with the lock held */
static int start_connecting(struct cm *cm, struct cm_id *id, const struct hyv_req_cm_connect *req)
{
	struct sockaddr_in6 local, remote;
	int ret = ucma_create(cm->fd, id->obj.id, &id->host_ids[0]);

	if (ret)
		return ret;
	id->num_host_ids = 1;
	to_sockaddr(&local, req->local.addr, req->local.port);
	to_sockaddr(&remote, req->remote.addr, req->remote.port);
	ret = ucma_resolve_addr(cm->fd, id->host_ids[0], &local, &remote, RESOLVE_TIMEOUT_MS);
	if (ret != -EADDRINUSE && ret != -EADDRNOTAVAIL)
		return ret;
	/* somebody of the host has that port at the VM's address, or at all: another does as well */
	to_sockaddr(&local, req->local.addr, 0);
	return ucma_resolve_addr(cm->fd, id->host_ids[0], &local, &remote, RESOLVE_TIMEOUT_MS);
}

/* with the lock held. Return: 0 or a negative errno */
static int can_connect(const struct qp *qp)
{
	if (qp->is_dying)
		return -ENOENT;
	return qp->cm ? -EISCONN : 0;
}

int cm_connect_exec(struct cmd *cmd)
{
	const struct hyv_req_cm_connect *req = cmd->req;
	struct hyv_resp_cm_connect *resp = cmd->resp;
	struct qp *qp = (struct qp *)cmd->target;
	struct rdma_ucm_conn_param param;
	struct cm *cm = cmd->vm->cm;
	struct cm_id *id = NULL;
	int ret;

	if (!cm)
		return -EOPNOTSUPP;
	if (has_reserved(&req->local) || has_reserved(&req->remote) ||
	    gid_is_v4(req->local.addr) != gid_is_v4(req->remote.addr))
		return -EINVAL;
	ret = param_from_wire(&param, &req->param, qp, ROCE_DATA_MAX);
	if (ret)
		return ret;
	if (!gid_is_allowed(cmd->vm, qp->obj.context->device, req->local.addr))
		return -EADDRNOTAVAIL;
	pthread_mutex_lock(&cm->lock);
	ret = can_connect(qp);
	if (!ret)
		ret = id_create(cm, CM_RESOLVING_ADDR, qp->obj.context->device, &id);
	if (!ret) {
		id->param = param;
		id->qp = qp;
		qp->cm = id;
		ret = start_connecting(cm, id, req);
	}
	pthread_mutex_unlock(&cm->lock);
	return id ? id_finish(cm, id, ret, &resp->cm) : ret;
}

/* with the lock held: whether an address of the VM was asked for a connection */
static bool is_asked_for(struct cm *cm, const struct cm_id *id)
{
	struct sockaddr_in6 local = { 0 }, remote;
	struct hyv_sockaddr asked;

	ucma_query_addrs(cm->fd, id->host_ids[0], &local, &remote);
	from_sockaddr(&asked, &local);
	return gid_is_allowed(cm->vm, id->obj.device, asked.addr);
}

/* with the lock held; what fails here leaves an id that only can be destroyed */
static int accept_with(struct cm *cm, struct cm_id *id, struct qp *qp,
		       const struct rdma_ucm_conn_param *param)
{
	int ret = can_connect(qp);

	/* the path is one of the listener's device: its index of a GID is another address elsewhere */
	if (id->state != CM_REQUESTED || qp->obj.context->device != id->obj.device)
		return -EINVAL;
	if (ret)
		return ret;
	if (!is_asked_for(cm, id)) /* any more */
		return -EADDRNOTAVAIL;
	id->qp = qp;
	qp->cm = id;
	ret = connect_qp(cm, id, param);
	if (!ret)
		ret = ucma_accept(cm->fd, id->host_ids[0], id->obj.id, param);
	id->state = ret ? CM_OVER : CM_ACCEPTING;
	if (ret)
		unlink_qp(id);
	return ret;
}

int cm_accept_exec(struct cmd *cmd)
{
	const struct hyv_req_cm_accept *req = cmd->req;
	struct obj *obj = cmd_get_object(cmd, req->qp, OBJ_QP);
	struct rdma_ucm_conn_param param;
	struct cm *cm = cmd->vm->cm;
	struct qp *qp = (struct qp *)obj;
	int ret;

	if (!obj)
		return -ENOENT;
	ret = param_from_wire(&param, &req->param, qp, ROCE_REPLY_MAX);
	if (!ret) {
		pthread_mutex_lock(&cm->lock);
		ret = accept_with(cm, id_of(cmd->target), qp, &param);
		pthread_mutex_unlock(&cm->lock);
	}
	cmd_put_object(cmd, obj);
	return ret;
}

int cm_reject_exec(struct cmd *cmd)
{
	const struct hyv_req_cm_reject *req = cmd->req;
	struct cm_id *id = id_of(cmd->target);
	struct cm *cm = cmd->vm->cm;
	int ret = -EINVAL;

	if (req->reserved)
		return -EINVAL;
	pthread_mutex_lock(&cm->lock);
	if (id->state == CM_REQUESTED &&
	    le32toh(req->data_len) <= data_max(id->obj.device, ROCE_REJECT_MAX)) {
		ret = ucma_reject(cm->fd, id->host_ids[0], req->data,
				  (uint8_t)le32toh(req->data_len));
		id->state = CM_OVER;
	}
	pthread_mutex_unlock(&cm->lock);
	return ret;
}

int cm_disconnect_exec(struct cmd *cmd)
{
	struct cm_id *id = id_of(cmd->target);
	struct cm *cm = cmd->vm->cm;
	int ret = -ENOTCONN;

	pthread_mutex_lock(&cm->lock);
	/* over siw, one that is not yet established would be waited for */
	if (id->state == CM_ESTABLISHED)
		ret = ucma_disconnect(cm->fd, id->host_ids[0]);
	pthread_mutex_unlock(&cm->lock);
	return ret;
}

int cm_destroy_exec(struct cmd *cmd)
{
	id_destroy(cmd->vm->cm, id_of(cmd->target));
	return 0;
}

/* with the lock held */
static void tell_request(struct cm *cm, struct cm_id *listener, struct hyv_resp_cm_get_event *resp)
{
	struct cm_id *id = STAILQ_FIRST(&listener->requests);
	struct sockaddr_in6 local = { 0 }, remote = { 0 };

	STAILQ_REMOVE_HEAD(&listener->requests, next_request);
	listener->num_requests--;
	if (id->state == CM_REQUESTED) { /* it may have guessed and destroyed it */
		ucma_query_addrs(cm->fd, id->host_ids[0], &local, &remote);
		resp->type = htole32(HYV_CM_REQUEST);
		resp->request = htole64(id->obj.id);
		from_sockaddr(&resp->local, &local);
		from_sockaddr(&resp->remote, &remote);
		param_to_wire(&resp->param, &id->param);
	}
	obj_put(cm->vm->objtab, &id->obj);
}

int cm_get_event_exec(struct cmd *cmd)
{
	struct hyv_resp_cm_get_event *resp = cmd->resp;
	struct cm_id *id = id_of(cmd->target);
	struct cm *cm = cmd->vm->cm;

	pthread_mutex_lock(&cm->lock);
	while (id->state == CM_LISTENING && id->num_requests && !resp->type)
		tell_request(cm, id, resp);
	if (id->reply_due) {
		resp->type = htole32(id->reply_due);
		resp->status = htole32((uint32_t)id->reply_status);
		param_to_wire(&resp->param, &id->param);
		id->reply_due = HYV_CM_NONE;
	} else if (id->close_due) {
		resp->type = htole32(HYV_CM_CLOSE);
		id->close_due = false;
	}
	pthread_mutex_unlock(&cm->lock);
	return 0;
}

/* ---- life and death ---- */

void cm_forget_qp(struct vm *vm, struct qp *qp)
{
	if (!vm->cm)
		return;
	pthread_mutex_lock(&vm->cm->lock);
	if (qp->cm)
		unlink_qp(qp->cm);
	pthread_mutex_unlock(&vm->cm->lock);
}

void cm_release_qp(struct vm *vm, struct qp *qp)
{
	if (!vm->cm)
		return;
	pthread_mutex_lock(&vm->cm->lock);
	qp->is_dying = true;
	while (qp->cm && qp->cm->is_connecting)
		interrupt(vm->cm, qp->cm);
	if (qp->cm)
		unlink_qp(qp->cm);
	pthread_mutex_unlock(&vm->cm->lock);
}

void cm_destroy_all(struct vm *vm, uint32_t device)
{
	struct obj *obj;

	while ((obj = objtab_first(vm->objtab, OBJ_CM, device))) {
		id_destroy(vm->cm, id_of(obj));
		obj_put(vm->objtab, obj);
	}
}

static void stop_connectors(struct cm *cm)
{
	pthread_mutex_lock(&cm->lock);
	cm->is_ending = true;
	pthread_cond_broadcast(&cm->connector_wakes);
	pthread_mutex_unlock(&cm->lock);
	while (cm->num_connectors)
		pthread_join(cm->connectors[--cm->num_connectors], NULL);
}

static void on_interrupt(int signo)
{
	(void)signo; /* the system call that it came in has ended */
}

static int start_threads(struct cm *cm)
{
	struct sigaction action = { .sa_handler = on_interrupt }; /* no SA_RESTART */
	sigset_t all, all_others, before;
	int err = 0;

	sigaction(INTERRUPT, &action, NULL);
	sigfillset(&all);
	all_others = all;
	sigdelset(&all_others, INTERRUPT);
	pthread_sigmask(SIG_SETMASK, &all_others, &before); /* signals are the event loop's */
	while (!err && cm->num_connectors < NUM_CONNECTORS) {
		err = pthread_create(&cm->connectors[cm->num_connectors], NULL, connector_thread,
				     cm);
		cm->num_connectors += !err;
	}
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	if (!err)
		err = pthread_create(&cm->thread, NULL, event_thread, cm);
	if (err)
		stop_connectors(cm);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	cm->is_running = !err;
	return -err;
}

int cm_create(struct cm **out, struct vm *vm, bool is_needed)
{
	struct cm *cm = calloc(1, sizeof(*cm));
	int ret;

	*out = NULL;
	if (!cm)
		return -ENOMEM;
	cm->vm = vm;
	pthread_mutex_init(&cm->lock, NULL);
	pthread_cond_init(&cm->connector_wakes, NULL);
	pthread_cond_init(&cm->connector_is_done, NULL);
	TAILQ_INIT(&cm->to_connect);
	LIST_INIT(&cm->listeners);
	cm->stop_fd = eventfd(0, EFD_CLOEXEC);
	cm->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	cm->fd = ucma_open();
	ret = cm->fd;
	if (cm->fd < 0 && !is_needed) {
		cm_destroy(cm);
		return 0;
	}
	if (cm->fd < 0)
		log_err("cannot open /dev/infiniband/rdma_cm, for connections of the VM: %s; is rdma_ucm loaded?",
			strerror(-cm->fd));
	else if (cm->stop_fd < 0 || cm->wake_fd < 0)
		ret = -EMFILE;
	else
		ret = sd_event_add_io(vm->loop, &cm->wake, cm->wake_fd, EPOLLIN, on_wake, cm);
	if (ret >= 0)
		ret = start_threads(cm);
	if (ret < 0) {
		cm_destroy(cm);
		return ret;
	}
	*out = cm;
	return 0;
}

void cm_stop(struct cm *cm)
{
	if (!cm->is_running)
		return;
	raise_event(cm->stop_fd);
	pthread_join(cm->thread, NULL);
	stop_connectors(cm);
	cm->is_running = false;
}

void cm_destroy(struct cm *cm)
{
	cm_stop(cm);
	sd_event_source_unref(cm->wake);
	if (cm->fd >= 0)
		close(cm->fd);
	if (cm->wake_fd >= 0)
		close(cm->wake_fd);
	if (cm->stop_fd >= 0)
		close(cm->stop_fd);
	pthread_cond_destroy(&cm->connector_is_done);
	pthread_cond_destroy(&cm->connector_wakes);
	pthread_mutex_destroy(&cm->lock);
	free(cm);
}
