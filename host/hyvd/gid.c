// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Addresses of the VM, and the two GID tables. The operator gives the VM some of the addresses of
 * the host's RDMA netdev; the guest's kernel makes its GID table from what is on its own netdev, so
 * indices differ, and a GID in the guest's table need not be the VM's. Whatever names a GID by its
 * index is translated here, by value and type, and refused if the address is another's.
 *
 * Without addresses, and on iWARP devices, whose GIDs name nothing, the guest mirrors the host's
 * table, and nothing is translated.
 *
 * A datagram's source is named in its work request, which never comes here: whether the guest may send
 * any is one decision, gid_allows_ud().
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cmd.h"
#include "context.h"
#include "gid.h"
#include "log.h"
#include "netlink.h"

#define TABLE_MAX (UINT16_MAX / sizeof(struct ib_uverbs_gid_entry)) /* what one ioctl can bring */

/** struct guest_gid - an entry of the guest's table; all zeros: empty */
struct guest_gid {
	uint8_t gid[16];
	uint32_t type;
};

/**
 * struct gid_map - the guest's tables of a device
 * @lock: guards @entries
 * @entries: by port, counted from 0, and index
 */
struct gid_map {
	pthread_mutex_t lock;
	struct guest_gid entries[DEVICE_MAX_PORTS][HYV_NUM_GIDS];
};

const uint8_t gid_v4_prefix[12] = { [10] = 0xff, [11] = 0xff };

int gid_read_table(const struct device *dev, struct ib_uverbs_gid_entry **out)
{
	struct ib_uverbs_gid_entry *entries = calloc(TABLE_MAX, sizeof(*entries));
	uint64_t entry_size = sizeof(*entries), num = 0;
	struct uverbs_call call;
	uint32_t flags = 0;
	int ret;

	if (!entries)
		return -ENOMEM;
	uverbs_start(&call, UVERBS_OBJECT_DEVICE, UVERBS_METHOD_QUERY_GID_TABLE);
	uverbs_in(&call, UVERBS_ATTR_QUERY_GID_TABLE_ENTRY_SIZE, &entry_size, sizeof(entry_size));
	uverbs_in(&call, UVERBS_ATTR_QUERY_GID_TABLE_FLAGS, &flags, sizeof(flags));
	uverbs_out(&call, UVERBS_ATTR_QUERY_GID_TABLE_RESP_ENTRIES, entries,
		   (uint16_t)(TABLE_MAX * sizeof(*entries)));
	uverbs_out(&call, UVERBS_ATTR_QUERY_GID_TABLE_RESP_NUM_ENTRIES, &num, sizeof(num));
	ret = uverbs_call(dev->own->fd, dev->provider->driver_id, &call);
	if (ret) {
		free(entries);
		return ret < 0 ? ret : -EIO;
	}
	*out = entries;
	return (int)num;
}

int gid_read_entry(const struct device *dev, uint64_t port, uint64_t index,
		   struct ib_uverbs_gid_entry *entry)
{
	struct uverbs_call call;
	uint32_t flags = 0;

	uverbs_start(&call, UVERBS_OBJECT_DEVICE, UVERBS_METHOD_QUERY_GID_ENTRY);
	uverbs_in(&call, UVERBS_ATTR_QUERY_GID_ENTRY_PORT, &port, sizeof(port));
	uverbs_in(&call, UVERBS_ATTR_QUERY_GID_ENTRY_GID_INDEX, &index, sizeof(index));
	uverbs_in(&call, UVERBS_ATTR_QUERY_GID_ENTRY_FLAGS, &flags, sizeof(flags));
	uverbs_out(&call, UVERBS_ATTR_QUERY_GID_ENTRY_RESP_ENTRY, entry, sizeof(*entry));
	return uverbs_call(dev->own->fd, dev->provider->driver_id, &call);
}

/*
 * Return: 1 and the entry that has the GID with that type, on @port unless that is 0; 0 if there is
 * none; or a negative errno
 */
