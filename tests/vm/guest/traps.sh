# traps.sh - what other software of a router does to a group's packets, so that they leave in clear, get lost or go
# astray (DATAPATH 9): first without the guard (the agent is held and its rule taken away), then with it. Two branches with
# the kernel's IPsec. See policies.sh and paths.sh for DATAPATH 6 and 7, uplinks.sh for several uplinks.
. /suite/lib.sh

netlab_up 2 1
netlab_psk > /dev/null
ksd_conf aes256-sha256
both='src = "192.168.0.0/16"; dst = "192.168.0.0/16"; protocol = "tcp";'
for i in 1 2; do
    netlab_gm_conf $i 10.1.11.2
    use_xfrm $i
    sed -i "s|tun = \"gdoi0\";|tun = \"gdoi0\"; deny = ( { $both dst_port = 5202; }, { $both src_port = 5202; } );|" "$NETLAB_DIR/gm$i.conf"
done
netlab_start ksd1 ks1 ksd -c "$NETLAB_DIR/ksd1.conf"
for i in 1 2; do start_gm $i; done
for i in 1 2; do check "site $i is registered" netlab_wait 40 netlab_registered $i; done
[ "$failed" = 0 ] || { suite_end; exit; }
check "ping 1 to 2" pings 1 2
table="ip quorate_gdoi0"
gm1() { netlab_in gm1 "$@"; }
gm2() { netlab_in gm2 "$@"; }
# What goes to site 2 and is not ESP, whatever its source.
leaked() { seen wan gm1 'dst net 192.168.14.0/24 and not ip proto 50' "$@"; }

# 1. masquerade on the WAN changes the source before the policy is asked again
gm1 nft 'add table ip nat; add chain ip nat post { type nat hook postrouting priority 100; }; add rule ip nat post oifname wan0 masquerade'
held 1
gm1 nft flush chain $table leaving
check "trap: masquerade sends protected packets in clear" [ "$(leaked try_ping)" -gt 0 ]
let_go 1 "$rules"
check "masquerade: the guard stops them" [ "$(leaked try_ping)" = 0 ]
check "and counts them" counter_above 1 no_key 0
gm1 nft insert rule ip nat post rt ipsec exists accept
check "with an exception for IPsec they are encrypted" pings 1 2

# 2. ESP that is tracked is masqueraded as well
masqueraded() { seen wan gm1 'ip proto 50 and src host 10.1.13.2' try_ping; }
held 1
gm1 nft flush chain $table untracked
check "trap: where ESP is tracked it gets the router's address" [ "$(masqueraded)" -gt 0 ]
let_go 1 "$rules"
check "untracked it keeps the host's" [ "$(masqueraded)" = 0 ]
check "and is understood" pings 1 2
gm1 nft delete table ip nat

# 3. policies flushed by somebody
held 1
gm1 ip xfrm policy flush
gm1 nft flush chain $table leaving
check "trap: without policies packets leave in clear" [ "$(leaked try_ping)" -gt 0 ]
gm1 nft add rule $table leaving ip saddr 192.168.0.0/16 ip daddr 192.168.0.0/16 drop # as the agent has it
check "flushed policies: the guard alone stops them" [ "$(leaked try_ping)" = 0 ]
let_go 1 "$rules" "$policies"
check "flushed policies are put back, and packets flow again" netlab_wait 10 pings 1 2

# 4. the whole ruleset flushed, as a firewall does when it is loaded anew
reload() {
    local before
    before=$(log_count gm1 "$rules")
    gm1 nft flush ruleset
    netlab_wait 10 log_at_least gm1 "$rules" $((before + 1)) && netlab_wait 10 pings 1 2
}
check "nothing leaves in clear while a firewall is loaded anew" [ "$(leaked reload)" = 0 ]
check "and packets flow afterwards" pings 1 2

