// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The device side of a split virtqueue (virtio 1.x, little endian). This file alone touches rings.
 *
 * Chains come from the guest through vring_pop() to the dispatcher, and go back through
 * vring_push() and vring_signal(). All functions but vring_chain_read() and vring_chain_write()
 * belong to the event loop's thread; those two only copy and may be called in any.
 *
 * DOC: a hostile driver
 *
 * The guest may change the ring while it is read. So every word is loaded once, into a local
 * variable, which is then checked and used. A chain is copied out as a whole before anyone looks
 * at it. What a correct driver never does breaks the ring: one line in the log, the error
 * descriptor is signalled, and nothing is taken or given back until the next start. The addresses
 * of segments are checked where they are used, in gmem.c.
 *
 * A driver has at most as many chains in flight as the ring has entries. One that publishes more
 * breaks the ring too, so that the memory the daemon needs for chains is bounded.
 *
 * DOC: chains in flight at a stop
 *
 * They are lost: the daemon forgets them and the next start begins behind them. That is right for
 * a reset, after which the guest has forgotten them too. When QEMU pauses and resumes a VM it
 * stops and starts the rings without a reset; a guest then waits for an answer that never comes.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "vring_setup.h"

/* The ring's layout, virtio 1.3 section 2.7 (<linux/virtio_ring.h> has its own struct vring). */
#define VIRTQ_DESC_F_NEXT	   1
#define VIRTQ_DESC_F_WRITE	   2
#define VIRTQ_DESC_F_INDIRECT	   4
#define VIRTQ_AVAIL_F_NO_INTERRUPT 1
#define VIRTIO_F_INDIRECT_DESC	   28
#define VIRTIO_F_EVENT_IDX	   29

/** struct virtq_desc - a descriptor, little endian like all of the ring */
struct virtq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

/** struct virtq_avail - what the driver makes available; used_event follows the array */
struct virtq_avail {
	uint16_t flags;
	uint16_t idx;
	uint16_t ring[];
};

/** struct virtq_used - what the device gives back; avail_event follows the array */
struct virtq_used {
	uint16_t flags;
	uint16_t idx;
	struct virtq_used_elem {
		uint32_t id;
		uint32_t len;
	} ring[];
};

/**
 * struct vring - one ring
 * @num: entries, a power of two; 0 before it is set
 * @addr: where it is, as QEMU says
 * @desc, @avail, @used: where it is here while it runs
 * @call_fd: eventfd that interrupts the guest, or -1
 * @err_fd: eventfd that tells QEMU of a broken ring, or -1
 * @running: between vring_start() and the first of vring_stop() and a broken ring
 * @last_avail: index of the next chain to take
 * @used_idx: index of the next entry to give back
 * @signalled: @used_idx when the guest was last considered for an interrupt
 * @in_flight: chains taken and not given back
 * @generation: number of starts and stops
 */
struct vring {
	struct gmem *gm;
	unsigned int index;
	uint32_t num;
	struct vring_addr addr;
	bool addr_set;
	const struct virtq_desc *desc;
	struct virtq_avail *avail;
	struct virtq_used *used;
	int call_fd;
	int err_fd;
	bool running;
	bool event_idx;
	bool indirect;
	uint16_t last_avail;
	uint16_t used_idx;
	uint16_t signalled;
	uint32_t in_flight;
	uint64_t generation;
};

/* Loads and stores of shared words: exactly one access each, in the ring's byte order. */
static uint16_t load16(const uint16_t *p)
{
	return le16toh(__atomic_load_n(p, __ATOMIC_RELAXED));
}

static void store16(uint16_t *p, uint16_t v)
{
	__atomic_store_n(p, htole16(v), __ATOMIC_RELAXED);
}

/* The words behind the rings' arrays, which VIRTIO_F_EVENT_IDX uses. */
static uint16_t *used_event(const struct vring *vr)
{
	return &vr->avail->ring[vr->num];
}

static uint16_t *avail_event(const struct vring *vr)
{
	return (uint16_t *)&vr->used->ring[vr->num];
}

