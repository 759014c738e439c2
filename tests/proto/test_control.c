// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * control.c over a real socket, in front of a made-up VM; and the real hyvctl (HYVCTL, set by meson)
 * in front of that, and in front of made-up hyvds that their guests have taken over.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <regex.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "context.h"
#include "control.h"
#include "gidwatch.h"
#include "hotplug.h"
#include "vm.h"

/** struct fixture - a VM "vm1" with a device and a context with two QPs on it, a connection, and its control socket */
struct fixture {
	struct vm vm;
	struct device device;
	struct device siw;
	struct context ctx;
	struct obj qps[2];
	struct obj cm_id;
	char dir[32];
	char path[64];
};

static void release(struct obj *obj)
{
	(void)obj;
}

/* ---- instead of hotplug.c: what was asked for last ---- */

static char asked[256];
static uint64_t asker;
static const char *refusal, *going;

int __wrap_hotplug_attach(struct hotplug *hotplug, const struct hotplug_attach *what,
			  uint64_t client);
int __wrap_hotplug_attach(struct hotplug *hotplug, const struct hotplug_attach *what,
			  uint64_t client)
{
	unsigned int i;

	(void)hotplug;
	snprintf(asked, sizeof(asked), "attach %s", what->device);
	for (i = 0; i < what->num_addresses; i++)
		snprintf(asked + strlen(asked), sizeof(asked) - strlen(asked), " %s",
			 what->addresses[i]);
	asker = client;
	return refusal ? -ENOMEM : 0;
}

int __wrap_hotplug_detach(struct hotplug *hotplug, const char *name, bool force, uint64_t client,
			  char *why, size_t why_len);
int __wrap_hotplug_detach(struct hotplug *hotplug, const char *name, bool force, uint64_t client,
			  char *why, size_t why_len)
{
	(void)hotplug;
	snprintf(asked, sizeof(asked), "detach %s%s", name, force ? " force" : "");
	asker = client;
	if (!refusal)
		return 0;
	snprintf(why, why_len, "%s", refusal);
	return -EBUSY;
}

const char *__wrap_hotplug_going(const struct hotplug *hotplug, unsigned int i);
const char *__wrap_hotplug_going(const struct hotplug *hotplug, unsigned int i)
{
	(void)hotplug;
	return i ? NULL : going;
}

/* ---- instead of gidwatch.c and gid.c ---- */

int __wrap_gidwatch_change(struct gidwatch *watch, const struct gidwatch_change *change,
			   uint64_t client, char *why, size_t why_len);
int __wrap_gidwatch_change(struct gidwatch *watch, const struct gidwatch_change *change,
			   uint64_t client, char *why, size_t why_len)
{
	(void)watch;
	snprintf(asked, sizeof(asked), "%s %s %s", change->is_added ? "add" : "del", change->device,
		 change->address);
	asker = client;
	if (!refusal)
		return 0;
	snprintf(why, why_len, "%s", refusal);
	return -EADDRNOTAVAIL;
}

static const uint8_t own[16] = { [10] = 0xff, [11] = 0xff, 10, 9, 0, 11 };

int __wrap_gid_read_table(const struct device *dev, struct ib_uverbs_gid_entry **out);
int __wrap_gid_read_table(const struct device *dev, struct ib_uverbs_gid_entry **out)
{
	struct ib_uverbs_gid_entry *entries = calloc(2, sizeof(*entries));

	entries[0] = (struct ib_uverbs_gid_entry){ .gid_index = 1,
						   .port_num = 1,
						   .gid_type = IB_UVERBS_GID_TYPE_ROCE_V2 };
	memcpy(entries[0].gid, own, 16);
	entries[1] = entries[0];
	entries[1].gid_index = 2;
	((uint8_t *)entries[1].gid)[15]++;
	*out = entries;
	return strcmp(dev->name, "rxe0") ? 0 : 2;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	static const struct hyv_provider provider = { .name = "fake" };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), i;

	strcpy(f->dir, "/tmp/hyv-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/vm1.ctl", f->dir);
	strcpy(addr.sun_path, f->path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 20), 0);
	assert_true(sd_event_new(&f->vm.loop) >= 0);
	limit_init(&f->vm.limits);
	f->vm.name = "vm1";
	f->vm.objtab = objtab_create();
	f->vm.devices[0] = &f->device;
	f->vm.devices[5] = &f->siw;
	strcpy(f->device.name, "rxe0");
	f->device.provider = &provider;
	f->siw.provider = &provider;
	strcpy(f->siw.name, "siw0");
	f->device.info.node_guid = 0x0123456789abcdef;
	f->ctx.device = &f->device;
	TAILQ_INIT(&f->ctx.children);
	obj_init(f->vm.objtab, &f->ctx.obj, OBJ_CONTEXT, NULL, release);
	f->ctx.obj.context = &f->ctx;
	objtab_publish(f->vm.objtab, &f->ctx.obj);
	for (i = 0; i < 2; i++) {
		obj_init(f->vm.objtab, &f->qps[i], OBJ_QP, &f->ctx, release);
		f->qps[i].handle = 70 + i;
		objtab_publish(f->vm.objtab, &f->qps[i]);
		limit_charge(&f->vm.limits, &f->ctx.charges, LIMIT_QPS, 1);
	}
	f->cm_id.device = &f->device;
	obj_init(f->vm.objtab, &f->cm_id, OBJ_CM, NULL, release);
	objtab_publish(f->vm.objtab, &f->cm_id);
	stats_add(&f->vm.stats, HYV_OP_CREATE_QP, 0, 3000);
	stats_add(&f->vm.stats, HYV_OP_CREATE_QP, -ENOMEM, 5000);
	refusal = going = NULL;
	asker = 0;
	assert_int_equal(control_create(&f->vm.control, &f->vm, fd), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	control_destroy(f->vm.control);
	objtab_remove_context(f->vm.objtab, &f->ctx);
	objtab_remove(f->vm.objtab, &f->cm_id);
	objtab_destroy(f->vm.objtab);
	sd_event_unref(f->vm.loop);
	unlink(f->path);
	rmdir(f->dir);
	free(f);
	return 0;
}

