#!/usr/bin/env bash
# The documents against the programs: every command in README and docs/ is one that exists today, every link leads to a file, every
# event and metric named is in its table, every manual page is well formed and names the options that its program has.
set -u
E2E=qdc
. "$(dirname "$0")/../lib/e2e.sh"
dir=$NETLAB_DIR
cd "$root" || exit 1
pages=(README.md docs/FOR-IOS-PEOPLE.md docs/OPERATIONS.md docs/SECURITY.md docs/TROUBLESHOOTING.md)

# Code of a page: what stands in backticks, and the lines of fenced blocks without their comments.
code_of() {
    awk '/^```/ { fence = !fence; next } fence { sub(/[ \t]+#.*/, ""); print; next }
         { line = $0; while (match(line, /`[^`]+`/)) { print substr(line, RSTART + 1, RLENGTH - 2); line = substr(line, RSTART + RLENGTH) } }' "$1"
}
# commands PROGRAM: its uses in all pages, one a line, from the program's name on; what comes before it (docker, ip netns) is cut.
commands() {
    local page
    for page in "${pages[@]}"; do code_of "$page"; done | grep -E "(^|/| )$1 " | sed -E "s#.*(^|/| )$1 #$1 #; s#[;|)>].*##" |
        grep -vE "^$1 (and|of|with|on|runs|is|has)\b" | sort -u
}
# A command that exists fails for want of a server (3), one that does not is a usage error (2).
ksctl_understands() {
    local words code
    read -ra words <<< "${1#ksctl }"
    [ "${words[-1]}" != ... ] || return 0 # "ksctl json ...": any command
    "$NETLAB_BIN/ksctl" -s http://127.0.0.1:9 "${words[@]}" > "$dir/out" 2>&1
    code=$?
    cat "$dir/out" >> "$dir/ksctl.log"
    [ $code = 3 ] || [ $code = 0 ] || { echo "# exit $code"; cat "$dir/out"; return 1; }
}
gm_agent_understands() {
    local line=${1#gm-agent }
    line=${line#-c .lab/gm1.conf }
    case $line in ...*) return 0 ;;
    enrol*) "$NETLAB_BIN/gm-agent" $line 2>&1 | grep -qE "ksctl enrol token|FILE\\] enrol"; return ;;
    -t* | -c*) "$NETLAB_BIN/gm-agent" -h | grep -q -- "${line%% *}"; return ;; esac
    # shellcheck disable=SC2086
    "$NETLAB_BIN/gm-agent" -s "$dir/nobody.sock" $line 2>&1 | grep -q 'no agent is running'
}
ksd_understands() {
    local word
    for word in ${1#ksd }; do
        case $word in --*) "$NETLAB_BIN/ksd" --help | grep -q -- "$word" || return 1 ;;
        -*) "$NETLAB_BIN/ksd" --help | grep -qE -- " $word[,] " || return 1 ;; esac
    done
}
count=0
for program in ksctl gm-agent ksd; do
    while read -r line; do
        count=$((count + 1))
        check "$line" "${program//-/_}_understands" "$line"
    done < <(commands $program)
done
check "there were commands to check" [ "$count" -ge 25 ]
check "one that does not exist would be noticed" bash -c "! $NETLAB_BIN/ksctl -s http://127.0.0.1:9 show crypto gdoi ks nonsense 2> /dev/null; [ \$? = 0 ]"

links() { # PAGE
    local to bad=0
    while read -r to; do
        [ -e "$(dirname "$1")/${to%%#*}" ] || { echo "# $1: $to"; bad=1; }
    done < <(grep -oE '\]\([^)h#][^)]*\)' "$1" | sed 's/^](//; s/)$//')
    [ $bad = 0 ]
}
events() { # words in capitals with an underscore, in backticks
    local name bad=0
    while read -r name; do
        grep -qE "\b$name\b" base/event.def server/metrics.def || { echo "# $1: $name"; bad=1; }
    done < <(grep -oE '`[A-Z]+_[A-Z_]+`' "$1" | tr -d '`' | grep -v '^CAP_' | sort -u)
    [ $bad = 0 ]
}
metrics() {
    local name bad=0
    while read -r name; do
        name=${name#quorate_}
        grep -q "\"${name}\"" server/metrics.c || grep -q "METRIC($(echo "${name%_total}" | tr a-z A-Z)," server/metrics.def || { echo "# $1: $name"; bad=1; }
    done < <(grep -oE 'quorate_[a-z0-9_]+' "$1" | sort -u)
    [ $bad = 0 ]
}
for page in "${pages[@]}"; do
    check "$page: links lead somewhere" links "$page"
    check "$page: events exist" events "$page"
    check "$page: metrics exist" metrics "$page"
done

if command -v mandoc > /dev/null; then
    for page in docs/man/*; do check "$page is well formed" mandoc -T lint -W warning "$page"; done
else
    echo "SKIPPED: manual pages, mandoc is not installed"
fi
shows_help() { # PAGE PROGRAM HELP: each long option, and each letter of ksctl and gm-agent, is in the page
    local option bad=0
    while read -r option; do
        grep -qE -- "Fl ([a-z] , )?-?${option#-}( |$)|Fl ${option#-}( |$)" "docs/man/$1" || { echo "# $1: $option"; bad=1; }
    done < <("$NETLAB_BIN/$2" "$3" 2>&1 | grep -oE -- '(^|[ [])--?[a-zA-Z][a-z-]*' | tr -d ' [' | grep -vE -- '^-(h|-help|V|version|-version)$' | sort -u)
    [ $bad = 0 ]
}
check "ksd(8) has every option" shows_help ksd.8 ksd --help
check "gm-agent(8) has every option" shows_help gm-agent.8 gm-agent -h
check "ksctl(1) has every option" shows_help ksctl.1 ksctl -h
keys_told() { # PAGE SOURCE...: every key of the configuration stands in the page
    local key bad=0 page=docs/man/$1
    shift
    while read -r key; do
        grep -qw -- "$key" "$page" || { echo "# $page: $key"; bad=1; }
    done < <(grep -hE 'static const char \*const ([a-z]+_names|keys|root_keys)\[\]' -A 22 "$@" | awk '/\[\] =/ { on = 1 } on { print } /};/ { on = 0 }' | grep -oE '"[a-z_0-9]+"' | tr -d '"' | grep -vE '^(any|icmp|tcp|udp|gre|ospf|sctp)$' | sort -u)
    [ $bad = 0 ]
}
check "ksd.conf(5) tells every key" keys_told ksd.conf.5 server/config.c server/config_group.c server/config_psk.c
check "gm-agent.conf(5) tells every key" keys_told gm-agent.conf.5 gm-agent/config.c gm-agent/config_deny.c
e2e_end
