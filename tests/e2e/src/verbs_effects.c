// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What verbs bring about, beyond what they return, a line each: rights that a registration is given
 * and loses, a completion queue that is resized while it is full, an event of the last completion
 * vector, datagrams to a group before and after its member leaves; and what queries answer. A guest
 * must print what the host prints. Data, and numbers that differ, are verified here.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include "rdma.h"

#define SIZE	  256u
#define GRH	  40u /* bytes before the data of a datagram */
#define QKEY	  0x1234u
#define PENDING	  6
#define NOTHING_S 1.0 /* what has not come by then does not */

static struct rdma r;
static uint8_t buf[2 * SIZE] __attribute__((aligned(4096)));
static struct ibv_mr *mr; /* all of it, with all rights */

static const char *name_of(int error)
{
	return error ? strerrorname_np(error) : "success";
}

/* Return: a QP connected to itself, whose completions go to @cq */
static struct ibv_qp *loop_qp(struct ibv_cq *cq)
{
	struct ibv_qp *qp = make_qp(&r, cq, 2 * PENDING);

	qp_connect(&r, qp, qp->qp_num);
	return qp;
}

/*
 * What becomes of a remote write to @target, which must do all or nothing. From one QP to another: one
 * connected to itself could be in ERR, since it refused the write, before it hears of the refusal.
 */
static void try_write(const char *when, const struct ibv_mr *target)
{
	struct ibv_cq *cq = make_cq(&r, 4), *target_cq = make_cq(&r, 4);
	struct ibv_qp *qp = make_qp(&r, cq, PENDING), *target_qp = make_qp(&r, target_cq, PENDING);
	enum ibv_wc_status status;

	qp_connect(&r, qp, target_qp->qp_num);
	qp_connect(&r, target_qp, qp->qp_num);
	fill(buf, SIZE, 1);
	fill(buf + SIZE, SIZE, 2);
	post(qp, IBV_WR_RDMA_WRITE, mr, buf, SIZE, (uintptr_t)buf + SIZE, target->rkey);
	status = wait_cqe(cq);
	if (!check(buf + SIZE, SIZE, status == IBV_WC_SUCCESS ? 1 : 2))
		die("rights %s: wrong data", when);
	printf("rights %s: remote write: %s\n", when, ibv_wc_status_str(status));
	need(!ibv_destroy_qp(qp) && !ibv_destroy_qp(target_qp) && !ibv_destroy_cq(cq) &&
		     !ibv_destroy_cq(target_cq),
	     "destroying QPs and CQs");
}

static void rereg(struct ibv_mr *target, int access)
{
	int ret = rereg_in_kernel(target, IBV_REREG_MR_CHANGE_ACCESS, NULL, NULL, 0, access);

	printf("rereg_mr: %s\n", name_of(ret));
}

static void rights(void)
{
	struct ibv_mr *target = make_mr(&r, buf, sizeof(buf), ALL_ACCESS);

	try_write("given", target);
	rereg(target, IBV_ACCESS_LOCAL_WRITE);
	try_write("taken", target);
	rereg(target, ALL_ACCESS);
	try_write("given again", target);
	need(!ibv_dereg_mr(target), "dereg_mr");
}

static void resize(struct ibv_cq *cq, int cqe, const char *to)
{
	int ret = ibv_resize_cq(cq, cqe);

	printf("resize_cq with completions pending, to %s: %s\n", to, name_of(ret));
}

