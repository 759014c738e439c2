// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Unit tests of the device side of virtqueues (vring.c): a driver in the same process writes good
 * rings, broken rings and random rings into a memfd.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <cmocka.h>

#include "driver.h"
#include "gmem.h"
#include "log.h"
#include "random.h"
#include "vring_setup.h"

#define V1	  (1ull << VIRTIO_F_VERSION_1)
#define INDIRECT  (1ull << VIRTIO_RING_F_INDIRECT_DESC)
#define EVENT_IDX (1ull << VIRTIO_RING_F_EVENT_IDX)
#define NEXT	  VRING_DESC_F_NEXT
#define WRITE	  VRING_DESC_F_WRITE
#define TABLE	  VRING_DESC_F_INDIRECT
#define NUM	  16u

struct fixture {
	struct gmem *gm;
	struct vring *vr;
	struct driver d;
	int memfd;
	int call;
	int err;
	struct vring_chain chain;
};

static struct gmem_region whole_memory(const struct fixture *f)
{
	return (struct gmem_region){ { DRIVER_GPA }, DRIVER_MEM, DRIVER_QEMU_VA, 0, dup(f->memfd) };
}

static const struct vring_addr addr = { DRIVER_QEMU_VA + DRIVER_DESC, DRIVER_QEMU_VA + DRIVER_AVAIL,
					DRIVER_QEMU_VA + DRIVER_USED };

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct gmem_region r;
	uint8_t *mem = NULL;

	f->memfd = driver_memfd(&mem);
	assert_true(f->memfd >= 0);
	driver_init(&f->d, mem, 0, NUM);
	f->gm = gmem_create(NULL);
	r = whole_memory(f);
	assert_int_equal(gmem_set_table(f->gm, &r, 1), 0);
	f->vr = vring_create(f->gm, 0);
	f->call = eventfd(0, EFD_NONBLOCK);
	f->err = eventfd(0, EFD_NONBLOCK);
	vring_set_call(f->vr, dup(f->call));
	vring_set_err(f->vr, dup(f->err));
	assert_int_equal(vring_set_num(f->vr, NUM), 0);
	assert_int_equal(vring_set_addr(f->vr, &addr), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	vring_destroy(f->vr);
	gmem_destroy(f->gm);
	munmap(f->d.mem, DRIVER_MEM);
	close(f->memfd);
	close(f->call);
	close(f->err);
	free(f);
	return 0;
}

static void start(struct fixture *f, uint64_t features)
{
	assert_int_equal(vring_start(f->vr, V1 | features), 0);
	assert_true(vring_running(f->vr));
}

/* Return: how often an eventfd was signalled since the last call, as 0 or 1 */
static int signalled(int fd)
{
	uint64_t n;

	return read(fd, &n, sizeof(n)) == sizeof(n);
}

static void expect_broken(struct fixture *f)
{
	uint16_t used = f->d.used->idx;

	assert_int_equal(vring_pop(f->vr, &f->chain), -EPROTO);
	assert_false(vring_running(f->vr));
	assert_true(signalled(f->err));
	/* It stays stopped and silent, and writes nothing. */
	assert_int_equal(vring_pop(f->vr, &f->chain), 0);
	vring_push(f->vr, &f->chain, 0);
	vring_signal(f->vr);
	assert_int_equal(f->d.used->idx, used);
	assert_false(signalled(f->err));
	assert_false(signalled(f->call));
}