static int find_on_host(const struct device *dev, uint32_t port, const struct guest_gid *gid,
			struct ib_uverbs_gid_entry *found)
{
	struct ib_uverbs_gid_entry *entries;
	int num = gid_read_table(dev, &entries), i;
	bool is_found = false;

	if (num < 0)
		return num;
	for (i = 0; i < num && !is_found; i++) {
		is_found = !memcmp(entries[i].gid, gid->gid, sizeof(gid->gid)) &&
			   entries[i].gid_type == gid->type &&
			   (!port || entries[i].port_num == port);
		if (is_found)
			*found = entries[i];
	}
	free(entries);
	return is_found;
}

/* Return: 0 or -EINVAL */
static int parse_ip(const char *text, struct address *address)
{
	char ip[GID_TEXT_LEN + 4], *slash, *end;
	unsigned long max;

	if (snprintf(ip, sizeof(ip), "%s", text) >= (int)sizeof(ip))
		return -EINVAL;
	slash = strchr(ip, '/');
	if (slash)
		*slash = '\0';
	memcpy(address->gid, gid_v4_prefix, sizeof(gid_v4_prefix));
	if (inet_pton(AF_INET, ip, address->gid + sizeof(gid_v4_prefix)) != 1 &&
	    inet_pton(AF_INET6, ip, address->gid) != 1)
		return -EINVAL;
	max = gid_is_v4(address->gid) ? 32 : 128; /* a GID of an IPv4 address is one, too */
	if (!slash)
		return 0;
	errno = 0;
	address->prefix_len = (uint32_t)strtoul(slash + 1, &end, 10);
	return errno || end == slash + 1 || *end || !address->prefix_len ||
			       address->prefix_len > max ?
		       -EINVAL :
		       0;
}

bool gid_parse_address(const char *text, struct address *address)
{
	*address = (struct address){ 0 };
	return !parse_ip(text, address) && !(address->gid[0] == 0xfe && address->gid[1] >> 6 == 2);
}

void gid_print(const uint8_t gid[16], char text[GID_TEXT_LEN])
{
	if (gid_is_v4(gid))
		inet_ntop(AF_INET, gid + sizeof(gid_v4_prefix), text, GID_TEXT_LEN);
	else
		inet_ntop(AF_INET6, gid, text, GID_TEXT_LEN);
}

/* Return: the length of the address' prefix on a netdev; -EADDRNOTAVAIL; or another negative errno */
static int prefix_len_on(uint32_t ifindex, const struct address *address)
{
	size_t len = gid_is_v4(address->gid) ? 4 : 16;

	return netlink_prefix_len(ifindex, address->gid + 16 - len, len);
}

/* the subnet as the netdev has it; a subnet of its own if that cannot be found out */
static uint32_t find_prefix_len(uint32_t ifindex, const struct address *address)
{
	int len = prefix_len_on(ifindex, address);

	return len > 0 ? (uint32_t)len : gid_is_v4(address->gid) ? 32 : 128;
}

/* of an iWARP device, whose GIDs are hardware addresses: as has_address() */
static int netdev_has(const struct device *dev, const struct address *address, uint32_t *ifindex)
{
	struct ib_uverbs_gid_entry *entries;
	int num = gid_read_table(dev, &entries), i, ret = -EADDRNOTAVAIL;

	if (num < 0)
		return num;
	for (i = 0; i < num && ret == -EADDRNOTAVAIL; i++) {
		*ifindex = entries[i].netdev_ifindex;
		ret = prefix_len_on(*ifindex, address);
	}
	free(entries);
	return ret == -EADDRNOTAVAIL ? 0 : ret < 0 ? ret : 1;
}

/* @ifindex: out: of the netdev that has it. Return: 1, 0, or a negative errno */
static int has_address(const struct device *dev, const struct address *address, uint32_t *ifindex)
{
	struct guest_gid gid = { .type = IB_UVERBS_GID_TYPE_ROCE_V2 };
	struct ib_uverbs_gid_entry entry = { 0 };
	int ret;

	if (device_is_iwarp(dev))
		return netdev_has(dev, address, ifindex);
	memcpy(gid.gid, address->gid, sizeof(gid.gid));
	ret = find_on_host(dev, 0, &gid, &entry);
	*ifindex = entry.netdev_ifindex;
	return ret;
}

