#!/usr/bin/env bash
# ksd as a process, alone: arguments, exit codes, what it says of a bad file, SIGHUP, SIGTERM, kill -9, files and their modes.
# Needs no privileges: loopback and ports above 1024.
set -u
E2E=qkp
. "$(dirname "$0")/../lib/e2e.sh"
ksd=$NETLAB_BIN/ksd
dir=$NETLAB_DIR
port=$((20000 + $$ % 20000))
api_port=$((port + 1))
pid=
trap 'netlab_down; umount -q "$dir/small" 2> /dev/null' EXIT

config() { # [GROUP NAME...]
    local name number=1 comma='' groups=''
    for name in "$@"; do
        groups="$groups$comma
    { name = \"$name\"; identity = $number; server_address = \"127.0.0.1\";
      policy = ( { src = \"10.0.0.0/8\"; dst = \"10.0.0.0/8\"; } ); }"
        comma=,
        number=$((number + 1))
    done
    cat > "$dir/ksd.conf" <<CONF
node = { listen = "127.0.0.1"; port = $port; data_dir = "$dir/data"; node_key_file = "$dir/node.key"; };
api = { listen = "127.0.0.1"; port = $api_port; };
signing = { algorithm = "ecdsa256"; };
psk = ( { peer = "127.0.0.0/8"; secret = "a long secret of $dir"; } );
groups = ($groups
);
CONF
    chmod 600 "$dir/ksd.conf"
}

start() {
    "$ksd" -c "$dir/ksd.conf" "$@" >> "$dir/ksd.log" 2>&1 &
    pid=$!
    echo "$pid" > "$dir/ksd.pid"
}
stop() { # SIGNAL; the exit code
    kill "-$1" "$pid"
    wait "$pid"
    local code=$?
    rm -f "$dir/ksd.pid"
    return $code
}
api() { curl -fsS "http://127.0.0.1:$api_port$1" 2>/dev/null; }
ready() { netlab_wait 20 api /readyz; }
has_group() { api /v1/groups | jq -e --arg name "$1" '[.groups[].name] | index($name) != null'; }
has_no_group() { api /v1/groups | jq -e --arg name "$1" '[.groups[].name] | index($name) == null'; }
logged() { grep -q "$1" "$dir/ksd.log"; }
exits() { # CODE COMMAND...
    local want=$1
    shift
    "$@" > "$dir/out" 2> "$dir/err"
    local code=$?
    [ "$code" = "$want" ] || { echo "exit $code, wanted $want"; cat "$dir/out" "$dir/err"; return 1; }
}
says() { grep -q "$1" "$dir/$2" || { cat "$dir/out" "$dir/err"; return 1; }; }
mode_of() { [ "$(stat -c %a "$1")" = "$2" ]; }

config G1 G2
check "--version" exits 0 "$ksd" --version
check "the version is told" says '^ksd [0-9]' out
check "--help" exits 0 "$ksd" --help
check "an unknown argument ends with 2" exits 2 "$ksd" --nonsense
check "a good file passes -t" exits 0 "$ksd" -c "$dir/ksd.conf" -t
check "and nothing was made" test ! -e "$dir/data"
check "a missing file ends with 2" exits 2 "$ksd" -c "$dir/nothing.conf"
check "and it is named" says "$dir/nothing.conf:0: " err
sed -i '3s/ecdsa256/rot13/' "$dir/ksd.conf"
check "a bad file ends with 2" exits 2 "$ksd" -c "$dir/ksd.conf"
check "file, line and what was expected are told" says "$dir/ksd.conf:3: .*rsa" err
check "the secret is not" bash -c "! grep -q 'a long secret' '$dir/err'"
config G1 G2
chmod 644 "$dir/ksd.conf"
check "a file that others can read ends with 2" exits 2 "$ksd" -c "$dir/ksd.conf" -t
chmod 600 "$dir/ksd.conf"

start
check "ready" ready
check "both groups are served" has_group G2
check "the node key is private" mode_of "$dir/node.key" 600
check "the data directory is private" mode_of "$dir/data" 700
check "no capability is left" bash -c "grep -q '^CapEff:[[:space:]]*0*$' /proc/$pid/status"
check "no new privileges" bash -c "grep -q '^NoNewPrivs:[[:space:]]*1$' /proc/$pid/status"
cp "$dir/ksd.conf" "$dir/second.conf"
sed -i "s#/data#/data2#; s#/node\\.key#/node2.key#" "$dir/second.conf"
check "a second server on the same port ends with 1" exits 1 "$ksd" -c "$dir/second.conf"
check "and says why" says 'SOCKET_ERROR.*bind' err

config G1 G3
kill -HUP "$pid"
check "SIGHUP: a new group comes" netlab_wait 10 has_group G3
check "SIGHUP: one that left the file goes" netlab_wait 10 has_no_group G2
check "and it is logged" netlab_wait 5 logged 'GROUP_REMOVED: Group G2'
echo 'nonsense' >> "$dir/ksd.conf"
kill -HUP "$pid"
check "SIGHUP with a bad file is an event with its line" netlab_wait 5 logged "CONFIG_ERROR: $dir/ksd.conf:[0-9]*: "
check "and changes nothing" has_group G3
config G1 G3
sed -i "2s/$api_port/1/" "$dir/ksd.conf"
kill -HUP "$pid"
check "SIGHUP: what needs a restart is said" netlab_wait 5 logged "CONFIG_ERROR: $dir/ksd.conf:0: .*restart"
config G1 G3
kill -PIPE "$pid" # what a peer causes that closes while we write
check "SIGPIPE does nothing" netlab_wait 5 has_group G3
check "SIGTERM ends with 0" stop TERM
check "and is logged" logged 'STOPPED: ksd stopped: SIGTERM'

start
check "ready after a restart" ready
check "with the groups of before" has_group G3
before=$(api /v1/groups/G1 | jq .generation)
stop KILL 2> /dev/null
start
check "ready after kill -9" ready
check "with the same keys" test "$(api /v1/groups/G1 | jq .generation)" = "$before"
check "SIGINT ends with 0" stop INT

# What systemd is told: a socket that writes down what it gets.
e2e_notify_socket
told() { grep -q "$1" "$dir/notify.out"; }
export NOTIFY_SOCKET=$dir/notify.sock WATCHDOG_USEC=5000000
start
unset NOTIFY_SOCKET WATCHDOG_USEC
check "READY=1 is told" netlab_wait 10 told READY=1
check "the state, too" netlab_wait 10 told STATUS=serving
check "the watchdog is fed" netlab_wait 10 told WATCHDOG=1
rekey() { curl -fsS -X POST "http://127.0.0.1:$api_port/v1/groups/$1/rekey" 2>/dev/null; }
ready
check "a rekey on request is committed" test "$(rekey G1 | jq .seq)" = 1
check "of an unknown group it is not" bash -c "! curl -fsS -X POST http://127.0.0.1:$api_port/v1/groups/G9/rekey 2>/dev/null"
stop TERM
check "STOPPING=1 is told" netlab_wait 5 told STOPPING=1
netlab_stop notify

# A full disk: a named reason, an orderly end, and everything there again once there is room.
ended() { ! grep -qs '^State:.[^Z]' "/proc/$pid/status"; }
full_disk() {
    mkdir -p "$dir/small" && mount -t tmpfs -o size=18M tmpfs "$dir/small" || return 1
    sed -i "s#\"$dir/data\"#\"$dir/small/data\"#" "$dir/ksd.conf"
    start && ready || return 1
    dd if=/dev/zero of="$dir/small/fill" bs=4k 2> /dev/null
    local i
    for ((i = 0; i < 40; i++)); do
        ended && break
        rekey G1 > "$dir/out"
    done
    netlab_wait 10 ended || { stop KILL; return 1; }
    wait "$pid"
    local code=$?
    [ "$code" = 1 ] || { echo "exit $code"; return 1; }
    logged 'STORAGE_FAILED' || return 1
    rm "$dir/small/fill"
    start && ready && stop TERM
}
if [ "$(id -u)" = 0 ] && unshare -m true 2> /dev/null; then
    check "a full disk is told, and survived" full_disk
    umount "$dir/small"
    config G1 G3
fi
check "no secret in the log" bash -c "! grep -q 'a long secret' '$dir/ksd.log'"
e2e_end
