#!/usr/bin/env bash
# Ten rounds of tests/torture/chaos.sh with a seed of the day (QUORATE_LONG=1: 100): nothing that was acknowledged is lost.
set -eu
exec "$(dirname "$(readlink -f "$0")")/../torture/chaos.sh" "$([ "${QUORATE_LONG:-}" = 1 ] && echo 100 || echo 10)"