static void test_settings(void **state)
{
	struct fixture *f = *state;
	struct vring *vr = vring_create(f->gm, 1);
	struct vring_addr odd = addr, outside = addr;

	assert_int_equal(vring_set_num(vr, 0), -EINVAL);
	assert_int_equal(vring_set_num(vr, 3), -EINVAL);
	assert_int_equal(vring_set_num(vr, 65536), -EINVAL);
	assert_int_equal(vring_start(vr, V1), -EINVAL);
	assert_int_equal(vring_set_num(vr, NUM), 0);
	assert_int_equal(vring_start(vr, V1), -EINVAL);
	odd.desc += 8;
	assert_int_equal(vring_set_addr(vr, &odd), -EINVAL);
	odd = addr;
	odd.avail += 1;
	assert_int_equal(vring_set_addr(vr, &odd), -EINVAL);
	odd = addr;
	odd.used += 2;
	assert_int_equal(vring_set_addr(vr, &odd), -EINVAL);
	assert_int_equal(vring_set_base(vr, 0x10000), -EINVAL);
	outside.used = DRIVER_QEMU_VA + DRIVER_MEM - 4 - 8 * NUM;
	assert_int_equal(vring_set_addr(vr, &outside), 0);
	assert_int_equal(vring_start(vr, V1), -EFAULT);
	outside.used -= 4;
	assert_int_equal(vring_set_addr(vr, &outside), 0);
	assert_int_equal(vring_start(vr, 0), -EINVAL);
	assert_int_equal(vring_start(vr, V1), 0);
	assert_int_equal(vring_set_num(vr, NUM), -EBUSY);
	assert_int_equal(vring_set_addr(vr, &addr), -EBUSY);
	assert_int_equal(vring_set_base(vr, 0), -EBUSY);
	vring_destroy(vr);
}

static void test_not_running(void **state)
{
	struct fixture *f = *state;

	driver_desc(&f->d, 0, DRIVER_DATA, 8, 0, 0);
	driver_offer(&f->d, 0);
	assert_int_equal(vring_pop(f->vr, &f->chain), 0);
	start(f, 0);
	assert_int_equal(vring_pop(f->vr, &f->chain), 1);
	vring_stop(f->vr);
	vring_push(f->vr, &f->chain, 0);
	assert_int_equal(f->d.used->idx, 0);
	assert_int_equal(vring_pop(f->vr, &f->chain), 0);
	assert_int_equal(vring_base(f->vr), 1);
}

static void test_chain(void **state)
{
	struct fixture *f = *state;
	char buf[32] = "";

	memcpy(f->d.mem + DRIVER_DATA, "question", 8);
	driver_desc(&f->d, 3, DRIVER_DATA, 5, NEXT, 7);
	driver_desc(&f->d, 7, DRIVER_DATA + 5, 3, NEXT, 1);
	driver_desc(&f->d, 1, DRIVER_DATA + 100, 4, NEXT | WRITE, 2);
	driver_desc(&f->d, 2, DRIVER_DATA + 200, 4, WRITE, 9);
	start(f, 0);
	assert_int_equal(vring_pop(f->vr, &f->chain), 0);
	driver_offer(&f->d, 3);
	assert_int_equal(vring_pop(f->vr, &f->chain), 1);
	assert_int_equal(vring_pop(f->vr, &f->chain), 0);
	assert_int_equal(f->chain.head, 3);
	assert_int_equal(f->chain.num_readable, 2);
	assert_int_equal(f->chain.num_writable, 2);
	assert_int_equal(f->chain.readable_len, 8);
	assert_int_equal(f->chain.writable_len, 8);

	assert_int_equal(vring_chain_read(f->vr, &f->chain, 0, buf, 8), 0);
	assert_memory_equal(buf, "question", 8);
	assert_int_equal(vring_chain_read(f->vr, &f->chain, 4, buf, 3), 0);
	assert_memory_equal(buf, "tio", 3);
	assert_int_equal(vring_chain_read(f->vr, &f->chain, 0, buf, 9), -EFAULT);
	assert_int_equal(vring_chain_read(f->vr, &f->chain, 8, buf, 1), -EFAULT);
	assert_int_equal(vring_chain_read(f->vr, &f->chain, UINT64_MAX, buf, 1), -EFAULT);
	assert_int_equal(vring_chain_read(f->vr, &f->chain, 99, buf, 0), 0);
	assert_int_equal(vring_chain_write(f->vr, &f->chain, 1, "answer!", 7), 0);
	assert_memory_equal(f->d.mem + DRIVER_DATA + 100, "\0ans", 4);
	assert_memory_equal(f->d.mem + DRIVER_DATA + 200, "wer!", 4);
	assert_int_equal(vring_chain_write(f->vr, &f->chain, 1, "answer!!", 8), -EFAULT);

	vring_push(f->vr, &f->chain, 8);
	assert_int_equal(f->d.used->idx, 1);
	assert_int_equal(f->d.used->ring[0].id, 3);
	assert_int_equal(f->d.used->ring[0].len, 8);
	vring_push(f->vr, &f->chain, 8);
	assert_int_equal(f->d.used->idx, 1);
}

