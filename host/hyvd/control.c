// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The operator's questions and orders, from hyvctl or any other program: a UNIX stream socket, on
 * which a request is one line of JSON and so is its answer.
 *
 *   {"cmd": "show"}                           the VM, its devices, contexts, limits and their use
 *   {"cmd": "show", "objects": true}          the same, with each object
 *   {"cmd": "stats"}                          counters of operations
 *   {"cmd": "limit", "set": {"qps": "100"}}   limits, values as in the configuration file
 *   {"cmd": "attach", "device": "rxe1", "addresses": ["10.9.1.11/24"]}
 *   {"cmd": "detach", "device": "rxe1", "force": true}
 *   {"cmd": "gid"}                            the devices' GIDs, and which are the VM's
 *   {"cmd": "gid", "device": "rxe1", "add": "10.9.1.12/24"}, or "del"
 *
 * An answer has "ok": true and what was asked for, or "ok": false and "error". hyvd's process is not in
 * it: the socket's peer credentials (SO_PEERCRED) tell that, and hyvctl adds it as "pid". Who may open the
 * socket may do all this. It runs on the event loop and never waits: a client that does not read its answer
 * is not read from either, nor is one that changes devices or GIDs, which is answered when that is done.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <rdma/ib_user_ioctl_verbs.h>
#include "context.h"
#include "control.h"
#include "gidwatch.h"
#include "hotplug.h"
#include "listener.h"
#include "log.h"
#include "options.h"
#include "vm.h"

#define MAX_CLIENTS 16
#define MAX_REQUEST 4096 /* bytes of a line */

/**
 * struct client - a connection
 * @id: never another's
 * @is_waiting: for control_done()
 * @in: what was read and not yet answered
 * @out: the answer under way, or NULL
 */
struct client {
	struct control *control;
	sd_event_source *source;
	int fd;
	uint64_t id;
	bool is_waiting;
	char in[MAX_REQUEST];
	size_t in_len;
	char *out;
	size_t out_len;
	size_t out_sent;
	LIST_ENTRY(client) others;
};

/** struct control - the socket and who is connected */
struct control {
	struct vm *vm;
	sd_event_source *source;
	int fd;
	uint64_t began;
	unsigned int num_clients;
	uint64_t last_client;
	LIST_HEAD(, client) clients;
};

