// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The vhost-user device: QEMU's requests on the main socket.
 *
 * A request comes from vu_msg.c, is checked against the table at the end of this file and executed
 * by a handler named after the specification's request. vu_queue.c starts and stops the rings, and
 * vu_window.c has the other channel, on which we are the ones who ask.
 *
 * DOC: a front-end that errs
 *
 * QEMU is trusted with the guest's memory, but not to be free of bugs. A request that is unknown,
 * of a wrong size, with wrong descriptors, or for a feature or ring that is not there gets an
 * error as answer if it wants one, a line in the log if not; its descriptors are closed. Only what
 * leaves the byte stream without meaning ends the connection: a payload beyond any size, a message
 * that is not completed in PARTIAL_TIMEOUT_USEC, answers that are not read.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "listener.h"
#include "log.h"
#include "vu_dev_priv.h"

#define PARTIAL_TIMEOUT_USEC  5000000ull
#define PROGRESS_TIMEOUT_USEC 5000000ull
#define MAX_QUEUES	      256u /* SET_VRING_KICK has eight bits for the index */

#define FEATURES \
	(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_INDIRECT_DESC | \
	 1ull << VIRTIO_RING_F_EVENT_IDX | 1ull << VU_F_PROTOCOL_FEATURES)

/*
 * CONFIGURE_MEM_SLOTS must not be among them: with it, QEMU 11.1 crashes when a guest that had the
 * window mapped starts again after a reset.
 */
#define PROTOCOL_FEATURES \
	(1ull << VU_PF_MQ | 1ull << VU_PF_REPLY_ACK | 1ull << VU_PF_CONFIG | \
	 1ull << VU_PF_RESET_DEVICE | WINDOW_FEATURES)

/* What showing the window needs. */
#define WINDOW_FEATURES \
	(1ull << VU_PF_BACKEND_REQ | 1ull << VU_PF_BACKEND_SEND_FD | 1ull << VU_PF_REPLY_ACK | \
	 1ull << VU_PF_HOST_NOTIFIER | 1ull << VU_PF_SHMEM)

/* What a handler returns when the payload has become the answer. */
#define REPLY 1

/* Return: the ring with this index, or NULL */
static struct queue *get_queue(struct vu_dev *dev, uint64_t index)
{
	return index < dev->num_queues ? &dev->queues[index] : NULL;
}

static int vu_get_features_exec(struct vu_dev *dev, struct vu_msg *msg)
{
	(void)dev;
	msg->payload.u64 = FEATURES;
	msg->hdr.size = sizeof(msg->payload.u64);
	return REPLY;
}

/* Log this if QEMU does not get on, see progress(), although that takes it no time. */
static void expect_progress(struct vu_dev *dev, const char *complaint)
{
	dev->complaint = complaint;
	sd_event_source_set_time_relative(dev->progress_timer, PROGRESS_TIMEOUT_USEC);
	sd_event_source_set_enabled(dev->progress_timer, SD_EVENT_ONESHOT);
}

static void progress(struct vu_dev *dev)
{
	sd_event_source_set_enabled(dev->progress_timer, SD_EVENT_OFF);
}

static int on_no_progress(sd_event_source *source, uint64_t usec, void *arg)
{
	const struct vu_dev *dev = arg;

	(void)source;
	(void)usec;
	log_guest_err("%s", dev->complaint);
	return 0;
}

/*
 * QEMU sends this when the guest's driver is ready, and the memory table at once after it, unless
 * the memory is not shared: then it complains in its own log and leaves the device alone.
 */
static int vu_set_features_exec(struct vu_dev *dev, struct vu_msg *msg)
{
	if (msg->payload.u64 & ~FEATURES)
		return -EINVAL;
	dev->features = msg->payload.u64;
	expect_progress(dev,
			"QEMU does not tell where the guest's memory is, its log says why; "
			"mostly because it is not shared: give it a memory backend with share=on");
	return 0;
}

static int vu_set_owner_exec(struct vu_dev *dev, struct vu_msg *msg)
{
	(void)dev;
	(void)msg;
	return 0;
}