static void test_indirect(void **state)
{
	struct fixture *f = *state;
	struct vring_desc table[3] = {
		{ DRIVER_GPA + DRIVER_DATA, 10, NEXT, 2 },
		{ DRIVER_GPA + DRIVER_DATA + 40, 30, WRITE, 0 },
		{ DRIVER_GPA + DRIVER_DATA + 20, 20, NEXT | WRITE, 1 },
	};

	memcpy(f->d.mem + DRIVER_DATA + 4096, table, sizeof(table));
	driver_desc(&f->d, 0, DRIVER_DATA + 4096, sizeof(table), TABLE, 0);
	driver_desc(&f->d, 1, DRIVER_DATA + 99, 1, NEXT, 0);
	start(f, INDIRECT);
	driver_offer(&f->d, 0);
	assert_int_equal(vring_pop(f->vr, &f->chain), 1);
	assert_int_equal(f->chain.num_readable, 1);
	assert_int_equal(f->chain.num_writable, 2);
	assert_int_equal(f->chain.readable_len, 10);
	assert_int_equal(f->chain.writable_len, 50);
	assert_int_equal(f->chain.segments[2].gpa.val, DRIVER_GPA + DRIVER_DATA + 40);

	/* A table may follow direct descriptors. */
	driver_offer(&f->d, 1);
	assert_int_equal(vring_pop(f->vr, &f->chain), 1);
	assert_int_equal(f->chain.head, 1);
	assert_int_equal(f->chain.readable_len, 11);
	assert_int_equal(f->chain.num_writable, 2);
}

/* The number of times a ring has been used is far beyond 16 bits; nothing may show at the wrap. */
static void test_index_wraps(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	f->d.next_avail = 65530;
	f->d.avail->idx = 65530;
	f->d.used->idx = 65530;
	assert_int_equal(vring_set_base(f->vr, 65530), 0);
	start(f, 0);
	for (i = 0; i < 70000; i++) {
		driver_desc(&f->d, i % NUM, DRIVER_DATA, 8, 0, 0);
		driver_offer(&f->d, i % NUM);
		assert_int_equal(vring_pop(f->vr, &f->chain), 1);
		assert_int_equal(f->chain.head, i % NUM);
		vring_push(f->vr, &f->chain, i);
		assert_int_equal(f->d.used->idx, (uint16_t)(65530 + i + 1));
		assert_int_equal(f->d.used->ring[(65530 + i) % NUM].len, i);
	}
	assert_int_equal(vring_base(f->vr), (uint16_t)(65530 + 70000));
}

static void test_full_ring(void **state)
{
	struct fixture *f = *state;
	struct vring_chain chains[NUM];
	unsigned int i;

	start(f, 0);
	for (i = 0; i < NUM; i++) {
		driver_desc(&f->d, i, DRIVER_DATA, 8, 0, 0);
		driver_offer(&f->d, i);
	}
	for (i = 0; i < NUM; i++)
		assert_int_equal(vring_pop(f->vr, &chains[i]), 1);
	assert_int_equal(vring_pop(f->vr, &f->chain), 0);
	for (i = NUM; i-- > 0;)
		vring_push(f->vr, &chains[i], i);
	assert_int_equal(f->d.used->idx, NUM);
	assert_int_equal(f->d.used->ring[0].id, NUM - 1);
}

static void test_broken_more_in_flight_than_entries(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	start(f, 0);
	driver_desc(&f->d, 0, DRIVER_DATA, 8, 0, 0);
	for (i = 0; i < NUM; i++) {
		driver_offer(&f->d, 0);
		assert_int_equal(vring_pop(f->vr, &f->chain), 1);
	}
	driver_offer(&f->d, 0);
	expect_broken(f);
}

static void test_broken_avail_jump(void **state)
{
	struct fixture *f = *state;

	start(f, 0);
	driver_desc(&f->d, 0, DRIVER_DATA, 8, 0, 0);
	f->d.avail->idx = NUM + 1;
	expect_broken(f);
}

