// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gid.c and gidwatch.c, between a guest's ring, an operator and a host's GID table of our own
 * (fake_host.h): what the guest may use and is told follows both, and what it must not use is refused.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fake_host.h"
#include "gidwatch.h"
#include "hotplug.h"
#include "uverbs.h"

#define CLIENT	   7
#define GID_CHANGE 18 /* enum ib_event_type */

static const uint8_t own[16] = { [10] = 0xff, [11] = 0xff, 10, 9, 0, 11 };
static const uint8_t other[16] = { [10] = 0xff, [11] = 0xff, 10, 9, 0, 12 };
static const uint8_t own6[16] = { 0xfd, 9, [15] = 11 };
static const uint8_t none[16];

/* ---- the operator, who hears what control_done() says ---- */

static unsigned int times_done;

void __wrap_control_done(struct control *control, uint64_t client, const char *name,
			 const char *error);
void __wrap_control_done(struct control *control, uint64_t client, const char *name,
			 const char *error)
{
	(void)control;
	assert_null(error);
	assert_string_equal(name, "rxe0");
	times_done += client == CLIENT;
}

static char why[256];

static int change(const char *device, const char *address, bool is_added)
{
	const struct gidwatch_change c = { device, address, is_added };

	return gidwatch_change(vm.gidwatch, &c, CLIENT, why, sizeof(why));
}

/* let the daemon work until it has nothing to do, nor a thread of its pool on a busy machine */
static void settle(void)
{
	while (sd_event_run(vm.loop, 300000) > 0)
		;
}

/* the same until @n changes are done */
static void settle_at(unsigned int n)
{
	int i;

	for (i = 0; i < 500 && times_done < n; i++)
		sd_event_run(vm.loop, 10000);
	assert_int_equal(times_done, n);
}

/* ---- the VM: rxe0 in slot 0 with the address 10.9.0.11, rxe1 in slot 1 with none ---- */

static int async_events[2]; /* of rxe0: what event.c reads, what we write */

static void plug(const char *name, const char *address)
{
	struct device *dev = calloc(1, sizeof(*dev));

	dev->refs = 1;
	dev->id = atomic_fetch_add(&vm.next_device_id, 1);
	dev->provider = &fake_provider;
	dev->port_events[0] = (struct event_source){ .device = dev->id, .port = 1 };
	snprintf(dev->name, sizeof(dev->name), "%s", name);
	strcpy(dev->uverbs_path, "/dev/null");
	assert_int_equal(context_open(&vm, dev, NULL, &dev->own), 0);
	if (address) {
		assert_int_equal(pipe(async_events), 0);
		assert_int_equal(dup2(async_events[0], dev->own->async_fd), dev->own->async_fd);
		assert_int_equal(gid_add_address(&vm, dev, address), 0);
	}
	assert_int_equal(event_watch(vm.event, dev->own), 0);
	assert_int_equal(device_plug(&vm, dev), 0);
}

static int setup(void **state)
{
	fake_setup(state);
	times_done = 0;
	assert_int_equal(doorbell_create(&vm.doorbell, &vm, 0), 0);
	assert_int_equal(hotplug_create(&vm.hotplug, &vm), 0);
	assert_int_equal(gidwatch_create(&vm.gidwatch, &vm), 0);
	memcpy(host_gids[1], own, 16);
	memcpy(host_gids[3], other, 16);
	plug("rxe0", "10.9.0.11/24");
	plug("rxe1", NULL);
	return 0;
}

static int teardown(void **state)
{
	pool_destroy(vm.pool);
	vm.pool = NULL;
	gidwatch_destroy(vm.gidwatch);
	hotplug_destroy(vm.hotplug);
	assert_int_equal(vm.num_addresses, 0);
	close(async_events[0]);
	close(async_events[1]);
	vm.pool = pool_create(1); /* fake_teardown()'s to destroy */
	doorbell_destroy(vm.doorbell); /* no test leaves a QP */
	return fake_teardown(state);
}

