// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Queue pairs that a connection names by number, as rdma_cm allows:
 *
 *   cm_by_number                      makes one, prints its number, and stays
 *   cm_by_number ADDRESS PORT NUMBER  connects one to ADDRESS, from wherever; when the other side
 *                                     accepts, says so, and stays without ever answering
 */
#include <rdma/rdma_cma.h>
#include <unistd.h>
#include "rdma.h"

#define RESOLVE_MS 2000

static void stay(void)
{
	fflush(stdout);
	for (;;)
		pause();
}

static void make_one(void)
{
	struct rdma r;

	rdma_open(&r, device_option());
	printf("%u\n", make_qp(&r, make_cq(&r, 1), 1)->qp_num);
	stay();
}

/* wait for an event, which ends the program if it is not @type */
static void expect(struct rdma_event_channel *channel, enum rdma_cm_event_type type)
{
	struct rdma_cm_event *event;

	need(!rdma_get_cm_event(channel, &event), "rdma_get_cm_event");
	if (event->event != type)
		die("%s: %d", rdma_event_str(event->event), event->status);
	rdma_ack_cm_event(event);
}

int main(int argc, char **argv)
{
	struct rdma_conn_param param = { .retry_count = 7, .rnr_retry_count = 7 };
	struct rdma_addrinfo hints = { .ai_port_space = RDMA_PS_TCP }, *info;
	struct rdma_event_channel *channel;
	struct rdma_cm_id *id;

	if (argc == 1)
		make_one();
	if (argc != 4)
		die("usage: cm_by_number [ADDRESS PORT NUMBER]");
	channel = rdma_create_event_channel();
	need(channel, "rdma_create_event_channel");
	need(!rdma_create_id(channel, &id, NULL, RDMA_PS_TCP), "rdma_create_id");
	need(!rdma_getaddrinfo(argv[1], argv[2], &hints, &info), "rdma_getaddrinfo");
	need(!rdma_resolve_addr(id, NULL, info->ai_dst_addr, RESOLVE_MS), "rdma_resolve_addr");
	expect(channel, RDMA_CM_EVENT_ADDR_RESOLVED);
	need(!rdma_resolve_route(id, RESOLVE_MS), "rdma_resolve_route");
	expect(channel, RDMA_CM_EVENT_ROUTE_RESOLVED);
	param.qp_num = (uint32_t)number(argv[3], UINT32_MAX);
	need(!rdma_connect(id, &param), "rdma_connect");
	expect(channel, RDMA_CM_EVENT_CONNECT_RESPONSE);
	printf("accepted\n");
	stay();
}
