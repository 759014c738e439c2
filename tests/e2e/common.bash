# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What several scenarios share; they source it. A place is "host" or a guest's number.

export LONG=${HYV_LONG-}
DEVICE_OF_HOST=${DEVICE_OF_HOST:-rxe0}	# a scenario for another device sets it before it sources this
PORT=${PORT-18600}	# of the next TCP connection that a pair of programs makes to exchange addresses

# on PLACE CMD...: runs CMD there.
on() {
	local place=$1
	shift
	if [[ $place == host ]]; then "$@"; else guest "$place" "$@"; fi
}

ip_of() { if [[ $1 == host ]]; then guest_ip 254; else guest_ip "$1"; fi; }
device_of() { if [[ $1 == host ]]; then echo "$DEVICE_OF_HOST"; else echo hyv0; fi; }

# gid_of PLACE: index of the device's first GID that is an IPv4 address.
declare -A GID_OF=()
gid_of() {
	on "$1" cat /sys/class/infiniband/"$(device_of "$1")"/ports/1/gids/{0,1,2,3} </dev/null 2>/dev/null |
		awk '/^0000:0000:0000:0000:0000:ffff:/ {print NR - 1; exit}'
}

know_gids() { local p; for p; do GID_OF[$p]=$(gid_of "$p"); done; }	# once, for checks to come

listening() { on "$1" ss -Hltn "sport = :$2" </dev/null | grep -q .; }

# pair SERVER CLIENT PROGRAM ARG...: PROGRAM, of ibverbs-utils or perftest, on two places that talk to each other. Succeeds when both do.
pair() {
	local server=$1 client=$2 pid code=0 place gid=-g
	shift 2
	[[ $1 != ib_* ]] || gid=-x
	PORT=$((PORT + 1))
	for place in "$server" "$client"; do
		[[ ${GID_OF[$place]-} ]] || GID_OF[$place]=$(gid_of "$place")
	done
	on "$server" timeout 120 "$@" -p $PORT -d "$(device_of "$server")" $gid "${GID_OF[$server]}" </dev/null >"$RUN/server.out" 2>&1 &
	pid=$!
	wait_for 30 listening "$server" $PORT &&
		on "$client" timeout 120 "$@" -p $PORT -d "$(device_of "$client")" $gid "${GID_OF[$client]}" "$(ip_of "$server")" </dev/null || code=$?
	wait $pid || code=$?
	! grep '^invalid data' "$RUN/server.out" || code=1	# a pingpong with -c says so, and ends with 0
	((code == 0)) || { echo "the server's output:"; cat "$RUN/server.out"; }
	return $code
}

# native_device: the host's RDMA device, for scenarios that start their guests themselves.
native_device() { load_window && { [[ -d /sys/class/infiniband/$DEVICE_OF_HOST ]] || "${DEVICE_OF_HOST%%[0-9]*}_up" "$DEVICE_OF_HOST"; }; }

# hyv_guest N [OPTION...]: hyvd, which hyvctl can ask, and guest N with the options of vm_start, and its device.
hyv_guest() {
	hyvd_start "$1" "$DEVICE_OF_HOST" -- --control "$RUN/$1.ctl" && vm_start "$@" && vm_wait "$1" && guest_hyv_up "$1"
}

# the first bytes of addresses on the RDMA netdev, as soft_up and siw_up in lab/lib.sh give the host's
NET=10.9.0 NET6=fd09:
[[ $DEVICE_OF_HOST != siw* ]] || NET=10.9.1 NET6=fd09:1:

# rdma_ip PLACE: its address on the RDMA netdev.
rdma_ip() { if [[ $1 == host ]]; then echo $NET.1; else echo "$NET.1$1"; fi; }

# rdma_ip6 PLACE: its IPv6 address there.
rdma_ip6() { if [[ $1 == host ]]; then echo $NET6:1; else echo "$NET6:1$1"; fi; }

