/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What gmem.c and gmem_assemble.c share, and nobody else includes */
#ifndef HYVD_GMEM_PRIV_H
#define HYVD_GMEM_PRIV_H

#include <pthread.h>
#include <sys/types.h>

#include "gmem.h"

/**
 * struct region - a region of the table
 * @r: as QEMU gave it; the descriptor is owned
 * @dev, @ino: the file's identity, since its descriptor is another one in each table
 * @page_size: of the file
 */
struct region {
	struct gmem_region r;
	dev_t dev;
	ino_t ino;
	uint64_t page_size;
};

/**
 * struct gmem - all guest memory
 * @lock: protects @regions and what is mapped; read-held while guest memory is touched or looked
 *        up, write-held while the table is replaced
 * @reserved: what mmap() gave, @base aligned up
 * @size: bytes of the linear map from @base
 * @regions: sorted by guest-physical address, no overlaps
 * @place_lock: protects @placed
 * @vacated: broadcast when a span leaves it
 * @placed: spans of gmem_assemble_at()
 */
struct gmem {
	pthread_rwlock_t lock;
	void *reserved;
	size_t reserved_len;
	uint8_t *base;
	uint64_t size;
	uint64_t page_size;
	struct region *regions;
	unsigned int num_regions;
	pthread_mutex_t place_lock;
	pthread_cond_t vacated;
	TAILQ_HEAD(, gmem_span) placed;
};

static inline uint64_t round_down(uint64_t v, uint64_t align)
{
	return v & ~(align - 1);
}

static inline uint64_t round_up(uint64_t v, uint64_t align)
{
	return round_down(v + align - 1, align);
}

static inline uint64_t region_end(const struct region *rg)
{
	return rg->r.gpa.val + rg->r.len;
}

/** gmem_find_region() - Return: the region with this address, or NULL. The lock is held. */
const struct region *gmem_find_region(const struct gmem *gm, uint64_t gpa);

/**
 * gmem_linear_va() - find guest memory in the linear map, with the lock held
 *
 * Return: its address, NULL unless all bytes are guest memory (of one region or of several that
 * touch each other) and there is at least one.
 */
void *gmem_linear_va(const struct gmem *gm, struct gpa gpa, uint64_t len);

#endif
