// SPDX-License-Identifier: GPL-2.0
/*
 * Commands: one heap object per verb, from its request to its answer. vq.c carries them.
 *
 * A command is referenced by its caller, and by the list it is in while it is with the host
 * (hyv->on_ring, hyv->backlog). Its buffers and the memory it owns are left alone until the host
 * has answered or the device has been reset, whatever becomes of the caller:
 *
 *   - The caller waits, and can be killed. Then the command becomes an orphan: its answer goes to
 *     the reaper, which destroys what the command made, if it made something.
 *   - A destruction for a caller that is dying is an orphan from the start.
 *   - A connection does not wait at all (hyv_cmd_ask()): the answer wakes its work item.
 *   - The host dies: hyv_cmd_fail_all() lets every caller go with -EIO; the lists keep their
 *     references until hyv_cmd_drain().
 *
 * Answers are not trusted: they are copied before they are looked at, and a wrong one is -EIO and a
 * line in the log.
 */
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "virtio_hyv.h"

/* how long a process that exits waits until the host has freed what it held */
#define EXIT_PATIENCE	(5 * HZ)

/**
 * struct op_info - what the command layer knows of an operation
 * @name: for people
 * @req: bytes of the request's body
 * @resp: bytes of the answer's
 */
struct op_info {
	const char *name;
	u16 req;
	u16 resp;
};

