# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves that each wrong set-up is refused with what is wrong and what to do, by the daemon or in the guest's kernel log.
# lab: --guests 0 --timeout 900
. /hyv/tests/e2e/common.bash

# refused REGEX COMMAND...: it must fail soon, with a message that has both the problem and the remedy
refused() {
	local pattern=$1 code=0
	shift
	timeout 30 "$@" >"$RUN/out" 2>&1 </dev/null || code=$?
	[[ $code != 0 && $code != 124 ]] || { echo "exit code $code"; cat "$RUN/out"; return 1; }
	says "$RUN/out" "$pattern"
}
# loads N: guest N's module, which looks at the protocol's version at once; and it made no device
loads() { guest "$1" insmod "/hyv/$HYV_GUEST_KERNEL/virtio_hyv.ko" && not guest "$1" test -e /sys/class/infiniband/hyv0; }
# kernel_log N REGEX: it says so
kernel_log() { guest "$1" dmesg >"$RUN/dmesg" && says "$RUN/dmesg" "$2"; }

rxe_up rxe0
rmmod hyv_window 2>/dev/null
check "hyv_window not loaded" refused 'hyv_window.*modprobe' hyvd --socket "$RUN/x.sock" --device rxe0
check "hyv_window loads" load_window
check "no such RDMA device" refused 'nosuch.*rxe0|nosuch.*rdma link' hyvd --socket "$RUN/x.sock" --device nosuch
check "no option" refused 'socket' hyvd --device rxe0
check "no device option" refused 'device.*rdma link' hyvd --socket "$RUN/x.sock"
check "a provider without a descriptor, by its name" refused 'driver efa \(id 17, ABI version 1\).*descriptor' hyvd_efa --socket "$RUN/x.sock" --device rxe0
check "a directory that is not there" refused 'directory' hyvd --socket /nowhere/x.sock --device rxe0

hyvd_start 1 rxe0
vm_start 1 --mem-options share=off
hyvd_start 2 rxe0
vm_start 2 --no-hyv -- -chardev "socket,id=c,path=$RUN/2.sock" -device vhost-user-fs-pci,chardev=c,tag=none
HYVD=hyvd_v2 hyvd_start 3 rxe0
vm_start 3
check "guest memory not shared: the guest starts" vm_wait 1
check "guest memory not shared: there is no device" not guest_hyv_up 1
check "guest memory not shared: hyvd says so" wait_for 10 says "$RUN/hyvd-1.log" 'share=on'
check "QEMU without the shared-memory feature: the guest starts" vm_wait 2
check "QEMU without the shared-memory feature: hyvd says so" wait_for 10 says "$RUN/hyvd-2.log" 'QEMU.*11\.1|vhost-user-test-device'
check "another protocol version: the guest starts" vm_wait 3
check "another protocol version: there is no device" loads 3
check "another protocol version: the module says both" kernel_log 3 'version 2.*version 1|version 1.*version 2'
for n in 1 2 3; do vm_stop $n; done
