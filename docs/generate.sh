#!/usr/bin/env bash
# docs/generate.sh [OUT [ROOT]] - writes EVENTS.md from base/event.def, API.md from api/routes.def and
# api/problem.def, and RFC-MAP.md from the RFC sections named in comments, into OUT (default: this folder).
# tests/tidy/docs.sh checks that they are up to date.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
exec python3 "$here/generate.py" "${1:-$here}" "${2:-$here/..}"
