#!/usr/bin/env bash
# run.sh [OPTIONS OF run.py]: builds the binary and the decode bench, then measures both.
set -euo pipefail
# shellcheck source=tests/servers/lib.sh
. "$(dirname "$0")/../tests/servers/lib.sh"
cd "$ROOT"

CARGO=${CARGO:-cargo}
WORK=$(mktemp -d "${TMPDIR:-/tmp}/turnaround-bench.XXXXXX")
trap 'rm -rf "$WORK"' EXIT

HOME_OF_PYTHON=$(venv test "$SERVERS/requirements-test.txt")
"$CARGO" build --release --locked
TARGET=$("$CARGO" metadata --format-version 1 --no-deps --locked |
    "$HOME_OF_PYTHON/bin/python" -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
CORES=$("$HOME_OF_PYTHON/bin/python" -c 'import os; print(os.cpu_count())')
"$CARGO" bench --locked --bench decode -- --threads "$CORES" | tee "$WORK/decode"
"$HOME_OF_PYTHON/bin/python" benches/run.py "$TARGET/release/turnaround" --decode "$WORK/decode" "$@"
