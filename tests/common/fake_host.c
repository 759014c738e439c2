// SPDX-License-Identifier: GPL-2.0-or-later
/* see fake_host.h */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include "fake_host.h"
#include "log.h"

#define TABLE_GPA (DRIVER_GPA + 0x600000)

struct vm vm;
const struct hyv_provider fake_provider = { .name = "fake" };
int host_creates, host_destroys, host_tells_gids;
unsigned int host_qps;
_Atomic unsigned int host_destroyed;
void (*host_did)(uint32_t command, const void *in);
uint8_t host_gids[FAKE_GIDS][16];
uint32_t host_gid_types[FAKE_GIDS];
static _Atomic uint32_t next_handle;

int __wrap_uverbs_call(int fd, uint32_t driver_id, struct uverbs_call *call);
int __wrap_uverbs_write(int fd, uint32_t driver_id, uint32_t command, const void *in,
			uint16_t in_len, void *out, uint16_t out_len, const struct udata *udata);
int __wrap_uverbs_destroy(int fd, uint32_t driver_id, uint16_t object, uint16_t method,
			  uint32_t handle, uint16_t resp_attr, uint16_t resp_len);

/* Return: whether there is one */
static bool fill_gid(struct ib_uverbs_gid_entry *entry, uint32_t index)
{
	static const uint8_t none[16];

	*entry = (struct ib_uverbs_gid_entry){
		.gid_index = index,
		.port_num = 1,
		.gid_type = host_gid_types[index],
		.netdev_ifindex = 1, /* lo */
	};
	memcpy(entry->gid, host_gids[index], sizeof(entry->gid));
	return memcmp(host_gids[index], none, sizeof(none));
}

/* UVERBS_METHOD_QUERY_GID_TABLE, _ENTRY, with the attributes in the order in which gid.c and device.c have them */
static int tell_gids(struct uverbs_call *call)
{
	void *out =
		(void *)call->attrs[call->hdr.method_id == UVERBS_METHOD_QUERY_GID_TABLE ? 2 : 3]
			.data;
	uint64_t index, num = 0;

	if (call->hdr.method_id == UVERBS_METHOD_QUERY_GID_ENTRY) {
		index = call->attrs[1].data;
		if (index >= FAKE_GIDS)
			return -EINVAL;
		return fill_gid(out, (uint32_t)index) ? host_tells_gids : -ENODATA;
	}
	for (index = 0; index < FAKE_GIDS; index++)
		num += fill_gid((struct ib_uverbs_gid_entry *)out + num, (uint32_t)index);
	memcpy((void *)call->attrs[3].data, &num, sizeof(num));
	return host_tells_gids;
}

int __wrap_uverbs_call(int fd, uint32_t driver_id, struct uverbs_call *call)
{
	(void)fd;
	(void)driver_id;
	if (call->hdr.object_id == UVERBS_OBJECT_DEVICE &&
	    (call->hdr.method_id == UVERBS_METHOD_QUERY_GID_TABLE ||
	     call->hdr.method_id == UVERBS_METHOD_QUERY_GID_ENTRY))
		return tell_gids(call);
	if (call->hdr.object_id == UVERBS_OBJECT_ASYNC_EVENT)
		call->attrs[0].data = (uint64_t)eventfd(0, EFD_CLOEXEC);
	else if (call->hdr.object_id != UVERBS_OBJECT_DEVICE)
		call->attrs[0].data = ++next_handle;
	host_qps += call->hdr.object_id == UVERBS_OBJECT_QP;
	return call->hdr.object_id == UVERBS_OBJECT_CQ ? host_creates : 0;
}

int __wrap_uverbs_write(int fd, uint32_t driver_id, uint32_t command, const void *in,
			uint16_t in_len, void *out, uint16_t out_len, const struct udata *udata)
{
	uint32_t result = ++next_handle; /* the first member of all these answers */

	(void)fd;
	(void)driver_id;
	(void)in_len;
	(void)udata;
	if (command == IB_USER_VERBS_CMD_CREATE_COMP_CHANNEL)
		result = (uint32_t)eventfd(0, EFD_CLOEXEC);
	else if (host_creates)
		return host_creates;
	memset(out, 0, out_len);
	if (out_len >= sizeof(result))
		memcpy(out, &result, sizeof(result));
	if (host_did)
		host_did(command, in);
	return 0;
}

