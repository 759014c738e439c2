// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * After a hyvd's death: QEMU's vhost-user device cannot reconnect, so it is unplugged, its chardev
 * removed, and both are made anew, with the same properties, for the hyvd that was started since.
 *
 * QEMU is asked what it has (find_device, read_properties, read_chardev), then changed step by step.
 * A step that is already done is left out, so that a recovery that was given up half-way, for example
 * because the guest did not let go of the device in time, is gone on with by running it again.
 *
 * The guest has to agree to the unplugging. Its driver has noticed the death long before (the sign of
 * life in the doorbell page) and lets go at once.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <hyv/wire.h>
#include "hyvctl.h"
#include "qmp.h"

#define DRIVER	      "vhost-user-test-device-pci"
#define DEFAULT_ID    "hyv" /* of device and chardev, as in the operator's guide */
#define DEFAULT_BUS   "hyv-port"
#define QEMU_PATIENCE 10 /* seconds that QEMU may need for what does not concern the guest */

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

#define set_text(to, from) (void)snprintf(to, sizeof(to), "%s", from)

/* a line for the operator's terminal. Some of it may be QEMU's words: no control characters in them */
__attribute__((format(printf, 2, 3))) static void say(const struct recovery *r, const char *fmt,
						      ...)
{
	char line[1024], *c;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	for (c = line; *c; c++)
		if (iscntrl((unsigned char)*c))
			*c = '?';
	(void)fprintf(stderr, "hyvctl: %s: %s\n", r->opt->vm, line);
}

/* ---- the commands ---- */

static json_t *device_del(const struct recovery *r)
{
	return json_pack("{s:s, s:{s:s}}", "execute", "device_del", "arguments", "id", r->device);
}

static json_t *chardev_remove(const struct recovery *r)
{
	return json_pack("{s:s, s:{s:s}}", "execute", "chardev-remove", "arguments", "id",
			 r->chardev);
}

static json_t *chardev_add(const struct recovery *r)
{
	return json_pack("{s:s, s:{s:s, s:{s:s, s:{s:{s:s, s:{s:s}}, s:b}}}}", "execute",
			 "chardev-add", "arguments", "id", r->chardev, "backend", "type", "socket",
			 "data", "addr", "type", "unix", "data", "path", r->socket, "server", 0);
}

static json_t *device_add(const struct recovery *r)
{
	json_t *arguments = json_pack("{s:s}", "driver", DRIVER);

	if (r->id[0])
		json_object_set_new(arguments, "id", json_string(r->id));
	json_object_set_new(arguments, "chardev", json_string(r->chardev));
	json_object_update(arguments, r->properties);
	return json_pack("{s:s, s:o}", "execute", "device_add", "arguments", arguments);
}

/* ---- talking to QEMU ---- */

/* @ret: of qmp_run(), which was given @what. Return: EXIT_OK, or another code after a message */
static enum exit_code judge(const struct recovery *r, const char *what, int ret)
{
	if (!ret)
		return EXIT_OK;
	if (ret == -EREMOTEIO)
		say(r, "QEMU refused %s: %s", what, qmp_error(r->qmp));
	else if (ret == -ETIMEDOUT)
		say(r, "QEMU does not answer to %s", what);
	else
		say(r, "QEMU has hung up at %s: %s", what, strerror(-ret));
	return ret == -EREMOTEIO ? EXIT_REFUSED : EXIT_NO_VM;
}

/* @command: taken over. Return: as qmp_run() */
static int run(struct recovery *r, json_t *command, json_t **answer)
{
	int ret = qmp_run(r->qmp, command, answer);

	json_decref(command);
	return ret;
}

static int qom_get(struct recovery *r, const char *path, const char *property, json_t **value)
{
	return run(r,
		   json_pack("{s:s, s:{s:s, s:s}}", "execute", "qom-get", "arguments", "path", path,
			     "property", property),
		   value);
}

