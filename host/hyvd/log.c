// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Logging, from any thread: to standard error, one write per line, as "hyvd[name]: error: ..."; or, when
 * standard error is the journal (JOURNAL_STREAM names it), to the journal itself, with fields:
 *
 *   HYV_VM       the VM's name
 *   HYV_DEVICE   the host's device that the line is about, if it is about one
 *   HYV_OBJECT   the guest's object, by the number that hyvctl shows
 *
 * This file alone writes to standard error.
 */
#define SD_JOURNAL_SUPPRESS_LOCATION /* the place of log.c's call says nothing */
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>

#include "log.h"

#define LOG_LINE_MAX 1024

/* All are set once by log_init(), before there are threads. */
static char log_name[64];
static bool log_verbose;
static bool log_journal;

static __thread const char *about_device;
static __thread uint64_t about_object;
static __thread const char *at_file;
static __thread size_t at_line;
static __thread char *caught;
static __thread size_t caught_len;

/* Protects every struct log_ratelimit. */
static pthread_mutex_t ratelimit_lock = PTHREAD_MUTEX_INITIALIZER;

static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uint64_t dev, ino;
	struct stat st;

	return stream && sscanf(stream, "%" SCNu64 ":%" SCNu64, &dev, &ino) == 2 &&
	       !fstat(STDERR_FILENO, &st) && st.st_dev == dev && st.st_ino == ino;
}

void log_init(const char *name, bool verbose)
{
	snprintf(log_name, sizeof(log_name), "%s", name);
	log_verbose = verbose;
	log_journal = stderr_is_journal();
}

void log_about(const char *device, uint64_t object)
{
	about_device = device;
	about_object = object;
}

static void add_field(struct iovec *fields, int *num, const char *text)
{
	fields[*num].iov_base = (void *)text;
	fields[(*num)++].iov_len = strlen(text);
}

/* @prefix: "<N>". Return: whether the journal took the line */
static bool send_to_journal(const char *prefix, const char *text)
{
	char message[LOG_LINE_MAX + 16], priority[16], vm[80], device[300], object[40];
	struct iovec fields[6];
	int num = 0;

	snprintf(message, sizeof(message), "MESSAGE=%s", text);
	snprintf(priority, sizeof(priority), "PRIORITY=%c", prefix[1]);
	snprintf(vm, sizeof(vm), "HYV_VM=%s", log_name);
	add_field(fields, &num, message);
	add_field(fields, &num, priority);
	add_field(fields, &num, "SYSLOG_IDENTIFIER=hyvd");
	add_field(fields, &num, vm);
	if (about_device) {
		snprintf(device, sizeof(device), "HYV_DEVICE=%s", about_device);
		add_field(fields, &num, device);
	}
	if (about_object) {
		snprintf(object, sizeof(object), "HYV_OBJECT=%" PRIu64, about_object);
		add_field(fields, &num, object);
	}
	return !sd_journal_sendv(fields, num);
}

/* Print one line in one write, so that lines of several threads do not mix. */
__attribute__((format(printf, 3, 0))) static void
print_line(const char *journal_prefix, const char *word, const char *fmt, va_list ap)
{
	char line[LOG_LINE_MAX];
	const size_t room = sizeof(line) - 1; /* for the newline */
	va_list again;
	size_t len;
	int n;

	if (log_journal) {
		va_copy(again, ap);
		vsnprintf(line, sizeof(line), fmt, again);
		va_end(again);
		if (send_to_journal(journal_prefix, line))
			return;
	}
	n = snprintf(line, room, "%shyvd[%s]: %s", log_journal ? journal_prefix : "", log_name,
		     log_journal ? "" : word);
	len = n;
	n = vsnprintf(line + len, room - len, fmt, ap);
	if (n < 0)
		return;
	len = (size_t)n < room - len ? len + n : room - 1;
	line[len++] = '\n';
	/* Nobody is left to tell when this fails. */
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}

void log_at(const char *file, size_t line)
{
	at_file = file;
	at_line = line;
}

void log_catch(char *buf, size_t len)
{
	caught = buf;
	caught_len = len;
}

static void print_err(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void print_err(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_line(SD_ERR, "error: ", fmt, ap);
	va_end(ap);
}

void log_err(const char *fmt, ...)
{
	char text[LOG_LINE_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (caught)
		snprintf(caught, caught_len, "%s", text);
	if (at_line)
		print_err("%s:%zu: %s", at_file, at_line, text);
	else
		print_err("%s", text);
}

void log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_line(SD_WARNING, "warning: ", fmt, ap);
	va_end(ap);
}

void log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_line(SD_INFO, "", fmt, ap);
	va_end(ap);
}

void log_debug(const char *fmt, ...)
{
	va_list ap;

	if (!log_verbose)
		return;
	va_start(ap, fmt);
	print_line(SD_DEBUG, "debug: ", fmt, ap);
	va_end(ap);
}

bool log_allowed(struct log_ratelimit *rl)
{
	unsigned int dropped = 0;
	struct timespec now;
	bool allowed;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	pthread_mutex_lock(&ratelimit_lock);
	if (!rl->begin || now.tv_sec - rl->begin >= (time_t)rl->interval) {
		dropped = rl->dropped;
		rl->begin = now.tv_sec ? now.tv_sec : 1;
		rl->printed = 0;
		rl->dropped = 0;
	}
	allowed = rl->printed < rl->burst;
	if (allowed)
		rl->printed++;
	else
		rl->dropped++;
	pthread_mutex_unlock(&ratelimit_lock);

	if (dropped)
		log_warn("%u similar lines were not printed", dropped);
	return allowed;
}
