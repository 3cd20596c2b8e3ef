#!/usr/bin/env bash
# Three key servers, one truth: they form by tokens, members register at different ones, the primary is killed and then cut off.
set -u
E2E=qth
. "$(dirname "$0")/../lib/e2e.sh"

now_ms() { local t=${EPOCHREALTIME/./}; echo $((t / 1000)); }
members_at() { netlab_api "$1" /v1/groups/G1/members | jq -e ".members | length == $2"; }
seq_at() { netlab_api "$1" /v1/groups/G1 | jq '.seq'; }
seq_beyond() { [ "$(seq_at "$1")" -gt "$2" ]; }
rekey_at() { netlab_ksctl "$1" rekey G1; }
registered_again() { e2e_log_at_least "$1" GM_REGS_COMPL "$2"; }
primaries_are() { [ "$(for n in 1 2 3; do netlab_is_primary "$n" > /dev/null 2>&1 && echo -n "$n"; done)" = "$1" ]; }

e2e_start_three
for n in 1 2 3; do check "ks$n knows both members" netlab_wait 5 members_at $n 2; done
check "hosts behind them answer each other" netlab_in h1 ping -q -c 5 -i 0.05 -W 3 192.168.14.10
check "a rekey" rekey_at 1
check "the three hold the same state" netlab_wait 10 netlab_same 1 2 3
seq=$(seq_at 2)

# kill -9 of the primary
start=$(now_ms)
netlab_stop ksd1 KILL
check "another one becomes primary" netlab_wait 15 netlab_is_primary 2
echo "# kill -9 of the primary -> new primary: $(($(now_ms) - start)) ms"
check "the next rekey happens" netlab_wait 10 rekey_at 2
echo "# kill -9 of the primary -> next rekey committed: $(($(now_ms) - start)) ms"
check "its number is the next one" [ "$(seq_at 3)" = $((seq + 1)) ]
netlab_stop gm2
before=$(e2e_log_count gm2 GM_REGS_COMPL)
start=$(now_ms)
netlab_start_gm 2
check "the next registration happens" netlab_wait 20 registered_again gm2 $((before + 1))
echo "# registration with two of three servers: $(($(now_ms) - start)) ms from the agent's start"
check "hosts answer each other still" netlab_wait 10 netlab_in h1 ping -q -c 3 -i 0.05 -W 1 192.168.14.10

# it comes back
netlab_start ksd1 ks1 "$NETLAB_BIN/ksd" -c "$NETLAB_DIR/ksd1.conf"
check "the killed one is ready again" netlab_wait 20 netlab_api 1 /readyz
check "and the other stays primary, though its priority is lower" primaries_are 2
check "the three hold the same state again" netlab_wait 10 netlab_same 1 2 3

# the primary is cut off
seq=$(seq_at 2)
ip -n "$(netlab_ns wan)" link set ks2 down
start=$(now_ms)
check "the majority elects: the best of the two" netlab_wait 15 netlab_is_primary 1
echo "# cut link of the primary -> new primary: $(($(now_ms) - start)) ms"
check "the one that is cut off makes no key" bash -c "! ip netns exec $(netlab_ns ks2) $NETLAB_BIN/ksctl rekey G1 2>/dev/null"
check "and says so: committed keys only" netlab_wait 10 bash -c "ip netns exec $(netlab_ns ks2) curl -sS http://127.0.0.1:8480/readyz | grep -q 'minority: serving committed keys until'"
check "the majority makes one" netlab_wait 10 rekey_at 1
check "the one that is cut off has the old number" [ "$(seq_at 2)" = "$seq" ]
check "the majority the next one" [ "$(seq_at 1)" = $((seq + 1)) ]
ip -n "$(netlab_ns wan)" link set ks2 up
check "healed: ready again" netlab_wait 20 netlab_api 2 /readyz
check "healed: one truth" netlab_wait 15 netlab_same 1 2 3
check "healed: the number of the majority" [ "$(seq_at 2)" = $((seq + 1)) ]
check "healed: one primary" primaries_are 1

# the third is lost with its disk
node_at() { netlab_api 1 /v1/cluster | jq -r ".nodes[] | select(.address == \"$1\") | .node_id"; }
remove() { netlab_ksctl 1 cluster remove "$(node_at 10.1.21.2)"; }
netlab_stop ksd3 KILL
check "a third that is lost is removed" netlab_wait 15 remove
check "two voters are left" netlab_wait 10 netlab_voters 1 2
rm -rf "$NETLAB_DIR/ks3.data"
netlab_start ksd3 ks3 "$NETLAB_BIN/ksd" -c "$NETLAB_DIR/ksd3.conf" --join "$(netlab_ksctl 1 cluster token)"
check "a new one takes its place" netlab_wait 20 netlab_api 3 /readyz
check "three voters again" netlab_wait 10 netlab_voters 1 3
check "with one truth" netlab_wait 10 netlab_same 1 2 3
levels() { netlab_api "$1" /v1/cluster | jq -e '.level == 1 and (.nodes | length == 3) and all(.nodes[]; .level == 1)'; }
for ks in 1 2 3; do
    check "server $ks shows the cluster and all builds at level 1" netlab_wait 5 levels "$ks"
done
netlab_ksctl 1 cluster status
netlab_ksctl 2 show crypto gdoi ks coop
e2e_end
