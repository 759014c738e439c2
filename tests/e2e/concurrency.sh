# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves that a scattered registration (256 MiB; long form: 1 GiB) runs while another process creates and destroys QPs without waiting for it, and that a process
# killed in the middle of one goes away before the host has answered, with nothing left behind once it has.
# lab: --guests 0 --timeout 900
. /hyv/tests/e2e/common.bash

MIB=$((LONG ? 1024 : 256))

value() { sed -n "s/^$1: \([0-9a-z]*\).*/\1/p" "$RUN/out"; }

# within PLACE OPTION...: cycles of QPs that began and ended during the registration
within() {
	on "$1" verbs_concurrency "${@:2}" >"$RUN/out" && cat "$RUN/out" && (($(value 'cycles within') > 0))
}

# killed_while_stopped: the daemon is stopped before the registration begins, so its answer cannot be there when the process is killed.
killed_while_stopped() {
	local pid in
	rm -f "$RUN/in"
	mkfifo "$RUN/in"
	guest 1 verbs_concurrency -s $MIB -b 8 -k -a 3000 <"$RUN/in" >"$RUN/out" &
	pid=$!
	exec {in}>"$RUN/in"
	wait_for 60 grep -q '^open' "$RUN/out"
	kill -STOP "$(hyvd_pid 1)"
	echo >&$in
	wait_for 60 grep -q '^gone after' "$RUN/out"
	local gone=$?
	kill -CONT "$(hyvd_pid 1)"
	exec {in}>&-
	wait $pid && cat "$RUN/out" && [[ $gone == 0 && $(value 'registering when killed') == yes ]]
}

check "a guest is up" eval 'native_device && hyv_guest 1 --mem 2560M' || exit 1
sysctl -qw vm.max_map_count=1048576	# as Debian 13 sets it, whose init does not run here
baseline_save
check "host: QPs come and go during a registration" within host -s $MIB -b 8
check "guest: QPs come and go during a registration" within 1 -s $MIB -b 8
check "guest: a process killed in a registration that the host cannot answer is gone" killed_while_stopped
check "nothing is left on the host once it has answered" baseline_check 60
check "guest: a process killed halfway is gone" guest 1 verbs_concurrency -s $MIB -b 8 -k
check "nothing is left on the host" baseline_check 60
if [[ $LONG ]]; then
	check "guest: 1 GiB without two neighbouring pages" within 1
	check "nothing is left on the host" baseline_check 60
fi
