#!/usr/bin/env bash
# down.sh STATE: ends what up.sh started, each by its own process id, and removes STATE.
set -uo pipefail
# shellcheck source=tests/servers/lib.sh
. "$(dirname "$0")/lib.sh"

STATE=$1
end_pid "$STATE/s3.pid"
if [ -d "$STATE/kafka" ]; then
    "$SERVERS/kafka/stop.sh" "$STATE/kafka"
fi
if [ -s "$STATE/compose-project" ]; then
    docker compose --project-name "$(cat "$STATE/compose-project")" \
        --file "$ROOT/docker/compose.yaml" down --volumes --timeout 5 >/dev/null 2>&1 ||
        say "warning: could not take down the compose project $(cat "$STATE/compose-project")"
fi
rm -rf "$STATE"
