/* SPDX-License-Identifier: GPL-2.0 */
/*
 * hyv_window: the objects that the module's files share, and what each file offers the others.
 * The theory is at the top of main.c.
 */
#ifndef HYV_WINDOW_INTERNAL_H
#define HYV_WINDOW_INTERNAL_H

#include <linux/interval_tree.h>
#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/sched.h>
#include <linux/spinlock.h>

#include <hyv/window.h>

struct address_space;
struct file;

/**
 * struct hyv_window - one window; lives as long as its file
 * @ctl: serialises MAP and UNMAP; taken before any mmap_lock
 * @lock: protects @maps, every map's @live, @orphan and the plain counters. Nests inside page
 *        table locks and is taken by mmu notifiers, hence nothing is allocated under it.
 * @maps: struct hyv_map by page offset; changed under @ctl and @lock
 * @orphan: the creator's address space is gone
 * @creator: the creator's address space and the notice of its end
 * @vma_lock: protects @vmas and @pass; nests inside the mmap_lock of whom has the window mapped
 * @vmas: struct hyv_vma, every mapping of the window
 * @pass: number of the latest walk over @vmas
 * @mapping: of the window's file, which has an inode of its own
 * @scratch: the page that holes show, owned
 * @npages: size of the window
 * @nmaps: maps in @maps
 * @npages_mapped: pages of these
 * @npinned: pages pinned by these
 * @nrevoked: see struct hyv_window_info
 * @nfaults: likewise
 * @nhole_faults: likewise
 * @list: in the list of all windows (debugfs.c)
 * @id: number for the operator, never used twice
 * @pid: of the creator, for the operator
 * @comm: name of the creator, for the operator
 */
struct hyv_window {
	struct mutex ctl;	/* one MAP or UNMAP at a time */
	spinlock_t lock;	/* the table and the counters */
	struct rb_root_cached maps;
	bool orphan;
	struct mmu_notifier creator;

	struct mutex vma_lock;	/* the list of mappings */
	struct list_head vmas;
	unsigned long pass;
	struct address_space *mapping;

	struct page *scratch;
	unsigned long npages;
	u64 nmaps, npages_mapped, npinned, nrevoked;
	atomic64_t nfaults, nhole_faults;

	struct list_head list;
	u64 id;
	pid_t pid;
	char comm[TASK_COMM_LEN];
};

/**
 * struct hyv_map - a piece of the creator's memory in a window; owned by hyv_window.maps
 * @window: where it is shown
 * @node: its page offsets there, first and last
 * @notifier: tells of changes to the source addresses
 * @npages: length
 * @npinned: the first so many of @pfn are pinned and accounted
 * @kind: HYV_WINDOW_KIND_*
 * @cache: HYV_WINDOW_CACHE_*
 * @ro: may not be written through the window
 * @live: is shown; false before it is in the window and again once it is revoked
 * @prot: page protection of the source, of which only the memory type is used
 * @pfn: the pages
 */
struct hyv_map {
	struct hyv_window *window;
	struct interval_tree_node node;
	struct mmu_interval_notifier notifier;
	unsigned long npages, npinned;
	u32 kind, cache;
	bool ro, live;
	pgprot_t prot;
	unsigned long pfn[];
};

/* window.c: the object and its table */
struct file *hyv_window_create(const struct hyv_window_create *arg);
struct hyv_map *hyv_window_find(struct hyv_window *w, unsigned long first, unsigned long last);
void hyv_window_insert(struct hyv_map *m);
void hyv_window_read_info(struct hyv_window *w, struct hyv_window_info *info);

/* source.c: the creator's memory */
int hyv_source_attach(struct hyv_map *m, unsigned long address);
void hyv_source_unpin(struct hyv_map *m);
void hyv_source_detach(struct hyv_map *m);

/* vmm.c: whoever has the window mapped */
int hyv_vmm_mmap(struct file *file, struct vm_area_struct *vma);
bool hyv_vmm_is_window(const struct vm_area_struct *vma);
void hyv_vmm_refresh(struct hyv_window *w, const struct hyv_map *m, bool fill);
void hyv_vmm_zap(struct hyv_window *w, unsigned long first, unsigned long npages);

/* debugfs.c: the operator's view */
void hyv_debugfs_init(void);
void hyv_debugfs_exit(void);
void hyv_debugfs_add(struct hyv_window *w);
void hyv_debugfs_remove(struct hyv_window *w);

#endif
