# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves connections by address: the tools of rdma-core and perftest that use rdma_cm, between two guests and between a guest and a process
# of the host, both ways; that a guest uses its own addresses alone; what happens when one side dies; and that nothing is left. On rxe;
# cm_siw.sh: on siw.
#
#   host 10.9.0.1 \
#   guest 1 .11    } all on d-rxe0, the netdev of rxe0, whose packets come back to it
#   guest 2 .12   /
# lab: --guests 0 --timeout 5000
. /hyv/tests/e2e/common.bash

# cm_ids: what the host's rdma_cm holds
cm_ids() { rdma resource show cm_id | wc -l; }

busy() { (($(cm_ids) > $1)); }

# tools SERVER CLIENT: every tool there is
tools() {
	local s=$1 c=$2 ip ip6
	ip=$(rdma_ip "$s") ip6=$(rdma_ip6 "$s")
	check "$s <- $c: rping" connect "$s" "$c" rping -s -a "$ip" -C 100 -V -- rping -c -a "$ip" -C 100 -V
	check "$s <- $c: rping on the wildcard" connect "$s" "$c" rping -s -C 3 -V -- rping -c -a "$ip" -C 3 -V
	check "$s <- $c: rping over IPv6" connect "$s" "$c" rping -s -a "$ip6" -C 3 -V -- rping -c -a "$ip6" -C 3 -V
	check "$s <- $c: ucmatose over IPv6" connect "$s" "$c" ucmatose -b "$ip6" -c 3 -C 5 -- ucmatose -s "$ip6" -c 3 -C 5
	check "$s <- $c: ucmatose, $N connections" connect "$s" "$c" ucmatose -c $N -C 5 -S 512 -- ucmatose -s "$ip" -c $N -C 5 -S 512
	check "$s <- $c: rdma_server, rdma_client" connect "$s" "$c" rdma_server -- rdma_client -s "$ip"
	check "$s <- $c: rdma_xserver, rdma_xclient -c r" connect "$s" "$c" rdma_xserver -c r -- rdma_xclient -s "$ip" -c r
	check "$s <- $c: ib_send_lat -R" connect "$s" "$c" ib_send_lat -R -F -n 100 -d "$(device_of "$s")" -- \
		ib_send_lat -R -F -n 100 -d "$(device_of "$c")" "$ip"
	check "$s <- $c: ib_write_bw -R" connect "$s" "$c" ib_write_bw -R -F -n 50 -s 4096 -d "$(device_of "$s")" -- \
		ib_write_bw -R -F -n 50 -s 4096 -d "$(device_of "$c")" "$ip"
	check "$s <- $c: queue pairs by number, private data, messages" peers "$s" "$c"
}