static int connect_to(struct fixture *f)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, f->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

/* let the daemon work until it has nothing to do */
static void pump(struct fixture *f)
{
	while (sd_event_run(f->vm.loop, 5000) > 0)
		;
}

/* all lines that are there. Return: how many, or -1 when the daemon has hung up */
static int receive(struct fixture *f, int fd, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n;
	int lines = 0;

	do {
		pump(f);
		n = recv(fd, buf + len, size - 1 - len, MSG_DONTWAIT);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	buf[len] = '\0';
	if (!n && !len)
		return -1;
	for (n = 0; buf[n]; n++)
		lines += buf[n] == '\n';
	return lines;
}

/* send text and Return: the one answer */
static json_t *ask(struct fixture *f, int fd, const char *text)
{
	char buf[1 << 16];
	json_t *answer;

	assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
	assert_int_equal(receive(f, fd, buf, sizeof(buf)), 1);
	answer = json_loads(buf, 0, NULL);
	assert_non_null(answer);
	return answer;
}

static void refused(struct fixture *f, int fd, const char *text, const char *why)
{
	json_t *answer = ask(f, fd, text);

	assert_true(json_is_false(json_object_get(answer, "ok")));
	assert_non_null(strstr(json_string_value(json_object_get(answer, "error")), why));
	json_decref(answer);
}

static void show_tells_what_there_is(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f), ok, used, qps, handle, ud;
	json_t *answer = ask(f, fd, "{\"cmd\":\"show\",\"objects\":true}\n");
	const char *name, *guid, *device, *type;
	json_t *max;

	assert_int_equal(
		json_unpack(answer,
			    "{s:b, s:s, s:[{s:s, s:s, s:b}], s:{s:{s:i, s:o}}, s:[{s:s, s:i}]}",
			    "ok", &ok, "name", &name, "devices", "name", &device, "guid", &guid,
			    "ud", &ud, "limits", "qps", "used", &used, "max", &max, "contexts",
			    "device", &type, "qps", &qps),
		0);
	assert_true(ok);
	assert_string_equal(name, "vm1");
	assert_string_equal(device, "rxe0");
	assert_string_equal(guid, "0123:4567:89ab:cdef");
	assert_true(ud);
	assert_int_equal(used, 2);
	assert_true(json_is_null(max));
	assert_int_equal(qps, 2);
	assert_int_equal(json_array_size(json_object_get(answer, "objects")), 3);
	assert_int_equal(json_unpack(json_array_get(json_object_get(answer, "objects"), 1),
				     "{s:s, s:i}", "type", &type, "handle", &handle),
			 0);
	assert_string_equal(type, "qp");
	assert_int_equal(handle, 71);
	assert_int_equal(json_unpack(json_array_get(json_object_get(answer, "objects"), 2),
				     "{s:s, s:n}", "type", &type, "context"),
			 0);
	assert_string_equal(type, "cm_id");
	json_decref(answer);
	answer = ask(f, fd, "{\"cmd\":\"show\"}\n");
	assert_null(json_object_get(answer, "objects"));
	json_decref(answer);
	close(fd);
}

static void limits_change_all_or_none(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f);
	json_t *answer =
		ask(f, fd, "{\"cmd\":\"limit\",\"set\":{\"qps\":\"3\",\"pages\":\"1M\"}}\n");

	assert_true(json_is_true(json_object_get(answer, "ok")));
	json_decref(answer);
	assert_int_equal(f->vm.limits.max[LIMIT_QPS], 3);
	assert_int_equal(f->vm.limits.max[LIMIT_PAGES], 1 << 20);
	refused(f, fd, "{\"cmd\":\"limit\",\"set\":{\"qps\":\"4\",\"tea\":\"1\"}}\n",
		"no such limit");
	refused(f, fd, "{\"cmd\":\"limit\",\"set\":{\"qps\":\"4\",\"cqs\":\"x\"}}\n",
		"is a number");
	refused(f, fd, "{\"cmd\":\"limit\",\"set\":{\"qps\":\"4\",\"cqs\":5}}\n", "is a number");
	assert_int_equal(f->vm.limits.max[LIMIT_QPS], 3);
	json_decref(ask(f, fd, "{\"cmd\":\"limit\",\"set\":{\"qps\":\"none\"}}\n"));
	assert_int_equal(f->vm.limits.max[LIMIT_QPS], LIMIT_NONE);
	close(fd);
}

