// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A client of QEMU's monitor protocol. Each message is a line of JSON. QEMU greets with its version,
 * takes commands once "qmp_capabilities" was among them, answers each with "return" or "error", and
 * sends events in between, whenever it likes; recover.c reads those when it has nothing to ask.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "qmp.h"

#define MAX_LINE   (128 << 10)
#define MAX_EVENTS 64 /* that wait for qmp_event() */

/**
 * struct qmp - a connection
 * @patience: seconds for an answer
 * @events: about devices, that came while an answer was waited for
 * @error: QEMU's words, or ""
 */
struct qmp {
	struct lines lines;
	double patience;
	json_t *events;
	char error[512];
};

/* of what came in place of an answer, keep what is about devices. Return: 0 or a negative errno */
static int keep(struct qmp *qmp, json_t *message)
{
	const char *event = json_string_value(json_object_get(message, "event")) ?: "";

	if (strncmp(event, "DEVICE_", strlen("DEVICE_")))
		return 0;
	if (json_array_size(qmp->events) >= MAX_EVENTS)
		return -EOVERFLOW;
	return json_array_append(qmp->events, message) ? -ENOMEM : 0;
}

int qmp_run(struct qmp *qmp, json_t *command, json_t **answer)
{
	double deadline = lines_now() + qmp->patience;
	json_t *message, *error, *value;
	int ret = lines_send(&qmp->lines, command, deadline);

	if (answer)
		*answer = NULL;
	qmp->error[0] = '\0';
	while (!ret) {
		ret = lines_receive(&qmp->lines, deadline, &message);
		if (ret)
			break;
		error = json_object_get(message, "error");
		value = json_object_get(message, "return");
		if (error) {
			snprintf(qmp->error, sizeof(qmp->error), "%s",
				 json_string_value(json_object_get(error, "desc")) ?: "no reason");
			ret = -EREMOTEIO;
		} else if (value && answer) {
			*answer = json_incref(value);
		} else if (!value) {
			ret = keep(qmp, message);
		}
		json_decref(message);
		if (value)
			break;
	}
	return ret;
}

const char *qmp_error(const struct qmp *qmp)
{
	return qmp->error;
}

int qmp_event(struct qmp *qmp, double deadline, json_t **event)
{
	if (!json_array_size(qmp->events))
		return lines_receive(&qmp->lines, deadline, event);
	*event = json_incref(json_array_get(qmp->events, 0));
	json_array_remove(qmp->events, 0);
	return 0;
}

static int negotiate(struct qmp *qmp)
{
	json_t *message, *command;
	bool greeted;
	int ret = lines_receive(&qmp->lines, lines_now() + qmp->patience, &message);

	if (ret)
		return ret;
	greeted = json_object_get(message, "QMP");
	json_decref(message);
	if (!greeted)
		return -EPROTO;
	command = json_pack("{s:s}", "execute", "qmp_capabilities");
	ret = qmp_run(qmp, command, NULL);
	json_decref(command);
	return ret;
}

int qmp_open(struct qmp **out, const char *path, double patience)
{
	struct qmp *qmp = calloc(1, sizeof(*qmp));
	int ret;

	if (!qmp)
		return -ENOMEM;
	ret = lines_open(&qmp->lines, path, lines_now() + patience, MAX_LINE);
	if (ret) {
		free(qmp);
		return ret == -EAGAIN ? -ETIMEDOUT : ret;
	}
	qmp->patience = patience;
	qmp->events = json_array();
	ret = qmp->events ? negotiate(qmp) : -ENOMEM;
	if (ret)
		qmp_close(qmp);
	else
		*out = qmp;
	return ret;
}

void qmp_close(struct qmp *qmp)
{
	if (!qmp)
		return;
	lines_close(&qmp->lines);
	json_decref(qmp->events);
	free(qmp);
}
