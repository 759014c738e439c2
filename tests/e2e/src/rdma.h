/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the test programs share: opening a device, bringing RC queue pairs to work against each
 * other, waiting for a completion. Nothing here returns failure: die() ends the program.
 */
#ifndef TESTS_RDMA_H
#define TESTS_RDMA_H

#include <infiniband/verbs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define PORT	     1
#define WAIT_SECONDS 60 /* a completion that takes longer will not come */
#define ALL_ACCESS \
	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ | \
	 IBV_ACCESS_REMOTE_ATOMIC)

/** struct rdma - an open device and what a queue pair needs to know of it */
struct rdma {
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	struct ibv_device_attr attr;
	struct ibv_port_attr port;
	union ibv_gid gid;
	uint8_t gid_index;
};

__attribute__((format(printf, 1, 2), noreturn)) void die(const char *format, ...);

/** need() - end the program unless @condition; says @what and errno */
void need(bool condition, const char *what);

/** number() - Return: the decimal number in @text, up to @max; otherwise the program ends */
uint64_t number(const char *text, uint64_t max);

/** seconds() - Return: monotonic time */
double seconds(void);

/** device_option() - name of the device to use, from HYV_TEST_DEVICE; NULL for the first one */
const char *device_option(void);

/**
 * rdma_open() - open a device and allocate a protection domain
 * @name: its name, or NULL for the first one
 *
 * The GID is the first one that is an IPv4 address, or GID 0.
 */
void rdma_open(struct rdma *r, const char *name);

/** rdma_close() - everything made on it must be gone */
void rdma_close(struct rdma *r);

/** make_cq(), make_qp(), which makes an RC one, make_qp_of(), make_mr() - as the verbs, on @r */
struct ibv_cq *make_cq(struct rdma *r, int cqe);
struct ibv_qp *make_qp(struct rdma *r, struct ibv_cq *cq, int depth);
struct ibv_qp *make_qp_of(struct rdma *r, struct ibv_cq *cq, int depth, enum ibv_qp_type type);
struct ibv_mr *make_mr(struct rdma *r, void *addr, size_t length, int access);

/**
 * rereg_in_kernel() - ibv_rereg_mr() without the provider: librxe and libsiw have none, and the call
 * ends there
 *
 * Return: an errno, or 0
 */
int rereg_in_kernel(struct ibv_mr *mr, int flags, struct ibv_pd *pd, void *addr, size_t length,
		    int access);

/** qp_*_attr() - attributes of the change to that state, and the mask that goes with them */
int qp_init_attr(struct ibv_qp_attr *attr);
int qp_rtr_attr(struct ibv_qp_attr *attr, const struct rdma *r, uint32_t dest_qpn);
int qp_rts_attr(struct ibv_qp_attr *attr);

/** qp_connect() - from RESET to RTS, with @dest_qpn on the same device as its peer */
void qp_connect(struct rdma *r, struct ibv_qp *qp, uint32_t dest_qpn);

/** qp_reset() - to RESET from any state */
void qp_reset(struct ibv_qp *qp);

/** post() - post one work request of one SGE; signalled */
void post(struct ibv_qp *qp, enum ibv_wr_opcode opcode, struct ibv_mr *mr, void *addr,
	  uint32_t length, uint64_t remote_addr, uint32_t rkey);
void post_receive(struct ibv_qp *qp, struct ibv_mr *mr, void *addr, uint32_t length);

/** wait_cqe() - Return: status of the next completion of @cq, which is polled */
enum ibv_wc_status wait_cqe(struct ibv_cq *cq);

/** need_cqe() - wait for a completion that must be a success */
void need_cqe(struct ibv_cq *cq, const char *what);

/** fill(), check() - a pattern that depends on @seed and the position; check() says what is wrong */
void fill(void *buf, size_t length, uint64_t seed);
bool check(const void *buf, size_t length, uint64_t seed);

#endif
