// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The passive side: a request that comes to a listener waits there, as far as its backlog goes, until
 * the guest asks for it; then the guest accepts or rejects it.
 */
#include <endian.h>
#include <errno.h>
#include "cm_priv.h"
#include "log.h"

#define ROCE_REPLY_MAX	196u
#define ROCE_REJECT_MAX 148u

void cm_on_request(struct cm *cm, struct cm_id *listener, const struct rdma_ucm_event_resp *event)
{
	struct rdma_ucm_query_route_resp route;
	struct cm_id *id;

	if (!cm_is_on(cm, event->id, listener->obj.device, &route)) {
		ucma_destroy(cm->fd, event->id);
		return;
	}
	if (listener->num_requests >= listener->backlog ||
	    cm_id_create(cm, CM_REQUESTED, listener->obj.device, &id)) {
		log_guest("a listener of the guest has more requests than its backlog or than "
			  "the VM may have: one rejected");
		ucma_destroy(cm->fd, event->id);
		return;
	}
	id->host_ids[id->num_host_ids++] = event->id;
	id->param = event->param.conn;
	STAILQ_INSERT_TAIL(&listener->requests, id, next_request);
	listener->num_requests++;
	cm_notify(cm, listener);
}

void cm_tell_request(struct cm *cm, struct cm_id *listener, struct hyv_resp_cm_get_event *resp)
{
	struct cm_id *id = STAILQ_FIRST(&listener->requests);
	struct rdma_ucm_query_route_resp route;

	STAILQ_REMOVE_HEAD(&listener->requests, next_request);
	listener->num_requests--;
	if (id->state == CM_REQUESTED) { /* it may have guessed and destroyed it */
		ucma_query_route(cm->fd, id->host_ids[0], &route);
		resp->type = htole32(HYV_CM_REQUEST);
		resp->request = htole64(id->obj.id);
		cm_from_sockaddr(&resp->local, &route.src_addr);
		cm_from_sockaddr(&resp->remote, &route.dst_addr);
		cm_param_to_wire(&resp->param, &id->param);
	}
	obj_put(cm->vm->objtab, &id->obj);
}

/* with the lock held: whether an address of the VM was asked for a connection */
static bool is_asked_for(struct cm *cm, const struct cm_id *id)
{
	struct rdma_ucm_query_route_resp route;
	struct hyv_sockaddr asked;

	if (!cm_is_on(cm, id->host_ids[0], id->obj.device, &route))
		return false;
	cm_from_sockaddr(&asked, &route.src_addr);
	return gid_is_allowed(cm->vm, id->obj.device, asked.addr);
}

/* with the lock held; what fails here leaves an id that only can be destroyed */
static int accept_with(struct cm *cm, struct cm_id *id, struct qp *qp,
		       const struct rdma_ucm_conn_param *param)
{
	int ret = cm_can_connect(qp);

	/* the path is one of the listener's device: its index of a GID is another address elsewhere */
	if (id->state != CM_REQUESTED || qp->obj.context->device != id->obj.device)
		return -EINVAL;
	if (ret)
		return ret;
	if (!is_asked_for(cm, id)) /* any more */
		return -EADDRNOTAVAIL;
	id->qp = qp;
	qp->cm = id;
	ret = cm_connect_qp(cm, id, param);
	if (!ret)
		ret = ucma_accept(cm->fd, id->host_ids[0], id->obj.id, param);
	id->state = ret ? CM_OVER : CM_ACCEPTING;
	if (ret)
		cm_unlink_qp(id);
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
	ret = cm_param_from_wire(&param, &req->param, qp, ROCE_REPLY_MAX);
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
	    le32toh(req->data_len) <= cm_data_max(id->obj.device, ROCE_REJECT_MAX)) {
		ret = ucma_reject(cm->fd, id->host_ids[0], req->data,
				  (uint8_t)le32toh(req->data_len));
		id->state = CM_OVER;
	}
	pthread_mutex_unlock(&cm->lock);
	return ret;
}
