# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves that ibv_rc_pingpong passes verified data (-c), polling and waiting for events (-e), in all sizes from 1 byte to 1 MiB: between two
# guests, between a guest and a process of the host, and between two processes of one guest.
# lab: --guests 2 --timeout 1500
. /hyv/tests/e2e/common.bash

SIZES="1 4096 1048576"
[[ ! $LONG ]] || SIZES="1 2 63 1000 1024 1025 4096 65536 262143 1048576"

pingpong() {
	local where="$1 $2" size=$3
	shift 3
	# shellcheck disable=SC2086 # two words
	check "$where: ibv_rc_pingpong -s $size -c $*" pair $where ibv_rc_pingpong -s "$size" -n "$((size > 65536 ? 20 : 200))" -c "$@"
}

baseline_save
for size in $SIZES; do
	pingpong 1 2 "$size"
	pingpong 1 2 "$size" -e
done
for where in "1 host" "host 2" "1 1"; do
	# shellcheck disable=SC2086 # two words
	for size in ${LONG:+$SIZES} 4096; do
		pingpong $where "$size"
		pingpong $where "$size" -e
	done
done
check "nothing is left on the host" baseline_check
