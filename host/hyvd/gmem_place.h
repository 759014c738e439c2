/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What gmem_place.c and gmem_space.c share, and nobody else includes. For all of it the write lock is held. */
#ifndef HYVD_GMEM_PLACE_H
#define HYVD_GMEM_PLACE_H

#include <stdbool.h>

#include "gmem_priv.h"

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

/** place_find() - Return: the first place that ends behind @at, or NULL */
struct place *place_find(struct gmem_space *space, uint64_t at);

/** FOREACH_OTHERS() - @q: each place that a space but @space, which is @other then, has in [@from, @to) */
#define FOREACH_OTHERS(q, other, space, from, to) \
	LIST_FOREACH(other, &(space)->gm->spaces, others) \
		for ((q) = (other) == (space) ? NULL : place_find(other, from); \
		     (q) && (q)->start < (to); (q) = TAILQ_NEXT(q, others))

/** place_hide() - mark @p, which is in @space or will be, as not shown, or not all of it */
void place_hide(struct gmem_space *space, struct place *p);

/** place_same() - Return: whether two show the same memory where both are */
bool place_same(const struct place *p, const struct place *q);

/**
 * place_map() - map [@at, @end) of @p
 * @fd: its file
 * @how: MAP_FIXED or MAP_FIXED_NOREPLACE
 *
 * Return: 0, or -1 with errno set
 */
int place_map(const struct place *p, uint64_t at, uint64_t end, int fd, int how);

/** space_tidy() - join places that need not be apart any more, and unmap what nobody uses, if that can be done */
void space_tidy(struct gmem_space *space);

/** space_bury() - free the spaces whose context is gone and in which nothing is mapped any more */
void space_bury(struct gmem *gm);

#endif
