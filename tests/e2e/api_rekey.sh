#!/usr/bin/env bash
# The REST API and ksctl of a running key server with two members: what they show is what happened, and a rekey that is asked
# for by either is committed, pushed and acknowledged.
set -u
E2E=qap
. "$(dirname "$0")/../lib/e2e.sh"

e2e_start 7200 86400
api() { netlab_api 1 "$1" 2>/dev/null; }
field() { api "$1" | jq -r "$2"; }
is() { [ "$(field "$1" "$2")" = "$3" ]; }
ks() { netlab_in ks1 "$@"; }

check "readyz says primary" is /readyz .primary true
check "livez is 200" api /livez
check "the group by name" is /v1/groups/G1 '[.name, .identity, (.member_count | tostring)] | join(" ")' "G1 3333 2"
check "members by address" is /v1/groups/G1/members/10.1.13.2 .endpoint 10.1.13.2:848

before=$(field /v1/groups/G1 .seq)
spi=$(field /v1/groups/G1/policy '.teks[-1].spi')
check "ksctl rekey is committed" bash -c "[ \"\$(ip netns exec $NETLAB-ks1 $NETLAB_BIN/ksctl rekey G1)\" = \
    'Rekey of group G1 committed with seq # $((before + 1))' ]"
check "the sequence number is that one at once" is /v1/groups/G1 .seq $((before + 1))
check "there is a new key" bash -c "[ '$(field /v1/groups/G1/policy '.teks[-1].spi')' != '$spi' ]"
check "both members acknowledge it" netlab_wait 20 is /v1/groups/G1/rekeys '.rekeys[0] | [.seq, .acked, .silent] | join(" ")' \
    "$((before + 1)) 2 0"
check "and took the new key" netlab_wait 10 e2e_log_at_least gm1 SA_TEK_UPDATED 1
check "POST answers 202" bash -c "[ \$(ip netns exec $NETLAB-ks1 curl -s -o $NETLAB_DIR/answer -w '%{http_code}' -X POST \
    http://127.0.0.1:8480/v1/groups/G1/rekey) = 202 ]"
check "with the next number" [ "$(jq .seq "$NETLAB_DIR/answer")" = $((before + 2)) ]
check "both acknowledge that as well" netlab_wait 20 is /v1/groups/G1/rekeys '.rekeys[0] | [.seq, .acked] | join(" ")' "$((before + 2)) 2"

# the key that signs rekeys
signing_is() { is /v1/groups/G1/policy .kek.signing_version "$1"; }
acked() { is /v1/groups/G1/rekeys '.rekeys[0] | [.seq, .acked, .silent] | join(" ")' "$1 2 0"; }
rotate() { netlab_in ks1 curl -s -o "$NETLAB_DIR/answer" -w '%{http_code}' -X POST http://127.0.0.1:8480/v1/signing-key/rotate; }
registrations() { echo $(($(e2e_log_count gm1 GM_REGS_COMPL) + $(e2e_log_count gm2 GM_REGS_COMPL))); }
registered=$(registrations)
kek=$(field /v1/groups/G1/policy .kek.spi)
kill -STOP "$(cat "$NETLAB_DIR/gm2.pid")" # its acknowledgement is waited for, and the next rekey with it
check "a rekey is on its way" netlab_ksctl 1 rekey G1
check "meanwhile ksctl rotates the signing key" [ "$(netlab_ksctl 1 signing-key rotate)" = 'Signing key version 2 committed; a KEK rekey brings it to each group' ]
check "a second rotation is refused while the group has the key before" [ "$(rotate)" = 409 ]
check "and the problem says why" jq -e '.type == "urn:quorate:problem:rotation-unfinished" and .error == "STATE" and (.detail | test("KEK"))' "$NETLAB_DIR/answer"
check "ksctl shows that and fails" bash -c "ip netns exec $NETLAB-ks1 $NETLAB_BIN/ksctl signing-key rotate 2>&1 | grep -q 'wait for its KEK rekey'"
check "the KEK is as before" [ "$(field /v1/groups/G1/policy .kek.spi)" = "$kek" ]
kill -CONT "$(cat "$NETLAB_DIR/gm2.pid")"
check "then a KEK brings the new key" netlab_wait 60 signing_is 2
check "it is another KEK" [ "$(field /v1/groups/G1/policy .kek.spi)" != "$kek" ]
check "both members acknowledge that rekey" netlab_wait 30 acked $((before + 4))
check "the first took the new KEK" netlab_wait 10 e2e_log_at_least gm1 SA_KEK_UPDATED 1
check "and the second" netlab_wait 10 e2e_log_at_least gm2 SA_KEK_UPDATED 1
check "a rekey that the new key signs" netlab_ksctl 1 rekey G1
check "is acknowledged by both" netlab_wait 30 acked $((before + 5))
check "nobody had to register again" [ "$(registrations)" = "$registered" ]
check "the next rotation is accepted now" [ "$(rotate)" = 202 ]
check "with the next version" [ "$(jq .signing_version "$NETLAB_DIR/answer")" = 3 ]
check "and reaches the members as well" netlab_wait 30 acked $((before + 6))

check "ks members in the router's words" bash -c "ip netns exec $NETLAB-ks1 $NETLAB_BIN/ksctl show crypto gdoi ks members | \
    grep -qx 'Group Member ID    : 10.1.13.2  GM Version: unknown'"
check "the key server's address stands there" [ "$(netlab_ksctl 1 show crypto gdoi ks members | grep -cx ' Key Server ID     : 10.1.11.2')" = 2 ]
check "both keys are listed" [ "$(netlab_ksctl 1 show crypto gdoi ks policy | grep -c 'TEK POLICY')" -ge 2 ]
check "events name the rekey" bash -c "ip netns exec $NETLAB-ks1 $NETLAB_BIN/ksctl show events | grep -q 'KS_SEND_UNICAST_REKEY.* seq # $((before + 2))\$'"
check "an unknown group is refused" bash -c "ip netns exec $NETLAB-ks1 $NETLAB_BIN/ksctl rekey G9; [ \$? = 1 ]"
check "a foreign Host is refused" bash -c "[ \$(ip netns exec $NETLAB-ks1 curl -s -o /dev/null -w '%{http_code}' \
    -H 'Host: evil.example.net' http://127.0.0.1:8480/v1/groups) = 421 ]"
check "nothing listens towards the members" bash -c "! ip netns exec $NETLAB-gm1 curl -s -m 2 http://10.1.11.2:8480/livez"
etag=$(ks curl -si http://127.0.0.1:8480/v1/groups/G1 | sed -n 's/^ETag: //p' | tr -d '\r')
check "an unchanged state is 304" bash -c "[ \$(ip netns exec $NETLAB-ks1 curl -s -o /dev/null -w '%{http_code}' \
    -H 'If-None-Match: $etag' http://127.0.0.1:8480/v1/groups/G1/members) = 304 ]"
netlab_stop ksd1
check "without a server ksctl says so" bash -c "ip netns exec $NETLAB-ks1 $NETLAB_BIN/ksctl show groups; [ \$? = 3 ]"
e2e_end
