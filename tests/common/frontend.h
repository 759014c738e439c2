/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vhost-user front-end for tests: QEMU's side of the main socket and of the back-end channel, in
 * front of the daemon's real device code, in one thread. The protocol's numbers are written down
 * here a second time, from QEMU's document, so that a slip in vu_msg.h shows.
 */
#ifndef TESTS_FRONTEND_H
#define TESTS_FRONTEND_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <systemd/sd-event.h>

#include "driver.h"
#include "gmem.h"
#include "vu_dev.h"

enum fe_request {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	RESET_OWNER = 4,
	SET_MEM_TABLE = 5,
	SET_LOG_BASE = 6,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	GET_VRING_BASE = 11,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	SET_VRING_ERR = 14,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	GET_QUEUE_NUM = 17,
	SET_VRING_ENABLE = 18,
	SET_BACKEND_REQ_FD = 21,
	GET_CONFIG = 24,
	SET_CONFIG = 25,
	RESET_DEVICE = 34,
	ADD_MEM_REG = 37,
	GET_SHMEM_CONFIG = 44,
	BE_HOST_NOTIFIER = 3,
	BE_SHMEM_MAP = 9,
	BE_SHMEM_UNMAP = 10,
};

#define VERSION	       1u
#define IS_REPLY       4u
#define NEED_REPLY     8u

#define F_VERSION_1    (1ull << 32)
#define F_INDIRECT     (1ull << 28)
#define F_EVENT_IDX    (1ull << 29)
#define F_PROTOCOL     (1ull << 30)
#define ALL_FEATURES   (F_VERSION_1 | F_INDIRECT | F_EVENT_IDX | F_PROTOCOL)

#define PF_MQ	       (1ull << 0)
#define PF_REPLY_ACK   (1ull << 3)
#define PF_BACKEND_REQ (1ull << 5)
#define PF_CONFIG      (1ull << 9)
#define PF_SEND_FD     (1ull << 10)
#define PF_NOTIFIER    (1ull << 11)
#define PF_RESET       (1ull << 13)
#define PF_SHMEM       (1ull << 22)
#define ALL_PF \
	(PF_MQ | PF_REPLY_ACK | PF_BACKEND_REQ | PF_CONFIG | PF_SEND_FD | PF_NOTIFIER | PF_RESET | \
	 PF_SHMEM)

#define NUM_QUEUES  3u
#define RING_NUM    16u
#define WINDOW_SIZE (1ull << 20)
#define CONFIG_TEXT "configuration"

/** struct fe_region - a region in SET_MEM_TABLE */
struct fe_region {
	uint64_t gpa, size, qemu_va, offset;
};

/**
 * struct frontend - the daemon's device, QEMU's side of it, and what the device's owner was told
 * @log: ops calls in their order: "K0 " (kick of ring 0), "S " (stop), "L0 " (window_live with
 *       error 0), "D " (disconnect)
 * @sock: QEMU's main socket, or -1
 * @be: QEMU's end of the back-end channel, or -1
 * @bad: for a test's own use
 * @on_kick: called in ops->kick, or NULL
 */
struct frontend {
	sd_event *loop;
	struct gmem *gm;
	struct vu_dev *dev;
	char log[512];
	int listen_fd;
	int sock;
	int be;
	int memfd;
	uint8_t *mem;
	struct driver d[NUM_QUEUES];
	int kick[NUM_QUEUES];
	int call[NUM_QUEUES];
	int err[NUM_QUEUES];
	int window_fd;
	int fds_before;
	uint32_t marks;
	const void *bad;
	void (*on_kick)(struct frontend *fe, unsigned int queue);
};

/** fe_setup(), fe_teardown() - cmocka fixtures: a device that waits; and that nothing leaked */
int fe_setup(void **state);
int fe_teardown(void **state);

int fe_count_fds(void);

/** fe_pump() - let the device work until it has nothing to do */
void fe_pump(struct frontend *fe);

/** fe_connect() - become the device's QEMU */
void fe_connect(struct frontend *fe);

/** fe_send() - send a message, with copies of @fds; nothing else happens until fe_pump() */
void fe_send(struct frontend *fe, uint32_t request, uint32_t flags, const void *payload,
	     uint32_t size, const int *fds, unsigned int num_fds);

/** fe_silent() - Return: whether no answer is there, after the device had time for one */
bool fe_silent(struct frontend *fe);

/** fe_reply() - expect an answer to @request of @size bytes */
void fe_reply(struct frontend *fe, uint32_t request, void *payload, uint32_t size);

/** fe_ok(), fe_refused() - send a message with NEED_REPLY and expect success or failure */
void fe_ok(struct frontend *fe, uint32_t request, const void *payload, uint32_t size,
	   const int *fds, unsigned int num_fds);
void fe_refused(struct frontend *fe, uint32_t request, const void *payload, uint32_t size,
		const int *fds, unsigned int num_fds);

/** fe_get() - send a request without payload and Return: the u64 that is the answer */
uint64_t fe_get(struct frontend *fe, uint32_t request);

/** fe_negotiate() - what QEMU does first, up to the back-end channel */
void fe_negotiate(struct frontend *fe, uint64_t features, uint64_t protocol_features);

/** fe_channel() - give the device a new back-end channel */
void fe_channel(struct frontend *fe);

void fe_mem_table(struct frontend *fe);

/** fe_ring_setup() - all but enabling; fe_enable() - one ring; fe_start() - all that QEMU does */
void fe_ring_setup(struct frontend *fe, unsigned int i);
void fe_enable(struct frontend *fe, unsigned int i, bool on);
void fe_start(struct frontend *fe);

/** fe_stop() - as QEMU does: disable all, then ask for all bases; Return: base of ring 0 */
uint32_t fe_stop(struct frontend *fe);

/** fe_ready() - connect, negotiate everything and start */
void fe_ready(struct frontend *fe);

/** fe_log() - expect these calls since the last fe_log() */
void fe_log(struct frontend *fe, const char *expected);

/** fe_be_read() - Return: bytes read from the back-end channel, at most @len; a file goes to @fd */
size_t fe_be_read(struct frontend *fe, void *buf, size_t len, int *fd);

/** fe_be_request() - expect a whole request on the back-end channel, as QEMU reads it */
void fe_be_request(struct frontend *fe, uint32_t request);

/** fe_be_answer() - answer one */
void fe_be_answer(struct frontend *fe, uint32_t request, uint64_t result);

#endif
