# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves parity: what passes of rdma-core's own test-suite natively on the host's device passes in a guest. A process per module, so that
# a test that takes the interpreter with it takes its module alone, and counts as failed. What fails in the guest alone is tried three
# times. Without HYV_LONG only a few modules. Lists: parity.native and parity.guest in the results, and what passed at the end. On rxe;
# parity_siw.sh: on siw; parity_addresses.sh, parity_siw_addresses.sh: in a guest that has addresses.
# lab: --guests 0 --timeout 3600
. /hyv/tests/e2e/common.bash

GUEST_BY=${GUEST_BY:-hyv_guest}	# how a guest is started: this way it has no rdma_cm
# what needs rdma_cm, or is about other devices; and on-demand paging, which guests are not offered (README.md)
EXCEPT='^test_(rdmacm|mlx5_.*|efa.*|cuda_.*|odp)$'
KNOWN=${KNOWN-}	# the tests that pass natively and are known not to pass in a guest: Class.method, one blank between them
MODULES="test_addr test_mr test_pd test_srq test_cq_events"
[[ ! $LONG ]] || MODULES=$(python3 /hyv/tests/parity/suite.py --modules | grep -Ev "$EXCEPT")
MODULES+=" ${MORE-}"
# how many pass natively, at least; with all modules ALL of them, or the comparison says little
LEAST=${LEAST:-10}
[[ ! $LONG ]] || LEAST=${ALL:-92}

# suite PLACE MODULE [TEST...]: the module's results, one line per test.
suite() {
	local place=$1
	shift
	on "$place" timeout -k 10 900 python3 /hyv/tests/parity/suite.py --gid "${GID_OF[$place]:-0}" "$(device_of "$place")" "$@" </dev/null 2>"$RUN/parity.err"
}

# known, but_known: the lines whose last word is one of them, or none
known() { awk -v known=" $KNOWN " 'index(known, " " $NF " ")'; }
but_known() { awk -v known=" $KNOWN " '!index(known, " " $NF " ")'; }
passed() { sed -n 's/^pass //p' "$1" | but_known | sort; }
missing() { comm -23 <(passed "$RUN/native") <(passed "$RUN/guest"); }

# told PLACE FILE: that the module said anything at all: also one whose tests are all skipped does.
told() { grep -Eq '^(pass|fail|skip|begin) ' "$2" || { echo "$1:"; cat "$2" "$RUN/parity.err"; return 1; }; }

# compare MODULE: runs it on both; succeeds when the guest passes what the host passes.
compare() {
	local module=$1 try tests
	suite host "$module" >"$RUN/native"
	told host "$RUN/native" || return
	suite 1 "$module" >"$RUN/guest"
	told guest "$RUN/guest" || return
	for try in 2 3; do
		tests=$(missing)
		[[ $tests ]] || break
		echo "# try $try of" $tests
		# shellcheck disable=SC2086 # names without blanks
		suite 1 "$module" $tests >>"$RUN/guest"
	done
	sed "s/^/$module /" "$RUN/native" >>"$RESULTS/parity.native"
	sed "s/^/$module /" "$RUN/guest" >>"$RESULTS/parity.guest"
	[[ ! $(missing) ]] || { missing | sed 's/^/missing /'; grep -E '^(begin|fail|skip)' "$RUN/guest"; cat "$RUN/parity.err"; return 1; }
}

# all_of WORD PLACE: "MODULE TEST" of each test with such a line
all_of() { sed -n "s/^\([^ ]*\) $1 \([^:]*\).*/\1 \2/p" "$RESULTS/parity.$2" | sort -u; }
all_passed() { all_of pass "$1"; }
total() { all_passed "$1" | wc -l; }
only_natively() { comm -23 <(all_passed native) <(all_passed guest); }
lost() { only_natively | but_known; }
# list_is_true: none of what is known not to pass passes
list_is_true() { not grep . <(all_passed guest | known); }
# same_skips: what is skipped natively is skipped in the guest, or passes; what runs natively is not skipped in the guest
same_skips() {
	{
		comm -23 <(all_of skip native) <({ all_of skip guest; all_of pass guest; } | sort -u) | sed 's/^/skipped natively alone: /'
		comm -12 <(comm -23 <(all_of begin native) <(all_of skip native)) <(all_of skip guest) | but_known | sed 's/^/skipped in the guest alone: /'
	} >"$RUN/skips"
	not grep . "$RUN/skips"
}

# one module crashes natively too; what crashes in the guest alone is missing from its list, so the kernel need not tell
no_traces() { on "$1" sh -c 'echo 0 >/proc/sys/debug/exception-trace'; }

check "a guest is up" eval 'native_device && $GUEST_BY 1 && no_traces host && no_traces 1' || exit 1
know_gids host 1
baseline_save
for module in $MODULES; do check "$module: what passes natively passes in the guest" compare "$module"; done
check "nothing is left on the host" baseline_check
check "natively $LEAST pass, or more" test "$(total native)" -ge "$LEAST"
check "what is skipped is skipped equally on both" same_skips
[[ ! $KNOWN ]] || check "what is known not to pass in a guest does not" list_is_true
for place in native guest; do
	echo "# passed, $place:"
	all_passed $place | sed 's/^/#   /'
done
echo "# passed natively and not in the guest, but for what is known not to:"
lost | sed 's/^/#   /'
only_natively | known | sed 's/^/# known not to pass: /'
echo "parity ${DEVICE_OF_HOST%%[0-9]*}${MORE:+ with addresses}: native $(total native) passed, guest $(total guest) passed, missing $(lost | wc -l), known differences $(only_natively | known | wc -l)"
