// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Unit tests of guest memory (gmem.c, gmem_assemble.c, gmem_place.c, gmem_space.c) on memfds that the tests make. Whether an
 * address can be touched is asked of the kernel with process_vm_readv(), not tried.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <cmocka.h>

#include "gmem.h"
#include "log.h"
#include "random.h"

#define PAGE	4096ull
#define MIB	(1ull << 20)
#define QEMU_VA 0x7f0000000000ull

static unsigned int munmaps, mmaps;
static bool munmap_fails; /* as with too many mappings */
static int mmaps_left = -1; /* then it fails, too; -1: it does not */

int __real_munmap(void *addr, size_t len);
int __wrap_munmap(void *addr, size_t len);
int __wrap_munmap(void *addr, size_t len)
{
	munmaps++;
	errno = ENOMEM;
	return munmap_fails ? -1 : __real_munmap(addr, len);
}

/* what mmap() is called with a 64-bit off_t */
void *__real_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	mmaps++;
	errno = ENOMEM;
	if (!mmaps_left)
		return MAP_FAILED;
	mmaps_left -= mmaps_left > 0;
	return __real_mmap64(addr, len, prot, flags, fd, offset);
}

static int memfd(uint64_t len, unsigned int flags)
{
	int fd = memfd_create("guest", flags);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, len), 0);
	return fd;
}

/* A region at @gpa of a duplicate of @fd; its QEMU address is QEMU_VA + gpa. */
static struct gmem_region region(int fd, uint64_t gpa, uint64_t len, uint64_t offset)
{
	return (struct gmem_region){ { gpa }, len, QEMU_VA + gpa, offset, dup(fd) };
}

/* Write the number of each page of the file into its first bytes. */
static void number_pages(int fd, uint64_t len)
{
	uint64_t at;

	for (at = 0; at < len; at += PAGE) {
		uint64_t n = at / PAGE;

		assert_int_equal(pwrite(fd, &n, sizeof(n), at), sizeof(n));
	}
}

static uint64_t page_number(const void *va)
{
	uint64_t n;

	memcpy(&n, va, sizeof(n));
	return n;
}

static bool accessible(const void *va)
{
	char c;
	struct iovec to = { &c, 1 }, from = { (void *)va, 1 };

	return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == 1;
}

