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
 * hidden. Who registers or rings enters its space first, which shows all of it. Whatever is at a
 * place stays mapped by one of them until the last has left, so that nothing of hyvd's comes there.
 * Showing takes time, and mappings: of places that differ there are MAX_CONTESTED at most.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "gmem_priv.h"
#include "log.h"

#define MAX_CONTESTED 4096u
#define SPARE_PAGES   6u

/**
 * struct place - a mapping that all of its users have whole
 * @start, @end: its addresses
 * @dev, @ino, @offset: what is mapped
 * @users: spans that it is part of; 0: it could not be unmapped
 * @begins, @ends: how many of them begin at @start and end at @end
 * @is_shared: another space has something at some of its addresses, or had
 * @is_contested: and other memory
 * @is_hidden: perhaps some of it is not shown
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
	bool is_shared;
	bool is_contested;
	bool is_hidden;
	TAILQ_ENTRY(place) others;
};

/* Return: the first place that ends behind @at, or NULL; the write lock is held */
static struct place *find(struct gmem_space *space, uint64_t at)
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

static void hide(struct gmem_space *space, struct place *p)
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
		p = other == space ? NULL : find(other, at);
		if (p && p->start <= at) {
			*end = p->end < *end ? p->end : *end;
			return p;
		}
		if (p && p->start < *end)
			*end = p->start;
	}
	return NULL;
}

static bool show_the_same(const struct place *p, const struct place *q)
{
	return p->dev == q->dev && p->ino == q->ino && p->offset - p->start == q->offset - q->start;
}

/* Return: whether another space has other memory where @p of @space is */
static bool differs(const struct gmem_space *space, const struct place *p)
{
	struct gmem_space *other;
	struct place *q;

	LIST_FOREACH(other, &space->gm->spaces, others) {
		if (other == space)
			continue;
		for (q = find(other, p->start); q && q->start < p->end; q = TAILQ_NEXT(q, others))
			if (!show_the_same(p, q))
				return true;
	}
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

/* map [@at, @end) of @p. Return: 0, or -1 with errno set */
static int map_part(const struct place *p, uint64_t at, uint64_t end, int fd, int how)
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

	LIST_FOREACH(other, &space->gm->spaces, others) {
		if (other == space)
			continue;
		for (q = find(other, at); q && q->start < end; q = TAILQ_NEXT(q, others)) {
			q->is_shared = true;
			if (q->is_hidden)
				hide(space, p);
			if (show_the_same(p, q))
				continue;
			hide(space, p);
			if ((!p->is_contested || !q->is_contested) && !may_contest(space->gm))
				return false;
			contest(space->gm, p);
			contest(space->gm, q);
		}
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
						   map_part(p, at, end, fd, MAP_FIXED_NOREPLACE)) {
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
	if (!map_part(p, at, end, piece->fd, MAP_FIXED_NOREPLACE) ||
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
	return p->end == next->start && !p->ends && !next->begins && show_the_same(p, next);
}

/*
 * Join what need not be apart any more, then unmap what nobody uses. The kernel can refuse that: what
 * is left of a larger mapping may be one more than vm.max_map_count; then it is tried again the next time.
 */
static void tidy(struct gmem_space *space)
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
				hide(space, p);
			forget(space, next);
		}
		if (!p->users && unmap(space, p))
			forget(space, p);
	}
}

/* those whose context is gone and in which something could not be unmapped */
static void bury_spaces(struct gmem *gm)
{
	struct gmem_space *space = LIST_FIRST(&gm->spaces), *next;

	for (; space; space = next) {
		next = LIST_NEXT(space, others);
		if (!space->is_dead)
			continue;
		tidy(space);
		if (TAILQ_EMPTY(&space->places)) {
			LIST_REMOVE(space, others);
			free(space);
		}
	}
}

/*
 * A few mappings, in two parts, to be given up when there can be no more: the kernel refuses even one
 * that replaces others then.
 */
static void take_spare(struct gmem *gm)
{
	size_t page = gm->page_size, len = SPARE_PAGES * page, at;
	unsigned int i;
	uint8_t *spare;

	for (i = 0; i < 2; i++) {
		if (gm->spare[i])
			continue;
		spare = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (spare == MAP_FAILED)
			return;
		gm->spare[i] = spare;
		for (at = page; at < len; at += 2 * page)
			if (mprotect(spare + at, page, PROT_READ))
				return;
	}
}

static void drop_spare(struct gmem *gm, unsigned int i)
{
	if (gm->spare[i] && !munmap(gm->spare[i], SPARE_PAGES * gm->page_size))
		gm->spare[i] = NULL;
}

struct gmem_space *gmem_space_create(struct gmem *gm)
{
	struct gmem_space *space = calloc(1, sizeof(*space));

	if (!space)
		return NULL;
	space->gm = gm;
	TAILQ_INIT(&space->places);
	pthread_rwlock_wrlock(&gm->place_lock);
	LIST_INSERT_HEAD(&gm->spaces, space, others);
	take_spare(gm);
	pthread_rwlock_unlock(&gm->place_lock);
	return space;
}