struct vring *vring_create(struct gmem *gm, unsigned int index)
{
	struct vring *vr = calloc(1, sizeof(*vr));

	if (!vr)
		return NULL;
	vr->gm = gm;
	vr->index = index;
	vr->call_fd = -1;
	vr->err_fd = -1;
	return vr;
}

static void replace_fd(int *slot, int fd)
{
	if (*slot >= 0)
		close(*slot);
	*slot = fd;
}

void vring_destroy(struct vring *vr)
{
	if (!vr)
		return;
	replace_fd(&vr->call_fd, -1);
	replace_fd(&vr->err_fd, -1);
	free(vr);
}

int vring_set_num(struct vring *vr, uint32_t num)
{
	if (vr->running)
		return -EBUSY;
	if (!num || num > VRING_NUM_MAX || num & (num - 1))
		return -EINVAL;
	vr->num = num;
	return 0;
}

int vring_set_addr(struct vring *vr, const struct vring_addr *addr)
{
	if (vr->running)
		return -EBUSY;
	if (addr->desc % 16 || addr->avail % 2 || addr->used % 4)
		return -EINVAL;
	vr->addr = *addr;
	vr->addr_set = true;
	return 0;
}

int vring_set_base(struct vring *vr, uint32_t last_avail)
{
	if (vr->running)
		return -EBUSY;
	if (last_avail > UINT16_MAX)
		return -EINVAL;
	vr->last_avail = last_avail;
	return 0;
}

void vring_set_call(struct vring *vr, int fd)
{
	replace_fd(&vr->call_fd, fd);
}

void vring_set_err(struct vring *vr, int fd)
{
	replace_fd(&vr->err_fd, fd);
}

static void *translate(const struct vring *vr, uint64_t qemu_va, uint64_t len)
{
	struct gpa gpa;

	if (gmem_from_qemu_va(vr->gm, qemu_va, len, &gpa))
		return NULL;
	return gmem_va(vr->gm, gpa, len);
}

/* Find the ring in guest memory. Return: 0 or -EFAULT */
static int locate(struct vring *vr)
{
	const uint64_t num = vr->num;

	vr->desc = translate(vr, vr->addr.desc, num * sizeof(*vr->desc));
	vr->avail = translate(vr, vr->addr.avail,
			      sizeof(*vr->avail) + (num + 1) * sizeof(vr->avail->ring[0]));
	vr->used =
		translate(vr, vr->addr.used,
			  sizeof(*vr->used) + num * sizeof(vr->used->ring[0]) + sizeof(uint16_t));
	return vr->desc && vr->avail && vr->used ? 0 : -EFAULT;
}

int vring_start(struct vring *vr, uint64_t features)
{
	if (vr->running)
		return 0;
	if (!vr->num || !vr->addr_set || !(features & 1ull << VIRTIO_F_VERSION_1))
		return -EINVAL;
	if (locate(vr))
		return -EFAULT;
	vr->event_idx = features & 1ull << VIRTIO_F_EVENT_IDX;
	vr->indirect = features & 1ull << VIRTIO_F_INDIRECT_DESC;
	vr->used_idx = load16(&vr->used->idx);
	vr->signalled = vr->used_idx;
	vr->in_flight = 0;
	vr->generation++;
	vr->running = true;
	/* Kicks are always wanted; with event indices that is said whenever the ring is empty. */
	store16(&vr->used->flags, 0);
	return 0;
}

void vring_stop(struct vring *vr)
{
	vr->running = false;
	vr->generation++;
}

bool vring_running(const struct vring *vr)
{
	return vr->running;
}

uint16_t vring_base(const struct vring *vr)
{
	return vr->last_avail;
}

uint64_t vring_generation(const struct vring *vr)
{
	return vr->generation;
}

