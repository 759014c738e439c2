// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cm.c: the guest's connections, with a fake rdma_cm in place of ucma.c. The right order connects; any
 * other, of the guest's requests and of the host's events, ends in errors, tells the guest nothing
 * twice, and leaves nothing behind.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "cm.h"
#include "cmd.h"
#include "context.h"
#include "qp.h"
#include "random.h"
#include "ucma.h"

#define MAX_HOST_IDS 32768

/* enum rdma_cm_event_type */
enum {
	ADDR_RESOLVED,
	ADDR_ERROR,
	ROUTE_RESOLVED,
	ROUTE_ERROR,
	CONNECT_REQUEST,
	CONNECT_RESPONSE,
	CONNECT_ERROR,
	UNREACHABLE,
	REJECTED,
	ESTABLISHED,
	DISCONNECTED,
	DEVICE_REMOVAL,
	NUM_EVENTS
};

/* ---- the fake: what ucma.c would do to the host ---- */

static pthread_mutex_t fake_lock = PTHREAD_MUTEX_INITIALIZER; /* guards all of the fake */
static struct rdma_ucm_event_resp events[64];
static unsigned int first_event, last_event;
static unsigned int times_idle;
static bool is_alive[MAX_HOST_IDS];
static uint32_t num_host_ids;
static unsigned int num_modified;
static int next_error; /* of the next command that can fail */
static int fake_fd;

static int take_error(void)
{
	int ret = next_error;

	next_error = 0;
	return ret;
}

int ucma_open(void)
{
	fake_fd = eventfd(0, EFD_NONBLOCK);
	return fake_fd;
}

static uint32_t new_host_id(void)
{
	uint32_t id = num_host_ids++;

	assert_true(id < MAX_HOST_IDS);
	is_alive[id] = true;
	return id;
}

int ucma_create(int fd, uint64_t uid, uint32_t *id)
{
	int ret;

	(void)fd;
	(void)uid;
	pthread_mutex_lock(&fake_lock);
	ret = take_error();
	if (!ret)
		*id = new_host_id();
	pthread_mutex_unlock(&fake_lock);
	return ret;
}

static struct vm *reset_meanwhile; /* whose guest resets itself while the next id is destroyed */

int ucma_destroy(int fd, uint32_t id)
{
	struct vm *vm = reset_meanwhile;

	(void)fd;
	reset_meanwhile = NULL;
	if (vm)
		cm_destroy_all(vm, DEVICE_ANY);
	pthread_mutex_lock(&fake_lock);
	assert_true(is_alive[id]);
	is_alive[id] = false;
	pthread_mutex_unlock(&fake_lock);
	return 0;
}

/* any command on an id: it must be one that is there */
static int use(uint32_t id)
{
	int ret;

	pthread_mutex_lock(&fake_lock);
	assert_true(is_alive[id]);
	ret = take_error();
	pthread_mutex_unlock(&fake_lock);
	return ret;
}

static struct sockaddr_in6 last_local;
static unsigned int num_listening;

int ucma_bind(int fd, uint32_t id, const struct sockaddr_in6 *local)
{
	(void)fd;
	last_local = *local;
	return use(id);
}

int ucma_listen(int fd, uint32_t id, uint32_t backlog)
{
	(void)fd;
	(void)backlog;
	num_listening++;
	return use(id);
}

int ucma_resolve_addr(int fd, uint32_t id, const struct sockaddr_in6 *local,
		      const struct sockaddr_in6 *remote, uint32_t timeout_ms)
{
	(void)fd;
	(void)remote;
	(void)timeout_ms;
	last_local = *local;
	return use(id);
}

int ucma_resolve_route(int fd, uint32_t id, uint32_t timeout_ms)
{
	(void)fd;
	(void)timeout_ms;
	return use(id);
}

static bool is_nowhere; /* nobody answers: only a signal ends the wait */
static unsigned int num_waiting;
static unsigned int num_connecting; /* so far */

int ucma_connect(int fd, uint32_t id, const struct rdma_ucm_conn_param *param)
{
	const struct timespec tcp_timeout = { .tv_sec = 127 };
	int ret;

	(void)fd;
	assert_int_equal(param->valid, 1);
	pthread_mutex_lock(&fake_lock);
	num_connecting++;
	pthread_mutex_unlock(&fake_lock);
	if (!is_nowhere)
		return use(id);
	pthread_mutex_lock(&fake_lock);
	num_waiting++;
	pthread_mutex_unlock(&fake_lock);
	ret = nanosleep(&tcp_timeout, NULL) ? -errno : -ETIMEDOUT;
	pthread_mutex_lock(&fake_lock);
	num_waiting--;
	assert_true(is_alive[id]);
	pthread_mutex_unlock(&fake_lock);
	return ret;
}

int ucma_accept(int fd, uint32_t id, uint64_t uid, const struct rdma_ucm_conn_param *param)
{
	(void)fd;
	(void)uid;
	(void)param;
	return use(id);
}

int ucma_reject(int fd, uint32_t id, const void *data, uint8_t len)
{
	(void)fd;
	(void)data;
	(void)len;
	return use(id);
}

int ucma_disconnect(int fd, uint32_t id)
{
	(void)fd;
	return use(id);
}

int ucma_init_qp_attr(int fd, uint32_t id, uint32_t state, struct ib_uverbs_qp_attr *attr)
{
	(void)fd;
	attr->qp_state = (uint8_t)state;
	return use(id);
}

