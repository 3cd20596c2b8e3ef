#!/usr/bin/env bash
# Time-based anti-replay from the key server's configuration to the packet: a captured packet passes within the window and
# is dropped behind it, named and counted; per-sender windows and the counter file on one member.
set -u
E2E=qtr
. "$(dirname "$0")/../lib/e2e.sh"

ask() { local n=$1; shift; "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm$n.conf" show crypto gdoi gm replay "$@"; }
rejected() { ask 2 json | jq .rejected; }
has_rejected() { [ "$(rejected)" -ge "$1" ]; }
decapsulated() { "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm2.conf" show crypto ipsec sa json | jq .counters.decaps.count; }
value_us() { ask 2 json | jq .pseudotime_us; }
past() { [ "$(value_us)" -gt "$1" ]; }
# The first packet of a capture, sent again by the WAN router.
inject() {
    netlab_in wan python3 - "$NETLAB_DIR/esp.pcap" <<'PY'
import socket, struct, sys
data = open(sys.argv[1], "rb").read()
length = struct.unpack_from("<I", data, 24 + 8)[0]
packet = data[24 + 16 + 14:24 + 16 + length]
out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
out.sendto(packet, (socket.inet_ntoa(packet[16:20]), 0))
PY
}

e2e_configure() {
    netlab_up 2 1
    netlab_psk > /dev/null
    netlab_ksd_conf 1 aes256-gcm16 7200 86400
    sed -i 's/^ *tek = {.*/&\n        replay = { window_ms = 8000; };/' "$NETLAB_DIR/ksd1.conf"
    netlab_gm_conf 1 10.1.11.2
    netlab_gm_conf 2 10.1.11.2
    sed -i "s|tun = \"gdoi0\";|& threads = 3; counter_file = \"$NETLAB_DIR/gm1.counters\";|" "$NETLAB_DIR/gm1.conf"
}

e2e_configure
e2e_start_ksd
check "the key server is ready" e2e_ready
netlab_start gm1 gm1 "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm1.conf"
netlab_start gm2 gm2 "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm2.conf"
check "gm1 is registered" netlab_wait 30 netlab_registered 1
check "gm2 is registered" netlab_wait 30 netlab_registered 2
check "the window came from the key server" [ "$(ask 2 json | jq .window_ms)" = 8000 ]
check "hosts answer each other" netlab_in h1 ping -q -c 5 -i 0.1 -W 3 192.168.14.10
netlab_capture esp wan gm1
check "and under capture" netlab_in h1 ping -q -c 3 -i 0.1 -W 3 192.168.14.10
sent_us=$(value_us)
captured() { [ "$(netlab_count "$NETLAB_DIR/esp.pcap" "")" -ge 1 ]; }
check "the capture has one" netlab_wait 5 captured # the kernel hands packets over in blocks
netlab_stop esp INT
before=$(decapsulated)
inject
check "within the window a copy passes" netlab_wait 4 bash -c "[ \$('$NETLAB_BIN/gm-agent' -s '$NETLAB_DIR/gm2.sock' show crypto ipsec sa json | jq .counters.decaps.count) -gt $before ]"
check "none was refused yet" [ "$(rejected)" = 0 ]
netlab_wait 30 past $((sent_us + 9000000))
inject
check "behind the window it is dropped" netlab_wait 5 has_rejected 1
check "and named" grep -q 'TIMEBASED_REPLAY_FAILED: An anti replay check has failed in group G1: my_pseudotime = .* replay_window = 8 (sec), src_ip = 192.168.13.10, dst_ip = 192.168.14.10' "$NETLAB_DIR/gm2.log"
check "and shown" bash -c "'$NETLAB_BIN/gm-agent' -s '$NETLAB_DIR/gm2.sock' show crypto gdoi gm replay | grep -Eq 'src=192.168.13.10; my_pst=[0-9.]+ secs; peer_pst=[0-9.]+ secs; win=8'"
check "good packets go on" netlab_in h1 ping -q -c 5 -i 0.1 -W 3 192.168.14.10
check "the counters are kept" test -s "$NETLAB_DIR/gm1.counters"
netlab_stop gm1 KILL
netlab_start gm1 gm1 "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm1.conf"
check "a killed one comes back" netlab_wait 30 netlab_registered 1
check "and is understood" netlab_wait 10 netlab_in h1 ping -q -c 3 -i 0.1 -W 3 192.168.14.10
e2e_end