static void signal_fd(int fd)
{
	const uint64_t one = 1;

	/* An eventfd that is full already says what is to be said. */
	if (fd >= 0 && write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_guest("cannot signal an event descriptor: %s", strerror(errno));
}

/* Stop a ring whose driver did what none may do. Return: -EPROTO */
static int break_ring(struct vring *vr, const char *why, uint64_t value)
{
	log_guest("guest broke ring %u: %s (%" PRIu64 "); it is stopped until the next reset",
		  vr->index, why, value);
	vr->running = false;
	signal_fd(vr->err_fd);
	return -EPROTO;
}

void vring_refresh(struct vring *vr)
{
	if (vr->running && locate(vr))
		break_ring(vr, "it is no longer in guest memory", vr->addr.desc);
}

/*
 * Append one checked descriptor to a chain. Return: 0, or -EPROTO and the ring is broken. Loops end
 * here too, when the chain is full.
 */
static int add_segment(struct vring *vr, struct vring_chain *chain, const struct virtq_desc *d)
{
	const uint64_t gpa = le64toh(d->addr);
	const uint32_t len = le32toh(d->len);
	const unsigned int n = chain->num_readable + chain->num_writable;

	if (n == VRING_MAX_SEGMENTS)
		return break_ring(vr, "chain with a loop or too many segments", n + 1);
	if (!len)
		return break_ring(vr, "segment of no bytes", n);
	if (gpa + len < gpa)
		return break_ring(vr, "segment wraps around the address space", gpa);
	if (le16toh(d->flags) & VIRTQ_DESC_F_WRITE) {
		chain->num_writable++;
		chain->writable_len += len;
	} else {
		if (chain->num_writable)
			return break_ring(vr, "readable segment behind a writable one", n);
		chain->num_readable++;
		chain->readable_len += len;
	}
	chain->segments[n] = (struct gmem_extent){ { gpa }, len };
	return 0;
}

/* Follow an indirect table. Return: 0, or -EPROTO and the ring is broken */
static int walk_indirect(struct vring *vr, struct vring_chain *chain, const struct virtq_desc *ref)
{
	struct virtq_desc table[VRING_MAX_SEGMENTS];
	const uint32_t len = le32toh(ref->len);
	const unsigned int num = len / sizeof(table[0]);
	unsigned int i;

	if (!vr->indirect)
		return break_ring(vr, "indirect table without the feature", len);
	if (le16toh(ref->flags) & VIRTQ_DESC_F_NEXT)
		return break_ring(vr, "indirect table with a successor", le16toh(ref->next));
	if (!len || len % sizeof(table[0]) || num > VRING_MAX_SEGMENTS)
		return break_ring(vr, "indirect table of a wrong size", len);
	if (gmem_read(vr->gm, table, (struct gpa){ le64toh(ref->addr) }, len))
		return break_ring(vr, "indirect table outside guest memory", le64toh(ref->addr));

	for (i = 0;; i = le16toh(table[i].next)) {
		if (i >= num)
			return break_ring(vr, "successor outside the indirect table", i);
		if (le16toh(table[i].flags) & VIRTQ_DESC_F_INDIRECT)
			return break_ring(vr, "indirect table within an indirect table", i);
		if (add_segment(vr, chain, &table[i]))
			return -EPROTO;
		if (!(le16toh(table[i].flags) & VIRTQ_DESC_F_NEXT))
			return 0;
	}
}

/* Copy the chain that begins at @head. Return: 0, or -EPROTO and the ring is broken */
static int walk_chain(struct vring *vr, struct vring_chain *chain, unsigned int head)
{
	struct virtq_desc d;
	unsigned int i;

	chain->head = head;
	chain->num_readable = 0;
	chain->num_writable = 0;
	chain->readable_len = 0;
	chain->writable_len = 0;
	for (i = head;; i = le16toh(d.next)) {
		if (i >= vr->num)
			return break_ring(vr, "descriptor outside the ring", i);
		memcpy(&d, &vr->desc[i], sizeof(d));
		/* Keep the compiler from reading guest memory again in place of the copy. */
		__asm__ volatile("" : "+m"(d));
		if (le16toh(d.flags) & VIRTQ_DESC_F_INDIRECT)
			return walk_indirect(vr, chain, &d);
		if (add_segment(vr, chain, &d))
			return -EPROTO;
		if (!(le16toh(d.flags) & VIRTQ_DESC_F_NEXT))
			return 0;
	}
}

/* Return: chains that the guest made available and that were not taken; may be absurd */
static uint16_t num_available(const struct vring *vr)
{
	uint16_t idx = load16(&vr->avail->idx);

	/* What the guest wrote before the index is read after it. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return idx - vr->last_avail;
}

int vring_pop(struct vring *vr, struct vring_chain *chain)
{
	uint16_t n;

	if (!vr->running)
		return 0;
	n = num_available(vr);
	if (!n && vr->event_idx) {
		/* Ask for a kick, then look again: the guest may not have seen the request. */
		store16(avail_event(vr), vr->last_avail);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		n = num_available(vr);
	}
	if (!n)
		return 0;
	if (n > vr->num)
		return break_ring(vr, "available index jumps ahead", n);
	if (vr->in_flight == vr->num)
		return break_ring(vr, "more chains in flight than entries", vr->num);
	if (walk_chain(vr, chain, load16(&vr->avail->ring[vr->last_avail & (vr->num - 1)])))
		return -EPROTO;
	vr->last_avail++;
	vr->in_flight++;
	return 1;
}

