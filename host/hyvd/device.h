/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A host RDMA device that the VM may use: see device.c */
#ifndef HYVD_DEVICE_H
#define HYVD_DEVICE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
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
 * @index: the guest's number for it
 * @info: what netlink told of it at start
 * @num_comp_vectors: completion vectors, told when a context was opened
 * @own: hyvd's own context on it, for queries and for events of ports
 * @port_events: events of port i + 1
 * @gids: the guest's GID tables, if the VM has addresses on the device and it is no iWARP one; else
 *        NULL, and they are the host's
 */
struct device {
	char name[NAME_MAX + 1];
	char uverbs_path[PATH_MAX];
	uint32_t index;
	const struct hyv_provider *provider;
	struct netlink_rdma_device info;
	uint32_t num_comp_vectors;
	struct context *own;
	struct event_source port_events[DEVICE_MAX_PORTS];
	struct gid_map *gids;
};

struct vm;

/** device_is_iwarp() - Return: whether connections make and move the device's QPs, not paths */
static inline bool device_is_iwarp(const struct device *dev)
{
	return dev->info.node_type == RDMA_NODE_RNIC;
}

/**
 * device_open() - take a host device into use
 * @vm: the VM, which it is added to
 * @name: name of the host's RDMA device
 *
 * Return: 0, or a negative errno after a message that says what is wrong and what to do.
 */
int device_open(struct vm *vm, const char *name);

/** device_close() - the opposite; no object of the guest is left on it */
void device_close(struct vm *vm, struct device *dev);

/** device_find() - Return: the device of a request, or NULL if there is none or @reserved is not 0 */
struct device *device_find(const struct cmd *cmd, __le32 index, __le32 reserved);

int get_device_exec(struct cmd *cmd);
int query_device_exec(struct cmd *cmd);
int query_port_exec(struct cmd *cmd);
int query_gid_exec(struct cmd *cmd);
int query_pkey_exec(struct cmd *cmd);

#endif
