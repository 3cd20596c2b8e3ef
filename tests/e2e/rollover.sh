#!/usr/bin/env bash
# TEK and KEK rollovers under ping in both directions every 10 ms: no packet may be lost.
# 10 TEK and 1 KEK rollovers; QUORATE_LONG=1: 50 and 5.
set -u
E2E=qro
. "$(dirname "$0")/../lib/e2e.sh"

teks=10 keks=1
[ -z "${QUORATE_LONG:-}" ] || { teks=50; keks=5; }
# TEKs live 6 s and are renewed after 3, KEKs live 48 s and are renewed after 24.
count=$((100 * (teks * 3 + 12)))
transform=${QUORATE_TRANSFORM:-aes256-sha256}
e2e_start 6 48 "$transform"

netlab_start ping12 h1 ping -q -i 0.01 -c "$count" -W 2 192.168.14.10
netlab_start ping21 h2 ping -q -i 0.01 -c "$count" -W 2 192.168.13.10
netlab_wait $((count / 20)) bash -c "grep -q 'packet loss' $NETLAB_DIR/ping12.log && grep -q 'packet loss' $NETLAB_DIR/ping21.log"
grep -h 'packet loss' "$NETLAB_DIR"/ping*.log
for gm in gm1 gm2; do
    echo "$gm: $(e2e_log_count $gm SA_TEK_UPDATED) TEK and $(e2e_log_count $gm SA_KEK_UPDATED) KEK rollovers"
    check "$gm took $teks TEK rollovers" e2e_log_at_least $gm SA_TEK_UPDATED $teks
    check "$gm took $keks KEK rollovers" e2e_log_at_least $gm SA_KEK_UPDATED $keks
    check "$gm registered once" e2e_registered_once $gm
done
check "no packet lost from h1 to h2" grep -q ' 0% packet loss' "$NETLAB_DIR/ping12.log"
check "no packet lost from h2 to h1" grep -q ' 0% packet loss' "$NETLAB_DIR/ping21.log"
check "no duplicate" bash -c "! grep -q duplicates $NETLAB_DIR/ping12.log $NETLAB_DIR/ping21.log"
e2e_end
