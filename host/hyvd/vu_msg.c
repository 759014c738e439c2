// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading and writing vhost-user messages, and the descriptors that travel with them, on
 * non-blocking stream sockets. What they mean is for vu_dev.c and vu_window.c.
 *
 * A message may arrive in any number of pieces. Never is a byte read beyond its end, since the
 * descriptors of the next message hang on that one's bytes.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "vu_msg.h"

/* Keep the descriptors that came with a piece of the message. */
static void collect_fds(struct vu_msg *msg, struct msghdr *mh)
{
	struct cmsghdr *c;

	if (mh->msg_flags & MSG_CTRUNC)
		msg->too_many_fds = true;
	for (c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		size_t i, n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		int fds[VU_MAX_FDS];

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		memcpy(fds, CMSG_DATA(c), n * sizeof(int));
		for (i = 0; i < n; i++) {
			if (msg->num_fds < VU_MAX_FDS) {
				msg->fds[msg->num_fds++] = fds[i];
			} else {
				close(fds[i]);
				msg->too_many_fds = true;
			}
		}
	}
}

/* One recvmsg(). Return: bytes, 0 for none now, or a negative errno */
static ssize_t recv_piece(int fd, struct vu_msg *msg, void *to, size_t len)
{
	union {
		char buf[CMSG_SPACE(VU_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { to, len };
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	ssize_t n;

	do {
		n = recvmsg(fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
	collect_fds(msg, &mh);
	return n ? n : -ECONNRESET;
}

int vu_msg_recv(int fd, struct vu_rx *rx)
{
	struct vu_msg *msg = &rx->msg;
	const size_t hdr_len = sizeof(msg->hdr);

	for (;;) {
		size_t want = rx->have < hdr_len ? hdr_len : hdr_len + msg->hdr.size;
		uint8_t *to;
		ssize_t n;

		if (rx->have >= hdr_len) {
			if (msg->hdr.size > VU_MAX_PAYLOAD)
				return -EMSGSIZE;
			if (rx->have == want)
				return 1;
			to = msg->payload.bytes + (rx->have - hdr_len);
		} else {
			to = (uint8_t *)&msg->hdr + rx->have;
		}
		n = recv_piece(fd, msg, to, want - rx->have);
		if (n <= 0)
			return n;
		rx->have += n;
	}
}

void vu_rx_reset(struct vu_rx *rx)
{
	unsigned int i;

	for (i = 0; i < rx->msg.num_fds; i++)
		if (rx->msg.fds[i] >= 0)
			close(rx->msg.fds[i]);
	rx->msg.num_fds = 0;
	rx->msg.too_many_fds = false;
	rx->have = 0;
}

int vu_msg_take_fd(struct vu_msg *msg, unsigned int i)
{
	int fd = msg->fds[i];

	msg->fds[i] = -1;
	return fd;
}

/* One sendmsg() that must take everything. Return: 0 or a negative errno */
static int send_all(int fd, struct msghdr *mh, size_t len)
{
	ssize_t n;

	do {
		n = sendmsg(fd, mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EAGAIN;
}

int vu_msg_send(int fd, uint32_t request, uint32_t flags, const void *payload, uint32_t size)
{
	struct vu_hdr hdr = { request, flags | VU_FLAG_VERSION, size };
	struct iovec iov[] = { { &hdr, sizeof(hdr) }, { (void *)payload, size } };
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = 2 };

	return send_all(fd, &mh, sizeof(hdr) + size);
}

int vu_bytes_send(int fd, const void *bytes, size_t len, int pass)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { (void *)bytes, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (pass >= 0) {
		mh.msg_control = control.buf;
		mh.msg_controllen = sizeof(control.buf);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &pass, sizeof(pass));
	}
	return send_all(fd, &mh, len);
}
