# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves that GIDs follow the host's netdevs while the VM runs, in the guest's table, its netdev and its applications as natively: on a device
# whose GIDs the guest mirrors, and on one on which it has addresses of its own; that an operator gives and takes those; that what is gone
# cannot be used; that every operation which a guest can ask for is done in the sandbox; and that a death in the middle of it leaves nothing.
#
#   rxe0 on d-rxe0: host 10.9.0.1, guest 1 .11, as hyv0, which has a netdev
#   rxe1 on d-rxe1: host 10.9.2.1, as hyv1, which has all of the host's GIDs
#   siw0 on d-siw0: host 10.9.1.1, guest 1 .11, as hyv2, whose netdev is hyv1; its GIDs are no addresses
# lab: --guests 0 --timeout 1200
. /hyv/tests/e2e/common.bash

# refused REGEX ARG...: hyvctl says why not, and ends as it does then
refused() {
	local why=$1 code=0
	shift
	ctl "$@" >"$RUN/out" 2>&1 </dev/null || code=$?
	equal $code 1 && says "$RUN/out" "$why"
}
# fails REGEX PLACE CMD...: CMD says so there, and fails
fails() {
	local why=$1 place=$2 code=0
	shift 2
	on "$place" timeout 60 "$@" </dev/null >"$RUN/out" 2>&1 || code=$?
	((code != 0 && code != 124)) && says "$RUN/out" "$why"
}

# ---- GIDs ----

