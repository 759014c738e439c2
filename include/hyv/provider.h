/* SPDX-License-Identifier: (GPL-2.0-or-later OR BSD-2-Clause) */
/*
 * Provider descriptors: what HyV must know of each NIC family's user-space provider, as data.
 * Compiled by the guest module and by the daemon; a host device whose driver has no descriptor here
 * is refused by its name, hyv_driver_name(). Adding a family is adding a row.
 *
 * Sources: the drivers' ABI headers (include/uapi/rdma/<driver>-abi.h) and, for what they do with
 * them, their kernel side.
 */
#ifndef HYV_PROVIDER_H
#define HYV_PROVIDER_H

#include <linux/errno.h>
#include <linux/types.h>
#include "wire.h"

/* user-space calls of the provider that end in the kernel, by their uverbs command */
#define HYV_PROVIDER_POST_SEND	1	/* IB_USER_VERBS_CMD_POST_SEND, as a doorbell only */
#define HYV_PROVIDER_REQ_NOTIFY	2	/* IB_USER_VERBS_CMD_REQ_NOTIFY_CQ */

/* the driver takes a registration's address for its iova: memory must be there as long as it is registered */
#define HYV_PROVIDER_NO_IOVA	4

/* verbs that the host's driver does not have, so that the guest's device has none either */
#define HYV_PROVIDER_NO_AH		16
#define HYV_PROVIDER_NO_MCAST		32
#define HYV_PROVIDER_NO_MW		64
#define HYV_PROVIDER_NO_RESIZE_CQ	128
#define HYV_PROVIDER_NO_REREG_MR	256

/* rereg_user_mr refuses other memory with EOPNOTSUPP, before it looks at it */
#define HYV_PROVIDER_NO_REREG_TRANS	512

/* states of a QP (enum ib_qp_state) as bits */
#define HYV_QP_RTS	(1u << 3)
#define HYV_QP_SQD	(1u << 4)
#define HYV_QP_SQE	(1u << 5)
#define HYV_QP_ERR	(1u << 6)

/**
 * enum hyv_pointer_kind - what a pointer in request udata is for
 * @HYV_POINTER_NONE: no pointer: ends the list
 * @HYV_POINTER_OUT: the driver writes there, @length bytes of struct hyv_pointer
 */
enum hyv_pointer_kind {
	HYV_POINTER_NONE,
	HYV_POINTER_OUT,
};

/**
 * struct hyv_pointer - an address that the provider puts into a verb's request udata
 * @op: enum hyv_op
 * @kind: enum hyv_pointer_kind
 * @offset: where in the request udata the 8 bytes of the address are
 * @length: HYV_POINTER_OUT: bytes that the driver writes there
 *
 * The daemon replaces it by an address of its own: the host's kernel follows none of the guest's.
 * What the driver writes goes back behind the answer's udata, and the guest puts it where the
 * application wanted it. An address of 0 is none, and is left as it is.
 */
struct hyv_pointer {
	__u16 op;
	__u16 kind;
	__u16 offset;
	__u16 length;
};

#define HYV_PROVIDER_POINTERS	8

/**
 * struct hyv_provider - one NIC family
 * @name: the host driver's, for people
 * @driver_id: enum rdma_driver_id
 * @abi_version: the uverbs ABI version these facts are about
 * @flags: HYV_PROVIDER_*
 * @post_states: HYV_PROVIDER_POST_SEND: states of a QP in which the driver takes a post
 * @post_errno: what it says in the others; the guest has to say it, since the host is told later
 * @context_out: bytes that the driver insists on answering to a new context
 * @udata_in: per operation, the bytes of request udata that are known to hold no address and no
 *            flag that changes what the rest means. Bytes beyond may only be zero: a newer driver
 *            could take them for a pointer.
 * @pointers: the exceptions among those: addresses, by operation and offset
 */
struct hyv_provider {
	const char *name;
	__u32 driver_id;
	__u32 abi_version;
	__u32 flags;
	__u16 post_states;
	__u16 post_errno;
	__u16 context_out;
	__u16 udata_in[HYV_OP_COUNT];
	struct hyv_pointer pointers[HYV_PROVIDER_POINTERS];
};

/*
 * rxe: no request udata at all but modify_srq's, where struct mminfo of a new queue is to go;
 * queues are kernel memory that the application maps (rdma_user_rxe.h)
 */