/*
 * @ifindex: out: of the netdev that has the address. Return: @dev if it has it, or for NULL the one in a
 * slot that has; NULL if none has
 */
static struct device *find_device_with(struct vm *vm, struct device *dev,
				       const struct address *address, uint32_t *ifindex)
{
	unsigned int i;

	if (dev)
		return has_address(dev, address, ifindex) > 0 ? dev : NULL;
	for (i = 0; i < HYV_MAX_DEVICES; i++)
		if (vm->devices[i] && has_address(vm->devices[i], address, ifindex) > 0)
			return vm->devices[i];
	return NULL;
}

/* with the VM's lock held. Return: the VM's address on @dev, or NULL */
static struct address *find_address(struct vm *vm, const struct device *dev, const uint8_t gid[16])
{
	unsigned int i;

	for (i = 0; i < vm->num_addresses; i++)
		if (vm->addresses[i].device == dev && !memcmp(vm->addresses[i].gid, gid, 16))
			return &vm->addresses[i];
	return NULL;
}

/* Return: 0; -EEXIST; -E2BIG */
static int keep_address(struct vm *vm, struct address *address)
{
	int ret = -E2BIG;

	pthread_mutex_lock(&vm->lock);
	if (find_address(vm, address->device, address->gid)) {
		ret = -EEXIST;
	} else if (vm->num_addresses < VM_MAX_ADDRESSES) {
		address->id = vm->next_address_id++;
		vm->addresses[vm->num_addresses++] = *address;
		ret = 0;
	}
	pthread_mutex_unlock(&vm->lock);
	return ret;
}

/* Return: 0, or -EINVAL after a message */
static int parse_address(const char *text, struct address *address)
{
	if (gid_parse_address(text, address))
		return 0;
	log_err("'%s' is not an IP address, with /LEN or without, that is more than link-local",
		text);
	return -EINVAL;
}

/* of a device that the guest cannot find yet, or that has them */
static int have_addresses(struct device *dev)
{
	if (dev->has_addresses)
		return 0;
	if (!device_is_iwarp(dev)) {
		dev->gids = calloc(1, sizeof(*dev->gids));
		if (!dev->gids)
			return -ENOMEM;
		pthread_mutex_init(&dev->gids->lock, NULL);
	}
	dev->has_addresses = true;
	return 0;
}

int gid_add_address(struct vm *vm, struct device *dev, const char *text)
{
	struct address address;
	struct device *found;
	uint32_t ifindex;
	int ret = parse_address(text, &address);

	if (ret)
		return ret;
	found = find_device_with(vm, dev, &address, &ifindex);
	if (!found) {
		log_err("address '%s' is on the netdev of no device of this VM%s%s: 'ip address add %s dev NETDEV' first",
			text, dev ? " called " : "", dev ? dev->name : "", text);
		return -EADDRNOTAVAIL;
	}
	log_about(found->name, 0);
	ret = have_addresses(found);
	if (ret)
		return ret;
	if (!address.prefix_len)
		address.prefix_len = find_prefix_len(ifindex, &address);
	address.device = found;
	address.is_there = true;
	ret = keep_address(vm, &address);
	if (ret == -EEXIST)
		log_err("the VM has the address '%s' already, on %s", text, found->name);
	else if (ret)
		log_err("'%s' is one address too many: a VM can have %u", text, VM_MAX_ADDRESSES);
	else
		log_info("address %s: on %s", text, found->name);
	return ret;
}

