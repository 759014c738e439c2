// SPDX-License-Identifier: GPL-2.0-or-later
/* The test front-end: see frontend.h */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "frontend.h"

/* What follows the header of SHMEM_MAP and SHMEM_UNMAP */
struct fe_shmem_map {
	uint8_t shmid, pad[7];
	uint64_t fd_offset, shm_offset, len, flags;
};

static void note(struct frontend *fe, const char *fmt, int n)
{
	size_t len = strlen(fe->log);

	snprintf(fe->log + len, sizeof(fe->log) - len, fmt, n);
}

static void op_kick(void *arg, unsigned int queue)
{
	struct frontend *fe = arg;

	note(fe, "K%d ", queue);
	if (fe->on_kick)
		fe->on_kick(fe, queue);
}

static void op_stop(void *arg)
{
	struct frontend *fe = arg;
	char c;

	note(fe, "S ", 0);
	/* QEMU must not have heard of it yet. */
	assert_true(fe->sock < 0 || recv(fe->sock, &c, 1, MSG_DONTWAIT | MSG_PEEK) <= 0);
}

static void op_live(void *arg, int error)
{
	note(arg, "L%d ", error);
}

static void op_disconnect(void *arg)
{
	note(arg, "D ", 0);
}

static const struct vu_dev_ops ops = {
	.kick = op_kick,
	.stop = op_stop,
	.window_live = op_live,
	.disconnect = op_disconnect,
};

