/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of hyv_window share: checks, the four ioctls, memory to show, and viewers, which
 * are processes that have a window mapped as QEMU would.
 */
#ifndef HYV_TESTS_WINDOW_HARNESS_H
#define HYV_TESTS_WINDOW_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include <hyv/window.h>

#define PAGE		4096UL
#define TEST_SKIPPED	77	/* exit code of a test that this machine cannot run */

/* Ends the test, as failed, unless the condition holds. */
#define CHECK(cond) \
	((cond) ? (void)0 : check_failed(__FILE__, __LINE__, #cond))

/* Ends the test, as failed, unless the call fails with this errno. */
#define CHECK_ERRNO(call, code) \
	do { \
		errno = 0; \
		if ((call) != -1 || errno != (code)) \
			check_failed_errno(__FILE__, __LINE__, #call, code); \
	} while (0)

/* Ends the test, as failed, unless both numbers are equal. */
#define CHECK_EQ(a, b) \
	do { \
		unsigned long long check_a = (a), check_b = (b); \
		if (check_a != check_b) \
			check_failed_eq(__FILE__, __LINE__, #a, check_a, #b, check_b); \
	} while (0)

_Noreturn void check_failed(const char *file, int line, const char *cond);
_Noreturn void check_failed_errno(const char *file, int line, const char *call, int code);
_Noreturn void check_failed_eq(const char *file, int line, const char *a, unsigned long long va,
			       const char *b, unsigned long long vb);
_Noreturn void test_skip(const char *why);

/**
 * struct test - one test; it returns to pass
 * @name: how to ask for it
 * @run: the test, in a process of its own
 */
struct test {
	const char *name;
	void (*run)(void);
};

/*
 * main() of a test program: runs the named tests, or all, each in a process of its own, and prints
 * TAP. --list names them. Returns the exit code.
 */
int test_main(const struct test *tests, int argc, char **argv);

/* The ioctls. They return 0 (window_create: a descriptor), or -1 and errno. */
int window_create(uint64_t size);
int window_map(int window, uint64_t offset, const void *memory, uint64_t length, uint32_t flags);
int window_unmap(int window, uint64_t offset, uint64_t length);
struct hyv_window_info window_info(int window);

/* The same window as descriptor @fd of another process, as if that had sent it. */
int window_take(pid_t pid, int fd);

/* Maps a window shared, with these PROT_* flags; ends the test if that fails. */
void *window_view(int window, uint64_t offset, uint64_t length, int prot);

/* Fresh memory, its pages touched, each filled with the 64-bit value first + page number. */
void *memory_anon(size_t pages, uint64_t first);
void *memory_memfd(size_t pages, uint64_t first);
/* The same as raw pages (a VM_PFNMAP mapping), made by udmabuf; not touched by this mapping. */
void *memory_pfnmap(size_t pages, uint64_t first);
/* A BAR of QEMU's ivshmem device, mapped through this file of sysfs; NULL: there is none. */
void *memory_ivshmem(const char *file, size_t length);

/* Writes a value to the beginning of each page. */
void memory_set(void *memory, size_t pages, uint64_t value);

static inline volatile uint64_t *word(void *memory, size_t offset)
{
	return (volatile uint64_t *)((char *)memory + offset);
}

/**
 * struct viewer - a child process that has a window mapped, and reads and writes it on request
 * @pid: the child
 * @sock: the way to it
 */
struct viewer {
	pid_t pid;
	int sock;
};

struct viewer viewer_start(int window, uint64_t length);
uint64_t viewer_read(const struct viewer *v, uint64_t offset);
void viewer_write(const struct viewer *v, uint64_t offset, uint64_t value);
void viewer_stop(struct viewer *v);

/* Waits for a child and returns its exit code; 128 + n if signal n ended it. */
int child_wait(pid_t pid);

/* Whether a race that began then goes on: for 10 seconds, or WINDOW_TEST_SECONDS of the environment. */
bool race_goes_on(time_t start);

/* Pages in the system that are pinned by anyone. */
long pinned_pages(void);

#endif
