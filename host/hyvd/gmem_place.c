// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest memory at the address where the guest's application has it, as long as it is registered: for
 * a driver that goes by our address for ever after. siw does, and copies short messages from there
 * when it is rung (siw_try_1seg() of the kernel). So what is there must be that memory then, or a
 * guest would send what hyvd itself has at an address of the guest's choice.
 *
 * Hyvd's own memory is elsewhere (main.c, gmem.c), and never replaced: if some is in the way all the
 * same, the buffer is refused. Registrations of one process may overlap, and share what is mapped.
 *
 * Each of the guest's contexts has an address space, and hyvd only one: where two have registered
 * something at the same address, as parent and child do after a fork, one is shown and the other
 * hidden (gmem_space.c). Whatever is at a place stays mapped by one of them until the last has left, so
 * that nothing of hyvd's comes there. Showing takes time, and mappings: of places that differ there are
 * MAX_CONTESTED at most.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "gmem_place.h"
#include "log.h"

#define MAX_CONTESTED 4096u

struct place *place_find(struct gmem_space *space, uint64_t at)
{
	struct place *p = space->last_found;

	if (!p || p->start > at)
		p = TAILQ_FIRST(&space->places);
	while (p && p->end <= at) {
		space->last_found = p;
		p = TAILQ_NEXT(p, others);
	}
	if (p)
		space->last_found = p;
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

/* before @next, or last */
static void insert(struct gmem_space *space, struct place *p, struct place *next)
{
	if (next)
		TAILQ_INSERT_BEFORE(next, p, others);
	else
		TAILQ_INSERT_TAIL(&space->places, p, others);
	space->num_hidden += p->is_hidden;
	space->gm->num_contested += p->is_contested;
}

static void forget(struct gmem_space *space, struct place *p)
{
	if (space->last_found == p)
		space->last_found = NULL;
	space->num_hidden -= p->is_hidden;
	space->gm->num_contested -= p->is_contested;
	TAILQ_REMOVE(&space->places, p, others);
	free(p);
}

void place_hide(struct gmem_space *space, struct place *p)
{
	space->num_hidden += !p->is_hidden;
	p->is_hidden = true;
}

static void contest(struct gmem *gm, struct place *p)
{
	gm->num_contested += !p->is_contested;
	p->is_contested = true;
}

/* Return: what another space has at @at, or NULL; @end: out: not before that does this change */
static struct place *find_others(const struct gmem_space *space, uint64_t at, uint64_t *end)
{
	struct gmem_space *other;
	struct place *p;

	LIST_FOREACH(other, &space->gm->spaces, others) {
		p = other == space ? NULL : place_find(other, at);
		if (p && p->start <= at) {
			*end = p->end < *end ? p->end : *end;
			return p;
		}
		if (p && p->start < *end)
			*end = p->start;
	}
	return NULL;
}

bool place_same(const struct place *p, const struct place *q)
{
	return p->dev == q->dev && p->ino == q->ino && p->offset - p->start == q->offset - q->start;
}

/* Return: whether another space has other memory where @p of @space is */
static bool differs(const struct gmem_space *space, const struct place *p)
{
	struct gmem_space *other;
	struct place *q;

	FOREACH_OTHERS(q, other, space, p->start, p->end)
		if (!place_same(p, q))
			return true;
	return false;
}

/* see which places are contested still */
static void settle(struct gmem *gm)
{
	struct gmem_space *space;
	struct place *p;

	LIST_FOREACH(space, &gm->spaces, others) {
		TAILQ_FOREACH(p, &space->places, others) {
			if (p->is_contested && !differs(space, p)) {
				p->is_contested = false;
				gm->num_contested--;
			}
		}
	}
}

/* Return: whether there may be another contested place; if not, errno is set and there is a line in the log */
static bool may_contest(struct gmem *gm)
{
	if (gm->num_contested >= MAX_CONTESTED)
		settle(gm);
	if (gm->num_contested < MAX_CONTESTED)
		return true;
	log_guest(
		"a buffer cannot be registered: processes of the guest have different memory at the same addresses, in %u pieces already",
		MAX_CONTESTED);
	errno = EBUSY;
	return false;
}

/* cut @p in two at @at. Return: the second half, or NULL with errno set */
static struct place *split(struct gmem_space *space, struct place *p, uint64_t at)
{
	struct place *half;