static double qemu_patience(const struct recovery *r)
{
	return r->opt->timeout < QEMU_PATIENCE ? r->opt->timeout : QEMU_PATIENCE;
}

static enum exit_code open_qmp(struct recovery *r)
{
	const char *path = r->opt->qmp;
	int ret = qmp_open(&r->qmp, path, qemu_patience(r));

	if (ret == -ENOENT)
		say(r,
		    "there is no QMP socket '%s': QEMU makes it with -qmp unix:%s,server=on,wait=off",
		    path, path);
	else if (ret == -ECONNREFUSED)
		say(r, "nobody listens on the QMP socket '%s': has QEMU ended?", path);
	else if (ret == -ETIMEDOUT)
		say(r, "QEMU does not greet on '%s': does another program use this QMP socket?",
		    path);
	else if (ret == -EPROTO)
		say(r, "'%s' is no QMP socket", path);
	else if (ret)
		say(r, "QMP socket '%s': %s", path, strerror(-ret));
	return ret ? EXIT_NO_VM : EXIT_OK;
}

/* ---- what QEMU has ---- */

/* whether QEMU may call something so; its word is not taken for what is shown and sent back */
static bool is_name(const char *text)
{
	return text && *text &&
	       !text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789.-_[]")];
}

/* whether the device at @path may be meant, by its chardev and virtio id */
static bool is_meant(struct recovery *r, const char *path, const char *name)
{
	const struct recover_options *opt = r->opt;
	json_t *chardev = NULL, *id = NULL;
	bool meant;

	if (opt->device && strcmp(opt->device, name) != 0 && strcmp(opt->device, path) != 0)
		return false;
	meant = !qom_get(r, path, "chardev", &chardev) && !qom_get(r, path, "virtio-id", &id) &&
		is_name(json_string_value(chardev)) && json_integer_value(id) == HYV_VIRTIO_ID &&
		(!opt->chardev || !strcmp(json_string_value(chardev), opt->chardev));
	if (meant)
		set_text(r->chardev, json_string_value(chardev));
	json_decref(chardev);
	json_decref(id);
	return meant;
}

/* look among the devices with an ID, or those without. Return: EXIT_OK, or another code after a message */
static enum exit_code find_among(struct recovery *r, const char *parent, bool named)
{
	json_t *children, *child;
	char path[sizeof(r->path)];
	enum exit_code code;
	size_t i;

	code = judge(
		r, "qom-list",
		run(r,
		    json_pack("{s:s, s:{s:s}}", "execute", "qom-list", "arguments", "path", parent),
		    &children));
	json_array_foreach(children, i, child)
	{
		const char *name = json_string_value(json_object_get(child, "name"));
		const char *type = json_string_value(json_object_get(child, "type"));

		if (code || !is_name(name) || !type || strcmp(type, "child<" DRIVER ">") != 0)
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", parent, name);
		if (!is_meant(r, path, name))
			continue;
		if (r->device[0]) {
			say(r,
			    "QEMU has more than one such device, '%s' and '%s': choose with --device",
			    r->path, path);
			code = EXIT_REFUSED;
			continue;
		}
		set_text(r->path, path);
		set_text(r->device, named ? name : path);
		set_text(r->id, named ? name : "");
	}
	json_decref(children);
	return code;
}

static enum exit_code find_device(struct recovery *r)
{
	enum exit_code code = find_among(r, "/machine/peripheral", true);

	if (!code)
		code = find_among(r, "/machine/peripheral-anon", false);
	if (!code && !r->device[0])
		say(r, "QEMU has no such device: taking it for unplugged");
	return code;
}

/* what the device has, so that the new one gets the same. Return: EXIT_OK, or another code after a message */
static enum exit_code read_properties(struct recovery *r)
{
	static const char *const numbers[] = { "virtio-id", "num_vqs", "vq_size", "config_size" };
	json_t *value;
	const char *bus;
	char addr[16];
	int ret = 0;
	size_t i;