static const struct op_info ops[HYV_OP_COUNT] = {
#define OP_INFO(number, NAME, op, ...) \
	[number] = { #NAME, sizeof(struct hyv_req_##op), sizeof(struct hyv_resp_##op) },
	HYV_OPS(OP_INFO)
#undef OP_INFO
};

/* what destroys what an operation made; its request is the id that the answer starts with */
static const enum hyv_op undo_ops[HYV_OP_COUNT] = {
	[HYV_OP_ALLOC_CONTEXT] = HYV_OP_FREE_CONTEXT,
	[HYV_OP_MMAP] = HYV_OP_MUNMAP,
	[HYV_OP_ALLOC_PD] = HYV_OP_DEALLOC_PD,
	[HYV_OP_REG_MR] = HYV_OP_DEREG_MR,
	[HYV_OP_CREATE_CQ] = HYV_OP_DESTROY_CQ,
	[HYV_OP_CREATE_QP] = HYV_OP_DESTROY_QP,
	[HYV_OP_CREATE_SRQ] = HYV_OP_DESTROY_SRQ,
	[HYV_OP_CREATE_AH] = HYV_OP_DESTROY_AH,
	[HYV_OP_ALLOC_MW] = HYV_OP_DEALLOC_MW,
	/* what the region showed before is its own owner's */
	[HYV_OP_REREG_MR] = HYV_OP_DEREG_MR,
	[HYV_OP_CM_LISTEN] = HYV_OP_CM_DESTROY,
	[HYV_OP_CM_CONNECT] = HYV_OP_CM_DESTROY,
	[HYV_OP_CM_GET_EVENT] = HYV_OP_CM_DESTROY, /* the request that it tells of, if it does */
};

static struct hyv_cmd *alloc(struct hyv_dev *hyv, enum hyv_op op, u32 udata_in, u32 udata_out,
			     gfp_t gfp)
{
	u32 req_len = sizeof(struct hyv_req_hdr) + ops[op].req + udata_in + udata_out;
	u32 resp_len = sizeof(struct hyv_resp_hdr) + ops[op].resp + udata_out;
	struct hyv_req_hdr *hdr;
	struct hyv_cmd *cmd;

	cmd = kzalloc(struct_size(cmd, buf, ALIGN(req_len, 8) + 2 * ALIGN(resp_len, 8)), gfp);
	if (!cmd)
		return NULL;

	cmd->hyv = hyv;
	INIT_LIST_HEAD(&cmd->link);
	refcount_set(&cmd->ref, 1);
	init_completion(&cmd->over);
	cmd->op = op;
	cmd->req_len = req_len;
	cmd->wire = cmd->buf + ALIGN(req_len, 8);
	cmd->resp = cmd->wire + ALIGN(resp_len, 8);
	cmd->resp_len = resp_len;

	hdr = (struct hyv_req_hdr *)cmd->buf;
	hdr->op = cpu_to_le32(op);
	hdr->udata_in = cpu_to_le32(udata_in);
	hdr->udata_out = cpu_to_le32(udata_out);
	return cmd;
}

/**
 * hyv_cmd_alloc() - make a command; its body and udata are zero
 * @hyv: where it will go
 * @op: what it will ask for
 * @udata_in: bytes of udata behind the request's body, at most HYV_UDATA_MAX
 * @udata_out: bytes of udata behind those, and behind the answer's body; at most HYV_UDATA_MAX
 *
 * Sleeps. Return: the command, for hyv_cmd_put(), or NULL.
 */
struct hyv_cmd *hyv_cmd_alloc(struct hyv_dev *hyv, enum hyv_op op, u32 udata_in, u32 udata_out)
{
	return alloc(hyv, op, udata_in, udata_out, GFP_KERNEL);
}

/**
 * hyv_cmd_put() - drop a reference
 * @cmd: a command
 *
 * The last one frees it, and unpins the memory it owns. Sleeps.
 */
void hyv_cmd_put(struct hyv_cmd *cmd)
{
	if (!refcount_dec_and_test(&cmd->ref))
		return;
	if (cmd->mem)
		hyv_umem_unpin(cmd->mem);
	kfree(cmd);
}

/* with the device locked */
static void finish(struct hyv_cmd *cmd, int status)
{
	cmd->status = status;
	cmd->done = true;
	if (cmd->asker)
		hyv_cm_answered(cmd->asker);
	complete(&cmd->over);	/* the last touch: who waits may free it */
}

/* puts a command on its way; never fails, since a command that finds no way is over with -EIO */
static void submit(struct hyv_cmd *cmd)
{
	struct hyv_dev *hyv = cmd->hyv;
	unsigned long flags;

	spin_lock_irqsave(&hyv->lock, flags);
	if (!hyv->dead) {
		refcount_inc(&cmd->ref);
		list_add_tail(&cmd->link, &hyv->backlog);
	} else {
		/* what the host was told of before it died is unpinned when that is safe */
		if (cmd->mem && !hyv->drained) {
			refcount_inc(&cmd->ref);
			list_add_tail(&cmd->link, &hyv->kept);
		}
		finish(cmd, -EIO);
	}
	spin_unlock_irqrestore(&hyv->lock, flags);
	hyv_cmd_flush(hyv);
}

/**
 * hyv_cmd_flush() - move commands from the backlog to the ring as far as there is room
 * @hyv: device, not locked
 *
 * Any context.
 */
void hyv_cmd_flush(struct hyv_dev *hyv)
{
	struct hyv_cmd *cmd, *next;
	unsigned long flags;
	bool kick;

	spin_lock_irqsave(&hyv->lock, flags);
	if (hyv->dead || list_empty(&hyv->backlog)) {
		spin_unlock_irqrestore(&hyv->lock, flags);
		return;
	}
	list_for_each_entry_safe(cmd, next, &hyv->backlog, link) {
		if (hyv_vq_add(hyv, cmd))
			break;
		list_move_tail(&cmd->link, &hyv->on_ring);
	}
	kick = hyv_vq_kick_prepare(hyv);
	spin_unlock_irqrestore(&hyv->lock, flags);
	if (kick)
		hyv_vq_kick(hyv);
}

/* the caller stops waiting: the answer goes to the reaper. Return: false if it is here already */
static bool abandon(struct hyv_cmd *cmd)
{
	unsigned long flags;

	spin_lock_irqsave(&cmd->hyv->lock, flags);
	cmd->orphan = !cmd->done;
	cmd->asker = NULL;
	spin_unlock_irqrestore(&cmd->hyv->lock, flags);
	return cmd->orphan;
}

/**
 * hyv_cmd_call() - send a command and wait for its answer
 * @cmd: filled command; the caller keeps its reference
 *
 * Sleeps until the answer comes, the host dies, or the caller is killed.
 *
 * Return: 0 and a complete answer; -EINTR when the caller was killed (nothing of @cmd but its
 * reference is the caller's any more); otherwise the host's error, or -EIO.
 */
int hyv_cmd_call(struct hyv_cmd *cmd)
{
	submit(cmd);
	if (wait_for_completion_killable(&cmd->over) && abandon(cmd))
		return -EINTR;
	return cmd->status;
}

/**
 * hyv_cmd_ask() - send a command, and be told when its answer is there
 * @cmd: filled command; the caller keeps its reference
 * @asker: who is told, by hyv_cm_answered(); stays until then or until hyv_cmd_abandon()
 *
 * Does not sleep. When hyv_cmd_is_over(), @cmd.status is what hyv_cmd_call() returns.
 */
void hyv_cmd_ask(struct hyv_cmd *cmd, struct hyv_cm *asker)
{
	cmd->asker = asker;
	submit(cmd);
}

/**
 * hyv_cmd_is_over() - whether the answer is there, or will never be
 * @cmd: of hyv_cmd_ask()
 *
 * Does not sleep. Return: true when nobody else touches @cmd any more.
 */
bool hyv_cmd_is_over(struct hyv_cmd *cmd)
{
	unsigned long flags;
	bool done;

	spin_lock_irqsave(&cmd->hyv->lock, flags);
	done = cmd->done;
	spin_unlock_irqrestore(&cmd->hyv->lock, flags);
	return done;
}

/**
 * hyv_cmd_abandon() - nobody wants to hear the answer any more
 * @cmd: of hyv_cmd_ask(); the caller's reference goes with it
 *
 * What it makes is destroyed. Sleeps for memory alone.
 */
void hyv_cmd_abandon(struct hyv_cmd *cmd)
{
	if (!abandon(cmd) && !cmd->status)
		hyv_cmd_undo(cmd);
	hyv_cmd_put(cmd);
}

/**
 * hyv_cmd_post() - send a command without waiting for its answer, which nobody hears
 * @cmd: filled command; the caller's reference goes with it
 *
 * Does not sleep.
 */
void hyv_cmd_post(struct hyv_cmd *cmd)
{
	cmd->orphan = true;
	submit(cmd);
	hyv_cmd_put(cmd);
}

/**
 * hyv_cmd_post_destroy() - have something destroyed without waiting for it
 * @hyv: device
 * @op: operation whose request is an id
 * @id: what to destroy
 * @mem: memory to unpin afterwards, or NULL
 *
 * Sleeps for memory alone.
 */
void hyv_cmd_post_destroy(struct hyv_dev *hyv, enum hyv_op op, u64 id, struct hyv_mem *mem)
{
	struct hyv_cmd *cmd = alloc(hyv, op, 0, 0, GFP_KERNEL | __GFP_NOFAIL);

	*(__le64 *)hyv_cmd_req(cmd) = cpu_to_le64(id);
	cmd->mem = mem;
	hyv_cmd_post(cmd);
}

/* the host's id of what a successful command made, or 0 */
static u64 made(struct hyv_cmd *cmd)
{
	const struct hyv_resp_cm_get_event *event = hyv_cmd_resp(cmd);
	const __le64 *id = hyv_cmd_resp(cmd);

	return le64_to_cpu(cmd->op == HYV_OP_CM_GET_EVENT ? event->request : *id);
}

/**
 * hyv_cmd_undo() - destroy what a successful command made, since its caller cannot have it
 * @cmd: command that was answered with success; what memory it owns goes along
 *
 * Sleeps for memory alone.
 */
void hyv_cmd_undo(struct hyv_cmd *cmd)
{
	u64 id = made(cmd);

	if (!id)
		return;
	hyv_cmd_post_destroy(cmd->hyv, undo_ops[cmd->op], id, cmd->mem);
	cmd->mem = NULL;
}

/**
 * hyv_cmd_call_undoing() - send a command that takes something back, and wait for its answer
 * @ib: its device
 * @cmd: filled command; the caller keeps its reference
 *
 * Does not wait if the caller is dying or the device is going, which it does not refuse either.
 *
 * Return: 0, and what memory @cmd owns stays its own; or the host's error, and nothing has changed.
 */
int hyv_cmd_call_undoing(struct ib_device *ib, struct hyv_cmd *cmd)
{
	int ret;

	if (READ_ONCE(to_hyv_ibdev(ib)->going) || current->flags & PF_EXITING ||
	    fatal_signal_pending(current)) {
		cmd->orphan = true;
		submit(cmd);
		return 0;
	}
	ret = hyv_cmd_call(cmd);
	return cmd->orphan || READ_ONCE(cmd->hyv->dead) ? 0 : ret;
}

/**
 * hyv_cmd_destroy() - destroy an object on the host
 * @ib: its device
 * @op: operation whose request is an id
 * @id: what to destroy
 * @mem: memory that the object shows to the host, or NULL; unpinned when the host has let go of it
 *
 * Waits, unless the caller is dying or the device is going. What the host does not know it has
 * destroyed already, with a device that it has taken back.
 *
 * A region may be refused, since a memory window is bound to it. For the rest the core has looked
 * whether it is in use, and warns when it cannot destroy what a process leaves behind: what the host
 * keeps all the same goes with the context.
 *
 * Return: 0, and @mem is no longer the caller's; or for HYV_OP_DEREG_MR the host's error, and nothing
 * has changed.
 */
int hyv_cmd_destroy(struct ib_device *ib, enum hyv_op op, u64 id, struct hyv_mem *mem)
{
	struct hyv_cmd *cmd = alloc(to_hyv(ib), op, 0, 0, GFP_KERNEL | __GFP_NOFAIL);
	int ret;

	*(__le64 *)hyv_cmd_req(cmd) = cpu_to_le64(id);
	cmd->mem = mem;
	ret = hyv_cmd_call_undoing(ib, cmd);
	if (ret == -ENOENT)
		ret = 0;
	if (ret && op != HYV_OP_DEREG_MR) {
		if (ret != -ENOTCONN) /* CM_DISCONNECT: it has ended meanwhile */
			hyv_err_limited(to_hyv(ib), "the host refuses %s (%d)\n",
					ops[op].name, ret);
		ret = 0;
	}
	if (ret)
		cmd->mem = NULL;
	hyv_cmd_put(cmd);
	return ret;
}

/**
 * hyv_cmd_free_context() - free a context and all that is left in it on the host
 * @ib: its device
 * @id: the context
 *
 * Waits until all is free, so that a process that starts when another has exited finds the host as
 * it would find it natively. A process that was killed does not wait, one that exits only for some
 * seconds.
 */
void hyv_cmd_free_context(struct ib_device *ib, u64 id)
{
	struct hyv_cmd *cmd;

	if (READ_ONCE(to_hyv_ibdev(ib)->going) || fatal_signal_pending(current) ||
	    (current->flags & PF_EXITING && current->exit_code & 0x7f)) {
		hyv_cmd_post_destroy(to_hyv(ib), HYV_OP_FREE_CONTEXT, id, NULL);
		return;
	}

	cmd = alloc(to_hyv(ib), HYV_OP_FREE_CONTEXT, 0, 0, GFP_KERNEL | __GFP_NOFAIL);
	*(__le64 *)hyv_cmd_req(cmd) = cpu_to_le64(id);
	submit(cmd);
	if (wait_for_completion_killable_timeout(&cmd->over, EXIT_PATIENCE) <= 0)
		abandon(cmd);
	hyv_cmd_put(cmd);
}

/* takes the answer out of the host's reach. Return: what it says, once its form has been checked */
static int take_answer(struct hyv_cmd *cmd, u32 used)
{
	const struct hyv_resp_hdr *hdr = cmd->resp;
	s32 status = 0;

	memcpy(cmd->resp, cmd->wire, min(used, cmd->resp_len));
	if (used < sizeof(*hdr))
		goto wrong;
	status = (s32)le32_to_cpu(hdr->status);
	if (status > 0 || status < -MAX_ERRNO)
		goto wrong;
	if (!status && used != cmd->resp_len)
		goto wrong;
	return status;

wrong:
	hyv_err_limited(cmd->hyv, "wrong answer to %s: %u bytes, status %d\n", ops[cmd->op].name,
			used, status);
	return -EIO;
}

/*
 * Whether the host has not let go of a region, to which a memory window is bound, say. One that it does
 * not know went with its context.
 */
static bool must_keep(const struct hyv_cmd *cmd)
{
	return cmd->op == HYV_OP_DEREG_MR && cmd->mem && cmd->status && cmd->status != -ENOENT;
}

/* a context is free on the host, and with it what was kept for its regions. The device is locked */
static void release_kept(struct hyv_dev *hyv, u64 context)
{
	struct hyv_cmd *cmd, *next;

	list_for_each_entry_safe(cmd, next, &hyv->kept, link)
		if (cmd->mem->context == context) /* all of them have memory */
			list_move_tail(&cmd->link, &hyv->answered);
	queue_work(hyv->wq, &hyv->reap_work);
}

/**
 * hyv_cmd_answered() - an answer came
 * @cmd: command that was on the ring, and is no longer
 * @used: bytes that the host claims to have written
 *
 * Called in interrupts with the device locked.
 */
void hyv_cmd_answered(struct hyv_cmd *cmd, u32 used)
{
	struct hyv_dev *hyv = cmd->hyv;
	int status;

	/* given up with the whole device: its caller may be gone, its memory goes in drain */
	if (cmd->done)
		return;

	status = take_answer(cmd, used);
	if (cmd->op == HYV_OP_FREE_CONTEXT && !status)
		release_kept(hyv, le64_to_cpu(*(__le64 *)hyv_cmd_req(cmd)));
	if (cmd->orphan) {
		cmd->status = status;
		cmd->done = true;
		if (must_keep(cmd)) {
			list_move_tail(&cmd->link, &hyv->kept);
			return;
		}
		list_move_tail(&cmd->link, &hyv->answered);
		queue_work(hyv->wq, &hyv->reap_work);
		return;
	}
	list_del_init(&cmd->link);
	/* never the last one: the caller still waits for finish() */
	refcount_dec(&cmd->ref);
	finish(cmd, status);
}

/**
 * hyv_cmd_reap() - see to answers that nobody waits for
 * @work: struct hyv_dev.reap_work
 */
void hyv_cmd_reap(struct work_struct *work)
{
	struct hyv_dev *hyv = container_of(work, struct hyv_dev, reap_work);
	struct hyv_cmd *cmd;

	for (;;) {
		spin_lock_irq(&hyv->lock);
		cmd = list_first_entry_or_null(&hyv->answered, struct hyv_cmd, link);
		if (!cmd) {
			spin_unlock_irq(&hyv->lock);
			return;
		}
		list_del_init(&cmd->link);
		spin_unlock_irq(&hyv->lock);

		if (!cmd->status && undo_ops[cmd->op])
			hyv_cmd_undo(cmd);
		hyv_cmd_put(cmd);
	}
}

/** hyv_cmd_idle() - whether the host has answered everything */
bool hyv_cmd_idle(struct hyv_dev *hyv)
{
	bool idle;

	spin_lock_irq(&hyv->lock);
	idle = list_empty(&hyv->on_ring) && list_empty(&hyv->backlog) &&
	       list_empty(&hyv->answered);
	spin_unlock_irq(&hyv->lock);
	return idle;
}

static void fail_list(struct list_head *list)
{
	struct hyv_cmd *cmd;

	list_for_each_entry(cmd, list, link)
		if (!cmd->done)
			finish(cmd, -EIO);
}

/**
 * hyv_cmd_fail_all() - the host will not answer any more: let every caller go, now and from now on
 * @hyv: device
 *
 * The commands themselves stay where they are, see hyv_cmd_drain().
 */
void hyv_cmd_fail_all(struct hyv_dev *hyv)
{
	spin_lock_irq(&hyv->lock);
	hyv->dead = true;
	fail_list(&hyv->on_ring);
	fail_list(&hyv->backlog);
	spin_unlock_irq(&hyv->lock);
}

/**
 * hyv_cmd_drain() - free the commands that are left, and unpin their memory
 * @hyv: device whose commands have been failed, and which has been reset
 *
 * Sleeps.
 */
void hyv_cmd_drain(struct hyv_dev *hyv)
{
	struct hyv_cmd *cmd, *next;
	LIST_HEAD(list);

	spin_lock_irq(&hyv->lock);
	hyv->drained = true;
	list_splice_init(&hyv->on_ring, &list);
	list_splice_init(&hyv->backlog, &list);
	list_splice_init(&hyv->answered, &list);
	list_splice_init(&hyv->kept, &list);
	spin_unlock_irq(&hyv->lock);

	list_for_each_entry_safe(cmd, next, &list, link) {
		list_del_init(&cmd->link);
		hyv_cmd_put(cmd);
	}
}
