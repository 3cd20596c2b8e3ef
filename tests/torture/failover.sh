#!/usr/bin/env bash
# What a fault of the primary costs: time to the next acknowledged registration, to the next committed rekey, to that rekey's end;
# beside etcd (three members, the same machine, the same run, its own timings and ours), killed, stopped and cut off alike.
#   tests/torture/failover.sh [RUNS] [FAULTS] [SYSTEMS]     default: 20 "kill stop cut" "quorate etcd"
# Needs root. etcd comes from Debian's package etcd-server. QUORATE_BIN: the programs (default: the bench preset).
set -eu
cd "$(dirname "$(readlink -f "$0")")/../.."
runs=${1:-20} faults=${2:-kill stop cut} systems=${3:-quorate etcd}
if [ -z "${QUORATE_BIN:-}" ]; then
    cmake --preset bench > /dev/null
    ninja -C build/bench ksd ksctl gdoi_load > /dev/null
    export QUORATE_BIN=$PWD/build/bench/bin
fi
case " $systems " in
*" etcd "*) . tests/torture/etcd.sh ;;
esac
E2E=qfo NETLAB_CROWD=10.1.128.0/17 NETLAB_IKE='rate_per_s = 100000; rate_burst = 100000;'
. tests/lib/e2e.sh
export NETLAB NETLAB_DIR NETLAB_BIN

netlab_up 1 3
netlab_crowd 1
netlab_psk > /dev/null
case " $systems " in
*" quorate "*) check "three key servers form one cluster" netlab_cluster 3 ;;
esac
[ "$failed" = 0 ] && check "failover" python3 -B tests/torture/failover.py "$runs" "$faults" "$systems"
e2e_end
