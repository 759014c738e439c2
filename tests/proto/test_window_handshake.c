// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Showing the window (vu_window.c): a front-end that answers like QEMU, in the wrong order, not at
 * all, or that stops the rings at every step.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "frontend.h"
#include "log.h"

#define CONNRESET "L-104 " /* window_live() with -ECONNRESET */

static void map(struct frontend *fe)
{
	assert_int_equal(vu_dev_map_window(fe->dev, fe->window_fd), 0);
}

/* From the request to map to live, the way QEMU does it. */
static void become_live(struct frontend *fe)
{
	map(fe);
	fe_be_request(fe, BE_SHMEM_MAP);
	fe_be_answer(fe, BE_SHMEM_MAP, 0);
	fe_log(fe, "");
	fe_be_request(fe, BE_HOST_NOTIFIER);
	fe_be_answer(fe, BE_HOST_NOTIFIER, 0);
	fe_log(fe, "L0 ");
}

static void close_be(struct frontend *fe)
{
	close(fe->be);
	fe->be = -1;
}

static void restart(struct frontend *fe)
{
	fe_stop(fe);
	fe_start(fe);
	fe_log(fe, "S K0 K1 K2 ");
}

/* Read the 12 bytes that QEMU reads first. Return: the request; a file that comes is closed. */
static uint32_t read_header(struct frontend *fe, uint32_t *size)
{
	uint32_t hdr[3];
	size_t have = 0;
	int fd = -1;

	while (have < sizeof(hdr)) {
		size_t n = fe_be_read(fe, (char *)hdr + have, sizeof(hdr) - have, &fd);

		assert_true(n > 0);
		have += n;
	}
	if (fd >= 0)
		close(fd);
	*size = hdr[2];
	return hdr[0];
}

static void test_live(void **state)
{
	fe_ready(*state);
	become_live(*state);
	fe_log(*state, "");
}

static void on_kick_map(struct frontend *fe, unsigned int queue)
{
	if (queue == 0)
		map(fe);
}

/* The owner asks from within ops->kick, the first it hears of the start. */
static void test_map_on_first_kick(void **state)
{
	struct frontend *fe = *state;

	fe->on_kick = on_kick_map;
	fe_ready(fe);
	fe_be_request(fe, BE_SHMEM_MAP);
	fe_be_answer(fe, BE_SHMEM_MAP, 0);
	fe_be_request(fe, BE_HOST_NOTIFIER);
	fe_be_answer(fe, BE_HOST_NOTIFIER, 0);
	fe_log(fe, "L0 ");
}

/* Trap 2: between map and barrier QEMU sends a table and waits, our window among the regions. */
static void test_main_socket_is_served_meanwhile(void **state)
{
	struct frontend *fe = *state;

	fe_ready(fe);
	map(fe);
	fe_mem_table(fe);
	fe_be_request(fe, BE_SHMEM_MAP);
	fe_mem_table(fe);
	fe_be_answer(fe, BE_SHMEM_MAP, 0);
	fe_mem_table(fe);
	fe_be_request(fe, BE_HOST_NOTIFIER);
	fe_mem_table(fe);
	fe_be_answer(fe, BE_HOST_NOTIFIER, 0);
	fe_log(fe, "L0 ");
}

/* One byte, and not one more before it has been read. */
static void test_knock(void **state)
{
	struct frontend *fe = *state;
	struct timespec ms = { 0, 1000000 };
	char buf[64];
	int fd = -1, i;
	ssize_t n;

	fe_ready(fe);
	map(fe);
	for (i = 0; i < 20; i++) {
		fe_pump(fe);
		nanosleep(&ms, NULL);
	}
	n = recv(fe->be, buf, sizeof(buf), MSG_DONTWAIT | MSG_PEEK);
	assert_int_equal(n, 1);
	assert_int_equal(buf[0], BE_SHMEM_MAP);
	/* Looking was not reading. */
	fe_pump(fe);
	assert_int_equal(recv(fe->be, buf, sizeof(buf), MSG_DONTWAIT | MSG_PEEK), 1);
	assert_int_equal(fe_be_read(fe, buf, 1, &fd), 1);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(fe_be_read(fe, buf, sizeof(buf), NULL), 51);
}