/* an event of the host's kernel about rxe0's port */
static void host_says(uint32_t type)
{
	struct ib_uverbs_async_event_desc event = { .element = 1, .event_type = type };

	assert_int_equal(write(async_events[1], &event, sizeof(event)), sizeof(event));
	settle();
}

static void host_has(unsigned int index, const uint8_t gid[16])
{
	memcpy(host_gids[index], gid, 16);
	host_says(GID_CHANGE);
}

/* ---- the guest ---- */

/* Return: bit n: it is told of slot n; bit 16: of an event of a port */
static uint32_t told(void)
{
	struct event_source about;
	uint32_t slots = 0, code;
	bool completion;

	while (objtab_next_event(vm.objtab, &about, &completion, &code))
		slots |= completion && about.type == HYV_EVENT_DEVICE ? 1u << about.device :
									1u << 16;
	return slots;
}

static int get_address(struct frontend *fe, uint32_t index, struct hyv_resp_get_address *resp)
{
	struct hyv_req_get_address req = { .index = htole32(index) };

	return fake_ask(fe, HYV_OP_GET_ADDRESS, &req, sizeof(req), resp, sizeof(*resp));
}

/* Return: how many addresses it gets, all of them those of @gids */
static unsigned int addresses(struct frontend *fe, const uint8_t *gids[])
{
	struct hyv_resp_get_address resp;
	unsigned int num = 0;

	while (!get_address(fe, num, &resp)) {
		assert_non_null(gids[num]);
		assert_memory_equal(resp.gid, gids[num++], 16);
	}
	assert_null(gids[num]);
	return num;
}

#define HAS(fe, ...) addresses(fe, (const uint8_t *[]){ __VA_ARGS__ __VA_OPT__(, ) NULL })

static uint32_t device_flags(struct frontend *fe, uint32_t slot)
{
	struct hyv_req_get_device req = { .slot = htole32(slot) };
	struct hyv_resp_get_device resp;

	assert_int_equal(fake_ask(fe, HYV_OP_GET_DEVICE, &req, sizeof(req), &resp, sizeof(resp)),
			 0);
	return le32toh(resp.flags);
}

static void set_gid(struct frontend *fe, uint32_t index, const uint8_t gid[16])
{
	struct hyv_req_set_gid req = { .port = htole32(1),
				       .index = htole32(index),
				       .type = htole32(IB_UVERBS_GID_TYPE_ROCE_V2) };

	memcpy(req.gid, gid, 16);
	assert_int_equal(fake_ask(fe, HYV_OP_SET_GID, &req, sizeof(req), &req, 0), 0);
}

/* it uses an entry of its table. Return: the host's index, or a negative errno */
static int use(uint8_t index)
{
	struct ib_uverbs_gid_entry found;
	int ret = gid_to_host(&vm, vm.devices[0], 1, &index, &found);

	return ret ? ret : index;
}

/* make a QP on a device, and destroy it. Return: the status */
static int try_qp(struct frontend *fe, uint32_t device, uint32_t type)
{
	struct fake_qp made;
	int ret = fake_make_qp(fe, device, type, &made);

	if (!ret)
		assert_int_equal(fake_destroy(fe, HYV_OP_DESTROY_QP, made.qp), 0);
	assert_int_equal(fake_destroy(fe, HYV_OP_FREE_CONTEXT, made.context), 0);
	assert_int_equal(vm.limits.used[LIMIT_QPS], 0);
	return ret;
}

/* to RTR, from its GID @index. Return: the status */
static int to_rtr(struct frontend *fe, const struct fake_qp *made, uint8_t index)
{
	struct hyv_req_modify_qp req = {
		.qp = made->qp,
		.attr_mask = htole32(1 | 1 << 7), /* IB_QP_STATE | IB_QP_AV */
		.attr = { .qp_state = 2,
			  .ah = { .sgid_index = index, .is_global = 1, .port_num = 1 } },
	};

	return fake_ask(fe, HYV_OP_MODIFY_QP, &req, sizeof(req), &req, 0);
}

