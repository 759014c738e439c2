# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves parity on siw in a guest that has addresses.
# lab: --guests 0 --timeout 3600
export DEVICE_OF_HOST=siw0 LEAST=5 ALL=31 KNOWN=
. /hyv/tests/e2e/parity_addresses.sh
