# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves that a guest sees the host's device with the host's attributes. lab/lib.sh's functions; two guests see the same device.
# lab: --guests 2
. /hyv/tests/e2e/common.bash

# the only differences there may be: the device's name, and the path of the guest's kernel device
plain() { sed -e 's/hyv0/DEVICE/; s/rxe0/DEVICE/'; }
info() { on "$1" ibv_devinfo -v -d "$(device_of "$1")" | plain; }
same_info() { diff -u <(info host) <(info "$1"); }
listed() { on "$1" ibv_devices | awk -v d="$(device_of "$1")" '$1 == d {print $2}' | grep .; }
same_guid() { [[ $(listed host) == "$(listed "$1")" ]]; }

check "the host's attributes are there" test "$(info host | wc -l)" -gt 50
for n in 1 2; do
	check "guest $n: ibv_devices lists the device with the host's GUID" same_guid "$n"
	check "guest $n: ibv_devinfo -v shows the host's attributes" same_info "$n"
	check "guest $n: the device has the host's provider" equal "$(guest "$n" cat /sys/class/infiniband_verbs/uverbs0/abi_version)" \
		"$(cat /sys/class/infiniband_verbs/uverbs0/abi_version)"
done