	if (p->is_contested && !may_contest(space->gm))
		return NULL;
	half = malloc(sizeof(*half));
	if (!half)
		return NULL;
	*half = *p;
	half->start = at;
	half->offset += at - p->start;
	half->begins = 0;
	p->end = at;
	p->ends = 0;
	insert(space, half, TAILQ_NEXT(p, others));
	return half;
}

/*
 * One user more for @p, or for the part of it that begins at @at and ends at @end or before. Return:
 * it, or NULL with errno set
 */
static struct place *share(struct gmem_space *space, struct place *p, uint64_t at, uint64_t end)
{
	if (p->start < at)
		p = split(space, p, at);
	if (p && p->end > end && !split(space, p, end))
		return NULL;
	if (p)
		p->users++;
	return p;
}

int place_map(const struct place *p, uint64_t at, uint64_t end, int fd, int how)
{
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): a number is what there is */
	void *va = mmap((void *)(uintptr_t)at, end - at, PROT_READ | PROT_WRITE, MAP_SHARED | how,
			fd, (off_t)(p->offset + (at - p->start)));

	return va == MAP_FAILED ? -1 : 0;
}

/* Unmap what no other space has, and take it from @p. Return: whether nothing is left of it */
static bool unmap(const struct gmem_space *space, struct place *p)
{
	bool is_others;
	uint64_t end;

	while (p->start < p->end) {
		end = p->end;
		is_others = p->is_shared && find_others(space, p->start, &end);
		/* NOLINTNEXTLINE(performance-no-int-to-ptr) */
		if (!is_others && munmap((void *)(uintptr_t)p->start, end - p->start)) {
			log_guest("a buffer stays mapped at 0x%" PRIx64 " for now: %s", p->start,
				  strerror(errno));
			return false;
		}
		p->offset += end - p->start;
		p->start = end;
	}
	return true;
}

/* @p of @space, and whatever others have of [@at, @end) of it. Return: whether they may; else errno is set */
static bool hide_behind(struct gmem_space *space, struct place *p, uint64_t at, uint64_t end)
{
	struct gmem_space *other;
	struct place *q;

	FOREACH_OTHERS(q, other, space, at, end) {
		q->is_shared = true;
		if (q->is_hidden)
			place_hide(space, p);
		if (place_same(p, q))
			continue;
		place_hide(space, p);
		if ((!p->is_contested || !q->is_contested) && !may_contest(space->gm))
			return false;
		contest(space->gm, p);
		contest(space->gm, q);
	}
	return true;
}

/*
 * Map those parts of @p that nobody has; what other spaces have, @p hides behind. Return: 0, or -1
 * with errno set, and @p is as far as it is mapped
 */
static int claim(struct gmem_space *space, struct place *p, int fd)
{
	uint64_t at, end;

	p->is_shared = true;
	for (at = p->start; at < p->end; at = end) {
		end = p->end;
		if (find_others(space, at, &end) ? !hide_behind(space, p, at, end) :
						   place_map(p, at, end, fd, MAP_FIXED_NOREPLACE)) {
			p->end = at;
			return -1;
		}
	}
	return 0;
}

/*
 * Map [@at, @end) of @piece, whose first byte is to be at @begin. Return: the new place, before @next,
 * or NULL with errno set
 */
