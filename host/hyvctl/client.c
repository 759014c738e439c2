// SPDX-License-Identifier: GPL-2.0-or-later
/* The other end of hyvd's control socket: finding them, one line of JSON there and one back. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "hyvctl.h"

#define ENDING ".ctl"

static int connect_to(const char *dir, const char *vm, unsigned int seconds)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval timeout = { .tv_sec = seconds };
	int fd, n;

	n = strchr(vm, '/') ?
		    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", vm) :
		    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s" ENDING, dir, vm);
	if (n < 0 || (size_t)n >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		n = -errno;
		close(fd);
		return n;
	}
	return fd;
}

/* @fd: closed; @err: out, an errno when there is no answer. Return: the answer, or NULL */
static json_t *exchange(int fd, const json_t *request, int *err)
{
	char *text = json_dumps(request, JSON_COMPACT);
	FILE *f = fdopen(fd, "r+");
	json_t *answer = NULL;

	*err = ENOMEM;
	if (text && f) {
		errno = EPROTO; /* unless reading or writing has a better reason */
		if (fprintf(f, "%s\n", text) > 0 && !fflush(f))
			answer = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL);
		*err = errno;
	}
	if (f)
		fclose(f);
	else
		close(fd);
	free(text);
	return answer;
}

static const char *why_not(int err)
{
	if (err == ENOENT)
		return "there is no such VM; 'hyvctl list' lists them";
	if (err == ECONNREFUSED)
		return "its hyvd is dead";
	if (err == EACCES)
		return "you may not write to its control socket: try as root";
	if (err == EAGAIN)
		return "its hyvd does not answer";
	return strerror(err);
}

enum exit_code client_ask(const char *dir, const char *vm, unsigned int seconds, json_t *request,
			  json_t **answer)
{
	int fd = connect_to(dir, vm, seconds), err = -fd;
	struct ucred hyvd = { 0 };
	socklen_t len = sizeof(hyvd);

	if (fd >= 0)
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &hyvd, &len);
	*answer = fd < 0 ? NULL : exchange(fd, request, &err);
	json_decref(request);
	if (!*answer) {
		fprintf(stderr, "hyvctl: %s: %s\n", vm, why_not(err));
		return EXIT_NO_VM;
	}
	if (json_is_true(json_object_get(*answer, "ok"))) {
		/* which may have a PID namespace to itself, and cannot know */
		json_object_set_new(*answer, "pid", json_integer(hyvd.pid));
		return EXIT_OK;
	}
	fprintf(stderr, "hyvctl: %s: %s\n", vm,
		json_string_value(json_object_get(*answer, "error")) ?: "an answer without sense");
	json_decref(*answer);
	*answer = NULL;
	return EXIT_REFUSED;
}

static int is_control(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return len > strlen(ENDING) && !strcmp(entry->d_name + len - strlen(ENDING), ENDING);
}

size_t client_list(const char *dir, char ***names)
{
	struct dirent **entries;
	int n = scandir(dir, &entries, is_control, alphasort), i;

	*names = calloc(n > 0 ? (size_t)n : 1, sizeof(**names));
	if (n < 0 || !*names)
		return 0;
	for (i = 0; i < n; i++) {
		(*names)[i] =
			strndup(entries[i]->d_name, strlen(entries[i]->d_name) - strlen(ENDING));
		free(entries[i]);
	}
	free(entries);
	return (size_t)n;
}
