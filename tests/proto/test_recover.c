// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * "hyvctl recover" (HYVCTL, set by meson) between two others: a made-up QEMU that speaks QMP as 11.1
 * does, and a daemon's real control.c in front of a made-up VM.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "control.h"
#include "vm.h"

/** enum unplug - what comes of a device_del */
enum unplug {
	UNPLUG_DONE,
	UNPLUG_ASKED_BEFORE, /* an error that says so, and it is done all the same */
	UNPLUG_IGNORED, /* by the guest */
	UNPLUG_REFUSED, /* by the guest */
	UNPLUG_IMPOSSIBLE, /* there where the device is */
	UNPLUG_FLOODED, /* events come in place of the answer, as many as hyvctl keeps, and one */
};

/**
 * struct fixture - QEMU, the VM's daemon, and what they are to do
 * @greeting: NULL to say nothing
 * @id: the device's, or NULL when it has none
 * @devices: how many QEMU has
 * @chardev: its state as query-chardev says it, or NULL when there is none
 * @busy: how often the chardev is busy
 * @plug_error: of device_add, or NULL
 * @guest_takes: whether the guest's driver takes the new device
 * @log: the commands that change something, one a line
 */
struct fixture {
	struct vm vm;
	char dir[32];
	char control[64];
	char socket[64];
	char qmp[64];
	int listen_fd;
	int fd;
	sd_event_source *accept_source;
	sd_event_source *read_source;
	char in[4096];
	size_t in_len;
	const char *greeting;
	const char *id;
	unsigned int devices;
	char chardev[128];
	enum unplug unplug;
	unsigned int busy;
	const char *plug_error;
	bool guest_takes;
	char log[4096];
};

/* ---- QEMU ---- */

__attribute__((format(printf, 2, 3))) static void qemu_says(struct fixture *f, const char *fmt, ...)
{
	char line[2048];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(line, sizeof(line) - 2, fmt, ap);
	va_end(ap);
	strcpy(line + len, "\r\n");
	assert_int_equal(send(f->fd, line, (size_t)len + 2, MSG_NOSIGNAL), len + 2);
}

static void returns(struct fixture *f, const char *value)
{
	qemu_says(f, "{\"return\": %s}", value);
}

static void fails(struct fixture *f, const char *why)
{
	qemu_says(f, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"%s\"}}", why);
}

static const char *text_of(json_t *command, const char *key)
{
	return json_string_value(json_object_get(json_object_get(command, "arguments"), key)) ?: "";
}

static void tell_device(const struct fixture *f, char *path, size_t size)
{
	if (f->id)
		snprintf(path, size, "/machine/peripheral/%s", f->id);
	else
		snprintf(path, size, "/machine/peripheral-anon/device[1]");
}

static void qom_list(struct fixture *f, json_t *command)
{
	bool anon = !strcmp(text_of(command, "path"), "/machine/peripheral-anon");
	char value[512], ours[200] = "";

	if (f->devices && anon == !f->id)
		snprintf(ours, sizeof(ours),
			 ", {\"name\": \"%s\", \"type\": \"child<vhost-user-test-device-pci>\"}",
			 f->id ?: "device[1]");
	if (f->devices > 1 && anon)
		strcat(ours,
		       ", {\"name\": \"device[7]\", \"type\": \"child<vhost-user-test-device-pci>\"}");
	snprintf(
		value, sizeof(value),
		"[{\"name\": \"type\", \"type\": \"string\"}, {\"name\": \"rp0\", \"type\": \"child<pcie-root-port>\"}%s]",
		ours);
	returns(f, value);
}

static void qom_get(struct fixture *f, json_t *command)
{
	static const char *const values[][2] = {
		{ "chardev", "\"c1\"" },
		{ "virtio-id", "38" },
		{ "num_vqs", "3" },
		{ "vq_size", "256" },
		{ "config_size", "64" },
		{ "addr", "9" },
		{ "parent_bus", "\"/machine/peripheral/rp0/rp0\"" },
	};
	const char *property = text_of(command, "property");
	char path[64];
	size_t i;

	tell_device(f, path, sizeof(path));
	assert_true(!strcmp(text_of(command, "path"), path) ||
		    !strcmp(text_of(command, "path"), "/machine/peripheral-anon/device[7]"));
	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		if (!strcmp(property, values[i][0])) {
			returns(f, values[i][1]);
			return;
		}
	}
	fails(f, "Property not found");
}