# the bytes of private data that a request, its acceptance and its rejection carry, and requests in which one is one too many. siw takes
# 255, adds 4 of its own and counts both in a byte: beyond 251 it cannot connect, natively either
CARRIED=(56 196 148) EXCESS=("57,a,0" "56,a,197" "56,r,149")
[[ $DEVICE_OF_HOST != siw* ]] || CARRIED=(251 251 251) EXCESS=()
# peers SERVER CLIENT: both say what they say natively, where they ran first
peers() {
	local out=$RUN/peers.$1.$2 ip
	ip=$(rdma_ip "$1")
	connect "$1" "$2" cm_peer serve "$ip" -- cm_peer connect "$ip" "${EXCESS[@]}" "${CARRIED[0]},r,${CARRIED[2]}" "${CARRIED[0]},a,${CARRIED[1]}" \
		>"$out.client" || { cat "$out.client"; return 1; }
	cp "$RUN/server.out" "$out.server" && says "$out.client" "^rejected, ${CARRIED[2]} bytes" && says "$out.client" "^accepted, ${CARRIED[1]} bytes" &&
		diff "$RUN/peers.host.host.client" "$out.client" && diff "$RUN/peers.host.host.server" "$out.server"
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

# by_type SERVER CLIENT: perftest chooses the GIDs itself, by their type
by_type() {
	local place
	on "$1" timeout 60 ib_send_lat -F -n 50 -p 18500 -d "$(device_of "$1")" </dev/null >"$RUN/server.out" 2>&1 &
	wait_for 30 listening "$1" 18500 &&
		on "$2" timeout 60 ib_send_lat -F -n 50 -p 18500 -d "$(device_of "$2")" "$(ip_of "$1")" </dev/null >"$RUN/client.out" 2>&1 && wait $! ||
		{ cat "$RUN/client.out" "$RUN/server.out"; return 1; }
	for place; do says "$RUN/client.out" "GID: .*:255:255:10:09:00:$(rdma_ip "$place" | sed 's/.*\.//')" || return; done
}

export UD=on
N=${LONG:+100} MAX=200
N=${N:-10}
[[ $DEVICE_OF_HOST != siw* ]] || MAX=30	# natively, too, ucmatose makes no more than 36 there
((N < MAX)) || N=$MAX
check "the host's device" native_device || exit 1
check "two guests, each with an address of its own" address_guests 1 2 || exit 1
check "the host has addresses there" eval 'ip address replace "$(rdma_ip6 host)/64" dev d-$DEVICE_OF_HOST nodad'
baseline_save

# A peer that is not there takes the host's rdma_cm more than a minute, in which all else is tested; the host's TCP, by which siw connects, can be
# told to give up earlier.
nowhere() { on 1 timeout 200 rping -c -a $NET.77 -C 1; }
if [[ $DEVICE_OF_HOST == rxe* ]]; then
	nowhere </dev/null >"$RUN/nowhere" 2>&1 &
	NOWHERE=$!
fi
unreachable() {
	local retries=/proc/sys/net/ipv4/tcp_syn_retries old
	if [[ ${NOWHERE-} ]]; then
		wait_for 150 gone "$NOWHERE"
	else
		old=$(<$retries)
		echo 1 >$retries
		nowhere </dev/null >"$RUN/nowhere" 2>&1
		echo "$old" >$retries
	fi
	says "$RUN/nowhere" 'cma event RDMA_CM_EVENT_UNREACHABLE'
}

if [[ $DEVICE_OF_HOST == rxe* ]]; then
	check "natively: rping over IPv6" connect host host rping -s -a "$(rdma_ip6 host)" -C 3 -V -- rping -c -a "$(rdma_ip6 host)" -C 3 -V
	check "natively: queue pairs by number, private data, messages" peers host host
	check "natively: datagrams by address" connect host host udaddy -b "$(rdma_ip host)" -- udaddy -s "$(rdma_ip host)"
	for n in 1 2; do
		check "guest $n: its only GIDs are its addresses" equal "$(own_gids $n | sort)" "$(v4_gid "$(rdma_ip $n)")"$'\n'"$(v6_gid $n)"
		check "guest $n: its type is RoCE v2" equal "$(gid_types $n)" "RoCE v2"
		check "guest $n: applications see it" guest $n bash -c "ibv_devinfo -v -d hyv0 | grep 'GID.*$(rdma_ip $n), RoCE v2'"
	done
	for p in "ibv_rc_pingpong -c" ibv_ud_pingpong "ib_send_lat -F -n 50"; do
		# shellcheck disable=SC2086 # words
		check "1 2: $p by GID" pair 1 2 $p
	done
	check "1 2: ib_send_lat, which takes that GID by itself" by_type 1 2
else
	tools host host
fi

tools 1 2
tools 1 host
tools host 2
for ip in "$(rdma_ip 1)" "$(rdma_ip6 1)"; do
	check "1 <- 2: rping to $ip, on IPv6's wildcard" connect 1 2 rping -s -a :: -C 3 -V -- rping -c -a "$ip" -C 3 -V
done
check "1 <- 2: rsockets" connect 1 2 rstream -S 4096 -C 10 -I 10 -T v -- rstream -s "$(rdma_ip 1)" -S 4096 -C 10 -I 10 -T v
check "1 <- 1: rping within a guest" connect 1 1 rping -s -C 3 -V -- rping -c -a "$(rdma_ip 1)" -C 3 -V

# xrc PLACE: how rdma_xserver and rdma_xclient fare with XRC, which neither rxe nor siw has
xrc() {
	local cmd
	for cmd in "timeout 3 rdma_xserver -c x" "timeout 20 rdma_xclient -s $(rdma_ip host) -c x"; do
		# shellcheck disable=SC2086 # words
		on "$1" $cmd </dev/null 2>&1
		echo "exit code $?"
	done
}
# one after the other: to siw, who listens on the host's wildcard has the port on all of its addresses
xrc_fails() {
	xrc host >"$RUN/xrc.host"
	xrc 1 >"$RUN/xrc.1"
	says "$RUN/xrc.host" '^rdma_create_ep: ' && diff <(sort "$RUN/xrc.host") <(sort "$RUN/xrc.1")
}
check "rdma_xserver and rdma_xclient -c x fail as natively" xrc_fails

# datagrams and multicast, which iw_cm does not have; a listener hears nothing
NOT_SUPPORTED='unable to create QP: Operation not supported'
unheard() {
	on 1 timeout 60 udaddy -b "$(rdma_ip 1)" </dev/null >/dev/null 2>&1 &
	wait_for 20 listens 1 udaddy && refuses 'RDMA_CM_EVENT_UNREACHABLE' host udaddy -s "$(rdma_ip 1)"
	local code=$?
	guest 1 pkill -x udaddy
	wait $!
	return $code
}
check "datagrams by address are refused" refuses "$NOT_SUPPORTED" 1 udaddy -s "$(rdma_ip host)"
check "so is multicast" refuses "$NOT_SUPPORTED" 1 mckey -m 239.1.2.3 -b "$(rdma_ip 1)"
[[ $DEVICE_OF_HOST != rxe* ]] || check "who listens for datagrams hears nothing" unheard

# another interface in the subnet keeps the route; who binds to the address is connected all the same
other_interface() {
	local code=0
	guest 1 bash -c "ip link add other type dummy && ip link set other up && ip address add $NET.50/24 dev other" || return
	guest 1 ip route get "$(rdma_ip 2)" >"$RUN/route" && says "$RUN/route" 'dev other ' &&
		connect 2 1 rping -s -C 3 -V -- rping -c -I "$(rdma_ip 1)" -a "$(rdma_ip 2)" -C 3 -V || code=1
	guest 1 ip link delete other
	return $code
}
check "another interface in the same subnet keeps the route" other_interface
check "a peer that is not there: unreachable" unreachable
check "nothing is left on the host" baseline_check 20

# numbers FILE: keeps the numbers of the queue pairs that there are, until it is killed, with pauses as long as a look takes, and a bit
numbers() {
	local began
	while began=$SECONDS && rdma resource show qp | sed -n 's/.* lqpn \([0-9]*\) .*type RC .*/\1/p'; do sleep $((SECONDS - began)).5; done >"$1"
}
# rounds ROUNDS CONNECTIONS: opened at once, used, closed; rxe's numbers of queue pairs, by which peers know them, do not come again
rounds() {
	local i pid
	local -x CONNECT_SECONDS=400
	for i in $(seq "$1"); do
		numbers "$RUN/numbers" &
		pid=$!
		connect 1 2 ucmatose -c "$2" -C 2 -S 64 -- ucmatose -s "$(rdma_ip 1)" -c "$2" -C 2 -S 64 || { echo "in round $i"; kill $pid; return 1; }
		kill $pid
		baseline_check 60 || { echo "after round $i"; return 1; }
		sort -u "$RUN/numbers" >"$RUN/numbers.$i"
		(($(wc -l <"$RUN/numbers.$i") > $2)) || { echo "in round $i, not all numbers were seen"; return 1; }
	done
	[[ $DEVICE_OF_HOST != rxe* ]] || equal "$(sort "$RUN"/numbers.* | uniq -d)" ""
}
ROUNDS=2 AT_ONCE=50
[[ ! $LONG ]] || ROUNDS=10 AT_ONCE=1000
if [[ $DEVICE_OF_HOST == siw* ]]; then
	AT_ONCE=$MAX
	[[ ! $LONG ]] || ROUNDS=34
fi
check "$AT_ONCE connections at once, opened, used, closed, in $ROUNDS rounds" rounds $ROUNDS $AT_ONCE

# in_vain N [PORT]: guest N begins to connect to where nobody is; or to the host's port, where nobody says anything
tries_in_vain() { rdma resource show cm_id | grep -q "state CONNECT .*dst-addr $1:"; }
in_vain() {
	local at=$NET.77
	[[ ! ${2-} ]] || at=$(rdma_ip host)
	on "$1" rping -c -a "$at" -C 1 ${2:+-p "$2"} </dev/null >/dev/null 2>&1 &
	wait_for 20 tries_in_vain "$at" && sleep 1
}
# killed_at_once N PROGRAM, has_ended N PROGRAM: in guest N, which answers
killed_at_once() { guest "$1" pkill -KILL -x "$2" && wait_for 10 has_ended "$1" "$2"; }
has_ended() { guest "$1" bash -c '! pgrep -x "$0"' "$2"; }
# frozen N CMD...: runs CMD while guest N's daemon stands still
frozen() {
	local n=$1 code=0
	shift
	kill -STOP "$(hyvd_pid "$n")" && sleep 2 && "$@" || code=1
	kill -CONT "$(hyvd_pid "$n")" && return $code
}

check "a client that waits for such a peer can be killed" eval 'in_vain 1 && killed_at_once 1 rping'
check "even while its daemon stands still" eval 'in_vain 1 && frozen 1 killed_at_once 1 rping'
check "others connect meanwhile" connect 2 1 rping -s -C 3 -V -- rping -c -a "$(rdma_ip 2)" -C 3 -V
check "nothing is left on the host" baseline_check
if [[ $DEVICE_OF_HOST == siw* ]]; then
	# siw waits five seconds for what comes after TCP
	mute_peer() {
		socat -u TCP-LISTEN:7175,bind="$(rdma_ip host)",fork OPEN:/dev/null &
		local pid=$! code=0
		wait_for 10 listening host 7175 && in_vain 1 7175 && killed_at_once 1 rping && baseline_check || code=1
		kill $pid
		return $code
	}
	check "so can one whose peer says nothing, and nothing is left" mute_peer
	mute_client() {
		local fd code=0
		on 1 timeout 60 rping -s -a "$(rdma_ip 1)" </dev/null >/dev/null 2>&1 &
		wait_for 20 listens 1 rping && exec {fd}<>"/dev/tcp/$(rdma_ip 1)/7174" || return
		killed_at_once 1 rping && baseline_check 20 || code=1
		exec {fd}>&-
		return $code
	}
	check "so can a server whose client says nothing" mute_client
else
	# killed_acceptor: the other side never says its last word
	killed_acceptor() {
		on 1 rping -s -a "$(rdma_ip 1)" </dev/null >/dev/null 2>&1 &
		wait_for 20 listens 1 rping || return
		timeout 100 cm_peer mute "$(rdma_ip 1)" 99 >"$RUN/client.out" 2>&1 &
		wait_for 20 grep -q accepted "$RUN/client.out" && killed_at_once 1 rping
		local code=$?
		kill $!
		return $code
	}
	check "a server that has accepted such a client can be killed" killed_acceptor
	check "nothing is left on the host" baseline_check
fi
# others_qp: the QP of a process of root is used by a process of somebody else
others_qp() {
	on 1 timeout 60 cm_peer number </dev/null >"$RUN/number" &
	wait_for 20 grep -q . "$RUN/number" || return
	refuses 'rdma_connect: EPERM' 1 setpriv --reuid 65534 --clear-groups cm_peer mute "$(rdma_ip host)" "$(<"$RUN/number")"
	local code=$?
	guest 1 pkill -x cm_peer
	return $code
}
check "nobody connects another user's queue pair by its number" others_qp
check "nobody listens: rejected" refuses 'cma event RDMA_CM_EVENT_REJECTED' 1 rping -c -a "$(rdma_ip 2)" -C 1
both_listen() {
	on 1 timeout 60 rping -s -C 1 </dev/null >/dev/null 2>&1 &
	on 2 timeout 60 rping -s -C 1 </dev/null >/dev/null 2>&1 &
	wait_for 20 listens 1 rping && wait_for 20 listens 2 rping && on host timeout 60 rping -c -a "$(rdma_ip 1)" -C 1 </dev/null &&
		on host timeout 60 rping -c -a "$(rdma_ip 2)" -C 1 </dev/null
}
check "two guests listen on the same port" both_listen

# nobody's, and guest 2's, which the host has on that netdev
FOREIGN=("$NET.99" "$(rdma_ip 2)" "$(rdma_ip6 2)")
index_of() { guest 1 grep -l "0a09:00$1\$" -r /sys/class/infiniband/hyv0/ports/1/gids/ | sed 's|.*/||'; }	# the foreign GID's
check "guest 1 gives itself foreign addresses" guest 1 bash -c 'for a; do ip address add "$a" dev hyv0 || exit; done' bash "${FOREIGN[@]}"
for ip in "${FOREIGN[@]}"; do
	check "it cannot listen on $ip" refuses 'rdma_listen: Cannot assign requested address' 1 rping -s -a "$ip" -C 1
done
for ip in "${FOREIGN[@]:0:2}"; do
	check "nor connect from $ip" refuses 'failure connecting: Cannot assign requested address' 1 ucmatose -s "$(rdma_ip host)" -b "$ip" -c 1
done
check "nor connect from ${FOREIGN[2]}" refuses 'failure connecting: Cannot assign requested address' 1 ucmatose -s "$(rdma_ip6 host)" -b "${FOREIGN[2]}" -c 1
if [[ $DEVICE_OF_HOST == rxe* ]]; then
	for gid in 63 0c; do
		check "nor use the GID of $NET.$((0x$gid))" refuses 'modify_qp: EADDRNOTAVAIL' 1 gid_use "$(index_of $gid)"
	done
fi
check "the addresses go again" guest 1 bash -c 'for a; do ip address delete "$a" dev hyv0 || exit; done' bash "${FOREIGN[@]}"

# full_backlog: of ten clients two wait for a server that stands still, and the others are rejected; then one is served, and when the server is
# killed, all have heard
full_backlog() {
	local out=$RUN/clients.out pid
	on 1 timeout 100 cm_peer serve "$(rdma_ip 1)" 2 </dev/null >/dev/null 2>&1 &
	wait_for 20 listens 1 cm_peer && guest 1 pkill -STOP -x cm_peer || return
	on 2 bash -c 'for i in {1..10}; do timeout 60 cm_peer stay "$0" & done; wait' "$(rdma_ip 1)" </dev/null >"$out" 2>&1 &
	pid=$!
	wait_for 30 eval '(($(grep -c rejected "$RUN/clients.out") == 8))' && not grep connected "$out" && guest 1 pkill -CONT -x cm_peer &&
		wait_for 20 grep -q '^connected' "$out" && guest 1 pkill -KILL -x cm_peer && wait_for 20 gone $pid &&
		equal "$(grep -c '^rejected' "$out") $(grep -c '^disconnected' "$out")" "9 1" || { cat "$out"; return 1; }
}
# over siw a client waits five seconds, in which ten guest processes may not have started: the host's do
full_backlog_siw() {
	local out=$RUN/clients.out pid code=0
	on 1 timeout 100 cm_peer serve "$(rdma_ip 1)" 2 </dev/null >/dev/null 2>&1 &
	wait_for 20 listens 1 cm_peer && guest 1 pkill -STOP -x cm_peer || return
	bash -c 'for i in {1..10}; do timeout 60 cm_peer stay "$0" & done; wait' "$(rdma_ip 1)" </dev/null >"$out" 2>&1 &
	pid=$!
	wait_for 40 eval '(($(grep -c "^rejected" "$RUN/clients.out") == 8))' && not grep '^connected' "$out" || { cat "$out"; code=1; }
	guest 1 pkill -KILL -x cm_peer
	wait_for 70 gone $pid && return $code
}
if [[ $DEVICE_OF_HOST == rxe* ]]; then
	check "ten clients of a server with a backlog of two, which stands still" full_backlog
else
	check "of ten clients of a server with a backlog of two eight are rejected" full_backlog_siw
fi
check "nothing is left on the host" baseline_check 20

# server_killed: the server dies while clients connect; they end, and with errors
server_killed() {
	local pid
	on 1 timeout 100 ucmatose -c $MAX -C 0 </dev/null >/dev/null 2>&1 &
	wait_for 20 listens 1 ucmatose || return
	on 2 timeout 90 ucmatose -s "$(rdma_ip 1)" -c $MAX -C 0 </dev/null >"$RUN/client.out" 2>&1 &
	pid=$!
	wait_for 30 busy $((MAX / 3)) && guest 1 pkill -KILL -x ucmatose || return
	local code=0
	wait $pid || code=$?
	((code && code != 124)) || { echo "exit code $code"; cat "$RUN/client.out"; return 1; }
}
check "the server is killed while clients connect" server_killed
check "nothing is left on the host" baseline_check 60

# peer_killed WHAT...: guest 2 is connected to guest 1 and guest 1 to guest 2, and WHAT takes guest 1's ends away. Guest 2, which does nothing but
# wait for events, is told of both, and long before the time-outs of a peer that has gone without a word. PEER: the host, in place of guest 2
TOLD_WITHIN=20 PEER=2
peer_killed() {
	local n pids=() end
	rm -f "$RUN"/{serve,stay}.*
	for n in $PEER 1; do
		on $n timeout 100 cm_peer serve "$(rdma_ip $n)" </dev/null >"$RUN/serve.$n" 2>&1 &
		pids+=($!)
		wait_for 20 listens $n cm_peer || return
	done
	for n in $PEER 1; do
		on $n timeout 100 cm_peer stay "$(rdma_ip "$([[ $n == 1 ]] && echo $PEER || echo 1)")" </dev/null >"$RUN/stay.$n" 2>&1 &
		pids+=($!)
		wait_for 20 grep -q '^connected' "$RUN/stay.$n" || { cat "$RUN/stay.$n"; return 1; }
	done
	end=$((SECONDS + TOLD_WITHIN))
	"$@" || return
	for n in serve stay; do
		wait_for $((end > SECONDS ? end - SECONDS : 0)) grep -q '^disconnected' "$RUN/$n.$PEER" || { cat "$RUN/$n.$PEER"; return 1; }
	done
	wait "${pids[0]}" && wait "${pids[2]}"
}
check "guest 1's processes are killed: guest 2 is told" peer_killed guest 1 pkill -KILL -x cm_peer
check "nothing is left on the host" baseline_check 60
check "they are killed while their daemon stands still" peer_killed frozen 1 killed_at_once 1 cm_peer
check "nothing is left on the host" baseline_check 60
check "guest 1's module is removed: guest 2 is told" peer_killed guest 1 timeout 60 rmmod virtio_hyv
check "it comes back" guest_hyv_up 1
check "and connects" connect 1 2 rping -s -C 3 -V -- rping -c -a "$(rdma_ip 1)" -C 3 -V
check "nothing is left on the host" baseline_check 60
check "guest 1 is killed, while it connects to nowhere, too: guest 2 is told" peer_killed eval 'in_vain 1 && vm_kill 1'
check "hyvd ends with it, at once" wait_for 5 gone "$(hyvd_pid 1)"
check "guest 1 is started anew" address_guests 1
check "nothing is left on the host" baseline_check 60 'hyv_window windows'	# a hyvd of another number
check "hyvd is killed: guest 2 is told" peer_killed hyvd_kill 1
check "guest 1 goes on, its programs do not" wait_for 60 has_ended 1 cm_peer
check "its module can be removed" guest 1 timeout 60 rmmod virtio_hyv
# reset_in_vain: guest 2 is reset while it connects to nowhere, and the host has nothing of it any more; it is not waited for
reset_in_vain() {
	in_vain 2 && save_dmesg 2 && rm "$RUN/resets-2" || return
	timeout 5 lab-agent run vsock:12 busybox reboot -f </dev/null >/dev/null 2>&1
	wait_for 10 not busy 0 && vm_kill 2
}
PEER=host
check "no connection is left on the host" wait_for 30 not busy 0
check "guest 1 and its hyvd are started anew" eval 'vm_kill 1; address_guests 1'
check "guest 1's processes are killed: the host's are told" peer_killed guest 1 pkill -KILL -x cm_peer
check "guest 1 is killed: the host's are told" peer_killed vm_kill 1
check "guest 2 is reset while it connects to nowhere: nothing is left of it at once" reset_in_vain
