// SPDX-License-Identifier: GPL-2.0-or-later
/* limit.c: what a VM gets, when it is refused, how long it waits. */
#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include "gmem.h"
#include "limit.h"
#include "log.h"

#define SECOND 1000000000ull
#define MEMORY (64 << 20)

static struct limits limits;

static int setup(void **state)
{
	(void)state;
	limit_init(&limits);
	return 0;
}

static void without_a_limit_anything_goes(void **state)
{
	struct charges charges = { 0 };

	(void)state;
	limits.max[LIMIT_PAGES] = LIMIT_NONE;
	assert_int_equal(limit_charge(&limits, &charges, LIMIT_PAGES, LIMIT_NONE - 1), 0);
	assert_int_equal(limits.used[LIMIT_PAGES], LIMIT_NONE - 1);
	assert_int_equal(limits.refused[LIMIT_PAGES], 0);
}

static void the_limit_is_reached_but_not_passed(void **state)
{
	(void)state;
	limits.max[LIMIT_QPS] = 2;
	assert_int_equal(limit_charge(&limits, NULL, LIMIT_QPS, 1), 0);
	assert_int_equal(limit_charge(&limits, NULL, LIMIT_QPS, 2), -ENOMEM);
	assert_int_equal(limit_charge(&limits, NULL, LIMIT_QPS, 1), 0);
	assert_int_equal(limit_charge(&limits, NULL, LIMIT_QPS, 1), -ENOMEM);
	assert_int_equal(limit_charge(&limits, NULL, LIMIT_QPS, LIMIT_NONE), -ENOMEM);
	assert_int_equal(limits.used[LIMIT_QPS], 2);
	assert_int_equal(limits.refused[LIMIT_QPS], 3);
	assert_int_equal(limits.refused[LIMIT_CQS], 0);
	limit_uncharge(&limits, NULL, LIMIT_QPS, 1);
	assert_int_equal(limit_charge(&limits, NULL, LIMIT_QPS, 1), 0);
}

static void a_limit_lowered_below_what_is_used_takes_nothing_away(void **state)
{
	(void)state;
	assert_int_equal(limit_charge(&limits, NULL, LIMIT_MRS, 10), 0);
	limits.max[LIMIT_MRS] = 3;
	assert_int_equal(limit_charge(&limits, NULL, LIMIT_MRS, 1), -ENOMEM);
	limit_uncharge(&limits, NULL, LIMIT_MRS, 8);
	assert_int_equal(limit_charge(&limits, NULL, LIMIT_MRS, 1), 0);
	assert_int_equal(limit_charge(&limits, NULL, LIMIT_MRS, 1), -ENOMEM);
}

static void a_context_takes_what_is_charged_to_it_along(void **state)
{
	struct charges one = { 0 }, two = { 0 };

	(void)state;
	limit_charge(&limits, &one, LIMIT_QPS, 3);
	limit_charge(&limits, &one, LIMIT_PAGES, 100);
	limit_charge(&limits, &two, LIMIT_QPS, 1);
	limit_uncharge(&limits, &one, LIMIT_QPS, 1);
	limit_uncharge_all(&limits, &one);
	assert_int_equal(limits.used[LIMIT_QPS], 1);
	assert_int_equal(limits.used[LIMIT_PAGES], 0);
	limit_uncharge_all(&limits, &one);
	assert_int_equal(limits.used[LIMIT_QPS], 1);
}

/* @len: of the VM's memory, as QEMU tells it */
static void set_memory(struct gmem *gmem, uint64_t len)
{
	struct gmem_region region = { .len = len, .qemu_va = 1 << 30 };

	region.fd = memfd_create("memory", MFD_CLOEXEC);
	assert_int_equal(ftruncate(region.fd, (off_t)len), 0);
	assert_int_equal(gmem_set_table(gmem, &region, 1), 0);
}

