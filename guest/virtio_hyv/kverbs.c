// SPDX-License-Identifier: GPL-2.0
/*
 * Refusals for users inside the kernel (NVMe-oF, NFS and so on).
 *
 * The RDMA core hides a device that lacks these from everyone but uverbs, so they exist. None is
 * ever reached with an object of ours: alloc_pd, create_cq and create_qp refuse a caller without
 * udata, and an application's post_recv and poll_cq never enter the kernel.
 */
#include "virtio_hyv.h"

/** hyv_post_recv() - refuses. Return: -EOPNOTSUPP */
int hyv_post_recv(struct ib_qp *ib, const struct ib_recv_wr *wr, const struct ib_recv_wr **bad)
{
	*bad = wr;
	return -EOPNOTSUPP;
}

/** hyv_poll_cq() - refuses. Return: -EOPNOTSUPP */
int hyv_poll_cq(struct ib_cq *ib, int num, struct ib_wc *wc)
{
	return -EOPNOTSUPP;
}

/** hyv_get_dma_mr() - refuses. Return: -EOPNOTSUPP */
struct ib_mr *hyv_get_dma_mr(struct ib_pd *ib, int access)
{
	return ERR_PTR(-EOPNOTSUPP);
}
