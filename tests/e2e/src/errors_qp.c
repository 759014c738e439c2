// SPDX-License-Identifier: GPL-2.0-or-later
/* Bad calls on queue pairs: creating, changing the state, posting. */
#include <errno.h>
#include <string.h>
#include "errors.h"

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
		struct ibv_qp_init_attr init = good_qp_attr(make_cq(&r, 16)); \
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
	struct ibv_qp_init_attr init = good_qp_attr(make_cq(&r, 16));
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
	struct ibv_qp_init_attr init = good_qp_attr(make_cq(&r, 16));

	return create_with_pd(&init, false);
}

CASE(qp_ex_unknown_flag)
{
	struct ibv_qp_init_attr init = good_qp_attr(make_cq(&r, 16));

	return create_with_pd(&init, true);
}

/* ---- state changes ---- */

/* Return: a QP whose completions go to @cq; NULL with errno set */
static struct ibv_qp *new_qp(struct ibv_cq *cq, enum ibv_qp_type type)
{
	struct ibv_qp_init_attr init = good_qp_attr(cq);

	init.qp_type = type;
	errno = 0;
	return ibv_create_qp(r.pd, &init);
}

/* Return: the mask for a good change of @qp to @to, whose attributes are @attr */
static int mask_for(const struct ibv_qp *qp, enum ibv_qp_state to, struct ibv_qp_attr *attr)
{
	int mask = IBV_QP_STATE;

	if (to == IBV_QPS_INIT)
		mask = qp_init_attr(attr);
	else if (to == IBV_QPS_RTR)
		mask = qp_rtr_attr(attr, &r, qp->qp_num);
	else if (to == IBV_QPS_RTS)
		mask = qp_rts_attr(attr);
	else
		*attr = (struct ibv_qp_attr){ .qp_state = to };
	if (qp->qp_type == IBV_QPT_UC)
		mask &= ~(IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER | IBV_QP_TIMEOUT |
			  IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC);
	if (qp->qp_type == IBV_QPT_UD) {
		mask &= IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_SQ_PSN;
		mask |= to == IBV_QPS_INIT ? IBV_QP_QKEY : 0;
	}
	return mask;
}

/*
 * Brings @qp, which is in RESET, to INIT, RTR, RTS or ERR by good calls.
 *
 * Return: 0, or the errno of the first that the device refuses
 */
static int bring(struct ibv_qp *qp, enum ibv_qp_state state)
{
	static const enum ibv_qp_state way[] = { IBV_QPS_INIT, IBV_QPS_RTR, IBV_QPS_RTS };
	struct ibv_qp_attr attr;
	int i, mask, ret = 0;

	for (i = 0; !ret && i < 3 && way[i] <= state; i++) {
		if (way[i] != IBV_QPS_INIT && state == IBV_QPS_ERR)
			break;
		mask = mask_for(qp, way[i], &attr);
		ret = ibv_modify_qp(qp, &attr, mask);
	}
	if (!ret && state == IBV_QPS_ERR) {
		mask = mask_for(qp, state, &attr);
		ret = ibv_modify_qp(qp, &attr, mask);
	}
	return ret;
}

/* changes the state of a QP of @type from @from to @to, with one thing wrong in attributes or mask */
#define TYPED_CASE(name, type, from, to, change) \
	CASE(name) \
	{ \
		struct ibv_cq *c = make_cq(&r, 16); \
		struct ibv_qp *qp = new_qp(c, IBV_QPT_##type); \
		int mask, ret = qp ? bring(qp, IBV_QPS_##from) : errno; \
		struct ibv_qp_attr attr; \
\
		if (!ret) { \
			mask = mask_for(qp, IBV_QPS_##to, &attr); \
			change; \
			ret = ibv_modify_qp(qp, &attr, mask); \
		} \
		need((!qp || !ibv_destroy_qp(qp)) && !ibv_destroy_cq(c), "destroying QP and CQ"); \
		return ret; \
	}

#define STATE_CASE(name, from, to, change) TYPED_CASE(name, RC, from, to, change)

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

TYPED_CASE(uc_init, UC, RESET, INIT, (void)0)
TYPED_CASE(uc_init_without_access, UC, RESET, INIT, mask &= ~IBV_QP_ACCESS_FLAGS)
TYPED_CASE(uc_init_with_qkey, UC, RESET, INIT, mask |= IBV_QP_QKEY)
TYPED_CASE(uc_rtr, UC, INIT, RTR, (void)0)
TYPED_CASE(uc_rtr_without_av, UC, INIT, RTR, mask &= ~IBV_QP_AV)
TYPED_CASE(uc_rtr_with_timer, UC, INIT, RTR, mask |= IBV_QP_MIN_RNR_TIMER)
TYPED_CASE(uc_rts, UC, RTR, RTS, (void)0)
TYPED_CASE(uc_rts_with_retry, UC, RTR, RTS, mask |= IBV_QP_RETRY_CNT)
TYPED_CASE(uc_rts_to_sqd, UC, RTS, SQD, (void)0)
TYPED_CASE(uc_rts_to_err, UC, RTS, ERR, (void)0)
TYPED_CASE(ud_init, UD, RESET, INIT, (void)0)
TYPED_CASE(ud_init_without_qkey, UD, RESET, INIT, mask &= ~IBV_QP_QKEY)
TYPED_CASE(ud_init_with_access, UD, RESET, INIT, mask |= IBV_QP_ACCESS_FLAGS)
TYPED_CASE(ud_reset_to_rts, UD, RESET, RTS, (void)0)
TYPED_CASE(ud_rtr, UD, INIT, RTR, (void)0)
TYPED_CASE(ud_rtr_with_dest_qpn, UD, INIT, RTR, mask |= IBV_QP_DEST_QPN)
TYPED_CASE(ud_rts, UD, RTR, RTS, (void)0)
TYPED_CASE(ud_rts_without_psn, UD, RTR, RTS, mask &= ~IBV_QP_SQ_PSN)
TYPED_CASE(ud_rts_with_timeout, UD, RTR, RTS, mask |= IBV_QP_TIMEOUT)
TYPED_CASE(ud_rts_to_sqd, UD, RTS, SQD, (void)0)
TYPED_CASE(ud_rts_to_err, UD, RTS, ERR, (void)0)

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
		int ret = bring(qp, IBV_QPS_##state); \
\
		if (!ret) { \
			change; \
			ret = ibv_post_send(qp, &wr, &bad); \
		} \
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
	int i, ret = bring(qp, IBV_QPS_INIT);

	for (i = 0; i < 100000 && !ret; i++)
		ret = ibv_post_recv(qp, &wr, &bad);
	need(!ibv_destroy_qp(qp) && !ibv_destroy_cq(c), "destroying QP and CQ");
	return ret;
}