static json_t *number(uint64_t n)
{
	return n == LIMIT_NONE ? json_null() :
				 json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

static json_t *show_limits(struct limits *limits)
{
	json_t *all = json_object();
	unsigned int i;

	for (i = 0; i < LIMIT_COUNT; i++)
		json_object_set_new(all, limit_name(i),
				    json_pack("{s:o, s:o, s:o, s:s}", "used",
					      number(atomic_load(&limits->used[i])), "max",
					      number(limit_max(limits, i)), "refused",
					      number(atomic_load(&limits->refused[i])), "what",
					      limit_what(i)));
	return all;
}

static json_t *show_devices(const struct vm *vm)
{
	json_t *all = json_array();
	unsigned int i;

	for (i = 0; i < HYV_MAX_DEVICES; i++) {
		const struct device *dev = vm->devices[i];
		uint64_t guid;
		char text[20];

		if (!dev)
			continue;
		guid = dev->info.node_guid;
		snprintf(text, sizeof(text), "%04x:%04x:%04x:%04x", (unsigned int)(guid >> 48),
			 (unsigned int)(guid >> 32 & 0xffff), (unsigned int)(guid >> 16 & 0xffff),
			 (unsigned int)(guid & 0xffff));
		json_array_append_new(
			all, json_pack("{s:i, s:s, s:s, s:s, s:s, s:b}", "index", (int)i, "name",
				       dev->name, "guid", text, "provider", dev->provider->name,
				       "uverbs", dev->uverbs_path, "ud",
				       gid_allows_ud(vm, dev) && !device_is_iwarp(dev)));
	}
	return all;
}

static json_t *show_going(const struct hotplug *hotplug)
{
	json_t *all = json_array();
	const char *name;
	unsigned int i;

	for (i = 0; (name = hotplug_going(hotplug, i)); i++)
		json_array_append_new(all, json_string(name));
	return all;
}

/** struct walk - what show_object() adds to; @objects: NULL when not asked for */
struct walk {
	json_t *contexts;
	json_t *objects;
};

static const char *type_name(enum obj_type type)
{
	static const char *const names[] = {
		[OBJ_CONTEXT] = "context", [OBJ_PD] = "pd", [OBJ_MR] = "mr",
		[OBJ_CQ] = "cq",	   [OBJ_QP] = "qp", [OBJ_SRQ] = "srq",
		[OBJ_AH] = "ah",	   [OBJ_MW] = "mw", [OBJ_CM] = "cm_id",
	};

	return type < sizeof(names) / sizeof(names[0]) && names[type] ? names[type] : "other";
}

static void show_object(const struct obj *obj, void *arg)
{
	const struct context *ctx = obj->context;
	struct walk *walk = arg;
	json_t *json;
	unsigned int i;

	if (obj->type == OBJ_CONTEXT) {
		json = json_pack("{s:I, s:s}", "id", (json_int_t)obj->id, "device",
				 ctx->device->name);
		for (i = LIMIT_PDS; i <= LIMIT_PAGES; i++)
			json_object_set_new(json, limit_name(i),
					    number(atomic_load(&ctx->charges.n[i])));
		json_array_append_new(walk->contexts, json);
	} else if (walk->objects) {
		/* connections have no context */
		json = json_pack("{s:I, s:s, s:o, s:I}", "id", (json_int_t)obj->id, "type",
				 type_name(obj->type), "context",
				 ctx ? number(ctx->obj.id) : json_null(), "handle",
				 (json_int_t)obj->handle);
		json_array_append_new(walk->objects, json);
	}
}

static json_t *show(struct client *client, const json_t *request, const char **error)
{
	struct control *control = client->control;
	struct vm *vm = control->vm;
	bool objects = json_is_true(json_object_get(request, "objects"));
	struct walk walk = { json_array(), objects ? json_array() : NULL };
	json_t *answer;

	(void)error;
	objtab_walk(vm->objtab, show_object, &walk);
	answer = json_pack("{s:s, s:s?, s:I, s:b, s:I, s:o, s:o, s:o, s:o}", "name", vm->name,
			   "socket", vm->socket, "uptime_ns",
			   (json_int_t)(stats_now() - control->began), "connected",
			   vm->window_is_live, "window_size", (json_int_t)vm->window_size,
			   "devices", show_devices(vm), "going", show_going(vm->hotplug), "limits",
			   show_limits(&vm->limits), "contexts", walk.contexts);
	if (walk.objects)
		json_object_set_new(answer, "objects", walk.objects);
	return answer;
}

static json_t *show_op(const struct stats_op *op)
{
	json_t *buckets = json_array();
	unsigned int i;

	for (i = 0; i < STATS_BUCKETS; i++)
		json_array_append_new(buckets, number(op->bucket[i]));
	return json_pack("{s:o, s:o, s:o, s:o}", "count", number(op->count), "errors",
			 number(op->errors), "total_ns", number(op->total_ns), "buckets", buckets);
}

/* buckets[i] counts what took less than 2^i microseconds; the last the rest */
static json_t *stats(struct client *client, const json_t *request, const char **error)
{
	const struct vm *vm = client->control->vm;
	json_t *ops = json_object();
	unsigned int i;

	(void)request;
	(void)error;
	for (i = 0; i < HYV_OP_COUNT; i++)
		if (vm->stats.ops[i].count)
			json_object_set_new(ops, stats_op_name(i), show_op(&vm->stats.ops[i]));
	return json_pack("{s:s, s:o}", "name", vm->name, "ops", ops);
}

/* all of them or none */
static json_t *limit(struct client *client, const json_t *request, const char **error)
{
	struct vm *vm = client->control->vm;
	struct limits *limits = &vm->limits;
	json_t *set = json_object_get(request, "set"), *value;
	uint64_t wanted[LIMIT_COUNT];
	bool is_wanted[LIMIT_COUNT] = { false };
	const char *name;
	unsigned int i;

	json_object_foreach(set, name, value)
	{
		enum limit which = limit_find(name);

		if (which == LIMIT_COUNT || !json_is_string(value) ||
		    !limit_parse(json_string_value(value), &wanted[which])) {
			*error = which == LIMIT_COUNT ?
					 "there is no such limit" :
					 "a limit is a number, with suffix K, M or G, or 'none'";
			return NULL;
		}
		is_wanted[which] = true;
	}
	for (i = 0; i < LIMIT_COUNT; i++) {
		if (!is_wanted[i])
			continue;
		atomic_store(&limits->max[i], wanted[i]);
		if (wanted[i] == LIMIT_NONE)
			log_info("no limit of '%s' any more", limit_name(i));
		else
			log_info("the limit of '%s' is %" PRIu64 " now", limit_name(i), wanted[i]);
	}
	return json_pack("{s:s, s:o}", "name", vm->name, "limits", show_limits(limits));
}

static json_t *attach(struct client *client, const json_t *request, const char **error)
{
	const json_t *addresses = json_object_get(request, "addresses"), *address;
	struct hotplug_attach what = {
		.device = json_string_value(json_object_get(request, "device")),
	};
	size_t i;

	*error = "'device' is the name of one; 'addresses' is a list of up to 32 of an IP each";
	if (!what.device || (addresses && !json_is_array(addresses)) ||
	    json_array_size(addresses) > VM_MAX_ADDRESSES)
		return NULL;
	json_array_foreach(addresses, i, address)
	{
		what.addresses[i] = json_string_value(address);
		if (!what.addresses[i] || strlen(what.addresses[i]) >= OPTIONS_ADDRESS_LEN)
			return NULL;
		what.num_addresses++;
	}
	*error = "no memory";
	client->is_waiting = !hotplug_attach(client->control->vm->hotplug, &what, client->id);
	return NULL;
}

static json_t *detach(struct client *client, const json_t *request, const char **error)
{
	const char *device = json_string_value(json_object_get(request, "device"));
	static char why[512]; /* until it is in the answer, which is next */

	*error = "'device' is the name of one";
	if (!device)
		return NULL;
	*error = why;
	client->is_waiting = !hotplug_detach(client->control->vm->hotplug, device,
					     json_is_true(json_object_get(request, "force")),
					     client->id, why, sizeof(why));
	return NULL;
}

static const char *gid_type_name(const struct device *dev, uint32_t type)
{
	if (device_is_iwarp(dev))
		return "iWARP";
	return type == IB_UVERBS_GID_TYPE_ROCE_V2 ? "RoCE v2" :
	       type == IB_UVERBS_GID_TYPE_ROCE_V1 ? "RoCE v1" :
						    "IB";
}

/* @entry: of the host's table, or NULL; @address: of the VM, or NULL */
static json_t *show_gid(const struct device *dev, const struct ib_uverbs_gid_entry *entry,
			const struct address *address)
{
	char gid[INET6_ADDRSTRLEN], ip[GID_TEXT_LEN], text[GID_TEXT_LEN + 4] = "";
	/* of an iWARP device they are no addresses, of one without addresses the VM has all */
	bool is_allowed = address || device_is_iwarp(dev) || !dev->has_addresses;

	inet_ntop(AF_INET6, entry ? (const void *)entry->gid : address->gid, gid, sizeof(gid));
	if (address) {
		gid_print(address->gid, ip);
		snprintf(text, sizeof(text), "%s/%u", ip, address->prefix_len);
	}
	return json_pack("{s:s, s:o, s:o, s:s, s:s?, s:b, s:b, s:s?}", "device", dev->name, "port",
			 entry ? json_integer(entry->port_num) : json_null(), "index",
			 entry ? json_integer(entry->gid_index) : json_null(), "gid", gid, "type",
			 entry ? gid_type_name(dev, entry->gid_type) : NULL, "allowed", is_allowed,
			 "present", !address || entry || address->is_there, "address",
			 address ? text : NULL);
}

static void show_gids_of(struct vm *vm, const struct device *dev, json_t *all)
{
	struct address addresses[VM_MAX_ADDRESSES];
	unsigned int num_addresses = gid_addresses(vm, dev, addresses), i;
	bool is_shown[VM_MAX_ADDRESSES] = { false };
	struct ib_uverbs_gid_entry *entries = NULL;
	int num = gid_read_table(dev, &entries), e;

	for (e = 0; e < num; e++) {
		for (i = 0; i < num_addresses; i++)
			if (!memcmp(addresses[i].gid, entries[e].gid, sizeof(addresses[i].gid)))
				break;
		if (i < num_addresses)
			is_shown[i] = true;
		json_array_append_new(
			all, show_gid(dev, &entries[e], i < num_addresses ? &addresses[i] : NULL));
	}
	free(entries);
	for (i = 0; i < num_addresses; i++)
		if (!is_shown[i])
			json_array_append_new(all, show_gid(dev, NULL, &addresses[i]));
}

static json_t *gid(struct client *client, const json_t *request, const char **error)
{
	const char *add = json_string_value(json_object_get(request, "add"));
	const char *del = json_string_value(json_object_get(request, "del"));
	struct gidwatch_change change = {
		.device = json_string_value(json_object_get(request, "device")),
		.address = add ? add : del,
		.is_added = add,
	};
	struct vm *vm = client->control->vm;
	static char why[512]; /* until it is in the answer, which is next */
	json_t *all;
	unsigned int i;

	if (json_object_size(request) == 1) {
		all = json_array();
		for (i = 0; i < HYV_MAX_DEVICES; i++)
			if (vm->devices[i])
				show_gids_of(vm, vm->devices[i], all);
		return json_pack("{s:s, s:o}", "name", vm->name, "gids", all);
	}
	*error = "'device' is the name of one; 'add' or 'del' is an IP address or a GID";
	if (!change.device || !add == !del)
		return NULL;
	*error = why;
	client->is_waiting = !gidwatch_change(vm->gidwatch, &change, client->id, why, sizeof(why));
	return NULL;
}

/** struct command - @exec: its answer, or NULL and @error unless the client waits */
struct command {
	const char *name;
	json_t *(*exec)(struct client *client, const json_t *request, const char **error);
};

static const struct command commands[] = {
	{ "show", show },     { "stats", stats },   { "limit", limit },
	{ "attach", attach }, { "detach", detach }, { "gid", gid },
};

static json_t *exec(struct client *client, const json_t *request, const char **error)
{
	const char *name = json_string_value(json_object_get(request, "cmd"));
	size_t i;

	*error = "no memory";
	for (i = 0; name && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(name, commands[i].name))
			return commands[i].exec(client, request, error);
	*error =
		"there is no such command: 'show', 'stats', 'limit', 'attach', 'detach' and 'gid' are";
	return NULL;
}

/* let an answer be sent. @answer: taken over; NULL: @error. Return: 0 or -ENOMEM */
static int put_answer(struct client *client, json_t *answer, const char *error)
{
	char *text;

	if (answer)
		json_object_set_new(answer, "ok", json_true());
	else
		answer = json_pack("{s:b, s:s}", "ok", 0, "error", error);
	text = json_dumps(answer, JSON_COMPACT);
	json_decref(answer);
	if (!text)
		return -ENOMEM;
	client->out = text;
	client->out_sent = 0;
	client->out_len = strlen(text) + 1;
	text[client->out_len - 1] = '\n'; /* jansson's NUL is not needed */
	return 0;
}

/* Return: 0, and there is an answer to the line or the client waits; or -ENOMEM */
static int answer_line(struct client *client, const char *line, size_t len)
{
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL), *answer = NULL;
	const char *error = "the request is no line of JSON";
	int ret = 0;

	if (json_is_object(request))
		answer = exec(client, request, &error);
	if (!client->is_waiting)
		ret = put_answer(client, answer, error);
	json_decref(request);
	return ret;
}

