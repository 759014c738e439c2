// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The back-end channel, on which we are the ones who ask, and the one thing that we ask QEMU for:
 * to map the window's file as shared-memory region 0.
 *
 * DOC: the handshake
 *
 * Four properties of QEMU 11.1 shape it; all were seen with the stock binary.
 *
 *  1. The answer to SHMEM_MAP comes before KVM knows of the memory. QEMU serves the channel in
 *     order, so the answer to one more request (the removal of a host notifier that nobody ever
 *     set) proves that the map is done: the barrier.
 *  2. Between the two, QEMU sends a new memory table on the main socket and waits for our answer.
 *     Nothing here waits, all is driven by the event loop.
 *  3. SHMEM_MAP and SHMEM_UNMAP crash QEMU when the device is not started, and it may stop at any
 *     moment, after we have decided to send and before QEMU reads: see below.
 *  4. A reset of the guest drops the mapping; a pause and resume of the VM does not, although the
 *     rings stop and start just the same. Mapping over a mapping is refused, without harm. Then the
 *     old one is removed and the request repeated.
 *
 *     IDLE -> KNOCK -> MAP -> BARRIER -> IDLE (live)
 *                       | refused, and there may be an old mapping
 *                       +-> KNOCK -> UNMAP -> KNOCK -> MAP ...
 *
 * DOC: knocking
 *
 * QEMU reads a message's 12-byte header to its end once it has begun, with its big lock held. So
 * we send the first byte alone, together with the file. When the kernel says that it has been
 * read, QEMU stands still in the middle of our message: it cannot stop the device without having
 * told us before, since it waits for our answers when it stops the rings. If the rings still run
 * at this moment, they run until QEMU has executed the message, and the rest of it is sent.
 *
 * The kernel wakes us when the byte is read, but may count it as unread for a moment longer. Were we
 * not to look again, QEMU would stand still for ever. So a timer looks too, at growing intervals.
 *
 * If the rings are stopped while the byte is under way, the message is completed as one that QEMU
 * does not know, and drops with a line in its log. The first byte of the request number is in both.
 *
 * A VMM that reads headers in another way loses nothing: its race is as wide as it would be if the
 * message was sent at once.
 *
 * DOC: a stop in the middle
 *
 * Requests sent completely are answered sooner or later; until then the handshake's answer is
 * stale, and it is dropped when it comes. A new map that is wanted by then begins after it, so
 * there is never more than one request on its way.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "vu_msg.h"
#include "vu_window.h"

#define KNOCK_WAIT_MIN_USEC 1000ull
#define KNOCK_WAIT_MAX_USEC 100000ull

/**
 * enum step - what we wait for
 * @IDLE: nothing
 * @KNOCK: QEMU to read the first byte of @request
 * @ANSWER: the answer to @request
 */
enum step {
	IDLE,
	KNOCK,
	ANSWER,
};

/** struct request - a back-end request with the map's payload, as its bytes are on the wire */
struct request {
	struct vu_hdr hdr;
	struct vu_shmem_map map;
} __attribute__((packed));

/**
 * struct vu_window - the channel and its state; belongs to the event loop's thread
 * @fd: the channel, or -1
 * @step, @request: see enum step
 * @knock_timer, @knock_wait: looks again in KNOCK, after so many microseconds
 * @stale: the answer we wait for concerns nobody any more
 * @wanted: live() is owed
 * @is_live: the guest sees the window
 * @may_be_mapped: QEMU has executed a map, and not an unmap since; a reset may have undone it
 * @map_fd: our duplicate of the file while @wanted, or -1
 */
struct vu_window {
	sd_event *loop;
	uint64_t size;
	void (*live)(void *arg, int error);
	void *arg;
	int fd;
	sd_event_source *source;
	struct vu_rx rx;
	enum step step;
	enum vu_backend_request request;
	sd_event_source *knock_timer;
	uint64_t knock_wait;
	bool stale;
	bool wanted;
	bool is_live;
	bool may_be_mapped;
	int map_fd;
};

/* Forget the file that was to be mapped. */
static void drop_map(struct vu_window *w)
{
	if (w->map_fd >= 0)
		close(w->map_fd);
	w->map_fd = -1;
	w->wanted = false;
}

