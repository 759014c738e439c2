// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hyv_window without any guest: what its ioctls accept and refuse, and what those who have a window
 * mapped see, from the first MAP to the creator's death. Runs as root on a machine with the module
 * loaded.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

#define SIZE	(1UL << 20)	/* of most windows here */
#define RO	HYV_WINDOW_MAP_RO

static int window_of(uint64_t size)
{
	int window = window_create(size);

	CHECK(window >= 0);
	return window;
}

/* ---- creating ---- */

static void create_arguments(void)
{
	int dev = open(HYV_WINDOW_DEVICE, O_RDWR);
	struct hyv_window_create arg;
	struct stat st;
	int window;

	CHECK(dev >= 0);
	CHECK(!stat(HYV_WINDOW_DEVICE, &st));
	CHECK_EQ(st.st_mode & 0777, 0600);
	CHECK_ERRNO(window_create(0), EINVAL);
	CHECK_ERRNO(window_create(PAGE + 1), EINVAL);
	CHECK_ERRNO(window_create(PAGE / 2), EINVAL);
	CHECK_ERRNO(window_create(HYV_WINDOW_MAX_SIZE + PAGE), EINVAL);
	CHECK_ERRNO(window_create(~0ULL), EINVAL);
	arg = (struct hyv_window_create){ .size = PAGE, .flags = 1 };
	CHECK_ERRNO(ioctl(dev, HYV_WINDOW_CREATE, &arg), EINVAL);
	arg = (struct hyv_window_create){ .size = PAGE, .reserved = 1 };
	CHECK_ERRNO(ioctl(dev, HYV_WINDOW_CREATE, &arg), EINVAL);
	CHECK_ERRNO(ioctl(dev, HYV_WINDOW_CREATE, NULL), EFAULT);
	CHECK_ERRNO(ioctl(dev, HYV_WINDOW_INFO, &arg), ENOTTY);

	window = window_of(HYV_WINDOW_MAX_SIZE);
	CHECK_EQ(fcntl(window, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(lseek(window, 0, SEEK_END), HYV_WINDOW_MAX_SIZE);
	CHECK(!fstat(window, &st));
	CHECK_EQ(st.st_size, HYV_WINDOW_MAX_SIZE);
	CHECK_EQ(window_info(window).size, HYV_WINDOW_MAX_SIZE);
	CHECK_ERRNO(ioctl(window, HYV_WINDOW_CREATE, &arg), ENOTTY);
	CHECK_ERRNO(ioctl(window, HYV_WINDOW_INFO, NULL), EFAULT);
	CHECK_ERRNO(ioctl(window, HYV_WINDOW_MAP, NULL), EFAULT);
	CHECK_ERRNO(ioctl(window, HYV_WINDOW_UNMAP, NULL), EFAULT);
}

static void view_arguments(void)
{
	int window = window_of(SIZE), prot = PROT_READ | PROT_WRITE;
	void *view;

	CHECK_ERRNO((long)mmap(NULL, PAGE, prot, MAP_PRIVATE, window, 0), EINVAL);
	CHECK_ERRNO((long)mmap(NULL, SIZE + PAGE, prot, MAP_SHARED, window, 0), EINVAL);
	CHECK_ERRNO((long)mmap(NULL, PAGE, prot, MAP_SHARED, window, SIZE), EINVAL);
	CHECK_ERRNO((long)mmap(NULL, 2 * PAGE, prot, MAP_SHARED, window, SIZE - PAGE), EINVAL);
	view = window_view(window, SIZE - PAGE, PAGE, prot);
	CHECK_ERRNO((long)mremap(view, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EFAULT);
	CHECK_EQ(*word(view, 0), 0);
}

static void holes(void)
{
	int a = window_of(SIZE), b = window_of(SIZE);
	struct viewer va = viewer_start(a, SIZE), vb = viewer_start(b, SIZE);

	CHECK_EQ(viewer_read(&va, 0), 0);
	viewer_write(&va, PAGE, 1);
	CHECK_EQ(viewer_read(&va, SIZE - PAGE), 1);	/* one scratch page for all holes ... */
	CHECK_EQ(viewer_read(&vb, PAGE), 0);		/* ... of one window */
	CHECK(window_info(a).hole_faults >= 3);
	CHECK_EQ(window_info(a).faults, window_info(a).hole_faults);
	viewer_stop(&va);
	viewer_stop(&vb);
}

/* ---- mapping ---- */

/* shows 4 pages, checks both directions, takes them away; the same for each kind of memory */
static void map_and_unmap(void *memory, uint32_t kind, uint32_t cache)
{
	int window = window_of(SIZE);
	struct viewer v = viewer_start(window, SIZE);
	struct hyv_window_map arg = {
		.offset = 8 * PAGE,
		.length = 4 * PAGE,
		.address = (uintptr_t)memory,
		.cache = ~0U,
		.kind = ~0U,
	};
	struct hyv_window_info info;

	CHECK_EQ(viewer_read(&v, 9 * PAGE), 0);
	CHECK(!ioctl(window, HYV_WINDOW_MAP, &arg));
	CHECK_EQ(arg.kind, kind);
	CHECK_EQ(arg.cache, cache);
	info = window_info(window);
	CHECK_EQ(info.maps, 1);
	CHECK_EQ(info.pages, 4);
	CHECK_EQ(info.pinned, kind == HYV_WINDOW_KIND_PINNED ? 4 : 0);

	*word(memory, PAGE) = 0x1111;
	CHECK_EQ(viewer_read(&v, 9 * PAGE), 0x1111);
	*word(memory, PAGE) = 0x2222;
	CHECK_EQ(viewer_read(&v, 9 * PAGE), 0x2222);
	viewer_write(&v, 11 * PAGE + 8, 0x3333);
	CHECK_EQ(*word(memory, 3 * PAGE + 8), 0x3333);
	CHECK_EQ(viewer_read(&v, 7 * PAGE), 0);
	CHECK_EQ(viewer_read(&v, 12 * PAGE), 0);

	CHECK(!window_unmap(window, 8 * PAGE, 4 * PAGE));
	CHECK_EQ(viewer_read(&v, 9 * PAGE), 0);
	viewer_write(&v, 9 * PAGE, 0x4444);
	CHECK_EQ(*word(memory, PAGE), 0x2222);
	info = window_info(window);
	CHECK_EQ(info.maps, 0);
	CHECK_EQ(info.pages, 0);
	CHECK_EQ(info.pinned, 0);
	CHECK_EQ(info.revoked, 0);
	viewer_stop(&v);
}

static void map_anon(void)
{
	map_and_unmap(memory_anon(4, 1), HYV_WINDOW_KIND_PINNED, HYV_WINDOW_CACHE_WB);
}

static void map_memfd(void)
{
	map_and_unmap(memory_memfd(4, 1), HYV_WINDOW_KIND_PINNED, HYV_WINDOW_CACHE_WB);
}

static void map_pfnmap(void)
{
	map_and_unmap(memory_pfnmap(4, 1), HYV_WINDOW_KIND_PFNMAP, HYV_WINDOW_CACHE_WB);
}

static void map_ivshmem(const char *file, uint32_t cache)
{
	void *bar = memory_ivshmem(file, 4 * PAGE);

	if (!bar)
		test_skip("no ivshmem device");
	map_and_unmap(bar, HYV_WINDOW_KIND_PFNMAP, cache);
}

static void map_uncached(void)
{
	map_ivshmem("resource2", HYV_WINDOW_CACHE_UC);
}

static void map_write_combining(void)
{
	map_ivshmem("resource2_wc", HYV_WINDOW_CACHE_WC);
}

static void map_large(void)
{
	size_t pages = 3000, i;
	uint64_t size = 4096 * PAGE;
	void *memory = memory_memfd(pages, 7);
	int window = window_of(size);
	struct viewer v = viewer_start(window, size);

	CHECK(!window_map(window, 100 * PAGE, memory, pages * PAGE, 0));
	for (i = 0; i < pages; i += 37)
		CHECK_EQ(viewer_read(&v, (100 + i) * PAGE), 7 + i);
	CHECK_EQ(window_info(window).faults, 0);	/* MAP made the entries */
	CHECK(!window_unmap(window, 100 * PAGE, pages * PAGE));
	for (i = 0; i < pages; i += 37)
		CHECK_EQ(viewer_read(&v, (100 + i) * PAGE), 0);
	viewer_stop(&v);
}

/* a view made after MAP gets its entries by page faults */
static void map_before_view(void)
{
	int window = window_of(SIZE);
	struct viewer v;

	CHECK(!window_map(window, 2 * PAGE, memory_anon(3, 5), 3 * PAGE, 0));
	v = viewer_start(window, SIZE);
	CHECK_EQ(viewer_read(&v, 3 * PAGE), 6);
	CHECK_EQ(viewer_read(&v, 4 * PAGE), 7);
	CHECK_EQ(window_info(window).faults, 2);
	CHECK_EQ(window_info(window).hole_faults, 0);
	viewer_stop(&v);
}

static void map_arguments(void)
{
	int window = window_of(SIZE), other = window_of(SIZE);
	char *memory = memory_anon(8, 1);
	struct hyv_window_map arg;
	void *view;

	CHECK_ERRNO(window_map(window, 1, memory, PAGE, 0), EINVAL);
	CHECK_ERRNO(window_map(window, 0, memory + 8, PAGE, 0), EINVAL);
	CHECK_ERRNO(window_map(window, 0, memory, PAGE + 8, 0), EINVAL);
	CHECK_ERRNO(window_map(window, 0, memory, 0, 0), EINVAL);
	CHECK_ERRNO(window_map(window, SIZE, memory, PAGE, 0), EINVAL);
	CHECK_ERRNO(window_map(window, SIZE - PAGE, memory, 2 * PAGE, 0), EINVAL);
	CHECK_ERRNO(window_map(window, -PAGE, memory, PAGE, 0), EINVAL);
	CHECK_ERRNO(window_map(window, -PAGE, memory, 2 * PAGE, 0), EINVAL);
	CHECK_ERRNO(window_map(window, 0, memory, -PAGE, 0), EINVAL);
	CHECK_ERRNO(window_map(window, 0, memory, SIZE + PAGE, 0), EINVAL);
	CHECK_ERRNO(window_map(window, 0, (void *)-PAGE, PAGE, 0), EINVAL);
	CHECK_ERRNO(window_map(window, 0, (void *)(-2 * PAGE), PAGE, 0), EFAULT);
	CHECK_ERRNO(window_map(window, 0, memory, PAGE, RO << 1), EINVAL);
	CHECK_ERRNO(window_map(window, 0, memory, PAGE, 1U << 31), EINVAL);
	arg = (struct hyv_window_map){
		.length = PAGE, .address = (uintptr_t)memory, .reserved = 1
	};
	CHECK_ERRNO(ioctl(window, HYV_WINDOW_MAP, &arg), EINVAL);
	CHECK_ERRNO(window_map(window, 0, (void *)PAGE, PAGE, 0), EFAULT);
	view = window_view(window, 0, PAGE, PROT_READ);
	CHECK_ERRNO(window_map(window, 0, view, PAGE, RO), EINVAL);
	view = window_view(other, 0, PAGE, PROT_READ);
	CHECK_ERRNO(window_map(window, 0, view, PAGE, RO), EINVAL);

	/* two mappings: the border is in the middle */
	CHECK(!mprotect(memory + 4 * PAGE, 4 * PAGE, PROT_READ));
	CHECK_ERRNO(window_map(window, 0, memory + 3 * PAGE, 2 * PAGE, RO), EFAULT);
	CHECK_ERRNO(window_map(window, 0, memory + 4 * PAGE, PAGE, 0), EACCES);
	CHECK(!window_map(window, 0, memory + 4 * PAGE, PAGE, RO));
	CHECK(!window_unmap(window, 0, PAGE));
	CHECK(!mprotect(memory + 4 * PAGE, 4 * PAGE, PROT_NONE));
	CHECK_ERRNO(window_map(window, 0, memory + 4 * PAGE, PAGE, RO), EACCES);
	CHECK(!munmap(memory + 4 * PAGE, 4 * PAGE));
	CHECK_ERRNO(window_map(window, 0, memory + 3 * PAGE, 2 * PAGE, 0), EFAULT);
	CHECK_ERRNO(window_map(window, 0, memory + 4 * PAGE, PAGE, 0), EFAULT);

	CHECK(!window_map(window, 4 * PAGE, memory, 3 * PAGE, 0));
	CHECK_ERRNO(window_map(window, 4 * PAGE, memory, 3 * PAGE, 0), EEXIST);
	CHECK_ERRNO(window_map(window, 3 * PAGE, memory, 2 * PAGE, 0), EEXIST);
	CHECK_ERRNO(window_map(window, 6 * PAGE, memory, 2 * PAGE, 0), EEXIST);
	CHECK_ERRNO(window_map(window, 5 * PAGE, memory, PAGE, 0), EEXIST);
	CHECK(!window_map(window, 3 * PAGE, memory, PAGE, 0));
	CHECK(!window_map(window, 7 * PAGE, memory, PAGE, 0));

	CHECK_ERRNO(window_unmap(window, 4 * PAGE, 2 * PAGE), ENOENT);
	CHECK_ERRNO(window_unmap(window, 4 * PAGE, 4 * PAGE), ENOENT);
	CHECK_ERRNO(window_unmap(window, 5 * PAGE, 2 * PAGE), ENOENT);
	CHECK_ERRNO(window_unmap(window, 4 * PAGE + 1, 3 * PAGE), ENOENT);
	CHECK_ERRNO(window_unmap(window, 0, PAGE), ENOENT);
	CHECK_ERRNO(window_unmap(window, SIZE, PAGE), ENOENT);
	CHECK_ERRNO(window_unmap(window, ~0ULL, ~0ULL), ENOENT);
	CHECK(!window_unmap(window, 4 * PAGE, 3 * PAGE));
	CHECK_ERRNO(window_unmap(window, 4 * PAGE, 3 * PAGE), ENOENT);

	CHECK_EQ(window_info(window).maps, 2);
	CHECK_EQ(window_info(window).pages, 2);
	CHECK_EQ(window_info(window).pinned, 2);
}

/* the argument lies in memory that cannot be written: the kernel must undo the MAP */
static void map_answer_not_writable(void)
{
	int window = window_of(SIZE);
	struct hyv_window_map *arg = memory_anon(1, 0);

	*arg = (struct hyv_window_map){ .length = PAGE, .address = (uintptr_t)memory_anon(1, 0) };
	CHECK(!mprotect(arg, PAGE, PROT_READ));
	CHECK_ERRNO(ioctl(window, HYV_WINDOW_MAP, arg), EFAULT);
	CHECK_EQ(window_info(window).maps, 0);
	CHECK_EQ(window_info(window).pinned, 0);
}

/* raw pages of a private mapping may be copies: /dev/mem, where the BIOS is */
static void map_private_pfnmap(void)
{
	int window = window_of(SIZE), mem = open("/dev/mem", O_RDONLY);
	void *bios;

	CHECK(mem >= 0);
	bios = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, mem, 0xf0000);
	CHECK(bios != MAP_FAILED);
	CHECK_ERRNO(window_map(window, 0, bios, PAGE, RO), EINVAL);
	bios = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, mem, 0xf0000);
	CHECK(bios != MAP_FAILED);
	CHECK_ERRNO(window_map(window, 0, bios, PAGE, 0), EACCES);
	CHECK(!window_map(window, 0, bios, PAGE, RO));
	CHECK_EQ(*word(window_view(window, 0, PAGE, PROT_READ), 0), *word(bios, 0));
}

/* before 6.13, KVM would stop the machine for a page in the middle of a huge page */
static void map_huge_page(void)
{
	size_t huge = 2UL << 20;
	char *area = mmap(NULL, 2 * huge, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *memory = (char *)(((uintptr_t)area + huge - 1) & -huge);
	int window = window_of(SIZE), major, minor;
	struct utsname u;

	CHECK(area != MAP_FAILED);
	CHECK(!madvise(memory, huge, MADV_HUGEPAGE));
	memory[0] = 1;
	CHECK(!uname(&u) && sscanf(u.release, "%d.%d", &major, &minor) == 2);
	if (major * 1000 + minor < 6013) {
		CHECK_ERRNO(window_map(window, 0, memory, 4 * PAGE, 0), EOPNOTSUPP);
		CHECK_EQ(window_info(window).pinned, 0);
		CHECK(!madvise(memory, huge, MADV_DONTNEED));
		CHECK(!madvise(memory, huge, MADV_NOHUGEPAGE));
	}
	CHECK(!window_map(window, 0, memory, 4 * PAGE, 0));
	*word(memory, 2 * PAGE) = 5;
	CHECK_EQ(*word(window_view(window, 0, SIZE, PROT_READ), 2 * PAGE), 5);
}

/* ---- who may do what ---- */

static void foreign_process(void)
{
	int window = window_of(SIZE);
	void *memory = memory_anon(1, 9);
	pid_t pid;

	CHECK(!window_map(window, 0, memory, PAGE, 0));
	pid = fork();
	if (!pid) {
		CHECK_ERRNO(window_map(window, PAGE, memory, PAGE, 0), EPERM);
		CHECK_ERRNO(window_unmap(window, 0, PAGE), EPERM);
		CHECK_EQ(window_info(window).maps, 1);
		CHECK_EQ(*word(window_view(window, 0, PAGE, PROT_READ), 0), 9);
		_exit(0);
	}
	CHECK_EQ(child_wait(pid), 0);
	CHECK_EQ(window_info(window).maps, 1);
}

static void *map_in_thread(void *arg)
{
	int window = *(int *)arg;

	return (void *)(long)window_map(window, 0, memory_anon(1, 1), PAGE, 0);
}

static void creator_thread(void)
{
	int window = window_of(SIZE);
	pthread_t thread;
	void *result;

	CHECK(!pthread_create(&thread, NULL, map_in_thread, &window));
	CHECK(!pthread_join(thread, &result));
	CHECK(!result);
	CHECK(!window_unmap(window, 0, PAGE));
}

static void memlock_limit(void)
{
	struct rlimit limit = { 8 * PAGE, 8 * PAGE };
	int window = window_of(SIZE);
	void *memory = memory_anon(16, 1), *pfnmap = memory_pfnmap(16, 1);

	CHECK(!setrlimit(RLIMIT_MEMLOCK, &limit));
	CHECK(!window_map(window, 0, memory, 16 * PAGE, 0));	/* root has CAP_IPC_LOCK */
	CHECK(!window_unmap(window, 0, 16 * PAGE));
	CHECK(!setresuid(65534, 65534, 65534));
	CHECK_ERRNO(window_map(window, 0, memory, 9 * PAGE, 0), ENOMEM);
	CHECK(!window_map(window, 0, memory, 5 * PAGE, 0));
	CHECK_ERRNO(window_map(window, 16 * PAGE, memory, 4 * PAGE, 0), ENOMEM);
	CHECK(!window_map(window, 32 * PAGE, memory, 3 * PAGE, 0));
	CHECK(!window_map(window, 64 * PAGE, pfnmap, 16 * PAGE, 0));	/* pins nothing */
	CHECK_EQ(window_info(window).pinned, 8);
	CHECK(!window_unmap(window, 0, 5 * PAGE));
	CHECK(!window_map(window, 16 * PAGE, memory, 4 * PAGE, 0));
}

/* ---- read-only pieces ---- */

static void read_only(void *memory)
{
	int window = window_of(SIZE);
	struct viewer a = viewer_start(window, SIZE), b = viewer_start(window, SIZE);
	uint64_t was = *word(memory, 0);

	CHECK(!window_map(window, 0, memory, 2 * PAGE, RO));
	CHECK_EQ(viewer_read(&a, 0), was);
	viewer_write(&a, 0, ~was);		/* does not kill it, does not get through */
	viewer_write(&a, 8, ~was);
	CHECK_EQ(*word(memory, 0), was);
	CHECK_EQ(viewer_read(&a, 8), ~was);	/* scratch from now on */
	CHECK_EQ(viewer_read(&a, PAGE), was + 1);
	CHECK_EQ(viewer_read(&b, 0), was);
	CHECK(!window_unmap(window, 0, 2 * PAGE));

	/* a first access that writes, and a new MAP after it */
	CHECK(!window_map(window, 4 * PAGE, memory, 2 * PAGE, RO));
	viewer_stop(&a);
	a = viewer_start(window, SIZE);
	viewer_write(&a, 4 * PAGE, ~was);
	CHECK_EQ(*word(memory, 0), was);
	CHECK(!window_unmap(window, 4 * PAGE, 2 * PAGE));
	CHECK(!window_map(window, 4 * PAGE, memory, 2 * PAGE, RO));
	CHECK_EQ(viewer_read(&a, 4 * PAGE), was);
	viewer_stop(&a);
	viewer_stop(&b);
}

static void read_only_anon(void)
{
	read_only(memory_anon(2, 1));
}

static void read_only_pfnmap(void)
{
	read_only(memory_pfnmap(2, 1));
}

static void read_only_then_mprotect(void)
{
	int window = window_of(SIZE);
	void *memory = memory_anon(2, 1), *view;

	CHECK(!window_map(window, 0, memory, PAGE, RO));
	CHECK(!window_map(window, PAGE, (char *)memory + PAGE, PAGE, 0));
	view = window_view(window, 0, 2 * PAGE, PROT_READ);
	CHECK_EQ(*word(view, 0), 1);
	CHECK_EQ(*word(view, PAGE), 2);
	CHECK(!mprotect(view, 2 * PAGE, PROT_READ | PROT_WRITE));
	*word(view, 0) = 11;
	*word(view, PAGE) = 12;
	CHECK_EQ(*word(memory, 0), 1);
	CHECK_EQ(*word(memory, PAGE), 12);
	CHECK(!mprotect(view, 2 * PAGE, PROT_READ));
	CHECK(!mprotect(view, 2 * PAGE, PROT_READ | PROT_WRITE));
	*word(view, PAGE) = 22;
	CHECK_EQ(*word(memory, PAGE), 22);
}

/* ---- what viewers do to their mappings ---- */

static bool readable(volatile void *p)
{
	int fds[2];
	bool ok;

	CHECK(!pipe(fds));
	ok = write(fds[1], (void *)p, 8) == 8;
	CHECK(ok || errno == EFAULT);
	close(fds[0]);
	close(fds[1]);
	return ok;
}

static void view_not_inherited(void)
{
	int window = window_of(SIZE);
	void *view = window_view(window, 0, SIZE, PROT_READ | PROT_WRITE);
	pid_t pid;

	CHECK_EQ(*word(view, 0), 0);
	pid = fork();
	if (!pid) {
		CHECK(!readable(view));
		_exit(0);
	}
	CHECK_EQ(child_wait(pid), 0);
	CHECK(readable(view));
}

static void view_split_and_moved(void)
{
	int window = window_of(SIZE);
	void *memory = memory_anon(16, 100);
	char *view = window_view(window, 0, 16 * PAGE, PROT_READ | PROT_WRITE), *moved;
	int i;

	CHECK(!window_map(window, 0, memory, 16 * PAGE, 0));
	CHECK(!munmap(view + 4 * PAGE, 2 * PAGE));	/* a hole in the middle */
	CHECK(!mprotect(view + 8 * PAGE, PAGE, PROT_READ));
	moved = mremap(view + 10 * PAGE, 3 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		       mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	CHECK(moved != MAP_FAILED);
	CHECK(!munmap(view, PAGE));			/* the front */
	CHECK(!munmap(view + 15 * PAGE, PAGE));		/* the end */
	for (i = 0; i < 3; i++) {
		CHECK_EQ(*word(moved, i * PAGE), 110 + i);
		CHECK_EQ(*word(view, (1 + i) * PAGE), 101 + i);
		CHECK_EQ(*word(view, (6 + i) * PAGE), 106 + i);
	}
	CHECK_EQ(*word(view, 14 * PAGE), 114);
	CHECK(!window_unmap(window, 0, 16 * PAGE));
	for (i = 0; i < 3; i++) {
		CHECK_EQ(*word(moved, i * PAGE), 0);
		CHECK_EQ(*word(view, (1 + i) * PAGE), 0);
		CHECK_EQ(*word(view, (6 + i) * PAGE), 0);
	}
	CHECK_EQ(*word(view, 14 * PAGE), 0);
	CHECK(!window_map(window, 0, memory, 16 * PAGE, 0));
	CHECK_EQ(*word(moved, PAGE), 111);
	CHECK_EQ(*word(view, 8 * PAGE), 108);
	CHECK_EQ(*word(view, 14 * PAGE), 114);
}

static void many_viewers(void)
{
	struct viewer v[12];
	int window = window_of(SIZE), i;

	for (i = 0; i < 12; i++) {
		v[i] = viewer_start(window, SIZE);
		CHECK_EQ(viewer_read(&v[i], 0), 0);
	}
	CHECK(!window_map(window, 0, memory_anon(1, 3), PAGE, 0));
	for (i = 0; i < 12; i++)
		CHECK_EQ(viewer_read(&v[i], 0), 3);
	CHECK(!window_unmap(window, 0, PAGE));
	for (i = 0; i < 12; i++) {
		CHECK_EQ(viewer_read(&v[i], 0), 0);
		viewer_stop(&v[i]);
	}
}

/* ---- the source goes away ---- */

static void revoked_by_munmap(void *memory)
{
	int window = window_of(SIZE);
	struct viewer v = viewer_start(window, SIZE);

	CHECK(!window_map(window, 0, memory, 4 * PAGE, 0));
	CHECK_EQ(viewer_read(&v, 3 * PAGE), 13);
	CHECK(!munmap((char *)memory + PAGE, PAGE));	/* a part is enough */
	CHECK_EQ(viewer_read(&v, 0), 0);
	CHECK_EQ(viewer_read(&v, PAGE), 0);
	CHECK_EQ(viewer_read(&v, 3 * PAGE), 0);
	viewer_write(&v, 0, 5);
	CHECK_EQ(*word(memory, 0), 10);
	CHECK_EQ(window_info(window).revoked, 1);
	CHECK_EQ(window_info(window).maps, 1);
	CHECK_ERRNO(window_map(window, 0, memory, PAGE, 0), EEXIST);
	CHECK(!munmap(memory, PAGE));			/* once revoked, no more */
	CHECK_EQ(window_info(window).revoked, 1);
	CHECK(!window_unmap(window, 0, 4 * PAGE));
	CHECK_EQ(window_info(window).pinned, 0);
	CHECK(!window_map(window, 0, (char *)memory + 2 * PAGE, PAGE, 0));
	CHECK_EQ(viewer_read(&v, 0), 12);
	viewer_stop(&v);
}

static void revoked_anon(void)
{
	revoked_by_munmap(memory_anon(4, 10));
}

static void revoked_memfd(void)
{
	revoked_by_munmap(memory_memfd(4, 10));
}

static void revoked_pfnmap(void)
{
	revoked_by_munmap(memory_pfnmap(4, 10));
}

static void revoked_by_mremap(void *memory)
{
	int window = window_of(SIZE);
	struct viewer v = viewer_start(window, SIZE);
	void *moved;

	CHECK(!window_map(window, 0, memory, PAGE, 0));
	CHECK_EQ(viewer_read(&v, 0), 10);
	moved = mremap(memory, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		       mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	CHECK(moved != MAP_FAILED);
	CHECK_EQ(viewer_read(&v, 0), 0);
	CHECK_EQ(*word(moved, 0), 10);
	viewer_stop(&v);
}

static void moved_anon(void)
{
	revoked_by_mremap(memory_anon(1, 10));
}

static void moved_pfnmap(void)
{
	revoked_by_mremap(memory_pfnmap(1, 10));
}

/* pinned pages stay what they are through fork() and copy on write, MADV_DONTNEED, mprotect() */
static void pinned_stays(void)
{
	int window = window_of(SIZE);
	void *memory = memory_anon(2, 10);
	struct viewer v = viewer_start(window, SIZE);
	pid_t pid;

	CHECK(!window_map(window, 0, memory, 2 * PAGE, 0));
	pid = fork();
	if (!pid) {
		*word(memory, 0) = 99;
		pause();
		_exit(0);
	}
	*word(memory, 0) = 20;
	CHECK_EQ(viewer_read(&v, 0), 20);
	CHECK(!kill(pid, SIGKILL));
	CHECK_EQ(child_wait(pid), 128 + SIGKILL);
	CHECK(!mprotect(memory, PAGE, PROT_READ));
	CHECK_EQ(viewer_read(&v, 0), 20);
	CHECK(!madvise((char *)memory + PAGE, PAGE, MADV_DONTNEED));
	CHECK_EQ(*word(memory, PAGE), 0);
	CHECK_EQ(viewer_read(&v, PAGE), 11);
	CHECK_EQ(window_info(window).revoked, 0);
	viewer_stop(&v);
}

/* a driver that loses its memory zaps its mappings; here: access taken from a raw mapping */
static void pfnmap_access_lost(void)
{
	int window = window_of(SIZE);
	void *memory = memory_pfnmap(2, 10);
	struct viewer v = viewer_start(window, SIZE);

	CHECK(!window_map(window, 0, memory, 2 * PAGE, 0));
	CHECK_EQ(viewer_read(&v, 0), 10);
	CHECK(!mprotect(memory, PAGE, PROT_READ));
	CHECK_EQ(viewer_read(&v, 0), 0);
	CHECK_EQ(viewer_read(&v, PAGE), 0);
	CHECK_EQ(window_info(window).revoked, 1);
	viewer_stop(&v);
}

/* ---- the creator goes away ---- */

/* a creator in a process of its own: gives a window that shows two pages of each kind */
static pid_t creator_start(int *window)
{
	int to_parent[2], fd;
	pid_t pid;

	CHECK(!pipe2(to_parent, O_CLOEXEC));
	pid = fork();
	if (!pid) {
		fd = window_of(SIZE);
		CHECK(!window_map(fd, 0, memory_anon(2, 10), 2 * PAGE, 0));
		CHECK(!window_map(fd, 4 * PAGE, memory_memfd(2, 20), 2 * PAGE, 0));
		CHECK(!window_map(fd, 8 * PAGE, memory_pfnmap(2, 30), 2 * PAGE, 0));
		CHECK(write(to_parent[1], &fd, sizeof(fd)) == sizeof(fd));
		pause();
		execl("/bin/sleep", "sleep", "1000", NULL);
		_exit(1);
	}
	close(to_parent[1]);
	CHECK(read(to_parent[0], &fd, sizeof(fd)) == sizeof(fd));
	close(to_parent[0]);
	*window = window_take(pid, fd);
	return pid;
}

static void check_orphan(int window, void *view)
{
	struct hyv_window_info info = window_info(window);
	int i;

	for (i = 0; i < 12; i++)
		CHECK_EQ(*word(view, i * PAGE), 0);
	CHECK_EQ(info.flags, HYV_WINDOW_ORPHAN);
	CHECK_EQ(info.pinned, 0);
	CHECK_EQ(info.revoked, 0);
	CHECK_ERRNO(window_map(window, 64 * PAGE, memory_anon(1, 1), PAGE, 0), EPERM);
	CHECK_ERRNO(window_unmap(window, 0, 2 * PAGE), EPERM);
}

static void creator_killed(void)
{
	long pinned = pinned_pages();
	int window, i;
	pid_t pid = creator_start(&window);
	void *view = window_view(window, 0, SIZE, PROT_READ | PROT_WRITE);

	for (i = 0; i < 12; i += 4)
		CHECK_EQ(*word(view, (i + 1) * PAGE), 11 + 10 * (i / 4));
	CHECK_EQ(window_info(window).flags, 0);
	CHECK_EQ(window_info(window).pinned, 4);
	CHECK(pinned_pages() >= pinned + 4);	/* udmabuf pins pages as well */
	CHECK(!kill(pid, SIGKILL));
	CHECK_EQ(child_wait(pid), 128 + SIGKILL);
	check_orphan(window, view);
	CHECK_EQ(pinned_pages(), pinned);
	*word(view, 0) = 1;		/* scratch, still */
	CHECK_EQ(*word(view, 5 * PAGE), 1);
}

static void ignore_signal(int sig)
{
	(void)sig;
}

static void creator_calls_exec(void)
{
	int window, i;
	void *view;
	pid_t pid;

	signal(SIGUSR1, ignore_signal);
	pid = creator_start(&window);
	view = window_view(window, 0, SIZE, PROT_READ | PROT_WRITE);
	CHECK_EQ(*word(view, 0), 10);
	CHECK(!kill(pid, SIGUSR1));
	for (i = 0; i < 1000 && window_info(window).flags != HYV_WINDOW_ORPHAN; i++)
		usleep(10000);
	check_orphan(window, view);
	CHECK(!kill(pid, SIGKILL));
	CHECK_EQ(child_wait(pid), 128 + SIGKILL);
}

/* ---- races ---- */

#define VALUE_A		0xaaaaUL
#define VALUE_B		0xbbbbUL
#define POISON		0xdeadUL	/* in a page only while it must not be seen */

struct watch {
	void *view;
	size_t pages;
	int stop;
	uint64_t seen_a, seen_b, seen_other;
};

/* reads one page all the time; scratch is zero unless a test wrote there */
static void *watch_thread(void *arg)
{
	struct watch *w = arg;
	uint64_t value;
	size_t i = 0;

	while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
		value = *word(w->view, i++ % w->pages * PAGE);
		CHECK(value != POISON);
		w->seen_a += value == VALUE_A;
		w->seen_b += value == VALUE_B;
		w->seen_other += value != VALUE_A && value != VALUE_B;
	}
	return NULL;
}

/*
 * A viewer with two threads reads pages that are switched all the time. A page is poisoned as soon
 * as UNMAP has returned, so an entry that outlives UNMAP is found out.
 */
static void switch_under_readers(void *a, void *b, size_t pages)
{
	uint64_t *seen = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int window = window_of(SIZE), i;
	time_t start = time(NULL);
	pid_t pid;

	CHECK(seen != MAP_FAILED);
	pid = fork();
	if (!pid) {
		struct watch w[2] = { };
		pthread_t thread[2];

		for (i = 0; i < 2; i++) {
			w[i].view = window_view(window, 0, SIZE, PROT_READ | PROT_WRITE);
			w[i].pages = pages;
			CHECK(!pthread_create(&thread[i], NULL, watch_thread, &w[i]));
		}
		__atomic_store_n(&seen[0], 1, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&seen[0], __ATOMIC_SEQ_CST) == 1)
			usleep(1000);
		for (i = 0; i < 2; i++) {
			w[i].stop = 1;
			CHECK(!pthread_join(thread[i], NULL));
			seen[1] += w[i].seen_a;
			seen[2] += w[i].seen_b;
			seen[3] += w[i].seen_other;
		}
		_exit(0);
	}
	while (!__atomic_load_n(&seen[0], __ATOMIC_SEQ_CST))
		usleep(1000);
	for (i = 0; race_goes_on(start); i++) {
		void *memory = i % 2 ? a : b;

		memory_set(memory, pages, i % 2 ? VALUE_A : VALUE_B);
		CHECK(!window_map(window, 0, memory, pages * PAGE, 0));
		CHECK(!window_unmap(window, 0, pages * PAGE));
		memory_set(memory, pages, POISON);
	}
	seen[0] = 2;
	CHECK_EQ(child_wait(pid), 0);
	printf("# %d switches; reads of A, B, scratch: %lu %lu %lu\n", i, seen[1], seen[2],
	       seen[3]);
	CHECK(seen[1] && seen[2] && seen[3]);
	CHECK_EQ(window_info(window).maps, 0);
	CHECK_EQ(window_info(window).pinned, 0);
}

static void switch_pinned(void)
{
	switch_under_readers(memory_anon(2, 0), memory_memfd(2, 0), 2);
}

static void switch_pfnmap(void)
{
	switch_under_readers(memory_pfnmap(2, 0), memory_pfnmap(2, 0), 2);
}

/*
 * The creator pulls sources away under readers: revocation must be complete when munmap() returns.
 * The pages live on in a memfd, where they are poisoned.
 */
static void revoke_under_readers(void)
{
	int window = window_of(SIZE), memfd = memfd_create("revoke", 0), i;
	void *keep, *source;
	struct watch w = { .view = window_view(window, 0, SIZE, PROT_READ), .pages = 1 };
	time_t start = time(NULL);
	pthread_t thread;

	CHECK(memfd >= 0 && !ftruncate(memfd, PAGE));
	keep = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	CHECK(keep != MAP_FAILED);
	CHECK(!pthread_create(&thread, NULL, watch_thread, &w));
	for (i = 0; race_goes_on(start); i++) {
		*word(keep, 0) = VALUE_A;
		source = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
		CHECK(source != MAP_FAILED);
		CHECK(!window_map(window, 0, source, PAGE, 0));
		CHECK(!munmap(source, PAGE));
		*word(keep, 0) = POISON;
		CHECK(!window_unmap(window, 0, PAGE));
	}
	w.stop = 1;
	CHECK(!pthread_join(thread, NULL));
	printf("# %d revocations; reads of A, scratch: %lu %lu\n", i, w.seen_a, w.seen_other);
	CHECK(w.seen_a && w.seen_other);
	CHECK_EQ(window_info(window).revoked, i);
}

struct stress {
	int window, slot;
	int *stop;
	void *pfnmap;
	unsigned long maps, refused;
};

/* a creator's thread: maps, loses and unmaps pieces in its eighth of the window, and beyond */
static void *stress_creator(void *arg)
{
	struct stress *s = arg;
	unsigned int seed = 1000 + s->slot, pages, page, ro;
	void *memory;

	while (!__atomic_load_n(s->stop, __ATOMIC_RELAXED)) {
		pages = 1 + rand_r(&seed) % 8;
		page = s->slot * 16 + rand_r(&seed) % 24;
		ro = rand_r(&seed) % 4 ? 0 : RO;
		memory = rand_r(&seed) % 2 ? memory_anon(pages, 1) : s->pfnmap;
		if (!window_map(s->window, page * PAGE, memory, pages * PAGE, ro)) {
			s->maps++;
			if (memory != s->pfnmap && rand_r(&seed) % 2) {
				CHECK(!munmap(memory, pages * PAGE));
				memory = s->pfnmap;
			}
			if (rand_r(&seed) % 8 == 0)
				sched_yield();
			CHECK(!window_unmap(s->window, page * PAGE, pages * PAGE));
		} else {
			CHECK(errno == EEXIST);
			s->refused++;
		}
		if (memory != s->pfnmap)
			CHECK(!munmap(memory, pages * PAGE));
	}
	return NULL;
}

/* a viewer: maps parts of the window, reads and writes at random, splits, moves and forks */
static _Noreturn void stress_viewer(int window, unsigned int seed)
{
	uint64_t pages = SIZE / PAGE, offset, length, i;
	char *view;

	for (;;) {
		offset = rand_r(&seed) % 128;
		length = 1 + rand_r(&seed) % 128;
		view = window_view(window, offset * PAGE, length * PAGE, PROT_READ | PROT_WRITE);
		CHECK(offset + length <= pages);
		for (i = 0; i < 200; i++) {
			volatile uint64_t *p = word(view, rand_r(&seed) % length * PAGE);

			if (rand_r(&seed) % 2)
				*p = 0;
			else
				(void)*p;
		}
		switch (rand_r(&seed) % 4) {
		case 0:
			CHECK(!mprotect(view + length / 2 * PAGE, PAGE, PROT_READ));
			break;
		case 1:
			CHECK(!munmap(view + length / 2 * PAGE, PAGE));
			break;
		case 2:
			if (!fork())
				_exit(0);
			waitpid(-1, NULL, 0);
			break;
		}
		CHECK(!munmap(view, length * PAGE));
	}
}

static void stress(void)
{
	int window = window_of(SIZE), stop = 0, i;
	struct stress s[4] = { };
	pthread_t thread[4];
	pid_t viewer[2];
	struct hyv_window_info info;
	time_t start = time(NULL);
	long pinned;

	for (i = 0; i < 4; i++)
		s[i] = (struct stress){ window, i, &stop, memory_pfnmap(8, 1), 0, 0 };
	pinned = pinned_pages();	/* udmabuf's */
	for (i = 0; i < 2; i++) {
		viewer[i] = fork();
		if (!viewer[i])
			stress_viewer(window, i);
	}
	for (i = 0; i < 4; i++)
		CHECK(!pthread_create(&thread[i], NULL, stress_creator, &s[i]));
	while (race_goes_on(start))
		usleep(100000);
	stop = 1;
	for (i = 0; i < 4; i++) {
		CHECK(!pthread_join(thread[i], NULL));
		printf("# thread %d: %lu mapped, %lu refused\n", i, s[i].maps, s[i].refused);
		CHECK(s[i].maps > 10);
	}
	for (i = 0; i < 2; i++) {
		CHECK_EQ(waitpid(viewer[i], NULL, WNOHANG), 0);	/* alive: no SIGBUS, no SIGSEGV */
		CHECK(!kill(viewer[i], SIGKILL));
		CHECK_EQ(child_wait(viewer[i]), 128 + SIGKILL);
	}
	info = window_info(window);
	CHECK_EQ(info.maps, 0);
	CHECK_EQ(info.pages, 0);
	CHECK_EQ(info.pinned, 0);
	CHECK(info.revoked > 0);
	CHECK_EQ(pinned_pages(), pinned);
}

/* creators die in the middle of everything, while a viewer reads */
static void creators_killed_in_a_row(void)
{
	struct watch w = { .pages = 64 };
	long pinned = pinned_pages();
	pthread_t thread;
	pid_t pid, viewer;
	int window, i, j;
	time_t start = time(NULL);

	for (i = 0; race_goes_on(start); i++) {
		int fds[2], fd;

		CHECK(!pipe(fds));
		pid = fork();
		if (!pid) {
			void *pfnmap = memory_pfnmap(8, VALUE_A), *anon = memory_anon(8, VALUE_A);

			fd = window_of(SIZE);
			CHECK(write(fds[1], &fd, sizeof(fd)) == sizeof(fd));
			for (j = 0;; j++) {
				window_map(fd, j % 8 * 8 * PAGE, j % 2 ? pfnmap : anon, 8 * PAGE,
					   0);
				window_unmap(fd, (j + 5) % 8 * 8 * PAGE, 8 * PAGE);
			}
		}
		CHECK(read(fds[0], &fd, sizeof(fd)) == sizeof(fd));
		window = window_take(pid, fd);
		viewer = fork();
		if (!viewer) {
			w.view = window_view(window, 0, SIZE, PROT_READ);
			CHECK(!pthread_create(&thread, NULL, watch_thread, &w));
			pause();
		}
		usleep(10000 + i % 64 * 1000);
		CHECK(!kill(pid, SIGKILL));
		CHECK_EQ(child_wait(pid), 128 + SIGKILL);
		CHECK_EQ(window_info(window).flags, HYV_WINDOW_ORPHAN);
		CHECK_EQ(window_info(window).pinned, 0);
		CHECK(!kill(viewer, SIGKILL));
		CHECK_EQ(child_wait(viewer), 128 + SIGKILL);
		close(window);
		close(fds[0]);
		close(fds[1]);
	}
	printf("# %d creators\n", i);
	CHECK_EQ(pinned_pages(), pinned);
}

/* ---- the operator's view ---- */

static bool listed(const char *line)
{
	FILE *f = fopen("/sys/kernel/debug/hyv_window/windows", "r");
	char text[200];
	bool found = false;

	CHECK(f);
	CHECK(fgets(text, sizeof(text), f));
	CHECK(!strcmp(text, "id pid comm size maps pages pinned revoked state\n"));
	while (fgets(text, sizeof(text), f))
		found |= strstr(text, line) != NULL;	/* after the id */
	fclose(f);
	return found;
}

static void debugfs(void)
{
	int window = window_of(SIZE);
	char line[100];

	snprintf(line, sizeof(line), " %d test_window 1048576 0 0 0 0 ok\n", getpid());
	CHECK(listed(line));
	CHECK(!window_map(window, 0, memory_anon(3, 1), 3 * PAGE, 0));
	CHECK(!window_map(window, 8 * PAGE, memory_pfnmap(2, 1), 2 * PAGE, 0));
	snprintf(line, sizeof(line), " %d test_window 1048576 2 5 3 0 ok\n", getpid());
	CHECK(listed(line));
	close(window);
	snprintf(line, sizeof(line), " %d test_window", getpid());
	CHECK(!listed(line));
}

static const struct test tests[] = {
	{ "create_arguments", create_arguments },
	{ "view_arguments", view_arguments },
	{ "holes", holes },
	{ "map_anon", map_anon },
	{ "map_memfd", map_memfd },
	{ "map_pfnmap", map_pfnmap },
	{ "map_uncached", map_uncached },
	{ "map_write_combining", map_write_combining },
	{ "map_large", map_large },
	{ "map_before_view", map_before_view },
	{ "map_arguments", map_arguments },
	{ "map_answer_not_writable", map_answer_not_writable },
	{ "map_private_pfnmap", map_private_pfnmap },
	{ "map_huge_page", map_huge_page },
	{ "foreign_process", foreign_process },
	{ "creator_thread", creator_thread },
	{ "memlock_limit", memlock_limit },
	{ "read_only_anon", read_only_anon },
	{ "read_only_pfnmap", read_only_pfnmap },
	{ "read_only_then_mprotect", read_only_then_mprotect },
	{ "view_not_inherited", view_not_inherited },
	{ "view_split_and_moved", view_split_and_moved },
	{ "many_viewers", many_viewers },
	{ "revoked_anon", revoked_anon },
	{ "revoked_memfd", revoked_memfd },
	{ "revoked_pfnmap", revoked_pfnmap },
	{ "moved_anon", moved_anon },
	{ "moved_pfnmap", moved_pfnmap },
	{ "pinned_stays", pinned_stays },
	{ "pfnmap_access_lost", pfnmap_access_lost },
	{ "creator_killed", creator_killed },
	{ "creator_calls_exec", creator_calls_exec },
	{ "switch_pinned", switch_pinned },
	{ "switch_pfnmap", switch_pfnmap },
	{ "revoke_under_readers", revoke_under_readers },
	{ "stress", stress },
	{ "creators_killed_in_a_row", creators_killed_in_a_row },
	{ "debugfs", debugfs },
	{ }
};

int main(int argc, char **argv)
{
	return test_main(tests, argc, argv);
}
