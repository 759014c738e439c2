# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves what linked.sh does where each network namespace has its own RDMA devices, which no other can see or open.
# lab: --guests 0 --timeout 900
export MODE=exclusive
. /hyv/tests/e2e/linked.sh