# address_guests N...: as hyv_guest, with addresses of their own, so that they can make connections; UD=on: they may send datagrams.
# address_guest_start N [OPTION...] does not wait.
address_guest_start() {
	local dev=d-$DEVICE_OF_HOST
	ip address replace "$(rdma_ip "$1")/24" dev "$dev" && ip address replace "$(rdma_ip6 "$1")/64" dev "$dev" nodad &&
		hyvd_start "$1" "$DEVICE_OF_HOST" -- --address "$(rdma_ip "$1")" --address "$(rdma_ip6 "$1")" ${UD:+--ud="$UD"} && vm_start "$@"
}
address_guests() {
	local n
	for n; do address_guest_start "$n" || return; done
	for n; do vm_wait "$n" && guest_hyv_up "$n" || return; done
}

# listens PLACE PROGRAM: whether PROGRAM is listening there by rdma_cm. A guest's kernel shows a listener before the host listens, so there
# it is the host's that counts, which is bound to the guest's address. Over siw it is a TCP one, which comes after that state.
listens() {
	local what="comm $2 "
	[[ $1 == host ]] || what="src-addr ($(rdma_ip "$1")|$(rdma_ip6 "$1")):"
	rdma resource show cm_id | grep -Eq "state LISTEN .*$what" &&
		{ [[ $1 == host || $NET != 10.9.1 ]] || ss -Hltn "src $(rdma_ip "$1") or src [$(rdma_ip6 "$1")]" | grep -q .; }
}

# connect SERVER CLIENT SERVER-COMMAND -- CLIENT-COMMAND: programs that connect by address. Succeeds when both do; CONNECT_SECONDS: what they may take
connect() {
	local server=$1 client=$2 pid code=0 cmd=()
	shift 2
	while [[ $1 != -- ]]; do cmd+=("$1"); shift; done
	shift
	on "$server" timeout "${CONNECT_SECONDS:-100}" "${cmd[@]}" </dev/null >"$RUN/server.out" 2>&1 &
	pid=$!
	wait_for 30 listens "$server" "${cmd[0]}" && on "$client" timeout "${CONNECT_SECONDS:-100}" "$@" </dev/null || code=$?
	wait $pid || code=$?
	((code == 0)) || { echo "the server's output:"; cat "$RUN/server.out"; }
	return $code
}

# guest_traffic N [DEVICE [ADDRESS]]: verbs_traffic in guest N, in the background, until data has passed; over a connection with ADDRESS, the
# device's own, which siw needs. It ends with the device.
guest_traffic() {
	rm -f "$RUN/traffic-$1.code" "$RUN/traffic-$1"
	{
		guest "$1" env ${2:+HYV_TEST_DEVICE="$2"} verbs_traffic ${3:+"$3"}
		echo $? >"$RUN/traffic-$1.code"
	} </dev/null >"$RUN/traffic-$1" 2>&1 &
	wait_for 60 grep -q '^running' "$RUN/traffic-$1"
}
# goes_on FILE: verbs_traffic, which writes there, still has data pass
goes_on() { wait_for 60 more_lines "$1" '^running' "$(grep -c '^running' "$1")"; }
more_lines() { (($(grep -c -e "$2" "$1") > $3)); }	# FILE REGEX N: than N lines match
# guest_traffic_ends N: it was told that the device is gone, got errors and no hang
guest_traffic_ends() {
	wait_for 60 test -s "$RUN/traffic-$1.code" && [[ $(<"$RUN/traffic-$1.code") == 0 ]] || { cat "$RUN/traffic-$1"; return 1; }
}

# mapped: how guest 1's kernel has mapped what lies in the window's BAR, its device's largest
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
# cached: checks that guest 1's applications have their queues write-back
cached() {
	local hold holding code=0
	rm -f "$RUN/hold"
	mkfifo "$RUN/hold"
	exec {hold}<>"$RUN/hold"
	guest 1 verbs_objects hold <&"$hold" >"$RUN/held" 2>&1 &
	holding=$!
	check "an application has queues mapped" wait_for 60 grep -q holding "$RUN/held"
	check "the guest's kernel has mapped them write-back" mapped
	mapped | sed 's/^/# /'
	echo >&"$hold"
	wait $holding || code=$?
	exec {hold}>&-
	check "the application ends" equal $code 0
}

