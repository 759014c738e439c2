/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of virtio_hyv share: the structs and who calls whom.
 *
 * For a device on which the VM has addresses, netdev.c holds those and cm.c makes connections.
 *
 * A verb goes ctx.c, pd.c, mr.c, mw.c, cq.c, qp.c, srq.c or datagram.c (fill a request) ->
 * udata.c (the provider's part) -> cmd.c (submit, wait, answer) -> vq.c (virtqueue), and its
 * answer back. What the host says by itself goes vq.c -> event.c -> ib_core.
 *
 * Lifetimes. struct hyv_dev lives from probe to remove of the virtio device. Its struct hyv_ibdev
 * are registered by main.c once the host has answered and whenever it offers another, and are
 * unregistered when the host takes them back and before it goes, which makes the RDMA core destroy
 * every object and take every mapping away. Commands and pinned memory
 * that the host may still touch stay until the virtio device is reset.
 */
#ifndef VIRTIO_HYV_H
#define VIRTIO_HYV_H

#include <linux/bitmap.h>
#include <linux/completion.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/refcount.h>
#include <linux/scatterlist.h>
#include <linux/spinlock.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <hyv/provider.h>
#include <hyv/wire.h>
#include <rdma/ib_verbs.h>
#include <rdma/iw_cm.h>
#include <rdma/uverbs_ioctl.h>

#include "cm_state.h"
#include "compat.h"

struct hyv_ibdev;

/* a port is memory and thousands of sysfs files of the guest: bound what the host may ask for */
#define HYV_MAX_PORTS	16

/**
 * struct hyv_dev - one virtio device: the guest's end of one hyvd
 * @vdev: the virtio device, which outlives this
 * @vqs: its queues, by HYV_VQ_*; touched by vq.c alone
 * @events: the buffers of HYV_VQ_EVENT
 * @event_lock: protects HYV_VQ_EVENT and the order in which events are handed on; taken in interrupts
 * @window: the shared-memory region, guest-physical
 * @window_size: bytes of it that the daemon uses
 * @doorbells: the region's first pages, mapped from the daemon's first answer to remove
 * @life: what @doorbells->life says while the daemon lives; 0 before it has answered
 * @lock: protects HYV_VQ_CONTROL, the lists, @dead, @drained and the state of every command; taken
 *	in interrupts
 * @on_ring: commands that the host has, answered by nobody yet
 * @backlog: commands that found the ring full, in order
 * @answered: answered commands whose callers have gone
 * @kept: commands that are over but own memory that the host may still use: until its context is
 *	gone, or the device is reset
 * @dead: no answer will come any more
 * @drained: the device was reset: the host can reach no memory of ours
 * @objects: struct hyv_object by id; its lock is held around event handlers, so that after an
 *	erasure no handler runs; it protects @devices too
 * @wq: for everything below
 * @event_work: hands on the events that are too many for one interrupt
 * @start_work: first words with the daemon
 * @plug_work: makes @devices, their addresses and their GIDs what the daemon has in its slots, and
 *	tells of events of their ports; disabled before @start_work is done and when they go for good
 * @changed: bit n: slot n is to be looked at by @plug_work
 * @failed: bit n: slot n could not be looked at, and will be again from @retry_at (jiffies) on
 * @num_failures: looks in a row after which there was something in @failed; @plug_work's
 * @life_work: watches the daemon
 * @give_up_work: while the virtio device goes: does not wait for the daemon any longer
 * @reap_work: sees to @answered
 * @num_slots: of @devices, as far as the daemon has any
 * @devices: by the daemon's slot; NULL where there is none that this module can drive
 */
struct hyv_dev {
	struct virtio_device *vdev;
	struct virtqueue *vqs[HYV_NUM_VQS];
	struct hyv_event *events;
	spinlock_t event_lock; /* see above */
	struct virtio_shm_region window;
	u64 window_size;
	struct hyv_doorbells *doorbells;
	u64 life;

	spinlock_t lock; /* see above */
	struct list_head on_ring;
	struct list_head backlog;
	struct list_head answered;
	struct list_head kept;
	bool dead;
	bool drained;

	struct xarray objects;

	struct workqueue_struct *wq;
	struct work_struct event_work;
	struct work_struct start_work;
	struct delayed_work plug_work;
	struct delayed_work life_work;
	struct delayed_work give_up_work;
	struct work_struct reap_work;

	DECLARE_BITMAP(changed, HYV_MAX_DEVICES);
	DECLARE_BITMAP(failed, HYV_MAX_DEVICES);
	unsigned int num_failures;
	unsigned long retry_at;
	u32 num_slots;
	struct hyv_ibdev *devices[HYV_MAX_DEVICES];
};

#define hyv_err(hyv, fmt, ...)		dev_err(&(hyv)->vdev->dev, fmt, ##__VA_ARGS__)
#define hyv_err_limited(hyv, fmt, ...)	dev_err_ratelimited(&(hyv)->vdev->dev, fmt, ##__VA_ARGS__)
#define hyv_info(hyv, fmt, ...)		dev_info(&(hyv)->vdev->dev, fmt, ##__VA_ARGS__)

/**
 * struct hyv_ibdev - one RDMA device of the host, as the guest's RDMA core sees it
 * @ib: the core's part; freed with the last reference to it
 * @hyv: whose it is; valid as long as the device is registered
 * @id: the daemon's number for it, never another's
 * @provider: what is known of its driver's user-space part
 * @going: it is being unregistered: destroy without asking
 * @link_layer: of its ports
 * @fw_ver: for people
 * @port_events: by port, 0 for the device: bit n: event n (enum ib_event_type) is to be told by
 *	@hyv->plug_work; protected by @hyv->objects' lock
 * @netdev: what holds the VM's addresses; NULL when it has none, and then the GID table mirrors the
 *	host's, and there are no connections. Set before the device is registered.
 * @qps: struct hyv_qp by number, of a device with connections
 * @cm_lock: protects @cms, @cm_closed, struct hyv_qp.cm and struct hyv_qp.gone
 * @cms: struct hyv_cm but for listeners
 * @cm_closed: no connections any more
 * @num_cms: struct hyv_cm that exist
 * @cms_gone: woken when there are none
 * @gid_lock: protects the rest; held while the host is asked
 * @gid_port: port whose table the core is reading
 * @gid_last: index that it read last
 * @gid_next: no entry in between has a GID
 */
struct hyv_ibdev {
	struct ib_device ib;
	struct hyv_dev *hyv;
	u32 id;
	const struct hyv_provider *provider;
	bool going;
	enum rdma_link_layer link_layer;
	char fw_ver[32];
	u32 port_events[HYV_MAX_PORTS + 1];

	struct net_device *netdev;
	struct xarray qps;
	spinlock_t cm_lock; /* see above */
	struct list_head cms;
	bool cm_closed;
	atomic_t num_cms;
	wait_queue_head_t cms_gone;

	struct mutex gid_lock; /* see above */
	u32 gid_port;
	u32 gid_last;
	u32 gid_next;
};

static inline struct hyv_ibdev *to_hyv_ibdev(struct ib_device *ib)
{
	return container_of(ib, struct hyv_ibdev, ib);
}

/* whether the host's device connects queue pairs itself, and knows nothing of paths */
static inline bool hyv_is_iwarp(const struct hyv_ibdev *dev)
{
	return dev->ib.node_type == RDMA_NODE_RNIC;
}

static inline struct hyv_dev *to_hyv(struct ib_device *ib)
{
	return to_hyv_ibdev(ib)->hyv;
}

/**
 * struct hyv_object - an object that the host sends events about
 * @id: the host's id
 * @told: bit n: its owner was told of event n (enum ib_event_type) and has not changed it since, so
 *	that there cannot be another; ib_uverbs keeps each until it is read
 * @type: which of the structs it is part of
 */
struct hyv_object {
	u64 id;
	unsigned long told;
	enum hyv_object_type {
		HYV_OBJECT_CQ,
		HYV_OBJECT_QP,
		HYV_OBJECT_SRQ,
		HYV_OBJECT_CM,
	} type;
};

/**
 * struct hyv_ucontext - a process's context, and the host's for it
 * @id: the host's id
 */
struct hyv_ucontext {
	struct ib_ucontext ib;
	u64 id;
};

/**
 * struct hyv_pd - protection domain
 * @id: the host's id
 */
struct hyv_pd {
	struct ib_pd ib;
	u64 id;
};

/**
 * struct hyv_mr - memory region
 * @id: the host's id
 * @access: IB_ACCESS_*
 * @mem: the memory; it belongs to a command while the host is asked to let go of it
 */
struct hyv_mr {
	struct ib_mr ib;
	u64 id;
	int access;
	struct hyv_mem *mem;
};

/**
 * struct hyv_cq - completion queue
 * @object: its id, and where events find it
 * @armed: times that it was armed and has told of no completion since, as far as HYV_CQ_MAX_ARMED;
 *	without meaning where applications arm it in its memory
 */
struct hyv_cq {
	struct ib_cq ib;
	struct hyv_object object;
	atomic_t armed;
};

/* more events of one queue are never on their way: the daemon makes one of those that wait */
#define HYV_CQ_MAX_ARMED	1024

/**
 * struct hyv_qp - queue pair
 * @object: its id, and where events find it
 * @doorbell: its bit in struct hyv_doorbells
 * @state: of the last successful change, for what post_send has to refuse without the host
 * @cm: the connection that it has, or NULL
 * @uid: whose it is: who may connect it, besides
 * @tgid: the process that made it
 * @gone: it is being destroyed: no new connection
 * @cm_ready: an application has moved it to RTR as rdma_cm says, which the host will do in fact
 * @cm_refs: one of its own, and iw_cm's
 * @cm_over: completed when @cm_refs is 0
 */
struct hyv_qp {
	struct ib_qp ib;
	struct hyv_object object;
	u32 doorbell;
	enum ib_qp_state state;
	struct hyv_cm *cm;
	kuid_t uid;
	pid_t tgid;
	bool gone;
	bool cm_ready;
	refcount_t cm_refs;
	struct completion cm_over;
};

/**
 * struct hyv_cm - a listener, a request, or a connection
 * @object: its id, and where events find it
 * @dev: its device
 * @ref: one while it is in struct hyv_dev.objects, one while @work is queued
 * @work: asks the host for events; of a request whose listener has gone: gives it up
 * @has_news: the host has something to tell, or may have; @work has to ask
 * @lock: protects the rest; held while iw_cm is told, so that it hears everything in order, and
 *	while a process waits for the host to connect, accept or reject
 * @question: what the host was asked and has not answered, or @work has not heard; or NULL
 * @state: what it is
 * @iw: iw_cm's, referenced unless it is a listener's; NULL for a request, and when it is over
 * @qp: what it connects; struct hyv_ibdev.cm_lock protects the way back
 * @listener: of a request: the id of who was asked
 * @task: who connects, referenced
 * @link: in struct hyv_ibdev.cms
 */
struct hyv_cm {
	struct hyv_object object;
	struct hyv_ibdev *dev;
	refcount_t ref;
	struct delayed_work work;
	bool has_news;
	struct mutex lock; /* see above */
	struct hyv_cmd *question;
	enum hyv_cm_state state;
	struct iw_cm_id *iw;
	struct hyv_qp *qp;
	u64 listener;
	struct task_struct *task;
	struct list_head link;
};

/** struct hyv_ah - address handle; @id: the host's */
struct hyv_ah {
	struct ib_ah ib;
	u64 id;
};

/** struct hyv_mw - memory window; @id: the host's */
struct hyv_mw {
	struct ib_mw ib;
	u64 id;
};

/** struct hyv_srq - shared receive queue; @object: its id, and where events find it */
struct hyv_srq {
	struct ib_srq ib;
	struct hyv_object object;
};

static inline struct hyv_ucontext *to_hyv_ucontext(struct ib_ucontext *ib)
{
	return container_of(ib, struct hyv_ucontext, ib);
}

static inline struct hyv_pd *to_hyv_pd(struct ib_pd *ib)
{
	return container_of(ib, struct hyv_pd, ib);
}

static inline struct hyv_mr *to_hyv_mr(struct ib_mr *ib)
{
	return container_of(ib, struct hyv_mr, ib);
}

static inline struct hyv_cq *to_hyv_cq(struct ib_cq *ib)
{
	return container_of(ib, struct hyv_cq, ib);
}

static inline struct hyv_qp *to_hyv_qp(struct ib_qp *ib)
{
	return container_of(ib, struct hyv_qp, ib);
}

static inline struct hyv_ah *to_hyv_ah(struct ib_ah *ib)
{
	return container_of(ib, struct hyv_ah, ib);
}

static inline struct hyv_mw *to_hyv_mw(struct ib_mw *ib)
{
	return container_of(ib, struct hyv_mw, ib);
}

static inline struct hyv_srq *to_hyv_srq(struct ib_srq *ib)
{
	return container_of(ib, struct hyv_srq, ib);
}

/**
 * struct hyv_mem - application memory pinned for the host, and its description
 * @ib: device it was pinned for, referenced, since unpinning needs it
 * @umem: the pinned memory
 * @context: the host's id of the context that it is registered in, or 0 before it is known
 * @num_extents: extents in the tables
 * @num_tables: pages in @tables
 * @tables: pages of struct hyv_extent, read by the host during HYV_OP_REG_MR
 * @tail: the tables' addresses, as the request's tail
 */
struct hyv_mem {
	struct ib_device *ib;
	struct ib_umem *umem;
	u64 context;
	u32 num_extents;
	u32 num_tables;
	struct hyv_extent **tables;
	struct sg_table tail;
};

/* umem.c */
struct hyv_mem *hyv_umem_pin(struct ib_device *ib, u64 start, u64 length, int access);
void hyv_umem_forget_tables(struct hyv_mem *mem);
void hyv_umem_unpin(struct hyv_mem *mem);

/**
 * struct hyv_cmd - one verb on its way to the host and back
 * @hyv: where it goes
 * @link: in one of struct hyv_dev's lists
 * @ref: one for the caller, one for the list it is in
 * @over: completed when @status is final
 * @op: what it asks for
 * @status: the host's errno, or ours; final when @done
 * @done: the answer came, or will not come
 * @orphan: nobody waits; the answer goes to the reaper
 * @asker: a connection that is told when @done, or NULL
 * @mem: owned memory that the host may use until it has answered; it goes with the command
 * @provider: what the udata in it is to be understood by; NULL without udata
 * @req_len: bytes of the request, without the tail
 * @wire: where the host writes the answer, inside @buf
 * @resp: what it had written there when it said so, inside @buf
 * @resp_len: bytes of the answer
 * @buf: request, and the answer twice
 */
struct hyv_cmd {
	struct hyv_dev *hyv;
	struct list_head link;
	refcount_t ref;
	struct completion over;
	enum hyv_op op;
	int status;
	bool done;
	bool orphan;
	struct hyv_cm *asker;
	struct hyv_mem *mem;
	const struct hyv_provider *provider;
	u32 req_len;
	u32 resp_len;
	void *wire;
	void *resp;
	u8 buf[] __aligned(8);
};

/* the body of a command's request and answer, behind the headers */
static inline void *hyv_cmd_req(struct hyv_cmd *cmd)
{
	return cmd->buf + sizeof(struct hyv_req_hdr);
}

static inline void *hyv_cmd_resp(struct hyv_cmd *cmd)
{
	return cmd->resp + sizeof(struct hyv_resp_hdr);
}

/* cmd.c */
struct hyv_cmd *hyv_cmd_alloc(struct hyv_dev *hyv, enum hyv_op op, u32 udata_in, u32 udata_out);
void hyv_cmd_put(struct hyv_cmd *cmd);
int hyv_cmd_call(struct hyv_cmd *cmd);
void hyv_cmd_ask(struct hyv_cmd *cmd, struct hyv_cm *asker);
bool hyv_cmd_is_over(struct hyv_cmd *cmd);
void hyv_cmd_abandon(struct hyv_cmd *cmd);
void hyv_cmd_post(struct hyv_cmd *cmd);
void hyv_cmd_undo(struct hyv_cmd *cmd);
int hyv_cmd_call_undoing(struct ib_device *ib, struct hyv_cmd *cmd);
int hyv_cmd_destroy(struct ib_device *ib, enum hyv_op op, u64 id, struct hyv_mem *mem);
void hyv_cmd_free_context(struct ib_device *ib, u64 id);
void hyv_cmd_post_destroy(struct hyv_dev *hyv, enum hyv_op op, u64 id, struct hyv_mem *mem);
void hyv_cmd_answered(struct hyv_cmd *cmd, u32 used);
void hyv_cmd_flush(struct hyv_dev *hyv);
void hyv_cmd_reap(struct work_struct *work);
bool hyv_cmd_idle(struct hyv_dev *hyv);
void hyv_cmd_fail_all(struct hyv_dev *hyv);
void hyv_cmd_drain(struct hyv_dev *hyv);

/* udata.c */
struct hyv_cmd *hyv_udata_cmd(struct ib_device *ib, enum hyv_op op, struct ib_udata *udata);
int hyv_udata_reply(struct hyv_cmd *cmd, struct ib_udata *udata);
int hyv_udata_created(struct hyv_cmd *cmd, struct ib_udata *udata, u64 *id);

/* vq.c */
int hyv_vq_init(struct hyv_dev *hyv);
void hyv_vq_exit(struct hyv_dev *hyv);
int hyv_vq_add(struct hyv_dev *hyv, struct hyv_cmd *cmd);
bool hyv_vq_kick_prepare(struct hyv_dev *hyv);
void hyv_vq_kick(struct hyv_dev *hyv);
void hyv_vq_wake(struct hyv_dev *hyv);
void hyv_vq_take_events(struct work_struct *work);
bool hyv_vq_broken(struct hyv_dev *hyv);

/* event.c */
int hyv_event_add(struct hyv_dev *hyv, struct hyv_object *object);
int hyv_event_created(struct hyv_cmd *cmd, struct ib_udata *udata, struct hyv_object *object,
		      enum hyv_object_type type);
void hyv_event_remove(struct hyv_dev *hyv, struct hyv_object *object);
void hyv_event_handle(struct hyv_dev *hyv, const struct hyv_event *event);

/* doorbell.c */
int hyv_doorbell_init(struct hyv_dev *hyv);
void hyv_doorbell_exit(struct hyv_dev *hyv);
bool hyv_doorbell_alive(struct hyv_dev *hyv);
void hyv_doorbell_ring(struct hyv_dev *hyv, u32 doorbell);

/* main.c */
void hyv_plug_soon(struct hyv_dev *hyv);

/* qp.c */
void hyv_ah_to_wire(struct hyv_ah_attr *wire, const struct rdma_ah_attr *ah);

/* netdev.c */
int hyv_netdev_create(struct hyv_ibdev *dev);
int hyv_netdev_refresh(struct hyv_ibdev *dev);
void hyv_netdev_destroy(struct hyv_ibdev *dev);
struct net_device *hyv_get_netdev(struct ib_device *ib, u32 port);
int hyv_add_gid(const struct ib_gid_attr *attr, void **context);
int hyv_del_gid(const struct ib_gid_attr *attr, void **context);

/* cm.c */
void hyv_cm_init(struct hyv_ibdev *dev);
void hyv_cm_close(struct hyv_ibdev *dev);
void hyv_cm_exit(struct hyv_ibdev *dev);
void hyv_cm_notify(struct hyv_cm *cm);
void hyv_cm_answered(struct hyv_cm *cm);
int hyv_cm_add_qp(struct hyv_qp *qp);
void hyv_cm_hide_qp(struct hyv_qp *qp);
void hyv_cm_remove_qp(struct hyv_qp *qp);
int hyv_cm_modify_qp(struct hyv_qp *qp, const struct ib_qp_attr *attr, int *mask, bool is_user);
int hyv_iw_connect(struct iw_cm_id *iw, struct iw_cm_conn_param *param);
int hyv_iw_accept(struct iw_cm_id *iw, struct iw_cm_conn_param *param);
int hyv_iw_reject(struct iw_cm_id *iw, const void *data, u8 len);
int hyv_iw_create_listen(struct iw_cm_id *iw, int backlog);
int hyv_iw_destroy_listen(struct iw_cm_id *iw);
struct ib_qp *hyv_iw_get_qp(struct ib_device *ib, int num);
void hyv_iw_add_ref(struct ib_qp *ib);
void hyv_iw_rem_ref(struct ib_qp *ib);

/* ibdev.c */
int hyv_ibdev_look(struct hyv_dev *hyv, u32 slot);
void hyv_ibdev_tell(struct hyv_dev *hyv, u32 slot);
void hyv_ibdev_unregister(struct hyv_dev *hyv, u32 slot);

/* the verbs, as struct ib_device_ops has them */
int hyv_alloc_ucontext(struct ib_ucontext *ib, struct ib_udata *udata);
void hyv_dealloc_ucontext(struct ib_ucontext *ib);
void hyv_disassociate_ucontext(struct ib_ucontext *ib);
int hyv_mmap(struct ib_ucontext *ib, struct vm_area_struct *vma);
void hyv_mmap_free(struct rdma_user_mmap_entry *rdma_entry);
int hyv_alloc_pd(struct ib_pd *ib, struct ib_udata *udata);
int hyv_dealloc_pd(struct ib_pd *ib, struct ib_udata *udata);
struct ib_mr *hyv_reg_user_mr(struct ib_pd *pd, u64 start, u64 length, u64 iova, int access,
			      HYV_DMAH_PARAM struct ib_udata *udata);
struct ib_mr *hyv_rereg_user_mr(struct ib_mr *ib, int flags, u64 start, u64 length, u64 iova,
				int access, struct ib_pd *pd, struct ib_udata *udata);
int hyv_dereg_mr(struct ib_mr *ib, struct ib_udata *udata);
int hyv_alloc_mw(struct ib_mw *ib, struct ib_udata *udata);
int hyv_dealloc_mw(struct ib_mw *ib);
int hyv_create_cq(struct ib_cq *ib, const struct ib_cq_init_attr *attr,
		  struct uverbs_attr_bundle *attrs);
int hyv_req_notify_cq(struct ib_cq *ib, enum ib_cq_notify_flags flags);
int hyv_resize_cq(struct ib_cq *ib, HYV_CQE_TYPE cqe, struct ib_udata *udata);
int hyv_destroy_cq(struct ib_cq *ib, struct ib_udata *udata);
int hyv_create_qp(struct ib_qp *ib, struct ib_qp_init_attr *attr, struct ib_udata *udata);
int hyv_modify_qp(struct ib_qp *ib, struct ib_qp_attr *attr, int mask, struct ib_udata *udata);
int hyv_query_qp(struct ib_qp *ib, struct ib_qp_attr *attr, int mask,
		 struct ib_qp_init_attr *init);
int hyv_destroy_qp(struct ib_qp *ib, struct ib_udata *udata);
int hyv_post_send(struct ib_qp *ib, const struct ib_send_wr *wr, const struct ib_send_wr **bad);
int hyv_create_srq(struct ib_srq *ib, struct ib_srq_init_attr *attr, struct ib_udata *udata);
int hyv_modify_srq(struct ib_srq *ib, struct ib_srq_attr *attr, enum ib_srq_attr_mask mask,
		   struct ib_udata *udata);
int hyv_query_srq(struct ib_srq *ib, struct ib_srq_attr *attr);
int hyv_destroy_srq(struct ib_srq *ib, struct ib_udata *udata);
int hyv_create_ah(struct ib_ah *ib, struct rdma_ah_init_attr *attr, struct ib_udata *udata);
int hyv_destroy_ah(struct ib_ah *ib, u32 flags);
int hyv_attach_mcast(struct ib_qp *qp, union ib_gid *gid, u16 mlid);
int hyv_detach_mcast(struct ib_qp *qp, union ib_gid *gid, u16 mlid);

/* kverbs.c: the entry points that only kernel users have */
int hyv_post_recv(struct ib_qp *ib, const struct ib_recv_wr *wr, const struct ib_recv_wr **bad);
int hyv_poll_cq(struct ib_cq *ib, int num, struct ib_wc *wc);
struct ib_mr *hyv_get_dma_mr(struct ib_pd *ib, int access);

#endif
