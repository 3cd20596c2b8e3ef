#!/usr/bin/env bash
# Protected IPv6 with key management on IPv4: hosts behind two members, on the WAN nothing but ESP over IPv6 with the hosts' own
# addresses, through rekeys; long packets are answered; clear ones from outside dropped; a member with xfrm refuses the policy.
set -u
E2E=qsix
. "$(dirname "$0")/../lib/e2e.sh"

site() { echo "2001:db8:$((12 + $1))"; } # site N: its prefix of 48 bits
on() { # on NODE: IPv6, and forwarding
    netlab_in "$1" sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0 net.ipv6.conf.all.forwarding=1 \
        net.ipv6.conf.all.accept_dad=0
}
six() { local node=$1; shift; ip -n "$(netlab_ns "$node")" -6 "$@"; }
six_up() { # the laboratory's network once more, in IPv6
    local i
    on wan
    for i in 1 2; do
        on "gm$i"
        on "h$i"
        six wan addr add "2001:db8:fff$i::1/64" dev "gm$i" nodad
        six "gm$i" addr add "2001:db8:fff$i::2/64" dev wan0 nodad
        six "gm$i" addr add "$(site "$i")::1/48" dev lan0 nodad
        six "h$i" addr add "$(site "$i")::10/48" dev eth0 nodad
        six "gm$i" route add default via "2001:db8:fff$i::1"
        six "h$i" route add default via "$(site "$i")::1"
        six wan route add "$(site "$i")::/48" via "2001:db8:fff$i::2"
    done
}
show() { local n=$1; shift; "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm$n.conf" "$@"; }
counter() { show "$1" show crypto ipsec sa json | jq ".counters.$2.count"; }
counted() { [ "$(counter "$1" "$2")" -ge "$3" ]; }
hosts() { netlab_count "$NETLAB_DIR/wan.pcap" "$1"; }
in_clear() { [ "$(hosts "ip6 and (net $(site 1)::/48 or net $(site 2)::/48) and not ip6 proto 50")" != 0 ]; }
not() { ! "$@"; }
wire_has() { [ "$(hosts "ip6 proto 50")" -ge "$1" ]; }
ping6() { netlab_in h1 ping -6 -q "$@" "$(site 2)::10"; }
told() { six h1 route get "$(site 2)::10" | grep -o 'mtu [0-9]*' | cut -d' ' -f2; }
is_told() { [ -n "$(told)" ]; }
long_ping() { ping6 -c 1 -W 1 -M do -s 1360; is_told; }

netlab_up 2 1
six_up
netlab_psk > /dev/null
netlab_ksd_conf 1 aes256-gcm16 6 86400
sed -i 's|^ *policy = .*|        policy = ( { src = "2001:db8::/32"; dst = "2001:db8::/32"; }, { src = "192.168.0.0/16"; dst = "192.168.0.0/16"; } );|' \
    "$NETLAB_DIR/ksd1.conf"
sed -i 's/sid_bits = 16;/sid_bits = 8;/' "$NETLAB_DIR/ksd1.conf" # xfrm could do that
netlab_gm_conf 1 10.1.11.2
netlab_gm_conf 2 10.1.11.2
e2e_start_ksd
check "the key server is ready" e2e_ready
netlab_capture wan wan gm1
check "without a member hosts talk in clear" netlab_wait 5 ping6 -c 1 -W 1
check "and the capture shows it" netlab_wait 5 in_clear
netlab_stop wan INT
rm "$NETLAB_DIR/wan.pcap"
netlab_start gm1 gm1 "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm1.conf"
netlab_start gm2 gm2 "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm2.conf"
check "gm1 is registered" netlab_wait 30 netlab_registered 1
check "gm2 is registered" netlab_wait 30 netlab_registered 2
check "the policy came over as IPv6" grep -q '2001:db8::/ffff:ffff::/0/0' <<< "$(show 2 show crypto ipsec sa)"

netlab_capture wan wan gm1
netlab_start ping12 h1 ping -6 -q -i 0.02 -c 700 -W 2 "$(site 2)::10"
check "IPv4 beside it" netlab_in h1 ping -q -c 5 -i 0.1 -W 3 192.168.14.10
netlab_wait 40 grep -q 'packet loss' "$NETLAB_DIR/ping12.log"
grep -h 'packet loss' "$NETLAB_DIR/ping12.log"
check "no packet lost" grep -q ' 0% packet loss' "$NETLAB_DIR/ping12.log"
check "through rekeys" e2e_log_at_least gm1 SA_TEK_UPDATED 3
check "and datagrams that the hosts cut" ping6 -c 3 -i 0.2 -W 3 -s 4000 -M want
netlab_wait 5 wire_has 1400
netlab_stop wan INT
check "ESP with the hosts' own addresses" [ "$(hosts "ip6 proto 50 and src $(site 1)::10 and dst $(site 2)::10")" -ge 700 ]
check "and back" [ "$(hosts "ip6 proto 50 and src $(site 2)::10 and dst $(site 1)::10")" -ge 700 ]
check "nothing of the hosts in clear" not in_clear
check "neither in IPv4" [ "$(hosts 'net 192.168.0.0/16 and not ip proto 50')" = 0 ]

