/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control queue: see dispatch.c */
#ifndef HYVD_DISPATCH_H
#define HYVD_DISPATCH_H

#include <stdbool.h>

struct dispatch;
struct vm;

/** dispatch_create() - Return: 0 or a negative errno */
int dispatch_create(struct dispatch **out, struct vm *vm);

void dispatch_destroy(struct dispatch *dispatch);

/** dispatch_settle() - give back what is answered, waiting up to @ms for something to be. As dispatch_kick(). */
void dispatch_settle(struct dispatch *dispatch, int ms);

/** dispatch_is_busy() - Return: whether a request has been taken and not given back. As dispatch_kick(). */
bool dispatch_is_busy(const struct dispatch *dispatch);

/** dispatch_kick() - take the guest's requests and start them. On the event loop's thread. */
void dispatch_kick(struct dispatch *dispatch);

#endif
