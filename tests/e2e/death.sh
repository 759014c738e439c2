# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves that nothing outlives its owner: a guest's process, its module, the guest, QEMU and hyvd die in mid-traffic, with objects of every
# kind alive, and each time the host's objects, windows and pinned pages are what they were before, and who is left goes on. What the kernel
# does not list, address handles and memory windows, rxe counts itself: its device could not go without a complaint in the log. A member of
# a group is a QP that could not go. (The group's Ethernet address stays on the netdev natively too: rxe forgets it when the last one leaves.)
# On rxe, without addresses; death_siw.sh: on siw, with addresses and connections.
# lab: --guests 0 --timeout 900
. /hyv/tests/e2e/common.bash

GUEST_BY=${GUEST_BY:-hyv_guest}	# how a guest is started
KINDS=${KINDS:-rc_with_srq mw ah member pd channel context}	# some of what the device has
ADDRESS=${ADDRESS-}	# the guest's, over which data goes and a listener listens, if it has one

# traffic N: verbs_traffic in guest N, in the background, until data has passed
traffic() {
	rm -f "$RUN/traffic.code"
	{
		guest "$1" verbs_traffic ${ADDRESS:+"$ADDRESS"}
		echo $? >"$RUN/traffic.code"
	} </dev/null >"$RUN/traffic" 2>&1 &
	guest "$1" env ${ADDRESS:+HYV_TEST_ADDRESS="$ADDRESS"} verbs_objects hold <&$HOLD >"$RUN/objects" 2>&1 &
	wait_for 60 grep -q '^running' "$RUN/traffic" && wait_for 60 grep -q '^holding' "$RUN/objects" &&
		says "$RUN/objects" "$KINDS"
}
# ended_well: the application was told that the device is gone (libibverbs words for IBV_EVENT_DEVICE_FATAL), got errors and no hang
ended_well() {
	wait_for 60 test -s "$RUN/traffic.code" && [[ $(<"$RUN/traffic.code") == 0 ]] || { cat "$RUN/traffic"; return 1; }
	says "$RUN/traffic" 'event: local catastrophic error' && says "$RUN/traffic" 'create_cq: E' && says "$RUN/traffic" 'destroying: success'
}
# works N: data passes in guest N
works() {
	if [[ $ADDRESS ]]; then connect "$1" "$1" rping -s -a "$ADDRESS" -C 3 -V -- rping -c -a "$ADDRESS" -C 3 -V; else guest "$1" verbs_scale --qps 2; fi
}
# fails N CMD...: CMD ends in guest N, with an error
fails() {
	local n=$1 code=0
	shift
	guest "$n" timeout 30 "$@" || code=$?
	((code != 0 && code != 124)) || { echo "exit code $code"; return 1; }
}
objects() { rdma resource show | awk '{for (i = 3; i < NF; i += 2) n += $(i + 1)} END {print n}'; }

mkfifo "$RUN/hold"	# never written to
exec {HOLD}<>"$RUN/hold"
check "the host's device" native_device
baseline_save
cp "$RUN/baseline" "$RUN/baseline.bare"
check "a guest is up" $GUEST_BY 1 || exit 1
baseline_save

idle=$(objects)
check "traffic in the guest" traffic 1
check "it has objects on the host" test "$(objects)" -gt "$idle"
check "its processes are killed" guest 1 pkill -KILL -x 'verbs_(traffic|objects)'
check "nothing of it is left" baseline_check

check "traffic in the guest" traffic 1
check "the module is removed under it" guest 1 rmmod virtio_hyv
check "the application is told, and ends" ended_well
check "nothing of it is left" baseline_check 10 descriptors	# the rings' are closed while no driver is there
check "the module comes back" guest_hyv_up 1
check "the device works again" works 1
check "all is as it was at first" baseline_check

check "traffic in the guest" traffic 1
check "the guest reboots" vm_reboot 1
check "nothing of it is left" baseline_check 10 descriptors
check "the device is there after the reboot" guest_hyv_up 1
check "and works" works 1
check "all is as it was at first" baseline_check

check "traffic in the guest" traffic 1
check "QEMU is killed" vm_kill 1
check "hyvd ends with it" wait_for 20 gone "$(hyvd_pid 1)"
cp "$RUN/baseline.bare" "$RUN/baseline"
check "nothing of the guest is left" baseline_check

check "a guest is up" $GUEST_BY 1
check "traffic in the guest" traffic 1
check "hyvd is killed" hyvd_kill 1
check "the application is told, and ends" ended_well
check "the guest goes on" guest 1 true
check "a new application gets an error and no hang" fails 1 verbs_objects 1
check "the module can be removed" guest 1 timeout 60 rmmod virtio_hyv
vm_stop 1
check "nothing of the guest is left" baseline_check
check "the host's device can go" rxe_down "$DEVICE_OF_HOST"
