/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The driver's side of a split virtqueue in a memfd, for tests: raw access to every word, since
 * most tests write what no driver should. Layout from the kernel's header, so that it is not the
 * daemon's own. And its side of the doorbells.
 */
#ifndef TESTS_DRIVER_H
#define TESTS_DRIVER_H

#include <endian.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <hyv/wire.h>

#define DRIVER_MEM     (8ull << 20) /* bytes of guest memory */
#define DRIVER_GPA     0x40000000ull /* where it begins for the guest */
#define DRIVER_QEMU_VA 0x7f1200000000ull /* and in QEMU */

/* Offsets in guest memory; a ring has VRING_STRIDE bytes from its number times that. */
#define DRIVER_DESC   0x0u
#define DRIVER_AVAIL  0x20000u
#define DRIVER_USED   0x30000u
#define DRIVER_STRIDE 0x80000u
#define DRIVER_DATA   0x400000u /* for buffers */

/** struct driver - one ring as the guest sees it; the memory is shared by all rings of a test */
struct driver {
	uint8_t *mem;
	uint32_t base;
	uint32_t num;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t next_avail;
};

static inline int driver_memfd(uint8_t **mem)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, DRIVER_MEM))
		return -1;
	*mem = mmap(NULL, DRIVER_MEM, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return *mem == MAP_FAILED ? -1 : fd;
}

static inline void driver_init(struct driver *d, uint8_t *mem, unsigned int index, uint32_t num)
{
	d->mem = mem;
	d->base = index * DRIVER_STRIDE;
	d->num = num;
	d->desc = (void *)(mem + d->base + DRIVER_DESC);
	d->avail = (void *)(mem + d->base + DRIVER_AVAIL);
	d->used = (void *)(mem + d->base + DRIVER_USED);
	d->next_avail = 0;
}

/** driver_desc() - write descriptor @i, of @len bytes at @offset of guest memory */
static inline void driver_desc(struct driver *d, unsigned int i, uint64_t offset, uint32_t len,
			       uint16_t flags, uint16_t next)
{
	d->desc[i] = (struct vring_desc){ DRIVER_GPA + offset, len, flags, next };
}

/** driver_offer() - make the chain at @head available */
static inline void driver_offer(struct driver *d, uint16_t head)
{
	d->avail->ring[d->next_avail % d->num] = head;
	d->next_avail++;
	__atomic_store_n(&d->avail->idx, d->next_avail, __ATOMIC_RELEASE);
}

static inline uint16_t *driver_used_event(struct driver *d)
{
	return &d->avail->ring[d->num];
}

static inline uint16_t *driver_avail_event(struct driver *d)
{
	return (uint16_t *)&d->used->ring[d->num];
}

/** driver_ring() - set doorbell @number, as the guest's kernel does */
static inline void driver_ring(struct hyv_doorbells *shared, uint32_t number)
{
	shared->bits[number / 64] |= htole64(1ull << number % 64);
	shared->summary[number / 64 / 64] |= htole64(1ull << number / 64 % 64);
}

#endif
