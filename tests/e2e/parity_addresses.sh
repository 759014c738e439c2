# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves parity as parity.sh does, in a guest that has addresses, GIDs of its own and connections. What is known to differ is in
# docs/man/virtio_hyv.4.
# lab: --guests 0 --timeout 3600
export GUEST_BY=address_guests UD=on MORE=test_rdmacm
export DIFFERS='rdmacm_async_(udp_|.*multicast_)?traffic(_external_qp)?$' ALL=${ALL:-102}
. /hyv/tests/e2e/parity.sh