	for (i = 0; !ret && i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		ret = qom_get(r, r->path, numbers[i], &value);
		if (!ret)
			json_object_set_new(r->properties, numbers[i], value);
	}
	if (!ret)
		ret = qom_get(r, r->path, "parent_bus", &value);
	if (!ret) {
		bus = strrchr(json_string_value(value) ?: "", '/');
		if (bus && is_name(bus + 1))
			json_object_set_new(r->properties, "bus", json_string(bus + 1));
		json_decref(value);
		ret = qom_get(r, r->path, "addr", &value);
	}
	if (!ret) {
		unsigned int devfn = (unsigned int)json_integer_value(value);

		(void)snprintf(addr, sizeof(addr), "%02x.%x", devfn >> 3 & 0x1f, devfn & 7);
		json_object_set_new(r->properties, "addr", json_string(addr));
		json_decref(value);
	}
	return judge(r, "qom-get", ret);
}

/* a chardev's state, and what socket it was for: "disconnected:unix:PATH,server=on" or the like */
static enum chardev_state parse_chardev(const json_t *chardev, char *path, size_t size)
{
	static const char disconnected[] = "disconnected:", unix_socket[] = "unix:";
	const char *name = json_string_value(json_object_get(chardev, "filename")) ?: "";

	*path = '\0';
	if (strncmp(name, disconnected, sizeof(disconnected) - 1) != 0)
		return CHARDEV_CONNECTED;
	name += sizeof(disconnected) - 1;
	if (!strncmp(name, unix_socket, sizeof(unix_socket) - 1)) {
		name += sizeof(unix_socket) - 1;
		(void)snprintf(path, size, "%.*s", (int)strcspn(name, ","), name);
	}
	return CHARDEV_DEAD;
}

/* the state of the device's chardev; without a device it is known by its ID, or by the socket */
static enum exit_code read_chardev(struct recovery *r)
{
	json_t *all, *one;
	char path[sizeof(r->old_socket)];
	enum chardev_state state;
	enum exit_code code;
	size_t i;

	code = judge(r, "query-chardev",
		     run(r, json_pack("{s:s}", "execute", "query-chardev"), &all));
	json_array_foreach(all, i, one)
	{
		const char *label = json_string_value(json_object_get(one, "label")) ?: "";

		if (!is_name(label))
			continue;
		state = parse_chardev(one, path, sizeof(path));
		if (r->chardev[0] ? strcmp(label, r->chardev) != 0 :
				    strcmp(path, r->socket) != 0 && strcmp(label, DEFAULT_ID) != 0)
			continue;
		set_text(r->chardev, label);
		set_text(r->old_socket, path);
		r->chardev_state = state;
	}
	json_decref(all);
	if (!code && r->device[0] && r->chardev_state == CHARDEV_CONNECTED) {
		say(r,
		    "QEMU's device '%s' is connected to a hyvd by its chardev '%s': there is nothing to recover",
		    r->device, r->chardev);
		code = EXIT_REFUSED;
	}
	return code;
}

/* ---- what hyvd says ---- */

/* Return: EXIT_OK and whether hyvd has the guest, or another code after a message */
static enum exit_code ask_hyvd(struct recovery *r, bool *connected)
{
	json_t *answer;
	enum exit_code code =
		client_ask(r->opt->dir, r->opt->vm, json_pack("{s:s}", "cmd", "show"), &answer);
	const char *socket = json_string_value(json_object_get(answer, "socket"));

	*connected = json_is_true(json_object_get(answer, "connected"));
	if (socket && *socket == '/')
		set_text(r->socket, socket);
	json_decref(answer);
	return code;
}

