# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves parity as parity.sh does, in a guest that has addresses, GIDs of its own and connections. What is known to differ is in
# docs/man/virtio_hyv.4.
# lab: --guests 0 --timeout 3600
export GUEST_BY=address_guests UD=on MORE=test_rdmacm
export ALL=${ALL:-103}
# the ACK time-out, an event of a queue pair that the program has made itself, and datagrams and multicast by rdma_cm
export KNOWN=${KNOWN-CMTestCase.test_rdmacm_async_traffic CMTestCase.test_rdmacm_async_traffic_external_qp \
CMTestCase.test_rdmacm_async_udp_traffic CMTestCase.test_rdmacm_async_multicast_traffic \
CMTestCase.test_rdmacm_async_ex_multicast_traffic CMTestCase.test_rdmacm_async_ex_leave_multicast_traffic}
. /hyv/tests/e2e/parity.sh
