/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR BSD-2-Clause */
/*
 * The user API of the host kernel module hyv_window; compiled by the module and by user space.
 *
 * A window is a file of fixed size that a virtual machine monitor maps once. Its creator, and
 * nobody else, shows pieces of its own address space at page offsets of the window and takes them
 * away again; who has the file mapped sees the change at once. A page with nothing behind it (a
 * hole) shows the window's scratch page: readable, writable, of unspecified contents, and the same
 * page for all holes of one window.
 *
 * A piece shows scratch again, on its own, when what it shows goes away: the creator unmaps or
 * moves the memory, the driver behind it takes it back, or the creator dies. Such a piece is
 * called revoked; it keeps its place in the window until HYV_WINDOW_UNMAP.
 *
 * All structures are the same for 32 and 64 bit callers. Reserved fields and unknown flags are
 * refused with EINVAL. An ioctl that fails has changed nothing and has not written its argument.
 * Every ioctl may in addition fail with EFAULT (argument not accessible) and ENOTTY (unknown).
 */
#ifndef HYV_WINDOW_H
#define HYV_WINDOW_H

#include <linux/ioctl.h>
#include <linux/types.h>
#ifdef __KERNEL__
#include <linux/build_bug.h>
#else
#include <assert.h>
#endif

#define HYV_WINDOW_DEVICE	"/dev/hyv_window"

#define HYV_WINDOW_MAX_SIZE	0x10000000000ULL	/* bytes of one window */
#define HYV_WINDOW_MAX_LENGTH	0x40000000ULL		/* bytes of one HYV_WINDOW_MAP */

/**
 * struct hyv_window_create - argument of HYV_WINDOW_CREATE
 * @size: bytes, a positive multiple of the page size, at most HYV_WINDOW_MAX_SIZE
 * @flags: 0
 * @reserved: 0
 */
struct hyv_window_create {
	__u64 size;
	__u32 flags;
	__u32 reserved;
};

/*
 * On HYV_WINDOW_DEVICE. Makes a window, all of it holes, and returns its descriptor, which is
 * close-on-exec and the caller's. The caller's address space becomes the window's creator: threads
 * share that right, a forked child and a process that received the descriptor do not have it. The
 * window lives until its last descriptor and mapping are gone, even beyond its creator.
 *
 * EINVAL: size, flags or reserved; ENOMEM; EMFILE, ENFILE: out of descriptors
 */
#define HYV_WINDOW_CREATE	_IOW(0xE7, 0x00, struct hyv_window_create)

/* flags of struct hyv_window_map */
#define HYV_WINDOW_MAP_RO	0x1		/* the window shows the pages read-only */

/* struct hyv_window_map: how the processor caches the pages */
#define HYV_WINDOW_CACHE_WB	0		/* write back: ordinary memory */
#define HYV_WINDOW_CACHE_WC	1		/* write combining */
#define HYV_WINDOW_CACHE_UC	2		/* uncached */

/* struct hyv_window_map: what the pages are */
#define HYV_WINDOW_KIND_PINNED	0		/* memory, which the window holds pinned */
#define HYV_WINDOW_KIND_PFNMAP	1		/* a driver's raw pages, registers for example */

/**
 * struct hyv_window_map - argument of HYV_WINDOW_MAP
 * @offset: where in the window
 * @length: bytes, at most HYV_WINDOW_MAX_LENGTH
 * @address: of the memory to show, in the caller's address space
 * @flags: HYV_WINDOW_MAP_*
 * @reserved: 0
 * @cache: answer, HYV_WINDOW_CACHE_*: who maps these pages into a guest must cache them likewise
 * @kind: answer, HYV_WINDOW_KIND_*
 *
 * @offset, @length and @address are multiples of the page size.
 */
struct hyv_window_map {
	__u64 offset;
	__u64 length;
	__u64 address;
	__u32 flags;
	__u32 reserved;
	__u32 cache;
	__u32 kind;
};

/*
 * On a window. Shows the caller's memory at [address, address + length) at the given offset and
 * returns 0. The memory must lie in one mapping (one line of /proc/self/maps), shared if it is of
 * kind PFNMAP, with one cache mode throughout. Pages of kind PINNED count against the caller's
 * RLIMIT_MEMLOCK, which CAP_IPC_LOCK lifts, and are the ones found there now: what MADV_DONTNEED
 * and the like put in their place later is not shown.
 *
 * A store to a RO page is lost, and gives whoever made it the scratch page there from then on.
 *
 * EPERM: the caller is not the creator; EINVAL: alignment, range, flags, reserved, the source is a
 * private mapping of raw pages or itself a window; EEXIST: a part of the range is not a hole;
 * EFAULT: address is not mapped, not in one mapping, or its pages cannot be had; EACCES: the source
 * cannot be read, or not written and RO is not given; EOPNOTSUPP: cache modes differ or are none of
 * HYV_WINDOW_CACHE_*, or this kernel's KVM cannot show such a page to a guest (before Linux 6.13:
 * a huge page, or part of a larger block of memory); ENOMEM: memory or RLIMIT_MEMLOCK; EINTR: the
 * caller is being killed
 */
#define HYV_WINDOW_MAP		_IOWR(0xE7, 0x01, struct hyv_window_map)

/**
 * struct hyv_window_unmap - argument of HYV_WINDOW_UNMAP
 * @offset: of a HYV_WINDOW_MAP
 * @length: of the same
 */
struct hyv_window_unmap {
	__u64 offset;
	__u64 length;
};

/*
 * On a window. Turns what one HYV_WINDOW_MAP made into a hole and returns 0. Nobody sees the pages
 * any more when it returns, and those that were pinned are released.
 *
 * EPERM: the caller is not the creator; ENOENT: no piece has this offset and length; EINTR: the
 * caller is being killed
 */
#define HYV_WINDOW_UNMAP	_IOW(0xE7, 0x02, struct hyv_window_unmap)

/* flags of struct hyv_window_info */
#define HYV_WINDOW_ORPHAN	0x1		/* the creator is dead: all is scratch, for ever */

/**
 * struct hyv_window_info - answer of HYV_WINDOW_INFO
 * @size: bytes of the window
 * @flags: HYV_WINDOW_ORPHAN
 * @maps: pieces now in the window, revoked ones included
 * @pages: pages of these pieces
 * @pinned: pages that the window holds pinned now
 * @faults: page faults taken so far by those who have the window mapped
 * @hole_faults: those of them that were answered with scratch
 * @revoked: pieces revoked so far, other than by the creator's death
 */
struct hyv_window_info {
	__u64 size;
	__u64 flags;
	__u64 maps;
	__u64 pages;
	__u64 pinned;
	__u64 faults;
	__u64 hole_faults;
	__u64 revoked;
};

/* On a window, by anyone who has its descriptor. Fills the argument and returns 0. */
#define HYV_WINDOW_INFO		_IOR(0xE7, 0x03, struct hyv_window_info)

static_assert(sizeof(struct hyv_window_create) == 16, "size of the user API");
static_assert(sizeof(struct hyv_window_map) == 40, "size of the user API");
static_assert(sizeof(struct hyv_window_unmap) == 16, "size of the user API");
static_assert(sizeof(struct hyv_window_info) == 64, "size of the user API");

#endif
