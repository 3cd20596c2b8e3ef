#!/usr/bin/env bash
# Three key servers on one machine: registrations (CPU of all servers, rate, latency), commits beside etcd's on the same disk, and a
# crowd of members in one group: registered, rekeyed, memory, the rekey beside bare sendmmsg, all acknowledgements at 1 % loss.
#   tests/bench/cluster.sh [MEMBERS] [PARTS]      default: 10000 "commits registrations crowd"
# Prints figures and asserts nothing about time. Needs root.
set -eu
cd "$(dirname "$(readlink -f "$0")")/../.."
members=${1:-10000} parts=${2:-commits registrations crowd}
if [ -z "${QUORATE_BIN:-}" ]; then
    cmake --preset bench > /dev/null
    ninja -C build/bench ksd ksctl gdoi_load commit_bench bare_push_bench > /dev/null
    export QUORATE_BIN=$PWD/build/bench/bin
fi
case " $parts " in
*" commits "*) . tests/torture/etcd.sh ;;
esac
E2E=qbc NETLAB_CROWD=10.1.128.0/17 NETLAB_IKE='rate_per_s = 100000; rate_burst = 100000; half_open_max = 4096;'
. tests/lib/e2e.sh
export NETLAB NETLAB_DIR NETLAB_BIN PYTHONPATH=$PWD/tests/torture

netlab_up 1 3
netlab_crowd 1
netlab_psk > /dev/null
python3 -B tests/bench/cluster.py machine
case " $parts " in
*" commits "*)
    check "commits, three servers" "$NETLAB_BIN/../tests/commit_bench" "$NETLAB_DIR" 6 3
    check "etcd's" python3 -B tests/bench/cluster.py etcd ;;
esac
case " $parts " in
*" registrations "* | *" crowd "*) check "three key servers form one cluster" netlab_cluster 3 ;;
esac
case " $parts " in
*" registrations "*) check "registrations" python3 -B tests/bench/cluster.py registrations ;;
esac
case " $parts " in
*" crowd "*)
    # A group with the times of a laboratory: what is silent is asked again after a second.
    for n in 1 2 3; do netlab_stop "ksd$n"; rm -rf "$NETLAB_DIR/ks$n.data" "$NETLAB_DIR/ks$n.key"; done
    check "three key servers form another" netlab_cluster 3 280 3600
    check "a crowd" python3 -B tests/bench/cluster.py crowd "$members" ;;
esac
e2e_end
