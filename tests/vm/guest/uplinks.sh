# uplinks.sh - site 1 with two uplinks and the kernel's IPsec, site 2 with the user data path, site 3 in a VRF, with
# the kernel's IPsec.
. /suite/lib.sh

netlab_up 3 1
netlab_psk > /dev/null
ksd_conf aes256-sha256 60 300
for i in 1 2 3; do netlab_gm_conf $i 10.1.11.2; done
use_xfrm 1
netlab_link wan gm1b 10.2.13.1/24 gm1 wan1 10.2.13.2/24
sed -i 's/wan = "wan0"/wan = [ "wan0", "wan1" ]/' "$NETLAB_DIR/gm1.conf"
use_xfrm 3
in3() { ip -n "$(netlab_ns gm3)" "$@"; }
in3 link add red type vrf table 10
in3 link set red up
for device in wan0 lan0; do in3 link set "$device" master red; done
in3 route add default via 10.1.15.1 vrf red
sed -i 's/^local = {/local = { vrf = "red";/' "$NETLAB_DIR/gm3.conf"
netlab_capture wire wan any
netlab_start ksd1 ks1 ksd -c "$NETLAB_DIR/ksd1.conf"
for i in 1 2 3; do start_gm $i; done
for i in 1 2 3; do check "site $i is registered" netlab_wait 40 netlab_registered $i; done
[ "$failed" = 0 ] || { suite_end; exit; }

to_wan() { ip -n "$(netlab_ns gm1)" route replace 192.168.14.0/24 via "$1"; }
from_wan() { ip -n "$(netlab_ns wan)" route replace 192.168.13.0/24 via "$1"; }
esp_on() { netlab_in gm1 timeout 3 tcpdump -n -c 1 -i "$1" -Q "$2" ip proto 50 > /dev/null 2>&1; }
# by DEVICE DIRECTION: ESP is seen there while h1 pings h2.
by() {
    netlab_start flow h1 ping -q -i 0.1 -c 30 192.168.14.10
    esp_on "$1" "$2"
    local seen=$?
    netlab_stop flow
    return $seen
}

check "by the first uplink" pings 1 2
to_wan 10.2.13.1
check "out by the second, back by the first" pings 1 2
check "it did leave there" by wan1 out
from_wan 10.2.13.2
check "both ways by the second" pings 1 2
check "it did come in there" by wan1 in
to_wan 10.1.13.1
check "out by the first, back by the second" pings 1 2
check "fragments, too" pings 1 2 2 -s 3000

# A route that flaps under traffic: nothing is lost, since the same SAs serve both.
ping_start flap 1 2 300 0.01
for _ in 1 2 3 4 5 6; do to_wan 10.2.13.1; sleep 0.2; to_wan 10.1.13.1; sleep 0.2; done
netlab_wait 20 ping_ended flap
check "no packet lost while the route flaps" ping_lost_none flap

to_wan 10.2.13.1
ip -n "$(netlab_ns gm1)" link set wan0 down
moved() { netlab_in gm1 ip xfrm state | grep -q 'dst 10.2.13.2'; }
check "with the first one down the tunnels end at the second" netlab_wait 10 moved
check "and traffic goes on" netlab_wait 5 pings 1 2
ip -n "$(netlab_ns gm1)" link set wan0 up
ip -n "$(netlab_ns gm1)" route add default via 10.1.13.1
back() { netlab_in gm1 ip xfrm state | grep -q 'dst 10.1.13.2'; }
check "and at the first again when it is up" netlab_wait 10 back
to_wan 10.1.13.1
from_wan 10.1.13.2
check "traffic goes by it" netlab_wait 5 pings 1 2

# What leaves by the second one without IPsec is stopped there.
netlab_in gm1 ip xfrm policy deleteall
to_wan 10.2.13.1
netlab_in h1 ping -q -c 3 -i 0.1 -W 1 192.168.14.10 > /dev/null
netlab_wait 10 pings 1 2
check "the policies are put back" log_at_least gm1 'put back' 1
ip -n "$(netlab_ns gm1)" link del wan1
check "when its device is gone traffic goes by the first one" netlab_wait 10 pings 1 2
netlab_link wan gm1b 10.2.13.1/24 gm1 wan1 10.2.13.2/24
from_wan 10.2.13.2
to_wan 10.2.13.1
check "one that comes again is used" netlab_wait 10 pings 1 2

# Site 3: everything of it is in the VRF.
for pair in '2 3' '3 2' '1 3' '3 1'; do check "ping ${pair/ / to }, where 3 is in a VRF" pings $pair; done
check "fragments into and out of the VRF" pings 2 3 2 -s 3000
check "the way to the anchor is in its table" bash -c "ip -n $(netlab_ns gm3) route show table 10 | grep -q '100.127.0.1 dev wan0'"
check "packets are counted there" counter_above 3 encaps 5
in3 xfrm policy deleteall
netlab_in h3 ping -q -c 3 -i 0.1 -W 1 192.168.14.10 > /dev/null
check "its policies are put back" netlab_wait 10 pings 3 2
clear_at_h3() { netlab_in h3 ping -q -c 1 -W 1 10.1.15.1; }
check "what the policy does not name passes in clear" clear_at_h3
closed() { netlab_in gm3 nft list chain ip quorate_gdoi0 shut | grep -q 'oifname "red"'; }
netlab_stop ksd1
netlab_stop gm3
start_gm 3
check "without a key server the VRF is closed" netlab_wait 10 closed
check "and nothing passes, in clear neither" not clear_at_h3
netlab_stop wire
check "nothing protected was seen in clear on the WAN" [ "$(clear_packets wire)" = 0 ]
check "nothing was sent to the anchor" [ "$(netlab_count "$NETLAB_DIR/wire.pcap" 'host 100.127.0.1')" = 0 ]
suite_end
