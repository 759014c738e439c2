// SPDX-License-Identifier: GPL-2.0-or-later
/* Bad calls on shared receive queues, and XRC. */
#include <errno.h>
#include "errors.h"

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

CASE(srq_unknown_pd)
{
	uint32_t handle = r.pd->handle;
	int ret;

	r.pd->handle = 12345;
	ret = srq(16, 1, 0);
	r.pd->handle = handle;
	return ret;
}

CASE(srq_post_too_many)
{
	struct ibv_srq_init_attr init = { .attr = { .max_wr = 16, .max_sge = 1 } };
	struct ibv_srq *q = ibv_create_srq(r.pd, &init);
	struct ibv_recv_wr *bad, wr = { 0 };
	int i, ret = 0;

	need(q, "create_srq");
	for (i = 0; i < 100000 && !ret; i++)
		ret = ibv_post_srq_recv(q, &wr, &bad);
	need(!ibv_destroy_srq(q), "destroy_srq");
	return ret;
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

CASE(srq_query)
{
	struct ibv_srq_init_attr init = { .attr = { .max_wr = 16, .max_sge = 1 } };
	struct ibv_srq *q = ibv_create_srq(r.pd, &init);
	struct ibv_srq_attr attr;
	int ret;

	need(q, "create_srq");
	ret = ibv_query_srq(q, &attr);
	need(!ibv_destroy_srq(q), "destroy_srq");
	return ret;
}

CASE(srq_destroy_with_qp)
{
	struct ibv_srq_init_attr init = { .attr = { .max_wr = 16, .max_sge = 1 } };
	struct ibv_srq *q = ibv_create_srq(r.pd, &init);
	struct ibv_qp_init_attr attr = good_qp_attr(make_cq(&r, 16));
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
