#!/usr/bin/env bash
# Takes the descriptors of the messages that Envoy knows out of Envoy, into adapter/migrate/api.
#
#   adapter/migrate/api/build.sh [--install]
#
# It is the Envoy that tests/tools.sh finds, for Linux; `--install` gets it, at the version pinned in
# tests/tools/requirements.txt. The same Envoy gives the same bytes on any machine: the compressor is pinned by the lock file.
# `tests/run` compares the files with its Envoy.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../../tests/toolchain.sh"

for argument; do
    case $argument in
        --install) install=1 ;;
        *) fail "unknown argument \`$argument\`" "Usage: adapter/migrate/api/build.sh [--install]" ;;
    esac
done

find_envoy
command -v cargo >/dev/null || fail "no Rust compiler" "Install Rust with rustup."
# The crate is compiled with it, whatever is in it.
touch "$root/adapter/migrate/api/envoy.binpb.zlib"
cd "$root"
ENVOY=$envoy BLESS=1 cargo test --quiet --locked -p proxy-wasm-adapter-migrate --test api >&2
cat adapter/migrate/api/envoy.toml
