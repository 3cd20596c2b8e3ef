#!/usr/bin/env bash
# A way on which long packets vanish, and no router says so: the member finds it by asking a host behind the other one,
# names host and length, and says when it is over. With a router that complains it is no black hole.
set -u
E2E=qbh
. "$(dirname "$0")/../lib/e2e.sh"

path() { "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm1.conf" show crypto gdoi gm path "$@"; }
verdict() { path json | jq -r '.paths[0].verdict'; }
is() { [ "$(verdict)" = "$1" ]; }
passes() { path json | jq '.paths[0].passes'; }
restart_gm1() {
    netlab_stop gm1
    netlab_start gm1 gm1 "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm1.conf"
    netlab_wait 30 netlab_registered 1
}

netlab_up 2 1
netlab_psk > /dev/null
netlab_ksd_conf 1
for i in 1 2; do netlab_gm_conf $i 10.1.11.2; done
sed -i 's/tun = "gdoi0";/& probe = [ "192.168.14.10" ];/' "$NETLAB_DIR/gm1.conf"
e2e_start_ksd
check "the key server is ready" e2e_ready
for i in 1 2; do netlab_start gm$i gm$i "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm$i.conf"; done
for i in 1 2; do check "gm$i is registered" netlab_wait 30 netlab_registered $i; done
[ "$failed" = 0 ] || { e2e_end; exit 1; }
restart_gm1 # so that a round begins when both are there
check "the way is clear" netlab_wait 20 is clear

# The router's device takes in no more than that, and drops the rest without a word.
ip -n "$(netlab_ns wan)" link set gm1 mtu 1200
restart_gm1
check "a black hole is found" netlab_wait 60 is 'black hole'
echo "octets that pass: $(passes)"
check "it is as long as what passes" bash -c "[ $(passes) -gt 1050 ] && [ $(passes) -lt 1200 ]"
check "host and length are in the log" e2e_log_at_least gm1 "PATH_BLACK_HOLE: .*192.168.14.10: packets of $(passes) octets pass" 1
check "the command says so" grep -q '192.168.14.10 *: black hole, ' <<< "$(path)"
check "just that passes" netlab_in h1 ping -q -c 2 -i 0.2 -W 2 -M do -s $(($(passes) - 28)) 192.168.14.10
longer_is_lost() { ! netlab_in h1 ping -q -c 2 -i 0.2 -W 2 -M do -s $(($(passes) - 28 + 60)) 192.168.14.10 > /dev/null; }
check "and nothing much longer" longer_is_lost

ip -n "$(netlab_ns wan)" link set gm1 mtu 1500
ip -n "$(netlab_ns wan)" route replace 192.168.14.0/24 via 10.1.14.2 mtu 1200
restart_gm1
check "a way that the router complains of is clear, for shorter packets" netlab_wait 60 is clear
check "that much is known" bash -c "[ $(path json | jq '.paths[0].full') -lt 1200 ]"
netlab_in h2 ip link set eth0 down
restart_gm1
check "a host that is gone says nothing about the way" netlab_wait 20 is 'no answer'
e2e_end