/* Also RESET_OWNER, which is obsolete and meant the same. */
static int vu_reset_device_exec(struct vu_dev *dev, struct vu_msg *msg)
{
	unsigned int i;

	(void)msg;
	vu_queues_stop(dev);
	for (i = 0; i < dev->num_queues; i++)
		dev->queues[i].enabled = false;
	return 0;
}

static int vu_set_mem_table_exec(struct vu_dev *dev, struct vu_msg *msg)
{
	const struct vu_memory *m = &msg->payload.memory;
	struct gmem_region regions[VU_MAX_REGIONS];
	unsigned int i;
	int err;

	if (msg->hdr.size < offsetof(struct vu_memory, regions) ||
	    m->num_regions > VU_MAX_REGIONS || m->num_regions != msg->num_fds ||
	    msg->hdr.size !=
		    offsetof(struct vu_memory, regions) + m->num_regions * sizeof(m->regions[0]))
		return -EINVAL;
	for (i = 0; i < m->num_regions; i++)
		regions[i] = (struct gmem_region){
			.gpa = { m->regions[i].gpa },
			.len = m->regions[i].size,
			.qemu_va = m->regions[i].qemu_va,
			.fd_offset = m->regions[i].fd_offset,
			.fd = vu_msg_take_fd(msg, i),
		};
	progress(dev);
	err = gmem_set_table(dev->gm, regions, m->num_regions);
	for (i = 0; i < dev->num_queues; i++)
		vring_refresh(dev->queues[i].vring);
	return err;
}

static int vu_set_vring_num_exec(struct vu_dev *dev, struct vu_msg *msg)
{
	struct queue *q = get_queue(dev, msg->payload.state.index);

	return q ? vring_set_num(q->vring, msg->payload.state.num) : -EINVAL;
}

static int vu_set_vring_addr_exec(struct vu_dev *dev, struct vu_msg *msg)
{
	const struct vu_vring_addr *a = &msg->payload.addr;
	struct vring_addr addr = { a->desc, a->avail, a->used };
	struct queue *q = get_queue(dev, a->index);

	/* The one flag there is asks for a log of writes, which was not offered. */
	if (!q || a->flags)
		return -EINVAL;
	return vring_set_addr(q->vring, &addr);
}

static int vu_set_vring_base_exec(struct vu_dev *dev, struct vu_msg *msg)
{
	struct queue *q = get_queue(dev, msg->payload.state.index);

	return q ? vring_set_base(q->vring, msg->payload.state.num) : -EINVAL;
}

static int vu_get_vring_base_exec(struct vu_dev *dev, struct vu_msg *msg)
{
	struct queue *q = get_queue(dev, msg->payload.state.index);

	if (!q)
		return -EINVAL;
	if (q->started)
		vu_queues_stop(dev);
	vu_queue_drop_kick(q);
	msg->payload.state.num = vring_base(q->vring);
	return REPLY;
}

/*
 * Take the one descriptor of SET_VRING_{KICK,CALL,ERR}. Return: its ring and the descriptor, -1 if
 * QEMU says that there is none; or NULL if that does not fit what came.
 */
static struct queue *take_vring_fd(struct vu_dev *dev, struct vu_msg *msg, int *fd)
{
	const uint64_t v = msg->payload.u64;
	struct queue *q = get_queue(dev, v & VU_VRING_INDEX_MASK);

	if (!q || v & ~(VU_VRING_INDEX_MASK | VU_VRING_NOFD) ||
	    msg->num_fds != (v & VU_VRING_NOFD ? 0 : 1))
		return NULL;
	*fd = msg->num_fds ? vu_msg_take_fd(msg, 0) : -1;
	return q;
}

static int vu_set_vring_kick_exec(struct vu_dev *dev, struct vu_msg *msg)
{
	struct queue *q;
	int err, fd;

	/* Without a descriptor we would have to poll the ring. */
	if (msg->payload.u64 & VU_VRING_NOFD)
		return -EOPNOTSUPP;
	q = take_vring_fd(dev, msg, &fd);
	if (!q)
		return -EINVAL;
	err = vu_queue_set_kick(q, fd);
	return err ? err : vu_queues_start(dev);
}

static int vu_set_vring_call_exec(struct vu_dev *dev, struct vu_msg *msg)
{
	int fd;
	struct queue *q = take_vring_fd(dev, msg, &fd);

	if (!q)
		return -EINVAL;
	vring_set_call(q->vring, fd);
	return 0;
}