static const uint8_t *asked_address; /* by every request */
static struct rdma_ucm_query_route_resp bound; /* every id, to that device */

int ucma_query_route(int fd, uint32_t id, struct rdma_ucm_query_route_resp *route)
{
	(void)fd;
	(void)id; /* of a hostile guest's request it may be gone */
	*route = bound;
	route->src_addr.sin6_family = AF_INET6;
	memcpy(&route->src_addr.sin6_addr, asked_address, 16);
	route->dst_addr = route->src_addr;
	return 0;
}

int ucma_get_event(int fd, struct rdma_ucm_event_resp *event)
{
	uint64_t count;
	int ret = -EAGAIN;

	pthread_mutex_lock(&fake_lock);
	if (first_event != last_event) {
		*event = events[first_event++ % 64];
		ret = 0;
	} else {
		times_idle++;
		(void)!read(fd, &count, sizeof(count));
	}
	pthread_mutex_unlock(&fake_lock);
	return ret;
}

int __wrap_qp_modify(struct qp *qp, const struct ib_uverbs_qp_attr *attr);
int __wrap_qp_modify(struct qp *qp, const struct ib_uverbs_qp_attr *attr)
{
	(void)qp;
	(void)attr;
	num_modified++;
	return 0;
}

/* ---- the VM around it ---- */

#define NUM_QPS 6

/** struct fixture - a VM with two addresses, and a device with QPs, of which most tests use one */
struct fixture {
	struct vm vm;
	struct device device;
	struct context ctx;
	struct qp qp;
	struct qp other_qps[NUM_QPS];
};

static const uint8_t own[16] = { [10] = 0xff, [11] = 0xff, 10, 9, 0, 11 };
static const uint8_t own6[16] = { 0xfd, [15] = 11 };
static const uint8_t foreign[16] = { [10] = 0xff, [11] = 0xff, 10, 9, 0, 12 };
static const uint8_t any4[16] = { [10] = 0xff, [11] = 0xff };
static const uint8_t any6[16];

static void nothing(struct obj *obj)
{
	(void)obj;
}

static void bind_all_to(const struct netlink_rdma_device *info)
{
	bound = (struct rdma_ucm_query_route_resp){
		.node_guid = htobe64(info->node_guid), .ibdev_index = info->index, .port_num = 1
	};
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	uint32_t i;

	limit_init(&f->vm.limits);
	f->vm.objtab = objtab_create();
	assert_true(sd_event_new(&f->vm.loop) >= 0);
	f->vm.devices[0] = &f->device;
	f->device.refs = 1;
	memcpy(f->vm.addresses[0].gid, own, 16);
	memcpy(f->vm.addresses[1].gid, own6, 16);
	for (i = 0; i < 2; i++) {
		f->vm.addresses[i].device = &f->device;
		f->vm.addresses[i].id = i;
		f->vm.addresses[i].is_there = true;
	}
	f->vm.num_addresses = 2;
	f->vm.next_address_id = 2;
	asked_address = own;
	f->device.info.index = 3;
	f->device.info.node_guid = 0x0123456789abcdef;
	bind_all_to(&f->device.info);
	f->ctx.vm = &f->vm;
	f->ctx.device = &f->device;
	TAILQ_INIT(&f->ctx.children);
	obj_init(f->vm.objtab, &f->ctx.obj, OBJ_CONTEXT, NULL, nothing);
	f->ctx.obj.context = &f->ctx;
	objtab_publish(f->vm.objtab, &f->ctx.obj);
	obj_init(f->vm.objtab, &f->qp.obj, OBJ_QP, &f->ctx, nothing);
	objtab_publish(f->vm.objtab, &f->qp.obj);
	for (i = 0; i < NUM_QPS; i++) {
		obj_init(f->vm.objtab, &f->other_qps[i].obj, OBJ_QP, &f->ctx, nothing);
		objtab_publish(f->vm.objtab, &f->other_qps[i].obj);
	}
	next_error = 0;
	is_nowhere = false;
	assert_int_equal(cm_create(&f->vm.cm, &f->vm, true), 0);
	*state = f;
	return 0;
}

static unsigned int count_alive(void)
{
	unsigned int n = 0;
	uint32_t id;

	for (id = 0; id < num_host_ids; id++)
		n += is_alive[id];
	return n;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	cm_destroy_all(&f->vm, DEVICE_ANY);
	assert_null(objtab_first(f->vm.objtab, OBJ_CM, DEVICE_ANY));
	assert_int_equal(count_alive(), 0);
	assert_null(f->qp.cm);
	assert_int_equal(f->vm.limits.used[LIMIT_CM_IDS], 0);
	cm_destroy(f->vm.cm);
	objtab_remove_context(f->vm.objtab, &f->ctx);
	objtab_destroy(f->vm.objtab);
	sd_event_unref(f->vm.loop);
	free(f);
	return 0;
}

/* the host's rdma_cm has an event, and cm.c has seen to it when this returns */
static void host_says(uint64_t uid, uint32_t event, uint32_t host_id)
{
	static const uint64_t one = 1;
	unsigned int before;
	bool is_done = false;

	pthread_mutex_lock(&fake_lock);
	events[last_event++ % 64] = (struct rdma_ucm_event_resp){
		.uid = uid,
		.event = event,
		.id = host_id,
		.param.conn = { .private_data_len = 3, .private_data = "abc" },
	};
	before = times_idle;
	assert_int_equal(write(fake_fd, &one, sizeof(one)), sizeof(one));
	pthread_mutex_unlock(&fake_lock);
	while (!is_done) {
		pthread_mutex_lock(&fake_lock);
		is_done = first_event == last_event && times_idle > before;
		pthread_mutex_unlock(&fake_lock);
		usleep(10);
	}
}

