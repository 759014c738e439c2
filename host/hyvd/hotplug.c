// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Devices that a VM begins with; that come to it while it runs, and go, because the operator says so or
 * the host loses them.
 *
 *   attach   opened on the pool, since that may take its time; then put into a slot on the event loop,
 *            and the guest is told that the slot has changed
 *   detach   out of its slot at once, so that the guest finds it no more and makes nothing new on it.
 *            The guest is told, and unregisters its own device, which destroys what it has there. What
 *            is left after PATIENCE is destroyed here, on the pool: connections, then contexts with all
 *            that is in them. When the last use of the device ends, so does its last open file.
 *
 * A device of the host goes in the same way when the kernel says that it removes it (uevent.c). The
 * kernel then waits for those files, if the driver cannot do without.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cm.h"
#include "context.h"
#include "control.h"
#include "gidwatch.h"
#include "hotplug.h"
#include "log.h"
#include "options.h"
#include "uevent.h"
#include "vm.h"

#define PATIENCE 5000000 /* microseconds */

/**
 * struct attach - an attach under way: the pool's, then the event loop's
 * @dev: opened, or NULL; then @error says why
 * @num_removals: struct hotplug's at its beginning
 */
struct attach {
	struct job job;
	struct hotplug *hotplug;
	uint64_t client;
	char name[NAME_MAX + 1];
	char addresses[VM_MAX_ADDRESSES][OPTIONS_ADDRESS_LEN];
	unsigned int num_addresses;
	struct device *dev;
	char error[512];
	unsigned int num_removals;
	STAILQ_ENTRY(attach) next;
};

/** struct closing - what the guest has on a device is to be destroyed; the pool's */
struct closing {
	struct job job;
	struct vm *vm;
	uint32_t device;
};

/**
 * struct going - a device that has left its slot, until it is closed
 * @client: whom to tell then
 * @patience: when it ends, @closing begins, which is NULL from then on
 */
struct going {
	struct hotplug *hotplug;
	uint32_t id;
	char name[NAME_MAX + 1];
	uint64_t client;
	sd_event_source *patience;
	struct closing *closing;
	LIST_ENTRY(going) next;
};

/**
 * struct hotplug - what is under way
 * @uevents: what uevent.c reads
 * @slots: by which the guest is told that a slot has changed
 * @num_removals: uverbs devices that the host has removed: an attach that has missed one begins anew
 * @lock: guards @attached and @gone
 * @attached: is to be put into slots
 * @gone: devices to be freed
 * @wake_fd: eventfd, written when there is something in those
 *
 * The rest is the event loop's.
 */
struct hotplug {
	struct vm *vm;
	int uevents;
	sd_event_source *uevents_source;
	struct event_source slots[HYV_MAX_DEVICES];
	unsigned int num_removals;
	LIST_HEAD(, going) going;
	pthread_mutex_t lock;
	STAILQ_HEAD(, attach) attached;
	STAILQ_HEAD(, device) gone;
	int wake_fd;
	sd_event_source *wake;
};

static void raise_wake(struct hotplug *hotplug)
{
	static const uint64_t one = 1;

	if (write(hotplug->wake_fd, &one, sizeof(one)) < 0)
		log_err("cannot write an eventfd: %s", strerror(errno));
}

void hotplug_tell_guest(struct hotplug *hotplug, uint32_t slot)
{
	objtab_notify(hotplug->vm->objtab, &hotplug->slots[slot], true, 0);
	event_kick(hotplug->vm->event);
}

/* ---- the beginning ---- */

static int begin_with(struct vm *vm, const char *name)
{
	struct device *dev;
	int ret = device_open(vm, name, &dev);

	if (ret)
		return ret;
	ret = device_plug(vm, dev);
	if (ret)
		device_put(vm, dev);
	return ret;
}

static int begin_with_address(struct vm *vm, const struct options *opt,
			      const struct option_address *address)
{
	struct device *dev = device_named(vm, address->device);
	int ret;

	if (address->device[0] && !dev)
		return 0; /* which has been told */
	log_at(opt->config, address->line);
	ret = gid_add_address(vm, dev, address->text);
	log_at(NULL, 0);
	log_about(NULL, 0);
	return ret;
}

/* where a VM with addresses has none, it may use all of the host's */
static void warn_of_bare_devices(const struct vm *vm)
{
	unsigned int i;

	for (i = 0; i < HYV_MAX_DEVICES; i++) {
		const struct device *dev = vm->devices[i];

		if (!dev || dev->has_addresses || device_is_iwarp(dev))
			continue;
		log_about(dev->name, 0);
		log_warn(
			"none of the VM's addresses is on %s: it may use every GID of the host's there",
			dev->name);
		log_about(NULL, 0);
	}
}

