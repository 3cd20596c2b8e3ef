#!/usr/bin/env bash
# A member whose data path cannot do the policy is shown as quarantined, with the reason, on the key server; it does not
# register in a loop, and when the policy is changed it comes back.
set -u
E2E=qqt
. "$(dirname "$0")/../lib/e2e.sh"

members() { netlab_ksctl 1 show crypto gdoi ks members 10.1.14.2 "$@"; }
quarantine() { netlab_api 1 /v1/groups/G1/members/10.1.14.2 | jq -r ".quarantine$1"; }
is_quarantined() { [ "$(quarantine .reason)" != null ]; }
is_free() { [ "$(quarantine '')" = null ]; }
registrations() { netlab_api 1 /v1/groups/G1/members/10.1.14.2 | jq .registrations; }

netlab_up 2 1
netlab_psk > /dev/null
netlab_ksd_conf 1 aes256-gcm16 7200 86400 # sender ids of 16 bits
netlab_gm_conf 1 10.1.11.2
netlab_gm_conf 2 10.1.11.2
sed -i 's/backend = "user"/backend = "xfrm"/' "$NETLAB_DIR/gm2.conf"
e2e_start_ksd
check "the key server is ready" e2e_ready
netlab_start gm1 gm1 "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm1.conf"
netlab_start gm2 gm2 "$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm2.conf"
check "gm1 can do the policy" netlab_wait 30 netlab_registered 1
check "gm2 cannot, and the key server knows" netlab_wait 30 is_quarantined
check "the reason is the member's own" grep -q '^AES-GCM: the kernel' <<< "$(quarantine .reason)"
check "it is in the log" e2e_log_at_least ksd1 'KS_GM_QUARANTINED.*10.1.14.2.*AES-GCM' 1
check "show ... ks members says so" grep -q 'GM State          : Quarantined' <<< "$(members)"
check "and why" grep -q 'Quarantine reason : AES-GCM' <<< "$(members)"
check "the other one is registered" grep -q 'GM State          : Registered' <<< "$(netlab_ksctl 1 show crypto gdoi ks members 10.1.13.2)"
check "it does not come again at once" [ "$(registrations)" = 1 ]

sed -i 's/sid_bits = 16;/sid_bits = 8;/' "$NETLAB_DIR/ksd1.conf"
kill -HUP "$(cat "$NETLAB_DIR/ksd1.pid")"
changed() { [ "$(netlab_api 1 /v1/groups/G1 | jq .config.tek.sid_bits)" = 8 ] || [ "$(e2e_log_count ksd1 'GROUP_CHANGED.*version 2')" -ge 1 ]; }
check "the policy is changed" netlab_wait 20 changed
"$NETLAB_BIN/gm-agent" -c "$NETLAB_DIR/gm2.conf" clear crypto gdoi > /dev/null
again() { [ "$(registrations)" -ge 2 ] && is_free; }
check "gm2 registers, and is free" netlab_wait 40 again
check "nothing is left of it" grep -q 'GM State          : Registered' <<< "$(members)"
e2e_end
