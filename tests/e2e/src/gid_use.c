// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gid_use INDEX [hold|uc]: prints how it goes to use that GID as source of a queue pair, an RC one unless
 * said otherwise, and what that says of it, and of an address handle. With "hold" the queue pair, connected
 * to itself, then writes ten times a second until that fails, or for HOLD_SECONDS, and prints how it ends.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "rdma.h"

#define HOLD_SECONDS 30
#define RC_ONLY	     (IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER)

static uint8_t buf[128];

static const char *name_of(int error)
{
	return error ? strerrorname_np(error) : "success";
}

/* what the device has of the path that it was given */
static void print_path(struct ibv_qp *qp)
{
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;
	size_t i;

	errno = ibv_query_qp(qp, &attr, IBV_QP_AV, &init);
	need(!errno, "query_qp");
	printf("query_qp: port %u, sgid_index %u, hop limit %u, MTU %d, PSNs %u %u, dgid ",
	       attr.ah_attr.port_num, attr.ah_attr.grh.sgid_index, attr.ah_attr.grh.hop_limit,
	       attr.path_mtu, attr.rq_psn, attr.sq_psn);
	for (i = 0; i < sizeof(attr.ah_attr.grh.dgid.raw); i++)
		printf("%02x", attr.ah_attr.grh.dgid.raw[i]);
	puts("");
}

static void hold(struct ibv_qp *qp, struct ibv_mr *mr)
{
	enum ibv_wc_status status = IBV_WC_SUCCESS;
	double end = seconds() + HOLD_SECONDS;
	int i;

	for (i = 0; status == IBV_WC_SUCCESS && seconds() < end; i++) {
		post(qp, IBV_WR_RDMA_WRITE, mr, buf, 64, (uintptr_t)buf + 64, mr->rkey);
		status = wait_cqe(qp->send_cq);
		if (!i)
			printf("first write: %s\n", ibv_wc_status_str(status));
		usleep(100000);
	}
	printf("last write: %s\n", ibv_wc_status_str(status));
}

int main(int argc, char **argv)
{
	struct ibv_qp_attr attr;
	union ibv_gid gid = { 0 };
	struct ibv_cq *cq;
	struct ibv_ah *ah;
	struct ibv_qp *qp;
	struct ibv_mr *mr;
	struct rdma r;
	bool is_held = argc == 3 && !strcmp(argv[2], "hold");
	bool is_uc = argc == 3 && !strcmp(argv[2], "uc");
	int mask, err;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 2 || argc > 3 || (argc == 3 && !is_held && !is_uc))
		die("usage: gid_use INDEX [hold|uc]");
	rdma_open(&r, device_option());
	r.gid_index = (uint8_t)number(argv[1], UINT8_MAX);
	if (!ibv_query_gid(r.ctx, PORT, r.gid_index, &gid) && gid.global.interface_id)
		r.gid = gid; /* to where it comes from; or to any */
	cq = make_cq(&r, 4);
	qp = make_qp_of(&r, cq, 2, is_uc ? IBV_QPT_UC : IBV_QPT_RC);
	mr = make_mr(&r, buf, sizeof(buf), ALL_ACCESS);
	mask = qp_init_attr(&attr);
	need(!ibv_modify_qp(qp, &attr, mask), "modify_qp to INIT");
	mask = qp_rtr_attr(&attr, &r, qp->qp_num);
	ah = ibv_create_ah(r.pd, &attr.ah_attr);
	printf("create_ah: %s\n", name_of(ah ? 0 : errno));
	err = ibv_modify_qp(qp, &attr, is_uc ? mask & ~RC_ONLY : mask);
	printf("modify_qp: %s\n", name_of(err));
	if (!err && !is_held)
		print_path(qp);
	if (!err && is_held) {
		mask = qp_rts_attr(&attr);
		need(!ibv_modify_qp(qp, &attr, mask), "modify_qp to RTS");
		hold(qp, mr);
	}
	need(!ah || !ibv_destroy_ah(ah), "destroy_ah");
	need(!ibv_destroy_qp(qp) && !ibv_dereg_mr(mr) && !ibv_destroy_cq(cq), "destroying");
	rdma_close(&r);
	return err != 0;
}