static struct place *map(struct gmem_space *space, const struct piece *piece, uint64_t begin,
			 uint64_t at, uint64_t end, struct place *next)
{
	struct place *p = new_place(at, end, piece, piece->offset + (at - begin));
	int err;

	if (!p)
		return NULL;
	insert(space, p, next);
	if (!place_map(p, at, end, piece->fd, MAP_FIXED_NOREPLACE) ||
	    (errno == EEXIST && !claim(space, p, piece->fd)))
		return p;
	err = errno;
	if (!p->is_shared)
		p->end = p->start; /* nothing of it is mapped */
	p->users = 0;
	if (unmap(space, p))
		forget(space, p);
	errno = err;
	return NULL;
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
 * piece. @at: out: up to where it is there. Return: 0; -EEXIST when something else is in the way or -EBUSY
 * when too much is contested, with a line in the log; another negative errno without
 */
static int place_piece(struct gmem_space *space, const struct piece *piece, uint64_t begin,
		       struct place **next, uint64_t *at)
{
	uint64_t end = begin + piece->len, stop;
	struct place *p = *next;
	int err;

	for (*at = begin; *at < end; *at = p->end, p = TAILQ_NEXT(p, others)) {
		if (p && p->start <= *at && !shows(p, piece, begin)) {
			log_refusal(
				*at,
				"the same process has other memory registered there; deregister that first");
			return -EEXIST;
		}
		stop = p && p->start < end ? p->start : end;
		errno = ENOMEM;
		if (p && p->start <= *at)
			p = share(space, p, *at, end);
		else
			p = map(space, piece, begin, *at, stop, p);
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
	return p->end == next->start && !p->ends && !next->begins && place_same(p, next);
}

/*
 * Join what need not be apart any more, then unmap what nobody uses. The kernel can refuse that: what
 * is left of a larger mapping may be one more than vm.max_map_count; then it is tried again the next time.
 */
void space_tidy(struct gmem_space *space)
{
	struct place *p = TAILQ_FIRST(&space->places), *next;

	for (; p; p = next) {
		/* NOLINTNEXTLINE: TAILQ is beyond the analyser */
		while ((next = TAILQ_NEXT(p, others)) && is_one(p, next)) {
			p->end = next->end;
			p->ends = next->ends;
			p->is_shared |= next->is_shared;
			if (next->is_contested)
				contest(space->gm, p);
			if (next->is_hidden)
				place_hide(space, p);
			forget(space, next);
		}
		if (!p->users && unmap(space, p))
			forget(space, p);
	}
}

static void vacate(struct gmem_space *space, uint64_t start, uint64_t end)
{
	struct place *p;

	for (p = place_find(space, start); p && p->start < end; p = TAILQ_NEXT(p, others))
		if (p->start >= start) /* else it was in the way, and has not been split */
			p->users--;
	space_tidy(space);
}

/* with the lock held */
static int place_all(struct gmem_space *space, const struct piece *pieces, size_t n, uint64_t start)
{
	uint64_t at = start, reached;
	struct place *next;
	size_t i;
	int err;

	space_bury(space->gm);
	space_tidy(space);
	next = place_find(space, start);
	for (i = 0; i < n; i++) {
		err = place_piece(space, &pieces[i], at, &next, &reached);
		if (err) {
			vacate(space, start, reached);
			if (err != -EEXIST && err != -EBUSY)
				gmem_log_map_failure(err, n);
			return -ENOMEM;
		}
		at = reached;
	}
	place_find(space, start)->begins++;
	place_find(space, at - 1)->ends++;
	return 0;
}

int gmem_place(struct gmem_space *space, const struct piece *pieces, size_t n, uint64_t place,
	       struct gmem_span *span)
{
	struct gmem *gm = space->gm;
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
	pthread_rwlock_wrlock(&gm->place_lock);
	err = place_all(space, pieces, n, place);
	pthread_rwlock_unlock(&gm->place_lock);
	if (err)
		return err;
	/* NOLINTNEXTLINE(performance-no-int-to-ptr) */
	span->assembled = (void *)(uintptr_t)place;
	span->va = span->assembled;
	span->assembled_len = len;
	span->placed_in = space;
	return 0;
}

void gmem_vacate(struct gmem_space *space, uint64_t place, uint64_t len)
{
	struct gmem *gm = space->gm;

	pthread_rwlock_wrlock(&gm->place_lock);
	place_find(space, place)->begins--;
	place_find(space, place + len - 1)->ends--;
	vacate(space, place, place + len);
	pthread_rwlock_unlock(&gm->place_lock);
}
