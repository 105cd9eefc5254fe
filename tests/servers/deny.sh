#!/usr/bin/env bash
# deny.sh: licences, sources, bans and advisories by cargo-deny where it is installed. It takes
# minutes to compile, so it is not asked for: tests/it/house.rs checks the licences and the one-copy
# rule from the same deny.toml. Advisories need the network; without it they are left out, aloud.
set -euo pipefail
# shellcheck source=tests/servers/lib.sh
. "$(dirname "$0")/lib.sh"

cd "$ROOT"
if ! cargo deny --version >/dev/null 2>&1; then
    say "cargo-deny is not installed: no advisories here (cargo install --locked cargo-deny);" \
        "licences and the one-copy rule are checked by the tests"
    exit 0
fi
cargo deny --locked check --hide-inclusion-graph bans licenses sources
if cargo deny --locked fetch db >/dev/null 2>&1; then
    cargo deny --locked check --hide-inclusion-graph advisories
else
    say "warning: the advisory database cannot be fetched; advisories were not checked"
fi