static int vu_set_vring_err_exec(struct vu_dev *dev, struct vu_msg *msg)
{
	int fd;
	struct queue *q = take_vring_fd(dev, msg, &fd);

	if (!q)
		return -EINVAL;
	vring_set_err(q->vring, fd);
	return 0;
}

static int vu_set_vring_enable_exec(struct vu_dev *dev, struct vu_msg *msg)
{
	const struct vu_vring_state *s = &msg->payload.state;
	struct queue *q = get_queue(dev, s->index);

	if (!q || s->num > 1 || !(dev->features & 1ull << VU_F_PROTOCOL_FEATURES))
		return -EINVAL;
	q->enabled = s->num;
	if (q->enabled)
		return vu_queues_start(dev);
	if (q->started)
		vu_queues_stop(dev);
	return 0;
}

static int vu_get_protocol_features_exec(struct vu_dev *dev, struct vu_msg *msg)
{
	(void)dev;
	msg->payload.u64 = PROTOCOL_FEATURES;
	msg->hdr.size = sizeof(msg->payload.u64);
	return REPLY;
}

static const char no_window[] = "QEMU cannot show the window to the guest: it takes QEMU 11.1 or "
				"later and its vhost-user-test-device-pci";

/*
 * All of QEMU's devices acknowledge the shared-memory feature, and only those that show it go on to
 * ask how large it is, at once.
 */
static int vu_set_protocol_features_exec(struct vu_dev *dev, struct vu_msg *msg)
{
	if (msg->payload.u64 & ~PROTOCOL_FEATURES)
		return -EINVAL;
	dev->protocol_features = msg->payload.u64;
	if ((dev->protocol_features & WINDOW_FEATURES) == WINDOW_FEATURES)
		expect_progress(dev, no_window);
	else
		log_err("%s", no_window);
	return 0;
}

static int vu_get_queue_num_exec(struct vu_dev *dev, struct vu_msg *msg)
{
	msg->payload.u64 = dev->num_queues;
	msg->hdr.size = sizeof(msg->payload.u64);
	return REPLY;
}

static int vu_set_backend_req_fd_exec(struct vu_dev *dev, struct vu_msg *msg)
{
	return vu_window_set_channel(dev->window, vu_msg_take_fd(msg, 0));
}

/* Return: whether a configuration request's range is consistent with itself */
static bool config_range_ok(const struct vu_msg *msg)
{
	const struct vu_config *c = &msg->payload.config;

	return msg->hdr.size >= VU_CONFIG_HDR_SIZE && c->size <= VU_MAX_CONFIG &&
	       c->offset <= VU_MAX_CONFIG - c->size &&
	       msg->hdr.size == VU_CONFIG_HDR_SIZE + c->size;
}

/* Behind its end our configuration reads as zero: QEMU's config_size may be larger. */
static int vu_get_config_exec(struct vu_dev *dev, struct vu_msg *msg)
{
	struct vu_config *c = &msg->payload.config;

	if (!config_range_ok(msg)) {
		log_guest("GET_CONFIG of a wrong size or range");
		msg->hdr.size = 0; /* the specification's error */
		return REPLY;
	}
	memcpy(c->region, dev->config + c->offset, c->size);
	return REPLY;
}

/* Our configuration is read only. A guest that writes is ignored, as virtio wants it. */
static int vu_set_config_exec(struct vu_dev *dev, struct vu_msg *msg)
{
	(void)dev;
	if (!config_range_ok(msg))
		return -EINVAL;
	log_guest("guest wrote to the read-only configuration space");
	return 0;
}

static int vu_get_shmem_config_exec(struct vu_dev *dev, struct vu_msg *msg)
{
	struct vu_shmem_config *c = &msg->payload.shmem_config;

	progress(dev);
	memset(c, 0, sizeof(*c));
	c->num_regions = 1;
	c->sizes[0] = dev->window_size;
	msg->hdr.size = sizeof(*c);
	return REPLY;
}

