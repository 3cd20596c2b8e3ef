# traps.sh - each way in which a group's packets could leave or enter in clear, get lost or loop: first without the
# guard (the agent is stopped and its rule taken away), then with it. Two branches with the kernel's IPsec.
. /suite/lib.sh

netlab_up 2 1
netlab_psk > /dev/null
ksd_conf aes256-sha256
sed -i 's|policy = (|policy = ( { src = "192.168.0.0/16"; dst = "239.0.0.0/8"; },|' "$NETLAB_DIR/ksd1.conf"
both='src = "192.168.0.0/16"; dst = "192.168.0.0/16"; protocol = "tcp";'
for i in 1 2; do
    netlab_gm_conf $i 10.1.11.2
    use_xfrm $i
    sed -i "s|tun = \"gdoi0\";|tun = \"gdoi0\"; deny = ( { $both dst_port = 5202; }, { $both src_port = 5202; } );|" "$NETLAB_DIR/gm$i.conf"
done
table="ip quorate_gdoi0"
gm1() { netlab_in gm1 "$@"; }

# Until there are keys nothing is known of what is protected; then keys and policy come together.
netlab_start ksd1 ks1 ksd -c "$NETLAB_DIR/ksd1.conf"
for i in 1 2; do start_gm $i; done
for i in 1 2; do check "site $i is registered" netlab_wait 40 netlab_registered $i; done
[ "$failed" = 0 ] || { suite_end; exit; }
check "ping 1 to 2" pings 1 2

capture() { netlab_capture "$1" wan gm1; }
# What went to site 2 and was not ESP, whatever its source.
leaked() { netlab_stop "$1"; netlab_count "$NETLAB_DIR/$1.pcap" 'dst net 192.168.14.0/24 and not ip proto 50'; }
unguarded() { kill -STOP "$(cat "$NETLAB_DIR/gm1.pid")"; }
guarded() { kill -CONT "$(cat "$NETLAB_DIR/gm1.pid")"; }
try_ping() { netlab_in h1 ping -q -c "${1:-3}" -i 0.2 -W 1 "${@:2}" "$(host 2)" > /dev/null; }

# 1. masquerade on the WAN changes the source before the policy is asked again
gm1 nft 'add table ip nat; add chain ip nat post { type nat hook postrouting priority 100; }; add rule ip nat post oifname wan0 masquerade'
unguarded
gm1 nft flush chain $table leaving
capture leak1; try_ping
check "trap: masquerade sends protected packets in clear" [ "$(leaked leak1)" -gt 0 ]
guarded
check "the flushed chain is put back" netlab_wait 10 log_at_least gm1 'nftables table; put back' 1
capture leak2; try_ping
check "masquerade: the guard stops them" [ "$(leaked leak2)" = 0 ]
check "and counts them" counter_above 1 no_key 0
gm1 nft insert rule ip nat post rt ipsec exists accept
check "with an exception for IPsec they are encrypted" pings 1 2
gm1 nft delete table ip nat

# 2. policies flushed by somebody
unguarded
gm1 ip xfrm policy flush
gm1 nft flush chain $table leaving
capture leak3; try_ping
check "trap: without policies packets leave in clear" [ "$(leaked leak3)" -gt 0 ]
gm1 nft add rule $table leaving ip saddr 192.168.0.0/16 ip daddr 192.168.0.0/16 drop # as the agent has it
capture leak4; try_ping
check "flushed policies: the guard alone stops them" [ "$(leaked leak4)" = 0 ]
guarded
check "flushed policies are put back" netlab_wait 10 log_at_least gm1 'SAs and' 1
check "and packets flow again" netlab_wait 10 pings 1 2

# 3. the whole ruleset flushed, as a firewall does when it is loaded anew
capture leak5
gm1 nft flush ruleset
check "a flushed ruleset is put back" netlab_wait 10 log_at_least gm1 'nftables table; put back' 2
check "packets flow after a reload of the firewall" netlab_wait 10 pings 1 2
check "nothing left in clear meanwhile" [ "$(leaked leak5)" = 0 ]

# 4. ESP without its addresses
unguarded
gm1 nft flush chain $table restore
capture anchor; try_ping 2; netlab_stop anchor
check "unrestored ESP goes nowhere" [ "$(netlab_count "$NETLAB_DIR/anchor.pcap" 'dst host 100.127.0.1 or dst net 192.168.14.0/24')" = 0 ]
guarded
check "ESP is restored again" netlab_wait 10 pings 1 2
check "unrestored ESP was counted" counter_above 1 send_error 0

