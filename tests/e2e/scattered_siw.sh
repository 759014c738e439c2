# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves on siw, for which memory stays mapped where the guest has it, what scattered.sh proves on rxe.
# lab: --guests 0 --timeout 1800
export DEVICE_OF_HOST=siw0
. /hyv/tests/e2e/scattered.sh
