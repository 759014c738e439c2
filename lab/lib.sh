# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What a scenario can call. Runs inside the host VM; a scenario is sourced with this loaded. See lab/README.md.
#
#   check NAME CMD...   skip NAME WHY   wait_for SECONDS CMD...   expect_log REGEX WHY
#   host CMD...         guest N CMD...
#   rxe_up NAME [ADDR/LEN] [NETDEV]     rxe_down NAME     siw_up NAME [ADDR/LEN] [NETDEV]
#   hyvd_start N DEVICE... [-- ARG...]  hyvd_pid N   hyvd_kill N
#   vm_start N [option...] [-- QEMU-ARG...]  vm_wait N  vm_stop N  vm_kill N  vm_reboot N  qemu_pid N  guest_hyv_up N  exits N [KIND]
#   guest_ip N: N's address on the ordinary network (no RDMA), 254 for the host's
#   baseline_save       baseline_check [SECONDS]

# HYV_KERNEL: the host's kernel, short; HYV_GUEST_KERNEL: the guests'; HYV_GUESTS: how many; HYV_LONG: not empty for full counts; HYV_SYSTEMD: what the
# kernels of machines with systemd are told; HYV_DEB: not empty with lab/run --deb; RESULTS: the scenario's directory.
RUN=/run/lab
# An emulated host runs a guest's XSETBV without telling KVM, and the guest's kernel would complain of what CPUID then says. And its
# processors have 40 address bits: firmware would put 64-bit BARs into the last GiB below 1 TiB, which AMD reserves, and Linux plugs none there.
HYV_CPU=host
! grep -q hyv.emulated /proc/cmdline || HYV_CPU=host,-xsave,host-phys-bits-limit=39
mkdir -p $RUN

# ---- checks ----

CHECKS=0 FAILED=0

# check NAME CMD...: one numbered test, passed when CMD succeeds. The output of a failed one is shown.
check() {
	local name=$1 out t=$SECONDS
	shift
	CHECKS=$((CHECKS + 1))
	if out=$("$@" 2>&1); then
		echo "ok $CHECKS - $name ($((SECONDS - t)) s)"
	else
		echo "not ok $CHECKS - $name (exit code $?, $((SECONDS - t)) s): $*"
		sed 's/^/# /' <<<"$out"
		FAILED=$((FAILED + 1))
		! any_reset >/dev/null || exit 75
		return 1
	fi
}

# skip NAME WHY: a test that this machine cannot run.
skip() {
	CHECKS=$((CHECKS + 1))
	echo "ok $CHECKS - $1 # SKIP $2"
}

# wait_for SECONDS CMD...: runs CMD until it succeeds; fails, with CMD's last output, when that takes longer.
wait_for() {
	local end=$((SECONDS + $1)) out
	shift
	until out=$("$@" 2>&1); do
		if ((SECONDS >= end)); then
			echo "waited in vain for: $*" >&2
			[[ ! $out ]] || printf '%s\n' "$out" >&2
			return 1
		fi
		sleep 0.1
	done
}

# expect_log REGEX WHY: the scenario causes this line in a kernel log, which otherwise would fail it; and its absence fails it.
expect_log() { printf '%s\t%s\n' "$1" "$2" >>"$RESULTS/expected"; }

# ---- the product ----

hex() { od -An -v -tx1 "$1" | tr -d ' \n'; }

# is_part_of FILE WHOLE: FILE, which is not empty, is in WHOLE: a running program, the build ID of a loaded module
is_part_of() {
	local part
	part=$(hex "$1") && [[ $part && $(hex "$2") == *$part* ]]
}

# from_package NAME FILE: with lab/run --deb, fails unless FILE, a running hyvd or a loaded module's build ID, is NAME as the packages have it;
# and notes for the scenario's summary that NAME has run.
from_package() {
	local wanted=/hyv/packages/usr/sbin/hyvd
	[[ $HYV_DEB ]] || return 0
	case $1 in
	hyv_window) wanted=/hyv/packages/$HYV_KERNEL/$1.ko ;;
	virtio_hyv) wanted=/hyv/packages/$HYV_GUEST_KERNEL/$1.ko ;;
	esac
	is_part_of "$2" "$wanted" || { echo "the $1 that runs is not that of the packages in out/deb" >&2; return 1; }
	echo "$1" >>"$RUN/from-packages"
}

