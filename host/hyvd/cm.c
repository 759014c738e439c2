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
 * The host's rdma_cm chooses the device by the address alone. Before a QP is moved or its number told,
 * it is compared with the QP's: see cm_is_on().
 *
 * An iWARP device of the host's moves the QP itself, and on its active side there is no last word.
 *
 *   cm_connect.c  the active side, until the peer's yes
 *   cm_listen.c   listeners, on the VM's addresses
 *   cm_accept.c   the passive side, until our yes
 *   cm.c          what both have: ids, the QP's way, the host's events, how it ends
 *
 * The host's events are read by a thread of its own, since to act on them is to change QPs, which
 * may wait. What the guest has to be told is kept in the id, at most one of each kind, and requests
 * in their listener as far as its backlog goes; the guest is notified once and then asks.
 */
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "cm_priv.h"
#include "log.h"

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

static void raise_event(int fd)
{
	static const uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0)
		log_err("cannot write an eventfd: %s", strerror(errno));
}

void cm_notify(struct cm *cm, struct cm_id *id)
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

int cm_id_create(struct cm *cm, enum cm_state state, struct device *dev, struct cm_id **out)
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

void cm_unlink_qp(struct cm_id *id)
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
		cm_interrupt(cm, id);
	cm_unlink_qp(id);
	pthread_mutex_unlock(&cm->lock);
	for (i = 0; i < id->num_host_ids; i++)
		ucma_destroy(cm->fd, id->host_ids[i]);
	while ((request = STAILQ_FIRST(&id->requests))) {
		STAILQ_REMOVE_HEAD(&id->requests, next_request);
		id_destroy(cm, request);
		obj_put(cm->vm->objtab, &request->obj);
	}
}

int cm_id_finish(struct cm *cm, struct cm_id *id, int ret, __le64 *out)
{
	if (ret)
		id_destroy(cm, id);
	else
		*out = htole64(id->obj.id);
	obj_put(cm->vm->objtab, &id->obj);
	return ret;
}

void cm_end(struct cm *cm, struct cm_id *id, int status)
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
	cm_unlink_qp(id);
	cm_notify(cm, id);
}

bool cm_is_on(struct cm *cm, uint32_t host_id, const struct device *dev,
	      struct rdma_ucm_query_route_resp *route)
{
	struct hyv_sockaddr local;
	char text[GID_TEXT_LEN];

	ucma_query_route(cm->fd, host_id, route);
	if (route->port_num && (route->ibdev_index == UCMA_NO_INDEX ?
					be64toh(route->node_guid) == dev->info.node_guid :
					route->ibdev_index == dev->info.index))
		return true;
	cm_from_sockaddr(&local, &route->src_addr);
	gid_print(local.addr, text);
	log_guest(
		"the host's rdma_cm does not find the VM's address %s on %s: refused; move it back, or give it to the VM where it is, with 'hyvctl gid'",
		text, dev->name);
	return false;
}

