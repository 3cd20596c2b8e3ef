#!/usr/bin/env bash
# kill -9 of ksd while rekeys go on, again and again: members, keys and sequence numbers are as before, no sequence number is
# used twice for different bytes, rekeys go on. 15 times; QUORATE_LONG=1: 100.
set -u
E2E=qki
. "$(dirname "$0")/../lib/e2e.sh"

kills=15
[ -z "${QUORATE_LONG:-}" ] || kills=100
# Lifetimes are long enough that no member has a reason to register again; rekeys are asked for.
e2e_start 120 1200
netlab_capture wan1 wan ks1

api() { netlab_api 1 "$1" 2>/dev/null; }
members() { api /v1/groups/G1/members | jq -S '[.members[] | {identity, registrations, first_registered}]'; }
seq_of() { api /v1/groups/G1 | jq .seq; }
generation_of() { api /v1/groups/G1 | jq .generation; }
spis() { api /v1/groups/G1/policy | jq -c '[.teks[].spi, .kek.spi]'; }
taken() { grep GM_RECV_REKEY "$NETLAB_DIR/$1.log" | tail -n 1 | sed 's/.*seq # //'; }
caught_up() { local seq; seq=$(seq_of); [ -n "$seq" ] && [ "$(taken gm1)" = "$seq" ] && [ "$(taken gm2)" = "$seq" ]; }
rekey() { netlab_ksctl 1 rekey G1; }

bad_members=0 bad_seq=0 bad_keys=0 stuck=0
first_rekey() { rekey > /dev/null && netlab_wait 10 caught_up; }
check "a rekey on request reaches both members" first_rekey
before=$(members)
for ((i = 1; i <= kills; i++)); do
    seq=$(seq_of); generation=$(generation_of); keys=$(spis)
    # A rekey is asked for, and the server dies within the moment in which it is made, committed, pushed and acknowledged.
    rekey > "$NETLAB_DIR/rekey.out" 2>&1 &
    client=$!
    # A moment drawn anew each time, not a wait for something: the loop goes through all stages of a rekey.
    sleep "0.$(printf %03d $((RANDOM % 700 + 1)))"
    netlab_stop ksd1 KILL
    wait $client 2>/dev/null
    e2e_start_ksd
    e2e_ready || { echo "kill $i: not ready again"; stuck=$((stuck + 1)); break; }
    [ "$(members)" = "$before" ] || { echo "kill $i: members differ"; bad_members=$((bad_members + 1)); members; }
    now=$(seq_of)
    [ "$now" -ge "$seq" ] || { echo "kill $i: sequence went back from $seq to $now"; bad_seq=$((bad_seq + 1)); }
    # What the client was told is committed must be there.
    told=$(grep -Eo '[0-9]+' "$NETLAB_DIR/rekey.out" | tail -n 1)
    if grep -qi 'committed\|seq' "$NETLAB_DIR/rekey.out" && [ -n "$told" ] && ! grep -qi 'cannot\|fail\|error' "$NETLAB_DIR/rekey.out"; then
        [ "$now" -ge "$told" ] || { echo "kill $i: told seq $told, now $now"; bad_seq=$((bad_seq + 1)); }
    fi
    if [ "$(generation_of)" = "$generation" ] && [ "$(spis)" != "$keys" ]; then
        echo "kill $i: keys differ: $keys, now $(spis)"
        bad_keys=$((bad_keys + 1))
    fi
    # A rekey that was committed is finished after the restart: every member is on the group's sequence number.
    netlab_wait 20 caught_up || { echo "kill $i: members are at $(taken gm1), $(taken gm2), the group at $(seq_of)"; stuck=$((stuck + 1)); }
done
echo "$((i - 1)) kills, $(e2e_log_count gm1 GM_RECV_REKEY) rekeys taken by gm1"
check "members as before after each of $kills kills" [ $bad_members = 0 ]
check "the sequence never went back" [ $bad_seq = 0 ]
check "keys as before" [ $bad_keys = 0 ]
check "rekeys are finished and go on" [ $stuck = 0 ]
check "no member registered again" [ "$(e2e_log_count gm1 GM_REGS_COMPL)$(e2e_log_count gm2 GM_REGS_COMPL)" = 11 ]
check "no sequence failure at a member but repeats" bash -c "! grep -q GDOI_REKEY_FAILURE $NETLAB_DIR/gm1.log"
netlab_stop wan1 INT
check "one sequence number, one datagram (on the wire)" python3 "$root/tests/lib/push_bytes.py" \
    "$NETLAB_DIR/wan1.pcap" "$NETLAB_DIR/gm1.log" "$NETLAB_DIR/ksd1.log"
check "hosts still answer" netlab_in h1 ping -q -c 5 -i 0.05 -W 3 192.168.14.10
e2e_end
