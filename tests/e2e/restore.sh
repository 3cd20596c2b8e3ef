#!/usr/bin/env bash
# All key servers are lost; a sealed backup brings the cluster back as a new one. Members keep talking and get new keys without
# a hand on them, nothing is given out twice, and what is left of the old cluster does not get in.
set -u
E2E=qrs
. "$(dirname "$0")/../lib/e2e.sh"

members_at() { netlab_api "$1" /v1/groups/G1/members | jq -e ".members | length == $2"; }
group_at() { netlab_api "$1" /v1/groups/G1; }
seq_at() { group_at "$1" | jq '.seq'; }
cluster_id_at() { netlab_api "$1" /v1/cluster | jq -r .cluster_id; }
spis_at() { netlab_api "$1" /v1/groups/G1/policy | jq -r '[.. | objects | .spi? // empty] | sort | unique[]'; }
last_push_is_acked() { netlab_api "$1" /v1/groups/G1/rekeys | jq -e ".rekeys[0] | .acked == $2 and .silent == 0"; }
restore_at() { netlab_in "ks$1" "$NETLAB_BIN/ksd" -c "$NETLAB_DIR/ksd$1.conf" --restore "$2" >> "$NETLAB_DIR/restore.log" 2>&1; }
is_empty() { [ -z "$(ls -A "$1")" ]; }
refused() { # TEXT COMMAND...: fails, and says so
    local text=$1 said
    shift
    said=$("$@" 2>&1) && return 1
    echo "# $said" | head -1
    grep -q "$text" <<< "$said"
}
restore_refused() { # TEXT FILE [CONF]
    refused "$1" netlab_in ks1 "$NETLAB_BIN/ksd" -c "${3:-$NETLAB_DIR/ksd1.conf}" --restore "$2" && is_empty "$NETLAB_DIR/ks1.data"
}
ping_h1() { netlab_in h1 ping -q -c 3 -i 0.05 -W 1 192.168.14.10; }

(umask 077; od -An -N32 -tx1 /dev/urandom | tr -d ' \n' > "$NETLAB_DIR/backup.key")
e2e_start_three
for n in 1 2 3; do check "ks$n knows both members" netlab_wait 5 members_at $n 2; done
check "a rekey" netlab_ksctl 1 rekey G1
check "both members acknowledged it" netlab_wait 15 last_push_is_acked 1 2

# the backup, of a secondary
old_token=$(netlab_ksctl 1 cluster token)
backup=$NETLAB_DIR/cluster.backup
check "a backup is taken at a secondary" netlab_ksctl 2 cluster backup "$backup"
check "nobody else may read it" [ "$(stat -c %a "$backup")" = 600 ]
check "the server says so" e2e_log_at_least ksd2 BACKUP_TAKEN 1
"$NETLAB_BIN/ksd" --check "$backup"
check "ksd --check tells what is in it" bash -c "'$NETLAB_BIN/ksd' --check '$backup' | grep -q '1 groups, 2 members, 1 pre-shared keys, 3 key servers'"
check "no secret of a member stands in it" bash -c "! grep -aqF '$(cat "$NETLAB_DIR/psk")' '$backup'"
mv "$NETLAB_DIR/backup.key" "$NETLAB_DIR/backup.key.away"
check "without the backup key no backup is taken" refused 'backup key.*not found' netlab_ksctl 3 cluster backup "$NETLAB_DIR/none"
check "and none is left behind" bash -c "! ls '$NETLAB_DIR'/none* 2>/dev/null"
mv "$NETLAB_DIR/backup.key.away" "$NETLAB_DIR/backup.key"

# what the backup does not know: two more rekeys
check "a rekey after the backup" netlab_ksctl 1 rekey G1
check "both members acknowledged that one" netlab_wait 15 last_push_is_acked 1 2
check "and another" netlab_ksctl 1 rekey G1
check "acknowledged too" netlab_wait 15 last_push_is_acked 1 2
seq=$(seq_at 1)
old_id=$(cluster_id_at 1)
spis_at 1 > "$NETLAB_DIR/spis.old"
check "hosts answer each other" netlab_wait 10 ping_h1

# all are lost; of the second one a survivor turns up later
for n in 1 2 3; do netlab_stop ksd$n KILL; done
mv "$NETLAB_DIR/ks2.data" "$NETLAB_DIR/ks2.survivor"
rm -rf "$NETLAB_DIR/ks1.data" "$NETLAB_DIR/ks3.data" "$NETLAB_DIR/ks1.key" "$NETLAB_DIR/ks3.key"
mkdir "$NETLAB_DIR/ks1.data"
check "hosts go on without any key server" ping_h1

