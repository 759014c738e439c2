// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VM within limits, from its ring to the host and back: the daemon's real code with a host's uverbs
 * of our own (linked with --wrap) behind it. What is charged is given back, whatever fails; what is
 * over the rate waits.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include "cmd.h"
#include "context.h"
#include "dispatch.h"
#include "frontend.h"
#include "vm.h"

#define DATA	  0x1000u /* bytes of guest memory for one request, its answer in the second half */
#define TABLE_GPA (DRIVER_GPA + 0x600000)
#define BUF_GPA	  (DRIVER_GPA + 0x700000)

static struct vm vm;
static struct device device = { .name = "fake0", .uverbs_path = "/dev/null" };
static struct hyv_provider provider = { .name = "fake" };

/* the host: what it answers to a new object, and to a destroy */
static int host_creates, host_destroys;
static _Atomic uint32_t next_handle;

int __wrap_uverbs_call(int fd, uint32_t driver_id, struct uverbs_call *call);
int __wrap_uverbs_write(int fd, uint32_t driver_id, uint32_t command, const void *in,
			uint16_t in_len, void *out, uint16_t out_len, const struct udata *udata);
int __wrap_uverbs_destroy(int fd, uint32_t driver_id, uint16_t object, uint16_t method,
			  uint32_t handle, uint16_t resp_attr, uint16_t resp_len);

int __wrap_uverbs_call(int fd, uint32_t driver_id, struct uverbs_call *call)
{
	(void)fd;
	(void)driver_id;
	if (call->hdr.object_id == UVERBS_OBJECT_ASYNC_EVENT)
		call->attrs[0].data = (uint64_t)eventfd(0, EFD_CLOEXEC);
	else if (call->hdr.object_id != UVERBS_OBJECT_DEVICE)
		call->attrs[0].data = ++next_handle;
	return call->hdr.object_id == UVERBS_OBJECT_CQ ? host_creates : 0;
}

int __wrap_uverbs_write(int fd, uint32_t driver_id, uint32_t command, const void *in,
			uint16_t in_len, void *out, uint16_t out_len, const struct udata *udata)
{
	uint32_t result = ++next_handle; /* the first member of all these answers */

	(void)fd;
	(void)driver_id;
	(void)in;
	(void)in_len;
	(void)udata;
	if (command == IB_USER_VERBS_CMD_CREATE_COMP_CHANNEL)
		result = (uint32_t)eventfd(0, EFD_CLOEXEC);
	else if (host_creates)
		return host_creates;
	memset(out, 0, out_len);
	if (out_len >= sizeof(result))
		memcpy(out, &result, sizeof(result));
	return 0;
}

int __wrap_uverbs_destroy(int fd, uint32_t driver_id, uint16_t object, uint16_t method,
			  uint32_t handle, uint16_t resp_attr, uint16_t resp_len)
{
	(void)fd;
	(void)driver_id;
	(void)object;
	(void)method;
	(void)handle;
	(void)resp_attr;
	(void)resp_len;
	return host_destroys;
}

static void on_kick(struct frontend *fe, unsigned int queue)
{
	(void)fe;
	if (queue == HYV_VQ_CONTROL && vm.dispatch)
		dispatch_kick(vm.dispatch);
}

static int setup(void **state)
{
	struct frontend *fe;

	fe_setup(state);
	fe = *state;
	memset(&vm, 0, sizeof(vm));
	host_creates = 0;
	host_destroys = 0;
	device.provider = &provider;
	limit_init(&vm.limits);
	vm.loop = fe->loop;
	vm.gmem = fe->gm;
	vm.vu = fe->dev;
	vm.devices[0] = &device;
	vm.num_devices = 1;
	vm.pool = pool_create(2);
	vm.objtab = objtab_create();
	assert_int_equal(event_create(&vm.event, &vm), 0);
	assert_int_equal(dispatch_create(&vm.dispatch, &vm), 0);
	fe->on_kick = on_kick;
	fe_ready(fe);
	return 0;
}

static int teardown(void **state)
{
	context_free_all(&vm);
	while (atomic_load(&vm.num_contexts))
		dispatch_settle(vm.dispatch, 5);
	pool_destroy(vm.pool);
	dispatch_destroy(vm.dispatch);
	event_destroy(vm.event);
	objtab_destroy(vm.objtab);
	return fe_teardown(state);
}

/* put a request of operation @op into slot @slot of the ring; nothing else happens */
static void offer(struct frontend *fe, unsigned int slot, uint32_t op, const void *req, size_t len,
		  const void *tail, size_t tail_len, size_t resp_len)
{
	struct hyv_req_hdr hdr = { .op = htole32(op) };
	struct driver *d = &fe->d[HYV_VQ_CONTROL];
	uint32_t at = DRIVER_DATA + slot * DATA;

	memcpy(fe->mem + at, &hdr, sizeof(hdr));
	memcpy(fe->mem + at + sizeof(hdr), req, len);
	memcpy(fe->mem + at + sizeof(hdr) + len, tail, tail_len);
	driver_desc(d, 2 * slot, at, (uint32_t)(sizeof(hdr) + len + tail_len), VRING_DESC_F_NEXT,
		    (uint16_t)(2 * slot + 1));
	driver_desc(d, 2 * slot + 1, at + DATA / 2,
		    (uint32_t)(sizeof(struct hyv_resp_hdr) + resp_len), VRING_DESC_F_WRITE, 0);
	driver_offer(d, (uint16_t)(2 * slot));
}

