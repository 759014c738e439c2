// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Host RDMA devices: taking one into use and giving it up again (hotplug.c says when), and the guest's
 * questions about it. Questions are answered through a uverbs context of hyvd's own, but for those that
 * depend on who asks.
 *
 * The guest finds a device in a slot, and names it by its id. One that has left its slot lives on until
 * the last that uses it is done; then hyvd's own context is closed, and with that the device.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cmd.h"
#include "context.h"
#include "event.h"
#include "gid.h"
#include "hotplug.h"
#include "log.h"
#include "netlink.h"

static int report_missing(const char *name, int err, const char *known)
{
	if (err == -ENODEV && known[0])
		log_err("no RDMA device '%s' on this host; there are: %s", name, known);
	else if (err == -ENODEV)
		log_err("no RDMA device '%s', nor any other, on this host: load its driver, or make a soft one with 'rdma link add %s type rxe netdev ETH'",
			name, name);
	else if (err == -ENOPROTOOPT)
		log_err("RDMA device '%s' has no user-space interface: load ib_uverbs", name);
	else
		log_err("cannot ask the kernel for RDMA devices: %s; is ib_core loaded?",
			strerror(-err));
	return err;
}

/* Return: @err, after a message */
static int report_closed(const struct device *dev, int err)
{
	log_err("cannot open %s for RDMA device '%s': %s%s", dev->uverbs_path, dev->name,
		strerror(-err),
		err == -EACCES ? ": it has to be for all users (0666), as the kernel makes it" :
				 "");
	return err;
}

