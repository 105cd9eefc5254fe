#!/usr/bin/env bash
# run.sh [OPTIONS OF run.py]: builds the binary and the bench of decoding alone, then measures both,
# the binary also over a Kafka broker, where Java and Maven are to be had, and the API over a lake.
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
KAFKA=()
if command -v java >/dev/null 2>&1 && command -v mvn >/dev/null 2>&1; then
    STATE=$(mktemp -d "${TMPDIR:-/tmp}/turnaround-bench.XXXXXX")
    trap '"$SERVERS/kafka/stop.sh" "$STATE"' EXIT
    BROKERS=$("$SERVERS/kafka/start.sh" "$STATE" | sed -n 's/^KAFKA_BROKERS=//p')
    VERSION=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$SERVERS/kafka/pom.xml")
    KAFKA=(--kafka "$BROKERS" --jars "$CACHE/kafka-$VERSION")
else
    say "no Kafka: Java 17 with Maven is needed for it"
fi
"$PYTHON" benches/run.py "$TARGET/release/turnaround" --alone "$ALONE" ${KAFKA[@]+"${KAFKA[@]}"} "$@"
"$PYTHON" benches/api.py "$TARGET/release/turnaround" --labs 300 --days 60