/* The daemon must not spin while it waits for the knock to be read. */
static void test_knock_waits_asleep(void **state)
{
	struct frontend *fe = *state;
	int events = 0;

	fe_ready(fe);
	map(fe);
	fe_pump(fe);
	while (sd_event_run(fe->loop, 50000) > 0)
		events++;
	assert_in_range(events, 0, 10);
}

/* Take the pending edge-triggered events out of the loop's epoll, as if they had come too early. */
static void swallow_edge(struct frontend *fe)
{
	struct epoll_event events[16];

	assert_true(epoll_wait(sd_event_get_fd(fe->loop), events, 16, 0) > 0);
}

/*
 * The kernel may wake the daemon before it has counted the byte as read; that must not leave QEMU
 * within the message. Here no wake-up comes at all, since the event is taken away.
 */
static void test_knock_wake_up_lost(void **state)
{
	struct frontend *fe = *state;
	char buf[64];
	int i, n = 0;

	fe_ready(fe);
	map(fe);
	fe_pump(fe);
	assert_int_equal(recv(fe->be, buf, 1, MSG_DONTWAIT), 1);
	swallow_edge(fe);
	for (i = 0; i < 50 && n <= 0; i++) {
		assert_true(sd_event_run(fe->loop, 10000) >= 0);
		n = recv(fe->be, buf, sizeof(buf), MSG_DONTWAIT);
	}
	assert_int_equal(n, 51);
}

static void test_not_running(void **state)
{
	struct frontend *fe = *state;

	assert_int_equal(vu_dev_map_window(fe->dev, fe->window_fd), -EAGAIN);
	fe_connect(fe);
	fe_negotiate(fe, ALL_FEATURES, ALL_PF);
	assert_int_equal(vu_dev_map_window(fe->dev, fe->window_fd), -EAGAIN);
	fe_start(fe);
	fe_stop(fe);
	assert_int_equal(vu_dev_map_window(fe->dev, fe->window_fd), -EAGAIN);
}

static void test_after_reset_device(void **state)
{
	struct frontend *fe = *state;

	fe_ready(fe);
	fe_ok(fe, RESET_DEVICE, NULL, 0, NULL, 0);
	assert_int_equal(vu_dev_map_window(fe->dev, fe->window_fd), -EAGAIN);
}

static void expect_no_support(struct frontend *fe, uint64_t protocol_features)
{
	fe_connect(fe);
	fe_negotiate(fe, ALL_FEATURES, protocol_features);
	fe_start(fe);
	assert_int_equal(vu_dev_map_window(fe->dev, fe->window_fd), -EOPNOTSUPP);
	fe_log(fe, "K0 K1 K2 ");
}

static void test_no_shmem_feature(void **state)
{
	expect_no_support(*state, ALL_PF & ~PF_SHMEM);
}

static void test_no_send_fd_feature(void **state)
{
	expect_no_support(*state, ALL_PF & ~PF_SEND_FD);
}

static void test_no_notifier_feature(void **state)
{
	expect_no_support(*state, ALL_PF & ~PF_NOTIFIER);
}

static void test_no_channel(void **state)
{
	expect_no_support(*state, ALL_PF & ~PF_BACKEND_REQ);
}

static void test_twice(void **state)
{
	struct frontend *fe = *state;

	fe_ready(fe);
	map(fe);
	assert_int_equal(vu_dev_map_window(fe->dev, fe->window_fd), -EALREADY);
	fe_be_request(fe, BE_SHMEM_MAP);
	assert_int_equal(vu_dev_map_window(fe->dev, fe->window_fd), -EALREADY);
	fe_be_answer(fe, BE_SHMEM_MAP, 0);
	fe_be_request(fe, BE_HOST_NOTIFIER);
	fe_be_answer(fe, BE_HOST_NOTIFIER, 0);
	assert_int_equal(vu_dev_map_window(fe->dev, fe->window_fd), -EALREADY);
	fe_log(fe, "L0 ");
}

