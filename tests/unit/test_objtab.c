// SPDX-License-Identifier: GPL-2.0-or-later
/* objtab.c: who lives how long, what the guest can find, and which events are due. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <hyv/wire.h>
#include "context.h"
#include "objtab.h"

static unsigned int released;

static void count_release(struct obj *obj)
{
	(void)obj;
	released++;
}

/** struct fixture - a table, a context in it and two objects in that */
struct fixture {
	struct objtab *tab;
	struct device device;
	struct context ctx;
	struct obj pd;
	struct obj cq;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->tab = objtab_create();
	f->device.id = 7;
	f->ctx.device = &f->device;
	TAILQ_INIT(&f->ctx.children);
	obj_init(f->tab, &f->ctx.obj, OBJ_CONTEXT, NULL, count_release);
	f->ctx.obj.context = &f->ctx;
	objtab_publish(f->tab, &f->ctx.obj);
	obj_init(f->tab, &f->pd, OBJ_PD, &f->ctx, count_release);
	obj_init(f->tab, &f->cq, OBJ_CQ, &f->ctx, count_release);
	released = 0;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	objtab_remove_context(f->tab, &f->ctx);
	objtab_destroy(f->tab);
	free(f);
	return 0;
}

static void an_object_is_found_only_while_published_and_by_its_type(void **state)
{
	struct fixture *f = *state;

	assert_null(objtab_get(f->tab, f->pd.id, OBJ_PD));
	assert_int_equal(objtab_publish(f->tab, &f->pd), 0);
	assert_null(objtab_get(f->tab, f->pd.id, OBJ_CQ));
	assert_null(objtab_get(f->tab, f->pd.id + 1000, OBJ_PD));
	assert_ptr_equal(objtab_get(f->tab, f->pd.id, OBJ_PD), &f->pd);
	assert_ptr_equal(objtab_get(f->tab, f->pd.id, OBJ_ANY), &f->pd);
	assert_true(objtab_remove(f->tab, &f->pd));
	assert_null(objtab_get(f->tab, f->pd.id, OBJ_PD));
	assert_false(objtab_remove(f->tab, &f->pd));
	assert_int_equal(released, 0); /* two references of ours are left */
	obj_put(f->tab, &f->pd);
	obj_put(f->tab, &f->pd);
	assert_int_equal(released, 1);
}

static void ids_are_never_used_again(void **state)
{
	struct fixture *f = *state;
	struct obj again = { 0 };
	uint64_t id = f->pd.id;

	obj_put(f->tab, &f->pd);
	obj_init(f->tab, &again, OBJ_PD, &f->ctx, count_release);
	assert_true(again.id > id);
	obj_put(f->tab, &again);
}

static void a_context_waits_for_the_last_user_of_its_objects(void **state)
{
	struct fixture *f = *state;
	struct obj *user;

	objtab_publish(f->tab, &f->pd);
	user = objtab_get(f->tab, f->pd.id, OBJ_PD);
	obj_put(f->tab, &f->cq); /* never published */
	assert_int_equal(released, 1);
	assert_true(objtab_remove_context(f->tab, &f->ctx));
	assert_null(objtab_get(f->tab, user->id, OBJ_PD));
	assert_int_equal(released, 1); /* neither the PD nor the context yet */
	obj_put(f->tab, user);
	assert_int_equal(released, 3);
}

static void nothing_is_published_in_a_context_that_is_freed(void **state)
{
	struct fixture *f = *state;

	obj_get(f->tab, &f->ctx.obj);
	assert_true(objtab_remove_context(f->tab, &f->ctx));
	assert_false(objtab_remove_context(f->tab, &f->ctx));
	assert_int_equal(objtab_publish(f->tab, &f->pd), -ENODEV);
	assert_null(objtab_first(f->tab, OBJ_CONTEXT, DEVICE_ANY));
	obj_put(f->tab, &f->pd);
	obj_put(f->tab, &f->cq);
	obj_put(f->tab, &f->ctx.obj);
	assert_int_equal(released, 3);
}

static void events_are_coalesced_and_none_is_lost(void **state)
{
	struct fixture *f = *state;
	struct event_source about;
	bool completion;
	uint32_t code;

	objtab_publish(f->tab, &f->cq);
	assert_false(objtab_any_event(f->tab));
	objtab_notify(f->tab, &f->cq.events, true, 0);
	objtab_notify(f->tab, &f->cq.events, true, 0);
	objtab_notify(f->tab, &f->cq.events, false, 1u << 0 | 1u << 16);
	assert_true(objtab_next_event(f->tab, &about, &completion, &code));
	assert_true(completion);
	assert_int_equal(about.object, f->cq.id);
	assert_int_equal(about.device, 7);
	assert_true(objtab_next_event(f->tab, &about, &completion, &code));
	assert_false(completion);
	assert_int_equal(code, 0);
	assert_true(objtab_next_event(f->tab, &about, &completion, &code));
	assert_int_equal(code, 16);
	assert_false(objtab_next_event(f->tab, &about, &completion, &code));
	objtab_notify(f->tab, &f->cq.events, true, 0);
	assert_true(objtab_any_event(f->tab));
}

