/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Giving up what a hyvd does not need: see sandbox.c */
#ifndef HYVD_SANDBOX_H
#define HYVD_SANDBOX_H

/**
 * sandbox_drop() - give up capabilities, and new ones for good; where hyvd is root, become a user
 * that no other hyvd, and nothing else, is
 *
 * After sockets are made and the window is opened, which root alone may; before there are threads,
 * which would keep their rights, and before rdma_cm is opened, which wants the credentials that
 * opened it ever after. Return: 0 or a negative errno.
 */
int sandbox_drop(void);

/**
 * sandbox_enter() - from now on, a system call that no verb needs ends the process, in all threads
 *
 * After everything is opened and every thread is there. Return: 0 or a negative errno.
 */
int sandbox_enter(void);

#endif
