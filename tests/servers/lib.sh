# Sourced by the scripts beside it: where things are kept, how skips and failures are told.
# Works with the bash 3.2 that macOS has.
# shellcheck shell=bash

SERVERS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2034  # used by the scripts that source this one
ROOT=$(cd "$SERVERS/../.." && pwd)
CACHE=${TURNAROUND_CACHE:-$HOME/.cache/turnaround}

say() { printf '%s\n' "$*" >&2; }

# in_ci: whether a server that cannot be had is a failure.
in_ci() { [ "${CI:-}" = true ]; }

# skip FILE NAME REASON: notes a server that cannot be had; in CI ends the script.
skip() {
    if in_ci; then
        say "error: $2 cannot be had: $3; with CI=true every server is needed"
        exit 1
    fi
    printf '%s: %s\n' "$2" "$3" >>"$1"
}

# report_skips FILE: the loud block, when anything was skipped.
report_skips() {
    [ -s "$1" ] || return 0
    say "################################ SKIPPED ################################"
    while IFS= read -r line; do say "#  $line"; done <"$1"
    say "#  The tests that need these did not run. \`make doctor\` says what to install."
    say "#########################################################################"
}

# report_tests FILE: how many tests did not run and why, as the last lines. With CI=true none may be
# left out, but for what a test itself lets pass there.
report_tests() {
    local count
    count=$(sort -u "$1" | wc -l)
    if [ "$count" -eq 0 ]; then
        say "skipped: none"
        return 0
    fi
    sort -u "$1" | while IFS= read -r line; do say "skipped: $line"; done
    say "skipped: $((count)) tests did not run"
    if in_ci && [ -z "${GITHUB_ACTIONS:-}" ]; then return 1; fi
}

# venv NAME REQUIREMENTS: prints a Python environment's folder, one for each text of the
# requirements, so that two checkouts do not take it from one another; those that nobody has used
# for two weeks go. A second run meanwhile waits for the first one's.
venv() {
    local home lock outcome=0
    home="$CACHE/venv-$1-$(cksum <"$2" | cut -d ' ' -f 1)"
    lock="$home.lock"
    mkdir -p "$CACHE"
    find "$CACHE" -maxdepth 1 -type d -name "venv-$1-*" -mtime +14 -exec rm -rf {} +
    if ! wait_for 600 mkdir "$lock" 2>/dev/null; then
        say "error: $lock has stood for ten minutes; remove it if no other run is at work"
        return 1
    fi
    if ! { [ -x "$home/bin/python" ] && cmp -s "$2" "$home/requirements.txt"; }; then
        make_venv "$home" "$2" || outcome=1
    fi
    rmdir "$lock"
    [ "$outcome" = 0 ] && touch "$home" && printf '%s\n' "$home"
    return "$outcome"
}

make_venv() {
    say "installing $(basename "$2") into $1"
    rm -rf "$1"
    python3 -m venv "$1" >&2 || return 1
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: \
        --no-binary pyspark \
        -r "$2" >&2 || return 1
    cp "$2" "$1/requirements.txt"
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
    local left=$(($1 * 5))
    shift
    until "$@"; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || return 1
        sleep 0.2
    done
}

# end_pid FILE: ends the process whose id stands in the file, and waits until it is gone.
end_pid() {
    local pid
    [ -s "$1" ] || return 0
    pid=$(cat "$1")
    kill "$pid" 2>/dev/null || return 0
    if ! wait_for 10 gone "$pid"; then
        kill -9 "$pid" 2>/dev/null || return 0
    fi
}

gone() { ! kill -0 "$1" 2>/dev/null; }
