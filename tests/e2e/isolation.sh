# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves that a queue's memory is never another process's while a mapping of it exists: in a forked child, after the queue was destroyed
# (which providers do before they unmap it), and after the device was closed. Natively too, so that the test itself is right.
# lab: --guests 1
. /hyv/tests/e2e/common.bash

baseline_save
check "host: queue memory is one process's alone" verbs_isolation
for _ in 1 ${LONG:+2 3 4 5}; do
	check "guest: queue memory is one process's alone" guest 1 verbs_isolation
done
check "nothing is left on the host" baseline_check