/* a request of the guest's, as dispatch.c brings it */
static int ask(struct fixture *f, int (*exec)(struct cmd *cmd), uint64_t target, enum obj_type type,
	       const void *req, void *resp)
{
	struct cmd cmd = { .vm = &f->vm, .req = req, .resp = resp };
	int ret;

	if (type != OBJ_NONE)
		cmd.target = objtab_get(f->vm.objtab, target, type);
	if (type != OBJ_NONE && !cmd.target)
		return -ENOENT;
	ret = exec(&cmd);
	cmd_put_object(&cmd, cmd.target);
	return ret;
}

static int guest_connects_qp(struct fixture *f, const struct qp *qp, const uint8_t *local,
			     uint64_t *id)
{
	struct hyv_req_cm_connect req = { .qp = htole64(qp->obj.id) };
	struct hyv_resp_cm_connect resp = { 0 };
	int ret;

	memcpy(req.local.addr, local, 16);
	memcpy(req.remote.addr, foreign, 16);
	if (local == own6)
		memcpy(req.remote.addr, own6, 16);
	ret = ask(f, cm_connect_exec, qp->obj.id, OBJ_QP, &req, &resp);
	*id = le64toh(resp.cm);
	return ret;
}

static int guest_connects(struct fixture *f, const uint8_t *local, uint64_t *id)
{
	return guest_connects_qp(f, &f->qp, local, id);
}

static int guest_listens(struct fixture *f, const uint8_t *local, uint32_t flags, uint64_t *id)
{
	struct hyv_req_cm_listen req = { .local.port = htobe16(7174),
					 .backlog = htole32(2),
					 .flags = htole32(flags) };
	struct hyv_resp_cm_listen resp = { 0 };
	int ret;

	memcpy(req.local.addr, local, 16);
	ret = ask(f, cm_listen_exec, 0, OBJ_NONE, &req, &resp);
	*id = le64toh(resp.cm);
	return ret;
}

static int guest_accepts(struct fixture *f, uint64_t id)
{
	struct hyv_req_cm_accept req = { .cm = htole64(id), .qp = htole64(f->qp.obj.id) };

	return ask(f, cm_accept_exec, id, OBJ_CM, &req, NULL);
}

static int guest_rejects(struct fixture *f, uint64_t id)
{
	struct hyv_req_cm_reject req = { .cm = htole64(id) };

	return ask(f, cm_reject_exec, id, OBJ_CM, &req, NULL);
}

static int guest_disconnects(struct fixture *f, uint64_t id)
{
	return ask(f, cm_disconnect_exec, id, OBJ_CM, NULL, NULL);
}

static int guest_destroys(struct fixture *f, uint64_t id)
{
	return ask(f, cm_destroy_exec, id, OBJ_CM, NULL, NULL);
}

static uint32_t guest_gets(struct fixture *f, uint64_t id, struct hyv_resp_cm_get_event *event)
{
	memset(event, 0, sizeof(*event));
	assert_int_equal(ask(f, cm_get_event_exec, id, OBJ_CM, NULL, event), 0);
	return le32toh(event->type);
}

static uint32_t host_id_of_request(void)
{
	uint32_t id;

	pthread_mutex_lock(&fake_lock);
	id = new_host_id();
	pthread_mutex_unlock(&fake_lock);
	return id;
}

/* ---- the tests ---- */

static void a_connection_is_made_and_ended(void **state)
{
	struct hyv_resp_cm_get_event event;
	struct fixture *f = *state;
	uint64_t id;

	num_modified = 0;
	assert_int_equal(guest_connects(f, own, &id), 0);
	assert_int_equal(guest_gets(f, id, &event), HYV_CM_NONE);
	host_says(id, ADDR_RESOLVED, 0);
	host_says(id, ROUTE_RESOLVED, 0);
	assert_int_equal(guest_gets(f, id, &event), HYV_CM_NONE);
	assert_int_equal(num_modified, 0);
	host_says(id, CONNECT_RESPONSE, 0);
	assert_int_equal(num_modified, 3);
	assert_true(objtab_any_event(f->vm.objtab));
	assert_int_equal(guest_gets(f, id, &event), HYV_CM_REPLY);
	assert_int_equal(event.status, 0);
	assert_int_equal(le32toh(event.param.data_len), 3);
	assert_memory_equal(event.param.data, "abc", 3);
	assert_int_equal(guest_gets(f, id, &event), HYV_CM_NONE);
	assert_int_equal(guest_disconnects(f, id), 0);
	host_says(id, DISCONNECTED, 0);
	assert_int_equal(guest_gets(f, id, &event), HYV_CM_CLOSE);
	assert_int_equal(guest_gets(f, id, &event), HYV_CM_NONE);
	assert_int_equal(guest_disconnects(f, id), -ENOTCONN);
	assert_int_equal(guest_destroys(f, id), 0);
	assert_int_equal(guest_destroys(f, id), -ENOENT);
	assert_int_equal(count_alive(), 0);
}

