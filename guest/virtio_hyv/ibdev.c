// SPDX-License-Identifier: GPL-2.0
/*
 * RDMA devices: registers one ib_device per device of the host, and answers queries about it.
 *
 * The guest's device has the host driver's id and ABI version, so that the stock provider binds to
 * it.
 *
 * With addresses of the VM's own on it (netdev.c) it is an iWARP device to the RDMA core if the
 * host's is one, or else a RoCE v2 device with iWARP's way of connection management: the core makes
 * the GID table from those addresses, and connections go through cm.c, since the host has the only
 * queue pair 1.
 *
 * Without, it is a "plain" device (no core_cap_flags, like efa): the core then mirrors the host's
 * GID table at identical indices through query_gid, and rdma_cm leaves it alone.
 * RDMA_CORE_CAP_PROT_IWARP would do the same with a netdev, but without one the core answers
 * query_port and the GID cache with an error.
 *
 * In neither case it makes MADs.
 */
#include "virtio_hyv.h"

/* tables are memory and sysfs files of the guest: bound what the host may ask for */
#define MAX_GIDS	4096
#define MAX_PKEYS	1024

/* @dev's pointer in @udata's context, or 0 when nobody asks from a context */
static u64 context_of(struct ib_udata *udata)
{
	/* 6.12 registers a device with an empty udata that belongs to no call */
	if (!udata || (!udata->inlen && !udata->outlen))
		return 0;
	return rdma_udata_to_drv_context(udata, struct hyv_ucontext, ib)->id;
}

static void device_attr_from_wire(struct ib_device_attr *attr,
				  const struct hyv_resp_query_device *wire)
{
	attr->fw_ver = le64_to_cpu(wire->fw_ver);
	attr->sys_image_guid = wire->sys_image_guid;
	attr->max_mr_size = le64_to_cpu(wire->max_mr_size);
	attr->page_size_cap = le64_to_cpu(wire->page_size_cap);
	attr->vendor_id = le32_to_cpu(wire->vendor_id);
	attr->vendor_part_id = le32_to_cpu(wire->vendor_part_id);
	attr->hw_ver = le32_to_cpu(wire->hw_ver);
	attr->max_qp = le32_to_cpu(wire->max_qp);
	attr->max_qp_wr = le32_to_cpu(wire->max_qp_wr);
	attr->device_cap_flags = le64_to_cpu(wire->device_cap_flags);
	attr->max_send_sge = le32_to_cpu(wire->max_sge);
	attr->max_recv_sge = le32_to_cpu(wire->max_sge);
	attr->max_sge_rd = le32_to_cpu(wire->max_sge_rd);
	attr->max_cq = le32_to_cpu(wire->max_cq);
	attr->max_cqe = le32_to_cpu(wire->max_cqe);
	attr->max_mr = le32_to_cpu(wire->max_mr);
	attr->max_pd = le32_to_cpu(wire->max_pd);
	attr->max_qp_rd_atom = le32_to_cpu(wire->max_qp_rd_atom);
	attr->max_ee_rd_atom = le32_to_cpu(wire->max_ee_rd_atom);
	attr->max_res_rd_atom = le32_to_cpu(wire->max_res_rd_atom);
	attr->max_qp_init_rd_atom = le32_to_cpu(wire->max_qp_init_rd_atom);
	attr->max_ee_init_rd_atom = le32_to_cpu(wire->max_ee_init_rd_atom);
	attr->atomic_cap = le32_to_cpu(wire->atomic_cap);
	attr->max_ee = le32_to_cpu(wire->max_ee);
	attr->max_rdd = le32_to_cpu(wire->max_rdd);
	attr->max_mw = le32_to_cpu(wire->max_mw);
	attr->max_raw_ipv6_qp = le32_to_cpu(wire->max_raw_ipv6_qp);
	attr->max_raw_ethy_qp = le32_to_cpu(wire->max_raw_ethy_qp);
	attr->max_mcast_grp = le32_to_cpu(wire->max_mcast_grp);
	attr->max_mcast_qp_attach = le32_to_cpu(wire->max_mcast_qp_attach);
	attr->max_total_mcast_qp_attach = le32_to_cpu(wire->max_total_mcast_qp_attach);
	attr->max_ah = le32_to_cpu(wire->max_ah);
	attr->max_srq = le32_to_cpu(wire->max_srq);
	attr->max_srq_wr = le32_to_cpu(wire->max_srq_wr);
	attr->max_srq_sge = le32_to_cpu(wire->max_srq_sge);
	attr->max_pkeys = le16_to_cpu(wire->max_pkeys);
	attr->local_ca_ack_delay = wire->local_ca_ack_delay;
	attr->timestamp_mask = le64_to_cpu(wire->timestamp_mask);
	attr->hca_core_clock = le64_to_cpu(wire->hca_core_clock);
	attr->rss_caps.supported_qpts = le32_to_cpu(wire->rss.supported_qpts);
	attr->rss_caps.max_rwq_indirection_tables =
		le32_to_cpu(wire->rss.max_rwq_indirection_tables);
	attr->rss_caps.max_rwq_indirection_table_size =
		le32_to_cpu(wire->rss.max_rwq_indirection_table_size);
	attr->max_wq_type_rq = le32_to_cpu(wire->max_wq_type_rq);
	attr->raw_packet_caps = le32_to_cpu(wire->raw_packet_caps);
	attr->tm_caps.max_rndv_hdr_size = le32_to_cpu(wire->tm.max_rndv_hdr_size);
	attr->tm_caps.max_num_tags = le32_to_cpu(wire->tm.max_num_tags);
	attr->tm_caps.flags = le32_to_cpu(wire->tm.flags);
	attr->tm_caps.max_ops = le32_to_cpu(wire->tm.max_ops);
	attr->tm_caps.max_sge = le32_to_cpu(wire->tm.max_sge);
	attr->cq_caps.max_cq_moderation_count = le16_to_cpu(wire->max_cq_moderation_count);
	attr->cq_caps.max_cq_moderation_period = le16_to_cpu(wire->max_cq_moderation_period);
	attr->max_dm_size = le64_to_cpu(wire->max_dm_size);
}

