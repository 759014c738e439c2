# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves that verbs do in a guest what they do natively, beyond what they return: rights that are given and taken, a completion queue resized
# while it is full, the last completion vector, datagrams to a group, what queries answer; and threads that share a context, with children
# (long: on two processors).
# lab: --guests 1
. /hyv/tests/e2e/common.bash

GROUP=239.1.2.3
effects() { on "$1" verbs_effects $GROUP >"$RUN/effects.$1" || { cat "$RUN/effects.$1"; return 1; }; }
joined() { ip maddress show dev "d-$DEVICE_OF_HOST" | grep -qF $GROUP; }

baseline_save
socat -u UDP4-RECV:18599,ip-add-membership="$GROUP:d-$DEVICE_OF_HOST" OPEN:/dev/null &
MEMBER=$!
check "the host's netdev is in a group" wait_for 10 joined
check "natively it all happens" effects host
for when in "given: remote write: success" "taken: remote write: remote access error" "given again: remote write: success"; do
	check "rights $when" says "$RUN/effects.host" "^rights $when$"
done
check "a group's datagrams reach its member" says "$RUN/effects.host" 'multicast to a member: received'
check "queries answer what was set" says "$RUN/effects.host" '^RC in RTS: state 3, .* MTU 3, .* access 0x4, .* timeout 18 .*, retries 5 7$'
check "and in the guest" effects 1
check "in the same way" diff "$RUN/effects.host" "$RUN/effects.1"
kill $MEMBER
for place in host 1; do check "$place: threads that share a context, and children" on $place timeout 200 verbs_threads 20; done
if [[ $LONG ]]; then
	check "a guest with two processors" hyv_guest 3 --cpus 2
	check "3: threads that share a context, and children" on 3 timeout 200 verbs_threads 20
	vm_stop 3
fi
check "nothing is left on the host" baseline_check