/* QEMU is gone, or cannot be understood any more. */
static void disconnect(struct vu_dev *dev, const char *why)
{
	unsigned int i;

	log_info("connection to QEMU ended: %s", why);
	vu_queues_stop(dev);
	vu_window_set_channel(dev->window, -1);
	for (i = 0; i < dev->num_queues; i++) {
		vu_queue_drop_kick(&dev->queues[i]);
		vring_set_call(dev->queues[i].vring, -1);
		vring_set_err(dev->queues[i].vring, -1);
		dev->queues[i].enabled = false;
	}
	dev->features = 0;
	dev->protocol_features = 0;
	dev->conn_source = sd_event_source_disable_unref(dev->conn_source);
	sd_event_source_set_enabled(dev->partial_timer, SD_EVENT_OFF);
	progress(dev);
	vu_rx_reset(&dev->rx);
	close(dev->conn);
	dev->conn = -1;
	dev->ops.disconnect(dev->arg);
}

static int on_partial_timeout(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	disconnect(arg, "it began a message and did not complete it");
	return 0;
}

/**
 * struct request - what a request must look like
 * @size: of the payload, or VAR_SIZE for the handler to check
 * @min_fds, @max_fds: descriptors that come with it
 * @feature: protocol feature that it belongs to, or -1
 */
struct request {
	const char *name;
	int (*exec)(struct vu_dev *dev, struct vu_msg *msg);
	uint32_t size;
	unsigned int min_fds;
	unsigned int max_fds;
	int feature;
};

static const struct request *find_request(uint32_t number);

#define VAR_SIZE UINT32_MAX

/* Check a message and execute it. Return: REPLY, 0 or a negative errno */
static int execute(struct vu_dev *dev, struct vu_msg *msg)
{
	const struct request *rq = find_request(msg->hdr.request);
	const uint32_t flags = msg->hdr.flags & ~VU_FLAG_NEED_REPLY;
	int ret;

	if (!rq)
		ret = -ENOSYS;
	else if (flags != VU_FLAG_VERSION || msg->too_many_fds ||
		 (rq->size != VAR_SIZE && rq->size != msg->hdr.size) ||
		 msg->num_fds < rq->min_fds || msg->num_fds > rq->max_fds)
		ret = -EBADMSG;
	else if (rq->feature >= 0 && !(dev->protocol_features & 1ull << rq->feature))
		ret = -EOPNOTSUPP;
	else
		ret = rq->exec(dev, msg);
	if (ret < 0)
		log_guest("request %s (%u) of QEMU's failed: %s (flags 0x%x, %u bytes, %u files)",
			  rq ? rq->name : "unknown", msg->hdr.request, strerror(-ret),
			  msg->hdr.flags, msg->hdr.size, msg->num_fds);
	return ret;
}

/* Execute a complete message and answer it. Return: 0, or a negative errno of the socket */
static int serve(struct vu_dev *dev)
{
	struct vu_msg *msg = &dev->rx.msg;
	/* The setting that counts is the one from before SET_PROTOCOL_FEATURES. */
	const bool ack = msg->hdr.flags & VU_FLAG_NEED_REPLY &&
			 dev->protocol_features & 1ull << VU_PF_REPLY_ACK;
	int ret = execute(dev, msg), err = 0;
	uint64_t failed = ret < 0;

	if (ret == REPLY)
		err = vu_msg_send(dev->conn, msg->hdr.request, VU_FLAG_REPLY, &msg->payload,
				  msg->hdr.size);
	else if (ack)
		err = vu_msg_send(dev->conn, msg->hdr.request, VU_FLAG_REPLY, &failed,
				  sizeof(failed));
	vu_rx_reset(&dev->rx);
	return err;
}

static int on_message(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct vu_dev *dev = arg;
	int ret = vu_msg_recv(fd, &dev->rx);

	(void)source;
	(void)revents;
	if (ret == 1) {
		sd_event_source_set_enabled(dev->partial_timer, SD_EVENT_OFF);
		ret = serve(dev);
	} else if (ret == 0 && dev->rx.have) {
		int on = SD_EVENT_OFF;

		/* The time for the whole message counts from its first byte. */
		sd_event_source_get_enabled(dev->partial_timer, &on);
		if (on == SD_EVENT_OFF) {
			sd_event_source_set_time_relative(dev->partial_timer, PARTIAL_TIMEOUT_USEC);
			sd_event_source_set_enabled(dev->partial_timer, SD_EVENT_ONESHOT);
		}
	}
	if (ret < 0)
		disconnect(dev, strerror(-ret));
	return 0;
}

