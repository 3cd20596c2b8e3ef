# netlab.sh - a small WAN in network namespaces, sourced by deploy/lab and by tests/e2e.
#
#   h1 192.168.13.10 - gm1 192.168.13.1 | 10.1.13.2 --+
#   h2 192.168.14.10 - gm2 192.168.14.1 | 10.1.14.2 --+-- wan router --- ks1 10.1.11.2, ks2 10.1.12.2, ks3 10.1.21.2
#
# The caller sets: NETLAB (prefix of namespace names), NETLAB_DIR (configs, logs, pids, data), NETLAB_BIN (ksd, gm-agent, ksctl), and
# if it wants them NETLAB_CROWD (a prefix within 10.1.0.0/16 with more members, see netlab_crowd), NETLAB_IKE (more ike settings).
# Everything is made here and taken down by netlab_down; nothing outside the namespaces is touched.

netlab_ns() { echo "$NETLAB-$1"; }
netlab_in() { local ns; ns=$(netlab_ns "$1"); shift; ip netns exec "$ns" "$@"; }

# netlab_link A DEV ADDR B DEV ADDR: a veth pair between two namespaces.
netlab_link() {
    local a b tmp_a tmp_b
    a=$(netlab_ns "$1"); b=$(netlab_ns "$4")
    tmp_a="qa$$"; tmp_b="qb$$"
    ip link add "$tmp_a" type veth peer name "$tmp_b"
    ip link set "$tmp_a" netns "$a" name "$2"
    ip link set "$tmp_b" netns "$b" name "$5"
    ip -n "$a" addr add "$3" dev "$2"
    ip -n "$b" addr add "$6" dev "$5"
    ip -n "$a" link set "$2" up
    ip -n "$b" link set "$5" up
}

# netlab_ks_net N: 10.1.13 and up belong to members.
netlab_ks_net() { if [ "$1" -le 2 ]; then echo "10.1.$((10 + $1))"; else echo "10.1.$((18 + $1))"; fi; }

netlab_namespace() {
    local ns
    ns=$(netlab_ns "$1")
    ip netns add "$ns"
    ip -n "$ns" link set lo up
    ip netns exec "$ns" sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 \
        net.ipv6.conf.all.disable_ipv6=1 2>/dev/null || true
}

# netlab_up SITES SERVERS: routers gm1..N with one host each, key servers ks1..M.
netlab_up() {
    local sites=$1 servers=$2 i net
    mkdir -p "$NETLAB_DIR"
    netlab_namespace wan
    netlab_in wan sysctl -qw net.ipv4.ip_forward=1
    for ((i = 1; i <= servers; i++)); do
        netlab_namespace "ks$i"
        net=$(netlab_ks_net "$i")
        netlab_link wan "ks$i" "$net.1/24" "ks$i" wan0 "$net.2/24"
        ip -n "$(netlab_ns "ks$i")" route add default via "$net.1"
    done
    for ((i = 1; i <= sites; i++)); do
        netlab_namespace "gm$i"
        netlab_namespace "h$i"
        net=10.1.$((12 + i))
        netlab_link wan "gm$i" "$net.1/24" "gm$i" wan0 "$net.2/24"
        netlab_link "gm$i" lan0 "192.168.$((12 + i)).1/24" "h$i" eth0 "192.168.$((12 + i)).10/24"
        ip -n "$(netlab_ns "gm$i")" route add default via "$net.1"
        ip -n "$(netlab_ns "h$i")" route add default via "192.168.$((12 + i)).1"
        ip -n "$(netlab_ns wan)" route add "192.168.$((12 + i)).0/24" via "$net.2"
        netlab_in "gm$i" sysctl -qw net.ipv4.ip_forward=1
    done
}

# netlab_crowd SITE: all addresses of NETLAB_CROWD are at home behind router gmSITE.
netlab_crowd() {
    netlab_in "gm$1" ip route add local "$NETLAB_CROWD" dev lo
    ip -n "$(netlab_ns wan)" route add "$NETLAB_CROWD" via "10.1.$((12 + $1)).2"
}

# netlab_start NAME NAMESPACE COMMAND...: in the background, output to NAME.log, pid to NAME.pid.
netlab_start() {
    local name=$1 ns
    ns=$(netlab_ns "$2")
    shift 2
    ip netns exec "$ns" "$@" >> "$NETLAB_DIR/$name.log" 2>&1 < /dev/null &
    echo $! > "$NETLAB_DIR/$name.pid"
}

