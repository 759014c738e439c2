// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Registers memory of all alignments, sizes and access rights, and proves each region right by RDMA
 * through it, at both its ends: as local source and target, and as remote source and target; where
 * a right is missing, that the access is refused.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "../../common/random.h"
#include "rdma.h"

#define SAMPLE 64u /* bytes at each end, or as many as there are */

/** struct rig - two QPs connected to each other, of which @qp asks, and a known good region */
struct rig {
	struct rdma r;
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	struct ibv_qp *peer;
	struct ibv_mr *mr;
	uint8_t *buf;
};

static uint8_t *memory; /* where regions under test lie */
static struct rnd rng;

static void connect(struct rig *rig)
{
	qp_connect(&rig->r, rig->qp, rig->peer->qp_num);
	qp_connect(&rig->r, rig->peer, rig->qp->qp_num);
}

static void refused(struct rig *rig, const char *what)
{
	enum ibv_wc_status status = wait_cqe(rig->cq);

	if (status != IBV_WC_REM_ACCESS_ERR)
		die("%s without the right to: %s", what, ibv_wc_status_str(status));
	qp_reset(rig->qp); /* the error has ended both */
	qp_reset(rig->peer);
	connect(rig);
}

/* moves @n bytes from @rig's buffer to @at in @mr by a remote write, or the other way by a read */
static void remote(struct rig *rig, enum ibv_wr_opcode opcode, struct ibv_mr *mr, uint8_t *at,
		   size_t n, bool allowed)
{
	const char *what = opcode == IBV_WR_RDMA_WRITE ? "remote write" : "remote read";

	post(rig->qp, opcode, rig->mr, rig->buf, n, (uintptr_t)at, mr->rkey);
	if (allowed)
		need_cqe(rig->cq, what);
	else
		refused(rig, what);
}

/* the same with @mr as the local side */
static void local(struct rig *rig, enum ibv_wr_opcode opcode, struct ibv_mr *mr, uint8_t *at,
		  size_t n)
{
	post(rig->qp, opcode, mr, at, n, (uintptr_t)rig->buf, rig->mr->rkey);
	need_cqe(rig->cq, opcode == IBV_WR_RDMA_WRITE ? "write" : "read");
}

static void need_same(const uint8_t *buf, size_t n, uint64_t seed, const char *what)
{
	if (!check(buf, n, seed))
		die("wrong data after %s", what);
}

/* all that @access allows, on the @n bytes at @at; @writable: the process itself may write there */
static void verify(struct rig *rig, struct ibv_mr *mr, uint8_t *at, size_t n, int access,
		   bool writable, bool refusals)
{
	uint64_t seed = rnd64(&rng);

	if (writable) {
		fill(at, n, seed);
		local(rig, IBV_WR_RDMA_WRITE, mr, at, n);
		need_same(rig->buf, n, seed, "a write from it");
	}
	if (access & IBV_ACCESS_LOCAL_WRITE) {
		fill(rig->buf, n, seed + 1);
		local(rig, IBV_WR_RDMA_READ, mr, at, n);
		need_same(at, n, seed + 1, "a read into it");
	}
	if (access & IBV_ACCESS_REMOTE_WRITE) {
		fill(rig->buf, n, seed + 2);
		remote(rig, IBV_WR_RDMA_WRITE, mr, at, n, true);
		need_same(at, n, seed + 2, "a remote write to it");
	} else if (refusals) {
		remote(rig, IBV_WR_RDMA_WRITE, mr, at, n, false);
	}
	if (access & IBV_ACCESS_REMOTE_READ) {
		if (writable)
			fill(at, n, seed + 3);
		remote(rig, IBV_WR_RDMA_READ, mr, at, n, true);
		if (memcmp(at, rig->buf, n))
			die("wrong data after a remote read of it");
	} else if (refusals) {
		remote(rig, IBV_WR_RDMA_READ, mr, at, n, false);
	}
}

/* adds 1 to the first aligned word by a remote atomic operation */
static void verify_atomic(struct rig *rig, struct ibv_mr *mr, uint8_t *at)
{
	uint64_t *word = (uint64_t *)(((uintptr_t)at + 7) & ~7ull), before;

	*word = before = rnd64(&rng);
	post(rig->qp, IBV_WR_ATOMIC_FETCH_AND_ADD, rig->mr, rig->buf, 8, (uintptr_t)word, mr->rkey);
	need_cqe(rig->cq, "remote atomic");
	if (*word != before + 1 || memcmp(rig->buf, &before, 8))
		die("wrong data after a remote atomic operation on it");
}

