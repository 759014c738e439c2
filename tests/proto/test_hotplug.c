// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hotplug.c, between a guest's ring (fake_host.h), an operator and a host of our own: devices come and
 * go, at the guest's pace, without its help and while it is at work, and nothing is left of them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include "cm.h"
#include "fake_host.h"
#include "hotplug.h"
#include "log.h"
#include "options.h"
#include "uevent.h"

#define LONGER_THAN_PATIENCE 9000 /* ms */

/* ---- the operator, who hears what control_done() says ---- */

static unsigned int times_done;
static char done_error[256];

void __wrap_control_done(struct control *control, uint64_t client, const char *name,
			 const char *error);
void __wrap_control_done(struct control *control, uint64_t client, const char *name,
			 const char *error)
{
	(void)control;
	(void)name;
	times_done += client == 7;
	snprintf(done_error, sizeof(done_error), "%s", error ? error : "");
}

/* ---- the host: devices of any name but "nosuch0", which it says it removes through uevents ---- */

static int uevents[2];
static bool removes_while_opening;

int __wrap_uevent_open(void);
int __wrap_uevent_open(void)
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, uevents), 0);
	return uevents[0];
}

static void host_removes(const char *uverbs)
{
	char text[256];
	int len =
		snprintf(text, sizeof(text),
			 "ACTION=remove%cSUBSYSTEM=infiniband_verbs%cDEVPATH=/x/%s", 0, 0, uverbs);

	assert_int_equal(send(uevents[1], text, (size_t)len + 1, 0), len + 1);
}

int __wrap_device_open(struct vm *of, const char *name, struct device **out);
int __wrap_device_open(struct vm *of, const char *name, struct device **out)
{
	struct device *dev;

	if (!strcmp(name, "nosuch0")) {
		log_err("no such device; there are others");
		return -ENODEV;
	}
	dev = calloc(1, sizeof(*dev));
	dev->refs = 1;
	dev->id = atomic_fetch_add(&of->next_device_id, 1);
	dev->provider = &fake_provider;
	snprintf(dev->name, sizeof(dev->name), "%s", name);
	snprintf(dev->info.uverbs, sizeof(dev->info.uverbs), "uverbs-%s", name);
	strcpy(dev->uverbs_path, "/dev/null");
	assert_int_equal(context_open(of, dev, NULL, &dev->own), 0);
	assert_int_equal(event_watch(of->event, dev->own), 0);
	if (removes_while_opening)
		host_removes("uverbs-other");
	*out = dev;
	return 0;
}

static int setup(void **state)
{
	fake_setup(state);
	times_done = 0;
	removes_while_opening = false;
	assert_int_equal(hotplug_create(&vm.hotplug, &vm), 0);
	return 0;
}

static int teardown(void **state)
{
	cm_destroy_all(&vm, DEVICE_ANY);
	context_free_all(&vm, DEVICE_ANY);
	while (atomic_load(&vm.num_contexts))
		dispatch_settle(vm.dispatch, 5);
	pool_destroy(vm.pool);
	vm.pool = NULL;
	hotplug_destroy(vm.hotplug);
	close(uevents[1]);
	vm.pool = pool_create(1); /* fake_teardown()'s to destroy */
	fake_journal(false);
	return fake_teardown(state);
}

/* let the daemon work until the operator was told @n times in all. Return: whether that was within @ms */
static bool done(unsigned int n, unsigned int ms)
{
	uint64_t end = stats_now() + ms * 1000000ull;

	while (times_done < n) {
		if (stats_now() > end)
			return false;
		sd_event_run(vm.loop, 1000);
	}
	return true;
}

/* Return: 0, or -1 with @done_error */
static int attach(const char *name)
{
	struct hotplug_attach what = { .device = name };

	assert_int_equal(hotplug_attach(vm.hotplug, &what, 7), 0);
	assert_true(done(times_done + 1, 5000));
	return done_error[0] ? -1 : 0;
}

static int detach(const char *name, bool force)
{
	return hotplug_detach(vm.hotplug, name, force, 7, done_error, sizeof(done_error));
}

