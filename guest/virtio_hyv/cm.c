// SPDX-License-Identifier: GPL-2.0
/*
 * Connections: the operations of an iWARP device, by which the guest's own rdma_cm works unchanged,
 * done by the host's rdma_cm whatever the host's device is.
 *
 *   listen    LISTENING: each request becomes a struct hyv_cm of its own, REQUESTED, which iw_cm
 *             gets to know by its number (struct iw_cm_event.provider_data)
 *   accept    REQUESTED -> ACCEPTING -> ESTABLISHED -> OVER
 *   connect   CONNECTING -> ESTABLISHED -> OVER
 *
 * The host says that there is something (HYV_EVENT_CM), in an interrupt; a work item asks what, and
 * is queued again by the answer. It does not wait for it: while the host's daemon stands still, a
 * process that is killed goes all the same. iw_cm stops the machine on events in a wrong order, so every event is judged by cm_state.h first,
 * and told under the lock of the hyv_cm. Whatever ends early - the host says nonsense, its daemon
 * dies, the queue pair or the device goes - ends in end(), which tells iw_cm what it still waits
 * for.
 *
 * The host's device may be a RoCE one, whose queue pairs need to know about paths, which iw_cm does
 * not. So the host moves the queue pair to RTR and RTS, and what applications (librdmacm) do to it
 * on rdma_cm's behalf is known by its mask and left out, see hyv_cm_modify_qp(). An iWARP device
 * moves its queue pairs itself, and ignores what applications do.
 */
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <net/ipv6.h>

#include <rdma/ib_addr.h>
#include "virtio_hyv.h"

/* how long a request is kept whose listener has gone: iw_cm does not say whether it took it */
#define REQUEST_PATIENCE (20 * HZ)

/* how often to look whether the process that connects is dying: see is_dying() */
#define LOOK_INTERVAL HZ

/* what rdma_cm has an application set with INIT and RTR, of an iWARP device; RTS has no state */
#define IW_INIT_MASK (IB_QP_STATE | IB_QP_ACCESS_FLAGS | IB_QP_PORT)
#define IW_RTS_MASK  IB_QP_PORT

static void ask_host(struct work_struct *work);

static struct hyv_cm *cm_alloc(struct hyv_ibdev *dev, enum hyv_cm_state state)
{
	struct hyv_cm *cm = kzalloc(sizeof(*cm), GFP_KERNEL);

	if (!cm)
		return NULL;
	cm->dev = dev;
	cm->state = state;
	cm->object.type = HYV_OBJECT_CM;
	refcount_set(&cm->ref, 1);
	INIT_DELAYED_WORK(&cm->work, ask_host);
	mutex_init(&cm->lock);
	INIT_LIST_HEAD(&cm->link);
	atomic_inc(&dev->num_cms);
	get_device(&dev->ib.dev);
	return cm;
}

static void cm_put(struct hyv_cm *cm)
{
	struct hyv_ibdev *dev = cm->dev;

	if (!refcount_dec_and_test(&cm->ref))
		return;
	if (cm->task)
		put_task_struct(cm->task);
	kfree(cm);
	if (atomic_dec_and_test(&dev->num_cms))
		wake_up(&dev->cms_gone);
	put_device(&dev->ib.dev);
}

/* for a caller that has a reference, or the lock of the table that has one */
static void queue(struct hyv_cm *cm, unsigned long delay)
{
	refcount_inc(&cm->ref);
	if (mod_delayed_work(cm->dev->hyv->wq, &cm->work, delay))
		refcount_dec(&cm->ref); /* was queued; never the last one */
}

/* the same, but one that is queued already stays where it is */
static void queue_at_latest(struct hyv_cm *cm, unsigned long delay)
{
	refcount_inc(&cm->ref);
	if (!queue_delayed_work(cm->dev->hyv->wq, &cm->work, delay))
		refcount_dec(&cm->ref);
}

/**
 * hyv_cm_notify() - the host has something to tell
 * @cm: of this
 *
 * Called in interrupts, under the lock of the object table; or for a caller that has a reference.
 */
void hyv_cm_notify(struct hyv_cm *cm)
{
	WRITE_ONCE(cm->has_news, true); /* before the work item looks */
	queue(cm, 0);
}

/**
 * hyv_cm_answered() - the host has answered @cm.question
 * @cm: which has it
 *
 * Any context, with the device locked.
 */
void hyv_cm_answered(struct hyv_cm *cm)
{
	queue(cm, 0);
}

