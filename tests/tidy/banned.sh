#!/usr/bin/env bash
# banned.sh [ROOT] - what may not stand in the tree: see banned.py, which first proves itself on planted mistakes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
exec python3 "$here/banned.py" "${1:-$here/../..}"
