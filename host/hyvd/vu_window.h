/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Showing the window to the guest over the back-end channel: see vu_window.c */
#ifndef HYVD_VU_WINDOW_H
#define HYVD_VU_WINDOW_H

#include <stdint.h>
#include <systemd/sd-event.h>

struct vu_window;

/**
 * vu_window_create() - no channel, nothing mapped
 * @size: bytes of shared-memory region 0
 * @live: called at the end of each vu_window_map() that no vu_window_stop() overtook
 *
 * Return: 0 or a negative errno
 */
int vu_window_create(struct vu_window **out, sd_event *loop, uint64_t size,
		     void (*live)(void *arg, int error), void *arg);

void vu_window_destroy(struct vu_window *w);

/**
 * vu_window_set_channel() - use this socket from now on, -1 for none; a handshake on the old one
 * ends with -ECONNRESET
 *
 * Return: 0 or a negative errno. @fd is owned either way.
 */
int vu_window_set_channel(struct vu_window *w, int fd);

/**
 * vu_window_map() - begin the handshake; the caller makes sure that the rings run
 * @fd: file to map, still the caller's
 *
 * Return: 0 and a call of live(), later unless the channel fails at once; -ENOTCONN without a
 * channel; -EALREADY if it is under way or done since the last vu_window_stop(); another negative
 * errno.
 */
int vu_window_map(struct vu_window *w, int fd);

/** vu_window_stop() - the rings stop; to be called before QEMU hears that they did */
void vu_window_stop(struct vu_window *w);

#endif
