/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VM from its ring to the host and back, for tests: the daemon's real code behind frontend.h, with a
 * host's uverbs of our own (linked with --wrap) behind that.
 */
#ifndef TESTS_FAKE_HOST_H
#define TESTS_FAKE_HOST_H

#include "cmd.h"
#include "context.h"
#include "dispatch.h"
#include "frontend.h"
#include "vm.h"

#define FAKE_DATA 0x1000u /* bytes of guest memory for one request, its answer in the second half */

extern struct vm vm;
extern const struct hyv_provider fake_provider;

/* what the host answers to a new object, and to a destroy */
extern int host_creates, host_destroys;

/* how many QPs it was asked for, and how many objects it destroyed */
extern unsigned int host_qps;
extern _Atomic unsigned int host_destroyed;

/* what happens when the host has executed a command of uverbs_write(), on whatever thread; or NULL */
extern void (*host_did)(uint32_t command, const void *in);

/* the GID table of every device, by index, all of them lo's; and what the host answers to a question about it */
#define FAKE_GIDS 8
extern uint8_t host_gids[FAKE_GIDS][16];
extern uint32_t host_gid_types[FAKE_GIDS];
extern int host_tells_gids;

/** fake_setup(), fake_teardown() - cmocka fixtures: a VM without devices, and a guest that is connected */
int fake_setup(void **state);
int fake_teardown(void **state);

/** fake_offer() - put a request of operation @op into slot @slot of the ring; nothing else happens */
void fake_offer(struct frontend *fe, unsigned int slot, uint32_t op, const void *req, size_t len,
		const void *tail, size_t tail_len, size_t resp_len);

void fake_kick(struct frontend *fe);

/** fake_answered() - work until @n requests in all are answered. Return: whether they were in @ms */
bool fake_answered(struct frontend *fe, uint16_t n, unsigned int ms);

/** fake_ask_tail(), fake_ask() - one request, and its answer in @resp. Return: the status */
int fake_ask_tail(struct frontend *fe, uint32_t op, const void *req, size_t len, const void *tail,
		  size_t tail_len, void *resp, size_t resp_len);
int fake_ask(struct frontend *fe, uint32_t op, const void *req, size_t len, void *resp,
	     size_t resp_len);

/** fake_alloc_context(), fake_alloc_pd() - @id: out. Return: the status */
int fake_alloc_context(struct frontend *fe, uint32_t device, __le64 *id);
int fake_alloc_pd(struct frontend *fe, __le64 context, __le64 *id);

/** struct fake_qp - what fake_make_qp() makes */
struct fake_qp {
	__le64 context, pd, qp;
	uint32_t doorbell;
};

/** fake_make_qp() - a QP in a context of its own. Return: the status of the QP's creation */
int fake_make_qp(struct frontend *fe, uint32_t device, uint32_t type, struct fake_qp *made);

/** fake_table() - write a table of one extent. Return: its address */
__le64 fake_table(struct frontend *fe, uint64_t gpa, uint64_t len);

/** fake_reg_mr() - register one extent of memory; @id: out. Return: the status */
int fake_reg_mr(struct frontend *fe, __le64 pd, uint64_t gpa, uint64_t len, uint64_t iova,
		__le64 *id);

/**
 * fake_journal() - hyvd's lines go to a journal of ours, or to standard error again
 *
 * Return: what came so far, a line each, with its fields separated by '|'.
 */
const char *fake_journal(bool is_on);

/** fake_destroy() - DEALLOC_PD, DEREG_MR, FREE_CONTEXT and so on. Return: the status */
int fake_destroy(struct frontend *fe, uint32_t op, __le64 id);

#endif