/* make a connection or request known. Return: 0 or a negative errno */
static int publish(struct hyv_cm *cm)
{
	struct hyv_ibdev *dev = cm->dev;
	int ret;

	ret = hyv_event_add(dev->hyv, &cm->object);
	if (ret)
		return ret;
	spin_lock(&dev->cm_lock);
	if (dev->cm_closed)
		ret = -ENODEV;
	else
		list_add_tail(&cm->link, &dev->cms);
	spin_unlock(&dev->cm_lock);
	if (ret)
		hyv_event_remove(dev->hyv, &cm->object);
	return ret;
}

static void unlink_qp(struct hyv_cm *cm)
{
	spin_lock(&cm->dev->cm_lock);
	if (cm->qp)
		cm->qp->cm = NULL;
	cm->qp = NULL;
	spin_unlock(&cm->dev->cm_lock);
}

/* Return: 0, and @qp has this connection and no other; or a negative errno */
static int link_qp(struct hyv_cm *cm, struct hyv_qp *qp)
{
	int ret = 0;

	spin_lock(&cm->dev->cm_lock);
	if (qp->gone)
		ret = -EINVAL;
	else if (qp->tgid != current->tgid && !uid_eq(qp->uid, current_uid()))
		ret = -EPERM; /* anybody can name it by its number */
	else if (qp->cm)
		ret = -EISCONN;
	else
		qp->cm = cm;
	if (!ret)
		cm->qp = qp;
	spin_unlock(&cm->dev->cm_lock);
	return ret;
}

/* nobody will hear the host's answer. @cm is locked and OVER */
static void drop_question(struct hyv_cm *cm)
{
	if (cm->question)
		hyv_cmd_abandon(cm->question);
	cm->question = NULL;
}

/* the end of a published connection or request: nobody finds it any more. @cm is locked */
static void discard(struct hyv_cm *cm)
{
	struct hyv_ibdev *dev = cm->dev;

	cm->state = HYV_CM_STATE_OVER;
	drop_question(cm);
	unlink_qp(cm);
	hyv_event_remove(dev->hyv, &cm->object);
	spin_lock(&dev->cm_lock);
	list_del_init(&cm->link);
	spin_unlock(&dev->cm_lock);
	if (cancel_delayed_work(&cm->work))
		refcount_dec(&cm->ref); /* the caller has one, too */
	hyv_cmd_post_destroy(dev->hyv, HYV_OP_CM_DESTROY, cm->object.id, NULL);
	refcount_dec(&cm->ref); /* the table's; never the last one */
}

/* ---- what iw_cm is told ---- */

static int tell(struct hyv_cm *cm, enum iw_cm_event_type type, int status,
		const struct hyv_cm_param *param)
{
	struct iw_cm_event event = {
		.event = type,
		.status = status,
		.local_addr = cm->iw->m_local_addr,
		.remote_addr = cm->iw->m_remote_addr,
	};

	if (param) {
		event.ird = min(le32_to_cpu(param->ird), U8_MAX);
		event.ord = min(le32_to_cpu(param->ord), U8_MAX);
		event.private_data = (void *)param->data;
		event.private_data_len = le32_to_cpu(param->data_len);
	}
	return cm->iw->event_handler(cm->iw, &event);
}

/* iw_cm hears what it still waits for, and that was it. @cm is locked and held by the caller */
static void end(struct hyv_cm *cm, int status, const struct hyv_cm_param *param)
{
	struct iw_cm_id *iw = cm->iw;

	switch (cm->state) {
	case HYV_CM_STATE_CONNECTING:
		/* without the data there is nothing that this could need memory for */
		if (tell(cm, IW_CM_EVENT_CONNECT_REPLY, status, param))
			tell(cm, IW_CM_EVENT_CONNECT_REPLY, status, NULL);
		break;
	case HYV_CM_STATE_ACCEPTING:
		tell(cm, IW_CM_EVENT_ESTABLISHED, 0, NULL);
		fallthrough;
	case HYV_CM_STATE_ESTABLISHED:
		tell(cm, IW_CM_EVENT_CLOSE, 0, NULL);
		break;
	case HYV_CM_STATE_REQUESTED:
		break;
	default:
		return;
	}
	cm->iw = NULL;
	discard(cm);
	if (iw)
		iw->rem_ref(iw);
}