static void test(struct rig *rig, uint8_t *at, size_t size, int access, bool writable,
		 bool refusals)
{
	struct ibv_mr *mr = ibv_reg_mr(rig->r.pd, at, size, access);
	size_t n = size < SAMPLE ? size : SAMPLE;

	if (!mr)
		die("reg_mr of %zu bytes at %p, access %#x: %s", size, (void *)at, access,
		    strerrorname_np(errno));
	verify(rig, mr, at, n, access, writable, refusals);
	verify(rig, mr, at + size - n, n, access, writable, false);
	if (access & IBV_ACCESS_REMOTE_ATOMIC && writable && size >= 16)
		verify_atomic(rig, mr, at);
	need(!ibv_dereg_mr(mr), "dereg_mr");
}

static int random_access(void)
{
	int access = rnd(&rng, 16);

	if (access & (IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC))
		access |= IBV_ACCESS_LOCAL_WRITE;
	return access;
}

static unsigned int all_access_rights(struct rig *rig)
{
	unsigned int access, n = 0;

	for (access = 0; access < 16; access++) {
		if (access & (IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC) &&
		    !(access & IBV_ACCESS_LOCAL_WRITE))
			continue;
		test(rig, memory + 4096 * access + access, 5000, access, true, true);
		n++;
	}
	return n;
}

static unsigned int fixed_sizes(struct rig *rig, size_t max)
{
	static const size_t sizes[] = { 1,
					2,
					63,
					4095,
					4096,
					4097,
					65536,
					1 << 20,
					(2 << 20) + 1,
					64 << 20,
					(256 << 20) - 1,
					1 << 30 };
	static const size_t offsets[] = { 0, 1, 4095 };
	unsigned int i, k, n = 0;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && sizes[i] <= max; i++) {
		for (k = 0; k < 3 && (!k || sizes[i] <= 1 << 20); k++, n++)
			test(rig, memory + offsets[k], sizes[i], ALL_ACCESS, true, false);
	}
	return n;
}

static unsigned int random_sizes(struct rig *rig, unsigned int count, size_t max)
{
	unsigned int i;
	size_t size;

	for (i = 0; i < count; i++) {
		/* as many of each order of magnitude */
		size = 1 + rnd64(&rng) % (1ull << rnd(&rng, 23));
		if (size > max)
			size = max;
		test(rig, memory + rnd64(&rng) % (max - size + 1), size, random_access(), true,
		     false);
	}
	return count;
}

static void read_only(struct rig *rig)
{
	size_t size = 3 * 4096;
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct ibv_mr *mr;

	need(p != MAP_FAILED, "mmap");
	fill(p, size, 1);
	need(!mprotect(p, size, PROT_READ), "mprotect");
	mr = make_mr(&rig->r, p + 5, size - 5, IBV_ACCESS_REMOTE_READ);
	local(rig, IBV_WR_RDMA_WRITE, mr, p + 5, SAMPLE);
	need_same(rig->buf, SAMPLE, 1 + 5, "a write from read-only memory");
	remote(rig, IBV_WR_RDMA_READ, mr, p + size - SAMPLE, SAMPLE, true);
	need_same(rig->buf, SAMPLE, 1 + size - SAMPLE, "a remote read of read-only memory");
	need(!ibv_dereg_mr(mr) && !munmap(p, size), "releasing read-only memory");
}

static void usage(void)
{
	puts("usage: mr_sizes [-n COUNT] [-m MIB]\n"
	     "  -n COUNT  regions of random size, alignment and access (100)\n"
	     "  -m MIB    largest region (64)\n"
	     "HYV_TEST_DEVICE names the device, HYV_SEED repeats a run.");
}

int main(int argc, char **argv)
{
	unsigned int count = 100, done;
	size_t max = 64 << 20;
	struct rig rig;
	int c;

	if (argc > 1 && !strcmp(argv[1], "--help")) {
		usage();
		return 0;
	}
	while ((c = getopt(argc, argv, "n:m:")) != -1) {
		if (c == 'n') {
			count = number(optarg, 1000000);
		} else if (c == 'm') {
			max = number(optarg, 1024) << 20;
		} else {
			usage();
			return 1;
		}
	}
	if (!max)
		die("-m cannot be 0");
	rnd_init(&rng, "mr_sizes");
	memory = mmap(NULL, max + 65536 + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	need(memory != MAP_FAILED, "mmap");
	rdma_open(&rig.r, device_option());
	rig.cq = make_cq(&rig.r, 16);
	rig.qp = make_qp(&rig.r, rig.cq, 4);
	rig.peer = make_qp(&rig.r, rig.cq, 4);
	rig.buf = calloc(1, SAMPLE);
	need(rig.buf, "calloc");
	rig.mr = make_mr(&rig.r, rig.buf, SAMPLE, ALL_ACCESS);
	connect(&rig);

	done = all_access_rights(&rig) + fixed_sizes(&rig, max) + random_sizes(&rig, count, max);
	read_only(&rig);

	need(!ibv_destroy_qp(rig.qp) && !ibv_destroy_qp(rig.peer) && !ibv_dereg_mr(rig.mr) &&
		     !ibv_destroy_cq(rig.cq),
	     "destroying");
	rdma_close(&rig.r);
	printf("%u regions verified\n", done + 1);
	return 0;
}