/* a new hyvd must be there, and waiting for this VM. Return: EXIT_OK, or another code after a message */
static enum exit_code check_hyvd(struct recovery *r)
{
	bool connected;
	enum exit_code code = ask_hyvd(r, &connected);

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

/* one word for a shell; a word with a quote in it, which no name of QEMU's has, is left out */
static void print_word(const char *option, const char *text)
{
	if (!strpbrk(text, "'\n"))
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
	double deadline = qmp_now() + r->opt->timeout;
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
		return judge(r, "device_del", ret);
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
	ret = run(r, device_del(r), NULL);
	if (ret == -EREMOTEIO && strstr(qmp_error(r->qmp), "process of unplug"))
		ret = 0; /* asked before: go on waiting */
	code = judge(r, "device_del", ret);
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
	double deadline = qmp_now() + qemu_patience(r);
	int ret;

	say(r, "removing chardev '%s'", r->chardev);
	while ((ret = run(r, chardev_remove(r), NULL)) == -EREMOTEIO &&
	       strstr(qmp_error(r->qmp), "busy") && qmp_now() < deadline)
		pause_for(100);
	return judge(r, "chardev-remove", ret);
}

static enum exit_code add_chardev(struct recovery *r)
{
	bool connected;
	enum exit_code code = ask_hyvd(r, &connected);

	if (code) {
		say(r, "start a new hyvd, then run this again");
		return code;
	}
	say(r, "adding chardev '%s' for %s", r->chardev, r->socket);
	return judge(r, "chardev-add", run(r, chardev_add(r), NULL));
}

static enum exit_code plug(struct recovery *r)
{
	enum exit_code code;

	say(r, "plugging device '%s'", r->id[0] ? r->id : DRIVER);
	code = judge(r, "device_add", run(r, device_add(r), NULL));
	if (code == EXIT_REFUSED &&
	    (strstr(qmp_error(r->qmp), "hotplugging") || strstr(qmp_error(r->qmp), "Bus '")))
		say(r, "choose the pcie-root-port with --property bus=ID");
	return code;
}

static enum exit_code wait_connected(struct recovery *r)
{
	double deadline = qmp_now() + r->opt->timeout;
	enum exit_code code;
	bool connected;

	say(r, "waiting for the guest");
	while (!(code = ask_hyvd(r, &connected)) && !connected) {
		if (qmp_now() >= deadline) {
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
		json_array_append_new(all, device_del(r));
	if (r->chardev_state == CHARDEV_DEAD)
		json_array_append_new(all, chardev_remove(r));
	if (r->chardev_state != CHARDEV_CONNECTED)
		json_array_append_new(all, chardev_add(r));
	json_array_append_new(all, device_add(r));
	if (r->opt->json) {
		json_dumpf(all, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		json_array_foreach(all, i, command)
		{
			json_dumpf(command, stdout, JSON_COMPACT);
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
	json_dumpf(done, stdout, JSON_INDENT(2));
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
		set_text(r->id, opt->device ?: DEFAULT_ID);
	set_text(r->chardev, opt->chardev ?: "");
}

static enum exit_code read_qemu(struct recovery *r)
{
	enum exit_code code = open_qmp(r);

	if (!code)
		code = find_device(r);
	if (!code && r->device[0])
		code = read_properties(r);
	return code ? code : read_chardev(r);
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
	double began = qmp_now();
	enum exit_code code = EXIT_OK;

	take_defaults(&r);
	if (opt->qmp) {
		code = read_qemu(&r);
	} else {
		set_text(r.device, opt->device ?: DEFAULT_ID);
		r.chardev_state = CHARDEV_DEAD;
	}
	if (!r.chardev[0])
		set_text(r.chardev, DEFAULT_ID);
	json_object_update(r.properties, opt->properties);
	if (!code && opt->dry_run) {
		print_commands(&r);
	} else if (!code) {
		code = do_all(&r);
		if (!code)
			print_done(&r, qmp_now() - began);
	}
	qmp_close(r.qmp);
	json_decref(r.properties);
	return code;
}
