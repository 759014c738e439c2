// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Making a buffer of guest memory contiguous in hyvd's address space, for as long as it takes the
 * host's kernel to pin it.
 *
 * A buffer that is one guest-physical extent is simply found in the linear map (gmem.c). One of
 * several extents is assembled: a transient range of address space with the pieces' pages mapped
 * side by side. The kernel pins pages, not addresses, so the range is released as soon as the verb
 * has returned.
 *
 * For a driver that goes by our address for ever after (siw), the pieces go where the guest's
 * application has the buffer, and stay there: gmem_place.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "gmem_priv.h"
#include "log.h"

/**
 * struct survey - what the extents of a buffer have in common
 * @total: bytes of all
 * @touching: each begins where the one before ended
 * @num_pieces: at most as many mappings
 * @page_size, @page_size_max: smallest and largest page of the files
 */
struct survey {
	uint64_t total;
	bool touching;
	size_t num_pieces;
	uint64_t page_size;
	uint64_t page_size_max;
};

/* Return: 0, or -EFAULT if an extent is not all guest memory. The lock is held. */
static int survey_extents(const struct gmem *gm, const struct gmem_extent *ext, size_t n,
			  struct survey *sv)
{
	uint64_t at;
	size_t i;

	*sv = (struct survey){ .touching = true, .page_size = UINT64_MAX };
	for (i = 0; i < n; i++) {
		if (!gmem_linear_va(gm, ext[i].gpa, ext[i].len) ||
		    __builtin_add_overflow(sv->total, ext[i].len, &sv->total))
			return -EFAULT;
		if (i && ext[i].gpa.val != ext[i - 1].gpa.val + ext[i - 1].len)
			sv->touching = false;
		for (at = ext[i].gpa.val; at < ext[i].gpa.val + ext[i].len;) {
			const struct region *rg = gmem_find_region(gm, at);

			if (rg->page_size > sv->page_size_max)
				sv->page_size_max = rg->page_size;
			if (rg->page_size < sv->page_size)
				sv->page_size = rg->page_size;
			sv->num_pieces++;
			at = region_end(rg);
		}
	}
	return 0;
}

/* Return: whether all inner boundaries are multiples of @align. */
static bool boundaries_aligned(const struct gmem_extent *ext, size_t n, uint64_t align)
{
	size_t i;

	for (i = 1; i < n; i++)
		if ((ext[i - 1].gpa.val + ext[i - 1].len) & (align - 1) ||
		    ext[i].gpa.val & (align - 1))
			return false;
	return true;
}

/*
 * Check that pieces of these extents can be mapped side by side; at a given address only if memory
 * is of ordinary pages. Return: 0, -EINVAL or -EOPNOTSUPP, the latter with a line in the log.
 */
static int check_boundaries(const struct gmem *gm, const struct gmem_extent *ext, size_t n,
			    const struct survey *sv, bool is_placed)
{
	static struct log_ratelimit rl = { .burst = 5, .interval = 10 };

	if (!boundaries_aligned(ext, n, gm->page_size))
		return -EINVAL;
	if (sv->page_size == sv->page_size_max && boundaries_aligned(ext, n, sv->page_size) &&
	    (!is_placed || sv->page_size == gm->page_size))
		return 0;
	if (log_allowed(&rl))
		log_warn("a scattered buffer cannot be registered since guest memory is of huge "
			 "pages (0x%" PRIx64 " bytes): give the guest ordinary shared memory "
			 "(memory-backend-memfd without hugetlb; transparent huge pages are fine)",
			 sv->page_size_max);
	return -EOPNOTSUPP;
}

/*
 * Cut the extents into pieces of one file each and join those that follow each other in it; the
 * first begins and the last ends at a page. Return: the number of pieces. The lock is held.
 */
static size_t cut_pieces(const struct gmem *gm, const struct gmem_extent *ext, size_t n,
			 uint64_t page_size, struct piece *pieces)
{
	size_t i, num = 0;

	for (i = 0; i < n; i++) {
		uint64_t at = ext[i].gpa.val, end = at + ext[i].len;

		while (at < end) {
			const struct region *rg = gmem_find_region(gm, at);
			uint64_t stop = region_end(rg) < end ? region_end(rg) : end;
			uint64_t from = round_down(at, page_size);
			uint64_t to = round_up(stop, page_size);
			uint64_t offset = rg->r.fd_offset - rg->r.gpa.val + from;
			struct piece *last = num ? &pieces[num - 1] : NULL;

			if (last && last->fd == rg->r.fd && last->offset + last->len == offset)
				last->len += to - from;
			else
				pieces[num++] = (struct piece){ rg->r.fd, rg->dev, rg->ino, offset,
								to - from };
			at = to;
		}
	}
	return num;
}