#define HYV_PROVIDER_RXE { \
	.name = "rxe", \
	.driver_id = 14, /* RDMA_DRIVER_RXE */ \
	.abi_version = 2, \
	.flags = HYV_PROVIDER_POST_SEND | HYV_PROVIDER_REQ_NOTIFY | HYV_PROVIDER_NO_REREG_TRANS, \
	.post_states = HYV_QP_RTS | HYV_QP_SQD | HYV_QP_SQE | HYV_QP_ERR, \
	.post_errno = EINVAL, \
	.udata_in = { [HYV_OP_MODIFY_SRQ] = 8 }, \
	.pointers = { { HYV_OP_MODIFY_SRQ, HYV_POINTER_OUT, 0, 16 } }, \
}

/*
 * siw: like rxe, but that the application arms a CQ in its memory, and that a registration carries
 * the variable byte of its key (rdma/siw-abi.h). It does not honour the iova.
 */
#define HYV_PROVIDER_SIW { \
	.name = "siw", \
	.driver_id = 18, /* RDMA_DRIVER_SIW */ \
	.abi_version = 1, \
	.flags = HYV_PROVIDER_POST_SEND | HYV_PROVIDER_NO_IOVA | HYV_PROVIDER_NO_AH | \
		 HYV_PROVIDER_NO_MCAST | HYV_PROVIDER_NO_MW | HYV_PROVIDER_NO_RESIZE_CQ | \
		 HYV_PROVIDER_NO_REREG_MR, \
	.post_states = HYV_QP_RTS | HYV_QP_ERR, \
	.post_errno = ENOTCONN, \
	.context_out = 8, /* struct siw_uresp_alloc_ctx */ \
	.udata_in = { [HYV_OP_REG_MR] = 1 }, /* struct siw_ureq_reg_mr.stag_key */ \
}

static const struct hyv_provider hyv_providers[] = {
	HYV_PROVIDER_RXE,
	HYV_PROVIDER_SIW,
};

/**
 * hyv_driver_name() - what people call a driver, whether it has a descriptor or not
 * @driver_id: enum rdma_driver_id
 *
 * Return: its name, or "unknown".
 */
static inline const char *hyv_driver_name(__u32 driver_id)
{
	static const char *const names[] = {
		[1] = "mlx5",	[2] = "mlx4",	     [3] = "cxgb3",  [4] = "cxgb4",
		[5] = "mthca",	[6] = "bnxt_re",     [7] = "ocrdma", [8] = "nes",
		[9] = "irdma",	[10] = "vmw_pvrdma", [11] = "qedr",  [12] = "hns",
		[13] = "usnic", [14] = "rxe",	     [15] = "hfi1",  [16] = "qib",
		[17] = "efa",	[18] = "siw",	     [19] = "erdma", [20] = "mana",
		[21] = "ionic",
	};

	if (driver_id >= sizeof(names) / sizeof(names[0]) || !names[driver_id])
		return "unknown";
	return names[driver_id];
}

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

/**
 * hyv_pointer_address() - the address that a pointer field holds
 * @p: field of a descriptor
 * @op: operation
 * @in: its request udata, @in_len bytes
 *
 * Return: the address, or 0 when there is none: another operation's field, or beyond @in_len.
 */
static inline __u64 hyv_pointer_address(const struct hyv_pointer *p, __u32 op, const void *in,
					__u32 in_len)
{
	__u64 address = 0;

	if (p->op == op && (__u32)p->offset + sizeof(address) <= in_len)
		__builtin_memcpy(&address, (const __u8 *)in + p->offset, sizeof(address));
	return address;
}

/**
 * hyv_provider_out_len() - bytes that a verb's HYV_POINTER_OUT fields add to the answer's udata
 * @provider: descriptor
 * @op: operation
 * @in: its request udata, @in_len bytes
 *
 * They lie in the order of the descriptor.
 */
static inline __u32 hyv_provider_out_len(const struct hyv_provider *provider, __u32 op,
					 const void *in, __u32 in_len)
{
	const struct hyv_pointer *p = provider->pointers;
	__u32 len = 0;

	for (; p < provider->pointers + HYV_PROVIDER_POINTERS && p->kind; p++)
		if (p->kind == HYV_POINTER_OUT && hyv_pointer_address(p, op, in, in_len))
			len += p->length;
	return len;
}

#endif
