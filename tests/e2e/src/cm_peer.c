// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Connections of queue pairs that ibv_create_qp() makes, and that rdma_cm knows by their numbers:
 *
 *   cm_peer serve ADDRESS [BACKLOG]  answers requests as they ask, until it has accepted one
 *   cm_peer connect ADDRESS REQUEST,ANSWER,BYTES...
 *                                    one after the other: a request with REQUEST bytes of private
 *                                    data, which is to be accepted (ANSWER: a) or rejected (r) with
 *                                    BYTES; a connection carries a message each way, and ends
 *   cm_peer stay ADDRESS             is accepted, and waits until the other side ends it
 *   cm_peer mute ADDRESS NUMBER      connects queue pair NUMBER, whosever it is; when the other
 *                                    side accepts, stays without ever answering
 *   cm_peer number                   makes a queue pair, and stays
 *
 * All say what happens; private data and messages are compared with what was sent.
 */
#include <errno.h>
#include <rdma/rdma_cma.h>
#include <string.h>
#include <unistd.h>
#include "rdma.h"

#define SERVICE	     "7174"
#define RESOLVE_MS   2000
#define MESSAGE_SIZE 1000
#define MESSAGE_SEED 1

/** struct request - what a request's private data begins with; a pattern follows */
struct request {
	uint8_t size; /* of all of it, bytes */
	uint8_t answer; /* 'a' or 'r' */
	uint8_t answer_size; /* bytes of private data, a pattern, in the answer */
};

/** struct peer - one side of a connection */
struct peer {
	struct rdma_event_channel *channel;
	struct rdma_cm_id *id;
	struct rdma r; /* rdma_cm has opened the device */
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	struct ibv_mr *mr;
	uint8_t sent[MESSAGE_SIZE], received[MESSAGE_SIZE];
};

static void stay(void)
{
	for (;;)
		pause();
}

static bool is_zero(const uint8_t *data, size_t size)
{
	while (size && !*data) {
		data++;
		size--;
	}
	return !size;
}

/* say that @what has come, with the @size bytes of @data or with none; on RoCE zeroes follow */
static void say(const char *what, const struct rdma_conn_param *param, const void *data,
		size_t size)
{
	const uint8_t *got = param->private_data;
	size_t len = param->private_data_len;

	if (is_zero(got, len))
		printf("%s, without data\n", what);
	else if (len >= size && !memcmp(got, data, size) && is_zero(got + size, len - size))
		printf("%s, %zu bytes of data in %zu\n", what, size, len);
	else
		die("%s, %zu bytes of wrong data", what, len);
}

/* Return: whether @ret, of rdma_cm's, is 0; if not, says why */
static bool is_done(int ret, const char *what)
{
	if (ret)
		printf("%s: %s\n", what, strerrorname_np(errno));
	return !ret;
}

static struct rdma_event_channel *make_channel(void)
{
	struct rdma_event_channel *channel = rdma_create_event_channel();

	need(channel, "rdma_create_event_channel");
	return channel;
}

static struct rdma_addrinfo *address_of(const char *name, int flags)
{
	struct rdma_addrinfo hints = { .ai_flags = flags, .ai_port_space = RDMA_PS_TCP }, *info;

	need(!rdma_getaddrinfo(name, SERVICE, &hints, &info), "rdma_getaddrinfo");
	return info;
}

static struct rdma_cm_event *next_event(struct rdma_event_channel *channel)
{
	struct rdma_cm_event *event;

	need(!rdma_get_cm_event(channel, &event), "rdma_get_cm_event");
	return event;
}

/* an event of another type than @type ends the program */
static void need_type(const struct rdma_cm_event *event, enum rdma_cm_event_type type)
{
	if (event->event != type)
		die("%s: %d", rdma_event_str(event->event), event->status);
}

static void expect(struct rdma_event_channel *channel, enum rdma_cm_event_type type)
{
	struct rdma_cm_event *event = next_event(channel);

	need_type(event, type);
	rdma_ack_cm_event(event);
}

/* make an id that can connect to @address */
static void resolve(struct peer *p, const char *address)
{
	struct rdma_addrinfo *info = address_of(address, 0);

	p->channel = make_channel();
	need(!rdma_create_id(p->channel, &p->id, NULL, RDMA_PS_TCP), "rdma_create_id");
	need(!rdma_resolve_addr(p->id, NULL, info->ai_dst_addr, RESOLVE_MS), "rdma_resolve_addr");
	expect(p->channel, RDMA_CM_EVENT_ADDR_RESOLVED);
	need(!rdma_resolve_route(p->id, RESOLVE_MS), "rdma_resolve_route");
	expect(p->channel, RDMA_CM_EVENT_ROUTE_RESOLVED);
	rdma_freeaddrinfo(info);
}

