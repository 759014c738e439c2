// SPDX-License-Identifier: GPL-2.0
/*
 * Events: what the host says by itself, handed to those whom it concerns.
 *
 * Handlers run in the interrupt, under the lock of the object table: once an object has been taken
 * out of it, none of its handlers runs any more. An event of an object that is gone is late, and
 * ignored. An event that cannot be, since the same one was told already, is ignored too: what is told
 * costs memory until the application reads it.
 */
#include "virtio_hyv.h"

/**
 * hyv_event_add() - let an object have events: the last step of its creation
 * @hyv: device
 * @object: stays until hyv_event_remove()
 *
 * Sleeps. Return: 0; -ENOMEM; -EIO if the host has given the same id twice.
 */
int hyv_event_add(struct hyv_dev *hyv, struct hyv_object *object)
{
	int ret = xa_insert_irq(&hyv->objects, object->id, object, GFP_KERNEL);

	if (ret != -EBUSY)
		return ret;
	hyv_err_limited(hyv, "the host names two objects %#llx\n", object->id);
	return -EIO;
}

/**
 * hyv_event_created() - as hyv_udata_created(), for an object that has events from then on
 * @cmd: as there
 * @udata: as there
 * @object: stays until hyv_event_remove()
 * @type: what it is part of
 *
 * Sleeps. Return: 0; or a negative errno, and the host has been told to destroy it.
 */
int hyv_event_created(struct hyv_cmd *cmd, struct ib_udata *udata, struct hyv_object *object,
		      enum hyv_object_type type)
{
	int ret = hyv_udata_created(cmd, udata, &object->id);

	if (ret)
		return ret;
	object->type = type;
	ret = hyv_event_add(cmd->hyv, object);
	if (ret)
		hyv_cmd_undo(cmd);
	return ret;
}

/** hyv_event_remove() - an object's end: when this returns, none of its handlers runs */
void hyv_event_remove(struct hyv_dev *hyv, struct hyv_object *object)
{
	xa_erase_irq(&hyv->objects, object->id);
}

static bool is_qp_event(enum ib_event_type type)
{
	switch (type) {
	case IB_EVENT_QP_FATAL:
	case IB_EVENT_QP_REQ_ERR:
	case IB_EVENT_QP_ACCESS_ERR:
	case IB_EVENT_COMM_EST:
	case IB_EVENT_SQ_DRAINED:
	case IB_EVENT_PATH_MIG:
	case IB_EVENT_PATH_MIG_ERR:
	case IB_EVENT_QP_LAST_WQE_REACHED:
		return true;
	default:
		return false;
	}
}

static bool is_device_event(enum ib_event_type type)
{
	switch (type) {
	case IB_EVENT_DEVICE_FATAL:
	case IB_EVENT_PORT_ACTIVE:
	case IB_EVENT_PORT_ERR:
	case IB_EVENT_LID_CHANGE:
	case IB_EVENT_PKEY_CHANGE:
	case IB_EVENT_SM_CHANGE:
	case IB_EVENT_CLIENT_REREGISTER:
	case IB_EVENT_GID_CHANGE:
		return true;
	default:
		return false;
	}
}

/*
 * Whether the host has cause to tell of a completion. ib_uverbs keeps each event until it is read, so
 * that one per arming is all that there may be.
 */
static bool is_armed(struct hyv_cq *cq)
{
	u32 flags = to_hyv_ibdev(cq->ib.device)->provider->flags;

	return !(flags & HYV_PROVIDER_REQ_NOTIFY) || atomic_dec_if_positive(&cq->armed) >= 0;
}

/* Return: false for an event that makes no sense */
static bool tell_cq(struct hyv_cq *cq, u32 type, u32 code)
{
	struct ib_event event = { .device = cq->ib.device, .event = code, .element.cq = &cq->ib };

	if (type == HYV_EVENT_COMPLETION) {
		if (is_armed(cq) && cq->ib.comp_handler)
			cq->ib.comp_handler(&cq->ib, cq->ib.cq_context);
		return true;
	}
	if (code != IB_EVENT_CQ_ERR)
		return false;
	if (!test_and_set_bit(code, &cq->object.told) && cq->ib.event_handler)
		cq->ib.event_handler(&event, cq->ib.cq_context);
	return true;
}

