#!/usr/bin/env bash
# Two key servers and a witness: it has a vote and no port for members; with its vote either server outlives the other.
set -u
E2E=qwi
. "$(dirname "$0")/../lib/e2e.sh"

# joins N ROLE: key server N joins with a token of that role and is ready. Voters are counted at the first: what N itself
# shows of its role may come a heartbeat later.
joins() {
    local token
    netlab_ksd_cluster_conf "$1"
    token=$(netlab_ksctl 1 cluster token --role "$2") || return 1
    netlab_start "ksd$1" "ks$1" "$NETLAB_BIN/ksd" -c "$NETLAB_DIR/ksd$1.conf" --join "$token"
    netlab_wait 30 netlab_api "$1" /readyz && netlab_wait 10 netlab_voters 1 "$1"
}
founds() {
    netlab_ksd_cluster_conf 1
    netlab_start ksd1 ks1 "$NETLAB_BIN/ksd" -c "$NETLAB_DIR/ksd1.conf"
    netlab_wait 30 netlab_api 1 /readyz
}
udp_ports() { netlab_in "ks$1" ss -Hulpn | grep -c ksd; }
has_no_udp() { [ "$(udp_ports "$1")" = 0 ]; }
listens_on_848() { netlab_in "ks$1" ss -Hulpn 'sport = :848' | grep -q ksd; }
no_capability() { grep -q '^CapEff:[[:space:]]*0*$' "/proc/$(pgrep -f "ksd -c $NETLAB_DIR/ksd$1.conf" | head -n 1)/status"; }
shows() { netlab_ksctl 3 "${@:2}" | grep -Eq "$1"; }
seq_at() { netlab_api "$1" /v1/groups/G1 | jq .seq; }
rekeys() { local before; before=$(seq_at "$1") && netlab_ksctl "$1" rekey G1 && [ "$(seq_at "$1")" = $((before + 1)) ]; }
never_primary() { ! netlab_is_primary 3; }

netlab_up 2 3
netlab_psk > /dev/null
check "a founder" founds
check "a second key server" joins 2 voter
check "a witness: three votes" joins 3 witness
[ "$failed" = 0 ] || { e2e_end; exit 1; }
for n in 1 2; do check "ks$n listens on 848" netlab_wait 5 listens_on_848 "$n"; done
check "the witness has no UDP port at all" has_no_udp 3
for n in 1 2 3; do check "ks$n has no capability left" no_capability "$n"; done
check "readyz of the witness: ready, and a witness" bash -c "ip netns exec $(netlab_ns ks3) curl -fsS http://127.0.0.1:8480/readyz | jq -e '.ready and .witness and .listen == null and (.reason | startswith(\"witness\"))'"
check "show crypto gdoi ks coop says so" netlab_wait 5 shows 'Local KS Role: Witness' show crypto gdoi ks coop
check "cluster status says so" netlab_wait 5 shows '10\.1\.21\.2 +witness +[0-9]+ +Witness' cluster status

# A member that is told of the witness first gets no answer there and goes on to the key servers.
netlab_gm_conf 1 10.1.21.2 10.1.11.2 10.1.12.2
netlab_gm_conf 2 10.1.12.2 10.1.11.2
netlab_start gm1 gm1 "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm1.conf"
netlab_start gm2 gm2 "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm2.conf"
check "gm2 registers" netlab_wait 30 netlab_registered 2
check "gm1 passes the witness and registers" netlab_wait 60 netlab_registered 1
check "the witness serves nobody" bash -c "! grep -q GM_REGS_COMPL $NETLAB_DIR/ksd3.log"
check "hosts behind them answer each other" netlab_in h1 ping -q -c 3 -i 0.05 -W 3 192.168.14.10
check "the first is primary" netlab_wait 10 netlab_is_primary 1
check "a rekey" rekeys 1
check "the three hold the same state" netlab_wait 10 netlab_same 1 2 3

# With the witness's vote the other server goes on.
netlab_stop ksd1 KILL
check "the primary dies: the other server is it" netlab_wait 15 netlab_is_primary 2
check "and rekeys" netlab_wait 10 rekeys 2
check "the witness is not" never_primary
check "hosts answer each other still" netlab_wait 10 netlab_in h1 ping -q -c 3 -i 0.05 -W 1 192.168.14.10
netlab_start ksd1 ks1 "$NETLAB_BIN/ksd" -c "$NETLAB_DIR/ksd1.conf"
check "the first comes back" netlab_wait 20 netlab_api 1 /readyz

# A witness that starts again knows its role.
netlab_stop ksd3
netlab_start ksd3 ks3 "$NETLAB_BIN/ksd" -c "$NETLAB_DIR/ksd3.conf"
check "the witness is ready again" netlab_wait 20 netlab_api 3 /readyz
check "and has no UDP port" has_no_udp 3
check "the three hold the same state" netlab_wait 10 netlab_same 1 2 3
netlab_stop ksd1 KILL
check "the second stays primary" netlab_wait 15 netlab_is_primary 2
check "and rekeys again" netlab_wait 10 rekeys 2
e2e_end