static void pages_follow_the_memory_unless_told_otherwise(void **state)
{
	const uint64_t all = MEMORY / 4096 * HYV_MAX_DEVICES;

	(void)state;
	assert_int_equal(limit_max(&limits, LIMIT_PAGES), LIMIT_NONE);
	assert_int_equal(limit_max(&limits, LIMIT_CM_IDS), 4096);
	assert_int_equal(limit_max(&limits, LIMIT_QPS), LIMIT_NONE);
	limits.gmem = gmem_create(NULL);
	assert_int_equal(limit_max(&limits, LIMIT_PAGES), 0);
	set_memory(limits.gmem, MEMORY);
	assert_int_equal(limit_max(&limits, LIMIT_PAGES), all);
	assert_int_equal(limit_charge(&limits, NULL, LIMIT_PAGES, all), 0);
	assert_int_equal(limit_charge(&limits, NULL, LIMIT_PAGES, 1), -ENOMEM);
	/* memory is plugged, and taken out again */
	set_memory(limits.gmem, 2 * MEMORY);
	assert_int_equal(limit_charge(&limits, NULL, LIMIT_PAGES, all), 0);
	set_memory(limits.gmem, MEMORY);
	assert_int_equal(limit_charge(&limits, NULL, LIMIT_PAGES, 1), -ENOMEM);
	assert_int_equal(limits.used[LIMIT_PAGES], 2 * all);
	limits.max[LIMIT_PAGES] = LIMIT_NONE;
	assert_int_equal(limit_charge(&limits, NULL, LIMIT_PAGES, 1), 0);
	limits.max[LIMIT_PAGES] = 5;
	assert_int_equal(limit_max(&limits, LIMIT_PAGES), 5);
	gmem_destroy(limits.gmem);
}

static void a_flood_at_one_limit_does_not_hide_another(void **state)
{
	int fds[2], saved = dup(STDERR_FILENO), i, lines = 0;
	static char said[1 << 16];
	const char *p = said;
	ssize_t n;

	(void)state;
	limits.max[LIMIT_SRQS] = 0;
	limits.max[LIMIT_AHS] = 0;
	assert_int_equal(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	for (i = 0; i < 100; i++)
		limit_charge(&limits, NULL, LIMIT_SRQS, 1);
	limit_charge(&limits, NULL, LIMIT_AHS, 1);
	dup2(saved, STDERR_FILENO);
	n = read(fds[0], said, sizeof(said) - 1);
	assert_true(n > 0);
	said[n] = '\0';
	close(saved);
	close(fds[0]);
	close(fds[1]);
	assert_non_null(strstr(said, "can raise 'ahs'"));
	for (p = said; (p = strstr(p, "can raise 'srqs'")); p++)
		lines++;
	assert_in_range(lines, 5, 10); /* the ten seconds may be over in between */
	assert_int_equal(limits.refused[LIMIT_SRQS], 100);
}

static void *charge_often(void *arg)
{
	unsigned int i;
	uintptr_t got = 0;

	(void)arg;
	for (i = 0; i < 20000; i++)
		got += !limit_charge(&limits, NULL, LIMIT_CQS, 1);
	return (void *)got;
}

static void threads_together_get_no_more_than_the_limit(void **state)
{
	pthread_t threads[4];
	uintptr_t sum = 0;
	unsigned int i;
	void *got;

	(void)state;
	limits.max[LIMIT_CQS] = 30001;
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, charge_often, NULL), 0);
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], &got);
		sum += (uintptr_t)got;
	}
	assert_int_equal(sum, 30001);
	assert_int_equal(limits.refused[LIMIT_CQS], 80000 - 30001);
}

