// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * After a hyvd's death: QEMU's vhost-user device cannot reconnect, so it is unplugged, its chardev
 * removed, and both are made anew, with the same properties, for the hyvd that was started since.
 *
 * QEMU is asked what it has (recover_qemu.c), then changed step by step.
 * A step that is already done is left out, so that a recovery that was given up half-way, for example
 * because the guest did not let go of the device in time, is gone on with by running it again.
 *
 * The guest has to agree to the unplugging. Its driver has noticed the death long before (the sign of
 * life in the doorbell page) and lets go at once.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <hyv/wire.h>
#include "recover.h"

#define DEFAULT_BUS "hyv-port" /* as in the operator's guide */

/* ---- what hyvd says ---- */

/*
 * @take_socket: later it is as it was when check_hyvd() looked at it
 *
 * Return: EXIT_OK and whether hyvd has the guest, or another code after a message
 */
static enum exit_code ask_hyvd(struct recovery *r, bool *connected, bool take_socket)
{
	json_t *answer;
	enum exit_code code = client_ask(r->opt->dir, r->opt->vm, PROMPTLY,
					 json_pack("{s:s}", "cmd", "show"), &answer);
	const char *socket = json_string_value(json_object_get(answer, "socket"));

	*connected = json_is_true(json_object_get(answer, "connected"));
	if (take_socket && socket && *socket == '/')
		set_text(r->socket, socket);
	json_decref(answer);
	return code;
}

/* a new hyvd must be there, and waiting for this VM. Return: EXIT_OK, or another code after a message */
static enum exit_code check_hyvd(struct recovery *r)
{
	bool connected;
	enum exit_code code = ask_hyvd(r, &connected, true);

	if (code) {
		say(r, "a new hyvd has to be started first");
	} else if (connected) {
		say(r, "this hyvd has a guest already: is '%s' the QMP socket of %s?", r->opt->qmp,
		    r->opt->vm);
		code = EXIT_REFUSED;
	} else if (r->old_socket[0] && strcmp(r->old_socket, r->socket) != 0) {
		say(r,
		    "QEMU's device was for '%s', this hyvd listens on '%s': is '%s' the QMP socket of %s?",
		    r->old_socket, r->socket, r->opt->qmp, r->opt->vm);
		code = EXIT_REFUSED;
	}
	return code;
}

/* ---- the steps ---- */

/* one word for a shell; one with a quote or a control character is left out */
static void print_word(const char *option, const char *text)
{
	const char *c;

	for (c = text; *c; c++)
		if (*c == '\'' || iscntrl((unsigned char)*c))
			return;
	(void)fprintf(stderr, "%s'%s'", option, text);
}

/* the command to run again, when there may be no device any more to ask for its properties */
static void print_again(const struct recovery *r)
{
	const char *name;
	char text[256];
	json_t *value;

	(void)fprintf(stderr, "hyvctl recover");
	print_word(" ", r->opt->vm);
	print_word(" --dir ", r->opt->dir);
	print_word(" --qmp ", r->opt->qmp);
	print_word(" --device ", r->device);
	print_word(" --chardev ", r->chardev);
	json_object_foreach(r->properties, name, value)
	{
		if (json_is_string(value))
			(void)snprintf(text, sizeof(text), "%s=%s", name, json_string_value(value));
		else if (json_is_integer(value))
			(void)snprintf(text, sizeof(text), "%s=%" JSON_INTEGER_FORMAT, name,
				       json_integer_value(value));
		else
			(void)snprintf(text, sizeof(text), "%s=%s", name,
				       json_is_true(value) ? "true" : "false");
		print_word(" --property ", text);
	}
	(void)fputc('\n', stderr);
}

/* whether it is about our device, and not about a part of it */
static bool is_ours(const struct recovery *r, const json_t *event)
{
	const json_t *data = json_object_get(event, "data");

	return !strcmp(json_string_value(json_object_get(data, "path")) ?: "", r->path);
}

static enum exit_code wait_deleted(struct recovery *r)
{
	double deadline = lines_now() + r->opt->timeout;
	json_t *event;
	int ret;