static void a_request_is_accepted(void **state)
{
	struct hyv_resp_cm_get_event event;
	struct fixture *f = *state;
	uint64_t listener, id;

	assert_int_equal(guest_listens(f, own, 0, &listener), 0);
	assert_int_equal(count_alive(), 1);
	host_says(listener, CONNECT_REQUEST, host_id_of_request());
	assert_int_equal(guest_gets(f, listener, &event), HYV_CM_REQUEST);
	id = le64toh(event.request);
	assert_int_equal(guest_gets(f, listener, &event), HYV_CM_NONE);
	assert_int_equal(guest_accepts(f, id), 0);
	assert_int_equal(guest_accepts(f, id), -EINVAL);
	assert_int_equal(guest_gets(f, id, &event), HYV_CM_NONE);
	host_says(id, ESTABLISHED, 0);
	assert_int_equal(guest_gets(f, id, &event), HYV_CM_ESTABLISHED);
	assert_int_equal(guest_destroys(f, listener), 0);
	host_says(id, DISCONNECTED, 0);
	assert_int_equal(guest_gets(f, id, &event), HYV_CM_CLOSE);
	assert_int_equal(count_alive(), 1);
}

static void a_request_cannot_be_accepted_with_just_any_qp(void **state)
{
	struct hyv_resp_cm_get_event event;
	struct fixture *f = *state;
	struct device other = { .id = 7 };
	uint64_t listener, id, connecting;

	assert_int_equal(guest_listens(f, own, 0, &listener), 0);
	host_says(listener, CONNECT_REQUEST, host_id_of_request());
	assert_int_equal(guest_gets(f, listener, &event), HYV_CM_REQUEST);
	id = le64toh(event.request);
	f->ctx.device = &other; /* its GIDs are others */
	assert_int_equal(guest_accepts(f, id), -EINVAL);
	f->ctx.device = &f->device;
	assert_int_equal(guest_connects(f, own, &connecting), 0);
	assert_int_equal(guest_accepts(f, id), -EISCONN);
	assert_int_equal(guest_destroys(f, connecting), 0);
	f->qp.is_dying = true;
	assert_int_equal(guest_accepts(f, id), -ENOENT);
	f->qp.is_dying = false;
	assert_int_equal(guest_accepts(f, listener), -EINVAL);
	assert_null(f->qp.cm);
	assert_int_equal(guest_accepts(f, id), 0);
	/* it is not established: the host would wait for that */
	assert_int_equal(guest_disconnects(f, id), -ENOTCONN);
	assert_int_equal(guest_rejects(f, id), -EINVAL);
	assert_int_equal(guest_destroys(f, id), 0); /* whoever accepts was killed */
	assert_null(f->qp.cm);
	assert_int_equal(count_alive(), 1);
}

static void only_the_vms_addresses_can_be_used(void **state)
{
	struct fixture *f = *state;
	uint64_t id;

	assert_int_equal(guest_connects(f, foreign, &id), -EADDRNOTAVAIL);
	assert_int_equal(guest_connects(f, any4, &id), -EADDRNOTAVAIL);
	assert_int_equal(guest_listens(f, foreign, 0, &id), -EADDRNOTAVAIL);
	assert_int_equal(count_alive(), 0);
	f->vm.addresses[0].device = NULL; /* one of another device */
	assert_int_equal(guest_connects(f, own, &id), -EADDRNOTAVAIL);
	assert_int_equal(guest_listens(f, own, 0, &id), -EADDRNOTAVAIL);
}

static void a_wildcard_is_every_address_of_the_vm(void **state)
{
	struct fixture *f = *state;
	uint64_t id;

	assert_int_equal(guest_listens(f, any4, 0, &id), 0);
	assert_int_equal(count_alive(), 1);
	assert_int_equal(last_local.sin6_family, AF_INET);
	assert_int_equal(guest_destroys(f, id), 0);
	assert_int_equal(guest_listens(f, any6, 0, &id), 0);
	assert_int_equal(count_alive(), 2);
	assert_int_equal(guest_destroys(f, id), 0);
	assert_int_equal(guest_listens(f, any6, HYV_CM_V6ONLY, &id), 0);
	assert_int_equal(count_alive(), 1);
	assert_memory_equal(&last_local.sin6_addr, own6, 16);
}

static void what_the_host_refuses_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	uint64_t id;

	next_error = -EMFILE;
	assert_int_equal(guest_connects(f, own, &id), -EMFILE);
	next_error = -EADDRINUSE;
	assert_int_equal(guest_listens(f, own, 0, &id), -EADDRINUSE);
	assert_int_equal(count_alive(), 0);
	assert_null(objtab_first(f->vm.objtab, OBJ_CM, DEVICE_ANY));
	assert_null(f->qp.cm);
	assert_int_equal(guest_connects(f, own6, &id), 0);
	assert_int_equal(guest_connects(f, own6, &id), -EISCONN);
}

static void requests_beyond_the_backlog_are_refused(void **state)
{
	struct hyv_resp_cm_get_event event;
	struct fixture *f = *state;
	uint64_t listener;
	unsigned int i;

	assert_int_equal(guest_listens(f, own, 0, &listener), 0);
	for (i = 0; i < 5; i++)
		host_says(listener, CONNECT_REQUEST, host_id_of_request());
	assert_int_equal(count_alive(), 1 + 2);
	assert_int_equal(guest_gets(f, listener, &event), HYV_CM_REQUEST);
	assert_int_equal(guest_destroys(f, listener), 0);
	assert_int_equal(count_alive(), 1); /* the one that the guest knows */
	host_says(listener, CONNECT_REQUEST, host_id_of_request());
	assert_int_equal(count_alive(), 1);
}

