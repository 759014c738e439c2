/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The socket that hyvctl talks to: see control.c */
#ifndef HYVD_CONTROL_H
#define HYVD_CONTROL_H

#include <stdint.h>

struct control;
struct vm;

/**
 * control_create() - answer on a socket
 * @vm: the VM; it outlives the control
 * @listen_fd: listening UNIX stream socket, which is the control's from now on
 *
 * Return: 0, or a negative errno; then the socket is still the caller's.
 */
int control_create(struct control **out, struct vm *vm, int listen_fd);

void control_destroy(struct control *control);

/**
 * control_done() - what a client has asked for is done
 * @client: who; 0 for nobody; it may have gone
 * @device: name of the device that it was about
 * @error: why it failed, or NULL
 */
void control_done(struct control *control, uint64_t client, const char *device, const char *error);

#endif
