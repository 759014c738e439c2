# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves that objects of all kinds, made and destroyed without end, leave nothing: no object on the host, no descriptor and no memory of
# hyvd. Long: also that 4096 QPs work at once in one guest, and 1024 in each of four.
# lab: --guests 0 --timeout 3600
. /hyv/tests/e2e/common.bash

SLACK=512	# KiB that malloc may keep beyond what it kept after the first thousand

# memory N: KiB of guest N's daemon's own, without the guest's
memory() { awk '/^Anonymous:/ {print $2}' "/proc/$(hyvd_pid "$1")/smaps_rollup"; }
grown() {
	local now
	now=$(memory 1)
	echo "# hyvd's own memory: $BEFORE KiB before, $now KiB after"
	((now <= BEFORE + SLACK)) || { echo "it grew from $BEFORE to $now KiB"; return 1; }
}
# everywhere N: verbs_scale in all four guests at once
everywhere() {
	local n pids=() code=0
	for n in 1 2 3 4; do guest "$n" verbs_scale --qps "$1" & pids+=($!); done
	for n in "${pids[@]}"; do wait "$n" || code=$?; done
	return $code
}

check "a guest is up" eval 'native_device && hyv_guest 1 --mem 2G' || exit 1
baseline_save
check "the first 1000 objects" guest 1 verbs_objects 1000
BEFORE=$(memory 1)
n=$((LONG ? 100000 : 10000))
check "$n objects of all kinds, one after the other" guest 1 verbs_objects $n
check "hyvd's memory has not grown" grown
grown	# for the figures
check "nothing is left on the host" baseline_check
if [[ $LONG ]]; then
	check "4096 QPs and CQs at once" guest 1 verbs_scale --qps 4096
	check "nothing is left on the host" baseline_check
	check "three more guests are up" eval 'hyv_guest 2 && hyv_guest 3 && hyv_guest 4'
	baseline_save
	check "1024 QPs and CQs at once in each of four guests" everywhere 1024
	check "nothing is left on the host" baseline_check
fi
