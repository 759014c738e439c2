// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VM within limits, from its ring to the host and back (fake_host.h). What is charged is given back,
 * whatever fails; what is over the rate waits.
 */
#include <errno.h>
#include <string.h>
#include "fake_host.h"
#include "session.h"
#include "window.h"

#define BUF_GPA	  (DRIVER_GPA + 0x700000)

static struct device device = { .name = "fake0", .uverbs_path = "/dev/null" };

/* ---- instead of QEMU, which shows the window when session_window_live() is called ---- */

int __wrap_window_fd(const struct window *win);
int __wrap_window_fd(const struct window *win)
{
	(void)win;
	return -1;
}

int __wrap_vu_dev_map_window(struct vu_dev *dev, int fd);
int __wrap_vu_dev_map_window(struct vu_dev *dev, int fd)
{
	(void)dev;
	(void)fd;
	return 0;
}

static int setup(void **state)
{
	fake_setup(state);
	device.provider = &fake_provider;
	device.refs = 1;
	vm.devices[0] = &device;
	return 0;
}

static int reg_mr(struct frontend *fe, __le64 pd, uint64_t gpa, uint64_t len, __le64 *id)
{
	return fake_reg_mr(fe, pd, gpa, len, gpa, id);
}

/* @len: of new memory, or 0 for other rights only */
static int rereg_mr(struct frontend *fe, __le64 mr, uint64_t gpa, uint64_t len)
{
	struct hyv_req_rereg_mr req = {
		.mr = mr,
		.length = htole64(len),
		.iova = htole64(gpa),
		.num_extents = htole32(len > 0),
		.flags = htole32(len ? HYV_REREG_TRANS : HYV_REREG_ACCESS),
	};
	__le64 table = fake_table(fe, gpa, len);
	struct hyv_resp_rereg_mr resp;

	return fake_ask_tail(fe, HYV_OP_REREG_MR, &req, sizeof(req), &table,
			     len ? sizeof(table) : 0, &resp, sizeof(resp));
}

static void a_context_and_what_is_in_it_are_given_back(void **state)
{
	struct frontend *fe = *state;
	__le64 one, two, pd, none;

	vm.limits.max[LIMIT_CONTEXTS] = 2;
	vm.limits.max[LIMIT_PDS] = 3;
	assert_int_equal(fake_alloc_context(fe, 0, &one), 0);
	assert_int_equal(fake_alloc_context(fe, 0, &two), 0);
	assert_int_equal(fake_alloc_context(fe, 0, &none), -ENOMEM);
	assert_int_equal(fake_alloc_pd(fe, one, &pd), 0);
	assert_int_equal(fake_alloc_pd(fe, one, &pd), 0);
	assert_int_equal(fake_alloc_pd(fe, two, &pd), 0);
	assert_int_equal(fake_alloc_pd(fe, two, &none), -ENOMEM);
	assert_int_equal(fake_destroy(fe, HYV_OP_FREE_CONTEXT, one), 0);
	assert_int_equal(vm.limits.used[LIMIT_PDS], 1);
	assert_int_equal(vm.limits.used[LIMIT_CONTEXTS], 1);
	assert_int_equal(fake_alloc_context(fe, 0, &one), 0);
	assert_int_equal(fake_alloc_pd(fe, one, &pd), 0);
	assert_int_equal(vm.limits.refused[LIMIT_CONTEXTS], 1);
	assert_int_equal(vm.limits.refused[LIMIT_PDS], 1);
}

static void a_refused_context_tells_its_device(void **state)
{
	const char *journal = fake_journal(true);
	__le64 context;
	int ret;

	vm.limits.max[LIMIT_CONTEXTS] = 0;
	ret = fake_alloc_context(*state, 0, &context);
	fake_journal(false);
	assert_int_equal(ret, -ENOMEM);
	assert_int_equal(fake_alloc_context(*state, 7, &context), -ENODEV);
	assert_int_equal(vm.limits.refused[LIMIT_CONTEXTS], 1);
	if (!strstr(journal, "can raise 'contexts'|PRIORITY=4|SYSLOG_IDENTIFIER=hyvd|HYV_VM=vm|"
			     "HYV_DEVICE=fake0\n"))
		fail_msg("%s", journal);
}

