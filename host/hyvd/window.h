/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The VM's window, its ranges and what they show: see window.c */
#ifndef HYVD_WINDOW_H
#define HYVD_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cmd;
struct limits;
struct window;

/**
 * window_create() - make a window whose first pages show memory of hyvd's own
 * @out: the window
 * @size: bytes, a power of two
 * @reserved: memory to show at offset 0, page aligned, for as long as hyvd lives
 * @reserved_len: its length
 * @limits: what the ranges of the guest are charged to
 *
 * Return: 0, or a negative errno after a message that says what is wrong and what to do.
 */
int window_create(struct window **out, uint64_t size, void *reserved, size_t reserved_len,
		  struct limits *limits);

void window_destroy(struct window *win);

/** window_fd() - Return: the file for QEMU to map, still the window's */
int window_fd(const struct window *win);

/**
 * window_drop_context() - show scratch where memory of a context's uverbs file was shown, and unmap
 * that from hyvd
 * @context_id: the context
 * @free_ranges: the guest is gone; otherwise the ranges stay its own until it gives them back
 */
void window_drop_context(struct window *win, uint64_t context_id, bool free_ranges);

/** window_reset() - the guest was reset: free the ranges that window_drop_context() left to it */
void window_reset(struct window *win);

int mmap_exec(struct cmd *cmd);
int munmap_exec(struct cmd *cmd);

#endif
