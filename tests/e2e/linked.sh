# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves that two guests talk over a link, and connect: each has another rxe device, the two devices are in two network namespaces joined by
# a veth pair, and the packets are counted on it. The hyvd of each is in its device's namespace, as docs/OPERATOR.md has it under "Network namespaces":
# "shared", in which rdma_cm's addresses are apart; linked_exclusive.sh: "exclusive", in which the RDMA devices are, too.
#
#   guest 1 -- rxe1 -- v1 [ns1] ====== [ns2] v2 -- rxe2 -- guest 2
#
# 6.12's rxe knows the initial namespace alone, so this is for 7.3.
# lab: --guests 0 --timeout 900
. /hyv/tests/e2e/common.bash

if [[ $HYV_KERNEL == 6.12 ]]; then
	skip "two guests over a link" "rxe of 6.12 has no network namespaces"
	exit
fi

MODE=${MODE:-shared}
if [[ $MODE == exclusive ]]; then
	# rdma ARG...: for baseline, which would see nothing: in both namespaces
	rdma() { ip netns exec ns1 rdma "$@" && ip netns exec ns2 rdma "$@"; }
fi

# A soft device begins in the first namespace, wherever it is made; one that is its netdev's would need no moving.
topology() {
	local n
	modprobe -a veth rdma_rxe ib_uverbs rdma_ucm && load_window && command rdma system set netns $MODE || return
	ip link add v1 type veth peer name v2 || return
	for n in 1 2; do
		ip netns add ns$n && ip link set v$n netns ns$n && ip -n ns$n addr add "$(rdma_ip $n)/24" dev v$n &&
			ip -n ns$n link set v$n up && ip netns exec ns$n rdma link add rxe$n type rxe netdev v$n || return
		[[ $MODE == shared ]] || ip netns exec ns$n test -e /sys/class/infiniband/rxe$n || command rdma dev set rxe$n netns ns$n || return
	done
}
# seen CMD...: the devices that CMD, which runs another, sees, and how many it can open
seen() {
	# shellcheck disable=SC2016 # for the shell there
	"$@" bash -c 'rdma link show | sed "s|^link \([^/]*\)/.*|\1|"; for node in /dev/infiniband/uverbs*; do : <>"$node" && echo; done | wc -l' | xargs
}
start() {
	local n
	for n in 1 2; do
		printf '#!/bin/sh\nexec ip netns exec ns%s hyvd "$@"\n' $n >"$RUN/in-ns$n" && chmod +x "$RUN/in-ns$n" &&
			HYVD=$RUN/in-ns$n hyvd_start $n rxe$n -- --address "$(rdma_ip $n)" && vm_start $n || return
	done
	for n in 1 2; do vm_wait $n && guest_hyv_up $n || return; done
}
packets() { ip -n ns1 -s -j link show v1 | python3 -c 'import json, sys; s = json.load(sys.stdin)[0]["stats64"]; print(s["tx"]["packets"] + s["rx"]["packets"])'; }

# travels BYTES CMD...: CMD, after which at least as many bytes have gone over the link, in packets of at most 1500 bytes
travels() {
	local before bytes=$1
	shift
	before=$(packets)
	"$@" || return
	echo "# $(($(packets) - before)) packets for $bytes bytes"
	(($(packets) - before >= bytes / 1500))
}

mkdir -p /run/netns
check "two rxe devices on a veth pair" topology || exit 1
# native_connects: a process in one namespace connects to one in the other
native_connects() {
	local code=0
	ip netns exec ns1 timeout 30 rping -s -a "$(rdma_ip 1)" -p 9999 -C 1 </dev/null >/dev/null 2>&1 &
	sleep 3
	ip netns exec ns2 timeout 20 rping -c -a "$(rdma_ip 1)" -p 9999 -C 1 </dev/null >"$RUN/native" 2>&1 || code=1
	kill $! 2>/dev/null
	wait $!
	return $code
}
if [[ $MODE == exclusive ]]; then
	for n in 1 2; do
		check "namespace $n has its own alone" equal "$(seen ip netns exec ns$n)" "rxe$n 1"
	done
	check "the first has none" equal "$(seen env)" 0
	check "natively nobody connects over rxe in this mode" not native_connects
	check "since the kernel refuses" says "$RUN/native" 'rdma_connect: Invalid argument'
fi
check "two guests, one on each" start || exit 1
baseline_save
check "each hyvd is in the namespace of its netdev" equal "$(ip netns pids ns1) $(ip netns pids ns2)" "$(hyvd_pid 1) $(hyvd_pid 2)"
for to in 1 2; do
	[[ $MODE == shared ]] || break
	check "guest $((3 - to)) connects to guest $to" travels 10000 connect $to $((3 - to)) rping -s -a "$(rdma_ip $to)" -C 50 -S 1000 -V -- rping -c -a "$(rdma_ip $to)" -C 50 -S 1000 -V
done
for size in 1 4096 ${LONG:+65536 1048576}; do
	n=$((size > 65536 ? 20 : 200))
	check "1 2: ibv_rc_pingpong -s $size -c" travels $((2 * n * size)) pair 1 2 ibv_rc_pingpong -s $size -n $n -c
	check "1 2: ibv_rc_pingpong -s $size -c -e" travels $((2 * n * size)) pair 1 2 ibv_rc_pingpong -s $size -n $n -c -e
done
for op in ${LONG:+send read} write; do
	[[ ! $LONG ]] || check "1 2: ib_${op}_lat" travels 6400 pair 1 2 ib_${op}_lat -n 100 -F
	[[ ! $LONG ]] || check "1 2: ib_${op}_bw" travels $((100 * 65536)) pair 1 2 ib_${op}_bw -n 100 -F
	check "1 2: ib_${op}_bw -q 16" travels $((50 * 16 * 4096)) pair 1 2 ib_${op}_bw -n 50 -s 4096 -q 16 -F
done
check "1 2: ib_atomic_lat" travels 800 pair 1 2 ib_atomic_lat -n 100 -F
check "nothing is left on the host" baseline_check
