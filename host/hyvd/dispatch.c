// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The control queue: the only place where a request comes out of guest memory and an answer goes
 * in. A request is copied once, its lengths are compared with the operation's, and then its handler
 * runs, on the pool unless the operation is marked fast; handlers never see guest memory of the
 * queue. Answers go back in the order in which they are ready, on the event loop's thread, which
 * alone touches the rings.
 *
 * Most requests start with an object. It is looked up here, in the order of the ring, so a request
 * finds what was there when the guest sent it, whatever a later one destroys; and freeing a context
 * waits for every request that came before.
 *
 * A guest that is reset forgets its requests; their answers, known by the ring's generation, are
 * dropped.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "cm.h"
#include "cmd.h"
#include "context.h"
#include "datagram.h"
#include "dispatch.h"
#include "gid.h"
#include "log.h"
#include "qp.h"
#include "session.h"
#include "srq.h"
#include "udata.h"
#include "verbs.h"

/* the type of the object that a request starts with */
static const enum obj_type target_types[HYV_OP_COUNT] = {
	[HYV_OP_FREE_CONTEXT] = OBJ_CONTEXT,
	[HYV_OP_MMAP] = OBJ_CONTEXT,
	[HYV_OP_ALLOC_PD] = OBJ_CONTEXT,
	[HYV_OP_DEALLOC_PD] = OBJ_PD,
	[HYV_OP_REG_MR] = OBJ_PD,
	[HYV_OP_DEREG_MR] = OBJ_MR,
	[HYV_OP_CREATE_CQ] = OBJ_CONTEXT,
	[HYV_OP_DESTROY_CQ] = OBJ_CQ,
	[HYV_OP_REQ_NOTIFY_CQ] = OBJ_CQ,
	[HYV_OP_CREATE_QP] = OBJ_PD,
	[HYV_OP_MODIFY_QP] = OBJ_QP,
	[HYV_OP_QUERY_QP] = OBJ_QP,
	[HYV_OP_DESTROY_QP] = OBJ_QP,
	[HYV_OP_CREATE_SRQ] = OBJ_PD,
	[HYV_OP_MODIFY_SRQ] = OBJ_SRQ,
	[HYV_OP_QUERY_SRQ] = OBJ_SRQ,
	[HYV_OP_DESTROY_SRQ] = OBJ_SRQ,
	[HYV_OP_CREATE_AH] = OBJ_PD,
	[HYV_OP_DESTROY_AH] = OBJ_AH,
	[HYV_OP_ATTACH_MCAST] = OBJ_QP,
	[HYV_OP_DETACH_MCAST] = OBJ_QP,
	[HYV_OP_ALLOC_MW] = OBJ_PD,
	[HYV_OP_DEALLOC_MW] = OBJ_MW,
	[HYV_OP_RESIZE_CQ] = OBJ_CQ,
	[HYV_OP_REREG_MR] = OBJ_MR,
	[HYV_OP_CM_CONNECT] = OBJ_QP,
	[HYV_OP_CM_ACCEPT] = OBJ_CM,
	[HYV_OP_CM_REJECT] = OBJ_CM,
	[HYV_OP_CM_DISCONNECT] = OBJ_CM,
	[HYV_OP_CM_DESTROY] = OBJ_CM,
	[HYV_OP_CM_GET_EVENT] = OBJ_CM,
};

/**
 * struct counted - what an operation changes of what the VM has: one more when it succeeds, or one
 * less. What dies with its context is taken back by context_close(), contexts, pages and the window
 * where they are taken.
 */
struct counted {
	enum limit which;
	int change;
};

static const struct counted counted[HYV_OP_COUNT] = {
	[HYV_OP_ALLOC_PD] = { LIMIT_PDS, 1 },	 [HYV_OP_DEALLOC_PD] = { LIMIT_PDS, -1 },
	[HYV_OP_REG_MR] = { LIMIT_MRS, 1 },	 [HYV_OP_DEREG_MR] = { LIMIT_MRS, -1 },
	[HYV_OP_CREATE_CQ] = { LIMIT_CQS, 1 },	 [HYV_OP_DESTROY_CQ] = { LIMIT_CQS, -1 },
	[HYV_OP_CREATE_QP] = { LIMIT_QPS, 1 },	 [HYV_OP_DESTROY_QP] = { LIMIT_QPS, -1 },
	[HYV_OP_CREATE_SRQ] = { LIMIT_SRQS, 1 }, [HYV_OP_DESTROY_SRQ] = { LIMIT_SRQS, -1 },
	[HYV_OP_CREATE_AH] = { LIMIT_AHS, 1 },	 [HYV_OP_DESTROY_AH] = { LIMIT_AHS, -1 },
	[HYV_OP_ALLOC_MW] = { LIMIT_MWS, 1 },	 [HYV_OP_DEALLOC_MW] = { LIMIT_MWS, -1 },
};