static int count_fds(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/**
 * struct fixture - 1 MiB at 0 and 4 MiB at 16 MiB, of one file, in that order; and an address space
 */
struct fixture {
	struct gmem *gm;
	struct gmem_space *space;
	int fd;
	int fds_before;
};

#define LOW  0ull
#define HIGH (16 * MIB)

static void set_both(struct fixture *f)
{
	struct gmem_region r[] = { region(f->fd, HIGH, 4 * MIB, MIB), region(f->fd, LOW, MIB, 0) };

	assert_int_equal(gmem_set_table(f->gm, r, 2), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->fds_before = count_fds();
	f->gm = gmem_create(NULL);
	assert_non_null(f->gm);
	f->fd = memfd(8 * MIB, 0);
	number_pages(f->fd, 8 * MIB);
	set_both(f);
	f->space = gmem_space_create(f->gm);
	assert_non_null(f->space);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	gmem_space_destroy(f->space);
	gmem_destroy(f->gm);
	close(f->fd);
	assert_int_equal(count_fds(), f->fds_before);
	free(f);
	return 0;
}

static void *va_of(struct fixture *f, uint64_t gpa)
{
	return gmem_va(f->gm, (struct gpa){ gpa }, 1);
}

static void test_no_table(void **state)
{
	struct gmem *gm = gmem_create(NULL);
	struct gmem_span span;
	struct gpa gpa = { 0 };
	char c;

	(void)state;
	assert_int_equal(gmem_total(gm), 0);
	assert_null(gmem_va(gm, gpa, 1));
	assert_int_equal(gmem_read(gm, &c, gpa, 1), -EFAULT);
	assert_int_equal(gmem_write(gm, gpa, "x", 1), -EFAULT);
	assert_int_equal(gmem_from_qemu_va(gm, QEMU_VA, 1, &gpa), -EFAULT);
	assert_int_equal(gmem_assemble(gm, &(struct gmem_extent){ { 0 }, 1 }, 1, &span), -EFAULT);
	gmem_destroy(gm);
}

static void test_linear_map(void **state)
{
	struct fixture *f = *state;
	uint8_t *low = va_of(f, LOW), *high = va_of(f, HIGH);

	assert_int_equal(gmem_total(f->gm), 5 * MIB);
	assert_ptr_equal(low + HIGH, high);
	assert_int_equal(page_number(low + 3 * PAGE), 3);
	assert_int_equal(page_number(high), MIB / PAGE);
	assert_int_equal((uintptr_t)low % (1 << 30), 0);
}

static void test_bounds(void **state)
{
	struct fixture *f = *state;

	assert_non_null(gmem_va(f->gm, (struct gpa){ 0 }, MIB));
	assert_null(gmem_va(f->gm, (struct gpa){ 0 }, MIB + 1));
	assert_null(gmem_va(f->gm, (struct gpa){ 0 }, 0));
	assert_non_null(gmem_va(f->gm, (struct gpa){ MIB - 1 }, 1));
	assert_null(gmem_va(f->gm, (struct gpa){ MIB }, 1));
	assert_null(gmem_va(f->gm, (struct gpa){ HIGH - 1 }, 2));
	assert_null(gmem_va(f->gm, (struct gpa){ UINT64_MAX }, 1));
	assert_null(gmem_va(f->gm, (struct gpa){ HIGH }, UINT64_MAX));
	assert_null(gmem_va(f->gm, (struct gpa){ HIGH }, UINT64_MAX - HIGH + 1));
}

static void test_read_write(void **state)
{
	struct fixture *f = *state;
	char in[16] = "over the edges", out[16] = "";

	assert_int_equal(gmem_write(f->gm, (struct gpa){ HIGH + PAGE - 8 }, in, 16), 0);
	assert_int_equal(gmem_read(f->gm, out, (struct gpa){ HIGH + PAGE - 8 }, 16), 0);
	assert_memory_equal(in, out, 16);
	assert_int_equal(pread(f->fd, out, 16, MIB + PAGE - 8), 16);
	assert_memory_equal(in, out, 16);

	assert_int_equal(gmem_read(f->gm, out, (struct gpa){ MIB - 8 }, 16), -EFAULT);
	assert_int_equal(gmem_write(f->gm, (struct gpa){ MIB - 8 }, in, 16), -EFAULT);
	assert_int_equal(gmem_read(f->gm, out, (struct gpa){ UINT64_MAX - 4 }, 16), -EFAULT);
}

static void test_qemu_va(void **state)
{
	struct fixture *f = *state;
	struct gpa gpa = { 1 };

	assert_int_equal(gmem_from_qemu_va(f->gm, QEMU_VA + HIGH + 5, 10, &gpa), 0);
	assert_int_equal(gpa.val, HIGH + 5);
	assert_int_equal(gmem_from_qemu_va(f->gm, QEMU_VA + MIB - 4, 4, &gpa), 0);
	assert_int_equal(gpa.val, MIB - 4);
	assert_int_equal(gmem_from_qemu_va(f->gm, QEMU_VA + MIB - 4, 5, &gpa), -EFAULT);
	assert_int_equal(gmem_from_qemu_va(f->gm, QEMU_VA - 1, 1, &gpa), -EFAULT);
	assert_int_equal(gmem_from_qemu_va(f->gm, QEMU_VA, UINT64_MAX, &gpa), -EFAULT);
}

/*
 * A region that stays must not be mapped anew. A page that is private to the old mapping shows it:
 * were the file mapped again, the page would be the file's.
 */
static void test_unchanged_region_keeps_mapping(void **state)
{
	struct fixture *f = *state;
	uint8_t *high = va_of(f, HIGH);
	uint64_t mark = 0xabcdef;

	assert_ptr_equal(mmap(high + PAGE, PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 high + PAGE);
	memcpy(high + PAGE, &mark, sizeof(mark));
	set_both(f);
	assert_ptr_equal(va_of(f, HIGH), high);
	assert_int_equal(page_number(high + PAGE), mark);
}

static void test_vanished_region_is_inaccessible(void **state)
{
	struct fixture *f = *state;
	uint8_t *low = va_of(f, LOW), *high = va_of(f, HIGH);
	struct gmem_region r[] = { region(f->fd, LOW, MIB, 0) };

	assert_true(accessible(high));
	assert_int_equal(gmem_set_table(f->gm, r, 1), 0);
	assert_false(accessible(high));
	assert_false(accessible(high + 4 * MIB - 1));
	assert_null(va_of(f, HIGH));
	assert_true(accessible(low));

	set_both(f);
	assert_ptr_equal(va_of(f, HIGH), high);
	assert_int_equal(page_number(high), MIB / PAGE);
}

static void test_moved_and_replaced_region(void **state)
{
	struct fixture *f = *state;
	uint8_t *low = va_of(f, LOW);
	int other = memfd(MIB, 0);
	struct gmem_region moved[] = { region(f->fd, LOW, MIB, 2 * MIB) };
	struct gmem_region replaced[] = { region(other, LOW, MIB, 0) };

	assert_int_equal(gmem_set_table(f->gm, moved, 1), 0);
	assert_int_equal(page_number(low), 2 * MIB / PAGE);
	assert_int_equal(gmem_set_table(f->gm, replaced, 1), 0);
	assert_int_equal(page_number(low + PAGE), 0);
	close(other);
}

/* What is no memory is left out, and the rest still works: our own window comes back like that. */
static void test_foreign_files_are_skipped(void **state)
{
	struct fixture *f = *state;
	int event = eventfd(0, 0), zero = open("/dev/zero", O_RDWR), small = memfd(PAGE, 0);
	struct gmem_region r[] = {
		region(event, 64 * MIB, MIB, 0),      region(f->fd, LOW, MIB, 0),
		region(zero, 1ull << 60, MIB, 0),     region(small, 128 * MIB, MIB, 0),
		region(small, 256 * MIB, PAGE, PAGE), { { 512 * MIB }, PAGE, QEMU_VA, 0, -1 },
	};

	assert_int_equal(gmem_set_table(f->gm, r, 6), 0);
	assert_int_equal(gmem_total(f->gm), MIB);
	assert_non_null(va_of(f, LOW));
	assert_null(va_of(f, 64 * MIB));
	assert_null(va_of(f, 128 * MIB));
	assert_null(va_of(f, 256 * MIB));
	close(event);
	close(zero);
	close(small);
}

/* Set a table that must be refused: afterwards nothing is left of the old one either. */
static void expect_refused(struct fixture *f, const struct gmem_region *r, unsigned int n, int err)
{
	uint8_t *low = va_of(f, LOW);

	assert_non_null(low);
	assert_int_equal(gmem_set_table(f->gm, r, n), err);
	assert_int_equal(gmem_total(f->gm), 0);
	assert_null(va_of(f, LOW));
	assert_false(accessible(low));
	set_both(f);
	assert_ptr_equal(va_of(f, LOW), low);
	assert_int_equal(page_number(low + PAGE), 1);
}

static void test_bad_tables(void **state)
{
	struct fixture *f = *state;
	struct gmem_region beyond[] = { region(f->fd, 0, MIB, 0),
					region(f->fd, 1ull << 40, MIB, 0) };
	struct gmem_region straddle[] = { region(f->fd, (1ull << 40) - PAGE, MIB, 0) };
	struct gmem_region overflow[] = { region(f->fd, UINT64_MAX - PAGE + 1, MIB, 0) };
	struct gmem_region empty[] = { region(f->fd, 0, 0, 0) };
	struct gmem_region overlap[] = { region(f->fd, PAGE, MIB, 0), region(f->fd, MIB, MIB, 0) };
	struct gmem_region twice[] = { region(f->fd, 0, MIB, 0), region(f->fd, PAGE, MIB, PAGE) };
	struct gmem_region gpa_off[] = { region(f->fd, 512, MIB, 0) };
	struct gmem_region len_off[] = { region(f->fd, 0, MIB - 1, 0) };
	struct gmem_region file_off[] = { region(f->fd, 0, MIB, 512) };
	struct gmem_region va_off[] = { region(f->fd, 0, MIB, 0) };

	expect_refused(f, beyond, 2, -EFBIG);
	expect_refused(f, straddle, 1, -EFBIG);
	expect_refused(f, overflow, 1, -EINVAL);
	expect_refused(f, empty, 1, -EINVAL);
	expect_refused(f, overlap, 2, -EINVAL);
	expect_refused(f, twice, 2, -EINVAL);
	expect_refused(f, gpa_off, 1, -EINVAL);
	expect_refused(f, len_off, 1, -EINVAL);
	expect_refused(f, file_off, 1, -EINVAL);
	va_off[0].qemu_va += 6;
	expect_refused(f, va_off, 1, -EINVAL);
}

static void test_touching_regions(void **state)
{
	struct fixture *f = *state;
	struct gmem_region r[] = { region(f->fd, 0, MIB, MIB), region(f->fd, MIB, MIB, 0) };
	struct gmem_extent ext[] = { { { MIB - PAGE }, 2 * PAGE }, { { 0 }, PAGE } };
	struct gmem_span span;
	char buf[16];

	assert_int_equal(gmem_set_table(f->gm, r, 2), 0);
	assert_non_null(gmem_va(f->gm, (struct gpa){ 0 }, 2 * MIB));
	assert_int_equal(gmem_read(f->gm, buf, (struct gpa){ MIB - 8 }, 16), 0);

	/* The extent spans both regions, so both files' pages must be found. */
	assert_int_equal(gmem_assemble(f->gm, ext, 2, &span), 0);
	assert_int_equal(page_number(span.va), 2 * MIB / PAGE - 1);
	assert_int_equal(page_number((uint8_t *)span.va + PAGE), 0);
	assert_int_equal(page_number((uint8_t *)span.va + 2 * PAGE), MIB / PAGE);
	gmem_span_release(&span);
}

static void test_assemble_single(void **state)
{
	struct fixture *f = *state;
	struct gmem_extent one = { { HIGH + 100 }, 3 * PAGE };
	struct gmem_extent touching[] = { { { HIGH + 100 }, 50 },
					  { { HIGH + 150 }, PAGE },
					  { { HIGH + PAGE + 150 }, 7 } };
	struct gmem_span span;

	assert_int_equal(gmem_assemble(f->gm, &one, 1, &span), 0);
	assert_ptr_equal(span.va, (uint8_t *)va_of(f, HIGH) + 100);
	assert_int_equal(span.assembled_len, 0);
	gmem_span_release(&span);
	assert_int_equal(gmem_assemble(f->gm, touching, 3, &span), 0);
	assert_ptr_equal(span.va, (uint8_t *)va_of(f, HIGH) + 100);
	assert_int_equal(span.assembled_len, 0);
	gmem_span_release(&span);
	assert_true(accessible(va_of(f, HIGH)));
}

static void test_assemble_scattered(void **state)
{
	struct fixture *f = *state;
	struct gmem_extent ext[] = {
		{ { HIGH + 9 * PAGE + 100 }, PAGE - 100 },
		{ { LOW + 3 * PAGE }, 2 * PAGE },
		{ { HIGH + 5 * PAGE }, 10 },
	};
	struct gmem_span span;
	uint8_t *va;

	assert_int_equal(gmem_assemble(f->gm, ext, 3, &span), 0);
	va = span.va;
	assert_int_equal((uintptr_t)va % PAGE, 100);
	assert_int_equal(page_number(va - 100), MIB / PAGE + 9);
	assert_int_equal(page_number(va - 100 + PAGE), 3);
	assert_int_equal(page_number(va - 100 + 2 * PAGE), 4);
	assert_int_equal(page_number(va - 100 + 3 * PAGE), MIB / PAGE + 5);

	/* It is the same memory, both ways. */
	memcpy(va, "shared", 7);
	assert_string_equal((char *)va_of(f, HIGH) + 9 * PAGE + 100, "shared");
	gmem_span_release(&span);
	assert_false(accessible(va));
	assert_null(span.va);
}

/* Pieces that follow each other in the file need one mapping although the guest sees a hole. */
static void test_assemble_joins_file_neighbours(void **state)
{
	struct fixture *f = *state;
	struct gmem_extent ext[] = { { { MIB - PAGE }, PAGE }, { { HIGH }, PAGE } };
	struct gmem_span span;

	assert_int_equal(gmem_assemble(f->gm, ext, 2, &span), 0);
	assert_int_equal(span.assembled_len, 2 * PAGE);
	assert_int_equal(page_number(span.va), MIB / PAGE - 1);
	assert_int_equal(page_number((uint8_t *)span.va + PAGE), MIB / PAGE);
	/* The mappings move only as one if they are one. */
	assert_ptr_not_equal(mremap(span.va, 2 * PAGE, PAGE * 2, MREMAP_MAYMOVE), MAP_FAILED);
	gmem_span_release(&span);
}

static void expect_assemble(struct fixture *f, uint64_t a, uint64_t alen, uint64_t b, uint64_t blen,
			    int err)
{
	struct gmem_extent ext[] = { { { a }, alen }, { { b }, blen } };
	struct gmem_span span = { 0 };

	assert_int_equal(gmem_assemble(f->gm, ext, 2, &span), err);
	assert_null(span.va);
	assert_int_equal(span.assembled_len, 0);
}

static void test_assemble_refusals(void **state)
{
	struct fixture *f = *state;
	struct gmem_span span;

	assert_int_equal(gmem_assemble(f->gm, NULL, 0, &span), -EINVAL);
	/* inner boundaries off the page */
	expect_assemble(f, HIGH, PAGE - 1, LOW, PAGE, -EINVAL);
	expect_assemble(f, HIGH, PAGE, LOW + 1, PAGE, -EINVAL);
	expect_assemble(f, HIGH, 1, LOW, PAGE, -EINVAL);
	/* no memory */
	expect_assemble(f, HIGH, PAGE, MIB, PAGE, -EFAULT);
	expect_assemble(f, HIGH, PAGE, MIB - PAGE, 2 * PAGE, -EFAULT);
	expect_assemble(f, HIGH, PAGE, UINT64_MAX - PAGE + 1, 2 * PAGE, -EFAULT);
	expect_assemble(f, HIGH, 0, LOW, PAGE, -EFAULT);
	expect_assemble(f, HIGH, UINT64_MAX, LOW, PAGE, -EFAULT);
}

/*
 * More pieces than vm.max_map_count allows: refused, and nothing is left behind. The address
 * sanitizer needs mappings itself to unmap; tests/e2e/scattered.sh proves it in the lab.
 */
static void test_assemble_too_many_pieces(void **state)
{
	struct fixture *f = *state;
	struct gmem_extent *ext;
	struct gmem_span span;
	unsigned long limit;
	FILE *file = fopen("/proc/sys/vm/max_map_count", "r");
	size_t i, n;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu", &limit), 1);
	fclose(file);
#ifdef __SANITIZE_ADDRESS__
	limit = UINT32_MAX;
#endif
	if (limit > 200000)
		skip();
	n = limit + 10;
	ext = calloc(n, sizeof(*ext));
	for (i = 0; i < n; i++)
		ext[i] = (struct gmem_extent){ { HIGH + (i % 2) * 2 * PAGE }, PAGE };
	assert_int_equal(gmem_assemble(f->gm, ext, n, &span), -ENOMEM);
	assert_null(span.va);
	assert_int_equal(gmem_assemble(f->gm, ext, 1000, &span), 0);
	gmem_span_release(&span);
	free(ext);
}

#define HUGE (2 * MIB)

/* A hugetlb memory like that of a PC: the hole at 640 KiB is in the middle of a huge page. */
static void test_huge_pages(void **state)
{
	struct fixture *f = *state;
	int fd = memfd_create("huge", MFD_HUGETLB);
	struct gmem_extent scattered[] = { { { 6 * MIB }, PAGE }, { { 3 * MIB }, PAGE } };
	struct gmem_extent swapped[] = { { { 4 * MIB + PAGE }, HUGE - PAGE },
					 { { 2 * MIB }, HUGE } };
	struct gmem_extent linear = { { 0x100000 }, 4 * MIB };
	struct gmem_span span;
	uint8_t *va = MAP_FAILED;

	if (fd >= 0 && !ftruncate(fd, 4 * HUGE))
		va = mmap(NULL, 4 * HUGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (va == MAP_FAILED) {
		/* The machine has no huge pages: sysctl -w vm.nr_hugepages=4 */
		close(fd);
		skip();
	}
	memset(va, 0, 4 * HUGE);
	va[4 * MIB + PAGE] = 44;
	va[2 * MIB] = 22;

	struct gmem_region both[] = { region(fd, 0, 0xa0000, 0),
				      region(fd, 0x100000, 7 * MIB, 0x100000) };
	struct gmem_region low[] = { region(fd, 0, 0xa0000, 0) };

	assert_int_equal(gmem_set_table(f->gm, both, 2), 0);
	assert_non_null(gmem_va(f->gm, (struct gpa){ 0 }, 0xa0000));
	assert_null(gmem_va(f->gm, (struct gpa){ 0xa0000 }, 1));
	assert_int_equal(gmem_assemble(f->gm, &linear, 1, &span), 0);
	assert_int_equal(gmem_assemble(f->gm, scattered, 2, &span), -EOPNOTSUPP);
	assert_int_equal(gmem_assemble(f->gm, swapped, 2, &span), 0);
	assert_int_equal(*(uint8_t *)span.va, 44);
	assert_int_equal(((uint8_t *)span.va)[HUGE - PAGE], 22);
	gmem_span_release(&span);

	/* The neighbour in the same huge page goes, this region must stay. */
	assert_int_equal(gmem_set_table(f->gm, low, 1), 0);
	assert_true(accessible(va_of(f, 0x9f000)));
	assert_int_equal(gmem_set_table(f->gm, NULL, 0), 0);
	munmap(va, 4 * HUGE);
	close(fd);
}

#define PLACE 0x345678000000ull /* where nobody has anything */

static void test_assemble_at(void **state)
{
	struct fixture *f = *state;
	struct gmem_extent scattered[] = { { { HIGH + PAGE + 16 }, PAGE - 16 }, { { LOW }, 8 } };
	struct gmem_extent one = { { LOW + 2 * PAGE }, PAGE };
	struct gmem_span span;

	assert_int_equal(gmem_assemble_at(f->space, scattered, 2, PLACE + 16, &span), 0);
	assert_int_equal((uintptr_t)span.va, PLACE + 16);
	assert_int_equal(page_number((void *)PLACE), MIB / PAGE + 1);
	assert_int_equal(page_number((void *)(PLACE + PAGE)), 0);
	gmem_span_release(&span);
	assert_false(accessible((void *)PLACE));
	assert_int_equal(gmem_assemble_at(f->space, &one, 1, PLACE, &span), 0);
	assert_int_equal(page_number((void *)PLACE), 2);
	gmem_span_release(&span);
}

static void test_assemble_at_refusals(void **state)
{
	struct fixture *f = *state;
	struct gmem_extent one = { { LOW }, PAGE }, bad = { { 8 * MIB }, PAGE };
	void *ours = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct gmem_span span;

	assert_true(ours != MAP_FAILED);
	assert_int_equal(gmem_assemble_at(f->space, &one, 1, (uintptr_t)ours + PAGE, &span), -ENOMEM);
	assert_true(accessible(ours) && accessible((char *)ours + PAGE));
	munmap(ours, 2 * PAGE);
	assert_int_equal(gmem_assemble_at(f->space, &one, 1, 0, &span), -EINVAL);
	assert_int_equal(gmem_assemble_at(f->space, &one, 1, 1ull << 63, &span), -ENOMEM);
	assert_int_equal(gmem_assemble_at(f->space, &one, 1, UINT64_MAX & ~(PAGE - 1), &span),
			 -EINVAL);
	assert_int_equal(gmem_assemble_at(f->space, &one, 1, PLACE + 1, &span), -EINVAL);
	assert_int_equal(gmem_assemble_at(f->space, NULL, 0, PLACE, &span), -EINVAL);
	/* nor is anything put where the stack may grow to */
	assert_int_equal(gmem_assemble_at(f->space, &one, 1,
					  ((uintptr_t)&one & ~(PAGE - 1)) - 16 * PAGE, &span),
			 -ENOMEM);
	/* and what is refused for its memory leaves the place free */
	assert_int_equal(gmem_assemble_at(f->space, &bad, 1, PLACE, &span), -EFAULT);
	assert_int_equal(gmem_assemble_at(f->space, &one, 1, PLACE, &span), 0);
	gmem_span_release(&span);
}

/* Registrations of one process overlap: each has its memory until it goes, in whatever order. */
static void test_assemble_at_overlap(void **state)
{
	struct fixture *f = *state;
	struct gmem_extent all[] = { { { LOW }, PAGE },
				     { { HIGH }, 2 * PAGE },
				     { { LOW + 5 * PAGE }, PAGE } };
	struct gmem_extent middle = { { HIGH + 16 }, PAGE },
			   beyond[] = { all[2], { { LOW + 9 * PAGE }, PAGE } };
	struct gmem_span spans[4];

	assert_int_equal(gmem_assemble_at(f->space, &middle, 1, PLACE + PAGE + 16, &spans[0]), 0);
	assert_int_equal(gmem_assemble_at(f->space, all, 3, PLACE, &spans[1]), 0);
	assert_int_equal(gmem_assemble_at(f->space, beyond, 2, PLACE + 3 * PAGE, &spans[2]), 0);
	assert_int_equal(gmem_assemble_at(f->space, &middle, 1, PLACE + PAGE + 16, &spans[3]), 0);
	gmem_span_release(&spans[1]);
	assert_false(accessible((void *)PLACE));
	assert_int_equal(page_number((void *)(PLACE + PAGE)), MIB / PAGE);
	assert_int_equal(page_number((void *)(PLACE + 2 * PAGE)), MIB / PAGE + 1);
	assert_int_equal(page_number((void *)(PLACE + 3 * PAGE)), 5);
	assert_int_equal(page_number((void *)(PLACE + 4 * PAGE)), 9);
	gmem_span_release(&spans[0]);
	assert_int_equal(page_number((void *)(PLACE + 2 * PAGE)), MIB / PAGE + 1);
	gmem_span_release(&spans[3]);
	assert_false(accessible((void *)(PLACE + PAGE)) || accessible((void *)(PLACE + 2 * PAGE)));
	assert_int_equal(page_number((void *)(PLACE + 3 * PAGE)), 5);
	gmem_span_release(&spans[2]);
	assert_false(accessible((void *)(PLACE + 3 * PAGE)) ||
		     accessible((void *)(PLACE + 4 * PAGE)));
}

/* A process has different memory at an address: the second gets nothing, the first stays. */
static void test_assemble_at_conflict(void **state)
{
	struct fixture *f = *state;
	struct gmem_extent first = { { LOW + PAGE }, PAGE };
	struct gmem_extent second[] = { { { HIGH }, PAGE },
					{ { HIGH + 7 * PAGE }, PAGE },
					{ { HIGH }, PAGE } };
	struct gmem_span span, other;

	assert_int_equal(gmem_assemble_at(f->space, &first, 1, PLACE + PAGE, &span), 0);
	assert_int_equal(gmem_assemble_at(f->space, second, 3, PLACE, &other), -ENOMEM);
	assert_int_equal(page_number((void *)(PLACE + PAGE)), 1);
	assert_false(accessible((void *)PLACE) || accessible((void *)(PLACE + 2 * PAGE)));
	gmem_span_release(&span);
	assert_int_equal(gmem_assemble_at(f->space, second, 3, PLACE, &other), 0);
	gmem_span_release(&other);
}

/* Registrations that come and go within a larger one leave nothing behind. */
static void test_assemble_at_joins(void **state)
{
	struct fixture *f = *state;
	struct gmem_extent all = { { LOW }, 64 * PAGE }, beside = { { LOW + 64 * PAGE }, PAGE };
	struct gmem_extent scattered[] = { { { HIGH }, PAGE }, { { LOW }, PAGE } };
	struct gmem_span whole, part, next;
	unsigned int i;

	assert_int_equal(gmem_assemble_at(f->space, &all, 1, PLACE, &whole), 0);
	for (i = 0; i < 64; i++) {
		struct gmem_extent one = { { LOW + i * PAGE }, PAGE };

		assert_int_equal(gmem_assemble_at(f->space, &one, 1, PLACE + i * PAGE, &part), 0);
		gmem_span_release(&part);
		assert_int_equal(page_number((void *)(PLACE + i * PAGE)), i);
	}
	assert_int_equal(gmem_assemble_at(f->space, &beside, 1, PLACE + 64 * PAGE, &next), 0);
	munmaps = 0;
	gmem_span_release(&whole);
	assert_int_equal(munmaps, 1);
	assert_int_equal(page_number((void *)(PLACE + 64 * PAGE)), 64);
	gmem_span_release(&next);
	assert_int_equal(munmaps, 2);
	/* but pieces of different memory stay apart */
	assert_int_equal(gmem_assemble_at(f->space, scattered, 2, PLACE, &whole), 0);
	for (i = 0; i < 2; i++) {
		assert_int_equal(gmem_assemble_at(f->space, &scattered[1], 1, PLACE + PAGE, &part), 0);
		gmem_span_release(&part);
	}
	gmem_span_release(&whole);
	for (i = 0; i <= 64; i++)
		assert_false(accessible((void *)(PLACE + i * PAGE)));
}

static void test_assemble_at_unmapped_later(void **state)
{
	struct fixture *f = *state;
	struct gmem_extent first = { { LOW + PAGE }, PAGE }, second = { { HIGH }, PAGE };
	struct gmem_span span;

	munmap_fails = true;
	assert_int_equal(gmem_assemble_at(f->space, &first, 1, PLACE, &span), 0);
	gmem_span_release(&span);
	assert_true(accessible((void *)PLACE));
	/* the same memory can have it meanwhile */
	assert_int_equal(gmem_assemble_at(f->space, &first, 1, PLACE, &span), 0);
	assert_int_equal(page_number((void *)PLACE), 1);
	gmem_span_release(&span);
	assert_int_equal(gmem_assemble_at(f->space, &second, 1, PLACE, &span), -ENOMEM);
	munmap_fails = false;
	assert_int_equal(gmem_assemble_at(f->space, &second, 1, PLACE, &span), 0);
	assert_int_equal(page_number((void *)PLACE), MIB / PAGE);
	gmem_span_release(&span);
	assert_false(accessible((void *)PLACE));
}

/* Many registrations, seeded, of two kinds of memory: what is there is the memory of whoever holds it. */
static void test_assemble_at_random(void **state)
{
	struct fixture *f = *state;
	struct gmem_span spans[64] = { { 0 } };
	unsigned int i, from[64], pages[64], refused = 0;
	struct rnd r;

	rnd_init(&r, "assemble_at_random");
	for (i = 0; i < 20000; i++) {
		unsigned int n = rnd(&r, 64), k;

		if (spans[n].placed_in) {
			for (k = 0; k < pages[n]; k++)
				assert_int_equal(
					page_number((void *)(PLACE + (from[n] + k) * PAGE)),
					(n % 4 ? 0 : MIB / PAGE) + from[n] + k);
			gmem_span_release(&spans[n]);
			continue;
		}
		from[n] = rnd(&r, 40);
		pages[n] = 1 + rnd(&r, 9);
		struct gmem_extent ext = { { (n % 4 ? LOW : HIGH) + from[n] * PAGE },
					   pages[n] * PAGE };
		int ret = gmem_assemble_at(f->space, &ext, 1, PLACE + from[n] * PAGE, &spans[n]);

		assert_true(!ret || ret == -ENOMEM);
		refused += ret != 0;
	}
	for (i = 0; i < 64; i++)
		gmem_span_release(&spans[i]);
	assert_in_range(refused, 100, 15000);
	for (i = 0; i < 64; i++)
		assert_false(accessible((void *)(PLACE + i * PAGE)));
}

/* as gmem_enter() and gmem_leave(). Return: the number of the page at @va meanwhile, or UINT64_MAX for none */
static uint64_t page_in(struct gmem_space *space, uint64_t va)
{
	uint64_t n = UINT64_MAX;

	if (gmem_enter(space))
		return n;
	if (accessible((void *)va))
		n = page_number((void *)va);
	gmem_leave(space);
	return n;
}

/* Two processes have different memory at an address, as after a fork: who enters finds its own. */
static void test_spaces(void **state)
{
	struct fixture *f = *state;
	struct gmem_space *child = gmem_space_create(f->gm);
	struct gmem_extent first = { { LOW + PAGE }, PAGE };
	struct gmem_extent second[] = { { { HIGH }, PAGE },
					{ { HIGH + 7 * PAGE }, PAGE },
					{ { HIGH }, PAGE } };
	struct gmem_span span, other;
	unsigned int i;

	assert_non_null(child);
	assert_int_equal(gmem_assemble_at(f->space, &first, 1, PLACE + PAGE, &span), 0);
	assert_int_equal(gmem_assemble_at(child, second, 3, PLACE, &other), 0);
	assert_int_equal(page_number((void *)(PLACE + PAGE)), 1);
	for (i = 0; i < 2; i++) {
		assert_int_equal(page_in(child, PLACE), MIB / PAGE);
		assert_int_equal(page_in(child, PLACE + PAGE), MIB / PAGE + 7);
		assert_int_equal(page_in(child, PLACE + 2 * PAGE), MIB / PAGE);
		assert_int_equal(page_in(f->space, PLACE + PAGE), 1);
	}
	/* what one of them has stays mapped */
	gmem_span_release(&other);
	assert_false(accessible((void *)PLACE) || accessible((void *)(PLACE + 2 * PAGE)));
	assert_int_equal(page_in(f->space, PLACE + PAGE), 1);
	assert_int_equal(gmem_assemble_at(child, second, 3, PLACE, &other), 0);
	gmem_span_release(&span);
	assert_true(accessible((void *)(PLACE + PAGE)));
	assert_int_equal(page_in(child, PLACE + PAGE), MIB / PAGE + 7);
	gmem_span_release(&other);
	for (i = 0; i < 3; i++)
		assert_false(accessible((void *)(PLACE + i * PAGE)));
	gmem_space_destroy(child);
}

static void test_spaces_beside_ours(void **state)
{
	struct fixture *f = *state;
	struct gmem_space *child = gmem_space_create(f->gm);
	struct gmem_extent first = { { LOW }, 2 * PAGE }, second = { { HIGH }, 3 * PAGE };
	uint64_t *ours = mmap((void *)(PLACE + 2 * PAGE), PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	struct gmem_span span, other;

	assert_true(ours != MAP_FAILED);
	*ours = 4711;
	assert_int_equal(gmem_assemble_at(f->space, &first, 1, PLACE, &span), 0);
	assert_int_equal(gmem_assemble_at(child, &second, 1, PLACE, &other), -ENOMEM);
	assert_int_equal(gmem_assemble_at(child, &second, 1, PLACE - PAGE, &other), 0);
	assert_int_equal(page_in(child, PLACE + PAGE), MIB / PAGE + 2);
	assert_int_equal(page_in(f->space, PLACE + PAGE), 1);
	gmem_span_release(&other);
	assert_false(accessible((void *)(PLACE - PAGE)));
	/* a part that was free, and could not be unmapped again, is the process's until it can */
	munmap_fails = true;
	assert_int_equal(gmem_assemble_at(child, &second, 1, PLACE + PAGE, &other), -ENOMEM);
	second.len = 4 * PAGE;
	assert_int_equal(gmem_assemble_at(child, &second, 1, PLACE - PAGE, &other), -ENOMEM);
	assert_true(accessible((void *)(PLACE - PAGE)));
	gmem_space_destroy(child);
	assert_true(accessible((void *)(PLACE - PAGE)));
	munmap_fails = false;
	gmem_span_release(&span);
	assert_int_equal(gmem_assemble_at(f->space, &first, 1, PLACE, &span), 0);
	assert_false(accessible((void *)(PLACE - PAGE)));
	gmem_span_release(&span);
	assert_false(accessible((void *)PLACE));
	assert_int_equal(*ours, 4711);
	munmap(ours, PAGE);
}

/* What is hidden, and the guest's no more, cannot be entered; nothing else is shown for it. */
static void test_spaces_without_memory(void **state)
{
	struct fixture *f = *state;
	struct gmem_space *child = gmem_space_create(f->gm);
	struct gmem_extent first = { { LOW }, PAGE }, second = { { HIGH }, PAGE };
	struct gmem_region other = { { LOW }, MIB, QEMU_VA, 0, memfd(MIB, 0) };
	struct gmem_span span, hidden;

	assert_int_equal(gmem_assemble_at(f->space, &first, 1, PLACE, &span), 0);
	assert_int_equal(gmem_assemble_at(child, &second, 1, PLACE, &hidden), 0);
	assert_int_equal(gmem_set_table(f->gm, &other, 1), 0);
	assert_int_equal(gmem_enter(child), -EFAULT);
	gmem_span_release(&hidden);
	assert_int_equal(gmem_enter(child), 0);
	gmem_leave(child);
	gmem_span_release(&span);
	gmem_space_destroy(child);
	assert_false(accessible((void *)PLACE));
}

/* Contexts of one process have the same memory at an address: nothing is hidden by that. */
static void test_spaces_of_one_process(void **state)
{
	struct fixture *f = *state;
	struct gmem_space *other = gmem_space_create(f->gm);
	struct gmem_extent ext = { { HIGH }, 2 * PAGE };
	struct gmem_span spans[2];

	assert_int_equal(gmem_assemble_at(f->space, &ext, 1, PLACE, &spans[0]), 0);
	assert_int_equal(gmem_assemble_at(other, &ext, 1, PLACE, &spans[1]), 0);
	mmaps = 0;
	assert_int_equal(page_in(other, PLACE + PAGE), MIB / PAGE + 1);
	assert_int_equal(page_in(f->space, PLACE + PAGE), MIB / PAGE + 1);
	assert_int_equal(mmaps, 0);
	gmem_span_release(&spans[0]);
	assert_int_equal(page_in(other, PLACE), MIB / PAGE);
	gmem_span_release(&spans[1]);
	gmem_space_destroy(other);
	assert_false(accessible((void *)PLACE));
}

/* When there can be no more mappings: who has all that it needs keeps it, who has not is told. */
static void test_spaces_without_mappings(void **state)
{
	struct fixture *f = *state;
	struct gmem_space *child = gmem_space_create(f->gm);
	struct gmem_extent first = { { LOW }, 2 * PAGE };
	struct gmem_extent second[] = { { { HIGH }, PAGE }, { { HIGH + 7 * PAGE }, PAGE } };
	struct gmem_span span, other;

	assert_int_equal(gmem_assemble_at(f->space, &first, 1, PLACE, &span), 0);
	assert_int_equal(gmem_assemble_at(child, second, 2, PLACE, &other), 0);
	mmaps_left = 1;
	assert_int_equal(gmem_enter(child), -ENOMEM);
	mmaps_left = 0;
	assert_int_equal(gmem_enter(child), -ENOMEM);
	assert_int_equal(gmem_enter(f->space), -ENOMEM); /* the first page is the child's now */
	mmaps_left = -1;
	assert_int_equal(page_in(f->space, PLACE), 0);
	assert_int_equal(page_in(f->space, PLACE + PAGE), 1);
	mmaps_left = 0;
	assert_int_equal(gmem_enter(child), -ENOMEM);
	assert_int_equal(page_in(f->space, PLACE), 0);
	mmaps_left = -1;
	assert_int_equal(page_in(child, PLACE + PAGE), MIB / PAGE + 7);
	gmem_span_release(&span);
	gmem_span_release(&other);
	gmem_space_destroy(child);
}

/* So many different pieces at the same addresses are too many; what is there stays, and there is room for less. */
static void test_spaces_contended_too_much(void **state)
{
	struct fixture *f = *state;
	struct gmem_space *child = gmem_space_create(f->gm);
	static struct gmem_extent mine[5000], others[5000];
	struct gmem_extent whole = { { HIGH }, 4 * MIB };
	struct gmem_span span, other, large[3];
	unsigned int i;

	for (i = 0; i < 5000; i++) {
		mine[i] = (struct gmem_extent){ { HIGH + i % 2 * 7 * PAGE }, PAGE };
		others[i] = (struct gmem_extent){ { LOW + i % 2 * 7 * PAGE }, PAGE };
	}
	assert_int_equal(gmem_assemble_at(f->space, mine, 5000, PLACE, &span), 0);
	assert_int_equal(gmem_assemble_at(child, others, 5000, PLACE, &other), -ENOMEM);
	assert_int_equal(page_in(f->space, PLACE + 3999 * PAGE), MIB / PAGE + 7);
	for (i = 0; i < 5000; i += 1000) {
		uint64_t place = PLACE + i * PAGE, last = place + 999 * PAGE;

		assert_int_equal(gmem_assemble_at(child, others, 1000, place, &other), 0);
		assert_int_equal(page_in(child, last), 7);
		assert_int_equal(page_in(f->space, last), MIB / PAGE + 7);
		gmem_span_release(&other);
	}
	gmem_span_release(&span);
	/* large pieces over small ones are no other case: each contends with 1024 */
	assert_int_equal(gmem_assemble_at(f->space, others, 5000, PLACE, &span), 0);
	for (i = 0; i < 3; i++)
		assert_int_equal(
			gmem_assemble_at(child, &whole, 1, PLACE + i * 4 * MIB, &large[i]), 0);
	assert_int_equal(gmem_assemble_at(child, &whole, 1, PLACE + i * 4 * MIB, &other), -ENOMEM);
	while (i--)
		gmem_span_release(&large[i]);
	gmem_span_release(&span);
	gmem_space_destroy(child);
	for (i = 0; i < 5000; i++)
		assert_false(accessible((void *)(PLACE + i * PAGE)));
}

#define SPACES 4 /* the last has the memory of the first */
#define OURS   20 /* the number of the page that is hyvd's */

/**
 * struct held - a registration of the random test
 * @from: its first page behind PLACE, which is its number in the space's memory, too
 */
struct held {
	struct gmem_span span;
	unsigned int from;
	unsigned int pages;
};

static void check_space(struct gmem_space *space, const struct held *held, unsigned int n,
			unsigned int first, uint64_t base)
{
	unsigned int i, k, wrong = 0;

	assert_int_equal(gmem_enter(space), 0);
	for (i = first; i < n; i += SPACES)
		for (k = 0; held[i].span.placed_in && k < held[i].pages; k++)
			wrong += page_number((void *)(PLACE + (held[i].from + k) * PAGE)) !=
				 base + held[i].from + k;
	gmem_leave(space);
	assert_int_equal(wrong, 0);
}

/* Many registrations of three processes, one of which has two contexts, seeded, beside a page of hyvd's, while unmapping fails now and then. */
static void test_spaces_random(void **state)
{
	static const uint64_t gpa[SPACES] = { LOW, HIGH, HIGH + MIB, LOW };
	static const uint64_t base[SPACES] = { 0, MIB / PAGE, 2 * MIB / PAGE, 0 };
	struct fixture *f = *state;
	struct gmem_space *spaces[SPACES];
	struct held held[48] = { 0 };
	unsigned int i, refused = 0;
	uint64_t *ours = mmap((void *)(PLACE + OURS * PAGE), PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	struct rnd r;

	assert_true(ours != MAP_FAILED);
	*ours = 4711;
	for (i = 0; i < SPACES; i++)
		spaces[i] = gmem_space_create(f->gm);
	rnd_init(&r, "spaces_random");
	for (i = 0; i < 10000; i++) {
		unsigned int n = rnd(&r, 48), k = n % SPACES;
		struct held *h = &held[n];

		if (!rnd(&r, 8))
			munmap_fails = !rnd(&r, 5);
		if (rnd(&r, 2))
			check_space(spaces[k], held, 48, k, base[k]);
		if (h->span.placed_in) {
			gmem_span_release(&h->span);
		} else if (!rnd(&r, 50) && k == 2) {
			/* a process ends, and another begins */
			for (n = k; n < 48; n += SPACES)
				gmem_span_release(&held[n].span);
			gmem_space_destroy(spaces[k]);
			spaces[k] = gmem_space_create(f->gm);
		} else {
			h->from = rnd(&r, 40);
			h->pages = 1 + rnd(&r, 9);
			struct gmem_extent ext = { { gpa[k] + h->from * PAGE }, h->pages * PAGE };
			bool is_ours = h->from <= OURS && h->from + h->pages > OURS;
			int ret = gmem_assemble_at(spaces[k], &ext, 1, PLACE + h->from * PAGE,
						   &h->span);

			assert_int_equal(ret, is_ours ? -ENOMEM : 0);
			refused += is_ours;
		}
		assert_int_equal(*ours, 4711);
		for (n = 0; n < 48; n++)
			for (k = 0; held[n].span.placed_in && k < held[n].pages; k++)
				assert_true(accessible(
					(void *)(PLACE + (held[n].from + k) * PAGE)));
	}
	munmap_fails = false;
	for (i = 0; i < 48; i++)
		gmem_span_release(&held[i].span);
	for (i = 0; i < SPACES; i++)
		gmem_space_destroy(spaces[i]);
	assert_in_range(refused, 50, 2500);
	for (i = 0; i <= 64; i++)
		assert_int_equal(accessible((void *)(PLACE + i * PAGE)), i == OURS);
	munmap(ours, PAGE);
}

/* enters a space again and again, which always shows its own */
static void *enterer(void *arg)
{
	struct fixture *f = arg;
	uint64_t i;

	for (i = 0; i < 20000; i++)
		if (page_in(f->space, PLACE + PAGE) != 1)
			break;
	return (void *)(uintptr_t)i;
}

static void test_spaces_threads(void **state)
{
	struct fixture *f = *state;
	struct gmem_space *child = gmem_space_create(f->gm);
	struct gmem_extent first = { { LOW }, 2 * PAGE }, second = { { HIGH }, 3 * PAGE };
	struct gmem_span span, other;
	pthread_t thread;
	void *entered;
	int i;

	assert_int_equal(gmem_assemble_at(f->space, &first, 1, PLACE, &span), 0);
	assert_int_equal(pthread_create(&thread, NULL, enterer, f), 0);
	for (i = 0; i < 5000; i++) {
		assert_int_equal(gmem_assemble_at(child, &second, 1, PLACE + PAGE, &other), 0);
		assert_int_equal(page_in(child, PLACE + PAGE), MIB / PAGE);
		gmem_span_release(&other);
	}
	pthread_join(thread, &entered);
	assert_int_equal((uintptr_t)entered, 20000);
	gmem_span_release(&span);
	gmem_space_destroy(child);
}

/* Readers in another thread while the table changes: each read is all memory or refused. */
static void *reader(void *arg)
{
	struct fixture *f = arg;
	struct gmem_extent ext[] = { { { HIGH }, PAGE }, { { LOW }, PAGE } };
	struct gmem_span span;
	uint64_t n, good = 0;
	int i;

	for (i = 0; i < 20000; i++) {
		if (!gmem_read(f->gm, &n, (struct gpa){ HIGH + 2 * PAGE }, sizeof(n)))
			good += n == MIB / PAGE + 2;
		else
			good++;
		if (i % 100 == 0 && !gmem_assemble(f->gm, ext, 2, &span))
			gmem_span_release(&span);
	}
	return (void *)good;
}

static void test_threads(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;
	void *good;
	int i;

	assert_int_equal(pthread_create(&thread, NULL, reader, f), 0);
	for (i = 0; i < 300; i++) {
		struct gmem_region r[] = { region(f->fd, LOW, MIB, 0) };

		assert_int_equal(gmem_set_table(f->gm, r, 1), 0);
		set_both(f);
	}
	pthread_join(thread, &good);
	assert_int_equal((uintptr_t)good, 20000);
}

#define gmem_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_table),
		gmem_test(test_linear_map),
		gmem_test(test_bounds),
		gmem_test(test_read_write),
		gmem_test(test_qemu_va),
		gmem_test(test_unchanged_region_keeps_mapping),
		gmem_test(test_vanished_region_is_inaccessible),
		gmem_test(test_moved_and_replaced_region),
		gmem_test(test_foreign_files_are_skipped),
		gmem_test(test_bad_tables),
		gmem_test(test_touching_regions),
		gmem_test(test_assemble_single),
		gmem_test(test_assemble_scattered),
		gmem_test(test_assemble_joins_file_neighbours),
		gmem_test(test_assemble_refusals),
		gmem_test(test_assemble_too_many_pieces),
		gmem_test(test_huge_pages),
		gmem_test(test_assemble_at),
		gmem_test(test_assemble_at_refusals),
		gmem_test(test_assemble_at_overlap),
		gmem_test(test_assemble_at_conflict),
		gmem_test(test_assemble_at_joins),
		gmem_test(test_assemble_at_unmapped_later),
		gmem_test(test_assemble_at_random),
		gmem_test(test_spaces),
		gmem_test(test_spaces_beside_ours),
		gmem_test(test_spaces_without_memory),
		gmem_test(test_spaces_of_one_process),
		gmem_test(test_spaces_without_mappings),
		gmem_test(test_spaces_contended_too_much),
		gmem_test(test_spaces_random),
		gmem_test(test_spaces_threads),
		gmem_test(test_threads),
	};

	log_init("test_gmem", false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
