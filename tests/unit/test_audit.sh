#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Proves lab/audit on text: each kind of complaint is found, ordinary and allowed lines are not, expected ones are allowed and demanded.
# usage: tests/unit/test_audit.sh      (prints a line per test; exit code 1 when one failed)
set -euo pipefail
AUDIT=$(dirname "${BASH_SOURCE[0]}")/../../lab/audit
DIR=$(mktemp -d)
trap 'rm -rf "$DIR"' EXIT
N=0 FAILED=0

# audit WANTED NAME LINE: the audit of a log with LINE must end with WANTED; $DIR/expected is what the scenario expects.
audit() {
	local code=0
	N=$((N + 1))
	printf '%s\n' '[    1.0] an ordinary line' "[    2.0] $3" '[    3.0] another one' >"$DIR/kernel.log"
	"$AUDIT" --expected "$DIR/expected" "$DIR/kernel.log" >"$DIR/out" 2>&1 || code=$?
	if [[ $code == "$1" ]]; then
		echo "ok $N - $2"
	else
		echo "not ok $N - $2: exit code $code instead of $1"
		sed 's/^/# /' "$DIR/out"
		FAILED=1
	fi
}

audit 0 "an ordinary line passes" 'virtio_hyv: device hyv0 is up'
while IFS= read -r line; do
	audit 1 "found: $line" "$line"
done <<'LINES'
WARNING: CPU: 0 PID: 1 at mm/gup.c:100 try_grab_folio+0x1/0x2
BUG: kernel NULL pointer dereference, address: 0000000000000000
BUG: KASAN: slab-use-after-free in hyv_cq_destroy+0x1/0x2
kernel BUG at mm/slub.c:1!
Oops: int3: 0000 [#1] PREEMPT SMP
Oops: general protection fault, probably for non-canonical address
unable to handle page fault for address: ffff888000000000
INFO: task ibv_devinfo:100 blocked for more than 60 seconds.
WARNING: possible circular locking dependency detected
list_del corruption, ffff888000000000->next is LIST_POISON1
refcount_t: underflow; use-after-free.
pagealloc: memory corruption
BUG: KFENCE: use-after-free write in hyv_unmap+0x1/0x2
audit: type=1326 audit(1795376114.803:2): auid=4294967295 uid=0 gid=0 ses=4294967295 pid=219 comm="hyvd" sig=31 syscall=289
hyvd[100]: segfault at 0 ip 0000000000000000 sp 0000000000000000 error 4
Kernel panic - not syncing: Attempted to kill init!
LINES
audit 0 "a soft lockup, which emulation causes by itself, passes" 'watchdog: BUG: soft lockup - CPU#0 stuck for 120s! [ib_send_bw:1]'
printf 'WARNING: on purpose\tthis test\n' >"$DIR/expected"
audit 0 "an expected complaint passes" 'WARNING: on purpose'
audit 1 "an expected complaint that is missing fails" 'all is well'
audit 1 "another complaint than the expected one fails" 'WARNING: by accident'
exit $FAILED
