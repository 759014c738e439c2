# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves that a guest that is started by UEFI firmware (OVMF) works; that its module says what to do where the firmware's MTRRs keep the window
# from being cached (queues work then too, and are very slow); and that window memory is mapped write-back where that has been done.
# lab: --guests 0 --timeout 1200
. /hyv/tests/e2e/common.bash

start() {
	native_device && hyvd_start 1 rxe0 && cp /usr/share/OVMF/OVMF_VARS_4M.fd "$RUN/vars.fd" &&
		vm_start 1 --vmlinuz -- -drive if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd \
			-drive "if=pflash,format=raw,unit=1,file=$RUN/vars.fd" && vm_wait 1 600
}
warned() { guest 1 dmesg | grep 'virtio_hyv.* MTRRs forbid to cache the window.* hyv-mtrr'; }

check "a guest with UEFI firmware is up" start || exit 1
check "it was started by UEFI" guest 1 test -d /sys/firmware/efi
check "its module is loaded without preparation" guest 1 bash -c 'modprobe -a ib_core ib_uverbs && insmod "/hyv/$0/virtio_hyv.ko"' "$HYV_GUEST_KERNEL"
check "it has its device" guest_hyv_up 1 || exit 1
baseline_save
check "verified data passes" guest 1 verbs_scale --qps 4
check "it says how its queues can be cached" warned
check "the module goes" guest 1 sh -c 'rmmod virtio_hyv && dmesg -C'
check "what modprobe runs first frees the window of its MTRR" guest 1 hyv-mtrr
check "the device is back" guest_hyv_up 1 || exit 1
check "it has nothing to say" not warned
check "verified data passes" guest 1 verbs_scale --qps 16
cached
check "nothing is left on the host" baseline_check
