# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves that memory without two neighbouring pages is registered, tells the time per page beside the native one, and proves that where
# vm.max_map_count is too low the daemon names it and a value that is enough, which then is enough.
# lab: --guests 0 --timeout 1800
. /hyv/tests/e2e/common.bash

MIB=$((LONG ? 1024 : 256))

# scattered PLACE: registers MIB of scattered pages, and tells the time
scattered() { on "$1" verbs_concurrency -s $MIB >"$RUN/out" && cat "$RUN/out"; }
refused() { not scattered "$1" 2>"$RUN/refused" && says "$RUN/refused" 'reg_mr: ENOMEM'; }
figures() {
	local pages=$((MIB * 256))
	awk -v p=$pages -v w="$1" '/^extents:/ {e = $2} /^registration:/ {t = $2}
		END {if (e < p * 0.9) exit 1; printf "# %s: %d MiB in %d pieces registered in %.0f ms: %.2f us per page\n", w, p / 256, e, t, t * 1000 / p}' "$RUN/out"
}
advised() { sed -n 's/.*sysctl -w vm.max_map_count=\([0-9]*\).*/\1/p' "$RUN/hyvd-1.log" | tail -1; }

check "a guest is up" eval 'native_device && hyv_guest 1 --mem 2560M' || exit 1
baseline_save
sysctl -qw vm.max_map_count=20000
check "guest: with a low vm.max_map_count it is refused" refused 1
check "hyvd names what is too low" says "$RUN/hyvd-1.log" 'vm.max_map_count is 20000'
check "the value that it names is taken" sysctl -w "vm.max_map_count=$(advised)"
for place in host 1; do
	check "$place: $MIB MiB without two neighbouring pages" scattered $place
	check "$place: so it is" figures $place
	figures $place
done
check "nothing is left on the host" baseline_check 60