static void to_sockaddr(struct sockaddr_storage *out, const struct hyv_sockaddr *in)
{
	const struct in6_addr *in6 = (const struct in6_addr *)in->addr;
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)out;
	struct sockaddr_in *sin = (struct sockaddr_in *)out;

	memset(out, 0, sizeof(*out));
	if (ipv6_addr_v4mapped(in6)) {
		sin->sin_family = AF_INET;
		sin->sin_port = in->port;
		sin->sin_addr.s_addr = in6->s6_addr32[3];
	} else {
		sin6->sin6_family = AF_INET6;
		sin6->sin6_port = in->port;
		sin6->sin6_addr = *in6;
	}
}

/*
 * rdma_cm takes the device that has this address: it must be this one, which outlives its requests,
 * whatever the host says
 */
static bool is_ours(struct hyv_ibdev *dev, const struct sockaddr_storage *local)
{
	struct rdma_dev_addr addr = { .net = dev_net(dev->netdev) };

	return !rdma_translate_ip((const struct sockaddr *)local, &addr) &&
	       addr.bound_dev_if == dev->netdev->ifindex;
}

/* iw_cm never waits for a request that it was not told of: one that finds no room is refused */
static void on_request(struct hyv_cm *listener, const struct hyv_resp_cm_get_event *resp)
{
	struct hyv_ibdev *dev = listener->dev;
	struct iw_cm_event event = {
		.event = IW_CM_EVENT_CONNECT_REQUEST,
		.private_data = (void *)resp->param.data,
		.private_data_len = le32_to_cpu(resp->param.data_len),
		.ird = min(le32_to_cpu(resp->param.ird), U8_MAX),
		.ord = min(le32_to_cpu(resp->param.ord), U8_MAX),
		.provider_data = (void *)(uintptr_t)le64_to_cpu(resp->request),
	};
	struct hyv_cm *cm = NULL;

	to_sockaddr(&event.local_addr, &resp->local);
	to_sockaddr(&event.remote_addr, &resp->remote);
	if (READ_ONCE(listener->state) == HYV_CM_STATE_LISTENING &&
	    is_ours(dev, &event.local_addr))
		cm = cm_alloc(dev, HYV_CM_STATE_REQUESTED);
	if (!cm) {
		hyv_cmd_post_destroy(dev->hyv, HYV_OP_CM_DESTROY, le64_to_cpu(resp->request), NULL);
		return;
	}
	cm->object.id = le64_to_cpu(resp->request);
	cm->listener = listener->object.id;
	refcount_inc(&cm->ref);
	if (publish(cm)) {
		hyv_cmd_post_destroy(dev->hyv, HYV_OP_CM_DESTROY, cm->object.id, NULL);
		refcount_dec(&cm->ref);
		cm_put(cm);
		return;
	}

	if (listener->iw->event_handler(listener->iw, &event)) {
		mutex_lock_nested(&cm->lock, SINGLE_DEPTH_NESTING);
		end(cm, 0, NULL);
		mutex_unlock(&cm->lock);
	}
	cm_put(cm);
}

/* ---- what the host tells ---- */

/*
 * @state: what @cm was when the host was asked: a listener may have gone since. Return: whether the
 * event made sense
 */
static bool on_event(struct hyv_cm *cm, enum hyv_cm_state state,
		     const struct hyv_resp_cm_get_event *resp)
{
	s32 status = (s32)le32_to_cpu(resp->status);
	u32 type = le32_to_cpu(resp->type);
	int next = hyv_cm_step(state, type, status);

	if (le32_to_cpu(resp->param.data_len) > U8_MAX ||
	    (type == HYV_CM_REQUEST && !resp->request))
		next = -EPROTO;
	if (next < 0) {
		hyv_err_limited(cm->dev->hyv, "wrong event %u (%d) of a connection in state %u\n",
				type, status, state);
		end(cm, -EPROTO, NULL);
	} else if (next == HYV_CM_STATE_LISTENING) {
		on_request(cm, resp);
	} else if (next == HYV_CM_STATE_OVER) {
		end(cm, status, &resp->param);
	} else if (type == HYV_CM_REPLY) {
		WRITE_ONCE(cm->qp->state, IB_QPS_RTS);
		if (tell(cm, IW_CM_EVENT_CONNECT_REPLY, 0, &resp->param))
			end(cm, -ENOMEM, NULL);
		else
			cm->state = next;
	} else {
		tell(cm, IW_CM_EVENT_ESTABLISHED, 0, NULL);
		cm->state = next;
	}
	return next >= 0;
}