static void test_broken_avail_back(void **state)
{
	struct fixture *f = *state;

	start(f, EVENT_IDX);
	driver_desc(&f->d, 0, DRIVER_DATA, 8, 0, 0);
	f->d.avail->idx = 65535;
	expect_broken(f);
}

static void test_broken_head(void **state)
{
	struct fixture *f = *state;

	start(f, 0);
	/* What is there looks like a descriptor, but it is not in the ring. */
	driver_desc(&f->d, NUM, DRIVER_DATA, 8, 0, 0);
	driver_offer(&f->d, NUM);
	expect_broken(f);
}

static void test_broken_next(void **state)
{
	struct fixture *f = *state;

	start(f, 0);
	driver_desc(&f->d, 0, DRIVER_DATA, 8, NEXT, NUM);
	driver_desc(&f->d, NUM, DRIVER_DATA, 8, 0, 0);
	driver_offer(&f->d, 0);
	expect_broken(f);
}

static void test_broken_loop(void **state)
{
	struct fixture *f = *state;

	start(f, 0);
	driver_desc(&f->d, 0, DRIVER_DATA, 8, NEXT, 1);
	driver_desc(&f->d, 1, DRIVER_DATA, 8, NEXT, 0);
	driver_offer(&f->d, 0);
	expect_broken(f);
}

static void test_broken_self_loop(void **state)
{
	struct fixture *f = *state;

	start(f, 0);
	driver_desc(&f->d, 5, DRIVER_DATA, 8, NEXT | WRITE, 5);
	driver_offer(&f->d, 5);
	expect_broken(f);
}

static void test_broken_order(void **state)
{
	struct fixture *f = *state;

	start(f, 0);
	driver_desc(&f->d, 0, DRIVER_DATA, 8, NEXT | WRITE, 1);
	driver_desc(&f->d, 1, DRIVER_DATA, 8, 0, 0);
	driver_offer(&f->d, 0);
	expect_broken(f);
}

static void test_broken_no_bytes(void **state)
{
	struct fixture *f = *state;

	start(f, 0);
	driver_desc(&f->d, 0, DRIVER_DATA, 0, 0, 0);
	driver_offer(&f->d, 0);
	expect_broken(f);
}

static void test_broken_address_overflow(void **state)
{
	struct fixture *f = *state;

	start(f, 0);
	f->d.desc[0] = (struct vring_desc){ UINT64_MAX - 3, 8, 0, 0 };
	driver_offer(&f->d, 0);
	expect_broken(f);
}

/* Put a table of @num descriptors and of @len bytes behind head 0 and offer it. */
static void offer_table(struct fixture *f, const struct vring_desc *table, unsigned int num,
			uint32_t len, uint16_t flags)
{
	memcpy(f->d.mem + DRIVER_DATA + 0x10000, table, num * sizeof(*table));
	driver_desc(&f->d, 0, DRIVER_DATA + 0x10000, len, flags, 0);
	driver_offer(&f->d, 0);
}

static const struct vring_desc good_entry = { DRIVER_GPA + DRIVER_DATA, 8, 0, 0 };

static void test_broken_table_not_negotiated(void **state)
{
	struct fixture *f = *state;

	start(f, 0);
	offer_table(f, &good_entry, 1, 16, TABLE);
	expect_broken(f);
}

static void test_broken_table_size_odd(void **state)
{
	struct fixture *f = *state;

	start(f, INDIRECT);
	offer_table(f, &good_entry, 1, 17, TABLE);
	expect_broken(f);
}

static void test_broken_table_size_zero(void **state)
{
	struct fixture *f = *state;

	start(f, INDIRECT);
	offer_table(f, &good_entry, 1, 0, TABLE);
	expect_broken(f);
}

static void test_broken_table_size_huge(void **state)
{
	struct fixture *f = *state;

	start(f, INDIRECT);
	offer_table(f, &good_entry, 1, (VRING_MAX_SEGMENTS + 1) * 16, TABLE);
	expect_broken(f);
}

static void test_broken_table_with_next(void **state)
{
	struct fixture *f = *state;

	start(f, INDIRECT);
	offer_table(f, &good_entry, 1, 16, TABLE | NEXT);
	expect_broken(f);
}

