# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves that devices come to a running VM and go: by hyvctl, idle, in use and with a connection; without the guest's help; because the host
# loses one, or its netdev; while another works, a thousand times; while the guest reboots or hyvd dies. Each time applications are told and end,
# and nothing is left. The host's driver stays as long as a VM has a device of it.
#
#   rxe0 on d-rxe0: host 10.9.0.1, guest 1 .11, as hyv0 from the start
#   rxe1 on d-rxe1: host 10.9.2.1, guest 1 .11, as hyv1 now and then
#   siw0 on d-siw0, once
# lab: --guests 0 --timeout 5000
. /hyv/tests/e2e/common.bash

# what common.bash takes for hyv0 and its network, SECOND for the other
SECOND=0
rdma_ip() { if [[ $1 == host ]]; then echo "10.9.$SECOND.1"; else echo "10.9.$SECOND.1$1"; fi; }
device_of() { if [[ $1 == host ]]; then echo "rxe$((SECOND > 0))"; else echo "hyv$((SECOND > 0))"; fi; }
# shellcheck disable=SC2034 # pair's, connect's
second() {
	local SECOND=2
	local -A GID_OF=()
	"$@"
}

# refused REGEX ARG...: hyvctl says why not, and ends as it does then
refused() {
	local why=$1 code=0
	shift
	ctl "$@" >"$RUN/out" 2>&1 </dev/null || code=$?
	equal $code 1 && says "$RUN/out" "$why"
}
# has DEVICE...: the guest has these; becomes DEVICE...: it will soon
has() { equal "$(guest 1 ls /sys/class/infiniband </dev/null | xargs)" "$*" && equal "$(guest 1 ls /sys/class/net </dev/null | grep -c '^hyv1$')" "${NETDEV-0}"; }
becomes() { wait_for 60 has "$@"; }
works() { guest 1 env HYV_TEST_DEVICE="$1" verbs_scale --qps 2 </dev/null; }

# traffic DEVICE: verbs_traffic and objects of every kind on it, in the background, until data has passed
traffic() {
	rm -f "$RUN/$1.code"
	{
		guest 1 env HYV_TEST_DEVICE="$1" verbs_traffic
		echo $? >"$RUN/$1.code"
	} </dev/null >"$RUN/$1.traffic" 2>&1 &
	guest 1 env HYV_TEST_DEVICE="$1" verbs_objects hold <&$HOLD >"$RUN/$1.objects" 2>&1 &
	wait_for 60 grep -q '^running' "$RUN/$1.traffic" && wait_for 60 grep -q '^holding' "$RUN/$1.objects"
}
# ended_well DEVICE: its application was told that the device is gone (IBV_EVENT_DEVICE_FATAL), got errors and no hang; no process is stuck
ended_well() {
	wait_for 90 test -s "$RUN/$1.code" && equal "$(<"$RUN/$1.code")" 0 && says "$RUN/$1.traffic" 'event: local catastrophic error' &&
		says "$RUN/$1.traffic" 'create_cq: E' && says "$RUN/$1.traffic" 'destroying: success' || { cat "$RUN/$1.traffic"; return 1; }
	ended "verbs_objects hold"
}
# ended COMMAND: the guest's processes of that command line can be killed
ended() { guest 1 pkill -KILL -f "$1" </dev/null; wait_for 20 not guest 1 pgrep -f "$1"; }

start() {
	ip address replace "$(rdma_ip 1)/24" dev d-rxe0 && hyvd_start 1 rxe0 -- --address "$(rdma_ip 1)" --control "$RUN/1.ctl" &&
		vm_start 1 && vm_wait 1 && guest_hyv_up 1
}

mkfifo "$RUN/hold"	# never written to
exec {HOLD}<>"$RUN/hold"
check "two devices on the host" eval 'native_device && rxe_up rxe1 10.9.2.1/24 && ip address add 10.9.2.11/24 dev d-rxe1' || exit 1
baseline_save
cp "$RUN/baseline" "$RUN/baseline.bare"
check "a guest with the first" start || exit 1
check "it has that alone" has hyv0
baseline_save