static int query_device(struct ib_device *ib, struct ib_device_attr *attr, struct ib_udata *udata)
{
	struct hyv_ibdev *dev = to_hyv_ibdev(ib);
	struct hyv_req_query_device *req;
	struct hyv_cmd *cmd;
	int ret;

	cmd = hyv_udata_cmd(ib, HYV_OP_QUERY_DEVICE, udata);
	if (IS_ERR(cmd))
		return PTR_ERR(cmd);
	req = hyv_cmd_req(cmd);
	req->device = cpu_to_le32(dev->id);
	req->context = cpu_to_le64(context_of(udata));
	ret = hyv_cmd_call(cmd);
	if (!ret) {
		memset(attr, 0, sizeof(*attr));
		device_attr_from_wire(attr, hyv_cmd_resp(cmd));
		ret = hyv_udata_reply(cmd, udata);
	}
	hyv_cmd_put(cmd);
	return ret;
}

static int query_port_wire(struct hyv_ibdev *dev, u32 port, struct hyv_resp_query_port *wire)
{
	struct hyv_req_query_port *req;
	struct hyv_cmd *cmd;
	int ret;

	cmd = hyv_cmd_alloc(dev->hyv, HYV_OP_QUERY_PORT, 0, 0);
	if (!cmd)
		return -ENOMEM;
	req = hyv_cmd_req(cmd);
	req->device = cpu_to_le32(dev->id);
	req->port = cpu_to_le32(port);
	ret = hyv_cmd_call(cmd);
	if (!ret) {
		*wire = *(struct hyv_resp_query_port *)hyv_cmd_resp(cmd);
		if (le32_to_cpu(wire->gid_tbl_len) > MAX_GIDS ||
		    le16_to_cpu(wire->pkey_tbl_len) > MAX_PKEYS) {
			hyv_err_limited(dev->hyv, "%u GIDs or %u P_Keys are too many\n",
					le32_to_cpu(wire->gid_tbl_len),
					le16_to_cpu(wire->pkey_tbl_len));
			ret = -EIO;
		}
	}
	hyv_cmd_put(cmd);
	return ret;
}

