#!/usr/bin/env bash
# Time-based anti-replay with a window of two seconds, while the wall clock of the key server's, the sender's and the
# receiver's machine steps by an hour forward and back, each alone: packets every 10 ms in both directions, none is lost or
# refused. After each step of the key server's clock there are a rekey and a registration of a third member, and at last it starts anew with the
# clock off.
set -u
E2E=qcs
. "$(dirname "$0")/../lib/e2e.sh"

gcc -std=gnu11 -shared -fPIC -O1 -Wall -Werror "$root/tests/lib/wall_offset.c" -o "$NETLAB_DIR/wall_offset.so" || exit 1
# step WHO SECONDS: how far the wall clock of ks1, gm1 or gm2 is off.
step() { python3 -c 'import struct, sys; open(sys.argv[1], "r+b").write(struct.pack("=q", int(sys.argv[2])))' "$NETLAB_DIR/$1.offset" "$2"; }
# start NAME WHO PROGRAM...: with that machine's clock. A sanitizer wants to be first among libraries, and need not be.
start() {
    local name=$1 who=$2
    shift 2
    netlab_start "$name" "$who" env WALL_OFFSET="$NETLAB_DIR/$who.offset" LD_PRELOAD="$NETLAB_DIR/wall_offset.so" \
        ASAN_OPTIONS="${ASAN_OPTIONS:-}:verify_asan_link_order=0" "$@"
}
start_ksd() { start ksd1 ks1 "$NETLAB_BIN/ksd" -c "$NETLAB_DIR/ksd1.conf"; }
ask() { local n=$1; shift; "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm$n.conf" show crypto gdoi gm replay json | jq "$@"; }
# says NAME SECONDS: the last line of its log is about so far off this machine's clock.
says() {
    local off
    off=$(($(date -d "$(tail -n 1 "$NETLAB_DIR/$1.log" | grep -Eo '^[A-Z][a-z]{2} +[0-9]+ [0-9:]{8}')" +%s) - $(date +%s) - $2))
    [ "${off#-}" -lt 60 ]
}
log_more() { [ "$(e2e_log_count "$1" "$2")" -gt "$3" ]; }
ks_time_ms() { netlab_api 1 /v1/groups/G1 | jq .pseudotime_ms; }
# A member's time lies between what the key server says before and after it, to within a third of a second.
agree() {
    local n before mine
    for n in 1 2; do
        before=$(ks_time_ms)
        mine=$(($(ask $n .pseudotime_us) / 1000))
        echo "key server $before, site $n $mine, key server $(ks_time_ms)" > "$NETLAB_DIR/times"
        awk -F'[ ,]+' '{ exit $3 - 333 <= $6 && $6 <= $9 + 333 ? 0 : 1 }' "$NETLAB_DIR/times" || { cat "$NETLAB_DIR/times"; return 1; }
    done
}
# Every answer up to the last that came; what was under way at the end is not asked for.
no_gap() {
    grep -o 'icmp_seq=[0-9]*' "$NETLAB_DIR/$1.log" | cut -d= -f2 | sort -n > "$NETLAB_DIR/answers"
    [ "$(wc -l < "$NETLAB_DIR/answers")" = "$(tail -n 1 "$NETLAB_DIR/answers")" ]
}
rekeyed() { # a push, and both members have the new key
    local n before=()
    for n in 1 2; do before[n]=$(e2e_log_count "gm$n" SA_TEK_UPDATED); done
    netlab_ksctl 1 rekey G1 > /dev/null || return 1
    for n in 1 2; do netlab_wait 10 log_more "gm$n" SA_TEK_UPDATED "${before[n]}" || return 1; done
}
third_registers() { # and is understood
    netlab_stop gm3
    start gm3 gm3 "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm3.conf"
    netlab_wait 20 netlab_registered 3 && netlab_in h3 ping -q -c 3 -i 0.1 -W 2 192.168.13.10 > /dev/null
}

netlab_up 3 1
netlab_psk > /dev/null
netlab_ksd_conf 1 aes256-gcm16 7200 86400
sed -i 's/^ *tek = {.*/&\n        replay = { window_ms = 2000; };/; s/ activation_s = [0-9]*;/ activation_s = 1;/' "$NETLAB_DIR/ksd1.conf"
for n in ks1 gm1 gm2 gm3; do truncate -s 8 "$NETLAB_DIR/$n.offset"; done
for n in 1 2 3; do netlab_gm_conf $n 10.1.11.2; done
start_ksd
check "the key server is ready" e2e_ready
for n in 1 2; do start gm$n gm$n "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm$n.conf"; done
for n in 1 2; do check "gm$n is registered" netlab_wait 30 netlab_registered $n; done
[ "$failed" = 0 ] || { e2e_end; exit 1; }
netlab_start ping12 h1 ping -i 0.01 192.168.14.10
netlab_start ping21 h2 ping -i 0.01 192.168.13.10

for off in 3600 -3600; do
    step ks1 $off
    check "key server at $off s: a rekey" rekeyed
    check "key server at $off s: its log says so" netlab_wait 5 says ksd1 $off
    check "key server at $off s: the group's time is the same" agree
    check "key server at $off s: another member registers and is understood" third_registers
    check "key server at $off s: the group's time is still the same" agree
done
for n in 1 2; do
    for off in 3600 -3600 0; do
        step gm$n $off
        check "site $n at $off s: a rekey" rekeyed
        check "site $n at $off s: its log says so" netlab_wait 5 says gm$n $off
    done
done
check "members and key server have the same time" agree
netlab_stop ksd1 KILL
step ks1 3600
start_ksd
check "the key server starts anew with its clock off by two hours more" netlab_wait 30 netlab_api 1 /readyz
check "the group's time went on" netlab_wait 5 agree
check "another member registers with it and is understood" third_registers
check "and a rekey is taken" rekeyed
for name in ping12 ping21; do
    netlab_stop $name INT
    grep 'packet loss' "$NETLAB_DIR/$name.log"
    check "$name: none lost" no_gap $name
done
for n in 1 2; do check "site $n refused none" [ "$(ask $n .rejected)" = 0 ]; done
e2e_end
