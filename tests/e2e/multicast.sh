#!/usr/bin/env bash
# Multicast of a host with back end user: as ESP by multicast routes to the TUN; and a route that leads past it to the WAN,
# which sends in clear where nothing stops it.
set -u
E2E=qmc
. "$(dirname "$0")/../lib/e2e.sh"

gcc -std=gnu11 -O1 -Wall -Werror "$root/tests/vm/mroute.c" -o "$NETLAB_DIR/mroute" || exit 1
ask() { "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm1.conf" "$@"; }
route() { # NODE IN OUT: where the multicast of h1 goes, from now on
    netlab_stop "mroute-$1" 2> /dev/null
    netlab_start "mroute-$1" "$1" "$NETLAB_DIR/mroute" "192.168.13.10,239.1.1.1,$2,$3"
    netlab_wait 5 grep -q routes "$NETLAB_DIR/mroute-$1.log"
}
cast() { netlab_in h1 ping -q -c 3 -i 0.1 -W 1 -t 8 239.1.1.1 > /dev/null; }
pcap="" takes=0
# What the WAN sees of three packets to the group. The ping behind them says that the capture has them.
take() {
    takes=$((takes + 1))
    netlab_capture "take$takes" wan gm1
    pcap=$NETLAB_DIR/take$takes.pcap
    cast
    netlab_in gm1 ping -q -c 1 -W 1 10.1.13.1 > /dev/null
    netlab_wait 5 marked
    netlab_stop "take$takes" INT
}
marked() { [ "$(netlab_count "$pcap" 'icmp and src 10.1.13.1')" -ge 1 ]; }
clear_is() { [ "$(netlab_count "$pcap" 'dst 239.1.1.1 and not ip proto 50')" = "$1" ]; }
esp_is() { [ "$(netlab_count "$pcap" 'src 192.168.13.10 and dst 239.1.1.1 and ip proto 50')" = "$1" ]; }
no_key() { ask show crypto ipsec sa json | jq .counters.no_key.count; }
table() { netlab_in gm1 nft list table ip quorate_gdoi0; }

netlab_up 2 1
netlab_psk > /dev/null
netlab_ksd_conf 1 aes256-sha256 7200 86400
sed -i 's|policy = (|policy = ( { src = "192.168.0.0/16"; dst = "239.0.0.0/8"; },|' "$NETLAB_DIR/ksd1.conf"
netlab_gm_conf 1 10.1.11.2
ip -n "$(netlab_ns h1)" route replace 239.0.0.0/8 dev eth0
check "site 1 routes multicast past the TUN" route gm1 lan0 wan0
take
check "without a member it leaves in clear" clear_is 3

netlab_start gm1 gm1 "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm1.conf"
is_closed() { table | grep -q 'counter name "leak" drop'; }
check "a member without a policy closes that way, too" netlab_wait 10 is_closed
take
check "nothing leaves in clear" clear_is 0
e2e_start_ksd
check "the key server is ready" e2e_ready
check "gm1 is registered" netlab_wait 60 netlab_registered 1
before=$(no_key)
take
check "with the policy nothing leaves in clear" clear_is 0
check "each is counted" [ "$(no_key)" = $((before + 3)) ]

kill -STOP "$(cat "$NETLAB_DIR/gm1.pid")"
netlab_in gm1 nft flush ruleset # as a firewall that is loaded anew
take
check "trap: without the agent's rules it leaves in clear" clear_is 3
kill -CONT "$(cat "$NETLAB_DIR/gm1.pid")"
put_back() { table 2> /dev/null | grep -q '239.0.0.0/8 counter name "leak" drop'; }
check "it puts them back" netlab_wait 10 put_back
check "and says so" netlab_wait 5 grep -q 'somebody changed our nftables table; put back' "$NETLAB_DIR/gm1.log"
take
check "and nothing leaves in clear" clear_is 0

check "site 1 routes multicast to the TUN" route gm1 lan0 gdoi0
take
check "it leaves as ESP" esp_is 3
check "and not in clear" clear_is 0
netlab_stop gm1 KILL
check "a route past the TUN again" route gm1 lan0 wan0
take
check "a killed member leaves its rules" clear_is 0
netlab_start gm1 gm1 "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm1.conf"
check "it comes back" netlab_wait 30 netlab_registered 1
netlab_stop gm1
check "and takes them away at its end" bash -c "! ip netns exec '$(netlab_ns gm1)' nft list ruleset | grep -q quorate"
e2e_end