static bool tell_qp(struct hyv_qp *qp, u32 type, u32 code)
{
	struct ib_event event = { .device = qp->ib.device, .event = code, .element.qp = &qp->ib };

	if (type != HYV_EVENT_ASYNC || !is_qp_event(code))
		return false;
	if (!test_and_set_bit(code, &qp->object.told) && qp->ib.event_handler)
		qp->ib.event_handler(&event, qp->ib.qp_context);
	return true;
}

static bool tell_srq(struct hyv_srq *srq, u32 type, u32 code)
{
	struct ib_event event = { .device = srq->ib.device, .event = code,
				  .element.srq = &srq->ib };

	if (type != HYV_EVENT_ASYNC ||
	    (code != IB_EVENT_SRQ_ERR && code != IB_EVENT_SRQ_LIMIT_REACHED))
		return false;
	if (!test_and_set_bit(code, &srq->object.told) && srq->ib.event_handler)
		srq->ib.event_handler(&event, srq->ib.srq_context);
	return true;
}

static bool tell_cm(struct hyv_cm *cm, u32 type)
{
	if (type != HYV_EVENT_CM)
		return false;
	hyv_cm_notify(cm);
	return true;
}

static bool tell_object(struct hyv_dev *hyv, u64 id, u32 type, u32 code)
{
	struct hyv_object *object;
	unsigned long flags;
	bool sense = true;

	xa_lock_irqsave(&hyv->objects, flags);
	object = xa_load(&hyv->objects, id);
	if (object && object->type == HYV_OBJECT_CQ)
		sense = tell_cq(container_of(object, struct hyv_cq, object), type, code);
	else if (object && object->type == HYV_OBJECT_SRQ)
		sense = tell_srq(container_of(object, struct hyv_srq, object), type, code);
	else if (object && object->type == HYV_OBJECT_CM)
		sense = tell_cm(container_of(object, struct hyv_cm, object), type);
	else if (object)
		sense = tell_qp(container_of(object, struct hyv_qp, object), type, code);
	xa_unlock_irqrestore(&hyv->objects, flags);
	return sense;
}

static bool tell_slot(struct hyv_dev *hyv, u32 slot)
{
	if (slot >= HYV_MAX_DEVICES)
		return false;
	set_bit(slot, hyv->changed);
	hyv_plug_soon(hyv);
	return true;
}

static struct hyv_ibdev *find_device(struct hyv_dev *hyv, u32 id)
{
	u32 slot;

	for (slot = 0; slot < HYV_MAX_DEVICES; slot++)
		if (hyv->devices[slot] && hyv->devices[slot]->id == id)
			return hyv->devices[slot];
	return NULL;
}

/*
 * Noted, and told later by hyv_ibdev_tell(): the core takes memory for each event that it is told of.
 * A port that was up and down is down.
 */
static bool tell_device(struct hyv_dev *hyv, u32 id, u32 type, u32 code, u32 port)
{
	struct hyv_ibdev *dev;
	unsigned long flags;

	if (type != HYV_EVENT_ASYNC || !is_device_event(code))
		return false;

	if (code == IB_EVENT_DEVICE_FATAL)
		port = 0;
	xa_lock_irqsave(&hyv->objects, flags);
	dev = find_device(hyv, id);
	if (dev && (code == IB_EVENT_DEVICE_FATAL || rdma_is_port_valid(&dev->ib, port))) {
		if (code == IB_EVENT_PORT_ERR)
			dev->port_events[port] &= ~BIT(IB_EVENT_PORT_ACTIVE);
		dev->port_events[port] |= BIT(code);
		hyv_plug_soon(hyv);
	}
	xa_unlock_irqrestore(&hyv->objects, flags);
	return true;
}

/**
 * hyv_event_handle() - hand one event on
 * @hyv: device
 * @event: private copy of what the host wrote
 *
 * Called in interrupts, in the order in which the host sent the events.
 */
void hyv_event_handle(struct hyv_dev *hyv, const struct hyv_event *event)
{
	u32 type = le32_to_cpu(event->type), code = le32_to_cpu(event->code);
	u64 id = le64_to_cpu(event->object);
	bool sense;

	if (id)
		sense = tell_object(hyv, id, type, code);
	else if (type == HYV_EVENT_DEVICE)
		sense = tell_slot(hyv, le32_to_cpu(event->device));
	else
		sense = tell_device(hyv, le32_to_cpu(event->device), type, code,
				    le32_to_cpu(event->port));
	if (!sense)
		hyv_err_limited(hyv, "the host sent an event of no sense: type %u, code %u\n",
				type, code);
}
