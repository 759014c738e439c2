/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines of JSON over a UNIX socket, to hyvd and to QEMU. Either may be its guest's by now: however it
 * answers, that takes no longer and no more memory than the caller allows.
 */
#ifndef HYVCTL_LINES_H
#define HYVCTL_LINES_H

#include <jansson.h>

/**
 * struct lines - a connection
 * @in: what was read and is not yet a whole line
 * @searched: bytes of it that have no end of a line
 * @max: bytes that a line may have
 */
struct lines {
	int fd;
	char *in;
	size_t len;
	size_t size;
	size_t searched;
	size_t max;
};

/** lines_now() - Return: seconds of a clock that never jumps, for deadlines */
double lines_now(void);

/**
 * lines_open() - connect
 * @deadline: by lines_now()
 *
 * Return: 0, and lines_close() has to follow, or a negative errno: -EAGAIN when nobody accepts.
 */
int lines_open(struct lines *lines, const char *path, double deadline, size_t max);

void lines_close(struct lines *lines);

/** lines_send() - Return: 0, -ETIMEDOUT, or another negative errno */
int lines_send(struct lines *lines, const json_t *message, double deadline);

/**
 * lines_receive() - the next line
 * @message: out: an object, for the caller to decref; NULL when there is none
 *
 * Return: 0; -ETIMEDOUT, -EMSGSIZE when the line is too long, -EPROTO when it is no object, -ECONNRESET
 * when the other side has hung up, or another negative errno.
 */
int lines_receive(struct lines *lines, double deadline, json_t **message);

#endif
