/* SPDX-License-Identifier: (GPL-2.0-or-later OR BSD-2-Clause) */
/*
 * What the guest module virtio_hyv and the host daemon hyvd say to each other.
 *
 * Everything here is little endian, of fixed width, naturally aligned and padded to a multiple of
 * eight bytes; reserved fields are sent as zero and refused when they are not. docs/PROTOCOL.md
 * tells the same in prose.
 *
 * The device has three virtqueues:
 *
 *   HYV_VQ_CONTROL   one chain per verb: the guest's request in the readable part, room for the
 *                    answer in the writable one
 *   HYV_VQ_EVENT     writable buffers of one struct hyv_event each; the daemon fills one per event
 *   HYV_VQ_DOORBELL  never holds a buffer; its notification wakes a daemon that sleeps (struct
 *                    hyv_doorbells)
 *
 * and one shared-memory region, "the window" (shmid 0): page by page it shows memory of the host's
 * device, or nothing (a scratch page). Its first HYV_DOORBELLS_SIZE bytes are the doorbells, which
 * the daemon itself backs.
 *
 * A control chain is, in this order and with exactly these lengths,
 *
 *   readable:  struct hyv_req_hdr | struct hyv_req_<op> | udata_in bytes | udata_out bytes | tail
 *   writable:  struct hyv_resp_hdr | struct hyv_resp_<op> | udata_out bytes
 *
 * udata is what the application's user-space provider and the host's kernel driver say to each
 * other. It passes through unchanged; the second block is what the application's answer buffer
 * held before, since drivers write only part of it. Behind the answer's udata, and counted in its
 * length, lies what the host driver writes through pointers in the request's udata
 * (hyv_provider_out_len() in provider.h). The tail exists only for operations that say so. The
 * answer of a request that failed has the header alone: the rest is left as it was.
 */
#ifndef HYV_WIRE_H
#define HYV_WIRE_H

#include <linux/types.h>

#define HYV_VIRTIO_ID		38	/* a number QEMU accepts and no Linux driver claims */
#define HYV_MAGIC		0x31565948u	/* "HYV1" */
#define HYV_WIRE_VERSION	1

#define HYV_VQ_CONTROL		0
#define HYV_VQ_EVENT		1
#define HYV_VQ_DOORBELL		2
#define HYV_NUM_VQS		3

#define HYV_WINDOW_SHMID	0

#define HYV_UDATA_MAX		1024u		/* bytes of udata in one direction */
#define HYV_TAIL_MAX		(256u * 1024)	/* bytes of tail */
#define HYV_MAX_DEVICES		16u

