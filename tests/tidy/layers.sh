#!/usr/bin/env bash
# layers.sh [ROOT] - do all #include lines follow the arrows of ARCHITECTURE.md? First proves on a tree of
# its own, with one mistake of each kind planted, that a mistake is found.
set -euo pipefail
export LC_ALL=C

# folder: folders and files that it may include. The longest folder that matches a file counts.
arrows='
base:          base
proto/wire:    base proto/wire
proto/crypto:  base proto/wire proto/crypto
proto/ike:     base proto/wire proto/crypto proto/ike
proto/gdoi:    base proto
storage:       base proto storage
cluster:       base proto storage cluster
api:           base proto storage cluster api
api/cli:       base api/cli api/routes.def
server:        base proto storage cluster api server
gm-agent:      base proto gm-agent
'

# outside header, by its beginning: files that may include it
homes='
openssl/       proto/crypto/* cluster/raft_transport* cluster/certs*
raft.h         cluster/raft_node*
raft/          cluster/raft_node*
lmdb.h         storage/store*
uv.h           *loop_uv* *crypto_pool* *wal_uv* *raft_transport* server/*_uv* gm-agent/*_uv*
uv/            *loop_uv* *crypto_pool* *wal_uv* *raft_transport* server/*_uv* gm-agent/*_uv*
microhttpd.h   api/http_server*
libconfig.h    base/conf*
cap-ng.h       base/sandbox*
seccomp.h      base/sandbox*
curl/          api/cli/*
'

# may_include FILE TARGET: is there an arrow from the file to the included one?
may_include() {
    local folder allowed best='' targets='' target
    while read -r folder allowed; do
        folder=${folder%:}
        if [[ -n $folder && $1 == "$folder"/* && ${#folder} -gt ${#best} ]]; then
            best=$folder
            targets=$allowed
        fi
    done <<<"$arrows"
    for target in $targets; do
        [[ $2 == "$target" || $2 == "$target"/* ]] && return 0
    done
    return 1
}

# is_at_home FILE HEADER: an outside header without a home may be used anywhere.
is_at_home() {
    local header patterns pattern
    while read -r header patterns; do
        [[ -n $header && $2 == "$header"* ]] || continue
        set -f
        for pattern in $patterns; do
            # shellcheck disable=SC2053
            [[ $1 == $pattern ]] && { set +f; return 0; }
        done
        set +f
        return 1
    done <<<"$homes"
}

# check ROOT: prints each wrong line; true if there is none.
check() {
    local root=$1 file line text target bad=0 seen=0 found
    found=$(cd "$root" && for floor in base proto storage cluster api server gm-agent; do
        [ -d "$floor" ] && find "$floor" -name '*.[ch]' -exec \
            grep -HnE '^[[:space:]]*#[[:space:]]*include' {} + || true
    done)
    while IFS=: read -r file line text; do
        [[ -n $file ]] || continue
        seen=$((seen + 1))
        if [[ $text =~ include[[:space:]]*\"([^\"]*)\" ]]; then
            target=${BASH_REMATCH[1]}
            if [[ $target != */* || $target == ./* || $target == *../* ]]; then
                echo "$file:$line: \"$target\": write the path from the root of the tree"
            elif may_include "$file" "$target"; then
                continue
            else
                echo "$file:$line: \"$target\": no arrow leads there (ARCHITECTURE.md, Floors)"
            fi
        elif [[ $text =~ include[[:space:]]*\<([^\>]*)\> ]]; then
            target=${BASH_REMATCH[1]}
            is_at_home "$file" "$target" && continue
            echo "$file:$line: <$target>: this header has its home elsewhere"
        else
            echo "$file:$line: an include without a plain name"
        fi
        bad=$((bad + 1))
    done <<<"$found"
    [ "$bad" -eq 0 ] && [ "$seen" -gt 0 ]
}

# plant FILE LINE: the scratch tree, otherwise in order, gets one line; it must be found, alone.
plant() {
    local out
    rm -rf "$scratch/tree"
    mkdir -p "$scratch/tree/base" "$(dirname "$scratch/tree/$1")"
    printf '#include <stdio.h>\n#include "base/err.h"\n' >"$scratch/tree/base/fine.c"
    check "$scratch/tree" || { echo "self-test: a clean tree is refused"; exit 1; }
    printf '%s\n' "$2" >"$scratch/tree/$1"
    if out=$(check "$scratch/tree"); then
        echo "self-test: not found in $1: $2"
        exit 1
    fi
    [[ $out == "$1:1: "* && $(wc -l <<<"$out") -eq 1 ]] || { echo "self-test: wrong report: $out"; exit 1; }
}

# accept FILE LINE: the same, but the line is right.
accept() {
    rm -rf "$scratch/tree"
    mkdir -p "$(dirname "$scratch/tree/$1")"
    printf '%s\n' "$2" >"$scratch/tree/$1"
    check "$scratch/tree" || { echo "self-test: refused in $1: $2"; exit 1; }
}

self_test() {
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    plant base/x.c '#include "proto/wire/payload.h"'
    plant proto/wire/x.h '#include "proto/ike/isakmp_sa.h"'
    plant proto/crypto/x.c '#include "proto/gdoi/pull.h"'
    plant proto/gdoi/x.c '  #  include "storage/store.h"'
    plant storage/x.c '#include "cluster/ks_state.h"'
    plant cluster/x.c '#include "api/mailbox.h"'
    plant api/x.c '#include "server/core.h"'
    plant api/cli/x.c '#include "storage/store.h"'
    plant gm-agent/x.c '#include "server/core.h"'
    plant gm-agent/x.c '#include "cluster/command.h"'
    plant server/x.c '#include "gm-agent/agent.h"'
    plant server/x.c '#include "tests/lib/test.h"'
    plant server/x.c '#include "core.h"'
    plant server/x.c '#include "base/../proto/wire/payload.h"'
    plant server/x.c '#include HEADER'
    plant proto/ike/x.c '#include <openssl/evp.h>'
    plant cluster/wal.c '#include <raft.h>'
    plant cluster/ks_state.c '#include <raft/fixture.h>'
    plant storage/group_table.c '#include <lmdb.h>'
    plant server/core.c '#include <uv.h>'
    plant api/auth.c '#include <microhttpd.h>'
    plant server/config.c '#include <libconfig.h>'
    plant api/http_server.c '#include <curl/curl.h>'
    accept proto/crypto/dh.c '#include <openssl/evp.h>'
    accept cluster/raft_transport_tls.c '#include <openssl/ssl.h>'
    accept cluster/wal_uv.c '#include <uv.h>'
    accept gm-agent/timer_uv.c '#include <uv.h>'
    accept api/cli/main.c '#include "api/routes.def"'
    rm -rf "$scratch"
    trap - EXIT
}

(self_test)
root=${1:-$(cd "$(dirname "$0")/../.." && pwd)}
check "$root"
echo "layers: all arrows point down"
