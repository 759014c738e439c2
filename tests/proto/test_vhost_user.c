// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The vhost-user device as QEMU sees it, over real sockets: each request well-formed, each way to
 * get one wrong (a test each, from a table), the life of the rings, and ends of the connection at
 * every stage. The window's handshake is in test_window_handshake.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "frontend.h"
#include "log.h"

static void *mem_of(struct frontend *fe, uint64_t gpa)
{
	return gmem_va(fe->gm, (struct gpa){ gpa }, 1);
}

static void notify(int fd)
{
	const uint64_t one = 1;

	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static bool signalled(int fd)
{
	uint64_t n;

	return read(fd, &n, sizeof(n)) == sizeof(n);
}

static bool closed(struct frontend *fe)
{
	char c;

	fe_pump(fe);
	return recv(fe->sock, &c, 1, MSG_DONTWAIT) == 0;
}

/* ---- well-formed requests ---- */

static void test_get_features(void **state)
{
	struct frontend *fe = *state;

	fe_connect(fe);
	assert_int_equal(fe_get(fe, GET_FEATURES), ALL_FEATURES);
}

static void test_set_features(void **state)
{
	struct frontend *fe = *state;
	uint64_t good = F_VERSION_1, bad = F_VERSION_1 | 1ull << 34;

	fe_connect(fe);
	fe_negotiate(fe, ALL_FEATURES, ALL_PF);
	fe_ok(fe, SET_FEATURES, &good, 8, NULL, 0);
	fe_refused(fe, SET_FEATURES, &bad, 8, NULL, 0);
}

static void test_protocol_features(void **state)
{
	struct frontend *fe = *state;
	uint64_t pf, slots = ALL_PF | 1ull << 15;

	fe_connect(fe);
	pf = fe_get(fe, GET_PROTOCOL_FEATURES);
	assert_int_equal(pf, ALL_PF);
	/* With CONFIGURE_MEM_SLOTS (15) QEMU 11.1 crashes; with SHMEM elsewhere it does nothing. */
	assert_int_equal(pf & (1ull << 15 | 1ull << 20 | 1ull << 21), 0);
	pf = PF_REPLY_ACK;
	fe_send(fe, SET_PROTOCOL_FEATURES, VERSION, &pf, 8, NULL, 0);
	assert_true(fe_silent(fe));
	fe_refused(fe, SET_PROTOCOL_FEATURES, &slots, 8, NULL, 0);
}

static void test_no_answer_without_reply_ack(void **state)
{
	struct frontend *fe = *state;
	uint64_t none = 0;

	fe_connect(fe);
	fe_send(fe, SET_OWNER, VERSION | NEED_REPLY, NULL, 0, NULL, 0);
	fe_send(fe, SET_FEATURES, VERSION | NEED_REPLY, &none, 8, NULL, 0);
	fe_send(fe, 1000, VERSION | NEED_REPLY, NULL, 0, NULL, 0);
	assert_true(fe_silent(fe));
	assert_int_equal(fe_get(fe, GET_FEATURES), ALL_FEATURES);
}

static void test_get_queue_num(void **state)
{
	struct frontend *fe = *state;

	fe_connect(fe);
	fe_negotiate(fe, ALL_FEATURES, ALL_PF);
	assert_int_equal(fe_get(fe, GET_QUEUE_NUM), NUM_QUEUES);
}

struct config_msg {
	uint32_t offset, size, flags;
	char region[256];
};

static void test_get_config(void **state)
{
	struct frontend *fe = *state;
	struct config_msg m = { 0, 64, 0, "" }, part = { 3, 6, 0, "" };
	char expected[64] = CONFIG_TEXT;

	fe_connect(fe);
	fe_negotiate(fe, ALL_FEATURES, ALL_PF);
	memset(m.region, 0xff, sizeof(m.region));
	fe_send(fe, GET_CONFIG, VERSION, &m, 12 + 64, NULL, 0);
	fe_reply(fe, GET_CONFIG, &m, 12 + 64);
	assert_memory_equal(m.region, expected, 64);
	assert_int_equal(m.size, 64);
	fe_send(fe, GET_CONFIG, VERSION, &part, 12 + 6, NULL, 0);
	fe_reply(fe, GET_CONFIG, &part, 12 + 6);
	assert_memory_equal(part.region, CONFIG_TEXT + 3, 6);
	assert_int_equal(part.offset, 3);
}

static void expect_no_config(struct frontend *fe, uint32_t offset, uint32_t size, uint32_t msg_size)
{
	struct config_msg m = { offset, size, 0, "" };

	fe_send(fe, GET_CONFIG, VERSION, &m, msg_size, NULL, 0);
	fe_reply(fe, GET_CONFIG, NULL, 0);
}

static void test_get_config_bad_range(void **state)
{
	struct frontend *fe = *state;

	fe_connect(fe);
	fe_negotiate(fe, ALL_FEATURES, ALL_PF);
	expect_no_config(fe, 250, 7, 12 + 7);
	expect_no_config(fe, UINT32_MAX, 1, 12 + 1);
	expect_no_config(fe, 0, 257, 12 + 256);
	expect_no_config(fe, 0, UINT32_MAX, 12 + 8);
	expect_no_config(fe, 0, 8, 12 + 7);
	expect_no_config(fe, 0, 8, 12 + 9);
	expect_no_config(fe, 0, 8, 11);
	expect_no_config(fe, 0, 8, 0);
}

static void test_set_config_is_ignored(void **state)
{
	struct frontend *fe = *state;
	struct config_msg m = { 0, 4, 0, "evil" };

	fe_connect(fe);
	fe_negotiate(fe, ALL_FEATURES, ALL_PF);
	fe_ok(fe, SET_CONFIG, &m, 12 + 4, NULL, 0);
	fe_send(fe, GET_CONFIG, VERSION, &m, 12 + 4, NULL, 0);
	fe_reply(fe, GET_CONFIG, &m, 12 + 4);
	assert_memory_equal(m.region, CONFIG_TEXT, 4);
}

static void test_get_shmem_config(void **state)
{
	struct frontend *fe = *state;
	struct {
		uint32_t num, padding;
		uint64_t sizes[256];
	} c;
	unsigned int i;

	fe_connect(fe);
	fe_negotiate(fe, ALL_FEATURES, ALL_PF);
	fe_send(fe, GET_SHMEM_CONFIG, VERSION, NULL, 0, NULL, 0);
	fe_reply(fe, GET_SHMEM_CONFIG, &c, sizeof(c));
	assert_int_equal(c.num, 1);
	assert_int_equal(c.padding, 0);
	assert_int_equal(c.sizes[0], WINDOW_SIZE);
	for (i = 1; i < 256; i++)
		assert_int_equal(c.sizes[i], 0);
}

static void test_set_mem_table(void **state)
{
	struct frontend *fe = *state;
	struct {
		uint32_t num, padding;
		struct fe_region r[3];
	} t = { 3,
		0,
		{ { 0, 0x10000, 0x1000000, 0 },
		  { 1ull << 45, 4096, 0x9000000, 0 },
		  { 0x100000, 0x20000, 0x2000000, 0x10000 } } };
	int event = eventfd(0, EFD_CLOEXEC), fds[] = { fe->memfd, event, fe->memfd };

	fe_connect(fe);
	fe_negotiate(fe, ALL_FEATURES, ALL_PF);
	fe->mem[0x10000] = 42;
	fe_ok(fe, SET_MEM_TABLE, &t, sizeof(t), fds, 3);
	/* The second one is our own window coming back: no memory, and no error either. */
	assert_int_equal(gmem_total(fe->gm), 0x30000);
	assert_int_equal(*(uint8_t *)mem_of(fe, 0x100000), 42);
	t.num = 0;
	fe_ok(fe, SET_MEM_TABLE, &t, 8, NULL, 0);
	assert_int_equal(gmem_total(fe->gm), 0);
	close(event);
}

static void test_set_mem_table_eight_regions(void **state)
{
	struct frontend *fe = *state;
	struct {
		uint32_t num, padding;
		struct fe_region r[8];
	} t = { 8, 0, { { 0 } } };
	int i, fds[8];

	for (i = 0; i < 8; i++) {
		t.r[i] = (struct fe_region){ i * 0x20000, 0x10000, 0x1000000 * i, i * 0x10000 };
		fds[i] = fe->memfd;
	}
	fe_connect(fe);
	fe_negotiate(fe, ALL_FEATURES, ALL_PF);
	fe_ok(fe, SET_MEM_TABLE, &t, sizeof(t), fds, 8);
	assert_int_equal(gmem_total(fe->gm), 0x80000);
}

/* ---- malformed requests ---- */

/**
 * struct bad - a request that must be refused, by a device that is negotiated and whose rings run
 * @size, @payload, @num_fds: what is sent; the files are eventfds
 * @without: protocol feature that is left out of the negotiation
 */
struct bad {
	const char *name;
	uint32_t request;
	uint32_t flags;
	uint32_t size;
	uint64_t payload[40];
	unsigned int num_fds;
	uint64_t without;
};

#define U32(a, b) ((uint64_t)(uint32_t)(b) << 32 | (uint32_t)(a))

static const struct bad bad[] = {
	{ "number_0", 0, VERSION, 0, { 0 }, 0 },
	{ "number_unknown", 1000, VERSION, 8, { 0 }, 1 },
	{ "number_largest", UINT32_MAX, VERSION, 0, { 0 }, 0 },
	{ "number_not_offered_log", SET_LOG_BASE, VERSION, 16, { 0 }, 1 },
	{ "number_not_offered_add_mem", ADD_MEM_REG, VERSION, 40, { 0 }, 1 },
	{ "version_0", SET_OWNER, 0, 0, { 0 }, 0 },
	{ "version_2", SET_OWNER, 2, 0, { 0 }, 0 },
	{ "reply_flag", SET_OWNER, VERSION | IS_REPLY, 0, { 0 }, 0 },
	{ "unknown_flag", SET_OWNER, VERSION | 0x10, 0, { 0 }, 0 },

	{ "set_owner_size", SET_OWNER, VERSION, 8, { 0 }, 0 },
	{ "set_owner_fd", SET_OWNER, VERSION, 0, { 0 }, 1 },
	{ "reset_owner_size", RESET_OWNER, VERSION, 8, { 0 }, 0 },
	{ "get_features_size", GET_FEATURES, VERSION, 8, { 0 }, 0 },
	{ "get_features_fd", GET_FEATURES, VERSION, 0, { 0 }, 1 },
	{ "set_features_small", SET_FEATURES, VERSION, 4, { ALL_FEATURES }, 0 },
	{ "set_features_large", SET_FEATURES, VERSION, 16, { ALL_FEATURES }, 0 },
	{ "set_features_not_offered", SET_FEATURES, VERSION, 8, { F_VERSION_1 | 1 }, 0 },
	{ "get_protocol_features_size", GET_PROTOCOL_FEATURES, VERSION, 8, { 0 }, 0 },
	{ "set_protocol_features_size", SET_PROTOCOL_FEATURES, VERSION, 0, { 0 }, 0 },
	{ "set_protocol_features_not_offered", SET_PROTOCOL_FEATURES, VERSION, 8, { 1 << 15 }, 0 },
	{ "get_queue_num_size", GET_QUEUE_NUM, VERSION, 8, { 0 }, 0 },
	{ "get_queue_num_without_mq", GET_QUEUE_NUM, VERSION, 0, { 0 }, 0, PF_MQ },

	{ "mem_table_empty", SET_MEM_TABLE, VERSION, 0, { 0 }, 0 },
	{ "mem_table_header_cut", SET_MEM_TABLE, VERSION, 4, { 0 }, 0 },
	{ "mem_table_cut", SET_MEM_TABLE, VERSION, 8 + 24, { U32(1, 0), 0, 0x1000, 0 }, 1 },
	{ "mem_table_long", SET_MEM_TABLE, VERSION, 8 + 40, { U32(1, 0), 0, 0x1000, 0 }, 1 },
	{ "mem_table_9_regions", SET_MEM_TABLE, VERSION, 8 + 9 * 32, { U32(9, 0) }, 8 },
	{ "mem_table_many_regions", SET_MEM_TABLE, VERSION, 8, { U32(0x08000000, 0) }, 0 },
	{ "mem_table_no_fd", SET_MEM_TABLE, VERSION, 8 + 32, { U32(1, 0), 0, 0x1000, 0 }, 0 },
	{ "mem_table_fd_missing", SET_MEM_TABLE, VERSION, 8 + 64, { U32(2, 0) }, 1 },
	{ "mem_table_fd_too_many", SET_MEM_TABLE, VERSION, 8 + 32, { U32(1, 0), 0, 0x1000, 0 }, 2 },
	{ "nine_fds", SET_MEM_TABLE, VERSION, 8 + 8 * 32, { U32(8, 0) }, 9 },
	{ "sixteen_fds", SET_OWNER, VERSION, 0, { 0 }, 16 },

	{ "vring_num_size", SET_VRING_NUM, VERSION, 4, { U32(0, 16) }, 0 },
	{ "vring_num_fd", SET_VRING_NUM, VERSION, 8, { U32(0, 16) }, 1 },
	{ "vring_num_index", SET_VRING_NUM, VERSION, 8, { U32(NUM_QUEUES, 16) }, 0 },
	{ "vring_num_index_huge", SET_VRING_NUM, VERSION, 8, { U32(-1, 16) }, 0 },
	{ "vring_num_running", SET_VRING_NUM, VERSION, 8, { U32(0, 16) }, 0 },
	{ "vring_addr_size", SET_VRING_ADDR, VERSION, 32, { U32(0, 0) }, 0 },
	{ "vring_addr_index", SET_VRING_ADDR, VERSION, 40, { U32(NUM_QUEUES, 0) }, 0 },
	{ "vring_addr_flags", SET_VRING_ADDR, VERSION, 40, { U32(0, 1) }, 0 },
	{ "vring_addr_running", SET_VRING_ADDR, VERSION, 40, { U32(0, 0) }, 0 },
	{ "vring_base_size", SET_VRING_BASE, VERSION, 12, { 0 }, 0 },
	{ "vring_base_index", SET_VRING_BASE, VERSION, 8, { U32(NUM_QUEUES, 0) }, 0 },
	{ "vring_base_running", SET_VRING_BASE, VERSION, 8, { U32(0, 0) }, 0 },
	{ "get_vring_base_size", GET_VRING_BASE, VERSION, 4, { 0 }, 0 },
	{ "get_vring_base_index", GET_VRING_BASE, VERSION, 8, { U32(NUM_QUEUES, 0) }, 0 },
	{ "get_vring_base_index_huge", GET_VRING_BASE, VERSION, 8, { U32(0x80000000, 0) }, 0 },
	{ "kick_size", SET_VRING_KICK, VERSION, 4, { 0 }, 1 },
	{ "kick_index", SET_VRING_KICK, VERSION, 8, { NUM_QUEUES }, 1 },
	{ "kick_no_fd", SET_VRING_KICK, VERSION, 8, { 0 }, 0 },
	{ "kick_two_fds", SET_VRING_KICK, VERSION, 8, { 0 }, 2 },
	{ "kick_polling", SET_VRING_KICK, VERSION, 8, { 0x100 }, 0 },
	{ "kick_unknown_bit", SET_VRING_KICK, VERSION, 8, { 0x200 }, 1 },
	{ "kick_high_bit", SET_VRING_KICK, VERSION, 8, { 1ull << 32 }, 1 },
	{ "call_size", SET_VRING_CALL, VERSION, 0, { 0 }, 1 },
	{ "call_index", SET_VRING_CALL, VERSION, 8, { 0xff }, 1 },
	{ "call_no_fd", SET_VRING_CALL, VERSION, 8, { 1 }, 0 },
	{ "call_fd_and_nofd", SET_VRING_CALL, VERSION, 8, { 0x100 }, 1 },
	{ "err_size", SET_VRING_ERR, VERSION, 16, { 0 }, 1 },
	{ "err_index", SET_VRING_ERR, VERSION, 8, { NUM_QUEUES }, 1 },
	{ "err_no_fd", SET_VRING_ERR, VERSION, 8, { 1 }, 0 },
	{ "enable_size", SET_VRING_ENABLE, VERSION, 4, { 0 }, 0 },
	{ "enable_index", SET_VRING_ENABLE, VERSION, 8, { U32(NUM_QUEUES, 1) }, 0 },
	{ "enable_value", SET_VRING_ENABLE, VERSION, 8, { U32(0, 2) }, 0 },
	{ "enable_fd", SET_VRING_ENABLE, VERSION, 8, { U32(0, 1) }, 1 },

	{ "channel_size", SET_BACKEND_REQ_FD, VERSION, 8, { 0 }, 1 },
	{ "channel_no_fd", SET_BACKEND_REQ_FD, VERSION, 0, { 0 }, 0 },
	{ "channel_two_fds", SET_BACKEND_REQ_FD, VERSION, 0, { 0 }, 2 },
	{ "channel_without_feature", SET_BACKEND_REQ_FD, VERSION, 0, { 0 }, 1, PF_BACKEND_REQ },
	{ "get_config_without_feature", GET_CONFIG, VERSION, 12 + 8, { U32(0, 8) }, 0, PF_CONFIG },
	{ "get_config_fd", GET_CONFIG, VERSION, 12 + 8, { U32(0, 8) }, 1 },
	{ "set_config_size", SET_CONFIG, VERSION, 8, { U32(0, 8) }, 0 },
	{ "set_config_short", SET_CONFIG, VERSION, 12, { U32(0, 8) }, 0 },
	{ "set_config_range", SET_CONFIG, VERSION, 12 + 8, { U32(250, 8) }, 0 },
	{ "reset_device_size", RESET_DEVICE, VERSION, 8, { 0 }, 0 },
	{ "reset_device_without_feature", RESET_DEVICE, VERSION, 0, { 0 }, 0, PF_RESET },
	{ "shmem_config_size", GET_SHMEM_CONFIG, VERSION, 8, { 0 }, 0 },
	{ "shmem_config_without_feature", GET_SHMEM_CONFIG, VERSION, 0, { 0 }, 0, PF_SHMEM },
};

#define NUM_BAD (sizeof(bad) / sizeof(bad[0]))

static int bad_setup(void **state)
{
	const struct bad *b = *state;
	struct frontend *fe;

	fe_setup(state);
	fe = *state;
	fe_connect(fe);
	fe_negotiate(fe, ALL_FEATURES, ALL_PF & ~b->without);
	fe_start(fe);
	fe_log(fe, "K0 K1 K2 ");
	fe->bad = b;
	return 0;
}

/*
 * Refused with an error when an answer is wanted, silently when not; nothing leaks, the rings go on
 * and memory stays.
 */
static void test_bad(void **state)
{
	struct frontend *fe = *state;
	const struct bad *b = fe->bad;
	uint32_t flags[] = { b->flags | NEED_REPLY, b->flags };
	int i, n, fds[16], fds_before = fe_count_fds();
	uint64_t result;

	for (i = 0; i < 2; i++) {
		for (n = 0; n < 16; n++)
			fds[n] = eventfd(0, EFD_CLOEXEC);
		fe_send(fe, b->request, flags[i], b->payload, b->size, fds, b->num_fds);
		for (n = 0; n < 16; n++)
			close(fds[n]);
		if (flags[i] & NEED_REPLY) {
			fe_reply(fe, b->request, &result, sizeof(result));
			assert_int_not_equal(result, 0);
		}
		assert_true(fe_silent(fe));
		assert_int_equal(fe_count_fds(), fds_before);
	}
	notify(fe->kick[1]);
	fe_log(fe, "K1 ");
	assert_int_equal(gmem_total(fe->gm), DRIVER_MEM);
	assert_int_equal(fe_get(fe, GET_FEATURES), ALL_FEATURES);
}

/* A table that QEMU cannot mean leaves no guest memory, and so the rings are broken. */
static void test_mem_table_refused(void **state)
{
	struct frontend *fe = *state;
	struct {
		uint32_t num, padding;
		struct fe_region r;
	} t = { 1, 0, { 1ull << 50, 4096, 0, 0 } };
	struct vring_chain chain;

	fe_ready(fe);
	fe_refused(fe, SET_MEM_TABLE, &t, sizeof(t), &fe->memfd, 1);
	assert_int_equal(gmem_total(fe->gm), 0);
	driver_desc(&fe->d[0], 0, DRIVER_DATA, 8, 0, 0);
	driver_offer(&fe->d[0], 0);
	assert_int_equal(vring_pop(vu_dev_vring(fe->dev, 0), &chain), 0);
	assert_true(signalled(fe->err[0]));
	fe_stop(fe);
	fe_log(fe, "S ");
}

/* ---- the rings' life ---- */

static void test_kick(void **state)
{
	struct frontend *fe = *state;

	fe_ready(fe);
	notify(fe->kick[1]);
	fe_log(fe, "K1 ");
	notify(fe->kick[2]);
	notify(fe->kick[2]);
	fe_log(fe, "K2 ");
	fe_log(fe, "");
}

static void test_chain_there_and_back(void **state)
{
	struct frontend *fe = *state;
	struct vring *vr = vu_dev_vring(fe->dev, 1);
	struct driver *d = &fe->d[1];
	struct vring_chain chain;
	char buf[8];

	fe_ready(fe);
	memcpy(fe->mem + DRIVER_DATA, "question", 8);
	driver_desc(d, 0, DRIVER_DATA, 8, VRING_DESC_F_NEXT, 1);
	driver_desc(d, 1, DRIVER_DATA + 64, 8, VRING_DESC_F_WRITE, 0);
	driver_offer(d, 0);
	notify(fe->kick[1]);
	fe_log(fe, "K1 ");
	assert_int_equal(vring_pop(vr, &chain), 1);
	assert_int_equal(vring_chain_read(vr, &chain, 0, buf, 8), 0);
	assert_memory_equal(buf, "question", 8);
	assert_int_equal(vring_chain_write(vr, &chain, 0, "answered", 8), 0);
	assert_false(signalled(fe->call[1]));
	vring_push(vr, &chain, 8);
	vring_signal(vr);
	assert_true(signalled(fe->call[1]));
	assert_int_equal(d->used->idx, 1);
	assert_memory_equal(fe->mem + DRIVER_DATA + 64, "answered", 8);
}

/* Notifications from before the start are not lost: each start comes with one kick of each ring. */
static void test_kick_before_start(void **state)
{
	struct frontend *fe = *state;

	fe_connect(fe);
	fe_negotiate(fe, ALL_FEATURES, ALL_PF);
	fe_mem_table(fe);
	fe_ring_setup(fe, 0);
	notify(fe->kick[0]);
	fe_log(fe, "");
	fe_enable(fe, 0, true);
	/* Once for the start and once for the eventfd, in either order. */
	fe_log(fe, "K0 K0 ");
	fe_stop(fe);
	fe_log(fe, "S ");
}

static void test_stop(void **state)
{
	struct frontend *fe = *state;
	struct vring *vr = vu_dev_vring(fe->dev, 0);
	struct vring_chain chain;
	uint64_t generation;

	fe_ready(fe);
	generation = vring_generation(vr);
	driver_desc(&fe->d[0], 0, DRIVER_DATA, 8, 0, 0);
	driver_offer(&fe->d[0], 0);
	driver_offer(&fe->d[0], 0);
	assert_int_equal(vring_pop(vr, &chain), 1);
	assert_int_equal(fe_stop(fe), 1);
	fe_log(fe, "S ");
	vring_push(vr, &chain, 0);
	assert_int_equal(fe->d[0].used->idx, 0);
	notify(fe->kick[0]);
	fe_log(fe, "");
	fe_start(fe);
	assert_int_not_equal(vring_generation(vr), generation);
}

static void test_stop_by_base_alone(void **state)
{
	struct frontend *fe = *state;
	uint32_t s[] = { 2, 77 };

	fe_ready(fe);
	fe_send(fe, GET_VRING_BASE, VERSION, s, sizeof(s), NULL, 0);
	fe_reply(fe, GET_VRING_BASE, s, sizeof(s));
	assert_int_equal(s[0], 2);
	assert_int_equal(s[1], 0);
	fe_log(fe, "S ");
	notify(fe->kick[0]);
	fe_log(fe, "");
	/* The others may go on, but this one has no kick descriptor any more. */
	fe_enable(fe, 0, true);
	fe_pump(fe);
	assert_non_null(strstr(fe->log, "K0 "));
	assert_null(strstr(fe->log, "K2 "));
	notify(fe->kick[2]);
	fe_pump(fe);
	assert_null(strstr(fe->log, "K2 "));
}

static void test_stop_by_reset_device(void **state)
{
	struct frontend *fe = *state;

	fe_ready(fe);
	fe_ok(fe, RESET_DEVICE, NULL, 0, NULL, 0);
	fe_log(fe, "S ");
	fe_ok(fe, RESET_DEVICE, NULL, 0, NULL, 0);
	fe_log(fe, "");
	fe_enable(fe, 1, true);
	fe_log(fe, "K1 ");
}

static void test_stop_by_reset_owner(void **state)
{
	struct frontend *fe = *state;

	fe_ready(fe);
	fe_send(fe, RESET_OWNER, VERSION, NULL, 0, NULL, 0);
	fe_log(fe, "S ");
}

/* One ring disabled and enabled again: all stop and all start. */
static void test_one_ring_restarts_all(void **state)
{
	struct frontend *fe = *state;

	fe_ready(fe);
	fe_enable(fe, 1, false);
	fe_log(fe, "S ");
	notify(fe->kick[0]);
	fe_log(fe, "");
	fe_enable(fe, 1, true);
	fe_pump(fe);
	assert_non_null(strstr(fe->log, "K0 "));
	assert_non_null(strstr(fe->log, "K1 "));
	assert_non_null(strstr(fe->log, "K2 "));
}

static void test_many_restarts(void **state)
{
	struct frontend *fe = *state;
	int i, fds;

	fe_ready(fe);
	fds = fe_count_fds();
	for (i = 0; i < 50; i++) {
		fe_stop(fe);
		fe_start(fe);
		fe_log(fe, "S K0 K1 K2 ");
	}
	assert_int_equal(fe_count_fds(), fds);
}

/* What a pause of the VM looks like: the ring goes on where it was. */
static void test_base_is_kept(void **state)
{
	struct frontend *fe = *state;
	struct vring *vr = vu_dev_vring(fe->dev, 0);
	uint32_t base[] = { 0, 0 };
	struct vring_chain chain;
	int i;

	fe_ready(fe);
	for (i = 0; i < 5; i++) {
		driver_desc(&fe->d[0], i, DRIVER_DATA, 8 + i, 0, 0);
		driver_offer(&fe->d[0], i);
	}
	for (i = 0; i < 3; i++) {
		assert_int_equal(vring_pop(vr, &chain), 1);
		vring_push(vr, &chain, 0);
	}
	base[1] = fe_stop(fe);
	assert_int_equal(base[1], 3);
	fe_ring_setup(fe, 0);
	fe_ok(fe, SET_VRING_BASE, base, sizeof(base), NULL, 0);
	fe_enable(fe, 0, true);
	assert_int_equal(vring_pop(vr, &chain), 1);
	assert_int_equal(chain.readable_len, 11);
	vring_push(vr, &chain, 0);
	assert_int_equal(fe->d[0].used->idx, 4);
}

static void test_no_start_without_enable(void **state)
{
	struct frontend *fe = *state;

	fe_connect(fe);
	fe_negotiate(fe, ALL_FEATURES, ALL_PF);
	fe_mem_table(fe);
	fe_ring_setup(fe, 0);
	notify(fe->kick[0]);
	fe_log(fe, "");
}

static void test_no_start_without_kick(void **state)
{
	struct frontend *fe = *state;

	fe_connect(fe);
	fe_negotiate(fe, ALL_FEATURES, ALL_PF);
	fe_mem_table(fe);
	fe_enable(fe, 0, true);
	fe_log(fe, "");
	fe_ring_setup(fe, 0);
	fe_log(fe, "K0 ");
}

/* Without VHOST_USER_F_PROTOCOL_FEATURES there is no enabling, the kick descriptor is enough. */
static void test_start_without_protocol_features(void **state)
{
	struct frontend *fe = *state;
	uint64_t features = F_VERSION_1;
	uint32_t s[] = { 0, 1 };

	fe_connect(fe);
	fe_negotiate(fe, ALL_FEATURES, ALL_PF);
	fe_ok(fe, SET_FEATURES, &features, 8, NULL, 0);
	fe_mem_table(fe);
	fe_ring_setup(fe, 0);
	fe_log(fe, "K0 ");
	fe_refused(fe, SET_VRING_ENABLE, s, sizeof(s), NULL, 0);
}

static void test_start_without_version_1(void **state)
{
	struct frontend *fe = *state;
	uint64_t features = F_PROTOCOL;
	uint32_t s[] = { 0, 1 };

	fe_connect(fe);
	fe_negotiate(fe, ALL_FEATURES, ALL_PF);
	fe_ok(fe, SET_FEATURES, &features, 8, NULL, 0);
	fe_mem_table(fe);
	fe_ring_setup(fe, 0);
	fe_refused(fe, SET_VRING_ENABLE, s, sizeof(s), NULL, 0);
	fe_log(fe, "");
}

static void test_start_outside_memory(void **state)
{
	struct frontend *fe = *state;
	struct {
		uint32_t index, flags;
		uint64_t desc, used, avail, log;
	} addr = { 0, 0, 0x1000, 0x2000, 0x3000, 0 };
	uint32_t s[] = { 0, 1 };

	fe_connect(fe);
	fe_negotiate(fe, ALL_FEATURES, ALL_PF);
	fe_mem_table(fe);
	fe_ring_setup(fe, 0);
	fe_ok(fe, SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
	fe_refused(fe, SET_VRING_ENABLE, s, sizeof(s), NULL, 0);
	fe_log(fe, "");
	fe_ring_setup(fe, 0);
	fe_enable(fe, 0, true);
	fe_log(fe, "K0 ");
}

/* A ring that its driver broke stays stopped, whatever the others do, until the next reset. */
static void test_broken_ring(void **state)
{
	struct frontend *fe = *state;
	struct vring *vr = vu_dev_vring(fe->dev, 0);
	struct vring_chain chain;

	fe_ready(fe);
	driver_offer(&fe->d[0], RING_NUM);
	assert_int_equal(vring_pop(vr, &chain), -EPROTO);
	assert_true(signalled(fe->err[0]));
	fe_enable(fe, 1, true);
	assert_int_equal(vring_pop(vr, &chain), 0);
	notify(fe->kick[1]);
	fe_log(fe, "K1 ");
	fe->d[0].next_avail = 0;
	fe->d[0].avail->idx = 0;
	fe_stop(fe);
	fe_start(fe);
	fe_log(fe, "S K0 K1 K2 ");
	driver_desc(&fe->d[0], 0, DRIVER_DATA, 8, 0, 0);
	driver_offer(&fe->d[0], 0);
	assert_int_equal(vring_pop(vr, &chain), 1);
}

static void test_kick_fd_replaced_while_running(void **state)
{
	struct frontend *fe = *state;
	uint64_t index = 1;
	int other = eventfd(0, EFD_CLOEXEC);

	fe_ready(fe);
	fe_ok(fe, SET_VRING_KICK, &index, 8, &other, 1);
	notify(other);
	fe_log(fe, "K1 ");
	notify(fe->kick[1]);
	fe_log(fe, "");
	close(other);
}

static void test_kick_fd_is_no_eventfd(void **state)
{
	struct frontend *fe = *state;
	uint64_t index = 1;
	int pipefd[2];

	fe_ready(fe);
	/* A file cannot be polled, a pipe can. */
	fe_refused(fe, SET_VRING_KICK, &index, 8, &fe->memfd, 1);
	assert_int_equal(pipe(pipefd), 0);
	fe_ok(fe, SET_VRING_KICK, &index, 8, &pipefd[0], 1);
	assert_int_equal(write(pipefd[1], "abc", 3), 3);
	fe_log(fe, "");
	close(pipefd[0]);
	close(pipefd[1]);
	fe_log(fe, "");
	notify(fe->kick[2]);
	fe_log(fe, "K2 ");
}

static void test_call_fd_removed(void **state)
{
	struct frontend *fe = *state;
	struct vring *vr = vu_dev_vring(fe->dev, 0);
	uint64_t nofd = 0x100;
	struct vring_chain chain;

	fe_ready(fe);
	fe_ok(fe, SET_VRING_CALL, &nofd, 8, NULL, 0);
	fe_ok(fe, SET_VRING_ERR, &nofd, 8, NULL, 0);
	driver_desc(&fe->d[0], 0, DRIVER_DATA, 8, 0, 0);
	driver_offer(&fe->d[0], 0);
	assert_int_equal(vring_pop(vr, &chain), 1);
	vring_push(vr, &chain, 0);
	vring_signal(vr);
	assert_false(signalled(fe->call[0]));
}

static void test_mem_table_under_running_rings(void **state)
{
	struct frontend *fe = *state;
	struct vring *vr = vu_dev_vring(fe->dev, 0);
	void *before;
	struct vring_chain chain;

	fe_ready(fe);
	before = mem_of(fe, DRIVER_GPA);
	fe_mem_table(fe);
	assert_ptr_equal(mem_of(fe, DRIVER_GPA), before);
	driver_desc(&fe->d[0], 0, DRIVER_DATA, 8, 0, 0);
	driver_offer(&fe->d[0], 0);
	assert_int_equal(vring_pop(vr, &chain), 1);
	fe_log(fe, "");
}

/* ---- the stream ---- */

static void test_byte_by_byte(void **state)
{
	struct frontend *fe = *state;
	uint32_t msg[5] = { SET_FEATURES, VERSION | NEED_REPLY, 8, 0, 1 };
	uint64_t result;
	size_t i;

	fe_connect(fe);
	fe_negotiate(fe, ALL_FEATURES, ALL_PF);
	for (i = 0; i < sizeof(msg); i++) {
		assert_true(fe_silent(fe));
		assert_int_equal(send(fe->sock, (char *)msg + i, 1, 0), 1);
	}
	fe_reply(fe, SET_FEATURES, &result, 8);
	assert_int_equal(result, 0);
}

static void test_several_at_once(void **state)
{
	struct frontend *fe = *state;
	uint64_t index = 0, v;
	int i;

	fe_connect(fe);
	fe_negotiate(fe, ALL_FEATURES, ALL_PF);
	/* Descriptors must stay with their messages. */
	for (i = 0; i < 3; i++) {
		fe_send(fe, SET_VRING_CALL, VERSION | NEED_REPLY, &index, 8, &fe->call[i], 1);
		fe_send(fe, SET_OWNER, VERSION | NEED_REPLY, NULL, 0, NULL, 0);
	}
	for (i = 0; i < 3; i++) {
		fe_reply(fe, SET_VRING_CALL, &v, 8);
		assert_int_equal(v, 0);
		fe_reply(fe, SET_OWNER, &v, 8);
		assert_int_equal(v, 0);
	}
}

/* Each piece of a message may bring descriptors; together they may be too many. */
static void test_fds_in_two_pieces(void **state)
{
	struct frontend *fe = *state;
	uint32_t msg[] = { SET_OWNER, VERSION | NEED_REPLY, 0 };
	union {
		char buf[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr align;
	} control = { .align = { CMSG_LEN(8 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov = { msg, 6 };
	struct msghdr mh = { .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf) };
	int i, fds[8], before;
	uint64_t result;

	fe_ready(fe);
	before = fe_count_fds();
	for (i = 0; i < 8; i++)
		fds[i] = fe->kick[0];
	memcpy(CMSG_DATA(&control.align), fds, sizeof(fds));
	for (i = 0; i < 2; i++) {
		iov.iov_base = (char *)msg + 6 * i;
		assert_int_equal(sendmsg(fe->sock, &mh, 0), 6);
		fe_pump(fe);
	}
	fe_reply(fe, SET_OWNER, &result, 8);
	assert_int_equal(result, 1);
	assert_int_equal(fe_count_fds(), before);
}

static void test_payload_beyond_any_size(void **state)
{
	struct frontend *fe = *state;
	uint32_t hdr[] = { SET_OWNER, VERSION, 1u << 31 };

	fe_ready(fe);
	assert_int_equal(send(fe->sock, hdr, sizeof(hdr), 0), sizeof(hdr));
	assert_true(closed(fe));
	fe_log(fe, "S D ");
}

static void test_incomplete_message(void **state)
{
	struct frontend *fe = *state;
	struct timespec begin, now;

	fe_ready(fe);
	assert_int_equal(send(fe->sock, "\2\0\0", 3, 0), 3);
	fe_log(fe, "");
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		assert_true(sd_event_run(fe->loop, 100000) >= 0);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (!strstr(fe->log, "D") && now.tv_sec - begin.tv_sec < 15);
	assert_true(closed(fe));
	fe_log(fe, "S D ");
	assert_in_range(now.tv_sec - begin.tv_sec, 4, 14);
}

static void test_answers_not_read(void **state)
{
	struct frontend *fe = *state;
	int i;

	fe_connect(fe);
	fe_negotiate(fe, ALL_FEATURES, ALL_PF);
	for (i = 0; i < 2000 && !fe->log[0]; i++) {
		uint32_t hdr[] = { GET_SHMEM_CONFIG, VERSION, 0 };

		if (send(fe->sock, hdr, sizeof(hdr), MSG_NOSIGNAL) < 0)
			break;
		fe_pump(fe);
	}
	fe_log(fe, "D ");
}

static void test_one_connection_only(void **state)
{
	struct frontend *fe = *state;
	int first;

	fe_connect(fe);
	first = fe->sock;
	fe_connect(fe);
	fe_send(fe, GET_FEATURES, VERSION, NULL, 0, NULL, 0);
	assert_true(fe_silent(fe));
	close(fe->sock);
	fe->sock = first;
	assert_int_equal(fe_get(fe, GET_FEATURES), ALL_FEATURES);
}

/* fe_pump() fails on whoever spins */
static void test_no_file_for_the_connection(void **state)
{
	struct frontend *fe = *state;
	struct rlimit before, one_more;
	int next = dup(fe->listen_fd), i;
	struct pollfd answer;

	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	one_more = before;
	one_more.rlim_cur = (rlim_t)next + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &one_more), 0);
	fe_connect(fe);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	fe_send(fe, GET_FEATURES, VERSION, NULL, 0, NULL, 0);
	answer = (struct pollfd){ .fd = fe->sock, .events = POLLIN };
	for (i = 0; i < 500 && !poll(&answer, 1, 0); i++)
		sd_event_run(fe->loop, 10000);
	assert_int_equal(poll(&answer, 1, 0), 1);
}

/* ---- ends of the connection ---- */

static void hang_up(struct frontend *fe)
{
	close(fe->sock);
	fe->sock = -1;
}

static void test_disconnect_at_once(void **state)
{
	struct frontend *fe = *state;

	fe_connect(fe);
	hang_up(fe);
	fe_log(fe, "D ");
	fe_log(fe, "");
}

static void test_disconnect_negotiated(void **state)
{
	struct frontend *fe = *state;

	fe_connect(fe);
	fe_negotiate(fe, ALL_FEATURES, ALL_PF);
	hang_up(fe);
	fe_log(fe, "D ");
}

static void test_disconnect_rings_set_up(void **state)
{
	struct frontend *fe = *state;

	fe_connect(fe);
	fe_negotiate(fe, ALL_FEATURES, ALL_PF);
	fe_mem_table(fe);
	fe_ring_setup(fe, 0);
	hang_up(fe);
	fe_log(fe, "D ");
}

static void test_disconnect_running(void **state)
{
	struct frontend *fe = *state;

	fe_ready(fe);
	notify(fe->kick[0]);
	hang_up(fe);
	fe_pump(fe);
	/* The kick may come before, never after. */
	assert_string_equal(fe->log + strlen(fe->log) - 4, "S D ");
}

static void test_disconnect_stopped(void **state)
{
	struct frontend *fe = *state;

	fe_ready(fe);
	fe_stop(fe);
	fe_log(fe, "S ");
	hang_up(fe);
	fe_log(fe, "D ");
}

static void test_disconnect_within_message(void **state)
{
	struct frontend *fe = *state;
	uint32_t hdr[] = { SET_VRING_KICK, VERSION, 8 };
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { .align = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov = { hdr, sizeof(hdr) };
	struct msghdr mh = { .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf) };
	int fds;

	fe_ready(fe);
	fds = fe_count_fds();
	memcpy(CMSG_DATA(&control.align), &fe->kick[0], sizeof(int));
	assert_int_equal(sendmsg(fe->sock, &mh, 0), sizeof(hdr));
	fe_pump(fe);
	assert_int_equal(fe_count_fds(), fds + 1);
	hang_up(fe);
	fe_log(fe, "S D ");
}

static void test_destroy_at_every_stage(void **state)
{
	struct frontend *fe;
	int stage;

	(void)state;
	for (stage = 0; stage < 5; stage++) {
		void *st;

		fe_setup(&st);
		fe = st;
		if (stage > 0)
			fe_connect(fe);
		if (stage > 1)
			fe_negotiate(fe, ALL_FEATURES, ALL_PF);
		if (stage > 2)
			fe_start(fe);
		if (stage > 3)
			assert_int_equal(vu_dev_map_window(fe->dev, fe->window_fd), 0);
		fe_teardown(&st);
	}
}

#define fe_test(name) cmocka_unit_test_setup_teardown(name, fe_setup, fe_teardown)

static const struct CMUnitTest plain[] = {
	fe_test(test_get_features),
	fe_test(test_set_features),
	fe_test(test_protocol_features),
	fe_test(test_no_answer_without_reply_ack),
	fe_test(test_get_queue_num),
	fe_test(test_get_config),
	fe_test(test_get_config_bad_range),
	fe_test(test_set_config_is_ignored),
	fe_test(test_get_shmem_config),
	fe_test(test_set_mem_table),
	fe_test(test_set_mem_table_eight_regions),
	fe_test(test_mem_table_refused),
	fe_test(test_kick),
	fe_test(test_chain_there_and_back),
	fe_test(test_kick_before_start),
	fe_test(test_stop),
	fe_test(test_stop_by_base_alone),
	fe_test(test_stop_by_reset_device),
	fe_test(test_stop_by_reset_owner),
	fe_test(test_one_ring_restarts_all),
	fe_test(test_many_restarts),
	fe_test(test_base_is_kept),
	fe_test(test_no_start_without_enable),
	fe_test(test_no_start_without_kick),
	fe_test(test_start_without_protocol_features),
	fe_test(test_start_without_version_1),
	fe_test(test_start_outside_memory),
	fe_test(test_broken_ring),
	fe_test(test_kick_fd_replaced_while_running),
	fe_test(test_kick_fd_is_no_eventfd),
	fe_test(test_call_fd_removed),
	fe_test(test_mem_table_under_running_rings),
	fe_test(test_byte_by_byte),
	fe_test(test_several_at_once),
	fe_test(test_fds_in_two_pieces),
	fe_test(test_payload_beyond_any_size),
	fe_test(test_incomplete_message),
	fe_test(test_answers_not_read),
	fe_test(test_one_connection_only),
	fe_test(test_no_file_for_the_connection),
	fe_test(test_disconnect_at_once),
	fe_test(test_disconnect_negotiated),
	fe_test(test_disconnect_rings_set_up),
	fe_test(test_disconnect_running),
	fe_test(test_disconnect_stopped),
	fe_test(test_disconnect_within_message),
	cmocka_unit_test(test_destroy_at_every_stage),
};

#define NUM_PLAIN (sizeof(plain) / sizeof(plain[0]))

int main(void)
{
	static char names[NUM_BAD][64];
	static struct CMUnitTest tests[NUM_PLAIN + NUM_BAD];
	size_t i;

	memcpy(tests, plain, sizeof(plain));
	for (i = 0; i < NUM_BAD; i++) {
		snprintf(names[i], sizeof(names[i]), "test_bad_%s", bad[i].name);
		tests[NUM_PLAIN + i] = (struct CMUnitTest){ names[i], test_bad, bad_setup,
							    fe_teardown, (void *)&bad[i] };
	}
	log_init("test_vhost_user", false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
