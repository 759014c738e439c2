/* SPDX-License-Identifier: (GPL-2.0-or-later OR BSD-2-Clause) */
/*
 * Provider descriptors: what HyV must know of each NIC family's user-space provider, as data.
 * Compiled by the guest module and
 * by the daemon; a host device whose driver has no descriptor here is refused by name. Adding a
 * family is adding a row.
 *
 * Sources: the drivers' ABI headers (include/uapi/rdma/<driver>-abi.h) and, for what they do with
 * them, their kernel side.
 */
#ifndef HYV_PROVIDER_H
#define HYV_PROVIDER_H

#include <linux/types.h>
#include "wire.h"

/* user-space calls of the provider that end in the kernel, by their uverbs command */
#define HYV_PROVIDER_POST_SEND	1	/* IB_USER_VERBS_CMD_POST_SEND, as a doorbell only */
#define HYV_PROVIDER_REQ_NOTIFY	2	/* IB_USER_VERBS_CMD_REQ_NOTIFY_CQ */

/**
 * struct hyv_provider - one NIC family
 * @name: the host driver's, for people
 * @driver_id: enum rdma_driver_id
 * @abi_version: the uverbs ABI version these facts are about
 * @flags: HYV_PROVIDER_*
 * @udata_in: per operation, the bytes of request udata that are known to hold no address and no
 *         flag that changes what the
 *            rest means. Bytes beyond may only be zero: a newer driver could take them for a
 *            pointer.
 */
struct hyv_provider {
	const char *name;
	__u32 driver_id;
	__u32 abi_version;
	__u32 flags;
	__u16 udata_in[HYV_OP_COUNT];
};

/*
 * rxe: no request udata at all but modify_srq's; queues are kernel memory that the application maps
 * (rdma_user_rxe.h)
 */
#define HYV_PROVIDER_RXE { \
	.name = "rxe", \
	.driver_id = 14, /* RDMA_DRIVER_RXE */ \
	.abi_version = 2, \
	.flags = HYV_PROVIDER_POST_SEND | HYV_PROVIDER_REQ_NOTIFY, \
}

static const struct hyv_provider hyv_providers[] = {
	HYV_PROVIDER_RXE,
};

/**
 * hyv_provider_find() - the descriptor of a driver
 * @driver_id: enum rdma_driver_id of the device
 * @abi_version: its uverbs ABI version
 *
 * Return: the descriptor, or NULL when this build of HyV knows none that fits.
 */
static inline const struct hyv_provider *hyv_provider_find(__u32 driver_id, __u32 abi_version)
{
	const struct hyv_provider *p = hyv_providers;

	for (; p < hyv_providers + sizeof(hyv_providers) / sizeof(*p); p++)
		if (p->driver_id == driver_id && p->abi_version == abi_version)
			return p;
	return (void *)0;
}

#endif