/* Return: the slot that the guest is told of next, or -1 */
static int changed_slot(void)
{
	struct event_source about;
	bool completion;
	uint32_t code;

	while (objtab_next_event(vm.objtab, &about, &completion, &code))
		if (completion && about.type == HYV_EVENT_DEVICE && !about.object)
			return (int)about.device;
	return -1;
}

/* the guest asks what is in a slot. Return: the status; @id: out */
static int get_device(struct frontend *fe, uint32_t slot, uint32_t *id)
{
	struct hyv_req_get_device req = { .slot = htole32(slot) };
	struct hyv_resp_get_device resp;
	int ret = fake_ask(fe, HYV_OP_GET_DEVICE, &req, sizeof(req), &resp, sizeof(resp));

	*id = le32toh(resp.id);
	return ret;
}

/* the journal has a line with @text, about @device */
static void journal_tells(const char *text, const char *device)
{
	const char *journal = fake_journal(true), *line = strstr(journal, text);
	char field[64];

	snprintf(field, sizeof(field), "|HYV_DEVICE=%s\n", device);
	if (!line || strcspn(line, "\n") + 1 < strlen(field) ||
	    strncmp(strchr(line, '\n') + 1 - strlen(field), field, strlen(field)))
		fail_msg("no '%s' about %s in:\n%s", text, device, journal);
}

/* ---- the tests ---- */

static void a_device_comes_and_goes(void **state)
{
	struct frontend *fe = *state;
	uint32_t first, second;
	__le64 context;

	assert_int_equal(get_device(fe, 0, &first), -ENODEV);
	assert_int_equal(get_device(fe, HYV_MAX_DEVICES, &first), -EINVAL);
	assert_int_equal(attach("rxe1"), 0);
	assert_int_equal(changed_slot(), 0);
	assert_int_equal(get_device(fe, 0, &first), 0);
	assert_int_equal(fake_alloc_context(fe, first + 1, &context), -ENODEV);
	assert_int_equal(fake_alloc_context(fe, first, &context), 0);
	assert_int_equal(detach("rxe1", false), -EBUSY);
	assert_non_null(strstr(done_error, "in use by 1 contexts and 0 connections"));
	assert_int_equal(changed_slot(), -1);
	assert_int_equal(fake_destroy(fe, HYV_OP_FREE_CONTEXT, context), 0);
	assert_int_equal(detach("rxe1", false), 0);
	/* and comes again before the guest has looked */
	assert_true(done(times_done + 1, 2000));
	assert_int_equal(attach("rxe1"), 0);
	assert_int_equal(changed_slot(), 0);
	assert_int_equal(changed_slot(), -1);
	assert_int_equal(get_device(fe, 0, &second), 0);
	assert_int_not_equal(first, second);
	assert_int_equal(fake_alloc_context(fe, first, &context), -ENODEV);
}

/* Return: what hyvd says while it begins with these; @ret: out: what comes of it */
static const char *begin(const struct options *opt, int *ret)
{
	static char said[4096];
	int before = dup(STDERR_FILENO), said_fd = memfd_create("said", MFD_CLOEXEC);
	ssize_t len;

	dup2(said_fd, STDERR_FILENO);
	*ret = hotplug_begin(&vm, opt);
	dup2(before, STDERR_FILENO);
	close(before);
	len = pread(said_fd, said, sizeof(said) - 1, 0);
	close(said_fd);
	assert_true(len > 0);
	said[len] = '\0';
	return said;
}

