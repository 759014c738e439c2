/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What vu_dev.c and vu_queue.c share, and nobody else includes */
#ifndef HYVD_VU_DEV_PRIV_H
#define HYVD_VU_DEV_PRIV_H

#include <stdbool.h>

#include "vring_setup.h"
#include "vu_dev.h"
#include "vu_msg.h"
#include "vu_window.h"

/**
 * struct queue - what the device knows of a ring, beside the ring itself
 * @kick_fd, @kick_source: eventfd the guest's notifications arrive on, or -1 and NULL
 * @started: runs, or did until its driver broke it
 * @kick_due: ops->kick is owed because the ring has just started
 */
struct queue {
	struct vu_dev *dev;
	unsigned int index;
	struct vring *vring;
	int kick_fd;
	sd_event_source *kick_source;
	bool enabled;
	bool started;
	bool kick_due;
};

/**
 * struct vu_dev - the device; belongs to the event loop's thread
 * @accept_source: waits for QEMU; NULL once it was there
 * @conn: the main socket, or -1
 * @partial_timer: runs while a message is incomplete
 * @progress_timer, @complaint: what to log if QEMU does not get on with its start-up in time
 * @start_source: one-shot, calls ops->kick of rings that have just started
 * @polled_queues: as in struct vu_dev_setup
 * @running: at least one queue is started; ops->stop is owed
 */
struct vu_dev {
	sd_event *loop;
	struct vu_dev_ops ops;
	void *arg;
	struct gmem *gm;
	struct vu_window *window;
	sd_event_source *accept_source;
	int conn;
	sd_event_source *conn_source;
	sd_event_source *partial_timer;
	sd_event_source *progress_timer;
	const char *complaint;
	sd_event_source *start_source;
	struct vu_rx rx;
	uint64_t window_size;
	uint8_t config[VU_MAX_CONFIG];
	uint64_t features;
	uint64_t protocol_features;
	bool running;
	unsigned int polled_queues;
	unsigned int num_queues;
	struct queue queues[];
};

/**
 * vu_queues_init() - make the event source that calls ops->kick at a start
 *
 * Return: 0 or a negative errno
 */
int vu_queues_init(struct vu_dev *dev);

/**
 * vu_queues_start() - start the rings that are ready and not started
 *
 * Return: 0 or the negative errno of the last one that cannot start
 */
int vu_queues_start(struct vu_dev *dev);

/** vu_queues_stop() - stop all rings and tell the owner, if any runs */
void vu_queues_stop(struct vu_dev *dev);

/**
 * vu_queue_set_kick() - listen to another eventfd, from now on owned
 *
 * Return: 0 or a negative errno, and then the ring has none
 */
int vu_queue_set_kick(struct queue *q, int fd);

/** vu_queue_drop_kick() - listen to none; what runs goes on, but cannot start again without */
void vu_queue_drop_kick(struct queue *q);

#endif
