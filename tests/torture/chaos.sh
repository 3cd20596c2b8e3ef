#!/usr/bin/env bash
# Random faults of random key servers, with registrations and rekeys going on; then: was anything lost that was acknowledged?
#   tests/torture/chaos.sh [ROUNDS] [SEED]      default: 10 rounds, a seed from the clock (printed)
# A round takes 2 to 3 s. Needs root. QUORATE_KEEP: a directory to which logs and data of a failed run are copied.
# QUORATE_BIN: the programs (default: the bench preset).
set -eu
cd "$(dirname "$(readlink -f "$0")")/../.."
rounds=${1:-10} seed=${2:-$(date +%s)}
if [ -z "${QUORATE_BIN:-}" ]; then
    cmake --preset bench > /dev/null
    ninja -C build/bench ksd ksctl gdoi_load > /dev/null
    export QUORATE_BIN=$PWD/build/bench/bin
fi
E2E=qch NETLAB_CROWD=10.1.128.0/17 NETLAB_IKE='rate_per_s = 100000; rate_burst = 100000;'
. tests/lib/e2e.sh
export NETLAB NETLAB_DIR NETLAB_BIN

netlab_up 1 3
netlab_crowd 1
netlab_psk > /dev/null
check "three key servers form one cluster" netlab_cluster 3 60 300
[ "$failed" = 0 ] && check "$rounds rounds with seed $seed" python3 -B tests/torture/chaos.py "$rounds" "$seed"
[ "$failed" = 0 ] || [ -z "${QUORATE_KEEP:-}" ] || cp -r "$NETLAB_DIR" "$QUORATE_KEEP"
e2e_end