static void what_the_host_refuses_is_not_charged(void **state)
{
	struct frontend *fe = *state;
	__le64 context, pd;

	assert_int_equal(fake_alloc_context(fe, 0, &context), 0);
	host_creates = -EIO;
	assert_int_equal(fake_alloc_pd(fe, context, &pd), -EIO);
	assert_int_equal(vm.limits.used[LIMIT_PDS], 0);
	host_creates = 0;
	assert_int_equal(fake_alloc_pd(fe, context, &pd), 0);
	host_destroys = -EBUSY;
	assert_int_equal(fake_destroy(fe, HYV_OP_DEALLOC_PD, pd), -EBUSY);
	assert_int_equal(vm.limits.used[LIMIT_PDS], 1);
	host_destroys = 0;
	assert_int_equal(fake_destroy(fe, HYV_OP_DEALLOC_PD, pd), 0);
	assert_int_equal(vm.limits.used[LIMIT_PDS], 0);
	assert_int_equal(fake_destroy(fe, HYV_OP_DEALLOC_PD, pd), -ENOENT);
	assert_int_equal(vm.limits.used[LIMIT_PDS], 0);
}

static void pages_are_counted_per_registration(void **state)
{
	struct frontend *fe = *state;
	__le64 context, pd, mr[3], none;

	vm.limits.max[LIMIT_PAGES] = 7;
	assert_int_equal(fake_alloc_context(fe, 0, &context), 0);
	assert_int_equal(fake_alloc_pd(fe, context, &pd), 0);
	/* two pages of bytes, but three pages of memory; the same memory counts again */
	assert_int_equal(reg_mr(fe, pd, BUF_GPA + 100, 8192, &mr[0]), 0);
	assert_int_equal(vm.limits.used[LIMIT_PAGES], 3);
	assert_int_equal(reg_mr(fe, pd, BUF_GPA + 100, 8192, &mr[1]), 0);
	assert_int_equal(vm.limits.used[LIMIT_PAGES], 6);
	assert_int_equal(reg_mr(fe, pd, BUF_GPA + 4095, 2, &none), -ENOMEM);
	assert_int_equal(vm.limits.used[LIMIT_MRS], 2);
	assert_int_equal(reg_mr(fe, pd, BUF_GPA + 4095, 1, &mr[2]), 0);
	assert_int_equal(vm.limits.used[LIMIT_PAGES], 7);
	host_creates = -EIO;
	assert_int_equal(fake_destroy(fe, HYV_OP_DEREG_MR, mr[0]), 0);
	assert_int_equal(reg_mr(fe, pd, BUF_GPA, 4096, &none), -EIO);
	assert_int_equal(vm.limits.used[LIMIT_PAGES], 4);
	host_creates = 0;
	assert_int_equal(rereg_mr(fe, mr[1], 0, 0), 0);
	assert_int_equal(vm.limits.used[LIMIT_PAGES], 4);
	/* the host has the old memory until it has the new one */
	assert_int_equal(rereg_mr(fe, mr[1], BUF_GPA, 4 * 4096), -ENOMEM);
	assert_int_equal(vm.limits.used[LIMIT_PAGES], 4);
	assert_int_equal(rereg_mr(fe, mr[1], BUF_GPA, 2 * 4096), 0);
	assert_int_equal(vm.limits.used[LIMIT_PAGES], 3);
	host_creates = -EIO;
	assert_int_equal(rereg_mr(fe, mr[1], BUF_GPA, 4096), -EIO);
	assert_int_equal(vm.limits.used[LIMIT_PAGES], 3);
	host_creates = 0;
	assert_int_equal(fake_destroy(fe, HYV_OP_DEREG_MR, mr[1]), 0);
	assert_int_equal(vm.limits.used[LIMIT_PAGES], 1);
	assert_int_equal(fake_destroy(fe, HYV_OP_FREE_CONTEXT, context), 0);
	assert_int_equal(vm.limits.used[LIMIT_PAGES], 0);
	assert_int_equal(vm.limits.used[LIMIT_MRS], 0);
}

/* Where the operator sets no limit, all memory can be registered on each device that a VM may have. */
static void all_memory_is_registered_so_often_and_no_more(void **state)
{
	struct frontend *fe = *state;
	uint64_t all = gmem_total(vm.gmem) / 4096 * 4096;
	__le64 context, pd, mr;
	unsigned int i;

	assert_int_equal(fake_alloc_context(fe, 0, &context), 0);
	assert_int_equal(fake_alloc_pd(fe, context, &pd), 0);
	for (i = 0; i < HYV_MAX_DEVICES; i++)
		assert_int_equal(reg_mr(fe, pd, DRIVER_GPA, all, &mr), 0);
	assert_int_equal(reg_mr(fe, pd, DRIVER_GPA, 4096, &mr), -ENOMEM);
	assert_int_equal(vm.limits.refused[LIMIT_PAGES], 1);
	vm.limits.max[LIMIT_PAGES] = LIMIT_NONE;
	assert_int_equal(reg_mr(fe, pd, DRIVER_GPA, 4096, &mr), 0);
}

