#!/usr/bin/env bash
# up.sh STATE: starts the servers and fetches the readers that the tests need, and writes
# STATE/env (shell lines to source), STATE/skipped (what could not be had) and what down.sh needs
# to end what was started. Every server listens on a free port of 127.0.0.1.
set -euo pipefail
# shellcheck source=tests/servers/lib.sh
. "$(dirname "$0")/lib.sh"

STATE=$1
mkdir -p "$STATE"
: >"$STATE/env"
: >"$STATE/skipped"

export_line() { printf 'export %s=%q\n' "$1" "$2" >>"$STATE/env"; }

# What the log's end says, when a server did not come up.
tail_of() { tail -n 20 "$1" | sed 's/^/    /' >&2; }

kafka() {
    if [ -n "${KAFKA_BROKERS:-}" ]; then
        say "Kafka: $KAFKA_BROKERS, as KAFKA_BROKERS says"
        export_line KAFKA_BROKERS "$KAFKA_BROKERS"
    elif docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; then
        kafka_by_compose
    elif command -v java >/dev/null 2>&1 && command -v mvn >/dev/null 2>&1; then
        kafka_by_maven
    else
        skip "$STATE/skipped" Kafka "no KAFKA_BROKERS, no running Docker, no Java 17 with Maven"
    fi
}

kafka_by_compose() {
    local project port
    project=turnaround-test-$$
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    say "Kafka: starting it by Docker Compose on 127.0.0.1:$port"
    printf '%s\n' "$project" >"$STATE/compose-project"
    if KAFKA_PORT=$port docker compose --project-name "$project" \
        --file "$ROOT/docker/compose.yaml" up --detach --wait kafka >"$STATE/kafka.log" 2>&1; then
        export_line KAFKA_BROKERS "127.0.0.1:$port"
    else
        tail_of "$STATE/kafka.log"
        skip "$STATE/skipped" Kafka "Docker Compose did not start it"
    fi
}

kafka_by_maven() {
    say "Kafka: starting Apache Kafka from Maven Central"
    local lines line
    if lines=$("$SERVERS/kafka/start.sh" "$STATE/kafka" | grep '^KAFKA_'); then
        # The listener without TLS, the one with it, and the certificate of its authority.
        while read -r line; do
            export_line "${line%%=*}" "${line#*=}"
            say "${line%%=*}: ${line#*=}"
        done <<<"$lines"
    else
        skip "$STATE/skipped" Kafka "tests/servers/kafka/start.sh did not start it"
    fi
}

# python: the readers, and the environment that the S3 server runs in.
python() {
    if ! command -v python3 >/dev/null 2>&1; then
        skip "$STATE/skipped" "S3 and the readers" "no python3"
    elif PYTHON_HOME=$(venv test "$SERVERS/requirements-test.txt"); then
        export_line TURNAROUND_TEST_PYTHON "$PYTHON_HOME/bin/python"
        s3
    else
        skip "$STATE/skipped" "S3 and the readers" "pip could not install requirements-test.txt"
    fi
}

s3() {
    local log="$STATE/s3.log"
    "$PYTHON_HOME/bin/moto_server" -H 127.0.0.1 -p 0 >"$log" 2>&1 &
    printf '%s\n' "$!" >"$STATE/s3.pid"
    if wait_for 60 grep -q 'Running on http' "$log"; then
        local url
        url=$(sed -n 's|.*Running on \(http://127.0.0.1:[0-9]*\).*|\1|p' "$log" | head -n 1)
        export_line TURNAROUND_TEST_S3 "$url"
        say "S3: moto_server at $url"
    else
        tail_of "$log"
        skip "$STATE/skipped" S3 "moto_server did not start"
    fi
}

kafka
python
