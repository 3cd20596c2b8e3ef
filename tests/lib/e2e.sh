# e2e.sh - what the end-to-end scripts share: the laboratory's network, checks, an end. Sourced; the caller sets E2E (prefix).
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
: "${QUORATE_BIN:=$root/build/dev/bin}"
NETLAB=$E2E-$$
NETLAB_DIR=$(mktemp -d)
NETLAB_BIN=$QUORATE_BIN
. "$root/deploy/netlab.sh"
. "$root/tests/lib/check.sh"
trap netlab_down EXIT

e2e_end() {
    netlab_down
    for log in "$NETLAB_DIR"/*.log; do
        check "no sanitizer finding in $(basename "$log")" bash -c "! grep -Eq 'AddressSanitizer|runtime error:|LeakSanitizer' $log"
    done
    [ "$failed" = 0 ] || for log in "$NETLAB_DIR"/*.log; do echo "--- $log"; tail -n 60 "$log"; done
    rm -rf "$NETLAB_DIR"
    check_end
}
finish() { e2e_end; }

# e2e_start TEK_LIFE KEK_LIFE [TRANSFORM]: one key server, two members, both registered. Ends the script if that fails.
e2e_start() {
    local n
    netlab_up 2 1
    netlab_psk > /dev/null
    netlab_ksd_conf 1 "${3:-aes256-sha256}" "$1" "$2"
    netlab_gm_conf 1 10.1.11.2
    netlab_gm_conf 2 10.1.11.2
    # A registration tells whole seconds: of 6 that began just now, 5. A third of them before their end, and the jitter, is
    # just when the rekey of the third second comes. A second before their end is not.
    for n in 1 2; do echo 'reregister_before_s = 1;' >> "$NETLAB_DIR/gm$n.conf"; done
    e2e_start_ksd
    check "the key server is ready" e2e_ready
    netlab_start_gm 1
    netlab_start_gm 2
    check "gm1 is registered" netlab_wait 30 netlab_registered 1
    require "gm2 is registered" netlab_wait 30 netlab_registered 2
}
# e2e_start_three [TEK_LIFE]: three key servers in one cluster, the first one primary; gm1 is registered there, gm2 at the second. Ends
# the script if that fails.
e2e_start_three() {
    netlab_up 2 3
    netlab_psk > /dev/null
    check "three key servers form one cluster" netlab_cluster 3 "$@"
    check "the first is primary" netlab_wait 10 netlab_is_primary 1
    netlab_members_of_three
    check "gm1 registers at the primary" netlab_wait 30 netlab_registered 1
    require "gm2 registers at a secondary" netlab_wait 30 netlab_registered 2
}
e2e_start_ksd() { netlab_start ksd1 ks1 "$NETLAB_BIN/ksd" -c "$NETLAB_DIR/ksd1.conf"; }
e2e_ready() { netlab_wait 30 netlab_api 1 /readyz; }
e2e_log_count() { grep -Ec "$2" "$NETLAB_DIR/$1.log"; }
# e2e_registered_once GM: one registration in its log; if not, says what the member saw.
e2e_registered_once() {
    [ "$(e2e_log_count "$1" GM_REGS_COMPL)" = 1 ] ||
        { grep -E 'REG|REKEY|UPDATED' "$NETLAB_DIR/$1.log" | sed "s/^/NOT OK - $1: /"; return 1; }
}
# e2e_log_at_least LOG PATTERN N
e2e_log_at_least() { [ "$(e2e_log_count "$1" "$2")" -ge "$3" ]; }
# e2e_notify_socket: notify.sock, as a service manager's; each datagram becomes a line of notify.out.
e2e_notify_socket() {
    cat > "$NETLAB_DIR/notify.py" <<'PY'
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True:
    print(s.recv(4096).decode().replace("\n", " "), flush=True)
PY
    python3 "$NETLAB_DIR/notify.py" "$NETLAB_DIR/notify.sock" > "$NETLAB_DIR/notify.out" &
    echo $! > "$NETLAB_DIR/notify.pid"
    netlab_wait 10 test -S "$NETLAB_DIR/notify.sock"
}
