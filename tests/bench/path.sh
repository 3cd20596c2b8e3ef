#!/usr/bin/env bash
# The user data path with its system calls: host to host through two gm-agents and a WAN router, in network namespaces, beside plain
# forwarding over the same namespaces and the bare cipher, all in one run. Prints one line of JSON per measurement and a table at the
# end; asserts nothing about time.
#   tests/bench/path.sh [SECONDS PER LINE, default 5] [TRANSFORM, default aes256-gcm16] [DATAPATH WORDS, as "threads = 2;"]
# All namespaces share this machine's cores, so figures are ratios of one run and not what a site with its own machine would see.
# cpu_us: processor time of the sending and of the receiving agent for each packet, what the kernel does in their calls included;
# that is also what router and receiver do with it, as the next namespace takes a packet over within the sender's call.
set -u
cd "$(dirname "$(readlink -f "$0")")/../.."
seconds=${1:-5}
transform=${2:-aes256-gcm16}
words=${3:-}
: "${QUORATE_BIN:=$PWD/build/bench/bin}"
bench=$(find "$(dirname "$QUORATE_BIN")" -name packet_bench -type f -perm -u+x | head -n 1)
E2E=qpath
. tests/lib/e2e.sh
target=192.168.14.10

ticks() { awk '{ print $14 + $15 }' "/proc/$(cat "$NETLAB_DIR/$1.pid")/stat"; }
counter() { "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/$1.conf" show crypto ipsec sa json | jq ".counters.$2.count"; }
load() { cut -d' ' -f1 /proc/loadavg; }

# run LABEL PATH IPERF-WORDS...: host 1 to host 2.
run() {
    local label=$1 path=$2 json t1 t2 p1 p2 before
    shift 2
    netlab_start iperf h2 iperf3 -s -1 --forceflush
    netlab_wait 5 grep -q listening "$NETLAB_DIR/iperf.log"
    before=$(load)
    if [ "$path" = esp ]; then t1=$(ticks gm1); t2=$(ticks gm2); p1=$(counter gm1 encaps); p2=$(counter gm2 decaps); fi
    json=$(netlab_in h1 iperf3 -c "$target" -t "$seconds" -J "$@")
    netlab_stop iperf
    rm -f "$NETLAB_DIR/iperf.log"
    local out
    out=$(jq -c --arg l "$label" --arg p "$path" --arg load "$before" '{what: $l, path: $p, load: ($load | tonumber),
        mbit_s: ((.end.sum_received.bits_per_second // .end.sum.bits_per_second) / 1e6 | round), lost_percent: .end.sum.lost_percent,
        retransmits: .end.sum_sent.retransmits}' <<< "$json")
    if [ "$path" = esp ]; then
        t1=$(($(ticks gm1) - t1)); t2=$(($(ticks gm2) - t2)); p1=$(($(counter gm1 encaps) - p1)); p2=$(($(counter gm2 decaps) - p2))
        out=$(jq -c --argjson t1 "$t1" --argjson t2 "$t2" --argjson p1 "$p1" --argjson p2 "$p2" --argjson hz "$(getconf CLK_TCK)" '. + {
            sent: $p1, received: $p2, cpu_us_out: (if $p1 > 0 then $t1 / $hz * 1e8 / $p1 | round / 100 else null end),
            cpu_us_in: (if $p2 > 0 then $t2 / $hz * 1e8 / $p2 | round / 100 else null end)}' <<< "$out")
    fi
    echo "$out" | tee -a "$NETLAB_DIR/results"
}
all() {
    run tcp "$1"
    run tcp-4 "$1" -P 4
    run udp-1400 "$1" -u -b 0 -l 1400
    run udp-100 "$1" -u -b 0 -l 100
}

netlab_up 2 1
all plain
netlab_psk > /dev/null
netlab_ksd_conf 1 "$transform" 7200 86400
for n in 1 2; do
    netlab_gm_conf $n 10.1.11.2
    sed -i "s|backend = \"user\";|& $words|" "$NETLAB_DIR/gm$n.conf"
done
e2e_start_ksd
check "the key server is ready" e2e_ready
for n in 1 2; do
    netlab_start gm$n gm$n "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm$n.conf"
    check "gm$n is registered" netlab_wait 30 netlab_registered $n
done
[ "$failed" = 0 ] || { e2e_end; exit 1; }
all esp
if [ -n "$bench" ]; then "$bench" 0.3 2> /dev/null | jq -c 'select(.operation | test("1408")) + {what: .operation, path: "bare cipher"}' | tee -a "$NETLAB_DIR/results"; fi

jq -rs '(map(select(.path == "plain")) | map({(.what): .mbit_s}) | add) as $plain |
    ["what", "Mbit/s", "of plain", "cpu us out", "cpu us in", "lost %", "load"],
    (.[] | select(.path == "esp") | [.what, .mbit_s, (.mbit_s / $plain[.what] * 1000 | round / 1000), .cpu_us_out, .cpu_us_in,
        (.lost_percent // 0 | . * 10 | round / 10), .load]),
    (.[] | select(.path == "bare cipher") | [.what, "-", "-", .ours_ns / 1000, .bare_ns / 1000, "-", "-"]) | @tsv' "$NETLAB_DIR/results" |
    column -t -s "$(printf '\t')" >&2
e2e_end > /dev/null
