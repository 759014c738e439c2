// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Events from host to guest. The host's kernel delivers them as records in the files of each
 * context; they are read at once, noted at their object (objtab.c: one bit each, so that a guest
 * which offers no buffers costs no memory and loses nothing), and written to the event queue as far
 * as it has room.
 *
 * Records carry the user handle that HyV gave when it created the object, which is the object's id.
 * A record of an object that is gone meanwhile finds nothing and is dropped, as the kernel drops
 * those unread at a destroy.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <hyv/wire.h>
#include "context.h"
#include "event.h"
#include "gidwatch.h"
#include "log.h"
#include "vm.h"

#define EVENTS_AT_ONCE 64

/*
 * uverbs event types (enum ib_event_type of the kernel, which no user header has) whose record
 * names an object: 0 to 7 are of CQs and QPs, then SRQ_ERR, SRQ_LIMIT_REACHED, QP_LAST_WQE_REACHED
 * and WQ_FATAL. The others are of ports and the device, which every context hears of and which are
 * taken from hyvd's own alone.
 */
#define OBJECT_EVENTS (0xffull | 1ull << 14 | 1ull << 15 | 1ull << 16 | 1ull << 19)
#define GID_CHANGE    18

/**
 * struct event - the event queue's state
 * @epoll_fd: the files of all contexts; epoll's data is the context's id, doubled, plus 1 for the
 *         completion channel
 */
struct event {
	struct vm *vm;
	int epoll_fd;
	sd_event_source *source;
};

static int add_file(struct event *event, int fd, uint64_t key)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = key };

	if (fcntl(fd, F_SETFL, O_NONBLOCK) || epoll_ctl(event->epoll_fd, EPOLL_CTL_ADD, fd, &ev))
		return -errno;
	return 0;
}

int event_watch(struct event *event, struct context *ctx)
{
	int ret = add_file(event, ctx->async_fd, ctx->obj.id << 1);

	return ret ? ret : add_file(event, ctx->comp_fd, ctx->obj.id << 1 | 1);
}

void event_unwatch(struct event *event, struct context *ctx)
{
	epoll_ctl(event->epoll_fd, EPOLL_CTL_DEL, ctx->async_fd, NULL);
	epoll_ctl(event->epoll_fd, EPOLL_CTL_DEL, ctx->comp_fd, NULL);
}

static bool is_object_event(uint32_t type)
{
	return type < 64 && OBJECT_EVENTS >> type & 1;
}

static void take_object_event(struct event *event, uint64_t id, bool completion, uint64_t async)
{
	struct objtab *tab = event->vm->objtab;
	struct obj *obj = objtab_get(tab, id, OBJ_ANY);

	if (!obj)
		return;
	objtab_notify(tab, &obj->events, completion, async);
	obj_put(tab, obj);
}

static void read_completions(struct event *event, struct context *ctx)
{
	struct ib_uverbs_comp_event_desc records[EVENTS_AT_ONCE];
	ssize_t len, i;

	while ((len = read(ctx->comp_fd, records, sizeof(records))) > 0)
		for (i = 0; i < len / (ssize_t)sizeof(records[0]); i++)
			take_object_event(event, records[i].cq_handle, true, 0);
}

static void take_port_event(struct event *event, struct device *dev,
			    const struct ib_uverbs_async_event_desc *record)
{
	uint64_t port = record->element ? record->element : 1;

	if (record->event_type == GID_CHANGE)
		gidwatch_look(event->vm->gidwatch);
	/* a guest with a table of its own is told by its own kernel when that changes */
	if (record->event_type == GID_CHANGE && dev->gids)
		return;
	if (port <= DEVICE_MAX_PORTS && record->event_type < 64)
		objtab_notify(event->vm->objtab, &dev->port_events[port - 1], false,
			      1ull << record->event_type);
}

static void read_async(struct event *event, struct context *ctx)
{
	struct ib_uverbs_async_event_desc records[EVENTS_AT_ONCE];
	ssize_t len, i;

	while ((len = read(ctx->async_fd, records, sizeof(records))) > 0) {
		for (i = 0; i < len / (ssize_t)sizeof(records[0]); i++) {
			if (is_object_event(records[i].event_type))
				take_object_event(event, records[i].element, false,
						  1ull << records[i].event_type);
			else if (ctx == ctx->device->own)
				take_port_event(event, ctx->device, &records[i]);
		}
	}
}

/* the guest's context or hyvd's own, with a reference; NULL if it is gone meanwhile */
static struct context *find_context(struct event *event, uint64_t id)
{
	struct vm *vm = event->vm;
	struct obj *obj = objtab_get(vm->objtab, id, OBJ_CONTEXT);
	unsigned int i;

	/* the slots are this thread's to change: a device in one has its own context */
	for (i = 0; i < HYV_MAX_DEVICES && !obj; i++) {
		if (vm->devices[i] && vm->devices[i]->own->obj.id == id) {
			obj = &vm->devices[i]->own->obj;
			obj_get(vm->objtab, obj);
		}
	}
	return obj ? obj->context : NULL;
}

static int files_ready(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct epoll_event ready[EVENTS_AT_ONCE];
	struct event *event = arg;
	struct context *ctx;
	int n, i;

	(void)source;
	(void)revents;
	n = epoll_wait(fd, ready, EVENTS_AT_ONCE, 0);
	for (i = 0; i < n; i++) {
		ctx = find_context(event, ready[i].data.u64 >> 1);
		if (!ctx)
			continue;
		if (ready[i].data.u64 & 1)
			read_completions(event, ctx);
		else
			read_async(event, ctx);
		if (ready[i].events & EPOLLERR) /* its device has gone: nothing more will come */
			event_unwatch(event, ctx);
		obj_put(event->vm->objtab, &ctx->obj);
	}
	event_kick(event);
	return 0;
}

void event_kick(struct event *event)
{
	struct vring *vr = vu_dev_vring(event->vm->vu, HYV_VQ_EVENT);
	struct event_source about;
	struct vring_chain chain;
	struct hyv_event out;
	bool completion, sent = false;
	uint32_t code = 0;

	while (objtab_any_event(event->vm->objtab) && vring_pop(vr, &chain) > 0) {
		uint32_t written = 0;

		if (chain.writable_len < sizeof(out)) {
			log_guest("the guest's event buffer is too small: ignored");
		} else if (objtab_next_event(event->vm->objtab, &about, &completion, &code)) {
			out = (struct hyv_event){
				.type = htole32(!completion ? HYV_EVENT_ASYNC : about.type),
				.device = htole32(about.device),
				.object = htole64(about.object),
				.code = htole32(completion ? 0 : code),
				.port = htole32(about.port),
			};
			if (!vring_chain_write(vr, &chain, 0, &out, sizeof(out)))
				written = sizeof(out);
		}
		vring_push(vr, &chain, written);
		sent = true;
	}
	if (sent)
		vring_signal(vr);
}

int event_create(struct event **out, struct vm *vm)
{
	struct event *event = calloc(1, sizeof(*event));
	int ret;

	if (!event)
		return -ENOMEM;
	event->vm = vm;
	event->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	ret = event->epoll_fd < 0 ? -errno :
				    sd_event_add_io(vm->loop, &event->source, event->epoll_fd,
						    EPOLLIN, files_ready, event);
	if (ret < 0) {
		event_destroy(event);
		return ret;
	}
	*out = event;
	return 0;
}

void event_destroy(struct event *event)
{
	sd_event_source_unref(event->source);
	if (event->epoll_fd >= 0)
		close(event->epoll_fd);
	free(event);
}