static void test_broken_table_nested(void **state)
{
	struct fixture *f = *state;
	struct vring_desc nested = { DRIVER_GPA + DRIVER_DATA, 16, TABLE, 0 };

	start(f, INDIRECT);
	offer_table(f, &nested, 1, 16, TABLE);
	expect_broken(f);
}

static void test_broken_table_loop(void **state)
{
	struct fixture *f = *state;
	struct vring_desc loop[] = { { DRIVER_GPA + DRIVER_DATA, 8, NEXT, 1 },
				     { DRIVER_GPA + DRIVER_DATA, 8, NEXT, 0 } };

	start(f, INDIRECT);
	offer_table(f, loop, 2, 32, TABLE);
	expect_broken(f);
}

static void test_broken_table_next(void **state)
{
	struct fixture *f = *state;
	struct vring_desc out = { DRIVER_GPA + DRIVER_DATA, 8, NEXT, 1 };

	start(f, INDIRECT);
	offer_table(f, &out, 1, 16, TABLE);
	expect_broken(f);
}

static void test_broken_table_outside_memory(void **state)
{
	struct fixture *f = *state;

	start(f, INDIRECT);
	driver_desc(&f->d, 0, DRIVER_MEM - 8, 16, TABLE, 0);
	driver_offer(&f->d, 0);
	expect_broken(f);
}

/* Direct descriptors and a table together may not exceed what a chain can hold. */
static void test_broken_too_many_segments(void **state)
{
	struct fixture *f = *state;
	struct vring_desc table[VRING_MAX_SEGMENTS];
	unsigned int i;

	for (i = 0; i < VRING_MAX_SEGMENTS; i++)
		table[i] = (struct vring_desc){ DRIVER_GPA + DRIVER_DATA, 8, NEXT, i + 1 };
	table[VRING_MAX_SEGMENTS - 1].flags = 0;
	start(f, INDIRECT);
	offer_table(f, table, VRING_MAX_SEGMENTS, sizeof(table), TABLE);
	assert_int_equal(vring_pop(f->vr, &f->chain), 1);
	assert_int_equal(f->chain.num_readable, VRING_MAX_SEGMENTS);

	driver_desc(&f->d, 1, DRIVER_DATA, 8, NEXT, 0);
	driver_offer(&f->d, 1);
	expect_broken(f);
}

/* Segments outside guest memory do not break the ring; using them fails. */
static void test_segment_outside_memory(void **state)
{
	struct fixture *f = *state;
	char buf[8];

	start(f, 0);
	driver_desc(&f->d, 0, DRIVER_MEM - 4, 8, NEXT, 1);
	f->d.desc[1] = (struct vring_desc){ 0, 8, WRITE, 0 };
	driver_offer(&f->d, 0);
	assert_int_equal(vring_pop(f->vr, &f->chain), 1);
	assert_int_equal(vring_chain_read(f->vr, &f->chain, 0, buf, 8), -EFAULT);
	assert_int_equal(vring_chain_write(f->vr, &f->chain, 0, buf, 8), -EFAULT);
	assert_int_equal(vring_chain_read(f->vr, &f->chain, 0, buf, 4), 0);
	vring_push(f->vr, &f->chain, 0);
	assert_int_equal(f->d.used->idx, 1);
}

static void test_restart(void **state)
{
	struct fixture *f = *state;
	uint64_t before;

	start(f, 0);
	before = vring_generation(f->vr);
	driver_offer(&f->d, NUM);
	expect_broken(f);
	vring_stop(f->vr);
	/* Already the stop ends what was taken before. */
	assert_true(vring_generation(f->vr) != before);
	before = vring_generation(f->vr);
	f->d.avail->idx = 0;
	f->d.next_avail = 0;
	assert_int_equal(vring_set_base(f->vr, 0), 0);
	start(f, 0);
	assert_true(vring_generation(f->vr) != before);
	driver_desc(&f->d, 0, DRIVER_DATA, 8, 0, 0);
	driver_offer(&f->d, 0);
	assert_int_equal(vring_pop(f->vr, &f->chain), 1);
}

