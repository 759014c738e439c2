/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sockets that others connect to: see listener.c */
#ifndef HYVD_LISTENER_H
#define HYVD_LISTENER_H

#include <systemd/sd-event.h>

/**
 * listener_add() - serve a socket that listens
 * @source: out
 * @fd: stays the caller's
 * @on_connect: is to accept a connection; if it cannot, it is called again later
 * @arg: for @on_connect
 *
 * Return: 0 or a negative errno, and then there is no source.
 */
int listener_add(sd_event *loop, sd_event_source **source, int fd, sd_event_io_handler_t on_connect,
		 void *arg);

#endif
