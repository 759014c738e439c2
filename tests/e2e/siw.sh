# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves that a guest has siw's verbs, from Debian's unchanged source: attributes, objects, errors and what is left behind are the host's; and
# that data passes, for which siw needs connections: more of those in cm_siw.sh.
# lab: --guests 0 --timeout 900
export DEVICE_OF_HOST=siw0
. /hyv/tests/e2e/common.bash

# info PLACE: the name is the only difference there may be
info() { on "$1" ibv_devinfo -v -d "$(device_of "$1")" | sed '/^hca_id:/d'; }
same_info() { diff -u <(info host) <(info 1); }
calls() { on "$1" env HYV_TEST_DEVICE="$(device_of "$1")" verbs_errors mr_ cq_ channel_ pd_ qp_ srq_ ah_ mw_ query_ >"$RUN/errors.$1"; }
same_calls() { diff -u "$RUN/errors.host" "$RUN/errors.1"; }
# objects PLACE: one of each kind held, then many made and destroyed
objects() {
	on "$1" env HYV_TEST_DEVICE="$(device_of "$1")" verbs_objects hold </dev/null >"$RUN/kinds.$1" &&
		says "$RUN/kinds.$1" 'large_mr.* rc_with_srq' && on "$1" env HYV_TEST_DEVICE="$(device_of "$1")" verbs_objects "$((LONG ? 10000 : 500))"
}

check "siw comes up, and a guest" eval 'native_device && hyv_guest 1' || exit 1
check "siw goes by pages and numbers, not by what is mapped" timeout 60 siw_pages 10.9.1.1 7777
baseline_save
check "the host's attributes are there" test "$(info host | wc -l)" -gt 50
check "guest: ibv_devinfo -v shows the host's attributes" same_info
check "guest: the device is of the host's kind" equal "$(guest 1 cat /sys/class/infiniband/hyv0/node_type)" "$(cat /sys/class/infiniband/siw0/node_type)"
check "the calls are made natively" calls host
check "the calls are made in the guest" calls 1
check "$(wc -l <"$RUN/errors.host") calls: the guest's results are the host's" same_calls
for place in host 1; do
	check "$place: objects of every kind that siw has, in a loop" objects $place
done
check "the same kinds in both" diff "$RUN/kinds.host" "$RUN/kinds.1"
check "nothing is left on the host" baseline_check

check "two guests with addresses" address_guests 2 3 || exit 1
for pair in "2 3" "2 host" "host 3"; do
	read -r s c <<<"$pair"
	check "$s <- $c: rping" connect "$s" "$c" rping -s -a "$(rdma_ip "$s")" -C 10 -S 4096 -V -- rping -c -a "$(rdma_ip "$s")" -C 10 -S 4096 -V
done
check "2 <- 3: ib_write_bw -R" connect 2 3 ib_write_bw -R -F -n 50 -s 4096 -d hyv0 -- ib_write_bw -R -F -n 50 -s 4096 -d hyv0 "$(rdma_ip 2)"
