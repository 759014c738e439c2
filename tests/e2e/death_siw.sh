# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves on siw what death.sh proves on rxe; there data goes over connections by address alone, so the guest has one, and listeners.
# lab: --guests 0 --timeout 900
export DEVICE_OF_HOST=siw0 GUEST_BY=address_guests ADDRESS=10.9.1.11
export KINDS='rc_with_srq pd channel context listener'
. /hyv/tests/e2e/death.sh