static void all_that_is_not_there_is_told(void **state)
{
	static const uint8_t own[16] = { [10] = 0xff, [11] = 0xff, 10, 9, 0, 11 };
	static const struct options wrong = {
		.config = "a.yaml",
		.devices = { { "nosuch0", 3 }, { "rxe1", 4 }, { "rxe1", 0 } },
		.num_devices = 3,
		.addresses = { { "10.9.0.12", "", 7 },
			       { "10.9.0.11/24", "rxe1", 0 },
			       { "fd09::13", "rxe1", 0 },
			       { "10.9.0.14", "nosuch0", 0 },
			       { "10.9.0.11", "", 9 } },
		.num_addresses = 5,
	};
	static const struct options right = {
		.devices = { { "rxe2", 3 }, { "rxe3", 4 } },
		.num_devices = 2,
		.addresses = { { "10.9.0.11", "rxe3", 0 } },
		.num_addresses = 1,
	};
	static const char *const errors[] = {
		"error: a.yaml:3: no such device",
		"error: the VM has 'rxe1' already",
		"error: a.yaml:7: address '10.9.0.12' is on the netdev of no device",
		"error: address 'fd09::13' is on the netdev of no device of this VM called rxe1",
		"error: a.yaml:9: the VM has the address '10.9.0.11' already",
	};
	const char *said;
	size_t i;
	int ret;

	(void)state;
	memcpy(host_gids[1], own, 16);
	said = begin(&wrong, &ret);
	assert_int_equal(ret, -ENODEV);
	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (!strstr(said, errors[i]))
			fail_msg("'%s' is not in '%s'", errors[i], said);
	assert_null(strstr(said, "'10.9.0.11/24'"));
	assert_null(strstr(said, "10.9.0.14"));
	said = begin(&right, &ret);
	assert_int_equal(ret, 0);
	assert_non_null(strstr(said, "none of the VM's addresses is on rxe2: "));
	assert_null(strstr(said, "is on rxe3: "));
	assert_non_null(device_named(&vm, "rxe2"));
}

static void what_cannot_be_leaves_nothing(void **state)
{
	struct frontend *fe = *state;
	char name[16];
	uint32_t id;
	int i;

	assert_int_equal(detach("rxe1", true), -ENODEV);
	assert_int_equal(attach("nosuch0"), -1);
	assert_non_null(strstr(done_error, "there are others"));
	assert_int_equal(changed_slot(), -1);
	for (i = 0; i < (int)HYV_MAX_DEVICES; i++) {
		snprintf(name, sizeof(name), "rxe%d", i);
		assert_int_equal(attach(name), 0);
	}
	assert_int_equal(attach("rxe3"), -1);
	assert_non_null(strstr(done_error, "has 'rxe3' already"));
	assert_int_equal(attach("rxe99"), -1);
	assert_non_null(strstr(done_error, "too many"));
	assert_int_equal(detach("rxe5", false), 0);
	assert_true(done(times_done + 1, 2000));
	assert_int_equal(get_device(fe, 5, &id), -ENODEV);
	removes_while_opening = true;
	assert_int_equal(attach("rxe99"), -1);
	assert_non_null(strstr(done_error, "try again"));
	removes_while_opening = false;
	assert_int_equal(attach("rxe99"), 0);
	assert_int_equal(get_device(fe, 5, &id), 0);
}

static void a_guest_that_lets_go_is_not_waited_for(void **state)
{
	struct frontend *fe = *state;
	__le64 context, none, pd;
	uint32_t id;

	assert_int_equal(attach("rxe1"), 0);
	assert_int_equal(changed_slot(), 0);
	assert_int_equal(get_device(fe, 0, &id), 0);
	assert_int_equal(fake_alloc_context(fe, id, &context), 0);
	assert_int_equal(detach("rxe1", true), 0);
	assert_int_equal(changed_slot(), 0);
	assert_string_equal(hotplug_going(vm.hotplug, 0), "rxe1");
	assert_null(hotplug_going(vm.hotplug, 1));
	assert_int_equal(get_device(fe, 0, &id), -ENODEV);
	assert_int_equal(fake_alloc_context(fe, id, &none), -ENODEV);
	assert_int_equal(fake_alloc_pd(fe, context, &pd), 0); /* what it has still works */
	assert_false(done(2, 100));
	assert_int_equal(fake_destroy(fe, HYV_OP_FREE_CONTEXT, context), 0);
	assert_true(done(2, 1000));
	assert_null(hotplug_going(vm.hotplug, 0));
}

