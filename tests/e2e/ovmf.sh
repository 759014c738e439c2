# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves that a guest that is started by UEFI firmware (OVMF) works; that its module says what to do where the firmware's MTRRs keep the window
# from being cached (queues work then too, and are very slow); and that window memory is mapped write-back where that has been done.
# lab: --guests 0 --timeout 1200 --packages ovmf
. /hyv/tests/e2e/common.bash

# mapped: how the guest's kernel has mapped what lies in the window's BAR, its device's largest
mapped() {
	guest 1 python3 -c '
import glob, os, re, sys
device = os.path.realpath(glob.glob("/sys/bus/virtio/drivers/virtio_hyv/virtio*")[0] + "/..")
bars = [tuple(int(x, 16) for x in line.split()[:2]) for line in open(device + "/resource")]
first, last = max(bars, key=lambda b: b[1] - b[0])
types = []
for line in open("/sys/kernel/debug/x86/pat_memtype_list"):
    m = re.search(r"0x([0-9a-f]+)-0x([0-9a-f]+)\]? *(.*)", line)
    if m and first <= int(m[1], 16) <= last:
        print(line.strip())
        types.append(m[3].strip())
print(f"window {first:#x}-{last:#x}: {len(types)} mappings")
sys.exit(not types or any(t != "write-back" for t in types))'
}

start() {
	native_device && hyvd_start 1 rxe0 && cp /usr/share/OVMF/OVMF_VARS_4M.fd "$RUN/vars.fd" &&
		vm_start 1 -- -drive if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd \
			-drive "if=pflash,format=raw,unit=1,file=$RUN/vars.fd" && vm_wait 1 600
}
warned() { guest 1 dmesg | grep 'virtio_hyv.* MTRRs forbid to cache the window.* hyv-mtrr'; }

check "a guest with UEFI firmware is up" start || exit 1
check "it was started by UEFI" guest 1 test -d /sys/firmware/efi
check "its module is loaded without preparation" guest 1 bash -c 'modprobe -a ib_core ib_uverbs && insmod "/hyv/$0/virtio_hyv.ko"' "$HYV_GUEST_KERNEL"
check "it has its device" guest_hyv_up 1 || exit 1
baseline_save
check "verified data passes" guest 1 verbs_scale --qps 4
check "it says how its queues can be cached" warned
check "the module goes" guest 1 sh -c 'rmmod virtio_hyv && dmesg -C'
check "what modprobe runs first frees the window of its MTRR" guest 1 hyv-mtrr
check "the device is back" guest_hyv_up 1 || exit 1
check "it has nothing to say" not warned
check "verified data passes" guest 1 verbs_scale --qps 16
mkfifo "$RUN/hold"
exec {hold}<>"$RUN/hold"
guest 1 verbs_objects hold <&$hold >"$RUN/held" 2>&1 &
HOLDING=$!
check "an application has queues mapped" wait_for 60 grep -q holding "$RUN/held"
check "the guest's kernel has mapped them write-back" mapped
mapped | sed 's/^/# /'
echo >&$hold
wait $HOLDING && CODE=0 || CODE=$?
check "the application ends" equal $CODE 0
check "nothing is left on the host" baseline_check
