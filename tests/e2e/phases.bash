# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Counting around the phases of post_poll_count in guest 1: VM exits, and system calls of its daemon. Scenarios and the bench source it.

TRACE=/sys/kernel/tracing

# count_calls: from now on the kernel counts the system calls of guest 1's daemon, all threads.
count_calls() {
	mountpoint -q $TRACE || mount -t tracefs tracefs $TRACE || return
	ls "/proc/$(hyvd_pid 1)/task" >$TRACE/set_event_pid && echo 1 >$TRACE/options/event-fork &&
		echo 1 >$TRACE/events/raw_syscalls/sys_enter/enable
}

# calls: how many so far; 0 when nobody counts
calls() {
	awk -F': ' '$1 ~ /^(entries|overrun|dropped events|read events)$/ {n += $2} END {print n + 0}' $TRACE/per_cpu/cpu*/stats 2>/dev/null ||
		echo 0
}

# own_exits: guest 1's exits so far, without those for interrupts of the host, which end whatever a guest is doing: the host's ticks, and its
# soft device's work on another processor.
own_exits() { echo $(($(exits 1) - $(exits 1 irq_exits))); }

# phases PHASE N...: runs them in guest 1; sets EXITS[phase], CALLS[phase], SECS[phase] and OPS[phase].
declare -A EXITS CALLS SECS OPS
phases() {
	local to from before before_calls what phase ops secs pid
	rm -f "$RUN/to" "$RUN/from"
	mkfifo "$RUN/to" "$RUN/from"
	guest 1 post_poll_count "$@" <"$RUN/to" >"$RUN/from" &
	pid=$!
	exec {to}>"$RUN/to" {from}<"$RUN/from"
	while read -r what phase ops secs <&$from; do
		if [[ $what == ready ]]; then
			before=$(own_exits) before_calls=$(calls)
			echo >&$to
		else
			EXITS[$phase]=$(($(own_exits) - before)) CALLS[$phase]=$(($(calls) - before_calls))
			OPS[$phase]=$ops SECS[$phase]=$secs
			echo "# $phase: $ops operations in $secs s, ${EXITS[$phase]} exits, ${CALLS[$phase]} system calls of hyvd"
		fi
	done
	exec {to}>&- {from}<&-
	wait $pid
}

# per_op EXITS|CALLS PHASE: per operation, beyond what the same time of computing costs (phase spin); never below 0
per_op() {
	local -n count=$1
	awk -v e="${count[$2]}" -v t="${SECS[$2]}" -v n="${OPS[$2]}" -v e0="${count[spin]}" -v t0="${SECS[spin]}" \
		'BEGIN {x = (e - e0 * t / t0) / n; printf "%.4f\n", (x > 0 ? x : 0)}'
}