int device_check(const struct device *dev)
{
	int fd = open(dev->uverbs_path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return report_closed(dev, -errno);
	close(fd);
	return 0;
}

/* the number of completion vectors is told when a context is opened */
static int open_own_context(struct vm *vm, struct device *dev)
{
	uint8_t answer[HYV_UDATA_MAX];
	const struct udata udata = { .out = answer, .out_len = dev->provider->context_out };
	int ret = context_open(vm, dev, &udata, &dev->own);

	return ret ? report_closed(dev, ret) : event_watch(vm->event, dev->own);
}

int device_open(struct vm *vm, const char *name, struct device **out)
{
	struct netlink_rdma_device found = { 0 };
	struct device *dev;
	char known[1024];
	unsigned int i;
	int ret;

	log_about(name, 0);
	ret = netlink_find(name, &found, known, sizeof(known));
	if (ret)
		return report_missing(name, ret, known);
	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return -ENOMEM;
	dev->refs = 1;
	dev->id = atomic_fetch_add(&vm->next_device_id, 1);
	dev->info = found;
	snprintf(dev->name, sizeof(dev->name), "%s", name);
	snprintf(dev->uverbs_path, sizeof(dev->uverbs_path), "/dev/infiniband/%s", found.uverbs);
	for (i = 0; i < DEVICE_MAX_PORTS; i++) {
		dev->port_events[i].device = dev->id;
		dev->port_events[i].port = i + 1;
	}
	dev->provider = hyv_provider_find(found.driver_id, found.abi_version);
	if (!dev->provider) {
		log_err("RDMA device '%s': its driver %s (id %u, ABI version %u) has no provider descriptor in this build: see include/hyv/provider.h",
			name, hyv_driver_name(found.driver_id), found.driver_id, found.abi_version);
		ret = -EPROTONOSUPPORT;
	} else if (found.num_ports > DEVICE_MAX_PORTS) {
		log_err("RDMA device '%s' has %u ports, more than the %u supported", name,
			found.num_ports, DEVICE_MAX_PORTS);
		ret = -E2BIG;
	} else {
		ret = open_own_context(vm, dev);
	}
	if (ret)
		device_put(vm, dev);
	else
		*out = dev;
	return ret;
}

int device_plug(struct vm *vm, struct device *dev)
{
	unsigned int slot = 0;

	if (device_named(vm, dev->name)) {
		log_err("the VM has '%s' already", dev->name);
		return -EEXIST;
	}
	while (slot < HYV_MAX_DEVICES && vm->devices[slot])
		slot++;
	if (slot == HYV_MAX_DEVICES) {
		log_err("'%s' is one device too many: a VM can have %u", dev->name,
			HYV_MAX_DEVICES);
		return -E2BIG;
	}
	dev->slot = slot;
	pthread_mutex_lock(&vm->lock);
	vm->devices[slot] = dev;
	pthread_mutex_unlock(&vm->lock);
	log_about(dev->name, 0);
	log_info("device %u: %s (%s), %s", dev->slot, dev->name, dev->provider->name,
		 dev->uverbs_path);
	log_about(NULL, 0);
	return 0;
}

void device_unplug(struct vm *vm, struct device *dev)
{
	unsigned int i;

	gid_remove_addresses(vm, dev);
	pthread_mutex_lock(&vm->lock);
	vm->devices[dev->slot] = NULL;
	pthread_mutex_unlock(&vm->lock);
	atomic_store(&dev->is_going, true);
	if (dev->own)
		event_unwatch(vm->event, dev->own);
	for (i = 0; i < DEVICE_MAX_PORTS; i++)
		objtab_hush(vm->objtab, &dev->port_events[i]);
	device_put(vm, dev);
}

struct device *device_named(const struct vm *vm, const char *name)
{
	unsigned int i;

	for (i = 0; i < HYV_MAX_DEVICES; i++)
		if (vm->devices[i] && !strcmp(vm->devices[i]->name, name))
			return vm->devices[i];
	return NULL;
}

struct device *device_in_slot(struct vm *vm, uint32_t slot)
{
	struct device *dev;

	pthread_mutex_lock(&vm->lock);
	dev = vm->devices[slot];
	if (dev)
		dev->refs++;
	pthread_mutex_unlock(&vm->lock);
	return dev;
}

void device_hold(struct vm *vm, struct device *dev)
{
	pthread_mutex_lock(&vm->lock);
	dev->refs++;
	pthread_mutex_unlock(&vm->lock);
}

void device_put(struct vm *vm, struct device *dev)
{
	bool last;

	pthread_mutex_lock(&vm->lock);
	last = !--dev->refs;
	pthread_mutex_unlock(&vm->lock);
	if (last && dev->own)
		obj_put(vm->objtab, &dev->own->obj);
	else if (last)
		hotplug_gone(vm->hotplug, dev);
}

void device_free(struct device *dev)
{
	gid_free(dev);
	free(dev);
}

int device_find(struct cmd *cmd, __le32 id, __le32 reserved)
{
	struct vm *vm = cmd->vm;
	unsigned int i;

	if (reserved)
		return -EINVAL;
	pthread_mutex_lock(&vm->lock);
	for (i = 0; i < HYV_MAX_DEVICES && !cmd->device; i++)
		if (vm->devices[i] && vm->devices[i]->id == le32toh(id))
			cmd->device = vm->devices[i];
	if (cmd->device)
		cmd->device->refs++;
	pthread_mutex_unlock(&vm->lock);
	if (!cmd->device)
		return -ENODEV;
	log_about(cmd->device->name, 0); /* until cmd_exec() ends */
	return 0;
}

/* /sys/class/infiniband/<dev>/<file>, first line. Return: 0 or a negative errno */
static int read_sysfs(const struct device *dev, const char *file, char *line, size_t len)
{
	char path[PATH_MAX];
	FILE *f;
	int ret = 0;

	snprintf(path, sizeof(path), "/sys/class/infiniband/%s/%s", dev->name, file);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	if (!fgets(line, (int)len, f))
		ret = ferror(f) ? -errno : -ENODATA;
	else
		line[strcspn(line, "\n")] = '\0';
	fclose(f);
	return ret;
}

static int write_own(struct device *dev, uint32_t command, const void *in, uint16_t in_len,
		     void *out, uint16_t out_len)
{
	return uverbs_write(dev->own->fd, dev->provider->driver_id, command, in, in_len, out,
			    out_len, NULL);
}

static int query_port(struct device *dev, uint32_t port, struct ib_uverbs_query_port_resp *out)
{
	struct ib_uverbs_query_port in = { .port_num = (__u8)port };

	if (port > UINT8_MAX)
		return -EINVAL;
	return write_own(dev, IB_USER_VERBS_CMD_QUERY_PORT, &in, sizeof(in), out, sizeof(*out));
}

int get_device_exec(struct cmd *cmd)
{
	const struct hyv_req_get_device *req = cmd->req;
	struct hyv_resp_get_device *resp = cmd->resp;
	uint32_t slot = le32toh(req->slot);
	struct ib_uverbs_query_port_resp port;
	struct device *dev;
	int ret;

	if (req->reserved || slot >= HYV_MAX_DEVICES)
		return -EINVAL;
	dev = cmd->vm->devices
		      [slot]; /* this is the event loop's thread: it stays there meanwhile */
	if (!dev)
		return -ENODEV;
	ret = query_port(dev, 1, &port);
	if (ret)
		return ret;
	resp->id = htole32(dev->id);
	resp->flags = htole32(dev->has_addresses ? HYV_DEVICE_ADDRESSES : 0);
	resp->node_guid = htobe64(dev->info.node_guid);
	resp->driver_id = htole32(dev->info.driver_id);
	resp->abi_version = htole32(dev->info.abi_version);
	resp->node_type = htole32(dev->info.node_type);
	resp->num_ports = htole32(dev->info.num_ports);
	resp->num_comp_vectors = htole32(dev->num_comp_vectors);
	resp->link_layer = htole32(port.link_layer);
	read_sysfs(dev, "node_desc", (char *)resp->node_desc, sizeof(resp->node_desc));
	memcpy(resp->fw_ver, dev->info.fw_version, sizeof(resp->fw_ver));
	return 0;
}

static void fill_device_attr(struct hyv_resp_query_device *resp,
			     const struct ib_uverbs_ex_query_device_resp *ex)
{
	const struct ib_uverbs_query_device_resp *base = &ex->base;

	resp->fw_ver = htole64(base->fw_ver);
	resp->sys_image_guid = base->sys_image_guid;
	resp->max_mr_size = htole64(base->max_mr_size);
	resp->page_size_cap = htole64(base->page_size_cap);
	resp->device_cap_flags = htole64(ex->device_cap_flags_ex);
	resp->timestamp_mask = htole64(ex->timestamp_mask);
	resp->hca_core_clock = htole64(ex->hca_core_clock);
	resp->max_dm_size = htole64(ex->max_dm_size);
	resp->vendor_id = htole32(base->vendor_id);
	resp->vendor_part_id = htole32(base->vendor_part_id);
	resp->hw_ver = htole32(base->hw_ver);
	resp->max_qp = htole32(base->max_qp);
	resp->max_qp_wr = htole32(base->max_qp_wr);
	resp->max_sge = htole32(base->max_sge);
	resp->max_sge_rd = htole32(base->max_sge_rd);
	resp->max_cq = htole32(base->max_cq);
	resp->max_cqe = htole32(base->max_cqe);
	resp->max_mr = htole32(base->max_mr);
	resp->max_pd = htole32(base->max_pd);
	resp->max_qp_rd_atom = htole32(base->max_qp_rd_atom);
	resp->max_ee_rd_atom = htole32(base->max_ee_rd_atom);
	resp->max_res_rd_atom = htole32(base->max_res_rd_atom);
	resp->max_qp_init_rd_atom = htole32(base->max_qp_init_rd_atom);
	resp->max_ee_init_rd_atom = htole32(base->max_ee_init_rd_atom);
	resp->atomic_cap = htole32(base->atomic_cap);
	resp->max_ee = htole32(base->max_ee);
	resp->max_rdd = htole32(base->max_rdd);
	resp->max_mw = htole32(base->max_mw);
	resp->max_raw_ipv6_qp = htole32(base->max_raw_ipv6_qp);
	resp->max_raw_ethy_qp = htole32(base->max_raw_ethy_qp);
	resp->max_mcast_grp = htole32(base->max_mcast_grp);
	resp->max_mcast_qp_attach = htole32(base->max_mcast_qp_attach);
	resp->max_total_mcast_qp_attach = htole32(base->max_total_mcast_qp_attach);
	resp->max_ah = htole32(base->max_ah);
	resp->max_srq = htole32(base->max_srq);
	resp->max_srq_wr = htole32(base->max_srq_wr);
	resp->max_srq_sge = htole32(base->max_srq_sge);
	resp->max_wq_type_rq = htole32(ex->max_wq_type_rq);
	resp->raw_packet_caps = htole32(ex->raw_packet_caps);
	resp->max_pkeys = htole16(base->max_pkeys);
	resp->local_ca_ack_delay = base->local_ca_ack_delay;
	resp->rss.supported_qpts = htole32(ex->rss_caps.supported_qpts);
	resp->rss.max_rwq_indirection_tables = htole32(ex->rss_caps.max_rwq_indirection_tables);
	resp->rss.max_rwq_indirection_table_size =
		htole32(ex->rss_caps.max_rwq_indirection_table_size);
	resp->tm.max_rndv_hdr_size = htole32(ex->tm_caps.max_rndv_hdr_size);
	resp->tm.max_num_tags = htole32(ex->tm_caps.max_num_tags);
	resp->tm.flags = htole32(ex->tm_caps.flags);
	resp->tm.max_ops = htole32(ex->tm_caps.max_ops);
	resp->tm.max_sge = htole32(ex->tm_caps.max_sge);
	resp->max_cq_moderation_count = htole16(ex->cq_moderation_caps.max_cq_moderation_count);
	resp->max_cq_moderation_period = htole16(ex->cq_moderation_caps.max_cq_moderation_period);
}

int query_device_exec(struct cmd *cmd)
{
	const struct hyv_req_query_device *req = cmd->req;
	struct ib_uverbs_ex_query_device in = { 0 };
	struct ib_uverbs_ex_query_device_resp out = { 0 };
	const struct udata *udata;
	struct obj *asking = NULL;
	struct context *ctx;
	int ret = device_find(cmd, req->device, req->reserved);

	if (ret)
		return ret;
	ret = -EINVAL;
	if (req->context) {
		asking = cmd_get_object(cmd, req->context, OBJ_CONTEXT);
		if (!asking)
			return -ENOENT;
		if (asking->context->device != cmd->device)
			goto out;
	}
	ctx = asking ? asking->context : cmd->device->own;
	udata = cmd_udata(cmd, cmd->device);
	ret = -EOPNOTSUPP;
	if (!udata)
		goto out;
	ret = uverbs_write(ctx->fd, context_driver(ctx),
			   IB_USER_VERBS_CMD_FLAG_EXTENDED | IB_USER_VERBS_EX_CMD_QUERY_DEVICE, &in,
			   sizeof(in), &out, sizeof(out), udata);
	if (!ret) {
		fill_device_attr(cmd->resp, &out);
		limit_clamp(&cmd->vm->limits, cmd->resp);
	}
out:
	cmd_put_object(cmd, asking);
	return ret;
}

int query_port_exec(struct cmd *cmd)
{
	const struct hyv_req_query_port *req = cmd->req;
	struct hyv_resp_query_port *resp = cmd->resp;
	struct ib_uverbs_query_port_resp out = { 0 };
	int ret = device_find(cmd, req->device, 0);

	if (!ret)
		ret = query_port(cmd->device, le32toh(req->port), &out);
	if (ret)
		return ret;
	resp->port_cap_flags = htole32(out.port_cap_flags);
	resp->max_msg_sz = htole32(out.max_msg_sz);
	resp->bad_pkey_cntr = htole32(out.bad_pkey_cntr);
	resp->qkey_viol_cntr = htole32(out.qkey_viol_cntr);
	resp->gid_tbl_len = htole32(out.gid_tbl_len);
	resp->pkey_tbl_len = htole16(out.pkey_tbl_len);
	resp->lid = htole16(out.lid);
	resp->sm_lid = htole16(out.sm_lid);
	resp->state = out.state;
	resp->max_mtu = out.max_mtu;
	resp->active_mtu = out.active_mtu;
	resp->lmc = out.lmc;
	resp->max_vl_num = out.max_vl_num;
	resp->sm_sl = out.sm_sl;
	resp->subnet_timeout = out.subnet_timeout;
	resp->init_type_reply = out.init_type_reply;
	resp->active_width = out.active_width;
	resp->active_speed = out.active_speed;
	resp->phys_state = out.phys_state;
	resp->link_layer = out.link_layer;
	resp->flags = out.flags;
	return 0;
}

int query_gid_exec(struct cmd *cmd)
{
	const struct hyv_req_query_gid *req = cmd->req;
	struct hyv_resp_query_gid *resp = cmd->resp;
	uint32_t port = le32toh(req->port), index = le32toh(req->index), next = index;
	struct ib_uverbs_gid_entry entry = { 0 }, other;
	int ret = device_find(cmd, req->device, req->reserved);

	if (ret)
		return ret;
	ret = gid_read_entry(cmd->device, port, index, &entry);
	if (ret && ret != -ENODATA)
		return ret;
	/* one with a table of its own asks for its addresses */
	if (!cmd->device->gids || gid_is_allowed(cmd->vm, cmd->device, (uint8_t *)entry.gid)) {
		memcpy(resp->gid, entry.gid, sizeof(resp->gid));
		resp->type = htole32(entry.gid_type);
	}
	while (gid_read_entry(cmd->device, port, ++next, &other) == -ENODATA)
		; /* ends at the end of the table */
	resp->next = htole32(next);
	return 0;
}

int query_pkey_exec(struct cmd *cmd)
{
	const struct hyv_req_query_pkey *req = cmd->req;
	struct hyv_resp_query_pkey *resp = cmd->resp;
	int ret = device_find(cmd, req->device, req->reserved);
	char file[64], line[32];

	if (ret)
		return ret;
	/* uverbs has no command for it */
	snprintf(file, sizeof(file), "ports/%u/pkeys/%u", le32toh(req->port), le32toh(req->index));
	ret = read_sysfs(cmd->device, file, line, sizeof(line));
	if (ret)
		return ret == -ENOENT ? -EINVAL : ret;
	resp->pkey = htole16((uint16_t)strtoul(line, NULL, 16));
	return 0;
}
