// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Limits of the VM: one table (below) for what is counted, what it is called and which attribute
 * shows it. An amount is charged before the host is asked, and given back when the host has destroyed
 * the thing: when its destroy succeeded, or, for what dies with its context, when the context's file
 * is closed. Each context knows what is charged to it for that purpose.
 *
 * Pages have a limit where the operator sets none, since the host's kernel keeps tables of what is
 * registered, of about 40 bytes a page, and counts a page as often as it is registered. The limit is
 * so high that an honest guest does not meet it: all of its memory, once on each device that it may
 * have.
 *
 * The rate of operations lets a second's worth pass at once and spaces the rest evenly: an operation
 * is due 1/rate after the one before it, and may start up to a second before it is due. A guest over
 * its rate waits (dispatch.c lets its requests lie in the ring); it is never told to try again, which
 * applications do not.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "gmem.h"
#include "limit.h"
#include "log.h"

#define SECOND	       1000000000ull
#define PAGE	       4096
#define CM_IDS_DEFAULT 4096 /* each may take a port that all programs of the host choose from */
#define MEMORY_TIMES   HYV_MAX_DEVICES /* see above */

#define ATTR(member)   offsetof(struct hyv_resp_query_device, member)

/**
 * struct limit_row - one limit: its name in files and tools, what it counts, and the 32-bit attribute
 * of the device that shows it to the guest, by its offset; 0 for none
 */
struct limit_row {
	const char *name;
	const char *what;
	size_t attr;
};

static const struct limit_row rows[LIMIT_COUNT] = {
	[LIMIT_CONTEXTS] = { "contexts", "open contexts", 0 },
	[LIMIT_PDS] = { "pds", "protection domains", ATTR(max_pd) },
	[LIMIT_MRS] = { "mrs", "memory regions", ATTR(max_mr) },
	[LIMIT_CQS] = { "cqs", "completion queues", ATTR(max_cq) },
	[LIMIT_QPS] = { "qps", "queue pairs", ATTR(max_qp) },
	[LIMIT_SRQS] = { "srqs", "shared receive queues", ATTR(max_srq) },
	[LIMIT_AHS] = { "ahs", "address handles", ATTR(max_ah) },
	[LIMIT_MWS] = { "mws", "memory windows", ATTR(max_mw) },
	[LIMIT_PAGES] = { "pages", "registered pages of 4096 bytes", 0 }, /* limit_clamp() */
	[LIMIT_WINDOW] = { "window", "bytes of the window", 0 },
	[LIMIT_CM_IDS] = { "cm_ids", "connections and listeners", 0 },
	[LIMIT_OPS] = { "ops", "operations per second", 0 },
};

void limit_init(struct limits *limits)
{
	unsigned int i;

	memset(limits, 0, sizeof(*limits));
	for (i = 0; i < LIMIT_COUNT; i++)
		limits->max[i] = limit_default(i);
}

uint64_t limit_default(enum limit which)
{
	return which == LIMIT_CM_IDS ? CM_IDS_DEFAULT :
	       which == LIMIT_PAGES  ? LIMIT_BY_MEMORY :
				       LIMIT_NONE;
}

uint64_t limit_max(const struct limits *limits, enum limit which)
{
	uint64_t max = atomic_load(&limits->max[which]);

	if (max != LIMIT_BY_MEMORY)
		return max;
	return limits->gmem ? gmem_total(limits->gmem) / PAGE * MEMORY_TIMES : LIMIT_NONE;
}

const char *limit_name(enum limit which)
{
	return rows[which].name;
}

const char *limit_what(enum limit which)
{
	return rows[which].what;
}

enum limit limit_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < LIMIT_COUNT; i++)
		if (!strcmp(name, rows[i].name))
			break;
	return i;
}

bool limit_parse(const char *text, uint64_t *value)
{
	unsigned int shift;
	char *end;

	if (!strcmp(text, "none")) {
		*value = LIMIT_NONE;
		return true;
	}
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &end, 10);
	shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
	if (errno || end[shift > 0] || *value > (LIMIT_BY_MEMORY - 1) >> shift)
		return false;
	*value <<= shift;
	return true;
}

/* each limit has lines of its own, so that a flood at one does not hide another's */
static bool may_tell(enum limit which)
{
	static struct log_ratelimit lines[LIMIT_COUNT] = { [0 ... LIMIT_COUNT - 1] =
								   LOG_GUEST_RATE };

	return log_allowed(&lines[which]);
}

int limit_charge(struct limits *limits, struct charges *charges, enum limit which, uint64_t n)
{
	uint64_t used = atomic_load(&limits->used[which]);
	uint64_t max;

	do {
		max = limit_max(limits, which);
		if (used > max || n > max - used) {
			atomic_fetch_add(&limits->refused[which], 1);
			if (may_tell(which))
				log_warn("the VM has %" PRIu64 " %s and wants %" PRIu64
					 " more, over its limit of %" PRIu64
					 ": refused; 'hyvctl limit' can raise '%s'",
					 used, rows[which].what, n, max, rows[which].name);
			return -ENOMEM;
		}
	} while (!atomic_compare_exchange_weak(&limits->used[which], &used, used + n));
	if (charges)
		atomic_fetch_add(&charges->n[which], n);
	return 0;
}

void limit_uncharge(struct limits *limits, struct charges *charges, enum limit which, uint64_t n)
{
	atomic_fetch_sub(&limits->used[which], n);
	if (charges)
		atomic_fetch_sub(&charges->n[which], n);
}

void limit_uncharge_all(struct limits *limits, struct charges *charges)
{
	unsigned int i;

	for (i = 0; i < LIMIT_COUNT; i++)
		atomic_fetch_sub(&limits->used[i], atomic_exchange(&charges->n[i], 0));
}

void limit_clamp(const struct limits *limits, struct hyv_resp_query_device *attr)
{
	uint64_t max = atomic_load(&limits->max[LIMIT_PAGES]);
	unsigned int i;

	if (max <= UINT64_MAX / PAGE && max * PAGE < le64toh(attr->max_mr_size))
		attr->max_mr_size = htole64(max * PAGE);
	for (i = 0; i < LIMIT_COUNT; i++) {
		__le32 *field = (__le32 *)((char *)attr + rows[i].attr);

		max = atomic_load(&limits->max[i]);
		if (rows[i].attr && max < le32toh(*field))
			*field = htole32((uint32_t)max);
	}
}

/* nanoseconds between operations at exactly the rate; a rate of 0 is one a second */
static uint64_t ops_gap(const struct limits *limits)
{
	uint64_t rate = atomic_load(&limits->max[LIMIT_OPS]);

	return SECOND / (rate ? rate : 1);
}

uint64_t limit_ops_wait(const struct limits *limits, uint64_t now)
{
	uint64_t start = limits->ops_due + ops_gap(limits);

	return start > now + SECOND ? start - now - SECOND : 0;
}

void limit_ops_start(struct limits *limits, uint64_t now, bool had_to_wait)
{
	uint64_t gap = ops_gap(limits);

	limits->ops_due = (limits->ops_due > now ? limits->ops_due : now) + gap;
	atomic_fetch_add(&limits->used[LIMIT_OPS], 1);
	if (!had_to_wait)
		return;
	atomic_fetch_add(&limits->refused[LIMIT_OPS], 1);
	log_guest("the VM asks for more than %" PRIu64
		  " operations per second: its requests wait; 'hyvctl limit' can raise 'ops'",
		  atomic_load(&limits->max[LIMIT_OPS]));
}
