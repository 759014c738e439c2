# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Proves that an operator can limit VMs, see what they have and do, and that hyvd keeps to itself: a wrong configuration starts nothing,
# a guest over a limit gets ENOMEM and sees its limits, a guest over its rate waits, another VM does not notice, even when it floods; hyvctl
# and its metrics under traffic; the sandbox; the journal's fields.
# lab: --guests 0 --timeout 1200
. /hyv/tests/e2e/common.bash

attr() { guest "$1" ibv_devinfo -v </dev/null | awk -v a="$2:" '$1 == a {print $2}'; }

wrong_configuration() {
	local code=0
	printf 'devices:\n- rxe0\n- rxe9\nlimits:\n  qps: many\n  tea: 1\n' >"$RUN/bad.yaml"
	mkdir -p /run/hyv && rm -f /run/hyv/bad.*
	hyvd --config "$RUN/bad.yaml" >"$RUN/out" 2>&1 </dev/null || code=$?
	equal $code 78 && says_all "$RUN/out" 'bad.yaml:3: .*rxe9.*there are: rxe0 \(' 'bad.yaml:5: .*many' 'bad.yaml:6: .*tea.*qps' &&
		not compgen -G "/run/hyv/bad.*"
}
# not_there CMD...: CMD names the addresses that the host has not, and their lines
not_there() {
	local code=0
	"$@" --config "$RUN/missing.yaml" >"$RUN/out" 2>&1 </dev/null || code=$?
	equal $code 78 && says_all "$RUN/out" "missing.yaml:4: .*'10.9.0.77' is on .*ip address add" "missing.yaml:6: .*'fd09::77/64' is on " && not says "$RUN/out" "'10.9.0.1' is on" &&
		not compgen -G "/run/hyv/missing.*"
}
missing_addresses() {
	printf 'devices:\n- rxe0\naddresses:\n- 10.9.0.77\n- 10.9.0.1\n- fd09::77/64\n' >"$RUN/missing.yaml"
	not_there hyvd && not_there hyvd --check && echo 'tea: 1' >>"$RUN/missing.yaml" && not_there hyvd && not_there hyvd --check &&
		says "$RUN/out" "missing.yaml:7: .*tea"
}
original_form() {
	cat /sys/class/infiniband/rxe0/node_guid >"$RUN/guids" && hyvd --check --config "$RUN/guids" && sed s/^./g/ "$RUN/guids" >"$RUN/bad" &&
		not hyvd --check --config "$RUN/bad"
}
# twins: two devices on one netdev have its address as GUID
twins() {
	siw_up siw9 '' d-rxe0 && cmp /sys/class/infiniband/{rxe0,siw9}/node_guid && not eval 'hyvd --check --config "$RUN/guids" >"$RUN/out" 2>&1' &&
		says "$RUN/out" 'guids:1: .*more than one device.*rxe0 .*siw9 |guids:1: .*more than one device.*siw9 .*rxe0 ' && rdma link delete siw9
}
uid_of() { awk '/^Uid:/ {print $2}' "/proc/$(hyvd_pid "$1")/status"; }
# few_lines: of many refusals hyvd tells some, five in ten seconds
few_lines() {
	local before lines began=$SECONDS
	told() { grep -c "over its limit of 3: refused; .*'qps'" "$RUN/hyvd-1.log"; }
	before=$(limit_refused 1 qps) lines=$(told)
	makes 1 qps 50 "3, then ENOMEM" 60 && equal $(($(limit_refused 1 qps) - before)) 60 &&
		(($(told) > lines && $(told) - lines <= 5 * ((SECONDS - began) / 10 + 2))) && ctl metrics | grep '^hyv_refused_total{vm="1",resource="qps"} [1-9]'
}
# pages_by_memory N: all of guest N's GiB on each of 16 devices; QEMU keeps some of it out of its table
pages_by_memory() { local n; n=$(limit_column "$1" pages 3) && echo "$n" && ((n > 15 * 262144 && n <= 16 * 262144)); }
# the VM's fields and those of a line about a device
journal_fields() { says_all "$RUN/journal" '^MESSAGE=device 0: rxe0' '^HYV_VM=2$' '^HYV_DEVICE=rxe0$' '^PRIORITY=6$' '^SYSLOG_IDENTIFIER=hyvd$'; }

native_device
check "a wrong configuration has all its errors told, and starts nothing" wrong_configuration
check "so are all addresses that are not there" missing_addresses
check "a list of GUIDs is a configuration" original_form
check "a GUID that two devices have is none" twins

baseline_save
cat >"$RUN/1.yaml" <<-CONFIG
	devices:
	- guid: $(cat /sys/class/infiniband/rxe0/node_guid)
	limits: { contexts: 8, pds: 5, cqs: 6, qps: 3, srqs: 2, mrs: 4, ahs: 3, mws: 2, pages: 100 }