static int query_port(struct ib_device *ib, u32 port, struct ib_port_attr *attr)
{
	struct hyv_resp_query_port wire;
	int ret;

	ret = query_port_wire(to_hyv_ibdev(ib), port, &wire);
	if (ret)
		return ret;

	attr->state = wire.state;
	attr->max_mtu = wire.max_mtu;
	attr->active_mtu = wire.active_mtu;
	/* the core's own table has as many entries as the host told at first */
	attr->gid_tbl_len = min_t(u32, le32_to_cpu(wire.gid_tbl_len),
				  ib->port_data[port].immutable.gid_tbl_len);
	attr->port_cap_flags = le32_to_cpu(wire.port_cap_flags);
	attr->max_msg_sz = le32_to_cpu(wire.max_msg_sz);
	attr->bad_pkey_cntr = le32_to_cpu(wire.bad_pkey_cntr);
	attr->qkey_viol_cntr = le32_to_cpu(wire.qkey_viol_cntr);
	attr->pkey_tbl_len = le16_to_cpu(wire.pkey_tbl_len);
	attr->sm_lid = le16_to_cpu(wire.sm_lid);
	attr->lid = le16_to_cpu(wire.lid);
	attr->lmc = wire.lmc;
	attr->max_vl_num = wire.max_vl_num;
	attr->sm_sl = wire.sm_sl;
	attr->subnet_timeout = wire.subnet_timeout;
	attr->init_type_reply = wire.init_type_reply;
	attr->active_width = wire.active_width;
	attr->active_speed = wire.active_speed;
	attr->phys_state = wire.phys_state;
	return 0;
}

static int get_port_immutable(struct ib_device *ib, u32 port, struct ib_port_immutable *immutable)
{
	struct hyv_resp_query_port wire;
	int ret;

	ret = query_port_wire(to_hyv_ibdev(ib), port, &wire);
	if (ret)
		return ret;

	immutable->gid_tbl_len = le32_to_cpu(wire.gid_tbl_len);
	immutable->pkey_tbl_len = le16_to_cpu(wire.pkey_tbl_len);
	if (to_hyv_ibdev(ib)->netdev && hyv_is_iwarp(to_hyv_ibdev(ib)))
		immutable->core_cap_flags = RDMA_CORE_PORT_IWARP;
	else if (to_hyv_ibdev(ib)->netdev)
		immutable->core_cap_flags = RDMA_CORE_CAP_PROT_ROCE_UDP_ENCAP |
					    RDMA_CORE_CAP_ETH_AH | RDMA_CORE_CAP_IW_CM;
	else if (wire.flags & IB_UVERBS_QPF_GRH_REQUIRED)
		immutable->core_cap_flags |= RDMA_CORE_CAP_IB_GRH_REQUIRED;
	return 0;
}

static enum rdma_link_layer get_link_layer(struct ib_device *ib, u32 port)
{
	return to_hyv_ibdev(ib)->link_layer;
}

static int ask_gid(struct hyv_ibdev *dev, u32 port, u32 index, union ib_gid *gid)
{
	struct hyv_resp_query_gid *resp;
	struct hyv_req_query_gid *req;
	struct hyv_cmd *cmd;
	int ret;

	cmd = hyv_cmd_alloc(dev->hyv, HYV_OP_QUERY_GID, 0, 0);
	if (!cmd)
		return -ENOMEM;
	req = hyv_cmd_req(cmd);
	req->device = cpu_to_le32(dev->id);
	req->port = cpu_to_le32(port);
	req->index = cpu_to_le32(index);
	ret = hyv_cmd_call(cmd);
	if (!ret) {
		resp = hyv_cmd_resp(cmd);
		memcpy(gid->raw, resp->gid, sizeof(gid->raw));
		dev->gid_next = le32_to_cpu(resp->next);
	}
	hyv_cmd_put(cmd);
	return ret;
}