int gid_remove_address(struct vm *vm, const struct device *dev, const char *text)
{
	struct address address, *found;
	int ret = parse_address(text, &address);

	if (ret)
		return ret;
	pthread_mutex_lock(&vm->lock);
	found = find_address(vm, dev, address.gid);
	if (found)
		*found = vm->addresses[--vm->num_addresses];
	pthread_mutex_unlock(&vm->lock);
	if (found) {
		log_info("address %s: not the VM's any more, on %s", text, dev->name);
		return 0;
	}
	log_err("the VM has no address '%s' on %s: 'hyvctl gid' lists what it has", text,
		dev->name);
	return -ENOENT;
}

void gid_remove_addresses(struct vm *vm, const struct device *dev)
{
	unsigned int i, left = 0;

	pthread_mutex_lock(&vm->lock);
	for (i = 0; i < vm->num_addresses; i++)
		if (vm->addresses[i].device != dev)
			vm->addresses[left++] = vm->addresses[i];
	vm->num_addresses = left;
	pthread_mutex_unlock(&vm->lock);
}

unsigned int gid_addresses(struct vm *vm, const struct device *dev,
			   struct address out[VM_MAX_ADDRESSES])
{
	unsigned int i, num = 0;

	pthread_mutex_lock(&vm->lock);
	for (i = 0; i < vm->num_addresses; i++)
		if (vm->addresses[i].device == dev)
			out[num++] = vm->addresses[i];
	pthread_mutex_unlock(&vm->lock);
	return num;
}

/* Return: whether that is news */
static bool set_there(struct vm *vm, const struct address *address, bool is_there)
{
	struct address *found;
	bool is_news;

	pthread_mutex_lock(&vm->lock);
	found = find_address(vm, address->device, address->gid);
	is_news = found && found->is_there != is_there;
	if (is_news)
		found->is_there = is_there;
	pthread_mutex_unlock(&vm->lock);
	return is_news;
}

bool gid_look(struct vm *vm, const struct device *dev)
{
	struct address addresses[VM_MAX_ADDRESSES];
	unsigned int num = gid_addresses(vm, dev, addresses), i;
	char text[GID_TEXT_LEN];
	bool is_news = false;
	uint32_t ifindex;
	int has;

	for (i = 0; i < num; i++) {
		has = has_address(dev, &addresses[i], &ifindex);
		if (has < 0 || !set_there(vm, &addresses[i], has))
			continue; /* of a device that goes there is nothing to be told */
		is_news = true;
		gid_print(addresses[i].gid, text);
		if (has)
			log_info("address %s: on the netdev of %s again", text, dev->name);
		else
			log_warn(
				"address %s: not on the netdev of %s any more; the VM gets it back with 'ip address add'",
				text, dev->name);
	}
	return is_news;
}

void gid_free(struct device *dev)
{
	if (!dev->gids)
		return;
	pthread_mutex_destroy(&dev->gids->lock);
	free(dev->gids);
	dev->gids = NULL;
}

bool gid_is_allowed(struct vm *vm, const struct device *dev, const uint8_t gid[16])
{
	struct address addresses[VM_MAX_ADDRESSES];
	unsigned int num = gid_addresses(vm, dev, addresses), i;

	for (i = 0; i < num; i++)
		if (!memcmp(addresses[i].gid, gid, 16))
			return true;
	return false;
}

int gid_to_host(struct vm *vm, const struct device *dev, uint8_t port, uint8_t *index,
		struct ib_uverbs_gid_entry *found)
{
	static const uint8_t none[16];
	struct guest_gid gid;

	*found = (struct ib_uverbs_gid_entry){ 0 };
	if (!dev->gids)
		return 0;
	if (!port || port > DEVICE_MAX_PORTS)
		return -EINVAL;
	pthread_mutex_lock(&dev->gids->lock);
	gid = dev->gids->entries[port - 1][*index];
	pthread_mutex_unlock(&dev->gids->lock);
	if (!memcmp(gid.gid, none, sizeof(none)))
		return -EINVAL;
	if (!gid_is_allowed(vm, dev, gid.gid)) {
		log_guest("the guest wants to use GID %u, which is no address of its own: refused",
			  *index);
		return -EADDRNOTAVAIL;
	}
	if (find_on_host(dev, port, &gid, found) <= 0 || found->gid_index > UINT8_MAX)
		return -EADDRNOTAVAIL;
	*index = (uint8_t)found->gid_index;
	return 0;
}

