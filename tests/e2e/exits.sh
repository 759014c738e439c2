# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves by counting that polling a CQ causes no VM exit, and that posting causes at most one, and none while the daemon polls the doorbells.
# And that queues are cached.
# post_poll_count marks the phases; what the guest's timers cost while it computes is measured in a phase "spin" and subtracted.
# lab: --guests 0 --timeout 900
. /hyv/tests/e2e/common.bash
. /hyv/tests/e2e/phases.bash

# at_most PHASE LIMIT
at_most() {
	local x
	x=$(per_op EXITS "$1")
	echo "# $1: $x exits per operation"
	[[ $x ]] && awk -v x="$x" -v l="$2" 'BEGIN {exit !(x + 0 <= l + 0)}'
}

# counted MICROSECONDS: phases in a guest whose daemon goes on polling so long
counted() {
	hyvd_start 1 rxe0 -- --poll-us "$1" && vm_start 1 && vm_wait 1 && guest_hyv_up 1 &&
		phases spin 2000 poll 1000000 post "$((LONG ? 20000 : 4000))" batch "$((LONG ? 100000 : 20000))"
}

check "the host's device" native_device
counted 0	# not through check, whose subshell would lose the counts
check "phases with a daemon that sleeps at once" test "${OPS[batch]-}" || exit 1
cached
check "polling causes no exit (below 0.01)" at_most poll 0.01
check "posting causes at most one exit" at_most post 1.1
check "posting in batches causes at most one exit" at_most batch 1.1
vm_stop 1
hyvd_kill 1
OPS=()
counted 1000000
check "phases with a daemon that polls on" test "${OPS[batch]-}" || exit 1
check "polling causes no exit (below 0.01)" at_most poll 0.01
check "posting causes none while the daemon is awake" at_most post 0.01
check "posting in batches causes none while the daemon is awake" at_most batch 0.01
