# check.sh - what a script checks, told line by line and counted. Sourced; the script has a function finish, which cleans up, shows
# what it knows of a failure and ends with check_end.
passed=0
failed=0

check() { # check TEXT COMMAND...
    local text=$1
    shift
    if "$@"; then passed=$((passed + 1)); echo "ok - $text [$SECONDS s]"
    else failed=$((failed + 1)); echo "NOT OK - $text [$SECONDS s]"; fi
}
# require TEXT COMMAND...: as check, but after a failure, of this one or one before, the script ends.
require() { check "$@"; [ "$failed" = 0 ] || finish; }
# The last line, which tests/run reads, and the end of the script.
check_end() {
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
    exit
}
# skip WHY: ends a script that cannot run here.
skip() { echo "SKIPPED: $1"; echo "0 passed, 0 failed"; exit 0; }
