// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Posts and polls exact numbers of times, in phases, so that VM exits and the daemon's system calls
 * can be counted around each. Before a phase it prints "ready PHASE" and waits for a line; after it
 * "done PHASE OPERATIONS SECONDS". Everything that could disturb a phase is done before.
 *
 *   idle   sleeps N ms
 *   spin   computes for N ms: what a busy CPU costs without any RDMA
 *   poll   polls an empty CQ N times
 *   post   N times: posts one 64-byte write and polls until it has completed
 *   batch  posts N writes as fast as the queue takes them
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "rdma.h"

#define SIZE  64u
#define DEPTH 64

/** struct rig - a QP connected to itself; @buf is written from its first to its second half */
struct rig {
	struct rdma r;
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	struct ibv_mr *mr;
	uint8_t buf[2 * SIZE];
};

static void idle(struct rig *rig, unsigned long n)
{
	(void)rig;
	usleep(n * 1000);
}

static void spin(struct rig *rig, unsigned long n)
{
	double end = seconds() + (double)n / 1e3;

	(void)rig;
	while (seconds() < end)
		;
}

static void poll_empty(struct rig *rig, unsigned long n)
{
	struct ibv_wc wc;

	while (n--)
		if (ibv_poll_cq(rig->cq, 1, &wc))
			die("a completion of nothing");
}

static void write_one(struct rig *rig)
{
	post(rig->qp, IBV_WR_RDMA_WRITE, rig->mr, rig->buf, SIZE, (uintptr_t)rig->buf + SIZE,
	     rig->mr->rkey);
}

static void post_one_by_one(struct rig *rig, unsigned long n)
{
	struct ibv_wc wc;
	int got;

	while (n--) {
		write_one(rig);
		while (!(got = ibv_poll_cq(rig->cq, 1, &wc)))
			;
		if (got < 0 || wc.status != IBV_WC_SUCCESS)
			die("write failed");
	}
}

static void post_batch(struct rig *rig, unsigned long n)
{
	unsigned long posted = 0, completed = 0;
	struct ibv_wc wc[16];
	int got, i;

	while (completed < n) {
		while (posted < n && posted - completed < DEPTH) {
			write_one(rig);
			posted++;
		}
		got = ibv_poll_cq(rig->cq, 16, wc);
		for (i = 0; i < got; i++)
			if (wc[i].status != IBV_WC_SUCCESS)
				die("write failed");
		if (got < 0)
			die("poll_cq: %d", got);
		completed += got;
	}
}

static const struct {
	const char *name;
	void (*run)(struct rig *rig, unsigned long n);
} phases[] = {
	{ "idle", idle },	 { "spin", spin },
	{ "poll", poll_empty },	 { "post", post_one_by_one },
	{ "batch", post_batch },
};

static void run_phase(struct rig *rig, const char *name, unsigned long n)
{
	char line[16];
	double start;
	size_t i;

	for (i = 0; i < sizeof(phases) / sizeof(phases[0]); i++)
		if (!strcmp(phases[i].name, name))
			break;
	if (i == sizeof(phases) / sizeof(phases[0]))
		die("no phase %s; see --help", name);
	printf("ready %s\n", name);
	if (!fgets(line, sizeof(line), stdin))
		die("standard input ended");
	start = seconds();
	phases[i].run(rig, n);
	printf("done %s %lu %.6f\n", name, n, seconds() - start);
}

int main(int argc, char **argv)
{
	static struct rig rig;
	int i;

	if (argc < 3 || argc % 2 != 1) {
		puts("usage: post_poll_count PHASE N [PHASE N...]\n"
		     "phases: poll, post, batch of N operations; idle, spin of N ms. Waits for a line before each.\n"
		     "HYV_TEST_DEVICE names the device.");
		return argc != 2 || strcmp(argv[1], "--help");
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	rdma_open(&rig.r, device_option());
	rig.cq = make_cq(&rig.r, 2 * DEPTH);
	rig.qp = make_qp(&rig.r, rig.cq, DEPTH);
	rig.mr = make_mr(&rig.r, rig.buf, sizeof(rig.buf), ALL_ACCESS);
	qp_connect(&rig.r, rig.qp, rig.qp->qp_num);
	fill(rig.buf, SIZE, 7);
	post_one_by_one(&rig, 1);
	if (!check(rig.buf + SIZE, SIZE, 7))
		die("the write wrote wrong data");

	for (i = 1; i < argc; i += 2)
		run_phase(&rig, argv[i], number(argv[i + 1], 1000000000));

	need(!ibv_destroy_qp(rig.qp) && !ibv_dereg_mr(rig.mr) && !ibv_destroy_cq(rig.cq),
	     "destroying");
	rdma_close(&rig.r);
	return 0;
}