/* @cm is locked. What the host has to tell from here on makes it notify again */
static void ask(struct hyv_cm *cm)
{
	struct hyv_req_cm_get_event *req;

	WRITE_ONCE(cm->has_news, false);
	cm->question = hyv_cmd_alloc(cm->dev->hyv, HYV_OP_CM_GET_EVENT, 0, 0);
	if (!cm->question) {
		end(cm, -ECONNRESET, NULL);
		return;
	}
	req = hyv_cmd_req(cm->question);
	req->cm = cpu_to_le64(cm->object.id);
	hyv_cmd_ask(cm->question, cm);
}

/* hear an answer. @cm is locked; @state: what it is */
static void hear(struct hyv_cm *cm, enum hyv_cm_state state)
{
	struct hyv_cmd *cmd = cm->question;
	struct hyv_resp_cm_get_event *resp = hyv_cmd_resp(cmd);

	cm->question = NULL;
	if (cmd->status)
		end(cm, -ECONNRESET, NULL);
	else if (resp->type && on_event(cm, state, resp))
		WRITE_ONCE(cm->has_news, true); /* there may be more */
	hyv_cmd_put(cmd);
}

static bool is_waited_for(const struct hyv_cm *cm)
{
	return cm->state == HYV_CM_STATE_CONNECTING || cm->state == HYV_CM_STATE_ACCEPTING;
}

/*
 * iw_cm lets nobody destroy a connection before its CONNECT_REPLY or ESTABLISHED, not even a process
 * that is killed, and would have to wait for the host's time-outs, a minute or more.
 */
static bool is_dying(const struct hyv_cm *cm)
{
	return READ_ONCE(cm->task->signal->flags) & SIGNAL_GROUP_EXIT;
}

static void ask_host(struct work_struct *work)
{
	struct hyv_cm *cm = container_of(to_delayed_work(work), struct hyv_cm, work);
	enum hyv_cm_state state;

	mutex_lock(&cm->lock);
	if (cm->state == HYV_CM_STATE_REQUESTED)
		end(cm, 0, NULL);
	if (is_waited_for(cm) && is_dying(cm))
		end(cm, -ECONNRESET, NULL);
	/* each at most once: the answer to what is asked here queues this again, be it here already */
	state = READ_ONCE(cm->state);
	if (state != HYV_CM_STATE_OVER && cm->question && hyv_cmd_is_over(cm->question))
		hear(cm, state);
	if (READ_ONCE(cm->state) != HYV_CM_STATE_OVER && !cm->question && READ_ONCE(cm->has_news))
		ask(cm);
	if (is_waited_for(cm))
		queue_at_latest(cm, LOOK_INTERVAL);
	mutex_unlock(&cm->lock);
	cm_put(cm);
}

/* ---- what iw_cm asks for ---- */

static void from_sockaddr(struct hyv_sockaddr *out, const struct sockaddr_storage *in)
{
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)in;
	const struct sockaddr_in *sin = (const struct sockaddr_in *)in;

	if (in->ss_family == AF_INET) {
		ipv6_addr_set_v4mapped(sin->sin_addr.s_addr, (struct in6_addr *)out->addr);
		out->port = sin->sin_port;
	} else {
		memcpy(out->addr, &sin6->sin6_addr, sizeof(out->addr));
		out->port = sin6->sin6_port;
	}
}

static bool is_ip(const struct sockaddr_storage *addr)
{
	return addr->ss_family == AF_INET || addr->ss_family == AF_INET6;
}

static int param_to_wire(struct hyv_cm_param *out, const struct iw_cm_conn_param *in)
{
	if (in->private_data_len > sizeof(out->data))
		return -EINVAL;
	out->ird = cpu_to_le32(in->ird);
	out->ord = cpu_to_le32(in->ord);
	out->data_len = cpu_to_le32(in->private_data_len);
	if (in->private_data_len)
		memcpy(out->data, in->private_data, in->private_data_len);
	return 0;
}

/*
 * Return: the queue pair, for hyv_iw_rem_ref(), or NULL. The one that iw_cm has a reference to may
 * have been an older one of that number.
 */
static struct hyv_qp *find_qp(struct ib_device *ib, u32 num)
{
	struct ib_qp *qp = hyv_iw_get_qp(ib, num);

	return qp ? to_hyv_qp(qp) : NULL;
}

