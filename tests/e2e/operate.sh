# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves in short what ops.sh, hotplug.sh and others prove at length: hyvctl knows the VMs; a limit that is set while a VM runs is kept, what is
# refused is counted, and concerns no other VM; a second device comes to a VM that runs, carries traffic, and is taken from it by force, of which
# the application is told.
#
#   rxe1 on d-rxe1: host 10.9.2.1, guest 1's hyv1 for a while
# lab: --guests 2
. /hyv/tests/e2e/common.bash

listed() { ctl list >"$RUN/list" && says_all "$RUN/list" "^1 +$(hyvd_pid 1) +connected .*rxe0$" "^2 +$(hyvd_pid 2) +connected .*rxe0$"; }
counted() {
	ctl metrics >"$RUN/metrics" && says_all "$RUN/metrics" '^hyv_refused_total\{vm="1",resource="qps"\} [1-9]' \
		'^hyv_refused_total\{vm="2",resource="qps"\} 0$' '^hyv_guest_connected\{vm="2"\} 1$'
}
# guest_has_second: a program can open it, and it has an address
guest_has_second() {
	guest 1 bash -c 'grep -qsx hyv1 /sys/class/infiniband_verbs/*/ibdev && grep -qs :ffff: /sys/class/infiniband/hyv1/ports/1/gids/{0..3}' </dev/null
}
guest_has_one() { equal "$(guest 1 ls /sys/class/infiniband </dev/null)" hyv0; }
in_use() { not ctl detach 1 rxe1 >"$RUN/out" 2>&1 && says "$RUN/out" 'in use by 1 contexts'; }

baseline_save
check "hyvctl lists both VMs" listed
check "guest 1 is limited while it runs" ctl limit 1 qps=3
check "beyond that it gets ENOMEM" makes 1 qps 50 "3, then ENOMEM"
check "guest 2 does not" makes 2 qps 10 "10, then enough"
check "the refusal is in the metrics" counted
check "the limit is taken away" eval 'ctl limit 1 qps=none && makes 1 qps 10 "10, then enough"'

check "one more device on the host" rxe_up rxe1 10.9.2.1/24
check "guest 1 is given it" eval 'ctl attach 1 rxe1 && wait_for 60 guest_has_second'
check "traffic on it" guest_traffic 1 hyv1
check "it is not taken from who uses it" in_use
check "who does not notice" goes_on "$RUN/traffic-1"
check "but by force" ctl detach 1 rxe1 --force
check "the application is told, and ends" guest_traffic_ends 1
check "the guest has the first alone" wait_for 60 guest_has_one
check "which works" guest 1 env HYV_TEST_DEVICE=hyv0 verbs_scale --qps 2
check "the second can go" rxe_down rxe1
check "nothing is left on the host" baseline_check 20