int hotplug_begin(struct vm *vm, const struct options *opt)
{
	unsigned int i;
	int ret = 0, err;

	for (i = 0; i < opt->num_devices; i++) {
		log_at(opt->config, opt->devices[i].line);
		err = begin_with(vm, opt->devices[i].name);
		log_at(NULL, 0);
		log_about(NULL, 0);
		ret = ret ? ret : err;
	}
	for (i = 0; i < opt->num_addresses; i++) {
		err = begin_with_address(vm, opt, &opt->addresses[i]);
		ret = ret ? ret : err;
	}
	if (opt->num_addresses && !ret)
		warn_of_bare_devices(vm);
	return ret;
}

/* ---- attach ---- */

static int open_with_addresses(struct vm *vm, struct attach *attach)
{
	unsigned int i;
	int ret = device_open(vm, attach->name, &attach->dev);

	if (!ret && attach->num_addresses && !vm->cm) {
		log_err("'%s' cannot have addresses: when this hyvd started it could not open /dev/infiniband/rdma_cm; load rdma_ucm (its node is for all users, 0666), then start hyvd anew",
			attach->name);
		ret = -ENODEV;
	}
	for (i = 0; i < attach->num_addresses && !ret; i++)
		ret = gid_add_address(vm, attach->dev, attach->addresses[i]);
	return ret;
}

static void give_up(struct attach *attach)
{
	struct vm *vm = attach->hotplug->vm;

	if (!attach->dev)
		return;
	gid_remove_addresses(vm, attach->dev);
	device_put(vm, attach->dev);
	attach->dev = NULL;
}

static void attach_run(struct job *job)
{
	struct attach *attach = (struct attach *)((char *)job - offsetof(struct attach, job));
	struct hotplug *hotplug = attach->hotplug;

	log_catch(attach->error, sizeof(attach->error));
	if (open_with_addresses(hotplug->vm, attach))
		give_up(attach);
	log_catch(NULL, 0);
	log_about(NULL, 0);
	pthread_mutex_lock(&hotplug->lock);
	STAILQ_INSERT_TAIL(&hotplug->attached, attach, next);
	pthread_mutex_unlock(&hotplug->lock);
	raise_wake(hotplug);
}

int hotplug_attach(struct hotplug *hotplug, const struct hotplug_attach *what, uint64_t client)
{
	struct attach *attach = calloc(1, sizeof(*attach));
	unsigned int i;

	if (!attach)
		return -ENOMEM;
	attach->hotplug = hotplug;
	attach->client = client;
	attach->num_removals = hotplug->num_removals;
	attach->job.run = attach_run;
	snprintf(attach->name, sizeof(attach->name), "%s", what->device);
	for (i = 0; i < what->num_addresses; i++)
		snprintf(attach->addresses[i], sizeof(attach->addresses[i]), "%s",
			 what->addresses[i]);
	attach->num_addresses = what->num_addresses;
	snprintf(attach->error, sizeof(attach->error), "no memory");
	pool_submit(hotplug->vm->pool, &attach->job);
	return 0;
}

static void attach_finish(struct hotplug *hotplug, struct attach *attach)
{
	log_about(attach->name, 0);
	log_catch(attach->error, sizeof(attach->error));
	if (attach->dev && attach->num_removals != hotplug->num_removals) {
		log_err("the host has lost an RDMA device while '%s' was attached: try again",
			attach->name);
		give_up(attach);
	} else if (attach->dev && device_plug(hotplug->vm, attach->dev)) {
		give_up(attach);
	}
	log_catch(NULL, 0);
	log_about(NULL, 0);
	if (attach->dev) {
		hotplug_tell_guest(hotplug, attach->dev->slot);
		if (attach->dev->has_addresses)
			gidwatch_look(hotplug->vm->gidwatch); /* none has seen it so far */
	}
	control_done(hotplug->vm->control, attach->client, attach->name,
		     attach->dev ? NULL : attach->error);
	free(attach);
}

/* ---- detach ---- */

static void close_run(struct job *job)
{
	struct closing *closing = (struct closing *)((char *)job - offsetof(struct closing, job));

	cm_destroy_all(closing->vm, closing->device);
	context_free_all(closing->vm, closing->device);
	free(closing);
}

