# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves parity: what passes of rdma-core's own test-suite natively on the host's device passes in a guest. A process per module, so that
# a test that takes the interpreter with it takes its module alone, and counts as failed. What fails in the guest alone is tried three
# times. Without HYV_LONG only a few modules. Lists: parity.native and parity.guest in the results. On rxe; parity_siw.sh: on siw.
# lab: --guests 0 --timeout 3600
. /hyv/tests/e2e/common.bash

# what needs rdma_cm, or is about other devices; and on-demand paging, which guests are not offered (README.md)
EXCEPT='^test_(rdmacm|mlx5_.*|efa.*|cuda_.*|odp)$'
MODULES="test_addr test_mr test_pd test_srq test_cq_events"
[[ ! $LONG ]] || MODULES=$(python3 /hyv/tests/parity/suite.py --modules | grep -Ev "$EXCEPT")

# suite PLACE MODULE [TEST...]: the module's results, one line per test.
suite() {
	local place=$1
	shift
	on "$place" timeout -k 10 900 python3 /hyv/tests/parity/suite.py --gid "${GID:-0}" "$(device_of "$place")" "$@" </dev/null 2>"$RUN/parity.err"
}

passed() { sed -n 's/^pass //p' "$1" | sort; }
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

total() { grep -h '^[^ ]* pass ' "$1" | sort -u | wc -l; }
lost() { comm -23 <(grep '^[^ ]* pass ' "$RESULTS/parity.native" | sort -u) <(grep '^[^ ]* pass ' "$RESULTS/parity.guest" | sort -u); }

# one module crashes natively too; what crashes in the guest alone is missing from its list, so the kernel need not tell
no_traces() { on "$1" sh -c 'echo 0 >/proc/sys/debug/exception-trace'; }

check "a guest is up" eval 'native_device && hyv_guest 1 && no_traces host && no_traces 1' || exit 1
GID=$(gid_of host)
baseline_save
for module in $MODULES; do check "$module: what passes natively passes in the guest" compare "$module"; done
check "nothing is left on the host" baseline_check
check "something was compared" test "$(total "$RESULTS/parity.native")" -ge "${LEAST:-10}"
lost
echo "parity ${DEVICE_OF_HOST%%[0-9]*}: native $(total "$RESULTS/parity.native") passed, guest $(total "$RESULTS/parity.guest") passed, missing $(lost | wc -l)"