static void test_memory_table_changes(void **state)
{
	struct fixture *f = *state;
	struct gmem_region r = whole_memory(f), half = whole_memory(f);

	start(f, 0);
	driver_desc(&f->d, 0, DRIVER_DATA, 8, 0, 0);
	driver_offer(&f->d, 0);
	assert_int_equal(gmem_set_table(f->gm, &r, 1), 0);
	vring_refresh(f->vr);
	assert_int_equal(vring_pop(f->vr, &f->chain), 1);

	half.len = DRIVER_USED;
	assert_int_equal(gmem_set_table(f->gm, &half, 1), 0);
	vring_refresh(f->vr);
	assert_false(vring_running(f->vr));
	assert_true(signalled(f->err));
	vring_push(f->vr, &f->chain, 0);
	assert_int_equal(vring_pop(f->vr, &f->chain), 0);
}

/* Take and give back one chain. Return: whether the guest was interrupted. */
static int one_round(struct fixture *f)
{
	driver_desc(&f->d, 0, DRIVER_DATA, 8, 0, 0);
	driver_offer(&f->d, 0);
	assert_int_equal(vring_pop(f->vr, &f->chain), 1);
	vring_push(f->vr, &f->chain, 0);
	vring_signal(f->vr);
	return signalled(f->call);
}

static void test_signal_flags(void **state)
{
	struct fixture *f = *state;

	start(f, 0);
	vring_signal(f->vr);
	assert_false(signalled(f->call));
	assert_true(one_round(f));
	vring_signal(f->vr);
	assert_false(signalled(f->call));
	f->d.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	assert_false(one_round(f));
	f->d.avail->flags = 0;
	assert_true(one_round(f));
	vring_set_call(f->vr, -1);
	assert_false(one_round(f));
}

static void test_signal_event_idx(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	start(f, EVENT_IDX);
	*driver_used_event(&f->d) = 0;
	assert_true(one_round(f));
	assert_false(one_round(f));
	*driver_used_event(&f->d) = 4;
	assert_false(one_round(f));
	assert_false(one_round(f));
	assert_true(one_round(f));
	assert_false(one_round(f));
	/* The flag means nothing with this feature. */
	f->d.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	*driver_used_event(&f->d) = f->d.used->idx;
	assert_true(one_round(f));
	/* Several at once, the awaited one in the middle. */
	*driver_used_event(&f->d) = f->d.used->idx + 1;
	for (i = 0; i < 3; i++) {
		driver_offer(&f->d, 0);
		assert_int_equal(vring_pop(f->vr, &f->chain), 1);
		vring_push(f->vr, &f->chain, 0);
	}
	vring_signal(f->vr);
	assert_true(signalled(f->call));
}

/* Against the kernel's vring_need_event(), all around the wrap of 16 bits. */
static void test_signal_event_idx_wrap(void **state)
{
	struct fixture *f = *state;
	struct rnd r;
	unsigned int i;

	rnd_init(&r, __func__);
	for (i = 0; i < 3000; i++) {
		uint16_t old = 65536 - 8 + rnd(&r, 16), event = old - 8 + rnd(&r, 24);
		unsigned int j, n = 1 + rnd(&r, 6);

		f->d.used->idx = old;
		f->d.avail->idx = old;
		f->d.next_avail = old;
		assert_int_equal(vring_set_base(f->vr, old), 0);
		start(f, EVENT_IDX);
		*driver_used_event(&f->d) = event;
		driver_desc(&f->d, 0, DRIVER_DATA, 8, 0, 0);
		for (j = 0; j < n; j++) {
			driver_offer(&f->d, 0);
			assert_int_equal(vring_pop(f->vr, &f->chain), 1);
			vring_push(f->vr, &f->chain, 0);
		}
		vring_signal(f->vr);
		assert_int_equal(signalled(f->call), vring_need_event(event, old + n, old));
		vring_stop(f->vr);
	}
}

