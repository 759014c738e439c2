// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Counters of the guest's operations, with a histogram of their times. They are kept where answers
 * are given back, on the event loop's thread, which also shows them (control.c): plain numbers.
 */
#include <time.h>
#include "stats.h"

uint64_t stats_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void stats_add(struct stats *stats, uint32_t op, int status, uint64_t ns)
{
	struct stats_op *s = &stats->ops[op];
	uint64_t us = ns / 1000;
	unsigned int bucket = us ? 64 - (unsigned int)__builtin_clzll(us) : 0;

	s->count++;
	s->errors += status != 0;
	s->total_ns += ns;
	s->bucket[bucket < STATS_BUCKETS ? bucket : STATS_BUCKETS - 1]++;
}

const char *stats_op_name(uint32_t op)
{
	static const char *const names[HYV_OP_COUNT] = { [0] = "malformed",
#define OP_NAME(number, NAME, name, flags) [number] = #name,
							 HYV_OPS(OP_NAME)
#undef OP_NAME
	};

	return names[op];
}