/* @cm is locked. Return: 0, and it has its id; or a negative errno */
static int send_connect(struct hyv_cm *cm, const struct iw_cm_id *iw,
			const struct iw_cm_conn_param *param)
{
	struct hyv_dev *hyv = cm->dev->hyv;
	struct hyv_resp_cm_connect *resp;
	struct hyv_req_cm_connect *req;
	struct hyv_cmd *cmd;
	int ret;

	cmd = hyv_cmd_alloc(hyv, HYV_OP_CM_CONNECT, 0, 0);
	if (!cmd)
		return -ENOMEM;
	req = hyv_cmd_req(cmd);
	req->qp = cpu_to_le64(cm->qp->object.id);
	from_sockaddr(&req->local, &iw->m_local_addr);
	from_sockaddr(&req->remote, &iw->m_remote_addr);
	ret = param_to_wire(&req->param, param);
	if (!ret)
		ret = hyv_cmd_call(cmd);
	if (!ret) {
		resp = hyv_cmd_resp(cmd);
		cm->object.id = le64_to_cpu(resp->cm);
		ret = cm->object.id ? publish(cm) : -EIO;
		if (ret && cm->object.id)
			hyv_cmd_undo(cmd);
	}
	hyv_cmd_put(cmd);
	return ret;
}

/**
 * hyv_iw_connect() - connect a queue pair
 * @iw: iw_cm's, with the addresses
 * @param: which queue pair, and what to offer
 *
 * Waits until the host has begun. Return: 0, and one CONNECT_REPLY will come; or a negative errno,
 * and no event.
 */
int hyv_iw_connect(struct iw_cm_id *iw, struct iw_cm_conn_param *param)
{
	struct hyv_qp *qp = find_qp(iw->device, param->qpn);
	struct hyv_cm *cm;
	int ret;

	if (!qp)
		return -EINVAL;
	if (qp->ib.qp_type != IB_QPT_RC) {
		ret = -EOPNOTSUPP;
		goto out;
	}
	if (!is_ip(&iw->m_local_addr) || !is_ip(&iw->m_remote_addr)) {
		ret = -EAFNOSUPPORT;
		goto out;
	}
	cm = cm_alloc(to_hyv_ibdev(iw->device), HYV_CM_STATE_CONNECTING);
	if (!cm) {
		ret = -ENOMEM;
		goto out;
	}

	mutex_lock(&cm->lock);
	ret = link_qp(cm, qp);
	if (!ret)
		ret = send_connect(cm, iw, param);
	if (ret) {
		cm->state = HYV_CM_STATE_OVER;
		unlink_qp(cm);
		mutex_unlock(&cm->lock);
		cm_put(cm);
		goto out;
	}
	cm->iw = iw;
	iw->add_ref(iw);
	cm->task = get_task_struct(current);
	/* what the host said before it was published, nobody has heard */
	hyv_cm_notify(cm);
	mutex_unlock(&cm->lock);
out:
	hyv_iw_rem_ref(&qp->ib); /* once linked, it ends the connection before it goes */
	return ret;
}

/* Return: a request with a reference, locked; or NULL when it is none any more */
static struct hyv_cm *claim_request(struct iw_cm_id *iw)
{
	struct hyv_ibdev *dev = to_hyv_ibdev(iw->device);
	struct hyv_cm *cm = NULL;
	struct hyv_object *object;

	xa_lock_irq(&dev->hyv->objects);
	object = xa_load(&dev->hyv->objects, (uintptr_t)iw->provider_data);
	if (object && object->type == HYV_OBJECT_CM) {
		cm = container_of(object, struct hyv_cm, object);
		refcount_inc(&cm->ref);
	}
	xa_unlock_irq(&dev->hyv->objects);
	if (!cm)
		return NULL;

	mutex_lock(&cm->lock);
	if (cm->dev == dev && cm->state == HYV_CM_STATE_REQUESTED)
		return cm;
	mutex_unlock(&cm->lock);
	cm_put(cm);
	return NULL;
}

static int send_accept(struct hyv_cm *cm, const struct iw_cm_conn_param *param)
{
	struct hyv_req_cm_accept *req;
	struct hyv_cmd *cmd;
	int ret;

	cmd = hyv_cmd_alloc(cm->dev->hyv, HYV_OP_CM_ACCEPT, 0, 0);
	if (!cmd)
		return -ENOMEM;
	req = hyv_cmd_req(cmd);
	req->cm = cpu_to_le64(cm->object.id);
	req->qp = cpu_to_le64(cm->qp->object.id);
	ret = param_to_wire(&req->param, param);
	if (!ret)
		ret = hyv_cmd_call(cmd);
	hyv_cmd_put(cmd);
	return ret;
}