/* the core reads the whole table, in order, when it changes; the host is asked for the GIDs alone */
static int query_gid(struct ib_device *ib, u32 port, int index, union ib_gid *gid)
{
	struct hyv_ibdev *dev = to_hyv_ibdev(ib);
	int ret = 0;

	mutex_lock(&dev->gid_lock);
	if (port == dev->gid_port && index == dev->gid_last + 1 && index < dev->gid_next)
		memset(gid, 0, sizeof(*gid));
	else
		ret = ask_gid(dev, port, index, gid);
	dev->gid_port = ret ? 0 : port;
	dev->gid_last = index;
	mutex_unlock(&dev->gid_lock);
	return ret;
}

static int query_pkey(struct ib_device *ib, u32 port, u16 index, u16 *pkey)
{
	struct hyv_ibdev *dev = to_hyv_ibdev(ib);
	struct hyv_resp_query_pkey *resp;
	struct hyv_req_query_pkey *req;
	struct hyv_cmd *cmd;
	int ret;

	cmd = hyv_cmd_alloc(dev->hyv, HYV_OP_QUERY_PKEY, 0, 0);
	if (!cmd)
		return -ENOMEM;
	req = hyv_cmd_req(cmd);
	req->device = cpu_to_le32(dev->id);
	req->port = cpu_to_le32(port);
	req->index = cpu_to_le32(index);
	ret = hyv_cmd_call(cmd);
	if (!ret) {
		resp = hyv_cmd_resp(cmd);
		*pkey = le16_to_cpu(resp->pkey);
	}
	hyv_cmd_put(cmd);
	return ret;
}

static void get_dev_fw_str(struct ib_device *ib, char *str)
{
	snprintf(str, IB_FW_VERSION_NAME_MAX, "%s", to_hyv_ibdev(ib)->fw_ver);
}

/*
 * Lets the core unregister the device by itself, as it does when a module goes that owns the same
 * driver id: the guest's own rdma_rxe. Our reference keeps the memory.
 */
static void dealloc_driver(struct ib_device *ib)
{
}

