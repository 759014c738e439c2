// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A host's driver that goes by addresses, as siw does, from the guest's ring to the host and back
 * (fake_host.h): whatever process of the guest registers or is rung, the driver finds its memory.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include "fake_host.h"

#define PAGE	  4096u
#define BUF_GPA	  (DRIVER_GPA + 0x700000)
#define PLACE	  0x345678000000ull /* where nobody has anything */
#define QP_STATE  1u
#define QPS_ERR	  6u

static const struct hyv_provider by_address = { .name = "by address",
						.flags = HYV_PROVIDER_POST_SEND |
							 HYV_PROVIDER_NO_IOVA };
static struct device device = { .name = "fake0", .uverbs_path = "/dev/null" };

/* what the host's driver found at PLACE when it was asked to register and to send; and how many QPs were stopped */
static uint64_t registered, sent;
static unsigned int num_sent, num_stopped;
static bool mmap_fails;

void *__real_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	errno = ENOMEM;
	return mmap_fails ? MAP_FAILED : __real_mmap64(addr, len, prot, flags, fd, offset);
}

/* on any thread */
static void driver(uint32_t command, const void *in)
{
	const struct ib_uverbs_reg_mr *reg = in;
	const struct ib_uverbs_ex_modify_qp *modify = in;

	if (command == IB_USER_VERBS_CMD_REG_MR && reg->start == PLACE) {
		memcpy(&registered, (void *)PLACE, sizeof(registered));
	} else if (command == IB_USER_VERBS_CMD_POST_SEND) {
		memcpy(&sent, (void *)PLACE, sizeof(sent));
		num_sent++;
	} else if (command == (IB_USER_VERBS_CMD_FLAG_EXTENDED | IB_USER_VERBS_EX_CMD_MODIFY_QP)) {
		num_stopped += modify->base.attr_mask == QP_STATE &&
			       modify->base.qp_state == QPS_ERR;
	}
}

/** struct process - one of the guest's, with a QP and what it has at PLACE */
struct process {
	struct fake_qp made;
	__le64 mr;
};

/* Return: the status of the registration; @number: of the memory, and what is in it */
static int start(struct frontend *fe, struct process *p, uint64_t number)
{
	uint64_t gpa = BUF_GPA + number * PAGE;

	memcpy(fe->mem + gpa - DRIVER_GPA, &number, sizeof(number));
	assert_int_equal(fake_make_qp(fe, 0, IB_UVERBS_QPT_RC, &p->made), 0);
	return fake_reg_mr(fe, p->made.pd, gpa, PAGE, PLACE, &p->mr);
}

static void ring(uint32_t number)
{
	driver_ring(doorbell_memory(vm.doorbell), number);
	doorbell_wake(vm.doorbell);
	while (doorbell_poll(vm.doorbell))
		;
}

static int setup(void **state)
{
	fake_setup(state);
	device.provider = &by_address;
	device.refs = 1;
	vm.devices[0] = &device;
	registered = 0;
	sent = 0;
	num_sent = 0;
	num_stopped = 0;
	host_did = driver;
	return doorbell_create(&vm.doorbell, &vm, 0);
}

static int teardown(void **state)
{
	int ret = fake_teardown(state);

	doorbell_destroy(vm.doorbell);
	return ret;
}

static void each_process_has_its_own_memory(void **state)
{
	struct frontend *fe = *state;
	struct process parent, child;
	unsigned int i;

	assert_int_equal(start(fe, &parent, 1), 0);
	assert_int_equal(registered, 1);
	assert_int_equal(start(fe, &child, 2), 0);
	assert_int_equal(registered, 2);
	for (i = 0; i < 3; i++) {
		ring(parent.made.doorbell);
		assert_int_equal(sent, 1);
		ring(child.made.doorbell);
		assert_int_equal(sent, 2);
	}
	assert_int_equal(num_sent, 6);
	assert_int_equal(fake_destroy(fe, HYV_OP_DEREG_MR, child.mr), 0);
	ring(parent.made.doorbell);
	assert_int_equal(sent, 1);
	assert_int_equal(fake_destroy(fe, HYV_OP_FREE_CONTEXT, parent.made.context), 0);
	ring(parent.made.doorbell);
	assert_int_equal(num_sent, 7);
	assert_int_equal(num_stopped, 0);
}

/* Its memory cannot be shown: nobody else's is sent, and its work does not wait for ever. */
static void who_cannot_be_shown_is_stopped(void **state)
{
	struct frontend *fe = *state;
	struct process parent, child, third;

	assert_int_equal(start(fe, &parent, 1), 0);
	assert_int_equal(start(fe, &child, 2), 0);
	mmap_fails = true;
	ring(child.made.doorbell);
	assert_int_equal(sent, 2);
	ring(parent.made.doorbell);
	assert_int_equal(num_sent, 1);
	assert_int_equal(num_stopped, 1);
	mmap_fails = false;
	ring(parent.made.doorbell);
	assert_int_equal(sent, 1);
	/* so is a registration, and nothing is left of it */
	assert_int_equal(start(fe, &third, 3), 0);
	assert_int_equal(fake_destroy(fe, HYV_OP_DEREG_MR, third.mr), 0);
	mmap_fails = true;
	assert_int_equal(fake_reg_mr(fe, third.made.pd, BUF_GPA, PAGE, PLACE, &third.mr), -ENOMEM);
	mmap_fails = false;
	assert_int_equal(vm.limits.used[LIMIT_MRS], 2);
	assert_int_equal(vm.limits.used[LIMIT_PAGES], 2);
	ring(child.made.doorbell);
	assert_int_equal(sent, 2);
}

#define spaces_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		spaces_test(each_process_has_its_own_memory),
		spaces_test(who_cannot_be_shown_is_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
