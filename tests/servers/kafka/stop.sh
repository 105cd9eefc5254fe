#!/usr/bin/env bash
# Ends the broker that start.sh started, by its process id, and removes its data.
#
#   stop.sh [STATE_DIR]
set -euo pipefail

cache=${TURNAROUND_CACHE:-$HOME/.cache/turnaround}
state=${1:-$cache/state-kafka}

if [ ! -s "$state/pid" ]; then
  echo "kafka: nothing runs in $state" >&2
  exit 0
fi
state=$(cd "$state" && pwd)
pid=$(cat "$state/pid")

# The process must still be our broker: ids are used again.
is_ours() {
  if [ -r "/proc/$pid/cmdline" ]; then
    tr '\0' ' ' <"/proc/$pid/cmdline"
  else
    ps -o args= -p "$pid" 2>/dev/null
  fi | grep -qF "kafka.Kafka $state/server.properties"
}

if is_ours; then
  kill "$pid"
  for _ in $(seq 100); do
    is_ours || break
    sleep 0.1
  done
  if is_ours; then
    kill -KILL "$pid"
  fi
fi
rm -rf "$state/data" "$state/pid" "$state/brokers" "$state/brokers-secure" "$state/ca.pem" \
  "$state/broker.p12" "$state/server.properties" "$state/server.log" "$state/format.log"
rmdir "$state" 2>/dev/null || true