	while (!(ret = qmp_event(r->qmp, deadline, &event))) {
		const char *name = json_string_value(json_object_get(event, "event")) ?: "";
		bool deleted = is_ours(r, event) && !strcmp(name, "DEVICE_DELETED");
		bool refused = is_ours(r, event) && !strcmp(name, "DEVICE_UNPLUG_GUEST_ERROR");

		json_decref(event);
		if (deleted)
			return EXIT_OK;
		if (refused) {
			say(r,
			    "the guest refuses to let go of device '%s'; its kernel log may say why",
			    r->device);
			return EXIT_GUEST;
		}
	}
	if (ret != -ETIMEDOUT)
		return qemu_judge(r, "device_del", ret);
	say(r,
	    "the guest has not let go of device '%s' within %g s: is it running, and its kernel able to hot-unplug PCI devices? "
	    "QEMU has asked it, and unplugs when it agrees or reboots. Then run again:",
	    r->device, r->opt->timeout);
	print_again(r);
	return EXIT_GUEST;
}

static enum exit_code unplug(struct recovery *r)
{
	enum exit_code code;
	int ret;

	say(r, "unplugging device '%s'", r->device);
	ret = qemu_run(r, qemu_device_del(r), NULL);
	if (ret == -EREMOTEIO && strstr(qmp_error(r->qmp), "process of unplug"))
		ret = 0; /* asked before: go on waiting */
	code = qemu_judge(r, "device_del", ret);
	if (code == EXIT_REFUSED && strstr(qmp_error(r->qmp), "hotplugging"))
		say(r,
		    "a device can be unplugged that is behind a pcie-root-port, or on a machine of type pc; this one needs a restart of QEMU");
	return code ? code : wait_deleted(r);
}

