# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves that the packages and the operator's guide are all that an operator needs: on a host and in a guest that systemd runs, packages are
# installed, a VM is configured and started, and RDMA works, by the guide's own commands, which are taken from the installed guide. Errors of
# a configuration are in the journal; devices and addresses come and go; a VM's hyvd starts and ends beside another's, of which it knows nothing,
# and is ended when it makes a system call that it must not; a VM gets its device back after that, and after a reboot has it by itself; what was
# installed can be removed.
#
# The guest's module is not built in an emulated guest, which would take very long, but taken from where 'make deb' had DKMS build it; with
# HYV_LONG it is built there. Modules that no part of this uses are hidden from depmod, which reads them all. There is no mirror in the lab, so what
# the guide installs from Debian is there already.
#
#   rxe0 on eth1, a dummy: host 10.9.0.1, vm1 .11 and for a while .12 (guest 1), vm2 .13 (a hyvd without a guest)
#   rxe1 on eth2, for a while: host 10.9.1.1, vm1 .11
# lab: --guests 0 --timeout 3600 --systemd --packages dkms,linux-headers-6.12,linux-headers-7.3,linux-headers-amd64
. /hyv/tests/e2e/common.bash

# the_guide: from the package, into $RUN/guide
the_guide() { dpkg-deb --fsys-tarfile /hyv/deb/hyvd_*.deb | tar -xO ./usr/share/doc/hyvd/OPERATOR.md.gz | zcat >"$RUN/guide"; }
# guide REGEX: the guide's command that matches
guide() { <"$RUN/guide" sed -n 's/^    //p' | sed -e ':a' -e '/\\$/{N;s/\\\n *//;ba' -e '}' -e 's/  .*//' | grep -E -m1 -e "$1"; }
# guided PLACE REGEX: done, where the packages are
guided() {
	local command
	command=$(guide "$2") || { echo "the guide has no $2"; return 1; }
	echo "$command"
	on "$1" bash -c "cd /hyv/deb && $command" </dev/null
}

# ready PLACE: to have packages installed: with their documents, and without questions
ready() {
	on "$1" bash -ec '
		[[ $(systemctl is-system-running --wait) == running ]] || { systemctl --failed; exit 1; }
		rm -f /etc/dpkg/dpkg.cfg.d/99mmdebstrap
		echo "APT::Get::Assume-Yes \"true\";" >/etc/apt/apt.conf.d/lab
		mkdir -p /run/modules
		cd "/lib/modules/$(uname -r)/kernel"
		cp -a --parents arch crypto lib net virt fs/{autofs,configfs,fuse} drivers/{infiniband/{core,sw,ulp},virtio,vhost,char} \
			drivers/net/*.ko* drivers/scsi/{libiscsi,scsi_}*.ko* /run/modules
		mount --bind /run/modules "$PWD"
		for other in /lib/modules/*; do [[ $other == */$(uname -r) ]] || mount -t tmpfs none "$other"; done
		depmod' </dev/null
}
# all that packages may change
files() {
	find / -xdev \( -path '/usr/src/linux-*' -o -path /usr/lib/python3 -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/log -o -path /var/cache/apt \
		-o -path /tmp -o -path /var/tmp -o -path '/lib/modules/*/modules.*' -o -path '/usr/lib/modules/*/modules.*' \) -prune -o -printf '%p %y %m %U:%G %l\n'
	find /run/hyv /run/systemd/system 2>/dev/null
	getent passwd
	getent group
}

journal() { journalctl -q --no-pager -o cat "$@" >"$RUN/journal" && [[ -s $RUN/journal ]] && cat "$RUN/journal"; }
# shipped PLACE PACKAGE REGEX...: what the package says that it has is there, and these are of it
shipped() {
	local place=$1 package=$2
	shift 2
	on "$place" dpkg -L "$package" </dev/null >"$RUN/shipped" && says_all "$RUN/shipped" "$@" && on "$place" xargs ls -d <"$RUN/shipped" >/dev/null
}
pid_of_vm() { systemctl show -P MainPID "hyvd@$1"; }
as_qemu() { setpriv --reuid nobody --regid kvm --clear-groups "$@"; }

