// SPDX-License-Identifier: GPL-2.0-or-later
/* Bad calls on address handles and multicast groups. */
#include <errno.h>
#include <string.h>
#include "errors.h"

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

CASE(ah_unknown_pd)
{
	struct ibv_ah_attr attr = {
		.grh = { .dgid = r.gid, .sgid_index = r.gid_index, .hop_limit = 1 },
		.is_global = 1,
		.port_num = PORT,
	};
	uint32_t handle = r.pd->handle;
	int ret;

	r.pd->handle = 12345;
	ret = ah(&attr);
	r.pd->handle = handle;
	return ret;
}

static const union ibv_gid group = { .raw = { 0xff, 0x0e, [10] = 0xff, 0xff, 239, 1, 2, 3 } };

/* @again: how often to do it once more; a second detaching is the error then */
static int mcast(enum ibv_qp_type type, uint8_t first_byte, bool attach, bool again)
{
	struct ibv_qp_init_attr init = good_qp_attr(make_cq(&r, 16));
	union ibv_gid gid = group;
	struct ibv_qp *qp;
	int ret;

	gid.raw[0] = first_byte;
	init.qp_type = type;
	errno = 0;
	qp = ibv_create_qp(r.pd, &init);
	if (!qp) {
		ret = errno;
		need(!ibv_destroy_cq(init.recv_cq), "destroy_cq");
		return ret;
	}
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

CASE(mcast_destroy_member)
{
	struct ibv_qp_init_attr init = good_qp_attr(make_cq(&r, 16));
	struct ibv_qp *qp;
	int ret;

	init.qp_type = IBV_QPT_UD;
	errno = 0;
	qp = ibv_create_qp(r.pd, &init);
	ret = qp ? ibv_attach_mcast(qp, &group, 0) : errno;
	if (!ret) {
		ret = ibv_destroy_qp(qp);
		need(ret, "destroy_qp of a group's member");
		need(!ibv_detach_mcast(qp, &group, 0), "detach_mcast");
	}
	need((!qp || !ibv_destroy_qp(qp)) && !ibv_destroy_cq(init.recv_cq), "destroying QP and CQ");
	return ret;
}