static void kick(struct frontend *fe)
{
	assert_int_equal(write(fe->kick[HYV_VQ_CONTROL], &(uint64_t){ 1 }, 8), 8);
}

/* let the daemon work until it has answered @n requests in all. Return: whether it did in @ms */
static bool answered(struct frontend *fe, uint16_t n, unsigned int ms)
{
	uint64_t end = stats_now() + ms * 1000000ull;

	while (__atomic_load_n(&fe->d[HYV_VQ_CONTROL].used->idx, __ATOMIC_ACQUIRE) != n) {
		if (stats_now() > end)
			return false;
		sd_event_run(fe->loop, 1000);
	}
	return true;
}

/* one request with its tail, and its answer. Return: the status; @resp: out */
static int ask_tail(struct frontend *fe, uint32_t op, const void *req, size_t len, const void *tail,
		    size_t tail_len, void *resp, size_t resp_len)
{
	struct hyv_resp_hdr hdr;

	offer(fe, 0, op, req, len, tail, tail_len, resp_len);
	kick(fe);
	assert_true(answered(fe, fe->d[HYV_VQ_CONTROL].next_avail, 5000));
	memcpy(&hdr, fe->mem + DRIVER_DATA + DATA / 2, sizeof(hdr));
	memcpy(resp, fe->mem + DRIVER_DATA + DATA / 2 + sizeof(hdr), resp_len);
	return (int)le32toh(hdr.status);
}

static int ask(struct frontend *fe, uint32_t op, const void *req, size_t len, void *resp,
	       size_t resp_len)
{
	return ask_tail(fe, op, req, len, "", 0, resp, resp_len);
}

static int alloc_context(struct frontend *fe, __le64 *id)
{
	struct hyv_req_alloc_context req = { 0 };

	return ask(fe, HYV_OP_ALLOC_CONTEXT, &req, sizeof(req), id, sizeof(*id));
}

static int alloc_pd(struct frontend *fe, __le64 context, __le64 *id)
{
	return ask(fe, HYV_OP_ALLOC_PD, &context, sizeof(context), id, sizeof(*id));
}

/* DEALLOC_PD, DEREG_MR, FREE_CONTEXT and so on */
static int destroy(struct frontend *fe, uint32_t op, __le64 id)
{
	return ask(fe, op, &id, sizeof(id), &id, 0);
}

/* write the table of one extent, and Return: its address */
static __le64 table_of(struct frontend *fe, uint64_t gpa, uint64_t len)
{
	struct hyv_extent extent = { htole64(gpa), htole64(len) };

	memcpy(fe->mem + TABLE_GPA - DRIVER_GPA, &extent, sizeof(extent));
	return htole64(TABLE_GPA);
}

static int reg_mr(struct frontend *fe, __le64 pd, uint64_t gpa, uint64_t len, __le64 *id)
{
	struct hyv_req_reg_mr req = {
		.pd = pd, .length = htole64(len), .iova = htole64(gpa), .num_extents = htole32(1)
	};
	__le64 table = table_of(fe, gpa, len);
	struct hyv_resp_reg_mr resp;
	int ret = ask_tail(fe, HYV_OP_REG_MR, &req, sizeof(req), &table, sizeof(table), &resp,
			   sizeof(resp));

	*id = resp.mr;
	return ret;
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
	__le64 table = table_of(fe, gpa, len);
	struct hyv_resp_rereg_mr resp;

	return ask_tail(fe, HYV_OP_REREG_MR, &req, sizeof(req), &table, len ? sizeof(table) : 0,
			&resp, sizeof(resp));
}

static void a_context_and_what_is_in_it_are_given_back(void **state)
{
	struct frontend *fe = *state;
	__le64 one, two, pd, none;

	vm.limits.max[LIMIT_CONTEXTS] = 2;
	vm.limits.max[LIMIT_PDS] = 3;
	assert_int_equal(alloc_context(fe, &one), 0);
	assert_int_equal(alloc_context(fe, &two), 0);
	assert_int_equal(alloc_context(fe, &none), -ENOMEM);
	assert_int_equal(alloc_pd(fe, one, &pd), 0);
	assert_int_equal(alloc_pd(fe, one, &pd), 0);
	assert_int_equal(alloc_pd(fe, two, &pd), 0);
	assert_int_equal(alloc_pd(fe, two, &none), -ENOMEM);
	assert_int_equal(destroy(fe, HYV_OP_FREE_CONTEXT, one), 0);
	assert_int_equal(vm.limits.used[LIMIT_PDS], 1);
	assert_int_equal(vm.limits.used[LIMIT_CONTEXTS], 1);
	assert_int_equal(alloc_context(fe, &one), 0);
	assert_int_equal(alloc_pd(fe, one, &pd), 0);
	assert_int_equal(vm.limits.refused[LIMIT_CONTEXTS], 1);
	assert_int_equal(vm.limits.refused[LIMIT_PDS], 1);
}

