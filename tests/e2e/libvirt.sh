# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves that a VM of libvirt's has RDMA: the domain of packaging/libvirt/hyv.xml, with a disk and a kernel of the lab's instead of its own,
# is defined and started by virsh; it connects by address, with the host and the other way; after hyvd's death its device is plugged again by
# virsh, with the commands that 'hyvctl recover --dry-run' prints, as the operator's guide says. And that a QEMU in the AppArmor profile that
# libvirt makes for a VM may connect to hyvd's sockets for QEMU, since the package says so, and, where the kernel's AppArmor looks, to no others.
# The lab's host has no systemd and a read-only root, so libvirtd is started by hand, and told to confine nothing.
# lab: --guests 0 --timeout 1800 --packages libvirt-daemon,libvirt-daemon-driver-qemu,libvirt-clients,apparmor
. /hyv/tests/e2e/common.bash

export LIBVIRT_DEFAULT_URI=qemu:///system

# writable DIR: with what is in it
writable() {
	mkdir -p "$RUN/writable$1" && cp -a "$1/." "$RUN/writable$1/" && mount --bind "$RUN/writable$1" "$1"
}

libvirtd_up() {
	local d
	for d in /etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt; do
		mountpoint -q $d || writable $d || return
	done
	cat >/etc/libvirt/qemu.conf <<-'CONF'
		user = "root"
		group = "root"
		dynamic_ownership = 0
		remember_owner = 0
		security_driver = "none"
		namespaces = [ ]
		cgroup_controllers = [ ]
		stdio_handler = "file"
	CONF
	printf 'auth_unix_rw = "none"\nauth_unix_ro = "none"\n' >/etc/libvirt/libvirtd.conf
	setsid libvirtd </dev/null >"$RUN/libvirtd.txt" 2>&1 &
	echo $! >"$RUN/libvirtd.pid"
	wait_for 120 virsh uri || { cat "$RUN/libvirtd.txt"; return 1; }
}

# domain: the packaged one, as a guest of the lab
domain() {
	guest_options 1 >"$RUN/options"
	python3 - /hyv/libvirt/hyv.xml "$RUN" "/hyv/boot/vmlinuz-$HYV_GUEST_KERNEL" "/hyv/boot/initrd-$HYV_GUEST_KERNEL" \
		"$(guest_cmdline 1 "$HYV_GUEST_KERNEL")" "$HYV_CPU" <<-'PYTHON'
		import sys
		import xml.etree.ElementTree as tree
		path, run, kernel, initrd, cmdline, cpu = sys.argv[1:]
		QEMU = "{http://libvirt.org/schemas/domain/qemu/1.0}"
		tree.register_namespace("qemu", QEMU[1:-1])
		domain = tree.parse(path).getroot()
		domain.find("memory").set("unit", "MiB")
		domain.find("memory").text = "1024"
		domain.find("vcpu").text = "1"
		for name, text in ("kernel", kernel), ("initrd", initrd), ("cmdline", cmdline):
		    tree.SubElement(domain.find("os"), name).text = text
		for feature in cpu.split(",")[1:]:
		    if feature.startswith("-"):
		        tree.SubElement(domain.find("cpu"), "feature", policy="disable", name=feature[1:])
		    else: # host-phys-bits-limit=N
		        tree.SubElement(domain.find("cpu"), "maxphysaddr", mode="passthrough", limit=feature.split("=")[1])
		devices = domain.find("devices")
		for name in "disk", "interface", "console":
		    devices.remove(devices.find(name))
		tree.SubElement(devices, "controller", type="usb", model="none")
		tree.SubElement(devices, "memballoon", model="none")
		serial = tree.SubElement(devices, "serial", type="file")
		tree.SubElement(serial, "source", path=run + "/guest1.log")
		args = domain.find(QEMU + "commandline")
		for arg in args:
		    arg.set("value", arg.get("value").replace("/run/hyv/vm1.sock", run + "/1.sock"))
		for line in open(run + "/options"):
		    tree.SubElement(args, QEMU + "arg", value=line.rstrip("\n"))
		tree.ElementTree(domain).write(run + "/vm1.xml")
	PYTHON
}

start() {
	virsh define --validate "$RUN/vm1.xml" && virsh start vm1 && cp /run/libvirt/qemu/vm1.pid "$RUN/qemu-1.pid" && vm_wait 1 600
}
daemon() { hyvd_start 1 rxe0 -- --address "$(rdma_ip 1)" --control "$RUN/1.ctl"; }
works() {
	check "$1: the device is there" guest_hyv_up 1
	check "$1: the host connects to the guest" connect 1 host rping -s -a "$(rdma_ip 1)" -C 5 -V -- rping -c -a "$(rdma_ip 1)" -C 5 -V
	check "$1: the guest connects to the host" connect host 1 rping -s -a "$(rdma_ip host)" -C 5 -V -- rping -c -a "$(rdma_ip host)" -C 5 -V
	check "$1: hyvd has the guest" eval 'hyvctl --dir "$RUN" list | grep -E "^1 .* connected"'
}