check "a device that is not there" refused 'nosuch.*rxe0' attach 1 nosuch
check "an address that its netdev has not" refused 'ip address add 10.9.2.99' attach 1 rxe1 --address 10.9.2.99
check "an address of another device" refused 'rxe1.*ip address add' attach 1 rxe1 --address "$(rdma_ip 1)"
check "one that the VM does not have" refused "has no device 'rxe1'" detach 1 rxe1 --force
check "nothing of it is left" baseline_check

check "the second device comes" ctl attach 1 rxe1
check "the guest sees it" becomes hyv0 hyv1
check "hyvctl shows it" eval 'ctl show 1 | grep -E "^ +1  rxe1 "'
check "not twice" refused "has 'rxe1' already" attach 1 rxe1
check "it works, with the host as peer" second pair 1 host ibv_rc_pingpong -s 4096 -n 100 -c
check "so does the first" works hyv0
check "it goes when nobody uses it" ctl detach 1 rxe1
check "the guest sees that" becomes hyv0
check "nothing of it is left" baseline_check

check "it comes, goes and comes" eval 'ctl attach 1 rxe1 && ctl detach 1 rxe1 && ctl attach 1 rxe1'
check "and works" wait_for 60 works hyv1 # which the first of the two never does again
# taken_back: how often the guest's kernel has said that the second device went
taken_back() { guest 1 dmesg </dev/null | grep -c 'takes back its device 1'; }
BEFORE=$(taken_back)
notices() { equal "$(taken_back)" $((BEFORE + 1)); }
check "it goes and comes while the guest stands still" eval 'kill -STOP "$(qemu_pid 1)" && ctl detach 1 rxe1 && ctl attach 1 rxe1; code=$?; kill -CONT "$(qemu_pid 1)"; ((code == 0))'
check "the guest notices" wait_for 60 notices
check "and it works" eval 'becomes hyv0 hyv1 && works hyv1'

check "traffic on it" traffic hyv1
guest 1 ibv_asyncwatch -d hyv1 </dev/null >"$RUN/asyncwatch" 2>&1 & WATCH=$!
check "and somebody watches it" wait_for 20 eval 'equal "$(ctl --json show 1 | grep -c "\"device\": \"rxe1\"")" 3'
check "it is not taken from those who use it" refused 'in use by 3 contexts' detach 1 rxe1
check "who do not notice" goes_on "$RUN/hyv1.traffic"
check "it is taken by force" ctl detach 1 rxe1 --force
check "the application is told, and ends" ended_well hyv1
check "who watches is told" wait_for 60 grep DEVICE_FATAL "$RUN/asyncwatch"
watcher_killed() { ended ibv_asyncwatch && wait_for 10 gone $WATCH; }
check "and can be killed" watcher_killed
check "the guest's device is gone" becomes hyv0
check "the first still works" works hyv0
check "nothing of it is left" baseline_check 20

check "traffic on it, anew" eval 'ctl attach 1 rxe1 && becomes hyv0 hyv1 && traffic hyv1'
check "it is taken from a guest that stands still" eval 'kill -STOP "$(qemu_pid 1)"; ctl detach 1 rxe1 --force; code=$?; kill -CONT "$(qemu_pid 1)"; ((code == 0))'
check "without its help" says "$RUN/hyvd-1.log" "still uses 'rxe1'"
check "the application is told, and ends" ended_well hyv1
check "the guest's device is gone" becomes hyv0
check "nothing of it is left" baseline_check 20