static void modify(struct peer *p, enum ibv_qp_state state)
{
	struct ibv_qp_attr attr = { .qp_state = state };
	int mask;

	need(!rdma_init_qp_attr(p->id, &attr, &mask), "rdma_init_qp_attr");
	errno = ibv_modify_qp(p->qp, &attr, mask);
	need(!errno, "modify_qp");
}

/* make a queue pair that can receive the message */
static void make_queue_pair(struct peer *p)
{
	p->r.ctx = p->id->verbs;
	p->r.pd = ibv_alloc_pd(p->r.ctx);
	need(p->r.pd, "alloc_pd");
	p->cq = make_cq(&p->r, 2);
	p->qp = make_qp(&p->r, p->cq, 1);
	p->mr = make_mr(&p->r, p, sizeof(*p), IBV_ACCESS_LOCAL_WRITE);
	modify(p, IBV_QPS_INIT);
	post_receive(p->qp, p->mr, p->received, MESSAGE_SIZE);
}

static void close_peer(struct peer *p)
{
	need(!p->qp || (!ibv_destroy_qp(p->qp) && !ibv_dereg_mr(p->mr) && !ibv_destroy_cq(p->cq) &&
			!ibv_dealloc_pd(p->r.pd)),
	     "destroying");
	need(!rdma_destroy_id(p->id), "rdma_destroy_id");
	rdma_destroy_event_channel(p->channel);
}

static void send_message(struct peer *p)
{
	fill(p->sent, MESSAGE_SIZE, MESSAGE_SEED);
	post(p->qp, IBV_WR_SEND, p->mr, p->sent, MESSAGE_SIZE, 0, 0);
	need_cqe(p->cq, "one of two completions");
}

static void receive_message(struct peer *p)
{
	need_cqe(p->cq, "one of two completions");
	if (!check(p->received, MESSAGE_SIZE, MESSAGE_SEED))
		die("wrong message");
}

static void fill_request(uint8_t data[UINT8_MAX], const struct request *request)
{
	fill(data, request->size, request->size);
	memcpy(data, request, sizeof(*request));
}

/* Return: whether there is a connection */
static bool is_accepted(struct peer *p, const struct request *request)
{
	uint8_t data[UINT8_MAX], answer[UINT8_MAX];
	struct rdma_conn_param param = {
		.private_data = data,
		.private_data_len = request->size,
		.responder_resources = 1,
		.initiator_depth = 1,
		.retry_count = 7,
		.rnr_retry_count = 7,
		.qp_num = p->qp->qp_num,
	};
	struct rdma_cm_event *event;
	enum rdma_cm_event_type type;

	fill_request(data, request);
	if (!is_done(rdma_connect(p->id, &param), "rdma_connect"))
		return false;
	event = next_event(p->channel);
	type = event->event;
	if (type != RDMA_CM_EVENT_REJECTED && type != RDMA_CM_EVENT_CONNECT_RESPONSE)
		need_type(event, RDMA_CM_EVENT_ESTABLISHED);
	fill(answer, request->answer_size, request->answer_size);
	say(type == RDMA_CM_EVENT_REJECTED ? "rejected" : "accepted", &event->param.conn, answer,
	    request->answer_size);
	rdma_ack_cm_event(event);
	if (type == RDMA_CM_EVENT_CONNECT_RESPONSE) { /* an iWARP device has done this by itself */
		modify(p, IBV_QPS_RTR);
		modify(p, IBV_QPS_RTS);
		need(!rdma_establish(p->id), "rdma_establish");
	}
	return type != RDMA_CM_EVENT_REJECTED;
}

static void connect_to(const char *address, const struct request *request, bool ends_it)
{
	struct peer p = { 0 };

	resolve(&p, address);
	make_queue_pair(&p);
	if (is_accepted(&p, request)) {
		send_message(&p);
		receive_message(&p);
		printf("connected\n");
		need(!ends_it || !rdma_disconnect(p.id), "rdma_disconnect");
		expect(p.channel, RDMA_CM_EVENT_DISCONNECTED);
		printf("disconnected\n");
	}
	close_peer(&p);
}