static int patience_over(sd_event_source *source, uint64_t usec, void *arg)
{
	struct going *going = arg;

	(void)source;
	(void)usec;
	log_about(going->name, 0);
	log_warn("the guest still uses '%s': what it has there is destroyed", going->name);
	log_about(NULL, 0);
	pool_submit(going->hotplug->vm->pool, &going->closing->job);
	going->closing = NULL;
	return 0;
}

static void going_free(struct going *going)
{
	LIST_REMOVE(going, next);
	sd_event_source_unref(going->patience);
	free(going->closing);
	free(going);
}

/* take a device out of its slot. Return: 0 or a negative errno */
static int let_go(struct hotplug *hotplug, struct device *dev, uint64_t client)
{
	struct going *going = calloc(1, sizeof(*going));
	uint32_t slot = dev->slot;
	int ret = -ENOMEM;

	if (!going)
		return ret;
	LIST_INSERT_HEAD(&hotplug->going, going, next);
	going->closing = calloc(1, sizeof(*going->closing));
	if (going->closing)
		ret = sd_event_add_time_relative(hotplug->vm->loop, &going->patience,
						 CLOCK_MONOTONIC, PATIENCE, 0, patience_over,
						 going);
	if (ret < 0) {
		going_free(going);
		return ret;
	}
	*going->closing = (struct closing){
		.job.run = close_run,
		.vm = hotplug->vm,
		.device = dev->id,
	};
	going->hotplug = hotplug;
	going->id = dev->id;
	going->client = client;
	snprintf(going->name, sizeof(going->name), "%s", dev->name);
	device_unplug(hotplug->vm, dev);
	hotplug_tell_guest(hotplug, slot);
	return 0;
}

/** struct use - what the guest has on a device */
struct use {
	const struct device *dev;
	unsigned int contexts;
	unsigned int cms;
};

static void count_use(const struct obj *obj, void *arg)
{
	struct use *use = arg;

	if (obj_device(obj) != use->dev)
		return;
	use->contexts += obj->type == OBJ_CONTEXT;
	use->cms += obj->type == OBJ_CM;
}

int hotplug_detach(struct hotplug *hotplug, const char *name, bool force, uint64_t client,
		   char *why, size_t why_len)
{
	struct device *dev = device_named(hotplug->vm, name);
	struct use use = { .dev = dev };
	int ret;

	if (!dev) {
		snprintf(why, why_len, "the VM has no device '%s'", name);
		return -ENODEV;
	}
	objtab_walk(hotplug->vm->objtab, count_use, &use);
	if (!force && (use.contexts || use.cms)) {
		snprintf(
			why, why_len,
			"'%s' is in use by %u contexts and %u connections or listeners of the guest: end its programs first, or take it away with --force",
			name, use.contexts, use.cms);
		return -EBUSY;
	}
	log_about(name, 0);
	log_info("'%s' is detached", name);
	log_about(NULL, 0);
	ret = let_go(hotplug, dev, client);
	if (ret)
		snprintf(why, why_len, "no memory");
	return ret;
}

const char *hotplug_going(const struct hotplug *hotplug, unsigned int i)
{
	const struct going *going = LIST_FIRST(&hotplug->going);

	for (; going && i; i--)
		going = LIST_NEXT(going, next);
	return going ? going->name : NULL;
}

static void device_finish(struct hotplug *hotplug, struct device *dev)
{
	struct going *going;

	LIST_FOREACH(going, &hotplug->going, next)
		if (going->id == dev->id)
			break;
	if (going) {
		log_about(going->name, 0);
		log_info("'%s' is gone", going->name);
		log_about(NULL, 0);
		control_done(hotplug->vm->control, going->client, going->name, NULL);
		going_free(going);
	}
	device_free(dev);
}

/* ---- what happens ---- */

void hotplug_gone(struct hotplug *hotplug, struct device *dev)
{
	pthread_mutex_lock(&hotplug->lock);
	STAILQ_INSERT_TAIL(&hotplug->gone, dev, gone);
	pthread_mutex_unlock(&hotplug->lock);
	raise_wake(hotplug);
}

static struct attach *next_attached(struct hotplug *hotplug)
{
	struct attach *attach;

	pthread_mutex_lock(&hotplug->lock);
	attach = STAILQ_FIRST(&hotplug->attached);
	if (attach)
		STAILQ_REMOVE_HEAD(&hotplug->attached, next);
	pthread_mutex_unlock(&hotplug->lock);
	return attach;
}

static struct device *next_gone(struct hotplug *hotplug)
{
	struct device *dev;

	pthread_mutex_lock(&hotplug->lock);
	dev = STAILQ_FIRST(&hotplug->gone);
	if (dev)
		STAILQ_REMOVE_HEAD(&hotplug->gone, gone);
	pthread_mutex_unlock(&hotplug->lock);
	return dev;
}