bool gid_was_own(struct vm *vm, const struct device *dev, const struct ib_uverbs_gid_entry *found)
{
	struct ib_uverbs_gid_entry entry;

	if (!found->port_num)
		return true;
	if (!gid_read_entry(dev, found->port_num, found->gid_index, &entry) &&
	    !memcmp(entry.gid, found->gid, sizeof(entry.gid)) &&
	    entry.gid_type == found->gid_type &&
	    gid_is_allowed(vm, dev, (const uint8_t *)entry.gid))
		return true;
	log_guest(
		"an address was taken from the VM, or from the host, while the guest began to use it: refused");
	return false;
}

bool gid_allows_ud(const struct vm *vm, const struct device *dev)
{
	return vm->ud == UD_WHERE_WHOLE ? !dev->has_addresses : vm->ud == UD_ON;
}

uint8_t gid_to_guest(const struct device *dev, uint8_t port, uint8_t index)
{
	struct ib_uverbs_gid_entry *entries;
	const struct guest_gid *own;
	unsigned int guest = 0;
	int num, i;

	if (!dev->gids)
		return index;
	if (!port || port > DEVICE_MAX_PORTS)
		return 0;
	num = gid_read_table(dev, &entries);
	if (num < 0)
		return 0;
	for (i = 0; i < num; i++)
		if (entries[i].port_num == port && entries[i].gid_index == index)
			break;
	pthread_mutex_lock(&dev->gids->lock);
	own = dev->gids->entries[port - 1];
	while (i < num && guest < HYV_NUM_GIDS &&
	       (memcmp(own[guest].gid, entries[i].gid, 16) ||
		own[guest].type != entries[i].gid_type))
		guest++;
	pthread_mutex_unlock(&dev->gids->lock);
	free(entries);
	return (uint8_t)(guest % HYV_NUM_GIDS);
}

void gid_forget_guest(struct vm *vm)
{
	struct gid_map *map;
	unsigned int i;

	for (i = 0; i < HYV_MAX_DEVICES; i++) {
		map = vm->devices[i] ? vm->devices[i]->gids : NULL;
		if (!map)
			continue;
		pthread_mutex_lock(&map->lock);
		memset(map->entries, 0, sizeof(map->entries));
		pthread_mutex_unlock(&map->lock);
	}
}

int get_address_exec(struct cmd *cmd)
{
	const struct hyv_req_get_address *req = cmd->req;
	struct hyv_resp_get_address *resp = cmd->resp;
	struct address addresses[VM_MAX_ADDRESSES];
	uint32_t left = le32toh(req->index);
	int ret = device_find(cmd, req->device, 0);
	unsigned int num, i;

	if (ret)
		return ret;
	num = gid_addresses(cmd->vm, cmd->device, addresses);
	for (i = 0; i < num; i++) {
		if (!addresses[i].is_there || left--)
			continue;
		memcpy(resp->gid, addresses[i].gid, sizeof(resp->gid));
		resp->prefix_len = htole32(addresses[i].prefix_len);
		return 0;
	}
	return -ENODATA;
}

int set_gid_exec(struct cmd *cmd)
{
	const struct hyv_req_set_gid *req = cmd->req;
	uint32_t port = le32toh(req->port), index = le32toh(req->index);
	int ret = device_find(cmd, req->device, 0);
	struct guest_gid *entry;
	struct gid_map *map;

	if (ret)
		return ret;
	map = cmd->device->gids;
	if (!map || !port || port > DEVICE_MAX_PORTS || index >= HYV_NUM_GIDS)
		return -EINVAL;
	pthread_mutex_lock(&map->lock);
	entry = &map->entries[port - 1][index];
	memcpy(entry->gid, req->gid, sizeof(entry->gid));
	entry->type = le32toh(req->type);
	pthread_mutex_unlock(&map->lock);
	return 0;
}
