// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A client of QEMU's monitor protocol. Each message is a line of JSON. QEMU greets with its version,
 * takes commands once "qmp_capabilities" was among them, answers each with "return" or "error", and
 * sends events in between, whenever it likes; recover.c reads those when it has nothing to ask.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "qmp.h"

#define MAX_LINE (1 << 20)

/**
 * struct qmp - a connection
 * @patience: seconds for an answer
 * @in: what was read and is not yet a whole line
 * @events: that came while an answer was waited for
 * @error: QEMU's words, or ""
 */
struct qmp {
	int fd;
	double patience;
	char *in;
	size_t in_len;
	json_t *events;
	char error[512];
};

double qmp_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Return: 0 when the socket is ready for @events, -ETIMEDOUT, or another negative errno */
static int wait_ready(struct qmp *qmp, short events, double deadline)
{
	struct pollfd poller = { .fd = qmp->fd, .events = events };
	double left;
	int n;

	do {
		left = deadline - qmp_now();
		n = poll(&poller, 1, left > 0 ? (int)(left * 1000) + 1 : 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n ? 0 : -ETIMEDOUT;
}

/* take the first line, if one is whole. Return: 1 and @message, 0, or -EPROTO */
static int take_line(struct qmp *qmp, json_t **message)
{
	char *end = memchr(qmp->in, '\n', qmp->in_len);
	size_t len;

	if (!end)
		return 0;
	len = (size_t)(end - qmp->in);
	*message = json_loadb(qmp->in, len, 0, NULL);
	qmp->in_len -= len + 1;
	memmove(qmp->in, end + 1, qmp->in_len);
	if (json_is_object(*message))
		return 1;
	json_decref(*message);
	*message = NULL;
	return -EPROTO;
}

/* the next message, of any kind. Return: 0, -ETIMEDOUT, or another negative errno */
static int receive(struct qmp *qmp, double deadline, json_t **message)
{
	ssize_t n;
	int ret;

	while (!(ret = take_line(qmp, message))) {
		if (qmp->in_len == MAX_LINE)
			return -EPROTO;
		ret = wait_ready(qmp, POLLIN, deadline);
		if (ret)
			return ret;
		n = recv(qmp->fd, qmp->in + qmp->in_len, MAX_LINE - qmp->in_len, MSG_DONTWAIT);
		if (!n)
			return -ECONNRESET;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		qmp->in_len += n > 0 ? (size_t)n : 0;
	}
	return ret < 0 ? ret : 0;
}

static int send_line(struct qmp *qmp, const json_t *message, double deadline)
{
	char *text = json_dumps(message, JSON_COMPACT);
	size_t len, sent = 0;
	ssize_t n;
	int ret = 0;

	if (!text)
		return -ENOMEM;
	len = strlen(text);
	text[len++] = '\n'; /* in the place of the NUL */
	while (!ret && sent < len) {
		n = send(qmp->fd, text + sent, len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0)
			sent += (size_t)n;
		else if (errno == EAGAIN || errno == EINTR)
			ret = wait_ready(qmp, POLLOUT, deadline);
		else
			ret = -errno;
	}
	free(text);
	return ret;
}

int qmp_run(struct qmp *qmp, json_t *command, json_t **answer)
{
	double deadline = qmp_now() + qmp->patience;
	json_t *message, *error, *value;
	int ret = send_line(qmp, command, deadline);

	if (answer)
		*answer = NULL;
	qmp->error[0] = '\0';
	while (!ret) {
		ret = receive(qmp, deadline, &message);
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
			json_array_append(qmp->events, message);
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
		return receive(qmp, deadline, event);
	*event = json_incref(json_array_get(qmp->events, 0));
	json_array_remove(qmp->events, 0);
	return 0;
}

static int connect_to(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, ret;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

static int negotiate(struct qmp *qmp)
{
	json_t *message, *command;
	bool greeted;
	int ret = receive(qmp, qmp_now() + qmp->patience, &message);

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
	struct qmp *qmp;
	int fd = connect_to(path), ret;

	if (fd < 0)
		return fd;
	qmp = calloc(1, sizeof(*qmp));
	if (!qmp) {
		close(fd);
		return -ENOMEM;
	}
	qmp->fd = fd;
	qmp->patience = patience;
	qmp->events = json_array();
	qmp->in = malloc(MAX_LINE);
	ret = qmp->in && qmp->events ? negotiate(qmp) : -ENOMEM;
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
	close(qmp->fd);
	json_decref(qmp->events);
	free(qmp->in);
	free(qmp);
}