static void no_more_ids_than_the_limit(void **state)
{
	struct fixture *f = *state;
	uint64_t listener, other;

	f->vm.limits.max[LIMIT_CM_IDS] = 1;
	assert_int_equal(guest_listens(f, own, 0, &listener), 0);
	assert_int_equal(guest_listens(f, own6, 0, &other), -ENOMEM);
	host_says(listener, CONNECT_REQUEST, host_id_of_request());
	assert_int_equal(count_alive(), 1); /* the request was rejected */
	assert_int_equal(f->vm.limits.refused[LIMIT_CM_IDS], 2);
	assert_int_equal(guest_destroys(f, listener), 0);
	assert_int_equal(guest_listens(f, own6, 0, &other), 0);
}

static void a_connection_survives_its_qp_without_touching_it(void **state)
{
	struct hyv_resp_cm_get_event event;
	struct fixture *f = *state;
	uint64_t id;

	num_modified = 0;
	assert_int_equal(guest_connects(f, own, &id), 0);
	host_says(id, ADDR_RESOLVED, 0);
	host_says(id, ROUTE_RESOLVED, 0);
	cm_forget_qp(&f->vm, &f->qp);
	host_says(id, CONNECT_RESPONSE, 0);
	assert_int_equal(num_modified, 0);
	assert_int_equal(guest_gets(f, id, &event), HYV_CM_REPLY);
	assert_true((int32_t)le32toh(event.status) < 0);
	assert_int_equal(guest_gets(f, id, &event), HYV_CM_NONE);
}

static void wait_for_connectors(unsigned int num)
{
	bool is_so = false;

	while (!is_so) {
		pthread_mutex_lock(&fake_lock);
		is_so = num_waiting == num;
		pthread_mutex_unlock(&fake_lock);
		usleep(10);
	}
}

/* all QPs connect over an iWARP device to where nobody is: four wait in the host, the rest for those */
static void connect_to_nowhere(struct fixture *f, uint64_t ids[NUM_QPS])
{
	unsigned int i;

	f->device.info.node_type = RDMA_NODE_RNIC;
	is_nowhere = true;
	for (i = 0; i < NUM_QPS; i++) {
		assert_int_equal(guest_connects_qp(f, &f->other_qps[i], own, &ids[i]), 0);
		host_says(ids[i], ADDR_RESOLVED, 0);
		host_says(ids[i], ROUTE_RESOLVED, 0);
	}
	wait_for_connectors(4);
}

static void what_connects_to_nowhere_is_destroyed_at_once(void **state)
{
	struct fixture *f = *state;
	uint64_t ids[NUM_QPS], again;
	unsigned int i;

	connect_to_nowhere(f, ids);
	assert_int_equal(guest_destroys(f, ids[NUM_QPS - 1]), 0); /* was in the queue */
	assert_int_equal(guest_destroys(f, ids[0]), 0);
	assert_int_equal(count_alive(), NUM_QPS - 2);
	assert_null(f->other_qps[0].cm);
	wait_for_connectors(4); /* another has its connector */
	assert_int_equal(guest_connects_qp(f, &f->other_qps[0], own, &again), 0);
	assert_int_equal(guest_connects_qp(f, &f->other_qps[1], own, &again), -EISCONN);
	cm_destroy_all(&f->vm, DEVICE_ANY); /* as a reset does */
	assert_int_equal(count_alive(), 0);
	wait_for_connectors(0);
	for (i = 0; i < NUM_QPS; i++)
		assert_null(f->other_qps[i].cm);
}

static void a_qp_that_connects_to_nowhere_is_released_at_once(void **state)
{
	struct hyv_resp_cm_get_event event;
	struct fixture *f = *state;
	uint64_t ids[NUM_QPS], again;
	unsigned int i;

	connect_to_nowhere(f, ids);
	for (i = NUM_QPS; i-- > 1;) {
		cm_release_qp(&f->vm, &f->other_qps[i]);
		assert_null(f->other_qps[i].cm);
		assert_int_equal(guest_connects_qp(f, &f->other_qps[i], own, &again), -ENOENT);
	}
	wait_for_connectors(1); /* the others are told, once */
	assert_int_equal(guest_gets(f, ids[0], &event), HYV_CM_NONE);
	for (i = 1; i < NUM_QPS; i++) {
		assert_int_equal(guest_gets(f, ids[i], &event), HYV_CM_REPLY);
		assert_true((int32_t)le32toh(event.status) < 0);
		assert_int_equal(guest_gets(f, ids[i], &event), HYV_CM_NONE);
	}
	assert_int_equal(count_alive(), NUM_QPS);
}

/* a signal that was another's does not end it */
static void an_interrupted_connection_goes_on(void **state)
{
	struct hyv_resp_cm_get_event event;
	struct fixture *f = *state;
	uint64_t id;

	f->device.info.node_type = RDMA_NODE_RNIC;
	assert_int_equal(guest_connects(f, own, &id), 0);
	host_says(id, ADDR_RESOLVED, 0);
	next_error = -EINTR;
	host_says(id, ROUTE_RESOLVED, 0);
	host_says(id, ESTABLISHED, 0);
	assert_int_equal(guest_gets(f, id, &event), HYV_CM_REPLY);
	assert_int_equal(event.status, 0);
}

