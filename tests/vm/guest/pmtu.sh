# pmtu.sh - a way that is narrower behind the next router: site 1 copies DF and answers its hosts, site 2 lets routers
# fragment ESP. Both have the kernel's IPsec.
. /suite/lib.sh

netlab_up 2 1
netlab_psk > /dev/null
ksd_conf aes256-sha256 60 300
for i in 1 2; do netlab_gm_conf $i 10.1.11.2; use_xfrm $i; done
sed -i 's/backend = "xfrm"/backend = "xfrm"; df = "copy"/' "$NETLAB_DIR/gm1.conf"
netlab_start ksd1 ks1 ksd -c "$NETLAB_DIR/ksd1.conf"
for i in 1 2; do start_gm $i; done
for i in 1 2; do check "site $i is registered" netlab_wait 40 netlab_registered $i; done
[ "$failed" = 0 ] || { suite_end; exit; }
check "ping 1 to 2" pings 1 2
# Narrow for what the router forwards; a smaller device would also drop what it receives, and say nothing.
for i in 1 2; do ip -n "$(netlab_ns wan)" route replace 192.168.$((12 + i)).0/24 via 10.1.$((12 + i)).2 mtu 1300; done

told() { netlab_in h1 ip route get 192.168.14.10 | grep -q 'mtu 12'; }
# The first one is dropped by the router, which tells the host of ESP; the member answers the next.
netlab_in h1 ping -q -M do -s 1350 -c 3 -i 0.3 -W 1 192.168.14.10 > /dev/null
check "the host is told what fits" netlab_wait 5 told
check "and the member says so" log_at_least gm1 PATH_MTU_FOUND 1
mtu=$(netlab_in h1 ip route get 192.168.14.10 | grep -o 'mtu [0-9]*' | cut -d' ' -f2)
check "just that passes, with DF" pings 1 2 3 -M do -s $((mtu - 28))
check "longer ones without DF pass in fragments" pings 1 2 3 -M dont -s 1400
check "with DF clear no way is too narrow" pings 2 1 3 -M do -s 1350
check "which no router complained of" not log_at_least gm2 PATH_MTU_FOUND 1

# TCP that asks for more than fits, in the direction where the host must be told.
netlab_in h1 ip route flush cache
netlab_start iperf h2 iperf3 -s -1
netlab_wait 5 bash -c "ip netns exec $(netlab_ns h2) ss -ltn | grep -q 5201"
check "TCP flows through the narrow way" netlab_in h1 timeout 20 iperf3 -c 192.168.14.10 -n 1M
suite_end
