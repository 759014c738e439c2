/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device side of a split virtqueue: see vring.c */
#ifndef HYVD_VRING_H
#define HYVD_VRING_H

#include <stdbool.h>
#include <stdint.h>
#include "gmem.h"

#define VRING_MAX_SEGMENTS 256

/**
 * struct vring_chain - a descriptor chain, copied out of guest memory and checked; addresses are
 * checked at use
 */
struct vring_chain {
	uint16_t head;
	unsigned int num_readable;
	unsigned int num_writable;
	uint64_t readable_len;
	uint64_t writable_len;
	struct gmem_extent segments[VRING_MAX_SEGMENTS]; /* the readable ones first */
};

struct vring;

/**
 * vring_pop() - take the next chain that the guest made available
 *
 * Return: 1 and the chain; 0 when there is none or the ring does not run; a negative errno when the
 * guest broke the ring, which then stays stopped until the next reset.
 */
int vring_pop(struct vring *vr, struct vring_chain *chain);

/** vring_chain_read() - copy @len bytes from @offset of the readable part. Return: 0 or -EFAULT */
int vring_chain_read(struct vring *vr, const struct vring_chain *chain, uint64_t offset, void *dst,
		     uint64_t len);

/** vring_chain_write() - copy @len bytes to @offset of the writable part. Return: 0 or -EFAULT */
int vring_chain_write(struct vring *vr, const struct vring_chain *chain, uint64_t offset,
		      const void *src, uint64_t len);

/**
 * vring_push() - give a chain back
 * @vr: the ring; nothing happens if it does not run
 * @chain: what vring_pop() gave, since the ring was started last
 * @written: bytes of the writable part that were written
 */
void vring_push(struct vring *vr, const struct vring_chain *chain, uint32_t written);

/**
 * vring_signal() - interrupt the guest if it wants to know of what was pushed since the last
 * call
 */
void vring_signal(struct vring *vr);

/**
 * vring_generation() - Return: a number that changes at each start and stop. A chain that was taken
 * under another one is to be forgotten; its buffers may belong to somebody else by now.
 */
uint64_t vring_generation(const struct vring *vr);

#endif