CONFIG
check "a daemon starts from a file" hyvd_start 1 -- --config "$RUN/1.yaml" --control "$RUN/1.ctl"
mkdir -p /run/systemd/journal
socat -u UNIX-RECV:/run/systemd/journal/socket,mode=666 "CREATE:$RUN/journal" & SOCAT=$!
wait_for 10 test -S /run/systemd/journal/socket
: >"$RUN/hyvd-2.log"
JOURNAL_STREAM=$(stat -c %d:%i "$RUN/hyvd-2.log") check "one starts from a list of GUIDs" hyvd_start 2 -- --config "$RUN/guids" --name 2 --control "$RUN/2.ctl"
check "the journal gets lines with VM and device" wait_for 10 journal_fields
check "both daemons are in the sandbox, all threads" eval 'sandboxed 1 && sandboxed 2'
check "each is a user of its own" not equal "$(uid_of 1)" "$(uid_of 2)"
check "hyvctl knows its process" eval '[[ $(ctl list | awk "\$1 == 1 {print \$2}") == $(hyvd_pid 1) ]]'
vm_start 1
vm_start 2
check "guest 1 is up" eval 'vm_wait 1 && guest_hyv_up 1'
check "guest 2 is up" eval 'vm_wait 2 && guest_hyv_up 2'

check "guest 1 sees its limits" equal "$(attr 1 max_qp) $(attr 1 max_cq) $(attr 1 max_mr) $(attr 1 max_pd) $(attr 1 max_srq) $(attr 1 max_ah) $(attr 1 max_mw) $(attr 1 max_mr_size)" \
	"3 6 4 5 2 3 2 0x64000"
check "guest 2 sees the host's" equal "$(attr 2 max_qp)" "$(ibv_devinfo -v -d rxe0 | awk '$1 == "max_qp:" {print $2}')"
check "where there is no limit of pages, it follows the memory" pages_by_memory 2
# verbs_limits itself has a context, a PD and a CQ
for what in "contexts 7" "pds 4" "cqs 5" "qps 3" "srqs 2" "mrs 4" "ahs 3" "mws 2"; do
	check "guest 1 gets ENOMEM beyond its limit: $what" makes 1 "${what% *}" 50 "${what#* }, then ENOMEM"
done
check "what dies with its process is given back" equal "$(for k in contexts pds cqs qps srqs mrs ahs mws pages window; do limit_used 1 $k; done | xargs)" "0 0 0 0 0 0 0 0 0 0"
check "refusals are counted" test "$(limit_refused 1 qps)" -ge 1
check "hyvd says so" says "$RUN/hyvd-1.log" 'over its limit of 3: refused'
check "but not each time" few_lines
check "the journal tells of which object" eval 'ctl limit 2 qps=2 && makes 2 qps 50 "2, then ENOMEM" && ctl limit 2 qps=none &&
	says_all "$RUN/journal" "^MESSAGE=the VM has 2 queue pairs" "^HYV_OBJECT=[1-9]"'
check "a limit is changed while the VM runs" eval 'ctl limit 1 qps=none cqs=none mrs=none pages=100 && makes 1 qps 10 "10, then enough"'
check "pages are counted per registration" eval 'makes 1 mrs 50 "6, then ENOMEM"'	# of 16 pages each, of the same memory
check "so is the window" eval 'ctl limit 1 window=64K && makes 1 cqs 50 "[1-9][0-9]?, then ENOMEM" && (($(limit_refused 1 window) >= 1 && $(limit_used 1 window) == 0))'
ctl limit 1 window=none >/dev/null
check "hyvctl refuses what is no limit" eval 'not ctl limit 1 tea=1 && not ctl limit 9 qps=1'
ctl limit 1 pds=none pages=none contexts=none >/dev/null

traffic() { pair 1 2 ibv_rc_pingpong -s 4096 -n 1000 -c; }
under_traffic() {
	wait_for 60 eval '[[ $(limit_used 1 qps) == 1 && $(limit_used 2 qps) == 1 ]]' && ctl list && ctl show 1 --objects >"$RUN/show" && ctl stats 2 >"$RUN/stats" &&
		says_all "$RUN/show" 'guest connected' '^qps +1 ' '^pages +[1-9]' '^window +[1-9]' ' qp ' && says_all "$RUN/stats" '^create_qp +[1-9]' '^reg_mr +[1-9]' &&
		ctl watch 2 -n 2 -i 0.5 | grep PER-SECOND && equal "$(ctl watch 2 -n 2 -i 0.5 --json | grep -c '"create_qp"')" 2 &&
		ctl metrics --output "$RUN/hyv.prom" && says_all "$RUN/hyv.prom" '^hyv_guest_connected\{vm="1"\} 1$' \
		'^hyv_used\{vm="2",resource="qps"\} 1$' '^hyv_operation_seconds_count\{vm="1",operation="create_qp"\} [1-9]'
}
# shellcheck disable=SC2034 # pair's, which would ask in a subshell
GID_OF[1]=$(gid_of 1) GID_OF[2]=$(gid_of 2)
traffic >"$RUN/traffic" 2>&1 & TRAFFIC=$!
check "hyvctl shows a pingpong while it runs" under_traffic
wait $TRAFFIC && CODE=0 || CODE=$?
check "the pingpong did not mind" equal $CODE 0

