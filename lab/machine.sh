# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# A lab's host VM as level 0 sees it: its directory, start, end, and commands in it. Sourced after common.sh by the level-0 scripts.

# use_lab NAME: sets L, the directory of that lab.
use_lab() {
	[[ $1 =~ ^[A-Za-z0-9_-]{1,32}$ ]] || die "bad lab name '$1': letters, digits, - and _ only"
	NAME=$1
	L=$CACHE/run/$NAME
}

lab_alive() { [[ -e $L/pid ]] && kill -0 "$(<"$L/pid")" 2>/dev/null; }

need_lab() { lab_alive || die "no lab '$NAME' is up; start one with: lab/run --keep --name $NAME SCENARIO"; }

# in_host CMD...: runs CMD in the host VM. LAB_TTY=-t gives it a terminal.
in_host() { "$L/share/bin/lab-agent" run ${LAB_TTY:+-t} "unix:$L/cmd" "$@"; }

# push: brings /hyv, as host and guests see it, up to what is built and what the tree holds. With DEB the product is that of the packages.
push() {
	local k d
	need_tools rsync=rsync
	mkdir -p "$L/share"/{bin,lab,tests,boot}
	rsync -a --delete "$LAB/" "$L/share/lab/"
	[[ ! -d $TREE/tests ]] || rsync -a --delete "$TREE/tests/" "$L/share/tests/"
	for k in 6.12 7.3; do
		mkdir -p "$OUT/$k" "$L/share/$k"
		rsync -a --delete "$OUT/$k/" "$L/share/$k/"
	done
	cp -p "$TREE"/guest/hyv-{addresses,mtrr} "$L/share/bin/"
	cp -p "$TREE/guest/90-hyv.rules" "$L/share/"
	rsync -a --delete "$TREE/packaging/libvirt" "$L/share/"
	mkdir -p "$OUT/deb"
	rsync -a --delete "$OUT/deb" "$L/share/"
	for d in "$OUT/bin" "$OUT/user"; do
		[[ ! -d $d ]] || find "$d" -type f -executable ! -name '*.so*' ! -path '*/meson-*' -exec cp -p --remove-destination -t "$L/share/bin" {} +
	done
	[[ ! ${DEB-} ]] || push_packages
}

