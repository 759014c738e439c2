# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves that a VM gets its RDMA device back after its hyvd's death, while it runs: 'hyvctl recover' has QEMU unplug the device and plug it
# again for a new hyvd, and data passes as before. A device that works is left alone, nothing is changed while there is no new hyvd, and a
# guest that does not answer (its QEMU is told to stop it) is said to be so; when it has answered after all, the command that was shown then
# finishes the work.
# lab: --guests 0 --timeout 1200
. /hyv/tests/e2e/common.bash

daemon() { hyvd_start 1 rxe0 -- --control "$RUN/1.ctl"; }
start() { native_device && daemon && vm_start 1 --hotplug && vm_wait 1 && guest_hyv_up 1; }

# recover CODE REGEX [OPTION...]: ends with that exit code, and says so
recover() {
	local wanted=$1 regex=$2 code=0
	shift 2
	hyvctl --dir "$RUN" recover 1 --qmp "$RUN/qmp-1.sock" "$@" >"$RUN/out" 2>&1 </dev/null || code=$?
	cat "$RUN/out"
	equal "$code" "$wanted" && says "$RUN/out" "$regex"
}

# qmp COMMAND: QEMU is told to
qmp() {
	python3 - "$RUN/qmp-1.sock" "$1" <<-'PYTHON'
		import json, socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.settimeout(30)
		s.connect(sys.argv[1])
		f = s.makefile("rw")
		f.readline()
		for command in "qmp_capabilities", sys.argv[2]:
		    f.write(json.dumps({"execute": command}) + "\n")
		    f.flush()
		    answer = {}
		    while not {"return", "error"} & answer.keys():
		        answer = json.loads(f.readline())
		sys.exit("error" in answer)
	PYTHON
}

device_gone() { not guest 1 test -e /sys/class/infiniband/hyv0; }
unplugged() { guest 1 bash -c '! compgen -G "/sys/bus/virtio/drivers/virtio_hyv/virtio*"'; }
# one_window: that of the new hyvd; QEMU has let go of the dead one's
one_window() { [[ $(wc -l </sys/kernel/debug/hyv_window/windows) == 2 ]] && not grep orphan /sys/kernel/debug/hyv_window/windows; }

# works: data passes, between the guest and the host too, and nothing stays
works() {
	check "$1: the device is there" guest_hyv_up 1
	check "$1: verified data passes in the guest" guest 1 verbs_scale --qps 4
	check "$1: verified data passes between guest and host" pair 1 host ibv_rc_pingpong -s 4096 -n 100 -c
	check "$1: hyvd has the guest" eval 'hyvctl --dir "$RUN" list | grep -E "^1 .* connected"'
	check "$1: one window" wait_for 10 one_window
}

check "the host's device" native_device || exit 1
baseline_save
cp "$RUN/baseline" "$RUN/baseline.bare"
check "a guest is up, its device behind a root port" start || exit 1
works "at first"
check "a device that works is left alone" recover 1 'there is nothing to recover'
check "traffic in the guest" guest_traffic 1

check "hyvd is killed" hyvd_kill 1
check "the application is told, and ends" guest_traffic_ends 1
check "without a new hyvd nothing is changed" recover 2 'a new hyvd has to be started first'
check "a new hyvd starts" daemon
check "a dry run prints the commands" recover 0 '^\{"execute":"device_add",.*"id":"hyv1".*"bus":"rp1"' --dry-run
check "the device is plugged again" recover 0 '^1: recovered in' --timeout 120
works "recovered"
baseline_save
check "traffic in the guest" guest_traffic 1
check "its process is killed" guest 1 pkill -KILL -x verbs_traffic
check "nothing of it is left" baseline_check

check "hyvd is killed once more" hyvd_kill 1
check "the guest has noticed" wait_for 60 device_gone
check "a new hyvd starts" daemon
check "QEMU stops the guest" qmp stop
check "a guest that does not answer is said to be so" recover 4 'the guest has not let go of device .hyv1. within 5 s' --timeout 5
grep '^hyvctl recover' "$RUN/out" | sed 's/$/ --timeout 120/' >"$RUN/again" # the command to run again
check "QEMU lets the guest go on" qmp cont
check "the guest lets go of the device" wait_for 120 unplugged
check "the command that was shown finishes the work" bash "$RUN/again"
works "recovered again"

vm_stop 1
check "hyvd ends in order when QEMU does" wait_for 20 gone "$(hyvd_pid 1)"
cp "$RUN/baseline.bare" "$RUN/baseline"
check "nothing of the guest is left" baseline_check
check "the host's device can go" rxe_down rxe0