static void test_bad_file(void **state)
{
	struct frontend *fe = *state;

	fe_ready(fe);
	assert_int_equal(vu_dev_map_window(fe->dev, 499), -EBADF);
	become_live(fe);
}

static void test_refused(void **state)
{
	struct frontend *fe = *state;

	fe_ready(fe);
	map(fe);
	fe_be_request(fe, BE_SHMEM_MAP);
	fe_be_answer(fe, BE_SHMEM_MAP, 1);
	fe_log(fe, "L-5 ");
	/* The owner may try again. */
	become_live(fe);
}

/* What a guest can cause again and again with HELLO is not told each time. */
static void test_refusals_do_not_flood_the_log(void **state)
{
	int before = dup(STDERR_FILENO), said_fd = memfd_create("said", MFD_CLOEXEC), i;
	struct frontend *fe = *state;
	struct stat said;

	fe_ready(fe);
	dup2(said_fd, STDERR_FILENO);
	for (i = 0; i < 50; i++) {
		map(fe);
		fe_be_request(fe, BE_SHMEM_MAP);
		fe_be_answer(fe, BE_SHMEM_MAP, 1);
		fe_log(fe, "L-5 ");
	}
	close_be(fe);
	fe_log(fe, "");
	for (i = 0; i < 50; i++)
		assert_int_equal(vu_dev_map_window(fe->dev, fe->window_fd), -EOPNOTSUPP);
	dup2(before, STDERR_FILENO);
	assert_int_equal(fstat(said_fd, &said), 0);
	assert_in_range(said.st_size, 1, 2000);
	close(before);
	close(said_fd);
}

/* Whatever the barrier's answer says: that it came is what counts. */
static void test_barrier_refused(void **state)
{
	struct frontend *fe = *state;

	fe_ready(fe);
	map(fe);
	fe_be_request(fe, BE_SHMEM_MAP);
	fe_be_answer(fe, BE_SHMEM_MAP, 0);
	fe_be_request(fe, BE_HOST_NOTIFIER);
	fe_be_answer(fe, BE_HOST_NOTIFIER, 1);
	fe_log(fe, "L0 ");
}

/* ---- stops and starts ---- */

static void test_after_reset(void **state)
{
	struct frontend *fe = *state;
	int i;

	fe_ready(fe);
	for (i = 0; i < 5; i++) {
		become_live(fe);
		restart(fe);
	}
}

/* The VM was paused and resumed: QEMU still has the mapping and refuses another over it. */
static void test_after_pause(void **state)
{
	struct frontend *fe = *state;

	fe_ready(fe);
	become_live(fe);
	restart(fe);
	map(fe);
	fe_be_request(fe, BE_SHMEM_MAP);
	fe_be_answer(fe, BE_SHMEM_MAP, 1);
	fe_be_request(fe, BE_SHMEM_UNMAP);
	fe_be_answer(fe, BE_SHMEM_UNMAP, 0);
	fe_be_request(fe, BE_SHMEM_MAP);
	fe_be_answer(fe, BE_SHMEM_MAP, 0);
	fe_log(fe, "");
	fe_be_request(fe, BE_HOST_NOTIFIER);
	fe_be_answer(fe, BE_HOST_NOTIFIER, 0);
	fe_log(fe, "L0 ");
}

/* Refused for another reason: that must end, and not go round for ever. */
static void test_after_pause_refused_for_good(void **state)
{
	struct frontend *fe = *state;

	fe_ready(fe);
	become_live(fe);
	restart(fe);
	map(fe);
	fe_be_request(fe, BE_SHMEM_MAP);
	fe_be_answer(fe, BE_SHMEM_MAP, 1);
	fe_be_request(fe, BE_SHMEM_UNMAP);
	fe_be_answer(fe, BE_SHMEM_UNMAP, 1);
	fe_be_request(fe, BE_SHMEM_MAP);
	fe_be_answer(fe, BE_SHMEM_MAP, 1);
	fe_log(fe, "L-5 ");
}

/*
 * Trap 3, the race: QEMU stops the device before it reads the knock. What it reads then must be
 * whole and must not be a map, which would crash it.
 */
