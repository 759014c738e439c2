// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Many objects at once: N QPs, each with a CQ of its own, connected in pairs, each passing verified
 * data to its peer. Or many contexts, one after the other.
 */
#include <errno.h>
#include <string.h>
#include "rdma.h"

#define SLOT 1024u

/** struct side - one QP with its CQ, and its piece of the buffer: what it sends, what it receives */
struct side {
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	uint8_t *out;
	uint8_t *in;
};

static void run_qps(unsigned int n, bool hold)
{
	uint8_t *buf = calloc(n, 2 * SLOT);
	struct side *side = calloc(n, sizeof(*side));
	struct ibv_mr *mr;
	struct rdma r;
	unsigned int i;

	need(buf && side, "calloc");
	rdma_open(&r, device_option());
	mr = make_mr(&r, buf, n * 2 * SLOT, ALL_ACCESS);
	for (i = 0; i < n; i++) {
		side[i].cq = make_cq(&r, 4);
		side[i].qp = make_qp(&r, side[i].cq, 2);
		side[i].out = buf + i * 2 * SLOT;
		side[i].in = side[i].out + SLOT;
	}
	for (i = 0; i < n; i++)
		qp_connect(&r, side[i].qp, side[i ^ 1].qp->qp_num);
	if (hold) {
		puts("made");
		getchar();
	}
	for (i = 0; i < n; i++) {
		fill(side[i].out, SLOT, i);
		post_receive(side[i].qp, mr, side[i].in, SLOT);
	}
	for (i = 0; i < n; i++)
		post(side[i].qp, IBV_WR_SEND, mr, side[i].out, SLOT, 0, 0);
	for (i = 0; i < n; i++) {
		need_cqe(side[i].cq, "send or receive");
		need_cqe(side[i].cq, "send or receive");
	}
	for (i = 0; i < n; i++)
		if (!check(side[i].in, SLOT, i ^ 1))
			die("QP %u of %u received wrong data", i, n);
	for (i = 0; i < n; i++)
		need(!ibv_destroy_qp(side[i].qp) && !ibv_destroy_cq(side[i].cq),
		     "destroying QP and CQ");
	need(!ibv_dereg_mr(mr), "dereg_mr");
	rdma_close(&r);
	printf("%u QPs with %u CQs at once, each passed %u verified bytes\n", n, n, SLOT);
}

static void run_contexts(unsigned int n)
{
	static uint8_t buf[4096];
	struct ibv_mr *mr;
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	struct rdma r;
	unsigned int i;

	for (i = 0; i < n; i++) {
		rdma_open(&r, device_option());
		cq = make_cq(&r, 4);
		qp = make_qp(&r, cq, 2);
		mr = make_mr(&r, buf, sizeof(buf), ALL_ACCESS);
		need(!ibv_dereg_mr(mr) && !ibv_destroy_qp(qp) && !ibv_destroy_cq(cq), "destroying");
		rdma_close(&r);
	}
	printf("%u contexts opened, used and closed\n", n);
}

int main(int argc, char **argv)
{
	bool hold = argc == 4 && !strcmp(argv[3], "--hold");

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 + hold && !strcmp(argv[1], "--qps") && number(argv[2], 65536) % 2 == 0)
		run_qps(number(argv[2], 65536), hold);
	else if (argc == 3 && !strcmp(argv[1], "--contexts"))
		run_contexts(number(argv[2], 1000000));
	else {
		puts("usage: verbs_scale --qps N [--hold]  N QPs and CQs at once (an even number);\n"
		     "                                     --hold: says 'made' when they are connected, and goes\n"
		     "                                     on when a byte or the end is read\n"
		     "       verbs_scale --contexts N      N contexts one after the other\n"
		     "HYV_TEST_DEVICE names the device.");
		return argc != 2 || strcmp(argv[1], "--help");
	}
	return 0;
}
