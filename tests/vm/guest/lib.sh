# lib.sh - what the suites inside the VM share. Sourced by them.
NETLAB=q
NETLAB_DIR=/tmp/lab
NETLAB_BIN=/usr/bin
. /suite/netlab.sh
. /suite/environment
passed=0
failed=0

check() { # check TEXT COMMAND...
    local text=$1
    shift
    if "$@" > /tmp/check.log 2>&1; then passed=$((passed + 1)); echo "ok - $text"
    else failed=$((failed + 1)); echo "NOT OK - $text"; head -c 600 /tmp/check.log; fi
}
not() { ! "$@"; }

suite_end() {
    if [ "$failed" != 0 ]; then
        for log in "$NETLAB_DIR"/*.log; do echo "--- $log"; tail -n 40 "$log"; done
    fi
    netlab_down
    [ ! -d "$NETLAB_DIR/out" ] || tar -cf /dev/vda -C "$NETLAB_DIR/out" .
    sync
    echo "$passed passed, $failed failed"
}

# As in netlab.sh, by the time since power on: a suite steps the wall clock, by which bash's SECONDS goes.
uptime_s() { cut -d. -f1 /proc/uptime; }
netlab_wait() {
    local end=$(($(uptime_s) + $1))
    shift
    until "$@" > /dev/null 2>&1; do
        [ "$(uptime_s)" -lt "$end" ] || return 1
        sleep 0.2
    done
}

# ksd_conf TRANSFORM TEK_LIFE KEK_LIFE: signs with ECDSA, since an RSA key takes half a minute to be made here. An
# emulated machine may need a second to take a rekey, so the activation delay is longer.
ksd_conf() {
    netlab_ksd_conf 1 "$@"
    sed -i -e 's/algorithm = "rsa"; bits = 2048;/algorithm = "ecdsa256";/' "$NETLAB_DIR/ksd1.conf"
    delays 3 3
}
# delays ACTIVATION DEACTIVATION: in seconds
delays() {
    sed -i -E "s/ activation_s = [0-9]+; deactivation_s = [0-9]+;/ activation_s = $1; deactivation_s = $2;/" "$NETLAB_DIR/ksd1.conf"
}
# As in netlab.sh, but without the second for which tcpdump else leaves packets in the kernel, and loses them at its end.
netlab_capture() {
    netlab_start "$1" "$2" tcpdump -U -n --immediate-mode -i "$3" -w "$NETLAB_DIR/$1.pcap"
    netlab_wait 10 test -s "$NETLAB_DIR/$1.pcap"
}
# use_xfrm N: this site uses the kernel's IPsec.
use_xfrm() { sed -i 's/backend = "user"/backend = "xfrm"/' "$NETLAB_DIR/gm$1.conf"; }
start_gm() { netlab_start "gm$1" "gm$1" gm-agent -c "$NETLAB_DIR/gm$1.conf"; }
host() { echo "192.168.$((12 + $1)).10"; }
# pings FROM TO [COUNT]: all answered.
pings() { netlab_in "h$1" ping -q -c "${3:-3}" -i 0.1 -W 2 "${@:4}" "$(host "$2")" | grep -q ' 0% packet loss'; }
log_count() { grep -Ec "$2" "$NETLAB_DIR/$1.log"; }
log_at_least() { [ "$(log_count "$1" "$2")" -ge "$3" ]; }
# ping_start NAME FROM TO COUNT INTERVAL; ping_lost_none NAME
ping_start() { netlab_start "$1" "h$2" ping -q -i "$5" -c "$4" -W 3 "$(host "$3")"; }
ping_ended() { grep -q 'packet loss' "$NETLAB_DIR/$1.log"; }
ping_lost_none() { grep 'packet loss' "$NETLAB_DIR/$1.log"; grep -q ' 0% packet loss' "$NETLAB_DIR/$1.log" && ! grep -q duplicates "$NETLAB_DIR/$1.log"; }
# A trap is shown with the agent of a site held, so that it repairs nothing, and its guard taken away by hand.
held() { kill -STOP "$(cat "$NETLAB_DIR/gm$1.pid")"; }
# let_go N WORDS...: it goes on, and has put back what was changed, as its log says in these words.
let_go() {
    local site=$1 word before=()
    shift
    for word in "$@"; do before+=($(($(log_count "gm$site" "$word") + 1))); done
    kill -CONT "$(cat "$NETLAB_DIR/gm$site.pid")"
    for word in "$@"; do
        netlab_wait 10 log_at_least "gm$site" "$word" "${before[0]}" || echo "site $site did not put back: $word"
        before=("${before[@]:1}")
    done
}
rules='our nftables table; put back' policies='SAs and .*put back'
# seen NAMESPACE DEVICE FILTER COMMAND...: how many packets that match are on the device while the command runs.
seen() {
    local ns=$1 device=$2 filter=$3
    shift 3
    rm -f "$NETLAB_DIR/seen.pcap"
    netlab_capture seen "$ns" "$device"
    "$@" > /dev/null 2>&1
    netlab_stop seen
    netlab_count "$NETLAB_DIR/seen.pcap" "$filter"
}
try_ping() { netlab_in h1 ping -q -c "${1:-3}" -i 0.2 -W 1 "${@:2}" "$(host 2)" > /dev/null; }
# reqid N DIRECTION: by which the kernel finds the SAs of a site's policies.
reqid() { netlab_in "gm$1" ip xfrm policy list dir "$2" | grep -o 'reqid [1-9][0-9]*' | head -n 1; }
# rolls N [SITE...]: N rollovers, by default of sites 1 and 2 with the kernel's IPsec. The key server is asked for a key
# as soon as all send on the one before.
sends_on() { netlab_in "gm$1" ip xfrm policy list dir out | grep -o 'spi 0x[0-9a-f]*' | head -n 1; }
all_send_on() { local site; for site in "${sites[@]}"; do echo "$site $(sends_on "$site")"; done; }
all_switched() { ! all_send_on | grep -qxF -e "$before" && ! all_send_on | grep -qx '[0-9]* '; }
rolls() {
    local count=$1 i before sites=(1 2)
    shift
    [ $# = 0 ] || sites=("$@")
    for ((i = 0; i < count; i++)); do
        before=$(all_send_on)
        netlab_in ks1 ksctl rekey G1 > /dev/null || return 1
        netlab_wait 20 all_switched || { echo "rollover $i: $before -> $(all_send_on)"; return 1; }
    done
}
# counter N NAME: of a site's data path.
counter() { gm-agent -c "$NETLAB_DIR/gm$1.conf" show crypto ipsec sa json | grep -A1 "\"$2\"" | grep -o '"count": [0-9]*' | grep -o '[0-9]*'; }
counter_above() { [ "$(counter "$1" "$2")" -gt "$3" ]; }
# Packets of protected hosts in a capture of the WAN that are not ESP.
clear_packets() { netlab_count "$NETLAB_DIR/$1.pcap" 'src net 192.168.0.0/16 and dst net 192.168.0.0/16 and not ip proto 50'; }
esp_packets() { netlab_count "$NETLAB_DIR/$1.pcap" "ip proto 50 and src host $(host "$2") and dst host $(host "$3")"; }
# wire_start: keeps the WAN, each packet as it enters the router, and the kernel's keys again and again. Packets come to
# tcpdump in blocks, a second late at most: woken for each, it would take as long as all the rest.
wire_start() {
    mkdir -p "$NETLAB_DIR/out"
    netlab_start wire wan tcpdump -U -n -B 16384 -i any -Q in -w "$NETLAB_DIR/wire.pcap" ip
    netlab_start keys gm1 bash -c "while sleep 0.7; do ip xfrm state >> $NETLAB_DIR/out/keys; done"
    netlab_wait 10 grep -q 'listening on' "$NETLAB_DIR/wire.log"
}
# wire_stop PACKETS KEYS SID_BITS [RESTARTS]: what check_wire.sh shall find.
wire_stop() {
    netlab_in ks1 ping -q -c 1 -p 656e646f6677697265 10.1.11.1 > /dev/null # a last packet, with these words
    netlab_wait 10 grep -qa endofwire "$NETLAB_DIR/wire.pcap"
    netlab_stop wire
    netlab_stop keys
    ln "$NETLAB_DIR/wire.pcap" "$NETLAB_DIR/out/wire.pcap"
    printf 'packets=%s\nspis=%s\nsid_bits=%s\nrestarts=%s\n' "$1" "$2" "$3" "${4:-0}" > "$NETLAB_DIR/out/expect"
}
