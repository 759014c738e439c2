/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The doorbells that guest and daemon share: see doorbell.c */
#ifndef HYVD_DOORBELL_H
#define HYVD_DOORBELL_H

#include <stdbool.h>
#include <stdint.h>
#include <hyv/wire.h>

struct doorbell;
struct qp;
struct vm;

/**
 * doorbell_create() - all quiet, and asleep
 * @poll_us: microseconds to go on looking after the last ring before falling asleep, where the last
 *           times showed that this pays
 *
 * Return: 0 or a negative errno.
 */
int doorbell_create(struct doorbell **out, struct vm *vm, unsigned int poll_us);

void doorbell_destroy(struct doorbell *db);

/** doorbell_memory() - Return: the shared pages, HYV_DOORBELLS_SIZE bytes, page aligned */
struct hyv_doorbells *doorbell_memory(struct doorbell *db);

/**
 * doorbell_assign() - a number for a QP, which must outlive it. Any thread. Return: 0, or
 * -ENOMEM when all are taken
 */
int doorbell_assign(struct doorbell *db, struct qp *qp, uint32_t *number);

/**
 * doorbell_release() - the number may go to another QP. When it returns, nobody rings this one
 * any more. Any thread.
 */
void doorbell_release(struct doorbell *db, uint32_t number);

/**
 * doorbell_wake() - the guest notified: look from now on. Does nothing when awake. On the event
 * loop's thread, as the next.
 */
void doorbell_wake(struct doorbell *db);

/**
 * doorbell_poll() - ring what the guest has asked for. Return: whether to go on polling; false:
 * asleep
 */
bool doorbell_poll(struct doorbell *db);

/** doorbell_poll_round() - doorbell_poll(), until other work of the event loop should have a turn. Return: as that */
bool doorbell_poll_round(struct doorbell *db);

/** doorbell_asleep() - Return: whether only doorbell_wake() makes it look again */
bool doorbell_asleep(const struct doorbell *db);

#endif
