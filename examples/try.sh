#!/usr/bin/env bash
# The Rust example, adapted, served and asked twice. It takes the `proxy-wasm-adapter` that is installed, or else builds it,
# where `cargo install --path adapter` finds it built.
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
say() { printf '%s\n' "$*" >&2; }

target=${CARGO_TARGET_DIR:-target}
adapter=$(command -v proxy-wasm-adapter || true)
if [ "$adapter" ]; then
    say "1 of 3: takes $adapter ($("$adapter" --version))"
else
    say "1 of 3: builds the adapter, and Wasmtime with it: about a quarter of an hour on 2 cores, only once"
    cargo build --release --locked --package proxy-wasm-adapter --bin proxy-wasm-adapter
    adapter=$target/release/proxy-wasm-adapter
    say "        took $((SECONDS / 60)) min $((SECONDS % 60)) s; $target/ has $(du -sh "$target" | cut -f1)"
fi
say "2 of 3: builds the filter, for WebAssembly"
examples/build.sh "$@" rust-headers >&2
say "3 of 3: adapts it, serves it, and asks it"
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
