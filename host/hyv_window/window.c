// SPDX-License-Identifier: GPL-2.0
/*
 * hyv_window: the window object, its table of pieces, and the ioctls of its file. MAP goes from
 * here to source.c, which finds the pages and puts the piece in the table, and then to vmm.c, which
 * shows it.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "internal.h"

/**
 * hyv_window_find() - the first piece in a range of the window's pages
 * @w: the window
 * @first: first page
 * @last: last page
 *
 * Return: the piece, or NULL. It stays in the table while the caller holds @w->ctl or @w->lock, one
 * of which is needed.
 */
struct hyv_map *hyv_window_find(struct hyv_window *w, unsigned long first, unsigned long last)
{
	struct interval_tree_node *node = interval_tree_iter_first(&w->maps, first, last);

	return node ? container_of(node, struct hyv_map, node) : NULL;
}

/**
 * hyv_window_insert() - put a piece into its window's table and let it be seen
 * @m: a piece with all its pages; the table owns it from now on
 *
 * The caller holds the window's ctl, has found the range free, and holds the window's lock.
 */
void hyv_window_insert(struct hyv_map *m)
{
	struct hyv_window *w = m->window;

	lockdep_assert_held(&w->ctl);
	lockdep_assert_held(&w->lock);
	interval_tree_insert(&m->node, &w->maps);
	w->nmaps++;
	w->npages_mapped += m->npages;
	m->live = true;
}

static void window_erase(struct hyv_map *m)
{
	struct hyv_window *w = m->window;

	spin_lock(&w->lock);
	interval_tree_remove(&m->node, &w->maps);
	w->nmaps--;
	w->npages_mapped -= m->npages;
	spin_unlock(&w->lock);
}

/**
 * hyv_window_read_info() - what HYV_WINDOW_INFO answers
 * @w: the window
 * @info: filled. Does not sleep.
 */
void hyv_window_read_info(struct hyv_window *w, struct hyv_window_info *info)
{
	spin_lock(&w->lock);
	*info = (struct hyv_window_info){
		.size = (u64)w->npages << PAGE_SHIFT,
		.flags = w->orphan ? HYV_WINDOW_ORPHAN : 0,
		.maps = w->nmaps,
		.pages = w->npages_mapped,
		.pinned = w->npinned,
		.faults = atomic64_read(&w->nfaults),
		.hole_faults = atomic64_read(&w->nhole_faults),
		.revoked = w->nrevoked,
	};
	spin_unlock(&w->lock);
}

static bool map_arg_valid(const struct hyv_window *w, const struct hyv_window_map *arg)
{
	u64 size = (u64)w->npages << PAGE_SHIFT, end;

	return arg->length && arg->length <= HYV_WINDOW_MAX_LENGTH &&
	       !((arg->offset | arg->length | arg->address) & ~PAGE_MASK) &&
	       !(arg->flags & ~HYV_WINDOW_MAP_RO) && !arg->reserved &&
	       arg->offset <= size && arg->length <= size - arg->offset &&
	       !check_add_overflow(arg->address, arg->length, &end);
}

static int window_map(struct hyv_window *w, struct hyv_window_map *arg)
{
	unsigned long first = arg->offset >> PAGE_SHIFT;
	unsigned long npages = arg->length >> PAGE_SHIFT;
	struct hyv_map *m;
	int ret;

	if (!map_arg_valid(w, arg))
		return -EINVAL;
	m = kvzalloc(struct_size(m, pfn, npages), GFP_KERNEL_ACCOUNT);
	if (!m)
		return -ENOMEM;
	m->window = w;
	m->npages = npages;
	m->node.start = first;
	m->node.last = first + npages - 1;
	m->ro = arg->flags & HYV_WINDOW_MAP_RO;

	ret = mutex_lock_killable(&w->ctl);
	if (ret)
		goto err_free;
	ret = -EEXIST;
	if (hyv_window_find(w, m->node.start, m->node.last))
		goto err_unlock;
	ret = hyv_source_attach(m, arg->address);
	if (ret)
		goto err_unlock;
	hyv_vmm_refresh(w, m, true);
	arg->cache = m->cache;
	arg->kind = m->kind;
	mutex_unlock(&w->ctl);
	return 0;

err_unlock:
	mutex_unlock(&w->ctl);
err_free:
	kvfree(m);
	return ret;
}

static int window_unmap(struct hyv_window *w, u64 offset, u64 length)
{
	struct hyv_map *m;
	int ret;

	ret = mutex_lock_killable(&w->ctl);
	if (ret)
		return ret;
	m = hyv_window_find(w, offset >> PAGE_SHIFT, offset >> PAGE_SHIFT);
	if (!m || offset != (u64)m->node.start << PAGE_SHIFT ||
	    length != (u64)m->npages << PAGE_SHIFT) {
		mutex_unlock(&w->ctl);
		return -ENOENT;
	}
	window_erase(m);
	hyv_vmm_refresh(w, m, false);
	mutex_unlock(&w->ctl);
	hyv_source_detach(m);
	kvfree(m);
	return 0;
}