static void errors_of_the_host_are_told(void **state)
{
	static const struct {
		uint32_t event;
		int status;
	} cases[] = {
		{ ADDR_ERROR, -ETIMEDOUT },	  { ROUTE_ERROR, -ETIMEDOUT },
		{ UNREACHABLE, -ETIMEDOUT },	  { REJECTED, -ECONNREFUSED },
		{ CONNECT_ERROR, -ECONNABORTED }, { DEVICE_REMOVAL, -ECONNABORTED },
	};
	struct hyv_resp_cm_get_event event;
	struct fixture *f = *state;
	uint64_t id;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(guest_connects(f, own, &id), 0);
		host_says(id, cases[i].event, 0);
		assert_int_equal(guest_gets(f, id, &event), HYV_CM_REPLY);
		assert_int_equal((int32_t)le32toh(event.status), cases[i].status);
		host_says(id, CONNECT_RESPONSE, 0);
		assert_int_equal(guest_gets(f, id, &event), HYV_CM_NONE);
		assert_int_equal(guest_destroys(f, id), 0);
	}
}

static void what_is_on_a_device_that_goes_is_destroyed(void **state)
{
	struct hyv_resp_cm_get_event event;
	struct fixture *f = *state;
	uint64_t listener, id;

	assert_int_equal(guest_listens(f, own, 0, &listener), 0);
	assert_int_equal(guest_connects(f, own, &id), 0);
	host_says(listener, CONNECT_REQUEST, host_id_of_request());
	cm_destroy_all(&f->vm, f->device.id + 1);
	assert_int_equal(count_alive(), 3);
	assert_int_equal(guest_gets(f, listener, &event), HYV_CM_REQUEST);
	f->device.is_going = true;
	assert_int_equal(guest_listens(f, own, 0, &listener), -ENODEV);
	cm_forget_qp(&f->vm, &f->qp);
	assert_int_equal(guest_connects(f, own, &id), -ENODEV);
	host_says(listener, CONNECT_REQUEST, host_id_of_request()); /* rejected */
	assert_int_equal(count_alive(), 3);
	cm_destroy_all(&f->vm, f->device.id);
	assert_int_equal(count_alive(), 0);
	assert_null(f->qp.cm);
	gid_remove_addresses(&f->vm, &f->device);
	assert_int_equal(f->vm.num_addresses, 0);
	f->vm.devices[0] = NULL;
	assert_int_equal(guest_listens(f, own, 0, &id), -ENODEV);
	assert_int_equal(guest_connects(f, own, &id), -EADDRNOTAVAIL);
}

/* as gid.c does; the VM has @own6 at the end of its addresses, or not at all */
static void vm_has_own6(struct fixture *f, bool has)
{
	f->vm.num_addresses = 1;
	if (has) {
		f->vm.addresses[1].id = f->vm.next_address_id++;
		f->vm.num_addresses = 2;
	}
	cm_follow_addresses(&f->vm, &f->device);
}

static void listeners_follow_the_vms_addresses(void **state)
{
	struct fixture *f = *state;
	uint64_t any, one;

	assert_int_equal(guest_listens(f, any6, 0, &any), 0);
	assert_int_equal(guest_listens(f, own6, 0, &one), 0);
	assert_int_equal(count_alive(), 3);
	cm_follow_addresses(&f->vm, &f->device);
	assert_int_equal(count_alive(), 3);
	f->vm.addresses[1].is_there = false; /* the host's netdev has lost it: as natively */
	cm_follow_addresses(&f->vm, &f->device);
	assert_int_equal(count_alive(), 3);
	f->vm.addresses[1].is_there = true;
	vm_has_own6(f, false);
	assert_int_equal(count_alive(), 1);
	vm_has_own6(f, true);
	assert_int_equal(count_alive(), 3);
	vm_has_own6(f, true); /* taken and given again between two looks: another */
	assert_int_equal(count_alive(), 3);
	assert_memory_equal(&last_local.sin6_addr, own6, 16);
	assert_int_equal(guest_destroys(f, any), 0);
	assert_int_equal(guest_destroys(f, one), 0);
	vm_has_own6(f, false);
	vm_has_own6(f, true);
	assert_int_equal(count_alive(), 0);
}

static void listeners_that_are_destroyed_follow_no_further(void **state)
{
	struct fixture *f = *state;
	uint64_t any, one;

	assert_int_equal(guest_listens(f, own6, 0, &one), 0);
	assert_int_equal(guest_listens(f, any6, 0, &any), 0);
	assert_int_equal(count_alive(), 3);
	reset_meanwhile = &f->vm;
	vm_has_own6(f, true);
	assert_null(reset_meanwhile);
	assert_int_equal(count_alive(), 0);
}

static uint64_t cpu_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Return: how long they take to follow when the address that they listen on goes, in nanoseconds */
static uint64_t time_following(struct fixture *f, unsigned int num)
{
	uint64_t before, id;
	unsigned int i;

	vm_has_own6(f, true);
	for (i = 0; i < num; i++)
		assert_int_equal(guest_listens(f, own6, 0, &id), 0);
	assert_int_equal(count_alive(), num);
	before = cpu_time();
	vm_has_own6(f, false);
	before = cpu_time() - before;
	assert_int_equal(count_alive(), 0);
	cm_destroy_all(&f->vm, DEVICE_ANY);
	return before;
}

