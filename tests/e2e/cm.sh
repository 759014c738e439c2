# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves connections by address: the tools of rdma-core and perftest that use rdma_cm, between two guests and between a guest and a process
# of the host, both ways; that a guest uses its own addresses alone; what happens when one side dies; and that nothing is left. On rxe;
# cm_siw.sh: on siw.
#
#   host 10.9.0.1 \
#   guest 1 .11    } all on d-rxe0, the netdev of rxe0, whose packets come back to it
#   guest 2 .12   /
# lab: --guests 0 --timeout 1500
. /hyv/tests/e2e/common.bash

# cm_ids: what the host's rdma_cm holds
cm_ids() { rdma resource show cm_id | wc -l; }

busy() { (($(cm_ids) > $1)); }

# tools SERVER CLIENT: every tool there is
tools() {
	local s=$1 c=$2 ip
	ip=$(rdma_ip "$s")
	check "$s <- $c: rping" connect "$s" "$c" rping -s -a "$ip" -C $N -V -- rping -c -a "$ip" -C $N -V
	check "$s <- $c: rping on the wildcard" connect "$s" "$c" rping -s -C 3 -V -- rping -c -a "$ip" -C 3 -V
	check "$s <- $c: rping over IPv6" connect "$s" "$c" rping -s -a "$(rdma_ip6 "$s")" -C 3 -V -- rping -c -a "$(rdma_ip6 "$s")" -C 3 -V
	check "$s <- $c: ucmatose, $N connections" connect "$s" "$c" ucmatose -c $N -C 5 -S 512 -- ucmatose -s "$ip" -c $N -C 5 -S 512
	check "$s <- $c: rdma_server, rdma_client" connect "$s" "$c" rdma_server -- rdma_client -s "$ip"
	check "$s <- $c: rdma_xserver, rdma_xclient -c r" connect "$s" "$c" rdma_xserver -c r -- rdma_xclient -s "$ip" -c r
	check "$s <- $c: ib_send_lat -R" connect "$s" "$c" ib_send_lat -R -F -n 100 -d "$(device_of "$s")" -- \
		ib_send_lat -R -F -n 100 -d "$(device_of "$c")" "$ip"
	check "$s <- $c: ib_write_bw -R" connect "$s" "$c" ib_write_bw -R -F -n 50 -s 4096 -d "$(device_of "$s")" -- \
		ib_write_bw -R -F -n 50 -s 4096 -d "$(device_of "$c")" "$ip"
}

# refuses REGEX PLACE CMD...: CMD fails there, says why, and does not hang
refuses() {
	local why=$1 place=$2 code=0
	shift 2
	on "$place" timeout 150 "$@" </dev/null >"$RUN/refused" 2>&1 || code=$?
	((code != 0 && code != 124)) || { echo "exit code $code"; cat "$RUN/refused"; return 1; }
	says "$RUN/refused" "$why"
}

gid_types() { guest "$1" cat /sys/class/infiniband/hyv0/ports/1/gid_attrs/types/"$(gid_of "$1")"; }
own_gids() { guest "$1" bash -c 'cat /sys/class/infiniband/hyv0/ports/1/gids/[0-7]' | grep -v '^0000:0000:0000:0000:0000:0000:0000:0000$\|^fe80:' ; }
v4_gid() { printf '0000:0000:0000:0000:0000:ffff:0a09:00%02x' "${1##*.}"; }
v6_gid() { printf 'fd09:0000:0000:0000:0000:0000:0000:001%s' "$1"; }

export UD=on
N=${LONG:+100}
N=${N:-10}
check "the host's device" native_device || exit 1
check "two guests, each with an address of its own" address_guests 1 2 || exit 1
check "the host has addresses there" eval 'ip address replace "$(rdma_ip6 host)/64" dev d-$DEVICE_OF_HOST nodad'
baseline_save
if [[ $DEVICE_OF_HOST == rxe* ]]; then
	check "natively: rping over IPv6" connect host host rping -s -a "$(rdma_ip6 host)" -C 3 -V -- rping -c -a "$(rdma_ip6 host)" -C 3 -V
	for n in 1 2; do
		check "guest $n: its only GIDs are its addresses" equal "$(own_gids $n | sort)" "$(v4_gid "$(rdma_ip $n)")"$'\n'"$(v6_gid $n)"
		check "guest $n: its type is RoCE v2" equal "$(gid_types $n)" "RoCE v2"
	done
	for p in "ibv_rc_pingpong -c" ibv_ud_pingpong "ib_send_lat -F -n 50"; do
		# shellcheck disable=SC2086 # words
		check "1 2: $p by GID" pair 1 2 $p
	done
else
	tools host host
fi

