// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A daemon to which each RDMA device looks like one of efa, a real driver that no provider
 * descriptor knows. Linked with --wrap=netlink_find. setup.sh uses it.
 */
#include <rdma/ib_user_ioctl_verbs.h>
#include <stddef.h>
#include "netlink.h"

int __real_netlink_find(const char *name, struct netlink_rdma_device *dev, char *known,
			size_t known_len);
int __wrap_netlink_find(const char *name, struct netlink_rdma_device *dev, char *known,
			size_t known_len);

int __wrap_netlink_find(const char *name, struct netlink_rdma_device *dev, char *known,
			size_t known_len)
{
	int ret = __real_netlink_find(name, dev, known, known_len);

	dev->driver_id = RDMA_DRIVER_EFA;
	dev->abi_version = 1;
	return ret;
}
