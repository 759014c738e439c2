/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Completion and asynchronous events, host to guest: see event.c */
#ifndef HYVD_EVENT_H
#define HYVD_EVENT_H

struct context;
struct event;
struct vm;

/** event_create() - Return: 0 or a negative errno */
int event_create(struct event **out, struct vm *vm);

void event_destroy(struct event *event);

/**
 * event_watch() - read a context's events from now on, until its files are closed. Any thread.
 * Return: 0 or a negative errno
 */
int event_watch(struct event *event, struct context *ctx);

/** event_unwatch() - read them no more; the context is still open */
void event_unwatch(struct event *event, struct context *ctx);

/** event_kick() - the guest has given buffers: send what is due. On the event loop's thread. */
void event_kick(struct event *event);

#endif