static void test_stop_before_knock_is_read(void **state)
{
	struct frontend *fe = *state;
	uint32_t size;

	fe_ready(fe);
	map(fe);
	fe_enable(fe, 0, false);
	fe_log(fe, "S ");
	assert_int_equal(read_header(fe, &size), 0x100 | BE_SHMEM_MAP);
	assert_int_equal(size, 0);
	assert_int_equal(fe_be_read(fe, &size, 1, NULL), 0);
	fe_enable(fe, 0, true);
	fe_pump(fe);
	fe->log[0] = 0;
	become_live(fe);
}

/* The same in the unmap that precedes a second map. */
static void test_stop_before_unmap_knock_is_read(void **state)
{
	struct frontend *fe = *state;
	uint32_t size;

	fe_ready(fe);
	become_live(fe);
	restart(fe);
	map(fe);
	fe_be_request(fe, BE_SHMEM_MAP);
	fe_be_answer(fe, BE_SHMEM_MAP, 1);
	fe_stop(fe);
	assert_int_equal(read_header(fe, &size), 0x100 | BE_SHMEM_UNMAP);
	assert_int_equal(size, 0);
	fe_log(fe, "S ");
	fe_start(fe);
	fe_log(fe, "K0 K1 K2 ");
	become_live(fe);
}

/* Stopped and started again while the knock lies there, and the owner asks again. */
static void test_restart_before_knock_is_read(void **state)
{
	struct frontend *fe = *state;
	uint32_t size;

	fe_ready(fe);
	map(fe);
	restart(fe);
	map(fe);
	assert_int_equal(read_header(fe, &size), 0x100 | BE_SHMEM_MAP);
	assert_int_equal(size, 0);
	fe_be_request(fe, BE_SHMEM_MAP);
	fe_be_answer(fe, BE_SHMEM_MAP, 0);
	fe_be_request(fe, BE_HOST_NOTIFIER);
	fe_be_answer(fe, BE_HOST_NOTIFIER, 0);
	fe_log(fe, "L0 ");
}

static void test_stop_before_map_answer(void **state)
{
	struct frontend *fe = *state;

	fe_ready(fe);
	map(fe);
	fe_be_request(fe, BE_SHMEM_MAP);
	fe_stop(fe);
	fe_be_answer(fe, BE_SHMEM_MAP, 0);
	fe_log(fe, "S ");
	fe_start(fe);
	fe_log(fe, "K0 K1 K2 ");
	become_live(fe);
}

/* A pause, not a reset: what QEMU mapped before it stopped is still there when it goes on. */
static void test_pause_before_map_answer(void **state)
{
	struct frontend *fe = *state;

	fe_ready(fe);
	map(fe);
	fe_be_request(fe, BE_SHMEM_MAP);
	restart(fe);
	fe_be_answer(fe, BE_SHMEM_MAP, 0);
	map(fe);
	fe_be_request(fe, BE_SHMEM_MAP);
	fe_be_answer(fe, BE_SHMEM_MAP, 1);
	fe_be_request(fe, BE_SHMEM_UNMAP);
	fe_be_answer(fe, BE_SHMEM_UNMAP, 0);
	fe_be_request(fe, BE_SHMEM_MAP);
	fe_be_answer(fe, BE_SHMEM_MAP, 0);
	fe_be_request(fe, BE_HOST_NOTIFIER);
	fe_be_answer(fe, BE_HOST_NOTIFIER, 0);
	fe_log(fe, "L0 ");
}

/* The stale answer comes only after the owner has asked anew: it must not count for the new map. */
static void test_stale_map_answer_after_restart(void **state)
{
	struct frontend *fe = *state;
	char c;

	fe_ready(fe);
	map(fe);
	fe_be_request(fe, BE_SHMEM_MAP);
	restart(fe);
	map(fe);
	assert_int_equal(fe_be_read(fe, &c, 1, NULL), 0);
	fe_be_answer(fe, BE_SHMEM_MAP, 0);
	fe_log(fe, "");
	fe_be_request(fe, BE_SHMEM_MAP);
	fe_be_answer(fe, BE_SHMEM_MAP, 0);
	fe_be_request(fe, BE_HOST_NOTIFIER);
	fe_be_answer(fe, BE_HOST_NOTIFIER, 0);
	fe_log(fe, "L0 ");
}