static void events_of_a_destroyed_object_are_dropped(void **state)
{
	struct fixture *f = *state;

	objtab_publish(f->tab, &f->cq);
	objtab_notify(f->tab, &f->cq.events, true, 1);
	objtab_remove(f->tab, &f->cq);
	assert_false(objtab_any_event(f->tab));
}

static void an_event_of_an_object_that_is_gone_by_then_is_not_kept(void **state)
{
	struct fixture *f = *state;
	struct obj *user;

	objtab_publish(f->tab, &f->cq);
	user = objtab_get(f->tab, f->cq.id, OBJ_CQ);
	objtab_remove(f->tab, &f->cq);
	objtab_notify(f->tab, &user->events, true, 0); /* the reader of events lost the race */
	assert_false(objtab_any_event(f->tab));
	obj_put(f->tab, user);
}

/* Who frees what is on it has said so first: nothing comes after he has looked. */
static void nothing_new_comes_on_a_device_that_is_going(void **state)
{
	struct obj late = { .device = &((struct fixture *)*state)->device };
	struct fixture *f = *state;
	struct context other = { .device = &f->device };

	f->device.is_going = true;
	TAILQ_INIT(&other.children);
	obj_init(f->tab, &other.obj, OBJ_CONTEXT, NULL, count_release);
	other.obj.context = &other;
	assert_int_equal(objtab_publish(f->tab, &other.obj), -ENODEV);
	obj_init(f->tab, &late, OBJ_CM, NULL, count_release);
	assert_int_equal(objtab_publish(f->tab, &late), -ENODEV);
	assert_int_equal(objtab_publish(f->tab, &f->pd), 0); /* its context is there */
	obj_put(f->tab, &other.obj);
	obj_put(f->tab, &late);
	assert_int_equal(released, 2);
}

static void what_is_on_a_device_is_found_by_its_id(void **state)
{
	struct fixture *f = *state;
	struct obj cm = { .device = &f->device }, *found;

	obj_init(f->tab, &cm, OBJ_CM, NULL, count_release);
	assert_int_equal(objtab_publish(f->tab, &cm), 0);
	assert_null(objtab_first(f->tab, OBJ_CONTEXT, 8));
	assert_null(objtab_first(f->tab, OBJ_CM, 8));
	found = objtab_first(f->tab, OBJ_CONTEXT, 7);
	assert_ptr_equal(found, &f->ctx.obj);
	obj_put(f->tab, found);
	found = objtab_first(f->tab, OBJ_CM, DEVICE_ANY);
	assert_ptr_equal(found, &cm);
	assert_ptr_equal(obj_device(found), &f->device);
	obj_put(f->tab, found);
	objtab_remove(f->tab, &cm);
}

static void a_source_that_is_hushed_may_go(void **state)
{
	struct event_source slot = { .device = 3, .type = HYV_EVENT_DEVICE }, about;
	struct fixture *f = *state;
	bool completion;
	uint32_t code;

	objtab_notify(f->tab, &slot, true, 0);
	objtab_notify(f->tab, &slot, true, 0);
	assert_true(objtab_next_event(f->tab, &about, &completion, &code));
	assert_int_equal(about.device, 3);
	assert_int_equal(about.type, HYV_EVENT_DEVICE);
	assert_false(objtab_any_event(f->tab));
	objtab_notify(f->tab, &slot, true, 0);
	objtab_hush(f->tab, &slot);
	assert_false(objtab_any_event(f->tab));
	objtab_notify(f->tab, &slot, true, 0);
	assert_false(objtab_any_event(f->tab));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_object_is_found_only_while_published_and_by_its_type),
		TEST(ids_are_never_used_again),
		TEST(a_context_waits_for_the_last_user_of_its_objects),
		TEST(nothing_is_published_in_a_context_that_is_freed),
		TEST(nothing_new_comes_on_a_device_that_is_going),
		TEST(what_is_on_a_device_is_found_by_its_id),
		TEST(events_are_coalesced_and_none_is_lost),
		TEST(a_source_that_is_hushed_may_go),
		TEST(events_of_a_destroyed_object_are_dropped),
		TEST(an_event_of_an_object_that_is_gone_by_then_is_not_kept),
	};

	return cmocka_run_group_tests_name("objtab", tests, NULL, NULL);
}