int cm_can_connect(const struct qp *qp)
{
	if (qp->is_dying)
		return -ENOENT;
	return qp->cm ? -EISCONN : 0;
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

int cm_connect_qp(struct cm *cm, struct cm_id *id, const struct rdma_ucm_conn_param *own)
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

void cm_on_established(struct cm *cm, struct cm_id *id, const struct rdma_ucm_conn_param *param)
{
	id->reply_due = id->state == CM_CONNECTING ? HYV_CM_REPLY : HYV_CM_ESTABLISHED;
	id->reply_status = 0;
	id->param = *param;
	id->state = CM_ESTABLISHED;
	cm_notify(cm, id);
}

static void on_error(struct cm *cm, struct cm_id *id, const struct rdma_ucm_event_resp *event)
{
	switch (event->event) {
	case EVENT_REJECTED:
		id->param = event->param.conn;
		cm_end(cm, id, -ECONNREFUSED);
		break;
	case EVENT_ADDR_ERROR:
	case EVENT_ROUTE_ERROR:
	case EVENT_UNREACHABLE:
		cm_end(cm, id, -ETIMEDOUT);
		break;
	case EVENT_CONNECT_ERROR:
	case EVENT_DEVICE_REMOVAL:
		cm_end(cm, id, -ECONNABORTED);
		break;
	default: /* of no interest: TIMEWAIT_EXIT, ADDR_CHANGE */
		break;
	}
}

static void on_event(struct cm *cm, struct cm_id *id, const struct rdma_ucm_event_resp *event)
{
	int ret = 0;

	if (event->event == EVENT_CONNECT_REQUEST) {
		cm_on_request(cm, id, event);
	} else if (event->event == EVENT_ADDR_RESOLVED && id->state == CM_RESOLVING_ADDR) {
		ret = cm_on_addr_resolved(cm, id);
	} else if (event->event == EVENT_ROUTE_RESOLVED && id->state == CM_RESOLVING_ROUTE) {
		ret = cm_on_route_resolved(cm, id);
	} else if (event->event == EVENT_CONNECT_RESPONSE && id->state == CM_CONNECTING) {
		cm_on_response(cm, id, &event->param.conn);
	} else if (event->event == EVENT_ESTABLISHED &&
		   (id->state == CM_ACCEPTING || id->state == CM_CONNECTING)) {
		cm_on_established(cm, id, &event->param.conn);
	} else if (event->event == EVENT_DISCONNECTED) {
		ucma_disconnect(cm->fd, id->host_ids[0]); /* the answer, if it is the peer's wish */
		cm_end(cm, id, -ECONNRESET);
	} else {
		on_error(cm, id, event);
	}
	if (ret)
		cm_end(cm, id, ret);
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

/* ---- what the guest asks for, of any id ---- */

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

int cm_get_event_exec(struct cmd *cmd)
{
	struct hyv_resp_cm_get_event *resp = cmd->resp;
	struct cm_id *id = id_of(cmd->target);
	struct cm *cm = cmd->vm->cm;

	pthread_mutex_lock(&cm->lock);
	while (id->state == CM_LISTENING && id->num_requests && !resp->type)
		cm_tell_request(cm, id, resp);
	if (id->reply_due) {
		resp->type = htole32(id->reply_due);
		resp->status = htole32((uint32_t)id->reply_status);
		cm_param_to_wire(&resp->param, &id->param);
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
		cm_unlink_qp(qp->cm);
	pthread_mutex_unlock(&vm->cm->lock);
}

void cm_release_qp(struct vm *vm, struct qp *qp)
{
	if (!vm->cm)
		return;
	pthread_mutex_lock(&vm->cm->lock);
	qp->is_dying = true;
	while (qp->cm && qp->cm->is_connecting)
		cm_interrupt(vm->cm, qp->cm);
	if (qp->cm)
		cm_unlink_qp(qp->cm);
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

static int start_thread(struct cm *cm)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the event loop's */
	err = pthread_create(&cm->thread, NULL, event_thread, cm);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}

static int start_threads(struct cm *cm)
{
	int ret = cm_start_connectors(cm);

	if (!ret)
		ret = start_thread(cm);
	if (ret)
		cm_stop_connectors(cm);
	cm->is_running = !ret;
	return ret;
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
	LIST_INIT(&cm->to_follow);
	cm->stop_fd = eventfd(0, EFD_CLOEXEC);
	cm->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	cm->fd = ucma_open();
	ret = cm->fd;
	if (cm->fd < 0 && !is_needed) {
		cm_destroy(cm);
		return 0;
	}
	if (cm->fd < 0)
		log_err("cannot open /dev/infiniband/rdma_cm, for connections of the VM: %s%s",
			strerror(-cm->fd),
			cm->fd == -EACCES ?
				": it has to be for all users (0666), as rdma_ucm makes it" :
				"; is rdma_ucm loaded?");
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
	cm_stop_connectors(cm);
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
