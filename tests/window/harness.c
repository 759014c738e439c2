// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the tests of hyv_window share.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/udmabuf.h>

#include "harness.h"

#define TEST_SECONDS	300	/* a test that takes longer hangs */

/* ---- checks ---- */

_Noreturn void check_failed(const char *file, int line, const char *cond)
{
	printf("# %s:%d: not true: %s (errno %d, %s)\n", file, line, cond, errno, strerror(errno));
	fflush(stdout);
	_exit(1);
}

_Noreturn void check_failed_errno(const char *file, int line, const char *call, int code)
{
	printf("# %s:%d: %s: should fail with %s, but errno is %s\n", file, line, call,
	       strerrorname_np(code), errno ? strerrorname_np(errno) : "0");
	fflush(stdout);
	_exit(1);
}

_Noreturn void check_failed_eq(const char *file, int line, const char *a, unsigned long long va,
			       const char *b, unsigned long long vb)
{
	printf("# %s:%d: %s is %#llx, %s is %#llx\n", file, line, a, va, b, vb);
	fflush(stdout);
	_exit(1);
}

_Noreturn void test_skip(const char *why)
{
	printf("# skipped: %s\n", why);
	fflush(stdout);
	_exit(TEST_SKIPPED);
}

static int run_test(const struct test *t)
{
	pid_t pid;
	int code;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		setpgid(0, 0);
		alarm(TEST_SECONDS);
		t->run();
		fflush(stdout);
		_exit(0);
	}
	code = child_wait(pid);
	if (code > 128)
		printf("# ended by signal %d (%s)\n", code - 128, strsignal(code - 128));
	kill(-pid, SIGKILL);	/* processes that a failed test left behind */
	return code;
}

static bool wanted(const struct test *t, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (!strcmp(argv[i], t->name))
			return true;
	return argc < 2;
}

int test_main(const struct test *tests, int argc, char **argv)
{
	const struct test *t;
	int n = 0, code, result = argc > 1 ? 2 : 0;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		for (t = tests; t->name; t++)
			puts(t->name);
		return 0;
	}
	for (t = tests; t->name; t++) {
		if (!wanted(t, argc, argv))
			continue;
		code = run_test(t);
		printf("%sok %d - %s%s\n", code && code != TEST_SKIPPED ? "not " : "", ++n, t->name,
		       code == TEST_SKIPPED ? " # SKIP" : "");
		if (n == 1 || (code && code != TEST_SKIPPED))
			result = code;
	}
	printf("1..%d\n", n);
	return result;
}

/* ---- the ioctls ---- */

int window_create(uint64_t size)
{
	struct hyv_window_create arg = { .size = size };
	int dev = open(HYV_WINDOW_DEVICE, O_RDWR | O_CLOEXEC), window;

	CHECK(dev >= 0);
	window = ioctl(dev, HYV_WINDOW_CREATE, &arg);
	close(dev);
	return window;
}

int window_map(int window, uint64_t offset, const void *memory, uint64_t length, uint32_t flags)
{
	struct hyv_window_map arg = {
		.offset = offset,
		.length = length,
		.address = (uintptr_t)memory,
		.flags = flags,
	};

	return ioctl(window, HYV_WINDOW_MAP, &arg);
}

int window_unmap(int window, uint64_t offset, uint64_t length)
{
	struct hyv_window_unmap arg = { .offset = offset, .length = length };

	return ioctl(window, HYV_WINDOW_UNMAP, &arg);
}

struct hyv_window_info window_info(int window)
{
	struct hyv_window_info info;

	memset(&info, 0xff, sizeof(info));
	CHECK(!ioctl(window, HYV_WINDOW_INFO, &info));
	return info;
}

int window_take(pid_t pid, int fd)
{
	int pidfd = syscall(SYS_pidfd_open, pid, 0), window;

	CHECK(pidfd >= 0);
	window = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	CHECK(window >= 0);
	close(pidfd);
	return window;
}

void *window_view(int window, uint64_t offset, uint64_t length, int prot)
{
	void *view = mmap(NULL, length, prot, MAP_SHARED, window, offset);

	CHECK(view != MAP_FAILED);
	return view;
}

/* ---- memory ---- */

static void fill(void *memory, size_t pages, uint64_t first)
{
	size_t i;

	for (i = 0; i < pages; i++)
		*word(memory, i * PAGE) = first + i;
}

void memory_set(void *memory, size_t pages, uint64_t value)
{
	size_t i;

	for (i = 0; i < pages; i++)
		*word(memory, i * PAGE) = value;
}

void *memory_anon(size_t pages, uint64_t first)
{
	void *memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(memory != MAP_FAILED);
	fill(memory, pages, first);
	return memory;
}

static void *map_memfd(size_t pages, uint64_t first, int *fd)
{
	void *memory;

	*fd = memfd_create("window-test", MFD_ALLOW_SEALING);
	CHECK(*fd >= 0);
	CHECK(!ftruncate(*fd, pages * PAGE));
	CHECK(!fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK));
	memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	CHECK(memory != MAP_FAILED);
	fill(memory, pages, first);
	return memory;
}

