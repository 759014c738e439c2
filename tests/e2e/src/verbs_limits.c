// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * verbs_limits KIND MOST [FAILURES]: makes objects of one kind until that has failed that often (once), or
 * MOST of them. Prints how many and with which error; or, for "rate", makes and destroys MOST PDs one
 * after the other.
 */
#include <errno.h>
#include <string.h>
#include "rdma.h"

#define MR_SIZE 65536

static struct rdma r;
static struct ibv_cq *cq;
static uint8_t *buf;

static void *more_contexts(void)
{
	return ibv_open_device(r.ctx->device);
}

static void *more_pds(void)
{
	return ibv_alloc_pd(r.ctx);
}

static void *more_cqs(void)
{
	return ibv_create_cq(r.ctx, 1, NULL, NULL, 0);
}

static void *more_qps(void)
{
	struct ibv_qp_init_attr attr = {
		.send_cq = cq,
		.recv_cq = cq,
		.cap = { .max_send_wr = 1, .max_recv_wr = 1, .max_send_sge = 1, .max_recv_sge = 1 },
		.qp_type = IBV_QPT_RC,
	};

	return ibv_create_qp(r.pd, &attr);
}

static void *more_srqs(void)
{
	struct ibv_srq_init_attr attr = { .attr = { .max_wr = 1, .max_sge = 1 } };

	return ibv_create_srq(r.pd, &attr);
}

static void *more_mrs(void)
{
	return ibv_reg_mr(r.pd, buf, MR_SIZE, IBV_ACCESS_LOCAL_WRITE);
}

static void *more_mws(void)
{
	return ibv_alloc_mw(r.pd, IBV_MW_TYPE_1);
}

static void *more_ahs(void)
{
	struct ibv_ah_attr attr = {
		.grh = { .dgid = r.gid, .sgid_index = r.gid_index, .hop_limit = 1 },
		.is_global = 1,
		.port_num = PORT,
	};

	return ibv_create_ah(r.pd, &attr);
}

static const struct {
	const char *name;
	void *(*more)(void);
} kinds[] = {
	{ "contexts", more_contexts }, { "pds", more_pds },   { "cqs", more_cqs },
	{ "qps", more_qps },	       { "srqs", more_srqs }, { "mrs", more_mrs },
	{ "mws", more_mws },	       { "ahs", more_ahs },
};

static void make_many(const char *kind, uint64_t most, uint64_t failures)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kind, kinds[i].name))
			continue;
		errno = 0;
		while (n < most && failures)
			if (kinds[i].more())
				n++;
			else
				failures--;
		printf("%s: %llu, then %s\n", kind, (unsigned long long)n,
		       n == most ? "enough" : strerrorname_np(errno));
		return;
	}
	die("no such kind: %s", kind);
}

static void make_fast(uint64_t n)
{
	double began = seconds();
	struct ibv_pd *pd;
	uint64_t i;

	for (i = 0; i < n; i++) {
		pd = ibv_alloc_pd(r.ctx);
		need(pd, "alloc_pd");
		need(!ibv_dealloc_pd(pd), "dealloc_pd");
	}
	printf("rate: %llu PDs in %.1f s\n", (unsigned long long)n, seconds() - began);
}

int main(int argc, char **argv)
{
	if (argc < 3 || argc > 4)
		die("usage: verbs_limits contexts|pds|cqs|qps|srqs|mrs|mws|ahs|rate MOST [FAILURES]");
	rdma_open(&r, device_option());
	cq = make_cq(&r, 1);
	buf = aligned_alloc(4096, MR_SIZE);
	need(buf, "aligned_alloc");
	if (!strcmp(argv[1], "rate"))
		make_fast(number(argv[2], 1000000));
	else
		make_many(argv[1], number(argv[2], 1000000),
			  argc > 3 ? number(argv[3], 1000000) : 1);
	return 0; /* the kernel tidies up, which is what many do */
}
