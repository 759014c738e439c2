// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Logging to standard error, one write per line, from any thread.
 *
 * Under systemd (JOURNAL_STREAM is set) a line starts with the journal's "<N>" priority; by hand
 * it says "hyvd[name]: error: ...". This file alone writes to standard error.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <systemd/sd-daemon.h>

#include "log.h"

#define LOG_LINE_MAX 1024

/* Both are set once by log_init(), before there are threads. */
static char log_name[64];
static bool log_verbose;
static bool log_journal;

/* Protects every struct log_ratelimit. */
static pthread_mutex_t ratelimit_lock = PTHREAD_MUTEX_INITIALIZER;

void log_init(const char *name, bool verbose)
{
	snprintf(log_name, sizeof(log_name), "%s", name);
	log_verbose = verbose;
	log_journal = getenv("JOURNAL_STREAM") != NULL;
}

/* Print one line in one write, so that lines of several threads do not mix. */
__attribute__((format(printf, 3, 0))) static void
print_line(const char *journal_prefix, const char *word, const char *fmt, va_list ap)
{
	char line[LOG_LINE_MAX];
	const size_t room = sizeof(line) - 1; /* for the newline */
	size_t len;
	int n;

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

void log_err(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_line(SD_ERR, "error: ", fmt, ap);
	va_end(ap);
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