# with_address: attached, with an address whose subnet hyvd has to find out, which is on the guest's netdev
with_address() {
	ctl attach 1 rxe1 --address 10.9.2.11 && NETDEV=1 becomes hyv0 hyv1 && guest_hyv_up 1 &&
		guest 1 ip -o address show dev hyv1 </dev/null | grep -F 10.9.2.11/24
}
listens_on_second() { on 1 timeout 200 rping -s -a 10.9.2.11 </dev/null >/dev/null 2>&1 & wait_for 30 second listens 1 rping; }
# connected PLACE: somebody there is connected to the guest, and stays so
connected() {
	listens_on_second || return
	on "$1" timeout 200 rping -c -a 10.9.2.11 -C 10000000 -v </dev/null >"$RUN/client.out" 2>&1 &
	echo $! >"$RUN/client.pid"
	wait_for 60 grep -q 'ping data' "$RUN/client.out"
}
# the host's end of a connection is told, and the guest's process can end
connection_ends() { wait_for 120 gone "$(pid_of client)" && ended 'rping -s'; }
check "it comes with an address" with_address
check "by which the guest can be reached" second connect 1 host rping -s -a 10.9.2.11 -C 3 -V -- rping -c -a 10.9.2.11 -C 3 -V
check "a connection with the host" connected host
check "keeps it, too" refused 'in use by 1 contexts and [1-9]' detach 1 rxe1
check "but not by force" ctl detach 1 rxe1 --force
check "the other end is told" connection_ends
check "the guest's device is gone" becomes hyv0
check "nothing of it is left" baseline_check 60

# nobody of the host has it open, whom a 6.12 kernel would wait for, too
check "traffic on it, and a connection within the guest" eval 'with_address && traffic hyv1 && connected 1'
t=$SECONDS
check "the host removes its device while it is used" timeout 60 rdma link delete rxe1
echo "# after $((SECONDS - t)) s"
check "hyvd says so" says "$RUN/hyvd-1.log" "the host removes 'rxe1'"
check "the application is told, and ends" ended_well hyv1
check "the connection's processes can end" eval 'ended "rping -c" && ended "rping -s"'
check "the guest's device is gone" becomes hyv0
check "the VM has it no more" wait_for 10 eval '! ctl show 1 | grep rxe1'
check "nothing of it is left" baseline_check 60 rxe1
check "made anew, it can be given again" eval 'rdma link add rxe1 type rxe netdev d-rxe1 && ctl attach 1 rxe1 && becomes hyv0 hyv1 && works hyv1'
check "and be lost when nobody uses it" eval 'timeout 60 rdma link delete rxe1 && becomes hyv0'
check "made anew" rdma link add rxe1 type rxe netdev d-rxe1
check "nothing of all this is left" baseline_check

check "traffic on it" eval 'ctl attach 1 rxe1 && becomes hyv0 hyv1 && traffic hyv1'
check "the host's netdev is deleted while it is used" timeout 60 ip link delete d-rxe1
check "the application is told, and ends" ended_well hyv1
check "the guest's device is gone" becomes hyv0
check "the VM has it no more" wait_for 10 eval '! ctl show 1 | grep rxe1'
check "both are made anew" eval 'rxe_up rxe1 10.9.2.1/24 && ip address add 10.9.2.11/24 dev d-rxe1'
check "nothing of it is left" baseline_check 60

check "a device of another driver" eval 'siw_up siw0 && ctl attach 1 siw0 && becomes hyv0 hyv1'
check "which cannot be unloaded" eval 'not rmmod siw && test -d /sys/class/infiniband/siw0 && works hyv0'
check "but when it is detached" eval 'ctl detach 1 siw0 && rmmod siw && ip link delete d-siw0'
check "the guest's device is gone" becomes hyv0
check "nothing of it is left" baseline_check