static void query_chardev(struct fixture *f)
{
	char value[512], ours[256] = "";

	if (f->chardev[0])
		snprintf(ours, sizeof(ours),
			 ", {\"frontend-open\": true, \"filename\": \"%s\", \"label\": \"c1\"}",
			 f->chardev);
	snprintf(
		value, sizeof(value),
		"[{\"frontend-open\": true, \"filename\": \"unix:%s,server=on\", \"label\": \"compat_monitor0\"}%s]",
		f->qmp, ours);
	returns(f, value);
}

/* The events of a part of the device, and of another one, come too. */
static void deleted(struct fixture *f)
{
	char path[64], id[32] = "";

	tell_device(f, path, sizeof(path));
	if (f->id)
		snprintf(id, sizeof(id), "\"device\": \"%s\", ", f->id);
	qemu_says(f, "{\"event\": \"DEVICE_DELETED\", \"data\": {\"path\": \"%s/virtio-backend\"}}",
		  path);
	qemu_says(f, "{\"event\": \"DEVICE_DELETED\", \"data\": {%s\"path\": \"%s\"}}", id, path);
	f->devices = 0;
}

static void device_del(struct fixture *f, json_t *command)
{
	unsigned int i;
	char path[64];

	tell_device(f, path, sizeof(path));
	assert_string_equal(text_of(command, "id"), f->id ?: path);
	qemu_says(f, "{\"event\": \"DEVICE_DELETED\", \"data\": {\"path\": \"/machine/other\"}}");
	if (f->unplug == UNPLUG_FLOODED) {
		for (i = 0; i < 1000; i++)
			qemu_says(f, "{\"event\": \"NIC_RX_FILTER_CHANGED\"}");
		for (i = 0; i < 64; i++)
			qemu_says(f, "{\"event\": \"DEVICE_DELETED\", \"data\": {\"path\": \"/machine/other\"}}");
		return;
	}
	if (f->unplug == UNPLUG_IMPOSSIBLE)
		fails(f, "Bus 'pcie.0' does not support hotplugging");
	else if (f->unplug == UNPLUG_ASKED_BEFORE)
		fails(f, "Device hyv is already in the process of unplug");
	else
		returns(f, "{}");
	if (f->unplug == UNPLUG_DONE || f->unplug == UNPLUG_ASKED_BEFORE)
		deleted(f);
	else if (f->unplug == UNPLUG_REFUSED)
		qemu_says(
			f,
			"{\"event\": \"DEVICE_UNPLUG_GUEST_ERROR\", \"data\": {\"path\": \"%s\"}}",
			path);
}

static void chardev_remove(struct fixture *f)
{
	if (f->devices || f->busy) {
		f->busy -= f->busy > 0;
		fails(f, "Chardev 'c1' is busy");
		return;
	}
	f->chardev[0] = '\0';
	returns(f, "{}");
}

static void chardev_add(struct fixture *f)
{
	assert_false(f->chardev[0]);
	strcpy(f->chardev, "unix:");
	returns(f, "{}");
}

static void device_add(struct fixture *f)
{
	assert_string_equal(f->chardev, "unix:");
	if (f->plug_error) {
		fails(f, f->plug_error);
		return;
	}
	f->devices = 1;
	f->vm.window_is_live = f->guest_takes;
	returns(f, "{}");
}

static void obey(struct fixture *f, json_t *command)
{
	const char *what = json_string_value(json_object_get(command, "execute"));
	char *text = json_dumps(command, JSON_COMPACT);

	qemu_says(f, "{\"event\": \"RTC_CHANGE\", \"data\": {\"offset\": 0}}");
	if (strstr("device_del chardev-remove chardev-add device_add", what)) {
		strcat(f->log, text);
		strcat(f->log, "\n");
	}
	free(text);
	if (!strcmp(what, "qmp_capabilities"))
		returns(f, "{}");
	else if (!strcmp(what, "qom-list"))
		qom_list(f, command);
	else if (!strcmp(what, "qom-get"))
		qom_get(f, command);
	else if (!strcmp(what, "query-chardev"))
		query_chardev(f);
	else if (!strcmp(what, "device_del"))
		device_del(f, command);
	else if (!strcmp(what, "chardev-remove"))
		chardev_remove(f);
	else if (!strcmp(what, "chardev-add"))
		chardev_add(f);
	else if (!strcmp(what, "device_add"))
		device_add(f);
	else
		fail_msg("hyvctl sent %s", what);
}

