#!/usr/bin/env bash
# doctor.sh: names each tool that is missing, with the line that installs it here. What the build
# needs is an error (exit 2); what only some tests need is a note, and an error with CI=true.
set -uo pipefail
# shellcheck source=tests/servers/lib.sh
. "$(dirname "$0")/lib.sh"

OLDEST_RUST=1.95
missing=0

# install_line DEBIAN FEDORA MACOS: the one for this machine, or all three.
install_line() {
    if [ "$(uname -s)" = Darwin ]; then
        printf '%s' "$3"
    elif command -v apt-get >/dev/null 2>&1; then
        printf 'sudo apt-get install -y %s' "$1"
    elif command -v dnf >/dev/null 2>&1; then
        printf 'sudo dnf install -y %s' "$2"
    else
        printf 'Debian: apt-get install %s | Fedora: dnf install %s | macOS: %s' "$1" "$2" "$3"
    fi
}

need() {
    say "missing: $1 ($2)"
    say "    $3"
    missing=1
}

want() {
    if in_ci; then
        need "$@"
    else
        say "not here: $1 ($2); the tests that need it will be skipped, loudly"
        say "    $3"
    fi
}

have() { command -v "$1" >/dev/null 2>&1; }

# at_least HAVE WANT: compares two dotted versions by their first two numbers.
at_least() {
    local have_major=${1%%.*} have_rest=${1#*.} want_major=${2%%.*} want_rest=${2#*.}
    local have_minor=${have_rest%%.*} want_minor=${want_rest%%.*}
    [ "$have_major" -gt "$want_major" ] ||
        { [ "$have_major" -eq "$want_major" ] && [ "$have_minor" -ge "$want_minor" ]; }
}

rust() {
    local get="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh" version
    if ! have cargo || ! have rustc; then
        need Rust "compiles everything" "$get"
        return
    fi
    version=$(rustc --version | awk '{print $2}')
    at_least "$version" "$OLDEST_RUST" ||
        need "Rust $OLDEST_RUST or later" "this is $version" "rustup update stable"
    cargo fmt --version >/dev/null 2>&1 ||
        need rustfmt "\`make test\` checks the formatting" "rustup component add rustfmt"
    cargo clippy --version >/dev/null 2>&1 ||
        need clippy "\`make test\` runs the lints" "rustup component add clippy"
}

native() {
    have cc || need "a C compiler" "zstd, zlib and librdkafka are C" \
        "$(install_line build-essential gcc 'xcode-select --install')"
    have c++ || have g++ || have clang++ || need "a C++ compiler" "librdkafka's build asks for one" \
        "$(install_line build-essential gcc-c++ 'xcode-select --install')"
    have make || need make "builds librdkafka" \
        "$(install_line build-essential make 'xcode-select --install')"
    if ! have pkg-config; then
        need "pkg-config, and OpenSSL's headers for it to find" "Kafka over TLS" "$(install_line \
            'pkg-config libssl-dev' 'pkgconf-pkg-config openssl-devel' 'brew install pkgconf openssl@3')"
    elif ! pkg-config --exists openssl; then
        need "OpenSSL's headers" "Kafka over TLS" "$(install_line libssl-dev openssl-devel \
            'brew install openssl@3 && brew link --force openssl@3')"
    fi
}

python() {
    local hint
    hint=$(install_line 'python3 python3-venv' python3 'brew install python')
    if ! have python3; then
        want "Python 3.10 or later" "the S3 server and the Parquet readers of the tests" "$hint"
    elif ! at_least "$(python3 -c 'import platform; print(platform.python_version())')" 3.10; then
        want "Python 3.10 or later" "this is $(python3 --version)" "$hint"
    elif ! python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then
        want "Python's venv module" "the tests install what they need into one" "$hint"
    fi
}

# The newest Java package of at least 17 that this Debian or Ubuntu has.
debian_java() {
    local version
    for version in 21 17; do
        apt-cache show "openjdk-$version-jre-headless" >/dev/null 2>&1 && break
    done
    printf 'openjdk-%s-jre-headless' "$version"
}

java_version() { java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1; }

kafka() {
    local hint found
    [ -n "${KAFKA_BROKERS:-}" ] && return
    docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1 && return
    hint=$(install_line "$(debian_java) maven" 'java-21-openjdk-headless maven' \
        'brew install openjdk@21 maven')
    hint="$hint   # or start Docker, or set KAFKA_BROKERS"
    found=$(have java && java_version)
    if [ "${found:-0}" -lt 17 ]; then
        want "Java 17 or later" "runs Apache Kafka for the tests" "$hint"
    fi
    have mvn || want Maven "fetches Apache Kafka for the tests" "$hint"
}

rust
native
python
kafka
if [ "$missing" = 1 ]; then
    say "then run this again"
    exit 2
fi
say "doctor: everything that the build needs is here"