/* an address handle from its GID @index. Return: the status */
static int try_ah(struct frontend *fe, const struct fake_qp *made, uint8_t index)
{
	struct hyv_req_create_ah req = {
		.pd = made->pd,
		.attr = { .sgid_index = index, .is_global = 1, .port_num = 1 },
	};
	struct hyv_resp_create_ah ah;
	int ret = fake_ask(fe, HYV_OP_CREATE_AH, &req, sizeof(req), &ah, sizeof(ah));

	if (!ret)
		assert_int_equal(fake_destroy(fe, HYV_OP_DESTROY_AH, ah.ah), 0);
	assert_int_equal(vm.limits.used[LIMIT_AHS], 0);
	return ret;
}

/* ---- the tests ---- */

static void the_guest_follows_the_host(void **state)
{
	struct frontend *fe = *state;

	assert_int_equal(device_flags(fe, 0), HYV_DEVICE_ADDRESSES);
	assert_int_equal(device_flags(fe, 1), 0);
	HAS(fe, own);
	set_gid(fe, 5, own);
	assert_int_equal(use(5), 1);
	assert_int_equal(told(), 0);
	host_has(4, own6); /* not the VM's */
	assert_int_equal(told(), 0);
	host_has(1, none);
	assert_int_equal(told(), 1);
	HAS(fe);
	assert_int_equal(device_flags(fe, 0), HYV_DEVICE_ADDRESSES);
	assert_int_equal(use(5), -EADDRNOTAVAIL);
	host_has(6, own);
	assert_int_equal(told(), 1);
	HAS(fe, own);
	assert_int_equal(use(5), 6);
	host_says(GID_CHANGE);
	assert_int_equal(told(), 0);
	assert_int_equal(times_done, 0);
}

static void a_host_that_does_not_answer_changes_nothing(void **state)
{
	struct frontend *fe = *state;

	host_tells_gids = -EIO;
	host_has(1, none);
	assert_int_equal(told(), 0);
	HAS(fe, own);
	host_tells_gids = 0;
	gidwatch_look(vm.gidwatch);
	settle();
	assert_int_equal(told(), 1);
	HAS(fe);
}

/* Its own kernel tells of a table of its own. */
static void events_are_told_where_the_table_is_the_hosts(void **state)
{
	struct device *dev = vm.devices[0];

	(void)state;
	host_says(GID_CHANGE);
	assert_int_equal(told(), 0);
	host_says(10); /* PORT_ERR */
	assert_int_equal(told(), 1u << 16);
	gid_free(dev);
	host_says(GID_CHANGE);
	assert_int_equal(told(), 1u << 16);
}

static void an_operator_gives_and_takes(void **state)
{
	struct frontend *fe = *state;
	struct hyv_resp_get_address resp;

	assert_int_equal(change("rxe0", "10.9.0.12/20", true), 0);
	assert_int_equal(times_done, 0); /* when it can be used */
	settle();
	assert_int_equal(times_done, 1);
	assert_int_equal(told(), 1);
	HAS(fe, own, other);
	assert_int_equal(get_address(fe, 1, &resp), 0);
	assert_int_equal(le32toh(resp.prefix_len), 20);
	set_gid(fe, 0, other);
	assert_int_equal(use(0), 3);
	assert_int_equal(change("rxe0", "::ffff:10.9.0.11", false), 0);
	assert_int_equal(use(0), 3);
	assert_int_equal(change("rxe0", "10.9.0.12", false), 0);
	assert_int_equal(use(0), -EADDRNOTAVAIL); /* at once */
	settle();
	assert_int_equal(times_done, 3);
	assert_int_equal(told(), 1);
	HAS(fe);
	assert_int_equal(device_flags(fe, 0), HYV_DEVICE_ADDRESSES);
	assert_int_equal(change("rxe0", "10.9.0.11", true), 0);
	settle();
	HAS(fe, own);
}

