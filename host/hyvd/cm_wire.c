// SPDX-License-Identifier: GPL-2.0-or-later
/* Connections' addresses and parameters, as the guest writes them and as the host's rdma_cm does */
#include <endian.h>
#include <errno.h>
#include <string.h>
#include "cm_priv.h"

#define IWARP_DATA_MAX 255u /* of any of the three: what a byte of rdma_cm's can count */

void cm_to_sockaddr(struct sockaddr_in6 *out, const uint8_t gid[16], __be16 port)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = port };

	*out = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = port };
	memcpy(&out->sin6_addr, gid, 16);
	if (gid_is_v4(gid)) {
		memcpy(&v4.sin_addr, gid + sizeof(gid_v4_prefix), 4);
		*out = (struct sockaddr_in6){ 0 };
		memcpy(out, &v4, sizeof(v4));
	}
}

void cm_from_sockaddr(struct hyv_sockaddr *out, const struct sockaddr_in6 *in)
{
	struct sockaddr_in v4;

	out->port = in->sin6_port;
	memcpy(out->addr, &in->sin6_addr, sizeof(out->addr));
	if (in->sin6_family == AF_INET) {
		memcpy(&v4, in, sizeof(v4));
		memcpy(out->addr, gid_v4_prefix, sizeof(gid_v4_prefix));
		memcpy(out->addr + sizeof(gid_v4_prefix), &v4.sin_addr, 4);
	}
}

bool cm_has_reserved(const struct hyv_sockaddr *addr)
{
	static const uint8_t zero[sizeof(addr->reserved)];

	return memcmp(addr->reserved, zero, sizeof(zero));
}

uint32_t cm_data_max(const struct device *dev, uint32_t roce_max)
{
	return device_is_iwarp(dev) ? IWARP_DATA_MAX : roce_max;
}

int cm_param_from_wire(struct rdma_ucm_conn_param *out, const struct hyv_cm_param *in,
		       const struct qp *qp, uint32_t roce_max)
{
	uint32_t ird = le32toh(in->ird), ord = le32toh(in->ord), len = le32toh(in->data_len);

	if (in->reserved || len > cm_data_max(qp->obj.context->device, roce_max))
		return -EINVAL;
	*out = (struct rdma_ucm_conn_param){
		.qp_num = qp->num,
		.private_data_len = (uint8_t)len,
		.responder_resources = (uint8_t)(ird < UINT8_MAX ? ird : UINT8_MAX),
		.initiator_depth = (uint8_t)(ord < UINT8_MAX ? ord : UINT8_MAX),
		.flow_control = 1,
		.retry_count = 7,
		.rnr_retry_count = 7,
		.valid = 1,
	};
	memcpy(out->private_data, in->data, len);
	return 0;
}

void cm_param_to_wire(struct hyv_cm_param *out, const struct rdma_ucm_conn_param *in)
{
	out->ird = htole32(in->initiator_depth);
	out->ord = htole32(in->responder_resources);
	out->data_len = htole32(in->private_data_len);
	memcpy(out->data, in->private_data, in->private_data_len);
}