# all_from_packages: what ran of the product; fails when that was not all of it, or hyvctl, whoever runs it, is another
all_from_packages() {
	cmp "$(type -P hyvctl)" /hyv/packages/usr/bin/hyvctl && sort -u "$RUN/from-packages" | tee /dev/stderr | xargs | grep -qx "hyv_window hyvd virtio_hyv"
}

# ---- machines ----

host() { "$@"; }

# guest N CMD...: runs CMD, not through a shell, in guest N; its streams and exit code are CMD's. Killing it kills CMD.
guest() {
	local n=$1
	shift
	lab-agent run "vsock:$((10 + n))" "$@"
}

alive() { [[ $1 ]] && kill -0 "$1" 2>/dev/null; }
pid_of() { cat "$RUN/$1.pid" 2>/dev/null; }
qemu_pid() { pid_of "qemu-$1"; }
hyvd_pid() { pid_of "hyvd-$1"; }

# kill_of NAME: kills the process recorded as NAME, and waits until it is gone.
kill_of() {
	local pid
	pid=$(pid_of "$1") || return 0
	kill -KILL "$pid" 2>/dev/null
	wait_for 30 gone "$pid"
	rm -f "$RUN/$1.pid"
}
gone() { ! alive "$1" || [[ $(ps -o stat= -p "$1") == Z* ]]; }

# guest_cmdline N KERNEL: of guest N's kernel. guest_options N: QEMU's, one a line, for what a guest of the lab needs to be one: its root, /hyv,
# commands, and a log of what the processor was at when it reset.
guest_cmdline() {
	echo "console=ttyS0 loglevel=5 panic=0 log_buf_len=1M mitigations=off cryptomgr.notests=1 no_timer_check tsc=reliable pci=noearly" \
		"8250.nr_uarts=1 rcupdate.rcu_cpu_stall_timeout=300 hyv.role=guest$1 hyv.kernel=$2${HYV_SYSTEMD:+ $HYV_SYSTEMD}"
}
guest_options() {
	printf '%s\n' -drive file=/dev/vda,if=virtio,format=raw,readonly=on,file.locking=off \
		-fsdev local,id=hyv,path=/hyv,security_model=none,readonly=on -device virtio-9p-pci,fsdev=hyv,mount_tag=hyv \
		-device "vhost-vsock-pci,guest-cid=$((10 + $1))" -d cpu_reset -D "$RUN/reset-$1.log"
}

