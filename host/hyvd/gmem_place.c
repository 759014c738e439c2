// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest memory at the address where the guest's application has it, as long as it is registered: for
 * a driver that goes by our address for ever after. siw does, and copies short messages from there
 * when it is rung (siw_try_1seg() of the kernel). So what is there must be that memory then, or a
 * guest would send what hyvd itself has at an address of the guest's choice.
 *
 * Hyvd's own memory is elsewhere (main.c, gmem.c), and never replaced: if some is in the way all the
 * same, the buffer is refused. Registrations of one process may overlap, and share what is mapped;
 * two processes of a guest that have different memory at the same address cannot both register it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "gmem_priv.h"
#include "log.h"

/**
 * struct place - a mapping that all of its users have whole
 * @start, @end: its addresses
 * @dev, @ino, @offset: what is mapped
 * @users: spans that it is part of; 0: it could not be unmapped
 * @begins, @ends: how many of them begin at @start and end at @end
 */
struct place {
	uint64_t start;
	uint64_t end;
	dev_t dev;
	ino_t ino;
	uint64_t offset;
	unsigned int users;
	unsigned int begins;
	unsigned int ends;
	TAILQ_ENTRY(place) others;
};

/* Return: the first place that ends behind @at, or NULL */
static struct place *find(const struct gmem *gm, uint64_t at)
{
	struct place *p = TAILQ_FIRST(&gm->places);

	while (p && p->end <= at)
		p = TAILQ_NEXT(p, others);
	return p;
}

static struct place *new_place(uint64_t start, uint64_t end, const struct piece *piece,
			       uint64_t offset)
{
	struct place *p = malloc(sizeof(*p));

	if (p)
		*p = (struct place){ .start = start,
				     .end = end,
				     .dev = piece->dev,
				     .ino = piece->ino,
				     .offset = offset,
				     .users = 1 };
	return p;
}

/* cut @p in two at @at. Return: the second half, or NULL when there is no memory */
static struct place *split(struct gmem *gm, struct place *p, uint64_t at)
{
	struct place *half = malloc(sizeof(*half));

	if (!half)
		return NULL;
	*half = *p;
	half->start = at;
	half->offset += at - p->start;
	half->begins = 0;
	p->end = at;
	p->ends = 0;
	TAILQ_INSERT_AFTER(&gm->places, p, half, others);
	return half;
}

/*
 * One user more for @p, or for the part of it that begins at @at and ends at @end or before. Return:
 * it, or NULL when there is no memory
 */
static struct place *share(struct gmem *gm, struct place *p, uint64_t at, uint64_t end)
{
	if (p->start < at)
		p = split(gm, p, at);
	if (p && p->end > end && !split(gm, p, end))
		return NULL;
	if (p)
		p->users++;
	return p;
}

/*
 * Map [@at, @end) of @piece, whose first byte is to be at @begin. Return: the new place, before @next,
 * or NULL with errno set
 */
static struct place *map(struct gmem *gm, const struct piece *piece, uint64_t begin, uint64_t at,
			 uint64_t end, struct place *next)
{
	uint64_t offset = piece->offset + (at - begin);
	struct place *p = new_place(at, end, piece, offset);
	void *va;

	if (!p)
		return NULL;
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): a number is what there is */
	va = mmap((void *)(uintptr_t)at, end - at, PROT_READ | PROT_WRITE,
		  MAP_SHARED | MAP_FIXED_NOREPLACE, piece->fd, (off_t)offset);
	if (va == MAP_FAILED) {
		free(p);
		return NULL;
	}
	if (next)
		TAILQ_INSERT_BEFORE(next, p, others);
	else
		TAILQ_INSERT_TAIL(&gm->places, p, others);
	return p;
}

static bool shows(const struct place *p, const struct piece *piece, uint64_t begin)
{
	return p->dev == piece->dev && p->ino == piece->ino &&
	       p->offset - p->start == piece->offset - begin;
}

static void log_refusal(uint64_t at, const char *why)
{
	static struct log_ratelimit rl = { .burst = 5, .interval = 10 };

	if (log_allowed(&rl))
		log_warn("a buffer cannot be registered at 0x%" PRIx64
			 ", where this device needs it: %s",
			 at, why);
}

/*
 * Have a piece at @begin. @next: the first place that ends behind it; out: the same for the next
 * piece. @at: out: up to where it is there. Return: 0; -EEXIST when something else is in the way, with a
 * line in the log; another negative errno without
 */