static int on_command(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct fixture *f = arg;
	json_t *command;
	char *end;
	ssize_t n;

	(void)revents;
	n = recv(fd, f->in + f->in_len, sizeof(f->in) - f->in_len, MSG_DONTWAIT);
	if (n <= 0) {
		f->read_source = sd_event_source_unref(source);
		close(fd);
		return 0;
	}
	f->in_len += (size_t)n;
	while ((end = memchr(f->in, '\n', f->in_len))) {
		command = json_loadb(f->in, (size_t)(end - f->in), 0, NULL);
		assert_non_null(command);
		obey(f, command);
		json_decref(command);
		f->in_len -= (size_t)(end + 1 - f->in);
		memmove(f->in, end + 1, f->in_len);
	}
	return 0;
}

static int on_connect(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct fixture *f = arg;

	(void)source;
	(void)revents;
	f->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	f->in_len = 0;
	assert_true(sd_event_add_io(f->vm.loop, &f->read_source, f->fd, EPOLLIN, on_command, f) >=
		    0);
	if (f->greeting)
		qemu_says(f, "%s", f->greeting);
	return 0;
}

/* ---- both of them ---- */

/* hyvd has no devices here */
const char *__wrap_hotplug_going(const struct hotplug *hotplug, unsigned int i);
const char *__wrap_hotplug_going(const struct hotplug *hotplug, unsigned int i)
{
	(void)hotplug;
	(void)i;
	return NULL;
}

static int listen_at(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 5), 0);
	return fd;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/hyv-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->control, sizeof(f->control), "%s/vm1.ctl", f->dir);
	snprintf(f->socket, sizeof(f->socket), "%s/vm1.sock", f->dir);
	snprintf(f->qmp, sizeof(f->qmp), "%s/qmp", f->dir);
	snprintf(f->chardev, sizeof(f->chardev), "disconnected:unix:%s", f->socket);
	f->greeting = "{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}";
	f->id = "hyv";
	f->devices = 1;
	f->guest_takes = true;
	assert_true(sd_event_new(&f->vm.loop) >= 0);
	limit_init(&f->vm.limits);
	f->vm.name = "vm1";
	f->vm.socket = f->socket;
	f->vm.objtab = objtab_create();
	assert_int_equal(control_create(&f->vm.control, &f->vm, listen_at(f->control)), 0);
	f->listen_fd = listen_at(f->qmp);
	assert_true(sd_event_add_io(f->vm.loop, &f->accept_source, f->listen_fd, EPOLLIN,
				    on_connect, f) >= 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->vm.control)
		control_destroy(f->vm.control);
	while (sd_event_run(f->vm.loop, 1000) > 0)
		;
	sd_event_source_unref(f->accept_source);
	close(f->listen_fd);
	objtab_destroy(f->vm.objtab);
	sd_event_unref(f->vm.loop);
	unlink(f->control);
	unlink(f->qmp);
	rmdir(f->dir);
	free(f);
	return 0;
}

static char out[1 << 16];