static void client_destroy(struct client *client)
{
	LIST_REMOVE(client, others);
	client->control->num_clients--;
	sd_event_source_unref(client->source);
	close(client->fd);
	free(client->out);
	free(client);
}

/* Return: 1 when there is nothing left to send, 0 when that has to wait, or a negative errno */
static int client_send(struct client *client)
{
	ssize_t n;

	while (client->out && client->out_sent < client->out_len) {
		n = send(client->fd, client->out + client->out_sent,
			 client->out_len - client->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		client->out_sent += (size_t)n;
	}
	free(client->out);
	client->out = NULL;
	return 1;
}

/* answer the lines that are complete. Return: as client_send() */
static int client_answer(struct client *client)
{
	int ret = client_send(client);
	char *end;

	while (ret > 0 && !client->is_waiting && (end = memchr(client->in, '\n', client->in_len))) {
		if (answer_line(client, client->in, (size_t)(end - client->in)))
			return -ENOMEM;
		client->in_len -= (size_t)(end + 1 - client->in);
		memmove(client->in, end + 1, client->in_len);
		ret = client_send(client);
	}
	if (ret > 0 && !client->is_waiting && client->in_len == sizeof(client->in))
		return -EMSGSIZE;
	return ret;
}

/* answer what can be, and wait for what comes next; the client may be gone after this */
static void client_go_on(struct client *client)
{
	int ret = client_answer(client);

	if (ret < 0)
		client_destroy(client);
	else
		sd_event_source_set_io_events(client->source, !ret		 ? EPOLLOUT :
							      client->is_waiting ? 0 :
										   EPOLLIN);
}

void control_done(struct control *control, uint64_t id, const char *device, const char *error)
{
	struct client *client;

	if (!id)
		return;
	LIST_FOREACH(client, &control->clients, others)
		if (client->id == id && client->is_waiting)
			break;
	if (!client)
		return;
	client->is_waiting = false;
	if (put_answer(client,
		       error ? NULL :
			       json_pack("{s:s, s:s}", "name", control->vm->name, "device", device),
		       error))
		client_destroy(client);
	else
		client_go_on(client);
}

static int client_ready(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct client *client = arg;
	ssize_t n;

	(void)source;
	if (revents & EPOLLIN) {
		n = recv(fd, client->in + client->in_len, sizeof(client->in) - client->in_len,
			 MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN)) {
			client_destroy(client);
			return 0;
		}
		client->in_len += n > 0 ? (size_t)n : 0;
	}
	if (revents & EPOLLERR || (client->is_waiting && revents & EPOLLHUP))
		client_destroy(client);
	else
		client_go_on(client);
	return 0;
}

