# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves parity on siw as parity.sh does on rxe. Only tests without traffic pass natively: siw moves data over rdma_cm connections alone.
# lab: --guests 0 --timeout 3600
export DEVICE_OF_HOST=siw0
export LEAST=5 ALL=27
. /hyv/tests/e2e/parity.sh