static void what_cannot_be_is_refused(void **state)
{
	static const struct {
		const char *device;
		const char *address;
		bool is_added;
		int ret;
		const char *why;
	} cases[] = {
		{ "nosuch0", "10.9.0.12", true, -ENODEV, "no device 'nosuch0'" },
		{ "rxe1", "10.9.0.12", true, -EOPNOTSUPP, "without addresses" },
		{ "rxe1", "10.9.0.12", false, -EOPNOTSUPP, "without addresses" },
		{ "rxe0", "10.9.0.13", true, -EADDRNOTAVAIL, "'ip address add 10.9.0.13 " },
		{ "rxe0", "10.9.0.11", true, -EEXIST, "has the address '10.9.0.11' already" },
		{ "rxe0", "10.9.0", true, -EINVAL, "not an IP address" },
		{ "rxe0", "10.9.0.12/33", true, -EINVAL, "not an IP address" },
		{ "rxe0", "::ffff:10.9.0.12/96", true, -EINVAL, "not an IP address" },
		{ "rxe0", "fe80::1", true, -EINVAL, "link-local" },
		{ "rxe0", "x", false, -EINVAL, "not an IP address" },
		{ "rxe0", "10.9.0.12", false, -ENOENT, "has no address '10.9.0.12'" },
	};
	struct frontend *fe = *state;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(change(cases[i].device, cases[i].address, cases[i].is_added),
				 cases[i].ret);
		if (!strstr(why, cases[i].why))
			fail_msg("'%s' is not in '%s'", cases[i].why, why);
	}
	settle();
	assert_int_equal(told(), 0);
	assert_int_equal(times_done, 0);
	HAS(fe, own);
}

static void a_subnet_is_the_netdevs(void **state)
{
	static const uint8_t local[16] = { [10] = 0xff, [11] = 0xff, 127, 0, 0, 1 };
	struct frontend *fe = *state;
	struct hyv_resp_get_address resp;

	memcpy(host_gids[5], local, 16);
	assert_int_equal(change("rxe0", "127.0.0.1", true), 0);
	assert_int_equal(change("rxe0", "10.9.0.12", true), 0); /* which lo has not */
	settle();
	assert_int_equal(get_address(fe, 1, &resp), 0);
	assert_int_equal(le32toh(resp.prefix_len), 8);
	assert_int_equal(get_address(fe, 2, &resp), 0);
	assert_int_equal(le32toh(resp.prefix_len), 32);
}

/* ... which has no GIDs of addresses */
static void an_iwarp_device_has_its_netdevs_addresses(void **state)
{
	struct device *dev = vm.devices[1];
	struct hyv_req_get_address req = { .device = htole32(dev->id) };
	struct hyv_resp_get_address resp;

	dev->info.node_type = RDMA_NODE_RNIC;
	assert_int_equal(gid_add_address(&vm, dev, "10.9.0.11"), -EADDRNOTAVAIL);
	assert_int_equal(gid_add_address(&vm, dev, "127.0.0.1"), 0);
	assert_int_equal(
		fake_ask(*state, HYV_OP_GET_ADDRESS, &req, sizeof(req), &resp, sizeof(resp)), 0);
	assert_int_equal(le32toh(resp.prefix_len), 8);
	assert_false(gid_look(&vm, dev));
	assert_int_equal(gid_add_address(&vm, NULL, "127.0.0.1"), -EEXIST);
}

static void there_is_room_for_32(void **state)
{
	char text[16];
	unsigned int i;

	(void)state;
	for (i = 1; i < VM_MAX_ADDRESSES; i++) {
		memcpy(host_gids[5], own, 15);
		host_gids[5][15] = (uint8_t)(100 + i);
		snprintf(text, sizeof(text), "10.9.0.%u", 100 + i);
		assert_int_equal(change("rxe0", text, true), 0);
		settle_at(i); /* and what there was before is not there any more */
	}
	assert_int_equal(change("rxe0", "10.9.0.12", true), -E2BIG);
	assert_non_null(strstr(why, "too many"));
	assert_int_equal(change("rxe0", "10.9.0.101", false), 0);
	assert_int_equal(change("rxe0", "10.9.0.12", true), 0);
	settle_at(VM_MAX_ADDRESSES + 1);
}

