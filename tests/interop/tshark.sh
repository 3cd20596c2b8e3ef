#!/usr/bin/env bash
# Does another implementation see on the wire what we mean? Both our ends talk main mode, GROUPKEY-PULL, a push and its
# acknowledgement into a capture; tshark decrypts it with the phase-1 key and names the payloads and values.
# What tshark cannot do is not asked of it: it stops inside our SA payload at the GAP, reads SATs wrongly (two-octet lengths), has no
# KEK, and calls exchanges 32 and 33 by the names that they have in IKEv1.
# usage: tshark.sh      QUORATE_BIN says which build (default build/dev/bin)
set -u
root=$(cd "$(dirname "$(readlink -f "$0")")/../.." && pwd)
: "${QUORATE_BIN:=$root/build/dev/bin}"
maker=$(dirname "$QUORATE_BIN")/tests/interop_pull_pcap
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

check() { # check TEXT GOT WANTED
    if [ "$2" = "$3" ]; then passed=$((passed + 1)); echo "ok - $1"
    else failed=$((failed + 1)); printf 'NOT OK - %s\n    got:    %s\n    wanted: %s\n' "$1" "$2" "$3"; fi
}

# dissect KEYS: tshark's view of all frames, into $work/text and (the fields below) $work/fields
fields="isakmp.exchangetype isakmp.flags isakmp.id.data.ipv4_addr isakmp.id.data.key_id isakmp.sak.spi isakmp.sak.src_id_data
isakmp.sak.src_id_port isakmp.sak.dst_id_data isakmp.sak.dst_id_port isakmp.seq.seq isakmp.kd.num_pkt isakmp.kd.payload.type
isakmp.kd.payload.spi _ws.malformed"
dissect() {
    local options=(-r "$work/pull.pcap" -d udp.port==848,isakmp -o "uat:ikev1_decryption_table:$1")
    tshark "${options[@]}" -V > "$work/text" 2>> "$work/errors"
    # shellcheck disable=SC2086
    tshark "${options[@]}" -T fields ${fields:+$(printf -- '-e %s ' $fields)} > "$work/fields" 2>> "$work/errors"
}

payloads() { # the payloads of a frame, in order
    awk -v frame="$1" '/^Frame /{here = $2 == frame ":"} here' "$work/text" |
        sed -n 's/^ *Payload: \(.*[^ ]\) ([0-9]*).*$/\1/p' | paste -sd, -
}

value() { # value FRAME FIELD
    local column
    column=$(printf '%s\n' $fields | grep -nx "$2" | cut -d: -f1)
    sed -n "$1p" "$work/fields" | cut -f "$column"
}

command -v tshark > /dev/null || { echo "tshark is not installed"; echo "0 passed, 1 failed"; exit 1; }
keys=$("$maker" "$work/pull.pcap") || { echo "$maker does not run: build interop_pull_pcap first"; echo "0 passed, 1 failed"; exit 1; }
dissect "$keys"

check "message 5 of main mode decrypts" "$(payloads 5)" "Identification,Hash,Notification"
check "message 5 names the member" "$(value 5 isakmp.id.data.ipv4_addr)" "10.1.13.2"
check "message 6 of main mode decrypts" "$(payloads 6)" "Identification,Hash"
check "message 6 names the key server" "$(value 6 isakmp.id.data.ipv4_addr)" "10.1.11.2"
check "PULL 1 is of exchange 32" "$(value 7 isakmp.exchangetype)" "32"
check "PULL 1 decrypts" "$(payloads 7)" "Hash,Nonce,Identification"
check "PULL 1 asks for group 3333" "$(value 7 isakmp.id.data.key_id)" "00000d05"
check "PULL 2 decrypts" "$(payloads 8)" "Hash,Nonce,Security Association"
check "PULL 2 begins its SA with a SAK" "$(value 8 isakmp.sak.spi)" "c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1"
check "the SAK's lengths are of one octet and no octet stands between" \
    "$(value 8 isakmp.sak.src_id_data) $(value 8 isakmp.sak.src_id_port) $(value 8 isakmp.sak.dst_id_data) $(value 8 isakmp.sak.dst_id_port)" \
    "c0000201 848 00000000 848"
check "PULL 3 decrypts and asks for sender ids" "$(payloads 9)" "Hash,Group Associated Policy"
check "PULL 4 decrypts" "$(payloads 10)" "Hash,Sequence Number,Key Download"
check "PULL 4 says sequence 0" "$(value 10 isakmp.seq.seq)" "0"
check "PULL 4 has four key packets" "$(value 10 isakmp.kd.num_pkt)" "4"
check "they are KEK, two TEKs, sender ids" "$(value 10 isakmp.kd.payload.type)" "2,1,1,4"
check "with the SPIs of SAK and SATs" "$(value 10 isakmp.kd.payload.spi)" \
    "c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1,11220001,11220002"
check "the push is of exchange 33 and encrypted" "$(value 11 isakmp.exchangetype) $(value 11 isakmp.flags)" "33 0x01"
check "the acknowledgement is of exchange 35 and not" "$(value 12 isakmp.exchangetype) $(value 12 isakmp.flags)" "35 0x00"
check "it is HASH, SEQ, ID" "$(payloads 12)" "Hash,Sequence Number,Identification"
check "of the member's address" "$(value 12 isakmp.id.data.ipv4_addr)" "10.1.13.2"
check "nothing is malformed" "$(for frame in $(seq 12); do value "$frame" _ws.malformed; done | sort -u)" ""
dissect "${keys%????}ffff"
check "with a wrong key no payload of it is seen but the first, which the header names" "$(payloads 7)/$(payloads 10)" "Hash/Hash"

[ "$failed" = 0 ] || sort -u "$work/errors"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
