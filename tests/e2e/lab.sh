# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves the lab itself: machines, command passing, native RDMA on the host, and the audit of kernel logs. Needs no part of HyV.
# lab: --guests 2 --bare

fails() { ! "$@"; }
equal() { [[ $1 == "$2" ]] || { echo "got '$1', wanted '$2'"; return 1; }; }
code_of() { "$@"; echo $?; }

check "guest 1 answers with its name" equal "$(guest 1 hostname)" guest1
check "guest 2 answers with its name" equal "$(guest 2 hostname)" guest2
check "the guests run the kernel asked for" equal "$(guest 1 uname -r | cut -d. -f1,2)" "$HYV_GUEST_KERNEL"
check "the host runs the kernel asked for" equal "$(uname -r | cut -d. -f1,2)" "$HYV_KERNEL"
check "an exit code comes through" equal "$(code_of guest 1 bash -c 'exit 37')" 37
check "death by a signal comes through" equal "$(code_of guest 1 bash -c 'kill -9 $$')" 137
check "a missing command is 127" equal "$(code_of guest 1 no-such-command 2>/dev/null)" 127
check "an unreachable machine is 255" equal "$(code_of guest 77 true 2>/dev/null)" 255

weird=$'a  b\'c"d$HOME\n*;|\\'
check "quoting comes through" equal "$(guest 1 printf '%s' "$weird")" "$weird"
check "empty arguments come through" equal "$(guest 1 bash -c 'echo $#' x '' '' '')" 3
check "standard error stays apart" equal "$(guest 1 bash -c 'echo out; echo err >&2' 2>/dev/null)" out
check "standard input comes through" equal "$(head -c 300000 /dev/zero | guest 1 bash -c 'sleep 1; md5sum')" \
	"$(head -c 300000 /dev/zero | md5sum)"
check "much output comes through" equal "$(guest 1 head -c 3000000 /dev/zero | wc -c)" 3000000

many() {
	local i pids=()
	for i in {1..8}; do guest $((i % 2 + 1)) bash -c "sleep 1; exit $i" & pids+=($!); done
	for i in {1..8}; do wait "${pids[i - 1]}"; [[ $? == "$i" ]] || return 1; done
}
check "commands run side by side" many

killed_with_caller() {
	guest 1 sleep 4321 &
	wait_for 5 guest 1 pgrep -f '^sleep 4321'
	kill $!
	wait_for 5 fails guest 1 pgrep -f '^sleep 4321'
}
check "a command dies with its caller" killed_with_caller
check "check notices a failure" fails bash -c '. /hyv/lab/lib.sh; check x false'
check "wait_for gives up" fails wait_for 1 false

check "rxe comes up on the host" rxe_up rxe0
native_pingpong() {
	ibv_rc_pingpong -d rxe0 -g 1 -n 50 -c >/tmp/pp 2>&1 &
	wait_for 10 grep -q 'local address' /tmp/pp
	ibv_rc_pingpong -d rxe0 -g 1 -n 50 -c localhost && wait $!
}
baseline_save
check "ibv_rc_pingpong between two processes of the host" native_pingpong
check "its objects are gone afterwards" baseline_check
leak() {
	ibv_rc_pingpong -d rxe0 -g 1 >/tmp/leak 2>&1 &
	wait_for 10 grep -q 'local address' /tmp/leak
	local code=0
	baseline_check 1 || code=$?
	kill $!
	return $code
}
check "the baseline notices objects that stay" fails leak
check "the objects of a killed process go" baseline_check

check "KVM counts the guests' exits" test "$(exits 1)" -gt 1000
check "guest 2 reboots" vm_reboot 2
check "guest 2 answers again" equal "$(guest 2 hostname)" guest2
check "guest 2's QEMU can be killed" vm_kill 2
check "a killed guest does not answer" fails guest 2 true
vm_start 2 --no-hyv --mem 512M
check "guest 2 starts anew" vm_wait 2

complain() {
	echo '<4>WARNING: this line is the test of lab/audit' >/dev/kmsg
	dmesg | tail -1 >/tmp/complaint.log
	! /hyv/lab/audit /tmp/complaint.log
}
expect_log 'WARNING: this line is the test of lab/audit' 'the scenario writes it itself'
check "the audit finds a warning" complain
guest_complains() {
	guest 1 bash -c 'echo "<4>WARNING: the test of lab/audit in a guest" >/dev/kmsg'
}
expect_log 'WARNING: the test of lab/audit in a guest' 'the scenario writes it itself'
check "a guest's log is collected" guest_complains
check "rxe goes down" rxe_down rxe0