/* PENDING completions of writes and as many of what is posted later, in their order */
static void resize_pending(void)
{
	struct ibv_cq *cq = make_cq(&r, PENDING + 1);
	struct ibv_qp *qp = loop_qp(cq);
	struct ibv_sge sge = { (uintptr_t)buf, 8, mr->lkey };
	struct ibv_send_wr *bad, wr = {
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = IBV_WR_RDMA_WRITE,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = { (uintptr_t)buf + SIZE, mr->rkey },
	};
	struct ibv_wc wc;
	double end;
	uint64_t i;

	fill(buf, SIZE, 3);
	for (i = 0; i < 2 * PENDING; i++) {
		if (i == PENDING) {
			/* the last of them has written, so its completion is there, or about to be */
			end = seconds() + WAIT_SECONDS;
			while (memcmp(buf + SIZE + 8 * (PENDING - 1ul), buf + 8 * (PENDING - 1ul),
				      8))
				if (seconds() > end)
					die("the last write has not come");
			end = seconds() + NOTHING_S;
			while (seconds() < end)
				;
			resize(cq, PENDING / 2, "fewer");
			resize(cq, 10 * PENDING, "more");
		}
		wr.wr_id = i;
		sge.addr = (uintptr_t)buf + 8 * i;
		wr.wr.rdma.remote_addr = (uintptr_t)buf + SIZE + 8 * i;
		errno = ibv_post_send(qp, &wr, &bad);
		need(!errno, "post_send");
	}
	for (i = 0; i < 2 * PENDING; i++) {
		end = seconds() + WAIT_SECONDS;
		while (!ibv_poll_cq(cq, 1, &wc))
			if (seconds() > end)
				die("completion %u of %u has not come", (unsigned int)i,
				    2 * PENDING);
		if (wc.status != IBV_WC_SUCCESS || wc.wr_id != i)
			die("completion %u: %s, of request %u", (unsigned int)i,
			    ibv_wc_status_str(wc.status), (unsigned int)wc.wr_id);
	}
	printf("completions from before and after: %s\n",
	       ibv_poll_cq(cq, 1, &wc) ? "too many" : "all");
	need(!ibv_destroy_qp(qp) && !ibv_destroy_cq(cq), "destroying QP and CQ");
}

static void last_vector(void)
{
	struct ibv_comp_channel *channel = ibv_create_comp_channel(r.ctx);
	struct pollfd fd = { .events = POLLIN };
	struct ibv_cq *cq, *told;
	struct ibv_qp *qp;
	void *context;
	int n;

	need(channel, "create_comp_channel");
	cq = ibv_create_cq(r.ctx, 4, &buf, channel, r.ctx->num_comp_vectors - 1);
	need(cq && !ibv_req_notify_cq(cq, 0), "create_cq and req_notify_cq");
	qp = loop_qp(cq);
	post(qp, IBV_WR_RDMA_WRITE, mr, buf, 8, (uintptr_t)buf + SIZE, mr->rkey);
	fd.fd = channel->fd;
	n = poll(&fd, 1, WAIT_SECONDS * 1000);
	printf("last of %d completion vectors: ", r.ctx->num_comp_vectors);
	if (n == 1) {
		need(!ibv_get_cq_event(channel, &told, &context), "get_cq_event");
		puts(told == cq && context == &buf ? "an event" : "a wrong event");
		ibv_ack_cq_events(told, 1);
		need_cqe(cq, "write");
	} else {
		puts("nothing");
	}
	need(!ibv_destroy_qp(qp) && !ibv_destroy_cq(cq) && !ibv_destroy_comp_channel(channel),
	     "destroying QP, CQ and channel");
}

/* Return: a QP for datagrams that may receive one at @at */
static struct ibv_qp *datagram_qp(struct ibv_cq *cq, uint8_t *at)
{
	struct ibv_qp_init_attr init = {
		.send_cq = cq,
		.recv_cq = cq,
		.cap = { .max_send_wr = 2, .max_recv_wr = 2, .max_send_sge = 1, .max_recv_sge = 1 },
		.qp_type = IBV_QPT_UD,
	};
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_INIT, .port_num = PORT, .qkey = QKEY };
	struct ibv_qp *qp = ibv_create_qp(r.pd, &init);

	need(qp, "create_qp for datagrams");
	errno = ibv_modify_qp(qp, &attr,
			      IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_QKEY);
	need(!errno, "modify_qp to INIT");
	attr.qp_state = IBV_QPS_RTR;
	errno = ibv_modify_qp(qp, &attr, IBV_QP_STATE);
	need(!errno, "modify_qp to RTR");
	attr.qp_state = IBV_QPS_RTS;
	errno = ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_SQ_PSN);
	need(!errno, "modify_qp to RTS");
	post_receive(qp, mr, at, SIZE);
	return qp;
}

/* one datagram to the group, by @from; says whether it arrives at @to, whose buffer is at @at */
static void send_to_group(const char *when, struct ibv_qp *from, struct ibv_ah *ah,
			  struct ibv_cq *to, const uint8_t *at)
{
	struct ibv_sge sge = { (uintptr_t)buf, 64, mr->lkey };
	struct ibv_send_wr *bad, wr = {
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.ud = { ah, 0xffffff, QKEY },
	};
	double end;
	struct ibv_wc wc;
	int n;