static void connect_all(const char *address, char **steps)
{
	unsigned int size, answer_size;
	char answer;

	for (; *steps; steps++) {
		if (sscanf(*steps, "%u,%c,%u", &size, &answer, &answer_size) != 3 ||
		    size < sizeof(struct request) || size > UINT8_MAX || answer_size > UINT8_MAX)
			die("no step: %s", *steps);
		connect_to(address,
			   &(struct request){ (uint8_t)size, answer, (uint8_t)answer_size }, true);
	}
}

/* Return: whether it was accepted, and is over */
static bool answer_with(struct peer *p, const struct request *request)
{
	uint8_t data[UINT8_MAX];
	struct rdma_conn_param param = {
		.private_data = data,
		.private_data_len = request->answer_size,
		.responder_resources = 1,
		.initiator_depth = 1,
		.rnr_retry_count = 7,
	};

	fill(data, request->answer_size, request->answer_size);
	if (request->answer != 'a') {
		is_done(rdma_reject(p->id, data, request->answer_size), "rdma_reject");
		return false;
	}
	make_queue_pair(p);
	modify(p, IBV_QPS_RTR);
	modify(p, IBV_QPS_RTS);
	param.qp_num = p->qp->qp_num;
	if (!is_done(rdma_accept(p->id, &param), "rdma_accept"))
		return false;
	expect(p->channel, RDMA_CM_EVENT_ESTABLISHED);
	receive_message(p);
	send_message(p);
	expect(p->channel, RDMA_CM_EVENT_DISCONNECTED);
	printf("disconnected\n");
	return true;
}

/* Return: as answer_with(), of the next request to @channel */
static bool serve_one(struct rdma_event_channel *channel)
{
	struct rdma_cm_event *event = next_event(channel);
	struct peer p = { .id = event->id };
	uint8_t data[UINT8_MAX];
	struct request request;
	bool is_over;

	need_type(event, RDMA_CM_EVENT_CONNECT_REQUEST);
	if (event->param.conn.private_data_len < sizeof(request))
		die("a request with %u bytes of data", event->param.conn.private_data_len);
	memcpy(&request, event->param.conn.private_data, sizeof(request));
	fill_request(data, &request);
	say("request", &event->param.conn, data, request.size);
	rdma_ack_cm_event(event);
	p.channel = make_channel(); /* others may wait in the listener's */
	need(!rdma_migrate_id(p.id, p.channel), "rdma_migrate_id");
	is_over = answer_with(&p, &request);
	close_peer(&p);
	return is_over;
}

static void serve(const char *address, int backlog)
{
	struct rdma_addrinfo *info = address_of(address, RAI_PASSIVE);
	struct rdma_event_channel *channel = make_channel();
	struct rdma_cm_id *id;

	need(!rdma_create_id(channel, &id, NULL, RDMA_PS_TCP), "rdma_create_id");
	need(!rdma_bind_addr(id, info->ai_src_addr), "rdma_bind_addr");
	need(!rdma_listen(id, backlog), "rdma_listen");
	while (!serve_one(channel))
		;
	need(!rdma_destroy_id(id), "rdma_destroy_id");
	rdma_destroy_event_channel(channel);
	rdma_freeaddrinfo(info);
}

static void mute(const char *address, const char *number_of_qp)
{
	struct rdma_conn_param param = {
		.retry_count = 7,
		.rnr_retry_count = 7,
		.qp_num = (uint32_t)number(number_of_qp, UINT32_MAX),
	};
	struct peer p = { 0 };

	resolve(&p, address);
	need(!rdma_connect(p.id, &param), "rdma_connect");
	expect(p.channel, RDMA_CM_EVENT_CONNECT_RESPONSE);
	printf("accepted\n");
	stay();
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	struct rdma r;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(what, "serve") && (argc == 3 || argc == 4)) {
		serve(argv[2], argc == 4 ? (int)number(argv[3], INT16_MAX) : 0);
	} else if (!strcmp(what, "connect") && argc > 3) {
		connect_all(argv[2], argv + 3);
	} else if (!strcmp(what, "stay") && argc == 3) {
		connect_to(argv[2], &(struct request){ sizeof(struct request), 'a', 0 }, false);
	} else if (!strcmp(what, "mute") && argc == 4) {
		mute(argv[2], argv[3]);
	} else if (!strcmp(what, "number") && argc == 2) {
		rdma_open(&r, device_option());
		printf("%u\n", make_qp(&r, make_cq(&r, 1), 1)->qp_num);
		stay();
	} else {
		die("usage: see the head of cm_peer.c");
	}
	return 0;
}
