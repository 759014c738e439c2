# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves that perftest's programs run: latency and bandwidth of send, write and read, and atomic operations, the bandwidth ones also with
# 16 QPs; between two guests, between a guest and a process of the host, and between two processes of one guest.
# lab: --guests 2 --timeout 1500
. /hyv/tests/e2e/common.bash

perftest() {
	local where="$1 $2"
	shift 2
	# shellcheck disable=SC2086 # two words
	check "$where: $*" pair $where "$@" -F
}

# all SERVER CLIENT
all() {
	local op
	for op in send write read; do
		perftest "$1" "$2" ib_${op}_lat -n 100
		perftest "$1" "$2" ib_${op}_bw -n 100 -s 65536
		perftest "$1" "$2" ib_${op}_bw -n 50 -s 4096 -q 16
	done
	perftest "$1" "$2" ib_atomic_lat -n 100
}

baseline_save
all 1 2
for where in "1 host" "host 2" "1 1"; do
	# shellcheck disable=SC2086 # two words
	if [[ $LONG ]]; then
		all $where
	else
		perftest $where ib_send_lat -n 100
		perftest $where ib_write_bw -n 50 -s 4096 -q 16
	fi
done
check "nothing is left on the host" baseline_check
