/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What lasts from a start of the rings to their stop: see session.c */
#ifndef HYVD_SESSION_H
#define HYVD_SESSION_H

struct cmd;
struct vm;

/** session_end() - the guest was reset or is gone. Waits until the host has nothing of it any more. */
void session_end(struct vm *vm);

/** session_window_live() - the guest sees the window from now on, or @error says why not */
void session_window_live(struct vm *vm, int error);

int hello_exec(struct cmd *cmd);

#endif