static void a_guest_that_does_not_loses_it_all_the_same(void **state)
{
	struct frontend *fe = *state;
	__le64 context, other, pd;
	uint32_t id;

	assert_int_equal(attach("rxe1"), 0);
	assert_int_equal(attach("rxe2"), 0);
	assert_int_equal(get_device(fe, 0, &id), 0);
	assert_int_equal(fake_alloc_context(fe, id, &context), 0);
	assert_int_equal(fake_alloc_pd(fe, context, &pd), 0);
	assert_int_equal(get_device(fe, 1, &id), 0);
	assert_int_equal(fake_alloc_context(fe, id, &other), 0);
	assert_int_equal(detach("rxe1", true), 0);
	assert_true(done(3, LONGER_THAN_PATIENCE));
	assert_int_equal(vm.num_contexts, 1);
	assert_int_equal(vm.limits.used[LIMIT_CONTEXTS], 1);
	assert_int_equal(vm.limits.used[LIMIT_PDS], 0);
	assert_int_equal(fake_destroy(fe, HYV_OP_DEALLOC_PD, pd), -ENOENT);
	assert_int_equal(fake_destroy(fe, HYV_OP_FREE_CONTEXT, context), -ENOENT);
	assert_int_equal(fake_alloc_pd(fe, other, &pd), 0);
}

static void what_the_host_removes_goes(void **state)
{
	struct frontend *fe = *state;
	uint32_t id;

	fake_journal(true);
	assert_int_equal(attach("rxe1"), 0);
	assert_int_equal(attach("rxe2"), 0);
	while (changed_slot() >= 0)
		;
	host_removes("uverbs-rxe");
	host_removes("uverbs-rxe2");
	while (sd_event_run(vm.loop, 100000) > 0)
		;
	assert_int_equal(changed_slot(), 1);
	assert_int_equal(changed_slot(), -1);
	assert_null(hotplug_going(vm.hotplug, 0));
	assert_int_equal(get_device(fe, 0, &id), 0);
	assert_int_equal(get_device(fe, 1, &id), -ENODEV);
	assert_int_equal(times_done, 2); /* nobody has asked for it */
	journal_tells("the host removes 'rxe2'", "rxe2");
	journal_tells("'rxe2' is gone", "rxe2");
}

static void each_line_of_a_detach_tells_its_device(void **state)
{
	struct frontend *fe = *state;
	__le64 context;
	uint32_t id;

	fake_journal(true);
	assert_int_equal(attach("rxe3"), 0);
	assert_int_equal(get_device(fe, 0, &id), 0);
	assert_int_equal(fake_alloc_context(fe, id, &context), 0);
	assert_int_equal(attach("rxe3"), -1);
	assert_int_equal(detach("rxe3", true), 0);
	assert_true(done(3, LONGER_THAN_PATIENCE));
	journal_tells("the VM has 'rxe3' already", "rxe3");
	journal_tells("'rxe3' is detached", "rxe3");
	journal_tells("the guest still uses 'rxe3'", "rxe3");
	journal_tells("'rxe3' is gone", "rxe3");
	log_info("of none");
	if (strstr(fake_journal(true), "of none|PRIORITY=6|SYSLOG_IDENTIFIER=hyvd|HYV_VM=vm\n") ==
	    NULL)
		fail_msg("%s", fake_journal(true));
}

/* put a request into the ring that is not answered. Return: how many answers there will be with it */
static uint16_t unanswered(struct frontend *fe, unsigned int slot, uint32_t op, __le64 id)
{
	uint16_t n;

	fake_offer(fe, slot, op, &id, sizeof(id), "", 0, 0);
	n = fe->d[HYV_VQ_CONTROL].next_avail;
	fake_kick(fe);
	assert_false(fake_answered(fe, n, 100));
	return n;
}

static int status_of(const struct frontend *fe, unsigned int slot)
{
	struct hyv_resp_hdr hdr;

	memcpy(&hdr, fe->mem + DRIVER_DATA + slot * FAKE_DATA + FAKE_DATA / 2, sizeof(hdr));
	return (int)le32toh(hdr.status);
}