static void an_attach_is_answered_when_it_is_done(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f), other = connect_to(f);
	const char *text = "{\"cmd\":\"attach\",\"device\":\"rxe1\",\"addresses\":[\"10.9.1.5\","
			   "\"fd09::5/64\"]}\n{\"cmd\":\"stats\"}\n";
	char buf[1 << 14];

	assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
	assert_int_equal(receive(f, fd, buf, sizeof(buf)), 0);
	assert_string_equal(asked, "attach rxe1 10.9.1.5 fd09::5/64");
	json_decref(ask(f, other, "{\"cmd\":\"stats\"}\n")); /* nobody else waits */
	control_done(f->vm.control, asker, "rxe1", NULL);
	assert_int_equal(receive(f, fd, buf, sizeof(buf)), 2); /* and the next line's answer */
	assert_non_null(strstr(buf, "\"device\":\"rxe1\""));
	text = "{\"cmd\":\"detach\",\"device\":\"rxe1\",\"force\":true}\n";
	assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
	assert_int_equal(receive(f, fd, buf, sizeof(buf)), 0);
	assert_string_equal(asked, "detach rxe1 force");
	control_done(f->vm.control, asker, "rxe1", "it does not like to");
	assert_int_equal(receive(f, fd, buf, sizeof(buf)), 1);
	assert_non_null(strstr(buf, "it does not like to"));
	control_done(f->vm.control, asker, "rxe1", NULL); /* nobody waits any more */
	control_done(f->vm.control, 0, "rxe1", NULL);
	assert_int_equal(receive(f, fd, buf, sizeof(buf)), 0);
	close(fd);
	close(other);
}

static void a_client_that_goes_while_it_waits_is_forgotten(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f), i;

	for (i = 0; i < 20; i++) {
		const char *text = "{\"cmd\":\"detach\",\"device\":\"rxe0\"}\n{\"cmd\":";

		assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
		pump(f);
		close(fd);
		pump(f);
		fd = connect_to(f);
		control_done(f->vm.control, asker, "rxe0", NULL);
		json_decref(ask(f, fd, "{\"cmd\":\"stats\"}\n"));
	}
	close(fd);
}

static void wrong_attaches_are_refused(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f);

	refused(f, fd, "{\"cmd\":\"attach\"}\n", "'device' is");
	refused(f, fd, "{\"cmd\":\"attach\",\"device\":1}\n", "'device' is");
	refused(f, fd, "{\"cmd\":\"attach\",\"device\":\"x\",\"addresses\":\"10.9.0.1\"}\n",
		"'addresses' is");
	refused(f, fd, "{\"cmd\":\"attach\",\"device\":\"x\",\"addresses\":[1]}\n",
		"'addresses' is");
	refused(f, fd, "{\"cmd\":\"detach\",\"force\":true}\n", "'device' is");
	assert_int_equal(asker, 0);
	refusal = "the guest likes it";
	refused(f, fd, "{\"cmd\":\"detach\",\"device\":\"rxe0\"}\n", "the guest likes it");
	refused(f, fd, "{\"cmd\":\"attach\",\"device\":\"rxe1\"}\n", "no memory");
	close(fd);
}

static void gid_tells_whose_they_are(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f), index, allowed, present;
	json_t *answer, *gids;
	const char *gid, *type, *address;

	f->device.has_addresses = true;
	f->vm.num_addresses = 2;
	f->vm.addresses[0] =
		(struct address){ .prefix_len = 24, .device = &f->device, .is_there = true };
	memcpy(f->vm.addresses[0].gid, own, 16);
	f->vm.addresses[1] = (struct address){ .gid = { 0xfd, [15] = 1 },
					       .prefix_len = 64,
					       .device = &f->device };
	answer = ask(f, fd, "{\"cmd\":\"gid\"}\n");
	gids = json_object_get(answer, "gids");
	assert_int_equal(json_array_size(gids), 3);
	assert_int_equal(json_unpack(json_array_get(gids, 0), "{s:i, s:s, s:s, s:b, s:b, s:s}",
				     "index", &index, "gid", &gid, "type", &type, "allowed",
				     &allowed, "present", &present, "address", &address),
			 0);
	assert_int_equal(index, 1);
	assert_string_equal(gid, "::ffff:10.9.0.11");
	assert_string_equal(type, "RoCE v2");
	assert_true(allowed && present);
	assert_string_equal(address, "10.9.0.11/24");
	assert_int_equal(json_unpack(json_array_get(gids, 1), "{s:s, s:b, s:n}", "gid", &gid,
				     "allowed", &allowed, "address"),
			 0);
	assert_string_equal(gid, "::ffff:10.9.0.12");
	assert_false(allowed);
	assert_int_equal(json_unpack(json_array_get(gids, 2), "{s:n, s:b, s:b, s:s}", "index",
				     "allowed", &allowed, "present", &present, "address", &address),
			 0);
	assert_true(allowed);
	assert_false(present);
	assert_string_equal(address, "fd00::1/64");
	json_decref(answer);
	refused(f, fd, "{\"cmd\":\"gid\",\"device\":\"rxe0\"}\n", "'add' or 'del'");
	refused(f, fd, "{\"cmd\":\"gid\",\"add\":\"10.9.0.5\"}\n", "'device' is");
	refused(f, fd, "{\"cmd\":\"gid\",\"device\":\"rxe0\",\"add\":\"a\",\"del\":\"b\"}\n",
		"'add' or 'del'");
	refused(f, fd, "{\"cmd\":\"gid\",\"device\":\"rxe0\",\"add\":1}\n", "'add' or 'del'");
	assert_int_equal(asker, 0);
	close(fd);
}

static void nonsense_is_answered_and_the_next_request_too(void **state)
{
	static const char *const bad[] = {
		"\n", "{\n", "[]\n", "1\n", "nul\n", "{\"cmd\":1,\"cmd\":2}\n", "{\"a\":\xff}\n"
	};
	struct fixture *f = *state;
	int fd = connect_to(f);
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refused(f, fd, bad[i], "no line of JSON");
	refused(f, fd, "{}\n", "no such command");
	refused(f, fd, "{\"cmd\":null}\n", "no such command");
	refused(f, fd, "{\"cmd\":\"rm\"}\n", "no such command");
	json_decref(ask(f, fd, "{\"cmd\":\"stats\"}\n"));
	close(fd);
}

