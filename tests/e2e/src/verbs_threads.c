// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Threads that share a context, each making, using and destroying objects of its own; meanwhile
 * children are forked, which write into their copy of registered memory, as ibv_fork_init() allows,
 * while the device goes on with the parent's.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "rdma.h"

#define THREADS 4
#define SIZE	8192u

/** struct worker - @seed: of its data; @rounds: that it has done */
struct worker {
	pthread_t thread;
	uint64_t seed;
	atomic_ulong rounds;
};

static struct rdma r; /* shared; its PD is the main thread's */
static unsigned long num_rounds;

static uint8_t *new_buffer(void)
{
	uint8_t *buf =
		mmap(NULL, 2 * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	need(buf != MAP_FAILED, "mmap");
	return buf;
}

/* the first half of @buf to the second, by the device */
static void pass(struct ibv_qp *qp, struct ibv_mr *mr, uint8_t *buf, uint64_t seed)
{
	fill(buf, SIZE, seed);
	post(qp, IBV_WR_RDMA_WRITE, mr, buf, SIZE, (uintptr_t)buf + SIZE, mr->rkey);
	need_cqe(qp->send_cq, "write");
	if (!check(buf + SIZE, SIZE, seed))
		die("wrong data");
}

static void *work(void *arg)
{
	struct worker *w = arg;
	uint8_t *buf = new_buffer();
	struct rdma own = r;
	struct ibv_mr *mr;
	struct ibv_cq *cq;
	struct ibv_qp *qp;

	for (; w->rounds < num_rounds; w->rounds++) {
		own.pd = ibv_alloc_pd(own.ctx);
		need(own.pd, "alloc_pd");
		mr = make_mr(&own, buf, 2 * SIZE, ALL_ACCESS);
		cq = make_cq(&own, 4);
		qp = make_qp(&own, cq, 2);
		qp_connect(&own, qp, qp->qp_num);
		pass(qp, mr, buf, w->seed + w->rounds);
		need(!ibv_destroy_qp(qp) && !ibv_destroy_cq(cq) && !ibv_dereg_mr(mr) &&
			     !ibv_dealloc_pd(own.pd),
		     "destroying");
	}
	need(!munmap(buf, 2 * SIZE), "munmap");
	return NULL;
}

/* a child has what is in @buf now, and keeps what it writes there, whatever the device does */
static pid_t fork_child(uint8_t *buf, uint64_t seed, int wait_fd)
{
	pid_t pid = fork();
	char byte;

	need(pid >= 0, "fork");
	if (pid)
		return pid;
	if (!check(buf, SIZE, seed) || !check(buf + SIZE, SIZE, seed))
		_exit(1);
	fill(buf, 2 * SIZE, 77);
	if (read(wait_fd, &byte, 1) != 1 || !check(buf, 2 * SIZE, 77))
		_exit(2);
	_exit(0);
}

/* Return: how many children there have been, at least one; each, while data passes */
static unsigned int fork_while(const struct worker *workers)
{
	uint8_t *buf = new_buffer();
	struct ibv_mr *mr = make_mr(&r, buf, 2 * SIZE, ALL_ACCESS);
	struct ibv_cq *cq = make_cq(&r, 4);
	struct ibv_qp *qp = make_qp(&r, cq, 2);
	unsigned int n = 0, i;
	int fds[2], status;
	pid_t pid;

	need(!pipe(fds), "pipe");
	qp_connect(&r, qp, qp->qp_num);
	for (i = 0; i < THREADS; i++)
		while (!workers[i].rounds)
			usleep(1000);
	do {
		pass(qp, mr, buf, n);
		pid = fork_child(buf, n, fds[0]);
		pass(qp, mr, buf, 1000 + n);
		need(write(fds[1], "", 1) == 1 && waitpid(pid, &status, 0) == pid, "waitpid");
		if (status)
			die("a child has not the memory it should have: %#x", status);
		pass(qp, mr, buf, 2000 + n++);
		for (i = 0; i < THREADS && workers[i].rounds == num_rounds; i++)
			;
	} while (i < THREADS);
	need(!ibv_destroy_qp(qp) && !ibv_destroy_cq(cq) && !ibv_dereg_mr(mr), "destroying");
	return n;
}

int main(int argc, char **argv)
{
	static struct worker workers[THREADS];
	unsigned int children, i;

	if (argc != 2 || !(num_rounds = number(argv[1], 1000000))) {
		puts("usage: verbs_threads ROUNDS    per thread, at least 1\n"
		     "HYV_TEST_DEVICE names the device.");
		return 1;
	}
	need(!ibv_fork_init(), "fork_init");
	rdma_open(&r, device_option());
	for (i = 0; i < THREADS; i++) {
		workers[i].seed = 100000 * (i + 1);
		need(!pthread_create(&workers[i].thread, NULL, work, &workers[i]),
		     "pthread_create");
	}
	children = fork_while(workers);
	for (i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	rdma_close(&r);
	printf("%lu rounds in each of %u threads, %u children\n", num_rounds, THREADS, children);
	return 0;
}
