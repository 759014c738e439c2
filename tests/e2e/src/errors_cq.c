// SPDX-License-Identifier: GPL-2.0-or-later
/* Bad calls on completion queues and channels, and protection domains. */
#include <errno.h>
#include "errors.h"

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
