/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest memory: see gmem.c */
#ifndef HYVD_GMEM_H
#define HYVD_GMEM_H

#include <stddef.h>
#include <stdint.h>

/**
 * struct gpa - a guest-physical address; a type of its own so that no other address is taken for
 * it
 */
struct gpa {
	uint64_t val;
};

/** struct gmem_extent - a piece of guest-physical memory, in host byte order */
struct gmem_extent {
	struct gpa gpa;
	uint64_t len;
};

/** struct gmem_region - one entry of VHOST_USER_SET_MEM_TABLE */
struct gmem_region {
	struct gpa gpa;
	uint64_t len;
	uint64_t qemu_va; /* address in QEMU, which ring addresses are given in */
	uint64_t fd_offset;
	int fd;
};

/**
 * struct gmem_span - guest memory made contiguous in hyvd's address space
 * @va: its first byte
 * @assembled: address space that gmem_span_release() gives back
 * @assembled_len: bytes of it; 0 for a piece of the linear map
 * @placed_in: gmem_assemble_at(): the space that it is in; else NULL
 */
struct gmem_span {
	void *va;
	void *assembled;
	size_t assembled_len;
	struct gmem_space *placed_in;
};

struct gmem;
struct gmem_space;

/**
 * gmem_create() - guest memory, none yet
 * @where: where the linear map would best be, or NULL; it is elsewhere if there is no room
 *
 * Return: guest memory; NULL with errno set when the address space for the linear map is not to be
 * had
 */
struct gmem *gmem_create(void *where);

/** gmem_destroy() - unmap everything and close the regions' files */
void gmem_destroy(struct gmem *gm);

/**
 * gmem_set_table() - replace the memory table
 * @gm: guest memory
 * @regions: the new regions; their fds belong to gmem from here on, whatever the result
 * @n: how many
 *
 * A region that was there before (same file, offset, address and length) keeps its mapping; one
 * that is gone becomes inaccessible. Waits for readers in other threads.
 *
 * Return: 0 or a negative errno; after an error the table is empty.
 */
int gmem_set_table(struct gmem *gm, const struct gmem_region *regions, unsigned int n);

/** gmem_total() - Return: bytes of guest memory in the table */
uint64_t gmem_total(struct gmem *gm);

/**
 * gmem_from_qemu_va() - Return: 0 and the guest-physical address of a ring address of QEMU's;
 * -EFAULT if it has none
 */
int gmem_from_qemu_va(struct gmem *gm, uint64_t qemu_va, uint64_t len, struct gpa *gpa);

/**
 * gmem_va() - address of guest memory in the linear map
 *
 * Return: address of @len bytes at @gpa, NULL unless all of them are guest memory. It stays what
 * it is while the region does.
 */
void *gmem_va(struct gmem *gm, struct gpa gpa, uint64_t len);

/**
 * gmem_read() - copy guest memory out, in any thread. Return: 0 or -EFAULT, and then @dst is
 * undefined
 */
int gmem_read(struct gmem *gm, void *dst, struct gpa gpa, uint64_t len);

/** gmem_write() - copy into guest memory. Return: 0 or -EFAULT */
int gmem_write(struct gmem *gm, struct gpa gpa, const void *src, uint64_t len);

/**
 * gmem_assemble() - make extents contiguous, in any thread
 * @gm: guest memory
 * @extents: the pieces; inner boundaries are page aligned, the first may start and the last may end
 *         inside a page
 * @n: how many, at least 1
 * @span: where they are; to be released with gmem_span_release() as soon as the host's kernel has
 *         pinned the pages
 *
 * One extent (or extents that touch each other) is found in the linear map at no cost; others are
 * mapped side by side.
 *
 * Return: 0; -EFAULT for addresses that are no guest memory; -EINVAL for inner boundaries off the
 * page; -EOPNOTSUPP when a piece of huge-page memory is smaller than its pages; -ENOMEM when
 * vm.max_map_count or memory is too small. All but -EFAULT and -EINVAL log the reason and the
 * remedy, rate limited.
 */
int gmem_assemble(struct gmem *gm, const struct gmem_extent *extents, size_t n,
		  struct gmem_span *span);

/**
 * gmem_space_create() - an address space of the guest's, with nothing in it. Return: it, or NULL when there
 * is no memory
 */
struct gmem_space *gmem_space_create(struct gmem *gm);

/** gmem_space_destroy() - when all spans in it are released */
void gmem_space_destroy(struct gmem_space *space);

/**
 * gmem_assemble_at() - as gmem_assemble(), at a given address
 * @space: whose address it is
 * @extents: the pieces
 * @n: how many, at least 1
 * @va: where they shall be; its offset in the page is the first extent's
 * @span: where they are once the space is entered; to be kept until nobody goes by the address any more
 *
 * Spans of a space may overlap where they show the same memory; those of different spaces may overlap.
 *
 * Return: as gmem_assemble(); -ENOMEM also when hyvd itself or other memory of the space is there, nothing
 * can be, or spaces differ at too many addresses; -EINVAL also for another offset in the page, and below 64 KiB.
 */
int gmem_assemble_at(struct gmem_space *space, const struct gmem_extent *extents, size_t n,
		     uint64_t va, struct gmem_span *span);

/**
 * gmem_enter() - have all of a space at its addresses, in any thread, until gmem_leave()
 *
 * Meanwhile no span of any space can be made or released, and no space entered of which something is
 * hidden.
 *
 * Return: 0; a negative errno when some of it cannot be mapped, -EFAULT when its file is in the table no
 * more, with a line in the log. Then it is not entered.
 */
int gmem_enter(struct gmem_space *space);

/** gmem_leave() - after gmem_enter(), in the same thread */
void gmem_leave(struct gmem_space *space);

/**
 * gmem_span_release() - the address space of an assembled span; the memory stays pinned for
 * whoever pinned it
 */
void gmem_span_release(struct gmem_span *span);

#endif
