# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# The scenarios that need nothing but two guests, one after the other on the same two.
# lab: --guests 2 --timeout 3000

for scenario in devinfo pingpong verbs errors isolation perftest effects operate; do
	echo "# $scenario"
	# shellcheck disable=SC1090
	. "/hyv/tests/e2e/$scenario.sh"
done
