# policies.sh - what IPsec policies miss, and what they catch too much (DATAPATH 6), each first without what prevents it.
# Two branches with the kernel's IPsec; their WAN addresses are protected as well, so that control traffic needs its
# exceptions.
. /suite/lib.sh

netlab_up 2 1
netlab_psk > /dev/null
ksd_conf aes256-sha256
sed -i 's|policy = (|policy = ( { src = "10.1.0.0/16"; dst = "10.1.0.0/16"; },|' "$NETLAB_DIR/ksd1.conf"
for i in 1 2; do
    netlab_gm_conf $i 10.1.11.2
    use_xfrm $i
done
netlab_link wan gm1b 10.2.13.1/24 gm1 wan1 10.2.13.2/24
sed -i 's/wan = "wan0"/wan = [ "wan0", "wan1" ]/' "$NETLAB_DIR/gm1.conf" # a second uplink, of which more below
table="ip quorate_gdoi0"
all="src 192.168.0.0/16 dst 192.168.0.0/16"
gm1() { netlab_in gm1 "$@"; }
gm2() { netlab_in gm2 "$@"; }
answers() { gm-agent -c "$NETLAB_DIR/gm$1.conf" show crypto gdoi; }
udp_from() { netlab_in "$1" bash -c "echo x > /dev/udp/$2/$3"; } # NAMESPACE ADDRESS PORT
to_site2="dst net 192.168.14.0/24 and not ip proto 50"

# 1. before the first registration
sed -i.closed 's|tun = "gdoi0";|& fail_close = false;|' "$NETLAB_DIR/gm1.conf"
start_gm 1
check "site 1's agent runs, fail-open, and there is no key server" netlab_wait 10 answers 1
check "trap: before keys packets leave in clear" [ "$(seen wan gm1 "$to_site2" try_ping)" -gt 0 ]
netlab_stop gm1
mv "$NETLAB_DIR/gm1.conf.closed" "$NETLAB_DIR/gm1.conf"
start_gm 1
check "site 1's agent runs, fail-closed" netlab_wait 10 gm1 nft list table $table
check "closed: nothing leaves" [ "$(seen wan gm1 "$to_site2" try_ping)" = 0 ]
check "and that is counted" counter_above 1 no_key 0
check "but UDP 848 of a member behind it does" [ "$(seen wan gm1 "$to_site2 and udp port 848" udp_from h1 "$(host 2)" 848)" = 1 ]

netlab_start ksd1 ks1 ksd -c "$NETLAB_DIR/ksd1.conf"
start_gm 2
for i in 1 2; do check "site $i is registered" netlab_wait 40 netlab_registered $i; done
[ "$failed" = 0 ] || { suite_end; exit; }
check "ping 1 to 2" pings 1 2
check "ping 2 to 1" pings 2 1

# marked packets are counted by class at both ends; over a rekey, and over a table that somebody takes away
has_class() { # SITE COUNT: pings of AF41, 84 octets each
    gm-agent -c "$NETLAB_DIR/gm$1.conf" show crypto gdoi gm dataplane counters |
        grep -q "AF41  (34): #pkts encaps $2, #bytes encaps $((84 * $2)), #pkts decaps $2, #bytes decaps $((84 * $2))$"
}
check "pings of AF41" pings 1 2 4 -Q 0x88
for i in 1 2; do check "site $i counts them both ways" has_class $i 4; done
check "a new key" rolls 1
check "and more of them" pings 1 2 2 -Q 0x88
for i in 1 2; do check "site $i goes on counting" has_class $i 6; done
gm1 nft delete table $table
check "the table is put back" netlab_wait 10 gm1 nft list set $table dscp_in
check "and more of them still" netlab_wait 10 pings 1 2 1 -Q 0x88
check "site 1 has lost no count" has_class 1 7
check "no other class was seen but that of plain pings" \
    [ "$(gm-agent -c "$NETLAB_DIR/gm1.conf" show crypto gdoi gm dataplane counters | grep -c '^    .*#bytes encaps')" = 2 ]

# 2. a forward policy that names no device also asks what goes from the LAN to the WAN, which came in clear
gm1 ip xfrm policy add $all dir fwd priority 1 tmpl src 0.0.0.0 dst 10.1.13.2 proto esp $(reqid 1 fwd) mode tunnel
check "trap: without the LAN device in its policy a site sends nothing" not try_ping
gm1 ip xfrm policy delete $all dir fwd
check "with it packets pass" pings 1 2

# 3. an outbound policy that names no device also takes what was just decrypted and goes to the LAN
gm2 ip xfrm policy add $all dir out priority 1 tmpl src 10.1.14.2 dst 100.127.0.1 proto esp $(sends_on 2) $(reqid 2 out) mode tunnel
check "trap: without the WAN device in its policy packets are encrypted again, and the host gets ESP" \
    [ "$(seen h2 eth0 'ip proto 50' try_ping)" -gt 0 ]
gm2 ip xfrm policy delete $all dir out
check "with it the host gets its packets" pings 1 2
check "and no ESP" [ "$(seen h2 eth0 'ip proto 50' try_ping)" = 0 ]

