# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves that a VM can have several devices of different kinds at once, rxe and siw, each with an address of its own, and use them at the
# same time; that one of them comes and goes while the other works; that the death of a VM's hyvd, and a new one, concern no other VM; and
# that a guest which floods hyvd and its device does not keep another from working; and that VMs lose one device alone when the host does.
# lab: --guests 0 --timeout 1200
. /hyv/tests/e2e/common.bash

RXE_NET=$NET SIW_NET=10.9.1

# on_rxe, on_siw CMD...: with the addresses of that device's network
on_rxe() { local NET=$RXE_NET; "$@"; }
on_siw() { local NET=$SIW_NET; "$@"; }
start() {
	ip address add "$RXE_NET.1$1/24" dev d-rxe0 && ip address add "$SIW_NET.1$1/24" dev d-siw0 && daemon "$1" && vm_start "$1" --hotplug
}
daemon() { hyvd_start "$1" rxe0 siw0 -- --address "$RXE_NET.1$1" --address "$SIW_NET.1$1" --control "$RUN/$1.ctl"; }
# kinds N: of guest N's devices
kinds() { guest "$1" bash -c 'cat /sys/class/infiniband/*/node_type' </dev/null | paste -sd,; }
has_both() { equal "$(kinds "$1")" "$(cat /sys/class/infiniband/{rxe0,siw0}/node_type | paste -sd,)"; }
ping() { connect 1 2 rping -s -a "$(rdma_ip 1)" -C "$1" -V -- rping -c -a "$(rdma_ip 1)" -C "$1" -V; }
# both_at_once: a connection over each, open at the same time
both_at_once() {
	local pid
	on_siw ping 100 >"$RUN/siw.out" 2>&1 &
	pid=$!
	on_rxe ping 100 && wait $pid || { cat "$RUN/siw.out"; return 1; }
}
# flood: guest 1 does nothing but make and destroy objects, and posts all the time
flood() {
	on 1 timeout 120 env HYV_TEST_DEVICE=hyv0 verbs_objects 100000000 </dev/null >/dev/null 2>&1 &
	FLOODS=($!)
	on 1 timeout 120 env HYV_TEST_DEVICE=hyv0 verbs_traffic </dev/null >/dev/null 2>&1 &
	FLOODS+=($!)
}
ops() { ctl stats "$1" --json | python3 -c 'import json, sys; print(sum(op["count"] for op in json.load(sys.stdin)["ops"].values()))'; }

check "the host's devices" eval 'native_device && siw_up siw0' || exit 1
baseline_save
check "two guests with two devices each" eval 'start 1 && start 2 && vm_wait 1 && guest_hyv_up 1 && vm_wait 2 && guest_hyv_up 2' || exit 1
for n in 1 2; do
	check "guest $n has a device of each kind" has_both $n
done
check "hyvctl shows both" eval 'ctl show 1 >"$RUN/show" && says "$RUN/show" rxe0 && says "$RUN/show" siw0'
check "a connection over rxe" on_rxe ping 5
check "a connection over siw" on_siw ping 5
check "both at once" both_at_once

has_one() { equal "$(kinds "$1")" "$(cat /sys/class/infiniband/rxe0/node_type)"; }
# siw_cycles N: guest 1's comes and goes; every other time the guest sees that
siw_cycles() {
	local i
	for ((i = 1; i <= $1; i++)); do
		ctl detach 1 siw0 && { ((i % 2)) || wait_for 60 has_one 1; } &&
			ctl attach 1 siw0 --address "$SIW_NET.11" && wait_for 60 has_both 1 || { echo "in round $i"; return 1; }
	done
}
N=${LONG:+100}
N=${N:-6}
check "traffic in guest 1, over rxe" guest_traffic 1 hyv0
check "its other device comes and goes $N times" siw_cycles $N
check "the traffic goes on" goes_on "$RUN/traffic-1"
check "the other works" eval 'guest_hyv_up 1 && on_siw ping 5'

check "traffic in guest 2, too" guest_traffic 2 hyv0
check "its hyvd is killed" hyvd_kill 2
check "its application is told, and ends" guest_traffic_ends 2
check "guest 1's goes on" goes_on "$RUN/traffic-1"
check "guest 2's new hyvd starts" daemon 2
check "and gives it its devices again" ctl recover 2 --qmp "$RUN/qmp-2.sock" --timeout 120
check "guest 1's traffic goes on" goes_on "$RUN/traffic-1"
check "guest 2 has both devices" eval 'wait_for 60 has_both 2 && guest_hyv_up 2'
check "over which it connects with guest 1" eval 'on_rxe ping 5 && on_siw ping 5'
check "guest 1's traffic is ended" guest 1 pkill -KILL -x verbs_traffic

flood
BEFORE=$(ops 1)
busier() { (($(ops 1) > BEFORE + $1)); }
check "guest 1 floods its hyvd" wait_for 60 busier 200
check "guest 2 makes and destroys objects all the same" guest 2 timeout 60 env HYV_TEST_DEVICE=hyv0 verbs_objects 20
check "and connects" on_rxe connect host 2 rping -s -a "$(rdma_ip host)" -C 5 -V -- rping -c -a "$(rdma_ip host)" -C 5 -V
check "guest 1 is still at it" eval 'alive "${FLOODS[0]}"'
guest 1 pkill -KILL verbs_ </dev/null
wait "${FLOODS[@]}"

# over_siw: whatever guest 1 calls that device
over_siw() {
	local dev
	dev=$(guest 1 bash -c 'grep -l RNIC /sys/class/infiniband/*/node_type' </dev/null | cut -d/ -f5) && guest_traffic 1 "${dev:?}" "$SIW_NET.11"
}
check "traffic in guest 1, over siw" over_siw
check "the host removes its siw device" timeout 60 rdma link delete siw0
check "guest 1's application is told, and ends" guest_traffic_ends 1
check "both guests have their other devices" eval 'wait_for 60 has_one 1 && wait_for 60 has_one 2'
check "over which they connect" on_rxe ping 5

for n in 1 2; do
	vm_stop $n
	check "daemon $n ends in order when QEMU does" wait_for 20 gone "$(hyvd_pid $n)"
done
check "nothing is left on the host" baseline_check 20 siw0
