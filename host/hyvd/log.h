/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Logging to standard error, or to the journal with fields: see log.c */
#ifndef HYVD_LOG_H
#define HYVD_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/**
 * struct log_ratelimit - at most @burst lines per @interval seconds; zero-initialised but for
 * those two
 */
struct log_ratelimit {
	unsigned int burst;
	unsigned int interval;
	unsigned int printed;
	unsigned int dropped;
	time_t begin;
};

/**
 * log_init() - @name: the VM's name, put in front of every line; @verbose: print debug lines too
 */
void log_init(const char *name, bool verbose);

/**
 * log_about() - what this thread's lines are about from now on, as fields in the journal
 * @device: name of the host's device, which stays where it is until the next call, or NULL
 * @object: id of an object of the guest, or 0
 */
void log_about(const char *device, uint64_t object);

/**
 * log_at() - this thread's log_err() begins with "@file:@line: " from now on, but for line 0; @file: stays
 * where it is until this is called again
 */
void log_at(const char *file, size_t line);

/**
 * log_catch() - this thread's log_err() leaves its text, cut to @len bytes, in @buf too, until this is
 * called with NULL
 */
void log_catch(char *buf, size_t len);

void log_err(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/**
 * log_allowed() - Return: whether a line may be printed now. Any thread. Lines dropped before
 * are counted in the log.
 */
bool log_allowed(struct log_ratelimit *rl);

/** LOG_GUEST_RATE - initializes a struct log_ratelimit for lines that the guest can cause at will */
#define LOG_GUEST_RATE { .burst = 5, .interval = 10 }

/** log_guest_by() - a line, by @log, that the guest can cause at will, limited per place in the source */
#define log_guest_by(log, ...) \
	do { \
		static struct log_ratelimit rl_ = LOG_GUEST_RATE; \
		if (log_allowed(&rl_)) \
			log(__VA_ARGS__); \
	} while (0)

/** log_guest() - a warning of that kind; log_guest_err() - an error, of the operator's set-up */
#define log_guest(...)	   log_guest_by(log_warn, __VA_ARGS__)
#define log_guest_err(...) log_guest_by(log_err, __VA_ARGS__)

#endif
