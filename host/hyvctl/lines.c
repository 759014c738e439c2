// SPDX-License-Identifier: GPL-2.0-or-later
/* Lines of JSON over a UNIX socket, with a deadline and a bound for all that the other side can do. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "lines.h"

#define FIRST_SIZE 4096

double lines_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int lines_open(struct lines *lines, const char *path, double deadline, size_t max)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	/* of connecting, and never 0, which were for ever */
	struct timeval timeout = { .tv_sec = (time_t)(deadline - lines_now()) + 1 };
	int ret;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path) + 1);
	*lines = (struct lines){ .size = FIRST_SIZE, .max = max };
	lines->in = malloc(FIRST_SIZE);
	if (!lines->in)
		return -ENOMEM;
	lines->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (lines->fd >= 0 &&
	    !setsockopt(lines->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) &&
	    !connect(lines->fd, (struct sockaddr *)&addr, sizeof(addr)))
		return 0;
	ret = -errno;
	lines_close(lines);
	return ret;
}

void lines_close(struct lines *lines)
{
	if (lines->fd >= 0)
		close(lines->fd);
	free(lines->in);
}

/* Return: 0 when the socket is ready for @events, -ETIMEDOUT, or another negative errno */
static int wait_ready(const struct lines *lines, short events, double deadline)
{
	struct pollfd poller = { .fd = lines->fd, .events = events };
	double left;
	int n;

	do {
		left = deadline - lines_now();
		if (left <= 0)
			return -ETIMEDOUT;
		n = poll(&poller, 1, (int)(left * 1000) + 1);
	} while (!n || (n < 0 && errno == EINTR));
	return n < 0 ? -errno : 0;
}

int lines_send(struct lines *lines, const json_t *message, double deadline)
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
		n = send(lines->fd, text + sent, len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0)
			sent += (size_t)n;
		else if (errno == EAGAIN || errno == EINTR)
			ret = wait_ready(lines, POLLOUT, deadline);
		else
			ret = -errno;
	}
	free(text);
	return ret;
}

/* take the first line, if one is whole. Return: 1 and @message, 0, or -EPROTO */
static int take_line(struct lines *lines, json_t **message)
{
	char *end = memchr(lines->in + lines->searched, '\n', lines->len - lines->searched);
	size_t len;

	lines->searched = end ? 0 : lines->len;
	if (!end)
		return 0;
	len = (size_t)(end - lines->in);
	*message = json_loadb(lines->in, len, 0, NULL);
	lines->len -= len + 1;
	memmove(lines->in, end + 1, lines->len);
	if (json_is_object(*message))
		return 1;
	json_decref(*message);
	*message = NULL;
	return -EPROTO;
}

/* Return: 0 when there is room for more of a line, or a negative errno */
static int make_room(struct lines *lines)
{
	size_t size = lines->size * 2 < lines->max ? lines->size * 2 : lines->max;
	char *in;

	if (lines->len < lines->size)
		return 0;
	if (lines->len >= lines->max)
		return -EMSGSIZE;
	in = realloc(lines->in, size);
	if (!in)
		return -ENOMEM;
	lines->in = in;
	lines->size = size;
	return 0;
}

int lines_receive(struct lines *lines, double deadline, json_t **message)
{
	ssize_t n;
	int ret;

	*message = NULL;
	while (!(ret = take_line(lines, message))) {
		ret = make_room(lines);
		if (!ret)
			ret = wait_ready(lines, POLLIN, deadline);
		if (ret)
			return ret;
		n = recv(lines->fd, lines->in + lines->len, lines->size - lines->len, MSG_DONTWAIT);
		if (!n)
			return -ECONNRESET;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		lines->len += n > 0 ? (size_t)n : 0;
	}
	return ret < 0 ? ret : 0;
}