# 80 operations at 10 a second, of which 10 at once: 7 seconds; guest 2 has no such limit
ctl limit 1 ops=10 >/dev/null
guest 1 verbs_limits rate 40 </dev/null >"$RUN/rate1" 2>&1 & RATE=$!
check "guest 2 works while guest 1 waits" makes 2 pds 20 "20, then enough"
check "and is not done earlier" not gone $RATE
wait $RATE && CODE=0 || CODE=$?
check "a guest over its rate is served all the same" equal $CODE 0
check "but slower" awk '/^rate: 40/ && $5 >= 6 && $5 < 30 {slow = 1} END {exit !slow}' "$RUN/rate1"
check "waiting is counted" test "$(limit_refused 1 ops)" -ge 20
check "and told" says "$RUN/hyvd-1.log" "asks for more than 10 operations per second: its requests wait; 'hyvctl limit' can raise 'ops'"

# rate: seconds that 400 operations take guest 2
rate() { guest 2 verbs_limits rate 200 </dev/null | awk '/^rate: 200/ {print $5}' | grep .; }
now() { echo "${EPOCHREALTIME/./}"; }
# kept_in_check: guest 1 gets its 50 a second and the burst of one, not more, while guest 2 is not slowed down: it has what it had within a
# factor that leaves room for an emulated host's moods
kept_in_check() {
	local began before refusals beside
	began=$(now) before=$(limit_used 1 ops) refusals=$(limit_refused 1 qps)
	beside=$(rate) && echo "guest 2: $ALONE s alone, $beside s beside the flood; guest 1: $(($(limit_used 1 ops) - before)) operations" &&
		(($(limit_used 1 ops) - before <= 50 * ($(now) - began) / 1000000 + 50)) && (($(limit_used 1 ops) > before && $(limit_refused 1 qps) > refusals)) &&
		awk -v a="$ALONE" -v b="$beside" 'BEGIN {exit !(b <= 3 * a + 1)}'
}
# writes: how many guest 2's traffic has made; in_five: how many more in five seconds from now
writes() { awk '/^running/ {n = $2} END {print n + 0}' "$RUN/traffic-2"; }
in_five() { local before; before=$(writes); sleep 5; echo $(($(writes) - before)); }
traffic_ends() { guest 2 pkill -KILL -x verbs_traffic </dev/null; wait_for 20 test -s "$RUN/traffic-2.code"; }
ctl limit 1 ops=none >/dev/null
check "guest 2 works alone" eval 'rate >"$RUN/alone"' && ALONE=$(<"$RUN/alone")
check "so does its traffic" guest_traffic 2
WRITES=$(in_five)
check "which ends" traffic_ends
ctl limit 1 ops=50 qps=3 >/dev/null
FLOODS=()
for _ in 1 2 3 4; do
	guest 1 timeout 200 verbs_limits qps 1000000 1000000 </dev/null >/dev/null 2>&1 & FLOODS+=($!)
done
waits() { (($(limit_refused 1 ops) > 100)); }
check "guest 1 floods its hyvd" wait_for 60 waits
check "and is kept in check" kept_in_check
check "guest 2 has traffic beside the flood" guest_traffic 2
BESIDE=$(in_five)
echo "# guest 2: $WRITES writes in five seconds alone, $BESIDE beside the flood"
check "which is not slowed down" test "$WRITES" -gt 0 -a "$BESIDE" -ge $((WRITES / 4))	# an emulated host's moods, again
check "it is still at it" eval 'alive "${FLOODS[0]}" && alive "${FLOODS[3]}"'
check "guest 2's traffic ends" traffic_ends
ctl limit 1 ops=none qps=none >/dev/null
guest 1 pkill -KILL verbs_limits </dev/null
wait "${FLOODS[@]}"
check "RDMA works under limits and in the sandbox" pair 1 2 ibv_rc_pingpong -s 65536 -n 50 -c -e

for n in 1 2; do
	vm_stop $n
	check "daemon $n ends in order when QEMU does" wait_for 20 gone "$(hyvd_pid $n)"
done
check "nothing is left on the host" baseline_check
kill $SOCAT