static int on_connect(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct control *control = arg;
	struct client *client;
	int sock = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

	(void)source;
	(void)revents;
	if (sock < 0)
		return 0;
	client = control->num_clients < MAX_CLIENTS ? calloc(1, sizeof(*client)) : NULL;
	if (!client || sd_event_add_io(control->vm->loop, &client->source, sock, EPOLLIN,
				       client_ready, client) < 0) {
		free(client);
		close(sock);
		return 0;
	}
	client->control = control;
	client->id = ++control->last_client;
	client->fd = sock;
	control->num_clients++;
	LIST_INSERT_HEAD(&control->clients, client, others);
	return 0;
}

int control_create(struct control **out, struct vm *vm, int listen_fd)
{
	struct control *control = calloc(1, sizeof(*control));
	int ret;

	if (!control)
		return -ENOMEM;
	control->vm = vm;
	control->fd = listen_fd;
	control->began = stats_now();
	LIST_INIT(&control->clients);
	ret = listener_add(vm->loop, &control->source, listen_fd, on_connect, control);
	if (ret) {
		free(control);
		return ret;
	}
	*out = control;
	return 0;
}

void control_destroy(struct control *control)
{
	struct client *client;

	while ((client = LIST_FIRST(&control->clients)))
		client_destroy(client); /* NOLINT: LIST is beyond the analyser */
	sd_event_source_unref(control->source);
	close(control->fd);
	free(control);
}