# recovered_by_virsh: as the operator's guide says. While the guest has not let go of the device, chardev-remove fails.
recovered_by_virsh() {
	local command
	hyvctl --dir "$RUN" recover 1 --dry-run >"$RUN/commands" || return
	while read -r command; do
		echo "$command"
		wait_for 120 eval 'virsh qemu-monitor-command vm1 "$command" </dev/null | grep "\"return\""' || return
	done <"$RUN/commands"
}
device_gone() { not guest 1 test -e /sys/class/infiniband/hyv0; }

# profile: libvirt's for a VM, by the name of vm1, with the package's rule in it, of which a kernel that does not look tells nothing
profile() {
	mountpoint -q /sys/kernel/security || mount -t securityfs securityfs /sys/kernel/security || return
	mkdir -p "$RUN/apparmor.d" && cp -a /etc/apparmor.d/. "$RUN/apparmor.d" &&
		dpkg-deb --fsys-tarfile /hyv/deb/hyvd_*.deb | tar -x -C "$RUN/apparmor.d" --strip-components=3 ./etc/apparmor.d &&
		sed 's/LIBVIRT_TEMPLATE/vm1/' /etc/apparmor.d/libvirt/TEMPLATE.qemu >"$RUN/profile" &&
		apparmor_parser --base "$RUN/apparmor.d" --preprocess "$RUN/profile" >"$RUN/whole-profile" && says "$RUN/whole-profile" '/run/hyv/\*\.sock rw,' &&
		apparmor_parser --base "$RUN/apparmor.d" --skip-cache --replace "$RUN/profile"
}
# qemu_connects SOCKET [CMD...]: QEMU, run by CMD, connects to it
qemu_connects() {
	local path=$1
	shift
	echo quit | "$@" qemu-system-x86_64 -machine none -nodefaults -display none -monitor stdio -chardev "socket,id=c,path=$path"
}
# with_sockets CMD...: CMD, while somebody listens on /run/hyv/x.sock and x.ctl
with_sockets() {
	local name code=0
	mkdir -p /run/hyv
	for name in x.sock x.ctl; do socat "UNIX-LISTEN:/run/hyv/$name,fork" /dev/null & echo $! >"$RUN/$name.pid"; done
	wait_for 20 eval '[[ -S /run/hyv/x.sock && -S /run/hyv/x.ctl ]]' && "$@" || code=$?
	for name in x.sock x.ctl; do kill_of $name; rm -f /run/hyv/$name; done
	return $code
}
# refused FILE CMD...: CMD must not get at FILE
refused() {
	local file=$1
	shift
	not "$@" >"$RUN/refused" 2>&1 && says "$RUN/refused" "$file.*Permission denied"
}
confined() { qemu_connects /run/hyv/x.sock aa-exec -p vm1 -- && refused shadow aa-exec -p vm1 -- cat /etc/shadow; }
kept_off() { qemu_connects /run/hyv/x.ctl && refused x.ctl qemu_connects /run/hyv/x.ctl aa-exec -p vm1 --; }

if [[ $(</sys/module/apparmor/parameters/enabled) == Y ]]; then
	check "AppArmor takes libvirt's profile with the package's rule" profile	# 'make deb' comes first
	check "in it QEMU may connect to hyvd" with_sockets confined
	if compgen -G '/sys/kernel/security/apparmor/features/network*/af_unix' >/dev/null; then
		check "and not to what is for hyvctl" with_sockets kept_off
	else
		skip "QEMU may not connect to what is for hyvctl" "this kernel's AppArmor does not look at who connects to a path"
	fi
else
	skip "QEMU in libvirt's AppArmor profile" "this kernel has no AppArmor"
fi
check "libvirt's QEMU is in the group that the unit gives the sockets to" eval 'id -nG libvirt-qemu | grep -w kvm'
check "the host's device" native_device || exit 1
check "the domain is valid" virt-xml-validate /hyv/libvirt/hyv.xml domain
check "libvirtd is up" libvirtd_up || exit 1
check "the VM's address is on the host's device" ip address replace "$(rdma_ip 1)/24" dev d-rxe0
baseline_save
check "hyvd starts" daemon || exit 1
check "the domain is made a guest of the lab" domain || exit 1
check "libvirt starts it" start || { tail -n 20 /var/log/libvirt/qemu/vm1.log; exit 1; }
works "at first"

check "hyvd is killed" hyvd_kill 1
check "the guest has noticed" wait_for 60 device_gone
check "a new hyvd starts" daemon
check "the device is plugged again by virsh" recovered_by_virsh
works "recovered"

save_dmesg 1
check "libvirt ends the VM" virsh destroy vm1
rm -f "$RUN/qemu-1.pid"
check "hyvd ends with it" wait_for 20 gone "$(hyvd_pid 1)"
check "nothing is left on the host" baseline_check 20
kill "$(pid_of libvirtd)"
check "libvirtd ends" wait_for 20 gone "$(pid_of libvirtd)"
rm -f "$RUN/libvirtd.pid"