/**
 * hyv_iw_accept() - take a requested connection
 * @iw: iw_cm's for it
 * @param: with which queue pair, and what to offer
 *
 * Waits. Return: 0, and one ESTABLISHED will come; or a negative errno, no event, and it is over.
 */
int hyv_iw_accept(struct iw_cm_id *iw, struct iw_cm_conn_param *param)
{
	struct hyv_cm *cm = claim_request(iw);
	struct hyv_qp *qp;
	int ret;

	if (!cm)
		return -EINVAL;
	qp = find_qp(iw->device, param->qpn);
	ret = qp ? link_qp(cm, qp) : -EINVAL;
	if (!ret)
		ret = send_accept(cm, param);
	if (ret) {
		end(cm, 0, NULL);
	} else {
		cm->state = HYV_CM_STATE_ACCEPTING;
		cm->iw = iw;
		iw->add_ref(iw);
		cm->task = get_task_struct(current);
		WRITE_ONCE(qp->state, IB_QPS_RTS);
		hyv_cm_notify(cm);
	}
	mutex_unlock(&cm->lock);
	if (qp)
		hyv_iw_rem_ref(&qp->ib);
	cm_put(cm);
	return ret;
}

static int send_reject(struct hyv_cm *cm, const void *data, u8 len)
{
	struct hyv_req_cm_reject *req;
	struct hyv_cmd *cmd;
	int ret;

	cmd = hyv_cmd_alloc(cm->dev->hyv, HYV_OP_CM_REJECT, 0, 0);
	if (!cmd)
		return -ENOMEM;
	req = hyv_cmd_req(cmd);
	req->cm = cpu_to_le64(cm->object.id);
	req->data_len = cpu_to_le32(len);
	memcpy(req->data, data, len);
	ret = hyv_cmd_call(cmd);
	hyv_cmd_put(cmd);
	return ret;
}

/**
 * hyv_iw_reject() - refuse a requested connection
 * @iw: iw_cm's for it
 * @data: to tell the other side
 * @len: bytes of @data
 *
 * Waits if there is @data; without it, to destroy the request says the same. iw_cm rejects so what
 * nobody takes, from its only work item and for processes that are dying. Return: 0 or a negative
 * errno; it is over in any case.
 */
int hyv_iw_reject(struct iw_cm_id *iw, const void *data, u8 len)
{
	struct hyv_cm *cm = claim_request(iw);
	int ret = 0;

	if (!cm)
		return -EINVAL;
	if (len)
		ret = send_reject(cm, data, len);
	end(cm, 0, NULL);
	mutex_unlock(&cm->lock);
	cm_put(cm);
	return ret;
}

/**
 * hyv_iw_create_listen() - wait for requests
 * @iw: iw_cm's, with the address
 * @backlog: how many may wait for iw_cm
 *
 * Waits until the host listens. Return: 0 or a negative errno.
 */
int hyv_iw_create_listen(struct iw_cm_id *iw, int backlog)
{
	struct hyv_ibdev *dev = to_hyv_ibdev(iw->device);
	struct hyv_resp_cm_listen *resp;
	struct hyv_req_cm_listen *req;
	struct hyv_cmd *cmd;
	struct hyv_cm *cm;
	int ret;

	if (!is_ip(&iw->m_local_addr))
		return -EAFNOSUPPORT;
	cm = cm_alloc(dev, HYV_CM_STATE_LISTENING);
	cmd = cm ? hyv_cmd_alloc(dev->hyv, HYV_OP_CM_LISTEN, 0, 0) : NULL;
	if (!cmd) {
		ret = -ENOMEM;
		goto out;
	}
	cm->iw = iw;
	req = hyv_cmd_req(cmd);
	from_sockaddr(&req->local, &iw->m_local_addr);
	req->device = cpu_to_le32(dev->id);
	req->backlog = cpu_to_le32(backlog);
	req->flags = cpu_to_le32(iw->afonly ? HYV_CM_V6ONLY : 0);
	ret = hyv_cmd_call(cmd);
	if (ret)
		goto out_cmd;

	resp = hyv_cmd_resp(cmd);
	cm->object.id = le64_to_cpu(resp->cm);
	ret = cm->object.id ? hyv_event_add(dev->hyv, &cm->object) : -EIO;
	if (ret && cm->object.id)
		hyv_cmd_undo(cmd);
	if (!ret) {
		iw->provider_data = cm;
		hyv_cm_notify(cm);
	}
out_cmd:
	hyv_cmd_put(cmd);
out:
	if (ret && cm)
		cm_put(cm);
	return ret;
}

