#!/usr/bin/env bash
# docs.sh [ROOT] - are the generated pages in docs/ what docs/generate.sh makes of the source? First proves on a
# small tree of its own that an event and an RFC section reach the pages, and that a change is noticed.
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
root=${1:-$(cd "$here/../.." && pwd)}
pages='EVENTS.md API.md RFC-MAP.md'

# differ DOCS MADE: names each page that is not as made; true if there is one.
differ() {
    local page found=1
    for page in $pages; do
        if ! diff -u "$1/$page" "$2/$page" >"$2/diff" 2>&1; then
            echo "docs/$page is not what docs/generate.sh makes of the source; run it and commit the result:"
            head -n 20 "$2/diff"
            found=0
        fi
    done
    return $found
}

expect() {
    grep -qF -- "$2" "$1" || { echo "self-test: $(basename "$1") lacks: $2"; exit 1; }
}

self_test() {
    local tree=$scratch/tree
    mkdir -p "$tree/api" "$tree/base" "$tree/proto/wire" "$tree/tests/unit" "$scratch/one" "$scratch/two"
    cat >"$tree/base/event.def" <<'DEF'
/* The head: EVENT(X, Y, 1, "no row") */
/* first things */
EVENT(ONE, GDOI, 5, "Text with \"quotes\" and %s", "It happened.", "None.")
EVENT(TWO, QUORATE, 3, "In two "
      "parts", "It | broke.",
      "Mend it.")
DEF
    cat >"$tree/proto/wire/x.c" <<'C'
/* Lists (RFC 6407 5.2, 5.3 and 5.4.1), RFC 2409 appendix B; RFC 4303 32 bits (RFC 8263
 * 4.2). Not a section: RFC 2408 500 */
static const char text[] = "RFC 1111 1.1";
C
    echo '// RFC 6407 5.2' >"$tree/tests/unit/x_test.c"
    cat >"$tree/api/routes.def" <<'DEF'
/* ROUTE(x, GET, "/no row", "x", "x", NONE) */
ROUTE(thing, GET, "/v1/things/{t}", "show thing", "One thing, "
      "or | none", VIEWER)
DEF
    echo 'PROBLEM(LOST, 404, "lost", "It is gone")' >"$tree/api/problem.def"
    "$root/docs/generate.sh" "$scratch/one" "$tree"
    expect "$scratch/one/API.md" '| GET | `/v1/things/{t}` | One thing, or \| none | viewer | `show thing` |'
    expect "$scratch/one/API.md" '| 404 | `urn:quorate:problem:lost` | It is gone |'
    expect "$scratch/one/EVENTS.md" '## First things'
    expect "$scratch/one/EVENTS.md" '### %GDOI-5-ONE'
    expect "$scratch/one/EVENTS.md" '    Text with "quotes" and %s'
    expect "$scratch/one/EVENTS.md" '    In two parts'
    expect "$scratch/one/EVENTS.md" '**What to do:** Mend it.'
    local source='[proto/wire/x.c](../proto/wire/x.c)'
    expect "$scratch/one/RFC-MAP.md" "| 5.2 | $source | [tests/unit/x_test.c](../tests/unit/x_test.c) |"
    expect "$scratch/one/RFC-MAP.md" "| 5.3 | $source |  |"
    expect "$scratch/one/RFC-MAP.md" "| 5.4.1 | $source |  |"
    expect "$scratch/one/RFC-MAP.md" "| Appendix B | $source |  |"
    expect "$scratch/one/RFC-MAP.md" "| 4.2 | $source |  |"
    if grep -qE '1111|\| 32 \||\| 500 \||no row' "$scratch/one"/*.md; then
        echo "self-test: text that is no event and no section became one"
        exit 1
    fi
    "$root/docs/generate.sh" "$scratch/two" "$tree"
    if differ "$scratch/one" "$scratch/two"; then
        echo "self-test: one source gives two results"
        exit 1
    fi
    sed -i 's/It happened/It changed/' "$tree/base/event.def"
    "$root/docs/generate.sh" "$scratch/two" "$tree"
    if ! differ "$scratch/one" "$scratch/two" >"$scratch/out"; then
        echo "self-test: a changed event is not noticed"
        exit 1
    fi
    echo 'EVENT(BROKEN, GDOI, 5, "no more"' >>"$tree/base/event.def"
    if "$root/docs/generate.sh" "$scratch/two" "$tree" 2>"$scratch/out"; then
        echo "self-test: a broken row is passed over"
        exit 1
    fi
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
self_test
mkdir "$scratch/made"
"$root/docs/generate.sh" "$scratch/made" "$root"
if differ "$root/docs" "$scratch/made"; then
    exit 1
fi
echo "docs: up to date"