static const struct ib_device_ops hyv_ops = {
	.owner = THIS_MODULE,
	.dealloc_driver = dealloc_driver,

	.query_device = query_device,
	.query_port = query_port,
	.get_port_immutable = get_port_immutable,
	.get_link_layer = get_link_layer,
	.query_gid = query_gid,
	.query_pkey = query_pkey,
	.get_dev_fw_str = get_dev_fw_str,

	.get_netdev = hyv_get_netdev,
	.add_gid = hyv_add_gid,
	.del_gid = hyv_del_gid,

	.iw_connect = hyv_iw_connect,
	.iw_accept = hyv_iw_accept,
	.iw_reject = hyv_iw_reject,
	.iw_create_listen = hyv_iw_create_listen,
	.iw_destroy_listen = hyv_iw_destroy_listen,
	.iw_get_qp = hyv_iw_get_qp,
	.iw_add_ref = hyv_iw_add_ref,
	.iw_rem_ref = hyv_iw_rem_ref,

	.alloc_ucontext = hyv_alloc_ucontext,
	.dealloc_ucontext = hyv_dealloc_ucontext,
	.disassociate_ucontext = hyv_disassociate_ucontext,
	.mmap = hyv_mmap,
	.mmap_free = hyv_mmap_free,

	.alloc_pd = hyv_alloc_pd,
	.dealloc_pd = hyv_dealloc_pd,
	.reg_user_mr = hyv_reg_user_mr,
	.rereg_user_mr = hyv_rereg_user_mr,
	.dereg_mr = hyv_dereg_mr,
	.alloc_mw = hyv_alloc_mw,
	.dealloc_mw = hyv_dealloc_mw,
	.create_cq = hyv_create_cq,
	.req_notify_cq = hyv_req_notify_cq,
	.hyv_compat_resize_cq = hyv_resize_cq,
	.destroy_cq = hyv_destroy_cq,
	.create_qp = hyv_create_qp,
	.modify_qp = hyv_modify_qp,
	.query_qp = hyv_query_qp,
	.destroy_qp = hyv_destroy_qp,
	.post_send = hyv_post_send,
	.create_srq = hyv_create_srq,
	.modify_srq = hyv_modify_srq,
	.query_srq = hyv_query_srq,
	.destroy_srq = hyv_destroy_srq,
	.create_user_ah = hyv_create_ah,
	.destroy_ah = hyv_destroy_ah,
	.attach_mcast = hyv_attach_mcast,
	.detach_mcast = hyv_detach_mcast,

	.post_recv = hyv_post_recv,
	.poll_cq = hyv_poll_cq,
	.get_dma_mr = hyv_get_dma_mr,

	INIT_RDMA_OBJ_SIZE(ib_ucontext, hyv_ucontext, ib),
	INIT_RDMA_OBJ_SIZE(ib_pd, hyv_pd, ib),
	INIT_RDMA_OBJ_SIZE(ib_cq, hyv_cq, ib),
	INIT_RDMA_OBJ_SIZE(ib_qp, hyv_qp, ib),
	INIT_RDMA_OBJ_SIZE(ib_ah, hyv_ah, ib),
	INIT_RDMA_OBJ_SIZE(ib_mw, hyv_mw, ib),
	INIT_RDMA_OBJ_SIZE(ib_srq, hyv_srq, ib),
};

static int describe(struct hyv_dev *hyv, u32 slot, struct hyv_resp_get_device *info)
{
	struct hyv_req_get_device *req;
	struct hyv_cmd *cmd;
	int ret;

	cmd = hyv_cmd_alloc(hyv, HYV_OP_GET_DEVICE, 0, 0);
	if (!cmd)
		return -ENOMEM;
	req = hyv_cmd_req(cmd);
	req->slot = cpu_to_le32(slot);
	ret = hyv_cmd_call(cmd);
	if (!ret)
		*info = *(struct hyv_resp_get_device *)hyv_cmd_resp(cmd);
	hyv_cmd_put(cmd);
	return ret;
}

/* a verb that the host's driver lacks is refused by the core, as it is natively */
static void leave_out(struct ib_device_ops *ops, u32 flags)
{
	if (flags & HYV_PROVIDER_NO_AH) {
		ops->create_user_ah = NULL;
		ops->destroy_ah = NULL;
	}
	if (flags & HYV_PROVIDER_NO_MCAST) {
		ops->attach_mcast = NULL;
		ops->detach_mcast = NULL;
	}
	if (flags & HYV_PROVIDER_NO_MW) {
		ops->alloc_mw = NULL;
		ops->dealloc_mw = NULL;
	}
	if (flags & HYV_PROVIDER_NO_RESIZE_CQ)
		ops->hyv_compat_resize_cq = NULL;
	if (flags & HYV_PROVIDER_NO_REREG_MR)
		ops->rereg_user_mr = NULL;
}

static void set_up(struct hyv_ibdev *dev, const struct hyv_resp_get_device *info,
		   const struct hyv_provider *provider)
{
	struct ib_device *ib = &dev->ib;

	dev->provider = provider;
	dev->link_layer = le32_to_cpu(info->link_layer);
	memcpy(dev->fw_ver, info->fw_ver, sizeof(dev->fw_ver) - 1);

	ib->dev.parent = &dev->hyv->vdev->dev;
	ib->node_type = le32_to_cpu(info->node_type);
	ib->node_guid = info->node_guid;
	ib->phys_port_cnt = le32_to_cpu(info->num_ports);
	ib->num_comp_vectors = le32_to_cpu(info->num_comp_vectors);
	memcpy(ib->node_desc, info->node_desc, sizeof(ib->node_desc) - 1);

	ib_set_device_ops(ib, &hyv_ops);
	leave_out(&ib->ops, provider->flags);
	ib->ops.driver_id = provider->driver_id;
	ib->ops.uverbs_abi_ver = provider->abi_version;
	if (provider->flags & HYV_PROVIDER_POST_SEND)
		ib->uverbs_cmd_mask |= BIT_ULL(IB_USER_VERBS_CMD_POST_SEND);
	if (provider->flags & HYV_PROVIDER_REQ_NOTIFY)
		ib->uverbs_cmd_mask |= BIT_ULL(IB_USER_VERBS_CMD_REQ_NOTIFY_CQ);
}