# push_packages: what an operator installs comes from out/deb, the modules as DKMS has built them, and takes the place of what is built. It is
# in /hyv/packages, too, so that a scenario can tell which of the two runs.
push_packages() {
	local deb k m root=$L/share/packages
	compgen -G "$OUT/deb/*.dkms.tar.gz" >/dev/null || die "no packages in out/deb: run packaging/deb first"
	rm -rf "$root"
	for deb in "$OUT"/deb/hyv{d,-guest-dkms}_*.deb; do dpkg-deb -x "$deb" "$root"; done
	for k in 6.12 7.3; do
		mkdir "$root/$k"
		for m in hyv_window virtio_hyv; do
			tar -xOf "$OUT/deb/${m/virtio_/virtio-}-$k".*.dkms.tar.gz --wildcards "*/$m.ko*" | xz -dcf >"$root/$k/$m.ko"
		done
		cp "$root/$k"/*.ko "$L/share/$k/"
	done
	cp --remove-destination "$root"/usr/{sbin/hyvd,bin/hyvctl,libexec/hyv-{addresses,mtrr}} "$L/share/bin/"
	cp "$root/usr/lib/udev/rules.d/90-hyv.rules" "$L/share/"
	cp "$root/usr/share/doc/hyvd/examples/hyv.xml" "$L/share/libvirt/"
}

# acceleration: prints QEMU's options for a host VM that can run KVM itself: hardware's nesting where it works, else emulation.
acceleration() {
	if grep -qE '\b(svm|vmx)\b' /proc/cpuinfo && [[ -w /dev/kvm ]] &&
		grep -qs '[1Y]' /sys/module/kvm_{intel,amd}/parameters/nested &&
		timeout 10 "${QEMU[@]}" -accel kvm -cpu host -nodefaults -display none -monitor stdio <<<quit >/dev/null 2>&1; then
		echo "-accel kvm -cpu host"
	else
		echo "-accel tcg,thread=multi -cpu max,-la57"
	fi
}

# host_qemu ROOTFS: sets QEMU to the command of the image's own QEMU, which runs without being installed here and emulates faster than
# an old release's. With the correction of lab/src/qemu_fix.c.
host_qemu() {
	local root=$1 lib=$1/usr/lib/x86_64-linux-gnu
	QEMU=(env "QEMU_MODULE_DIR=$lib/qemu" "$root/lib64/ld-linux-x86-64.so.2" --library-path "$lib" --preload "$OUT/bin/qemu_fix.so" "$root/usr/bin/qemu-system-x86_64"
		-L "$root/usr/share/qemu" -L "$root/usr/share/seabios")
}

# start_host IMAGE KERNEL MEM CPUS [KERNEL-ARG...]: boots the host VM and waits until it takes commands.
start_host() {
	local image=$1 kernel=$2 mem=$3 cpus=$4 i q k init accel
	shift 4
	host_qemu "${image%+*}/rootfs"
	accel=$(acceleration)
	mkdir -p "$L/share/boot" "$L/results"
	kernel_versions "$image"
	[[ ${KVER[$kernel]-} ]] || die "no kernel $kernel in the image; there are: ${!KVER[*]}"
	for k in "${!KVER[@]}"; do
		init=${image%+*}/initrd-$k-$(cat "$LAB/initramfs" "$OUT/bin/lab-agent" | sha256sum | cut -c1-12)
		[[ -e $init ]] || "$LAB/initramfs" "${image%+*}/rootfs" "${KVER[$k]}" "$init"
		rsync -a "$init" "$L/share/boot/initrd-$k"
		[[ -e ${image%+*}/vmlinux-$k ]] || "$LAB/vmlinux" "$image/vmlinuz-$k" "${image%+*}/vmlinux-$k"
		rsync -a "$image/vmlinuz-$k" "${image%+*}/vmlinux-$k" "$L/share/boot/"
	done
	# shellcheck disable=SC2206,SC2054 # options, meant to be split; the commas are QEMU's
	q=("${QEMU[@]}" -name "hyv-$NAME" $accel -smp "$cpus" -m "$mem" -nodefaults -display none -no-reboot -no-shutdown -qmp "unix:$L/qmp,server=on,wait=off"
		-serial "file:$L/serial.log" -monitor "unix:$L/monitor,server=on,wait=off"
		-kernel "$L/share/boot/vmlinux-$kernel" -initrd "$L/share/boot/initrd-$kernel"
		-append "console=ttyS0 loglevel=5 panic=-1 log_buf_len=16M mitigations=off cryptomgr.notests=1 rcupdate.rcu_cpu_stall_timeout=300 kfence.sample_interval=100 $* hyv.role=host hyv.kernel=$kernel$([[ $accel != *tcg* ]] || echo " tsc=reliable hyv.emulated")"
		-drive "file=$image/root.ext4,if=virtio,format=raw,readonly=on,file.locking=off"
		-fsdev "local,id=hyv,path=$L/share,security_model=none,readonly=on" -device virtio-9p-pci,fsdev=hyv,mount_tag=hyv
		-fsdev "local,id=res,path=$L/results,security_model=none" -device virtio-9p-pci,fsdev=res,mount_tag=results
		-object memory-backend-ram,id=bar,size=4M,share=on -device ivshmem-plain,memdev=bar # a BAR that tests may write
		-device virtio-serial-pci,max_ports=5)
	for i in 0 1 2 3; do
		rm -f "$L/cmd.$i" "$L/cmd.$i.lock" # of a QEMU that has been killed
		q+=(-chardev "socket,id=c$i,path=$L/cmd.$i,server=on,wait=off" -device "virtserialport,chardev=c$i,name=cmd.$i,nr=$((i + 1))")
	done
	: >"$L/serial.log"
	setsid "${q[@]}" </dev/null >"$L/qemu.log" 2>&1 8>&- 9>&- &
	echo $! >"$L/pid"
	for ((i = 0; i < 300; i++)); do
		[[ -S $L/cmd.3 ]] && break
		lab_alive || { cat "$L/qemu.log" >&2; die "QEMU did not start the host VM"; }
		sleep 0.1
	done
	# before what else this machine does: builds, even nice ones, make emulated processors late, and each session has an equal share
	echo -15 2>/dev/null >"/proc/$(<"$L/pid")/autogroup" || renice -n -15 -p "$(<"$L/pid")" >/dev/null || :
	rm -f "$L/witness.log"
	setsid "$LAB/witness" "$L/qmp" "$L/witness.log" </dev/null >/dev/null 2>&1 8>&- 9>&- &
	if [[ $accel == *tcg* ]]; then # no list: its shell would stay, and hold the lab's lock
		setsid "$LAB/turns" </dev/null >"$CACHE/run/turns.log" 2>&1 8>&- 9>&- &
	fi
	timeout 1200 "$L/share/bin/lab-agent" run "unix:$L/cmd" true </dev/null ||
		{ tail -20 "$L/serial.log" >&2; die "the host VM does not answer; its log: $L/serial.log"; }
}

# last_words: what is known of a host VM that has gone away.
last_words() {
	echo "the end of its console:"
	tail -n 40 "$L/serial.log"
	echo "what QEMU said:"
	tail -n 20 "$L/qemu.log"
	if [[ -e $L/witness.log ]]; then
		echo "it reset itself, its processors were in this state:"
		grep -v '^\(FPR\|XMM\|YMM\)' "$L/witness.log"
	fi
	lab_alive || echo "QEMU has ended."
}

# stop_host: ends the host VM and all in it; harmless when there is none.
stop_host() {
	local pid i
	lab_alive || return 0
	pid=$(<"$L/pid")
	kill "$pid" 2>/dev/null || :
	for ((i = 0; i < 50; i++)); do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	kill -KILL "$pid" 2>/dev/null || :
	rm -f "$L/pid" "$L/monitor" "$L/qmp" "$L"/cmd.*
}