static void lines_may_come_in_pieces_or_several_at_once(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f);
	char buf[1 << 14];

	assert_int_equal(send(fd, "{\"cmd\":", 7, 0), 7);
	pump(f);
	json_decref(ask(f, fd, "\"stats\"}\n"));
	assert_int_equal(send(fd, "{}\n{}\n{}\n{", 10, 0), 10);
	assert_int_equal(receive(f, fd, buf, sizeof(buf)), 3);
	json_decref(ask(f, fd, "}\n"));
	close(fd);
}

static void a_line_without_end_is_hung_up_on(void **state)
{
	struct fixture *f = *state;
	char line[4096], buf[64];
	int fd = connect_to(f);

	memset(line, ' ', sizeof(line));
	assert_int_equal(send(fd, line, sizeof(line), 0), sizeof(line));
	assert_int_equal(receive(f, fd, buf, sizeof(buf)), -1);
	close(fd);
}

/* It is not read from until it reads; the others do not notice. */
static void a_client_that_does_not_read_holds_up_nobody(void **state)
{
	struct fixture *f = *state;
	int lazy = connect_to(f), other = connect_to(f), sent = 0, got = 0, n;
	static char buf[1 << 20];

	while (send(lazy, "{\"cmd\":\"show\"}\n", 15, MSG_DONTWAIT) == 15) {
		sent++;
		pump(f);
		assert_true(sent < 100000);
	}
	json_decref(ask(f, other, "{\"cmd\":\"show\"}\n"));
	while ((n = receive(f, lazy, buf, sizeof(buf))) > 0)
		got += n;
	assert_int_equal(got, sent);
	close(lazy);
	close(other);
}

static void there_is_room_for_16_clients(void **state)
{
	struct fixture *f = *state;
	int fds[17], i;
	char buf[64];

	for (i = 0; i < 17; i++)
		fds[i] = connect_to(f);
	pump(f);
	assert_int_equal(receive(f, fds[16], buf, sizeof(buf)), -1);
	json_decref(ask(f, fds[15], "{\"cmd\":\"stats\"}\n"));
	close(fds[0]);
	close(fds[16]);
	pump(f);
	fds[0] = connect_to(f);
	json_decref(ask(f, fds[0], "{\"cmd\":\"stats\"}\n"));
	for (i = 0; i < 16; i++)
		close(fds[i]);
	pump(f);
}

static char out[1 << 16];

