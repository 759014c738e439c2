/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How vu_dev sets a ring up, starts and stops it; see vring.c. Nobody else includes this. */
#ifndef HYVD_VRING_SETUP_H
#define HYVD_VRING_SETUP_H

#include "vring.h"

#define VRING_NUM_MAX 32768u

/** struct vring_addr - where the three parts of a ring are, as addresses in QEMU */
struct vring_addr {
	uint64_t desc;
	uint64_t avail;
	uint64_t used;
};

/** vring_create() - Return: a stopped ring on guest memory @gm (not owned), or NULL */
struct vring *vring_create(struct gmem *gm, unsigned int index);

/** vring_destroy() - close the descriptors and free the ring */
void vring_destroy(struct vring *vr);

/**
 * vring_set_num(), vring_set_addr(), vring_set_base() - settings of a stopped ring
 *
 * Return: 0; -EINVAL for values the specification forbids; -EBUSY if the ring runs.
 */
int vring_set_num(struct vring *vr, uint32_t num);
int vring_set_addr(struct vring *vr, const struct vring_addr *addr);
int vring_set_base(struct vring *vr, uint32_t last_avail);

/** vring_set_call(), vring_set_err() - eventfd to signal, from now on owned; -1 for none */
void vring_set_call(struct vring *vr, int fd);
void vring_set_err(struct vring *vr, int fd);

/**
 * vring_start() - begin to serve the ring
 * @features: negotiated virtio features
 *
 * Return: 0; -EINVAL if settings are missing; -EFAULT if the ring is not in guest memory.
 */
int vring_start(struct vring *vr, uint64_t features);

/** vring_stop() - serve the ring no more; chains taken from it are lost */
void vring_stop(struct vring *vr);

/** vring_running() - Return: started and neither stopped nor broken since */
bool vring_running(const struct vring *vr);

/**
 * vring_refresh() - find the ring again after the memory table was replaced
 *
 * Must be called before the ring is used again. A running ring that left guest memory is broken.
 */
void vring_refresh(struct vring *vr);

/** vring_base() - Return: index of the next chain to take, what GET_VRING_BASE asks for */
uint16_t vring_base(const struct vring *vr);

#endif
