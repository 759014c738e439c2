/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of verbs_errors share. Each part makes bad calls on one kind of object; a CASE is
 * one call, whose name begins with its group.
 */
#ifndef TESTS_ERRORS_H
#define TESTS_ERRORS_H

#include "rdma.h"

#define SIZE 65536

extern struct rdma r;
extern void *memory; /* SIZE bytes, writable */

/** struct bad_call - @run returns an errno, or 0 */
struct bad_call {
	const char *name;
	int (*run)(void);
};

/* begins a function that is one of the calls; they run in the order of their file */
#define CASE(name) \
	static int name(void); \
	static const struct bad_call call_##name \
		__attribute__((section("calls"), used, no_reorder)) = { #name, name }; \
	static int name(void)

/** good_qp_attr() - Return: attributes of an RC QP with nothing wrong */
struct ibv_qp_init_attr good_qp_attr(struct ibv_cq *cq);

#endif