/* requests that a listener has told of and that nobody has taken will not wait for ever */
static void limit_requests(struct hyv_ibdev *dev, u64 listener)
{
	struct hyv_cm *cm;

	spin_lock(&dev->cm_lock);
	list_for_each_entry(cm, &dev->cms, link)
		if (cm->listener == listener && READ_ONCE(cm->state) == HYV_CM_STATE_REQUESTED)
			queue_at_latest(cm, REQUEST_PATIENCE);
	spin_unlock(&dev->cm_lock);
}

/**
 * hyv_iw_destroy_listen() - hear of no more requests
 * @iw: iw_cm's
 *
 * Waits until the host does not listen any more. Return: 0.
 */
int hyv_iw_destroy_listen(struct iw_cm_id *iw)
{
	struct hyv_cm *cm = iw->provider_data;
	struct hyv_ibdev *dev = cm->dev;

	hyv_event_remove(dev->hyv, &cm->object);
	/* not locked: the work item holds the lock while there are requests */
	WRITE_ONCE(cm->state, HYV_CM_STATE_OVER);
	mutex_lock(&cm->lock);
	drop_question(cm);
	mutex_unlock(&cm->lock);
	/* now that nobody queues it: what is queued meanwhile would not be, and keep its reference */
	if (cancel_delayed_work_sync(&cm->work))
		cm_put(cm);
	limit_requests(dev, cm->object.id);
	hyv_cmd_destroy(iw->device, HYV_OP_CM_DESTROY, cm->object.id, NULL);
	cm_put(cm);
	return 0;
}

/* ---- queue pairs ---- */

/** hyv_cm_add_qp() - a new queue pair, which iw_cm can find. Return: 0 or a negative errno */
int hyv_cm_add_qp(struct hyv_qp *qp)
{
	struct hyv_ibdev *dev = to_hyv_ibdev(qp->ib.device);
	int ret;

	qp->uid = current_uid();
	qp->tgid = current->tgid;
	refcount_set(&qp->cm_refs, 1);
	init_completion(&qp->cm_over);
	if (!dev->netdev)
		return 0;
	ret = xa_insert_irq(&dev->qps, qp->ib.qp_num, qp, GFP_KERNEL);
	if (ret != -EBUSY)
		return ret;
	hyv_err_limited(dev->hyv, "the host gives two queue pairs the number %u\n", qp->ib.qp_num);
	return -EIO;
}

/** hyv_cm_hide_qp() - @qp will be destroyed: its number may be another's soon */
void hyv_cm_hide_qp(struct hyv_qp *qp)
{
	struct hyv_ibdev *dev = to_hyv_ibdev(qp->ib.device);

	if (dev->netdev)
		xa_erase_irq(&dev->qps, qp->ib.qp_num);
}

static struct hyv_cm *get_cm(struct hyv_qp *qp)
{
	struct hyv_ibdev *dev = to_hyv_ibdev(qp->ib.device);
	struct hyv_cm *cm;

	spin_lock(&dev->cm_lock);
	cm = qp->cm;
	if (cm)
		refcount_inc(&cm->ref);
	spin_unlock(&dev->cm_lock);
	return cm;
}

/** hyv_cm_remove_qp() - @qp is destroyed: its connection ends, and iw_cm lets go of it. Waits */
void hyv_cm_remove_qp(struct hyv_qp *qp)
{
	struct hyv_ibdev *dev = to_hyv_ibdev(qp->ib.device);
	struct hyv_cm *cm;

	spin_lock(&dev->cm_lock);
	qp->gone = true;
	spin_unlock(&dev->cm_lock);
	cm = get_cm(qp);
	if (cm) {
		mutex_lock(&cm->lock);
		end(cm, -ECONNRESET, NULL);
		mutex_unlock(&cm->lock);
		cm_put(cm);
	}
	hyv_iw_rem_ref(&qp->ib);
	wait_for_completion(&qp->cm_over);
}

/* iw_cm ends a connection */
static void disconnect(struct hyv_qp *qp)
{
	struct hyv_cm *cm = get_cm(qp);

	if (!cm)
		return;
	hyv_cmd_destroy(qp->ib.device, HYV_OP_CM_DISCONNECT, cm->object.id, NULL);
	cm_put(cm);
}

