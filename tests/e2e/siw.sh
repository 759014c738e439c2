# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves that a guest has siw's verbs, from Debian's unchanged source: attributes, objects, errors and what is left behind are the host's; and
# that data passes, for which siw needs connections: more of those in cm_siw.sh.
# lab: --guests 0 --timeout 900
export DEVICE_OF_HOST=siw0
. /hyv/tests/e2e/common.bash

OBJECTS=$((LONG ? 10000 : 2500))

# info PLACE: the name is the only difference there may be
info() { on "$1" ibv_devinfo -v -d "$(device_of "$1")" | sed '/^hca_id:/d'; }
same_info() { diff -u <(info host) <(info 1); }
# siw of 7.3 cuts the number of pages to 32 bits, and asks for memory for that many before it looks (ENOMEM); the guest's kernel looks (EINVAL)
DIFFER='^$'
if [[ $HYV_KERNEL == 7.3 ]]; then
	DIFFER='^mr_(huge|wrapping)_length:'
	expect_log 'WARNING: mm/page_alloc.c:.* verbs_errors/' "what siw asks for when a process of the host says such a length; hyvd lets none through"
fi
same_calls() { diff -u <(grep -v -E "$DIFFER" "$RUN/errors.host") <(grep -v -E "$DIFFER" "$RUN/errors.1"); }
# kinds PLACE: one of each kind held, then the first objects made and destroyed. objects PLACE: many more
kinds() {
	on "$1" env HYV_TEST_DEVICE="$(device_of "$1")" verbs_objects hold </dev/null >"$RUN/kinds.$1" &&
		says "$RUN/kinds.$1" 'large_mr.* rc_with_srq' && on "$1" env HYV_TEST_DEVICE="$(device_of "$1")" verbs_objects "$((OBJECTS / 5))"
}
objects() { on "$1" env HYV_TEST_DEVICE="$(device_of "$1")" verbs_objects "$((OBJECTS * 4 / 5))"; }

check "siw comes up, and a guest" eval 'native_device && hyv_guest 1' || exit 1
check "siw goes by pages and numbers, not by what is mapped" timeout 60 siw_pages 10.9.1.1 7777
baseline_save
check "the host's attributes are there" test "$(info host | wc -l)" -gt 50
check "guest: ibv_devinfo -v shows the host's attributes" same_info
check "guest: the device is of the host's kind" equal "$(guest 1 cat /sys/class/infiniband/hyv0/node_type)" "$(cat /sys/class/infiniband/siw0/node_type)"
check "the calls are made natively, and leave nothing behind" bad_calls host "$RUN/errors.host"
check "the calls are made in the guest, and leave nothing behind" bad_calls 1 "$RUN/errors.1"
check "$(wc -l <"$RUN/errors.host") calls: the guest's results are the host's" same_calls
for place in host 1; do
	check "$place: objects of every kind that siw has" kinds $place
	BEFORE=$(memory 1)
	check "$place: in a loop" objects $place
done
check "hyvd's memory has not grown" not_grown 1 "$BEFORE"
check "the same kinds in both" diff "$RUN/kinds.host" "$RUN/kinds.1"
check "nothing is left on the host" baseline_check

check "two guests with addresses" address_guests 2 3 || exit 1
for pair in "2 3" "2 host" "host 3"; do
	read -r s c <<<"$pair"
	check "$s <- $c: rping" connect "$s" "$c" rping -s -a "$(rdma_ip "$s")" -C 10 -S 4096 -V -- rping -c -a "$(rdma_ip "$s")" -C 10 -S 4096 -V
done
for place in host 2; do
	check "$place: processes that have forked send each its own from the same addresses" on $place env HYV_TEST_DEVICE="$(device_of $place)" timeout 100 verbs_fork "$(rdma_ip $place)"
done
check "2 <- 3: ib_write_bw -R" connect 2 3 ib_write_bw -R -F -n 50 -s 4096 -d hyv0 -- ib_write_bw -R -F -n 50 -s 4096 -d hyv0 "$(rdma_ip 2)"