/* run hyvctl with these arguments; what it prints is in "out". Return: its exit code */
static int hyvctl(struct fixture *f, const char *args)
{
	char line[512];
	size_t len = 0;
	FILE *p;
	int status;

	snprintf(line, sizeof(line), "exec 2>&1 %s --dir %s %s", HYVCTL, f->dir, args);
	p = popen(line, "r");
	assert_non_null(p);
	fcntl(fileno(p), F_SETFL, O_NONBLOCK);
	for (;;) {
		ssize_t n = read(fileno(p), out + len, sizeof(out) - 1 - len);

		if (!n)
			break;
		len += n > 0 ? (size_t)n : 0;
		sd_event_run(f->vm.loop, 1000);
		if (asker)
			control_done(f->vm.control, asker, "rxe1", NULL);
		asker = 0;
	}
	out[len] = '\0';
	status = pclose(p);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void prints(const char *text)
{
	if (!strstr(out, text))
		fail_msg("'%s' is not in:\n%s", text, out);
}

/* Return: what was printed, for the caller to decref */
static json_t *printed(void)
{
	json_t *json = json_loads(out, 0, NULL);

	if (!json)
		fail_msg("no JSON: %s", out);
	return json;
}

/* run hyvctl with these arguments, among them --json, for a change that succeeds */
static void says_ok_in_json(struct fixture *f, const char *args)
{
	json_t *json;

	assert_int_equal(hyvctl(f, args), 0);
	json = printed();
	assert_true(json_is_true(json_object_get(json, "ok")));
	json_decref(json);
}

static void hyvctl_prints_tables(void **state)
{
	struct fixture *f = *state;
	char pid[32];

	assert_int_equal(hyvctl(f, "list"), 0);
	prints("vm1");
	prints("rxe0,siw0\n");
	f->siw.info.node_type = RDMA_NODE_RNIC;
	assert_int_equal(hyvctl(f, "show vm1 --objects"), 0);
	snprintf(pid, sizeof(pid), "vm1: pid %d,", getpid());
	prints(pid);
	prints("guest not connected");
	prints("rxe0  0123:4567:89ab:cdef  fake            yes\n");
	prints("siw0  0000:0000:0000:0000  fake            no\n");
	prints("qps          2  none        0  queue pairs\n");
	prints("71\n");
	prints("cm_id        -       0\n");
	assert_int_equal(hyvctl(f, "stats vm1"), 0);
	prints("create_qp      2       1  4.0us  <4us  <8us  <4us:1 <8us:1\n");
	stats_add(&f->vm.stats, HYV_OP_CREATE_QP, 0, 3600000000000);
	assert_int_equal(hyvctl(f, "stats vm1"), 0);
	prints("<8us  more  <4us:1 <8us:1 more:1\n");
	assert_int_equal(hyvctl(f, "watch vm1 -n 2 -i 0.01"), 0);
	prints("PER-SECOND");
}

static void hyvctl_prints_json(void **state)
{
	struct fixture *f = *state;
	int pid, used, max, count;
	const char *name;
	json_t *json;

	assert_int_equal(hyvctl(f, "limit vm1 qps=8 -j"), 0);
	assert_int_equal(f->vm.limits.max[LIMIT_QPS], 8);
	json = printed();
	assert_int_equal(json_unpack(json, "{s:{s:{s:i}}}", "limits", "qps", "max", &max), 0);
	assert_int_equal(max, 8);
	json_decref(json);
	assert_int_equal(hyvctl(f, "--json show vm1"), 0);
	json = printed();
	assert_int_equal(json_unpack(json, "{s:s, s:i, s:{s:{s:i, s:i}}}", "name", &name, "pid",
				     &pid, "limits", "qps", "used", &used, "max", &max),
			 0);
	assert_string_equal(name, "vm1");
	assert_int_equal(pid, getpid());
	assert_int_equal(used, 2);
	assert_int_equal(max, 8);
	json_decref(json);
	assert_int_equal(hyvctl(f, "list -j"), 0);
	json = printed();
	assert_int_equal(json_array_size(json), 1);
	assert_int_equal(json_unpack(json, "[{s:s, s:i}]", "name", &name, "pid", &pid), 0);
	assert_string_equal(name, "vm1");
	assert_int_equal(pid, getpid());
	json_decref(json);
	assert_int_equal(hyvctl(f, "stats vm1 --json"), 0);
	json = printed();
	assert_int_equal(json_unpack(json, "{s:{s:{s:i}}}", "ops", "create_qp", "count", &count),
			 0);
	assert_int_equal(count, 2);
	json_decref(json);
}

static void hyvctl_watches_in_json_a_line_at_a_time(void **state)
{
	struct fixture *f = *state;
	int max, count;
	json_t *json;
	char *line;

	assert_int_equal(hyvctl(f, "watch vm1 --json -n 2 -i 0.01"), 0);
	line = strtok(out, "\n");
	assert_non_null(line);
	json = json_loads(line, 0, NULL);
	assert_int_equal(json_unpack(json, "{s:{s:{s:i}}, s:{s:{s:i}}}", "limits", "cm_ids", "max",
				     &max, "ops", "create_qp", "count", &count),
			 0);
	assert_int_equal(max, 4096);
	assert_int_equal(count, 2);
	json_decref(json);
	line = strtok(NULL, "\n");
	assert_non_null(line);
	json = json_loads(line, 0, NULL);
	assert_non_null(json);
	json_decref(json);
	assert_null(strtok(NULL, "\n"));
}

static void hyvctl_sets_limits(void **state)
{
	struct fixture *f = *state;
	json_t *json;
	int max;

	assert_int_equal(hyvctl(f, "limit vm1 qps=5 window=64M"), 0);
	prints("qps          2         5        0");
	assert_int_equal(f->vm.limits.max[LIMIT_WINDOW], 64 << 20);
	assert_int_equal(hyvctl(f, "limit vm1"), 0);
	prints("67108864");
	assert_int_equal(hyvctl(f, "limit vm1 --json"), 0);
	json = printed();
	assert_int_equal(json_unpack(json, "{s:{s:{s:i}}}", "limits", "qps", "max", &max), 0);
	assert_int_equal(max, 5);
	json_decref(json);
	assert_int_equal(hyvctl(f, "limit vm1 qps=none"), 0);
	assert_int_equal(f->vm.limits.max[LIMIT_QPS], LIMIT_NONE);
}

static void hyvctl_attaches_and_detaches(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(hyvctl(f, "attach vm1 rxe1 --address 10.9.1.5/24 -a fd09::5"), 0);
	assert_string_equal(asked, "attach rxe1 10.9.1.5/24 fd09::5");
	assert_string_equal(out, "vm1: rxe1 attached\n");
	assert_int_equal(hyvctl(f, "detach vm1 rxe1 --force"), 0);
	assert_string_equal(asked, "detach rxe1 force");
	assert_string_equal(out, "vm1: rxe1 detached\n");
	says_ok_in_json(f, "attach vm1 rxe1 --json");
	assert_string_equal(asked, "attach rxe1");
	says_ok_in_json(f, "--json detach vm1 rxe1");
	assert_string_equal(asked, "detach rxe1");
	going = "rxe1";
	assert_int_equal(hyvctl(f, "show vm1"), 0);
	prints("\n     5  siw0 ");
	prints("being detached: rxe1\n");
	refusal = "the guest likes it";
	assert_int_equal(hyvctl(f, "detach vm1 rxe0"), 1);
	prints("the guest likes it");
	assert_int_equal(hyvctl(f, "detach vm2 rxe0"), 2);
	assert_int_equal(hyvctl(f, "attach vm1"), 64);
	assert_int_equal(hyvctl(f, "detach vm1 rxe0 rxe1"), 64);
}

static void hyvctl_shows_and_changes_gids(void **state)
{
	struct fixture *f = *state;
	json_t *json;

	assert_int_equal(hyvctl(f, "gid vm1"),
			 0); /* of a device without addresses all are the VM's */
	prints("rxe0       1      1  ::ffff:10.9.0.11  RoCE v2  yes      yes      -\n");
	prints("rxe0       1      2  ::ffff:10.9.0.12  RoCE v2  yes      yes      -\n");
	f->device.has_addresses = true;
	assert_int_equal(hyvctl(f, "gid vm1"), 0);
	prints("rxe0       1      1  ::ffff:10.9.0.11  RoCE v2  no       yes      -\n");
	assert_int_equal(hyvctl(f, "gid vm1 --json"), 0);
	json = printed();
	assert_int_equal(json_array_size(json_object_get(json, "gids")), 2);
	json_decref(json);
	assert_int_equal(hyvctl(f, "gid vm1 add rxe0 10.9.0.12/24"), 0);
	assert_string_equal(asked, "add rxe0 10.9.0.12/24");
	assert_string_equal(out, "vm1: 10.9.0.12/24 added to rxe0\n");
	assert_int_equal(hyvctl(f, "gid vm1 del rxe0 ::ffff:10.9.0.12"), 0);
	assert_string_equal(asked, "del rxe0 ::ffff:10.9.0.12");
	assert_string_equal(out, "vm1: ::ffff:10.9.0.12 removed from rxe0\n");
	says_ok_in_json(f, "gid vm1 add rxe0 10.9.0.12 --json");
	assert_string_equal(asked, "add rxe0 10.9.0.12");
	says_ok_in_json(f, "gid vm1 del rxe0 10.9.0.12 --json");
	assert_string_equal(asked, "del rxe0 10.9.0.12");
	refusal = "it is not there";
	assert_int_equal(hyvctl(f, "gid vm1 add rxe0 10.9.0.13"), 1);
	prints("vm1: it is not there\n");
	assert_int_equal(hyvctl(f, "gid vm2"), 2);
	assert_int_equal(hyvctl(f, "gid"), 64);
	assert_int_equal(hyvctl(f, "gid vm1 add rxe0"), 64);
	assert_int_equal(hyvctl(f, "gid vm1 mul rxe0 10.9.0.13"), 64);
	prints("'add DEVICE GID'");
}

#define METRIC "[a-zA-Z_:][a-zA-Z0-9_:]*"
#define LABEL  "[a-zA-Z_][a-zA-Z0-9_]*=\"([^\"\\]|\\\\|\\\"|\\n)*\""
#define VALUE  "([0-9]+(\\.[0-9]+)?|\\+Inf)"

/* Prometheus' text format: a sample comes after its metric's type, all of a metric together */
static void is_prometheus_text(char *text)
{
	char *line, *type, name[64] = "", before[2048] = "";
	regmatch_t match[2];
	regex_t head, sample;

	assert_int_equal(regcomp(&head, "^# (HELP " METRIC " .|TYPE " METRIC " [a-z]+$)",
				 REG_EXTENDED | REG_NOSUB),
			 0);
	assert_int_equal(regcomp(&sample, "^(" METRIC ")\\{" LABEL "(," LABEL ")*\\} " VALUE "$",
				 REG_EXTENDED),
			 0);
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (*line == '#') {
			if (regexec(&head, line, 0, NULL, 0))
				fail_msg("%s", line);
			if (sscanf(line, "# TYPE %62s", name) != 1)
				continue;
			strcat(name, " ");
			assert_null(strstr(before, name));
			strcat(before, name);
			name[strlen(name) - 1] = '\0';
			type = strrchr(line, ' ') + 1;
			if (!strcmp(name + strlen(name) - 6, "_total") != !strcmp(type, "counter"))
				fail_msg("%s", line);
		} else if (regexec(&sample, line, 2, match, 0) ||
			   strncmp(line, name, strlen(name))) {
			fail_msg("%s", line);
		}
	}
	regfree(&head);
	regfree(&sample);
}

