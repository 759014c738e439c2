// SPDX-License-Identifier: GPL-2.0-or-later
/* doorbell.c: who is rung, and when the event loop gets its turn. Ringing itself is replaced. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include "doorbell.h"
#include "driver.h"
#include "qp.h"
#include "random.h"
#include "vm.h"

#define ALL HYV_NUM_DOORBELLS

/** struct fixture - doorbells, each with a QP of its own, and the pages that the guest sees */
struct fixture {
	struct doorbell *db;
	struct hyv_doorbells *shared;
	struct qp *qps;
};

static unsigned int rings[ALL];
static struct qp *first_qp;
static unsigned int ring_us; /* how long a ring takes */

void __wrap_qp_ring(struct qp *qp);
void __wrap_qp_ring(struct qp *qp)
{
	struct timespec begin, now;

	rings[qp - first_qp]++;
	if (!ring_us)
		return;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - begin.tv_sec) * 1000000000 + now.tv_nsec - begin.tv_nsec <
	       ring_us * 1000l);
}

static int setup(void **state)
{
	static struct vm vm = { .life = 0x1234 };
	static struct fixture f;
	uint32_t i, number;

	memset(rings, 0, sizeof(rings));
	ring_us = 0;
	f.qps = calloc(ALL, sizeof(*f.qps));
	first_qp = f.qps;
	assert_int_equal(doorbell_create(&f.db, &vm, 50), 0);
	f.shared = doorbell_memory(f.db);
	for (i = 0; i < ALL; i++) {
		assert_int_equal(doorbell_assign(f.db, &f.qps[i], &number), 0);
		assert_int_equal(number, i);
	}
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	doorbell_destroy(f->db);
	free(f->qps);
	return 0;
}

static unsigned int num_rung(void)
{
	unsigned int i, n = 0;

	for (i = 0; i < ALL; i++)
		n += rings[i] != 0;
	return n;
}

static void whoever_asks_is_rung_once(void **state)
{
	struct fixture *f = *state;
	static bool wanted[ALL];
	uint32_t i, n;
	struct rnd r;

	rnd_init(&r, "doorbell");
	for (i = 0; i < 50; i++) {
		memset(wanted, 0, sizeof(wanted));
		memset(rings, 0, sizeof(rings));
		for (n = rnd(&r, 500); n; n--) {
			uint32_t number = rnd(&r, ALL);

			wanted[number] = true;
			driver_ring(f->shared, number);
		}
		doorbell_wake(f->db);
		assert_int_equal(f->shared->asleep, 0);
		while (doorbell_poll(f->db))
			;
		assert_int_not_equal(f->shared->asleep, 0);
		for (n = 0; n < ALL; n++)
			assert_int_equal(rings[n], wanted[n]);
	}
}

static void who_has_no_qp_is_not_rung(void **state)
{
	struct fixture *f = *state;

	doorbell_release(f->db, 7);
	driver_ring(f->shared, 6);
	driver_ring(f->shared, 7);
	doorbell_wake(f->db);
	doorbell_poll(f->db);
	assert_int_equal(rings[6], 1);
	assert_int_equal(rings[7], 0);
}

/* A guest that rings all of them, and the first ones again and again, keeps neither the loop nor the others waiting. */
static void slow_rings_take_turns(void **state)
{
	struct fixture *f = *state;
	uint32_t i, polls;

	ring_us = 20;
	for (i = 0; i < ALL; i++)
		driver_ring(f->shared, i);
	doorbell_wake(f->db);
	assert_true(doorbell_poll(f->db));
	assert_in_range(num_rung(), 64, ALL / 2);
	assert_true(doorbell_poll_round(f->db));
	assert_in_range(num_rung(), 65, ALL / 2);
	for (polls = 0; num_rung() < ALL; polls++) {
		assert_in_range(polls, 0, ALL / 64);
		for (i = 0; i < 64; i++)
			driver_ring(f->shared, i);
		assert_true(doorbell_poll(f->db));
	}
	for (i = 64; i < ALL; i++)
		assert_int_equal(rings[i], 1);
}

/* A summary that names a word without bits, and a guest that takes its bits back: nothing happens. */
static void bits_that_are_gone_are_none(void **state)
{
	struct fixture *f = *state;

	memset(f->shared->summary, 0xff, sizeof(f->shared->summary));
	doorbell_wake(f->db);
	doorbell_poll(f->db);
	assert_int_equal(num_rung(), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(whoever_asks_is_rung_once, setup, teardown),
		cmocka_unit_test_setup_teardown(who_has_no_qp_is_not_rung, setup, teardown),
		cmocka_unit_test_setup_teardown(slow_rings_take_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(bits_that_are_gone_are_none, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