/* Tell the owner how it ended. */
static void finish(struct vu_window *w, int error)
{
	drop_map(w);
	w->is_live = !error;
	w->live(w->arg, error);
}

/* Give the channel up, and a handshake that is under way. */
static void close_channel(struct vu_window *w)
{
	w->source = sd_event_source_disable_unref(w->source);
	vu_rx_reset(&w->rx);
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
	w->step = IDLE;
	w->stale = false;
	if (w->wanted)
		finish(w, -ECONNRESET);
}

static struct request compose(const struct vu_window *w)
{
	return (struct request){
		.hdr = {
			.request = w->request,
			.flags = VU_FLAG_VERSION | VU_FLAG_NEED_REPLY,
			.size = sizeof(struct vu_shmem_map),
		},
		.map = { .len = w->size, .flags = VU_SHMEM_FLAG_RW },
	};
}

/* The channel is of no use when a message cannot be sent whole. */
static void send_failed(struct vu_window *w, int err)
{
	log_err("cannot send on QEMU's back-end channel: %s", strerror(-err));
	close_channel(w);
}

/* Send the first byte of a map or unmap request; see above. */
static void knock(struct vu_window *w, enum vu_backend_request request)
{
	struct request rq;
	int err;

	w->request = request;
	w->step = KNOCK;
	rq = compose(w);
	err = vu_bytes_send(w->fd, &rq, 1, request == VU_BACKEND_SHMEM_MAP ? w->map_fd : -1);
	if (!err)
		err = sd_event_source_set_io_events(w->source, EPOLLIN | EPOLLOUT | EPOLLET);
	if (err < 0)
		send_failed(w, err);
	else
		w->knock_wait = KNOCK_WAIT_MIN_USEC;
}

/* Send what is left of a message after its first byte, and listen for answers again. */
static void send_rest(struct vu_window *w, const void *msg, size_t len)
{
	int err = vu_bytes_send(w->fd, (const char *)msg + 1, len - 1, -1);

	if (!err)
		err = sd_event_source_set_io_events(w->source, EPOLLIN);
	if (err < 0)
		send_failed(w, err);
}

/* The door may be open: go in if QEMU has read the knock. */
static void check_knock(struct vu_window *w)
{
	struct request rq = compose(w);
	int unread;

	/* Without an answer of the kernel's there is nothing better than to go on. */
	if (!ioctl(w->fd, SIOCOUTQ, &unread) && unread) {
		sd_event_source_set_time_relative(w->knock_timer, w->knock_wait);
		sd_event_source_set_enabled(w->knock_timer, SD_EVENT_ONESHOT);
		return;
	}
	w->step = ANSWER;
	send_rest(w, &rq, sizeof(rq));
}

static int on_knock_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct vu_window *w = arg;

	(void)source;
	(void)usec;
	if (w->step != KNOCK)
		return 0;
	w->knock_wait *= 2;
	if (w->knock_wait > KNOCK_WAIT_MAX_USEC)
		w->knock_wait = KNOCK_WAIT_MAX_USEC;
	check_knock(w);
	return 0;
}

static void send_barrier(struct vu_window *w)
{
	struct vu_vring_area none = { .vring = 0 | VU_VRING_NOFD };
	int err;

	w->request = VU_BACKEND_VRING_HOST_NOTIFIER_MSG;
	w->step = ANSWER;
	err = vu_msg_send(w->fd, w->request, VU_FLAG_NEED_REPLY, &none, sizeof(none));
	if (err)
		send_failed(w, err);
}

/* The answer to our one request has come: take the next step. */
static void next_step(struct vu_window *w, bool refused)
{
	w->step = IDLE;
	if (w->request == VU_BACKEND_SHMEM_UNMAP)
		w->may_be_mapped = false;
	if (w->stale) {
		w->stale = false;
		if (w->wanted)
			knock(w, VU_BACKEND_SHMEM_MAP);
		return;
	}
	switch (w->request) {
	case VU_BACKEND_SHMEM_MAP:
		if (!refused) {
			w->may_be_mapped = true;
			send_barrier(w);
		} else if (w->may_be_mapped) {
			knock(w, VU_BACKEND_SHMEM_UNMAP);
		} else {
			log_guest_err(
				"QEMU refused to map the window; the reason is in its own log");
			finish(w, -EIO);
		}
		break;
	case VU_BACKEND_SHMEM_UNMAP:
		/* Refused or not, the map's answer is the one that counts. */
		knock(w, VU_BACKEND_SHMEM_MAP);
		break;
	case VU_BACKEND_VRING_HOST_NOTIFIER_MSG:
		finish(w, 0);
		break;
	}
}