/* the guest can have many, and whoever wants the lock waits for all */
static void eight_times_the_listeners_follow_in_eight_times_the_time(void **state)
{
	struct fixture *f = *state;
	uint64_t few = time_following(f, 500), many = time_following(f, 4000);

	assert_in_range(many, 1, 24 * few);
}

static void a_wildcard_waits_for_addresses_to_come(void **state)
{
	struct fixture *f = *state;
	uint64_t any, one;

	f->vm.addresses[1].is_there = false;
	assert_int_equal(guest_listens(f, any6, HYV_CM_V6ONLY, &any), 0);
	assert_int_equal(guest_listens(f, own6, 0, &one), -EADDRNOTAVAIL);
	assert_int_equal(count_alive(), 0);
	f->vm.addresses[1].is_there = true;
	next_error = -EADDRINUSE; /* somebody of the host has the port there, and then not */
	cm_follow_addresses(&f->vm, &f->device);
	assert_int_equal(count_alive(), 0);
	cm_follow_addresses(&f->vm, &f->device);
	assert_int_equal(count_alive(), 1);
}

static void a_request_to_an_address_that_was_taken_is_not_accepted(void **state)
{
	struct hyv_resp_cm_get_event event;
	struct fixture *f = *state;
	uint64_t listener, id;

	assert_int_equal(guest_listens(f, own6, 0, &listener), 0);
	asked_address = own6;
	host_says(listener, CONNECT_REQUEST, host_id_of_request());
	assert_int_equal(guest_gets(f, listener, &event), HYV_CM_REQUEST);
	id = le64toh(event.request);
	vm_has_own6(f, false);
	assert_int_equal(count_alive(), 1);
	assert_int_equal(guest_accepts(f, id), -EADDRNOTAVAIL);
	assert_null(f->qp.cm);
	assert_int_equal(guest_connects(f, own6, &id), -EADDRNOTAVAIL);
}

/* the host's rdma_cm goes by the address, and finds another device than the VM's that has it now */
static const struct {
	struct rdma_ucm_query_route_resp bound;
	bool is_ours;
} bindings[] = {
	{ { .ibdev_index = 3, .port_num = 1 }, true },
	{ { .ibdev_index = 4, .port_num = 1 }, false },
	{ { .ibdev_index = 3 }, false }, /* to none: it has gone */
	/* an older kernel */
	{ { .node_guid = 0xefcdab8967452301, .ibdev_index = UCMA_NO_INDEX, .port_num = 1 }, true },
	{ { .node_guid = 0x0123456789abcdef, .ibdev_index = UCMA_NO_INDEX, .port_num = 1 }, false },
};
#define NUM_BINDINGS (sizeof(bindings) / sizeof(bindings[0]))

static unsigned int count_connecting(void)
{
	unsigned int num;

	pthread_mutex_lock(&fake_lock);
	num = num_connecting;
	pthread_mutex_unlock(&fake_lock);
	return num;
}

static void a_connection_is_made_on_the_qps_device_only(void **state)
{
	struct hyv_resp_cm_get_event event;
	struct fixture *f = *state;
	unsigned int before;
	uint32_t told;
	uint64_t id;
	size_t i;

	num_modified = 0;
	for (i = 0; i < 2 * NUM_BINDINGS; i++) {
		f->device.info.node_type = i < NUM_BINDINGS ? 0 : RDMA_NODE_RNIC;
		bound = bindings[i % NUM_BINDINGS].bound;
		before = count_connecting();
		assert_int_equal(guest_connects(f, own, &id), 0);
		host_says(id, ADDR_RESOLVED, 0);
		host_says(id, ROUTE_RESOLVED, 0);
		do
			told = guest_gets(f, id, &event);
		while (told == HYV_CM_NONE && count_connecting() == before);
		if (bindings[i % NUM_BINDINGS].is_ours) {
			assert_int_equal(told, HYV_CM_NONE);
		} else {
			assert_int_equal(told, HYV_CM_REPLY);
			assert_int_equal((int32_t)le32toh(event.status), -EADDRNOTAVAIL);
			host_says(id, CONNECT_RESPONSE, 0);
			assert_int_equal(count_connecting(), before);
			assert_null(f->qp.cm);
		}
		assert_int_equal(guest_destroys(f, id), 0);
	}
	assert_int_equal(num_modified, 0);
}

static void a_request_on_another_device_is_refused(void **state)
{
	struct hyv_resp_cm_get_event event;
	struct fixture *f = *state;
	uint64_t listener, id;
	size_t i;

	num_modified = 0;
	assert_int_equal(guest_listens(f, own, 0, &listener), 0);
	for (i = 0; i < NUM_BINDINGS; i++) {
		bound = bindings[i].bound;
		host_says(listener, CONNECT_REQUEST, host_id_of_request());
		assert_int_equal(count_alive(), bindings[i].is_ours ? 2 : 1);
		if (!bindings[i].is_ours) {
			assert_int_equal(guest_gets(f, listener, &event), HYV_CM_NONE);
			continue;
		}
		assert_int_equal(guest_gets(f, listener, &event), HYV_CM_REQUEST);
		id = le64toh(event.request);
		bound.port_num = 0; /* it has gone meanwhile */
		assert_int_equal(guest_accepts(f, id), -EADDRNOTAVAIL);
		assert_int_equal(num_modified, 0);
		assert_null(f->qp.cm);
		assert_int_equal(guest_destroys(f, id), 0);
	}
}

