// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * RDMA netlink (include/uapi/rdma/rdma_netlink.h): name to index, and index to uverbs device,
 * driver id and ABI version, which sysfs does not tell; and rtnetlink: addresses of a netdev. libmnl
 * does the messages.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <rdma/rdma_netlink.h>
#include "netlink.h"

/** struct search - what the walk over all devices looks for and finds */
struct search {
	const char *name;
	struct netlink_rdma_device *dev;
	int is_found;
	char *known;
	size_t known_len;
};

static int attr_is(const struct nlattr *attr, uint16_t type, enum mnl_attr_data_type data)
{
	return mnl_attr_get_type(attr) == type && mnl_attr_validate(attr, data) >= 0;
}

/* one device of RDMA_NLDEV_CMD_GET */
static int device_cb(const struct nlmsghdr *nlh, void *data)
{
	struct netlink_rdma_device dev = { 0 };
	struct search *search = data;
	const struct nlattr *attr;
	const char *name = NULL;

	mnl_attr_for_each(attr, nlh, 0) {
		if (attr_is(attr, RDMA_NLDEV_ATTR_DEV_NAME, MNL_TYPE_NUL_STRING))
			name = mnl_attr_get_str(attr);
		else if (attr_is(attr, RDMA_NLDEV_ATTR_DEV_INDEX, MNL_TYPE_U32))
			dev.index = mnl_attr_get_u32(attr);
		else if (attr_is(attr, RDMA_NLDEV_ATTR_PORT_INDEX, MNL_TYPE_U32))
			dev.num_ports = mnl_attr_get_u32(attr); /* of a device: how many */
		else if (attr_is(attr, RDMA_NLDEV_ATTR_NODE_GUID, MNL_TYPE_U64))
			dev.node_guid = mnl_attr_get_u64(attr);
		else if (attr_is(attr, RDMA_NLDEV_ATTR_DEV_NODE_TYPE, MNL_TYPE_U8))
			dev.node_type = mnl_attr_get_u8(attr);
		else if (attr_is(attr, RDMA_NLDEV_ATTR_FW_VERSION, MNL_TYPE_NUL_STRING))
			snprintf(dev.fw_version, sizeof(dev.fw_version), "%s",
				 mnl_attr_get_str(attr));
	}
	if (!name)
		return MNL_CB_OK;
	if (!strcmp(name, search->name)) {
		*search->dev = dev;
		search->is_found = 1;
	} else {
		size_t used = strlen(search->known);

		snprintf(search->known + used, search->known_len - used, "%s%s", used ? " " : "",
			 name);
	}
	return MNL_CB_OK;
}

/* the answer of RDMA_NLDEV_CMD_GET_CHARDEV */
static int chardev_cb(const struct nlmsghdr *nlh, void *data)
{
	struct netlink_rdma_device *dev = data;
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, 0) {
		if (attr_is(attr, RDMA_NLDEV_ATTR_CHARDEV_NAME, MNL_TYPE_NUL_STRING))
			snprintf(dev->uverbs, sizeof(dev->uverbs), "%s", mnl_attr_get_str(attr));
		else if (attr_is(attr, RDMA_NLDEV_ATTR_CHARDEV_ABI, MNL_TYPE_U64))
			dev->abi_version = (uint32_t)mnl_attr_get_u64(attr);
		else if (attr_is(attr, RDMA_NLDEV_ATTR_UVERBS_DRIVER_ID, MNL_TYPE_U32))
			dev->driver_id = mnl_attr_get_u32(attr);
	}
	return MNL_CB_OK;
}

static int transact(struct mnl_socket *nl, struct nlmsghdr *nlh, mnl_cb_t cb, void *data)
{
	unsigned int port = mnl_socket_get_portid(nl);
	char buf[32768];
	ssize_t len;
	int ret;

	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		len = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		if (len < 0)
			return -errno;
		ret = mnl_cb_run(buf, (size_t)len, nlh->nlmsg_seq, port, cb, data);
	} while (ret > MNL_CB_STOP);
	return ret < 0 ? -errno : 0;
}

static struct nlmsghdr *start_request(char *buf, uint16_t command, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = RDMA_NL_GET_TYPE(RDMA_NL_NLDEV, command);
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	nlh->nlmsg_seq = (uint32_t)time(NULL);
	return nlh;
}

static int find(struct mnl_socket *nl, struct search *search)
{
	char buf[1024];
	struct nlmsghdr *nlh;
	int ret;

	nlh = start_request(buf, RDMA_NLDEV_CMD_GET, NLM_F_DUMP);
	ret = transact(nl, nlh, device_cb, search);
	if (ret)
		return ret;
	if (!search->is_found)
		return -ENODEV;
	nlh = start_request(buf, RDMA_NLDEV_CMD_GET_CHARDEV, 0);
	mnl_attr_put_u32(nlh, RDMA_NLDEV_ATTR_DEV_INDEX, search->dev->index);
	mnl_attr_put_strz(nlh, RDMA_NLDEV_ATTR_CHARDEV_TYPE, "uverbs");
	ret = transact(nl, nlh, chardev_cb, search->dev);
	return ret || !search->dev->uverbs[0] ? -ENOPROTOOPT : 0;
}