tools 1 2
tools 1 host
tools host 2
check "1 <- 1: rping within a guest" connect 1 1 rping -s -C 3 -V -- rping -c -a "$(rdma_ip 1)" -C 3 -V
check "nothing is left on the host" baseline_check 20

# rounds ROUNDS CONNECTIONS: opened at once, used, closed
rounds() {
	local i
	local -x CONNECT_SECONDS=400
	for i in $(seq "$1"); do
		connect 1 2 ucmatose -c "$2" -C 2 -S 64 -- ucmatose -s "$(rdma_ip 1)" -c "$2" -C 2 -S 64 || { echo "in round $i"; return 1; }
		baseline_check 60 || { echo "after round $i"; return 1; }
	done
}
ROUNDS=2 AT_ONCE=50
[[ ! $LONG ]] || ROUNDS=10 AT_ONCE=1000
[[ $DEVICE_OF_HOST != siw* ]] || AT_ONCE=30	# natively, too, libsiw makes no CQs for more than 36 in a process
check "$AT_ONCE connections at once, opened, used, closed, in $ROUNDS rounds" rounds $ROUNDS $AT_ONCE

# in_vain N [PORT]: guest N begins to connect to where nobody is; or to the host's port, where nobody says anything
tries_in_vain() { rdma resource show cm_id | grep -q "state CONNECT .*dst-addr $1:"; }
in_vain() {
	local at=$NET.77
	[[ ! ${2-} ]] || at=$(rdma_ip host)
	on "$1" rping -c -a "$at" -C 1 ${2:+-p "$2"} </dev/null >/dev/null 2>&1 &
	wait_for 20 tries_in_vain "$at" && sleep 1
}
killed_at_once() { guest "$1" pkill -KILL -x rping && wait_for 10 not guest "$1" pgrep -x rping; }
# frozen N CMD...: runs CMD while guest N's daemon stands still
frozen() {
	local n=$1 code=0
	shift
	kill -STOP "$(hyvd_pid "$n")" && sleep 2 && "$@" || code=1
	kill -CONT "$(hyvd_pid "$n")" && return $code
}

# over siw the host's TCP gives up after two minutes
[[ $DEVICE_OF_HOST == siw* && ! $LONG ]] ||
	check "a peer that is not there: unreachable" refuses 'UNREACHABLE|event: 4|cma event RDMA_CM_EVENT_' 1 rping -c -a $NET.77 -C 1
check "a client that waits for such a peer can be killed" eval 'in_vain 1 && killed_at_once 1'
check "even while its daemon stands still" eval 'in_vain 1 && frozen 1 killed_at_once 1'
check "others connect meanwhile" connect 2 1 rping -s -C 3 -V -- rping -c -a "$(rdma_ip 2)" -C 3 -V
check "nothing is left on the host" baseline_check
if [[ $DEVICE_OF_HOST == siw* ]]; then
	# siw waits five seconds for what comes after TCP
	mute_peer() {
		socat -u TCP-LISTEN:7175,bind="$(rdma_ip host)",fork OPEN:/dev/null &
		local pid=$! code=0
		wait_for 10 listening host 7175 && in_vain 1 7175 && killed_at_once 1 && baseline_check || code=1
		kill $pid
		return $code
	}
	check "so can one whose peer says nothing, and nothing is left" mute_peer
else
	# killed_acceptor: the other side never says its last word
	killed_acceptor() {
		on 1 rping -s -a "$(rdma_ip 1)" </dev/null >/dev/null 2>&1 &
		wait_for 20 listens 1 rping || return
		timeout 100 cm_by_number "$(rdma_ip 1)" 7174 99 >"$RUN/client.out" 2>&1 &
		wait_for 20 grep -q accepted "$RUN/client.out" && killed_at_once 1
		local code=$?
		kill $!
		return $code
	}
	check "a server that has accepted such a client can be killed" killed_acceptor
	check "nothing is left on the host" baseline_check
fi
# others_qp: the QP of a process of root is used by a process of somebody else
others_qp() {
	on 1 timeout 60 cm_by_number </dev/null >"$RUN/number" &
	wait_for 20 grep -q . "$RUN/number" || return
	refuses 'rdma_connect: EPERM' 1 setpriv --reuid 65534 --clear-groups cm_by_number "$(rdma_ip host)" 7174 "$(<"$RUN/number")"
	local code=$?
	guest 1 pkill -x cm_by_number
	return $code
}
check "nobody connects another user's queue pair by its number" others_qp
check "nobody listens: rejected" refuses 'REJECTED|cma event RDMA_CM_EVENT_REJECTED' 1 rping -c -a "$(rdma_ip 2)" -C 1
both_listen() {
	on 1 timeout 60 rping -s -C 1 </dev/null >/dev/null 2>&1 &
	on 2 timeout 60 rping -s -C 1 </dev/null >/dev/null 2>&1 &
	wait_for 20 listens 1 rping && wait_for 20 listens 2 rping && on host timeout 60 rping -c -a "$(rdma_ip 1)" -C 1 </dev/null &&
		on host timeout 60 rping -c -a "$(rdma_ip 2)" -C 1 </dev/null
}
check "two guests listen on the same port" both_listen