# 5. ESP without its addresses
to_anchor() { seen wan gm1 'dst host 100.127.0.1' try_ping 2; }
held 1
gm1 nft flush chain $table restore
gm1 nft flush chain $table guard
gm1 nft flush chain netdev quorate_gdoi0 egress
check "trap: ESP whose addresses were not restored goes to the anchor" [ "$(to_anchor)" -gt 0 ]
let_go 1 "$rules"
held 1
gm1 nft flush chain $table restore
check "the guards stop it" [ "$(to_anchor)" = 0 ]
let_go 1 "$rules"
check "ESP is restored again" netlab_wait 10 pings 1 2
check "what was stopped is counted" counter_above 1 send_error 0

# 6. ESP under an unknown SPI, and under a known one with a wrong key
ip -n q-wan addr add 192.168.13.77/32 dev lo
keys="auth-trunc hmac(sha256) 0x01020304 128 enc cbc(aes) 0x000102030405060708090a0b0c0d0e0f"
forge() { # SPI
    ip -n q-wan xfrm state flush
    ip -n q-wan xfrm state add src 192.168.13.77 dst "$(host 2)" proto esp spi "$1" mode transport $keys
    netlab_in wan ping -q -c 3 -i 0.2 -W 1 -I 192.168.13.77 "$(host 2)"
}
reached() { seen h2 eth0 'src host 192.168.13.77' forge "$1"; }
ip -n q-wan xfrm policy add src 192.168.13.77 dst "$(host 2)" dir out tmpl proto esp mode transport
held 2
gm2 nft flush chain $table clear_esp
check "ESP under an unknown SPI: the forward policy alone stops it" [ "$(reached 0x9999)" = 0 ]
gm2 ip xfrm policy delete src 192.168.0.0/16 dst 192.168.0.0/16 dev lan0 dir fwd
check "trap: with neither rule nor policy it goes on to the host" [ "$(reached 0x9999)" -gt 0 ]
let_go 2 "$rules" "$policies"
check "it is stopped again" [ "$(reached 0x9999)" = 0 ]
check "and counted" counter_above 2 invalid_spi 2
check "forged ESP does not reach the host" [ "$(reached "$(sends_on 2 | cut -d' ' -f2)")" = 0 ]
check "and is counted" counter_above 2 verify_error 2
ip -n q-wan xfrm state flush
ip -n q-wan xfrm policy flush

# 7. TCP, for the record
netlab_start iperf h2 iperf3 -s -1
netlab_wait 5 grep -q listening "$NETLAB_DIR/iperf.log"
netlab_in h1 iperf3 -c "$(host 2)" -t 1 -f m > "$NETLAB_DIR/tcp.log" 2>&1
grep receiver "$NETLAB_DIR/tcp.log"
check "TCP flows" grep -q receiver "$NETLAB_DIR/tcp.log"

# 8. a local exception passes in clear, both ways, and only that
netlab_start iperf2 h2 iperf3 -s -p 5202
netlab_wait 5 grep -q listening "$NETLAB_DIR/iperf2.log"
excepted() { netlab_in h1 iperf3 -c "$(host 2)" -p 5202 -n 100K --connect-timeout 2000; }
held 2
gm2 nft flush chain $table clear_in
gm2 nft add rule $table clear_in ip saddr 192.168.0.0/16 ip daddr 192.168.0.0/16 drop # without the exceptions before it
check "trap: the rule against clear packets stops exceptions, too" not excepted
let_go 2 "$rules"
netlab_capture deny wan gm1
check "TCP to the excepted port flows" excepted
check "and a ping beside it" pings 1 2
netlab_stop deny
check "the excepted port is seen in clear" [ "$(netlab_count "$NETLAB_DIR/deny.pcap" 'tcp port 5202')" -gt 4 ]
check "nothing else of the hosts is" [ "$(netlab_count "$NETLAB_DIR/deny.pcap" 'net 192.168.0.0/16 and not tcp port 5202 and not ip proto 50')" = 0 ]

# 9. an end in order leaves nothing
netlab_stop gm1
check "no SA, policy, table or route is left" bash -c "[ -z \"\$(ip netns exec q-gm1 bash -c 'ip xfrm state; ip xfrm policy; nft list ruleset; ip route show 100.127.0.1')\" ]"
suite_end