static long ioctl_map(struct hyv_window *w, void __user *uarg)
{
	struct hyv_window_map arg;
	int ret;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	ret = window_map(w, &arg);
	if (!ret && copy_to_user(uarg, &arg, sizeof(arg))) {
		window_unmap(w, arg.offset, arg.length);
		ret = -EFAULT;
	}
	return ret;
}

static long ioctl_unmap(struct hyv_window *w, void __user *uarg)
{
	struct hyv_window_unmap arg;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	return window_unmap(w, arg.offset, arg.length);
}

static long ioctl_info(struct hyv_window *w, void __user *uarg)
{
	struct hyv_window_info info;

	hyv_window_read_info(w, &info);
	return copy_to_user(uarg, &info, sizeof(info)) ? -EFAULT : 0;
}

static long hyv_window_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct hyv_window *w = file->private_data;
	void __user *uarg = (void __user *)arg;

	if (cmd == HYV_WINDOW_INFO)
		return ioctl_info(w, uarg);
	if (cmd != HYV_WINDOW_MAP && cmd != HYV_WINDOW_UNMAP)
		return -ENOTTY;
	if (current->mm != w->creator.mm)
		return -EPERM;		/* the VMM has this file as well */
	return cmd == HYV_WINDOW_MAP ? ioctl_map(w, uarg) : ioctl_unmap(w, uarg);
}

/*
 * The creator's address space ends, or the window does. In the first case no thread is left that
 * could be in MAP or UNMAP, in the second the file has no user: the table does not change.
 */
static void creator_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct hyv_window *w = container_of(mn, struct hyv_window, creator);
	struct interval_tree_node *node;

	spin_lock(&w->lock);
	w->orphan = true;
	spin_unlock(&w->lock);
	hyv_vmm_zap(w, 0, w->npages);
	for (node = interval_tree_iter_first(&w->maps, 0, ULONG_MAX); node;
	     node = interval_tree_iter_next(node, 0, ULONG_MAX))
		hyv_source_unpin(container_of(node, struct hyv_map, node));
}

static const struct mmu_notifier_ops creator_ops = {
	.release = creator_release,
};

static int hyv_window_release(struct inode *inode, struct file *file)
{
	struct hyv_window *w = file->private_data;
	struct hyv_map *m;

	hyv_debugfs_remove(w);
	if (w->creator.mm)		/* unset when hyv_window_create() failed */
		mmu_notifier_unregister(&w->creator, w->creator.mm);
	while ((m = hyv_window_find(w, 0, ULONG_MAX))) {
		window_erase(m);
		hyv_source_detach(m);
		kvfree(m);
	}
	__free_page(w->scratch);
	kfree(w);
	return 0;
}

static loff_t hyv_window_llseek(struct file *file, loff_t offset, int whence)
{
	struct hyv_window *w = file->private_data;

	return fixed_size_llseek(file, offset, whence, (loff_t)w->npages << PAGE_SHIFT);
}

static const struct file_operations hyv_window_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = hyv_window_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = hyv_vmm_mmap,
	.llseek = hyv_window_llseek,
	.release = hyv_window_release,
};

/**
 * hyv_window_create() - make a window, created by the current process
 * @arg: from user space, not yet checked
 *
 * Return: the window's file, the caller's, whose last fput() ends the window; or an ERR_PTR().
 * Sleeps, and takes the current mmap_lock.
 */
struct file *hyv_window_create(const struct hyv_window_create *arg)
{
	struct hyv_window *w;
	struct file *file;
	int ret;

	if (!arg->size || arg->size & ~PAGE_MASK || arg->size > HYV_WINDOW_MAX_SIZE ||
	    arg->flags || arg->reserved)
		return ERR_PTR(-EINVAL);
	w = kzalloc(sizeof(*w), GFP_KERNEL_ACCOUNT);
	if (!w)
		return ERR_PTR(-ENOMEM);
	mutex_init(&w->ctl);
	spin_lock_init(&w->lock);
	w->maps = RB_ROOT_CACHED;
	mutex_init(&w->vma_lock);
	INIT_LIST_HEAD(&w->vmas);
	w->npages = arg->size >> PAGE_SHIFT;
	w->pid = task_tgid_nr(current);
	get_task_comm(w->comm, current->group_leader);

	ret = -ENOMEM;
	w->scratch = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!w->scratch)
		goto err_free;
	hyv_debugfs_add(w);
	/* with an inode of its own, so that zapping finds the mappings of this window alone */
	file = anon_inode_create_getfile("[hyv_window]", &hyv_window_fops, w, O_RDWR, NULL);
	if (IS_ERR(file)) {
		ret = PTR_ERR(file);
		goto err_debugfs;
	}
	w->mapping = file->f_mapping;
	i_size_write(file_inode(file), arg->size);
	w->creator.ops = &creator_ops;
	ret = mmu_notifier_register(&w->creator, current->mm);
	if (ret) {
		fput(file);		/* undoes all the rest */
		return ERR_PTR(ret);
	}
	return file;

err_debugfs:
	hyv_debugfs_remove(w);
	__free_page(w->scratch);
err_free:
	kfree(w);
	return ERR_PTR(ret);
}