	fill(buf, 64, 4);
	errno = ibv_post_send(from, &wr, &bad);
	need(!errno, "post_send");
	need_cqe(from->send_cq, "send to the group");
	end = seconds() + NOTHING_S;
	while (!(n = ibv_poll_cq(to, 1, &wc)) && seconds() < end)
		;
	if (n &&
	    (wc.status != IBV_WC_SUCCESS || wc.byte_len != GRH + 64 || !check(at + GRH, 64, 4)))
		die("multicast %s: %s, %u bytes", when, ibv_wc_status_str(wc.status), wc.byte_len);
	printf("multicast %s: %s\n", when, n ? "received" : "nothing");
}

/* the group's GID stands for the IPv4 address @text, as for RoCE v2 */
static void multicast(const char *text)
{
	union ibv_gid group = { .raw = { [10] = 0xff, 0xff } };
	struct ibv_ah_attr attr = {
		.grh = { .sgid_index = r.gid_index, .hop_limit = 1 },
		.is_global = 1,
		.port_num = PORT,
	};
	struct ibv_cq *from_cq = make_cq(&r, 4), *to_cq = make_cq(&r, 4);
	uint8_t *at = buf + SIZE;
	struct ibv_qp *from, *to;
	unsigned int a, b, c, d;
	struct ibv_ah *ah;

	if (sscanf(text, "%u.%u.%u.%u", &a, &b, &c, &d) != 4)
		die("'%s' is no address", text);
	memcpy(group.raw + 12, (uint8_t[]){ a, b, c, d }, 4);
	attr.grh.dgid = group;
	from = datagram_qp(from_cq, at);
	to = datagram_qp(to_cq, at);
	ah = ibv_create_ah(r.pd, &attr);
	need(ah, "create_ah of the group");
	send_to_group("without a member", from, ah, to_cq, at);
	errno = ibv_attach_mcast(to, &group, 0);
	need(!errno, "attach_mcast");
	send_to_group("to a member", from, ah, to_cq, at);
	post_receive(to, mr, at, SIZE);
	errno = ibv_detach_mcast(to, &group, 0);
	need(!errno, "detach_mcast");
	send_to_group("after it has left", from, ah, to_cq, at);
	need(!ibv_destroy_ah(ah) && !ibv_destroy_qp(from) && !ibv_destroy_qp(to) &&
		     !ibv_destroy_cq(from_cq) && !ibv_destroy_cq(to_cq),
	     "destroying");
}

/* what query_qp answers, but for the numbers; an address only from RTR on: there is none before */
static void tell_qp(const char *what, struct ibv_qp *qp)
{
	const struct ibv_ah_attr *ah;
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;

	errno = ibv_query_qp(qp, &attr, 2 * IBV_QP_DEST_QPN - 1, &init); /* all there are */
	need(!errno, "query_qp");
	printf("%s: state %d, current %d, MTU %d, migration %d, qkey %#x, PSNs %u %u, access %#x, "
	       "pkey %u %u, port %u %u, draining %u, atomics %u %u, RNR timer %u, timeout %u %u, "
	       "retries %u %u\n",
	       what, attr.qp_state, attr.cur_qp_state, attr.path_mtu, attr.path_mig_state,
	       attr.qkey, attr.rq_psn, attr.sq_psn, attr.qp_access_flags, attr.pkey_index,
	       attr.alt_pkey_index, attr.port_num, attr.alt_port_num, attr.sq_draining,
	       attr.max_rd_atomic, attr.max_dest_rd_atomic, attr.min_rnr_timer, attr.timeout,
	       attr.alt_timeout, attr.retry_cnt, attr.rnr_retry);
	printf("%s: type %d, all signalled %d, work requests %u %u, SGEs %u %u, inline %u\n", what,
	       init.qp_type, init.sq_sig_all, init.cap.max_send_wr, init.cap.max_recv_wr,
	       init.cap.max_send_sge, init.cap.max_recv_sge, init.cap.max_inline_data);
	if (qp->qp_type == IBV_QPT_UD || attr.qp_state < IBV_QPS_RTR)
		return;
	ah = &attr.ah_attr;
	if (attr.dest_qp_num != qp->qp_num || ah->grh.sgid_index != r.gid_index ||
	    memcmp(&ah->grh.dgid, &r.gid, sizeof(r.gid)))
		die("%s: query_qp answers QP %u and GID index %u, not %u and %u, or another GID",
		    what, attr.dest_qp_num, ah->grh.sgid_index, qp->qp_num, r.gid_index);
	printf("%s: global %u, hop limit %u, class %u, flow %u, port %u, LID %u, level %u, path %u, "
	       "rate %u\n",
	       what, ah->is_global, ah->grh.hop_limit, ah->grh.traffic_class, ah->grh.flow_label,
	       ah->port_num, ah->dlid, ah->sl, ah->src_path_bits, ah->static_rate);
}

