/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vhost-user protocol's messages, as QEMU's docs/interop/vhost-user.rst defines them (all in
 * the machine's byte order), and how they are read from and written to a socket: see vu_msg.c
 */
#ifndef HYVD_VU_MSG_H
#define HYVD_VU_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VU_MAX_FDS	       8 /* VHOST_MEMORY_BASELINE_NREGIONS */
#define VU_MAX_REGIONS	       8
#define VU_MAX_CONFIG	       256
#define VU_MAX_SHMEM_REGIONS   256
#define VU_MAX_PAYLOAD	       4096 /* of any message, more than either side has to say */

#define VU_F_PROTOCOL_FEATURES 30 /* among the virtio features */

/** enum vu_protocol_feature - bits of {GET,SET}_PROTOCOL_FEATURES that concern us */
enum vu_protocol_feature {
	VU_PF_MQ = 0,
	VU_PF_REPLY_ACK = 3,
	VU_PF_BACKEND_REQ = 5,
	VU_PF_CONFIG = 9,
	VU_PF_BACKEND_SEND_FD = 10,
	VU_PF_HOST_NOTIFIER = 11,
	VU_PF_RESET_DEVICE = 13,
	VU_PF_SHMEM = 22,
};

/** enum vu_request - from the front-end (QEMU) to us */
enum vu_request {
	VU_GET_FEATURES = 1,
	VU_SET_FEATURES = 2,
	VU_SET_OWNER = 3,
	VU_RESET_OWNER = 4,
	VU_SET_MEM_TABLE = 5,
	VU_SET_VRING_NUM = 8,
	VU_SET_VRING_ADDR = 9,
	VU_SET_VRING_BASE = 10,
	VU_GET_VRING_BASE = 11,
	VU_SET_VRING_KICK = 12,
	VU_SET_VRING_CALL = 13,
	VU_SET_VRING_ERR = 14,
	VU_GET_PROTOCOL_FEATURES = 15,
	VU_SET_PROTOCOL_FEATURES = 16,
	VU_GET_QUEUE_NUM = 17,
	VU_SET_VRING_ENABLE = 18,
	VU_SET_BACKEND_REQ_FD = 21,
	VU_GET_CONFIG = 24,
	VU_SET_CONFIG = 25,
	VU_RESET_DEVICE = 34,
	VU_GET_SHMEM_CONFIG = 44,
};

/** enum vu_backend_request - from us to the front-end, on the back-end channel */
enum vu_backend_request {
	VU_BACKEND_VRING_HOST_NOTIFIER_MSG = 3,
	VU_BACKEND_SHMEM_MAP = 9,
	VU_BACKEND_SHMEM_UNMAP = 10,
};

#define VU_FLAG_VERSION_MASK 0x3u
#define VU_FLAG_VERSION	     0x1u
#define VU_FLAG_REPLY	     0x4u
#define VU_FLAG_NEED_REPLY   0x8u

#define VU_VRING_INDEX_MASK  0xffull /* in the u64 of SET_VRING_{KICK,CALL,ERR} */
#define VU_VRING_NOFD	     0x100ull
#define VU_SHMEM_FLAG_RW     0x1ull

/** struct vu_hdr - in front of each message; @size is that of the payload */
struct vu_hdr {
	uint32_t request;
	uint32_t flags;
	uint32_t size;
};
_Static_assert(sizeof(struct vu_hdr) == 12, "vhost-user header");

struct vu_vring_state {
	uint32_t index;
	uint32_t num;
};

struct vu_vring_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc;
	uint64_t used;
	uint64_t avail;
	uint64_t log;
};
_Static_assert(sizeof(struct vu_vring_addr) == 40, "vhost-user ring address");

struct vu_memory {
	uint32_t num_regions;
	uint32_t padding;
	struct vu_memory_region {
		uint64_t gpa;
		uint64_t size;
		uint64_t qemu_va;
		uint64_t fd_offset;
	} regions[VU_MAX_REGIONS];
};
_Static_assert(sizeof(struct vu_memory) == 8 + 32 * VU_MAX_REGIONS, "vhost-user memory table");

struct vu_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
	uint8_t region[VU_MAX_CONFIG];
};
#define VU_CONFIG_HDR_SIZE 12u

struct vu_shmem_config {
	uint32_t num_regions;
	uint32_t padding;
	uint64_t sizes[VU_MAX_SHMEM_REGIONS]; /* by shmid */
};
_Static_assert(sizeof(struct vu_shmem_config) == 2056, "vhost-user shared memory table");

struct vu_shmem_map {
	uint8_t shmid;
	uint8_t padding[7];
	uint64_t fd_offset;
	uint64_t shm_offset;
	uint64_t len;
	uint64_t flags;
};
_Static_assert(sizeof(struct vu_shmem_map) == 40, "vhost-user shared memory mapping");

struct vu_vring_area {
	uint64_t vring;
	uint64_t size;
	uint64_t offset;
};

union vu_payload {
	uint64_t u64;
	struct vu_vring_state state;
	struct vu_vring_addr addr;
	struct vu_memory memory;
	struct vu_config config;
	struct vu_shmem_config shmem_config;
	struct vu_shmem_map shmem_map;
	struct vu_vring_area area;
	uint8_t bytes[VU_MAX_PAYLOAD];
};

/**
 * struct vu_msg - a message that was received
 * @fds: descriptors that came with it; -1 once somebody has taken one
 * @too_many_fds: more came than any message has; those are closed
 */
struct vu_msg {
	struct vu_hdr hdr;
	union vu_payload payload;
	int fds[VU_MAX_FDS];
	unsigned int num_fds;
	bool too_many_fds;
};

/**
 * struct vu_rx - a message on its way in; zero-initialised
 * @have: bytes of header and payload so far
 */
struct vu_rx {
	struct vu_msg msg;
	size_t have;
};

/**
 * vu_msg_recv() - read on, until a message is complete or nothing more is there; never waits
 * @fd: stream socket
 * @rx: state between calls. After a complete message it is for the caller to give the message's
 *      descriptors a home, and to call vu_rx_reset() before the next one.
 *
 * Return: 1 for a complete message; 0 for none yet; -ECONNRESET at the end of the stream; -EMSGSIZE
 * for a payload beyond VU_MAX_PAYLOAD, after which the stream cannot be followed; another negative
 * errno of the socket.
 */
int vu_msg_recv(int fd, struct vu_rx *rx);

/** vu_rx_reset() - close the descriptors nobody took and forget the message */
void vu_rx_reset(struct vu_rx *rx);

/** vu_msg_take_fd() - Return: descriptor @i, which is the caller's from now on */
int vu_msg_take_fd(struct vu_msg *msg, unsigned int i);

/**
 * vu_msg_send() - write a whole message; never waits
 * @request, @flags: for the header, the version is added
 * @payload: @size bytes
 *
 * Return: 0 or a negative errno, also when there is no room in the socket's buffer: the peer does
 * not read what it asked for, and the stream is of no use any more.
 */
int vu_msg_send(int fd, uint32_t request, uint32_t flags, const void *payload, uint32_t size);

/**
 * vu_bytes_send() - write a part of a message, with descriptor @pass unless that is -1
 *
 * Return: as vu_msg_send()
 */
int vu_bytes_send(int fd, const void *bytes, size_t len, int pass);

#endif
