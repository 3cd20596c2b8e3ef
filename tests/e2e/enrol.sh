#!/usr/bin/env bash
# A branch by one command: a token of the key server, gm-agent enrol, and the agent registers with a key that nobody typed.
set -u
E2E=qen
. "$(dirname "$0")/../lib/e2e.sh"

netlab_up 2 1
netlab_psk > /dev/null
check "a key server of a cluster" netlab_cluster 1
[ "$failed" = 0 ] || { e2e_end; exit 1; }
# The laboratory's key is for gm2 alone; gm1 has none.
sed -i 's#peer = "[^"]*"#peer = "10.1.14.2"#' "$NETLAB_DIR/ksd1.conf"
kill -HUP "$(cat "$NETLAB_DIR/ksd1.pid")"
conf=$NETLAB_DIR/gm1.conf
enrol() { netlab_in gm1 "$NETLAB_BIN/gm-agent" -c "$conf" enrol --server 10.1.11.2 --token "$@" >> "$NETLAB_DIR/enrol.log" 2>&1; }
refused() { ! enrol "$@"; }
says() { tail -n 1 "$NETLAB_DIR/enrol.log" | grep -q "$1"; }
no_token() { ! netlab_ksctl 1 enrol token "$@" 2> /dev/null; }

check "no token for a group that is not there" no_token G9 10.1.13.2
check "nor for an address with a key in the configuration" netlab_wait 10 no_token G1 10.1.14.2
token=$(netlab_ksctl 1 enrol token G1 10.1.13.2)
other=$(netlab_ksctl 1 enrol token G1 10.1.13.77)
check "a token for an address of another machine is not used here" refused "$other"
check "and it says so" says 'no device here has'
check "a token with another secret is refused" refused "${token/qe1.????/qe1.0000}"
check "and it says so" says 'authentication failed'
check "one command" enrol "$token" --wan wan0 --lan lan0
check "the files are private" [ "$(stat -c %a "$conf" "$conf.psk" | tr -d '\n' | tr -d 640)" = "" ]
check "a file that is there is not overwritten" refused "$token"
check "the token serves once" refused "$token" --force
check "and it says so" says 'seen before'
check "the configuration is good" netlab_in gm1 "$NETLAB_BIN/gm-agent" -t -c "$conf"
check "the key server kept nothing of it in its log" bash -c "! grep -Ff '$conf.psk' '$NETLAB_DIR/ksd1.log'"

sed -i "s#/run/quorate/gm-agent.sock#$NETLAB_DIR/gm1.sock#" "$conf"
netlab_start gm1 gm1 "$NETLAB_BIN/gm-agent" -c "$conf"
netlab_gm_conf 2 10.1.11.2
netlab_start gm2 gm2 "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm2.conf"
check "the enrolled one registers" netlab_wait 30 netlab_registered 1
check "and the one of the configuration" netlab_wait 30 netlab_registered 2
check "hosts behind them answer each other" netlab_wait 10 netlab_in h1 ping -q -c 3 -i 0.1 -W 1 192.168.14.10

# The configuration is read again: what enrolled stays.
kill -HUP "$(cat "$NETLAB_DIR/ksd1.pid")"
completed=$(e2e_log_count gm1 GM_REGS_COMPL)
netlab_in gm1 "$NETLAB_BIN/gm-agent" -c "$conf" clear crypto gdoi > /dev/null
check "it registers again" netlab_wait 20 e2e_log_at_least gm1 GM_REGS_COMPL $((completed + 1))
check "a member is revoked" netlab_ksctl 1 enrol revoke 10.1.13.2
revoked_twice() { ! netlab_ksctl 1 enrol revoke 10.1.13.2 2> /dev/null; }
check "once" revoked_twice
netlab_in gm1 "$NETLAB_BIN/gm-agent" -c "$conf" clear crypto gdoi > /dev/null
check "and gets no keys any more" netlab_wait 20 bash -c "! '$NETLAB_BIN/gm-agent' -s '$NETLAB_DIR/gm1.sock' show crypto gdoi | grep -q 'Registration status *: Registered'"
e2e_end
