/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host's uverbs ioctl interface: see uverbs.c */
#ifndef HYVD_UVERBS_H
#define HYVD_UVERBS_H

#include <stdint.h>
#include <rdma/rdma_user_ioctl_cmds.h>
#include <rdma/ib_user_ioctl_cmds.h>
#include <rdma/ib_user_ioctl_verbs.h>
#include <rdma/ib_user_verbs.h>

#define UVERBS_MAX_ATTRS 20

/**
 * struct uverbs_call - one ioctl under construction; attributes point to the caller's memory
 * until uverbs_call()
 */
struct uverbs_call {
	struct ib_uverbs_ioctl_hdr hdr;
	struct ib_uverbs_attr attrs[UVERBS_MAX_ATTRS];
};

/** struct udata - what guest provider and host driver say to each other in one verb */
struct udata {
	const void *in;
	uint32_t in_len;
	void *out; /* with what it held before, since drivers fill only a part */
	uint32_t out_len;
};

/** uverbs_start() - begin a call of @method of @object (UVERBS_OBJECT_*, UVERBS_METHOD_*) */
void uverbs_start(struct uverbs_call *call, uint16_t object, uint16_t method);

/**
 * uverbs_in() - an input of @len bytes: by value up to 8 bytes, as the kernel demands, else by
 * address
 */
void uverbs_in(struct uverbs_call *call, uint16_t attr, const void *data, uint16_t len);

/** uverbs_out() - room for an output */
void uverbs_out(struct uverbs_call *call, uint16_t attr, void *data, uint16_t len);

/** uverbs_handle() - an object: its handle, or its file descriptor if it is one of those */
void uverbs_handle(struct uverbs_call *call, uint16_t attr, uint32_t handle);

/** uverbs_new() - the handle of an object to be made. Return: where uverbs_call() leaves it */
const __aligned_u64 *uverbs_new(struct uverbs_call *call, uint16_t attr);

/** uverbs_udata() - the provider data of the verb; NULL for none */
void uverbs_udata(struct uverbs_call *call, const struct udata *udata);

/**
 * uverbs_call() - do it
 * @fd: uverbs file
 * @driver_id: enum rdma_driver_id of its device
 *
 * Return: 0 or the negative errno of the host's kernel.
 */
int uverbs_call(int fd, uint32_t driver_id, struct uverbs_call *call);

/**
 * uverbs_write() - a command of the older write interface, through the ioctl that carries it
 * @command: IB_USER_VERBS_CMD_*, with IB_USER_VERBS_CMD_FLAG_EXTENDED for those with EX in their
 *         name
 * @in: its request, without header
 * @out: its answer
 *
 * Return: 0 or the negative errno of the host's kernel.
 */
int uverbs_write(int fd, uint32_t driver_id, uint32_t command, const void *in, uint16_t in_len,
		 void *out, uint16_t out_len, const struct udata *udata);

/**
 * uverbs_destroy() - an object by its native destroy method, whose answer of @resp_len bytes is
 * not needed
 */
int uverbs_destroy(int fd, uint32_t driver_id, uint16_t object, uint16_t method, uint32_t handle,
		   uint16_t resp_attr, uint16_t resp_len);

#endif
