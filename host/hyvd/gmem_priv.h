/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What gmem*.c share, and nobody else includes */
#ifndef HYVD_GMEM_PRIV_H
#define HYVD_GMEM_PRIV_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/queue.h>
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
 * @stack_low, @stack_top: where the main thread's stack is and may grow to; those of other threads
 *         have all of their memory
 * @place_lock: read-held by who goes by what a space shows, write-held while that changes; taken after
 *         @lock
 * @spaces: all of them
 * @num_contested: how many of their places differ from another's, or did
 * @spare: mappings to be given up in need, or NULL
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
	uint64_t stack_low;
	uint64_t stack_top;
	pthread_rwlock_t place_lock;
	LIST_HEAD(, gmem_space) spaces;
	unsigned int num_contested;
	uint8_t *spare[2];
};

/**
 * struct gmem_space - what a context has registered: see gmem_place.c and gmem_space.c
 * @places: sorted by address, no overlaps
 * @last_found: one of them, or NULL
 * @num_hidden: of how many of them perhaps some is not shown
 * @is_dead: its context is gone
 */
struct gmem_space {
	struct gmem *gm;
	TAILQ_HEAD(, place) places;
	struct place *last_found;
	unsigned int num_hidden;
	bool is_dead;
	LIST_ENTRY(gmem_space) others;
};

/**
 * struct piece - part of an assembled span that one mmap() call makes
 * @dev, @ino: the file's identity
 */
struct piece {
	int fd;
	dev_t dev;
	ino_t ino;
	uint64_t offset;
	uint64_t len;
};

/* below, nothing is ever mapped: a null pointer shall not lead to a guest */
#define GMEM_LOWEST_PLACE 0x10000u

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

/**
 * gmem_log_map_failure() - tell why @n pieces could not be mapped side by side, and what helps
 * @err: a negative errno
 *
 * To be called when what had been mapped of them is so no more: it needs mappings itself.
 */
void gmem_log_map_failure(int err, size_t n);

/**
 * gmem_place() - map pieces side by side from @place on, or share what is there already
 * @n: how many, at least 1
 * @place: page aligned, not below GMEM_LOWEST_PLACE
 * @span: all zeros; where they are
 *
 * Return: 0; -EINVAL beyond what there can be of addresses; -ENOMEM when something else is there, too
 * much of it differs from what other spaces have there or
 * memory or vm.max_map_count is too small, with a line in the log. Then nothing is left. What another
 * space has there may be shown until gmem_enter().
 */
int gmem_place(struct gmem_space *space, const struct piece *pieces, size_t n, uint64_t place,
	       struct gmem_span *span);

/** gmem_vacate() - the reverse of gmem_place(), from @place on, @len bytes */
void gmem_vacate(struct gmem_space *space, uint64_t place, uint64_t len);

#endif