/* A message came from QEMU: it can only be the answer that we wait for. */
static void handle_answer(struct vu_window *w)
{
	const struct vu_msg *msg = &w->rx.msg;

	if (w->step != ANSWER || msg->hdr.request != w->request ||
	    msg->hdr.flags != (VU_FLAG_VERSION | VU_FLAG_REPLY) ||
	    msg->hdr.size != sizeof(uint64_t) || msg->num_fds || msg->too_many_fds) {
		log_guest("dropped an unexpected message %u (flags 0x%x, %u bytes) on QEMU's "
			  "back-end channel",
			  msg->hdr.request, msg->hdr.flags, msg->hdr.size);
		vu_rx_reset(&w->rx);
		return;
	}
	vu_rx_reset(&w->rx);
	next_step(w, msg->payload.u64 != 0);
}

static int on_channel(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct vu_window *w = arg;
	int ret;

	(void)source;
	if (w->step == KNOCK && revents & EPOLLOUT)
		check_knock(w);
	/* The steps may close the channel, or even have it replaced. */
	while (w->fd == fd) {
		ret = vu_msg_recv(fd, &w->rx);
		if (ret == 0)
			break;
		if (ret < 0) {
			log_warn("QEMU's back-end channel is lost: %s", strerror(-ret));
			close_channel(w);
			break;
		}
		handle_answer(w);
	}
	return 0;
}

int vu_window_create(struct vu_window **out, sd_event *loop, uint64_t size,
		     void (*live)(void *arg, int error), void *arg)
{
	struct vu_window *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return -ENOMEM;
	w->loop = sd_event_ref(loop);
	w->size = size;
	w->live = live;
	w->arg = arg;
	w->fd = -1;
	w->map_fd = -1;
	err = sd_event_add_time(loop, &w->knock_timer, CLOCK_MONOTONIC, 0, 1, on_knock_timer, w);
	if (err < 0) {
		vu_window_destroy(w);
		return err;
	}
	sd_event_source_set_enabled(w->knock_timer, SD_EVENT_OFF);
	*out = w;
	return 0;
}

void vu_window_destroy(struct vu_window *w)
{
	if (!w)
		return;
	drop_map(w);
	close_channel(w);
	sd_event_source_disable_unref(w->knock_timer);
	sd_event_unref(w->loop);
	free(w);
}

int vu_window_set_channel(struct vu_window *w, int fd)
{
	int err;

	close_channel(w);
	if (fd < 0)
		return 0;
	err = sd_event_add_io(w->loop, &w->source, fd, EPOLLIN, on_channel, w);
	if (err < 0) {
		close(fd);
		return err;
	}
	w->fd = fd;
	return 0;
}

int vu_window_map(struct vu_window *w, int fd)
{
	if (w->fd < 0)
		return -ENOTCONN;
	if (w->wanted || w->is_live)
		return -EALREADY;
	w->map_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (w->map_fd < 0)
		return -errno;
	w->wanted = true;
	if (w->step == IDLE)
		knock(w, VU_BACKEND_SHMEM_MAP);
	return 0;
}

void vu_window_stop(struct vu_window *w)
{
	w->is_live = false;
	drop_map(w);
	if (w->step == KNOCK) {
		/* The same first byte, but no request that QEMU has. */
		struct vu_hdr unknown = { w->request | 0x100, VU_FLAG_VERSION, 0 };

		w->step = IDLE;
		send_rest(w, &unknown, sizeof(unknown));
	} else if (w->step == ANSWER) {
		w->stale = true;
		if (w->request == VU_BACKEND_SHMEM_MAP)
			w->may_be_mapped = true;
	}
}
