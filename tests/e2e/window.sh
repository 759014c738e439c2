# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves hyv_window without any guest of HyV's: the programs of tests/window, one check per test, and the module's load and removal.
# lab: --timeout 900
. /hyv/tests/e2e/common.bash

[[ $LONG ]] && export WINDOW_TEST_SECONDS=60 || export WINDOW_TEST_SECONDS=5

module_gone() { [[ ! -d /sys/module/hyv_window ]]; }
no_window() { [[ $(wc -l </sys/kernel/debug/hyv_window/windows) == 1 ]]; }

# run PROGRAM NAME: one test; 77 says that the host VM lacks what it needs.
run() {
	local code=0
	"$1" "$2" >"$RUN/out" 2>&1 || code=$?
	cat "$RUN/out"
	return $code
}

check "the module loads" load_window || exit 1
baseline_save
for program in test_window test_window_kvm; do
	for name in $($program --list); do
		check "$program $name" run $program "$name"
	done
done
check "all is released" baseline_check
check "no window is left" no_window

exec 7<>/dev/hyv_window
check "the module cannot be removed while in use" not rmmod hyv_window
exec 7>&-
check "the module can be removed" rmmod hyv_window
check "it is gone" module_gone
check "it loads again" load_window