static void pause_for(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

/* The device's hold on its chardev goes with its memory, a little after the event. */
static enum exit_code remove_chardev(struct recovery *r)
{
	double deadline = lines_now() + qemu_patience(r);
	int ret;

	say(r, "removing chardev '%s'", r->chardev);
	while ((ret = qemu_run(r, qemu_chardev_remove(r), NULL)) == -EREMOTEIO &&
	       strstr(qmp_error(r->qmp), "busy") && lines_now() < deadline)
		pause_for(100);
	return qemu_judge(r, "chardev-remove", ret);
}

static enum exit_code add_chardev(struct recovery *r)
{
	bool connected;
	enum exit_code code = ask_hyvd(r, &connected, false);

	if (code) {
		say(r, "start a new hyvd, then run this again");
		return code;
	}
	say(r, "adding chardev '%s' for %s", r->chardev, r->socket);
	return qemu_judge(r, "chardev-add", qemu_run(r, qemu_chardev_add(r), NULL));
}

static enum exit_code plug(struct recovery *r)
{
	enum exit_code code;

	say(r, "plugging device '%s'", r->id[0] ? r->id : RECOVER_DRIVER);
	code = qemu_judge(r, "device_add", qemu_run(r, qemu_device_add(r), NULL));
	if (code == EXIT_REFUSED &&
	    (strstr(qmp_error(r->qmp), "hotplugging") || strstr(qmp_error(r->qmp), "Bus '")))
		say(r, "choose the pcie-root-port with --property bus=ID");
	return code;
}

static enum exit_code wait_connected(struct recovery *r)
{
	double deadline = lines_now() + r->opt->timeout;
	enum exit_code code;
	bool connected;

	say(r, "waiting for the guest");
	while (!(code = ask_hyvd(r, &connected, false)) && !connected) {
		if (lines_now() >= deadline) {
			say(r,
			    "the device is plugged, but the guest has not taken it within %g s: is virtio_hyv loaded there, and what does its kernel log say?",
			    r->opt->timeout);
			return EXIT_GUEST;
		}
		pause_for(100);
	}
	return code;
}

static enum exit_code do_all(struct recovery *r)
{
	enum exit_code code = check_hyvd(r);

	if (!code && r->device[0])
		code = unplug(r);
	/* connected without a device: the last run came as far as that */
	if (!code && r->chardev_state == CHARDEV_DEAD)
		code = remove_chardev(r);
	if (!code && r->chardev_state != CHARDEV_CONNECTED)
		code = add_chardev(r);
	if (!code)
		code = plug(r);
	return code ? code : wait_connected(r);
}

/* ---- the whole ---- */

static void print_commands(const struct recovery *r)
{
	json_t *all = json_array(), *command;
	size_t i;

	if (r->device[0])
		json_array_append_new(all, qemu_device_del(r));
	if (r->chardev_state == CHARDEV_DEAD)
		json_array_append_new(all, qemu_chardev_remove(r));
	if (r->chardev_state != CHARDEV_CONNECTED)
		json_array_append_new(all, qemu_chardev_add(r));
	json_array_append_new(all, qemu_device_add(r));
	if (r->opt->json) {
		json_dumpf(all, stdout, PRINTABLE_JSON | JSON_INDENT(2));
		putchar('\n');
	} else {
		json_array_foreach(all, i, command)
		{
			json_dumpf(command, stdout, PRINTABLE_JSON | JSON_COMPACT);
			putchar('\n');
		}
	}
	json_decref(all);
	if (r->device[0])
		say(r,
		    "QEMU refuses chardev-remove until the guest has let go of device '%s' (event DEVICE_DELETED): repeat it",
		    r->device);
}

static void print_done(const struct recovery *r, double seconds)
{
	json_t *done;

	if (!r->opt->json) {
		printf("%s: recovered in %.1f s\n", r->opt->vm, seconds);
		return;
	}
	done = json_pack("{s:s, s:s, s:s, s:s, s:b, s:f}", "name", r->opt->vm, "device",
			 r->id[0] ? r->id : "", "chardev", r->chardev, "socket", r->socket,
			 "connected", 1, "seconds", seconds);
	json_dumpf(done, stdout, PRINTABLE_JSON | JSON_INDENT(2));
	putchar('\n');
	json_decref(done);
}

/* what is true when nobody says otherwise: the socket beside the control socket, the guide's device */
static void take_defaults(struct recovery *r)
{
	const struct recover_options *opt = r->opt;
	size_t len = strlen(opt->vm);

	if (!strchr(opt->vm, '/'))
		(void)snprintf(r->socket, sizeof(r->socket), "%s/%s.sock", opt->dir, opt->vm);
	else if (len > 4 && !strcmp(opt->vm + len - 4, ".ctl"))
		(void)snprintf(r->socket, sizeof(r->socket), "%.*s.sock", (int)len - 4, opt->vm);
	r->properties = json_pack("{s:i, s:i, s:i, s:i, s:s}", "virtio-id", HYV_VIRTIO_ID,
				  "num_vqs", HYV_NUM_VQS, "vq_size", 256, "config_size",
				  (int)sizeof(struct hyv_config), "bus", DEFAULT_BUS);
	if (!opt->device || !strchr(opt->device, '/')) /* a path is of a device without ID */
		set_text(r->id, opt->device ?: RECOVER_DEFAULT_ID);
	set_text(r->chardev, opt->chardev ?: "");
}

bool recover_property(json_t *properties, const char *text)
{
	static const char *const texts[] = { "bus", "addr" }; /* addr=10 is slot 0x10 */
	const char *equals = strchr(text, '='), *value = equals ? equals + 1 : "";
	bool is_text = false;
	char name[64], *end;
	json_t *json;
	long long number;
	size_t i;

	if (!equals || equals == text || !*value || (size_t)(equals - text) >= sizeof(name))
		return false;
	(void)snprintf(name, sizeof(name), "%.*s", (int)(equals - text), text);
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		is_text |= !strcmp(name, texts[i]);
	number = strtoll(value, &end, 0);
	if (!is_text && !*end)
		json = json_integer(number);
	else if (!strcmp(value, "true") || !strcmp(value, "false"))
		json = json_boolean(*value == 't');
	else
		json = json_string(value);
	return !json_object_set_new(properties, name, json);
}

enum exit_code recover(const struct recover_options *opt)
{
	struct recovery r = { .opt = opt };
	double began = lines_now();
	enum exit_code code = EXIT_OK;

	take_defaults(&r);
	if (opt->qmp) {
		code = qemu_look(&r);
	} else {
		set_text(r.device, opt->device ?: RECOVER_DEFAULT_ID);
		r.chardev_state = CHARDEV_DEAD;
	}
	if (!r.chardev[0])
		set_text(r.chardev, RECOVER_DEFAULT_ID);
	json_object_update(r.properties, opt->properties);
	if (!code && opt->dry_run) {
		print_commands(&r);
	} else if (!code) {
		code = do_all(&r);
		if (!code)
			print_done(&r, lines_now() - began);
	}
	qmp_close(r.qmp);
	json_decref(r.properties);
	return code;
}
