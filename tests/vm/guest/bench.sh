# bench.sh - both data paths beside a tunnel between two addresses (XFRM as everybody uses it) and plain forwarding, in one
# run of one machine: throughput of TCP; and of a steady stream, what a packet takes of the processor, by the machine's idle
# time (the kernel's work in softirqs is in no process's ticks), and what the agents take of that. Asserts nothing about time.
# Not one of the suites that run by default: tests/vm/run.sh bench.sh
# All five nodes share one processor, so throughput is what the sum of them can do. With the instruction clock of run.sh a
# second is 500 million instructions, whatever the host does, and one AES instruction is as good as any other: figures are
# ratios. QUORATE_VM_ICOUNT= (empty) takes the host's time instead; then the host should have nothing else to do.
. /suite/lib.sh
seconds=2 stream_s=6 packets_s=1000 octets=1300

modprobe -q aesni_intel
modprobe -q sha256-ssse3
netlab_up 2 1
netlab_psk > /dev/null
wan_of() { echo "10.1.$((12 + $1)).2"; }
agent_ticks() { if [ -f "$NETLAB_DIR/gm$1.pid" ]; then awk '{ print $14 + $15 }' "/proc/$(cat "$NETLAB_DIR/gm$1.pid")/stat"; else echo 0; fi; }
busy_cs() { awk '{ print int(($1 - $2) * 100 + 0.5) }' /proc/uptime; } # hundredths of a second that the one processor worked
stream() { # IPERF-WORDS...: from host 1 to host 2; its last report
    netlab_start iperf h2 iperf3 -s -1 --forceflush
    netlab_wait 5 grep -q listening "$NETLAB_DIR/iperf.log"
    netlab_in h1 iperf3 -c "$(host 2)" -f m "$@" | grep receiver
    netlab_stop iperf
    rm -f "$NETLAB_DIR/iperf.log"
}
# measure NAME: one line into results: name, Mbit/s of TCP, packets received and sent of the stream, ticks of either agent,
# hundredths of a second of the processor for all of the stream
measure() {
    local tcp udp a1 a2 busy
    tcp=$(stream -t $seconds | grep -o '[0-9.]* Mbits/sec' | cut -d' ' -f1)
    a1=$(agent_ticks 1) a2=$(agent_ticks 2) busy=$(busy_cs)
    udp=$(stream -t $stream_s -u -l $octets -b $((packets_s * octets * 8)) | grep -o '[0-9]*/[0-9]*' | tail -n 1)
    a1=$(($(agent_ticks 1) - a1)) a2=$(($(agent_ticks 2) - a2)) busy=$(($(busy_cs) - busy))
    echo "$1 $tcp $((${udp#*/} - ${udp%/*})) ${udp#*/} $a1 $a2 $busy" >> /tmp/results
    check "$1 carries traffic: $tcp Mbit/s" [ -n "$tcp" ]
}

# tunnel CIPHER-WORDS...: one between the sites' addresses, with other SPIs each way
tunnel() {
    local from to spi
    for from in 1 2; do
        to=$((3 - from)) spi=0x10$from
        for i in 1 2; do
            netlab_in gm$i ip xfrm state add src "$(wan_of $from)" dst "$(wan_of $to)" proto esp spi $spi reqid 1 mode tunnel replay-window 0 "$@"
        done
        local nets="src 192.168.$((12 + from)).0/24 dst 192.168.$((12 + to)).0/24"
        local tmpl="tmpl src $(wan_of $from) dst $(wan_of $to) proto esp reqid 1 mode tunnel"
        netlab_in gm$from ip xfrm policy add $nets dir out $tmpl
        netlab_in gm$to ip xfrm policy add $nets dir fwd $tmpl
        netlab_in gm$to ip xfrm policy add $nets dir in $tmpl
    done
}
no_tunnel() { for i in 1 2; do netlab_in gm$i ip xfrm state flush; netlab_in gm$i ip xfrm policy flush; done; }
key() { printf '0x'; for ((k = 0; k < $1; k++)); do printf '%02x' $((k + 7)); done; }
drivers() { awk -v want="$1" '$1 == "name" { name = $3 } $1 == "driver" && index(name, want) && !seen[$3]++ { printf "%s ", $3 }' /proc/crypto; echo; }

measure 'plain'
tunnel auth-trunc 'hmac(sha256)' "$(key 32)" 128 enc 'cbc(aes)' "$(key 32)"
measure 'tunnel/cbc'
drivers 'hmac(sha256)'
no_tunnel
tunnel aead 'rfc4106(gcm(aes))' "$(key 36)" 128
measure 'tunnel/gcm'
drivers 'rfc4106'
no_tunnel

# both NAME TRANSFORM: the group's data paths
both() {
    local backend
    ksd_conf "$2" 7200
    sed -i "s/sid_bits = 16;/sid_bits = 8;/" "$NETLAB_DIR/ksd1.conf"
    netlab_start ksd1 ks1 ksd -c "$NETLAB_DIR/ksd1.conf"
    for backend in xfrm user; do
        for i in 1 2; do
            netlab_gm_conf $i 10.1.11.2
            [ $backend = user ] || use_xfrm $i
            start_gm $i
        done
        for i in 1 2; do check "$backend/$1: site $i is registered" netlab_wait 40 netlab_registered $i; done
        check "$backend/$1: hosts reach each other" netlab_wait 10 pings 1 2
        measure "$backend/$1"
        for i in 1 2; do netlab_stop gm$i; done
    done
    netlab_stop ksd1
    rm -r "$NETLAB_DIR/ks1.data"
}
both cbc aes256-sha256
both gcm aes256-gcm16

# "cpu us": a packet's share of the processor, from host 1 to host 2 with both iperf3. "esp us": what that is above plain, so
# encrypt and decrypt together. "agents us": what of it the two agents take.
awk -v hz=100 '
    BEGIN { printf "%-12s %8s %9s %10s %8s %8s %10s %10s %7s\n", "path", "Mbit/s", "of plain", "of tunnel", "cpu us", "esp us", "of tunnel", "agents us", "lost %" }
    { split($1, part, "/")
      cpu = $7 / hz * 1e6 / $4
      if ($1 == "plain") { plain = $2; plain_cpu = cpu }
      esp = cpu - plain_cpu
      if (part[1] == "tunnel") { tunnel[part[2]] = $2; tunnel_esp[part[2]] = esp }
      known = (part[2] in tunnel)
      printf "%-12s %8.1f %9.3f %10s %8.1f %8.1f %10s %10.1f %7.2f\n", $1, $2, $2 / plain,
          known ? sprintf("%.2f", $2 / tunnel[part[2]]) : "-", cpu, esp,
          known ? sprintf("%.2f", esp / tunnel_esp[part[2]]) : "-",
          ($5 + $6) / hz * 1e6 / $4, 100 * ($4 - $3) / $4 }' /tmp/results
suite_end
