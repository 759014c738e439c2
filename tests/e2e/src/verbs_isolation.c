// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Proves that queue memory is never another process's while a mapping of it exists. Three
 * processes:
 *
 *   owner   creates queues, writes OWNER all over their memory, forks heir, destroys the queues
 *   heir    still has the owner's mappings: looks for STRANGER in them, writes HEIR
 *   stranger  creates many queues, which must come clean; writes STRANGER; looks for HEIR in them
 *
 * The provider destroys a queue before it unmaps its memory, and the heir's copy of the mapping is
 * there for long after. A page that the heir can no longer touch (SIGBUS) is nobody else's either.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "rdma.h"

#define QUEUES	     16 /* of the owner; the stranger makes as many per round */
#define ROUNDS	     4
#define HEADER	     512 /* bytes at the start of a queue that its users need */
#define MARKS	     64 /* bytes from one mark to the next */
#define MAX_MAPPINGS 512

enum { OWNER = 0x41414141, STRANGER = 0x42424242, HEIR = 0x43434343 };

/** struct mapping - queue memory, as /proc/self/maps shows it */
struct mapping {
	uint8_t *addr;
	size_t len;
};

/** struct queues - what owner and stranger create */
struct queues {
	struct ibv_cq *cq[QUEUES];
	struct ibv_qp *qp[QUEUES];
};

static sigjmp_buf on_fault;

static void fault(int signum)
{
	siglongjmp(on_fault, signum);
}

static size_t find_mappings(struct mapping *map)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long from, to;
	char line[512];
	size_t n = 0;

	need(f, "/proc/self/maps");
	while (fgets(line, sizeof(line), f))
		if (strstr(line, "/dev/infiniband/uverbs") && n < MAX_MAPPINGS &&
		    sscanf(line, "%lx-%lx", &from, &to) == 2)
			map[n++] = (struct mapping){ (uint8_t *)from, to - from };
	fclose(f);
	return n;
}

/* writes @mark all over the mappings. Return: how many pages could be written */
static size_t write_marks(const struct mapping *map, size_t n, uint32_t mark)
{
	volatile size_t pages = 0;
	volatile size_t i, at;

	for (i = 0; i < n; i++) {
		for (at = HEADER; at < map[i].len; at += MARKS) {
			if (sigsetjmp(on_fault, 1)) {
				at |= 4095 & ~(MARKS - 1);
				continue;
			}
			*(volatile uint32_t *)(map[i].addr + at) = mark;
			pages += (at & 4095) == 4096 - MARKS;
		}
	}
	return pages;
}

/* Return: how often @mark is in the mappings */
static size_t count_marks(const struct mapping *map, size_t n, uint32_t mark)
{
	volatile size_t count = 0;
	volatile size_t i, at;

	for (i = 0; i < n; i++) {
		for (at = HEADER; at < map[i].len; at += MARKS) {
			if (sigsetjmp(on_fault, 1)) {
				at |= 4095 & ~(MARKS - 1);
				continue;
			}
			count += *(volatile uint32_t *)(map[i].addr + at) == mark;
		}
	}
	return count;
}

static void create(struct rdma *r, struct queues *q)
{
	int i;

	for (i = 0; i < QUEUES; i++) {
		q->cq[i] = make_cq(r, 255);
		q->qp[i] = make_qp(r, q->cq[i], 64);
	}
}

static void destroy(struct queues *q)
{
	int i;

	for (i = 0; i < QUEUES; i++)
		need(!ibv_destroy_qp(q->qp[i]) && !ibv_destroy_cq(q->cq[i]), "destroying queues");
}

static void tell(int fd)
{
	need(write(fd, "", 1) == 1, "write to a pipe");
}

static void await(int fd)
{
	char c;

	if (read(fd, &c, 1) != 1)
		die("the other process ended early");
}

/* the process that must not see, nor be seen by, the heir. One step for each byte from @in */
static void stranger(int in, int out)
{
	static struct mapping map[MAX_MAPPINGS];
	struct queues q;
	struct rdma r;
	size_t n, pages = 0;
	int round;
	char c;

	rdma_open(&r, device_option());
	while (read(in, &c, 1) == 1) {
		for (round = 0; round < ROUNDS; round++) {
			create(&r, &q);
			n = find_mappings(map);
			if (count_marks(map, n, OWNER) || count_marks(map, n, HEIR))
				die("a new queue came with content of another process");
			pages += write_marks(map, n, STRANGER);
			tell(out); /* now the heir looks, and writes */
			await(in);
			if (count_marks(map, n, HEIR))
				die("the heir can write to the stranger's queues");
			destroy(&q);
		}
	}
	if (!pages)
		die("the stranger has written nothing");
	printf("stranger: %zu pages of queues, none of them the heir's\n", pages);
	rdma_close(&r);
	exit(0);
}

static void heir(const struct mapping *map, size_t n, int in, int out)
{
	char c;

	while (read(in, &c, 1) == 1) {
		if (count_marks(map, n, STRANGER))
			die("the heir can read the stranger's queues");
		write_marks(map, n, HEIR);
		tell(out);
	}
	printf("heir: never saw the stranger's content in %zu mappings\n", n);
	exit(0);
}

/* one step of the stranger: all its rounds, with the heir looking in each if there is one */
static void step(int to_stranger, int from_stranger, int to_heir, int from_heir)
{
	int round;

	tell(to_stranger);
	for (round = 0; round < ROUNDS; round++) {
		await(from_stranger);
		if (to_heir >= 0) {
			tell(to_heir);
			await(from_heir);
		}
		tell(to_stranger);
	}
}

static void need_exit(pid_t pid, const char *who)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || status)
		die("%s failed", who);
}

int main(int argc, char **argv)
{
	static struct mapping map[MAX_MAPPINGS];
	int s_in[2], s_out[2], h_in[2], h_out[2];
	pid_t s_pid, h_pid;
	struct queues q;
	struct rdma r;
	size_t n, pages;

	if (argc > 1) {
		puts("usage: verbs_isolation\n"
		     "Proves that queue memory is one process's alone while it is mapped.\n"
		     "HYV_TEST_DEVICE names the device.");
		return strcmp(argv[1], "--help") != 0;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGBUS, fault);
	signal(SIGSEGV, fault);
	need(!pipe(s_in) && !pipe(s_out) && !pipe(h_in) && !pipe(h_out), "pipe");
	s_pid = fork();
	if (!s_pid) {
		close(s_in[1]);
		close(s_out[0]);
		close(h_in[1]);
		stranger(s_in[0], s_out[1]);
	}
	rdma_open(&r, device_option());
	create(&r, &q);
	n = find_mappings(map);
	pages = write_marks(map, n, OWNER);
	if (n < 2 * QUEUES || !pages)
		die("%zu mappings, %zu pages: too few to prove anything", n, pages);
	h_pid = fork();
	if (!h_pid) {
		close(s_in[1]);
		close(h_in[1]);
		close(h_out[0]);
		heir(map, n, h_in[0], h_out[1]);
	}
	destroy(&q);
	if (find_mappings(map))
		die("the owner's queues are destroyed but still mapped");
	step(s_in[1], s_out[0], h_in[1], h_out[0]);
	rdma_close(&r);
	printf("owner: %zu pages of queues destroyed, device closed, the heir still has them\n",
	       pages);
	step(s_in[1], s_out[0], h_in[1], h_out[0]);
	close(h_in[1]);
	need_exit(h_pid, "heir");
	step(s_in[1], s_out[0], -1, -1); /* now the memory may be used again, and must be clean */
	close(s_in[1]);
	need_exit(s_pid, "stranger");
	return 0;
}
