#!/usr/bin/env bash
# The member as a process: exit codes, privileges, status socket, a dead server in its list, clear, kill -9, the end.
set -u
E2E=qgm
. "$(dirname "$0")/../lib/e2e.sh"

gm_exit() { "$NETLAB_BIN/gm-agent" "$@" > "$NETLAB_DIR/out" 2>&1; echo $?; }
ask() { "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm1.conf" "$@"; }
pid_of() { cat "$NETLAB_DIR/$1.pid"; }
rules() { ip -n "$NETLAB-gm1" rule list | grep -c '^848[0-9]:'; }
has_line() { grep -Eq "$2" "$NETLAB_DIR/$1.log"; }
registrations() { ask show crypto gdoi gm json | jq .member.registrations; }
registered_twice() { [ "$(registrations)" = 2 ]; }
sends() { ask show crypto gdoi json | jq -e '[.teks[] | select(.sends)] | length == 1' > /dev/null; }

e2e_start 7200 86400

# Configuration.
sed 's/"user"/"magic"/' "$NETLAB_DIR/gm1.conf" > "$NETLAB_DIR/bad.conf"
chmod 600 "$NETLAB_DIR/bad.conf"
check "a wrong configuration ends with 2" [ "$(gm_exit -c "$NETLAB_DIR/bad.conf" -t)" = 2 ]
check "and names file, line and what was expected" grep -Eq "^$NETLAB_DIR/bad.conf:6: .*user" "$NETLAB_DIR/out"
check "a good one with 0" [ "$(gm_exit -c "$NETLAB_DIR/gm1.conf" -t)" = 0 ]
check "no file: 2" [ "$(gm_exit -c "$NETLAB_DIR/none.conf")" = 2 ]
check "nobody at the socket: 1" [ "$(gm_exit -s "$NETLAB_DIR/none.sock" show crypto gdoi)" = 1 ]
check "an unknown command: 1" [ "$(gm_exit -s "$NETLAB_DIR/gm1.sock" show crypto nothing)" = 1 ]

# The running one.
check "the socket is private" [ "$(stat -c %a "$NETLAB_DIR/gm1.sock")" = 600 ]
check "only network capabilities are left" grep -q '^CapPrm:.0000000000003000$' "/proc/$(pid_of gm1)/status"
check "show crypto gdoi" bash -c "'$NETLAB_BIN/gm-agent' -s '$NETLAB_DIR/gm1.sock' show crypto gdoi | grep -q 'Registered with       : 10.1.11.2'"
netlab_in h1 ping -q -c 5 -i 0.05 -W 3 192.168.14.10 > /dev/null
check "show crypto ipsec sa counts" [ "$(ask show crypto ipsec sa json | jq .counters.encaps.count)" -ge 5 ]
check "and as text" bash -c "'$NETLAB_BIN/gm-agent' -s '$NETLAB_DIR/gm1.sock' show crypto ipsec sa | grep -Eq '#pkts encaps: [1-9]'"
netlab_in h1 ping -q -c 4 -i 0.05 -Q 0x88 -W 3 192.168.14.10 > /dev/null
dataplane() { "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm$1.conf" show crypto gdoi gm dataplane counters "${@:2}"; }
has_class() { dataplane "$1" json | jq -e --argjson n "$3" "[.dscp | .encaps, .decaps | .[] | select(.name == \"$2\" and .packets == \$n and .octets == 84 * \$n)] | length == 2" > /dev/null; }
check "pings of AF41 are counted both ways by the one" has_class 1 AF41 4
check "and by the other" has_class 2 AF41 4
check "and as text" bash -c "'$NETLAB_BIN/gm-agent' -s '$NETLAB_DIR/gm1.sock' show crypto gdoi gm dataplane counters | grep -q 'AF41  (34): #pkts encaps 4, #bytes encaps 336, #pkts decaps 4, #bytes decaps 336'"
check "no class that was not seen" bash -c "! '$NETLAB_BIN/gm-agent' -s '$NETLAB_DIR/gm1.sock' show crypto gdoi gm dataplane counters | grep -q 'EF'"

check "trace tells the way of a packet out" [ "$(ask trace lan icmp 192.168.13.10 192.168.14.10 json | jq -r .verdict)" = protected ]
check "and why a clear one is refused" [ "$(ask trace wan tcp 192.168.14.10 443 192.168.13.10 4000 json | jq -r .counter)" = not_ipsec ]

# A capture shows a flow in clear on the LAN side and as ESP on the WAN side, in one file.
capture=$NETLAB_DIR/flow.pcapng
ip netns exec "$(netlab_ns gm1)" "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm1.conf" capture "$capture" host 192.168.13.10 count 12 seconds 20 \
    > "$NETLAB_DIR/capture.out" 2>&1 &
capturing=$!
check "a capture begins" netlab_wait 5 test -s "$capture"
netlab_in h1 ping -q -c 3 -i 0.05 -W 3 192.168.14.10 > /dev/null
check "and ends at its count" netlab_wait 20 bash -c "! kill -0 $capturing 2> /dev/null"
check "it has both sides, both ways" [ "$(tshark -r "$capture" -T fields -e frame.interface_name -e ip.proto -e frame.packet_flags_direction 2> /dev/null | sort -u | wc -l)" = 4 ]
check "with clear packets on the LAN only" [ -z "$(tshark -r "$capture" -Y 'icmp && frame.interface_id != 0' 2> /dev/null)" ]
check "a file that is there is kept" [ "$(gm_exit -c "$NETLAB_DIR/gm1.conf" capture "$capture")" = 1 ]