static void hyvctl_writes_metrics(void **state)
{
	struct fixture *f = *state;
	char args[128], path[64];
	struct stat st;

	assert_int_equal(hyvctl(f, "metrics"), 0);
	prints("# TYPE hyv_operation_seconds histogram\n");
	prints("hyv_guest_connected{vm=\"vm1\"} 0\n");
	prints("hyv_used{vm=\"vm1\",resource=\"qps\"} 2\n");
	prints("hyv_limit{vm=\"vm1\",resource=\"qps\"} +Inf\n");
	prints("hyv_operation_errors_total{vm=\"vm1\",operation=\"create_qp\"} 1\n");
	prints("hyv_operation_seconds_bucket{vm=\"vm1\",operation=\"create_qp\",le=\"0.000002\"} 0\n");
	prints("hyv_operation_seconds_bucket{vm=\"vm1\",operation=\"create_qp\",le=\"0.000004\"} 1\n");
	prints("hyv_operation_seconds_bucket{vm=\"vm1\",operation=\"create_qp\",le=\"+Inf\"} 2\n");
	prints("hyv_operation_seconds_sum{vm=\"vm1\",operation=\"create_qp\"} 0.000008000\n");
	prints("hyv_refused_total{vm=\"vm1\",resource=\"ops\"} 0\n");
	assert_null(strstr(out, "hyv_used{vm=\"vm1\",resource=\"ops\"}"));
	is_prometheus_text(out);
	snprintf(path, sizeof(path), "%s/hyv.prom", f->dir);
	snprintf(args, sizeof(args), "metrics --output %s", path);
	assert_int_equal(hyvctl(f, args), 0);
	assert_string_equal(out, "");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_true(st.st_size > 1000);
	unlink(path);
	assert_int_equal(hyvctl(f, "metrics --output /nowhere/x.prom"), 3);
}

static void hyvctl_tells_errors_by_its_exit_code(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(hyvctl(f, "limit vm1 tea=5"), 1);
	prints("vm1: there is no such limit");
	assert_int_equal(hyvctl(f, "limit vm1 qps=x"), 1);
	assert_int_equal(hyvctl(f, "show vm2"), 2);
	prints("there is no such VM");
	assert_int_equal(hyvctl(f, "limit vm1 qps"), 64);
	assert_int_equal(hyvctl(f, "limit"), 64);
	assert_int_equal(hyvctl(f, "show"), 64);
	assert_int_equal(hyvctl(f, "brew vm1"), 64);
	assert_int_equal(hyvctl(f, "list >/dev/full"), 3);
	assert_string_equal(out, "hyvctl: cannot write: No space left on device\n");
	assert_int_equal(hyvctl(f, "watch vm1 >/dev/full"), 3);
	assert_int_equal(hyvctl(f, "show vm2 >/dev/full"), 2);
	assert_int_equal(hyvctl(f, ""), 64);
}

