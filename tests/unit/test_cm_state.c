// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * guest/virtio_hyv/cm_state.h: whatever the host says in whatever order, what the guest's iw_cm is
 * told is what it can bear. Each sequence of events up to a length, and long random ones, are fed to
 * it; a model of iw_cm with the kernel's BUG_ONs listens.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../guest/virtio_hyv/cm_state.h"
#include "random.h"

/** struct listener - iw_cm: what it has been told */
struct listener {
	unsigned int replies;
	unsigned int established;
	unsigned int closes;
	bool is_connected;
};

static void tell_reply(struct listener *iw, int32_t status)
{
	assert_int_equal(iw->replies++, 0);
	iw->is_connected = !status;
}

static void tell_established(struct listener *iw)
{
	assert_int_equal(iw->established++, 0);
	iw->is_connected = true;
}

static void tell_close(struct listener *iw)
{
	assert_true(iw->is_connected);
	assert_int_equal(iw->closes++, 0);
}

/* as end() of cm.c does */
static void end(struct listener *iw, enum hyv_cm_state *state, int32_t status)
{
	switch (*state) {
	case HYV_CM_STATE_CONNECTING:
		tell_reply(iw, status);
		break;
	case HYV_CM_STATE_ACCEPTING:
		tell_established(iw);
		tell_close(iw);
		break;
	case HYV_CM_STATE_ESTABLISHED:
		tell_close(iw);
		break;
	default:
		break;
	}
	*state = HYV_CM_STATE_OVER;
}

/* as on_event() of cm.c does */
static void feed(struct listener *iw, enum hyv_cm_state *state, uint32_t event, int32_t status)
{
	int next = hyv_cm_step(*state, event, status);

	if (*state == HYV_CM_STATE_LISTENING) {
		assert_true(next == HYV_CM_STATE_LISTENING || next == -EPROTO);
		assert_int_equal(next == HYV_CM_STATE_LISTENING,
				 event == HYV_CM_REQUEST && !status);
	} else if (next < 0) {
		assert_int_equal(next, -EPROTO);
		end(iw, state, -EPROTO);
	} else if (next == HYV_CM_STATE_OVER) {
		end(iw, state, status);
	} else {
		assert_int_equal(status, 0);
		if (event == HYV_CM_REPLY)
			tell_reply(iw, 0);
		else
			tell_established(iw);
		*state = (enum hyv_cm_state)next;
	}
}

/* iw_cm is not left waiting, and was told nothing twice (feed() sees to that) */
static void check(struct listener *iw, enum hyv_cm_state first, enum hyv_cm_state *state)
{
	end(iw, state, -ECONNRESET); /* the device goes */
	assert_int_equal(iw->replies, first == HYV_CM_STATE_CONNECTING);
	assert_int_equal(iw->established, first == HYV_CM_STATE_ACCEPTING);
	assert_int_equal(iw->closes, iw->is_connected);
}

static const enum hyv_cm_state firsts[] = {
	HYV_CM_STATE_LISTENING,
	HYV_CM_STATE_REQUESTED,
	HYV_CM_STATE_CONNECTING,
	HYV_CM_STATE_ACCEPTING,
};
static const int32_t statuses[] = { 0, -ECONNREFUSED, -4095, -4096, 1, INT32_MIN };
#define NUM_STATUSES (sizeof(statuses) / sizeof(statuses[0]))
#define NUM_EVENTS   7u /* some that there are not, too */

static void every_short_order_is_borne(void **state)
{
	const size_t choices = NUM_EVENTS * NUM_STATUSES;
	size_t i, code;

	(void)state;
	for (i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++) {
		for (code = 0; code < choices * choices * choices; code++) {
			enum hyv_cm_state now = firsts[i];
			struct listener iw = { 0 };
			size_t rest, n;

			for (n = 0, rest = code; n < 3; n++, rest /= choices)
				feed(&iw, &now, (uint32_t)(rest % choices / NUM_STATUSES),
				     statuses[rest % NUM_STATUSES]);
			check(&iw, firsts[i], &now);
		}
	}
}

static void random_orders_are_borne(void **state)
{
	struct rnd rng;
	unsigned int round, n;

	(void)state;
	rnd_init(&rng, "random_orders_are_borne");
	for (round = 0; round < 100000; round++) {
		enum hyv_cm_state first = firsts[rnd(&rng, 4)], now = first;
		struct listener iw = { 0 };

		for (n = 0; n < 12; n++)
			feed(&iw, &now, rnd(&rng, NUM_EVENTS),
			     statuses[rnd(&rng, 3) ? 0 : rnd(&rng, NUM_STATUSES)]);
		check(&iw, first, &now);
	}
}

static void the_right_order_connects(void **state)
{
	(void)state;
	assert_int_equal(hyv_cm_step(HYV_CM_STATE_CONNECTING, HYV_CM_REPLY, 0),
			 HYV_CM_STATE_ESTABLISHED);
	assert_int_equal(hyv_cm_step(HYV_CM_STATE_CONNECTING, HYV_CM_REPLY, -ETIMEDOUT),
			 HYV_CM_STATE_OVER);
	assert_int_equal(hyv_cm_step(HYV_CM_STATE_ACCEPTING, HYV_CM_ESTABLISHED, 0),
			 HYV_CM_STATE_ESTABLISHED);
	assert_int_equal(hyv_cm_step(HYV_CM_STATE_ESTABLISHED, HYV_CM_CLOSE, 0), HYV_CM_STATE_OVER);
	assert_int_equal(hyv_cm_step(HYV_CM_STATE_ACCEPTING, HYV_CM_CLOSE, 0), HYV_CM_STATE_OVER);
	assert_int_equal(hyv_cm_step(HYV_CM_STATE_OVER, HYV_CM_CLOSE, 0), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_right_order_connects),
		cmocka_unit_test(every_short_order_is_borne),
		cmocka_unit_test(random_orders_are_borne),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
