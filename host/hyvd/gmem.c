// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest memory. This file alone maps QEMU's memory table and dereferences what is in it;
 * gmem_assemble.c makes scattered pieces of it contiguous for the kernel.
 *
 * DOC: the linear map
 *
 * One range of address space is reserved (inaccessible, costs nothing) when the daemon starts, and
 * guest-physical address G is always at base + G in it. A region of QEMU's memory table is mapped
 * over its part of the range and stays there, untouched, as long as it is in the table: host
 * drivers remember doorbell records by user address, and registered memory must not move. What
 * leaves the table becomes inaccessible again, so that no stale pointer ever reaches memory that
 * was given back.
 *
 * DOC: what is guest memory
 *
 * Only regular files (memfd, tmpfs, hugetlbfs, plain files) large enough for the region. QEMU puts
 * everything of its memory that has a file into the table, and so our own window comes back to us;
 * its file is an anonymous inode, is left out and can never be registered.
 *
 * Regions of huge pages need not begin and end at one (the hole below 1 MiB of a PC), but mappings
 * do: each is rounded outwards, so those of two neighbours may show the same huge page at the same
 * address. Which addresses are valid is decided by the table alone.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "gmem_priv.h"
#include "log.h"

/* The linear map is as large as can be had between these; a power of two of bytes. */
#define LINEAR_BITS_MAX 40
#define LINEAR_BITS_MIN 33

/* base is aligned for the largest huge page of the architecture. */
#define LINEAR_ALIGN (1ull << 30)

/* The mapping of a region: its range, rounded outwards to whole pages. */
static uint64_t map_start(const struct region *rg)
{
	return round_down(rg->r.gpa.val, rg->page_size);
}

static uint64_t map_end(const struct region *rg)
{
	return round_up(region_end(rg), rg->page_size);
}

/* below the random bytes that the kernel puts there, at the start */
static void find_stack(struct gmem *gm)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_STACK, &limit) || limit.rlim_cur > 1ull << 30)
		limit.rlim_cur = 1ull << 30;
	gm->stack_top = getauxval(AT_RANDOM);
	gm->stack_low = gm->stack_top - limit.rlim_cur;
}

struct gmem *gmem_create(void *where)
{
	struct gmem *gm = calloc(1, sizeof(*gm));
	int bits;

