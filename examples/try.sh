#!/usr/bin/env bash
# The first thing to run: builds the adapter and the Rust example, adapts and serves it, and asks it twice.
#
#   examples/try.sh [--install]
#
# `--install` also installs the compiler that the filter needs, where it is missing; see examples/README.md.
set -euo pipefail
cd -P "$(dirname "${BASH_SOURCE[0]}")/.."

case ${1-} in
    '' | --install) ;;
    *) echo "unknown argument \`$1\`; usage: examples/try.sh [--install]" >&2 && exit 2 ;;
esac
work=$(mktemp -d)
server=''
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

examples/build.sh "$@" rust-headers >&2
# With the features of the whole workspace, so that the tests need not build the dependencies again.
cargo build --quiet --workspace --bin proxy-wasm-adapter
adapter=target/debug/proxy-wasm-adapter
"$adapter" adapt target/examples/rust-headers.wasm -o "$work/component.wasm" --plugin-name rust-headers \
    --config-text $'mark = seen\nforbidden = /admin' --direct-response 200:hello
: >"$work/log"
"$adapter" serve "$work/component.wasm" --listen 127.0.0.1:0 >>"$work/log" 2>&1 &
server=$!
url=''
while [ -z "$url" ]; do
    kill -0 "$server" 2>/dev/null || { cat "$work/log" >&2 && exit 1; }
    url=$(sed -n 's/^listening on //p' "$work/log")
    sleep 0.1
done
for path in / /admin; do
    printf 'GET %s\n' "$path"
    curl --silent --show-error --include "$url$path" | tr -d '\r' | sed '/^date:/d'
    printf '\n\n'
done
