# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# The bench, in the lab's host VM: the same perftest commands between two processes of the host and between two guests, in turns, and
# medians of them; then what a post and a poll cost, counted. Leaves $RESULTS/bench.json. Only ratios mean anything on an emulated machine.
# lab: --guests 0 --timeout 1500
. /hyv/tests/e2e/common.bash
. /hyv/tests/e2e/phases.bash

RUNS=3
declare -A NATIVE HYV

median() { sort -g | awk '{v[NR] = $1} END {if (NR) print v[int((NR + 1) / 2)]}'; }

# column N CMD...: the Nth number of perftest's line of figures. On a busy machine perftest sometimes fails to find the clock's rate, and
# says inf or nothing: then again.
column() {
	local n=$1 try figure
	shift
	for try in 1 2 3 4 5; do
		figure=$("$@" 2>/dev/null | awk -v n="$n" '/^ *#bytes/ {want = 1; next} want && NF >= n {print $n; exit}')
		[[ ! $figure =~ ^[0-9]+(\.[0-9]+)?$ ]] || { echo "$figure"; return; }
		echo "# try $try of $* gave '$figure'" >&2
	done
	return 1
}

# perftest SERVER CLIENT N CMD...: column N of CMD between the two
perftest() {
	local server=$1 client=$2 n=$3
	shift 3
	column "$n" pair "$server" "$client" "$@"
}

# connections SERVER CLIENT: how many the client opens and closes in a second, by rdma_cm
connections() {
	# shellcheck disable=SC2016 # for the shell there
	connect "$1" "$2" ucmatose -c 200 -C 0 -- bash -c 'start=$EPOCHREALTIME
		ucmatose -s "$0" -c 200 -C 0 >&2 && awk "BEGIN {print 200 / ($EPOCHREALTIME - $start)}"' "$(rdma_ip "$1")" 2>/dev/null
}

# compare FIGURE MEASURE ARG...: fills NATIVE[figure] and HYV[figure] with what MEASURE SERVER CLIENT ARG... prints
compare() {
	local figure=$1 measure=$2 i native=() hyv=()
	shift 2
	for i in $(seq $RUNS); do
		native+=("$("$measure" host host "$@")") || return
		hyv+=("$("$measure" 1 2 "$@")") || return
		echo "# $figure: native ${native[-1]}, hyv ${hyv[-1]}"
		[[ ${native[-1]} && ${hyv[-1]} ]] || return
	done
	NATIVE[$figure]=$(printf '%s\n' "${native[@]}" | median)
	HYV[$figure]=$(printf '%s\n' "${hyv[@]}" | median)
}

count_costs() {
	count_calls && phases spin 2000 poll 1000000 post 4000 batch 20000 || return
	HYV[exits_per_poll]=$(per_op EXITS poll)
	HYV[exits_per_post]=$(per_op EXITS post)
	HYV[exits_per_batched_post]=$(per_op EXITS batch)
	HYV[hyvd_syscalls_per_post]=$(per_op CALLS post)
	HYV[hyvd_syscalls_per_batched_post]=$(per_op CALLS batch)
}

FIGURES=(send_lat_64:us write_lat_64:us write_bw_64k:MiB/s write_rate_64:Mpps connect_rate:1/s exits_per_post:exits exits_per_batched_post:exits
	exits_per_poll:exits hyvd_syscalls_per_post:calls hyvd_syscalls_per_batched_post:calls)

# the figures as JSON; what has no native counterpart is 0 there, and its ratio null
json() {
	local f
	for f in "${FIGURES[@]}"; do
		echo "${f%:*} ${f#*:} ${NATIVE[${f%:*}]-0} ${HYV[${f%:*}]}"
	done | awk 'BEGIN {print "["} {
		printf "%s  {\"figure\": \"%s\", \"unit\": \"%s\", \"native\": %s, \"hyv\": %s, \"ratio\": %s}", (NR > 1 ? ",\n" : ""), $1, $2, $3, $4,
			($3 > 0 ? sprintf("%.3f", $4 / $3) : "null")
		} END {print "\n]"}' >"$RESULTS/bench.json"
}

# measured NAME FIGURE CMD...: CMD must have given the figure. Not through check: that runs its command in a subshell.
measured() {
	local name=$1 figure=$2
	shift 2
	"$@"
	check "$name" test "${HYV[$figure]-}"
}

check "the host's device" native_device || exit 1
check "two guests, each with addresses of its own" address_guests 1 2 || exit 1
measured "send latency, 64 bytes" send_lat_64 compare send_lat_64 perftest 5 ib_send_lat -s 64 -n 500
measured "write latency, 64 bytes" write_lat_64 compare write_lat_64 perftest 5 ib_write_lat -s 64 -n 500
measured "write bandwidth, 64 KiB" write_bw_64k compare write_bw_64k perftest 4 ib_write_bw -s 65536 -n 300
measured "write message rate, 64 bytes" write_rate_64 compare write_rate_64 perftest 5 ib_write_bw -s 64 -n 3000
measured "connections in a second" connect_rate compare connect_rate connections
measured "costs of a post and a poll" exits_per_poll count_costs
check "the figures" json
cat "$RESULTS/bench.json"
