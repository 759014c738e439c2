// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the test programs share, see rdma.h.
 */
#include <errno.h>
#include <rdma/ib_user_verbs.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "rdma.h"

void die(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

void need(bool condition, const char *what)
{
	if (!condition)
		die("%s: %s", what, strerrorname_np(errno));
}

uint64_t number(const char *text, uint64_t max)
{
	char *end;
	uint64_t n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || n > max)
		die("'%s' is not a number from 0 to %llu", text, (unsigned long long)max);
	return n;
}

double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

const char *device_option(void)
{
	return getenv("HYV_TEST_DEVICE");
}

/* the first GID that stands for an IPv4 address: GID 0 of an rxe device has no route to itself */
static void choose_gid(struct rdma *r)
{
	static const uint8_t ipv4[12] = { [10] = 0xff, [11] = 0xff };
	int i;

	for (i = 0; i < r->port.gid_tbl_len; i++) {
		if (ibv_query_gid(r->ctx, PORT, i, &r->gid))
			break;
		if (!memcmp(r->gid.raw, ipv4, sizeof(ipv4))) {
			r->gid_index = i;
			return;
		}
	}
	need(!ibv_query_gid(r->ctx, PORT, 0, &r->gid), "query_gid");
	r->gid_index = 0;
}

void rdma_open(struct rdma *r, const char *name)
{
	struct ibv_device **list;
	int n, i;

	memset(r, 0, sizeof(*r));
	list = ibv_get_device_list(&n);
	need(list, "get_device_list");
	for (i = 0; i < n; i++)
		if (!name || !strcmp(ibv_get_device_name(list[i]), name))
			break;
	if (i == n)
		die("no RDMA device %s", name ? name : "at all");
	r->ctx = ibv_open_device(list[i]);
	need(r->ctx, "open_device");
	ibv_free_device_list(list);
	r->pd = ibv_alloc_pd(r->ctx);
	need(r->pd, "alloc_pd");
	need(!ibv_query_device(r->ctx, &r->attr), "query_device");
	need(!ibv_query_port(r->ctx, PORT, &r->port), "query_port");
	choose_gid(r);
}

void rdma_close(struct rdma *r)
{
	errno = ibv_dealloc_pd(r->pd);
	need(!errno, "dealloc_pd");
	need(!ibv_close_device(r->ctx), "close_device");
}

struct ibv_cq *make_cq(struct rdma *r, int cqe)
{
	struct ibv_cq *cq = ibv_create_cq(r->ctx, cqe, NULL, NULL, 0);

	need(cq, "create_cq");
	return cq;
}

struct ibv_qp *make_qp(struct rdma *r, struct ibv_cq *cq, int depth)
{
	return make_qp_of(r, cq, depth, IBV_QPT_RC);
}

struct ibv_qp *make_qp_of(struct rdma *r, struct ibv_cq *cq, int depth, enum ibv_qp_type type)
{
	struct ibv_qp_init_attr init = {
		.send_cq = cq,
		.recv_cq = cq,
		.cap = { .max_send_wr = depth,
			 .max_recv_wr = depth,
			 .max_send_sge = 1,
			 .max_recv_sge = 1 },
		.qp_type = type,
	};
	struct ibv_qp *qp = ibv_create_qp(r->pd, &init);

	need(qp, "create_qp");
	return qp;
}

struct ibv_mr *make_mr(struct rdma *r, void *addr, size_t length, int access)
{
	struct ibv_mr *mr = ibv_reg_mr(r->pd, addr, length, access);

	need(mr, "reg_mr");
	return mr;
}

int rereg_in_kernel(struct ibv_mr *mr, int flags, struct ibv_pd *pd, void *addr, size_t length,
		    int access)
{
	struct ib_uverbs_rereg_mr_resp resp = { 0 };
	struct {
		struct ib_uverbs_cmd_hdr hdr;
		struct ib_uverbs_rereg_mr core;
	} cmd = {
		.hdr = {
			.command = IB_USER_VERBS_CMD_REREG_MR,
			.in_words = sizeof(cmd) / 4,
			.out_words = sizeof(resp) / 4,
		},
		.core = {
			.response = (uintptr_t)&resp,
			.mr_handle = mr->handle,
			.flags = flags,
			.start = (uintptr_t)addr,
			.length = length,
			.hca_va = (uintptr_t)addr,
			.pd_handle = pd ? pd->handle : 0,
			.access_flags = access,
		},
	};

	if (write(mr->context->cmd_fd, &cmd, sizeof(cmd)) != sizeof(cmd))
		return errno;
	mr->lkey = resp.lkey;
	mr->rkey = resp.rkey;
	if (flags & IBV_REREG_MR_CHANGE_PD)
		mr->pd = pd;
	return 0;
}