static void the_guest_reads_its_limits_where_they_are_lower(void **state)
{
	struct hyv_resp_query_device attr, before;

	(void)state;
	memset(&attr, 0x11, sizeof(attr));
	before = attr;
	limit_clamp(&limits, &attr);
	assert_memory_equal(&attr, &before, sizeof(attr));
	limits.max[LIMIT_QPS] = 7;
	limits.max[LIMIT_PDS] = 0;
	limits.max[LIMIT_MWS] = 0x11111112;
	limits.max[LIMIT_PAGES] = 10;
	limits.max[LIMIT_WINDOW] = 1;
	limits.max[LIMIT_OPS] = 1;
	limit_clamp(&limits, &attr);
	before.max_qp = htole32(7);
	before.max_pd = 0;
	before.max_mr_size = htole64(40960);
	assert_memory_equal(&attr, &before, sizeof(attr));
}

/* as dispatch.c does: wait as long as told, then start. Return: when the last of @n started */
static uint64_t operate(unsigned int n, uint64_t now)
{
	uint64_t wait;

	while (n--) {
		wait = limit_ops_wait(&limits, now);
		now += wait;
		assert_int_equal(limit_ops_wait(&limits, now), 0);
		limit_ops_start(&limits, now, wait);
	}
	return now;
}

static void operations_are_spaced_by_the_rate_after_a_seconds_worth(void **state)
{
	uint64_t now = 1000 * SECOND;

	(void)state;
	limits.max[LIMIT_OPS] = 100;
	assert_int_equal(operate(100, now), now);
	assert_int_equal(operate(1, now), now + SECOND / 100);
	assert_int_equal(operate(199, now + SECOND / 100), now + 2 * SECOND);
	assert_int_equal(limits.used[LIMIT_OPS], 300);
	assert_int_equal(limits.refused[LIMIT_OPS], 200);
	/* half a second of silence is worth fifty */
	now += 2 * SECOND + SECOND / 2;
	assert_int_equal(operate(50, now), now);
	assert_true(operate(1, now) > now);
}

static void a_rate_of_0_is_one_a_second_and_none_never_waits(void **state)
{
	uint64_t now = 1000 * SECOND;

	(void)state;
	limits.max[LIMIT_OPS] = 0;
	assert_int_equal(operate(3, now), now + 2 * SECOND);
	limits.max[LIMIT_OPS] = LIMIT_NONE;
	assert_int_equal(operate(1000, now + 3 * SECOND), now + 3 * SECOND);
}

static void names_and_values_are_understood(void **state)
{
	static const char *const bad[] = { "",
					   "-1",
					   "x",
					   "1x",
					   "1KK",
					   "1 ",
					   " 1",
					   "18446744073709551614",
					   "18446744073709551615",
					   "18446744073709551616",
					   "17179869184G",
					   "None" };
	uint64_t value;
	size_t i;

	(void)state;
	for (i = 0; i < LIMIT_COUNT; i++)
		assert_int_equal(limit_find(limit_name(i)), i);
	assert_int_equal(limit_find("qp"), LIMIT_COUNT);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(limit_parse(bad[i], &value));
	assert_true(limit_parse("0", &value) && value == 0);
	assert_true(limit_parse("3K", &value) && value == 3072);
	assert_true(limit_parse("2G", &value) && value == 2ull << 30);
	assert_true(limit_parse("none", &value) && value == LIMIT_NONE);
}

#define limit_test(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		limit_test(without_a_limit_anything_goes),
		limit_test(the_limit_is_reached_but_not_passed),
		limit_test(a_limit_lowered_below_what_is_used_takes_nothing_away),
		limit_test(a_context_takes_what_is_charged_to_it_along),
		limit_test(pages_follow_the_memory_unless_told_otherwise),
		limit_test(a_flood_at_one_limit_does_not_hide_another),
		limit_test(threads_together_get_no_more_than_the_limit),
		limit_test(the_guest_reads_its_limits_where_they_are_lower),
		limit_test(operations_are_spaced_by_the_rate_after_a_seconds_worth),
		limit_test(a_rate_of_0_is_one_a_second_and_none_never_waits),
		limit_test(names_and_values_are_understood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