# netlab_stop NAME [SIGNAL]: ends what netlab_start began and waits for it, at most 10 s.
netlab_stop() {
    local file="$NETLAB_DIR/$1.pid" pid end
    [ -f "$file" ] || return 0
    pid=$(cat "$file")
    rm -f "$file"
    kill "-${2:-TERM}" "$pid" 2>/dev/null || return 0
    end=$((SECONDS + 10))
    while kill -0 "$pid" 2>/dev/null && ! grep -qs '^State:.Z' "/proc/$pid/status"; do
        [ $SECONDS -lt $end ] || { kill -KILL "$pid" 2>/dev/null; break; }
        sleep 0.05
    done
    wait "$pid" 2>/dev/null || true
}

netlab_down() {
    local file ns
    for file in "$NETLAB_DIR"/*.pid; do
        [ -f "$file" ] && netlab_stop "$(basename "$file" .pid)"
    done
    for ns in $(ip netns list | awk '{print $1}' | grep "^$NETLAB-"); do
        ip netns del "$ns"
    done
}

# netlab_wait SECONDS COMMAND...: polls a condition until it holds.
netlab_wait() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}

# Configurations. TIMES is "lab" (short lifetimes, so that rekeys can be watched) or "normal".
netlab_psk() { # one secret per laboratory, made at its first start
    [ -s "$NETLAB_DIR/psk" ] || (umask 077; od -An -N24 -tx1 /dev/urandom | tr -d ' \n' > "$NETLAB_DIR/psk")
    cat "$NETLAB_DIR/psk"
}

netlab_ksd_conf() { # N [TRANSFORM] [TEK_LIFE] [KEK_LIFE]
    local n=$1 transform=${2:-aes256-sha256} tek=${3:-7200} kek=${4:-86400} short=false sid='' rekey crowd=''
    [ -z "${NETLAB_CROWD:-}" ] || crowd=", \"$NETLAB_CROWD\""
    rekey='retransmit_s = 10; retransmit_count = 2; activation_s = 10; deactivation_s = 30;'
    if [ "$tek" -lt 300 ]; then
        short=true
        rekey='retransmit_s = 1; retransmit_count = 2; activation_s = 1; deactivation_s = 2;'
    fi
    case $transform in *gcm*) sid='sid_bits = 16; ' ;; esac
    mkdir -p "$NETLAB_DIR/ks$n.data"
    cat > "$NETLAB_DIR/ksd$n.conf" <<CONF
node = {
    listen = "10.1.$((10 + n)).2";
    port = 848;
    data_dir = "$NETLAB_DIR/ks$n.data";
    node_key_file = "$NETLAB_DIR/ks$n.key";
    backup_key_file = "$NETLAB_DIR/backup.key";
};
api = { listen = "127.0.0.1"; port = 8480; };
ike = { proposals = [ "aes256-sha256-ecp256", "aes256-sha256-modp2048", "aes128-sha256-modp2048" ]; lifetime_s = 1200; ${NETLAB_IKE:-} };
signing = { algorithm = "rsa"; bits = 2048; };
psk = ( { peer = "10.1.0.0/16"; secret_file = "$NETLAB_DIR/psk"; } );
groups = (
    {
        name = "G1";
        identity = 3333;
        server_address = "10.1.$((10 + n)).2";
        kek = { cipher = "aes256"; lifetime_s = $kek; hash = "sha256"; ack = "sha256"; };
        tek = { transform = "$transform"; lifetime_s = $tek; $sid};
        rekey = { $rekey };
        policy = ( { src = "192.168.0.0/16"; dst = "192.168.0.0/16"; } );
        members = [ "10.1.13.0/24", "10.1.14.0/24", "10.1.15.0/24"$crowd ];
        short_lifetimes = $short;
    }
);
CONF
    chmod 600 "$NETLAB_DIR/ksd$n.conf"
}

# netlab_ksd_cluster_conf N [TEK_LIFE] [KEK_LIFE]: key server N of a cluster. The first one founds it and has the groups;
# the others join it at its join port and leave groups and pre-shared keys out.
netlab_ksd_cluster_conf() {
    local n=$1 addr
    addr=$(netlab_ks_net "$n").2
    mkdir -p "$NETLAB_DIR/ks$n.data"
    if [ "$n" = 1 ]; then
        netlab_ksd_conf 1 aes256-sha256 "${2:-7200}" "${3:-86400}"
        echo "cluster = { listen = \"$addr\"; priority = 100; };" >> "$NETLAB_DIR/ksd1.conf"
        return
    fi
    cat > "$NETLAB_DIR/ksd$n.conf" <<CONF
node = {
    listen = "$addr";
    data_dir = "$NETLAB_DIR/ks$n.data";
    node_key_file = "$NETLAB_DIR/ks$n.key";
    backup_key_file = "$NETLAB_DIR/backup.key";
};
cluster = { listen = "$addr"; priority = $((110 - 10 * n)); join = "$(netlab_ks_net 1).2:8482"; };
ike = { proposals = [ "aes256-sha256-ecp256", "aes256-sha256-modp2048", "aes128-sha256-modp2048" ]; lifetime_s = 1200; ${NETLAB_IKE:-} };
CONF
    chmod 600 "$NETLAB_DIR/ksd$n.conf"
}

# netlab_cluster N [TEK_LIFE] [KEK_LIFE]: key servers 1..N form one cluster; false if they do not.
netlab_cluster() {
    local n=$1 i token
    for ((i = 1; i <= n; i++)); do
        netlab_ksd_cluster_conf "$i" "${2:-7200}" "${3:-86400}"
        if [ "$i" = 1 ]; then
            netlab_start ksd1 ks1 "$NETLAB_BIN/ksd" -c "$NETLAB_DIR/ksd1.conf"
        else
            token=$(netlab_ksctl 1 cluster token) || return 1
            netlab_start "ksd$i" "ks$i" "$NETLAB_BIN/ksd" -c "$NETLAB_DIR/ksd$i.conf" --join "$token"
        fi
        netlab_wait 30 netlab_api "$i" /readyz || return 1
        netlab_wait 10 netlab_voters 1 "$i" || return 1
    done
}
netlab_voters() { [ "$(netlab_api "$1" /v1/cluster | jq .voters)" = "$2" ]; }
# Do these key servers hold the same, to the last octet?
netlab_same() {
    local n hash first=''
    for n in "$@"; do
        hash=$(netlab_api "$n" /v1/cluster | jq -re 'select(.state_hash) | "\(.state_hash) \(.hash_index)"') || return 1
        [ -z "$first" ] || [ "$hash" = "$first" ] || return 1
        first=$hash
    done
}
netlab_is_primary() { netlab_api "$1" /v1/cluster | jq -e '.nodes[] | select(.self) | .primary' && netlab_api "$1" /readyz | jq -e .primary; }

netlab_gm_conf() { # N SERVER...
    local n=$1 servers=''
    shift
    for server in "$@"; do servers="$servers${servers:+, }\"$server\""; done
    cat > "$NETLAB_DIR/gm$n.conf" <<CONF
group = { name = "G1"; identity = 3333; };
servers = ( $servers );
local = { address = "10.1.$((12 + n)).2"; port = 848; };
psk_file = "$NETLAB_DIR/psk";
ike = { proposals = [ "aes256-sha256-ecp256" ]; lifetime_s = 1200; };
datapath = { backend = "user"; wan = "wan0"; lan = [ "lan0" ]; tun = "gdoi0"; };
status_socket = "$NETLAB_DIR/gm$n.sock";
CONF
    chmod 600 "$NETLAB_DIR/gm$n.conf"
}

# netlab_start_gm N: the agent of site N, with its configuration.
netlab_start_gm() { netlab_start "gm$1" "gm$1" "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm$1.conf"; }
# netlab_members_of_three: members 1 and 2 of a cluster of three; the first asks ks1 first, the second ks2.
netlab_members_of_three() {
    netlab_gm_conf 1 10.1.11.2 10.1.12.2 10.1.21.2
    netlab_gm_conf 2 10.1.12.2 10.1.21.2 10.1.11.2
    netlab_start_gm 1
    netlab_start_gm 2
}

netlab_ksctl() { local n=$1; shift; netlab_in "ks$n" "$NETLAB_BIN/ksctl" "$@"; }
netlab_api() { netlab_in "ks$1" curl -fsS "http://127.0.0.1:8480$2"; }
netlab_registered() { # N: the agent has keys
    "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm$1.conf" show crypto gdoi | grep -q 'Registration status *: Registered'
}

# netlab_capture NAME NAMESPACE DEVICE: pcap of everything to NAME.pcap; ready when the file exists.
netlab_capture() {
    netlab_start "$1" "$2" tcpdump -U -n -i "$3" -w "$NETLAB_DIR/$1.pcap"
    netlab_wait 10 test -s "$NETLAB_DIR/$1.pcap"
}
# netlab_count PCAP FILTER: packets in a capture that match.
netlab_count() { tcpdump -n -r "$1" "$2" 2>/dev/null | wc -l; }