static int place_piece(struct gmem *gm, const struct piece *piece, uint64_t begin,
		       struct place **next, uint64_t *at)
{
	uint64_t end = begin + piece->len, stop;
	struct place *p = *next;
	int err;

	for (*at = begin; *at < end; *at = p->end, p = TAILQ_NEXT(p, others)) {
		if (p && p->start <= *at && !shows(p, piece, begin)) {
			log_refusal(
				*at,
				"another process of the guest has registered other memory there");
			return -EEXIST;
		}
		stop = p && p->start < end ? p->start : end;
		errno = ENOMEM;
		if (p && p->start <= *at)
			p = share(gm, p, *at, end);
		else
			p = map(gm, piece, begin, *at, stop, p);
		if (!p) {
			err = -errno;
			if (err == -EEXIST)
				log_refusal(*at, "hyvd itself has something there; a buffer "
						 "elsewhere will do");
			return err;
		}
	}
	*next = p;
	return 0;
}

/* Return: whether two can be one: they show one stretch of memory, and no span begins or ends between */
static bool is_one(const struct place *p, const struct place *next)
{
	return p->end == next->start && !p->ends && !next->begins && p->dev == next->dev &&
	       p->ino == next->ino && p->offset + (p->end - p->start) == next->offset;
}

/*
 * Join what need not be apart any more, then unmap what nobody uses. The kernel can refuse that: what
 * is left of a larger mapping may be one more than vm.max_map_count; then it is tried again the next time.
 */
static void tidy(struct gmem *gm)
{
	struct place *p = TAILQ_FIRST(&gm->places), *next;

	for (; p; p = next) {
		while ((next = TAILQ_NEXT(p, others)) && is_one(p, next)) {
			p->end = next->end;
			p->ends = next->ends;
			TAILQ_REMOVE(&gm->places, next, others);
			free(next);
		}
		if (p->users)
			continue;
		/* NOLINTNEXTLINE(performance-no-int-to-ptr) */
		if (munmap((void *)(uintptr_t)p->start, p->end - p->start)) {
			log_guest("a buffer stays mapped at 0x%" PRIx64 " for now: %s", p->start,
				  strerror(errno));
			continue;
		}
		TAILQ_REMOVE(&gm->places, p, others);
		free(p);
	}
}

static void vacate(struct gmem *gm, uint64_t start, uint64_t end)
{
	struct place *p;

	for (p = find(gm, start); p && p->start < end; p = TAILQ_NEXT(p, others))
		if (p->start >= start) /* else it was in the way of the first piece */
			p->users--;
	tidy(gm);
}

/* with the lock held */
static int place_all(struct gmem *gm, const struct piece *pieces, size_t n, uint64_t start)
{
	uint64_t at = start, reached;
	struct place *next;
	size_t i;
	int err;

	tidy(gm);
	next = find(gm, start);
	for (i = 0; i < n; i++) {
		err = place_piece(gm, &pieces[i], at, &next, &reached);
		if (err) {
			vacate(gm, start, reached);
			if (err != -EEXIST)
				gmem_log_map_failure(err, n);
			return -ENOMEM;
		}
		at = reached;
	}
	find(gm, start)->begins++;
	find(gm, at - 1)->ends++;
	return 0;
}

int gmem_place(struct gmem *gm, const struct piece *pieces, size_t n, uint64_t place,
	       struct gmem_span *span)
{
	uint64_t len = 0;
	size_t i;
	int err;

	for (i = 0; i < n; i++)
		if (__builtin_add_overflow(len, pieces[i].len, &len))
			return -EINVAL;
	if (!len || place > UINT64_MAX - len)
		return -EINVAL;
	if (place + len > gm->stack_low && place < gm->stack_top) {
		log_refusal(place, "hyvd's stack is there; a buffer elsewhere will do");
		return -ENOMEM;
	}
	pthread_mutex_lock(&gm->place_lock);
	err = place_all(gm, pieces, n, place);
	pthread_mutex_unlock(&gm->place_lock);
	if (err)
		return err;
	/* NOLINTNEXTLINE(performance-no-int-to-ptr) */
	span->assembled = (void *)(uintptr_t)place;
	span->va = span->assembled;
	span->assembled_len = len;
	span->placed_in = gm;
	return 0;
}

void gmem_vacate(struct gmem *gm, uint64_t place, uint64_t len)
{
	pthread_mutex_lock(&gm->place_lock);
	find(gm, place)->begins--;
	find(gm, place + len - 1)->ends--;
	vacate(gm, place, place + len);
	pthread_mutex_unlock(&gm->place_lock);
}