#define HYV_WIRE_SIZE(type, size) \
	_Static_assert(sizeof(struct type) == (size) && (size) % 8 == 0, "wire size of " #type)
#define HYV_WIRE_EMPTY(type) struct type { }
#define HYV_WIRE_OFFSET(type, member, offset) \
	_Static_assert(__builtin_offsetof(struct type, member) == (offset), \
		       "wire offset of " #type "." #member)

/**
 * struct hyv_config - the virtio configuration space, read only
 * @magic: HYV_MAGIC, because the virtio device id belongs to nobody
 * @version: HYV_WIRE_VERSION of the daemon; the guest refuses any other than its own
 */
struct hyv_config {
	__le32 magic;
	__le32 version;
};
HYV_WIRE_SIZE(hyv_config, 8);

/**
 * struct hyv_doorbells - the first pages of the window, shared by the guest's kernel and the daemon
 * @life: the secret number of HYV_OP_HELLO's answer while the daemon lives, scratch when it is dead
 * @asleep: set by the daemon before it stops polling; a guest that sees it non-zero must notify
 *         HYV_VQ_DOORBELL
 * @summary: bit i says that @bits[i] may have something set
 * @bits: bit n asks the daemon to ring the host device for the queue whose answer named doorbell n
 *
 * Guest, to ring n: set bit n in @bits, set bit n / 64 in @summary, full barrier, read @asleep and
 * notify if it is set.
 * Daemon: take bits out of a summary word, then all of each word they name. Before it sleeps: set
 * @asleep, full barrier, look once more. Bits are numbered as in an array of __le64: bit n is bit n % 64 of element n / 64.
 */
#define HYV_NUM_DOORBELLS	32768u

struct hyv_doorbells {
	__le64 life;
	__u8 pad0[56];
	__le32 asleep;
	__u8 pad1[60];
	__le64 summary[HYV_NUM_DOORBELLS / 64 / 64];
	__u8 pad2[4096 - 192];
	__le64 bits[HYV_NUM_DOORBELLS / 64];
};
#define HYV_DOORBELLS_SIZE	8192u
HYV_WIRE_SIZE(hyv_doorbells, HYV_DOORBELLS_SIZE);
HYV_WIRE_OFFSET(hyv_doorbells, asleep, 64);
HYV_WIRE_OFFSET(hyv_doorbells, summary, 128);
HYV_WIRE_OFFSET(hyv_doorbells, bits, 4096);

/**
 * struct hyv_event - one buffer of HYV_VQ_EVENT
 * @type: enum hyv_event_type
 * @device: id of the device as in struct hyv_resp_get_device; HYV_EVENT_DEVICE: the slot
 * @object: id of the CQ, QP, SRQ or CM id it is about; 0 for an event of the port, device or slot
 * @code: HYV_EVENT_ASYNC: the uverbs event_type (enum ib_event_type)
 * @port: HYV_EVENT_ASYNC without object: the port, or 0
 *
 * Events of one object are coalesced while the guest offers no buffer; none is lost. An event whose
 * object the guest has destroyed meanwhile is to be ignored: ids are never used again.
 */
struct hyv_event {
	__le32 type;
	__le32 device;
	__le64 object;
	__le32 code;
	__le32 port;
};
HYV_WIRE_SIZE(hyv_event, 24);

enum hyv_event_type {
	HYV_EVENT_COMPLETION = 1,	/* the CQ's completion channel fired */
	HYV_EVENT_ASYNC = 2,		/* an asynchronous event */
	HYV_EVENT_CM = 3,		/* HYV_OP_CM_GET_EVENT has something to tell */
	HYV_EVENT_DEVICE = 4,		/* HYV_OP_GET_DEVICE may answer differently now, or
					 * HYV_OP_GET_ADDRESS of the device in that slot */
};

/**
 * struct hyv_req_hdr - start of every request
 * @op: enum hyv_op
 * @udata_in: bytes of provider data for the host driver, at most HYV_UDATA_MAX
 * @udata_out: bytes the provider expects back, at most HYV_UDATA_MAX
 */
struct hyv_req_hdr {
	__le32 op;
	__le32 reserved;
	__le32 udata_in;
	__le32 udata_out;
};
HYV_WIRE_SIZE(hyv_req_hdr, 16);

/**
 * struct hyv_resp_hdr - start of every answer
 * @status: 0, or a negative Linux errno of the host's kernel or of the daemon (a signed number)
 */
struct hyv_resp_hdr {
	__le32 status;
	__le32 reserved;
};
HYV_WIRE_SIZE(hyv_resp_hdr, 8);

/*
 * The operations: number, name, name in lower case, flags. A row's request is struct
 * hyv_req_<name>, its answer struct hyv_resp_<name>, which may be empty. Numbers are never used
 * again.
 */
#define HYV_OP_UDATA	1	/* carries provider data; others have udata_in = udata_out = 0 */
#define HYV_OP_TAIL	2	/* carries a tail of variable length */
#define HYV_OP_FAST	4	/* the daemon runs it on its ring thread: it never waits for long */

#define HYV_OPS(X) \
	X(1,  HELLO,         hello,         HYV_OP_FAST) \
	X(2,  GET_DEVICE,    get_device,    HYV_OP_FAST) \
	X(3,  QUERY_DEVICE,  query_device,  HYV_OP_UDATA) \
	X(4,  QUERY_PORT,    query_port,    0) \
	X(5,  QUERY_GID,     query_gid,     0) \
	X(6,  QUERY_PKEY,    query_pkey,    0) \
	X(7,  ALLOC_CONTEXT, alloc_context, HYV_OP_UDATA) \
	X(8,  FREE_CONTEXT,  free_context,  0) \
	X(9,  MMAP,          mmap,          0) \
	X(10, MUNMAP,        munmap,        0) \
	X(11, ALLOC_PD,      alloc_pd,      HYV_OP_UDATA) \
	X(12, DEALLOC_PD,    dealloc_pd,    0) \
	X(13, REG_MR,        reg_mr,        HYV_OP_UDATA | HYV_OP_TAIL) \
	X(14, DEREG_MR,      dereg_mr,      0) \
	X(15, CREATE_CQ,     create_cq,     HYV_OP_UDATA) \
	X(16, DESTROY_CQ,    destroy_cq,    0) \
	X(17, REQ_NOTIFY_CQ, req_notify_cq, HYV_OP_FAST) \
	X(18, CREATE_QP,     create_qp,     HYV_OP_UDATA) \
	X(19, MODIFY_QP,     modify_qp,     HYV_OP_UDATA) \
	X(20, QUERY_QP,      query_qp,      0) \
	X(21, DESTROY_QP,    destroy_qp,    0) \
	X(22, CREATE_SRQ,    create_srq,    HYV_OP_UDATA) \
	X(23, MODIFY_SRQ,    modify_srq,    HYV_OP_UDATA) \
	X(24, QUERY_SRQ,     query_srq,     0) \
	X(25, DESTROY_SRQ,   destroy_srq,   0) \
	X(26, CREATE_AH,     create_ah,     HYV_OP_UDATA) \
	X(27, DESTROY_AH,    destroy_ah,    0) \
	X(28, ATTACH_MCAST,  attach_mcast,  0) \
	X(29, DETACH_MCAST,  detach_mcast,  0) \
	X(30, ALLOC_MW,      alloc_mw,      HYV_OP_UDATA) \
	X(31, DEALLOC_MW,    dealloc_mw,    0) \
	X(32, RESIZE_CQ,     resize_cq,     HYV_OP_UDATA) \
	X(33, REREG_MR,      rereg_mr,      HYV_OP_TAIL) \
	X(40, GET_ADDRESS,   get_address,   HYV_OP_FAST) \
	X(41, SET_GID,       set_gid,       HYV_OP_FAST) \
	X(42, CM_LISTEN,     cm_listen,     0) \
	X(43, CM_CONNECT,    cm_connect,    0) \
	X(44, CM_ACCEPT,     cm_accept,     0) \
	X(45, CM_REJECT,     cm_reject,     0) \
	X(46, CM_DISCONNECT, cm_disconnect, 0) \
	X(47, CM_DESTROY,    cm_destroy,    0) \
	X(48, CM_GET_EVENT,  cm_get_event,  0)

enum hyv_op {
#define HYV_OP_ENUM(number, NAME, name, flags) HYV_OP_##NAME = number,
	HYV_OPS(HYV_OP_ENUM)
#undef HYV_OP_ENUM
	HYV_OP_COUNT
};

/**
 * struct hyv_req_hello - first request after the rings have started; answered once the window can
 * be used
 * @version: HYV_WIRE_VERSION of the guest module; -EPROTONOSUPPORT if the daemon's is another
 */
struct hyv_req_hello {
	__le32 version;
	__le32 reserved;
};
HYV_WIRE_SIZE(hyv_req_hello, 8);

/**
 * struct hyv_resp_hello - what the guest may use
 * @life: value of struct hyv_doorbells.life while this daemon lives; never 0
 * @window_size: bytes of the window that are in use, at least HYV_DOORBELLS_SIZE
 * @num_devices: slots 0 to @num_devices - 1 can be asked for with HYV_OP_GET_DEVICE
 */
struct hyv_resp_hello {
	__le64 life;
	__le64 window_size;
	__le32 num_devices;
	__le32 reserved;
};
HYV_WIRE_SIZE(hyv_resp_hello, 24);

/**
 * struct hyv_req_get_device - which device is in a slot
 * @slot: below hyv_resp_hello.num_devices; -ENODEV when it is empty
 *
 * Devices come and go. HYV_EVENT_DEVICE says that a slot may have changed, and no more: the guest
 * asks, and compares @id of the answer with that of the device it knows there. If it is the same, the
 * VM's addresses on it may have changed.
 */
struct hyv_req_get_device {
	__le32 slot;
	__le32 reserved;
};
HYV_WIRE_SIZE(hyv_req_get_device, 8);

/**
 * struct hyv_resp_get_device - what the guest needs to register its ib_device
 * @node_guid: as in sysfs, big endian as everywhere in RDMA
 * @driver_id: enum rdma_driver_id; which user-space provider fits
 * @abi_version: uverbs ABI version of the driver
 * @node_type: RDMA_NODE_*
 * @num_ports: physical ports
 * @num_comp_vectors: completion vectors
 * @link_layer: enum rdma_link_layer of the ports
 * @id: what other requests and events call it; never used again, so that one that comes when the
 *      device has gone means no other: -ENODEV
 * @flags: HYV_DEVICE_*
 * @node_desc: text, NUL padded
 * @fw_ver: text, NUL padded
 */
struct hyv_resp_get_device {
	__be64 node_guid;
	__le32 driver_id;
	__le32 abi_version;
	__le32 node_type;
	__le32 num_ports;
	__le32 num_comp_vectors;
	__le32 link_layer;
	__le32 id;
	__le32 flags;
	__u8 node_desc[64];
	__u8 fw_ver[32];
};
HYV_WIRE_SIZE(hyv_resp_get_device, 136);
#define HYV_DEVICE_ADDRESSES	1u	/* the VM has addresses of its own on it, or had: see below */

/**
 * struct hyv_req_query_device - @context: id of the asking context, or 0 when nobody has one yet
 */
struct hyv_req_query_device {
	__le32 device;
	__le32 reserved;
	__le64 context;
};
HYV_WIRE_SIZE(hyv_req_query_device, 16);

/**
 * struct hyv_resp_query_device - struct ib_uverbs_ex_query_device_resp of the uverbs ABI, field
 * by field
 */
struct hyv_resp_query_device {
	__le64 fw_ver;
	__be64 sys_image_guid;
	__le64 max_mr_size;
	__le64 page_size_cap;
	__le64 device_cap_flags;
	__le64 timestamp_mask;
	__le64 hca_core_clock;
	__le64 max_dm_size;
	__le32 vendor_id;
	__le32 vendor_part_id;
	__le32 hw_ver;
	__le32 max_qp;
	__le32 max_qp_wr;
	__le32 max_sge;
	__le32 max_sge_rd;
	__le32 max_cq;
	__le32 max_cqe;
	__le32 max_mr;
	__le32 max_pd;
	__le32 max_qp_rd_atom;
	__le32 max_ee_rd_atom;
	__le32 max_res_rd_atom;
	__le32 max_qp_init_rd_atom;
	__le32 max_ee_init_rd_atom;
	__le32 atomic_cap;
	__le32 max_ee;
	__le32 max_rdd;
	__le32 max_mw;
	__le32 max_raw_ipv6_qp;
	__le32 max_raw_ethy_qp;
	__le32 max_mcast_grp;
	__le32 max_mcast_qp_attach;
	__le32 max_total_mcast_qp_attach;
	__le32 max_ah;
	__le32 max_srq;
	__le32 max_srq_wr;
	__le32 max_srq_sge;
	__le32 max_wq_type_rq;
	__le32 raw_packet_caps;
	__le16 max_pkeys;
	__u8 local_ca_ack_delay;
	__u8 reserved;
	struct {
		__le32 supported_qpts;
		__le32 max_rwq_indirection_tables;
		__le32 max_rwq_indirection_table_size;
	} rss;
	struct {
		__le32 max_rndv_hdr_size;
		__le32 max_num_tags;
		__le32 flags;
		__le32 max_ops;
		__le32 max_sge;
	} tm;
	__le16 max_cq_moderation_count;
	__le16 max_cq_moderation_period;
	__le32 reserved2;
};
HYV_WIRE_SIZE(hyv_resp_query_device, 232);

struct hyv_req_query_port {
	__le32 device;
	__le32 port;
};
HYV_WIRE_SIZE(hyv_req_query_port, 8);

/**
 * struct hyv_resp_query_port - struct ib_uverbs_query_port_resp of the uverbs ABI, field by
 * field
 */
struct hyv_resp_query_port {
	__le32 port_cap_flags;
	__le32 max_msg_sz;
	__le32 bad_pkey_cntr;
	__le32 qkey_viol_cntr;
	__le32 gid_tbl_len;
	__le16 pkey_tbl_len;
	__le16 lid;
	__le16 sm_lid;
	__u8 state;
	__u8 max_mtu;
	__u8 active_mtu;
	__u8 lmc;
	__u8 max_vl_num;
	__u8 sm_sl;
	__u8 subnet_timeout;
	__u8 init_type_reply;
	__u8 active_width;
	__u8 active_speed;
	__u8 phys_state;
	__u8 link_layer;
	__u8 flags;
	__u8 reserved;
};
HYV_WIRE_SIZE(hyv_resp_query_port, 40);

struct hyv_req_query_gid {
	__le32 device;
	__le32 port;
	__le32 index;
	__le32 reserved;
};
HYV_WIRE_SIZE(hyv_req_query_gid, 16);

/**
 * struct hyv_resp_query_gid - an empty entry is all zeros, not an error
 * @type: enum ib_uverbs_gid_type
 * @next: no entry after the one asked for and before this one has a GID. A table has a thousand
 *         entries and a few GIDs, so the guest need not ask for each.
 */
struct hyv_resp_query_gid {
	__u8 gid[16];
	__le32 type;
	__le32 next;
};
HYV_WIRE_SIZE(hyv_resp_query_gid, 24);

struct hyv_req_query_pkey {
	__le32 device;
	__le32 port;
	__le32 index;
	__le32 reserved;
};
HYV_WIRE_SIZE(hyv_req_query_pkey, 16);

struct hyv_resp_query_pkey {
	__le16 pkey;
	__u8 reserved[6];
};
HYV_WIRE_SIZE(hyv_resp_query_pkey, 8);

/*
 * Objects. The daemon gives each a 64-bit id when it is made; ids are unique in the device's life.
 * Destroying one that others still hang on fails with -EBUSY, as on the host; freeing a context
 * frees all that is left in it.
 */

/** struct hyv_req_alloc_context - one uverbs context of the host for one of the guest */
struct hyv_req_alloc_context {
	__le32 device;
	__le32 reserved;
};
HYV_WIRE_SIZE(hyv_req_alloc_context, 8);

struct hyv_resp_alloc_context {
	__le64 context;
};
HYV_WIRE_SIZE(hyv_resp_alloc_context, 8);

/**
 * struct hyv_req_free_context - destroys what is left in it, in the order of dependency;
 * answered when all is gone
 */
struct hyv_req_free_context {
	__le64 context;
};
HYV_WIRE_SIZE(hyv_req_free_context, 8);
HYV_WIRE_EMPTY(hyv_resp_free_context);

/**
 * struct hyv_req_mmap - map what an application's mmap() of its uverbs file asks for into the
 * window
 * @context: whose uverbs file
 * @offset: file offset, as the provider got it from the host's driver, in bytes
 * @length: bytes, a multiple of 4096
 * @flags: HYV_MMAP_*
 */
struct hyv_req_mmap {
	__le64 context;
	__le64 offset;
	__le64 length;
	__le32 flags;
	__le32 reserved;
};
HYV_WIRE_SIZE(hyv_req_mmap, 32);
#define HYV_MMAP_WRITE	1	/* the application may store there */

/**
 * struct hyv_resp_mmap - the guest owns the range until HYV_OP_MUNMAP, whatever happens to the
 * object it shows
 * @window_offset: where in the window, a multiple of 4096
 * @cache: enum hyv_cache, how the guest must map it
 */
struct hyv_resp_mmap {
	__le64 window_offset;
	__le32 cache;
	__le32 reserved;
};
HYV_WIRE_SIZE(hyv_resp_mmap, 16);

enum hyv_cache {
	HYV_CACHE_WRITE_BACK = 0,
	HYV_CACHE_WRITE_COMBINING = 1,
	HYV_CACHE_UNCACHED = 2,
};

/**
 * struct hyv_req_munmap - @window_offset: as HYV_OP_MMAP answered. No mapping of the range may
 * exist any more.
 */
struct hyv_req_munmap {
	__le64 window_offset;
};
HYV_WIRE_SIZE(hyv_req_munmap, 8);
HYV_WIRE_EMPTY(hyv_resp_munmap);

struct hyv_req_alloc_pd {
	__le64 context;
};
HYV_WIRE_SIZE(hyv_req_alloc_pd, 8);

struct hyv_resp_alloc_pd {
	__le64 pd;
};
HYV_WIRE_SIZE(hyv_resp_alloc_pd, 8);

struct hyv_req_dealloc_pd {
	__le64 pd;
};
HYV_WIRE_SIZE(hyv_req_dealloc_pd, 8);
HYV_WIRE_EMPTY(hyv_resp_dealloc_pd);

/**
 * struct hyv_extent - guest-physical memory; both a multiple of 4096 but for the start of the
 * first and end of the last
 */
struct hyv_extent {
	__le64 gpa;
	__le64 length;
};
HYV_WIRE_SIZE(hyv_extent, 16);

#define HYV_EXTENTS_PER_TABLE	256u	/* a table is one 4096-byte page of guest memory, aligned */

/**
 * struct hyv_req_reg_mr - register memory that the guest has pinned
 * @pd: protection domain
 * @length: bytes; the extents' lengths add up to it
 * @iova: address the application and its peers will use; equal to the first extent's address modulo
 *         4096
 * @access: IB_ACCESS_* of the uverbs ABI
 * @num_extents: extents in the tables; all tables but the last are full
 *
 * Tail: one __le64 per table, the table's guest-physical address. The guest keeps tables and memory
 * until the answer.
 */
struct hyv_req_reg_mr {
	__le64 pd;
	__le64 length;
	__le64 iova;
	__le32 access;
	__le32 num_extents;
};
HYV_WIRE_SIZE(hyv_req_reg_mr, 32);

struct hyv_resp_reg_mr {
	__le64 mr;
	__le32 lkey;
	__le32 rkey;
};
HYV_WIRE_SIZE(hyv_resp_reg_mr, 16);

struct hyv_req_dereg_mr {
	__le64 mr;
};
HYV_WIRE_SIZE(hyv_req_dereg_mr, 8);
HYV_WIRE_EMPTY(hyv_resp_dereg_mr);

/**
 * struct hyv_req_create_cq - @cqe: entries asked for
 * @comp_vector: below hyv_resp_get_device.num_comp_vectors
 * @flags: enum ib_uverbs_ex_create_cq_flags
 */
struct hyv_req_create_cq {
	__le64 context;
	__le32 cqe;
	__le32 comp_vector;
	__le32 flags;
	__le32 reserved;
};
HYV_WIRE_SIZE(hyv_req_create_cq, 24);

/** struct hyv_resp_create_cq - @cqe: entries it has */
struct hyv_resp_create_cq {
	__le64 cq;
	__le32 cqe;
	__le32 reserved;
};
HYV_WIRE_SIZE(hyv_resp_create_cq, 16);

struct hyv_req_destroy_cq {
	__le64 cq;
};
HYV_WIRE_SIZE(hyv_req_destroy_cq, 8);
HYV_WIRE_EMPTY(hyv_resp_destroy_cq);

/**
 * struct hyv_req_req_notify_cq - arm; answered when the host's CQ is armed, so that no
 * completion goes unseen
 */
struct hyv_req_req_notify_cq {
	__le64 cq;
	__le32 solicited_only;
	__le32 reserved;
};
HYV_WIRE_SIZE(hyv_req_req_notify_cq, 16);
HYV_WIRE_EMPTY(hyv_resp_req_notify_cq);

struct hyv_qp_cap {
	__le32 max_send_wr;
	__le32 max_recv_wr;
	__le32 max_send_sge;
	__le32 max_recv_sge;
	__le32 max_inline_data;
	__le32 reserved;
};
HYV_WIRE_SIZE(hyv_qp_cap, 24);

/**
 * struct hyv_req_create_qp - @type: enum ib_uverbs_qp_type
 * @flags: enum ib_uverbs_qp_create_flags, IB_UVERBS_QP_CREATE_SQ_SIG_ALL among them
 * @srq: where it takes its receives from, or 0
 */
struct hyv_req_create_qp {
	__le64 pd;
	__le64 send_cq;
	__le64 recv_cq;
	__le64 srq;
	struct hyv_qp_cap cap;
	__le32 type;
	__le32 flags;
};
HYV_WIRE_SIZE(hyv_req_create_qp, 64);

/** struct hyv_resp_create_qp - @doorbell: its bit in struct hyv_doorbells */
struct hyv_resp_create_qp {
	__le64 qp;
	struct hyv_qp_cap cap;
	__le32 qp_num;
	__le32 doorbell;
};
HYV_WIRE_SIZE(hyv_resp_create_qp, 40);

/** struct hyv_ah_attr - struct ib_uverbs_qp_dest of the uverbs ABI, field by field */
struct hyv_ah_attr {
	__u8 dgid[16];
	__le32 flow_label;
	__le16 dlid;
	__le16 reserved;
	__u8 sgid_index;
	__u8 hop_limit;
	__u8 traffic_class;
	__u8 sl;
	__u8 src_path_bits;
	__u8 static_rate;
	__u8 is_global;
	__u8 port_num;
};
HYV_WIRE_SIZE(hyv_ah_attr, 32);

/**
 * struct hyv_qp_attr - the attributes of ibv_modify_qp and ibv_query_qp, named and valued as in
 * the uverbs ABI
 */
struct hyv_qp_attr {
	struct hyv_ah_attr ah;
	struct hyv_ah_attr alt_ah;
	__le32 qkey;
	__le32 rq_psn;
	__le32 sq_psn;
	__le32 dest_qp_num;
	__le32 qp_access_flags;
	__le32 rate_limit;
	__le16 pkey_index;
	__le16 alt_pkey_index;
	__u8 qp_state;
	__u8 cur_qp_state;
	__u8 path_mtu;
	__u8 path_mig_state;
	__u8 en_sqd_async_notify;
	__u8 sq_draining;
	__u8 max_rd_atomic;
	__u8 max_dest_rd_atomic;
	__u8 min_rnr_timer;
	__u8 port_num;
	__u8 timeout;
	__u8 retry_cnt;
	__u8 rnr_retry;
	__u8 alt_port_num;
	__u8 alt_timeout;
	__u8 reserved[5];
};
HYV_WIRE_SIZE(hyv_qp_attr, 112);

/** struct hyv_req_modify_qp - @attr_mask: IB_QP_* */
struct hyv_req_modify_qp {
	__le64 qp;
	struct hyv_qp_attr attr;
	__le32 attr_mask;
	__le32 reserved;
};
HYV_WIRE_SIZE(hyv_req_modify_qp, 128);
HYV_WIRE_EMPTY(hyv_resp_modify_qp);

struct hyv_req_query_qp {
	__le64 qp;
	__le32 attr_mask;
	__le32 reserved;
};
HYV_WIRE_SIZE(hyv_req_query_qp, 16);

struct hyv_resp_query_qp {
	struct hyv_qp_attr attr;
	struct hyv_qp_cap cap;
	__le32 sq_sig_all;
	__le32 reserved;
};
HYV_WIRE_SIZE(hyv_resp_query_qp, 144);

struct hyv_req_destroy_qp {
	__le64 qp;
};
HYV_WIRE_SIZE(hyv_req_destroy_qp, 8);
HYV_WIRE_EMPTY(hyv_resp_destroy_qp);

/** struct hyv_req_create_srq - a shared receive queue of the basic type */
struct hyv_req_create_srq {
	__le64 pd;
	__le32 max_wr;
	__le32 max_sge;
	__le32 srq_limit;
	__le32 reserved;
};
HYV_WIRE_SIZE(hyv_req_create_srq, 24);

/** struct hyv_resp_create_srq - @max_wr, @max_sge: what it has */
struct hyv_resp_create_srq {
	__le64 srq;
	__le32 max_wr;
	__le32 max_sge;
};
HYV_WIRE_SIZE(hyv_resp_create_srq, 16);

/** struct hyv_req_modify_srq - @attr_mask: IB_SRQ_MAX_WR, IB_SRQ_LIMIT */
struct hyv_req_modify_srq {
	__le64 srq;
	__le32 attr_mask;
	__le32 max_wr;
	__le32 srq_limit;
	__le32 reserved;
};
HYV_WIRE_SIZE(hyv_req_modify_srq, 24);
HYV_WIRE_EMPTY(hyv_resp_modify_srq);

struct hyv_req_query_srq {
	__le64 srq;
};
HYV_WIRE_SIZE(hyv_req_query_srq, 8);

struct hyv_resp_query_srq {
	__le32 max_wr;
	__le32 max_sge;
	__le32 srq_limit;
	__le32 reserved;
};
HYV_WIRE_SIZE(hyv_resp_query_srq, 16);

struct hyv_req_destroy_srq {
	__le64 srq;
};
HYV_WIRE_SIZE(hyv_req_destroy_srq, 8);
HYV_WIRE_EMPTY(hyv_resp_destroy_srq);

struct hyv_req_create_ah {
	__le64 pd;
	struct hyv_ah_attr attr;
};
HYV_WIRE_SIZE(hyv_req_create_ah, 40);

struct hyv_resp_create_ah {
	__le64 ah;
};
HYV_WIRE_SIZE(hyv_resp_create_ah, 8);

struct hyv_req_destroy_ah {
	__le64 ah;
};
HYV_WIRE_SIZE(hyv_req_destroy_ah, 8);
HYV_WIRE_EMPTY(hyv_resp_destroy_ah);

/** struct hyv_mcast - a QP and a multicast group */
struct hyv_mcast {
	__le64 qp;
	__u8 gid[16];
	__le16 mlid;
	__u8 reserved[6];
};
HYV_WIRE_SIZE(hyv_mcast, 32);

struct hyv_req_attach_mcast {
	struct hyv_mcast mcast;
};
HYV_WIRE_SIZE(hyv_req_attach_mcast, 32);
HYV_WIRE_EMPTY(hyv_resp_attach_mcast);

struct hyv_req_detach_mcast {
	struct hyv_mcast mcast;
};
HYV_WIRE_SIZE(hyv_req_detach_mcast, 32);
HYV_WIRE_EMPTY(hyv_resp_detach_mcast);

/** struct hyv_req_alloc_mw - @type: enum ib_uverbs_mw_type */
struct hyv_req_alloc_mw {
	__le64 pd;
	__le32 type;
	__le32 reserved;
};
HYV_WIRE_SIZE(hyv_req_alloc_mw, 16);

struct hyv_resp_alloc_mw {
	__le64 mw;
	__le32 rkey;
	__le32 reserved;
};
HYV_WIRE_SIZE(hyv_resp_alloc_mw, 16);

struct hyv_req_dealloc_mw {
	__le64 mw;
};
HYV_WIRE_SIZE(hyv_req_dealloc_mw, 8);
HYV_WIRE_EMPTY(hyv_resp_dealloc_mw);

struct hyv_req_resize_cq {
	__le64 cq;
	__le32 cqe;
	__le32 reserved;
};
HYV_WIRE_SIZE(hyv_req_resize_cq, 16);

/** struct hyv_resp_resize_cq - @cqe: entries it has now */
struct hyv_resp_resize_cq {
	__le32 cqe;
	__le32 reserved;
};
HYV_WIRE_SIZE(hyv_resp_resize_cq, 8);

/**
 * struct hyv_req_rereg_mr - change a memory region
 * @pd: with HYV_REREG_PD: its new protection domain
 * @length: with HYV_REREG_TRANS: as in struct hyv_req_reg_mr, as are @iova and @num_extents
 * @access: with HYV_REREG_ACCESS: IB_ACCESS_*
 * @flags: HYV_REREG_*, numbered as IB_MR_REREG_*
 *
 * The tail is as in HYV_OP_REG_MR; without HYV_REREG_TRANS there is none. The memory that the
 * region showed before stays the host's until the answer says success.
 */
struct hyv_req_rereg_mr {
	__le64 mr;
	__le64 pd;
	__le64 length;
	__le64 iova;
	__le32 access;
	__le32 num_extents;
	__le32 flags;
	__le32 reserved;
};
HYV_WIRE_SIZE(hyv_req_rereg_mr, 48);
#define HYV_REREG_TRANS		1u
#define HYV_REREG_PD		2u
#define HYV_REREG_ACCESS	4u

/** struct hyv_resp_rereg_mr - @mr: the same as before */
struct hyv_resp_rereg_mr {
	__le64 mr;
	__le32 lkey;
	__le32 rkey;
};
HYV_WIRE_SIZE(hyv_resp_rereg_mr, 16);

/*
 * Addresses of the VM, and connections. A device without HYV_DEVICE_ADDRESSES has neither: its GIDs
 * are mirrored (HYV_OP_QUERY_GID). With it, the guest's kernel makes the GID table from what is on the
 * device's netdev, and tells it with SET_GID; sgid_index in requests and answers is then the guest's.
 * That stays so as long as the device is there; its addresses come and go.
 */

/** struct hyv_req_get_address - @index: counted from 0 */
struct hyv_req_get_address {
	__le32 device;
	__le32 index;
};
HYV_WIRE_SIZE(hyv_req_get_address, 8);

/**
 * struct hyv_resp_get_address - an address that the VM may use on the device, and that the host's
 * netdev has; -ENODATA behind the last
 * @gid: the address as a GID: IPv4 ones begin with ten bytes of zero and two of 0xff
 * @prefix_len: bits of it that name the subnet: up to 32 for IPv4, 128 for IPv6
 */
struct hyv_resp_get_address {
	__u8 gid[16];
	__le32 prefix_len;
	__le32 reserved;
};
HYV_WIRE_SIZE(hyv_resp_get_address, 24);

/**
 * struct hyv_req_set_gid - an entry of the guest's GID table is from now on as told
 * @index: below HYV_NUM_GIDS
 * @type: enum ib_uverbs_gid_type
 * @gid: all zeros: the entry is empty
 *
 * Any GID may be told; one that is not among the VM's addresses cannot be used.
 */
struct hyv_req_set_gid {
	__le32 device;
	__le32 port;
	__le32 index;
	__le32 type;
	__u8 gid[16];
};
HYV_WIRE_SIZE(hyv_req_set_gid, 32);
HYV_WIRE_EMPTY(hyv_resp_set_gid);
#define HYV_NUM_GIDS	256u	/* what hyv_ah_attr.sgid_index can name */

/**
 * struct hyv_sockaddr - address and port
 * @addr: as a GID, see struct hyv_resp_get_address; the wildcard is all zeros behind IPv4's prefix,
 *        or all zeros
 */
struct hyv_sockaddr {
	__u8 addr[16];
	__be16 port;
	__u8 reserved[6];
};
HYV_WIRE_SIZE(hyv_sockaddr, 24);

#define HYV_CM_DATA_MAX	256u	/* bytes of private data; the transport may carry fewer */

/**
 * struct hyv_cm_param - what one side offers the other
 * @ird: RDMA reads it takes at once
 * @ord: RDMA reads it makes at once
 * @data_len: bytes of @data
 */
struct hyv_cm_param {
	__le32 ird;
	__le32 ord;
	__le32 data_len;
	__le32 reserved;
	__u8 data[HYV_CM_DATA_MAX];
};
HYV_WIRE_SIZE(hyv_cm_param, 272);

/**
 * struct hyv_req_cm_listen - wait for connections
 * @local: where; the wildcard stands for each of the VM's addresses of that family, that of IPv6
 *         for those of IPv4 too, and those that come later. -EADDRNOTAVAIL for an address that is not
 *         the VM's, -EINVAL without a port: the guest chooses it.
 * @backlog: requests to keep that the guest has not asked for; more are rejected
 * @flags: HYV_CM_V6ONLY
 */
struct hyv_req_cm_listen {
	struct hyv_sockaddr local;
	__le32 device;
	__le32 backlog;
	__le32 flags;
	__le32 reserved;
};
HYV_WIRE_SIZE(hyv_req_cm_listen, 40);
#define HYV_CM_V6ONLY	1u

struct hyv_resp_cm_listen {
	__le64 cm;
};
HYV_WIRE_SIZE(hyv_resp_cm_listen, 8);

/**
 * struct hyv_req_cm_connect - connect a QP that is in state INIT; answered at once, what becomes of
 * it is told by HYV_CM_REPLY
 */
struct hyv_req_cm_connect {
	__le64 qp;
	struct hyv_sockaddr local;
	struct hyv_sockaddr remote;
	struct hyv_cm_param param;
};
HYV_WIRE_SIZE(hyv_req_cm_connect, 328);

struct hyv_resp_cm_connect {
	__le64 cm;
};
HYV_WIRE_SIZE(hyv_resp_cm_connect, 8);

/** struct hyv_req_cm_accept - take a requested connection with a QP that is in state INIT */
struct hyv_req_cm_accept {
	__le64 cm;
	__le64 qp;
	struct hyv_cm_param param;
};
HYV_WIRE_SIZE(hyv_req_cm_accept, 288);
HYV_WIRE_EMPTY(hyv_resp_cm_accept);

/** struct hyv_req_cm_reject - refuse a requested connection; @data_len, @data: as in hyv_cm_param */
struct hyv_req_cm_reject {
	__le64 cm;
	__le32 data_len;
	__le32 reserved;
	__u8 data[HYV_CM_DATA_MAX];
};
HYV_WIRE_SIZE(hyv_req_cm_reject, 272);
HYV_WIRE_EMPTY(hyv_resp_cm_reject);

/** struct hyv_req_cm_disconnect - end a connection; HYV_CM_CLOSE tells when the peer knows */
struct hyv_req_cm_disconnect {
	__le64 cm;
};
HYV_WIRE_SIZE(hyv_req_cm_disconnect, 8);
HYV_WIRE_EMPTY(hyv_resp_cm_disconnect);

/**
 * struct hyv_req_cm_destroy - every CM id, of whatever became of it, is the guest's until this.
 * A listener takes those with it that the guest has not been told of.
 */
struct hyv_req_cm_destroy {
	__le64 cm;
};
HYV_WIRE_SIZE(hyv_req_cm_destroy, 8);
HYV_WIRE_EMPTY(hyv_resp_cm_destroy);

/** struct hyv_req_cm_get_event - the next event of a CM id */
struct hyv_req_cm_get_event {
	__le64 cm;
};
HYV_WIRE_SIZE(hyv_req_cm_get_event, 8);

/**
 * enum hyv_cm_event - what a CM id has to tell
 * @HYV_CM_NONE: nothing; HYV_EVENT_CM will come when that changes
 * @HYV_CM_REQUEST: of a listener: somebody wants to connect
 * @HYV_CM_REPLY: of HYV_OP_CM_CONNECT, exactly once: status 0 and it is a connection, the QP is in
 *                state RTS; or a negative errno: -ECONNREFUSED (rejected, perhaps with data),
 *                -ETIMEDOUT (nobody there), others
 * @HYV_CM_ESTABLISHED: of HYV_OP_CM_ACCEPT, at most once: the other side knows
 * @HYV_CM_CLOSE: it is no connection any more; the last event
 */
enum hyv_cm_event {
	HYV_CM_NONE = 0,
	HYV_CM_REQUEST = 1,
	HYV_CM_REPLY = 2,
	HYV_CM_ESTABLISHED = 3,
	HYV_CM_CLOSE = 4,
};

/**
 * struct hyv_resp_cm_get_event - an event
 * @type: enum hyv_cm_event
 * @status: HYV_CM_REPLY: 0 or a negative errno
 * @request: HYV_CM_REQUEST: the CM id to accept, reject or destroy
 * @local: HYV_CM_REQUEST: who is asked, @remote: who asks
 * @param: what the other side offers
 */
struct hyv_resp_cm_get_event {
	__le32 type;
	__le32 status;
	__le64 request;
	struct hyv_sockaddr local;
	struct hyv_sockaddr remote;
	struct hyv_cm_param param;
};
HYV_WIRE_SIZE(hyv_resp_cm_get_event, 336);

#endif