static void test_avail_event(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	start(f, EVENT_IDX);
	*driver_avail_event(&f->d) = 999;
	assert_int_equal(vring_pop(f->vr, &f->chain), 0);
	assert_int_equal(*driver_avail_event(&f->d), 0);
	for (i = 0; i < 3; i++) {
		driver_desc(&f->d, i, DRIVER_DATA, 8, 0, 0);
		driver_offer(&f->d, i);
	}
	for (i = 0; i < 3; i++)
		assert_int_equal(vring_pop(f->vr, &f->chain), 1);
	assert_int_equal(vring_pop(f->vr, &f->chain), 0);
	assert_int_equal(*driver_avail_event(&f->d), 3);
}

/* An index that makes the device write somewhere else than in its ring would show here. */
static void test_writes_only_the_used_ring(void **state)
{
	struct fixture *f = *state;
	uint8_t *copy = malloc(DRIVER_MEM);
	size_t used_len = 4 + 8 * NUM + 2, i;

	start(f, EVENT_IDX);
	driver_desc(&f->d, 0, DRIVER_DATA, 8, 0, 0);
	memcpy(copy, f->d.mem, DRIVER_MEM);
	for (i = 0; i < 40; i++) {
		assert_int_equal(one_round(f), i == 0);
		*driver_used_event(&f->d) = 0;
	}
	memcpy(copy + DRIVER_USED, f->d.mem + DRIVER_USED, used_len);
	memcpy(copy + DRIVER_AVAIL, f->d.mem + DRIVER_AVAIL, 4 + 2 * NUM + 2);
	assert_memory_equal(copy, f->d.mem, DRIVER_MEM);
	free(copy);
}

/*
 * Random good chains of random shape, direct and indirect, in flight in random numbers and given
 * back in random order: each arrives as it was written, and its answer goes to its buffers.
 */
static void test_random_chains(void **state)
{
	struct fixture *f = *state;
	struct vring_chain *flight[NUM];
	unsigned int i, round, n = 0;
	struct rnd r;

	rnd_init(&r, __func__);
	start(f, INDIRECT | EVENT_IDX);
	for (round = 0; round < 20000; round++) {
		if (n < NUM && rnd(&r, 2)) {
			/* Head i is free if no chain in flight has it; its table is its own. */
			struct vring_desc *table;
			unsigned int head, rd = rnd(&r, 5), wr = rnd(&r, 5) + !rd;

			do {
				head = rnd(&r, NUM);
				for (i = 0; i < n && flight[i]->head != head; i++)
					;
			} while (i < n);
			table = (void *)(f->d.mem + DRIVER_DATA + head * 4096);
			for (i = 0; i < rd + wr; i++)
				table[i] = (struct vring_desc){
					DRIVER_GPA + DRIVER_DATA + head * 4096 + 1024 + 64 * i,
					1 + rnd(&r, 64),
					(i < rd ? 0 : WRITE) | (i + 1 < rd + wr ? NEXT : 0), i + 1
				};
			driver_desc(&f->d, head, DRIVER_DATA + head * 4096,
				    (rd + wr) * sizeof(*table), TABLE, 0);
			if (rd + wr == 1)
				f->d.desc[head] = table[0];
			driver_offer(&f->d, head);
			flight[n] = malloc(sizeof(*flight[n]));
			assert_int_equal(vring_pop(f->vr, flight[n]), 1);
			assert_int_equal(flight[n]->head, head);
			assert_int_equal(flight[n]->num_readable, rd);
			assert_int_equal(flight[n]->num_writable, wr);
			for (i = 0; i < rd + wr; i++) {
				assert_int_equal(flight[n]->segments[i].gpa.val, table[i].addr);
				assert_int_equal(flight[n]->segments[i].len, table[i].len);
			}
			n++;
		} else if (n) {
			struct vring_chain *c = flight[i = rnd(&r, n)];
			uint16_t at = f->d.used->idx;

			flight[i] = flight[--n];
			if (c->writable_len)
				assert_int_equal(
					vring_chain_write(f->vr, c, c->writable_len - 1, "x", 1),
					0);
			vring_push(f->vr, c, c->writable_len);
			assert_int_equal(f->d.used->idx, (uint16_t)(at + 1));
			assert_int_equal(f->d.used->ring[at % NUM].id, c->head);
			free(c);
		}
	}
	while (n)
		free(flight[--n]);
}

/*
 * Random rings: whatever is in guest memory, a pop ends, and what it returns holds what the header
 * promises. ASan and the PROT_NONE around guest memory see the rest.
 */
