// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Random vhost-user messages against the device, through real sockets: most of them nearly right,
 * in pieces of random length, on both channels, while an owner takes chains, gives them back and
 * asks for the window. Nothing may crash, hang, leak a descriptor or break the order of the ops;
 * and after each round a well-behaved QEMU must be served.
 *
 * HYV_SEED repeats a run, HYV_FUZZ_ROUNDS makes it longer.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "frontend.h"
#include "log.h"
#include "random.h"

#define ROUNDS		   250
#define MESSAGES_PER_ROUND 100

static struct rnd r;

/* What the fuzzer did that mattered, to see that it does. */
static struct {
	unsigned int starts, stops, lives, pops, broken, refused, accepted, recovered;
} seen;

/* The owner: uses the rings like the daemon does. */
static void owner_kick(struct frontend *fe, unsigned int queue)
{
	struct vring *vr = vu_dev_vring(fe->dev, queue);
	struct vring_chain chain;
	char buf[64] = "";
	int ret, i;

	seen.starts++;
	if (rnd(&r, 2))
		vu_dev_map_window(fe->dev, fe->window_fd);
	for (i = 0; (ret = vring_pop(vr, &chain)) == 1 && i < 100; i++) {
		seen.pops++;
		vring_chain_read(vr, &chain, 0, buf, rnd(&r, sizeof(buf)));
		vring_chain_write(vr, &chain, 0, buf, rnd(&r, sizeof(buf)));
		if (rnd(&r, 4))
			vring_push(vr, &chain, 0);
	}
	seen.broken += ret < 0;
	vring_signal(vr);
}

/* Kicks only between starts and stops, stops only after starts, one disconnect, last. */
static void check_log(struct frontend *fe)
{
	const char *p = fe->log;
	bool running = false;

	for (; *p; p = strchr(p, ' ') + 1) {
		if (*p == 'K') {
			running = true;
		} else if (*p == 'S') {
			assert_true(running);
			running = false;
			seen.stops++;
		} else if (*p == 'L') {
			assert_true(running);
			seen.lives += p[1] == '0';
		} else {
			assert_string_equal(p, "D ");
			assert_false(running);
		}
	}
	/* Keep what follows in order: a run goes on. */
	snprintf(fe->log, sizeof(fe->log), "%s", running ? "K0 " : "");
}

static void random_ring(struct frontend *fe)
{
	struct driver *d = &fe->d[rnd(&r, NUM_QUEUES)];
	unsigned int i;

	for (i = 0; i < RING_NUM; i++)
		driver_desc(d, i, DRIVER_DATA + rnd(&r, 4096), rnd(&r, 20) ? 1 + rnd(&r, 100) : 0,
			    rnd(&r, 3) ? rnd(&r, 2) * VRING_DESC_F_WRITE : rnd(&r, 8),
			    rnd(&r, RING_NUM + 1));
	for (i = rnd(&r, 8); i; i--)
		driver_offer(d, rnd(&r, 50) ? rnd(&r, RING_NUM) : rnd(&r, 65536));
	if (!rnd(&r, 20))
		d->avail->idx = rnd(&r, 65536);
	i = rnd(&r, NUM_QUEUES);
	if (write(fe->kick[i], &(uint64_t){ 1 }, 8) != 8)
		assert_int_equal(errno, EAGAIN);
}

/* Fill in a payload that could be right. Return: its size */
static uint32_t payload_of(uint32_t request, uint64_t *p, unsigned int *num_fds)
{
	static const uint32_t nums[] = { 0, 1, 1, 16, 16, 256, 3, 0xffffffff };
	const uint64_t va = DRIVER_QEMU_VA + rnd(&r, 3) * DRIVER_STRIDE;
	uint32_t i, n, index = rnd(&r, 30) ? rnd(&r, NUM_QUEUES) : rnd64(&r);

	*num_fds = 0;
	switch (request) {
	case SET_FEATURES:
		p[0] = rnd(&r, 8) ? ALL_FEATURES : ALL_FEATURES & rnd64(&r);
		return 8;
	case SET_PROTOCOL_FEATURES:
		p[0] = rnd(&r, 8) ? ALL_PF : ALL_PF & rnd64(&r);
		return 8;
	case SET_MEM_TABLE:
		n = rnd(&r, 3) ? 1 : rnd(&r, 10);
		*num_fds = n > 8 ? 8 : n;
		p[0] = n;
		for (i = 0; i < n; i++) {
			p[1 + 4 * i] = DRIVER_GPA + i * DRIVER_MEM;
			p[2 + 4 * i] = rnd(&r, 6) ? DRIVER_MEM : rnd64(&r) >> rnd(&r, 64);
			p[3 + 4 * i] = DRIVER_QEMU_VA + i * DRIVER_MEM;
			p[4 + 4 * i] = rnd(&r, 6) ? 0 : rnd64(&r) >> rnd(&r, 64);
		}
		return 8 + 32 * n;
	case SET_VRING_ADDR:
		p[0] = index;
		p[1] = va + DRIVER_DESC;
		p[2] = va + DRIVER_USED;
		p[3] = va + DRIVER_AVAIL;
		p[4] = 0;
		if (!rnd(&r, 8))
			p[1 + rnd(&r, 3)] += rnd64(&r) >> rnd(&r, 64);
		return 40;
	case SET_VRING_NUM:
	case SET_VRING_BASE:
	case GET_VRING_BASE:
	case SET_VRING_ENABLE:
		p[0] = (uint64_t)nums[rnd(&r, 8)] << 32 | index;
		return 8;
	case SET_VRING_KICK:
	case SET_VRING_CALL:
	case SET_VRING_ERR:
		p[0] = index | (rnd(&r, 10) ? 0 : 0x100);
		*num_fds = !(p[0] & 0x100);
		return 8;
	case SET_BACKEND_REQ_FD:
		*num_fds = 1;
		return 0;
	case GET_CONFIG:
	case SET_CONFIG:
		n = rnd(&r, 100);
		p[0] = (uint64_t)n << 32 | rnd(&r, 200);
		return 12 + n;
	default:
		return 0;
	}
}

