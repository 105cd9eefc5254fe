#!/usr/bin/env bash
# wheel.sh FOLDER [MATURIN'S OPTION...]: the Python wheel into FOLDER, installed into a fresh
# environment and tried there: what it says its version is, and the demo. Takes what is built in the
# target directory, if that was built with the same options.
set -euo pipefail
# shellcheck source=tests/servers/lib.sh
. "$(dirname "$0")/servers/lib.sh"

mkdir -p "$1"
wheels=$(cd "$1" && pwd)
shift
cd "$ROOT"
if ! tools=$(venv wheel tests/servers/requirements-wheel.txt); then
    in_ci && exit 1
    say "SKIPPED: no wheel was built: no maturin from PyPI"
    exit 0
fi
fresh=$(mktemp -d "${TMPDIR:-/tmp}/turnaround-wheel.XXXXXX")
trap 'rm -rf "$fresh"' EXIT

"$tools/bin/maturin" build --release --out "$fresh/wheels" "$@"
python3 -m venv "$fresh/venv"
"$fresh/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-index \
    "$fresh"/wheels/*.whl

cd "$fresh"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml" | head -n 1)
told=$(venv/bin/turnaround --version)
if [ "$told" != "turnaround $version" ]; then
    say "error: the wheel's binary says \`$told\`; Cargo.toml says version $version"
    exit 1
fi
venv/bin/turnaround demo --dir lake >told
if [ ! -s lake/report.html ]; then
    say "error: the wheel's binary made no report in its demo; it said:"
    cat told >&2
    exit 1
fi
say "wheel: $(basename wheels/*.whl) installs and runs"
mv wheels/*.whl "$wheels"