/** struct op - one operation: its name, the sizes of its structs, HYV_OP_* flags, its handler */
struct op {
	const char *name;
	uint32_t number;
	uint32_t req_size;
	uint32_t resp_size;
	uint32_t flags;
	int (*exec)(struct cmd *cmd);
};

static const struct op ops[HYV_OP_COUNT] = {
#define OP_ROW(number_, NAME, name_, flags_) \
	[number_] = { \
		.name = #NAME, \
		.number = number_, \
		.req_size = sizeof(struct hyv_req_##name_), \
		.resp_size = sizeof(struct hyv_resp_##name_), \
		.flags = flags_, \
		.exec = name_##_exec, \
	},
	HYV_OPS(OP_ROW)
#undef OP_ROW
};

/**
 * struct dispatch - commands on their way back
 * @lock: guards @answered
 * @wake_fd: eventfd, written when an answer is ready
 * @pause: the timer that ends a pause; in one, requests lie in the ring since the VM is over its rate
 * @num_taken: requests that were taken and not given back; the event loop's
 */
struct dispatch {
	struct vm *vm;
	pthread_mutex_t lock;
	STAILQ_HEAD(, cmd) answered;
	int wake_fd;
	sd_event_source *wake;
	sd_event_source *pause;
	unsigned int num_taken;
};

static struct vring *control_ring(struct dispatch *dispatch)
{
	return vu_dev_vring(dispatch->vm->vu, HYV_VQ_CONTROL);
}

static void cmd_free(struct cmd *cmd)
{
	cmd->dispatch->num_taken--;
	cmd_put_object(cmd, cmd->target);
	if (cmd->device)
		device_put(cmd->vm, cmd->device);
	free(cmd->chain);
	free(cmd->readable);
	free(cmd->writable);
	free(cmd);
}

/* write the answer and give the chain back; on the event loop's thread */
static void give_back(struct cmd *cmd)
{
	struct vring *vr = control_ring(cmd->dispatch);
	struct hyv_resp_hdr hdr = { .status = htole32((uint32_t)cmd->status) };
	uint32_t written = 0;

	if (cmd->generation == vring_generation(vr)) {
		if (cmd->status) {
			if (!vring_chain_write(vr, cmd->chain, 0, &hdr, sizeof(hdr)))
				written = sizeof(hdr);
		} else if (!vring_chain_write(vr, cmd->chain, 0, cmd->writable,
					      cmd->writable_len)) {
			written = cmd->writable_len;
		}
		vring_push(vr, cmd->chain, written);
	}
	stats_add(&cmd->vm->stats, cmd->op->number, cmd->status, stats_now() - cmd->began);
	log_debug("%s: %d", cmd->op->name, cmd->status);
	cmd_free(cmd);
}

static int answers_ready(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct dispatch *dispatch = arg;
	STAILQ_HEAD(, cmd) ready = STAILQ_HEAD_INITIALIZER(ready);
	struct cmd *cmd;
	uint64_t count;

	(void)source;
	(void)revents;
	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_err("cannot read an eventfd: %s", strerror(errno));
	pthread_mutex_lock(&dispatch->lock);
	STAILQ_CONCAT(&ready, &dispatch->answered);
	pthread_mutex_unlock(&dispatch->lock);
	while ((cmd = STAILQ_FIRST(&ready))) {
		STAILQ_REMOVE_HEAD(&ready, answered);
		give_back(cmd);
	}
	vring_signal(control_ring(dispatch));
	return 0;
}

bool dispatch_is_busy(const struct dispatch *dispatch)
{
	return dispatch->num_taken;
}

void dispatch_settle(struct dispatch *dispatch, int ms)
{
	struct pollfd answered = { .fd = dispatch->wake_fd, .events = POLLIN };

	if (poll(&answered, 1, ms) > 0)
		answers_ready(NULL, dispatch->wake_fd, POLLIN, dispatch);
}

void cmd_answer(struct cmd *cmd, int status)
{
	struct dispatch *dispatch = cmd->dispatch;
	static const uint64_t one = 1;

	cmd->status = status;
	pthread_mutex_lock(&dispatch->lock);
	STAILQ_INSERT_TAIL(&dispatch->answered, cmd, answered);
	pthread_mutex_unlock(&dispatch->lock);
	if (write(dispatch->wake_fd, &one, sizeof(one)) < 0)
		log_err("cannot write an eventfd: %s", strerror(errno));
}

/* run the handler, within the VM's limits */
static int cmd_exec(struct cmd *cmd)
{
	const struct counted *count = &counted[cmd->op->number];
	struct limits *limits = &cmd->vm->limits;
	struct context *ctx = cmd->target ? cmd->target->context : NULL;
	struct charges *charges = ctx ? &ctx->charges : NULL;
	int status;

	log_about(ctx ? ctx->device->name : NULL, cmd->target ? cmd->target->id : 0);
	if (count->change > 0 && limit_charge(limits, charges, count->which, 1)) {
		status = -ENOMEM;
	} else {
		status = cmd->op->exec(cmd);
		if ((count->change > 0 && status) || (count->change < 0 && !status))
			limit_uncharge(limits, charges, count->which, 1);
	}
	log_about(NULL, 0);
	return status;
}

static void cmd_run(struct job *job)
{
	struct cmd *cmd = (struct cmd *)((char *)job - offsetof(struct cmd, job));
	int status = cmd_exec(cmd);

	if (status != CMD_DEFERRED)
		cmd_answer(cmd, status);
}

const struct udata *cmd_udata(struct cmd *cmd, const struct device *dev)
{
	uint8_t *in = cmd->readable + sizeof(struct hyv_req_hdr) + cmd->op->req_size;
	const char *why = udata_accept(&cmd->udata, in, dev->provider, cmd->op->number);

	if (!why)
		return &cmd->udata;
	log_guest("%s: provider data %s (driver %s): refused", cmd->op->name, why,
		  dev->provider->name);
	return NULL;
}

/* find the parts of the copied request and prepare the answer. Return: 0 or a negative errno */
static int cmd_parse(struct cmd *cmd)
{
	const struct hyv_req_hdr *hdr = (const struct hyv_req_hdr *)cmd->readable;
	uint64_t len = cmd->chain->readable_len, udata_in = le32toh(hdr->udata_in),
		 udata_out = le32toh(hdr->udata_out);
	const uint8_t *at = cmd->readable + sizeof(*hdr);
	uint64_t known;

	if (le32toh(hdr->op) >= HYV_OP_COUNT || !ops[le32toh(hdr->op)].exec)
		return -EOPNOTSUPP;
	cmd->op = &ops[le32toh(hdr->op)];
	if (hdr->reserved || udata_in > HYV_UDATA_MAX || udata_out > HYV_UDATA_MAX)
		return -EINVAL;
	if (!(cmd->op->flags & HYV_OP_UDATA) && (udata_in || udata_out))
		return -EINVAL;
	known = sizeof(*hdr) + cmd->op->req_size + udata_in + udata_out;
	if (len < known || (len > known && !(cmd->op->flags & HYV_OP_TAIL)))
		return -EINVAL;
	cmd->writable_len =
		(uint32_t)(sizeof(struct hyv_resp_hdr) + cmd->op->resp_size + udata_out);
	if (cmd->chain->writable_len != cmd->writable_len)
		return -EINVAL;
	cmd->writable = calloc(1, cmd->writable_len);
	if (!cmd->writable)
		return -ENOMEM;
	cmd->resp = cmd->writable + sizeof(struct hyv_resp_hdr);
	cmd->req = at;
	at += cmd->op->req_size;
	cmd->udata.in = at;
	cmd->udata.in_len = (uint32_t)udata_in;
	cmd->udata.out = (uint8_t *)cmd->resp + cmd->op->resp_size;
	cmd->udata.out_len = (uint32_t)udata_out;
	at += udata_in;
	memcpy(cmd->udata.out, at, udata_out);
	cmd->tail = at + udata_out;
	cmd->tail_len = (uint32_t)(len - known);
	return 0;
}

/* Return: 0 and the copied, parsed request, or a negative errno to answer with */
static int cmd_read(struct cmd *cmd, struct vring *vr)
{
	const uint32_t max =
		(uint32_t)sizeof(struct hyv_req_hdr) + 4096 + 2 * HYV_UDATA_MAX + HYV_TAIL_MAX;
	uint64_t len = cmd->chain->readable_len;

	if (len < sizeof(struct hyv_req_hdr) || len > max)
		return -EINVAL;
	cmd->readable = malloc(len);
	if (!cmd->readable)
		return -ENOMEM;
	if (vring_chain_read(vr, cmd->chain, 0, cmd->readable, len))
		return -EFAULT;
	return cmd_parse(cmd);
}

static int cmd_find_target(struct cmd *cmd)
{
	enum obj_type type = target_types[cmd->op->number];
	__le64 id;

	if (type == OBJ_NONE)
		return 0;
	memcpy(&id, cmd->req, sizeof(id));
	cmd->target = cmd_get_object(cmd, id, type);
	return cmd->target ? 0 : -ENOENT;
}

static struct cmd *cmd_alloc(struct dispatch *dispatch, const struct vring_chain *chain)
{
	static const struct op unknown = { .name = "unknown" };
	struct cmd *cmd = calloc(1, sizeof(*cmd));
	size_t segments = (chain->num_readable + chain->num_writable) * sizeof(chain->segments[0]);

	if (!cmd)
		return NULL;
	cmd->chain = malloc(sizeof(*chain));
	if (!cmd->chain) {
		free(cmd);
		return NULL;
	}
	memcpy(cmd->chain, chain, offsetof(struct vring_chain, segments) + segments);
	cmd->vm = dispatch->vm;
	cmd->dispatch = dispatch;
	dispatch->num_taken++;
	cmd->op = &unknown;
	cmd->generation = vring_generation(control_ring(dispatch));
	cmd->job.run = cmd_run;
	cmd->began = stats_now();
	return cmd;
}

static void start(struct dispatch *dispatch, const struct vring_chain *chain)
{
	struct vring *vr = control_ring(dispatch);
	struct cmd *cmd = cmd_alloc(dispatch, chain);
	int status;

	if (!cmd) {
		log_guest("out of memory: a request is lost");
		vring_push(vr, chain, 0);
		return;
	}
	status = cmd_read(cmd, vr);
	if (status)
		log_guest("%s: malformed request (%s): refused", cmd->op->name, strerror(-status));
	else
		status = cmd_find_target(cmd);
	if (status == -ENOENT && context_wait(cmd))
		return;
	if (!status && !(cmd->op->flags & HYV_OP_FAST)) {
		pool_submit(dispatch->vm->pool, &cmd->job);
		return;
	}
	if (!status)
		status = cmd_exec(cmd);
	if (status == CMD_DEFERRED)
		return;
	cmd->status = status;
	give_back(cmd);
}

/* leave the ring alone for a while */
static void pause_ring(struct dispatch *dispatch, uint64_t ns)
{
	sd_event_source_set_time_relative(dispatch->pause, ns / 1000 + 1);
	sd_event_source_set_enabled(dispatch->pause, SD_EVENT_ONESHOT);
}

/* start what is in the ring; @late: the first of it had to wait */
static void start_all(struct dispatch *dispatch, bool late)
{
	struct limits *limits = &dispatch->vm->limits;
	struct vring_chain chain;
	uint64_t wait;

	for (;;) {
		wait = limit_ops_wait(limits, stats_now());
		if (wait) {
			pause_ring(dispatch, wait);
			return;
		}
		if (vring_pop(control_ring(dispatch), &chain) <= 0)
			return;
		limit_ops_start(limits, stats_now(), late);
		start(dispatch, &chain);
		late = false;
	}
}

static int pause_over(sd_event_source *source, uint64_t usec, void *arg)
{
	struct dispatch *dispatch = arg;

	(void)source;
	(void)usec;
	start_all(dispatch, true);
	vring_signal(control_ring(dispatch));
	return 0;
}

void dispatch_kick(struct dispatch *dispatch)
{
	start_all(dispatch, false);
	vring_signal(control_ring(dispatch));
}

int dispatch_create(struct dispatch **out, struct vm *vm)
{
	struct dispatch *dispatch = calloc(1, sizeof(*dispatch));
	int ret;

	if (!dispatch)
		return -ENOMEM;
	dispatch->vm = vm;
	pthread_mutex_init(&dispatch->lock, NULL);
	STAILQ_INIT(&dispatch->answered);
	dispatch->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = dispatch->wake_fd < 0 ? -errno :
				      sd_event_add_io(vm->loop, &dispatch->wake, dispatch->wake_fd,
						      EPOLLIN, answers_ready, dispatch);
	if (ret >= 0)
		ret = sd_event_add_time_relative(vm->loop, &dispatch->pause, CLOCK_MONOTONIC, 0, 1,
						 pause_over, dispatch);
	if (ret >= 0)
		ret = sd_event_source_set_enabled(dispatch->pause, SD_EVENT_OFF);
	if (ret < 0) {
		dispatch_destroy(dispatch);
		return ret;
	}
	*out = dispatch;
	return 0;
}

void dispatch_destroy(struct dispatch *dispatch)
{
	struct cmd *cmd;

	while ((cmd = STAILQ_FIRST(&dispatch->answered))) {
		STAILQ_REMOVE_HEAD(&dispatch->answered, answered);
		cmd_free(cmd);
	}
	sd_event_source_unref(dispatch->pause);
	sd_event_source_unref(dispatch->wake);
	if (dispatch->wake_fd >= 0)
		close(dispatch->wake_fd);
	pthread_mutex_destroy(&dispatch->lock);
	free(dispatch);
}