check "a host is told what fits beside ESP" netlab_wait 10 long_ping
check "then long packets pass" ping6 -c 3 -i 0.1 -W 3 -s 1360
ip -n "$(netlab_ns wan)" link set gm2 mtu 1380
ip -n "$(netlab_ns gm2)" link set wan0 mtu 1380 # gm2 looks at it when keys change
ip -n "$(netlab_ns h1)" -6 route flush cache
narrow() { ping6 -c 1 -W 1 -M do -s 1300; [ "$(told)" -lt 1340 ]; }
check "and of a narrow way behind, of which a router complained" netlab_wait 10 narrow
check "which is in the log" grep -q "PATH_MTU_FOUND.*$(site 2)::10" "$NETLAB_DIR/gm1.log"
check "then they pass again" netlab_wait 15 ping6 -c 1 -W 1 -s 1300

six wan addr add 2001:db8:99::1/128 dev lo
before=$(counter 1 not_ipsec)
netlab_in wan ping -6 -q -c 2 -i 0.1 -W 1 -I 2001:db8:99::1 "$(site 1)::10" > /dev/null
check "clear packets from outside do not get in" netlab_wait 5 counted 1 not_ipsec $((before + 1))
check "a packet is followed" grep -q 'Verdict: protected' <<< "$(show 1 trace lan icmp6 "$(site 1)::10" "$(site 2)::10")"

netlab_capture killed wan gm1
netlab_stop gm1 KILL
check "a killed member lets nobody through" not ping6 -c 5 -i 0.1 -W 1
netlab_in gm1 ping -q -c 2 -i 0.1 -W 1 10.1.13.1 > /dev/null # seen by the capture behind them
killed_has() { [ "$(netlab_count "$NETLAB_DIR/killed.pcap" "icmp")" -ge 4 ]; }
netlab_wait 5 killed_has
netlab_stop killed INT
check "neither in clear" [ "$(netlab_count "$NETLAB_DIR/killed.pcap" "ip6 and src $(site 1)::10 and not ip6 proto 50")" = 0 ]
netlab_start gm1 gm1 "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm1.conf"
check "and is there again" netlab_wait 40 ping6 -c 1 -W 1

netlab_stop gm2
# Back end xfrm cannot do IPv6: without it h2 talks in clear, with it nothing of h2 leaves.
from_h2() { netlab_count "$NETLAB_DIR/$1.pcap" "ip6 and src $(site 2)::10"; }
seen_from_h2() { netlab_in h2 ping -6 -q -c 1 -W 1 "$(site 1)::10" > /dev/null; [ "$(from_h2 "$1")" != 0 ]; }
seen_marker() { [ "$(netlab_count "$NETLAB_DIR/$1.pcap" "icmp")" -ge 2 ]; }
netlab_capture bare wan gm2
check "without an agent h2 talks in clear" netlab_wait 10 seen_from_h2 bare
netlab_stop bare INT
sed -i 's/backend = "user"/backend = "xfrm"/' "$NETLAB_DIR/gm2.conf"
netlab_start gm2x gm2 "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm2.conf"
refused() { grep -q 'IPv6 selectors are not supported by this data path' "$NETLAB_DIR/gm2x.log"; }
check "back end xfrm refuses the whole policy" netlab_wait 20 refused
check "and registers no policy" bash -c "! '$NETLAB_BIN/gm-agent' -c '$NETLAB_DIR/gm2.conf' show crypto gdoi 2>/dev/null | grep -q 'Registration status *: Registered'"
netlab_capture shut wan gm2
check "without a policy, IPv6 of hosts does not pass in either direction" \
    bash -c "! ip netns exec '$(netlab_ns h2)' ping -6 -q -c 5 -i 0.1 -W 1 '$(site 1)::10'"
netlab_in gm2 ping -q -c 2 -i 0.1 -W 1 10.1.14.1 > /dev/null
check "the capture is up to date" netlab_wait 5 seen_marker shut
check "nothing of h2 is on the WAN" [ "$(from_h2 shut)" = 0 ]
check "it is counted" netlab_wait 5 counted 2 no_key 5
before=$(counter 2 not_ipsec)
netlab_in wan ping -6 -q -c 3 -i 0.1 -W 1 -I 2001:db8:99::1 "$(site 2)::10" > /dev/null
check "what comes from outside as well" netlab_wait 5 counted 2 not_ipsec $((before + 3))
check "the member's own IPv6 works" netlab_in gm2 ping -6 -q -c 1 -W 3 2001:db8:fff2::1
check "also on the LAN" netlab_in gm2 ping -6 -q -c 1 -W 3 "$(site 2)::10"
netlab_stop shut INT
netlab_stop gm2x
check "at its end it opens the door" bash -c "! ip netns exec '$(netlab_ns gm2)' nft list ruleset | grep -q quorate"
e2e_end
