// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The active side, from the guest's request to the peer's yes.
 *
 * To connect over siw is to wait for TCP, two minutes for an address where nobody is. That is for a
 * few threads more, the connectors. Who destroys the id or the QP meanwhile ends the wait with a
 * signal, again and again until the connector is done, since one that comes just before the wait ends
 * nothing.
 */
#include <errno.h>
#include <signal.h>
#include <time.h>
#include "cm_priv.h"

#define RESOLVE_TIMEOUT_MS 2000
#define ROCE_DATA_MAX	   56u /* what a request carries of the application's */
#define INTERRUPT	   SIGUSR1 /* of a connector's wait */
#define INTERRUPT_AGAIN_NS 10000000

/* with the lock held */
static int start_connecting(struct cm *cm, struct cm_id *id, const struct hyv_req_cm_connect *req)
{
	struct sockaddr_in6 local, remote;
	int ret = ucma_create(cm->fd, id->obj.id, &id->host_ids[0]);

	if (ret)
		return ret;
	id->num_host_ids = 1;
	cm_to_sockaddr(&local, req->local.addr, req->local.port);
	cm_to_sockaddr(&remote, req->remote.addr, req->remote.port);
	ret = ucma_resolve_addr(cm->fd, id->host_ids[0], &local, &remote, RESOLVE_TIMEOUT_MS);
	if (ret != -EADDRINUSE && ret != -EADDRNOTAVAIL)
		return ret;
	/* somebody of the host has that port at the VM's address, or at all: another does as well */
	cm_to_sockaddr(&local, req->local.addr, 0);
	return ucma_resolve_addr(cm->fd, id->host_ids[0], &local, &remote, RESOLVE_TIMEOUT_MS);
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
	if (cm_has_reserved(&req->local) || cm_has_reserved(&req->remote) ||
	    gid_is_v4(req->local.addr) != gid_is_v4(req->remote.addr))
		return -EINVAL;
	ret = cm_param_from_wire(&param, &req->param, qp, ROCE_DATA_MAX);
	if (ret)
		return ret;
	if (!gid_is_allowed(cmd->vm, qp->obj.context->device, req->local.addr))
		return -EADDRNOTAVAIL;
	pthread_mutex_lock(&cm->lock);
	ret = cm_can_connect(qp);
	if (!ret)
		ret = cm_id_create(cm, CM_RESOLVING_ADDR, qp->obj.context->device, &id);
	if (!ret) {
		id->param = param;
		id->qp = qp;
		qp->cm = id;
		ret = start_connecting(cm, id, req);
	}
	pthread_mutex_unlock(&cm->lock);
	return id ? cm_id_finish(cm, id, ret, &resp->cm) : ret;
}

int cm_on_addr_resolved(struct cm *cm, struct cm_id *id)
{
	id->state = CM_RESOLVING_ROUTE;
	return ucma_resolve_route(cm->fd, id->host_ids[0], RESOLVE_TIMEOUT_MS);
}

int cm_on_route_resolved(struct cm *cm, struct cm_id *id)
{
	struct rdma_ucm_query_route_resp route;

	if (!cm_is_on(cm, id->host_ids[0], id->obj.device, &route))
		return -EADDRNOTAVAIL;
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
		cm_end(cm, id, -ENOTCONN);
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
		cm_end(cm, id, ret);
	if (id->state == CM_OVER)
		cm_unlink_qp(id);
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

void cm_on_response(struct cm *cm, struct cm_id *id, const struct rdma_ucm_conn_param *param)
{
	int ret = cm_connect_qp(cm, id, NULL);

	if (!ret)
		ret = ucma_accept(cm->fd, id->host_ids[0], id->obj.id, NULL);
	if (!ret) {
		cm_on_established(cm, id, param);
	} else {
		ucma_reject(cm->fd, id->host_ids[0], "", 0);
		cm_end(cm, id, ret);
	}
}

void cm_interrupt(struct cm *cm, const struct cm_id *id)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += INTERRUPT_AGAIN_NS;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_kill(id->connector, INTERRUPT);
	pthread_cond_clockwait(&cm->connector_is_done, &cm->lock, CLOCK_MONOTONIC, &until);
}

static void on_interrupt(int signo)
{
	(void)signo; /* the system call that it came in has ended */
}

int cm_start_connectors(struct cm *cm)
{
	struct sigaction action = { .sa_handler = on_interrupt }; /* no SA_RESTART */
	sigset_t all_others, before;
	int err = 0;

	sigaction(INTERRUPT, &action, NULL);
	sigfillset(&all_others);
	sigdelset(&all_others, INTERRUPT);
	pthread_sigmask(SIG_SETMASK, &all_others, &before); /* signals are the event loop's */
	while (!err && cm->num_connectors < NUM_CONNECTORS) {
		err = pthread_create(&cm->connectors[cm->num_connectors], NULL, connector_thread,
				     cm);
		cm->num_connectors += !err;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}

void cm_stop_connectors(struct cm *cm)
{
	pthread_mutex_lock(&cm->lock);
	cm->is_ending = true;
	pthread_cond_broadcast(&cm->connector_wakes);
	pthread_mutex_unlock(&cm->lock);
	while (cm->num_connectors)
		pthread_join(cm->connectors[--cm->num_connectors], NULL);
}