gids() { on "$1" bash -c "cat /sys/class/infiniband/$2/ports/1/gids/{0..9}" </dev/null; }
gid_text() { printf '0000:0000:0000:0000:0000:ffff:%02x%02x:%02x%02x' ${1//./ }; }
# index PLACE DEVICE IP: of its GID
index() { gids "$1" "$2" | awk -v g="$(gid_text "$3")" '$1 == g {print NR - 1; n++} END {exit !n}'; }
has_gid() { index "$@" >/dev/null; }
same_tables() { equal "$(gids 1 hyv1)" "$(gids host rxe1)"; }
# use PLACE DEVICE INDEX [hold|uc]: what becomes of a QP and an address handle that come from there
use() { on "$1" env HYV_TEST_DEVICE="$2" timeout 100 gid_use "$3" ${4-} </dev/null 2>&1; }
same_use() { equal "$(use 1 hyv1 "$1")" "$(use host rxe1 "$1")"; }

# ---- who is told ----

declare -A SEEN=([rxe0]=0 [rxe1]=0 [hyv0]=0 [hyv1]=0)
WATCHERS=()
watch() { # PLACE DEVICE
	if [[ $1 == host ]]; then
		ibv_asyncwatch -d "$2" </dev/null >"$RUN/$2.watch" 2>&1 & WATCHERS+=($!)
	else
		guest "$1" ibv_asyncwatch -d "$2" </dev/null >"$RUN/$2.watch" 2>&1 &
	fi
}
watchers_end() { guest 1 pkill -KILL -x ibv_asyncwatch </dev/null; kill "${WATCHERS[@]}" && wait_for 20 not guest 1 pgrep -x ibv_asyncwatch; }
watching() { grep -q 'async' "$RUN/$1.watch"; }
events() { grep -c IBV_EVENT_GID_CHANGE "$RUN/$1.watch"; }
told() { (($(events "$1") > SEEN[$1])); }
seen() { local d; for d in "${!SEEN[@]}"; do SEEN[$d]=$(events "$d"); done; }
address() { ip address "$1" "$2/24" dev "$3"; }	# address add|del IP NETDEV

# ---- the guest's netdev, which its udev sees to ----

netdev_has() { guest 1 ip -o address show dev "${2-hyv0}" </dev/null | grep -qF " $1/"; }	# IP [NETDEV]
# comes IP, goes IP: to the guest's netdev, its table, and what hyvctl tells
comes() { wait_for 30 netdev_has "$1" && wait_for 30 has_gid 1 hyv0 "$1" && ctl gid 1 | grep -E "^rxe0 +1 .*::ffff:$1 +RoCE v2 +yes +yes +$1/24"; }
goes() { wait_for 30 not netdev_has "$1" && wait_for 30 not has_gid 1 hyv0 "$1"; }
gone_in_guest() { goes "$1" && not eval 'ctl gid 1 | grep -F "'"$1"'/24"'; }

# ---- connections ----

hears() { rdma resource show cm_id | grep -E "state LISTEN .*src-addr $1:"; }	# the host, for the guest
reaches() { timeout 60 rping -c -a "$1" -C 2 -V </dev/null; }

start() {
	printf 'devices:\n- name: rxe0\n  addresses: [ 10.9.0.11 ]\n- rxe1\n- name: siw0\n  addresses:\n  - 10.9.1.11\n' >"$RUN/1.yaml"
	address add 10.9.0.11 d-rxe0 && address add 10.9.1.11 d-siw0 &&
		hyvd_start 1 -- --config "$RUN/1.yaml" --control "$RUN/1.ctl" && vm_start 1 && vm_wait 1 && udev_up 1 &&
		guest_hyv_up 1 && wait_for 30 guest 1 test -e /sys/class/infiniband/hyv2
}

check "three devices on the host" eval 'native_device && rxe_up rxe1 10.9.2.1/24 && siw_up siw0 10.9.1.1/24' || exit 1
baseline_save
cp "$RUN/baseline" "$RUN/baseline.bare"
check "a guest with all" start || exit 1
check "it has its address, by udev" comes 10.9.0.11
check "and the other device's table" same_tables
kinds() { guest 1 env HYV_TEST_DEVICE="$1" timeout 60 verbs_objects hold </dev/null >"$RUN/kinds" && says "$RUN/kinds" "$2"; }
check "where it has addresses it gets no datagram queue pairs" kinds hyv0 ' uc rc_with_srq '
check "hyvd says why" says "$RUN/hyvd-1.log" "queue pair for datagrams on rxe0.*--ud=on"
check "where it has all GIDs it does" kinds hyv1 ' uc ud rc_with_srq .*member'
check "hyvctl shows both" eval 'ctl show 1 >"$RUN/show" && says "$RUN/show" " rxe0 .* no$" && says "$RUN/show" " rxe1 .* yes$"'
baseline_save
watch host rxe0
watch host rxe1
watch 1 hyv0
watch 1 hyv1
check "applications watch, here and there" wait_for 30 eval 'watching rxe0 && watching rxe1 && watching hyv0 && watching hyv1'

seen
check "an address is added to the other device's netdev" address add 10.9.2.50 d-rxe1
check "natively that is told" wait_for 20 told rxe1
check "in the guest, too" wait_for 30 told hyv1
check "its table is the host's again" same_tables
I=$(index host rxe1 10.9.2.50)
check "the new GID is used, as natively" eval 'use 1 hyv1 $I | grep "modify_qp: success" && same_use $I'
seen
check "the address is removed" address del 10.9.2.50 d-rxe1
check "natively that is told" wait_for 20 told rxe1
check "in the guest, too" wait_for 30 told hyv1
check "its table is the host's again" same_tables
check "the GID is refused, as natively" eval 'not use 1 hyv1 $I && same_use $I'
check "an event each, as natively" equal "$(events hyv1)" "$(events rxe1)"
check "who watches the first has not been told" equal "$(events hyv0)" 0

seen
check "somebody else's address is added to the first one's netdev" address add 10.9.0.61 d-rxe0
check "natively that is told" wait_for 20 told rxe0
check "the guest neither hears of it nor sees it" eval 'sleep 2; not told hyv0 && not has_gid 1 hyv0 10.9.0.61'

guest 1 rping -s -P </dev/null >/dev/null 2>&1 &
check "a server in the guest, on the wildcard" eval 'wait_for 30 listens 1 rping && reaches 10.9.0.11'
I=$(index 1 hyv0 10.9.0.11) J=$(index host rxe0 10.9.0.61)
use 1 hyv0 "$I" hold >"$RUN/guest.use" &
use host rxe0 "$J" hold >"$RUN/host.use" &
check "queue pairs that use the guest's GID and the other" wait_for 30 eval 'grep -q "first write: success" "$RUN/guest.use" && grep -q "first write: success" "$RUN/host.use"'
seen
check "both addresses are removed from the host's netdev" eval 'address del 10.9.0.61 d-rxe0 && address del 10.9.0.11 d-rxe0'
check "the guest's application is told" wait_for 30 told hyv0
check "the guest's address and GID go" goes 10.9.0.11
check "hyvctl says so" eval 'ctl gid 1 | grep -E "^rxe0 +- +- +::ffff:10.9.0.11 +- +yes +no +10.9.0.11/24"'
check "so does hyvd" says "$RUN/hyvd-1.log" 'address 10.9.0.11: not on the netdev of rxe0 any more'
check "the guest's queue pair ends as the host's" eval 'wait_for 90 grep "last write" "$RUN/guest.use" && wait_for 90 grep "last write" "$RUN/host.use" && diff "$RUN/host.use" "$RUN/guest.use"'
sed 's/^/# /' "$RUN/host.use"
check "the GID is refused, as natively" equal "$(use 1 hyv0 "$I")" "$(use host rxe0 "$J")"
check "to a UC queue pair, too" equal "$(use 1 hyv0 "$I" uc)" "$(use host rxe0 "$J" uc)"
check "so is listening there, natively" fails 'Cannot assign requested address' host rping -s -a 10.9.0.11 -C 1
check "and in the guest" fails 'Cannot assign requested address' 1 rping -s -a 10.9.0.11 -p 7175 -C 1
check "the operator puts it on another device's netdev" eval 'ip address add 10.9.0.11/32 dev d-rxe1 && wait_for 10 has_gid host rxe1 10.9.0.11'
check "a guest that keeps it on its own" eval 'guest 1 ip address add 10.9.0.11/32 dev hyv0 && guest 1 ip route add 10.9.2.1/32 dev hyv0 && wait_for 10 has_gid 1 hyv0 10.9.0.11'
check "does not connect over the other device" fails 'CONNECT_ERROR, error -99' 1 rping -c -I 10.9.0.11 -a 10.9.2.1 -C 1
check "hyvd says why" says "$RUN/hyvd-1.log" "does not find the VM's address 10.9.0.11 on rxe0"
check "the address is there no more" eval 'guest 1 ip address del 10.9.0.11/32 dev hyv0 && ip address del 10.9.0.11/32 dev d-rxe1'
seen
check "the address comes back" eval 'address add 10.9.0.11 d-rxe0 && comes 10.9.0.11'
check "the application is told" wait_for 30 told hyv0
check "the server can be reached, and the GID used" eval 'reaches 10.9.0.11 && use 1 hyv0 "$(index 1 hyv0 10.9.0.11)"'
check "by a UC queue pair, too" eval 'use 1 hyv0 "$(index 1 hyv0 10.9.0.11)" uc | grep "modify_qp: success"'
check "beyond its limit of cm_ids nobody listens" eval 'ctl limit 1 cm_ids=0 && fails "Cannot allocate memory" 1 rping -s -a 10.9.0.11 -p 7176 -C 1'
check "which is counted" eval '(($(ctl limit 1 cm_ids=4096 | awk "/^cm_ids/ {print \$4}") >= 1))'

# own_index: the queue pair says where it comes from by the guest's index, which is not the host's
own_index() {
	local i
	i=$(index 1 hyv0 10.9.0.11)
	use 1 hyv0 "$i" >"$RUN/out"
	[[ $i != "$(index host rxe0 10.9.0.11)" ]] && says "$RUN/out" "query_qp: port 1, sgid_index $i, .*dgid 0{20}ffff0a09000b"
}
check "the queue pair tells the guest's index" own_index

check "hyvctl gives none on a device that the VM has not" refused "no device 'nosuch'" gid 1 add nosuch 10.9.0.51
check "nor one that is not there" refused 'ip address add 10.9.0.51' gid 1 add rxe0 10.9.0.51
check "nor one of a device without addresses" refused "'rxe1' was given.*without addresses.*--address" gid 1 add rxe1 10.9.2.1
check "nor one twice" refused 'already' gid 1 add rxe0 ::ffff:10.9.0.11
check "nor what is none" refused 'not an IP address' gid 1 add rxe0 10.9.0
check "nor takes one that the VM has not" refused "has no address '10.9.0.51'" gid 1 del rxe0 10.9.0.51
seen
check "one that is there it gives" eval 'address add 10.9.0.51 d-rxe0 && wait_for 10 has_gid host rxe0 10.9.0.51 && ctl gid 1 add rxe0 10.9.0.51'
check "the server hears there at once" hears 10.9.0.51
check "the guest has it" comes 10.9.0.51
check "its application is told" wait_for 30 told hyv0
check "the server is reached there" reaches 10.9.0.51
timeout 300 rping -c -a 10.9.0.51 -C 10000000 -v </dev/null >"$RUN/client.out" 2>&1 & CLIENT=$!
check "and stays connected" wait_for 30 grep -q 'ping data' "$RUN/client.out"
I=$(index 1 hyv0 10.9.0.51)
seen
check "hyvctl takes it back, by its GID" ctl gid 1 del rxe0 ::ffff:10.9.0.51
check "nobody hears there any more, but at the other" eval 'not hears 10.9.0.51 && hears 10.9.0.11'
check "the guest has it no more" gone_in_guest 10.9.0.51
check "its application is told" wait_for 30 told hyv0
check "nobody new connects" fails . host rping -c -a 10.9.0.51 -C 1
still_there() { local n; n=$(wc -l <"$RUN/client.out"); sleep 3; (($(wc -l <"$RUN/client.out") > n)); }
check "who was connected still is" still_there
check "another VM has it now" hyvd_start 2 rxe0 -- --address 10.9.0.51
check "the guest puts the address on its netdev itself" eval 'guest 1 ip address add 10.9.0.51/32 dev hyv0 && wait_for 10 has_gid 1 hyv0 10.9.0.51'
for type in '' uc; do
	check "it is refused all the same${type:+, to a UC queue pair}" eval 'use 1 hyv0 "$(index 1 hyv0 10.9.0.51)" $type | tee "$RUN/out"; says "$RUN/out" "modify_qp: EADDRNOTAVAIL" && says "$RUN/out" "create_ah: EADDRNOTAVAIL"'
done
check "so is listening there" fails 'Cannot assign requested address' 1 rping -s -a 10.9.0.51 -p 7175 -C 1
check "and connecting from there" fails 'Cannot assign requested address' 1 ucmatose -s 10.9.0.1 -b 10.9.0.51 -c 1
check "which the host's netdev has all the time" has_gid host rxe0 10.9.0.51
check "the other VM's hyvd ends" hyvd_kill 2
check "its own remains when the helper comes by" eval 'guest 1 hyv-addresses hyv0 && netdev_has 10.9.0.51 && guest 1 ip address del 10.9.0.51/32 dev hyv0'
kill $CLIENT
check "the server is reached at the other" reaches 10.9.0.11
check "server and watchers end" eval 'guest 1 pkill -KILL -x rping </dev/null && wait_for 20 not guest 1 pgrep -x rping && watchers_end'
check "nothing of all this is left" baseline_check 60

siw_says() { ctl gid 1 | grep -E "^siw0 +- +- +::ffff:$1 +- +yes +$2 +$1/24"; }	# IP yes|no
check "an iWARP device has its address, too" eval 'wait_for 30 netdev_has 10.9.1.11 hyv1 && siw_says 10.9.1.11 yes'
check "and loses it with the host's netdev" eval 'address del 10.9.1.11 d-siw0 && wait_for 30 not netdev_has 10.9.1.11 hyv1 && siw_says 10.9.1.11 no'
check "and gets it back" eval 'address add 10.9.1.11 d-siw0 && wait_for 30 netdev_has 10.9.1.11 hyv1 && siw_says 10.9.1.11 yes'
guest 1 rping -s -P </dev/null >/dev/null 2>&1 &
check "a server in the guest, on the wildcard" wait_for 30 hears 10.9.1.11
check "hyvctl gives it another" eval 'address add 10.9.1.12 d-siw0 && ctl gid 1 add siw0 10.9.1.12 && wait_for 30 netdev_has 10.9.1.12 hyv1'
check "at which the server is reached" reaches 10.9.1.12
check "and takes it" eval 'ctl gid 1 del siw0 10.9.1.12 && not hears 10.9.1.12 && wait_for 30 not netdev_has 10.9.1.12 hyv1 && netdev_has 10.9.1.11 hyv1'
check "the server ends" eval 'guest 1 pkill -KILL -x rping </dev/null && wait_for 20 not guest 1 pgrep -x rping'
check "nothing is left" baseline_check 60

# every_operation: each that hyvd knows was asked for by the guest, and done at least once
every_operation() {
	local names
	mapfile -t names < <(hyvd_ops)
	ctl --json stats 1 | python3 -c 'import json, sys
ops = json.load(sys.stdin)["ops"]
undone = [name for name in sys.argv[1:] if name not in ops or ops[name]["count"] == ops[name]["errors"]]
print(len(sys.argv) - 1, "operations; not done:", undone, [ops.get(name) for name in undone])
sys.exit(len(sys.argv) < 30 or bool(undone))' "${names[@]}"
}
check "hyvd is in the sandbox, all threads" sandboxed 1
check "what few programs ask for" guest 1 env HYV_TEST_DEVICE=hyv1 timeout 60 verbs_errors query_qp resize_larger srq_modify_limit srq_query rereg_access mw_type_1 mcast_good
check "the guest connects" connect host 1 rping -s -a 10.9.0.1 -C 3 -V -- rping -c -a 10.9.0.1 -C 3 -V
check "it rejects, and accepts" connect 1 host cm_peer serve 10.9.0.11 -- cm_peer connect 10.9.0.11 56,r,148 56,a,196
check "every operation was done in the sandbox" every_operation

# only_link_local: the guest shows no GID of an IP address
only_link_local() { not eval 'gids 1 hyv0 | grep -v "^0000:0000:0000:0000:0000:0000:0000:0000$\|^fe80:"'; }
check "hyvctl takes the last one" eval 'ctl gid 1 del rxe0 10.9.0.11 && gone_in_guest 10.9.0.11'
check "the guest's module comes anew" eval 'guest 1 rmmod virtio_hyv && guest_hyv_up 1 && wait_for 30 guest 1 test -e /sys/class/net/hyv0'
check "it shows nobody else's GID" only_link_local
check "hyvctl gives the address again" eval 'ctl gid 1 add rxe0 10.9.0.11/24 && comes 10.9.0.11'
check "it works" connect 1 host rping -s -a 10.9.0.11 -C 3 -V -- rping -c -a 10.9.0.11 -C 3 -V

# changes: one after the other, until it is killed
changes() { while :; do ctl gid 1 add rxe0 10.9.0.51; ctl gid 1 del rxe0 10.9.0.51; address add 10.9.2.50 d-rxe1; address del 10.9.2.50 d-rxe1; done; }
in_the_middle() { # CMD...
	local pid code=0
	changes >/dev/null 2>&1 </dev/null & pid=$!
	sleep 2
	"$@" || code=$?
	kill $pid
	wait $pid 2>/dev/null
	return $code
}
check "the guest's module is removed in the middle of changes" in_the_middle guest 1 timeout 60 rmmod virtio_hyv
ip address del 10.9.2.50/24 dev d-rxe1 2>/dev/null
ctl gid 1 del rxe0 10.9.0.51 >/dev/null 2>&1
check "it comes back, with what is its own" eval 'guest_hyv_up 1 && comes 10.9.0.11 && not netdev_has 10.9.0.51'
check "nothing of them is left" baseline_check 60
check "hyvd is killed in the middle of changes" in_the_middle hyvd_kill 1
ip address del 10.9.2.50/24 dev d-rxe1 2>/dev/null
check "the guest goes on" guest 1 true
check "its module can be removed" guest 1 timeout 60 rmmod virtio_hyv
vm_stop 1
cp "$RUN/baseline.bare" "$RUN/baseline"
check "nothing is left on the host" baseline_check 20 && check "the devices can go" eval 'rxe_down siw0 && rxe_down rxe1 && rxe_down rxe0'
