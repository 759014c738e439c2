// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The life of the vhost-user device's rings: when they start and stop, and the guest's
 * notifications. vu_dev.c hears from QEMU what should be and calls this; what happens on a ring
 * that runs goes through ops->kick to the dispatcher.
 *
 * DOC: when rings run
 *
 * A ring is ready when it has a kick descriptor and is enabled (or VHOST_USER_F_PROTOCOL_FEATURES
 * was not negotiated, then there is no enabling). It starts as soon as it is ready. The device has
 * one life for all of its rings: as soon as one that runs is disabled, asked for its base or reset,
 * all stop, ops->stop is called, and only then QEMU gets its answer. The next ring that becomes
 * ready starts all that are. QEMU stops the rings when the guest resets the device, and also when
 * it pauses the VM; here the two look the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "log.h"
#include "vu_dev_priv.h"

static bool queue_ready(const struct vu_dev *dev, const struct queue *q)
{
	return q->kick_fd >= 0 && (q->enabled || !(dev->features & 1ull << VU_F_PROTOCOL_FEATURES));
}

int vu_queues_start(struct vu_dev *dev)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < dev->num_queues; i++) {
		struct queue *q = &dev->queues[i];
		int ret;

		if (q->started || !queue_ready(dev, q))
			continue;
		ret = vring_start(q->vring, dev->features);
		if (ret) {
			log_guest("ring %u cannot start: %s", i, strerror(-ret));
			err = ret;
			continue;
		}
		q->started = true;
		q->kick_due = true;
		dev->running = true;
		if (q->kick_source)
			sd_event_source_set_enabled(q->kick_source, SD_EVENT_ON);
		sd_event_source_set_enabled(dev->start_source, SD_EVENT_ONESHOT);
	}
	return err;
}

void vu_queues_stop(struct vu_dev *dev)
{
	unsigned int i;

	if (!dev->running)
		return;
	for (i = 0; i < dev->num_queues; i++) {
		struct queue *q = &dev->queues[i];

		vring_stop(q->vring);
		q->started = false;
		q->kick_due = false;
		if (q->kick_source)
			sd_event_source_set_enabled(q->kick_source, SD_EVENT_OFF);
	}
	dev->running = false;
	vu_window_stop(dev->window);
	dev->ops.stop(dev->arg);
}

/* Rings have just started: the guest may have notified them before anyone listened. */
static int on_start(sd_event_source *source, void *arg)
{
	struct vu_dev *dev = arg;
	unsigned int i;

	(void)source;
	for (i = 0; i < dev->num_queues; i++) {
		if (!dev->queues[i].kick_due)
			continue;
		dev->queues[i].kick_due = false;
		dev->ops.kick(dev->arg, i);
	}
	return 0;
}

/* The guest has notified a ring. */
static void take_kick(struct queue *q)
{
	uint64_t count;
	ssize_t n = read(q->kick_fd, &count, sizeof(count));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == sizeof(count)) {
		q->dev->ops.kick(q->dev->arg, q->index);
	} else {
		log_guest("kick descriptor of ring %u is no eventfd; it is ignored", q->index);
		vu_queue_drop_kick(q);
	}
}

static int on_kick(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	(void)source;
	(void)fd;
	(void)revents;
	take_kick(arg);
	return 0;
}

int vu_dev_kick_fd(const struct vu_dev *dev, unsigned int queue)
{
	return dev->queues[queue].started ? dev->queues[queue].kick_fd : -1;
}

void vu_dev_kicked(struct vu_dev *dev, unsigned int queue)
{
	take_kick(&dev->queues[queue]);
}

void vu_queue_drop_kick(struct queue *q)
{
	q->kick_source = sd_event_source_disable_unref(q->kick_source);
	if (q->kick_fd >= 0)
		close(q->kick_fd);
	q->kick_fd = -1;
}

int vu_queue_set_kick(struct queue *q, int fd)
{
	int err = 0;

	vu_queue_drop_kick(q);
	q->kick_fd = fd;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		err = -errno;
	if (!err && !(q->dev->polled_queues & 1u << q->index))
		err = sd_event_add_io(q->dev->loop, &q->kick_source, fd, EPOLLIN, on_kick, q);
	if (err < 0) {
		vu_queue_drop_kick(q);
		return err;
	}
	if (q->kick_source)
		sd_event_source_set_enabled(q->kick_source,
					    q->started ? SD_EVENT_ON : SD_EVENT_OFF);
	return 0;
}

int vu_queues_init(struct vu_dev *dev)
{
	int err = sd_event_add_defer(dev->loop, &dev->start_source, on_start, dev);

	if (err < 0)
		return err;
	return sd_event_source_set_enabled(dev->start_source, SD_EVENT_OFF);
}
