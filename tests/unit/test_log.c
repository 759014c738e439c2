// SPDX-License-Identifier: GPL-2.0-or-later
/* Unit tests of log.c: what arrives on standard error. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
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

static void test_catch(void **state)
{
	char caught[9] = "";

	(void)state;
	log_init("vm", false);
	log_catch(caught, sizeof(caught));
	log_warn("x");
	assert_string_equal(caught, "");
	log_err("number %d", 10);
	assert_string_equal(caught, "number 1");
	log_catch(NULL, 0);
	log_err("x");
	assert_string_equal(caught, "number 1");
	expect("hyvd[vm]: warning: x\nhyvd[vm]: error: number 10\nhyvd[vm]: error: x\n");
}

static void test_at(void **state)
{
	char caught[9] = "";

	(void)state;
	log_init("vm", false);
	log_at("file", 12);
	log_catch(caught, sizeof(caught));
	log_err("number %d", 1);
	log_catch(NULL, 0);
	log_info("x");
	log_at(NULL, 0);
	log_err("x");
	assert_string_equal(caught, "number 1");
	expect("hyvd[vm]: error: file:12: number 1\nhyvd[vm]: x\nhyvd[vm]: error: x\n");
}

static char sent[8192];
static int journal_result;

/* the journal; linked with --wrap */
int __wrap_sd_journal_sendv(const struct iovec *iov, int n);

int __wrap_sd_journal_sendv(const struct iovec *iov, int n)
{
	size_t len = 0;
	int i;

	for (i = 0; i < n; i++) {
		assert_true(len + iov[i].iov_len + 2 < sizeof(sent));
		memcpy(sent + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
		sent[len++] = '|';
	}
	sent[len] = 0;
	return journal_result;
}

/* as systemd does for a service whose standard error is the journal */
static void set_journal_stream(unsigned int off)
{
	struct stat st;
	char text[64];

	fstat(STDERR_FILENO, &st);
	snprintf(text, sizeof(text), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino + off);
	setenv("JOURNAL_STREAM", text, 1);
	sent[0] = 0;
	journal_result = 0;
}

static void test_journal(void **state)
{
	(void)state;
	set_journal_stream(0);
	log_init("vm", true);
	log_err("number %d", 1);
	assert_string_equal(sent, "MESSAGE=number 1|PRIORITY=3|SYSLOG_IDENTIFIER=hyvd|HYV_VM=vm|");
	log_about("rxe0", 12);
	log_warn("x");
	assert_string_equal(sent, "MESSAGE=x|PRIORITY=4|SYSLOG_IDENTIFIER=hyvd|HYV_VM=vm|"
				  "HYV_DEVICE=rxe0|HYV_OBJECT=12|");
	log_about("rxe0", 0);
	log_info("x");
	assert_string_equal(
		sent, "MESSAGE=x|PRIORITY=6|SYSLOG_IDENTIFIER=hyvd|HYV_VM=vm|HYV_DEVICE=rxe0|");
	log_about(NULL, 0);
	log_debug("x");
	assert_string_equal(sent, "MESSAGE=x|PRIORITY=7|SYSLOG_IDENTIFIER=hyvd|HYV_VM=vm|");
	expect("");
}

/* The line is not lost: systemd reads priorities from standard error too. */
static void test_journal_does_not_answer(void **state)
{
	(void)state;
	set_journal_stream(0);
	log_init("vm", true);
	journal_result = -ECONNREFUSED;
	log_err("x");
	log_warn("x");
	log_info("x");
	log_debug("x");
	expect("<3>hyvd[vm]: x\n<4>hyvd[vm]: x\n<6>hyvd[vm]: x\n<7>hyvd[vm]: x\n");
}

/* Standard error was redirected: the variable is about another file. */
static void test_journal_of_somebody_else(void **state)
{
	(void)state;
	set_journal_stream(1);
	log_init("vm", true);
	log_err("x");
	expect("hyvd[vm]: error: x\n");
	assert_string_equal(sent, "");
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
		log_test(test_plain),
		log_test(test_catch),
		log_test(test_at),
		log_test(test_journal),
		log_test(test_journal_does_not_answer),
		log_test(test_journal_of_somebody_else),
		log_test(test_long_line),
		log_test(test_ratelimit),
		log_test(test_log_guest),
		log_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