# refused restores leave nothing behind
head -c 1000 "$backup" > "$NETLAB_DIR/short"
check "a backup that is cut short is refused" restore_refused 'cut short' "$NETLAB_DIR/short"
cp "$backup" "$NETLAB_DIR/flipped"
printf '\x55' | dd of="$NETLAB_DIR/flipped" bs=1 seek=700 conv=notrunc status=none
cmp -s "$backup" "$NETLAB_DIR/flipped" && printf '\xaa' | dd of="$NETLAB_DIR/flipped" bs=1 seek=700 conv=notrunc status=none
check "a flipped octet is refused" restore_refused damaged "$NETLAB_DIR/flipped"
cp "$backup" "$NETLAB_DIR/newer"
printf '\x63' | dd of="$NETLAB_DIR/newer" bs=1 seek=11 conv=notrunc status=none
check "another version is refused" restore_refused 'version' "$NETLAB_DIR/newer"
(umask 077; echo 'not the key that it was made with' > "$NETLAB_DIR/wrong.key")
(umask 027; sed "s|/backup\.key|/wrong.key|" "$NETLAB_DIR/ksd1.conf" > "$NETLAB_DIR/wrong.conf")
check "another backup key is refused" restore_refused 'backup key is another' "$backup" "$NETLAB_DIR/wrong.conf"
touch "$NETLAB_DIR/ks1.data/something"
check "a directory that is not empty is refused" refused 'not empty' netlab_in ks1 "$NETLAB_BIN/ksd" -c "$NETLAB_DIR/ksd1.conf" --restore "$backup"
rm "$NETLAB_DIR/ks1.data/something"

# the restore
start=$SECONDS
check "the backup is restored on one server" restore_at 1 "$backup"
grep RESTORED "$NETLAB_DIR/restore.log"
netlab_start ksd1 ks1 "$NETLAB_BIN/ksd" -c "$NETLAB_DIR/ksd1.conf"
check "it is ready" netlab_wait 30 netlab_api 1 /readyz
check "it is primary" netlab_wait 10 netlab_is_primary 1
check "it is another cluster" [ "$(cluster_id_at 1)" != "$old_id" ]
check "it knows both members" members_at 1 2
check "the next push has a number far beyond the last" netlab_wait 10 [ "$(seq_at 1)" -gt $((seq + 16000000)) ]
check "both members acknowledge it: new keys without a hand on them" netlab_wait 20 last_push_is_acked 1 2
echo "# restore -> new keys acknowledged by all members: $((SECONDS - start)) s"
check "hosts answer each other" netlab_wait 10 ping_h1
spis_at 1 > "$NETLAB_DIR/spis.new"
fresh=$(comm -13 "$NETLAB_DIR/spis.old" "$NETLAB_DIR/spis.new" | wc -l)
check "there is a new KEK and a new TEK" [ "$fresh" -ge 2 ]

# what is left of the old cluster
netlab_stop ksd2
mv "$NETLAB_DIR/ks2.survivor" "$NETLAB_DIR/ks2.data"
netlab_start ksd2 ks2 "$NETLAB_BIN/ksd" -c "$NETLAB_DIR/ksd2.conf"
# Of two servers only one calls the other; so that it is sure to happen, somebody calls with the survivor's certificate.
call_as_survivor() {
    netlab_in ks2 timeout 5 openssl s_client -connect 10.1.11.2:8481 -tls1_3 -cert "$NETLAB_DIR/ks2.data/cluster.crt" \
        -key "$NETLAB_DIR/ks2.data/cluster.key" < /dev/null > /dev/null 2>&1
    e2e_log_at_least ksd1 'PEER_REFUSED.*10\.1\.12\.2.*authority' 1
}
check "a survivor of the old cluster is refused, and that is told" netlab_wait 10 call_as_survivor
grep PEER_REFUSED "$NETLAB_DIR/ksd1.log" | tail -1
check "it serves nobody" bash -c "! ip netns exec $(netlab_ns ks2) curl -fsS http://127.0.0.1:8480/readyz"
check "the restored one is alone still" netlab_voters 1 1
netlab_stop ksd2
rm -rf "$NETLAB_DIR/ks2.data" "$NETLAB_DIR/ks2.key"

check "a join token of the old cluster opens nothing" bash -c "! timeout 20 ip netns exec $(netlab_ns ks2) '$NETLAB_BIN/ksd' -c '$NETLAB_DIR/ksd2.conf' --join '$old_token' >> '$NETLAB_DIR/join.log' 2>&1"
check "and that is told" e2e_log_at_least ksd1 JOIN_REFUSED 1
rm -rf "$NETLAB_DIR/ks2.data" "$NETLAB_DIR/ks2.key"

# two more join anew
for n in 2 3; do
    mkdir -p "$NETLAB_DIR/ks$n.data"
    token=$(netlab_ksctl 1 cluster token)
    netlab_start ksd$n ks$n "$NETLAB_BIN/ksd" -c "$NETLAB_DIR/ksd$n.conf" --join "$token"
    check "ks$n joins" netlab_wait 30 netlab_api $n /readyz
    check "with a vote" netlab_wait 15 netlab_voters 1 $n
done
check "the three hold the same state" netlab_wait 15 netlab_same 1 2 3
netlab_stop ksd1 KILL
check "the restored one is killed: another is primary" netlab_wait 15 netlab_is_primary 2
check "a rekey at the new primary" netlab_wait 10 netlab_ksctl 2 rekey G1
check "acknowledged by both" netlab_wait 20 last_push_is_acked 2 2
check "hosts answer each other to the end" netlab_wait 10 ping_h1
netlab_ksctl 2 cluster status
e2e_end