static void a_guest_sees_no_gid_that_is_not_its_own(void **state)
{
	struct hyv_req_query_gid req = { .port = htole32(1) };
	struct hyv_resp_query_gid resp;
	struct frontend *fe = *state;
	uint32_t device;

	for (device = 0; device < 2; device++) {
		req.device = htole32(device);
		req.index = htole32(1);
		assert_int_equal(
			fake_ask(fe, HYV_OP_QUERY_GID, &req, sizeof(req), &resp, sizeof(resp)), 0);
		assert_memory_equal(resp.gid, own, 16);
		assert_int_equal(le32toh(resp.next), 3);
		req.index = htole32(3);
		assert_int_equal(
			fake_ask(fe, HYV_OP_QUERY_GID, &req, sizeof(req), &resp, sizeof(resp)), 0);
		assert_memory_equal(resp.gid, device ? other : none, 16);
	}
}

static void datagrams_need_a_permission_where_a_vm_has_addresses(void **state)
{
	static const uint32_t connected[] = { IB_UVERBS_QPT_RC, IB_UVERBS_QPT_UC,
					      IB_UVERBS_QPT_XRC_INI };
	/* of a driver's own type is what only the driver knows, and GSI comes to no process */
	static const uint32_t datagram[] = { IB_UVERBS_QPT_UD, IB_UVERBS_QPT_DRIVER, 1 };
	static const struct {
		enum ud ud;
		bool with_addresses, without;
	} cases[] = { { UD_WHERE_WHOLE, false, true },
		      { UD_ON, true, true },
		      { UD_OFF, false, false } };
	struct frontend *fe = *state;
	unsigned int i, t, made = 0;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		vm.ud = cases[i].ud;
		for (t = 0; t < 3; t++) {
			assert_int_equal(try_qp(fe, 0, connected[t]), 0);
			assert_int_equal(try_qp(fe, 1, connected[t]), 0);
			made += 2;
			assert_int_equal(try_qp(fe, 0, datagram[t]),
					 cases[i].with_addresses ? 0 : -EOPNOTSUPP);
			assert_int_equal(try_qp(fe, 1, datagram[t]),
					 cases[i].without ? 0 : -EOPNOTSUPP);
			made += cases[i].with_addresses + cases[i].without;
			assert_int_equal(host_qps, made); /* and was not asked for others */
		}
		assert_int_equal(try_qp(fe, 1, IB_UVERBS_QPT_RAW_PACKET), -EOPNOTSUPP);
		assert_int_equal(host_qps, made);
	}
}

/* What was given with addresses stays so when the last is taken. */
static void taking_the_last_address_gives_no_permission(void **state)
{
	struct frontend *fe = *state;

	assert_int_equal(change("rxe0", "10.9.0.11", false), 0);
	settle();
	assert_int_equal(try_qp(fe, 0, IB_UVERBS_QPT_UD), -EOPNOTSUPP);
	assert_int_equal(host_qps, 0);
}

/* ---- an address that goes while the host's kernel looks its index up ---- */

static void index_is_given_to_another(void)
{
	memcpy(host_gids[1], other, 16);
}

static void index_is_given_to_another_own(void)
{
	memcpy(host_gids[1], own6, 16);
}

static void index_gets_another_type(void)
{
	host_gid_types[1] = IB_UVERBS_GID_TYPE_ROCE_V1;
}

static void index_is_empty(void)
{
	memcpy(host_gids[1], none, 16);
}

static void operator_takes_it(void)
{
	assert_int_equal(gid_remove_address(&vm, vm.devices[0], "10.9.0.11"), 0);
}

static void nobody_can_tell(void)
{
	host_tells_gids = -EIO;
}

static void elsewhere(void)
{
	memcpy(host_gids[2], own6, 16);
}

static void (*meanwhile)(void);
static uint8_t state; /* of the QP, on the host */