static void nobody_listens_on_another_device(void **state)
{
	struct fixture *f = *state;
	uint64_t any, one;
	size_t i;

	for (i = 0; i < NUM_BINDINGS; i++) {
		bound = bindings[i].bound;
		num_listening = 0;
		assert_int_equal(guest_listens(f, own, 0, &one),
				 bindings[i].is_ours ? 0 : -EADDRNOTAVAIL);
		assert_int_equal(num_listening, bindings[i].is_ours);
		assert_int_equal(count_alive(), bindings[i].is_ours);
		if (bindings[i].is_ours)
			assert_int_equal(guest_destroys(f, one), 0);
	}
	assert_int_equal(guest_listens(f, any4, 0, &any), 0); /* as if the address was not there */
	assert_int_equal(count_alive(), 0);
	bind_all_to(&f->device.info); /* the operator has moved it back */
	cm_follow_addresses(&f->vm, &f->device);
	assert_int_equal(count_alive(), 1);
}

/** struct told - what the guest was told of an id */
struct told {
	uint64_t id;
	unsigned int replies;
	unsigned int established;
	unsigned int closes;
	bool is_connected;
};

#define MAX_TOLD 24

static void get_all(struct fixture *f, struct told *told, unsigned int *num)
{
	struct hyv_resp_cm_get_event event;
	unsigned int i;

	for (i = 0; i < *num; i++) {
		struct obj *obj = objtab_get(f->vm.objtab, told[i].id, OBJ_CM);

		if (!obj)
			continue;
		obj_put(f->vm.objtab, obj);
		switch (guest_gets(f, told[i].id, &event)) {
		case HYV_CM_REQUEST:
			if (*num < MAX_TOLD)
				told[(*num)++] = (struct told){ .id = le64toh(event.request) };
			break;
		case HYV_CM_REPLY:
			assert_int_equal(told[i].replies++, 0);
			told[i].is_connected = !event.status;
			break;
		case HYV_CM_ESTABLISHED:
			assert_int_equal(told[i].established++, 0);
			break;
		case HYV_CM_CLOSE:
			assert_int_equal(told[i].closes++, 0);
			assert_true(!told[i].replies || told[i].is_connected);
			break;
		default:
			break;
		}
	}
}

static void any_order_is_borne(void **state)
{
	struct fixture *f = *state;
	struct told told[MAX_TOLD];
	unsigned int num, step, round;
	struct rnd rng;
	uint64_t id;

	rnd_init(&rng, "any_order_is_borne");
	for (round = 0; round < 40; round++) {
		f->device.info.node_type = round % 2 ? RDMA_NODE_RNIC : 0;
		num = 0;
		for (step = 0; step < 60; step++) {
			uint64_t some = num ? told[rnd(&rng, num)].id : 1;

			next_error = rnd(&rng, 12) ? 0 : -EINVAL;
			switch (rnd(&rng, 12)) {
			case 0:
				if (!guest_connects(f, own, &id) && num < MAX_TOLD)
					told[num++] = (struct told){ .id = id };
				break;
			case 1:
				if (!guest_listens(f, rnd(&rng, 2) ? any4 : any6, 0, &id) &&
				    num < MAX_TOLD)
					told[num++] = (struct told){ .id = id };
				break;
			case 2:
				guest_accepts(f, some);
				break;
			case 3:
				guest_rejects(f, some);
				break;
			case 4:
				guest_disconnects(f, some);
				break;
			case 5:
				if (!rnd(&rng, 4))
					guest_destroys(f, some);
				break;
			case 6:
				cm_forget_qp(&f->vm, &f->qp);
				vm_has_own6(f, rnd(&rng, 2));
				break;
			case 7:
				host_says(some, CONNECT_REQUEST, host_id_of_request());
				break;
			default:
				id = rnd(&rng, NUM_EVENTS);
				if (id != CONNECT_REQUEST)
					host_says(some, (uint32_t)id, 0);
				break;
			}
			get_all(f, told, &num);
		}
		cm_destroy_all(&f->vm, DEVICE_ANY);
		assert_int_equal(count_alive(), 0);
		assert_null(f->qp.cm);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_connection_is_made_and_ended),
		TEST(a_request_is_accepted),
		TEST(a_request_cannot_be_accepted_with_just_any_qp),
		TEST(only_the_vms_addresses_can_be_used),
		TEST(a_wildcard_is_every_address_of_the_vm),
		TEST(what_the_host_refuses_leaves_nothing),
		TEST(requests_beyond_the_backlog_are_refused),
		TEST(no_more_ids_than_the_limit),
		TEST(a_connection_survives_its_qp_without_touching_it),
		TEST(what_connects_to_nowhere_is_destroyed_at_once),
		TEST(a_qp_that_connects_to_nowhere_is_released_at_once),
		TEST(an_interrupted_connection_goes_on),
		TEST(errors_of_the_host_are_told),
		TEST(what_is_on_a_device_that_goes_is_destroyed),
		TEST(listeners_follow_the_vms_addresses),
		TEST(listeners_that_are_destroyed_follow_no_further),
		TEST(eight_times_the_listeners_follow_in_eight_times_the_time),
		TEST(a_wildcard_waits_for_addresses_to_come),
		TEST(a_request_to_an_address_that_was_taken_is_not_accepted),
		TEST(a_connection_is_made_on_the_qps_device_only),
		TEST(a_request_on_another_device_is_refused),
		TEST(nobody_listens_on_another_device),
		TEST(any_order_is_borne),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