static void test_stale_refusal_after_restart(void **state)
{
	struct frontend *fe = *state;

	fe_ready(fe);
	map(fe);
	fe_be_request(fe, BE_SHMEM_MAP);
	restart(fe);
	map(fe);
	fe_be_answer(fe, BE_SHMEM_MAP, 1);
	fe_log(fe, "");
	fe_be_request(fe, BE_SHMEM_MAP);
	fe_be_answer(fe, BE_SHMEM_MAP, 0);
	fe_be_request(fe, BE_HOST_NOTIFIER);
	fe_be_answer(fe, BE_HOST_NOTIFIER, 0);
	fe_log(fe, "L0 ");
}

static void test_stop_before_barrier_answer(void **state)
{
	struct frontend *fe = *state;

	fe_ready(fe);
	map(fe);
	fe_be_request(fe, BE_SHMEM_MAP);
	fe_be_answer(fe, BE_SHMEM_MAP, 0);
	fe_be_request(fe, BE_HOST_NOTIFIER);
	restart(fe);
	map(fe);
	fe_be_answer(fe, BE_HOST_NOTIFIER, 0);
	fe_log(fe, "");
	fe_be_request(fe, BE_SHMEM_MAP);
	fe_be_answer(fe, BE_SHMEM_MAP, 0);
	fe_be_request(fe, BE_HOST_NOTIFIER);
	fe_be_answer(fe, BE_HOST_NOTIFIER, 0);
	fe_log(fe, "L0 ");
}

/* Stopped twice while one answer is outstanding, with an owner that asked in between. */
static void test_two_stops_one_answer(void **state)
{
	struct frontend *fe = *state;

	fe_ready(fe);
	map(fe);
	fe_be_request(fe, BE_SHMEM_MAP);
	restart(fe);
	map(fe);
	restart(fe);
	fe_be_answer(fe, BE_SHMEM_MAP, 0);
	fe_log(fe, "");
	become_live(fe);
}

/* ---- answers that are none ---- */

static void send_raw(struct frontend *fe, const void *buf, size_t len)
{
	assert_int_equal(send(fe->be, buf, len, MSG_NOSIGNAL), len);
	fe_pump(fe);
}

static void test_unasked_answers(void **state)
{
	struct frontend *fe = *state;

	fe_ready(fe);
	fe_be_answer(fe, BE_SHMEM_MAP, 0);
	fe_be_answer(fe, BE_HOST_NOTIFIER, 0);
	fe_be_answer(fe, 77, 0);
	fe_log(fe, "");
	become_live(fe);
	fe_be_answer(fe, BE_HOST_NOTIFIER, 0);
	fe_log(fe, "");
}

static void test_answer_before_knock_is_read(void **state)
{
	struct frontend *fe = *state;

	fe_ready(fe);
	map(fe);
	fe_be_answer(fe, BE_SHMEM_MAP, 0);
	fe_be_answer(fe, BE_SHMEM_MAP, 1);
	fe_log(fe, "");
	fe_be_request(fe, BE_SHMEM_MAP);
	fe_be_answer(fe, BE_SHMEM_MAP, 0);
	fe_be_request(fe, BE_HOST_NOTIFIER);
	fe_be_answer(fe, BE_HOST_NOTIFIER, 0);
	fe_log(fe, "L0 ");
}

static void test_answers_in_the_wrong_order(void **state)
{
	struct frontend *fe = *state;

	fe_ready(fe);
	map(fe);
	fe_be_request(fe, BE_SHMEM_MAP);
	fe_be_answer(fe, BE_HOST_NOTIFIER, 0);
	fe_be_answer(fe, BE_SHMEM_UNMAP, 0);
	fe_log(fe, "");
	fe_be_answer(fe, BE_SHMEM_MAP, 0);
	fe_be_request(fe, BE_HOST_NOTIFIER);
	fe_be_answer(fe, BE_SHMEM_MAP, 1);
	fe_log(fe, "");
	fe_be_answer(fe, BE_HOST_NOTIFIER, 0);
	fe_log(fe, "L0 ");
}