check "guest 1 gives itself foreign addresses" guest 1 bash -c "ip a a $NET.99/24 dev hyv0 && ip a a $(rdma_ip 2)/32 dev hyv0"
check "it cannot listen on one that is nobody's" refuses 'Cannot assign requested address' 1 rping -s -a $NET.99 -C 1
check "nor on the other guest's" refuses 'Cannot assign requested address' 1 rping -s -a "$(rdma_ip 2)" -C 1
check "nor connect from it" refuses 'Cannot assign requested address' 1 ucmatose -s "$(rdma_ip host)" -b $NET.99 -c 1
[[ $DEVICE_OF_HOST != rxe* ]] ||
	check "nor use its GID" refuses . 1 ibv_rc_pingpong -d hyv0 -g "$(guest 1 grep -l '0a09:0063$' -r /sys/class/infiniband/hyv0/ports/1/gids/ | sed 's|.*/||')" 127.0.0.1
check "the addresses go again" guest 1 bash -c "ip a d $NET.99/24 dev hyv0 && ip a d $(rdma_ip 2)/32 dev hyv0"

# server_killed: the server dies while clients connect; they end, and with errors
server_killed() {
	local pid
	on 1 timeout 100 ucmatose -c 200 -C 0 </dev/null >/dev/null 2>&1 &
	wait_for 20 listens 1 ucmatose || return
	on 2 timeout 90 ucmatose -s "$(rdma_ip 1)" -c 200 -C 0 </dev/null >"$RUN/client.out" 2>&1 &
	pid=$!
	wait_for 30 busy 20 && guest 1 pkill -KILL -x ucmatose || return
	local code=0
	wait $pid || code=$?
	((code != 124)) || { cat "$RUN/client.out"; return 1; }
}
check "the server is killed while clients connect" server_killed
check "nothing is left on the host" baseline_check 60

# peer_killed WHAT...: guest 2 is connected to guest 1, which WHAT takes away; guest 2 is told
peer_killed() {
	local pid code=0
	on 1 timeout 100 rping -s -a "$(rdma_ip 1)" </dev/null >/dev/null 2>&1 &
	wait_for 20 listens 1 rping || return
	on 2 timeout 90 rping -c -a "$(rdma_ip 1)" -C 1000000 -v </dev/null >"$RUN/client.out" 2>&1 &
	pid=$!
	wait_for 30 grep -q 'ping data' "$RUN/client.out" && "$@" || return
	wait $pid || code=$?
	((code != 124)) || { tail -3 "$RUN/client.out"; return 1; }
}
check "guest 1's process is killed: guest 2 is told" peer_killed guest 1 pkill -KILL -x rping
check "nothing is left on the host" baseline_check 60
check "it is killed while its daemon stands still" peer_killed frozen 1 killed_at_once 1
check "nothing is left on the host" baseline_check 60
# silent first: what is posted to siw's queue pairs after they were flushed stays there for ever, natively too, and rping's client waits for it
check "guest 1's module is removed: guest 2 is told" peer_killed eval \
	'guest 1 pkill -STOP -x rping && sleep 1 && guest 1 rmmod virtio_hyv && guest 1 pkill -KILL -x rping'
check "it comes back" guest_hyv_up 1
check "and connects" connect 1 2 rping -s -C 3 -V -- rping -c -a "$(rdma_ip 1)" -C 3 -V
check "nothing is left on the host" baseline_check 60
check "guest 1 is killed, while it connects to nowhere, too: guest 2 is told" peer_killed eval 'in_vain 1 && vm_kill 1'
check "hyvd ends with it, at once" wait_for 5 gone "$(hyvd_pid 1)"
check "guest 1 is started anew" address_guests 1
check "hyvd is killed: guest 2 is told" peer_killed hyvd_kill 1
check "guest 1 goes on" guest 1 true
check "its module can be removed" guest 1 timeout 60 rmmod virtio_hyv
# reset_in_vain: guest 2 is reset while it connects to nowhere, and the host has nothing of it any more; it is not waited for
reset_in_vain() {
	in_vain 2 && save_dmesg 2 && rm "$RUN/resets-2" || return
	timeout 5 lab-agent run vsock:12 busybox reboot -f </dev/null >/dev/null 2>&1
	wait_for 10 not busy 0 && vm_kill 2
}
check "guest 2 is reset while it connects to nowhere: nothing is left of it at once" reset_in_vain
