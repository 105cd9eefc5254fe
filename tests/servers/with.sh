#!/usr/bin/env bash
# with.sh COMMAND...: starts the servers, runs the command with their addresses in its
# environment, and stops the servers whatever happens, Ctrl-C included. Exits as the command does.
set -euo pipefail
# shellcheck source=tests/servers/lib.sh
. "$(dirname "$0")/lib.sh"

STATE=$(mktemp -d "${TMPDIR:-/tmp}/turnaround-servers.XXXXXX")
trap '"$SERVERS/down.sh" "$STATE"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

"$SERVERS/up.sh" "$STATE"
# shellcheck disable=SC1091  # written by up.sh
. "$STATE/env"
report_skips "$STATE/skipped"
export TURNAROUND_SKIPPED=$STATE/skipped-tests
: >"$TURNAROUND_SKIPPED"
outcome=0
"$@" || outcome=$?
report_skips "$STATE/skipped"
report_tests "$TURNAROUND_SKIPPED" || outcome=1
exit "$outcome"
