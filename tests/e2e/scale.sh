# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves that hundreds of QPs and CQs work at once in one guest (long: 4096, and 1024 in each of four), that registrations of all sizes,
# alignments and rights hold what was asked for, and that contexts and objects of all kinds, made and destroyed without end, leave nothing:
# no object on the host, no descriptor and no memory of hyvd.
# lab: --guests 0 --timeout 5000
. /hyv/tests/e2e/common.bash

OBJECTS=$((LONG ? 100000 : 10000))
CONTEXTS=$((LONG ? 1000 : 100))

host_qps() { rdma resource show | awk -v d="$DEVICE_OF_HOST:" '$2 == d {for (i = 3; i < NF; i += 2) if ($i == "qp") print $(i + 1)}'; }
# everywhere QPS: verbs_scale in all four guests at once; none passes data before all have made theirs, and the host has them all
everywhere() {
	local n in pids=() ins=() code=0 wanted
	wanted=$(($(host_qps) + 4 * $1))
	for n in 1 2 3 4; do
		rm -f "$RUN/scale-$n" "$RUN/scale-$n.in"
		mkfifo "$RUN/scale-$n.in"
		exec {in}<>"$RUN/scale-$n.in"
		guest "$n" verbs_scale --qps "$1" --hold <&"$in" >"$RUN/scale-$n" 2>&1 &
		ins+=("$in") pids+=($!)
	done
	for n in 1 2 3 4; do wait_for 600 said_or_gone made "$RUN/scale-$n" "${pids[n - 1]}" || code=1; done
	equal "$(host_qps)" "$wanted" || code=1
	for in in "${ins[@]}"; do
		echo >&"$in"
		exec {in}>&-
	done
	for n in "${pids[@]}"; do wait "$n" || code=$?; done
	((code == 0)) || cat "$RUN"/scale-[1-4]
	return $code
}

check "a guest is up" eval 'native_device && hyv_guest 1 --mem 2G' || exit 1
baseline_save
for place in host 1; do
	check "$place: 256 QPs and CQs at once" on $place verbs_scale --qps 256
	check "$place: memory regions" on $place mr_sizes ${LONG:+-n 1000 -m 1024}
done
check "1: $CONTEXTS contexts one after the other" on 1 verbs_scale --contexts $CONTEXTS
check "the first 1000 objects of all kinds" guest 1 verbs_objects 1000	# malloc keeps something
BEFORE=$(memory 1)
check "$OBJECTS objects, one after the other" guest 1 verbs_objects $OBJECTS
check "hyvd's memory has not grown" not_grown 1 "$BEFORE"
not_grown 1 "$BEFORE"	# for the figures
check "nothing is left on the host" baseline_check
[[ $LONG ]] || exit 0

check "4096 QPs and CQs at once" guest 1 verbs_scale --qps 4096
check "nothing is left on the host" baseline_check
check "three more guests are up" eval 'hyv_guest 2 && hyv_guest 3 && hyv_guest 4'
baseline_save
check "1024 QPs and CQs at once in each of four guests" everywhere 1024
check "nothing is left on the host" baseline_check