	if (!gm)
		return NULL;
	gm->page_size = sysconf(_SC_PAGESIZE);
	for (bits = LINEAR_BITS_MAX; bits >= LINEAR_BITS_MIN; bits--) {
		gm->size = 1ull << bits;
		gm->reserved_len = gm->size + LINEAR_ALIGN;
		gm->reserved = mmap(where, gm->reserved_len, PROT_NONE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (gm->reserved != MAP_FAILED)
			break;
	}
	if (gm->reserved == MAP_FAILED) {
		free(gm);
		errno = ENOMEM;
		return NULL;
	}
	gm->base = (uint8_t *)gm->reserved +
		   (round_up((uintptr_t)gm->reserved, LINEAR_ALIGN) - (uintptr_t)gm->reserved);
	pthread_rwlock_init(&gm->lock, NULL);
	pthread_rwlock_init(&gm->place_lock, NULL);
	LIST_INIT(&gm->spaces);
	find_stack(gm);
	return gm;
}

static void close_regions(struct region *regions, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		close(regions[i].r.fd);
	free(regions);
}

void gmem_destroy(struct gmem *gm)
{
	if (!gm)
		return;
	munmap(gm->reserved, gm->reserved_len);
	close_regions(gm->regions, gm->num_regions);
	pthread_rwlock_destroy(&gm->place_lock);
	pthread_rwlock_destroy(&gm->lock);
	free(gm);
}

/*
 * Fill in what the file tells about a region. Return: whether it is guest memory at all.
 */
static bool identify_region(const struct gmem *gm, struct region *rg)
{
	const struct gmem_region *r = &rg->r;
	struct statfs fs;
	struct stat st;

	if (fstat(r->fd, &st) || fstatfs(r->fd, &fs)) {
		log_warn("memory region at 0x%" PRIx64 " cannot be examined: %s", r->gpa.val,
			 strerror(errno));
		return false;
	}
	if (!S_ISREG(st.st_mode) || fs.f_type == ANON_INODE_FS_MAGIC) {
		log_debug("memory region at 0x%" PRIx64 " is a device's and not guest memory",
			  r->gpa.val);
		return false;
	}
	if (r->fd_offset > (uint64_t)st.st_size || r->len > st.st_size - r->fd_offset) {
		log_warn("memory region at 0x%" PRIx64 " is larger than its file", r->gpa.val);
		return false;
	}
	rg->dev = st.st_dev;
	rg->ino = st.st_ino;
	rg->page_size = fs.f_type == HUGETLBFS_MAGIC ? (uint64_t)fs.f_bsize : gm->page_size;
	return true;
}

/* Return: 0 if the region can be mapped, or a negative errno and a line in the log. */
static int check_region(const struct gmem *gm, const struct region *rg)
{
	const struct gmem_region *r = &rg->r;
	uint64_t end;

	if (!r->len || __builtin_add_overflow(r->gpa.val, r->len, &end) ||
	    r->qemu_va + r->len < r->qemu_va) {
		log_err("memory region at 0x%" PRIx64 " has length 0x%" PRIx64, r->gpa.val, r->len);
		return -EINVAL;
	}
	if ((r->gpa.val | r->len | r->qemu_va | r->fd_offset) & (gm->page_size - 1) ||
	    (r->gpa.val ^ r->fd_offset) & (rg->page_size - 1)) {
		log_err("memory region at 0x%" PRIx64 " is not aligned to its pages of 0x%" PRIx64
			" bytes",
			r->gpa.val, rg->page_size);
		return -EINVAL;
	}
	if (end > gm->size || map_end(rg) > gm->size) {
		log_err("memory region at 0x%" PRIx64 ", length 0x%" PRIx64 ", is beyond 0x%" PRIx64
			", the end of the linear map: raise the limit of "
			"hyvd's address space or give the guest less memory",
			r->gpa.val, r->len, gm->size);
		return -EFBIG;
	}
	return 0;
}

static int compare_regions(const void *a, const void *b)
{
	const struct region *ra = a, *rb = b;

	return ra->r.gpa.val < rb->r.gpa.val ? -1 : ra->r.gpa.val > rb->r.gpa.val;
}

/* Return: whether two neighbours can be mapped: apart, or sharing one huge page of one file. */
static bool compatible(const struct region *a, const struct region *b)
{
	if (region_end(a) > b->r.gpa.val)
		return false;
	return map_end(a) <= map_start(b) ||
	       (a->dev == b->dev && a->ino == b->ino &&
		b->r.gpa.val - a->r.gpa.val == b->r.fd_offset - a->r.fd_offset);
}

/*
 * Make a checked and sorted table of what QEMU sent. All descriptors are consumed. Return: 0 and
 * the table, or a negative errno.
 */
static int build_table(const struct gmem *gm, const struct gmem_region *from, unsigned int n,
		       struct region **out, unsigned int *num_out)
{
	struct region *table = calloc(n + 1, sizeof(*table));
	unsigned int i, num = 0;
	int err = table ? 0 : -ENOMEM;

	for (i = 0; i < n; i++) {
		if (err) {
			close(from[i].fd);
			continue;
		}
		table[num].r = from[i];
		if (!identify_region(gm, &table[num])) {
			close(from[i].fd);
			continue;
		}
		err = check_region(gm, &table[num]);
		num++;
	}
	if (!err)
		qsort(table, num, sizeof(*table), compare_regions);
	for (i = 1; !err && i < num; i++) {
		if (!compatible(&table[i - 1], &table[i])) {
			log_err("memory regions overlap at 0x%" PRIx64, table[i].r.gpa.val);
			err = -EINVAL;
		}
	}
	if (err) {
		close_regions(table, num);
		return err;
	}
	*out = table;
	*num_out = num;
	return 0;
}

static bool same_region(const struct region *a, const struct region *b)
{
	return a->r.gpa.val == b->r.gpa.val && a->r.len == b->r.len &&
	       a->r.fd_offset == b->r.fd_offset && a->dev == b->dev && a->ino == b->ino;
}

static bool table_has(const struct region *table, unsigned int n, const struct region *rg)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (same_region(&table[i], rg))
			return true;
	return false;
}

/*
 * Make the regions inaccessible that are not in @keep. Return: 0 or a negative errno. A mapping of
 * huge pages shared with a region that stays goes too; map_missing() brings it back.
 */
static int unmap_vanished(struct gmem *gm, const struct region *keep, unsigned int num_keep)
{
	unsigned int i;

	for (i = 0; i < gm->num_regions; i++) {
		const struct region *rg = &gm->regions[i];

		if (table_has(keep, num_keep, rg))
			continue;
		if (mmap(gm->base + map_start(rg), map_end(rg) - map_start(rg), PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
			 0) == MAP_FAILED)
			return -errno;
	}
	return 0;
}

/* Return: whether unmap_vanished() for the table @n took part of this region's mapping. */
static bool lost_mapping(const struct gmem *gm, const struct region *table, unsigned int n,
			 const struct region *rg)
{
	unsigned int i;

	for (i = 0; i < gm->num_regions; i++) {
		const struct region *old = &gm->regions[i];

		if (!table_has(table, n, old) && map_start(old) < map_end(rg) &&
		    map_start(rg) < map_end(old))
			return true;
	}
	return false;
}

