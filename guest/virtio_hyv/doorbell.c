// SPDX-License-Identifier: GPL-2.0
/*
 * The first pages of the window, which the daemon itself backs: doorbells of soft devices, and the
 * daemon's sign of life.
 *
 * Ringing is lock-free and may race with the daemon: set the queue's bit, then its summary bit,
 * then look whether the daemon sleeps; the daemon says that it sleeps, then looks at the summary.
 * With a full barrier on both sides at least one of them sees the other. The bit operations are the
 * always-locked ones: a guest with one CPU patches the lock prefix out of the ordinary ones, but
 * the daemon runs on another CPU.
 */
#include <linux/io.h>
#include <linux/pgtable.h>
#include <asm/barrier.h>
#include <asm/sync_bitops.h>

#include "virtio_hyv.h"

/* whether what is mapped here is cached: not where the firmware's MTRRs say otherwise */
static bool is_cached(const void *address)
{
	unsigned int level;
	pte_t *pte = lookup_address((unsigned long)address, &level);

	return pte && !(pte_flags(*pte) & (_PAGE_PWT | _PAGE_PCD));
}

/**
 * hyv_doorbell_init() - map the doorbells and look for the sign of life
 * @hyv: device whose daemon has answered HYV_OP_HELLO
 *
 * Return: 0; -ENOMEM; -EIO when the window does not show what the daemon promised.
 */
int hyv_doorbell_init(struct hyv_dev *hyv)
{
	hyv->doorbells = memremap(hyv->window.addr, HYV_DOORBELLS_SIZE, MEMREMAP_WB);
	if (!hyv->doorbells)
		return -ENOMEM;
	if (!is_cached(hyv->doorbells))
		dev_warn(&hyv->vdev->dev,
			 "the firmware's MTRRs forbid to cache the window: queues will be slow; unload the module, run hyv-mtrr, load it again\n");
	if (hyv_doorbell_alive(hyv))
		return 0;
	memunmap(hyv->doorbells);
	hyv->doorbells = NULL;
	return -EIO;
}

/** hyv_doorbell_exit() - unmap the doorbells, if they are mapped. Nobody may ring any more. */
void hyv_doorbell_exit(struct hyv_dev *hyv)
{
	if (hyv->doorbells)
		memunmap(hyv->doorbells);
}

/** hyv_doorbell_alive() - whether the daemon lives: when it dies, this page becomes scratch */
bool hyv_doorbell_alive(struct hyv_dev *hyv)
{
	return le64_to_cpu(READ_ONCE(hyv->doorbells->life)) == hyv->life;
}

/**
 * hyv_doorbell_ring() - make the host look at a queue
 * @hyv: device with its doorbells mapped
 * @doorbell: below HYV_NUM_DOORBELLS
 *
 * Costs an exit only if the daemon sleeps. Any context.
 */
void hyv_doorbell_ring(struct hyv_dev *hyv, u32 doorbell)
{
	struct hyv_doorbells *db = hyv->doorbells;

	sync_set_bit(doorbell, (__force unsigned long *)db->bits);
	/* the daemon takes the summary first, then the bits */
	virt_wmb();
	sync_set_bit(doorbell / 64, (__force unsigned long *)db->summary);
	/* pairs with the barrier of a daemon that goes to sleep: see above */
	virt_mb();
	if (READ_ONCE(db->asleep))
		hyv_vq_wake(hyv);
}
