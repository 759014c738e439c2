# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves that a guest sees the host's device with the host's attributes. lab/lib.sh's functions; two guests see the same device.
# lab: --guests 2
. /hyv/tests/e2e/common.bash

# info PLACE: the only differences there may be are left out: the device's name, and the type of its GIDs, which decides how they are
# printed (RoCE v1 in the guest for now); same_gids compares their values. And on-demand paging, which a guest is not offered.
info() { on "$1" ibv_devinfo -v -d "$(device_of "$1")" | sed -e '/^hca_id:/d' -e '/GID\[/d' -e '/general_odp_caps:/,/xrc_odp_caps:/d'; }
same_info() { diff -u <(info host) <(info "$1"); }
no_paging() {
	on "$1" ibv_devinfo -v -d "$(device_of "$1")" | sed -n '/general_odp_caps:/,/xrc_odp_caps:/p' >"$RUN/paging"
	says "$RUN/paging" xrc_odp_caps && not grep -E '^\s*(ODP_)?SUPPORT' "$RUN/paging"
}
gids() { on "$1" cat /sys/class/infiniband/"$(device_of "$1")"/ports/1/gids/{0,1,2,3}; }
same_gids() { gids host && diff -u <(gids host) <(gids "$1"); }
listed() { on "$1" ibv_devices | awk -v d="$(device_of "$1")" '$1 == d {print $2}' | grep .; }
same_guid() { [[ $(listed host) == "$(listed "$1")" ]]; }

check "the host's attributes are there" test "$(info host | wc -l)" -gt 50
for n in 1 2; do
	check "guest $n: ibv_devices lists the device with the host's GUID" same_guid "$n"
	check "guest $n: ibv_devinfo -v shows the host's attributes" same_info "$n"
	check "guest $n: on-demand paging is not offered" no_paging "$n"
	check "guest $n: its GIDs are the host's" same_gids "$n"
	check "guest $n: the device has the host's provider" equal "$(guest "$n" cat /sys/class/infiniband_verbs/uverbs0/abi_version)" \
		"$(cat /sys/class/infiniband_verbs/uverbs0/abi_version)"
done