/*
 * Return: 0, and it is in @hyv->devices; or a negative errno, and the log says why: -EOPNOTSUPP if it
 * is no use to try again
 */
static int ibdev_register(struct hyv_dev *hyv, u32 slot, const struct hyv_resp_get_device *info)
{
	const struct hyv_provider *provider;
	u32 driver_id = le32_to_cpu(info->driver_id);
	struct hyv_ibdev *dev;
	u32 port;
	int ret;

	provider = hyv_provider_find(driver_id, le32_to_cpu(info->abi_version));
	if (!provider) {
		hyv_err_limited(hyv, "device %u has driver %s (id %u), ABI %u, which this virtio_hyv does not know: install a newer one\n",
				slot, hyv_driver_name(driver_id), driver_id,
				le32_to_cpu(info->abi_version));
		return -EOPNOTSUPP;
	}
	if (!in_range(le32_to_cpu(info->num_ports), 1, HYV_MAX_PORTS) ||
	    le32_to_cpu(info->num_comp_vectors) > U16_MAX ||
	    !in_range(le32_to_cpu(info->node_type), RDMA_NODE_IB_CA, RDMA_NODE_UNSPECIFIED)) {
		hyv_err_limited(hyv, "the host describes its device %u in a way that makes no sense\n",
				slot);
		return -EOPNOTSUPP;
	}

	dev = ib_alloc_device(hyv_ibdev, ib);
	if (!dev)
		return -ENOMEM;
	dev->hyv = hyv;
	dev->id = le32_to_cpu(info->id);
	mutex_init(&dev->gid_lock);
	hyv_cm_init(dev);
	set_up(dev, info, provider);
	ret = le32_to_cpu(info->flags) & HYV_DEVICE_ADDRESSES ? hyv_netdev_create(dev) : 0;
	if (ret) {
		hyv_err_limited(hyv, "no netdev for the addresses of device %u (%d)\n", slot, ret);
		ib_dealloc_device(&dev->ib);
		return ret;
	}
	if (dev->netdev) {
		strscpy(dev->ib.iw_ifname, dev->netdev->name, sizeof(dev->ib.iw_ifname));
		dev->ib.iw_driver_flags = IW_F_NO_PORT_MAP;
	}

	/* for dealloc_driver() */
	get_device(&dev->ib.dev);
	ret = ib_register_device(&dev->ib, "hyv%d", NULL);
	if (ret) {
		hyv_err_limited(hyv, "cannot register device %u, a %s (%d)\n", slot,
				provider->name, ret);
		/* a client that was told of it before may have listened */
		hyv_cm_close(dev);
		hyv_cm_exit(dev);
		hyv_netdev_destroy(dev);
		ib_dealloc_device(&dev->ib);
		put_device(&dev->ib.dev);
		return ret;
	}
	xa_lock_irq(&hyv->objects);
	/* what has changed since the core has read it found nobody to tell */
	for (port = 1; !dev->netdev && port <= dev->ib.phys_port_cnt; port++)
		dev->port_events[port] = BIT(IB_EVENT_GID_CHANGE);
	hyv->devices[slot] = dev;
	xa_unlock_irq(&hyv->objects);
	ibdev_info(&dev->ib, "the host's device %u, a %s\n", slot, provider->name);
	return 0;
}