static void test_malformed_answers(void **state)
{
	struct frontend *fe = *state;
	const uint32_t not_a_reply[] = { BE_SHMEM_MAP, VERSION, 8, 0, 0 };
	const uint32_t no_version[] = { BE_SHMEM_MAP, IS_REPLY, 8, 0, 0 };
	const uint32_t short_one[] = { BE_SHMEM_MAP, VERSION | IS_REPLY, 4, 0 };
	const uint32_t empty[] = { BE_SHMEM_MAP, VERSION | IS_REPLY, 0 };
	const uint32_t long_one[] = { BE_SHMEM_MAP, VERSION | IS_REPLY, 16, 0, 0, 0, 0 };
	const uint32_t good[] = { BE_SHMEM_MAP, VERSION | IS_REPLY, 8, 0, 0 };
	size_t i;

	fe_ready(fe);
	map(fe);
	fe_be_request(fe, BE_SHMEM_MAP);
	send_raw(fe, not_a_reply, sizeof(not_a_reply));
	send_raw(fe, no_version, sizeof(no_version));
	send_raw(fe, short_one, sizeof(short_one));
	send_raw(fe, empty, sizeof(empty));
	send_raw(fe, long_one, sizeof(long_one));
	assert_int_equal(fe_be_read(fe, &i, 1, NULL), 0);
	for (i = 0; i < sizeof(good); i++)
		send_raw(fe, (const char *)good + i, 1);
	fe_be_request(fe, BE_HOST_NOTIFIER);
	fe_be_answer(fe, BE_HOST_NOTIFIER, 0);
	fe_log(fe, "L0 ");
}

static void test_answer_with_a_file(void **state)
{
	struct frontend *fe = *state;
	uint32_t msg[] = { BE_SHMEM_MAP, VERSION | IS_REPLY, 8, 0, 0 };
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { .align = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov = { msg, sizeof(msg) };
	struct msghdr mh = { .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf) };
	int before;
	char c;

	fe_ready(fe);
	map(fe);
	fe_be_request(fe, BE_SHMEM_MAP);
	before = fe_count_fds();
	memcpy(CMSG_DATA(&control.align), &fe->memfd, sizeof(int));
	assert_int_equal(sendmsg(fe->be, &mh, 0), sizeof(msg));
	assert_int_equal(fe_be_read(fe, &c, 1, NULL), 0);
	assert_int_equal(fe_count_fds(), before);
}

static void test_answer_beyond_any_size(void **state)
{
	struct frontend *fe = *state;
	const uint32_t huge[] = { BE_SHMEM_MAP, VERSION | IS_REPLY, UINT32_MAX };

	fe_ready(fe);
	map(fe);
	fe_be_request(fe, BE_SHMEM_MAP);
	send_raw(fe, huge, sizeof(huge));
	fe_log(fe, CONNRESET);
	assert_int_equal(vu_dev_map_window(fe->dev, fe->window_fd), -EOPNOTSUPP);
}

/* ---- the channel goes away ---- */

/* A new channel works, the device has not suffered. */
static void new_channel(struct frontend *fe)
{
	fe_channel(fe);
	become_live(fe);
}

static void test_channel_closed_idle(void **state)
{
	struct frontend *fe = *state;

	fe_ready(fe);
	close_be(fe);
	fe_log(fe, "");
	assert_int_equal(vu_dev_map_window(fe->dev, fe->window_fd), -EOPNOTSUPP);
	new_channel(fe);
}

static void test_channel_closed_in_knock(void **state)
{
	struct frontend *fe = *state;

	fe_ready(fe);
	map(fe);
	close_be(fe);
	fe_log(fe, CONNRESET);
	new_channel(fe);
}

static void test_channel_closed_in_map(void **state)
{
	struct frontend *fe = *state;

	fe_ready(fe);
	map(fe);
	fe_be_request(fe, BE_SHMEM_MAP);
	close_be(fe);
	fe_log(fe, CONNRESET);
	new_channel(fe);
}

