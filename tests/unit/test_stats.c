// SPDX-License-Identifier: GPL-2.0-or-later
/* stats.c: into which bucket a time goes, and what is counted. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "stats.h"

static void a_time_is_counted_below_the_next_power_of_two(void **state)
{
	static const struct {
		uint64_t us;
		unsigned int bucket;
	} cases[] = {
		{ 0, 0 },	    { 1, 1 },		{ 2, 2 },     { 3, 2 },
		{ 4, 3 },	    { 1023, 10 },	{ 1024, 11 }, { (1ull << 22) - 1, 22 },
		{ 1ull << 22, 23 }, { 1ull << 40, 23 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stats stats = { 0 };

		stats_add(&stats, HYV_OP_REG_MR, 0, cases[i].us * 1000 + 999);
		assert_int_equal(stats.ops[HYV_OP_REG_MR].bucket[cases[i].bucket], 1);
	}
}

static void answers_and_errors_are_counted_by_operation(void **state)
{
	struct stats stats = { 0 };

	(void)state;
	stats_add(&stats, HYV_OP_CREATE_QP, 0, 1000);
	stats_add(&stats, HYV_OP_CREATE_QP, -ENOMEM, 500);
	stats_add(&stats, 0, -EINVAL, 1);
	assert_int_equal(stats.ops[HYV_OP_CREATE_QP].count, 2);
	assert_int_equal(stats.ops[HYV_OP_CREATE_QP].errors, 1);
	assert_int_equal(stats.ops[HYV_OP_CREATE_QP].total_ns, 1500);
	assert_int_equal(stats.ops[0].errors, 1);
	assert_int_equal(stats.ops[HYV_OP_CREATE_CQ].count, 0);
}

static void every_operation_has_a_name(void **state)
{
	(void)state;
	assert_string_equal(stats_op_name(0), "malformed");
#define CHECK_NAME(number, NAME, name, flags) assert_string_equal(stats_op_name(number), #name);
	HYV_OPS(CHECK_NAME)
#undef CHECK_NAME
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_time_is_counted_below_the_next_power_of_two),
		cmocka_unit_test(answers_and_errors_are_counted_by_operation),
		cmocka_unit_test(every_operation_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