# 5. clear packets and unknown SPIs from the WAN
ip -n q-wan addr add 192.168.13.77/32 dev lo
netlab_capture inject h2 eth0
netlab_in wan ping -q -c 3 -i 0.2 -W 1 -I 192.168.13.77 "$(host 2)" > /dev/null
check "clear packets from the WAN are counted" counter_above 2 not_ipsec 2
ip -n q-wan xfrm state add src 192.168.13.77 dst "$(host 2)" proto esp spi 0x9999 mode transport auth-trunc 'hmac(sha256)' 0x01020304 128 enc 'cbc(aes)' 0x000102030405060708090a0b0c0d0e0f
ip -n q-wan xfrm policy add src 192.168.13.77 dst "$(host 2)" dir out tmpl proto esp mode transport
netlab_in wan ping -q -c 3 -i 0.2 -W 1 -I 192.168.13.77 "$(host 2)" > /dev/null
check "ESP under an unknown SPI is counted" counter_above 2 invalid_spi 2
# 6. and under a known SPI, with a wrong key
spi=$(netlab_in gm2 ip xfrm policy list dir out | grep -o 'spi 0x[0-9a-f]*' | head -n 1 | cut -d' ' -f2)
ip -n q-wan xfrm state flush
ip -n q-wan xfrm state add src 192.168.13.77 dst "$(host 2)" proto esp spi "$spi" mode transport auth-trunc 'hmac(sha256)' 0x01020304 128 enc 'cbc(aes)' 0x000102030405060708090a0b0c0d0e0f
netlab_in wan ping -q -c 3 -i 0.2 -W 1 -I 192.168.13.77 "$(host 2)" > /dev/null
check "forged ESP is counted" counter_above 2 verify_error 2
netlab_stop inject
check "none of it reached the host" [ "$(netlab_count "$NETLAB_DIR/inject.pcap" 'src host 192.168.13.77')" = 0 ]
ip -n q-wan xfrm state flush; ip -n q-wan xfrm policy flush

# 7. path MTU: a narrow link behind the router
check "a packet that fits with DF passes" pings 1 2 2 -M do -s 1394
check "the router tells a host what fits" bash -c "ip netns exec q-h1 ping -c 1 -W 1 -M do -s 1472 192.168.14.10 2>&1 | grep -qE 'mtu ?= ?14[0-9][0-9]'"
ip -n q-wan link set gm2 mtu 1300
ip -n q-gm2 link set wan0 mtu 1300
check "no black hole: ESP is fragmented on the way" pings 1 2 3 -M do -s 1350
ip -n q-wan link set gm2 mtu 1500
ip -n q-gm2 link set wan0 mtu 1500

# 8. multicast of the site itself
capture mcast
gm1 ping -q -c 2 -i 0.2 -W 1 -I wan0 -I 192.168.13.1 239.1.1.1 > /dev/null 2>&1
netlab_stop mcast
check "multicast leaves as ESP to the group" [ "$(netlab_count "$NETLAB_DIR/mcast.pcap" 'src host 192.168.13.1 and dst host 239.1.1.1 and ip proto 50')" = 2 ]
check "under the group's Ethernet address" bash -c "tcpdump -e -n -r $NETLAB_DIR/mcast.pcap 'dst host 239.1.1.1' 2>/dev/null | grep -q '01:00:5e:01:01:01'"
check "and not in clear" [ "$(netlab_count "$NETLAB_DIR/mcast.pcap" 'dst host 239.1.1.1 and not ip proto 50')" = 0 ]

# 9. TCP through both, for the record
netlab_start iperf h2 iperf3 -s -1
netlab_wait 5 grep -q listening "$NETLAB_DIR/iperf.log"
netlab_in h1 iperf3 -c "$(host 2)" -t 3 -f m > "$NETLAB_DIR/tcp.log" 2>&1
grep receiver "$NETLAB_DIR/tcp.log"
check "TCP flows" grep -q receiver "$NETLAB_DIR/tcp.log"

# 10. a local exception passes in clear, both ways, and only that
capture deny
netlab_start iperf2 h2 iperf3 -s -1 -p 5202
netlab_wait 5 grep -q listening "$NETLAB_DIR/iperf2.log"
netlab_in h1 iperf3 -c "$(host 2)" -p 5202 -n 100K > "$NETLAB_DIR/tcp2.log" 2>&1
check "TCP to the excepted port flows" grep -q receiver "$NETLAB_DIR/tcp2.log"
check "and a ping beside it" pings 1 2
netlab_stop deny
check "the excepted port is seen in clear" [ "$(netlab_count "$NETLAB_DIR/deny.pcap" 'tcp port 5202')" -gt 4 ]
check "nothing else of the hosts is" [ "$(netlab_count "$NETLAB_DIR/deny.pcap" 'net 192.168.0.0/16 and not tcp port 5202 and not ip proto 50')" = 0 ]

# 11. an end in order leaves nothing
netlab_stop gm1
check "no SA, policy, table or route is left" bash -c "[ -z \"\$(ip netns exec q-gm1 bash -c 'ip xfrm state; ip xfrm policy; nft list ruleset; ip route show 100.127.0.1')\" ]"
suite_end