# A rekey on request, acknowledged.
netlab_ksctl 1 rekey G1 > /dev/null
check "a rekey comes" netlab_wait 10 has_line gm1 'GM_RECV_REKEY.* from 10.1.11.2 to 10.1.13.2 with seq # 1'
check "and is acknowledged" netlab_wait 5 bash -c "[ \$('$NETLAB_BIN/gm-agent' -s '$NETLAB_DIR/gm1.sock' show crypto gdoi gm rekey json | jq .rekeys.acks_sent) -ge 1 ]"

# Clear.
ask clear crypto gdoi > /dev/null
check "clear registers again" netlab_wait 10 registered_twice
check "and it sends again" netlab_wait 5 sends
check "the event is there" has_line gm1 GM_CLEAR_REGISTER
check "hosts answer each other again" netlab_in h1 ping -q -c 5 -i 0.1 -W 3 192.168.14.10

# Killed and started again: what it left is replaced.
before=$(rules)
netlab_stop gm1 KILL
check "a killed one leaves its rules: nothing goes out in clear" [ "$(rules)" = "$before" ]
netlab_capture wan2 wan gm1
netlab_in h1 ping -q -c 3 -i 0.05 -W 1 192.168.14.10 > /dev/null
netlab_stop wan2 INT
check "indeed nothing does" [ "$(netlab_count "$NETLAB_DIR/wan2.pcap" 'net 192.168.0.0/16')" = 0 ]
netlab_gm_conf 1 10.1.11.99 10.1.11.2 # the first one does not exist
sed -i '$ a request_timeout_s = 2;' "$NETLAB_DIR/gm1.conf"
netlab_start gm1 gm1 "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm1.conf"
check "the next server of the list is taken" netlab_wait 20 netlab_registered 1
check "and the dead one named" has_line gm1 'GM_KS_DEAD.*10.1.11.99 does not answer for group G1, trying 10.1.11.2 next'
check "no rule twice" [ "$(rules)" = "$before" ]
check "hosts answer each other after that" netlab_in h1 ping -q -c 5 -i 0.1 -W 3 192.168.14.10

# Clear packets from the WAN do not reach the hosts.
ip -n "$NETLAB-wan" addr add 192.168.99.1/32 dev lo
netlab_in wan ping -q -c 3 -i 0.05 -W 1 -I 192.168.99.1 192.168.13.10 > /dev/null
check "clear packets are counted" [ "$(ask show crypto ipsec sa json | jq .counters.not_ipsec.count)" = 3 ]
check "and named" has_line gm1 'RECVD_PKT_NOT_IPSEC.*192.168.13.10, src_addr= 192.168.99.1'

# Several threads: the same packets, and capabilities in all of them no more than before.
netlab_stop gm1
sed -i 's/backend = "user";/& threads = 3;/' "$NETLAB_DIR/gm1.conf"
netlab_start gm1 gm1 "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm1.conf"
check "with three threads it registers" netlab_wait 20 netlab_registered 1
check "hosts answer each other by them" netlab_in h1 ping -q -c 20 -i 0.02 -W 3 192.168.14.10
check "they are there" [ "$(grep -h '^Name:.gm-packets' /proc/"$(pid_of gm1)"/task/*/status | wc -l)" = 2 ]
check "none has more capabilities" [ "$(grep -h '^CapPrm:' /proc/"$(pid_of gm1)"/task/*/status | sort -u)" = "$(printf 'CapPrm:\t0000000000003000')" ]
check "threads say what they carried" bash -c "[ \"\$('$NETLAB_BIN/gm-agent' -s '$NETLAB_DIR/gm1.sock' show crypto gdoi gm dataplane counters json | jq '(.threads | length) * 1000 + ([.threads[].decaps] | add)')\" -ge 3020 ]"
check "counters are of all of them" [ "$(ask show crypto ipsec sa json | jq .counters.decaps.count)" -ge 20 ]

# As in a container: IPv6 is off, and /proc/sys can only be read.
read_only() {
    netlab_start gm1 gm1 sh -c 'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec "$@"' sh \
        "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm1.conf"
}
netlab_stop gm1
netlab_in gm1 sysctl -qw net.ipv6.conf.lan0.disable_ipv6=0
read_only
check "IPv6 on the LAN that the TUN cannot have: it does not start" netlab_wait 10 has_line gm1 'IPv6 is on for the LAN.*cannot be switched on for the TUN'
netlab_stop gm1
netlab_in gm1 sysctl -qw net.ipv6.conf.lan0.disable_ipv6=1
read_only
check "IPv6 off everywhere: it registers" netlab_wait 20 netlab_registered 1
check "and says that only IPv4 is protected" has_line gm1 'only IPv4 is protected'
check "hosts answer each other by IPv4" netlab_in h1 ping -q -c 5 -i 0.05 -W 3 192.168.14.10

# The end.
netlab_stop gm1
check "it says how it ended" has_line gm1 'STOPPED: gm-agent stopped'
check "no rule is left" [ "$(rules)" = 0 ]
check "no device is left" bash -c "! ip -n $NETLAB-gm1 link show gdoi0 2> /dev/null | grep -q gdoi0"
e2e_end
