#!/usr/bin/env bash
# kill -9 of ksd while rekeys go on, again and again: members, keys and sequence numbers are as before, no sequence number is
# used twice for different bytes, rekeys go on. 15 times; QUORATE_LONG=1: 100.
set -u
E2E=qki
. "$(dirname "$0")/../lib/e2e.sh"

kills=15
[ -z "${QUORATE_LONG:-}" ] || kills=100
e2e_start 6 48
netlab_capture wan1 wan ks1

api() { netlab_api 1 "$1" 2>/dev/null; }
members() { api /v1/groups/G1/members | jq -S '[.members[] | {identity, registrations, first_registered}]'; }
seq_of() { api /v1/groups/G1 | jq .seq; }
generation_of() { api /v1/groups/G1 | jq .generation; }
spis() { api /v1/groups/G1/policy | jq -c '[.teks[].spi, .kek.spi]'; }
received() { e2e_log_count gm1 GM_RECV_REKEY; }
more_received() { [ "$(received)" -gt "$1" ]; }

bad_members=0 bad_seq=0 bad_keys=0 stuck=0
for ((i = 1; i <= kills; i++)); do
    before=$(members); seq=$(seq_of); generation=$(generation_of); keys=$(spis)
    # Half of the kills come while a rekey is being made and pushed: wait for the next one to be sent, then a random moment.
    if [ $((i % 2)) = 0 ]; then
        sent=$(e2e_log_count ksd1 KS_SEND_UNICAST_REKEY)
        netlab_wait 10 e2e_log_at_least ksd1 KS_SEND_UNICAST_REKEY $((sent + 1))
    fi
    read -rt "0.$((RANDOM % 1000 + 1000))" <> <(:) || true
    got=$(received)
    netlab_stop ksd1 KILL
    e2e_start_ksd
    e2e_ready || { echo "kill $i: not ready again"; stuck=$((stuck + 1)); break; }
    [ "$(members)" = "$before" ] || { echo "kill $i: members differ"; bad_members=$((bad_members + 1)); members; }
    [ "$(seq_of)" -ge "$seq" ] || { echo "kill $i: sequence went back from $seq"; bad_seq=$((bad_seq + 1)); }
    if [ "$(generation_of)" = "$generation" ] && [ "$(spis)" != "$keys" ]; then
        echo "kill $i: keys differ: $keys, now $(spis)"
        bad_keys=$((bad_keys + 1))
    fi
    if [ $((i % 5)) = 0 ]; then
        netlab_wait 15 more_received "$got" || { echo "kill $i: no rekey after"; stuck=$((stuck + 1)); }
    fi
done
echo "$((i - 1)) kills, $(received) rekeys taken by gm1"
check "members as before after each of $kills kills" [ $bad_members = 0 ]
check "the sequence never went back" [ $bad_seq = 0 ]
check "keys as before" [ $bad_keys = 0 ]
check "rekeys go on" [ $stuck = 0 ]
check "no member registered again" [ "$(e2e_log_count gm1 GM_REGS_COMPL)$(e2e_log_count gm2 GM_REGS_COMPL)" = 11 ]
check "no sequence failure at a member but repeats" bash -c "! grep -q GDOI_REKEY_FAILURE $NETLAB_DIR/gm1.log"
netlab_stop wan1 INT
check "one sequence number, one datagram (on the wire)" python3 "$root/tests/lib/push_bytes.py" \
    "$NETLAB_DIR/wan1.pcap" "$NETLAB_DIR/gm1.log" "$NETLAB_DIR/ksd1.log"
check "hosts still answer" netlab_in h1 ping -q -c 5 -i 0.05 -W 3 192.168.14.10
e2e_end