/* The guest takes -ENOENT for "the host has it no more" and uses its memory for other things. */
static void nothing_is_said_to_be_gone_before_it_is(void **state)
{
	struct frontend *fe = *state;
	__le64 context, pd;
	struct obj *user;
	uint32_t id;
	uint16_t n;

	assert_int_equal(attach("rxe1"), 0);
	assert_int_equal(get_device(fe, 0, &id), 0);
	assert_int_equal(fake_alloc_context(fe, id, &context), 0);
	assert_int_equal(fake_alloc_pd(fe, context, &pd), 0);
	user = objtab_get(vm.objtab, le64toh(pd), OBJ_PD); /* a request under way */
	assert_int_equal(detach("rxe1", true), 0);
	context_free_all(&vm, id); /* its time is over */
	n = unanswered(fe, 0, HYV_OP_DEALLOC_PD, pd);
	assert_int_equal(n + 1, unanswered(fe, 1, HYV_OP_FREE_CONTEXT, context));
	assert_int_equal(times_done, 1);
	obj_put(vm.objtab, user);
	assert_true(fake_answered(fe, (uint16_t)(n + 1), 1000));
	assert_int_equal(status_of(fe, 0), -ENOENT);
	assert_int_equal(status_of(fe, 1), -ENOENT);
	assert_true(done(2, 1000));
}

/* The driver has been told that its device goes: it may or may not have destroyed what there was. */
static void a_destroy_on_a_dead_device_is_answered_at_the_end(void **state)
{
	struct frontend *fe = *state;
	__le64 context, pd;
	uint32_t id;
	uint16_t n;

	assert_int_equal(attach("rxe1"), 0);
	assert_int_equal(get_device(fe, 0, &id), 0);
	assert_int_equal(fake_alloc_context(fe, id, &context), 0);
	assert_int_equal(fake_alloc_pd(fe, context, &pd), 0);
	host_destroys = -EIO;
	assert_int_equal(fake_destroy(fe, HYV_OP_DEALLOC_PD, pd), -EIO);
	host_removes("uverbs-rxe1");
	sd_event_run(vm.loop, 1000000);
	n = unanswered(fe, 0, HYV_OP_DEALLOC_PD, pd);
	fake_offer(fe, 1, HYV_OP_FREE_CONTEXT, &context, sizeof(context), "", 0, 0);
	fake_kick(fe);
	assert_true(fake_answered(fe, (uint16_t)(n + 1), 1000));
	assert_int_equal(status_of(fe, 0), -ENOENT);
	assert_int_equal(status_of(fe, 1), 0);
	assert_int_equal(vm.limits.used[LIMIT_PDS], 0);
}

static void a_daemon_may_end_in_the_middle_of_it(void **state)
{
	struct hotplug_attach what = { .device = "rxe2" };
	struct frontend *fe = *state;
	__le64 context;
	uint32_t id;

	assert_int_equal(attach("rxe1"), 0);
	assert_int_equal(get_device(fe, 0, &id), 0);
	assert_int_equal(fake_alloc_context(fe, id, &context), 0);
	assert_int_equal(detach("rxe1", true), 0);
	assert_int_equal(hotplug_attach(vm.hotplug, &what, 7), 0);
}

#define hotplug_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		hotplug_test(a_device_comes_and_goes),
		hotplug_test(all_that_is_not_there_is_told),
		hotplug_test(what_cannot_be_leaves_nothing),
		hotplug_test(a_guest_that_lets_go_is_not_waited_for),
		hotplug_test(a_guest_that_does_not_loses_it_all_the_same),
		hotplug_test(what_the_host_removes_goes),
		hotplug_test(each_line_of_a_detach_tells_its_device),
		hotplug_test(nothing_is_said_to_be_gone_before_it_is),
		hotplug_test(a_destroy_on_a_dead_device_is_answered_at_the_end),
		hotplug_test(a_daemon_may_end_in_the_middle_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
