// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Proves what hyvd relies on for a driver that ignores the iova: it goes by the number of a
 * registration's address and by the pages it has pinned, whatever is at that address later. Two
 * ends of a connection of this process to itself register pages at addresses that are then given
 * back, and pass data.
 */
#include <pthread.h>
#include <rdma/rdma_cma.h>
#include <rdma/rdma_verbs.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "rdma.h"

#define SIZE  65536u
#define START 100u /* in the first page; what passes crosses all */

/** struct end - one end of the connection; @pages: its memory where it stays mapped */
struct end {
	struct rdma_cm_id *id;
	struct ibv_mr *mr;
	uint8_t *at;
	uint8_t *pages;
};

static struct rdma_cm_id *listener;

static struct ibv_qp_init_attr qp_attr(void)
{
	return (struct ibv_qp_init_attr){
		.cap = { .max_send_wr = 4, .max_recv_wr = 4, .max_send_sge = 1, .max_recv_sge = 1 },
		.qp_type = IBV_QPT_RC,
		.sq_sig_all = 1,
	};
}

/* registers pages at an address, where there is nothing any more afterwards */
static void register_pages(struct end *end)
{
	int fd = memfd_create("pages", 0);

	need(fd >= 0 && !ftruncate(fd, SIZE), "memfd_create");
	end->pages = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	end->at = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	need(end->pages != MAP_FAILED && end->at != MAP_FAILED, "mmap");
	end->mr = ibv_reg_mr(end->id->pd, end->at, SIZE, IBV_ACCESS_LOCAL_WRITE);
	need(end->mr, "reg_mr");
	need(!munmap(end->at, SIZE), "munmap");
}

static struct rdma_cm_id *endpoint(const char *address, const char *port, int flags)
{
	struct rdma_addrinfo hints = { .ai_flags = flags, .ai_port_space = RDMA_PS_TCP }, *info;
	struct ibv_qp_init_attr attr = qp_attr();
	struct rdma_cm_id *id;

	need(!rdma_getaddrinfo(address, port, &hints, &info), "rdma_getaddrinfo");
	need(!rdma_create_ep(&id, info, NULL, &attr), "rdma_create_ep");
	rdma_freeaddrinfo(info);
	return id;
}

static void *receive(void *arg)
{
	struct end *end = arg;
	struct ibv_wc wc;

	need(!rdma_get_request(listener, &end->id), "rdma_get_request");
	register_pages(end);
	need(!rdma_post_recv(end->id, NULL, end->at + START, SIZE - START, end->mr), "post_recv");
	need(!rdma_accept(end->id, NULL), "rdma_accept");
	need(rdma_get_recv_comp(end->id, &wc) == 1, "rdma_get_recv_comp");
	if (wc.status != IBV_WC_SUCCESS)
		die("receive: %s", ibv_wc_status_str(wc.status));
	return NULL;
}

int main(int argc, char **argv)
{
	struct end from = { 0 }, to = { 0 };
	pthread_t thread;
	struct ibv_wc wc;

	if (argc != 3) {
		puts("usage: siw_pages ADDRESS PORT    ADDRESS: the device's own");
		return 1;
	}
	listener = endpoint(argv[1], argv[2], RAI_PASSIVE);
	need(!rdma_listen(listener, 1), "rdma_listen");
	need(!pthread_create(&thread, NULL, receive, &to), "pthread_create");
	from.id = endpoint(argv[1], argv[2], 0);
	register_pages(&from);
	fill(from.pages + START, SIZE - START, 7);
	need(!rdma_connect(from.id, NULL), "rdma_connect");
	need(!rdma_post_send(from.id, NULL, from.at + START, SIZE - START, from.mr, 0),
	     "post_send");
	need(rdma_get_send_comp(from.id, &wc) == 1, "rdma_get_send_comp");
	if (wc.status != IBV_WC_SUCCESS)
		die("send: %s", ibv_wc_status_str(wc.status));
	pthread_join(thread, NULL);
	if (!check(to.pages + START, SIZE - START, 7))
		die("wrong data");
	printf("%u bytes passed between pages whose addresses were given back\n", SIZE - START);
	return 0;
}
