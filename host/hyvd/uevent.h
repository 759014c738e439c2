/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host's kernel tells that RDMA devices go: see uevent.c */
#ifndef HYVD_UEVENT_H
#define HYVD_UEVENT_H

#include <stdbool.h>
#include <stddef.h>

/** uevent_open() - before the sandbox. Return: a socket that does not block, or a negative errno */
int uevent_open(void);

/**
 * uevent_read() - the next message
 * @name: out: the uverbs device that goes, as "uverbs0"
 *
 * Return: 1 when one goes; 0 for a message about something else; -EAGAIN when there is none; -ENOBUFS
 * when messages were lost; or another negative errno.
 */
int uevent_read(int fd, char *name, size_t size);

/** uevent_parse() - Return: whether a message says that a uverbs device goes; @name: out: which */
bool uevent_parse(const char *message, size_t len, char *name, size_t size);

#endif