int fe_count_fds(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 512; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int listen_anywhere(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	/* An address of the family alone lets the kernel choose an abstract one. */
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

int fe_setup(void **state)
{
	struct frontend *fe = calloc(1, sizeof(*fe));
	struct vu_dev_setup setup = {
		.num_queues = NUM_QUEUES,
		.config = CONFIG_TEXT,
		.config_len = sizeof(CONFIG_TEXT),
		.window_size = WINDOW_SIZE,
	};
	unsigned int i;

	fe->fds_before = fe_count_fds();
	fe->sock = -1;
	fe->be = -1;
	fe->memfd = driver_memfd(&fe->mem);
	assert_true(fe->memfd >= 0);
	for (i = 0; i < NUM_QUEUES; i++) {
		driver_init(&fe->d[i], fe->mem, i, RING_NUM);
		fe->kick[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		fe->call[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		fe->err[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	}
	fe->window_fd = memfd_create("window", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fe->window_fd, WINDOW_SIZE), 0);
	assert_true(sd_event_new(&fe->loop) >= 0);
	fe->gm = gmem_create(NULL);
	fe->listen_fd = listen_anywhere();
	setup.listen_fd = fe->listen_fd;
	assert_int_equal(vu_dev_create(&fe->dev, fe->loop, &setup, fe->gm, &ops, fe), 0);
	*state = fe;
	return 0;
}

static void close_if(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int fe_teardown(void **state)
{
	struct frontend *fe = *state;
	unsigned int i;

	vu_dev_destroy(fe->dev);
	gmem_destroy(fe->gm);
	sd_event_unref(fe->loop);
	close_if(&fe->listen_fd);
	close_if(&fe->sock);
	close_if(&fe->be);
	close_if(&fe->memfd);
	close_if(&fe->window_fd);
	for (i = 0; i < NUM_QUEUES; i++) {
		close_if(&fe->kick[i]);
		close_if(&fe->call[i]);
		close_if(&fe->err[i]);
	}
	munmap(fe->mem, DRIVER_MEM);
	assert_int_equal(fe_count_fds(), fe->fds_before);
	free(fe);
	return 0;
}

void fe_pump(struct frontend *fe)
{
	unsigned int i;
	int ret;

	for (i = 0; (ret = sd_event_run(fe->loop, 0)) > 0; i++)
		assert_true(i < 1000); /* an event that nobody consumes */
	assert_int_equal(ret, 0);
}

void fe_connect(struct frontend *fe)
{
	struct sockaddr_un sa;
	socklen_t len = sizeof(sa);

	assert_int_equal(getsockname(fe->listen_fd, (struct sockaddr *)&sa, &len), 0);
	fe->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fe->sock, (struct sockaddr *)&sa, len), 0);
	fe_pump(fe);
}

/* Write to a socket, with copies of descriptors on the first byte. */
static void send_bytes(int sock, const void *buf, size_t len, const int *fds, unsigned int num_fds)
{
	union {
		char buf[CMSG_SPACE(16 * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { (void *)buf, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (num_fds) {
		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(num_fds * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(num_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, num_fds * sizeof(int));
	}
	assert_int_equal(sendmsg(sock, &mh, MSG_NOSIGNAL), len);
}

void fe_send(struct frontend *fe, uint32_t request, uint32_t flags, const void *payload,
	     uint32_t size, const int *fds, unsigned int num_fds)
{
	uint32_t msg[3 + 2048] = { request, flags, size };

	assert_true(size <= sizeof(msg) - 12);
	if (size)
		memcpy(msg + 3, payload, size);
	send_bytes(fe->sock, msg, 12 + size, fds, num_fds);
}

bool fe_silent(struct frontend *fe)
{
	char c;

	fe_pump(fe);
	return recv(fe->sock, &c, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

void fe_reply(struct frontend *fe, uint32_t request, void *payload, uint32_t size)
{
	uint32_t hdr[3];

	fe_pump(fe);
	assert_int_equal(recv(fe->sock, hdr, sizeof(hdr), MSG_DONTWAIT), sizeof(hdr));
	assert_int_equal(hdr[0], request);
	assert_int_equal(hdr[1], VERSION | IS_REPLY);
	assert_int_equal(hdr[2], size);
	if (size)
		assert_int_equal(recv(fe->sock, payload, size, MSG_DONTWAIT), size);
}

void fe_ok(struct frontend *fe, uint32_t request, const void *payload, uint32_t size,
	   const int *fds, unsigned int num_fds)
{
	uint64_t result;

	fe_send(fe, request, VERSION | NEED_REPLY, payload, size, fds, num_fds);
	fe_reply(fe, request, &result, sizeof(result));
	assert_int_equal(result, 0);
}

void fe_refused(struct frontend *fe, uint32_t request, const void *payload, uint32_t size,
		const int *fds, unsigned int num_fds)
{
	uint64_t result;

	fe_send(fe, request, VERSION | NEED_REPLY, payload, size, fds, num_fds);
	fe_reply(fe, request, &result, sizeof(result));
	assert_int_not_equal(result, 0);
}

uint64_t fe_get(struct frontend *fe, uint32_t request)
{
	uint64_t v;

	fe_send(fe, request, VERSION, NULL, 0, NULL, 0);
	fe_reply(fe, request, &v, sizeof(v));
	return v;
}

void fe_negotiate(struct frontend *fe, uint64_t features, uint64_t protocol_features)
{
	assert_int_equal(fe_get(fe, GET_FEATURES), ALL_FEATURES);
	if (features & F_PROTOCOL) {
		assert_int_equal(fe_get(fe, GET_PROTOCOL_FEATURES), ALL_PF);
		fe_send(fe, SET_PROTOCOL_FEATURES, VERSION, &protocol_features, 8, NULL, 0);
	}
	fe_send(fe, SET_OWNER, VERSION, NULL, 0, NULL, 0);
	fe_send(fe, SET_FEATURES, VERSION, &features, 8, NULL, 0);
	if (protocol_features & PF_BACKEND_REQ)
		fe_channel(fe);
	assert_true(fe_silent(fe));
}

void fe_channel(struct frontend *fe)
{
	int pair[2];

	close_if(&fe->be);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fe->be = pair[0];
	fe_ok(fe, SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1);
	close(pair[1]);
}

void fe_mem_table(struct frontend *fe)
{
	struct {
		uint32_t num, padding;
		struct fe_region r;
	} table = { 1, 0, { DRIVER_GPA, DRIVER_MEM, DRIVER_QEMU_VA, 0 } };

	fe_ok(fe, SET_MEM_TABLE, &table, sizeof(table), &fe->memfd, 1);
}

void fe_ring_setup(struct frontend *fe, unsigned int i)
{
	const uint64_t base = DRIVER_QEMU_VA + i * DRIVER_STRIDE;
	struct {
		uint32_t index, flags;
		uint64_t desc, used, avail, log;
	} addr = { i, 0, base + DRIVER_DESC, base + DRIVER_USED, base + DRIVER_AVAIL, 0 };
	uint32_t num[] = { i, RING_NUM }, start[] = { i, 0 };
	uint64_t index = i;

	fe_ok(fe, SET_VRING_NUM, num, sizeof(num), NULL, 0);
	fe_ok(fe, SET_VRING_BASE, start, sizeof(start), NULL, 0);
	fe_ok(fe, SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
	fe_ok(fe, SET_VRING_ERR, &index, sizeof(index), &fe->err[i], 1);
	fe_ok(fe, SET_VRING_KICK, &index, sizeof(index), &fe->kick[i], 1);
	fe_ok(fe, SET_VRING_CALL, &index, sizeof(index), &fe->call[i], 1);
}

void fe_enable(struct frontend *fe, unsigned int i, bool on)
{
	uint32_t state[] = { i, on };

	fe_ok(fe, SET_VRING_ENABLE, state, sizeof(state), NULL, 0);
}

void fe_start(struct frontend *fe)
{
	unsigned int i;

	fe_mem_table(fe);
	for (i = 0; i < NUM_QUEUES; i++)
		fe_ring_setup(fe, i);
	for (i = 0; i < NUM_QUEUES; i++)
		fe_enable(fe, i, true);
}

uint32_t fe_stop(struct frontend *fe)
{
	uint32_t state[2], base = 0;
	unsigned int i;

	for (i = 0; i < NUM_QUEUES; i++)
		fe_enable(fe, i, false);
	for (i = 0; i < NUM_QUEUES; i++) {
		state[0] = i;
		state[1] = 0;
		fe_send(fe, GET_VRING_BASE, VERSION, state, sizeof(state), NULL, 0);
		fe_reply(fe, GET_VRING_BASE, state, sizeof(state));
		assert_int_equal(state[0], i);
		if (!i)
			base = state[1];
	}
	return base;
}

void fe_ready(struct frontend *fe)
{
	fe_connect(fe);
	fe_negotiate(fe, ALL_FEATURES, ALL_PF);
	fe_start(fe);
	fe_log(fe, "K0 K1 K2 ");
}

void fe_log(struct frontend *fe, const char *expected)
{
	fe_pump(fe);
	assert_string_equal(fe->log, expected);
	fe->log[0] = 0;
}

size_t fe_be_read(struct frontend *fe, void *buf, size_t len, int *fd)
{
	union {
		char buf[CMSG_SPACE(4 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { buf, len };
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *c;
	ssize_t n;

	fe_pump(fe);
	n = recvmsg(fe->be, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return 0;
	c = CMSG_FIRSTHDR(&mh);
	if (c) {
		assert_int_equal(c->cmsg_len, CMSG_LEN(sizeof(int)));
		assert_non_null(fd);
		memcpy(fd, CMSG_DATA(c), sizeof(int));
	}
	return n;
}

/* Read exactly @len bytes, in as many pieces as they come. */
static void be_read_all(struct frontend *fe, void *buf, size_t len, int *fd)
{
	size_t have = 0, n;

	while (have < len) {
		n = fe_be_read(fe, (char *)buf + have, len - have, fd);
		assert_true(n > 0);
		have += n;
	}
}

void fe_be_request(struct frontend *fe, uint32_t request)
{
	union {
		struct fe_shmem_map map;
		uint64_t area[3];
	} p;
	uint32_t hdr[3], mark = ++fe->marks, seen;
	int fd = -1;

	be_read_all(fe, hdr, sizeof(hdr), &fd);
	assert_int_equal(hdr[0], request);
	assert_int_equal(hdr[1], VERSION | NEED_REPLY);
	assert_int_equal(hdr[2], request == BE_HOST_NOTIFIER ? sizeof(p.area) : sizeof(p.map));
	be_read_all(fe, &p, hdr[2], NULL);
	if (request == BE_HOST_NOTIFIER) {
		assert_int_equal(p.area[0] & 0x100, 0x100);
		assert_in_range(p.area[0] & 0xff, 0, NUM_QUEUES - 1);
	} else {
		assert_int_equal(p.map.shmid, 0);
		assert_int_equal(p.map.fd_offset, 0);
		assert_int_equal(p.map.shm_offset, 0);
		assert_int_equal(p.map.len, WINDOW_SIZE);
		assert_int_equal(p.map.flags, 1);
	}
	assert_int_equal(fd >= 0, request == BE_SHMEM_MAP);
	if (fd >= 0) {
		/* It is the window: what is written here can be read there. */
		assert_int_equal(pwrite(fd, &mark, sizeof(mark), 4096), sizeof(mark));
		assert_int_equal(pread(fe->window_fd, &seen, sizeof(seen), 4096), sizeof(seen));
		assert_int_equal(seen, mark);
		close(fd);
	}
	/* Nothing follows before the answer. */
	assert_int_equal(fe_be_read(fe, &p, 1, NULL), 0);
}

void fe_be_answer(struct frontend *fe, uint32_t request, uint64_t result)
{
	uint32_t msg[] = { request, VERSION | IS_REPLY, 8, result, result >> 32 };

	send_bytes(fe->be, msg, sizeof(msg), NULL, 0);
	fe_pump(fe);
}
