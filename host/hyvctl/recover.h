/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the two halves of a recovery share: recover.c does it, recover_qemu.c knows QEMU's part */
#ifndef HYVCTL_RECOVER_H
#define HYVCTL_RECOVER_H

#include <stdio.h>
#include "hyvctl.h"
#include "qmp.h"

#define RECOVER_DRIVER	   "vhost-user-test-device-pci"
#define RECOVER_DEFAULT_ID "hyv" /* of device and chardev, as in the operator's guide */

enum chardev_state { CHARDEV_NONE, CHARDEV_DEAD, CHARDEV_CONNECTED };

/**
 * struct recovery - what is to be done
 * @device: what device_del is told, or "" when the device is already gone
 * @path: its path in QEMU's object model
 * @id: of the device to be made, or "" for none
 * @chardev: its ID, or "" while it is not known
 * @socket: of the new hyvd
 * @old_socket: of the dead one, or "" when QEMU does not say
 * @properties: of the device to be made
 */
struct recovery {
	const struct recover_options *opt;
	struct qmp *qmp;
	char device[256];
	char path[256];
	char id[128];
	char chardev[128];
	char socket[256];
	char old_socket[256];
	json_t *properties;
	enum chardev_state chardev_state;
};

/** set_text() - copy a string into an array */
#define set_text(to, from) (void)snprintf(to, sizeof(to), "%s", from)

/** say() - a line for the operator's terminal */
__attribute__((format(printf, 2, 3))) void say(const struct recovery *r, const char *fmt, ...);

/** qemu_device_del() and so on - the commands, for qemu_run() or to be printed */
json_t *qemu_device_del(const struct recovery *r);
json_t *qemu_chardev_remove(const struct recovery *r);
json_t *qemu_chardev_add(const struct recovery *r);
json_t *qemu_device_add(const struct recovery *r);

/** qemu_patience() - Return: seconds that QEMU may take for what does not concern the guest */
double qemu_patience(const struct recovery *r);

/** qemu_run() - a command, which is taken over. Return: as qmp_run() */
int qemu_run(struct recovery *r, json_t *command, json_t **answer);

/**
 * qemu_judge() - what is to be said of a command
 * @what: its name
 * @ret: of qemu_run()
 *
 * Return: EXIT_OK, or another code after a message.
 */
enum exit_code qemu_judge(const struct recovery *r, const char *what, int ret);

/**
 * qemu_look() - connect, and find out what QEMU has: fills in @r as far as there is something
 *
 * Return: EXIT_OK, or another code after a message, also when the device works.
 */
enum exit_code qemu_look(struct recovery *r);

#endif