int __wrap_uverbs_destroy(int fd, uint32_t driver_id, uint16_t object, uint16_t method,
			  uint32_t handle, uint16_t resp_attr, uint16_t resp_len)
{
	(void)fd;
	(void)driver_id;
	(void)object;
	(void)method;
	(void)handle;
	(void)resp_attr;
	(void)resp_len;
	host_destroyed++;
	return host_destroys;
}

static char journal[1 << 16];
static pthread_mutex_t journal_lock = PTHREAD_MUTEX_INITIALIZER; /* guards @journal */

int __wrap_sd_journal_sendv(const struct iovec *iov, int n);
int __wrap_sd_journal_sendv(const struct iovec *iov, int n)
{
	size_t len;
	int i;

	pthread_mutex_lock(&journal_lock);
	len = strlen(journal);
	for (i = 0; i < n && len + iov[i].iov_len + 2 < sizeof(journal); i++) {
		memcpy(journal + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
		journal[len++] = i + 1 < n ? '|' : '\n';
		journal[len] = '\0';
	}
	pthread_mutex_unlock(&journal_lock);
	return 0;
}

const char *fake_journal(bool is_on)
{
	struct stat st;
	char text[64];

	fstat(STDERR_FILENO, &st);
	snprintf(text, sizeof(text), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	if (is_on)
		setenv("JOURNAL_STREAM", text, 1);
	else
		unsetenv("JOURNAL_STREAM");
	log_init("vm", false);
	return journal;
}

static void on_kick(struct frontend *fe, unsigned int queue)
{
	(void)fe;
	if (queue == HYV_VQ_CONTROL && vm.dispatch)
		dispatch_kick(vm.dispatch);
}

int fake_setup(void **state)
{
	struct frontend *fe;
	unsigned int i;

	fe_setup(state);
	fe = *state;
	memset(&vm, 0, sizeof(vm));
	host_creates = 0;
	host_destroys = 0;
	host_tells_gids = 0;
	host_qps = 0;
	host_destroyed = 0;
	host_did = NULL;
	memset(host_gids, 0, sizeof(host_gids));
	for (i = 0; i < FAKE_GIDS; i++)
		host_gid_types[i] = IB_UVERBS_GID_TYPE_ROCE_V2;
	limit_init(&vm.limits);
	vm.loop = fe->loop;
	vm.gmem = fe->gm;
	vm.limits.gmem = fe->gm;
	vm.vu = fe->dev;
	vm.pool = pool_create(2);
	vm.objtab = objtab_create();
	assert_int_equal(event_create(&vm.event, &vm), 0);
	assert_int_equal(dispatch_create(&vm.dispatch, &vm), 0);
	fe->on_kick = on_kick;
	fe_ready(fe);
	return 0;
}

int fake_teardown(void **state)
{
	context_free_all(&vm, DEVICE_ANY);
	while (atomic_load(&vm.num_contexts))
		dispatch_settle(vm.dispatch, 5);
	pool_destroy(vm.pool);
	dispatch_destroy(vm.dispatch);
	event_destroy(vm.event);
	objtab_destroy(vm.objtab);
	return fe_teardown(state);
}

void fake_offer(struct frontend *fe, unsigned int slot, uint32_t op, const void *req, size_t len,
		const void *tail, size_t tail_len, size_t resp_len)
{
	struct hyv_req_hdr hdr = { .op = htole32(op) };
	struct driver *d = &fe->d[HYV_VQ_CONTROL];
	uint32_t at = DRIVER_DATA + slot * FAKE_DATA;

	memcpy(fe->mem + at, &hdr, sizeof(hdr));
	memcpy(fe->mem + at + sizeof(hdr), req, len);
	memcpy(fe->mem + at + sizeof(hdr) + len, tail, tail_len);
	driver_desc(d, 2 * slot, at, (uint32_t)(sizeof(hdr) + len + tail_len), VRING_DESC_F_NEXT,
		    (uint16_t)(2 * slot + 1));
	driver_desc(d, 2 * slot + 1, at + FAKE_DATA / 2,
		    (uint32_t)(sizeof(struct hyv_resp_hdr) + resp_len), VRING_DESC_F_WRITE, 0);
	driver_offer(d, (uint16_t)(2 * slot));
}

void fake_kick(struct frontend *fe)
{
	assert_int_equal(write(fe->kick[HYV_VQ_CONTROL], &(uint64_t){ 1 }, 8), 8);
}

bool fake_answered(struct frontend *fe, uint16_t n, unsigned int ms)
{
	uint64_t end = stats_now() + ms * 1000000ull;

	while (__atomic_load_n(&fe->d[HYV_VQ_CONTROL].used->idx, __ATOMIC_ACQUIRE) != n) {
		if (stats_now() > end)
			return false;
		sd_event_run(fe->loop, 1000);
	}
	return true;
}

int fake_ask_tail(struct frontend *fe, uint32_t op, const void *req, size_t len, const void *tail,
		  size_t tail_len, void *resp, size_t resp_len)
{
	struct hyv_resp_hdr hdr;

	fake_offer(fe, 0, op, req, len, tail, tail_len, resp_len);
	fake_kick(fe);
	assert_true(fake_answered(fe, fe->d[HYV_VQ_CONTROL].next_avail, 5000));
	memcpy(&hdr, fe->mem + DRIVER_DATA + FAKE_DATA / 2, sizeof(hdr));
	memcpy(resp, fe->mem + DRIVER_DATA + FAKE_DATA / 2 + sizeof(hdr), resp_len);
	return (int)le32toh(hdr.status);
}

int fake_ask(struct frontend *fe, uint32_t op, const void *req, size_t len, void *resp,
	     size_t resp_len)
{
	return fake_ask_tail(fe, op, req, len, "", 0, resp, resp_len);
}

int fake_alloc_context(struct frontend *fe, uint32_t device, __le64 *id)
{
	struct hyv_req_alloc_context req = { .device = htole32(device) };

	return fake_ask(fe, HYV_OP_ALLOC_CONTEXT, &req, sizeof(req), id, sizeof(*id));
}

int fake_alloc_pd(struct frontend *fe, __le64 context, __le64 *id)
{
	return fake_ask(fe, HYV_OP_ALLOC_PD, &context, sizeof(context), id, sizeof(*id));
}

int fake_make_qp(struct frontend *fe, uint32_t device, uint32_t type, struct fake_qp *made)
{
	struct hyv_req_create_qp req = { .type = htole32(type) };
	struct hyv_req_create_cq cq_req = { .cqe = htole32(1) };
	struct hyv_resp_create_cq cq;
	struct hyv_resp_create_qp qp;
	int ret;

	assert_int_equal(fake_alloc_context(fe, device, &made->context), 0);
	assert_int_equal(fake_alloc_pd(fe, made->context, &made->pd), 0);
	cq_req.context = made->context;
	assert_int_equal(fake_ask(fe, HYV_OP_CREATE_CQ, &cq_req, sizeof(cq_req), &cq, sizeof(cq)),
			 0);
	req.pd = made->pd;
	req.send_cq = cq.cq;
	req.recv_cq = cq.cq;
	ret = fake_ask(fe, HYV_OP_CREATE_QP, &req, sizeof(req), &qp, sizeof(qp));
	made->qp = qp.qp;
	made->doorbell = le32toh(qp.doorbell);
	return ret;
}

__le64 fake_table(struct frontend *fe, uint64_t gpa, uint64_t len)
{
	struct hyv_extent extent = { htole64(gpa), htole64(len) };

	memcpy(fe->mem + TABLE_GPA - DRIVER_GPA, &extent, sizeof(extent));
	return htole64(TABLE_GPA);
}

int fake_reg_mr(struct frontend *fe, __le64 pd, uint64_t gpa, uint64_t len, uint64_t iova,
		__le64 *id)
{
	struct hyv_req_reg_mr req = {
		.pd = pd, .length = htole64(len), .iova = htole64(iova), .num_extents = htole32(1)
	};
	__le64 table = fake_table(fe, gpa, len);
	struct hyv_resp_reg_mr resp;
	int ret = fake_ask_tail(fe, HYV_OP_REG_MR, &req, sizeof(req), &table, sizeof(table), &resp,
				sizeof(resp));

	*id = resp.mr;
	return ret;
}

int fake_destroy(struct frontend *fe, uint32_t op, __le64 id)
{
	return fake_ask(fe, op, &id, sizeof(id), &id, 0);
}