/* Map the regions of the new table that are not mapped. Return: 0 or a negative errno. */
static int map_missing(struct gmem *gm, const struct region *table, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		const struct region *rg = &table[i];
		uint64_t len = map_end(rg) - map_start(rg);
		void *va = gm->base + map_start(rg);

		if (table_has(gm->regions, gm->num_regions, rg) && !lost_mapping(gm, table, n, rg))
			continue;
		if (mmap(va, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, rg->r.fd,
			 round_down(rg->r.fd_offset, rg->page_size)) == MAP_FAILED) {
			int err = -errno;

			log_err("cannot map memory region at 0x%" PRIx64 ": %s", rg->r.gpa.val,
				strerror(-err));
			return err;
		}
		/* Guest memory has no business in a core dump; ignorant kernels are fine. */
		madvise(va, len, MADV_DONTDUMP);
	}
	return 0;
}

int gmem_set_table(struct gmem *gm, const struct gmem_region *regions, unsigned int n)
{
	struct region *table = NULL;
	unsigned int num = 0;
	int err;

	err = build_table(gm, regions, n, &table, &num);

	pthread_rwlock_wrlock(&gm->lock);
	if (!err)
		err = unmap_vanished(gm, table, num);
	if (!err)
		err = map_missing(gm, table, num);
	if (err) {
		/* All or nothing: what may be half mapped becomes inaccessible as a whole. */
		if (mmap(gm->base, gm->size, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
			 0) == MAP_FAILED)
			log_err("guest memory stays mapped, out of use: %s", strerror(errno));
		if (table)
			close_regions(table, num);
		table = NULL;
		num = 0;
	}
	close_regions(gm->regions, gm->num_regions);
	gm->regions = table;
	gm->num_regions = num;
	pthread_rwlock_unlock(&gm->lock);
	return err;
}

uint64_t gmem_total(struct gmem *gm)
{
	uint64_t total = 0;
	unsigned int i;

	pthread_rwlock_rdlock(&gm->lock);
	for (i = 0; i < gm->num_regions; i++)
		total += gm->regions[i].r.len;
	pthread_rwlock_unlock(&gm->lock);
	return total;
}

int gmem_from_qemu_va(struct gmem *gm, uint64_t qemu_va, uint64_t len, struct gpa *gpa)
{
	int err = -EFAULT;
	unsigned int i;

	pthread_rwlock_rdlock(&gm->lock);
	for (i = 0; i < gm->num_regions; i++) {
		const struct gmem_region *r = &gm->regions[i].r;

		if (qemu_va < r->qemu_va || qemu_va - r->qemu_va > r->len ||
		    len > r->len - (qemu_va - r->qemu_va))
			continue;
		gpa->val = r->gpa.val + (qemu_va - r->qemu_va);
		err = 0;
		break;
	}
	pthread_rwlock_unlock(&gm->lock);
	return err;
}

const struct region *gmem_find_region(const struct gmem *gm, uint64_t gpa)
{
	unsigned int i;

	for (i = 0; i < gm->num_regions; i++)
		if (gpa >= gm->regions[i].r.gpa.val && gpa < region_end(&gm->regions[i]))
			return &gm->regions[i];
	return NULL;
}

void *gmem_linear_va(const struct gmem *gm, struct gpa gpa, uint64_t len)
{
	uint64_t at = gpa.val, end;

	if (!len || __builtin_add_overflow(gpa.val, len, &end))
		return NULL;
	while (at < end) {
		const struct region *rg = gmem_find_region(gm, at);

		if (!rg)
			return NULL;
		at = region_end(rg);
	}
	return gm->base + gpa.val;
}

void *gmem_va(struct gmem *gm, struct gpa gpa, uint64_t len)
{
	void *va;

	pthread_rwlock_rdlock(&gm->lock);
	va = gmem_linear_va(gm, gpa, len);
	pthread_rwlock_unlock(&gm->lock);
	return va;
}

int gmem_read(struct gmem *gm, void *dst, struct gpa gpa, uint64_t len)
{
	const void *va;

	pthread_rwlock_rdlock(&gm->lock);
	va = gmem_linear_va(gm, gpa, len);
	if (va)
		memcpy(dst, va, len);
	pthread_rwlock_unlock(&gm->lock);
	return va ? 0 : -EFAULT;
}

int gmem_write(struct gmem *gm, struct gpa gpa, const void *src, uint64_t len)
{
	void *va;

	pthread_rwlock_rdlock(&gm->lock);
	va = gmem_linear_va(gm, gpa, len);
	if (va)
		memcpy(va, src, len);
	pthread_rwlock_unlock(&gm->lock);
	return va ? 0 : -EFAULT;
}
