#!/usr/bin/env bash
# A rolling upgrade with two real builds: QUORATE_OLD names the folder with ksd of the older one (default: the same build, so one
# server after the other is restarted). With a build of a higher level than that in QUORATE_BIN (level.h) it also shows the level rising
# and the old build refused.
set -u
E2E=qup
. "$(dirname "$0")/../lib/e2e.sh"
: "${QUORATE_OLD:=$NETLAB_BIN}"
NEW_BIN=$NETLAB_BIN

cluster_says() { netlab_api "$1" /v1/cluster | jq -e "$2"; }
level_of() { netlab_api "$1" /v1/cluster | jq .level; }
start() { netlab_start "ksd$1" "ks$1" "$2/ksd" -c "$NETLAB_DIR/ksd$1.conf"; }
refused() { e2e_log_at_least "$1" BUILD_TOO_OLD 1; }
ended() { ! kill -0 "$(cat "$NETLAB_DIR/ksd$1.pid")" 2> /dev/null || grep -qs '^State:.Z' "/proc/$(cat "$NETLAB_DIR/ksd$1.pid")/status"; }
rekey_somewhere() { local n; for n in 1 2 3; do netlab_ksctl "$n" rekey G1 2> /dev/null && return 0; done; return 1; }
upgrade() {
    netlab_stop "ksd$1"
    start "$1" "$NEW_BIN"
    check "server $1, upgraded, is ready" netlab_wait 20 netlab_api "$1" /readyz
    check "and holds what the others hold" netlab_wait 15 netlab_same 1 2 3
}

netlab_up 1 3
netlab_psk > /dev/null
NETLAB_BIN=$QUORATE_OLD
check "three key servers of the older build form one cluster" netlab_cluster 3
NETLAB_BIN=$NEW_BIN
netlab_gm_conf 1 10.1.11.2 10.1.12.2 10.1.21.2
netlab_start gm1 gm1 "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm1.conf"
check "a member registers" netlab_wait 30 netlab_registered 1
[ "$failed" = 0 ] || { e2e_end; exit 1; }
old=$(level_of 1)
upgrade 3
upgrade 2
new=$(netlab_api 3 /v1/cluster | jq '.nodes[] | select(.self) | .level')
echo "# the older build is of level $old, the newer one of level $new"
check "with two of three upgraded the cluster is at the older level" [ "$(level_of 1) $(level_of 2) $(level_of 3)" = "$old $old $old" ]
check "which all show of all builds" netlab_wait 5 cluster_says 2 "[.nodes[].level] | sort == ([$old, $new, $new] | sort)"
check "a rekey in between" netlab_wait 10 rekey_somewhere
netlab_wait 10 netlab_ksctl 1 cluster step-down
upgrade 1
for n in 1 2 3; do check "with the last one server $n is at the newer level" netlab_wait 10 cluster_says "$n" ".level == $new"; done
check "a rekey behind it" netlab_wait 10 rekey_somewhere
check "the three hold the same" netlab_wait 15 netlab_same 1 2 3
check "the member registered once" e2e_registered_once gm1
if [ "$new" -gt "$old" ]; then
    check "the rise stands in a log" bash -c "grep -q 'CLUSTER_LEVEL: The cluster is at level $new now' $NETLAB_DIR/ksd*.log"
    netlab_stop ksd3
    start 3 "$QUORATE_OLD"
    check "the older build says why it does not start" netlab_wait 10 refused ksd3
    check "and ends" netlab_wait 10 ended 3
    start 3 "$NEW_BIN"
    check "the newer one goes on where it was" netlab_wait 20 netlab_api 3 /readyz
    check "with the same state" netlab_wait 15 netlab_same 1 2 3
    check "a server is removed" netlab_wait 15 netlab_ksctl 1 cluster remove "$(netlab_api 1 /v1/cluster | jq -r '.nodes[] | select(.address == "10.1.21.2") | .node_id')"
    netlab_stop ksd3
    rm -rf "$NETLAB_DIR/ks3.data"
    netlab_start ksd3 ks3 "$QUORATE_OLD/ksd" -c "$NETLAB_DIR/ksd3.conf" --join "$(netlab_ksctl 1 cluster token)"
    check "the older build cannot join" netlab_wait 10 e2e_log_at_least ksd3 'JOIN_FAILED.*below the cluster' 1
fi
e2e_end