# vm_start N: starts guest N. Without --no-hyv it has a HyV device when hyvd_start N was run before. Options:
#   --mem SIZE, --cpus N, --kernel 6.12|7.3, --no-hyv, --socket PATH (hyvd's), --mem-options OPTS (of the memfd),
#   --hotplug (a q35, with the device hyvN behind the root port rpN), --vmlinuz (the kernel as Debian has it, which UEFI firmware
#   needs and which takes longer to start); after --: QEMU's own
# QEMU's QMP socket is $RUN/qmp-N.sock, for one client at a time.
vm_start() {
	local n=$1 mem=1G cpus=1 kernel=$HYV_GUEST_KERNEL sock=$RUN/$1.sock share=share=on hyv=1 machine=pc place='' image=vmlinux
	local -a q
	shift
	while (($#)); do
		case $1 in
		--mem) mem=$2; shift ;;
		--cpus) cpus=$2; shift ;;
		--kernel) kernel=$2; shift ;;
		--socket) sock=$2; shift ;;
		--mem-options) share=$2; shift ;;
		--no-hyv) hyv='' ;;
		--hotplug) machine=q35 place=id=hyv$n,bus=rp$n, ;;
		--vmlinuz) image=vmlinuz ;;
		--) shift; break ;;
		*) echo "vm_start: unknown option $1" >&2; return 2 ;;
		esac
		shift
	done
	# no HPET: Linux leaves it running, and QEMU's own loop would wake for it 250 times a second, which an emulated host feels
	# shellcheck disable=SC2054 # the commas are QEMU's
	q=(qemu-system-x86_64 -name "guest$n" -accel kvm -cpu "$HYV_CPU" -smp "$cpus" -m "$mem" -machine "$machine,hpet=off,memory-backend=m"
		-object "memory-backend-memfd,id=m,size=$mem,$share" -nodefaults -display none -serial "file:$RUN/guest$n.log"
		-qmp "unix:$RUN/qmp-$n.sock,server=on,wait=off" -kernel "/hyv/boot/$image-$kernel" -initrd "/hyv/boot/initrd-$kernel"
		-append "$(guest_cmdline "$n" "$kernel")")
	mapfile -t -O "${#q[@]}" q < <(guest_options "$n")
	net_up "$n" && q+=(-netdev "tap,id=n$n,ifname=tap$n,script=no,downscript=no" -device "virtio-net-pci,netdev=n$n,romfile=,mac=52:54:00:00:00:0$n")
	[[ ! $place ]] || q+=(-device "pcie-root-port,id=rp$n,chassis=1,pref64-reserve=2G")
	[[ ! $hyv ]] || ! is_served "$sock" || q+=(-chardev "socket,id=c$n,path=$sock"
		-device "vhost-user-test-device-pci,${place}virtio-id=38,num_vqs=3,vq_size=256,config_size=64,chardev=c$n")
	rm -f "$RUN/guest$n.log" "$RUN/resets-$n"
	setsid "${q[@]}" "$@" </dev/null >"$RUN/qemu-$n.log" 2>&1 &
	echo $! >"$RUN/qemu-$n.pid"
}

# is_served SOCKET: that somebody listens there, in whatever network namespace; a hyvd that was root leaves its socket behind
is_served() { { ss -Hlx; ip -all netns exec ss -Hlx; } 2>/dev/null | grep -F " $1 " >/dev/null; }

# net_up N: the ordinary network, for programs that exchange addresses over TCP: guests and host on one bridge.
net_up() {
	if [[ ! -e /sys/class/net/br0 ]]; then
		modprobe -a tun bridge && ip link add br0 type bridge && ip addr add "$(guest_ip 254)/24" dev br0 && ip link set br0 up || return
	fi
	[[ -e /sys/class/net/tap$1 ]] || { ip tuntap add "tap$1" mode tap && ip link set "tap$1" master br0 up; }
}
guest_ip() { echo "10.8.0.$1"; }

# vm_wait N [SECONDS]: waits until guest N takes commands and has its kernel's own RDMA modules; fails at once, with QEMU's messages,
# when QEMU is gone. An emulated guest now and then resets itself while it boots or loads a module (seen with bare guests too); it then
# boots again by itself, and a command that was under way is never answered. So commands are tried again here, before HyV is in play.
vm_wait() {
	local end=$((SECONDS + ${2-400})) tries=0
	until timeout 40 lab-agent run "vsock:$((10 + $1))" modprobe -a ib_core ib_uverbs 2>/dev/null </dev/null; do
		(($? != 124)) || tries=$((tries + 1))
		if gone "$(qemu_pid "$1")"; then
			echo "guest $1: QEMU ended:" >&2
			cat "$RUN/qemu-$1.log" >&2
			return 1
		elif ((SECONDS >= end)); then
			echo "guest $1 does not answer; the end of its log:" >&2
			tail -n 5 "$RUN/guest$1.log" >&2
			return 1
		fi
		sleep 0.2
	done
	((tries == 0)) || echo "# guest $1 booted again by itself" >&2
	resets "$1" >"$RUN/resets-$1"
}

