/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The vhost-user device that QEMU sees: see vu_dev.c */
#ifndef HYVD_VU_DEV_H
#define HYVD_VU_DEV_H

#include <stdint.h>
#include <systemd/sd-event.h>
#include "gmem.h"
#include "vring.h"

/**
 * struct vu_dev_ops - what vu_dev calls, always on the event loop's thread
 * @kick: the guest notified ring @queue; or it may have before the ring started, once after each
 *         start
 * @stop: the rings stop (reset, reboot, shutdown of the guest, or a pause of the VM, which looks
 *         the same): forget every chain; after it none may be pushed
 * @window_live: end of a vu_dev_map_window() that no stop overtook: 0 when the guest sees the
 *         window, or a negative errno
 * @disconnect: QEMU is gone, after @stop if rings ran
 *
 * None of them may destroy the device.
 */
struct vu_dev_ops {
	void (*kick)(void *arg, unsigned int queue);
	void (*stop)(void *arg);
	void (*window_live)(void *arg, int error);
	void (*disconnect)(void *arg);
};

/**
 * struct vu_dev_setup - what the device is
 * @listen_fd: listening UNIX stream socket; one connection is accepted from it; still the caller's
 * @num_queues: virtqueues
 * @polled_queues: bit n: the caller itself waits for notifications of queue n, by vu_dev_kick_fd()
 * @config: configuration space, copied
 * @window_size: bytes of shared-memory region 0, a power of two
 */
struct vu_dev_setup {
	int listen_fd;
	unsigned int num_queues;
	unsigned int polled_queues;
	const void *config;
	uint32_t config_len;
	uint64_t window_size;
};

struct vu_dev;

/**
 * vu_dev_create() - a device that waits for QEMU
 *
 * Return: 0 or a negative errno. @arg is handed to the ops; @gm outlives the device.
 */
int vu_dev_create(struct vu_dev **out, sd_event *loop, const struct vu_dev_setup *setup,
		  struct gmem *gm, const struct vu_dev_ops *ops, void *arg);

void vu_dev_destroy(struct vu_dev *dev);

/** vu_dev_vring() - Return: ring @queue, valid as long as the device */
struct vring *vu_dev_vring(struct vu_dev *dev, unsigned int queue);

/** vu_dev_kick_fd() - Return: what gets readable when the guest notifies a polled queue, -1 now if none */
int vu_dev_kick_fd(const struct vu_dev *dev, unsigned int queue);

/** vu_dev_kicked() - it is readable: calls ops->kick */
void vu_dev_kicked(struct vu_dev *dev, unsigned int queue);

/**
 * vu_dev_map_window() - have QEMU map a file as the whole of shared-memory region 0
 * @dev: device whose rings run; call it once after each start
 * @fd: file to map from offset 0 for the region's size; still the caller's
 *
 * Return: 0 and a later ops->window_live(); -EOPNOTSUPP when QEMU has no shared-memory support
 * (logged with the remedy); -EAGAIN when the rings do not run; -EALREADY when it is under way or
 * done since the last start.
 */
int vu_dev_map_window(struct vu_dev *dev, int fd);

#endif
