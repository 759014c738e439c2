# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves in a guest that has addresses, and two processors, what errors.sh and effects.sh prove in one without; that perftest chooses its
# GID by type as natively; and that listeners and all other objects, made and destroyed without end, leave nothing.
# lab: --guests 0 --timeout 900
. /hyv/tests/e2e/common.bash

# chosen: ib_send_lat with no word on GIDs
chosen() {
	local pid code=0
	on 1 timeout 120 ib_send_lat -n 50 -F -d hyv0 </dev/null >"$RUN/server.out" 2>&1 &
	pid=$!
	wait_for 30 listening 1 18515 && on host timeout 120 ib_send_lat -n 50 -F -d rxe0 "$(ip_of 1)" </dev/null || code=$?
	wait $pid || code=$?
	says "$RUN/server.out" 'GID: .*:255:255:10:09:00:11' && return $code
}

export UD=on
# librdmacm, which takes the device for an iWARP one, changes queue pairs to INIT so
export ERRORS_DIFFER=init_without_pkey
check "a guest with addresses and two processors" eval 'native_device && address_guest_start 1 --cpus 2 && vm_wait 1 && guest_hyv_up 1' || exit 1
. /hyv/tests/e2e/errors.sh
. /hyv/tests/e2e/effects.sh
check "perftest chooses the guest's address" chosen
check "objects of all kinds, and listeners, in a loop" guest 1 env HYV_TEST_ADDRESS="$(rdma_ip 1)" verbs_objects "$((LONG ? 10000 : 500))"
check "nothing is left on the host" baseline_check
