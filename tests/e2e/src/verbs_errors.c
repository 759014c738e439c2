// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Makes one bad call after the other and prints what each returns, as "name: errno". A guest must
 * print what the host prints. Limits are the device's own, so that each call is one beyond them.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "rdma.h"

#define SIZE 65536

static struct rdma r;
static void *memory; /* SIZE bytes, writable */

/** struct bad_call - @run returns an errno, or 0 */
struct bad_call {
	const char *name;
	int (*run)(void);
};

/* begins a function that is one of the calls; they run in the order of this file */
#define CASE(name) \
	static int name(void); \
	static const struct bad_call call_##name \
		__attribute__((section("calls"), used, no_reorder)) = { #name, name }; \
	static int name(void)

extern const struct bad_call __start_calls[], __stop_calls[];

/* ---- memory regions ---- */

static int reg(void *addr, size_t length, int access)
{
	struct ibv_mr *mr;

	errno = 0;
	mr = ibv_reg_mr(r.pd, addr, length, access);
	if (!mr)
		return errno;
	return ibv_dereg_mr(mr);
}

static int reg_mapped(int prot, int access)
{
	void *p = mmap(NULL, SIZE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ret;

	need(p != MAP_FAILED, "mmap");
	ret = reg(p, SIZE, access);
	munmap(p, SIZE);
	return ret;
}

CASE(mr_good)
{
	return reg(memory, SIZE, ALL_ACCESS);
}

CASE(mr_unknown_access)
{
	return reg(memory, SIZE, 1 << 19);
}

CASE(mr_unknown_optional_access)
{
	return reg(memory, SIZE, IBV_ACCESS_LOCAL_WRITE | 1 << 29);
}

CASE(mr_remote_write_only)
{
	return reg(memory, SIZE, IBV_ACCESS_REMOTE_WRITE);
}

CASE(mr_remote_atomic_only)
{
	return reg(memory, SIZE, IBV_ACCESS_REMOTE_ATOMIC);
}

CASE(mr_on_demand)
{
	return reg(memory, SIZE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_ON_DEMAND);
}

CASE(mr_huge_pages)
{
	return reg(memory, SIZE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_HUGETLB);
}

CASE(mr_zero_based)
{
	return reg(memory, SIZE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_ZERO_BASED);
}

CASE(mr_window_bind)
{
	return reg(memory, SIZE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_MW_BIND);
}

CASE(mr_unmapped)
{
	void *p = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(p, SIZE);
	return reg(p, SIZE, IBV_ACCESS_LOCAL_WRITE);
}

CASE(mr_half_unmapped)
{
	uint8_t *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ret;

	munmap(p + SIZE / 2, SIZE / 2);
	ret = reg(p, SIZE, IBV_ACCESS_LOCAL_WRITE);
	munmap(p, SIZE / 2);
	return ret;
}

CASE(mr_read_only_as_writable)
{
	return reg_mapped(PROT_READ, IBV_ACCESS_LOCAL_WRITE);
}

CASE(mr_read_only)
{
	return reg_mapped(PROT_READ, 0);
}

CASE(mr_no_access_memory)
{
	return reg_mapped(PROT_NONE, 0);
}

CASE(mr_zero_length)
{
	return reg(memory, 0, IBV_ACCESS_LOCAL_WRITE);
}

CASE(mr_zero_length_null)
{
	return reg(NULL, 0, IBV_ACCESS_LOCAL_WRITE);
}

CASE(mr_null)
{
	return reg(NULL, SIZE, IBV_ACCESS_LOCAL_WRITE);
}

CASE(mr_huge_length)
{
	return reg(memory, 1ull << 46, IBV_ACCESS_LOCAL_WRITE);
}

CASE(mr_wrapping_length)
{
	return reg(memory, SIZE_MAX - 4096, IBV_ACCESS_LOCAL_WRITE);
}

CASE(mr_kernel_address)
{
	return reg((void *)0xffff800000000000ull, SIZE, IBV_ACCESS_LOCAL_WRITE);
}

CASE(mr_iova_misaligned)
{
	struct ibv_mr *mr;

	errno = 0;
	mr = ibv_reg_mr_iova(r.pd, memory, SIZE, 0x10001, IBV_ACCESS_LOCAL_WRITE);
	return mr ? ibv_dereg_mr(mr) : errno;
}

CASE(mr_iova)
{
	struct ibv_mr *mr;

	errno = 0;
	mr = ibv_reg_mr_iova(r.pd, memory, SIZE, 0x10000, IBV_ACCESS_LOCAL_WRITE);
	return mr ? ibv_dereg_mr(mr) : errno;
}

/*
 * As an ordinary user who may lock less than the region has. In a process of its own, since one
 * that has once changed its user may not write to the device any more.
 */
CASE(mr_over_memlock)
{
	struct rlimit limit;
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		getrlimit(RLIMIT_MEMLOCK, &limit);
		limit.rlim_cur = 4096;
		need(!setrlimit(RLIMIT_MEMLOCK, &limit) && !setuid(65534), "becoming another user");
		_exit(reg(memory, SIZE, IBV_ACCESS_LOCAL_WRITE));
	}
	need(waitpid(pid, &status, 0) == pid && WIFEXITED(status), "waitpid");
	return WEXITSTATUS(status);
}

CASE(mr_unknown_pd)
{
	uint32_t handle = r.pd->handle;
	int ret;

	r.pd->handle = 12345;
	ret = reg(memory, SIZE, IBV_ACCESS_LOCAL_WRITE);
	r.pd->handle = handle;
	return ret;
}

CASE(mr_dereg_unknown)
{
	struct ibv_mr *mr = make_mr(&r, memory, SIZE, IBV_ACCESS_LOCAL_WRITE);
	uint32_t handle = mr->handle;
	int ret;

	mr->handle = 12345;
	ret = ibv_dereg_mr(mr);
	mr->handle = handle;
	need(ret, "dereg_mr of an unknown region");
	need(!ibv_dereg_mr(mr), "dereg_mr");
	return ret;
}

/* ---- completion queues ---- */

static int cq(int cqe, int vector)
{
	struct ibv_cq *c;

	errno = 0;
	c = ibv_create_cq(r.ctx, cqe, NULL, NULL, vector);
	return c ? ibv_destroy_cq(c) : errno;
}

CASE(cq_good)
{
	return cq(16, 0);
}

CASE(cq_no_entries)
{
	return cq(0, 0);
}

CASE(cq_negative_entries)
{
	return cq(-1, 0);
}

CASE(cq_most_entries)
{
	return cq(r.attr.max_cqe, 0);
}

CASE(cq_too_many_entries)
{
	return cq(r.attr.max_cqe + 1, 0);
}

CASE(cq_vector_too_high)
{
	return cq(16, r.ctx->num_comp_vectors);
}

CASE(cq_vector_negative)
{
	return cq(16, -1);
}

CASE(cq_destroy_with_qp)
{
	struct ibv_cq *c = make_cq(&r, 16);
	struct ibv_qp *qp = make_qp(&r, c, 4);
	int ret = ibv_destroy_cq(c);

	need(ret, "destroy_cq with a QP");
	need(!ibv_destroy_qp(qp) && !ibv_destroy_cq(c), "destroying QP and CQ");
	return ret;
}

CASE(cq_arm_unknown)
{
	struct ibv_cq *c = make_cq(&r, 16);
	uint32_t handle = c->handle;
	int ret;

	c->handle = 12345;
	ret = ibv_req_notify_cq(c, 0);
	c->handle = handle;
	need(!ibv_destroy_cq(c), "destroy_cq");
	return ret;
}

CASE(channel_destroy_with_cq)
{
	struct ibv_comp_channel *channel = ibv_create_comp_channel(r.ctx);
	struct ibv_cq *c;
	int ret;

	need(channel, "create_comp_channel");
	c = ibv_create_cq(r.ctx, 16, NULL, channel, 0);
	need(c, "create_cq");
	ret = ibv_destroy_comp_channel(channel);
	need(!ibv_destroy_cq(c) && !ibv_destroy_comp_channel(channel), "destroying CQ and channel");
	return ret;
}

/* ---- protection domains ---- */

static int pd_destroy_with(bool with_qp)
{
	struct ibv_pd *pd = ibv_alloc_pd(r.ctx), *own = r.pd;
	struct ibv_cq *c = make_cq(&r, 16);
	struct ibv_qp *qp = NULL;
	struct ibv_mr *mr = NULL;
	int ret;

	need(pd, "alloc_pd");
	r.pd = pd;
	if (with_qp)
		qp = make_qp(&r, c, 4);
	else
		mr = make_mr(&r, memory, SIZE, 0);
	ret = ibv_dealloc_pd(pd);
	r.pd = own;
	need(ret, "dealloc_pd with something in it");
	need(!(with_qp ? ibv_destroy_qp(qp) : ibv_dereg_mr(mr)) && !ibv_destroy_cq(c) &&
		     !ibv_dealloc_pd(pd),
	     "destroying it all");
	return ret;
}

CASE(pd_destroy_with_mr)
{
	return pd_destroy_with(false);
}

CASE(pd_destroy_with_qp)
{
	return pd_destroy_with(true);
}

/* ---- queue pairs ---- */

static struct ibv_qp_init_attr qp_attr(struct ibv_cq *c)
{
	return (struct ibv_qp_init_attr){
		.send_cq = c,
		.recv_cq = c,
		.cap = { .max_send_wr = 4, .max_recv_wr = 4, .max_send_sge = 1, .max_recv_sge = 1 },
		.qp_type = IBV_QPT_RC,
	};
}

static int create(struct ibv_qp_init_attr *init)
{
	struct ibv_qp *qp;
	int ret;

	errno = 0;
	qp = ibv_create_qp(r.pd, init);
	ret = qp ? ibv_destroy_qp(qp) : errno;
	need(!ibv_destroy_cq(init->recv_cq), "destroy_cq");
	return ret;
}

/* creates a QP of which one thing is wrong */
#define QP_CASE(name, change) \
	CASE(name) \
	{ \
		struct ibv_qp_init_attr init = qp_attr(make_cq(&r, 16)); \
\
		change; \
		return create(&init); \
	}

QP_CASE(qp_good, (void)0)
QP_CASE(qp_most_send_wr, init.cap.max_send_wr = r.attr.max_qp_wr)
QP_CASE(qp_too_many_send_wr, init.cap.max_send_wr = r.attr.max_qp_wr + 1)
QP_CASE(qp_too_many_recv_wr, init.cap.max_recv_wr = r.attr.max_qp_wr + 1)
QP_CASE(qp_too_many_send_sge, init.cap.max_send_sge = r.attr.max_sge + 1)
QP_CASE(qp_too_many_recv_sge, init.cap.max_recv_sge = r.attr.max_sge + 1)
QP_CASE(qp_absurd_send_wr, init.cap.max_send_wr = UINT32_MAX)
QP_CASE(qp_absurd_send_sge, init.cap.max_send_sge = UINT32_MAX)
QP_CASE(qp_inline_large, init.cap.max_inline_data = 4096)
QP_CASE(qp_inline_absurd, init.cap.max_inline_data = UINT32_MAX)
QP_CASE(qp_no_wr, init.cap.max_send_wr = init.cap.max_recv_wr = 0)
QP_CASE(qp_no_sge, init.cap.max_send_sge = init.cap.max_recv_sge = 0)
QP_CASE(qp_type_unknown, init.qp_type = 77)
QP_CASE(qp_type_zero, init.qp_type = 0)
QP_CASE(qp_type_raw_packet, init.qp_type = IBV_QPT_RAW_PACKET)
QP_CASE(qp_type_xrc_send, init.qp_type = IBV_QPT_XRC_SEND)

CASE(qp_unknown_cq)
{
	struct ibv_qp_init_attr init = qp_attr(make_cq(&r, 16));
	uint32_t handle = init.send_cq->handle;
	struct ibv_qp *qp;
	int ret;

	init.send_cq->handle = 12345;
	errno = 0;
	qp = ibv_create_qp(r.pd, &init);
	ret = errno;
	need(!qp, "create_qp with an unknown CQ worked");
	init.send_cq->handle = handle;
	need(!ibv_destroy_cq(init.send_cq), "destroy_cq");
	return ret;
}

static int create_with_pd(struct ibv_qp_init_attr *init, bool is_ex)
{
	struct ibv_qp_init_attr_ex ex = {
		.send_cq = init->send_cq,
		.recv_cq = init->recv_cq,
		.cap = init->cap,
		.qp_type = init->qp_type,
		.comp_mask = IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_CREATE_FLAGS,
		.pd = r.pd,
		.create_flags = is_ex ? 1u << 30 : 0,
	};
	struct ibv_qp *qp;
	int ret;

	errno = 0;
	qp = ibv_create_qp_ex(r.ctx, &ex);
	ret = qp ? ibv_destroy_qp(qp) : errno;
	need(!ibv_destroy_cq(init->recv_cq), "destroy_cq");
	return ret;
}

QP_CASE(qp_type_uc, init.qp_type = IBV_QPT_UC)
QP_CASE(qp_type_ud, init.qp_type = IBV_QPT_UD)
QP_CASE(qp_type_xrc_receive, init.qp_type = IBV_QPT_XRC_RECV)
QP_CASE(qp_type_driver, init.qp_type = IBV_QPT_DRIVER)

CASE(qp_ex)
{
	struct ibv_qp_init_attr init = qp_attr(make_cq(&r, 16));

	return create_with_pd(&init, false);
}

CASE(qp_ex_unknown_flag)
{
	struct ibv_qp_init_attr init = qp_attr(make_cq(&r, 16));

	return create_with_pd(&init, true);
}

/* ---- resizing and extended completion queues ---- */

static int resize(int cqe)
{
	struct ibv_cq *c = make_cq(&r, 16);
	int ret = ibv_resize_cq(c, cqe);

	need(!ibv_destroy_cq(c), "destroy_cq");
	return ret;
}

CASE(resize_larger)
{
	return resize(200);
}

CASE(resize_to_nothing)
{
	return resize(0);
}

CASE(resize_beyond)
{
	return resize(r.attr.max_cqe + 1);
}

CASE(cqex_flags_unknown)
{
	struct ibv_cq_init_attr_ex attr = { .cqe = 16, .wc_flags = 1ull << 60 };
	struct ibv_cq_ex *c;

	errno = 0;
	c = ibv_create_cq_ex(r.ctx, &attr);
	return c ? ibv_destroy_cq(ibv_cq_ex_to_cq(c)) : errno;
}

CASE(cqex_timestamp)
{
	struct ibv_cq_init_attr_ex attr = {
		.cqe = 16,
		.wc_flags = IBV_WC_EX_WITH_COMPLETION_TIMESTAMP,
	};
	struct ibv_cq_ex *c;

	errno = 0;
	c = ibv_create_cq_ex(r.ctx, &attr);
	return c ? ibv_destroy_cq(ibv_cq_ex_to_cq(c)) : errno;
}

CASE(cqex_moderate)
{
	struct ibv_cq *c = make_cq(&r, 16);
	struct ibv_modify_cq_attr attr = {
		.attr_mask = IBV_CQ_ATTR_MODERATE,
		.moderate = { 1, 1 },
	};
	int ret = ibv_modify_cq(c, &attr);

	need(!ibv_destroy_cq(c), "destroy_cq");
	return ret;
}

/* ---- shared receive queues ---- */

static int srq(uint32_t max_wr, uint32_t max_sge, uint32_t limit)
{
	struct ibv_srq_init_attr init = {
		.attr = { .max_wr = max_wr, .max_sge = max_sge, .srq_limit = limit },
	};
	struct ibv_srq *q;

	errno = 0;
	q = ibv_create_srq(r.pd, &init);
	return q ? ibv_destroy_srq(q) : errno;
}

CASE(srq_good)
{
	return srq(16, 1, 0);
}

CASE(srq_most_wr)
{
	return srq(r.attr.max_srq_wr, 1, 0);
}

CASE(srq_too_many_wr)
{
	return srq(r.attr.max_srq_wr + 1, 1, 0);
}

CASE(srq_too_many_sge)
{
	return srq(16, r.attr.max_srq_sge + 1, 0);
}

CASE(srq_no_wr)
{
	return srq(0, 1, 0);
}

CASE(srq_absurd)
{
	return srq(UINT32_MAX, UINT32_MAX, UINT32_MAX);
}

CASE(srq_limit_beyond)
{
	return srq(16, 1, 10000);
}

CASE(srq_xrc)
{
	struct ibv_srq_init_attr_ex init = {
		.attr = { .max_wr = 16, .max_sge = 1 },
		.comp_mask = IBV_SRQ_INIT_ATTR_TYPE | IBV_SRQ_INIT_ATTR_PD,
		.srq_type = IBV_SRQT_XRC,
		.pd = r.pd,
	};
	struct ibv_srq *q;

	errno = 0;
	q = ibv_create_srq_ex(r.ctx, &init);
	return q ? ibv_destroy_srq(q) : errno;
}

CASE(xrcd_open)
{
	struct ibv_xrcd_init_attr init = {
		.comp_mask = IBV_XRCD_INIT_ATTR_FD | IBV_XRCD_INIT_ATTR_OFLAGS,
		.fd = -1,
		.oflags = 0100, /* O_CREAT */
	};
	struct ibv_xrcd *xrcd;

	errno = 0;
	xrcd = ibv_open_xrcd(r.ctx, &init);
	return xrcd ? ibv_close_xrcd(xrcd) : errno;
}

static int modify_srq(uint32_t max_wr, uint32_t limit, int mask)
{
	struct ibv_srq_init_attr init = { .attr = { .max_wr = 16, .max_sge = 1 } };
	struct ibv_srq_attr attr = { .max_wr = max_wr, .srq_limit = limit };
	struct ibv_srq *q = ibv_create_srq(r.pd, &init);
	int ret;

	need(q, "create_srq");
	ret = ibv_modify_srq(q, &attr, mask);
	need(!ibv_destroy_srq(q), "destroy_srq");
	return ret;
}

CASE(srq_modify_limit)
{
	return modify_srq(0, 4, IBV_SRQ_LIMIT);
}

CASE(srq_modify_limit_beyond)
{
	return modify_srq(0, 100000, IBV_SRQ_LIMIT);
}

CASE(srq_modify_larger)
{
	return modify_srq(100, 0, IBV_SRQ_MAX_WR);
}

CASE(srq_modify_beyond)
{
	return modify_srq(r.attr.max_srq_wr + 1, 0, IBV_SRQ_MAX_WR);
}

CASE(srq_modify_unknown)
{
	return modify_srq(0, 0, 1 << 20);
}

CASE(srq_destroy_with_qp)
{
	struct ibv_srq_init_attr init = { .attr = { .max_wr = 16, .max_sge = 1 } };
	struct ibv_srq *q = ibv_create_srq(r.pd, &init);
	struct ibv_qp_init_attr attr = qp_attr(make_cq(&r, 16));
	struct ibv_qp *qp;
	int ret;

	need(q, "create_srq");
	attr.srq = q;
	qp = ibv_create_qp(r.pd, &attr);
	need(qp, "create_qp with an SRQ");
	ret = ibv_destroy_srq(q);
	need(ret, "destroy_srq with a QP");
	need(!ibv_destroy_qp(qp) && !ibv_destroy_srq(q) && !ibv_destroy_cq(attr.recv_cq),
	     "destroying QP, SRQ and CQ");
	return ret;
}

/* ---- address handles, groups ---- */

static int ah(struct ibv_ah_attr *attr)
{
	struct ibv_ah *a;

	errno = 0;
	a = ibv_create_ah(r.pd, attr);
	return a ? ibv_destroy_ah(a) : errno;
}

/* an address handle of which one thing is wrong */
#define AH_CASE(name, change) \
	CASE(name) \
	{ \
		struct ibv_ah_attr attr = { \
			.grh = { .dgid = r.gid, .sgid_index = r.gid_index, .hop_limit = 1 }, \
			.is_global = 1, \
			.port_num = PORT, \
		}; \
\
		change; \
		return ah(&attr); \
	}

AH_CASE(ah_good, (void)0)
AH_CASE(ah_no_grh, attr.is_global = 0)
AH_CASE(ah_port_0, attr.port_num = 0)
AH_CASE(ah_port_2, attr.port_num = 2)
AH_CASE(ah_sgid_255, attr.grh.sgid_index = 255)
AH_CASE(ah_sgid_empty, attr.grh.sgid_index = 100)
AH_CASE(ah_zero_gid, memset(&attr.grh.dgid, 0, 16))

/* @again: how often to do it once more; a second detaching is the error then */
static int mcast(enum ibv_qp_type type, uint8_t first_byte, bool attach, bool again)
{
	struct ibv_qp_init_attr init = qp_attr(make_cq(&r, 16));
	union ibv_gid gid = { .raw = { first_byte, 0x0e, [10] = 0xff, 0xff, 239, 1, 2, 3 } };
	struct ibv_qp *qp;
	int ret;

	init.qp_type = type;
	qp = ibv_create_qp(r.pd, &init);
	need(qp, "create_qp");
	ret = attach ? ibv_attach_mcast(qp, &gid, 0) : ibv_detach_mcast(qp, &gid, 0);
	if (!ret && again)
		ret = ibv_attach_mcast(qp, &gid, 0);
	if (attach)
		ibv_detach_mcast(qp, &gid, 0);
	need(!ibv_destroy_qp(qp) && !ibv_destroy_cq(init.recv_cq), "destroying QP and CQ");
	return ret;
}

CASE(mcast_good)
{
	return mcast(IBV_QPT_UD, 0xff, true, false);
}

CASE(mcast_twice)
{
	return mcast(IBV_QPT_UD, 0xff, true, true);
}

CASE(mcast_not_attached)
{
	return mcast(IBV_QPT_UD, 0xff, false, false);
}

CASE(mcast_no_group)
{
	return mcast(IBV_QPT_UD, 0xfe, true, false);
}

CASE(mcast_rc)
{
	return mcast(IBV_QPT_RC, 0xff, true, false);
}

/* ---- memory windows, reregistering ---- */

static int mw(enum ibv_mw_type type)
{
	struct ibv_mw *w;

	errno = 0;
	w = ibv_alloc_mw(r.pd, type);
	return w ? ibv_dealloc_mw(w) : errno;
}

CASE(mw_type_1)
{
	return mw(IBV_MW_TYPE_1);
}

CASE(mw_type_2)
{
	return mw(IBV_MW_TYPE_2);
}

CASE(mw_type_0)
{
	return mw(0);
}

CASE(mw_type_77)
{
	return mw(77);
}

static int rereg(int flags, void *addr, size_t length, int access)
{
	struct ibv_mr *mr = make_mr(&r, memory, SIZE, IBV_ACCESS_LOCAL_WRITE);
	int ret;

	errno = 0;
	ret = ibv_rereg_mr(mr, flags, r.pd, addr, length, access);
	if (ret)
		ret = ret == -1 ? errno : -ret; /* IBV_REREG_MR_ERR_* else */
	need(!ibv_dereg_mr(mr), "dereg_mr");
	return ret < 0 ? errno ? errno : ECANCELED : ret;
}

CASE(rereg_access)
{
	return rereg(IBV_REREG_MR_CHANGE_ACCESS, NULL, 0, ALL_ACCESS);
}

CASE(rereg_memory)
{
	return rereg(IBV_REREG_MR_CHANGE_TRANSLATION, (char *)memory + 4096, SIZE - 4096, 0);
}

CASE(rereg_all)
{
	return rereg(IBV_REREG_MR_CHANGE_TRANSLATION | IBV_REREG_MR_CHANGE_PD |
			     IBV_REREG_MR_CHANGE_ACCESS,
		     memory, 4096, IBV_ACCESS_LOCAL_WRITE);
}

CASE(rereg_unmapped)
{
	void *p = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(p, SIZE);
	return rereg(IBV_REREG_MR_CHANGE_TRANSLATION, p, SIZE, 0);
}

CASE(rereg_nothing)
{
	return rereg(0, NULL, 0, 0);
}

CASE(rereg_unknown_access)
{
	return rereg(IBV_REREG_MR_CHANGE_ACCESS, NULL, 0, 1 << 19);
}

/* ---- what soft devices do not have ---- */

CASE(other_dmabuf_mr)
{
	struct ibv_mr *mr;

	errno = 0;
	mr = ibv_reg_dmabuf_mr(r.pd, 0, SIZE, 0, 1, IBV_ACCESS_LOCAL_WRITE);
	return mr ? ibv_dereg_mr(mr) : errno;
}

CASE(other_wq)
{
	struct ibv_cq *c = make_cq(&r, 16);
	struct ibv_wq_init_attr init = {
		.wq_type = IBV_WQT_RQ,
		.max_wr = 4,
		.max_sge = 1,
		.pd = r.pd,
		.cq = c,
	};
	struct ibv_wq *wq;
	int ret;

	errno = 0;
	wq = ibv_create_wq(r.ctx, &init);
	ret = wq ? ibv_destroy_wq(wq) : errno;
	need(!ibv_destroy_cq(c), "destroy_cq");
	return ret;
}

CASE(other_dm)
{
	struct ibv_alloc_dm_attr attr = { .length = 4096 };
	struct ibv_dm *dm;

	errno = 0;
	dm = ibv_alloc_dm(r.ctx, &attr);
	return dm ? ibv_free_dm(dm) : errno;
}

CASE(other_counters)
{
	struct ibv_counters_init_attr init = { 0 };
	struct ibv_counters *counters;

	errno = 0;
	counters = ibv_create_counters(r.ctx, &init);
	return counters ? ibv_destroy_counters(counters) : errno;
}

CASE(other_advise_mr)
{
	struct ibv_mr *mr = make_mr(&r, memory, SIZE, IBV_ACCESS_LOCAL_WRITE);
	struct ibv_sge sge = { (uintptr_t)memory, 4096, mr->lkey };
	int ret = ibv_advise_mr(r.pd, IBV_ADVISE_MR_ADVICE_PREFETCH, IBV_ADVISE_MR_FLAG_FLUSH, &sge, 1);

	need(!ibv_dereg_mr(mr), "dereg_mr");
	return ret;
}

CASE(other_values)
{
	struct ibv_values_ex values = { .comp_mask = IBV_VALUES_MASK_RAW_CLOCK };

	return ibv_query_rt_values_ex(r.ctx, &values);
}

CASE(other_parent_domain)
{
	struct ibv_td_init_attr init = { 0 };
	struct ibv_td *td;

	errno = 0;
	td = ibv_alloc_td(r.ctx, &init);
	return td ? ibv_dealloc_td(td) : errno;
}

CASE(other_flow)
{
	struct ibv_flow_attr attr = { .type = IBV_FLOW_ATTR_NORMAL, .size = sizeof(attr), .port = PORT };
	struct ibv_cq *c = make_cq(&r, 16);
	struct ibv_qp *qp = make_qp(&r, c, 4);
	struct ibv_flow *flow;
	int ret;

	errno = 0;
	flow = ibv_create_flow(qp, &attr);
	ret = flow ? ibv_destroy_flow(flow) : errno;
	need(!ibv_destroy_qp(qp) && !ibv_destroy_cq(c), "destroying QP and CQ");
	return ret;
}

/* ---- state changes ---- */

/* brings @qp, which is in RESET, to INIT, RTR, RTS or ERR by good calls */
static void bring(struct ibv_qp *qp, enum ibv_qp_state state)
{
	struct ibv_qp_attr attr;
	int mask;

	if (state != IBV_QPS_RESET) {
		mask = qp_init_attr(&attr);
		need(!ibv_modify_qp(qp, &attr, mask), "modify_qp to INIT");
	}
	if (state >= IBV_QPS_RTR && state <= IBV_QPS_RTS) {
		mask = qp_rtr_attr(&attr, &r, qp->qp_num);
		need(!ibv_modify_qp(qp, &attr, mask), "modify_qp to RTR");
	}
	if (state == IBV_QPS_RTS) {
		mask = qp_rts_attr(&attr);
		need(!ibv_modify_qp(qp, &attr, mask), "modify_qp to RTS");
	}
	if (state == IBV_QPS_ERR) {
		attr.qp_state = IBV_QPS_ERR;
		need(!ibv_modify_qp(qp, &attr, IBV_QP_STATE), "modify_qp to ERR");
	}
}

static int mask_for(enum ibv_qp_state to, struct ibv_qp_attr *attr, uint32_t qpn)
{
	if (to == IBV_QPS_INIT)
		return qp_init_attr(attr);
	if (to == IBV_QPS_RTR)
		return qp_rtr_attr(attr, &r, qpn);
	if (to == IBV_QPS_RTS)
		return qp_rts_attr(attr);
	*attr = (struct ibv_qp_attr){ .qp_state = to };
	return IBV_QP_STATE;
}

/* changes a QP's state from @from to @to, with one thing wrong in attributes or mask */
#define STATE_CASE(name, from, to, change) \
	CASE(name) \
	{ \
		struct ibv_cq *c = make_cq(&r, 16); \
		struct ibv_qp *qp = make_qp(&r, c, 4); \
		struct ibv_qp_attr attr; \
		int mask, ret; \
\
		bring(qp, IBV_QPS_##from); \
		mask = mask_for(IBV_QPS_##to, &attr, qp->qp_num); \
		change; \
		ret = ibv_modify_qp(qp, &attr, mask); \
		need(!ibv_destroy_qp(qp) && !ibv_destroy_cq(c), "destroying QP and CQ"); \
		return ret; \
	}

STATE_CASE(state_reset_to_init, RESET, INIT, (void)0)
STATE_CASE(state_reset_to_rtr, RESET, RTR, (void)0)
STATE_CASE(state_reset_to_rts, RESET, RTS, (void)0)
STATE_CASE(state_reset_to_sqd, RESET, SQD, (void)0)
STATE_CASE(state_reset_to_err, RESET, ERR, (void)0)
STATE_CASE(state_init_to_init, INIT, INIT, (void)0)
STATE_CASE(state_init_to_rts, INIT, RTS, (void)0)
STATE_CASE(state_init_to_reset, INIT, RESET, (void)0)
STATE_CASE(state_rtr_to_init, RTR, INIT, (void)0)
STATE_CASE(state_rts_to_init, RTS, INIT, (void)0)
STATE_CASE(state_rts_to_rtr, RTS, RTR, (void)0)
STATE_CASE(state_rts_to_sqd, RTS, SQD, (void)0)
STATE_CASE(state_rts_to_err, RTS, ERR, (void)0)
STATE_CASE(state_err_to_rts, ERR, RTS, (void)0)
STATE_CASE(state_err_to_reset, ERR, RESET, (void)0)
STATE_CASE(state_unknown, INIT, RTR, attr.qp_state = 77)
STATE_CASE(state_wrong_current, INIT, RTR,
	   (attr.cur_qp_state = IBV_QPS_RTS, mask |= IBV_QP_CUR_STATE))
STATE_CASE(init_without_port, RESET, INIT, mask &= ~IBV_QP_PORT)
STATE_CASE(init_without_pkey, RESET, INIT, mask &= ~IBV_QP_PKEY_INDEX)
STATE_CASE(init_without_access, RESET, INIT, mask &= ~IBV_QP_ACCESS_FLAGS)
STATE_CASE(init_with_timeout, RESET, INIT, mask |= IBV_QP_TIMEOUT)
STATE_CASE(init_unknown_mask, RESET, INIT, mask |= 1 << 30)
STATE_CASE(init_port_0, RESET, INIT, attr.port_num = 0)
STATE_CASE(init_port_2, RESET, INIT, attr.port_num = 2)
STATE_CASE(init_port_255, RESET, INIT, attr.port_num = 255)
STATE_CASE(init_pkey_1, RESET, INIT, attr.pkey_index = 1)
STATE_CASE(init_pkey_65535, RESET, INIT, attr.pkey_index = 65535)
STATE_CASE(init_unknown_access, RESET, INIT, attr.qp_access_flags = 1 << 19)
STATE_CASE(rtr_good, INIT, RTR, (void)0)
STATE_CASE(rtr_without_av, INIT, RTR, mask &= ~IBV_QP_AV)
STATE_CASE(rtr_without_dest_qpn, INIT, RTR, mask &= ~IBV_QP_DEST_QPN)
STATE_CASE(rtr_without_mtu, INIT, RTR, mask &= ~IBV_QP_PATH_MTU)
STATE_CASE(rtr_with_qkey, INIT, RTR, mask |= IBV_QP_QKEY)
STATE_CASE(rtr_mtu_0, INIT, RTR, attr.path_mtu = 0)
STATE_CASE(rtr_mtu_6, INIT, RTR, attr.path_mtu = 6)
STATE_CASE(rtr_mtu_over_ports, INIT, RTR, attr.path_mtu = IBV_MTU_4096)
STATE_CASE(rtr_sgid_255, INIT, RTR, attr.ah_attr.grh.sgid_index = 255)
STATE_CASE(rtr_sgid_empty, INIT, RTR, attr.ah_attr.grh.sgid_index = 100)
STATE_CASE(rtr_no_grh, INIT, RTR, attr.ah_attr.is_global = 0)
STATE_CASE(rtr_zero_gid, INIT, RTR, memset(&attr.ah_attr.grh.dgid, 0, 16))
STATE_CASE(rtr_port_0, INIT, RTR, attr.ah_attr.port_num = 0)
STATE_CASE(rtr_port_2, INIT, RTR, attr.ah_attr.port_num = 2)
STATE_CASE(rtr_rd_atomic_too_many, INIT, RTR, attr.max_dest_rd_atomic = 255)
STATE_CASE(rtr_alternate_path, INIT, RTR, mask |= IBV_QP_ALT_PATH)
STATE_CASE(rts_good, RTR, RTS, (void)0)
STATE_CASE(rts_without_timeout, RTR, RTS, mask &= ~IBV_QP_TIMEOUT)
STATE_CASE(rts_without_retry, RTR, RTS, mask &= ~IBV_QP_RETRY_CNT)
STATE_CASE(rts_rd_atomic_too_many, RTR, RTS, attr.max_rd_atomic = 255)
STATE_CASE(rts_timeout_32, RTR, RTS, attr.timeout = 32)
STATE_CASE(rts_retry_8, RTR, RTS, attr.retry_cnt = 8)

CASE(modify_unknown_qp)
{
	struct ibv_cq *c = make_cq(&r, 16);
	struct ibv_qp *qp = make_qp(&r, c, 4);
	uint32_t handle = qp->handle;
	struct ibv_qp_attr attr;
	int mask = qp_init_attr(&attr), ret;

	qp->handle = 12345;
	ret = ibv_modify_qp(qp, &attr, mask);
	qp->handle = handle;
	need(!ibv_destroy_qp(qp) && !ibv_destroy_cq(c), "destroying QP and CQ");
	return ret;
}

/* ---- posting ---- */

/* posts one send, of which one thing is wrong, on a QP in state @state */
#define POST_CASE(name, state, change) \
	CASE(name) \
	{ \
		struct ibv_cq *c = make_cq(&r, 16); \
		struct ibv_qp *qp = make_qp(&r, c, 4); \
		struct ibv_mr *mr = make_mr(&r, memory, SIZE, ALL_ACCESS); \
		struct ibv_sge sge[64] = { { (uintptr_t)memory, 8, mr->lkey } }; \
		struct ibv_send_wr *bad, wr = { \
			.sg_list = sge, \
			.num_sge = 1, \
			.opcode = IBV_WR_RDMA_WRITE, \
			.wr.rdma = { (uintptr_t)memory, mr->rkey }, \
		}; \
		int ret; \
\
		bring(qp, IBV_QPS_##state); \
		change; \
		ret = ibv_post_send(qp, &wr, &bad); \
		need(!ibv_destroy_qp(qp) && !ibv_dereg_mr(mr) && !ibv_destroy_cq(c), \
		     "destroying QP, MR and CQ"); \
		return ret; \
	}

POST_CASE(post_in_reset, RESET, (void)0)
POST_CASE(post_in_init, INIT, (void)0)
POST_CASE(post_in_rtr, RTR, (void)0)
POST_CASE(post_in_rts, RTS, (void)0)
POST_CASE(post_in_err, ERR, (void)0)
POST_CASE(post_unknown_opcode, RTS, wr.opcode = 77)
POST_CASE(post_too_many_sge, RTS, wr.num_sge = 64)
POST_CASE(post_inline_too_long, RTS, (wr.send_flags = IBV_SEND_INLINE, sge[0].length = 4096))
POST_CASE(post_atomic_misaligned, RTS,
	  (wr.opcode = IBV_WR_ATOMIC_FETCH_AND_ADD,
	   wr.wr.atomic.remote_addr = (uintptr_t)memory + 1, wr.wr.atomic.rkey = mr->rkey))

CASE(post_receive_in_reset)
{
	struct ibv_cq *c = make_cq(&r, 16);
	struct ibv_qp *qp = make_qp(&r, c, 4);
	struct ibv_recv_wr *bad, wr = { 0 };
	int ret = ibv_post_recv(qp, &wr, &bad);

	need(!ibv_destroy_qp(qp) && !ibv_destroy_cq(c), "destroying QP and CQ");
	return ret;
}

CASE(post_receives_too_many)
{
	struct ibv_cq *c = make_cq(&r, 16);
	struct ibv_qp *qp = make_qp(&r, c, 4);
	struct ibv_recv_wr *bad, wr = { 0 };
	int i, ret = 0;

	bring(qp, IBV_QPS_INIT);
	for (i = 0; i < 100000 && !ret; i++)
		ret = ibv_post_recv(qp, &wr, &bad);
	need(!ibv_destroy_qp(qp) && !ibv_destroy_cq(c), "destroying QP and CQ");
	return ret;
}

/* ---- queries ---- */

CASE(query_port_0)
{
	struct ibv_port_attr attr;

	return ibv_query_port(r.ctx, 0, &attr);
}

CASE(query_port_2)
{
	struct ibv_port_attr attr;

	return ibv_query_port(r.ctx, 2, &attr);
}

CASE(query_gid_beyond)
{
	union ibv_gid gid;

	errno = 0;
	return ibv_query_gid(r.ctx, PORT, r.port.gid_tbl_len, &gid) ? errno : 0;
}

CASE(query_pkey_beyond)
{
	__be16 pkey;

	errno = 0;
	return ibv_query_pkey(r.ctx, PORT, r.port.pkey_tbl_len, &pkey) ? errno : 0;
}

CASE(query_qp)
{
	struct ibv_cq *c = make_cq(&r, 16);
	struct ibv_qp *qp = make_qp(&r, c, 4);
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;
	int ret = ibv_query_qp(qp, &attr, IBV_QP_STATE | IBV_QP_CAP, &init);

	need(!ibv_destroy_qp(qp) && !ibv_destroy_cq(c), "destroying QP and CQ");
	return ret;
}

/* named, or of a group that is ("mr_") */
static bool wanted(const char *name, int argc, char **argv)
{
	size_t len;
	int a;

	for (a = 1; a < argc; a++) {
		len = strlen(argv[a]);
		if (!strcmp(argv[a], name) ||
		    (len && argv[a][len - 1] == '_' && !strncmp(argv[a], name, len)))
			return true;
	}
	return argc == 1;
}

int main(int argc, char **argv)
{
	const struct bad_call *call;
	int error;

	if (argc > 1 && !strcmp(argv[1], "--help")) {
		puts("usage: verbs_errors [CALL or GROUP_...]\n"
		     "Prints what bad calls return. Needs root. HYV_TEST_DEVICE names the device.");
		return 0;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	rdma_open(&r, device_option());
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(memory != MAP_FAILED, "mmap");
	for (call = __start_calls; call < __stop_calls; call++) {
		if (!wanted(call->name, argc, argv))
			continue;
		error = call->run();
		printf("%s: %s\n", call->name, error ? strerrorname_np(error) : "success");
	}
	rdma_close(&r);
	return 0;
}
