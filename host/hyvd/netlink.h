/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What only netlink tells of a host device, and of its netdev: see netlink.c */
#ifndef HYVD_NETLINK_H
#define HYVD_NETLINK_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct netlink_rdma_device - a host device as RDMA netlink describes it; @uverbs: e.g.
 * "uverbs0"
 */
struct netlink_rdma_device {
	char uverbs[NAME_MAX + 1];
	uint32_t index; /* the kernel's, which renaming does not change */
	uint32_t driver_id;
	uint32_t abi_version;
	uint64_t node_guid; /* host byte order */
	uint32_t node_type;
	uint32_t num_ports;
	char fw_version[32];
};

/**
 * netlink_find() - look a host device up
 * @name: its name
 * @dev: out
 * @known: out, when there is none of that name: the names there are, separated by blanks, or ""
 * @known_len: room in @known
 *
 * Return: 0; -ENODEV when there is none of that name; -ENOPROTOOPT when it has no user-space
 * interface (ib_uverbs not loaded); or another negative errno of the netlink socket.
 */
int netlink_find(const char *name, struct netlink_rdma_device *dev, char *known, size_t known_len);

/**
 * netlink_find_name() - the name of a host device, by name or node GUID
 * @name: its name, or NULL
 * @guid: its node GUID in host byte order, if @name is NULL
 * @found: out: its name, NAME_MAX + 1 bytes
 * @known: out: the devices there are, "NAME (GUID)" separated by commas, or ""
 *
 * Soft devices of two kinds on one netdev have the same GUID, which is the netdev's address.
 *
 * Return: 0; -ENODEV when there is none; -ENOTUNIQ when there are several; or another negative errno
 * of the netlink socket.
 */
int netlink_find_name(const char *name, uint64_t guid, char *found, char *known, size_t known_len);

/**
 * netlink_prefix_len() - the subnet of an address of a netdev
 * @ifindex: the netdev's
 * @ip: @len bytes, 4 or 16
 *
 * Any thread. The addresses of other netdevs cost no time. Return: the length of its prefix;
 * -EADDRNOTAVAIL when the netdev has no such address; or another negative errno.
 */
int netlink_prefix_len(uint32_t ifindex, const uint8_t *ip, size_t len);

#endif