/**
 * hyv_ibdev_look() - look what is in one of the host's slots: register what has come, unregister
 *	what has gone, and see what addresses there are on what has stayed
 * @hyv: device whose daemon answers
 * @slot: below @hyv->num_slots
 *
 * From hyv->plug_work alone. Sleeps. Return: 0; or a negative errno when it has to be looked at again.
 */
int hyv_ibdev_look(struct hyv_dev *hyv, u32 slot)
{
	struct hyv_ibdev *dev = hyv->devices[slot];
	struct hyv_resp_get_device info;
	int ret;

	ret = describe(hyv, slot, &info);
	if (ret && ret != -ENODEV)
		return ret;
	if (dev && (ret || dev->id != le32_to_cpu(info.id))) {
		hyv_info(hyv, "the host takes back its device %u\n", slot);
		hyv_ibdev_unregister(hyv, slot);
		dev = NULL;
	}
	if (ret)
		return 0;
	ret = dev ? hyv_netdev_refresh(dev) : ibdev_register(hyv, slot, &info);
	/* no use, or gone meanwhile, of which the host tells */
	return ret == -EOPNOTSUPP || ret == -ENODEV ? 0 : ret;
}

/* and wait until everyone has heard: the core takes memory for it, and queues it */
static void dispatch(struct ib_event *event)
{
	struct ib_device *ib = event->device;
	struct ib_event_handler *handler;

	ib_dispatch_event(event);
	flush_workqueue(ib_wq);
	if (event->event != IB_EVENT_GID_CHANGE)
		return;
	down_read(&ib->event_handler_rwsem);
	list_for_each_entry(handler, &ib->event_handler_list, list)
		handler->handler(handler, event);
	up_read(&ib->event_handler_rwsem);
}

/**
 * hyv_ibdev_tell() - tell everyone of the events that were noted for a device, each once
 * @hyv: device
 * @slot: the host's; there need not be a device in it
 *
 * The core reads anew what may have changed, and tells its clients; but of GIDs it does not tell: it
 * takes it that it has told of each entry, as it does on devices for which it makes the table.
 *
 * From hyv->plug_work alone. Sleeps.
 */
void hyv_ibdev_tell(struct hyv_dev *hyv, u32 slot)
{
	struct hyv_ibdev *dev = hyv->devices[slot];
	struct ib_event event = {};
	u32 port, events;

	if (!dev || !ib_device_try_get(&dev->ib))
		return;
	event.device = &dev->ib;
	for (port = 0; port <= dev->ib.phys_port_cnt; port++) {
		xa_lock_irq(&hyv->objects);
		events = dev->port_events[port];
		dev->port_events[port] = 0;
		xa_unlock_irq(&hyv->objects);

		event.element.port_num = port;
		/* from the last: PORT_ERR before PORT_ACTIVE */
		while (events) {
			event.event = fls(events) - 1;
			events &= ~BIT(event.event);
			dispatch(&event);
		}
	}
	ib_device_put(&dev->ib);
}

/**
 * hyv_ibdev_unregister() - take a device away from everyone who uses it
 * @hyv: device
 * @slot: the host's, where it is or was; it need not be registered
 *
 * Applications that have it open get IBV_EVENT_DEVICE_FATAL; their objects are destroyed and their
 * mappings show nothing any more. Waits for verbs that run, for the host's destroying not.
 */
void hyv_ibdev_unregister(struct hyv_dev *hyv, u32 slot)
{
	struct hyv_ibdev *dev;

	xa_lock_irq(&hyv->objects);
	dev = hyv->devices[slot];
	hyv->devices[slot] = NULL;
	xa_unlock_irq(&hyv->objects);
	if (!dev)
		return;

	WRITE_ONCE(dev->going, true);
	hyv_cm_close(dev);
	ib_unregister_device(&dev->ib);
	hyv_cm_exit(dev);
	hyv_netdev_destroy(dev);
	put_device(&dev->ib.dev);
}