# has PLACE: objects of the host's devices; and what the daemon of a guest counts, where it has a control socket: address handles and memory
# windows too, which the host's kernel does not list. has_again PLACE: the same as in $RUN/had
has() {
	rdma resource show | sed 's/^[0-9]*: //'
	[[ $1 == host || ! -S $RUN/$1.ctl ]] || hyvctl --dir "$RUN" metrics | grep "^hyv_used{vm=\"$1\""
}
has_again() { diff -u "$RUN/had" <(has "$1"); }
# bad_calls PLACE FILE [CALL...]: verbs_errors there, whose lines go to FILE. Fails, too, when calls leave something behind, which is looked at
# while the program lives: the kernel takes away what it had when it ends.
bad_calls() {
	local place=$1 file=$2 calls pid code=0
	shift 2
	rm -f "$RUN/calls" "$RUN/calls.in"	# "open" of an earlier run is none of this
	mkfifo "$RUN/calls.in"
	exec {calls}<>"$RUN/calls.in"
	on "$place" env HYV_TEST_DEVICE="$(device_of "$place")" verbs_errors --hold "$@" <&"$calls" >"$file" 2>"$RUN/calls" &
	pid=$!
	if wait_for 60 said_or_gone open "$RUN/calls" $pid && has "$place" >"$RUN/had"; then
		echo >&"$calls"
		wait_for 300 said_or_gone made "$RUN/calls" $pid && wait_for 10 has_again "$place" || code=1
	else
		code=1
	fi
	printf '\n\n' >&"$calls"
	exec {calls}>&-
	wait $pid || code=$?
	((code == 0)) || cat "$RUN/calls"
	return $code
}
said_or_gone() { grep -qsx "$1" "$2" || gone "$3"; }	# LINE FILE PID

# memory N: KiB of guest N's daemon's own, without the guest's. not_grown N BEFORE: it is what it was, but for what malloc may keep
memory() { awk '/^Anonymous:/ {print $2}' "/proc/$(hyvd_pid "$1")/smaps_rollup"; }
not_grown() {
	local now
	now=$(memory "$1")
	echo "# hyvd's own memory: $2 KiB before, $now KiB after"
	((now <= $2 + 512)) || { echo "it grew from $2 to $now KiB"; return 1; }
}

# udev_up N: starts udev in guest N, for the rules of HyV's package alone
udev_up() {
	guest "$1" bash -c 'mkdir -p /run/rules && sed "s|/usr/libexec|/hyv/bin|" /hyv/90-hyv.rules >/run/rules/90-hyv.rules &&
		mount --bind /run/rules /usr/lib/udev/rules.d && /usr/lib/systemd/systemd-udevd --daemon' </dev/null >/dev/null
}

# ctl ARG...: hyvctl, which finds daemon N when that was started with --control "$RUN/N.ctl"
ctl() { hyvctl --dir "$RUN" "$@"; }
# limit_column N LIMIT NUMBER: of the table of guest N's limits; limit_used, limit_refused N LIMIT: how much, how often
limit_column() { ctl limit "$1" | awk -v l="$2" -v c="$3" '$1 == l {print $c}'; }
limit_used() { limit_column "$1" "$2" 2; }
limit_refused() { limit_column "$1" "$2" 4; }
# makes N KIND MOST REGEX [FAILURES]: guest N makes objects until REGEX tells the end
makes() { guest "$1" verbs_limits "$2" "$3" ${5-} </dev/null >"$RUN/makes" && says "$RUN/makes" "^$2: $4"; }

# sandboxed N: the daemon is in the sandbox, all threads
sandboxed() {
	local task
	for task in /proc/"$(hyvd_pid "$1")"/task/*/status; do
		says_all "$task" '^NoNewPrivs:.*1$' '^Seccomp:.*2$' '^CapEff:.*0000000000000400$' '^CapPrm:.*0000000000000400$' '^Groups:\s*$' \
			'^Uid:(\s2130[0-9]{6}){4}$' '^Gid:(\s2130[0-9]{6}){4}$' || return
	done
}

not() { ! "$@"; }
equal() { [[ $1 == "$2" ]] || { echo "got '$1', wanted '$2'"; return 1; }; }
says() { grep -E -e "$2" "$1" || { cat "$1"; return 1; }; }	# says FILE REGEX
# says_all FILE REGEX...: the file has a line for each
says_all() {
	local file=$1 regex
	shift
	for regex; do says "$file" "$regex" || { echo "no '$regex'"; return 1; }; done
}
