#!/usr/bin/env bash
# The units of deploy/systemd: what systemd makes of them, how exposed they leave the daemons, and that what they promise of the
# binaries is true. Nothing is started by systemd here; the daemons run as themselves.
set -u
E2E=qsd
. "$(dirname "$0")/../lib/e2e.sh"
units=$root/deploy/systemd
dir=$NETLAB_DIR

command -v systemd-analyze > /dev/null || skip "systemd-analyze is not installed"

# exposure UNIT: the overall level, times ten.
exposure() {
    systemd-analyze security --offline=true --no-pager "$units/$1.service" |
        sed -n 's/.*Overall exposure level for .*: \([0-9]*\)\.\([0-9]\).*/\1\2/p'
}
at_most() { # UNIT LEVEL, both in tenths
    local level
    level=$(exposure "$1")
    echo "# $1: exposure ${level%?}.${level: -1}"
    [ -n "$level" ] && [ "$level" -le "$2" ]
}
# verify: systemd reads every line. The binaries stand where the build put them.
verify() {
    local unit
    mkdir -p "$dir/units"
    for unit in "$units"/*.service; do
        sed "s#/usr/sbin/#$NETLAB_BIN/#; /^Documentation=/d" "$unit" > "$dir/units/$(basename "$unit")"
    done
    systemd-analyze verify --man=no "$dir"/units/*.service 2> "$dir/verify.out"
    ! grep -F "$dir/units" "$dir/verify.out"
}
has() { grep -qx "$2" "$units/$1.service"; }

check "systemd understands the units" verify
check "the key server's exposure is at most 2.0" at_most ksd 20
check "the member's exposure is at most 3.5" at_most gm-agent 35
check "what makes the node key is at most 2.0" at_most ksd-node-key 20
for unit in ksd gm-agent; do
    check "$unit: Type=notify" has $unit Type=notify
    check "$unit: a watchdog" has $unit 'WatchdogSec=.*'
    check "$unit: a user of its own" has $unit 'User=quorate\(-gm\)\?'
    check "$unit: no core dumps" has $unit LimitCORE=0
    check "$unit: nothing starts without its configuration" has $unit "ConditionPathExists=/etc/quorate/$unit.conf"
done

# The promises, on running daemons. capability sets are bit masks: 12 is CAP_NET_ADMIN, 13 CAP_NET_RAW.
netlab_up 1 1
netlab_psk > /dev/null
netlab_ksd_conf 1
netlab_gm_conf 1 10.1.11.2
field() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$(cat "$dir/$1.pid")/status"; }
is() { [ "$(field "$1" "$2")" = "$3" ] || { echo "# $1 $2: $(field "$1" "$2")"; return 1; }; }
threads_filtered() { # every thread, not only the first
    local status
    for status in /proc/"$(cat "$dir/$1.pid")"/task/*/status; do grep -q '^Seccomp:[[:space:]]*2$' "$status" || return 1; done
}
core_limit() { awk '/^Max core file size/ { exit !($5 == 0 && $6 == 0) }' "/proc/$(cat "$dir/$1.pid")/limits"; }
e2e_notify_socket
e2e_start_ksd
check "the key server is ready" e2e_ready
NOTIFY_SOCKET=$dir/notify.sock WATCHDOG_USEC=2000000 netlab_start gm1 gm1 "$NETLAB_BIN/gm-agent" -c "$dir/gm1.conf"
check "the member registers" netlab_wait 30 netlab_registered 1
check "the member tells READY=1" netlab_wait 10 grep -q READY=1 "$dir/notify.out"
check "and feeds the watchdog" netlab_wait 10 grep -q WATCHDOG=1 "$dir/notify.out"
check "ksd has no capability" is ksd1 CapEff 0000000000000000
check "gm-agent has CAP_NET_ADMIN and CAP_NET_RAW only" is gm1 CapEff 0000000000003000
check "and may get no other" is gm1 CapPrm 0000000000003000
for name in ksd1 gm1; do
    check "$name: no new privileges" is $name NoNewPrivs 1
    check "$name: every thread has a system call filter" threads_filtered $name
    check "$name: no core dumps" core_limit $name
done
lock_all() { grep -q '^VmLck:[[:space:]]*[1-9]' "/proc/$(cat "$dir/$1.pid")/status"; }
# Sanitized binaries lock nothing, and a machine may not let us raise the limit, which the unit does (LimitMEMLOCK).
if ! ldd "$NETLAB_BIN/ksd" | grep -q libasan && (ulimit -l unlimited) 2> /dev/null; then
    check "ksd's memory is locked" lock_all ksd1
    check "the member's memory is locked" lock_all gm1
fi
check "no sandbox is incomplete" bash -c "! grep -q SANDBOX_OPEN $dir/ksd1.log $dir/gm1.log"

# As the unit runs it: a user without rights, one capability, a node key that root lends it.
unprivileged() {
    netlab_stop ksd1
    chown -R 65534:65534 "$dir/ks1.data"
    chown 0:65534 "$dir/ks1.key" "$dir/psk" "$dir/ksd1.conf"
    chmod 0440 "$dir/ks1.key" "$dir/psk"
    chmod 0640 "$dir/ksd1.conf"
    chmod 0755 "$dir"
    netlab_start ksd1 ks1 setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all,+net_bind_service \
        --ambient-caps=-all,+net_bind_service --bounding-set=-all,+net_bind_service "$NETLAB_BIN/ksd" -c "$dir/ksd1.conf"
    e2e_ready && is ksd1 Uid "65534	65534	65534	65534" && is ksd1 CapEff 0000000000000000
}
check "ksd as a user without rights binds 848 with CAP_NET_BIND_SERVICE alone" unprivileged
handed_over() {
    local pid
    pid=$(cat "$dir/gm1.pid")
    rm "$dir/gm1.pid"
    kill -USR2 "$pid"
    wait "$pid"
    [ $? = 75 ]
}
check "an agent told to hand over ends with 75" handed_over
e2e_end