static void over_the_rate_answers_wait_and_none_fails(void **state)
{
	struct frontend *fe = *state;
	struct hyv_resp_hdr hdr;
	__le64 context;
	uint64_t began;
	uint16_t before;
	unsigned int i;

	assert_int_equal(fake_alloc_context(fe, 0, &context), 0);
	before = fe->d[HYV_VQ_CONTROL].next_avail;
	vm.limits.max[LIMIT_OPS] = 5;
	vm.limits.ops_due = 0;
	began = stats_now();
	for (i = 0; i < 7; i++)
		fake_offer(fe, i, HYV_OP_ALLOC_PD, &context, sizeof(context), "", 0,
			   sizeof(__le64));
	fake_kick(fe);
	assert_true(fake_answered(fe, (uint16_t)(before + 5), 5000));
	assert_true(stats_now() - began < 150000000);
	/* another notification does not help */
	fake_kick(fe);
	assert_false(fake_answered(fe, (uint16_t)(before + 7), 100));
	assert_true(fake_answered(fe, (uint16_t)(before + 7), 5000));
	assert_in_range(stats_now() - began, 400000000, 2000000000);
	for (i = 0; i < 7; i++) {
		memcpy(&hdr, fe->mem + DRIVER_DATA + i * FAKE_DATA + FAKE_DATA / 2, sizeof(hdr));
		assert_int_equal(hdr.status, 0);
	}
	assert_int_equal(vm.limits.refused[LIMIT_OPS], 2);
	assert_int_equal(vm.stats.ops[HYV_OP_ALLOC_PD].count, 7);
	assert_int_equal(vm.stats.ops[HYV_OP_ALLOC_PD].errors, 0);
	vm.limits.max[LIMIT_OPS] = LIMIT_NONE;
}

/* A guest that is reset while its requests wait; the next one's are served. */
static void a_stop_while_requests_wait(void **state)
{
	struct frontend *fe = *state;
	__le64 context;
	unsigned int i;

	assert_int_equal(fake_alloc_context(fe, 0, &context), 0);
	vm.limits.max[LIMIT_OPS] = 5;
	vm.limits.ops_due = 0;
	for (i = 0; i < 7; i++)
		fake_offer(fe, i, HYV_OP_ALLOC_PD, &context, sizeof(context), "", 0,
			   sizeof(__le64));
	fake_kick(fe);
	fe_pump(fe);
	fe_stop(fe);
	for (i = 0; i < 60; i++)
		sd_event_run(fe->loop, 10000); /* the pause ends meanwhile */
	driver_init(&fe->d[HYV_VQ_CONTROL], fe->mem, HYV_VQ_CONTROL, RING_NUM);
	memset(fe->d[HYV_VQ_CONTROL].used, 0, 4);
	memset(fe->d[HYV_VQ_CONTROL].avail, 0, 4);
	fe_start(fe);
	assert_int_equal(fake_alloc_context(fe, 0, &context), 0);
	vm.limits.max[LIMIT_OPS] = LIMIT_NONE;
}

static void a_guest_that_connects_again_and_again_does_not_flood_the_log(void **state)
{
	struct hyv_req_hello req = { .version = htole32(HYV_WIRE_VERSION) };
	const char *line = fake_journal(true);
	struct frontend *fe = *state;
	unsigned int i, lines = 0;

	for (i = 0; i < 50; i++) {
		vm.window_is_live = false;
		fake_offer(fe, 0, HYV_OP_HELLO, &req, sizeof(req), "", 0,
			   sizeof(struct hyv_resp_hello));
		fake_kick(fe);
		while (!vm.hello)
			assert_true(sd_event_run(fe->loop, 1000000) > 0);
		session_window_live(&vm, 0);
		assert_true(fake_answered(fe, fe->d[HYV_VQ_CONTROL].next_avail, 1000));
	}
	fake_journal(false);
	while ((line = strstr(line, "the guest is connected"))) {
		lines++;
		line++;
	}
	assert_in_range(lines, 1, 10); /* in two intervals, on a slow machine */
}

#define limited_test(name) cmocka_unit_test_setup_teardown(name, setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		limited_test(a_context_and_what_is_in_it_are_given_back),
		limited_test(a_refused_context_tells_its_device),
		limited_test(what_the_host_refuses_is_not_charged),
		limited_test(pages_are_counted_per_registration),
		limited_test(all_memory_is_registered_so_often_and_no_more),
		limited_test(over_the_rate_answers_wait_and_none_fails),
		limited_test(a_stop_while_requests_wait),
		limited_test(a_guest_that_connects_again_and_again_does_not_flood_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
