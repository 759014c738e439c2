// SPDX-License-Identifier: GPL-2.0
/*
 * The netdev of an RDMA device to which the VM has addresses of its own. It carries no packet: it
 * holds those addresses, so that the guest's RDMA core makes GIDs of them and rdma_cm finds the
 * device by address and routes. It speaks no ARP: any neighbour is there at once, since the host
 * resolves the real ones. A helper in user space puts the addresses on it, which it finds in
 * /sys/class/net/<name>/hyv/addresses, whenever the netdev appears or is said to have changed.
 *
 * The RDMA device names it by get_netdev, not by ib_device_set_netdev(): what the latter enters is
 * found by the guest's own rdma_rxe at every event of the netdev, and by the driver id that our
 * device shares with rxe's it would take our device for one of its own.
 *
 * Its hardware address goes on behind the six bytes of Ethernet, so that 16 bytes of it are the
 * default GID which those six give: rdma_cm looks for such a GID when a request comes in by IW_CM
 * (cma_iw_acquire_dev), which for true iWARP devices there is.
 */
#include <linux/etherdevice.h>
#include <linux/inet.h>
#include <linux/rtnetlink.h>

#include "virtio_hyv.h"

#define MAX_ADDRESSES 64

/**
 * struct netdev_priv - what the netdev has of ours
 * @lock: protects the rest
 * @num: of @addresses
 * @addresses: that the VM may use, as the host told them
 */
struct netdev_priv {
	struct mutex lock; /* see above */
	u32 num;
	struct hyv_resp_get_address addresses[MAX_ADDRESSES];
};

/* Return: 0; -ENODATA when there is no such address; or another negative errno */
static int get_address(struct hyv_ibdev *dev, u32 index, struct hyv_resp_get_address *address)
{
	struct hyv_req_get_address *req;
	struct hyv_cmd *cmd;
	int ret;

	cmd = hyv_cmd_alloc(dev->hyv, HYV_OP_GET_ADDRESS, 0, 0);
	if (!cmd)
		return -ENOMEM;
	req = hyv_cmd_req(cmd);
	req->device = cpu_to_le32(dev->id);
	req->index = cpu_to_le32(index);
	ret = hyv_cmd_call(cmd);
	if (!ret)
		*address = *(struct hyv_resp_get_address *)hyv_cmd_resp(cmd);
	hyv_cmd_put(cmd);
	return ret;
}

/* Return: how many there are, or a negative errno */
static int get_addresses(struct hyv_ibdev *dev, struct hyv_resp_get_address *addresses)
{
	int num, ret;

	for (num = 0; num < MAX_ADDRESSES; num++) {
		ret = get_address(dev, num, &addresses[num]);
		if (ret)
			return ret == -ENODATA ? num : ret;
	}
	return num;
}

static ssize_t addresses_show(struct device *device, struct device_attribute *attr, char *buf)
{
	struct netdev_priv *priv = netdev_priv(to_net_dev(device));
	struct hyv_resp_get_address *a;
	int len = 0;

	mutex_lock(&priv->lock);
	for (a = priv->addresses; a < priv->addresses + priv->num; a++) {
		const struct in6_addr *in6 = (const struct in6_addr *)a->gid;
		u32 prefix_len = le32_to_cpu(a->prefix_len);

		if (ipv6_addr_v4mapped(in6))
			len += sysfs_emit_at(buf, len, "%pI4/%u\n", &in6->s6_addr32[3], prefix_len);
		else
			len += sysfs_emit_at(buf, len, "%pI6c/%u\n", in6, prefix_len);
	}
	mutex_unlock(&priv->lock);
	return len;
}
static DEVICE_ATTR_RO(addresses);

static struct attribute *attrs[] = { &dev_attr_addresses.attr, NULL };

static const struct attribute_group group = {
	.name = "hyv",
	.attrs = attrs,
};

static netdev_tx_t start_xmit(struct sk_buff *skb, struct net_device *ndev)
{
	dev_core_stats_tx_dropped_inc(ndev);
	dev_kfree_skb(skb);
	return NETDEV_TX_OK;
}

static const struct net_device_ops netdev_ops = {
	.ndo_start_xmit = start_xmit,
};

static void setup(struct net_device *ndev)
{
	ether_setup(ndev);
	ndev->netdev_ops = &netdev_ops;
	ndev->flags |= IFF_NOARP;
	ndev->flags &= ~(IFF_BROADCAST | IFF_MULTICAST);
	ndev->priv_flags |= IFF_NO_QUEUE;
	ndev->netns_immutable = true;
	ndev->sysfs_groups[0] = &group;
}

