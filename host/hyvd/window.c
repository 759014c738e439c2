// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The window: which of its ranges the guest owns, and what of hyvd's address space the host module
 * hyv_window shows there. An application's mmap() of its uverbs file becomes an mmap() of the
 * host's uverbs file here, with the offset that the host's driver gave out, so the driver itself
 * decides what this context may map; hyvd only finds it a place.
 *
 * A range is the guest's from HYV_OP_MMAP to HYV_OP_MUNMAP, whatever becomes of the queue it shows:
 * given to another earlier, one process of the guest could see another's queue. Allocation is first
 * fit by pages.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <hyv/window.h>
#include <uthash.h>
#include "cmd.h"
#include "context.h"
#include "log.h"

#define PAGE 4096ull

/**
 * struct range - a piece of the window that belongs to the guest
 * @offset: in the window; its key
 * @va: the uverbs mapping it shows, or NULL when its context is gone
 */
struct range {
	uint64_t offset;
	uint64_t len;
	void *va;
	uint64_t context_id;
	UT_hash_handle hh;
};

/**
 * struct window - the window
 * @limits: the VM's, which LIMIT_WINDOW is of
 * @lock: guards @used and @ranges
 * @used: one byte per page
 */
struct window {
	int fd;
	struct limits *limits;
	uint64_t num_pages;
	pthread_mutex_t lock;
	struct range *ranges;
	uint8_t used[];
};

static int show(struct window *win, uint64_t offset, uint64_t len, void *va, bool writable,
		uint32_t *cache)
{
	struct hyv_window_map map = {
		.offset = offset,
		.length = len,
		.address = (uintptr_t)va,
		.flags = writable ? 0 : HYV_WINDOW_MAP_RO,
	};

	if (ioctl(win->fd, HYV_WINDOW_MAP, &map))
		return -errno;
	*cache = map.cache;
	return 0;
}

static void hide(struct window *win, uint64_t offset, uint64_t len)
{
	struct hyv_window_unmap unmap = { .offset = offset, .length = len };

	if (ioctl(win->fd, HYV_WINDOW_UNMAP, &unmap))
		log_err("window: cannot take back %" PRIu64 " bytes at %#" PRIx64 ": %s", len,
			offset, strerror(errno));
}

static int open_window(uint64_t size)
{
	struct hyv_window_create create = { .size = size };
	int ctl, fd;

	ctl = open(HYV_WINDOW_DEVICE, O_RDWR | O_CLOEXEC);
	if (ctl < 0) {
		if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
			log_err("%s does not exist: load the kernel module: modprobe hyv_window",
				HYV_WINDOW_DEVICE);
		else
			log_err("cannot open %s: %s: run hyvd as a user that may",
				HYV_WINDOW_DEVICE, strerror(errno));
		return -errno;
	}
	fd = ioctl(ctl, HYV_WINDOW_CREATE, &create);
	if (fd < 0) {
		fd = -errno;
		log_err("cannot make a window of %" PRIu64 " bytes: %s", size, strerror(errno));
	}
	close(ctl);
	return fd;
}

int window_create(struct window **out, uint64_t size, void *reserved, size_t reserved_len,
		  struct limits *limits)
{
	struct window *win = calloc(1, sizeof(*win) + size / PAGE);
	uint32_t cache;
	int ret;

	if (!win)
		return -ENOMEM;
	pthread_mutex_init(&win->lock, NULL);
	win->limits = limits;
	win->num_pages = size / PAGE;
	win->fd = open_window(size);
	if (win->fd < 0) {
		ret = win->fd;
		free(win);
		return ret;
	}
	memset(win->used, 1, reserved_len / PAGE);
	ret = show(win, 0, reserved_len, reserved, true, &cache);
	if (ret) {
		log_err("cannot show the doorbells in the window: %s", strerror(-ret));
		window_destroy(win);
		return ret;
	}
	*out = win;
	return 0;
}

void window_destroy(struct window *win)
{
	window_reset(win);
	close(win->fd);
	pthread_mutex_destroy(&win->lock);
	free(win);
}

int window_fd(const struct window *win)
{
	return win->fd;
}

/* with the lock held. Return: 0 or -ENOMEM */
static int find_hole(const struct window *win, uint64_t pages, uint64_t *first)
{
	uint64_t free_pages = 0, i;

	for (i = 0; i < win->num_pages; i++) {
		free_pages = win->used[i] ? 0 : free_pages + 1;
		if (free_pages == pages) {
			*first = i + 1 - pages;
			return 0;
		}
	}
	return -ENOMEM;
}

