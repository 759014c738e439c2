// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The address spaces of the guest's contexts, for a driver that goes by addresses (gmem_place.c). Hyvd has
 * only one: who registers or rings enters its space first, which shows all of it, and hides what others
 * have at the same addresses.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "gmem_place.h"
#include "log.h"

#define SPARE_PAGES 6u

void space_bury(struct gmem *gm)
{
	struct gmem_space *space = LIST_FIRST(&gm->spaces), *next;

	for (; space; space = next) {
		next = LIST_NEXT(space, others);
		if (!space->is_dead)
			continue;
		space_tidy(space);
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
	space_bury(gm);
	if (LIST_EMPTY(&gm->spaces)) {
		drop_spare(gm, 0);
		drop_spare(gm, 1);
	}
	pthread_rwlock_unlock(&gm->place_lock);
}

/* hide what other spaces have where @p of @space is, but @p's memory if @p is shown */
static void hide_others(const struct gmem_space *space, const struct place *p, bool is_shown)
{
	struct gmem_space *other;
	struct place *q;

	FOREACH_OTHERS(q, other, space, p->start, p->end)
		if (!is_shown || !place_same(p, q))
			place_hide(other, q);
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

	if (fd >= 0 && !place_map(p, p->start, p->end, fd, MAP_FIXED)) {
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
