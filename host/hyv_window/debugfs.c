// SPDX-License-Identifier: GPL-2.0
/*
 * hyv_window: the operator's view, /sys/kernel/debug/hyv_window/windows: a heading, and one line
 * per window that exists.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "internal.h"

static DEFINE_MUTEX(windows_lock);	/* protects the two below */
static LIST_HEAD(windows);
static u64 last_id;

static struct dentry *dir;

static int windows_show(struct seq_file *s, void *unused)
{
	struct hyv_window_info info;
	struct hyv_window *w;

	seq_puts(s, "id pid comm size maps pages pinned revoked state\n");
	mutex_lock(&windows_lock);
	list_for_each_entry(w, &windows, list) {
		hyv_window_read_info(w, &info);
		seq_printf(s, "%llu %d ", w->id, w->pid);
		seq_escape_str(s, w->comm, ESCAPE_SPACE | ESCAPE_SPECIAL, "\\");
		seq_printf(s, " %llu %llu %llu %llu %llu %s\n", info.size, info.maps, info.pages,
			   info.pinned, info.revoked,
			   info.flags & HYV_WINDOW_ORPHAN ? "orphan" : "ok");
	}
	mutex_unlock(&windows_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(windows);

/**
 * hyv_debugfs_add() - list a window and give it its id
 * @w: stays the caller's, who must remove it again. May sleep.
 */
void hyv_debugfs_add(struct hyv_window *w)
{
	mutex_lock(&windows_lock);
	w->id = ++last_id;
	list_add_tail(&w->list, &windows);
	mutex_unlock(&windows_lock);
}

/**
 * hyv_debugfs_remove() - the reverse of hyv_debugfs_add(); nobody looks at @w afterwards
 * @w: a listed window. May sleep.
 */
void hyv_debugfs_remove(struct hyv_window *w)
{
	mutex_lock(&windows_lock);
	list_del(&w->list);
	mutex_unlock(&windows_lock);
}

/**
 * hyv_debugfs_init() - make the file; without debugfs there is none, which is no error
 */
void hyv_debugfs_init(void)
{
	dir = debugfs_create_dir("hyv_window", NULL);
	debugfs_create_file("windows", 0400, dir, NULL, &windows_fops);
}

/**
 * hyv_debugfs_exit() - remove the file and wait for its readers
 */
void hyv_debugfs_exit(void)
{
	debugfs_remove(dir);
}
