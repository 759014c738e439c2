/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The VM's addresses while it runs: see gidwatch.c. Event loop. */
#ifndef HYVD_GIDWATCH_H
#define HYVD_GIDWATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gidwatch;
struct vm;

/** gidwatch_create() - before the sandbox. Return: 0, or a negative errno after a message */
int gidwatch_create(struct gidwatch **out, struct vm *vm);

/** gidwatch_destroy() - there is no pool any more */
void gidwatch_destroy(struct gidwatch *watch);

/** gidwatch_look() - what addresses the host has may have changed */
void gidwatch_look(struct gidwatch *watch);

/** struct gidwatch_change - what an operator wants: that the VM has @address on @device, or has not */
struct gidwatch_change {
	const char *device;
	const char *address;
	bool is_added;
};

/**
 * gidwatch_change() - give the VM an address, or take one back
 * @client: whom to tell by control_done() when it can be used, or nobody listens on it any more
 * @why: out: why not
 *
 * Return: 0, and it is under way; or a negative errno.
 */
int gidwatch_change(struct gidwatch *watch, const struct gidwatch_change *change, uint64_t client,
		    char *why, size_t why_len);

#endif
