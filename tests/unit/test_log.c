// SPDX-License-Identifier: GPL-2.0-or-later
/* Unit tests of log.c: what arrives on standard error. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "log.h"

static int saved_stderr;
static int reader;

static int setup(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_true(fcntl(fds[1], F_SETPIPE_SZ, 1 << 20) > 0);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	saved_stderr = dup(STDERR_FILENO);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	reader = fds[0];
	unsetenv("JOURNAL_STREAM");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(reader);
	return 0;
}

static void expect(const char *text)
{
	static char buf[1 << 16];
	ssize_t n = read(reader, buf, sizeof(buf) - 1);

	buf[n > 0 ? n : 0] = 0;
	assert_string_equal(buf, text);
}

static void test_plain(void **state)
{
	(void)state;
	log_init("vm", false);
	log_err("number %d", 1);
	expect("hyvd[vm]: error: number 1\n");
	log_warn("x");
	expect("hyvd[vm]: warning: x\n");
	log_info("x");
	expect("hyvd[vm]: x\n");
	log_debug("x");
	expect("");
	log_init("vm", true);
	log_debug("x");
	expect("hyvd[vm]: debug: x\n");
}

static void test_journal(void **state)
{
	(void)state;
	setenv("JOURNAL_STREAM", "8:1234", 1);
	log_init("vm", true);
	log_err("x");
	log_warn("x");
	log_info("x");
	log_debug("x");
	expect("<3>hyvd[vm]: x\n<4>hyvd[vm]: x\n<6>hyvd[vm]: x\n<7>hyvd[vm]: x\n");
}

/* However long the name and the text, it stays one line with an end. */
static void test_long_line(void **state)
{
	char text[5000], got[5000];
	ssize_t n;

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	log_init(text, false);
	log_err("%s", text);
	n = read(reader, got, sizeof(got));
	assert_in_range(n, 500, 1024);
	assert_ptr_equal(memchr(got, '\n', n), got + n - 1);
}

static void test_ratelimit(void **state)
{
	struct log_ratelimit rl = { .burst = 3, .interval = 3600 };
	int i, allowed = 0;

	(void)state;
	log_init("vm", false);
	for (i = 0; i < 10; i++)
		allowed += log_allowed(&rl);
	assert_int_equal(allowed, 3);
	expect("");
	/* The next interval begins: what was dropped is told. */
	rl.interval = 0;
	assert_true(log_allowed(&rl));
	expect("hyvd[vm]: warning: 7 similar lines were not printed\n");
}

static void test_log_guest(void **state)
{
	int i;

	(void)state;
	log_init("vm", false);
	for (i = 0; i < 20; i++)
		log_guest("%d", i);
	expect("hyvd[vm]: warning: 0\nhyvd[vm]: warning: 1\nhyvd[vm]: warning: 2\n"
	       "hyvd[vm]: warning: 3\nhyvd[vm]: warning: 4\n");
}

static void *writer(void *arg)
{
	int i;

	for (i = 0; i < 500; i++)
		log_err("%s", (const char *)arg);
	return NULL;
}

/* Lines of two threads do not mix. */
static void test_threads(void **state)
{
	pthread_t thread;
	FILE *f = fdopen(dup(reader), "r");
	char line[128];
	int lines = 0;

	(void)state;
	log_init("vm", false);
	assert_int_equal(pthread_create(&thread, NULL, writer, "one"), 0);
	writer("two");
	pthread_join(thread, NULL);
	while (fgets(line, sizeof(line), f)) {
		assert_true(!strcmp(line, "hyvd[vm]: error: one\n") ||
			    !strcmp(line, "hyvd[vm]: error: two\n"));
		lines++;
	}
	assert_int_equal(lines, 1000);
	fclose(f);
}

#define log_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		log_test(test_plain),	  log_test(test_journal),   log_test(test_long_line),
		log_test(test_ratelimit), log_test(test_log_guest), log_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
