#!/usr/bin/env bash
# run.sh [OPTIONS OF run.py]: builds the binary and the bench of decoding alone, then measures both.
set -euo pipefail
# shellcheck source=tests/servers/lib.sh
. "$(dirname "$0")/../tests/servers/lib.sh"
cd "$ROOT"

CARGO=${CARGO:-cargo}
PYTHON=$(venv test "$SERVERS/requirements-test.txt")/bin/python
"$CARGO" build --release --locked
TARGET=$("$CARGO" metadata --format-version 1 --no-deps --locked |
    "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
ALONE=$("$CARGO" bench --locked --bench alone --no-run --message-format json |
    "$PYTHON" -c 'import json, sys
for line in sys.stdin:
    built = json.loads(line)
    if built.get("executable") and built["target"]["name"] == "alone":
        print(built["executable"])')
"$PYTHON" benches/run.py "$TARGET/release/turnaround" --alone "$ALONE" "$@"