configuration() {
	hyvd --check --config /usr/share/doc/hyvd/examples/vm1.yaml && # as it is
		sed -n '/^    devices:/,/^$/s/^    //p' "$RUN/guide" >/etc/hyv/vm1.yaml && cat /etc/hyv/vm1.yaml && guided host '^hyvd --check'
}
# installed_module PLACE NAME: it is DKMS's that is loaded there
installed_module() {
	local file
	file=$(on "$1" modinfo -n "$2" </dev/null) && [[ $file == */updates/dkms/* ]] && on "$1" cat "/sys/module/$2/notes/.note.gnu.build-id" </dev/null >"$RUN/build-id" &&
		on "$1" xz -dcf "$file" </dev/null >"$RUN/module" && is_part_of "$RUN/build-id" "$RUN/module"
}
installed_programs() {
	equal "$(readlink "/proc/$(pid_of_vm vm1)/exe")" /usr/sbin/hyvd && equal "$(type -P hyvctl)" /usr/bin/hyvctl && dpkg -S /usr/sbin/hyvd /usr/bin/hyvctl
}
sockets() {
	as_qemu test -w /run/hyv/vm1.sock && not as_qemu test -w /run/hyv/vm1.ctl
}
wrong_configuration() {
	printf 'devices:\n- rxe0\n- rxe9\naddresses:\n- 10.9.0.999\nlimits:\n  qps: many\n  tea: 1\n' >/etc/hyv/vm2.yaml
	not systemctl start hyvd@vm2 || return
	systemctl is-failed hyvd@vm2 && journal -u hyvd@vm2 || return
	local regex
	for regex in 'vm2.yaml:3: .*rxe9' 'vm2.yaml:5: .*10.9.0.999' 'vm2.yaml:7: .*many' 'vm2.yaml:8: .*tea'; do says "$RUN/journal" "$regex" || return; done
	equal "$(systemctl show -P ExecMainStatus hyvd@vm2)" 78 && not compgen -G '/run/hyv/vm2.*'
}
second_vm() {
	ip address add 10.9.0.13/24 dev eth1 && sed s/10.9.0.11/10.9.0.13/ /etc/hyv/vm1.yaml >/etc/hyv/vm2.yaml && systemctl start hyvd@vm2 &&
		hyvctl list | grep '^vm2 '
}

# alone VM: its hyvd, all threads, is in the sandbox, a user of its own, and process 1 of its PID namespace
alone() {
	local task
	for task in /proc/"$(pid_of_vm "$1")"/task/*/status; do
		cat "$task"
		[[ $(grep -Ec -e '^NoNewPrivs:\s1$' -e '^Seccomp:\s2$' -e '^Cap(Eff|Prm):\s0000000000000400$' -e '^[UG]id:(\s2130[0-9]{6}){4}$' -e '^Groups:\s*$' \
			-e '^NStgid:\s[0-9]+\s1$' "$task") == 8 ]] || return
	done
}
# as_hyvd VM CMD...: what a process that is in the VM's hyvd's namespaces and cgroup, with its ids, can do, even without the filter of system calls
as_hyvd() {
	local id pid
	pid=$(pid_of_vm "$1")
	id=$(awk '/^Uid:/ {print $2}' "/proc/$pid/status")
	shift
	(
		echo $BASHPID >"/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$pid/cgroup")/cgroup.procs" &&
			exec nsenter --target "$pid" --mount --pid setpriv --reuid "$id" --regid "$id" --clear-groups "$@"
	)
}
strangers() {
	local path
	not equal "$(awk '/^Uid:/' "/proc/$(pid_of_vm vm1)/status")" "$(awk '/^Uid:/' "/proc/$(pid_of_vm vm2)/status")" || return
	as_hyvd vm2 find /proc -maxdepth 1 -name '[0-9]*' -printf '%f\n' >"$RUN/seen" || return
	equal "$(grep -Fxc "$(pid_of_vm vm1)" "$RUN/seen") $(wc -l <"$RUN/seen")" "0 2" || return	# itself and find
	modprobe tun && chmod 666 /dev/net/tun || return	# what its mode would not keep from it
	for path in /etc/shadow /dev/hyv_window /dev/kvm /dev/net/tun /run/hyv/ids /run/hyv/vm1.sock /run/hyv/vm1.ctl /proc/1/mem; do
		[[ -e $path ]] && not as_hyvd vm2 test -r "$path" -o -w "$path" || { echo "$path is for it"; return 1; }
	done
	as_hyvd vm2 test -w /dev/infiniband/uverbs0 && not as_hyvd vm2 touch /run/hyv/vm3.sock
}
# fenced VM: its hyvd has the limits of the unit, and there is no /tmp and no /home of the host's for it, nor anything that it can write
fenced() {
	local code=0 pid
	pid=$(pid_of_vm "$1")
	says_all "/proc/$pid/limits" '^Max locked memory +unlimited +unlimited ' '^Max open files +1048576 +1048576 ' || return
	not equal "$(readlink "/proc/$pid/ns/mnt")" "$(readlink /proc/1/ns/mnt)" && mkdir -m 777 /srv/lab /home/lab /tmp/lab || return
	as_hyvd "$1" test -d /srv/lab && not as_hyvd "$1" touch /srv/lab/x && not as_hyvd "$1" test -e /home/lab &&
		not as_hyvd "$1" test -e /tmp/lab && setpriv --reuid nobody --regid nogroup --clear-groups touch {/srv,/home,/tmp}/lab/x || code=1
	rm -r {/srv,/home,/tmp}/lab
	return $code
}
# not_listed VM: its hyvd's sockets, which may still be there, are nobody's
not_listed() { hyvctl list >"$RUN/list" && not grep "^$1 " "$RUN/list"; }
# taken_over: vm1's hyvd makes a system call that it must not: socket(AF_INET, SOCK_STREAM)
taken_over() {
	inject_syscall "$(pid_of_vm vm1)" 41 2 1 && wait_for 30 systemctl is-failed hyvd@vm1 &&
		equal "$(systemctl show -P ExecMainStatus hyvd@vm1)" "$(kill -l SYS)" && not_listed vm1
}

# the guide's QEMU, as a guest of the lab
vm1() {
	local command
	command=$(guide '^qemu-system-x86_64') || return
	command=${command/-cpu host/-cpu $HYV_CPU} command=${command//4G/1G} command=${command%...}
	echo "$command"
	busybox truncate -s 512M "$RUN/written" && busybox mke2fs -F "$RUN/written" >/dev/null || return
	# shellcheck disable=SC2046,SC2086 # a command, as a shell splits it
	setsid $command -machine hpet=off -nodefaults -display none -serial "file:$RUN/guest1.log" $(guest_options 1) \
		-kernel "/hyv/boot/vmlinuz-$HYV_GUEST_KERNEL" -initrd "/hyv/boot/initrd-$HYV_GUEST_KERNEL" \
		-append "$(guest_cmdline 1 "$HYV_GUEST_KERNEL")" -drive "file=$RUN/written,if=virtio,format=raw" </dev/null >"$RUN/qemu-1.log" 2>&1 &
	echo $! >"$RUN/qemu-1.pid"
}
guest_packages() {
	# shellcheck disable=SC2016 # the guest's
	[[ $HYV_LONG ]] || guest 1 touch /etc/dkms/no-autoinstall </dev/null || return
	guided 1 '^apt install linux-headers' && guided 1 '^apt install ./hyv-guest' || return
	# shellcheck disable=SC2016 # the guest's
	[[ $HYV_LONG ]] || guest 1 bash -ec 'K=$(uname -r); dkms ldtarball --archive "/hyv/deb/virtio-hyv-$K.dkms.tar.gz"; dkms install virtio-hyv/0.1 -k "$K"' </dev/null
}
reboots() {
	local old
	old=$(boot_id 1) && save_dmesg 1
	timeout 20 lab-agent run vsock:11 systemctl reboot </dev/null
	wait_for 300 rebooted 1 "$old" && resets 1 >"$RUN/resets-1"
}
has_device() { guest 1 rdma link show hyv0/1 && guest 1 ip -brief address show dev hyv0 | grep '10.9.0.11/24' && guest 1 test -c /dev/infiniband/rdma_cm; }
# connects WHEN: both ways, as the guide says
connects() {
	local server client
	read -ra server < <(guide '^rping -s')
	read -ra client < <(guide '^rping -c')
	check "$1: the host connects to the guest" connect 1 host "${server[@]}" -- "${client[@]}"
	check "$1: the guest connects to the host" connect host 1 "${server[@]}" -- "${client[@]/10.9.0.11/10.9.0.1}"
}

check "systemd runs on the host, and is content" ready host || exit 1
files >"$RUN/files"
check "the host's interface" eval 'ip link add eth1 type dummy && ip address add 10.9.0.1/24 dev eth1 && ip link set eth1 up'

check "the packages have a guide" the_guide || exit 1	# 'make deb' comes first
check "the kernel's headers are installed" guided host '^apt install linux-headers'
check "the host's packages are installed" guided host '^apt install ./hyvd'
check "all that they have is there" eval 'shipped host hyvd "^/usr/share/man/man8/hyvd.8.gz$" "^/usr/share/man/man8/hyvctl.8.gz$" "^/usr/lib/tmpfiles.d/hyvd.conf$" \
	"^/usr/lib/udev/rules.d/60-hyvd.rules$" "^/etc/apparmor.d/abstractions/libvirt-qemu.d/hyv$" "^/usr/share/doc/hyvd/THREATS.md.gz$" \
	"^/usr/share/doc/hyvd/examples/hyv.xml$" && shipped host hyv-window-dkms "^/usr/lib/modules-load.d/hyv.conf$"'
check "the sockets' directory, too" equal "$(stat -c %a:%U:%G:%F /run/hyv)" 755:root:root:directory
check "DKMS has built the module" guided host '^modprobe hyv_window'
check "the next boot loads it, too" eval 'rmmod hyv_window && systemctl restart systemd-modules-load && wait_for 20 test -c /dev/hyv_window'
check "its device is root's alone" equal "$(stat -c %a:%U:%F /dev/hyv_window)" "600:root:character special file"
check "units can wait for it" wait_for 20 systemctl is-active dev-hyv_window.device	# by the package's udev rule
check "the RDMA device is made" guided host '^rdma link add' || exit 1
check "its modules are there" wait_for 60 systemctl is-active rdma-hw.target
baseline_save
check "the VM's address is on the host's device" guided host '^ip address add'
check "the guide's configuration has no errors, and the example none" configuration || exit 1
check "hyvd starts" guided host '^systemctl start hyvd@vm1' || { journal -u hyvd@vm1; exit 1; }
check "its sockets are for QEMU's group, and for root alone" sockets
check "what runs on the host is what was installed" eval 'installed_programs && installed_module host hyv_window'
check "the guide's QEMU starts" vm1 || exit 1

check "a wrong configuration is refused, all its errors are in the journal" wrong_configuration
check "one that is right starts another hyvd" second_vm
check "each hyvd is in the sandbox, by itself" eval 'alone vm1 && alone vm2'
check "and has nothing of the other's, nor of the host's" strangers
check "and in the unit's fences" eval 'fenced vm1 && fenced vm2'
check "hyvctl knows its process" eval 'hyvctl list | grep "^vm1 *$(pid_of_vm vm1) "'
check "the journal tells VM and device" eval 'journal HYV_VM=vm1 && journal HYV_VM=vm1 HYV_DEVICE=rxe0 && not journal HYV_VM=vm9'
VM1=$(pid_of_vm vm1)
check "new packages end no hyvd" eval 'apt install --reinstall /hyv/deb/hyvd_*.deb && equal "$(pid_of_vm vm1)" "$VM1"'

check "the guest is up" vm_wait 1 600 || exit 1
check "systemd runs in the guest, and is content" ready 1 || exit 1
check "the guest's package is installed" guest_packages
check "all that it has is there" shipped 1 hyv-guest-dkms '^/usr/share/man/man4/virtio_hyv.4.gz$' '^/usr/lib/modprobe.d/hyv.conf$' '^/usr/lib/udev/rules.d/90-hyv.rules$'
check "the guest reboots" reboots || exit 1
check "it has its device and its address by itself" wait_for 300 has_device
check "it is a device to programs" eval 'guest 1 ibv_devinfo | grep PORT_ACTIVE'
check "its module is what was installed" installed_module 1 virtio_hyv
connects "at first"
check "hyvctl has the guest" eval 'hyvctl list | grep "^vm1 .*connected" && hyvctl show vm1 | grep rxe0'

# completes REGEX WORD...: bash does, when hyvctl's last word is begun so
completes() {
	local wanted=$1
	shift
	# shellcheck disable=SC2016
	bash -c '. /usr/share/bash-completion/completions/hyvctl; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _hyvctl; echo "${COMPREPLY[*]}"' bash hyvctl "$@" >"$RUN/out" 2>/dev/null
	says "$RUN/out" "^$wanted\$"
}
second_device() {
	ip link add eth2 type dummy && ip address add 10.9.1.1/24 dev eth2 && ip address add 10.9.1.11/24 dev eth2 && ip link set eth2 up &&
		rdma link add rxe1 type rxe netdev eth2
}
guest_has() { guest 1 ip -brief address show dev "$1" </dev/null | grep -F " $2/24"; }	# NETDEV IP
guest_has_not() { not guest_has "$@"; }
in_numbers() { hyvctl stats vm1 --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["ops"]["create_qp"]["count"])' | grep -v '^0$'; }
in_metrics() {
	local file code=0
	file=$(guide '^hyvctl metrics --output') && file=${file##* } && mkdir -p "${file%/*}" && guided host '^hyvctl metrics --output' &&
		says "$file" '^hyv_guest_connected\{vm="vm1"\} 1$' && says "$file" '^hyv_guest_connected\{vm="vm2"\} 0$' || code=$?
	rm -r /var/lib/prometheus
	return $code
}
limited() { guided host '^hyvctl limit vm1 ' && hyvctl limit vm1 >"$RUN/out" && says "$RUN/out" '^qps +[0-9]+ +100 '; }
check "bash completes hyvctl's commands, its VMs, devices and limits" \
	eval 'completes detach det && completes "vm1 vm2" show "" && completes rxe0 gid vm1 add r && completes "qps=" limit vm1 q'
check "limits are changed" limited
check "one more device of the host" second_device
check "the VM is given it" guided host '^hyvctl attach vm1 rxe1'
check "the guest has it and its address by itself" wait_for 60 guest_has hyv1 10.9.1.11
read -ra CLIENT < <(guide '^rping -c')
check "where the host connects to it" connect 1 host rping -s -C 10 -V -- "${CLIENT[@]/10.9.0.11/10.9.1.11}"
check "traffic on it" guest_traffic 1 hyv1
check "it is not taken from who uses it" eval 'not guided host "^hyvctl detach vm1 rxe1$" && goes_on "$RUN/traffic-1"'
check "but by force" guided host '^hyvctl detach vm1 rxe1 --force'
check "the traffic's end is orderly" guest_traffic_ends 1
check "it can go" eval 'rdma link delete rxe1 && ip link delete eth2'
check "the VM is given one more address" eval 'guided host "^ip address add 10.9.0.12" && guided host "^hyvctl gid vm1 add"'
check "the guest has it by itself" wait_for 30 guest_has hyv0 10.9.0.12
check "where the host connects to it" connect 1 host rping -s -C 10 -V -- "${CLIENT[@]/10.9.0.11/10.9.0.12}"
check "it is taken again" eval 'guided host "^hyvctl gid vm1 del" && guided host "^ip address del 10.9.0.12"'
check "from the guest, too" wait_for 30 guest_has_not hyv0 10.9.0.12
check "all this is in numbers" in_numbers
check "and for Prometheus" in_metrics

check "traffic in the guest" guest_traffic 1
for _ in 1 2 3; do check "hyvd of another VM is started anew" systemctl restart hyvd@vm2; done
check "the guest's hyvd has not been touched" equal "$(pid_of_vm vm1)" "$VM1"
check "and its traffic goes on" goes_on "$RUN/traffic-1"
VM2=$(pid_of_vm vm2)
expect_log 'audit: type=1326 .*comm="hyvd".*sig=31' "hyvd is made to break the sandbox's rules"
check "a system call that no verb needs ends hyvd" taken_over
check "the traffic's end is orderly" guest_traffic_ends 1
check "a new hyvd is started" guided host '^systemctl restart hyvd@vm1'
check "the device is plugged again" guided host '^hyvctl recover vm1 --qmp'
check "the guest has it by itself" wait_for 300 has_device
connects "recovered"
check "the other VM's hyvd has not been touched" equal "$(pid_of_vm vm2)" "$VM2"

save_dmesg 1
timeout 20 lab-agent run vsock:11 systemctl poweroff </dev/null
check "the guest shuts down" wait_for 120 gone "$(qemu_pid 1)" && rm -f "$RUN/qemu-1.pid"
check "its hyvd ends in order" wait_for 20 eval '[[ $(systemctl show -P ActiveState hyvd@vm1) == inactive ]] && equal "$(systemctl show -P Result hyvd@vm1)" success'
check "and hyvctl knows it no more" not_listed vm1
# shellcheck disable=SC2034 # for eval
STOPPED=$(date '+%F %T')
check "no hyvd is left" guided host '^systemctl stop .hyvd@'
check "the other VM's ends in order, too" eval 'journalctl --sync && journal -u hyvd@vm2 --since "$STOPPED" && says "$RUN/journal" "Deactivated successfully" && not grep "with signal SIGKILL" "$RUN/journal"'
check "nothing is left on the host" baseline_check 20
check "the packages are removed" guided host '^apt purge'
check "so is the operator's own" eval 'rm -r /etc/hyv && ip link delete eth1'
files >"$RUN/files.after"
check "nothing is left of them" diff "$RUN/files" "$RUN/files.after"
check "the modules neither" eval 'not modinfo hyv_window && not test -e /sys/module/hyv_window'
content() {
	[[ $(systemctl is-system-running) != running ]] || return 0
	systemctl list-units --failed --plain --no-legend | tee "$RUN/failed"
	journalctl -q --no-pager -o short-monotonic -u "$(sed 's/ .*//;q' "$RUN/failed")" | tail -20
	return 1
}
check "systemd has nothing to complain of" content
