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
 * For a driver that goes by our address for ever after (siw), the range is where the guest's
 * application has the buffer. Ours are elsewhere (main.c, gmem.c), and never replaced: if one is in
 * the way all the same, the buffer is refused. Two such ranges may meet, since two processes of a
 * guest may use the same addresses: then the second waits for the first.
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

#define LOWEST \
	0x10000u /* below, nothing is ever mapped: a null pointer shall not lead to a guest */

/** struct piece - part of an assembled span that one mmap() call makes */
struct piece {
	int fd;
	uint64_t offset;
	uint64_t len;
};

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
				pieces[num++] = (struct piece){ rg->r.fd, offset, to - from };
			at = to;
		}
	}
	return num;
}

/* Tell why a span of @n pieces could not be mapped, and what helps. */
static void log_map_failure(int err, size_t n)
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
 * Map pieces side by side, in what is reserved if something is. Return: 0 or a negative errno, and
 * then nothing is left mapped or reserved.
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
	err = span->assembled_len ? 0 : reserve(span, len + align);
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
	log_map_failure(err, n);
	return -ENOMEM;
}

/* gmem_assemble() with the lock held */
static int assemble(const struct gmem *gm, const struct gmem_extent *ext, size_t n,
		    struct gmem_span *span)
{
	struct piece *pieces;
	struct survey sv;
	int err;

	err = survey_extents(gm, ext, n, &sv);
	if (err)
		return err;
	if (sv.touching && !span->assembled_len) {
		span->va = gmem_linear_va(gm, ext[0].gpa, sv.total);
		return 0;
	}
	err = check_boundaries(gm, ext, n, &sv, span->assembled_len);
	if (err)
		return err;
	pieces = calloc(sv.num_pieces, sizeof(*pieces));
	if (!pieces)
		return -ENOMEM;
	err = map_pieces(pieces, cut_pieces(gm, ext, n, sv.page_size, pieces), sv.page_size, span);
	if (!err)
		span->va = (uint8_t *)span->va + (ext[0].gpa.val & (sv.page_size - 1));
	free(pieces);
	return err;
}

/* gmem_assemble(), into what is reserved if something is; releases @span on failure */
static int assemble_locked(struct gmem *gm, const struct gmem_extent *extents, size_t n,
			   struct gmem_span *span)
{
	int err;

	pthread_rwlock_rdlock(&gm->lock);
	err = assemble(gm, extents, n, span);
	pthread_rwlock_unlock(&gm->lock);
	if (err)
		gmem_span_release(span);
	return err;
}

int gmem_assemble(struct gmem *gm, const struct gmem_extent *extents, size_t n,
		  struct gmem_span *span)
{
	*span = (struct gmem_span){ 0 };
	return n ? assemble_locked(gm, extents, n, span) : -EINVAL;
}

/* The lock of places is held. */
static bool is_taken(const struct gmem *gm, uint64_t start, uint64_t len)
{
	const struct gmem_span *span;

	TAILQ_FOREACH(span, &gm->placed, placed) {
		uint64_t at = (uintptr_t)span->assembled;

		if (start < at + span->assembled_len && at < start + len)
			return true;
	}
	return false;
}

/* Reserve the address space from @start, and enter @span. Return: 0 or -ENOMEM, which is logged */
static int take_place(struct gmem *gm, uint64_t start, uint64_t len, struct gmem_span *span)
{
	static struct log_ratelimit rl = { .burst = 5, .interval = 10 };
	int err = 0;
	void *va;

	pthread_mutex_lock(&gm->place_lock);
	while (is_taken(gm, start, len))
		pthread_cond_wait(&gm->vacated, &gm->place_lock);
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): a number is what there is */
	va = mmap((void *)(uintptr_t)start, len, PROT_NONE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	if (va == MAP_FAILED) {
		err = -errno;
	} else {
		span->assembled = va;
		span->assembled_len = len;
		span->placed_in = gm;
		TAILQ_INSERT_TAIL(&gm->placed, span, placed);
	}
	pthread_mutex_unlock(&gm->place_lock);
	if (err && log_allowed(&rl))
		log_warn("a buffer of 0x%" PRIx64 " bytes cannot be registered at 0x%" PRIx64
			 ", where this device needs it: %s",
			 len, start,
			 err == -EEXIST ?
				 "hyvd itself has something there; a buffer elsewhere will do" :
				 strerror(-err));
	return err ? -ENOMEM : 0;
}

int gmem_assemble_at(struct gmem *gm, const struct gmem_extent *extents, size_t n, uint64_t va,
		     struct gmem_span *span)
{
	uint64_t start = round_down(va, gm->page_size), end = va;
	size_t i;
	int err;

	*span = (struct gmem_span){ 0 };
	if (!n || (va ^ extents[0].gpa.val) & (gm->page_size - 1))
		return -EINVAL;
	for (i = 0; i < n; i++)
		if (__builtin_add_overflow(end, extents[i].len, &end))
			return -EINVAL;
	if (end > UINT64_MAX - gm->page_size || end == va || start < LOWEST)
		return -EINVAL;
	err = take_place(gm, start, round_up(end, gm->page_size) - start, span);
	return err ? err : assemble_locked(gm, extents, n, span);
}

static void vacate(struct gmem_span *span)
{
	struct gmem *gm = span->placed_in;

	pthread_mutex_lock(&gm->place_lock);
	TAILQ_REMOVE(&gm->placed, span, placed);
	pthread_cond_broadcast(&gm->vacated);
	pthread_mutex_unlock(&gm->place_lock);
}

void gmem_span_release(struct gmem_span *span)
{
	if (span->assembled_len)
		munmap(span->assembled, span->assembled_len);
	if (span->placed_in)
		vacate(span);
	*span = (struct gmem_span){ 0 };
}