static int reserve_pages(struct window *win, uint64_t len, uint64_t *offset)
{
	uint64_t first;
	int ret;

	if (limit_charge(win->limits, NULL, LIMIT_WINDOW, len))
		return -ENOMEM;
	pthread_mutex_lock(&win->lock);
	ret = find_hole(win, len / PAGE, &first);
	if (!ret)
		memset(win->used + first, 1, len / PAGE);
	pthread_mutex_unlock(&win->lock);
	if (ret)
		limit_uncharge(win->limits, NULL, LIMIT_WINDOW, len);
	if (ret)
		log_guest("window: no room for %" PRIu64
			  " bytes: start hyvd with a larger --window-size",
			  len);
	else
		*offset = first * PAGE;
	return ret;
}

static void release_pages(struct window *win, uint64_t offset, uint64_t len)
{
	pthread_mutex_lock(&win->lock);
	memset(win->used + offset / PAGE, 0, len / PAGE);
	pthread_mutex_unlock(&win->lock);
	limit_uncharge(win->limits, NULL, LIMIT_WINDOW, len);
}

/* with the lock held */
static void clear_range(struct window *win, struct range *range)
{
	if (range->va) {
		hide(win, range->offset, range->len);
		munmap(range->va, range->len);
	}
	range->va = NULL;
	range->context_id = 0;
}

/* with the lock held */
static void free_range(struct window *win, struct range *range)
{
	clear_range(win, range);
	memset(win->used + range->offset / PAGE, 0, range->len / PAGE);
	limit_uncharge(win->limits, NULL, LIMIT_WINDOW, range->len);
	HASH_DEL(win->ranges, range); /* NOLINT: uthash's own lists are beyond the analyser */
	free(range);
}

void window_drop_context(struct window *win, uint64_t context_id, bool free_ranges)
{
	struct range *range, *next;

	pthread_mutex_lock(&win->lock);
	/* NOLINTNEXTLINE: uthash's own lists are beyond the analyser */
	HASH_ITER(hh, win->ranges, range, next) {
		if (range->context_id != context_id)
			continue;
		if (free_ranges)
			free_range(win, range);
		else
			clear_range(win, range);
	}
	pthread_mutex_unlock(&win->lock);
}

void window_reset(struct window *win)
{
	window_drop_context(win, 0, true);
}

static int map_range(struct cmd *cmd, struct context *ctx, struct range *range, bool writable,
		     uint64_t file_offset)
{
	struct window *win = cmd->vm->window;
	struct hyv_resp_mmap *resp = cmd->resp;
	uint32_t cache = HYV_WINDOW_CACHE_WB;
	int ret;

	range->va = mmap(NULL, range->len, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED,
			 ctx->fd, (off_t)file_offset);
	if (range->va == MAP_FAILED)
		return -errno;
	ret = reserve_pages(win, range->len, &range->offset);
	if (ret)
		goto err_unmap;
	ret = show(win, range->offset, range->len, range->va, writable, &cache);
	if (ret) {
		log_guest("window: cannot show a mapping of %s: %s", ctx->device->name,
			  strerror(-ret));
		goto err_release;
	}
	resp->window_offset = htole64(range->offset);
	resp->cache = htole32(cache == HYV_WINDOW_CACHE_WB ? HYV_CACHE_WRITE_BACK :
			      cache == HYV_WINDOW_CACHE_WC ? HYV_CACHE_WRITE_COMBINING :
							     HYV_CACHE_UNCACHED);
	pthread_mutex_lock(&win->lock);
	HASH_ADD(hh, win->ranges, offset, sizeof(range->offset), range);
	pthread_mutex_unlock(&win->lock);
	return 0;

err_release:
	release_pages(win, range->offset, range->len);
err_unmap:
	munmap(range->va, range->len);
	return ret;
}

int mmap_exec(struct cmd *cmd)
{
	const struct hyv_req_mmap *req = cmd->req;
	uint64_t len = le64toh(req->length), offset = le64toh(req->offset);
	struct range *range;
	int ret;

	if (req->reserved || !len || (len | offset) & (PAGE - 1) || len > cmd->vm->window_size ||
	    offset > INT64_MAX || le32toh(req->flags) & ~(uint32_t)HYV_MMAP_WRITE)
		return -EINVAL;
	range = calloc(1, sizeof(*range));
	if (!range)
		return -ENOMEM;
	range->len = len;
	range->context_id = cmd->target->id;
	ret = map_range(cmd, cmd->target->context, range, le32toh(req->flags) & HYV_MMAP_WRITE,
			offset);
	if (ret)
		free(range);
	return ret;
}

int munmap_exec(struct cmd *cmd)
{
	const struct hyv_req_munmap *req = cmd->req;
	uint64_t offset = le64toh(req->window_offset);
	struct window *win = cmd->vm->window;
	struct range *range;

	pthread_mutex_lock(&win->lock);
	HASH_FIND(hh, win->ranges, &offset, sizeof(offset), range);
	if (range)
		free_range(win, range);
	pthread_mutex_unlock(&win->lock);
	return range ? 0 : -ENOENT;
}