static void modify(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask, const char *what)
{
	errno = ibv_modify_qp(qp, attr, mask);
	need(!errno, "modify_qp");
	tell_qp(what, qp);
}

/* a QP to itself, in each state; @left_out: of the masks, what its type does not have */
static void query_connected(enum ibv_qp_type type, int left_out, const char *const what[4])
{
	struct ibv_cq *cq = make_cq(&r, 16);
	struct ibv_qp_init_attr init = {
		.send_cq = cq,
		.recv_cq = cq,
		.cap = { .max_send_wr = 5, .max_recv_wr = 7, .max_send_sge = 3, .max_recv_sge = 2 },
		.qp_type = type,
		.sq_sig_all = type == IBV_QPT_UC,
	};
	struct ibv_qp *qp = ibv_create_qp(r.pd, &init);
	struct ibv_qp_attr attr;
	int mask;

	need(qp, "create_qp");
	tell_qp(what[0], qp);
	mask = qp_init_attr(&attr);
	attr.qp_access_flags = IBV_ACCESS_REMOTE_READ;
	modify(qp, &attr, mask, what[1]);
	mask = qp_rtr_attr(&attr, &r, qp->qp_num);
	attr.rq_psn = 0x123456;
	attr.ah_attr.grh.traffic_class = 4;
	modify(qp, &attr, mask & ~left_out, what[2]);
	mask = qp_rts_attr(&attr);
	attr.sq_psn = 0x654321;
	attr.max_rd_atomic = 3;
	attr.retry_cnt = 5;
	modify(qp, &attr, mask & ~left_out, what[3]);
	need(!ibv_destroy_qp(qp) && !ibv_destroy_cq(cq), "destroying QP and CQ");
}

static void tell_srq(const char *what, struct ibv_srq *srq)
{
	struct ibv_srq_attr attr;

	errno = ibv_query_srq(srq, &attr);
	need(!errno, "query_srq");
	printf("SRQ %s: work requests %u, SGEs %u, limit %u\n", what, attr.max_wr, attr.max_sge,
	       attr.srq_limit);
}

static void query_srq(void)
{
	struct ibv_srq_init_attr init = { .attr = { .max_wr = 20, .max_sge = 2 } };
	struct ibv_srq_attr limit = { .srq_limit = 4 }, larger = { .max_wr = 100 };
	struct ibv_srq *srq = ibv_create_srq(r.pd, &init);

	need(srq, "create_srq");
	tell_srq("made", srq);
	printf("modify_srq, a limit: %s\n", name_of(ibv_modify_srq(srq, &limit, IBV_SRQ_LIMIT)));
	tell_srq("with a limit", srq);
	printf("modify_srq, larger: %s\n", name_of(ibv_modify_srq(srq, &larger, IBV_SRQ_MAX_WR)));
	tell_srq("made larger", srq);
	need(!ibv_destroy_srq(srq), "destroy_srq");
}

static void queries(void)
{
	static const char *const rc[] = { "RC made", "RC in INIT", "RC in RTR", "RC in RTS" };
	static const char *const uc[] = { "UC made", "UC in INIT", "UC in RTR", "UC in RTS" };
	struct ibv_cq *cq = make_cq(&r, 4);
	struct ibv_qp *ud = datagram_qp(cq, buf);

	query_connected(IBV_QPT_RC, 0, rc);
	query_connected(IBV_QPT_UC,
			IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER | IBV_QP_TIMEOUT |
				IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC,
			uc);
	tell_qp("UD in RTS", ud);
	need(!ibv_destroy_qp(ud) && !ibv_destroy_cq(cq), "destroying QP and CQ");
	query_srq();
}

int main(int argc, char **argv)
{
	if (argc != 2 || !strcmp(argv[1], "--help")) {
		puts("usage: verbs_effects GROUP    an IPv4 address of a group, which the netdev of the\n"
		     "                              device is in\n"
		     "HYV_TEST_DEVICE names the device.");
		return argc != 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	rdma_open(&r, device_option());
	mr = make_mr(&r, buf, sizeof(buf), ALL_ACCESS);
	rights();
	resize_pending();
	last_vector();
	multicast(argv[1]);
	queries();
	need(!ibv_dereg_mr(mr), "dereg_mr");
	rdma_close(&r);
	return 0;
}
