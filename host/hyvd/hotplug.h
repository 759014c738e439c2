/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices that a VM begins with, that come to it and go: see hotplug.c. Event loop, but where it says otherwise. */
#ifndef HYVD_HOTPLUG_H
#define HYVD_HOTPLUG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "gid.h"

struct device;
struct hotplug;
struct options;
struct vm;

/** hotplug_create() - before the sandbox. Return: 0, or a negative errno after a message */
int hotplug_create(struct hotplug **out, struct vm *vm);

/** hotplug_destroy() - and all devices; no object of the guest is left, and no pool */
void hotplug_destroy(struct hotplug *hotplug);

/**
 * hotplug_begin() - give the VM the devices and addresses that it begins with
 *
 * Return: 0; or the first of the errors, after a message for each.
 */
int hotplug_begin(struct vm *vm, const struct options *opt);

/** struct hotplug_attach - what to attach; @addresses: @num_addresses of them, as people write them */
struct hotplug_attach {
	const char *device;
	const char *addresses[VM_MAX_ADDRESSES];
	unsigned int num_addresses;
};

/**
 * hotplug_attach() - open a host device and give it to the VM
 * @client: whom to tell by control_done()
 *
 * Return: 0, and it is under way; or a negative errno.
 */
int hotplug_attach(struct hotplug *hotplug, const struct hotplug_attach *what, uint64_t client);

/**
 * hotplug_detach() - take a device from the VM
 * @name: the host's
 * @force: even if the guest uses it, which has a while to let go of it
 * @client: whom to tell by control_done()
 * @why: out: why not
 *
 * Return: 0, and it is under way; or a negative errno.
 */
int hotplug_detach(struct hotplug *hotplug, const char *name, bool force, uint64_t client,
		   char *why, size_t why_len);

/** hotplug_going() - Return: the name of the @i-th device that is going, or NULL */
const char *hotplug_going(const struct hotplug *hotplug, unsigned int i);

/** hotplug_tell_guest() - the device in a slot, or the VM's addresses on it, are others now */
void hotplug_tell_guest(struct hotplug *hotplug, uint32_t slot);

/** hotplug_gone() - nothing uses a device any more, and it is closed. Any thread. */
void hotplug_gone(struct hotplug *hotplug, struct device *dev);

#endif