static void test_channel_closed_in_barrier(void **state)
{
	struct frontend *fe = *state;

	fe_ready(fe);
	map(fe);
	fe_be_request(fe, BE_SHMEM_MAP);
	fe_be_answer(fe, BE_SHMEM_MAP, 0);
	fe_be_request(fe, BE_HOST_NOTIFIER);
	close_be(fe);
	fe_log(fe, CONNRESET);
	new_channel(fe);
}

static void test_channel_closed_after_stop(void **state)
{
	struct frontend *fe = *state;

	fe_ready(fe);
	map(fe);
	fe_be_request(fe, BE_SHMEM_MAP);
	fe_stop(fe);
	close_be(fe);
	fe_log(fe, "S ");
}

static void test_channel_replaced_in_map(void **state)
{
	struct frontend *fe = *state;

	fe_ready(fe);
	map(fe);
	fe_be_request(fe, BE_SHMEM_MAP);
	fe_channel(fe);
	fe_log(fe, CONNRESET);
	become_live(fe);
}

/* ---- QEMU goes away ---- */

static void test_disconnect_at_every_step(void **state)
{
	struct frontend *fe;
	int step;

	(void)state;
	for (step = 0; step < 5; step++) {
		void *st;

		fe_setup(&st);
		fe = st;
		fe_ready(fe);
		map(fe);
		if (step > 0)
			fe_be_request(fe, BE_SHMEM_MAP);
		if (step > 1)
			fe_be_answer(fe, BE_SHMEM_MAP, 0);
		if (step > 2)
			fe_be_request(fe, BE_HOST_NOTIFIER);
		if (step > 3)
			fe_be_answer(fe, BE_HOST_NOTIFIER, 0);
		fe_log(fe, step > 3 ? "L0 " : "");
		close(fe->sock);
		fe->sock = -1;
		fe_log(fe, "S D ");
		assert_int_equal(vu_dev_map_window(fe->dev, fe->window_fd), -EAGAIN);
		fe_teardown(&st);
	}
}

#define fe_test(name) cmocka_unit_test_setup_teardown(name, fe_setup, fe_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		fe_test(test_live),
		fe_test(test_map_on_first_kick),
		fe_test(test_main_socket_is_served_meanwhile),
		fe_test(test_knock),
		fe_test(test_knock_waits_asleep),
		fe_test(test_knock_wake_up_lost),
		fe_test(test_not_running),
		fe_test(test_after_reset_device),
		fe_test(test_no_shmem_feature),
		fe_test(test_no_send_fd_feature),
		fe_test(test_no_notifier_feature),
		fe_test(test_no_channel),
		fe_test(test_twice),
		fe_test(test_bad_file),
		fe_test(test_refused),
		fe_test(test_refusals_do_not_flood_the_log),
		fe_test(test_barrier_refused),
		fe_test(test_after_reset),
		fe_test(test_after_pause),
		fe_test(test_after_pause_refused_for_good),
		fe_test(test_stop_before_knock_is_read),
		fe_test(test_stop_before_unmap_knock_is_read),
		fe_test(test_restart_before_knock_is_read),
		fe_test(test_stop_before_map_answer),
		fe_test(test_pause_before_map_answer),
		fe_test(test_stale_map_answer_after_restart),
		fe_test(test_stale_refusal_after_restart),
		fe_test(test_stop_before_barrier_answer),
		fe_test(test_two_stops_one_answer),
		fe_test(test_unasked_answers),
		fe_test(test_answer_before_knock_is_read),
		fe_test(test_answers_in_the_wrong_order),
		fe_test(test_malformed_answers),
		fe_test(test_answer_with_a_file),
		fe_test(test_answer_beyond_any_size),
		fe_test(test_channel_closed_idle),
		fe_test(test_channel_closed_in_knock),
		fe_test(test_channel_closed_in_map),
		fe_test(test_channel_closed_in_barrier),
		fe_test(test_channel_closed_after_stop),
		fe_test(test_channel_replaced_in_map),
		cmocka_unit_test(test_disconnect_at_every_step),
	};

	log_init("test_window_handshake", false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
