// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Registers a large, physically scattered buffer. Either while another process creates and destroys
 * QPs, whose progress during the registration is counted; or in a process that is killed in the
 * middle of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "rdma.h"

#define PAGE 4096ull

/** struct shared - between the processes; a cycle is one QP created and destroyed */
struct shared {
	atomic_ulong begun; /* cycles */
	atomic_ulong ended;
	atomic_bool stop;
	atomic_bool registering;
	_Atomic double took;
};

static struct shared *shared;

/*
 * Memory that is touched in random order, @block pages at a time, so that neighbours in the address
 * space are not neighbours in physical memory.
 */
static uint8_t *scattered(size_t size, size_t block, int sharing)
{
	size_t n = size / (block * PAGE), i, other, *order = calloc(n, sizeof(*order)), page;
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);
	uint64_t state = 1;

	need(order && p != MAP_FAILED, "memory");
	need(!madvise(p, size, MADV_NOHUGEPAGE), "madvise");
	for (i = 0; i < n; i++) {
		state = state * 6364136223846793005ull + 1442695040888963407ull;
		other = (state >> 33) % (i + 1);
		order[i] = order[other];
		order[other] = i;
	}
	for (i = 0; i < n; i++)
		for (page = 0; page < block; page++)
			p[(order[i] * block + page) * PAGE] = 1;
	free(order);
	return p;
}

/* Return: of how many physically contiguous pieces the memory is, or 0 if the kernel hides that */
static size_t count_extents(const uint8_t *p, size_t size)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t chunk[512], frame, last = 0;
	size_t i, k, extents = 0;

	need(fd >= 0, "/proc/self/pagemap");
	for (i = 0; i < size / PAGE; i += 512) {
		if (pread(fd, chunk, sizeof(chunk), ((uintptr_t)p / PAGE + i) * 8) != sizeof(chunk))
			break;
		for (k = 0; k < 512; k++) {
			frame = chunk[k] & ((1ull << 55) - 1);
			if (!frame)
				goto out;
			extents += frame != last + 1;
			last = frame;
		}
	}
out:
	close(fd);
	return extents;
}

/* the other process: one QP after the other, until told to stop */
static void cycle(void)
{
	struct ibv_cq *cq;
	struct rdma r;

	rdma_open(&r, device_option());
	cq = make_cq(&r, 16);
	while (!shared->stop) {
		shared->begun++;
		need(!ibv_destroy_qp(make_qp(&r, cq, 4)), "destroy_qp");
		shared->ended++;
	}
	need(!ibv_destroy_cq(cq), "destroy_cq");
	rdma_close(&r);
	exit(0);
}

static void run_cycles(uint8_t *buf, size_t size)
{
	unsigned long begun, ended;
	struct ibv_mr *mr;
	struct rdma r;
	double start;
	int status;
	pid_t pid, parent = getpid();

	need(!madvise(buf, size, MADV_DONTFORK), "madvise");
	pid = fork();
	if (!pid) {
		/* a registration that is refused ends the parent */
		need(!prctl(PR_SET_PDEATHSIG, SIGKILL) && getppid() == parent, "prctl");
		cycle();
	}
	while (shared->ended < 3)
		if (waitpid(pid, &status, WNOHANG))
			die("the other process ended early");
	rdma_open(&r, device_option());
	start = seconds();
	begun = shared->begun;
	mr = make_mr(&r, buf, size, ALL_ACCESS);
	ended = shared->ended;
	printf("registration: %.0f ms\n", (seconds() - start) * 1e3);
	/* cycles that began after the registration had, and ended before it did */
	printf("cycles within: %lu\n", ended > begun ? ended - begun : 0);
	need(!ibv_dereg_mr(mr), "dereg_mr");
	rdma_close(&r);
	shared->stop = true;
	if (waitpid(pid, &status, 0) != pid || status)
		die("the other process failed");
}

/*
 * the process that registers, and is killed if it does not end by itself; @wait_for_line: opens
 * the device, prints "open", and goes on when a line comes on standard input
 */
static pid_t registrar(uint8_t *buf, size_t size, bool wait_for_line)
{
	pid_t pid = fork();
	struct ibv_mr *mr;
	struct rdma r;
	double start;

	if (pid)
		return pid;
	rdma_open(&r, device_option());
	if (wait_for_line) {
		puts("open");
		need(getchar() != EOF, "standard input");
	}
	start = seconds();
	shared->registering = true;
	mr = make_mr(&r, buf, size, ALL_ACCESS);
	shared->took = seconds() - start;
	shared->registering = false;
	need(!ibv_dereg_mr(mr), "dereg_mr");
	rdma_close(&r);
	exit(0);
}

/*
 * @after_ms: when to kill; 0: once the process has had half the time that a registration takes when
 * nobody disturbs it, and without waiting for a line
 */
static void run_kill(uint8_t *buf, size_t size, unsigned int after_ms)
{
	double start, delay = after_ms / 1e3;
	int status;
	pid_t pid;

	if (!after_ms) {
		pid = registrar(buf, size, false);
		if (waitpid(pid, &status, 0) != pid || status)
			die("the undisturbed registration failed");
		printf("undisturbed: %.0f ms\n", shared->took * 1e3);
		delay = shared->took / 2;
	}
	pid = registrar(buf, size, after_ms);
	while (!shared->registering)
		if (waitpid(pid, &status, WNOHANG))
			die("the process ended early");
	usleep((useconds_t)(delay * 1e6));
	printf("registering when killed: %s\n", shared->registering ? "yes" : "no");
	start = seconds();
	kill(pid, SIGKILL);
	need(waitpid(pid, &status, 0) == pid, "waitpid");
	printf("gone after: %.0f ms\n", (seconds() - start) * 1e3);
}

static void usage(void)
{
	puts("usage: verbs_concurrency [-s MIB] [-b PAGES] [-k [-a MS]]\n"
	     "  -s MIB    size of the registration (1024)\n"
	     "  -b PAGES  size of its physically contiguous pieces (1)\n"
	     "  -k        kill the process that registers, in the middle of it\n"
	     "  -a MS     kill it so long after it began, which it does when a line comes on standard\n"
	     "            input after it has printed \"open\"; without -a: halfway\n"
	     "HYV_TEST_DEVICE names the device.");
}

int main(int argc, char **argv)
{
	size_t size = 1ull << 30, block = 1;
	unsigned int after_ms = 0;
	bool kill_it = false;
	uint8_t *buf;
	int c;

	if (argc > 1 && !strcmp(argv[1], "--help")) {
		usage();
		return 0;
	}
	while ((c = getopt(argc, argv, "s:b:ka:")) != -1) {
		switch (c) {
		case 's':
			size = number(optarg, 1 << 20) << 20;
			break;
		case 'b':
			block = number(optarg, 512);
			break;
		case 'k':
			kill_it = true;
			break;
		case 'a':
			after_ms = number(optarg, 600000);
			break;
		default:
			usage();
			return 1;
		}
	}
	if (!block || !size)
		die("size and block cannot be 0");
	setvbuf(stdout, NULL, _IOLBF, 0);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	need(shared != MAP_FAILED, "mmap");
	/* what is killed is a child: it must register these very pages, not copies of them */
	buf = scattered(size, block, kill_it ? MAP_SHARED : MAP_PRIVATE);
	printf("extents: %zu\n", count_extents(buf, size));
	if (kill_it)
		run_kill(buf, size, after_ms);
	else
		run_cycles(buf, size);
	return 0;
}
