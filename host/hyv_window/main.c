// SPDX-License-Identifier: GPL-2.0
/*
 * hyv_window: the module and its device node. Requests for a new window go from here to window.c.
 */

/**
 * DOC: One file whose pages are switched at run time
 *
 * A daemon (hyvd) makes a window, hands the file to a virtual machine monitor (QEMU), which maps it
 * once as a memory region of its guest, and from then on shows pieces of its own address space in
 * it: queue memory and doorbell pages of a uverbs context. include/hyv/window.h is the contract.
 *
 * Two address spaces are involved. The *creator's* is where the pages come from (source.c): memory
 * that get_user_pages() can pin, or raw page frames of a VM_PFNMAP mapping. The *VMM's* is where
 * they go (vmm.c): a VM_PFNMAP mapping of the window, whose page table entries are made one by one
 * at page faults and all at once at HYV_WINDOW_MAP. There may be several VMMs, or none; the creator
 * may map its own window. KVM follows the VMM's page table, told by mmu notifiers of every change.
 *
 * What a page of the window shows is decided in one place, insert_pte() in vmm.c: under the page
 * table's lock and the window's it looks the page up in the table (window.c), and makes an entry
 * for what it finds, or for the scratch page. Whoever takes something away (UNMAP, revocation, the
 * end of the creator) first makes that lookup fail, under the window's lock, and then zaps the
 * entries, which takes the page table's lock. An entry is therefore either made after the change
 * and shows scratch, or made before and zapped. Page tables are allocated before either lock is
 * taken, since the window's lock is also taken by notifiers that memory reclaim waits for.
 *
 * KVM and zapping
 *
 * To resolve a guest's fault in a VM_PFNMAP mapping, KVM looks for the page table entry, faults it
 * in if there is none, and looks again, all under one read-locked mmap_lock. If there is none on
 * the second look either it gives up: KVM_RUN fails with EFAULT and QEMU stops the machine. A zap
 * between fault and look must not happen.
 *
 * - MAP and UNMAP take the VMM's mmap_lock for writing around the zap. MAP also makes the entries
 *   anew before it lets go, so that a busy guest page costs no fault.
 * - Revocation comes from a notifier, under locks of the creator's address space, and cannot wait
 *   for another one's. The fault handler helps: it drops the mmap_lock once after it has made the
 *   entry and asks for a retry, upon which KVM starts over instead of looking once. What is left is
 *   two processors of one guest that fault on the same page of the window, which has no entry,
 *   while just this page is revoked; a well-behaved creator unmaps a piece before its source.
 *
 * Life of a piece
 *
 * An interval notifier on the source's addresses is registered before the pages are looked up, and
 * its sequence count checked when the piece goes live, so no change is missed. Raw page frames are
 * valid for only as long as the entry they were read from: any change to it revokes the piece.
 * Pinned pages stay valid, and the kernel may remap them for reasons of its own (NUMA balancing, a
 * failed migration, fork); such a piece is revoked by munmap() and mremap() only. Revoking hides a
 * piece; its pins are released by UNMAP, by the last use of the file, or by the creator's end,
 * whichever is first.
 *
 * The notice of the creator's end comes from an mmu notifier's release(): when its last thread is
 * gone or has called exec(), before its memory is freed. All of the window is scratch from then on,
 * although the VMM still holds the file. This is also why a guest can take a page of the daemon's
 * own for its sign of life.
 *
 * The scratch page
 *
 * There is one per window, zeroed when the window is made. It must be memory that can be written,
 * because a write to anything else would be emulated instruction by instruction, or kill the VMM.
 * All holes share it: a page each would let a guest allocate as much host memory as the window is
 * large. So two processes of one guest that both kept mappings of destroyed objects can exchange
 * bytes; nothing of the host or of another guest can get there, and nobody may rely on its
 * contents. A piece that the VMM may only read turns to scratch for the VMM that writes to it, for
 * the same reason: SIGBUS would kill it.
 *
 * Trust
 *
 * A window gives its creator nothing that it could not reach by itself, and gives others what the
 * creator chooses. Memory for tables is charged to the creator's memory cgroup, pinned pages to
 * RLIMIT_MEMLOCK as in ib_umem_get(). The VMM's mapping is not inherited by fork(). Another window
 * is refused as a source, so the notifiers of windows never wait for each other in a circle.
 *
 * Locks, outermost first: hyv_window.ctl, an mmap_lock (the creator's or one VMM's, never two),
 * hyv_window.vma_lock, i_mmap_rwsem, page table lock, hyv_window.lock.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "internal.h"

#ifndef CONFIG_X86_64
#error "hyv_window knows the memory types of x86-64 only"
#endif

static long hyv_main_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct hyv_window_create create;
	struct file *window;
	int fd;

	if (cmd != HYV_WINDOW_CREATE)
		return -ENOTTY;
	if (copy_from_user(&create, (void __user *)arg, sizeof(create)))
		return -EFAULT;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	window = hyv_window_create(&create);
	if (IS_ERR(window)) {
		put_unused_fd(fd);
		return PTR_ERR(window);
	}
	fd_install(fd, window);
	return fd;
}

static const struct file_operations hyv_main_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = hyv_main_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice hyv_main_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "hyv_window",
	.fops = &hyv_main_fops,
	.mode = 0600,
};

static int __init hyv_main_init(void)
{
	int ret;

	hyv_debugfs_init();
	ret = misc_register(&hyv_main_device);
	if (ret)
		hyv_debugfs_exit();
	return ret;
}

static void __exit hyv_main_exit(void)
{
	misc_deregister(&hyv_main_device);
	hyv_debugfs_exit();
}

module_init(hyv_main_init);
module_exit(hyv_main_exit);
MODULE_DESCRIPTION("HyV: windows, files whose pages are switched at run time");
MODULE_LICENSE("GPL");