/* run "hyvctl recover vm1" with these arguments; what it prints is in "out". Return: its exit code */
static int recover(struct fixture *f, const char *args)
{
	char line[512];
	size_t len = 0;
	FILE *p;
	int status;

	f->log[0] = '\0';
	snprintf(line, sizeof(line), "exec %s --dir %s --timeout 0.5 recover vm1 2>&1 %s", HYVCTL,
		 f->dir, args);
	p = popen(line, "r");
	assert_non_null(p);
	fcntl(fileno(p), F_SETFL, O_NONBLOCK);
	for (;;) {
		ssize_t n = read(fileno(p), out + len, sizeof(out) - 1 - len);

		if (!n)
			break;
		len += n > 0 ? (size_t)n : 0;
		sd_event_run(f->vm.loop, 1000);
	}
	out[len] = '\0';
	status = pclose(p);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* the same with the QMP socket. Return: its exit code */
static int recover_by_qmp(struct fixture *f, const char *args)
{
	char all[256];

	snprintf(all, sizeof(all), "--qmp %s %s", f->qmp, args);
	return recover(f, all);
}

static void prints(const char *text)
{
	if (!strstr(out, text))
		fail_msg("'%s' is not in:\n%s", text, out);
}

/* the commands that QEMU got, in which S stands for the daemon's socket */
static void got(struct fixture *f, const char *wanted)
{
	char real[4096];
	size_t len = 0;

	for (; *wanted; wanted++) {
		if (*wanted == 'S')
			len += (size_t)sprintf(real + len, "%s", f->socket);
		else
			real[len++] = *wanted;
	}
	real[len] = '\0';
	assert_string_equal(f->log, real);
}

#define DEL	       "{\"execute\":\"device_del\",\"arguments\":{\"id\":\"hyv\"}}\n"
#define CHARDEV_REMOVE "{\"execute\":\"chardev-remove\",\"arguments\":{\"id\":\"c1\"}}\n"
#define CHARDEV_ADD \
	"{\"execute\":\"chardev-add\",\"arguments\":{\"id\":\"c1\",\"backend\":{\"type\":\"socket\"," \
	"\"data\":{\"addr\":{\"type\":\"unix\",\"data\":{\"path\":\"S\"}},\"server\":false}}}}\n"
#define ADD_(id, bus) \
	"{\"execute\":\"device_add\",\"arguments\":{\"driver\":\"vhost-user-test-device-pci\"," id \
	"\"chardev\":\"c1\",\"virtio-id\":38,\"num_vqs\":3,\"vq_size\":256,\"config_size\":64," \
	"\"bus\":\"" bus "\",\"addr\":\"01.1\"}}\n"
#define ADD ADD_("\"id\":\"hyv\",", "rp0")

/* ---- tests ---- */

static void the_device_is_plugged_again_as_it_was(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(recover_by_qmp(f, ""), 0);
	got(f, DEL CHARDEV_REMOVE CHARDEV_ADD ADD);
	prints("vm1: recovered in ");
	prints("hyvctl: vm1: unplugging device 'hyv'\n");
}

static void json_tells_it_too(void **state)
{
	struct fixture *f = *state;
	json_t *json;
	int connected;
	const char *device;

	assert_int_equal(recover_by_qmp(f, "--json 2>/dev/null"), 0);
	json = json_loads(out, 0, NULL);
	assert_int_equal(
		json_unpack(json, "{s:s, s:b}", "device", &device, "connected", &connected), 0);
	assert_string_equal(device, "hyv");
	assert_true(connected);
	json_decref(json);
}

static void a_device_without_id_is_known_by_its_path(void **state)
{
	struct fixture *f = *state;

	f->id = NULL;
	assert_int_equal(recover_by_qmp(f, ""), 0);
	got(f,
	    "{\"execute\":\"device_del\",\"arguments\":{\"id\":\"/machine/peripheral-anon/device[1]\"}}\n" CHARDEV_REMOVE
		    CHARDEV_ADD ADD_("", "rp0"));
}

static void properties_can_be_others(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(recover_by_qmp(f, "--property bus=rp9 --property addr=01.1"), 0);
	got(f, DEL CHARDEV_REMOVE CHARDEV_ADD ADD_("\"id\":\"hyv\",", "rp9"));
	assert_int_equal(recover_by_qmp(f, "--property bus"), 64);
	assert_int_equal(recover_by_qmp(f, "--property =x"), 64);
}

static void one_of_several_is_chosen(void **state)
{
	struct fixture *f = *state;

	f->devices = 2;
	assert_int_equal(recover_by_qmp(f, ""), 1);
	prints("choose with --device");
	got(f, "");
	assert_int_equal(recover_by_qmp(f, "--device hyv"), 0);
	got(f, DEL CHARDEV_REMOVE CHARDEV_ADD ADD);
}

static void a_guest_that_does_not_let_go_is_told_of(void **state)
{
	struct fixture *f = *state;

	f->unplug = UNPLUG_IGNORED;
	assert_int_equal(recover_by_qmp(f, ""), 4);
	prints("the guest has not let go of device 'hyv' within 0.5 s");
	prints("\nhyvctl recover 'vm1' --dir '/tmp/hyv-test-");
	prints("--device 'hyv' --chardev 'c1' --property 'virtio-id=38'");
	prints("--property 'bus=rp0' --property 'addr=01.1'\n");
	got(f, DEL);
	/* it had been asked, and agrees the second time */
	f->unplug = UNPLUG_ASKED_BEFORE;
	assert_int_equal(recover_by_qmp(f, ""), 0);
	got(f, DEL CHARDEV_REMOVE CHARDEV_ADD ADD);
}

static void a_guest_that_refuses_is_told_of(void **state)
{
	struct fixture *f = *state;

	f->unplug = UNPLUG_REFUSED;
	assert_int_equal(recover_by_qmp(f, ""), 4);
	prints("the guest refuses");
	got(f, DEL);
}

static void what_cannot_be_unplugged_says_what_can(void **state)
{
	struct fixture *f = *state;

	f->unplug = UNPLUG_IMPOSSIBLE;
	assert_int_equal(recover_by_qmp(f, ""), 1);
	prints("QEMU refused device_del: Bus 'pcie.0' does not support hotplugging");
	prints("behind a pcie-root-port");
	got(f, DEL);
}

static void a_flood_of_events_is_an_end(void **state)
{
	struct fixture *f = *state;

	f->unplug = UNPLUG_FLOODED;
	assert_int_equal(recover_by_qmp(f, ""), 2);
	prints("QEMU gave no answer to device_del: Value too large");
	got(f, DEL);
}

/* It let go after the first run had given up. */
static void an_unplugged_device_is_plugged(void **state)
{
	struct fixture *f = *state;

	f->devices = 0;
	assert_int_equal(
		recover_by_qmp(f,
			       "--property bus=rp0 --property addr=01.1 --property config_size=64"),
		0);
	got(f, CHARDEV_REMOVE CHARDEV_ADD ADD);
}

static void a_run_that_failed_at_the_end_is_gone_on_with(void **state)
{
	struct fixture *f = *state;

	f->plug_error = "Bus 'rp0' not found";
	assert_int_equal(recover_by_qmp(f, ""), 1);
	prints("choose the pcie-root-port with --property bus=ID");
	f->plug_error = NULL;
	assert_int_equal(
		recover_by_qmp(
			f,
			"--chardev c1 --property bus=rp0 --property addr=01.1 --property config_size=64"),
		0);
	got(f, ADD);
}

static void a_busy_chardev_is_tried_again(void **state)
{
	struct fixture *f = *state;

	f->busy = 2;
	assert_int_equal(recover_by_qmp(f, ""), 0);
	got(f, DEL CHARDEV_REMOVE CHARDEV_REMOVE CHARDEV_REMOVE CHARDEV_ADD ADD);
	f->vm.window_is_live = false;
	snprintf(f->chardev, sizeof(f->chardev), "disconnected:unix:%s", f->socket);
	f->busy = 1000;
	assert_int_equal(recover_by_qmp(f, ""), 1);
	prints("QEMU refused chardev-remove: Chardev 'c1' is busy");
}

static void a_device_that_works_is_left_alone(void **state)
{
	struct fixture *f = *state;

	strcpy(f->chardev, "unix:");
	assert_int_equal(recover_by_qmp(f, ""), 1);
	prints("there is nothing to recover");
	got(f, "");
}

static void the_daemon_must_be_this_vms(void **state)
{
	struct fixture *f = *state;

	f->vm.window_is_live = true;
	assert_int_equal(recover_by_qmp(f, ""), 1);
	prints("this hyvd has a guest already");
	f->vm.window_is_live = false;
	strcpy(f->chardev, "disconnected:unix:/run/hyv/vm2.sock,server=on");
	assert_int_equal(recover_by_qmp(f, ""), 1);
	prints("QEMU's device was for '/run/hyv/vm2.sock'");
	got(f, "");
}

/* QEMU is the guest's, once that has taken it over: its words are not for terminals and shells as they are. */
static void what_qemu_says_is_shown_as_plain_text(void **state)
{
	struct fixture *f = *state;

	f->plug_error = "\\u001b[2Jno";
	assert_int_equal(recover_by_qmp(f, ""), 1);
	prints("QEMU refused device_add: ?[2Jno\n");
	f->devices = 1;
	f->id = "x'; reboot; '";
	snprintf(f->chardev, sizeof(f->chardev), "disconnected:unix:%s", f->socket);
	assert_int_equal(recover_by_qmp(f, ""), 1);
	assert_null(strstr(out, "reboot"));
}

static void without_a_new_daemon_nothing_is_changed(void **state)
{
	struct fixture *f = *state;

	control_destroy(f->vm.control);
	f->vm.control = NULL;
	assert_int_equal(recover_by_qmp(f, ""), 2);
	prints("a new hyvd has to be started first");
	got(f, "");
}

static void a_guest_that_does_not_take_it_is_told_of(void **state)
{
	struct fixture *f = *state;

	f->guest_takes = false;
	assert_int_equal(recover_by_qmp(f, ""), 4);
	prints("is virtio_hyv loaded there");
}

static void a_dry_run_prints_the_commands(void **state)
{
	struct fixture *f = *state;
	json_t *json;

	assert_int_equal(recover_by_qmp(f, "--dry-run"), 0);
	got(f, "");
	prints(DEL CHARDEV_REMOVE);
	prints(ADD);
	prints("until the guest has let go of device 'hyv'");
	assert_int_equal(recover_by_qmp(f, "--dry-run --json 2>/dev/null"), 0);
	json = json_loads(out, 0, NULL);
	assert_int_equal(json_array_size(json), 4);
	json_decref(json);
}

static void a_dry_run_needs_no_qemu(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
		recover(f,
			"--dry-run --chardev c1 --property bus=rp0 --property addr=01.1 --property ats=true"),
		0);
	prints(DEL CHARDEV_REMOVE);
	prints("vm1.sock");
	prints("\"virtio-id\":38,\"num_vqs\":3,\"vq_size\":256,\"config_size\":8,\"bus\":\"rp0\",\"addr\":\"01.1\",\"ats\":true}}");
	assert_int_equal(recover(f, ""), 64);
	prints("--qmp");
}