/*
 * Copy between a buffer and @num segments, from @offset of them. Return: 0, or -EFAULT if they are
 * too short or no guest memory.
 */
static int copy_segments(struct vring *vr, const struct gmem_extent *seg, unsigned int num,
			 uint64_t offset, void *dst, const void *src, uint64_t len)
{
	uint64_t done = 0;
	unsigned int i;

	for (i = 0; i < num && done < len; i++) {
		struct gpa gpa = seg[i].gpa;
		uint64_t n = seg[i].len;
		int err;

		if (offset >= n) {
			offset -= n;
			continue;
		}
		gpa.val += offset;
		n -= offset;
		offset = 0;
		if (n > len - done)
			n = len - done;
		err = dst ? gmem_read(vr->gm, (uint8_t *)dst + done, gpa, n) :
			    gmem_write(vr->gm, gpa, (const uint8_t *)src + done, n);
		if (err)
			return err;
		done += n;
	}
	return done == len ? 0 : -EFAULT;
}

int vring_chain_read(struct vring *vr, const struct vring_chain *chain, uint64_t offset, void *dst,
		     uint64_t len)
{
	return copy_segments(vr, chain->segments, chain->num_readable, offset, dst, NULL, len);
}

int vring_chain_write(struct vring *vr, const struct vring_chain *chain, uint64_t offset,
		      const void *src, uint64_t len)
{
	return copy_segments(vr, chain->segments + chain->num_readable, chain->num_writable, offset,
			     NULL, src, len);
}

void vring_push(struct vring *vr, const struct vring_chain *chain, uint32_t written)
{
	struct virtq_used_elem *elem;

	if (!vr->running || !vr->in_flight)
		return;
	elem = &vr->used->ring[vr->used_idx & (vr->num - 1)];
	elem->id = htole32(chain->head);
	elem->len = htole32(written);
	vr->in_flight--;
	vr->used_idx++;
	/* The guest may read the answer and the element once it sees the index. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	store16(&vr->used->idx, vr->used_idx);
}

void vring_signal(struct vring *vr)
{
	const uint16_t old = vr->signalled;

	if (!vr->running || vr->used_idx == old)
		return;
	vr->signalled = vr->used_idx;
	/* The index must be visible before the guest's wish is read, or both sides wait. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (vr->event_idx) {
		/* Only if the entry it waits for is among those given back since. */
		if ((uint16_t)(vr->used_idx - load16(used_event(vr)) - 1) >=
		    (uint16_t)(vr->used_idx - old))
			return;
	} else if (load16(&vr->avail->flags) & VIRTQ_AVAIL_F_NO_INTERRUPT) {
		return;
	}
	signal_fd(vr->call_fd);
}