# vm_kill N: as kill -9 of QEMU. vm_stop N: keeps the guest's kernel log, then ends its QEMU in order.
vm_kill() { kill_of "qemu-$1"; }
vm_stop() {
	local pid
	pid=$(qemu_pid "$1") || return 0
	save_dmesg "$1"
	kill -TERM "$pid" 2>/dev/null
	wait_for 20 gone "$pid" || vm_kill "$1"
	rm -f "$RUN/qemu-$1.pid"
}

# save_dmesg N: the guest's whole kernel log, after what it wrote to its serial line (errors and warnings only).
save_dmesg() {
	timeout 20 lab-agent run "vsock:$((10 + $1))" dmesg </dev/null >"$RUN/guest$1.dmesg.new" 2>/dev/null &&
		cat "$RUN/guest$1.dmesg.new" >>"$RUN/guest$1.dmesg"
	rm -f "$RUN/guest$1.dmesg.new"
}

boot_id() { guest "$1" cat /proc/sys/kernel/random/boot_id </dev/null 2>/dev/null; }

# vm_reboot N: has guest N reboot itself, without an orderly shutdown, and waits until it is back.
vm_reboot() {
	local old
	old=$(boot_id "$1") || return 1
	save_dmesg "$1"
	timeout 5 lab-agent run "vsock:$((10 + $1))" busybox reboot -f </dev/null >/dev/null 2>&1
	wait_for 300 rebooted "$1" "$old" && resets "$1" >"$RUN/resets-$1"
}
# resets N: how often guest N's processors have been reset so far
resets() { awk '/^CPU Reset/ {n++} END {print n + 0}' "$RUN/reset-$1.log"; }
# watch_exits: has the host's kernel keep the last exits and injections of its guests until one of them ends in a triple fault, after which
# QEMU knows nothing of the processor any more; save_exits: what it kept, if that has happened.
EXIT_TRACE=/sys/kernel/tracing/instances/exits
watch_exits() {
	local e t=$EXIT_TRACE
	mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing || return
	mkdir -p $t || return
	echo 256 >$t/buffer_size_kb
	for e in kvm_exit kvm_inj_virq kvm_inj_exception; do echo 1 >$t/events/kvm/$e/enable; done
	echo '!traceoff' >$t/events/kvm/kvm_exit/trigger 2>/dev/null
	echo 'traceoff:1 if exit_reason == 0x7f' >$t/events/kvm/kvm_exit/trigger
	echo 1 >$t/tracing_on
}
save_exits() {
	local t=$EXIT_TRACE
	[[ ! -e $t/tracing_on || $(<$t/tracing_on) == 1 ]] || tail -n 2000 $t/trace >"$RUN/exits-before-reset.log"
}

