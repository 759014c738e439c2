/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one VM that a hyvd serves, and what its parts share */
#ifndef HYVD_VM_H
#define HYVD_VM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>
#include "context.h"
#include "device.h"
#include "doorbell.h"
#include "event.h"
#include "gid.h"
#include "gmem.h"
#include "limit.h"
#include "objtab.h"
#include "pool.h"
#include "stats.h"
#include "vu_dev.h"
#include "window.h"

struct cm;
struct cmd;
struct control;
struct dispatch;
struct gidwatch;
struct hotplug;

/**
 * struct vm - everything that belongs to the VM
 * @name: the operator's name for it
 * @socket: where QEMU connects
 * @life: secret number that tells the guest that this daemon lives
 * @lock: guards @devices, struct device.refs, @addresses and @next_address_id
 * @devices: the host devices it may use, by slot; NULL in an empty one. The event loop's thread alone
 *         changes them.
 * @next_device_id: counts the devices that were opened
 * @addresses: addresses of the host that are the VM's, @num_addresses of them
 * @next_address_id: counts the addresses that the VM was given
 * @ud: whether it may send datagrams
 * @cm: connections; NULL without addresses when the host's rdma_cm cannot be opened
 * @num_contexts: uverbs contexts of the guest that are open
 * @dying: those of them that will not be for long
 * @limits: what it may have and has
 * @stats: what it asked for
 * @window_is_live: the guest sees the window since the rings were started last
 * @hello: the HYV_OP_HELLO that waits for the window, or NULL
 *
 * The event loop's thread alone touches @stats, @window_is_live and @hello.
 */
struct vm {
	sd_event *loop;
	struct gmem *gmem;
	struct vu_dev *vu;
	struct objtab *objtab;
	struct window *window;
	struct doorbell *doorbell;
	struct event *event;
	struct dispatch *dispatch;
	struct pool *pool;
	struct control *control;
	struct hotplug *hotplug;
	struct gidwatch *gidwatch;
	const char *name;
	const char *socket;
	pthread_mutex_t lock; /* see above */
	struct device *devices[HYV_MAX_DEVICES];
	atomic_uint next_device_id;
	struct address addresses[VM_MAX_ADDRESSES];
	unsigned int num_addresses;
	uint32_t next_address_id;
	enum ud ud;
	struct cm *cm;
	atomic_uint num_contexts;
	struct dying dying;
	struct limits limits;
	struct stats stats;
	uint64_t life;
	uint64_t window_size;
	bool window_is_live;
	struct cmd *hello;
};

#endif