void *memory_memfd(size_t pages, uint64_t first)
{
	int fd;
	void *memory = map_memfd(pages, first, &fd);

	close(fd);
	return memory;
}

void *memory_pfnmap(size_t pages, uint64_t first)
{
	struct udmabuf_create create = { .size = pages * PAGE };
	int memfd, dev, buf;
	void *memory;

	munmap(map_memfd(pages, first, &memfd), pages * PAGE);
	create.memfd = memfd;
	dev = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	CHECK(dev >= 0);
	buf = ioctl(dev, UDMABUF_CREATE, &create);
	CHECK(buf >= 0);
	memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, buf, 0);
	CHECK(memory != MAP_FAILED);
	close(buf);
	close(dev);
	close(memfd);
	return memory;
}

void *memory_ivshmem(const char *file, size_t length)
{
	char path[300], id[16] = "";
	void *memory = MAP_FAILED;
	glob_t devices;
	size_t i;
	int fd;

	if (glob("/sys/bus/pci/devices/*", 0, NULL, &devices))
		return NULL;
	for (i = 0; i < devices.gl_pathc && memory == MAP_FAILED; i++) {
		snprintf(path, sizeof(path), "%s/device", devices.gl_pathv[i]);
		fd = open(path, O_RDONLY);
		CHECK(fd >= 0 && read(fd, id, sizeof(id) - 1) > 0);
		close(fd);
		if (strcmp(id, "0x1110\n"))
			continue;
		snprintf(path, sizeof(path), "%s/%s", devices.gl_pathv[i], file);
		fd = open(path, O_RDWR | O_CLOEXEC);
		CHECK(fd >= 0);
		memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		CHECK(memory != MAP_FAILED);
		close(fd);
	}
	globfree(&devices);
	return memory == MAP_FAILED ? NULL : memory;
}

/* ---- viewers ---- */

struct request {
	char op;	/* 'r', 'w', 'q' to quit; 's' is the answer to the start */
	uint64_t offset, value;
};

static _Noreturn void viewer_main(int sock, int window, uint64_t length)
{
	struct request r = { .op = 's' };
	void *view;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	view = window_view(window, 0, length, PROT_READ | PROT_WRITE);
	close(window);
	do {
		if (r.op == 'r')
			r.value = *word(view, r.offset);
		else if (r.op == 'w')
			*word(view, r.offset) = r.value;
		CHECK(write(sock, &r, sizeof(r)) == sizeof(r));
		CHECK(read(sock, &r, sizeof(r)) == sizeof(r));
	} while (r.op != 'q');
	_exit(0);
}

static uint64_t viewer_ask(const struct viewer *v, char op, uint64_t offset, uint64_t value)
{
	struct request r = { op, offset, value };

	CHECK(write(v->sock, &r, sizeof(r)) == sizeof(r));
	CHECK(read(v->sock, &r, sizeof(r)) == sizeof(r));
	return r.value;
}

struct viewer viewer_start(int window, uint64_t length)
{
	struct viewer v;
	struct request r;
	int socks[2];

	CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks));
	fflush(stdout);
	v.pid = fork();
	CHECK(v.pid >= 0);
	if (!v.pid) {
		close(socks[0]);
		viewer_main(socks[1], window, length);
	}
	close(socks[1]);
	v.sock = socks[0];
	CHECK(read(v.sock, &r, sizeof(r)) == sizeof(r));
	return v;
}

uint64_t viewer_read(const struct viewer *v, uint64_t offset)
{
	return viewer_ask(v, 'r', offset, 0);
}

void viewer_write(const struct viewer *v, uint64_t offset, uint64_t value)
{
	viewer_ask(v, 'w', offset, value);
}

void viewer_stop(struct viewer *v)
{
	struct request r = { .op = 'q' };

	CHECK(write(v->sock, &r, sizeof(r)) == sizeof(r));
	CHECK_EQ(child_wait(v->pid), 0);
	close(v->sock);
}

int child_wait(pid_t pid)
{
	int status;

	CHECK(pid > 0);
	while (waitpid(pid, &status, 0) != pid)
		CHECK(errno == EINTR);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

bool race_goes_on(time_t start)
{
	const char *seconds = getenv("WINDOW_TEST_SECONDS");

	return time(NULL) - start < (seconds ? atoi(seconds) : 10);
}

long pinned_pages(void)
{
	long value, acquired = 0, released = 0;
	char name[64];
	FILE *f;

	f = fopen("/proc/sys/vm/stat_refresh", "w");	/* else each processor's share comes late */
	CHECK(f && fputs("1", f) != EOF && !fclose(f));
	f = fopen("/proc/vmstat", "r");
	CHECK(f);
	while (fscanf(f, "%63s %ld", name, &value) == 2) {
		if (!strcmp(name, "nr_foll_pin_acquired"))
			acquired = value;
		else if (!strcmp(name, "nr_foll_pin_released"))
			released = value;
	}
	fclose(f);
	return acquired - released;
}