void gmem_space_destroy(struct gmem_space *space)
{
	struct gmem *gm = space->gm;

	pthread_rwlock_wrlock(&gm->place_lock);
	space->is_dead = true;
	bury_spaces(gm);
	if (LIST_EMPTY(&gm->spaces)) {
		drop_spare(gm, 0);
		drop_spare(gm, 1);
	}
	pthread_rwlock_unlock(&gm->place_lock);
}

static void vacate(struct gmem_space *space, uint64_t start, uint64_t end)
{
	struct place *p;

	for (p = find(space, start); p && p->start < end; p = TAILQ_NEXT(p, others))
		if (p->start >= start) /* else it was in the way, and has not been split */
			p->users--;
	tidy(space);
}

/* with the lock held */
static int place_all(struct gmem_space *space, const struct piece *pieces, size_t n, uint64_t start)
{
	uint64_t at = start, reached;
	struct place *next;
	size_t i;
	int err;

	bury_spaces(space->gm);
	tidy(space);
	next = find(space, start);
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
	find(space, start)->begins++;
	find(space, at - 1)->ends++;
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
	find(space, place)->begins--;
	find(space, place + len - 1)->ends--;
	vacate(space, place, place + len);
	pthread_rwlock_unlock(&gm->place_lock);
}

/* hide what other spaces have where @p of @space is, but @p's memory if @p is shown */
static void hide_others(const struct gmem_space *space, const struct place *p, bool is_shown)
{
	struct gmem_space *other;
	struct place *q;

	LIST_FOREACH(other, &space->gm->spaces, others) {
		if (other == space)
			continue;
		for (q = find(other, p->start); q && q->start < p->end; q = TAILQ_NEXT(q, others))
			if (!is_shown || !show_the_same(p, q))
				hide(other, q);
	}
}

/* Return: a descriptor of the file that a place shows, or -1 with errno set; the table's lock is held */
static int file_of(const struct gmem *gm, const struct place *p)
{
	unsigned int i;

	for (i = 0; i < gm->num_regions; i++)
		if (gm->regions[i].dev == p->dev && gm->regions[i].ino == p->ino)
			return gm->regions[i].r.fd;
	errno = EFAULT;
	return -1;
}

/*
 * All of @p is mapped by somebody, so that nothing of hyvd's is replaced. When that fails for want of
 * memory, the kernel may have taken away what was there: then nothing of hyvd's may come there either.
 */
static int show(const struct gmem_space *space, const struct place *p)
{
	int fd = file_of(space->gm, p), err;
	void *nothing;

	if (fd >= 0 && !map_part(p, p->start, p->end, fd, MAP_FIXED)) {
		hide_others(space, p, true);
		return 0;
	}
	err = -errno;
	/* NOLINTNEXTLINE(performance-no-int-to-ptr) */
	nothing = mmap((void *)(uintptr_t)p->start, p->end - p->start, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	if (nothing != MAP_FAILED)
		hide_others(space, p, false);
	return err;
}

/* Both locks are held. Return: 0 or a negative errno; what is shown then is marked so */
static int show_all(struct gmem_space *space)
{
	struct place *p;
	int err;

	TAILQ_FOREACH(p, &space->places, others) {
		if (!p->is_hidden || !p->users)
			continue;
		err = show(space, p);
		if (err)
			return err;
		p->is_hidden = false;
		space->num_hidden--;
	}
	return 0;
}

/* as show_all(), with spare mappings; if they are too few, the others have what is theirs again */
static int show_with_spare(struct gmem_space *space)
{
	struct gmem_space *other;
	int err;

	drop_spare(space->gm, 0);
	err = show_all(space);
	if (err) {
		drop_spare(space->gm, 1);
		LIST_FOREACH(other, &space->gm->spaces, others)
			if (other != space)
				show_all(other);
	}
	take_spare(space->gm);
	return err;
}

int gmem_enter(struct gmem_space *space)
{
	struct gmem *gm = space->gm;
	size_t wanted;
	int err;

	pthread_rwlock_rdlock(&gm->place_lock);
	if (!space->num_hidden)
		return 0;
	pthread_rwlock_unlock(&gm->place_lock);
	pthread_rwlock_rdlock(&gm->lock);
	pthread_rwlock_wrlock(&gm->place_lock);
	wanted = space->num_hidden;
	err = show_all(space);
	if (err == -ENOMEM)
		err = show_with_spare(space);
	pthread_rwlock_unlock(&gm->lock);
	if (!err)
		return 0;
	pthread_rwlock_unlock(&gm->place_lock);
	if (err == -EFAULT)
		log_guest("a buffer of memory that the guest has no more cannot be used");
	else
		gmem_log_map_failure(err, wanted);
	return err;
}

void gmem_leave(struct gmem_space *space)
{
	pthread_rwlock_unlock(&space->gm->place_lock);
}
