/* SPDX-License-Identifier: GPL-2.0 */
/*
 * hyv_window: what differs between the kernels that the module is built for (6.12 to 7.3), and
 * nothing else.
 */
#ifndef HYV_WINDOW_COMPAT_H
#define HYV_WINDOW_COMPAT_H

#include <linux/mm.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 1, 0)
#define zap_special_vma_range	zap_vma_ptes
#define vma_is_cow_mapping(vma)	is_cow_mapping((vma)->vm_flags)
#endif

/**
 * hyv_kvm_can_map() - whether this kernel's KVM can show a page to a guest
 * @pfn: a page that a window may be asked to show
 *
 * Before 6.13 KVM takes a reference to whatever looks like memory and stops the virtual machine
 * when it gets none: tail pages of huge pages and of other large blocks. Does not sleep.
 */
static inline bool hyv_kvm_can_map(unsigned long pfn)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
	struct page *page;

	if (!pfn_valid(pfn))
		return true;
	page = pfn_to_page(pfn);
	return page_ref_count(page) ||
	       (PageReserved(page) && !is_zone_device_page(page));
#else
	return true;
#endif
}

#endif