static int on_accept(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct vu_dev *dev = arg;
	int err, conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)source;
	(void)revents;
	if (conn < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			log_guest("cannot accept QEMU's connection: %s", strerror(errno));
		return 0;
	}
	err = sd_event_add_io(dev->loop, &dev->conn_source, conn, EPOLLIN, on_message, dev);
	if (err < 0) {
		log_err("cannot serve QEMU's connection: %s", strerror(-err));
		close(conn);
		return 0;
	}
	dev->conn = conn;
	dev->accept_source = sd_event_source_disable_unref(dev->accept_source);
	log_info("QEMU has connected");
	return 0;
}

static void window_live(void *arg, int error)
{
	struct vu_dev *dev = arg;

	dev->ops.window_live(dev->arg, error);
}

/* Make the event sources that live as long as the device. Return: 0 or a negative errno */
static int add_sources(struct vu_dev *dev, int listen_fd)
{
	int err;

	err = listener_add(dev->loop, &dev->accept_source, listen_fd, on_accept, dev);
	if (err)
		return err;
	err = sd_event_add_time(dev->loop, &dev->partial_timer, CLOCK_MONOTONIC, 0, 0,
				on_partial_timeout, dev);
	if (err < 0)
		return err;
	sd_event_source_set_enabled(dev->partial_timer, SD_EVENT_OFF);
	err = sd_event_add_time(dev->loop, &dev->progress_timer, CLOCK_MONOTONIC, 0, 0,
				on_no_progress, dev);
	if (err < 0)
		return err;
	sd_event_source_set_enabled(dev->progress_timer, SD_EVENT_OFF);
	return vu_queues_init(dev);
}

int vu_dev_create(struct vu_dev **out, sd_event *loop, const struct vu_dev_setup *setup,
		  struct gmem *gm, const struct vu_dev_ops *ops, void *arg)
{
	struct vu_dev *dev;
	unsigned int i;
	int err;

	if (!setup->num_queues || setup->num_queues > MAX_QUEUES ||
	    setup->config_len > VU_MAX_CONFIG)
		return -EINVAL;
	dev = calloc(1, sizeof(*dev) + setup->num_queues * sizeof(dev->queues[0]));
	if (!dev)
		return -ENOMEM;
	dev->loop = sd_event_ref(loop);
	dev->ops = *ops;
	dev->arg = arg;
	dev->gm = gm;
	dev->conn = -1;
	dev->window_size = setup->window_size;
	dev->polled_queues = setup->polled_queues;
	memcpy(dev->config, setup->config, setup->config_len);
	for (i = 0; i < setup->num_queues; i++) {
		struct queue *q = &dev->queues[i];

		*q = (struct queue){ .dev = dev, .index = i, .kick_fd = -1 };
		q->vring = vring_create(gm, i);
		if (!q->vring) {
			err = -ENOMEM;
			goto err_destroy;
		}
		dev->num_queues++;
	}
	err = vu_window_create(&dev->window, loop, setup->window_size, window_live, dev);
	if (err)
		goto err_destroy;
	err = add_sources(dev, setup->listen_fd);
	if (err)
		goto err_destroy;
	*out = dev;
	return 0;

err_destroy:
	vu_dev_destroy(dev);
	return err;
}

void vu_dev_destroy(struct vu_dev *dev)
{
	unsigned int i;

	if (!dev)
		return;
	vu_window_destroy(dev->window);
	for (i = 0; i < dev->num_queues; i++) {
		vu_queue_drop_kick(&dev->queues[i]);
		vring_destroy(dev->queues[i].vring);
	}
	sd_event_source_disable_unref(dev->accept_source);
	sd_event_source_disable_unref(dev->conn_source);
	sd_event_source_disable_unref(dev->partial_timer);
	sd_event_source_disable_unref(dev->progress_timer);
	sd_event_source_disable_unref(dev->start_source);
	vu_rx_reset(&dev->rx);
	if (dev->conn >= 0)
		close(dev->conn);
	sd_event_unref(dev->loop);
	free(dev);
}