static void prints_not(const char *text)
{
	if (strstr(out, text))
		fail_msg("'%s' is in:\n%s", text, out);
}

static void hyvctl_passes_over_a_socket_that_a_hyvd_left_behind(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char args[128];
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/dead.ctl", f->dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
	assert_int_equal(hyvctl(f, "list"), 0);
	prints("vm1");
	prints_not("dead");
	assert_int_equal(hyvctl(f, "metrics"), 0);
	prints("vm=\"vm1\"");
	prints_not("dead");
	assert_int_equal(hyvctl(f, "show dead"), 2);
	prints("dead: no hyvd of this VM runs: 'systemctl start hyvd@dead' starts one\n");
	snprintf(args, sizeof(args), "show %s", addr.sun_path);
	assert_int_equal(hyvctl(f, args), 2);
	prints("dead.ctl: no hyvd of this VM runs: 'systemctl start hyvd@VM' starts one\n");
	unlink(addr.sun_path);
}

/* ---- hyvds that their guests have taken over ---- */

/**
 * struct evil - one, of the VM "evil"
 * @sent: bytes it could send
 */
struct evil {
	pid_t pid;
	struct sockaddr_un addr;
	size_t *sent;
};

/* @answer: what it does to a client that has asked; returns when it has got rid of it */
static void evil_start(struct fixture *f, struct evil *evil,
		       void (*answer)(const struct evil *evil, int fd, const char *text),
		       const char *text)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), client;
	char request[256];

	evil->sent = mmap(NULL, sizeof(*evil->sent), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(evil->sent != MAP_FAILED);
	evil->addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(evil->addr.sun_path, sizeof(evil->addr.sun_path), "%s/evil.ctl", f->dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&evil->addr, sizeof(evil->addr)), 0);
	assert_int_equal(listen(fd, 1), 0);
	evil->pid = fork();
	assert_true(evil->pid >= 0);
	if (!evil->pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!evil->pid) {
		client = accept(fd, NULL, NULL);
		if (client >= 0 && recv(client, request, sizeof(request), 0) > 0)
			answer(evil, client, text);
		close(client);
	}
	close(fd);
}

static void evil_stop(struct evil *evil)
{
	kill(evil->pid, SIGKILL);
	assert_int_equal(waitpid(evil->pid, NULL, 0), evil->pid);
	unlink(evil->addr.sun_path);
	munmap(evil->sent, sizeof(*evil->sent));
}

static void says(const struct evil *evil, int fd, const char *text)
{
	(void)evil;
	send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void more_members_than_columns_do_no_harm(void **state)
{
	char text[2048] = "{\"ok\":true,\"devices\":[{";
	struct evil evil;
	int i;

	for (i = 1; i <= 40; i++)
		sprintf(text + strlen(text), "%s\"m%d\":\"v%d\"", i > 1 ? "," : "", i, i);
	strcat(text, "}]}\n");
	evil_start(*state, &evil, says, text);
	assert_int_equal(hyvctl(*state, "show evil"), 0);
	prints("  v16\n");
	prints_not("v17");
	evil_stop(&evil);
}

static void more_times_than_64_bits_have_powers_do_no_harm(void **state)
{
	char text[2048] = "{\"ok\":true,\"ops\":{\"x\":{\"count\":9,\"buckets\":[0";
	struct evil evil;
	int i;

	for (i = 0; i < 100; i++)
		strcat(text, i < 10 ? ",9223372036854775807" : ",1");
	strcat(text, "]}}}\n");
	evil_start(*state, &evil, says, text);
	assert_int_equal(hyvctl(*state, "stats evil"), 0);
	assert_int_equal(hyvctl(*state, "metrics"), 0);
	prints_not("runtime error");
	evil_stop(&evil);
}

static void prints_nothing_that_a_terminal_obeys(void)
{
	const char *c;

	for (c = out; *c; c++)
		if (*c != '\n' && (*c < ' ' || *c > '~'))
			fail_msg("%#x is in:\n%s", (unsigned char)*c, out);
}

#define ESC   "a\\u001b[2J\\u009b2J\\nb"
#define SHOWN "a?[2J??2J?b"

static void words_of_an_evil_hyvd_do_nothing_to_the_terminal(void **state)
{
	static const char *const commands[] = { "show evil",  "list",	    "metrics",
						"stats evil", "limit evil", "gid evil" };
	struct fixture *f = *state;
	struct evil evil;
	char args[32];
	size_t i;

	evil_start(f, &evil, says,
		   "{\"ok\":true,\"name\":\"" ESC "\",\"devices\":[{\"name\":\"" ESC
		   "\"}],\"going\":[\"" ESC "\",1],\"limits\":{\"" ESC "\":{\"what\":\"" ESC
		   "\"}},\"ops\":{\"" ESC "\":{\"count\":1}},\"gids\":[{\"gid\":\"" ESC "\"}]}\n");
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		assert_int_equal(hyvctl(f, commands[i]), 0);
		prints(SHOWN);
		prints_nothing_that_a_terminal_obeys();
	}
	assert_int_equal(hyvctl(f, "list"), 0);
	prints("\nevil "); /* not the name that it says */
	assert_int_equal(hyvctl(f, "metrics"), 0);
	prints("{vm=\"evil\",resource=\"" SHOWN "\"}");
	for (i = 0; i < 2; i++) {
		snprintf(args, sizeof(args), "--json %s", commands[i]);
		assert_int_equal(hyvctl(f, args), 0);
		prints("\\u001B[2J");
		prints("\\u009B2J");
		prints_nothing_that_a_terminal_obeys();
	}
	evil_stop(&evil);
	evil_start(f, &evil, says, "{\"ok\":false,\"error\":\"" ESC "\"}\n");
	assert_int_equal(hyvctl(f, "show evil"), 1);
	assert_string_equal(out, "hyvctl: evil: " SHOWN "\n");
	evil_stop(&evil);
}

