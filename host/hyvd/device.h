/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A host RDMA device that the VM may use: see device.c */
#ifndef HYVD_DEVICE_H
#define HYVD_DEVICE_H

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <hyv/provider.h>
#include <rdma/rdma_netlink.h>
#include "netlink.h"
#include "objtab.h"

#define DEVICE_MAX_PORTS 4

struct cmd;
struct gid_map;

/**
 * struct device - one host device
 * @name: the host's, e.g. rxe0
 * @uverbs_path: its /dev/infiniband/uverbsN
 * @id: the guest's number for it, never another's
 * @slot: which it is in
 * @refs: of its slot, of each context and CM id of the guest on it and of each command about it;
 *         guarded by the VM's lock
 * @is_going: the guest gets nothing new on it. It has left its slot.
 * @info: what netlink told of it at start
 * @num_comp_vectors: completion vectors, told when a context was opened
 * @own: hyvd's own context on it, for queries and for events of ports
 * @port_events: events of port i + 1
 * @has_addresses: the VM has addresses of its own on it, or had: set before the guest can find it
 * @gids: the guest's GID tables, with @has_addresses and if it is no iWARP one; else NULL, and they are
 *        the host's
 * @gone: in hotplug.c's list, at the end
 */
struct device {
	char name[NAME_MAX + 1];
	char uverbs_path[PATH_MAX];
	uint32_t id;
	uint32_t slot;
	unsigned int refs;
	atomic_bool is_going;
	const struct hyv_provider *provider;
	struct netlink_rdma_device info;
	uint32_t num_comp_vectors;
	struct context *own;
	struct event_source port_events[DEVICE_MAX_PORTS];
	bool has_addresses;
	struct gid_map *gids;
	STAILQ_ENTRY(device) gone;
};

struct vm;

/** device_is_iwarp() - Return: whether connections make and move the device's QPs, not paths */
static inline bool device_is_iwarp(const struct device *dev)
{
	return dev->info.node_type == RDMA_NODE_RNIC;
}

/**
 * device_open() - open a host device, which the guest cannot find yet. Any thread.
 * @name: name of the host's RDMA device
 * @out: for device_plug() or device_put()
 *
 * Return: 0, or a negative errno after a message that says what is wrong and what to do.
 */
int device_open(struct vm *vm, const char *name, struct device **out);

/**
 * device_check() - whether the user that hyvd is by now may open a device for the guest's processes
 *
 * Return: 0, or a negative errno after a message that says what is wrong and what to do.
 */
int device_check(const struct device *dev);

/**
 * device_plug() - put a device into a slot, which has the caller's reference from now on
 *
 * Event loop. Return: 0, or a negative errno after a message.
 */
int device_plug(struct vm *vm, struct device *dev);

/**
 * device_unplug() - take a device, and the VM's addresses on it, from the guest. What is left on it
 * keeps it open. Event loop.
 */
void device_unplug(struct vm *vm, struct device *dev);

/** device_named() - Return: the device of that name in a slot, or NULL. Event loop. */
struct device *device_named(const struct vm *vm, const char *name);

/** device_in_slot() - Return: the device in a slot, with a reference, or NULL. Any thread. */
struct device *device_in_slot(struct vm *vm, uint32_t slot);

/** device_hold(), device_put() - a reference more, one less; any thread. The last ends in hotplug_gone() */
void device_hold(struct vm *vm, struct device *dev);
void device_put(struct vm *vm, struct device *dev);

/** device_free() - the memory of one that is closed */
void device_free(struct device *dev);

/**
 * device_find() - find the device of a request
 *
 * Return: 0, and it is in @cmd->device until the command is answered; -ENODEV; -EINVAL when @reserved
 * is not 0.
 */
int device_find(struct cmd *cmd, __le32 id, __le32 reserved);

int get_device_exec(struct cmd *cmd);
int query_device_exec(struct cmd *cmd);
int query_port_exec(struct cmd *cmd);
int query_gid_exec(struct cmd *cmd);
int query_pkey_exec(struct cmd *cmd);

#endif