/**
 * hyv_cm_modify_qp() - see to what rdma_cm does to a queue pair, itself or through an application
 * @qp: the queue pair
 * @attr: what is to become of it
 * @mask: which of @attr; IB_QP_PKEY_INDEX may be added
 * @is_user: it comes from an application
 *
 * rdma_cm's datagrams end here: iw_cm has none, and the host would call their attributes wrong.
 * Waits. Return: 1 if that was all; 0 if it is for the host; or -EOPNOTSUPP.
 */
int hyv_cm_modify_qp(struct hyv_qp *qp, const struct ib_qp_attr *attr, int *mask, bool is_user)
{
	struct hyv_ibdev *dev = to_hyv_ibdev(qp->ib.device);

	if (!dev->netdev)
		return 0;
	if (!is_user) {
		if (*mask & IB_QP_STATE &&
		    (attr->qp_state == IB_QPS_SQD || attr->qp_state == IB_QPS_ERR))
			disconnect(qp);
		return 1;
	}
	if (hyv_is_iwarp(dev))
		return 0;
	if (*mask == IW_INIT_MASK && attr->qp_state == IB_QPS_INIT) {
		if (qp->ib.qp_type == IB_QPT_UD)
			return -EOPNOTSUPP;
		*mask |= IB_QP_PKEY_INDEX; /* what iWARP does not have, and index 0 is right */
	} else if (*mask == IW_INIT_MASK && attr->qp_state == IB_QPS_RTR) {
		qp->cm_ready = true;
		return 1;
	}
	return *mask == IW_RTS_MASK && qp->cm_ready;
}

/**
 * hyv_iw_get_qp() - find a queue pair by number
 * @ib: device
 * @num: number
 *
 * Called with iw_cm's lock held, under which hyv_iw_add_ref() comes next; so that the queue pair
 * does not go in between, the reference is taken here. One that has a connection already is not
 * found: iw_cm does not survive that a request is accepted twice. Return: the queue pair or NULL.
 */
struct ib_qp *hyv_iw_get_qp(struct ib_device *ib, int num)
{
	struct hyv_ibdev *dev = to_hyv_ibdev(ib);
	struct hyv_qp *qp;
	unsigned long flags;

	xa_lock_irqsave(&dev->qps, flags);
	qp = xa_load(&dev->qps, num);
	if (qp && READ_ONCE(qp->cm))
		qp = NULL;
	if (qp)
		refcount_inc(&qp->cm_refs);
	xa_unlock_irqrestore(&dev->qps, flags);
	return qp ? &qp->ib : NULL;
}

/** hyv_iw_add_ref() - see hyv_iw_get_qp() */
void hyv_iw_add_ref(struct ib_qp *ib)
{
}

/** hyv_iw_rem_ref() - iw_cm lets go of a queue pair; any context */
void hyv_iw_rem_ref(struct ib_qp *ib)
{
	struct hyv_qp *qp = to_hyv_qp(ib);

	if (refcount_dec_and_test(&qp->cm_refs))
		complete(&qp->cm_over);
}

/* ---- the device ---- */

/** hyv_cm_init() - a new device */
void hyv_cm_init(struct hyv_ibdev *dev)
{
	xa_init_flags(&dev->qps, XA_FLAGS_LOCK_IRQ);
	spin_lock_init(&dev->cm_lock);
	INIT_LIST_HEAD(&dev->cms);
	init_waitqueue_head(&dev->cms_gone);
}

/**
 * hyv_cm_close() - a device will be unregistered
 * @dev: the device
 *
 * iw_cm, which waits for the ends of connections, hears of them now, and there are no new ones.
 * Waits.
 */
void hyv_cm_close(struct hyv_ibdev *dev)
{
	struct hyv_cm *cm;

	for (;;) {
		spin_lock(&dev->cm_lock);
		dev->cm_closed = true;
		cm = list_first_entry_or_null(&dev->cms, struct hyv_cm, link);
		if (cm)
			refcount_inc(&cm->ref);
		spin_unlock(&dev->cm_lock);
		if (!cm)
			return;
		mutex_lock(&cm->lock);
		end(cm, -ECONNRESET, NULL);
		mutex_unlock(&cm->lock);
		cm_put(cm);
	}
}

/** hyv_cm_exit() - a device is unregistered: no work item uses it any more. Waits */
void hyv_cm_exit(struct hyv_ibdev *dev)
{
	wait_event(dev->cms_gone, !atomic_read(&dev->num_cms));
	xa_destroy(&dev->qps);
}
