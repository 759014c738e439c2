# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves connections, and with them traffic, on siw as cm.sh does on rxe; there its data goes over connections alone.
# lab: --guests 0 --timeout 5000
export DEVICE_OF_HOST=siw0
. /hyv/tests/e2e/cm.sh
