// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The other end of hyvd's control socket: finding them, one line of JSON there and one back. A hyvd may
 * be its guest's by now: what it says is shown, and nothing is done because of it.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "hyvctl.h"
#include "lines.h"

#define ENDING ".ctl"

/*
 * What an answer may have, in bytes. A context takes 160, and all else 10000 at most: there is room for
 * 25000 contexts, and for a quarter of a million objects of 55 where they are asked for. What a hostile hyvd can make
 * of it takes jansson up to a hundred times the memory.
 */
#define MAX_ANSWER  (4 << 20)
#define MAX_OBJECTS (16 << 20)

static const char *why_not(int err)
{
	switch (err) {
	case ENOENT:
		return "there is no such VM; 'hyvctl list' lists them";
	case EACCES:
		return "you may not write to its control socket: try as root";
	case EAGAIN:
	case ETIMEDOUT:
		return "its hyvd does not answer";
	case ECONNRESET:
	case EPIPE:
		return "its hyvd has hung up";
	case EMSGSIZE:
		return "its hyvd's answer has no end";
	case EPROTO:
		return "its hyvd's answer is no line of JSON";
	default:
		return strerror(err);
	}
}

static void complain(const char *vm, int err)
{
	if (err == ECONNREFUSED)
		fprintf(stderr,
			"hyvctl: %s: no hyvd of this VM runs: 'systemctl start hyvd@%s' starts one\n",
			vm, strchr(vm, '/') ? "VM" : vm);
	else
		fprintf(stderr, "hyvctl: %s: %s\n", vm, why_not(err));
}

/* Return: 0 and an @answer, or a negative errno */
static int exchange(const char *dir, const char *vm, unsigned int seconds, const json_t *request,
		    json_t **answer)
{
	bool objects = json_is_true(json_object_get(request, "objects"));
	double deadline = lines_now() + seconds;
	struct ucred hyvd = { 0 };
	socklen_t len = sizeof(hyvd);
	struct lines lines;
	char path[256];
	int ret;

	*answer = NULL;
	ret = strchr(vm, '/') ? snprintf(path, sizeof(path), "%s", vm) :
				snprintf(path, sizeof(path), "%s/%s" ENDING, dir, vm);
	if (ret < 0 || (size_t)ret >= sizeof(path))
		return -ENAMETOOLONG;
	ret = lines_open(&lines, path, deadline, objects ? MAX_OBJECTS : MAX_ANSWER);
	if (ret)
		return ret;
	getsockopt(lines.fd, SOL_SOCKET, SO_PEERCRED, &hyvd, &len);
	ret = lines_send(&lines, request, deadline);
	if (!ret)
		ret = lines_receive(&lines, deadline, answer);
	lines_close(&lines);
	/* hyvd may have a PID namespace to itself, and cannot know */
	json_object_set_new(*answer, "pid", json_integer(hyvd.pid));
	return ret;
}

/* @ret, @answer: of exchange(). Return: EXIT_OK, or another code after a message, and no answer */
static enum exit_code judge(const char *vm, int ret, json_t **answer)
{
	char error[1024];

	if (ret) {
		complain(vm, -ret);
		return EXIT_NO_VM;
	}
	if (json_is_true(json_object_get(*answer, "ok")))
		return EXIT_OK;
	(void)snprintf(error, sizeof(error), "%s",
		       json_string_value(json_object_get(*answer, "error")) ?:
			       "an answer without sense");
	fprintf(stderr, "hyvctl: %s: %s\n", vm, printable(error));
	json_decref(*answer);
	*answer = NULL;
	return EXIT_REFUSED;
}

enum exit_code client_ask(const char *dir, const char *vm, unsigned int seconds, json_t *request,
			  json_t **answer)
{
	int ret = exchange(dir, vm, seconds, request, answer);

	json_decref(request);
	return judge(vm, ret, answer);
}

static int is_control(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return len > strlen(ENDING) && !strcmp(entry->d_name + len - strlen(ENDING), ENDING);
}

enum exit_code client_ask_all(const char *dir, json_t *request, json_t *answers)
{
	enum exit_code code = EXIT_OK;
	struct dirent **entries;
	int n = scandir(dir, &entries, is_control, alphasort), i, ret;
	json_t *answer;

	for (i = 0; i < n; i++) {
		char *vm = entries[i]->d_name;

		vm[strlen(vm) - strlen(ENDING)] = '\0';
		ret = exchange(dir, vm, PROMPTLY, request, &answer);
		if (ret == -ECONNREFUSED) {
			; /* left behind by a hyvd that has ended */
		} else if (judge(vm, ret, &answer)) {
			code = EXIT_NO_VM;
		} else {
			json_object_set_new(answer, "name", json_string(vm));
			json_array_append_new(answers, answer);
		}
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	json_decref(request);
	return code;
}