static int on_wake(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct hotplug *hotplug = arg;
	struct attach *attach;
	struct device *dev;
	uint64_t count;

	(void)source;
	(void)revents;
	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_err("cannot read an eventfd: %s", strerror(errno));
	while ((attach = next_attached(hotplug)))
		attach_finish(hotplug, attach);
	while ((dev = next_gone(hotplug)))
		device_finish(hotplug, dev);
	return 0;
}

/* @uverbs: of the device that the host removes; NULL: of any that is not there any more */
static void on_removal(struct hotplug *hotplug, const char *uverbs)
{
	struct vm *vm = hotplug->vm;
	char path[PATH_MAX];
	struct stat st;
	unsigned int i;

	hotplug->num_removals++;
	for (i = 0; i < HYV_MAX_DEVICES; i++) {
		if (!vm->devices[i])
			continue;
		snprintf(path, sizeof(path), "/sys/class/infiniband_verbs/%s",
			 vm->devices[i]->info.uverbs);
		if (uverbs ? strcmp(uverbs, vm->devices[i]->info.uverbs) : !stat(path, &st))
			continue;
		log_about(vm->devices[i]->name, 0);
		log_warn("the host removes '%s': the VM loses it", vm->devices[i]->name);
		if (let_go(hotplug, vm->devices[i], 0))
			log_err("no memory to let go of '%s': 'hyvctl detach' it",
				vm->devices[i]->name);
		log_about(NULL, 0);
	}
}

static int on_uevent(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	char name[NAME_MAX + 1];
	int ret;

	(void)source;
	(void)revents;
	while ((ret = uevent_read(fd, name, sizeof(name))) >= 0 || ret == -ENOBUFS)
		if (ret)
			on_removal(arg, ret > 0 ? name : NULL);
	return 0;
}

int hotplug_create(struct hotplug **out, struct vm *vm)
{
	struct hotplug *hotplug = calloc(1, sizeof(*hotplug));
	unsigned int i;
	int ret;

	if (!hotplug)
		return -ENOMEM;
	hotplug->vm = vm;
	pthread_mutex_init(&hotplug->lock, NULL);
	LIST_INIT(&hotplug->going);
	STAILQ_INIT(&hotplug->attached);
	STAILQ_INIT(&hotplug->gone);
	for (i = 0; i < HYV_MAX_DEVICES; i++)
		hotplug->slots[i] = (struct event_source){ .device = i, .type = HYV_EVENT_DEVICE };
	hotplug->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = hotplug->wake_fd < 0 ? -errno :
				     sd_event_add_io(vm->loop, &hotplug->wake, hotplug->wake_fd,
						     EPOLLIN, on_wake, hotplug);
	hotplug->uevents = uevent_open();
	if (ret >= 0)
		ret = hotplug->uevents;
	if (ret >= 0)
		ret = sd_event_add_io(vm->loop, &hotplug->uevents_source, hotplug->uevents, EPOLLIN,
				      on_uevent, hotplug);
	if (ret >= 0) /* a device that is attached is none of those that went before */
		ret = sd_event_source_set_priority(hotplug->uevents_source,
						   SD_EVENT_PRIORITY_IMPORTANT);
	if (ret < 0) {
		log_err("cannot hear of devices that the host removes: %s", strerror(-ret));
		hotplug_destroy(hotplug);
		return ret;
	}
	*out = hotplug;
	return 0;
}

void hotplug_destroy(struct hotplug *hotplug)
{
	struct attach *attach;
	struct device *dev;
	unsigned int i;

	while ((attach = next_attached(hotplug))) {
		give_up(attach);
		free(attach);
	}
	for (i = 0; i < HYV_MAX_DEVICES; i++) {
		if (hotplug->vm->devices[i])
			device_unplug(hotplug->vm, hotplug->vm->devices[i]);
		objtab_hush(hotplug->vm->objtab, &hotplug->slots[i]);
	}
	while ((dev = next_gone(hotplug)))
		device_free(dev);
	while (!LIST_EMPTY(&hotplug->going))
		going_free(LIST_FIRST(&hotplug->going)); /* NOLINT: LIST is beyond the analyser */
	sd_event_source_unref(hotplug->uevents_source);
	sd_event_source_unref(hotplug->wake);
	if (hotplug->uevents >= 0)
		close(hotplug->uevents);
	if (hotplug->wake_fd >= 0)
		close(hotplug->wake_fd);
	pthread_mutex_destroy(&hotplug->lock);
	free(hotplug);
}
