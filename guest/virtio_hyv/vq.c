// SPDX-License-Identifier: GPL-2.0
/*
 * The virtqueues: the only file that touches them.
 *
 * Control: any context adds a command under hyv->lock; the interrupt takes answers out under the
 * same lock. Event: buffers circulate in the interrupt, or in a work item when there is no end of them.
 * Doorbell: never holds a buffer, its notification is all.
 */
#include <linux/slab.h>
#include <linux/virtio_ring.h>

#include "virtio_hyv.h"

/* sg entries of the longest chain: request, tail, answer */
#define MAX_CHAIN	(2 + HYV_TAIL_MAX / PAGE_SIZE)

/* events at once: buffers that go back are filled again, so a daemon could keep it up */
#define EVENTS_AT_ONCE	256

static void control_interrupt(struct virtqueue *vq)
{
	struct hyv_dev *hyv = vq->vdev->priv;
	struct hyv_cmd *cmd;
	unsigned long flags;
	unsigned int used;

	spin_lock_irqsave(&hyv->lock, flags);
	do {
		virtqueue_disable_cb(vq);
		while ((cmd = virtqueue_get_buf(vq, &used)))
			hyv_cmd_answered(cmd, used);
	} while (!virtqueue_enable_cb(vq));
	spin_unlock_irqrestore(&hyv->lock, flags);
	hyv_cmd_flush(hyv);
}

static int add_event_buffer(struct virtqueue *vq, struct hyv_event *event)
{
	struct scatterlist sg;

	memset(event, 0, sizeof(*event));
	sg_init_one(&sg, event, sizeof(*event));
	return virtqueue_add_inbuf(vq, &sg, 1, event, GFP_ATOMIC);
}

static void take_events(struct virtqueue *vq)
{
	struct hyv_dev *hyv = vq->vdev->priv;
	unsigned int used, left = EVENTS_AT_ONCE;
	struct hyv_event *buffer, event;
	bool kick, returned = false;
	unsigned long flags;

	spin_lock_irqsave(&hyv->event_lock, flags);
	do {
		virtqueue_disable_cb(vq);
		while (left && (buffer = virtqueue_get_buf(vq, &used))) {
			left--;
			event = *buffer;
			/* a ring that gave a buffer has room for it, unless it broke */
			returned |= !add_event_buffer(vq, buffer);
			if (used == sizeof(event))
				hyv_event_handle(hyv, &event);
			else
				hyv_err_limited(hyv, "the host sent an event of %u bytes\n", used);
		}
	} while (left && !virtqueue_enable_cb(vq));
	if (!left)
		queue_work(hyv->wq, &hyv->event_work);
	kick = returned && virtqueue_kick_prepare(vq);
	spin_unlock_irqrestore(&hyv->event_lock, flags);
	if (kick)
		virtqueue_notify(vq);
}

/**
 * hyv_vq_take_events() - go on where an interrupt stopped, which has left the queue's interrupts off
 * @work: struct hyv_dev.event_work
 */
void hyv_vq_take_events(struct work_struct *work)
{
	take_events(container_of(work, struct hyv_dev, event_work)->vqs[HYV_VQ_EVENT]);
}

/**
 * hyv_vq_init() - find the queues and hand out the event buffers; the device may be made ready next
 * @hyv: new device
 *
 * Return: 0 or a negative errno; on failure nothing is left behind.
 */
int hyv_vq_init(struct hyv_dev *hyv)
{
	struct virtqueue_info info[HYV_NUM_VQS] = {
		[HYV_VQ_CONTROL] = { "control", control_interrupt },
		[HYV_VQ_EVENT] = { "event", take_events },
		[HYV_VQ_DOORBELL] = { "doorbell" },
	};
	unsigned int i, num;
	int ret;

	ret = virtio_find_vqs(hyv->vdev, HYV_NUM_VQS, hyv->vqs, info, NULL);
	if (ret) {
		hyv_err(hyv, "no virtqueues (%d)\n", ret);
		return ret;
	}

	num = virtqueue_get_vring_size(hyv->vqs[HYV_VQ_CONTROL]);
	if (num < MAX_CHAIN && !virtio_has_feature(hyv->vdev, VIRTIO_RING_F_INDIRECT_DESC)) {
		hyv_err(hyv, "queues of %u entries are too short; give the device vq_size=%u or more\n",
			num, (unsigned int)roundup_pow_of_two(MAX_CHAIN));
		ret = -EINVAL;
		goto err_del_vqs;
	}

	num = virtqueue_get_vring_size(hyv->vqs[HYV_VQ_EVENT]);
	hyv->events = kcalloc(num, sizeof(*hyv->events), GFP_KERNEL);
	if (!hyv->events) {
		ret = -ENOMEM;
		goto err_del_vqs;
	}
	for (i = 0; i < num; i++) {
		ret = add_event_buffer(hyv->vqs[HYV_VQ_EVENT], &hyv->events[i]);
		if (ret)
			goto err_del_vqs;
	}
	return 0;

err_del_vqs:
	hyv_vq_exit(hyv);
	return ret;
}

/** hyv_vq_exit() - give the queues back. The device has been reset, or was never made ready. */
void hyv_vq_exit(struct hyv_dev *hyv)
{
	hyv->vdev->config->del_vqs(hyv->vdev);
	kfree(hyv->events);
}

/**
 * hyv_vq_add() - put a command on the ring
 * @hyv: device, locked
 * @cmd: the command; while it is on the ring it must stay as it is
 *
 * Return: 0, or a negative errno when there is no room now.
 */
int hyv_vq_add(struct hyv_dev *hyv, struct hyv_cmd *cmd)
{
	struct scatterlist req, resp, *sgs[3];
	unsigned int out = 0;

	lockdep_assert_held(&hyv->lock);
	sg_init_one(&req, cmd->buf, cmd->req_len);
	sg_init_one(&resp, cmd->wire, cmd->resp_len);
	sgs[out++] = &req;
	if (cmd->op == HYV_OP_REG_MR || (cmd->op == HYV_OP_REREG_MR && cmd->mem))
		sgs[out++] = cmd->mem->tail.sgl;
	sgs[out] = &resp;
	return virtqueue_add_sgs(hyv->vqs[HYV_VQ_CONTROL], sgs, out, 1, cmd, GFP_ATOMIC);
}

/** hyv_vq_kick_prepare() - whether the host wants to hear of what was added; @hyv is locked */
bool hyv_vq_kick_prepare(struct hyv_dev *hyv)
{
	lockdep_assert_held(&hyv->lock);
	return virtqueue_kick_prepare(hyv->vqs[HYV_VQ_CONTROL]);
}

/** hyv_vq_kick() - tell the host of new commands; better without the lock, since it exits */
void hyv_vq_kick(struct hyv_dev *hyv)
{
	virtqueue_notify(hyv->vqs[HYV_VQ_CONTROL]);
}

/** hyv_vq_wake() - wake a daemon that sleeps over its doorbells; any context */
void hyv_vq_wake(struct hyv_dev *hyv)
{
	virtqueue_notify(hyv->vqs[HYV_VQ_DOORBELL]);
}

/** hyv_vq_broken() - whether the host has written nonsense into a ring, so that nothing works */
bool hyv_vq_broken(struct hyv_dev *hyv)
{
	return virtqueue_is_broken(hyv->vqs[HYV_VQ_CONTROL]) ||
	       virtqueue_is_broken(hyv->vqs[HYV_VQ_EVENT]);
}
