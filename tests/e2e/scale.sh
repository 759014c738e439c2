# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves that 256 QPs and CQs work at once in one guest, that registrations of all sizes, alignments and rights hold what was asked for,
# and that contexts opened and closed in a loop leave nothing behind.
# lab: --guests 0 --timeout 900
. /hyv/tests/e2e/common.bash

check "a guest is up" eval 'native_device && hyv_guest 1 --mem 2G' || exit 1
baseline_save
for place in host 1; do
	check "$place: 256 QPs and CQs at once" on $place verbs_scale --qps 256
	check "$place: memory regions" on $place mr_sizes ${LONG:+-n 1000 -m 1024}
done
check "1: a registration of 1 GiB" on 1 mr_sizes -n 0 -m 1024
check "1: 100 contexts one after the other" on 1 verbs_scale --contexts "$((LONG ? 1000 : 100))"
check "nothing is left on the host" baseline_check
