// SPDX-License-Identifier: GPL-2.0-or-later
/* What only datagram QPs need: address handles and multicast groups. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "datagram.h"
#include "gid.h"
#include "verbs.h"

static const struct destroy_method destroy_ah = {
	.object = UVERBS_OBJECT_AH,
	.method = UVERBS_METHOD_AH_DESTROY,
};

static void attr_from_wire(struct ib_uverbs_ah_attr *out, const struct hyv_ah_attr *in)
{
	*out = (struct ib_uverbs_ah_attr){
		.grh = {
			.flow_label = le32toh(in->flow_label),
			.sgid_index = in->sgid_index,
			.hop_limit = in->hop_limit,
			.traffic_class = in->traffic_class,
		},
		.dlid = le16toh(in->dlid),
		.sl = in->sl,
		.src_path_bits = in->src_path_bits,
		.static_rate = in->static_rate,
		.is_global = in->is_global,
		.port_num = in->port_num,
	};
	memcpy(out->grh.dgid, in->dgid, sizeof(out->grh.dgid));
}

int create_ah_exec(struct cmd *cmd)
{
	const struct hyv_req_create_ah *req = cmd->req;
	struct hyv_resp_create_ah *resp = cmd->resp;
	struct context *ctx = cmd->target->context;
	const struct udata *udata = cmd_udata(cmd, ctx->device);
	struct ib_uverbs_create_ah in = { .pd_handle = cmd->target->handle };
	struct ib_uverbs_gid_entry found = { 0 };
	struct ib_uverbs_create_ah_resp out;
	struct obj *ah;
	int ret;

	if (!udata)
		return -EOPNOTSUPP;
	if (req->attr.reserved)
		return -EINVAL;
	attr_from_wire(&in.attr, &req->attr);
	if (in.attr.is_global) {
		ret = gid_to_host(cmd->vm, ctx->device, in.attr.port_num, &in.attr.grh.sgid_index,
				  &found);
		if (ret)
			return ret;
	}
	ah = calloc(1, sizeof(*ah));
	if (!ah)
		return -ENOMEM;
	ret = uverbs_write(ctx->fd, context_driver(ctx), IB_USER_VERBS_CMD_CREATE_AH, &in,
			   sizeof(in), &out, sizeof(out), udata);
	if (ret) {
		free(ah);
		return ret;
	}
	object_init(cmd->vm, ah, OBJ_AH, ctx);
	ah->handle = out.ah_handle;
	if (!gid_was_own(cmd->vm, ctx->device, &found)) {
		object_undo(cmd->vm, ah, &destroy_ah);
		return -EADDRNOTAVAIL;
	}
	return object_publish(cmd->vm, ah, &destroy_ah, &resp->ah);
}

int destroy_ah_exec(struct cmd *cmd)
{
	return object_destroy(cmd, &destroy_ah);
}

/* the two commands have the same layout */
static int change_group(struct cmd *cmd, uint32_t command)
{
	static const uint8_t zero[sizeof(((struct hyv_mcast *)0)->reserved)];
	const struct hyv_mcast *req = cmd->req;
	struct context *ctx = cmd->target->context;
	struct ib_uverbs_attach_mcast in = {
		.qp_handle = cmd->target->handle,
		.mlid = le16toh(req->mlid),
	};

	if (memcmp(req->reserved, zero, sizeof(zero)))
		return -EINVAL;
	memcpy(in.gid, req->gid, sizeof(in.gid));
	return uverbs_write(ctx->fd, context_driver(ctx), command, &in, sizeof(in), NULL, 0, NULL);
}

int attach_mcast_exec(struct cmd *cmd)
{
	return change_group(cmd, IB_USER_VERBS_CMD_ATTACH_MCAST);
}

int detach_mcast_exec(struct cmd *cmd)
{
	return change_group(cmd, IB_USER_VERBS_CMD_DETACH_MCAST);
}