int qp_init_attr(struct ibv_qp_attr *attr)
{
	*attr = (struct ibv_qp_attr){
		.qp_state = IBV_QPS_INIT,
		.port_num = PORT,
		.qp_access_flags = ALL_ACCESS,
	};
	return IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS;
}

int qp_rtr_attr(struct ibv_qp_attr *attr, const struct rdma *r, uint32_t dest_qpn)
{
	*attr = (struct ibv_qp_attr){
		.qp_state = IBV_QPS_RTR,
		.path_mtu = IBV_MTU_1024,
		.dest_qp_num = dest_qpn,
		.max_dest_rd_atomic = 4,
		.min_rnr_timer = 12,
		.ah_attr = {
			.grh = { .dgid = r->gid, .sgid_index = r->gid_index, .hop_limit = 1 },
			.dlid = r->port.lid,
			.is_global = 1,
			.port_num = PORT,
		},
	};
	return IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
	       IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
}

int qp_rts_attr(struct ibv_qp_attr *attr)
{
	*attr = (struct ibv_qp_attr){
		.qp_state = IBV_QPS_RTS,
		.timeout = 18,
		.retry_cnt = 7,
		.rnr_retry = 7,
		.max_rd_atomic = 4,
	};
	return IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
	       IBV_QP_MAX_QP_RD_ATOMIC;
}

void qp_connect(struct rdma *r, struct ibv_qp *qp, uint32_t dest_qpn)
{
	struct ibv_qp_attr attr;
	int mask;

	mask = qp_init_attr(&attr);
	errno = ibv_modify_qp(qp, &attr, mask);
	need(!errno, "modify_qp to INIT");
	mask = qp_rtr_attr(&attr, r, dest_qpn);
	errno = ibv_modify_qp(qp, &attr, mask);
	need(!errno, "modify_qp to RTR");
	mask = qp_rts_attr(&attr);
	errno = ibv_modify_qp(qp, &attr, mask);
	need(!errno, "modify_qp to RTS");
}

void qp_reset(struct ibv_qp *qp)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RESET };

	errno = ibv_modify_qp(qp, &attr, IBV_QP_STATE);
	need(!errno, "modify_qp to RESET");
}

void post(struct ibv_qp *qp, enum ibv_wr_opcode opcode, struct ibv_mr *mr, void *addr,
	  uint32_t length, uint64_t remote_addr, uint32_t rkey)
{
	struct ibv_sge sge = { (uintptr_t)addr, length, mr->lkey };
	struct ibv_send_wr *bad, wr = {
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = opcode,
		.send_flags = IBV_SEND_SIGNALED,
	};

	if (opcode == IBV_WR_ATOMIC_FETCH_AND_ADD) {
		wr.wr.atomic.remote_addr = remote_addr;
		wr.wr.atomic.compare_add = 1;
		wr.wr.atomic.rkey = rkey;
	} else {
		wr.wr.rdma.remote_addr = remote_addr;
		wr.wr.rdma.rkey = rkey;
	}
	errno = ibv_post_send(qp, &wr, &bad);
	need(!errno, "post_send");
}

void post_receive(struct ibv_qp *qp, struct ibv_mr *mr, void *addr, uint32_t length)
{
	struct ibv_sge sge = { (uintptr_t)addr, length, mr->lkey };
	struct ibv_recv_wr *bad, wr = { .sg_list = &sge, .num_sge = 1 };

	errno = ibv_post_recv(qp, &wr, &bad);
	need(!errno, "post_recv");
}

enum ibv_wc_status wait_cqe(struct ibv_cq *cq)
{
	double end = seconds() + WAIT_SECONDS;
	struct ibv_wc wc;
	int n;

	while (!(n = ibv_poll_cq(cq, 1, &wc)))
		if (seconds() > end)
			die("no completion in %d s", WAIT_SECONDS);
	if (n < 0)
		die("poll_cq: %d", n);
	return wc.status;
}

void need_cqe(struct ibv_cq *cq, const char *what)
{
	enum ibv_wc_status status = wait_cqe(cq);

	if (status != IBV_WC_SUCCESS)
		die("%s: %s", what, ibv_wc_status_str(status));
}

static uint8_t pattern(size_t i, uint64_t seed)
{
	return (uint8_t)((i + seed) * 0x9e3779b97f4a7c15ull >> 56);
}

void fill(void *buf, size_t length, uint64_t seed)
{
	uint8_t *p = buf;
	size_t i;

	for (i = 0; i < length; i++)
		p[i] = pattern(i, seed);
}

bool check(const void *buf, size_t length, uint64_t seed)
{
	const uint8_t *p = buf;
	size_t i;

	for (i = 0; i < length; i++) {
		if (p[i] != pattern(i, seed)) {
			fprintf(stderr, "byte %zu of %zu is %#x instead of %#x\n", i, length, p[i],
				pattern(i, seed));
			return false;
		}
	}
	return true;
}