static void floods(const struct evil *evil, int fd, const char *text)
{
	static char some[1 << 16];
	ssize_t n = send(fd, text, strlen(text), MSG_NOSIGNAL);

	memset(some, 'x', sizeof(some));
	while (n > 0 && *evil->sent < 1 << 28) {
		n = send(fd, some, sizeof(some), MSG_NOSIGNAL);
		*evil->sent += n > 0 ? (size_t)n : 0;
	}
}

static void an_answer_without_end_is_ended(void **state)
{
	struct fixture *f = *state;
	struct evil evil;

	evil_start(f, &evil, floods, "{\"ok\":true,\"name\":\"");
	assert_int_equal(hyvctl(f, "list"), 2);
	prints("evil: its hyvd's answer has no end");
	prints("\nvm1 ");
	assert_in_range(*evil.sent, 1, 5 << 20);
	assert_int_equal(hyvctl(f, "show --objects evil"), 2); /* too much, or too slow */
	assert_in_range(*evil.sent, 1, 70 << 20);
	assert_int_equal(hyvctl(f, "metrics"), 2);
	prints("hyv_guest_connected{vm=\"vm1\"} 0\n");
	prints("hyv_operation_errors_total{vm=\"vm1\",operation=\"create_qp\"} 1\n");
	evil_stop(&evil);
}

static void trickles(const struct evil *evil, int fd, const char *text)
{
	int i;

	for (i = 0; i < 900 && send(fd, text, 1, MSG_NOSIGNAL) == 1; i++) {
		++*evil->sent;
		usleep(100000);
	}
}

static void an_answer_that_takes_for_ever_is_given_up(void **state)
{
	struct fixture *f = *state;
	struct timespec began, ended;
	struct evil evil;

	evil_start(f, &evil, trickles, " ");
	clock_gettime(CLOCK_MONOTONIC, &began);
	assert_int_equal(hyvctl(f, "list"), 2);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	prints("evil: its hyvd does not answer");
	prints("\nvm1 ");
	assert_in_range(ended.tv_sec - began.tv_sec, 9, 80);
	assert_true(*evil.sent > 1);
	evil_stop(&evil);
}

static void what_is_no_answer_is_said_to_be_none(void **state)
{
	static const char *const answers[] = { "\n", "[]\n", "{\"ok\":true", "{\"ok\":1}\n", "" };
	static const char *const why[] = { "no line of JSON", "no line of JSON", "has hung up",
					   "without sense", "has hung up" };
	struct fixture *f = *state;
	struct evil evil;
	size_t i;

	for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		evil_start(f, &evil, says, answers[i]);
		assert_int_equal(hyvctl(f, "show evil"), i == 3 ? 1 : 2);
		prints(why[i]);
		evil_stop(&evil);
	}
}

static void without_a_file_for_a_client_nobody_spins(void **state)
{
	struct fixture *f = *state;
	struct rlimit before, none;
	int fd = connect_to(f), next = dup(fd), i;
	struct pollfd answer = { .fd = fd, .events = POLLIN };

	close(next);
	assert_int_equal(send(fd, "{\"cmd\":\"stats\"}\n", 16, 0), 16);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = (rlim_t)next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	pump(f); /* has an end */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	for (i = 0; i < 500 && !poll(&answer, 1, 0); i++)
		sd_event_run(f->vm.loop, 10000);
	assert_int_equal(poll(&answer, 1, 0), 1);
	close(fd);
}

#define control_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		control_test(show_tells_what_there_is),
		control_test(limits_change_all_or_none),
		control_test(an_attach_is_answered_when_it_is_done),
		control_test(a_client_that_goes_while_it_waits_is_forgotten),
		control_test(wrong_attaches_are_refused),
		control_test(gid_tells_whose_they_are),
		control_test(without_a_file_for_a_client_nobody_spins),
		control_test(nonsense_is_answered_and_the_next_request_too),
		control_test(lines_may_come_in_pieces_or_several_at_once),
		control_test(a_line_without_end_is_hung_up_on),
		control_test(a_client_that_does_not_read_holds_up_nobody),
		control_test(there_is_room_for_16_clients),
		control_test(hyvctl_prints_tables),
		control_test(hyvctl_prints_json),
		control_test(hyvctl_watches_in_json_a_line_at_a_time),
		control_test(hyvctl_sets_limits),
		control_test(hyvctl_attaches_and_detaches),
		control_test(hyvctl_shows_and_changes_gids),
		control_test(hyvctl_writes_metrics),
		control_test(hyvctl_tells_errors_by_its_exit_code),
		control_test(hyvctl_passes_over_a_socket_that_a_hyvd_left_behind),
		control_test(more_members_than_columns_do_no_harm),
		control_test(more_times_than_64_bits_have_powers_do_no_harm),
		control_test(words_of_an_evil_hyvd_do_nothing_to_the_terminal),
		control_test(an_answer_without_end_is_ended),
		control_test(an_answer_that_takes_for_ever_is_given_up),
		control_test(what_is_no_answer_is_said_to_be_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
