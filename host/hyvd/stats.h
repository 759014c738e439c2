/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the guest asked for and how long it took: see stats.c */
#ifndef HYVD_STATS_H
#define HYVD_STATS_H

#include <stdint.h>
#include <hyv/wire.h>

#define STATS_BUCKETS 24

/**
 * struct stats_op - one operation
 * @count: requests that were answered, errors included
 * @errors: those answered with an error
 * @total_ns: from the ring to the answer, all together
 * @bucket: how many took less than 2^i microseconds, and not less than the bucket before; the last
 *          has all that took longer
 */
struct stats_op {
	uint64_t count;
	uint64_t errors;
	uint64_t total_ns;
	uint64_t bucket[STATS_BUCKETS];
};

/** struct stats - by operation; 0 is for requests that name none. The event loop's alone. */
struct stats {
	struct stats_op ops[HYV_OP_COUNT];
};

/** stats_now() - Return: nanoseconds of the clock that all times here are of */
uint64_t stats_now(void);

/** stats_add() - a request is answered: @status, @ns after it was taken from the ring */
void stats_add(struct stats *stats, uint32_t op, int status, uint64_t ns);

/** stats_op_name() - Return: an operation's name, in lower case; "malformed" for 0 */
const char *stats_op_name(uint32_t op);

#endif
