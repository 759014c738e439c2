/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QEMU's monitor protocol (QMP) over a UNIX socket: commands, their answers, events */
#ifndef HYVCTL_QMP_H
#define HYVCTL_QMP_H

#include <jansson.h>
#include "lines.h"

struct qmp;

/**
 * qmp_open() - connect, and take part in the protocol
 * @path: the socket
 * @patience: seconds that QEMU may take to greet us, and for each answer
 *
 * Return: 0, or a negative errno: -ETIMEDOUT when nobody greets us, since QEMU talks to one at a time,
 * -EPROTO when it is no QMP.
 */
int qmp_open(struct qmp **out, const char *path, double patience);

/** qmp_close() - @qmp: may be NULL */
void qmp_close(struct qmp *qmp);

/**
 * qmp_run() - one command and its answer; events about devices that come meanwhile wait for qmp_event()
 * @command: of the form {"execute": ..., "arguments": ...}; not taken over
 * @answer: out: what it returned, for the caller to decref; may be NULL
 *
 * Return: 0; -EREMOTEIO when QEMU refused, see qmp_error(); or another negative errno.
 */
int qmp_run(struct qmp *qmp, json_t *command, json_t **answer);

/** qmp_error() - Return: why QEMU refused the last command, in its words */
const char *qmp_error(const struct qmp *qmp);

/**
 * qmp_event() - the next event
 * @deadline: by lines_now()
 * @event: out: for the caller to decref
 *
 * Return: 0, -ETIMEDOUT, or another negative errno.
 */
int qmp_event(struct qmp *qmp, double deadline, json_t **event);

#endif
