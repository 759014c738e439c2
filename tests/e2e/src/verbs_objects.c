// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Objects of every kind that the device has: all at once and held until killed or told to go on, or
 * one after the other, made and destroyed at once, for the tests of death and of growth. A kind
 * that the device refuses with EOPNOTSUPP is left out, and not named in what is printed. HYV_TEST_ADDRESS,
 * an address of the device's, adds one: a listener there.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "cm_self.h"

#define SIZE (1u << 20)

static struct rdma r;
static uint8_t *memory; /* SIZE bytes */
static struct ibv_cq *cq;
static struct rdma_event_channel *cm_channel; /* NULL without HYV_TEST_ADDRESS */

/** struct kind - @make returns the object, or NULL with errno set; @destroy returns an errno or 0 */
struct kind {
	const char *name;
	void *(*make)(void);
	int (*destroy)(void *object);
};

static void *make_small_mr(void)
{
	return ibv_reg_mr(r.pd, memory + 1000, 100, IBV_ACCESS_LOCAL_WRITE);
}

static void *make_large_mr(void)
{
	return ibv_reg_mr(r.pd, memory, SIZE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
}

static int destroy_mr(void *object)
{
	return ibv_dereg_mr(object);
}

static void *make_mw(void)
{
	return ibv_alloc_mw(r.pd, IBV_MW_TYPE_2);
}

static int destroy_mw(void *object)
{
	return ibv_dealloc_mw(object);
}

static void *make_small_cq(void)
{
	return ibv_create_cq(r.ctx, 4, NULL, NULL, 0);
}

/* one that has been resized, where that is possible */
static void *make_resized_cq(void)
{
	struct ibv_cq *c = ibv_create_cq(r.ctx, 4, NULL, NULL, 0);
	int ret;

	if (!c)
		return NULL;
	ret = ibv_resize_cq(c, 500);
	if (!ret)
		return c;
	need(!ibv_destroy_cq(c), "destroy_cq");
	errno = ret;
	return NULL;
}

static int destroy_cq(void *object)
{
	return ibv_destroy_cq(object);
}

static struct ibv_srq *new_srq(void)
{
	struct ibv_srq_init_attr init = { .attr = { .max_wr = 16, .max_sge = 1 } };

	return ibv_create_srq(r.pd, &init);
}

static void *make_srq(void)
{
	return new_srq();
}

static int destroy_srq(void *object)
{
	return ibv_destroy_srq(object);
}

static struct ibv_qp *new_qp(enum ibv_qp_type type, struct ibv_srq *srq)
{
	struct ibv_qp_init_attr init = {
		.send_cq = cq,
		.recv_cq = cq,
		.srq = srq,
		.cap = { .max_send_wr = 4, .max_recv_wr = 4, .max_send_sge = 1, .max_recv_sge = 1 },
		.qp_type = type,
	};

	return ibv_create_qp(r.pd, &init);
}

static void *make_rc(void)
{
	return new_qp(IBV_QPT_RC, NULL);
}

static void *make_uc(void)
{
	return new_qp(IBV_QPT_UC, NULL);
}

static void *make_ud(void)
{
	return new_qp(IBV_QPT_UD, NULL);
}

static int destroy_qp(void *object)
{
	return ibv_destroy_qp(object);
}

static void *make_qp_with_srq(void)
{
	struct ibv_srq *srq = new_srq();
	struct ibv_qp *qp;

	if (!srq)
		return NULL;
	qp = new_qp(IBV_QPT_RC, srq);
	need(qp, "create_qp with an SRQ");
	return qp;
}

static int destroy_qp_with_srq(void *object)
{
	struct ibv_srq *srq = ((struct ibv_qp *)object)->srq;
	int ret = ibv_destroy_qp(object);

	return ret ? ret : ibv_destroy_srq(srq);
}

static void *make_ah(void)
{
	struct ibv_ah_attr attr = {
		.grh = { .dgid = r.gid, .sgid_index = r.gid_index, .hop_limit = 1 },
		.is_global = 1,
		.port_num = PORT,
	};

	return ibv_create_ah(r.pd, &attr);
}

static int destroy_ah(void *object)
{
	return ibv_destroy_ah(object);
}

static const union ibv_gid group = { .raw = { 0xff, 0x0e, [10] = 0xff, 0xff, 239, 1, 2, 3 } };

/* a QP that is a member of a group */
static void *make_member(void)
{
	struct ibv_qp *qp = new_qp(IBV_QPT_UD, NULL);
	int ret;

	if (!qp)
		return NULL;
	ret = ibv_attach_mcast(qp, &group, 0);
	if (!ret)
		return qp;
	need(!ibv_destroy_qp(qp), "destroy_qp");
	errno = ret;
	return NULL;
}

static int destroy_member(void *object)
{
	int ret = ibv_detach_mcast(object, &group, 0);

	return ret ? ret : ibv_destroy_qp(object);
}

static void *make_pd(void)
{
	return ibv_alloc_pd(r.ctx);
}

static int destroy_pd(void *object)
{
	return ibv_dealloc_pd(object);
}

static void *make_channel(void)
{
	return ibv_create_comp_channel(r.ctx);
}

static int destroy_channel(void *object)
{
	return ibv_destroy_comp_channel(object);
}

static void *make_context(void)
{
	return ibv_open_device(r.ctx->device);
}

static int destroy_context(void *object)
{
	return ibv_close_device(object) ? errno : 0;
}

static void *make_listener(void)
{
	if (!getenv("HYV_TEST_ADDRESS")) {
		errno = EOPNOTSUPP;
		return NULL;
	}
	return cm_listen(cm_channel, getenv("HYV_TEST_ADDRESS"));
}

static int destroy_listener(void *object)
{
	return rdma_destroy_id(object) ? errno : 0;
}

static const struct kind kinds[] = {
	{ "small_mr", make_small_mr, destroy_mr },
	{ "large_mr", make_large_mr, destroy_mr },
	{ "cq", make_small_cq, destroy_cq },
	{ "resized_cq", make_resized_cq, destroy_cq },
	{ "srq", make_srq, destroy_srq },
	{ "rc", make_rc, destroy_qp },
	{ "uc", make_uc, destroy_qp },
	{ "ud", make_ud, destroy_qp },
	{ "rc_with_srq", make_qp_with_srq, destroy_qp_with_srq },
	{ "mw", make_mw, destroy_mw },
	{ "ah", make_ah, destroy_ah },
	{ "member", make_member, destroy_member },
	{ "pd", make_pd, destroy_pd },
	{ "channel", make_channel, destroy_channel },
	{ "context", make_context, destroy_context },
	{ "listener", make_listener, destroy_listener },
};

#define NUM_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void *make(const struct kind *kind)
{
	void *object;

	errno = 0;
	object = kind->make();
	if (!object && errno != EOPNOTSUPP && errno != ENOSYS)
		need(false, kind->name);
	return object;
}

static void destroy(const struct kind *kind, void *object)
{
	errno = object ? kind->destroy(object) : 0;
	need(!errno, kind->name);
}

/* all at once */
static void hold(void)
{
	void *objects[NUM_KINDS];
	size_t i;

	for (i = 0; i < NUM_KINDS; i++) {
		objects[i] = make(&kinds[i]);
		if (objects[i])
			printf("%s ", kinds[i].name);
	}
	puts("");
	puts("holding");
	getchar();
	for (i = 0; i < NUM_KINDS; i++)
		destroy(&kinds[i], objects[i]);
	puts("destroyed");
}

/* one after the other, @n in all */
static void loop(uint64_t n)
{
	uint64_t i, made = 0;
	void *object;

	for (i = 0; made < n; i++) {
		object = make(&kinds[i % NUM_KINDS]);
		made += object != NULL;
		destroy(&kinds[i % NUM_KINDS], object);
	}
	printf("%llu objects made and destroyed\n", (unsigned long long)made);
}

int main(int argc, char **argv)
{
	if (argc != 2 || !strcmp(argv[1], "--help")) {
		puts("usage: verbs_objects hold   one of each kind; destroyed when a byte or the end is read\n"
		     "       verbs_objects N      N of all kinds, one after the other\n"
		     "HYV_TEST_DEVICE names the device.");
		return argc != 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	rdma_open(&r, device_option());
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(memory != MAP_FAILED, "mmap");
	cq = make_cq(&r, 16);
	if (getenv("HYV_TEST_ADDRESS")) {
		cm_channel = rdma_create_event_channel();
		need(cm_channel, "rdma_create_event_channel");
	}
	if (!strcmp(argv[1], "hold"))
		hold();
	else
		loop(number(argv[1], 100000000));
	if (cm_channel)
		rdma_destroy_event_channel(cm_channel);
	need(!ibv_destroy_cq(cq), "destroy_cq");
	rdma_close(&r);
	return 0;
}