static void test_fuzz(void **state)
{
	struct fixture *f = *state;
	unsigned int i, j, popped = 0, broken = 0;
	struct rnd r;

	rnd_init(&r, __func__);
	for (i = 0; i < 20000; i++) {
		struct vring_desc *table = (void *)(f->d.mem + DRIVER_DATA);
		char buf[256];
		int ret;

		for (j = 0; j < NUM; j++) {
			static const uint16_t flags[] = {
				0, NEXT, NEXT, WRITE, NEXT | WRITE, TABLE, TABLE | NEXT, 0xffff
			};
			struct vring_desc d = { DRIVER_GPA + DRIVER_DATA + rnd(&r, 256),
						rnd(&r, 9) * 16, flags[rnd(&r, 8)],
						rnd(&r, NUM + 1) };

			if (!rnd(&r, 20))
				d.addr = rnd64(&r);
			if (!rnd(&r, 20))
				d.len = rnd64(&r);
			f->d.desc[j] = d;
			d.next = rnd(&r, 9);
			d.flags = flags[rnd(&r, 8)];
			table[j] = d;
		}
		for (j = 0; j < NUM; j++)
			f->d.avail->ring[j] = rnd(&r, NUM + (rnd(&r, 4) == 0));
		f->d.used->idx = rnd64(&r);
		assert_int_equal(vring_set_base(f->vr, rnd(&r, 65536)), 0);
		start(f, (rnd(&r, 4) ? INDIRECT : 0) | (rnd(&r, 2) ? EVENT_IDX : 0));
		f->d.avail->idx = vring_base(f->vr) + rnd(&r, NUM + 2);
		for (j = 0; j < 2 * NUM; j++) {
			struct vring_chain *c = &f->chain;

			ret = vring_pop(f->vr, c);
			if (ret != 1)
				break;
			popped++;
			assert_in_range(c->num_readable + c->num_writable, 1, VRING_MAX_SEGMENTS);
			assert_in_range(c->head, 0, NUM - 1);
			vring_chain_read(f->vr, c, 0, buf, c->readable_len % sizeof(buf));
			if (rnd(&r, 2)) {
				vring_push(f->vr, c, 0);
				vring_signal(f->vr);
			}
		}
		assert_true(ret == 0 || ret == -EPROTO);
		broken += ret < 0;
		assert_int_equal(vring_running(f->vr), ret == 0);
		vring_stop(f->vr);
	}
	/* The generator is of use only if both happen often. */
	printf("%u chains, %u broken rings\n", popped, broken);
	assert_true(popped > 5000 && broken > 2000);
}

#define vring_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		vring_test(test_settings),
		vring_test(test_not_running),
		vring_test(test_chain),
		vring_test(test_indirect),
		vring_test(test_index_wraps),
		vring_test(test_full_ring),
		vring_test(test_broken_more_in_flight_than_entries),
		vring_test(test_broken_avail_jump),
		vring_test(test_broken_avail_back),
		vring_test(test_broken_head),
		vring_test(test_broken_next),
		vring_test(test_broken_loop),
		vring_test(test_broken_self_loop),
		vring_test(test_broken_order),
		vring_test(test_broken_no_bytes),
		vring_test(test_broken_address_overflow),
		vring_test(test_broken_table_not_negotiated),
		vring_test(test_broken_table_size_odd),
		vring_test(test_broken_table_size_zero),
		vring_test(test_broken_table_size_huge),
		vring_test(test_broken_table_with_next),
		vring_test(test_broken_table_nested),
		vring_test(test_broken_table_loop),
		vring_test(test_broken_table_next),
		vring_test(test_broken_table_outside_memory),
		vring_test(test_broken_too_many_segments),
		vring_test(test_segment_outside_memory),
		vring_test(test_restart),
		vring_test(test_memory_table_changes),
		vring_test(test_signal_flags),
		vring_test(test_signal_event_idx),
		vring_test(test_signal_event_idx_wrap),
		vring_test(test_avail_event),
		vring_test(test_writes_only_the_used_ring),
		vring_test(test_random_chains),
		vring_test(test_fuzz),
	};

	log_init("test_vring", false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
