# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves on siw, whose guests get events as iw_cm itself makes them, what cm_disorder.sh does on rxe.
# lab: --guests 0 --timeout 900
export DEVICE_OF_HOST=siw0
. /hyv/tests/e2e/cm_disorder.sh
