/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every difference between the kernels this module is built for (6.12 and 7.3).
 */
#ifndef HYV_COMPAT_H
#define HYV_COMPAT_H

#include <linux/version.h>
#include <linux/virtio.h>
#include <linux/workqueue.h>
#include <rdma/ib_umem.h>
#include <rdma/ib_verbs.h>

#if !defined(CONFIG_64BIT) || !defined(__LITTLE_ENDIAN)
#error "virtio_hyv is for 64-bit little-endian machines: see struct hyv_dev.objects and doorbell.c"
#endif

/* reg_user_mr got a struct ib_dmah before its udata in 6.17 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
#define HYV_DMAH_PARAM	struct ib_dmah *dmah,
#define HYV_DMAH_GIVEN	(!!dmah)
#else
#define HYV_DMAH_PARAM
#define HYV_DMAH_GIVEN	false
#endif

/* pinning by address was renamed when buffer descriptors came, in 7.2 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 2, 0)
#define hyv_compat_umem_get(dev, addr, size, access) ib_umem_get_va(dev, addr, size, access)
#else
#define hyv_compat_umem_get(dev, addr, size, access) ib_umem_get(dev, addr, size, access)
#endif

/* resizing a queue of an application became resize_user_cq in 7.2 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 2, 0)
#define HYV_CQE_TYPE		unsigned int
#define hyv_compat_resize_cq	resize_user_cq
#else
#define HYV_CQE_TYPE		int
#define hyv_compat_resize_cq	resize_cq
#endif

#endif
