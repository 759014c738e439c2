# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves that unreliable connections, datagrams and shared receive queues carry traffic as on the host: ibverbs-utils' and perftest's
# programs, polling and waiting for events, with inline data, many QPs and a shared receive queue; and that XRC is refused as on the host.
# lab: --guests 2 --timeout 1500
. /hyv/tests/e2e/common.bash

# run SERVER CLIENT CMD...: one check
run() {
	local where="$1 $2"
	shift 2
	# shellcheck disable=SC2086 # two words
	check "$where: $*" pair $where "$@"
}

# all SERVER CLIENT
all() {
	local c
	for c in uc ud; do
		run "$1" "$2" ibv_${c}_pingpong -s 1024 -n 200 -c
		run "$1" "$2" ibv_${c}_pingpong -s 1000 -n 200 -e -c
	done
	run "$1" "$2" ibv_srq_pingpong -n 200 -q 4 -c
	run "$1" "$2" ibv_srq_pingpong -n 200 -q 16 -e -c
	for c in UC UD; do
		run "$1" "$2" ib_send_lat -c $c -n 100 -s 64 -F
		run "$1" "$2" ib_send_lat -c $c -n 100 -s 64 -e -F
		run "$1" "$2" ib_send_bw -c $c -n 100 -s 1024 -F
	done
	run "$1" "$2" ib_write_lat -c UC -n 100 -s 64 -F
	run "$1" "$2" ib_write_bw -c UC -n 100 -s 4096 -q 16 -F
	for c in UC UD; do
		run "$1" "$2" ib_send_bw -c $c -n 100 -s 1024 -q 16 -F
		run "$1" "$2" ib_send_lat -c $c -n 100 -s 64 -I 64 -F
	done
	# perftest gives its SRQ 100 requests, for all QPs: of more messages than that some are lost mostly, natively too
	run "$1" "$2" ib_send_bw -c UC -n 20 -s 1024 -q 4 --use-srq -F
	run "$1" "$2" ib_send_bw -c UD -n 20 -s 1024 -q 4 --use-srq -F
	run "$1" "$2" ib_send_lat -n 100 -s 64 -I 64 -F
	run "$1" "$2" ib_send_bw -n 100 -s 1024 -q 16 --use-srq -F
	run "$1" "$2" ib_send_bw -n 100 -s 1024 -e -F
}

# xrc PLACE: how the program that needs XRC fails
xrc() { on "$1" timeout 30 ibv_xsrq_pingpong -d "$(device_of "$1")" -g 1 </dev/null >"$RUN/xrc.$1" 2>&1; }

baseline_save
know_gids 1 2 host
all 1 2
if [[ $LONG ]]; then
	for where in "host host" "1 host" "host 2" "1 1"; do
		# shellcheck disable=SC2086 # two words
		all $where
	done
else
	run host host ibv_ud_pingpong -s 1000 -n 200 -c
	run 1 host ibv_ud_pingpong -s 1000 -n 200 -e -c
	run host 2 ibv_uc_pingpong -s 1024 -n 200 -e -c
	run 1 1 ibv_srq_pingpong -n 200 -c
fi
check "host: XRC is refused" not xrc host
check "in these words" says "$RUN/xrc.host" "^Couldn't Open the XRC Domain"
check "guest: XRC is refused" not xrc 1
check "in the same words" diff "$RUN/xrc.host" "$RUN/xrc.1"
check "nothing is left on the host" baseline_check