# any_reset: tells the guests that have reset themselves; fails when there is none.
any_reset() {
	local n found=1
	for n in "$RUN"/resets-*; do
		n=${n##*-}
		if [[ -e $RUN/resets-$n && $(<"$RUN/resets-$n") != "$(resets "$n")" ]]; then
			echo "# guest $n has reset itself (reset-$n.log; lab/run --trace tells more): what failed says nothing"
			save_exits
			found=0
		fi
	done
	return $found
}
rebooted() { local id; id=$(boot_id "$1") && [[ $id != "$2" ]]; }

# guest_hyv_up N: loads virtio_hyv in guest N and waits for its first device.
guest_hyv_up() {
	timeout 120 lab-agent run "vsock:$((10 + $1))" bash /hyv/lab/guest-hyv-up </dev/null || return
	[[ ! $HYV_DEB ]] || { guest "$1" cat /sys/module/virtio_hyv/notes/.note.gnu.build-id </dev/null >"$RUN/build-id" &&
		from_package virtio_hyv "$RUN/build-id"; }
}

# exits N [KIND]: how often guest N has left for the host so far; KIND is a file of KVM's debugfs, mmio_exits for example.
exits() {
	cat "/sys/kernel/debug/kvm/$(qemu_pid "$1")"-*/"${2-exits}"
}

# ---- RDMA ----

modules_up() { modprobe "$@"; }

# load_window: loads hyv_window, once.
load_window() {
	[[ -d /sys/module/hyv_window ]] && return
	modprobe -a ib_core ib_uverbs && insmod "/hyv/$HYV_KERNEL/hyv_window.ko" &&
		from_package hyv_window /sys/module/hyv_window/notes/.note.gnu.build-id
}

# soft_up TYPE NAME ADDR/LEN [NETDEV]: a soft device; on a new dummy netdev unless NETDEV is told.
soft_up() {
	local dev=${4-}
	if [[ ! $dev ]]; then
		dev=d-$2
		ip link add "$dev" type dummy && ip addr add "$3" dev "$dev" && ip link set "$dev" up || return 1
	fi
	rdma link add "$2" type "$1" netdev "$dev"
}

rxe_up() { modprobe -a rdma_rxe rdma_ucm ib_uverbs && soft_up rxe "$1" "${2-10.9.0.1/24}" "${3-}"; }

# siw_up NAME [ADDR/LEN] [NETDEV]: Debian does not build siw, lab/build does.
siw_up() {
	modprobe -a rdma_ucm ib_uverbs iw_cm && { modprobe -q libcrc32c || :; } &&
		{ [[ -d /sys/module/siw ]] || insmod "/hyv/$HYV_KERNEL/siw.ko"; } && soft_up siw "$1" "${2-10.9.1.1/24}" "${3-}"
}

# rxe_down NAME: takes a soft device of any type away, and its dummy netdev
rxe_down() { rdma link delete "$1" && { [[ ! -e /sys/class/net/d-$1 ]] || ip link delete "d-$1"; }; }

# hyvd_start N DEVICE... [-- ARG...]: guest N's daemon, or the program HYVD in its place; to be called before vm_start N.
hyvd_start() {
	local n=$1 args=()
	shift
	while (($#)) && [[ $1 != -- ]]; do args+=(--device "$1"); shift; done
	[[ ${1-} != -- ]] || shift
	rm -f "$RUN/$n.sock"
	setsid "${HYVD:-hyvd}" --socket "$RUN/$n.sock" "${args[@]}" "$@" </dev/null >>"$RUN/hyvd-$n.log" 2>&1 &
	echo $! >"$RUN/hyvd-$n.pid"
	wait_for 20 hyvd_ready "$n" $! || return
	is_served "$RUN/$n.sock" || { echo "hyvd for guest $n ended:"; tail -5 "$RUN/hyvd-$n.log"; return 1; } >&2
	[[ ${HYVD-} ]] || from_package hyvd "/proc/$!/exe"
}
hyvd_ready() { is_served "$RUN/$1.sock" || gone "$2"; }
hyvd_kill() { kill_of "hyvd-$1"; }

# baseline: all that must come back to what it was once its user is gone.
baseline() {
	local f n
	rdma resource show | sed 's/^[0-9]*: //'	# a device made anew has another number
	echo 1 >/proc/sys/vm/stat_refresh	# the counters lag otherwise
	awk '$1 ~ /^nr_foll_pin_/ {v[$1] = $2} END {print "pinned pages", v["nr_foll_pin_acquired"] - v["nr_foll_pin_released"]}' /proc/vmstat
	for f in "$RUN"/hyvd-*.pid; do
		n=${f##*/hyvd-}
		n=${n%.pid}
		[[ -d /proc/$(hyvd_pid "$n" || echo none)/fd ]] || continue
		echo "hyvd $n: descriptors $(find "/proc/$(hyvd_pid "$n")/fd" -mindepth 1 | wc -l)"
	done
	for f in /sys/kernel/debug/hyv_window/*; do
		[[ ! -f $f ]] || sed "s|^|hyv_window ${f##*/}: |" "$f"
	done
}

baseline_save() { baseline >"$RUN/baseline"; }
baseline_same() { diff -u <(grep -Ev "${1:-^$}" "$RUN/baseline") <(baseline | grep -Ev "${1:-^$}"); }

# baseline_check [SECONDS [REGEX]]: waits until all is back at the saved baseline, but for lines that match; fails with the difference.
baseline_check() { wait_for "${1-10}" baseline_same "${2-}"; }
