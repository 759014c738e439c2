// SPDX-License-Identifier: GPL-2.0
/*
 * What only datagram queue pairs need: address handles and multicast groups.
 */
#include "virtio_hyv.h"

/** hyv_create_ah() - for applications. Return: 0 or a negative errno; waits */
int hyv_create_ah(struct ib_ah *ib, struct rdma_ah_init_attr *attr, struct ib_udata *udata)
{
	struct hyv_ah *ah = to_hyv_ah(ib);
	struct hyv_req_create_ah *req;
	struct hyv_cmd *cmd;
	int ret;

	cmd = hyv_udata_cmd(ib->device, HYV_OP_CREATE_AH, udata);
	if (IS_ERR(cmd))
		return PTR_ERR(cmd);
	req = hyv_cmd_req(cmd);
	req->pd = cpu_to_le64(to_hyv_pd(ib->pd)->id);
	hyv_ah_to_wire(&req->attr, attr->ah_attr);
	ret = hyv_cmd_call(cmd);
	if (!ret)
		ret = hyv_udata_created(cmd, udata, &ah->id);
	hyv_cmd_put(cmd);
	return ret;
}

/** hyv_destroy_ah() - Return: 0; waits */
int hyv_destroy_ah(struct ib_ah *ib, u32 flags)
{
	return hyv_cmd_destroy(ib->device, HYV_OP_DESTROY_AH, to_hyv_ah(ib)->id, NULL);
}

static struct hyv_cmd *mcast_cmd(struct ib_qp *qp, enum hyv_op op, const union ib_gid *gid,
				 u16 mlid)
{
	struct hyv_cmd *cmd = hyv_cmd_alloc(to_hyv(qp->device), op, 0, 0);
	struct hyv_mcast *req;

	if (!cmd)
		return NULL;
	req = hyv_cmd_req(cmd);
	req->qp = cpu_to_le64(to_hyv_qp(qp)->object.id);
	memcpy(req->gid, gid->raw, sizeof(req->gid));
	req->mlid = cpu_to_le16(mlid);
	return cmd;
}

/** hyv_attach_mcast() - Return: 0 or a negative errno; waits */
int hyv_attach_mcast(struct ib_qp *qp, union ib_gid *gid, u16 mlid)
{
	struct hyv_cmd *cmd = mcast_cmd(qp, HYV_OP_ATTACH_MCAST, gid, mlid);
	int ret;

	if (!cmd)
		return -ENOMEM;
	ret = hyv_cmd_call(cmd);
	hyv_cmd_put(cmd);
	return ret;
}

/** hyv_detach_mcast() - Return: 0, always when the caller is dying; or a negative errno. Waits */
int hyv_detach_mcast(struct ib_qp *qp, union ib_gid *gid, u16 mlid)
{
	struct hyv_cmd *cmd = mcast_cmd(qp, HYV_OP_DETACH_MCAST, gid, mlid);
	int ret;

	if (!cmd)
		return -ENOMEM;
	ret = hyv_cmd_call_undoing(qp->device, cmd);
	hyv_cmd_put(cmd);
	return ret;
}