void gmem_log_map_failure(int err, size_t n)
{
	static struct log_ratelimit rl = { .burst = 5, .interval = 10 };
	unsigned long limit = 0, used = 0;
	FILE *f;
	int c;

	if (!log_allowed(&rl))
		return;
	f = fopen("/proc/sys/vm/max_map_count", "re");
	if (f) {
		if (fscanf(f, "%lu", &limit) != 1)
			limit = 0;
		fclose(f);
	}
	f = fopen("/proc/self/maps", "re");
	if (f) {
		while ((c = getc(f)) != EOF)
			used += c == '\n';
		fclose(f);
	}
	if (err == -ENOMEM && used + n + 1 > limit)
		log_warn("a buffer of %zu scattered pieces cannot be mapped: vm.max_map_count is "
			 "%lu and %lu mappings are in use; sysctl -w vm.max_map_count=%lu",
			 n, limit, used, 2 * (used + n));
	else
		log_warn("a buffer of %zu scattered pieces cannot be mapped: %s", n,
			 strerror(-err));
}

/* address space of at least @len bytes, anywhere. Return: 0 or a negative errno */
static int reserve(struct gmem_span *span, uint64_t len)
{
	void *va = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (va == MAP_FAILED)
		return -errno;
	span->assembled = va;
	span->assembled_len = len;
	return 0;
}

/*
 * Map pieces side by side, anywhere. Return: 0 or a negative errno, and then nothing is left mapped or
 * reserved.
 */
static int map_pieces(const struct piece *pieces, size_t n, uint64_t page_size,
		      struct gmem_span *span)
{
	uint64_t len = 0, align = page_size > 4096 ? page_size : 0;
	uint8_t *va;
	size_t i;
	int err;

	for (i = 0; i < n; i++)
		if (__builtin_add_overflow(len, pieces[i].len, &len))
			return -EFAULT;
	if (!len || len + align < len)
		return -EFAULT;
	err = reserve(span, len + align);
	if (err)
		goto err_release;
	va = (uint8_t *)span->assembled +
	     (round_up((uintptr_t)span->assembled, page_size) - (uintptr_t)span->assembled);
	span->va = va;
	for (i = 0; i < n; i++) {
		if (mmap(va, pieces[i].len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			 pieces[i].fd, pieces[i].offset) == MAP_FAILED) {
			err = -errno;
			goto err_release;
		}
		va += pieces[i].len;
	}
	return 0;

err_release:
	gmem_span_release(span); /* before the log, which needs mappings itself */
	gmem_log_map_failure(err, n);
	return -ENOMEM;
}

/* gmem_assemble() with the lock held; at @place in @space unless that is NULL */
static int assemble(struct gmem *gm, const struct gmem_extent *ext, size_t n,
		    struct gmem_space *space, uint64_t place, struct gmem_span *span)
{
	struct piece *pieces;
	struct survey sv;
	size_t num;
	int err;

	err = survey_extents(gm, ext, n, &sv);
	if (err)
		return err;
	if (sv.touching && !space) {
		span->va = gmem_linear_va(gm, ext[0].gpa, sv.total);
		return 0;
	}
	err = check_boundaries(gm, ext, n, &sv, space);
	if (err)
		return err;
	pieces = calloc(sv.num_pieces, sizeof(*pieces));
	if (!pieces)
		return -ENOMEM;
	num = cut_pieces(gm, ext, n, sv.page_size, pieces);
	if (space)
		err = gmem_place(space, pieces, num, place, span);
	else
		err = map_pieces(pieces, num, sv.page_size, span);
	if (!err)
		span->va = (uint8_t *)span->va + (ext[0].gpa.val & (sv.page_size - 1));
	free(pieces);
	return err;
}

static int assemble_locked(struct gmem *gm, const struct gmem_extent *extents, size_t n,
			   struct gmem_space *space, uint64_t place, struct gmem_span *span)
{
	int err;

	pthread_rwlock_rdlock(&gm->lock);
	err = assemble(gm, extents, n, space, place, span);
	pthread_rwlock_unlock(&gm->lock);
	return err;
}

int gmem_assemble(struct gmem *gm, const struct gmem_extent *extents, size_t n,
		  struct gmem_span *span)
{
	*span = (struct gmem_span){ 0 };
	return n ? assemble_locked(gm, extents, n, NULL, 0, span) : -EINVAL;
}

int gmem_assemble_at(struct gmem_space *space, const struct gmem_extent *extents, size_t n,
		     uint64_t va, struct gmem_span *span)
{
	struct gmem *gm = space->gm;
	uint64_t place = round_down(va, gm->page_size);

	*span = (struct gmem_span){ 0 };
	if (!n || (va ^ extents[0].gpa.val) & (gm->page_size - 1) || place < GMEM_LOWEST_PLACE)
		return -EINVAL;
	return assemble_locked(gm, extents, n, space, place, span);
}

void gmem_span_release(struct gmem_span *span)
{
	if (span->placed_in)
		gmem_vacate(span->placed_in, (uintptr_t)span->assembled, span->assembled_len);
	else if (span->assembled_len)
		munmap(span->assembled, span->assembled_len);
	*span = (struct gmem_span){ 0 };
}