int netlink_find(const char *name, struct netlink_rdma_device *dev, char *known, size_t known_len)
{
	struct search search = { .name = name, .dev = dev, .known = known, .known_len = known_len };
	struct mnl_socket *nl;
	int ret;

	known[0] = '\0';
	nl = mnl_socket_open2(NETLINK_RDMA, SOCK_CLOEXEC);
	if (!nl)
		return -errno;
	ret = mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) ? -errno : find(nl, &search);
	mnl_socket_close(nl);
	return ret;
}

/** struct name_search - what netlink_find_name() looks for and finds */
struct name_search {
	const char *name;
	uint64_t guid;
	char *found;
	unsigned int num_found;
	char *known;
	size_t known_len;
};

static int name_cb(const struct nlmsghdr *nlh, void *data)
{
	struct name_search *search = data;
	const struct nlattr *attr;
	const char *name = NULL;
	uint64_t guid = 0;
	size_t used = strlen(search->known);

	mnl_attr_for_each(attr, nlh, 0) {
		if (attr_is(attr, RDMA_NLDEV_ATTR_DEV_NAME, MNL_TYPE_NUL_STRING))
			name = mnl_attr_get_str(attr);
		else if (attr_is(attr, RDMA_NLDEV_ATTR_NODE_GUID, MNL_TYPE_U64))
			guid = mnl_attr_get_u64(attr);
	}
	if (!name)
		return MNL_CB_OK;
	snprintf(search->known + used, search->known_len - used, "%s%s (%04x:%04x:%04x:%04x)",
		 used ? ", " : "", name, (unsigned int)(guid >> 48),
		 (unsigned int)(guid >> 32 & 0xffff), (unsigned int)(guid >> 16 & 0xffff),
		 (unsigned int)(guid & 0xffff));
	if (search->name ? !strcmp(name, search->name) : guid == search->guid) {
		snprintf(search->found, NAME_MAX + 1, "%s", name);
		search->num_found++;
	}
	return MNL_CB_OK;
}

int netlink_find_name(const char *name, uint64_t guid, char *found, char *known, size_t known_len)
{
	struct name_search search = {
		.name = name, .guid = guid, .found = found, .known = known, .known_len = known_len
	};
	struct mnl_socket *nl;
	char buf[1024];
	int ret;

	known[0] = '\0';
	nl = mnl_socket_open2(NETLINK_RDMA, SOCK_CLOEXEC);
	if (!nl)
		return -errno;
	ret = mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) ?
		      -errno :
		      transact(nl, start_request(buf, RDMA_NLDEV_CMD_GET, NLM_F_DUMP), name_cb,
			       &search);
	mnl_socket_close(nl);
	if (!ret && search.num_found != 1)
		ret = search.num_found ? -ENOTUNIQ : -ENODEV;
	return ret;
}

/** struct address_search - what netlink_prefix_len() looks for; @found: and finds */
struct address_search {
	uint32_t ifindex;
	const uint8_t *ip;
	size_t len;
	int found;
};

/* an address of RTM_GETADDR; of one with a peer, IFA_ADDRESS is the peer's */
static int address_cb(const struct nlmsghdr *nlh, void *data)
{
	const struct ifaddrmsg *msg = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr, *ip = NULL;
	struct address_search *search = data;

	mnl_attr_for_each(attr, nlh, sizeof(*msg))
		if (mnl_attr_get_type(attr) == IFA_LOCAL ||
		    (mnl_attr_get_type(attr) == IFA_ADDRESS && !ip))
			ip = attr;
	if (ip && msg->ifa_index == search->ifindex &&
	    mnl_attr_get_payload_len(ip) == search->len &&
	    !memcmp(mnl_attr_get_payload(ip), search->ip, search->len))
		search->found = msg->ifa_prefixlen;
	return MNL_CB_OK;
}

/* Return: 0, or a negative errno, -EINTR when addresses have changed meanwhile */
static int look_for(struct address_search *search)
{
	int on = 1, ret;
	struct nlmsghdr *nlh;
	struct mnl_socket *nl;
	struct ifaddrmsg *msg;
	char buf[1024];

	nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = RTM_GETADDR;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	msg = mnl_nlmsg_put_extra_header(nlh, sizeof(*msg));
	msg->ifa_family = search->len == 4 ? AF_INET : AF_INET6;
	msg->ifa_index = search->ifindex;
	nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!nl)
		return -errno;
	/* without this the kernel tells the addresses of all netdevs */
	mnl_socket_setsockopt(nl, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	ret = mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) ? -errno :
							   transact(nl, nlh, address_cb, search);
	mnl_socket_close(nl);
	return ret;
}

int netlink_prefix_len(uint32_t ifindex, const uint8_t *ip, size_t len)
{
	struct address_search search = { ifindex, ip, len, -EADDRNOTAVAIL };
	unsigned int tries = 5;
	int ret;

	do
		ret = look_for(&search);
	while (ret == -EINTR && search.found < 0 && --tries);
	return ret && search.found < 0 ? ret : search.found;
}
