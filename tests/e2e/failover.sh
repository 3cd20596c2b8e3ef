#!/usr/bin/env bash
# A few runs of tests/torture/failover.sh (QUORATE_LONG=1: 50 of each kind): after each fault of the primary somebody registers and rekeys.
set -eu
exec "$(dirname "$(readlink -f "$0")")/../torture/failover.sh" "$([ "${QUORATE_LONG:-}" = 1 ] && echo 50 || echo 3)" "kill stop cut" quorate
