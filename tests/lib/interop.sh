# interop.sh - what the interop scripts share: a client and a server namespace, ksd in one, a foreign IKE daemon in the other.
# Sourced; the caller sets INTEROP (prefix) and has QUORATE_BIN. Uses deploy/netlab.sh for processes and waiting.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
: "${QUORATE_BIN:=$root/build/dev/bin}"
NETLAB=$INTEROP-$$
NETLAB_DIR=$(mktemp -d)
NETLAB_BIN=$QUORATE_BIN
. "$root/deploy/netlab.sh"
. "$root/tests/lib/check.sh"

interop_end() {
    netlab_down
    [ "$failed" = 0 ] || for log in "$NETLAB_DIR"/*.log; do echo "--- $log"; tail -n 60 "$log"; done
    rm -rf "$NETLAB_DIR"
    check_end
}
finish() { interop_end; }
trap netlab_down EXIT

# A client 10.7.0.2 and ksd at 10.7.0.1:848. interop_ksd PROPOSAL...
interop_net() {
    netlab_namespace server
    netlab_namespace client
    netlab_link server e0 10.7.0.1/24 client e0 10.7.0.2/24
}

interop_ksd() {
    local list='' p
    for p in "$@"; do list="$list${list:+, }\"$p\""; done
    printf 'interop-secret-long-enough' > "$NETLAB_DIR/psk"
    chmod 600 "$NETLAB_DIR/psk"
    mkdir -p "$NETLAB_DIR/data"
    cat > "$NETLAB_DIR/ksd.conf" <<CONF
node = { listen = "10.7.0.1"; port = 848; data_dir = "$NETLAB_DIR/data"; node_key_file = "$NETLAB_DIR/node.key"; };
api = { listen = "127.0.0.1"; port = 8480; };
ike = { proposals = [ $list ]; lifetime_s = 1200; };
signing = { algorithm = "ecdsa256"; };
psk = ( { peer = "10.7.0.2"; secret_file = "$NETLAB_DIR/psk"; } );
groups = ( {
    name = "G1"; identity = 3333; server_address = "10.7.0.1";
    kek = { cipher = "aes256"; lifetime_s = 86400; hash = "sha256"; ack = "sha256"; };
    tek = { transform = "aes256-sha256"; lifetime_s = 7200; };
    rekey = { retransmit_s = 10; retransmit_count = 2; activation_s = 10; deactivation_s = 30; };
    policy = ( { src = "192.168.0.0/16"; dst = "192.168.0.0/16"; } );
} );
CONF
    chmod 600 "$NETLAB_DIR/ksd.conf"
    netlab_start ksd server "$NETLAB_BIN/ksd" -c "$NETLAB_DIR/ksd.conf"
    netlab_wait 30 netlab_in server curl -fsS http://127.0.0.1:8480/readyz
}

interop_log_has() { grep -Eq "$2" "$NETLAB_DIR/$1.log"; }
