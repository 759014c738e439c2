// SPDX-License-Identifier: GPL-2.0-or-later
/* A connection by address of this process to itself, see cm_self.h. */
#include "cm_self.h"

#define RESOLVE_MS 5000

struct rdma_cm_id *cm_listen(struct rdma_event_channel *channel, const char *address)
{
	struct rdma_addrinfo hints = { .ai_flags = RAI_PASSIVE, .ai_port_space = RDMA_PS_TCP };
	struct rdma_addrinfo *info;
	struct rdma_cm_id *id;

	need(!rdma_getaddrinfo(address, NULL, &hints, &info), "rdma_getaddrinfo");
	if (rdma_create_id(channel, &id, NULL, RDMA_PS_TCP))
		id = NULL;
	if (id && (rdma_bind_addr(id, info->ai_src_addr) || rdma_listen(id, 4))) {
		rdma_destroy_id(id);
		id = NULL;
	}
	rdma_freeaddrinfo(info);
	return id;
}

/* Return: the id of the next event, which ends the program if it is not @type */
static struct rdma_cm_id *expect(struct cm_self *self, enum rdma_cm_event_type type)
{
	struct rdma_cm_event *event;
	struct rdma_cm_id *id;

	need(!rdma_get_cm_event(self->channel, &event), "rdma_get_cm_event");
	if (event->event != type)
		die("%s instead of %s: %d", rdma_event_str(event->event), rdma_event_str(type),
		    event->status);
	id = event->id;
	rdma_ack_cm_event(event);
	return id;
}

void cm_self_connect(struct cm_self *self, const char *address, struct ibv_qp *from,
		     struct ibv_qp *to)
{
	struct rdma_conn_param param = { .retry_count = 7, .rnr_retry_count = 7 };

	self->channel = rdma_create_event_channel();
	need(self->channel, "rdma_create_event_channel");
	self->listener = cm_listen(self->channel, address);
	need(self->listener, "rdma_listen");
	need(!rdma_create_id(self->channel, &self->active, NULL, RDMA_PS_TCP), "rdma_create_id");
	need(!rdma_resolve_addr(self->active, NULL, rdma_get_local_addr(self->listener),
				RESOLVE_MS),
	     "rdma_resolve_addr");
	expect(self, RDMA_CM_EVENT_ADDR_RESOLVED);
	need(!rdma_resolve_route(self->active, RESOLVE_MS), "rdma_resolve_route");
	expect(self, RDMA_CM_EVENT_ROUTE_RESOLVED);
	param.qp_num = from->qp_num;
	need(!rdma_connect(self->active, &param), "rdma_connect");
	self->passive = expect(self, RDMA_CM_EVENT_CONNECT_REQUEST);
	param.qp_num = to->qp_num;
	need(!rdma_accept(self->passive, &param), "rdma_accept");
	expect(self, RDMA_CM_EVENT_ESTABLISHED);
	expect(self, RDMA_CM_EVENT_ESTABLISHED);
}

void cm_self_end(struct cm_self *self)
{
	need(!rdma_destroy_id(self->active) && !rdma_destroy_id(self->passive) &&
		     !rdma_destroy_id(self->listener),
	     "rdma_destroy_id");
	rdma_destroy_event_channel(self->channel);
}