# shifts: in the guest a program for each line of the FIFO, which uses hyv1, as soon as it can, until it is told that the device is gone
shifts() {
	guest 1 bash -c 'while read -r; do
		until grep -qsx hyv1 /sys/class/infiniband_verbs/*/ibdev && grep -qs :ffff: /sys/class/infiniband/hyv1/ports/1/gids/{0..3}; do sleep 0.1; done
		HYV_TEST_DEVICE=hyv1 verbs_traffic
		echo "ended $?"
	done' <&$SHIFT >"$RUN/shifts" 2>&1 &
}
# shift_lines REGEX: how many so far
shift_lines() { grep -c -e "$1" "$RUN/shifts"; }
# used [OPTION...]: attached with these, data passes on it, and it is taken by force; who used it has ended when it is free
used() {
	local running ended
	running=$(shift_lines ^running) ended=$(shift_lines '^ended 0$')
	echo >&$SHIFT
	ctl attach 1 rxe1 "$@" && wait_for 60 more_lines "$RUN/shifts" ^running "$running" && ctl detach 1 rxe1 --force &&
		wait_for 60 more_lines "$RUN/shifts" '^ended 0$' "$ended"
}
# cycles N: one in eight used; one used with an address, and hence a netdev; two seen by the guest; and others that may be too short for it. All
# the time data passes on the first.
cycles() {
	local i
	for ((i = 0; i < $1; i++)); do
		case $((i % 8)) in
		0) used ;;
		4) used --address 10.9.2.11 ;;
		2 | 6) ctl attach 1 rxe1 && becomes hyv0 hyv1 && ctl detach 1 rxe1 ;;
		*) ctl attach 1 rxe1 && ctl detach 1 rxe1 ;;
		esac && { ((i % 8)) || goes_on "$RUN/hyv0.traffic"; } || { echo "in round $i"; tail -n 20 "$RUN/shifts"; return 1; }
	done
}
# each one was told of the end, and could destroy what it had
all_told() {
	equal "$(shift_lines '^event: local catastrophic error$')" "$1" &&
		equal "$(shift_lines '^destroying: success$')" "$1" && equal "$(shift_lines '^ended')" "$1"
}
# what must not grow, in kB: memory of hyvd's own; what the guest's kernel has allocated
hyvd_kb() { awk '/^RssAnon:/ {print $2}' "/proc/$(hyvd_pid 1)/status"; }
guest_kb() { guest 1 awk '/^(SUnreclaim|Percpu|VmallocUsed|KernelStack):/ {n += $2} END {print n}' /proc/meminfo </dev/null; }
# what the guest has: devices, nodes, modules with their users
guest_lists() { guest 1 bash -c 'ls /sys/class/{infiniband,infiniband_verbs,net} /dev/infiniband /sys/bus/*/devices; lsmod | grep -E "^(virtio_hyv|ib_|iw_|rdma_)" | sort' </dev/null; }

mkfifo "$RUN/shift"
exec {SHIFT}<>"$RUN/shift"
N=${LONG:+1000}
N=${N:-24}
check "udev in the guest" udev_up 1
check "traffic on the first" traffic hyv0
shifts
check "the second comes and goes" cycles 8
check "the guest has what it had" becomes hyv0
guest_lists >"$RUN/lists"
HYVD_KB=$(hyvd_kb) GUEST_KB=$(guest_kb) t=$SECONDS
check "again, $N times" cycles $N
echo "# $(((SECONDS - t) * 1000 / N)) ms each; hyvd had $HYVD_KB kB, has $(hyvd_kb); the guest's kernel had $GUEST_KB, has $(guest_kb)"
check "all who used it were told" all_told $((N / 4 + 2))
check "the first has not noticed" eval 'goes_on "$RUN/hyv0.traffic" && not grep event "$RUN/hyv0.traffic"'
check "the guest has what it had" eval 'becomes hyv0 && diff "$RUN/lists" <(guest_lists)'
check "hyvd has no more memory" test $(($(hyvd_kb) - HYVD_KB)) -le 1024
check "nor has the guest's kernel" test $(($(guest_kb) - GUEST_KB)) -le 4096
check "the processes are killed" eval 'ended verbs_traffic && ended "verbs_objects hold"'
check "nothing is left" baseline_check 20

check "traffic on the second" eval 'ctl attach 1 rxe1 && becomes hyv0 hyv1 && traffic hyv1'
ctl detach 1 rxe1 --force >"$RUN/out" 2>&1 </dev/null & DETACH=$!
check "the guest reboots while it is taken" vm_reboot 1
wait $DETACH && CODE=0 || CODE=$?
check "it is gone all the same" equal $CODE 0
check "and not there after the reboot" eval 'guest_hyv_up 1 && becomes hyv0'
check "nothing of it is left" baseline_check 20

ctl attach 1 rxe1 >/dev/null 2>&1 </dev/null &
check "hyvd is killed while one comes" hyvd_kill 1
check "the guest goes on" guest 1 true
check "its module can be removed" guest 1 timeout 60 rmmod virtio_hyv
vm_stop 1
cp "$RUN/baseline.bare" "$RUN/baseline"
check "nothing is left on the host" baseline_check 20
check "both devices can go" eval 'rxe_down rxe1 && rxe_down rxe0'