# 4. a policy that names one uplink knows nothing of the other one
held 1
gm1 ip xfrm policy delete $all dev wan1 dir out
gm1 nft flush chain $table leaving
ip -n q-gm1 route replace 192.168.14.0/24 via 10.2.13.1
check "trap: by an uplink without a policy of its own packets leave in clear" [ "$(seen wan gm1b "$to_site2" try_ping)" -gt 0 ]
let_go 1 "$rules" "$policies"
check "with it none does" [ "$(seen wan gm1b "$to_site2" try_ping)" = 0 ]
check "and packets pass as ESP" pings 1 2
ip -n q-gm1 route del 192.168.14.0/24
check "by the first uplink, too" pings 1 2

# 5. clear packets from the WAN with a protected source
ip -n q-wan addr add 192.168.13.77/32 dev lo
inject() { netlab_in wan ping -q -c 3 -i 0.2 -W 1 -I 192.168.13.77 "$(host 2)"; }
reached() { seen h2 eth0 'src host 192.168.13.77' inject; }
held 2
gm2 nft flush chain $table clear
check "clear packets from the WAN: the forward policy alone stops them" [ "$(reached)" = 0 ]
gm2 ip xfrm policy delete $all dev lan0 dir fwd
check "trap: with neither rule nor policy they reach the host" [ "$(reached)" -gt 0 ]
let_go 2 "$rules" "$policies"
check "clear packets from the WAN are stopped again" [ "$(reached)" = 0 ]
check "by the rule, which counts them" counter_above 2 not_ipsec 2
ip -n q-wan addr del 192.168.13.77/32 dev lo

# 6. control traffic of the site itself, which a selector protects
gm1 nft 'add table ip watch; add chain ip watch in { type filter hook input priority 0; }; add rule ip watch in udp sport 848 counter'
heard() { gm1 nft list chain ip watch in | grep -o 'packets [0-9]*' | cut -d' ' -f2; }
ask() { netlab_in ks1 ksctl rekey G1; }
heard_more() { [ "$(heard)" -gt "$1" ]; }
held 1
gm1 nft flush chain $table clear_in
gm1 nft add rule $table clear_in ip saddr 10.1.0.0/16 ip daddr 10.1.0.0/16 drop # as the agent has it, without what goes before
before=$(heard)
check "a key is asked for" ask
check "trap: without exceptions a member does not hear the key server" not netlab_wait 3 heard_more "$before"
for port in 848 500 4500; do
    gm1 ip xfrm policy delete src 10.1.13.2 dst 0.0.0.0/0 proto 17 dport $port dev wan0 dir out
    gm1 ip xfrm policy delete src 10.1.13.2 dst 0.0.0.0/0 proto 17 sport $port dev wan0 dir out
done
check "trap: and what it says to one is encrypted" [ "$(seen wan gm1 'ip proto 50' udp_from gm1 10.1.11.2 848)" = 1 ]
let_go 1 "$rules" "$policies"
check "with them it says it in clear" [ "$(seen wan gm1 'udp dst port 848' udp_from gm1 10.1.11.2 848)" -ge 1 ]
before=$(heard)
check "another key is asked for" netlab_wait 20 ask
check "and heard of" netlab_wait 10 heard_more "$before"
gm1 nft delete table ip watch
check "packets flow" netlab_wait 20 pings 1 2
check "WAN addresses reach each other in ESP" [ "$(seen wan gm1 'ip proto 50' netlab_in gm1 ping -q -c 2 -i 0.2 -W 1 10.1.14.2)" -ge 4 ]

# 7. the last key ends, and no key server is there. Site 1 was told to go back to clear, site 2 was not.
for name in gm1 gm2 ksd1; do netlab_stop $name; done
rm -r "$NETLAB_DIR/ks1.data"
ksd_conf aes256-sha256 12 60
sed -i 's|tun = "gdoi0";|& fail_close = false; revert = true;|' "$NETLAB_DIR/gm1.conf"
rm "$NETLAB_DIR"/gm[12].log
netlab_start ksd1 ks1 ksd -c "$NETLAB_DIR/ksd1.conf"
for i in 1 2; do start_gm $i; done
for i in 1 2; do check "site $i is registered again" netlab_wait 40 netlab_registered $i; done
check "sites reach each other" netlab_wait 10 pings 1 2
netlab_stop ksd1
no_keys() { [ -z "$(netlab_in "gm$1" ip xfrm state)" ]; }
for i in 1 2; do check "the last key of site $i ends" netlab_wait 60 no_keys $i; done
try_back() { netlab_in h2 ping -q -c 3 -i 0.2 -W 1 "$(host 1)"; }
check "trap: site 1 went back to clear" [ "$(seen wan gm1 "$to_site2" try_ping)" -gt 0 ]
check "site 2 sends nothing in clear" [ "$(seen wan gm2 'src net 192.168.14.0/24' try_back)" = 0 ]
check "and counts what it drops" counter_above 2 no_key 0
suite_end
