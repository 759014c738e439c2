// SPDX-License-Identifier: GPL-2.0-or-later
/* Bad calls on the device and what soft devices do not have. */
#include <errno.h>
#include "errors.h"

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

CASE(query_unknown_qp)
{
	struct ibv_cq *c = make_cq(&r, 16);
	struct ibv_qp *qp = make_qp(&r, c, 4);
	uint32_t handle = qp->handle;
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;
	int ret;

	qp->handle = 12345;
	ret = ibv_query_qp(qp, &attr, IBV_QP_STATE, &init);
	qp->handle = handle;
	need(!ibv_destroy_qp(qp) && !ibv_destroy_cq(c), "destroying QP and CQ");
	return ret;
}

CASE(query_unknown_srq)
{
	struct ibv_srq_init_attr init = { .attr = { .max_wr = 16, .max_sge = 1 } };
	struct ibv_srq *q = ibv_create_srq(r.pd, &init);
	struct ibv_srq_attr attr;
	uint32_t handle;
	int ret;

	need(q, "create_srq");
	handle = q->handle;
	q->handle = 12345;
	ret = ibv_query_srq(q, &attr);
	q->handle = handle;
	need(!ibv_destroy_srq(q), "destroy_srq");
	return ret;
}

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
	int ret = ibv_advise_mr(r.pd, IBV_ADVISE_MR_ADVICE_PREFETCH, IBV_ADVISE_MR_FLAG_FLUSH, &sge,
				1);

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
	struct ibv_flow_attr attr = { .type = IBV_FLOW_ATTR_NORMAL,
				      .size = sizeof(attr),
				      .port = PORT };
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
