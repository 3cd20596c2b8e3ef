# paths.sh - long packets, fragments and multicast (DATAPATH 6 and 7): each trap first without what prevents it. Two
# branches with the kernel's IPsec, multicast routes from site 1 to site 2.
. /suite/lib.sh

netlab_up 2 1
netlab_psk > /dev/null
ksd_conf aes256-sha256
sed -i 's|policy = (|policy = ( { src = "192.168.0.0/16"; dst = "239.0.0.0/8"; },|' "$NETLAB_DIR/ksd1.conf"
for i in 1 2; do
    netlab_gm_conf $i 10.1.11.2
    use_xfrm $i
done
netlab_start ksd1 ks1 ksd -c "$NETLAB_DIR/ksd1.conf"
for i in 1 2; do start_gm $i; done
for i in 1 2; do check "site $i is registered" netlab_wait 40 netlab_registered $i; done
[ "$failed" = 0 ] || { suite_end; exit; }
check "ping 1 to 2" pings 1 2
table="ip quorate_gdoi0"
gm1() { netlab_in gm1 "$@"; }
gm2() { netlab_in gm2 "$@"; }
narrow() { ip -n q-wan link set gm2 mtu "$1"; ip -n q-gm2 link set wan0 mtu "$1"; } # the last link, behind the router

# 1. DF that is copied to the outside: the router's complaint goes to a host, which cannot read it
sending_sa() {
    gm1 ip xfrm state list src 10.1.13.2 dst 100.127.0.1 | awk '
        /^src/ { src = $2; dst = $4 } /proto esp/ { spi = $4; reqid = $6 }
        /auth-trunc/ { auth = $2 " " $3 " " $4 } /enc / { enc = $2 " " $3 }
        END { print "src", src, "dst", dst, "proto esp spi", spi, "reqid", reqid, "mode tunnel replay-window 0 auth-trunc", auth, "enc", enc }'
}
check "a packet that fits with DF passes" pings 1 2 2 -M do -s 1394
check "the router tells a host what fits" bash -c "ip netns exec q-h1 ping -c 1 -W 1 -M do -s 1472 192.168.14.10 2>&1 | grep -qE 'mtu ?= ?14[0-9][0-9]'"
held 1
sa=$(sending_sa)
gm1 ip xfrm state delete src 10.1.13.2 dst 100.127.0.1 proto esp $(sends_on 1)
gm1 ip xfrm state add $sa
check "an SA that copies DF carries packets" pings 1 2
narrow 1300
check "trap: into a narrower link they vanish" not pings 1 2 2 -M do -s 1350
narrow 1500
let_go 1 "$policies"
check "with the agent's SA packets pass" pings 1 2
narrow 1300
check "no black hole: ESP is fragmented on the way" pings 1 2 3 -M do -s 1350

# 2. fragments of ESP: only the first has the SPI
held 2
gm2 nft flush chain $table defrag
check "trap: without defragmentation they are lost" not pings 1 2 2 -M do -s 1350
let_go 2 "$rules"
check "with it they are not" pings 1 2 2 -M do -s 1350
check "and no connection is tracked for it" [ "$(gm2 cat /proc/sys/net/netfilter/nf_conntrack_count)" = 0 ]
narrow 1500

# 3. segments of TCP that become too long
netlab_start server h2 iperf3 -s
netlab_wait 5 grep -q listening "$NETLAB_DIR/server.log"
segments() { # what the far host reads in a SYN
    seen h2 eth0 'tcp[tcpflags] & tcp-syn != 0 and src host 192.168.13.10' netlab_in h1 iperf3 -c "$(host 2)" -n 10K > /dev/null
    tcpdump -v -n -r "$NETLAB_DIR/seen.pcap" 'tcp[tcpflags] & tcp-syn != 0 and src host 192.168.13.10' 2>/dev/null | grep -o 'mss [0-9]*' | head -n 1 | cut -d' ' -f2
}
for i in 1 2; do held $i; netlab_in gm$i nft flush chain $table mss; netlab_in h$i ip route flush cache; done # no path MTU from above
check "trap: without a clamp hosts agree on segments that do not fit" [ "$(segments)" = 1460 ]
for i in 1 2; do let_go $i "$rules"; done
mss=$(segments)
check "with it on ones that do ($mss)" [ "$mss" -gt 1300 -a "$mss" -lt 1420 ]
netlab_stop server
check "DSCP and ECN are seen outside" [ "$(seen wan gm1 'ip proto 50 and ip[1] = 0xb9 and src host 192.168.13.10' try_ping 3 -Q 0xb9)" = 3 ]

