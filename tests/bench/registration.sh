#!/usr/bin/env bash
# CPU of the key server per registration (main mode, PULL, commit) beside charon's for phase 1 alone, driven by the same initiator in
# the same run, and beside the bare OpenSSL operations. Prints a table; asserts nothing about time.
#   tests/bench/registration.sh [EXCHANGES]
set -eu
cd "$(dirname "$(readlink -f "$0")")/../.."
count=${1:-400}
deploy/install-deps
cmake --preset bench >/dev/null
ninja -C build/bench ksd registration_bench crypto_bench > /dev/null
INTEROP=qbench
QUORATE_BIN=$PWD/build/bench/bin
. tests/lib/interop.sh
bench=$(find "$PWD/build/bench" -name registration_bench -type f -perm -u+x | head -n 1)
crypto=$(find "$PWD/build/bench" -name crypto_bench -type f -perm -u+x | head -n 1)
d=$NETLAB_DIR
secret=bench-secret-long-enough

netlab_namespace server
netlab_namespace client
netlab_link server e0 10.7.0.1/16 client e0 10.7.0.2/16
# Each registration comes from an address of its own: the client owns 10.8.0.0/15.
netlab_in client ip route add local 10.8.0.0/15 dev lo
netlab_in server ip route add 10.8.0.0/15 via 10.7.0.2

interop_psk() { printf '%s' "$secret" > "$d/psk"; chmod 600 "$d/psk"; }
ksd_start() {
    interop_ksd aes256-sha256-ecp256 aes256-sha256-modp2048 > /dev/null && netlab_stop ksd
    interop_psk
    sed -i 's|peer = "10.7.0.2"|peer = "10.8.0.0/15"|; s|lifetime_s = 1200; };|lifetime_s = 1200; rate_per_s = 100000; rate_burst = 100000; };|' "$d/ksd.conf"
    rm -rf "$d/data"; mkdir "$d/data"
    netlab_start ksd server "$NETLAB_BIN/ksd" -c "$d/ksd.conf"
    netlab_wait 30 netlab_in server curl -fsS http://127.0.0.1:8480/readyz
}
charon_start() {
    cat > "$d/strongswan.conf" <<CONF
charon {
  port = 848
  port_nat_t = 4500
  threads = 16
  load = aes sha1 sha2 hmac gmp openssl random nonce kdf stroke socket-default kernel-netlink pem pkcs1 x509 pubkey
  install_routes = no
  cookie_threshold = 0
  block_threshold = 0
  init_limit_half_open = 0
  plugins { stroke { secrets_file = $d/ipsec.secrets } }
  filelog { log {
    path = $d/charon.log
    default = -1
  } }
}
CONF
    cat > "$d/ipsec.conf" <<CONF
conn c
  keyexchange=ikev1
  authby=psk
  left=10.7.0.1
  right=%any
  ike=aes256-sha256-ecp256,aes256-sha256-modp2048!
  auto=add
CONF
    echo ": PSK \"$secret\"" > "$d/ipsec.secrets"
    netlab_start starter server env STRONGSWAN_CONF="$d/strongswan.conf" unshare -m bash -c \
        "mount -t tmpfs tmpfs /run && exec /usr/lib/ipsec/starter --nofork --conf $d/ipsec.conf"
    netlab_wait 20 charon_up
}
charon_up() { netlab_in server ss -uln | grep -q ':848 ' && charon_pid > /dev/null; }
charon_pid() { pgrep -P "$(cat "$d/starter.pid")" charon; }

run() { # LABEL PID SUITE FIRST [pull GROUP]
    local label=$1 pid=$2 suite=$3 first=$4
    shift 4
    netlab_in client "$bench" 10.7.0.1 848 500 "$first" "$count" "$secret" "$suite" "$pid" "$@" > "$d/$label.json"
    jq -r --arg l "$label" '"\($l)\t\(.cpu_us_per_exchange)\t\(.wall_us_per_exchange)\t\(.failed)"' "$d/$label.json"
}

{
    printf 'what\tCPU us\twall us\tfailed\n'
    ksd_start
    run ksd-modp2048-pull "$(cat "$d/ksd.pid")" aes256-sha256-modp2048 10.8.0.1 pull 3333
    run ksd-ecp256-pull "$(cat "$d/ksd.pid")" aes256-sha256-ecp256 10.8.64.1 pull 3333
    netlab_stop ksd
    charon_start
    run charon-modp2048-phase1 "$(charon_pid)" aes256-sha256-modp2048 10.9.0.1
    run charon-ecp256-phase1 "$(charon_pid)" aes256-sha256-ecp256 10.9.64.1
    netlab_stop starter
} | column -t -s "$(printf '\t')"
echo
"$crypto" | grep -v '^{'
netlab_down
rm -rf "$d"