static void a_wrong_socket_is_told_of(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(recover(f, "--qmp /nowhere/qmp"), 2);
	prints("there is no QMP socket '/nowhere/qmp'");
	f->greeting = NULL;
	assert_int_equal(recover_by_qmp(f, ""), 2);
	prints("does another program use this QMP socket?");
	f->greeting = "SSH-2.0-OpenSSH";
	assert_int_equal(recover_by_qmp(f, ""), 2);
	prints("is no QMP socket");
	f->greeting = "{\"VNC\": {}}";
	assert_int_equal(recover_by_qmp(f, ""), 2);
	prints("is no QMP socket");
	assert_int_equal(recover_by_qmp(f, "--timeout x"), 64);
}

#define recover_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		recover_test(the_device_is_plugged_again_as_it_was),
		recover_test(json_tells_it_too),
		recover_test(a_device_without_id_is_known_by_its_path),
		recover_test(properties_can_be_others),
		recover_test(one_of_several_is_chosen),
		recover_test(a_guest_that_does_not_let_go_is_told_of),
		recover_test(a_guest_that_refuses_is_told_of),
		recover_test(what_cannot_be_unplugged_says_what_can),
		recover_test(a_flood_of_events_is_an_end),
		recover_test(an_unplugged_device_is_plugged),
		recover_test(a_run_that_failed_at_the_end_is_gone_on_with),
		recover_test(a_busy_chardev_is_tried_again),
		recover_test(a_device_that_works_is_left_alone),
		recover_test(the_daemon_must_be_this_vms),
		recover_test(what_qemu_says_is_shown_as_plain_text),
		recover_test(without_a_new_daemon_nothing_is_changed),
		recover_test(a_guest_that_does_not_take_it_is_told_of),
		recover_test(a_dry_run_prints_the_commands),
		recover_test(a_dry_run_needs_no_qemu),
		recover_test(a_wrong_socket_is_told_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
