// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Proves that processes which have different memory at one address, as after fork(), can all register
 * it and each sends its own: first in turn, then all at once, while registrations come and go. Each
 * is connected to itself by address. Messages are short ones mostly, which siw copies when it is rung,
 * from the address and not from the pages.
 */
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "cm_self.h"

#define PROCESSES     3u
#define IN_TURN	      20u
#define AT_ONCE	      100u
#define ROUNDS_PER_MR 10u
#define SIZE	      65536u /* half of it is sent from, half received into */
#define HALF	      (SIZE / 2)
#define LONG_MESSAGE  5000u

/** struct process - what one of them has */
struct process {
	unsigned int number;
	struct rdma r;
	struct ibv_cq *cq;
	struct ibv_qp *from;
	struct ibv_qp *to;
	struct ibv_mr *mr;
	uint8_t *buf;
};

static void wait_for_all(pthread_barrier_t *barrier)
{
	int ret = pthread_barrier_wait(barrier);

	need(!ret || ret == PTHREAD_BARRIER_SERIAL_THREAD, "pthread_barrier_wait");
}

static void send_own(struct process *me, unsigned int round)
{
	uint64_t seed = round * PROCESSES + me->number;
	uint32_t length = round % 8 ? 1 + round % 29 : LONG_MESSAGE;
	uint32_t start = round * 61 % (HALF - LONG_MESSAGE);

	fill(me->buf + start, length, seed);
	memset(me->buf + HALF + start, 0, length);
	post_receive(me->to, me->mr, me->buf + HALF + start, length);
	post(me->from, IBV_WR_SEND, me->mr, me->buf + start, length, 0, 0);
	need_cqe(me->cq, "one of the message's two completions");
	need_cqe(me->cq, "the other of the message's two completions");
	if (!check(me->buf + HALF + start, length, seed))
		die("process %u, round %u: %u bytes of somebody else's", me->number, round, length);
}

static void run(struct process *me, const char *address, pthread_barrier_t *barrier)
{
	struct cm_self self;
	unsigned int i, turn;

	rdma_open(&me->r, device_option());
	me->cq = make_cq(&me->r, 16);
	me->from = make_qp(&me->r, me->cq, 4);
	me->to = make_qp(&me->r, me->cq, 4);
	me->mr = make_mr(&me->r, me->buf, SIZE, ALL_ACCESS);
	cm_self_connect(&self, address, me->from, me->to);
	wait_for_all(barrier);
	for (i = 0; i < IN_TURN; i++) {
		for (turn = 0; turn < PROCESSES; turn++) {
			if (turn == me->number)
				send_own(me, i);
			wait_for_all(barrier);
		}
	}
	for (; i < IN_TURN + AT_ONCE; i++) {
		if (i % ROUNDS_PER_MR == me->number) {
			need(!ibv_dereg_mr(me->mr), "dereg_mr");
			me->mr = make_mr(&me->r, me->buf, SIZE, ALL_ACCESS);
		}
		send_own(me, i);
	}
	need(!ibv_destroy_qp(me->from) && !ibv_destroy_qp(me->to), "destroy_qp");
	cm_self_end(&self);
	need(!ibv_dereg_mr(me->mr) && !ibv_destroy_cq(me->cq), "dereg_mr, destroy_cq");
	rdma_close(&me->r);
}

int main(int argc, char **argv)
{
	struct process me = { 0 };
	pthread_barrierattr_t shared;
	pthread_barrier_t *barrier;
	unsigned int i;
	int status;

	if (argc != 2) {
		puts("usage: verbs_fork ADDRESS    ADDRESS: the device's own");
		return 1;
	}
	barrier = mmap(NULL, sizeof(*barrier), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	me.buf = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(barrier != MAP_FAILED && me.buf != MAP_FAILED, "mmap");
	need(!pthread_barrierattr_init(&shared) &&
		     !pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED) &&
		     !pthread_barrier_init(barrier, &shared, PROCESSES),
	     "pthread_barrier_init");
	for (i = 1; i < PROCESSES && !me.number; i++) {
		pid_t pid = fork();

		need(pid >= 0, "fork");
		if (!pid)
			me.number = i;
	}
	run(&me, argv[1], barrier);
	if (me.number)
		return 0;
	for (i = 1; i < PROCESSES; i++) {
		need(wait(&status) > 0, "wait");
		if (status)
			die("a child failed");
	}
	printf("%u processes, %u messages each, all from the same addresses\n", PROCESSES,
	       IN_TURN + AT_ONCE);
	return 0;
}