static const uint32_t requests[] = {
	GET_FEATURES,
	SET_FEATURES,
	SET_FEATURES,
	SET_OWNER,
	RESET_OWNER,
	SET_MEM_TABLE,
	SET_MEM_TABLE,
	SET_MEM_TABLE,
	SET_VRING_NUM,
	SET_VRING_NUM,
	SET_VRING_ADDR,
	SET_VRING_ADDR,
	SET_VRING_BASE,
	GET_VRING_BASE,
	SET_VRING_KICK,
	SET_VRING_KICK,
	SET_VRING_KICK,
	SET_VRING_CALL,
	SET_VRING_ERR,
	GET_PROTOCOL_FEATURES,
	SET_PROTOCOL_FEATURES,
	GET_QUEUE_NUM,
	SET_VRING_ENABLE,
	SET_VRING_ENABLE,
	SET_VRING_ENABLE,
	SET_VRING_ENABLE,
	SET_BACKEND_REQ_FD,
	GET_CONFIG,
	SET_CONFIG,
	RESET_DEVICE,
	GET_SHMEM_CONFIG,
	ADD_MEM_REG,
	0,
	99,
};

/* Write in random pieces, the device working in between; files go with the first. */
static bool send_pieces(struct frontend *fe, int sock, const void *buf, size_t len, const int *fds,
			unsigned int num_fds)
{
	union {
		char buf[CMSG_SPACE(16 * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	size_t at = 0;

	while (at < len) {
		size_t n = rnd(&r, 4) ? len - at : 1 + rnd(&r, len - at);
		struct iovec iov = { (char *)buf + at, n };
		struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

		if (num_fds && !at) {
			mh.msg_control = control.buf;
			mh.msg_controllen = CMSG_SPACE(num_fds * sizeof(int));
			control.align.cmsg_level = SOL_SOCKET;
			control.align.cmsg_type = SCM_RIGHTS;
			control.align.cmsg_len = CMSG_LEN(num_fds * sizeof(int));
			memcpy(CMSG_DATA(&control.align), fds, num_fds * sizeof(int));
		}
		if (sendmsg(sock, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)n)
			return false;
		at += n;
		fe_pump(fe);
	}
	return true;
}

/*
 * Send one message, right or nearly so. Return: whether the connection still stands; @in_step
 * becomes false when the header lies about the payload's size.
 */
static bool random_message(struct frontend *fe, bool *in_step)
{
	uint32_t request = requests[rnd(&r, sizeof(requests) / sizeof(requests[0]))];
	struct {
		uint32_t hdr[3];
		uint64_t payload[64];
	} __attribute__((packed)) msg = { 0 };
	uint64_t p[64] = { 0 };
	unsigned int i, num_fds;
	uint32_t size = payload_of(request, p, &num_fds);
	int fds[16], pair[2] = { -1, -1 };
	bool ok;

	if (request == SET_BACKEND_REQ_FD) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		if (fe->be >= 0)
			close(fe->be);
		fe->be = pair[0];
	}
	if (!rnd(&r, 15))
		num_fds = rnd(&r, 12);
	for (i = 0; i < num_fds; i++) {
		if (request == SET_MEM_TABLE)
			fds[i] = rnd(&r, 8) ? fe->memfd : fe->err[0];
		else if (request == SET_BACKEND_REQ_FD)
			fds[i] = pair[1];
		else
			fds[i] = request == SET_VRING_CALL ? fe->call[rnd(&r, NUM_QUEUES)] :
							     fe->kick[rnd(&r, NUM_QUEUES)];
		if (!rnd(&r, 50))
			fds[i] = fe->memfd;
	}
	if (!rnd(&r, 15))
		size = rnd(&r, sizeof(msg.payload));
	msg.hdr[0] = request;
	msg.hdr[1] = VERSION | (rnd(&r, 2) ? NEED_REPLY : 0);
	if (!rnd(&r, 30))
		msg.hdr[1] = rnd64(&r);
	msg.hdr[2] = size;
	memcpy(msg.payload, p, sizeof(p));
	for (i = rnd(&r, 10) ? 0 : 1 + rnd(&r, 4); i; i--)
		((uint8_t *)msg.payload)[rnd(&r, 64)] = rnd64(&r);
	if (!rnd(&r, 1000)) {
		msg.hdr[2] = rnd64(&r);
		*in_step = false;
	}
	ok = send_pieces(fe, fe->sock, &msg, 12 + size, fds, num_fds);
	if (pair[1] >= 0)
		close(pair[1]);
	return ok;
}

/* Read what the device says on a socket, so that it can go on; count the verdicts. */
static bool drain(struct frontend *fe, int sock)
{
	uint32_t buf[1024];
	ssize_t n;

	fe_pump(fe);
	while ((n = recv(sock, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		if (n >= 20 && buf[2] == 8) {
			seen.refused += buf[3] == 1;
			seen.accepted += buf[3] == 0;
		}
		fe_pump(fe);
	}
	return n < 0 && errno == EAGAIN;
}

/* QEMU on the back-end channel: reads, and answers something. */
static void random_answer(struct frontend *fe)
{
	static const uint32_t asked[] = { BE_SHMEM_MAP, BE_SHMEM_UNMAP, BE_HOST_NOTIFIER, 7 };
	uint32_t msg[] = { asked[rnd(&r, 4)], VERSION | IS_REPLY, 8, rnd(&r, 4) == 0, 0 };

	if (fe->be < 0)
		return;
	if (rnd(&r, 3))
		drain(fe, fe->be);
	if (!rnd(&r, 50))
		msg[rnd(&r, 3)] = rnd64(&r);
	if (rnd(&r, 2))
		send_pieces(fe, fe->be, msg, rnd(&r, 50) ? sizeof(msg) : rnd(&r, sizeof(msg)), NULL,
			    0);
}

/* A QEMU that knows what it does takes over the connection: it must get all it wants. */
static void serve_properly(struct frontend *fe)
{
	struct vring *vr = vu_dev_vring(fe->dev, 0);
	struct vring_chain chain;
	unsigned int i;

	fe->on_kick = NULL;
	fe_negotiate(fe, ALL_FEATURES, ALL_PF);
	fe_stop(fe);
	check_log(fe);
	assert_string_equal(fe->log, "");
	memset(fe->mem, 0, DRIVER_DATA);
	for (i = 0; i < NUM_QUEUES; i++) {
		uint64_t n;

		fe->d[i].next_avail = 0;
		while (read(fe->kick[i], &n, sizeof(n)) > 0)
			;
	}
	fe_start(fe);
	fe_log(fe, "K0 K1 K2 ");
	driver_desc(&fe->d[0], 0, DRIVER_DATA, 8, 0, 0);
	driver_offer(&fe->d[0], 0);
	assert_int_equal(vring_pop(vr, &chain), 1);
	vring_push(vr, &chain, 0);
	assert_int_equal(fe->d[0].used->idx, 1);
	assert_int_equal(vu_dev_map_window(fe->dev, fe->window_fd), 0);
	fe_be_request(fe, BE_SHMEM_MAP);
	fe_be_answer(fe, BE_SHMEM_MAP, 0);
	fe_be_request(fe, BE_HOST_NOTIFIER);
	fe_be_answer(fe, BE_HOST_NOTIFIER, 0);
	fe_log(fe, "L0 ");
	seen.recovered++;
}

/* One life of a device. */
static void fuzz_round(struct frontend *fe)
{
	bool alive = true, in_step = true;
	unsigned int i;

	fe->on_kick = owner_kick;
	fe_connect(fe);
	if (rnd(&r, 4)) {
		fe_negotiate(fe, ALL_FEATURES, ALL_PF);
		if (rnd(&r, 4))
			fe_start(fe);
	}
	for (i = 0; alive && i < MESSAGES_PER_ROUND; i++) {
		random_ring(fe);
		alive = random_message(fe, &in_step);
		random_answer(fe);
		alive = alive && drain(fe, fe->sock);
		check_log(fe);
	}
	if (alive && in_step)
		serve_properly(fe);
}

static unsigned int rounds(void)
{
	const char *env = getenv("HYV_FUZZ_ROUNDS");

	return env ? strtoul(env, NULL, 0) : ROUNDS;
}

static void test_fuzz(void **state)
{
	unsigned int i, n = rounds();

	(void)state;
	rnd_init(&r, __func__);
	for (i = 0; i < n; i++) {
		void *st;

		fe_setup(&st);
		fuzz_round(st);
		fe_teardown(&st);
	}
	printf("%u kicks, %u stops, %u windows live, %u chains, %u broken rings, "
	       "%u requests accepted, %u refused, %u devices in order at the end\n",
	       seen.starts, seen.stops, seen.lives, seen.pops, seen.broken, seen.accepted,
	       seen.refused, seen.recovered);
	/* A fuzzer whose messages are all refused at the door tests nothing. */
	assert_true(seen.starts > n && seen.stops > n / 4 && seen.pops > n && seen.broken > n / 20);
	assert_true(seen.lives > n / 100 && seen.accepted > n && seen.refused > n);
	assert_true(seen.recovered > n / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_fuzz) };

	log_init("test_vu_fuzz", false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
