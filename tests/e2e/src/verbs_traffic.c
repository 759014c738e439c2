// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Traffic until something happens, for the tests of death: writes to itself without end, over a
 * connection of its QPs by address or by their attributes, prints "running" when data has passed, at
 * first and then four times a second, each time other data, verified; and watches for asynchronous
 * events. When the device is gone
 * (IBV_EVENT_DEVICE_FATAL) each verb must fail or be done, and none may hang; then everything is
 * destroyed. An alarm ends a program that hangs.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include "cm_self.h"

#define SIZE	 (256u << 10)
#define PATIENCE 60 /* seconds for what comes after the event */

/** struct rig - a QP, its peer, and one of each object that can be waited for */
struct rig {
	struct rdma r;
	struct cm_self connection; /* when there is one by address */
	struct ibv_comp_channel *channel;
	struct ibv_cq *cq;
	struct ibv_cq *watched;
	struct ibv_qp *qp;
	struct ibv_qp *peer;
	struct ibv_mr *mr;
	uint8_t *buf;
	bool fatal; /* IBV_EVENT_DEVICE_FATAL has come */
};

/* takes an event if there is one. Return: whether the device has ended */
static bool fatal_event(struct rig *rig)
{
	struct pollfd fd = { rig->r.ctx->async_fd, POLLIN, 0 };
	struct ibv_async_event event;

	if (rig->fatal || poll(&fd, 1, 0) <= 0)
		return rig->fatal;
	need(!ibv_get_async_event(rig->r.ctx, &event), "get_async_event");
	printf("event: %s\n", ibv_event_type_str(event.event_type));
	rig->fatal = event.event_type == IBV_EVENT_DEVICE_FATAL;
	ibv_ack_async_event(&event);
	return rig->fatal;
}

/* one write; goes on waiting for it until it completes or the device ends. Return: whether it is well */
static bool write_once(struct rig *rig)
{
	struct ibv_sge sge = { (uintptr_t)rig->buf, SIZE, rig->mr->lkey };
	struct ibv_send_wr *bad, wr = {
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = IBV_WR_RDMA_WRITE,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = { (uintptr_t)rig->buf + SIZE, rig->mr->rkey },
	};
	struct ibv_wc wc;
	int ret, n;

	ret = ibv_post_send(rig->qp, &wr, &bad);
	if (ret) {
		printf("post_send: %s\n", strerrorname_np(ret));
		return false;
	}
	while (!(n = ibv_poll_cq(rig->cq, 1, &wc)))
		if (fatal_event(rig))
			return false;
	if (n < 0 || wc.status != IBV_WC_SUCCESS) /* the host's device may end before ours is told */
		printf("write: %s\n", n < 0 ? "poll_cq failed" : ibv_wc_status_str(wc.status));
	return n > 0 && wc.status == IBV_WC_SUCCESS;
}

/* verbs on a dead device */
static void expect_errors(struct rig *rig)
{
	struct ibv_port_attr port;
	struct ibv_cq *cq;
	struct ibv_mr *mr;

	errno = 0;
	cq = ibv_create_cq(rig->r.ctx, 4, NULL, NULL, 0);
	if (cq)
		die("create_cq works on a dead device");
	printf("create_cq: %s\n", strerrorname_np(errno));
	errno = 0;
	mr = ibv_reg_mr(rig->r.pd, rig->buf, SIZE, 0);
	if (mr)
		die("reg_mr works on a dead device");
	printf("reg_mr: %s\n", strerrorname_np(errno));
	printf("query_port: %s\n", ibv_query_port(rig->r.ctx, PORT, &port) ? "fails" : "works");
}

static void destroy(struct rig *rig)
{
	int ret = ibv_destroy_qp(rig->qp);

	ret = ret ?: ibv_destroy_qp(rig->peer);
	ret = ret ?: ibv_dereg_mr(rig->mr);
	ret = ret ?: ibv_destroy_cq(rig->cq);
	ret = ret ?: ibv_destroy_cq(rig->watched);
	ret = ret ?: ibv_destroy_comp_channel(rig->channel);
	ret = ret ?: ibv_dealloc_pd(rig->r.pd);
	ret = ret ?: ibv_close_device(rig->r.ctx);
	printf("destroying: %s\n", ret ? strerrorname_np(ret) : "success");
	if (rig->connection.channel)
		cm_self_end(&rig->connection);
}

int main(int argc, char **argv)
{
	unsigned long long writes = 0;
	double next = 0; /* seconds() when to write other data */
	struct rig rig = { 0 };
	bool fresh;

	if (argc > 2 || (argc == 2 && !strcmp(argv[1], "--help"))) {
		puts("usage: verbs_traffic [ADDRESS]    the device's own, for a connection by address\n"
		     "RDMA traffic until killed, or until the device ends; exit code 0 then.\n"
		     "HYV_TEST_DEVICE names the device.");
		return argc > 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	rdma_open(&rig.r, device_option());
	rig.channel = ibv_create_comp_channel(rig.r.ctx);
	need(rig.channel, "create_comp_channel");
	rig.watched = ibv_create_cq(rig.r.ctx, 4, NULL, rig.channel, 0);
	need(rig.watched && !ibv_req_notify_cq(rig.watched, 0), "create_cq with a channel");
	rig.cq = make_cq(&rig.r, 16);
	rig.qp = make_qp(&rig.r, rig.cq, 4);
	rig.peer = make_qp(&rig.r, rig.cq, 4);
	rig.buf = calloc(2, SIZE);
	need(rig.buf, "calloc");
	rig.mr = make_mr(&rig.r, rig.buf, 2 * SIZE, ALL_ACCESS);
	if (argc == 2) {
		cm_self_connect(&rig.connection, argv[1], rig.qp, rig.peer);
	} else {
		qp_connect(&rig.r, rig.qp, rig.peer->qp_num);
		qp_connect(&rig.r, rig.peer, rig.qp->qp_num);
	}
	while (!fatal_event(&rig)) {
		fresh = seconds() >= next;
		if (fresh)
			fill(rig.buf, SIZE, writes);
		if (!write_once(&rig))
			break;
		writes++;
		if (!fresh)
			continue;
		if (!check(rig.buf + SIZE, SIZE, writes - 1))
			die("the write wrote wrong data");
		printf("running: %llu writes\n", writes);
		next = seconds() + 0.25;
	}
	/* the loop may have ended by a failed post or write: the event is to come */
	alarm(PATIENCE);
	while (!fatal_event(&rig))
		usleep(10000);
	expect_errors(&rig);
	destroy(&rig);
	return 0;
}
