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
# start N [OPTION...]: guest N, whose device need not work
start() { vm_start "$@" && vm_wait "$1"; }
# kernel_log N REGEX: the guest's module says it, and made no device
kernel_log() {
	not guest_hyv_up "$1" && guest "$1" dmesg >"$RUN/dmesg" && says "$RUN/dmesg" "$2"
}

rxe_up rxe0
rmmod hyv_window 2>/dev/null
check "hyv_window not loaded" refused 'hyv_window.*modprobe' hyvd --socket "$RUN/x.sock" --device rxe0
check "hyv_window loads" load_window
check "no such RDMA device" refused 'nosuch.*rxe0|nosuch.*rdma link' hyvd --socket "$RUN/x.sock" --device nosuch
check "no option" refused 'socket' hyvd --device rxe0
check "no device option" refused 'device.*rdma link' hyvd --socket "$RUN/x.sock"
check "a provider without a descriptor" refused 'descriptor' hyvd_efa --socket "$RUN/x.sock" --device rxe0
check "a directory that is not there" refused 'directory' hyvd --socket /nowhere/x.sock --device rxe0

hyvd_start 1 rxe0
check "guest memory not shared: the guest starts" start 1 --mem-options share=off
check "guest memory not shared: there is no device" not guest_hyv_up 1
check "guest memory not shared: hyvd says so" wait_for 10 says "$RUN/hyvd-1.log" 'share=on'
vm_stop 1
hyvd_kill 1

: >"$RUN/hyvd-1.log"
hyvd_start 1 rxe0
check "QEMU without the shared-memory feature: the guest starts" start 1 --no-hyv -- \
	-chardev "socket,id=c,path=$RUN/1.sock" -device vhost-user-fs-pci,chardev=c,tag=none
check "QEMU without the shared-memory feature: hyvd says so" wait_for 10 says "$RUN/hyvd-1.log" 'QEMU.*11\.1|vhost-user-test-device'
vm_stop 1
hyvd_kill 1

hyvd_v2 --socket "$RUN/1.sock" --device rxe0 >"$RUN/hyvd-1.log" 2>&1 &
echo $! >"$RUN/hyvd-1.pid"
wait_for 20 test -S "$RUN/1.sock"
check "another protocol version: the guest starts" start 1
check "another protocol version: the module says both" kernel_log 1 'version 2.*version 1|version 1.*version 2'
vm_stop 1
