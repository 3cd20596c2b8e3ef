#!/usr/bin/env bash
# A key server, two members, a host behind each: registration, ping through the group, nothing but ESP on the wire; both transforms.
set -u
E2E=qfl
. "$(dirname "$0")/../lib/e2e.sh"

wire_has() { [ "$(netlab_count "$NETLAB_DIR/wan1.pcap" 'ip proto 50')" -ge "$1" ]; }

for transform in aes256-sha256 aes256-gcm16; do
    e2e_start 7200 86400 "$transform"
    netlab_capture wan1 wan gm1
    check "$transform: hosts answer each other" netlab_in h1 ping -q -c 20 -i 0.05 -W 3 192.168.14.10
    check "$transform: large packets too" netlab_in h1 ping -q -c 5 -i 0.05 -s 1300 -W 3 192.168.14.10
    netlab_wait 5 wire_has 50
    netlab_stop wan1 INT
    check "$transform: ESP with the hosts' own addresses" \
        [ "$(netlab_count "$NETLAB_DIR/wan1.pcap" 'ip proto 50 and src 192.168.13.10 and dst 192.168.14.10')" -ge 25 ]
    check "$transform: and back" \
        [ "$(netlab_count "$NETLAB_DIR/wan1.pcap" 'ip proto 50 and src 192.168.14.10 and dst 192.168.13.10')" -ge 25 ]
    check "$transform: nothing of the hosts in clear" \
        [ "$(netlab_count "$NETLAB_DIR/wan1.pcap" 'net 192.168.0.0/16 and not ip proto 50')" = 0 ]
    check "the key server lists both members" \
        [ "$(netlab_ksctl 1 show crypto gdoi ks members | grep -c '^Group Member ID')" = 2 ]
    check "the REST API lists both members" \
        [ "$(netlab_api 1 /v1/groups/G1/members | jq '.members | length')" = 2 ]
    check "no key in the REST answers" bash -c "! ip netns exec $NETLAB-ks1 curl -s http://127.0.0.1:8480/v1/groups/G1/policy | grep -Eqi 'wrapped|secret|\"key\"'"
    for name in gm1 gm2 ksd1; do netlab_stop $name; done
    check "members leave no rule behind" bash -c "! ip -n $NETLAB-gm1 rule list | grep -q ipproto"
    netlab_down
    rm -rf "$NETLAB_DIR"/ks1.data "$NETLAB_DIR"/*.pcap
done
e2e_end
