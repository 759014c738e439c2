# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves that bad calls return in a guest what they return natively, and leave nothing behind: verbs_errors on both, compared line by line; but
# for on-demand paging, which a guest is not offered where the host has it, and what ERRORS_DIFFER names.
# lab: --guests 1
. /hyv/tests/e2e/common.bash

DIFFER="^(${ERRORS_DIFFER-}):"
! ibv_devinfo -v -d rxe0 | grep -q ODP_SUPPORT || DIFFER="^(${ERRORS_DIFFER-}|mr_on_demand|other_advise_mr):"

same() { diff -u <(grep "^$1_" "$RUN/errors.host" | grep -Ev "$DIFFER") <(grep "^$1_" "$RUN/errors.guest" | grep -Ev "$DIFFER"); }

baseline_save
check "the calls are made natively, and leave nothing behind" bad_calls host "$RUN/errors.host"
check "the calls are made in the guest, and leave nothing behind" bad_calls 1 "$RUN/errors.guest"
check "on-demand paging is not offered" says "$RUN/errors.guest" '^mr_on_demand: EOPNOTSUPP'
check "more than 60 of them are bad" test "$(grep -vc success "$RUN/errors.host")" -gt 60
for group in $(cut -d_ -f1 "$RUN/errors.host" | sort -u); do
	check "$(grep -c "^${group}_" "$RUN/errors.host") calls on $group: the guest's errors are the host's" same "$group"
done
check "nothing is left on the host" baseline_check