static void set_address(struct net_device *ndev)
{
	static const u8 address[16] = { 0xfe, 0x80, [8] = 0xfc, 0x80, 0x00, 0xff, 0xfe };

	dev_addr_mod(ndev, 0, address, sizeof(address));
}

/**
 * hyv_netdev_create() - make the netdev of a device that is to be registered
 * @dev: the device
 *
 * Sleeps. Return: 0 or a negative errno.
 */
int hyv_netdev_create(struct hyv_ibdev *dev)
{
	struct net_device *ndev;
	struct netdev_priv *priv;
	int ret;

	ndev = alloc_netdev(sizeof(*priv), "hyv%d", NET_NAME_PREDICTABLE, setup);
	if (!ndev)
		return -ENOMEM;
	priv = netdev_priv(ndev);
	mutex_init(&priv->lock);
	ret = get_addresses(dev, priv->addresses);
	if (ret < 0)
		goto err_free;
	priv->num = ret;
	set_address(ndev);
	ret = register_netdev(ndev);
	if (ret)
		goto err_free;
	netif_carrier_on(ndev);
	dev->netdev = ndev;
	return 0;

err_free:
	free_netdev(ndev);
	return ret;
}

/**
 * hyv_netdev_refresh() - ask the host for the VM's addresses on a device anew, and let user space
 *	know if they are others now: it puts them on the netdev, and takes old ones off
 * @dev: the device; it need not have a netdev
 *
 * From the work that unregisters the device. Sleeps. Return: 0, or a negative errno and they are those
 * that they were.
 */
int hyv_netdev_refresh(struct hyv_ibdev *dev)
{
	struct hyv_resp_get_address *addresses;
	struct netdev_priv *priv;
	bool is_news;
	int num;

	if (!dev->netdev)
		return 0;
	priv = netdev_priv(dev->netdev);
	addresses = kcalloc(MAX_ADDRESSES, sizeof(*addresses), GFP_KERNEL);
	if (!addresses)
		return -ENOMEM;
	num = get_addresses(dev, addresses);
	if (num >= 0) {
		mutex_lock(&priv->lock);
		is_news = num != priv->num ||
			  memcmp(addresses, priv->addresses, num * sizeof(*addresses));
		memcpy(priv->addresses, addresses, num * sizeof(*addresses));
		priv->num = num;
		mutex_unlock(&priv->lock);
		if (is_news)
			kobject_uevent(&dev->netdev->dev.kobj, KOBJ_CHANGE);
	}
	kfree(addresses);
	return min(num, 0);
}

/** hyv_netdev_destroy() - take it away from a device that is not registered any more. Sleeps */
void hyv_netdev_destroy(struct hyv_ibdev *dev)
{
	if (!dev->netdev)
		return;
	unregister_netdev(dev->netdev);
	free_netdev(dev->netdev);
	dev->netdev = NULL;
}

/** hyv_get_netdev() - Return: the netdev with a reference, or NULL */
struct net_device *hyv_get_netdev(struct ib_device *ib, u32 port)
{
	struct net_device *ndev = to_hyv_ibdev(ib)->netdev;

	dev_hold(ndev);
	return ndev;
}

/* without waiting: the core may hold the network's locks; what is sent later finds it done */
static int set_gid(const struct ib_gid_attr *attr, const union ib_gid *gid)
{
	struct hyv_ibdev *dev = to_hyv_ibdev(attr->device);
	struct hyv_req_set_gid *req;
	struct hyv_cmd *cmd;

	if (attr->index >= HYV_NUM_GIDS)
		return -ENOSPC;
	cmd = hyv_cmd_alloc(dev->hyv, HYV_OP_SET_GID, 0, 0);
	if (!cmd)
		return -ENOMEM;
	req = hyv_cmd_req(cmd);
	req->device = cpu_to_le32(dev->id);
	req->port = cpu_to_le32(attr->port_num);
	req->index = cpu_to_le32(attr->index);
	req->type = cpu_to_le32(attr->gid_type);
	memcpy(req->gid, gid->raw, sizeof(req->gid));
	hyv_cmd_post(cmd);
	return 0;
}

/** hyv_add_gid() - the core has a new GID. Return: 0 or a negative errno */
int hyv_add_gid(const struct ib_gid_attr *attr, void **context)
{
	return set_gid(attr, &attr->gid);
}

/** hyv_del_gid() - the core has a GID less. Return: 0 or a negative errno */
int hyv_del_gid(const struct ib_gid_attr *attr, void **context)
{
	return set_gid(attr, &zgid);
}