# 4. multicast of the site itself
own() { gm1 ping -q -c 2 -i 0.2 -W 1 -I wan0 -I 192.168.13.1 239.1.1.1; }
check "multicast of the site itself leaves as ESP to the group" [ "$(seen wan gm1 'src host 192.168.13.1 and dst host 239.1.1.1 and ip proto 50' own)" = 2 ]
check "under the group's Ethernet address" bash -c "tcpdump -e -n -r $NETLAB_DIR/seen.pcap 'dst host 239.1.1.1' 2>/dev/null | grep -q '01:00:5e:01:01:01'"
check "and not in clear" [ "$(netlab_count "$NETLAB_DIR/seen.pcap" 'dst host 239.1.1.1 and not ip proto 50')" = 0 ]

# 5. multicast of a host, by multicast routes. The kernel asks for their policy with no source at all.
route() { netlab_start "mroute-$1" "$1" mroute "192.168.13.10,239.1.1.1,$2"; netlab_wait 5 grep -q routes "$NETLAB_DIR/mroute-$1.log"; }
check "site 1 routes multicast" route gm1 lan0,wan0
check "the WAN router routes multicast" route wan gm1,gm2
check "site 2 routes multicast" route gm2 wan0,lan0
cast() { netlab_in h1 ping -q -c 3 -i 0.2 -W 1 -t 8 239.1.1.1; }
clear_cast="dst host 239.1.1.1 and not ip proto 50"
esp_cast="src host 192.168.13.10 and dst host 239.1.1.1 and ip proto 50"
any="src 0.0.0.0/0 dst 239.0.0.0/8 dev wan0 dir out"
check "a host of site 2 gets what is sent to the group" [ "$(seen h2 eth0 "$clear_cast" cast)" = 3 ]
check "on the WAN it is ESP to the group" [ "$(seen wan gm1 "$esp_cast" cast)" = 3 ]
held 1
gm1 ip xfrm policy delete $any
gm1 nft flush chain $table leaving
check "trap: without a policy for any source multicast leaves in clear" [ "$(seen wan gm1 "$clear_cast" cast)" -gt 0 ]
gm1 nft add rule $table leaving ip saddr 192.168.0.0/16 ip daddr 239.0.0.0/8 drop # as the agent has it
check "the guard alone stops it" [ "$(seen wan gm1 "$clear_cast" cast)" = 0 ]
let_go 1 "$rules" "$policies"
check "with the policy it is ESP again" [ "$(seen wan gm1 "$esp_cast" cast)" = 3 ]

# 6. the output hook cannot route multicast: its addresses are restored on the device
held 1
gm1 nft flush chain netdev quorate_gdoi0 egress
check "trap: without that chain multicast goes to the anchor" [ "$(seen wan gm1 'dst host 100.127.0.1' cast)" -gt 0 ]
let_go 1 "$rules"
check "with it it arrives" [ "$(seen h2 eth0 "$clear_cast" cast)" = 3 ]
check "and nothing goes to the anchor" [ "$(seen wan gm1 'dst host 100.127.0.1' cast)" = 0 ]

# 7. multicast forwarding asks no policy about what comes in
ip -n q-wan addr add 192.168.13.10/32 dev lo
forge() { netlab_in wan ping -q -c 3 -i 0.2 -W 1 -t 8 -I gm2 -I 192.168.13.10 239.1.1.1; }
held 2
gm2 nft flush chain $table clear
check "trap: clear multicast from the WAN reaches a host" [ "$(seen h2 eth0 "$clear_cast" forge)" -gt 0 ]
let_go 2 "$rules"
check "the rule stops it" [ "$(seen h2 eth0 "$clear_cast" forge)" = 0 ]
ip -n q-wan addr del 192.168.13.10/32 dev lo

# 8. nothing of these changes a thing
for i in 1 2; do netlab_in gm$i sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.wan0.rp_filter=1 net.ipv4.conf.lan0.rp_filter=1; done
check "a strict reverse path filter loses nothing" pings 1 2
check "nor multicast" [ "$(seen h2 eth0 "$clear_cast" cast)" = 3 ]
check "ESP offload is loaded" modprobe esp4_offload
check "with it pings pass" pings 1 2
check "and long ones" pings 1 2 2 -s 3000
suite_end