static void what_the_host_refuses_is_not_charged(void **state)
{
	struct frontend *fe = *state;
	__le64 context, pd;

	assert_int_equal(alloc_context(fe, &context), 0);
	host_creates = -EIO;
	assert_int_equal(alloc_pd(fe, context, &pd), -EIO);
	assert_int_equal(vm.limits.used[LIMIT_PDS], 0);
	host_creates = 0;
	assert_int_equal(alloc_pd(fe, context, &pd), 0);
	host_destroys = -EBUSY;
	assert_int_equal(destroy(fe, HYV_OP_DEALLOC_PD, pd), -EBUSY);
	assert_int_equal(vm.limits.used[LIMIT_PDS], 1);
	host_destroys = 0;
	assert_int_equal(destroy(fe, HYV_OP_DEALLOC_PD, pd), 0);
	assert_int_equal(vm.limits.used[LIMIT_PDS], 0);
	assert_int_equal(destroy(fe, HYV_OP_DEALLOC_PD, pd), -ENOENT);
	assert_int_equal(vm.limits.used[LIMIT_PDS], 0);
}

static void pages_are_counted_per_registration(void **state)
{
	struct frontend *fe = *state;
	__le64 context, pd, mr[3], none;

	vm.limits.max[LIMIT_PAGES] = 7;
	assert_int_equal(alloc_context(fe, &context), 0);
	assert_int_equal(alloc_pd(fe, context, &pd), 0);
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
	assert_int_equal(destroy(fe, HYV_OP_DEREG_MR, mr[0]), 0);
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
	assert_int_equal(destroy(fe, HYV_OP_DEREG_MR, mr[1]), 0);
	assert_int_equal(vm.limits.used[LIMIT_PAGES], 1);
	assert_int_equal(destroy(fe, HYV_OP_FREE_CONTEXT, context), 0);
	assert_int_equal(vm.limits.used[LIMIT_PAGES], 0);
	assert_int_equal(vm.limits.used[LIMIT_MRS], 0);
}

static void over_the_rate_answers_wait_and_none_fails(void **state)
{
	struct frontend *fe = *state;
	struct hyv_resp_hdr hdr;
	__le64 context;
	uint64_t began;
	uint16_t before;
	unsigned int i;

	assert_int_equal(alloc_context(fe, &context), 0);
	before = fe->d[HYV_VQ_CONTROL].next_avail;
	vm.limits.max[LIMIT_OPS] = 5;
	vm.limits.ops_due = 0;
	began = stats_now();
	for (i = 0; i < 7; i++)
		offer(fe, i, HYV_OP_ALLOC_PD, &context, sizeof(context), "", 0, sizeof(__le64));
	kick(fe);
	assert_true(answered(fe, (uint16_t)(before + 5), 5000));
	assert_true(stats_now() - began < 150000000);
	/* another notification does not help */
	kick(fe);
	assert_false(answered(fe, (uint16_t)(before + 7), 100));
	assert_true(answered(fe, (uint16_t)(before + 7), 5000));
	assert_in_range(stats_now() - began, 400000000, 2000000000);
	for (i = 0; i < 7; i++) {
		memcpy(&hdr, fe->mem + DRIVER_DATA + i * DATA + DATA / 2, sizeof(hdr));
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

	assert_int_equal(alloc_context(fe, &context), 0);
	vm.limits.max[LIMIT_OPS] = 5;
	vm.limits.ops_due = 0;
	for (i = 0; i < 7; i++)
		offer(fe, i, HYV_OP_ALLOC_PD, &context, sizeof(context), "", 0, sizeof(__le64));
	kick(fe);
	fe_pump(fe);
	fe_stop(fe);
	for (i = 0; i < 60; i++)
		sd_event_run(fe->loop, 10000); /* the pause ends meanwhile */
	driver_init(&fe->d[HYV_VQ_CONTROL], fe->mem, HYV_VQ_CONTROL, RING_NUM);
	memset(fe->d[HYV_VQ_CONTROL].used, 0, 4);
	memset(fe->d[HYV_VQ_CONTROL].avail, 0, 4);
	fe_start(fe);
	assert_int_equal(alloc_context(fe, &context), 0);
	vm.limits.max[LIMIT_OPS] = LIMIT_NONE;
}

#define limited_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		limited_test(a_context_and_what_is_in_it_are_given_back),
		limited_test(what_the_host_refuses_is_not_charged),
		limited_test(pages_are_counted_per_registration),
		limited_test(over_the_rate_answers_wait_and_none_fails),
		limited_test(a_stop_while_requests_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
