// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QEMU's part in a recovery: the commands, and what it has of the device and its chardev now. QEMU may
 * be its guest's by now, so what it says is not taken for more than names and numbers.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <hyv/wire.h>
#include "recover.h"

#define QEMU_PATIENCE 10

__attribute__((format(printf, 2, 3))) void say(const struct recovery *r, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, "hyvctl: %s: %s\n", r->opt->vm, printable(line));
}

/* ---- the commands ---- */

json_t *qemu_device_del(const struct recovery *r)
{
	return json_pack("{s:s, s:{s:s}}", "execute", "device_del", "arguments", "id", r->device);
}

json_t *qemu_chardev_remove(const struct recovery *r)
{
	return json_pack("{s:s, s:{s:s}}", "execute", "chardev-remove", "arguments", "id",
			 r->chardev);
}

json_t *qemu_chardev_add(const struct recovery *r)
{
	return json_pack("{s:s, s:{s:s, s:{s:s, s:{s:{s:s, s:{s:s}}, s:b}}}}", "execute",
			 "chardev-add", "arguments", "id", r->chardev, "backend", "type", "socket",
			 "data", "addr", "type", "unix", "data", "path", r->socket, "server", 0);
}

json_t *qemu_device_add(const struct recovery *r)
{
	json_t *arguments = json_pack("{s:s}", "driver", RECOVER_DRIVER);

	if (r->id[0])
		json_object_set_new(arguments, "id", json_string(r->id));
	json_object_set_new(arguments, "chardev", json_string(r->chardev));
	json_object_update(arguments, r->properties);
	return json_pack("{s:s, s:o}", "execute", "device_add", "arguments", arguments);
}

/* ---- talking to QEMU ---- */

enum exit_code qemu_judge(const struct recovery *r, const char *what, int ret)
{
	if (!ret)
		return EXIT_OK;
	if (ret == -EREMOTEIO)
		say(r, "QEMU refused %s: %s", what, qmp_error(r->qmp));
	else if (ret == -ETIMEDOUT)
		say(r, "QEMU does not answer to %s", what);
	else
		say(r, "QEMU gave no answer to %s: %s", what, strerror(-ret));
	return ret == -EREMOTEIO ? EXIT_REFUSED : EXIT_NO_VM;
}

int qemu_run(struct recovery *r, json_t *command, json_t **answer)
{
	int ret = qmp_run(r->qmp, command, answer);

	json_decref(command);
	return ret;
}

static int qom_get(struct recovery *r, const char *path, const char *property, json_t **value)
{
	return qemu_run(r,
			json_pack("{s:s, s:{s:s, s:s}}", "execute", "qom-get", "arguments", "path",
				  path, "property", property),
			value);
}

double qemu_patience(const struct recovery *r)
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

	code = qemu_judge(r, "qom-list",
			  qemu_run(r,
				   json_pack("{s:s, s:{s:s}}", "execute", "qom-list", "arguments",
					     "path", parent),
				   &children));
	json_array_foreach(children, i, child)
	{
		const char *name = json_string_value(json_object_get(child, "name"));
		const char *type = json_string_value(json_object_get(child, "type"));

		if (code || !is_name(name) || !type ||
		    strcmp(type, "child<" RECOVER_DRIVER ">") != 0)
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
		if (!ret && json_is_integer(value))
			json_object_set(r->properties, numbers[i], value);
		json_decref(value);
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
	return qemu_judge(r, "qom-get", ret);
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

	code = qemu_judge(r, "query-chardev",
			  qemu_run(r, json_pack("{s:s}", "execute", "query-chardev"), &all));
	json_array_foreach(all, i, one)
	{
		const char *label = json_string_value(json_object_get(one, "label")) ?: "";

		if (!is_name(label))
			continue;
		state = parse_chardev(one, path, sizeof(path));
		if (r->chardev[0] ?
			    strcmp(label, r->chardev) != 0 :
			    strcmp(path, r->socket) != 0 && strcmp(label, RECOVER_DEFAULT_ID) != 0)
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

enum exit_code qemu_look(struct recovery *r)
{
	enum exit_code code = open_qmp(r);

	if (!code)
		code = find_device(r);
	if (!code && r->device[0])
		code = read_properties(r);
	return code ? code : read_chardev(r);
}
