// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The host's rdma_cm device (include/uapi/rdma/rdma_user_cm.h): the only place that writes its
 * commands. The kernel demands the very credentials that opened it: see ucma_open().
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "ucma.h"

#define SEND_COMMAND(fd, command, body, out_len) \
	({ \
		struct { \
			struct rdma_ucm_cmd_hdr hdr; \
			__typeof__(*(body)) in; \
		} __attribute__((packed)) message = { \
			.hdr = { .cmd = (command), .in = sizeof(*(body)), .out = (out_len) }, \
			.in = *(body), \
		}; \
		send_message(fd, &message, sizeof(message)); \
	})

static int send_message(int fd, const void *message, size_t len)
{
	return write(fd, message, len) < 0 ? -errno : 0;
}

int ucma_open(void)
{
	int fd = open("/dev/infiniband/rdma_cm", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

int ucma_create(int fd, uint64_t uid, uint32_t *id)
{
	struct rdma_ucm_create_id_resp resp = { 0 };
	struct rdma_ucm_create_id in = {
		.uid = uid,
		.response = (uintptr_t)&resp,
		.ps = RDMA_PS_TCP,
	};
	int ret = SEND_COMMAND(fd, RDMA_USER_CM_CMD_CREATE_ID, &in, sizeof(resp));

	*id = resp.id;
	return ret;
}

int ucma_destroy(int fd, uint32_t id)
{
	struct rdma_ucm_destroy_id_resp resp;
	struct rdma_ucm_destroy_id in = { .id = id, .response = (uintptr_t)&resp };

	return SEND_COMMAND(fd, RDMA_USER_CM_CMD_DESTROY_ID, &in, sizeof(resp));
}

int ucma_bind(int fd, uint32_t id, const struct sockaddr_in6 *local)
{
	struct rdma_ucm_bind_ip in = { .id = id, .addr = *local };

	return SEND_COMMAND(fd, RDMA_USER_CM_CMD_BIND_IP, &in, 0);
}

int ucma_listen(int fd, uint32_t id, uint32_t backlog)
{
	struct rdma_ucm_listen in = { .id = id, .backlog = backlog };

	return SEND_COMMAND(fd, RDMA_USER_CM_CMD_LISTEN, &in, 0);
}

int ucma_resolve_addr(int fd, uint32_t id, const struct sockaddr_in6 *local,
		      const struct sockaddr_in6 *remote, uint32_t timeout_ms)
{
	struct rdma_ucm_resolve_ip in = {
		.id = id,
		.src_addr = *local,
		.dst_addr = *remote,
		.timeout_ms = timeout_ms,
	};

	return SEND_COMMAND(fd, RDMA_USER_CM_CMD_RESOLVE_IP, &in, 0);
}

int ucma_resolve_route(int fd, uint32_t id, uint32_t timeout_ms)
{
	struct rdma_ucm_resolve_route in = { .id = id, .timeout_ms = timeout_ms };

	return SEND_COMMAND(fd, RDMA_USER_CM_CMD_RESOLVE_ROUTE, &in, 0);
}

int ucma_connect(int fd, uint32_t id, const struct rdma_ucm_conn_param *param)
{
	struct rdma_ucm_connect in = { .id = id, .conn_param = *param };

	return SEND_COMMAND(fd, RDMA_USER_CM_CMD_CONNECT, &in, 0);
}

int ucma_accept(int fd, uint32_t id, uint64_t uid, const struct rdma_ucm_conn_param *param)
{
	struct rdma_ucm_accept in = { .id = id, .uid = uid };

	if (param)
		in.conn_param = *param;
	return SEND_COMMAND(fd, RDMA_USER_CM_CMD_ACCEPT, &in, 0);
}

int ucma_reject(int fd, uint32_t id, const void *data, uint8_t len)
{
	struct rdma_ucm_reject in = { .id = id, .private_data_len = len };

	memcpy(in.private_data, data, len);
	return SEND_COMMAND(fd, RDMA_USER_CM_CMD_REJECT, &in, 0);
}

int ucma_disconnect(int fd, uint32_t id)
{
	struct rdma_ucm_disconnect in = { .id = id };

	return SEND_COMMAND(fd, RDMA_USER_CM_CMD_DISCONNECT, &in, 0);
}

int ucma_init_qp_attr(int fd, uint32_t id, uint32_t state, struct ib_uverbs_qp_attr *attr)
{
	struct rdma_ucm_init_qp_attr in = {
		.id = id,
		.qp_state = state,
		.response = (uintptr_t)attr,
	};

	memset(attr, 0, sizeof(*attr));
	return SEND_COMMAND(fd, RDMA_USER_CM_CMD_INIT_QP_ATTR, &in, sizeof(*attr));
}

int ucma_query_route(int fd, uint32_t id, struct rdma_ucm_query_route_resp *route)
{
	struct rdma_ucm_query in = { .id = id, .response = (uintptr_t)route };

	*route = (struct rdma_ucm_query_route_resp){ .ibdev_index = UCMA_NO_INDEX };
	return SEND_COMMAND(fd, RDMA_USER_CM_CMD_QUERY_ROUTE, &in, sizeof(*route));
}

int ucma_get_event(int fd, struct rdma_ucm_event_resp *event)
{
	struct rdma_ucm_get_event in = { .response = (uintptr_t)event };

	return SEND_COMMAND(fd, RDMA_USER_CM_CMD_GET_EVENT, &in, sizeof(*event));
}