static void host_does(uint32_t command, const void *in)
{
	const struct ib_uverbs_ex_modify_qp *modify = in;

	if (command == (IB_USER_VERBS_CMD_FLAG_EXTENDED | IB_USER_VERBS_EX_CMD_MODIFY_QP)) {
		assert_int_equal(modify->base.attr_mask & 1, 1);
		state = modify->base.qp_state;
	} else if (command != IB_USER_VERBS_CMD_CREATE_AH) {
		return;
	}
	if (meanwhile)
		meanwhile();
	meanwhile = NULL;
}

static void an_address_that_goes_while_it_is_taken_is_not_used(void **fixture)
{
	static const struct {
		void (*meanwhile)(void);
		int ret;
	} cases[] = {
		{ NULL, 0 },
		{ elsewhere, 0 },
		{ index_is_given_to_another, -EADDRNOTAVAIL },
		{ index_is_given_to_another_own, -EADDRNOTAVAIL },
		{ index_gets_another_type, -EADDRNOTAVAIL },
		{ index_is_empty, -EADDRNOTAVAIL },
		{ operator_takes_it, -EADDRNOTAVAIL },
		{ nobody_can_tell, -EADDRNOTAVAIL },
	};
	struct frontend *fe = *fixture;
	struct fake_qp with, without;
	unsigned int i, destroyed;

	assert_int_equal(fake_make_qp(fe, 0, IB_UVERBS_QPT_RC, &with), 0);
	assert_int_equal(fake_make_qp(fe, 1, IB_UVERBS_QPT_RC, &without), 0);
	set_gid(fe, 5, own);
	memcpy(host_gids[6], own6, 16);
	assert_int_equal(gid_add_address(&vm, vm.devices[0], "fd09::b"), 0);
	host_did = host_does;
	for (i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		meanwhile = cases[i / 2].meanwhile;
		destroyed = host_destroyed;
		if (i % 2) {
			assert_int_equal(try_ah(fe, &with, 5), cases[i / 2].ret);
			assert_int_equal(host_destroyed, destroyed + 1);
		} else {
			assert_int_equal(to_rtr(fe, &with, 5), cases[i / 2].ret);
			assert_int_equal(state, cases[i / 2].ret ? 6 : 2);
		}
		memcpy(host_gids[1], own, 16);
		host_gid_types[1] = IB_UVERBS_GID_TYPE_ROCE_V2;
		host_tells_gids = 0;
		if (cases[i / 2].meanwhile == operator_takes_it)
			assert_int_equal(gid_add_address(&vm, vm.devices[0], "10.9.0.11"), 0);
	}
	/* where it has the host's table, that is the host's affair */
	meanwhile = index_is_given_to_another;
	assert_int_equal(to_rtr(fe, &without, 1), 0);
	meanwhile = index_is_given_to_another;
	assert_int_equal(try_ah(fe, &without, 1), 0);
	assert_int_equal(state, 2);
	assert_int_equal(fake_destroy(fe, HYV_OP_FREE_CONTEXT, with.context), 0);
	assert_int_equal(fake_destroy(fe, HYV_OP_FREE_CONTEXT, without.context), 0);
}

static void a_daemon_may_end_in_the_middle_of_it(void **state)
{
	(void)state;
	assert_int_equal(change("rxe0", "10.9.0.12", true), 0);
	assert_int_equal(change("rxe0", "10.9.0.11", false), 0);
}

#define gids_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		gids_test(the_guest_follows_the_host),
		gids_test(a_host_that_does_not_answer_changes_nothing),
		gids_test(events_are_told_where_the_table_is_the_hosts),
		gids_test(an_operator_gives_and_takes),
		gids_test(what_cannot_be_is_refused),
		gids_test(a_subnet_is_the_netdevs),
		gids_test(an_iwarp_device_has_its_netdevs_addresses),
		gids_test(there_is_room_for_32),
		gids_test(a_guest_sees_no_gid_that_is_not_its_own),
		gids_test(datagrams_need_a_permission_where_a_vm_has_addresses),
		gids_test(taking_the_last_address_gives_no_permission),
		gids_test(an_address_that_goes_while_it_is_taken_is_not_used),
		gids_test(a_daemon_may_end_in_the_middle_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
