// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The VM's addresses while it runs. Which the VM may have is for the operator to say; which of those
 * are there, for the host's netdevs. When either changes,
 *
 *   the guest is told      by its slot: it asks for its addresses on that device anew (gid.c), its kernel
 *                          makes GIDs of them, and tells its applications
 *   listeners follow       cm_listen.c: none of the host listens on an address that is not the VM's any more,
 *                          and one does for each that has come to a listener of the guest
 *
 * What uses an address that goes, a connection or a QP, stays: the host's kernel does to it whatever it
 * does to its own.
 *
 * Addresses of netdevs are broadcast by rtnetlink. GIDs are made of them only after that, by a RoCE
 * device's core, which tells by an asynchronous event (event.c). Each of the two causes a look at
 * everything, on the pool, since that may wait for locks; one look at a time.
 */
#include <errno.h>
#include <limits.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include "cm.h"
#include "control.h"
#include "gidwatch.h"
#include "hotplug.h"
#include "log.h"
#include "vm.h"

/** struct waiter - a client that has changed something on a device */
struct waiter {
	uint64_t client;
	char device[NAME_MAX + 1];
	STAILQ_ENTRY(waiter) next;
};

STAILQ_HEAD(waiters, waiter);

/**
 * struct gidwatch - looks, under way and due
 * @route: rtnetlink, with addresses that come and go
 * @wake_fd: eventfd, written when a look is over
 * @look: the pool's while @is_looking
 * @changed: bit n: the guest has to be told of slot n; the look's while there is one
 * @is_due: another is to follow
 * @waiters: for the end of the next look
 * @served: for the end of this one
 */
struct gidwatch {
	struct vm *vm;
	int route;
	sd_event_source *route_source;
	int wake_fd;
	sd_event_source *wake;
	struct job look;
	uint32_t changed;
	bool is_looking;
	bool is_due;
	struct waiters waiters;
	struct waiters served;
};

static void look_run(struct job *job)
{
	struct gidwatch *watch = (struct gidwatch *)((char *)job - offsetof(struct gidwatch, look));
	static const uint64_t one = 1;
	struct device *dev;
	uint32_t slot;

	for (slot = 0; slot < HYV_MAX_DEVICES; slot++) {
		dev = device_in_slot(watch->vm, slot);
		if (!dev)
			continue;
		log_about(dev->name, 0);
		if (dev->has_addresses && gid_look(watch->vm, dev))
			watch->changed |= 1u << slot;
		if (dev->has_addresses)
			cm_follow_addresses(watch->vm, dev);
		log_about(NULL, 0);
		device_put(watch->vm, dev);
	}
	if (write(watch->wake_fd, &one, sizeof(one)) < 0)
		log_err("cannot write an eventfd: %s", strerror(errno));
}

void gidwatch_look(struct gidwatch *watch)
{
	watch->is_due = true;
	if (watch->is_looking)
		return;
	watch->is_due = false;
	watch->is_looking = true;
	STAILQ_CONCAT(&watch->served, &watch->waiters);
	pool_submit(watch->vm->pool, &watch->look);
}

static struct waiter *next_waiter(struct waiters *waiters)
{
	struct waiter *waiter = STAILQ_FIRST(waiters);

	if (waiter)
		STAILQ_REMOVE_HEAD(waiters, next);
	return waiter;
}

/* a look is over */
static int on_wake(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct gidwatch *watch = arg;
	struct waiter *waiter;
	uint64_t count;
	uint32_t slot;

	(void)source;
	(void)revents;
	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_err("cannot read an eventfd: %s", strerror(errno));
	for (slot = 0; slot < HYV_MAX_DEVICES; slot++)
		if (watch->changed >> slot & 1)
			hotplug_tell_guest(watch->vm->hotplug, slot);
	watch->changed = 0;
	while ((waiter = next_waiter(&watch->served))) {
		control_done(watch->vm->control, waiter->client, waiter->device, NULL);
		free(waiter);
	}
	watch->is_looking = false;
	if (watch->is_due)
		gidwatch_look(watch);
	return 0;
}

int gidwatch_change(struct gidwatch *watch, const struct gidwatch_change *change, uint64_t client,
		    char *why, size_t why_len)
{
	struct device *dev = device_named(watch->vm, change->device);
	struct waiter *waiter;
	int ret;

	if (!dev) {
		snprintf(why, why_len, "the VM has no device '%s'", change->device);
		return -ENODEV;
	}
	if (!dev->has_addresses) {
		snprintf(
			why, why_len,
			"'%s' was given to the VM without addresses, and the guest has all of its GIDs: 'hyvctl detach' it, then 'hyvctl attach' it with --address",
			dev->name);
		return -EOPNOTSUPP;
	}
	snprintf(why, why_len, "no memory");
	waiter = calloc(1, sizeof(*waiter));
	if (!waiter)
		return -ENOMEM;
	waiter->client = client;
	snprintf(waiter->device, sizeof(waiter->device), "%s", dev->name);
	log_catch(why, why_len);
	log_about(dev->name, 0);
	ret = change->is_added ? gid_add_address(watch->vm, dev, change->address) :
				 gid_remove_address(watch->vm, dev, change->address);
	log_about(NULL, 0);
	log_catch(NULL, 0);
	if (ret) {
		free(waiter);
		return ret;
	}
	hotplug_tell_guest(watch->vm->hotplug, dev->slot);
	STAILQ_INSERT_TAIL(&watch->waiters, waiter, next);
	gidwatch_look(watch);
	return 0;
}

/* whatever it says, and also that it has lost something to say */
static int on_route(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	char message[64]; /* the rest is cut off */

	(void)source;
	(void)revents;
	while (recv(fd, message, sizeof(message), MSG_DONTWAIT) >= 0 || errno == ENOBUFS)
		;
	gidwatch_look(arg);
	return 0;
}

/* Return: a socket, or a negative errno */
static int open_route(void)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK,
				    .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), ret;

	if (fd < 0 || !bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fd < 0 ? -errno : fd;
	ret = -errno;
	close(fd);
	return ret;
}

int gidwatch_create(struct gidwatch **out, struct vm *vm)
{
	struct gidwatch *watch = calloc(1, sizeof(*watch));
	int ret;

	if (!watch)
		return -ENOMEM;
	watch->vm = vm;
	watch->look.run = look_run;
	STAILQ_INIT(&watch->waiters);
	STAILQ_INIT(&watch->served);
	watch->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = watch->wake_fd < 0 ? -errno :
				   sd_event_add_io(vm->loop, &watch->wake, watch->wake_fd, EPOLLIN,
						   on_wake, watch);
	watch->route = open_route();
	if (ret >= 0)
		ret = watch->route;
	if (ret >= 0)
		ret = sd_event_add_io(vm->loop, &watch->route_source, watch->route, EPOLLIN,
				      on_route, watch);
	if (ret < 0) {
		log_err("cannot hear of addresses that come and go: %s", strerror(-ret));
		gidwatch_destroy(watch);
		return ret;
	}
	*out = watch;
	return 0;
}

void gidwatch_destroy(struct gidwatch *watch)
{
	struct waiter *waiter;

	STAILQ_CONCAT(&watch->served, &watch->waiters);
	while ((waiter = next_waiter(&watch->served)))
		free(waiter);
	sd_event_source_unref(watch->route_source);
	sd_event_source_unref(watch->wake);
	if (watch->route >= 0)
		close(watch->route);
	if (watch->wake_fd >= 0)
		close(watch->wake_fd);
	free(watch);
}
