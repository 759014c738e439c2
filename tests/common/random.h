/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random numbers for tests that can be run again: the seed comes from HYV_SEED or the clock and is
 * printed.
 */
#ifndef TESTS_RANDOM_H
#define TESTS_RANDOM_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/** struct rnd - state of a generator (xorshift64*) */
struct rnd {
	uint64_t state;
};

static inline void rnd_init(struct rnd *r, const char *test)
{
	const char *env = getenv("HYV_SEED");
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	r->state = env ? strtoull(env, NULL, 0) : (uint64_t)now.tv_nsec << 20 ^ now.tv_sec;
	if (!r->state)
		r->state = 1;
	printf("%s: HYV_SEED=%#llx\n", test, (unsigned long long)r->state);
}

static inline uint64_t rnd64(struct rnd *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return r->state * 0x2545f4914f6cdd1dull;
}

/** rnd() - Return: a number below @n */
static inline uint32_t rnd(struct rnd *r, uint32_t n)
{
	return (rnd64(r) >> 32) % n;
}

#endif