struct vring *vu_dev_vring(struct vu_dev *dev, unsigned int queue)
{
	return dev->queues[queue].vring;
}

int vu_dev_map_window(struct vu_dev *dev, int fd)
{
	int err;

	if (!dev->running)
		return -EAGAIN;
	err = (dev->protocol_features & WINDOW_FEATURES) == WINDOW_FEATURES ?
		      vu_window_map(dev->window, fd) :
		      -ENOTCONN;
	if (err == -ENOTCONN) {
		log_guest_err("%s", no_window);
		return -EOPNOTSUPP;
	}
	return err;
}

/* All requests that we know, by number; size and descriptors are checked before the handler. */
static const struct request requests[] = {
	[VU_GET_FEATURES] = { "GET_FEATURES", vu_get_features_exec, 0, 0, 0, -1 },
	[VU_SET_FEATURES] = { "SET_FEATURES", vu_set_features_exec, 8, 0, 0, -1 },
	[VU_SET_OWNER] = { "SET_OWNER", vu_set_owner_exec, 0, 0, 0, -1 },
	[VU_RESET_OWNER] = { "RESET_OWNER", vu_reset_device_exec, 0, 0, 0, -1 },
	[VU_SET_MEM_TABLE] = { "SET_MEM_TABLE", vu_set_mem_table_exec, VAR_SIZE, 0, VU_MAX_REGIONS,
			       -1 },
	[VU_SET_VRING_NUM] = { "SET_VRING_NUM", vu_set_vring_num_exec, 8, 0, 0, -1 },
	[VU_SET_VRING_ADDR] = { "SET_VRING_ADDR", vu_set_vring_addr_exec, 40, 0, 0, -1 },
	[VU_SET_VRING_BASE] = { "SET_VRING_BASE", vu_set_vring_base_exec, 8, 0, 0, -1 },
	[VU_GET_VRING_BASE] = { "GET_VRING_BASE", vu_get_vring_base_exec, 8, 0, 0, -1 },
	[VU_SET_VRING_KICK] = { "SET_VRING_KICK", vu_set_vring_kick_exec, 8, 0, 1, -1 },
	[VU_SET_VRING_CALL] = { "SET_VRING_CALL", vu_set_vring_call_exec, 8, 0, 1, -1 },
	[VU_SET_VRING_ERR] = { "SET_VRING_ERR", vu_set_vring_err_exec, 8, 0, 1, -1 },
	[VU_GET_PROTOCOL_FEATURES] = { "GET_PROTOCOL_FEATURES", vu_get_protocol_features_exec, 0, 0,
				       0, -1 },
	[VU_SET_PROTOCOL_FEATURES] = { "SET_PROTOCOL_FEATURES", vu_set_protocol_features_exec, 8, 0,
				       0, -1 },
	[VU_GET_QUEUE_NUM] = { "GET_QUEUE_NUM", vu_get_queue_num_exec, 0, 0, 0, VU_PF_MQ },
	[VU_SET_VRING_ENABLE] = { "SET_VRING_ENABLE", vu_set_vring_enable_exec, 8, 0, 0, -1 },
	[VU_SET_BACKEND_REQ_FD] = { "SET_BACKEND_REQ_FD", vu_set_backend_req_fd_exec, 0, 1, 1,
				    VU_PF_BACKEND_REQ },
	[VU_GET_CONFIG] = { "GET_CONFIG", vu_get_config_exec, VAR_SIZE, 0, 0, VU_PF_CONFIG },
	[VU_SET_CONFIG] = { "SET_CONFIG", vu_set_config_exec, VAR_SIZE, 0, 0, VU_PF_CONFIG },
	[VU_RESET_DEVICE] = { "RESET_DEVICE", vu_reset_device_exec, 0, 0, 0, VU_PF_RESET_DEVICE },
	[VU_GET_SHMEM_CONFIG] = { "GET_SHMEM_CONFIG", vu_get_shmem_config_exec, 0, 0, 0,
				  VU_PF_SHMEM },
};

static const struct request *find_request(uint32_t number)
{
	if (number >= sizeof(requests) / sizeof(requests[0]) || !requests[number].exec)
		return NULL;
	return &requests[number];
}
