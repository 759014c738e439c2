# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves that a daemon which tells of connections in wrong orders (hyvd_disorder, seeded) cannot crash the guest's kernel, whose iw_cm
# stops the machine on most of them, and that the events with which it floods the guest all the while cost no memory, though a program does
# not read its own: programs fail or not, none hangs for good, the kernel log stays clean, and the module can be removed, as open as it is.
# lab: --guests 0 --timeout 900
. /hyv/tests/e2e/common.bash

ROUNDS=${LONG:+40}
ROUNDS=${ROUNDS:-5}

disordered_guest() { export HYVD=hyvd_disorder; address_guests 1; }

# client, server: one round each, however it ends
round() {
	timeout 60 rping -s -P -a "$(rdma_ip host)" </dev/null >/dev/null 2>&1 &
	local native=$!
	on 1 timeout 20 ucmatose -s "$(rdma_ip host)" -c 3 -C 2 </dev/null >/dev/null 2>&1
	on 1 timeout -s KILL 15 rping -c -a "$(rdma_ip host)" -C 3 </dev/null >/dev/null 2>&1
	on 1 timeout -s KILL 15 rping -s -a "$(rdma_ip 1)" -C 3 </dev/null >/dev/null 2>&1 &
	local server=$!
	sleep 3
	timeout 10 rping -c -a "$(rdma_ip 1)" -C 3 </dev/null >/dev/null 2>&1
	wait $server
	kill $native
	wait $native
	guest 1 true
}
# a program that has the device open and reads no event
sleeper() {
	guest 1 ibv_asyncwatch -d hyv0 </dev/null >"$RUN/asyncwatch" 2>&1 &
	wait_for 20 grep async "$RUN/asyncwatch" && guest 1 pkill -STOP -x ibv_asyncwatch
}
kernel_memory() { guest 1 cat /proc/meminfo </dev/null | awk '/^SUnreclaim/ {print $2}'; }
has_not_grown() {
	local now
	now=$(kernel_memory)
	echo "the guest's kernel memory: $MEMORY KiB before, $now KiB now"
	((now < MEMORY + 16384))
}
still_there() { [[ $(boot_id 1) == "$BOOT" ]]; }

check "the host's device" native_device || exit 1
check "a guest whose daemon is out of order" disordered_guest || exit 1
BOOT=$(boot_id 1)
check "a program opens the device and reads no event" sleeper
MEMORY=$(kernel_memory)
for i in $(seq $ROUNDS); do
	check "round $i" round
done
check "the guest has not booted again" still_there
check "wrong orders were seen" says <(guest 1 dmesg) 'wrong event'
check "events of no sense were seen" says <(guest 1 dmesg) 'event of no sense'
check "the guest's kernel has kept none" has_not_grown
check "the module can be removed" guest 1 timeout 60 rmmod virtio_hyv
