#!/usr/bin/env bash
# A partition that leaves the primary alone, with a member on each side: the primary makes no key, the majority elects and rekeys, and the
# members go on talking to each other through two TEK lifetimes, as both sides roll to the same committed keys. After healing: one
# KEK, one primary, no manual step.
set -u
E2E=qpt
. "$(dirname "$0")/../lib/e2e.sh"
tek=60 # seconds; a rekey every half of it

eval "$(declare -f netlab_ksd_cluster_conf | sed '1s/netlab_ksd_cluster_conf/plain_cluster_conf/')"
netlab_ksd_cluster_conf() {
    plain_cluster_conf "$@"
    sed -i -e "s/lifetime_s = $tek; }/lifetime_s = $tek; runway = 4; }/" -e 's/cluster = {/cluster = { minority_serve_s = 300;/' \
        "$NETLAB_DIR/ksd$1.conf"
}
group_at() { netlab_api "$1" /v1/groups/G1 | jq -r ".$2"; }
teks_at() { netlab_api "$1" /v1/groups/G1/policy | jq -r '[.teks[].spi] | sort | join(" ")'; }
kek_at() { netlab_api "$1" /v1/groups/G1/policy | jq -r .kek.spi; }
members_at() { netlab_api "$1" /v1/groups/G1/members | jq -e ".members | length == $2"; }
seq_beyond() { [ "$(group_at "$1" seq)" -gt "$2" ]; }
# Of ks1's /readyz, whatever its status; false while nobody answers.
readyz_is() { local answer; answer=$(netlab_in ks1 curl -sS http://127.0.0.1:8480/readyz) && jq -e "$1" <<< "$answer"; }
says_minority() { readyz_is '.ready and (.reason | startswith("minority: serving committed keys until"))'; }
says_nothing() { readyz_is '.ready and .minority == null and .reason == ""'; }
status_says_until() { netlab_ksctl 1 cluster status | grep -q '^Minority   : no quorum, serving committed keys until 20'; }
status_says_nothing() { netlab_ksctl 1 json cluster status | jq -e '.minority == null'; }
primaries_are() { [ "$(for n in 1 2 3; do netlab_is_primary "$n" > /dev/null 2>&1 && echo -n "$n"; done)" = "$1" ]; }
# Between two networks, both ways, nothing is forwarded any more (add), or it is again (del).
cut_between() { ip -n "$(netlab_ns wan)" rule "$1" from "$2.0/24" to "$3.0/24" blackhole && ip -n "$(netlab_ns wan)" rule "$1" from "$3.0/24" to "$2.0/24" blackhole; }
partition() { # add | del: ks1 and gm1 on one side, ks2, ks3 and gm2 on the other; the members reach each other
    local far
    for far in 10.1.12 10.1.21; do
        cut_between "$1" 10.1.11 "$far"
        cut_between "$1" 10.1.13 "$far"
    done
    cut_between "$1" 10.1.11 10.1.14
}
# Packets that a ping without end, begun by netlab_start NAME, has sent and has had no answer to.
losses() { netlab_stop "$1" INT; sed -n 's/^\([0-9]*\) packets transmitted, \([0-9]*\) received.*/\1 \2/p' "$NETLAB_DIR/$1.log" | tail -n 1; }
ping_begin() { netlab_start "$1" h1 ping -q -i 0.1 -W 2 192.168.14.10; }
few_lost() { # NAME MAX
    local sent got
    read -r sent got <<< "$(losses "$1")"
    echo "# $1: $sent sent, $((sent - got)) lost"
    [ "$sent" -gt 0 ] && [ $((sent - got)) -le "$2" ]
}

e2e_start_three "$tek"
require "hosts behind them answer each other" netlab_in h1 ping -q -c 5 -i 0.05 -W 3 192.168.14.10
seq=$(group_at 1 seq)
check "a first rekey, while all is whole" netlab_wait 60 seq_beyond 1 "$seq"
check "the three hold the same state" netlab_wait 15 netlab_same 1 2 3
kek=$(kek_at 1)

seq=$(group_at 1 seq)
teks=$(teks_at 1)
rekeys=$(e2e_log_count ksd1 KS_SEND_UNICAST_REKEY)
partition add
start=$SECONDS
ping_begin split
check "the majority elects" netlab_wait 15 netlab_is_primary 2
check "the one that is alone says that it serves committed keys only" netlab_wait 15 says_minority
check "in ksctl cluster status as well" netlab_wait 5 status_says_until
check "and is no primary for pushes" bash -c "! ip netns exec $(netlab_ns ks1) $NETLAB_BIN/ksctl rekey G1 2>/dev/null"
check "the majority rekeys" netlab_wait 60 seq_beyond 2 "$seq"
check "and again" netlab_wait 60 seq_beyond 2 $((seq + 1))
check "through two TEK lifetimes: the member with the cut-off server comes for its keys" netlab_wait 120 e2e_log_at_least ksd1 KS_MINORITY_SERVED 3
while [ $((SECONDS - start)) -lt $((2 * tek + 5)) ]; do sleep 1; done # the measured time itself
check "the one that is alone made no key: same sequence number" [ "$(group_at 1 seq)" = "$seq" ]
check "same TEKs" [ "$(teks_at 1)" = "$teks" ]
check "and sent no rekey" [ "$(e2e_log_count ksd1 KS_SEND_UNICAST_REKEY)" = "$rekeys" ]
echo "# the majority made $(($(group_at 2 seq) - seq)) rekeys in $((SECONDS - start)) s"
check "members on both sides lost hardly a packet in two TEK lifetimes" few_lost split 5

# its process dies, and the next one begins without the others
until_at() { readyz_is '.reason | sub("minority: serving committed keys until "; "") | fromdate'; }
until_before=$(until_at)
served=$(e2e_log_count ksd1 KS_MINORITY_SERVED)
netlab_stop ksd1 KILL
netlab_start ksd1 ks1 "$NETLAB_BIN/ksd" -c "$NETLAB_DIR/ksd1.conf"
check "started again alone, it says that it serves committed keys" netlab_wait 15 says_minority
echo "# until $until_before before, $(until_at) now"
check "and not for longer than before" [ "$(until_at)" -le "$((until_before + 1))" ]
registered=$(e2e_log_count gm1 GM_REGS_COMPL)
netlab_stop gm1
netlab_start_gm 1
check "a member that starts anew gets them" netlab_wait 30 e2e_log_at_least gm1 GM_REGS_COMPL $((registered + 1))
check "from it, without a quorum" e2e_log_at_least ksd1 KS_MINORITY_SERVED $((served + 1))
check "and reaches the other side" netlab_wait 15 netlab_in h1 ping -q -c 3 -i 0.05 -W 1 192.168.14.10
check "it made no key: same sequence number, same TEKs" [ "$(group_at 1 seq) $(teks_at 1)" = "$seq $teks" ]

partition del
ping_begin healed
start=$SECONDS
check "healed: all ready" netlab_wait 20 netlab_api 1 /readyz
check "healed: the one that was alone does not say minority any more" netlab_wait 15 says_nothing
check "nor in the cluster's status" netlab_wait 5 status_says_nothing
check "healed: one truth" netlab_wait 20 netlab_same 1 2 3
check "healed: one primary, the one of the majority" netlab_wait 10 primaries_are 2
check "healed: one KEK" [ "$(kek_at 1) $(kek_at 2)" = "$kek $kek" ]
for n in 1 2 3; do check "healed: ks$n knows both members" netlab_wait 10 members_at $n 2; done
seq=$(group_at 2 seq)
received=$(e2e_log_count gm1 GM_RECV_REKEY)
check "healed: the next rekey comes" netlab_wait 60 seq_beyond 2 "$seq"
check "healed: it reaches the member that was with the minority" netlab_wait 15 e2e_log_at_least gm1 GM_RECV_REKEY $((received + 1))
while [ $((SECONDS - start)) -lt 65 ]; do sleep 1; done # over the takeover of that key
check "healed: hardly a packet lost" few_lost healed 5
e2e_end
