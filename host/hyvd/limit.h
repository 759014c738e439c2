/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the VM may have and has: see limit.c */
#ifndef HYVD_LIMIT_H
#define HYVD_LIMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <hyv/wire.h>

/** LIMIT_NONE - the value of a limit that is none */
#define LIMIT_NONE UINT64_MAX

/** LIMIT_BY_MEMORY - the value of a limit that follows the VM's memory: limit_max() */
#define LIMIT_BY_MEMORY (UINT64_MAX - 1)

struct gmem;

/** enum limit - what is limited; LIMIT_OPS is a rate, all others are amounts. limit.c has the table. */
enum limit {
	LIMIT_CONTEXTS,
	LIMIT_PDS,
	LIMIT_MRS,
	LIMIT_CQS,
	LIMIT_QPS,
	LIMIT_SRQS,
	LIMIT_AHS,
	LIMIT_MWS,
	LIMIT_PAGES, /* of 4096 bytes, counted per registration, as the kernel does */
	LIMIT_WINDOW, /* bytes */
	LIMIT_CM_IDS, /* listeners and connections; they belong to no context */
	LIMIT_OPS, /* per second */
	LIMIT_COUNT
};

/**
 * struct limits - of one VM
 * @max: the limits as they were set; set by any thread, read by limit_max()
 * @used: what the VM has; for LIMIT_OPS, how many operations it has started
 * @refused: how often it was told that it cannot have more; for LIMIT_OPS, how often it had to wait
 * @ops_due: nanoseconds, when the next operation were due at exactly the rate; the event loop's
 * @gmem: the VM's memory, for LIMIT_BY_MEMORY; NULL: not known, and no limit
 *
 * All zeros is no use: limit_init().
 */
struct limits {
	_Atomic uint64_t max[LIMIT_COUNT];
	_Atomic uint64_t used[LIMIT_COUNT];
	_Atomic uint64_t refused[LIMIT_COUNT];
	uint64_t ops_due;
	struct gmem *gmem;
};

/** struct charges - what one context has of the VM's amounts; all zeros at first */
struct charges {
	_Atomic uint64_t n[LIMIT_COUNT];
};

/** limit_default() - Return: the limit where the operator sets none */
uint64_t limit_default(enum limit which);

/** limit_init() - nothing used, every limit its default, and no memory */
void limit_init(struct limits *limits);

/** limit_max() - Return: a limit as it is at the moment; LIMIT_NONE: there is none. Any thread. */
uint64_t limit_max(const struct limits *limits, enum limit which);

/** limit_name() - Return: a limit's name in files and tools */
const char *limit_name(enum limit which);

/** limit_what() - Return: what a limit counts, in words */
const char *limit_what(enum limit which);

/** limit_find() - Return: the limit of that name, or LIMIT_COUNT */
enum limit limit_find(const char *name);

/**
 * limit_parse() - a limit's value as people write it: a number, with suffix K, M or G for powers
 * of 1024, or "none"
 *
 * Return: whether it is one.
 */
bool limit_parse(const char *text, uint64_t *value);

/**
 * limit_charge() - let the VM have @n more of something
 * @charges: the context that has it, or NULL
 *
 * Any thread. Return: 0, or -ENOMEM when that is over its limit, after a counter and a line in the
 * log.
 */
int limit_charge(struct limits *limits, struct charges *charges, enum limit which, uint64_t n);

/** limit_uncharge() - take @n back of what limit_charge() gave, once the host has it no more */
void limit_uncharge(struct limits *limits, struct charges *charges, enum limit which, uint64_t n);

/** limit_uncharge_all() - the same for all that is still charged to a context */
void limit_uncharge_all(struct limits *limits, struct charges *charges);

/** limit_clamp() - let the attributes that the guest reads be no more than its limits */
void limit_clamp(const struct limits *limits, struct hyv_resp_query_device *attr);

/**
 * limit_ops_wait() - how long an operation has to wait
 * @now: nanoseconds of a steady clock
 *
 * Return: nanoseconds; 0 when one may start now, which limit_ops_start() is to tell. Event loop.
 */
uint64_t limit_ops_wait(const struct limits *limits, uint64_t now);

/** limit_ops_start() - an operation starts; @had_to_wait: for the rate. Event loop. */
void limit_ops_start(struct limits *limits, uint64_t now, bool had_to_wait);

#endif
