#!/usr/bin/env bash
# Builds the example filters into target/examples/NAME.wasm.
#
#   examples/build.sh [--install] [NAME...]
#
# Without names it builds them all. What is newer than its sources is left alone. `--install` installs the compilers
# that are missing; without it the script says which they are and how to get them.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../tests/toolchain.sh"

examples=$root/examples
output=$root/target/examples

build_rust_headers() {
    cargo_build wasm32-wasip1 "$source/Cargo.toml" "$work" --release
    cp "$work/wasm32-wasip1/release/rust_headers.wasm" "$built"
}

build_ext_authz() {
    cargo_build wasm32-wasip1 "$source/Cargo.toml" "$work" --release
    cp "$work/wasm32-wasip1/release/ext_authz.wasm" "$built"
    # Its server, for this machine.
    cargo build --quiet --locked --manifest-path "$source/server/Cargo.toml" --target-dir "$work/server"
    cp "$work/server/debug/ext-authz-server" "$output/.ext-authz-server"
    mv "$output/.ext-authz-server" "$output/ext-authz-server"
}

build_cpp_body() {
    find_cxx
    # A reactor: the host calls `_initialize`, and then the callbacks.
    "${cxx[@]}" -mexec-model=reactor -std=c++20 -Os -Wall -Wextra -Werror -fno-exceptions -fno-rtti \
        -Wl,--export=malloc -Wl,--strip-debug "$source/filter.cc" -o "$built"
}

build_go_log() {
    find_go
    (cd "$source" && GOOS=wasip1 GOARCH=wasm "${go[@]}" build -buildmode=c-shared -trimpath -ldflags=-w -o "$built" .)
}

build_assemblyscript_start() {
    find_npm asc
    # `--debug` keeps the function names, for backtraces.
    (cd "$source" && "$npm_tool" filter.ts --outFile "$built" --optimize --debug --use abort=abi/fail)
}

build_wat_minimal() {
    find_npm wat2wasm
    "$npm_tool" --debug-names "$source/filter.wat" -o "$built"
}

# up_to_date NAME: its output is newer than all that it is made of.
up_to_date() {
    [ -f "$output/$1.wasm" ] && [ -z "$(find "$examples/$1" "${BASH_SOURCE[0]}" "$root/tests/toolchain.sh" "$root/tests/tools" \
        -type f ! -name README.md ! -name expected.toml -newer "$output/$1.wasm" -print -quit)" ]
}

names=()
for argument; do
    case $argument in
        --install) install=1 ;;
        -*) fail "unknown option \`$argument\`" "Usage: examples/build.sh [--install] [NAME...]" ;;
        *) names+=("$argument") ;;
    esac
done
if [ ${#names[@]} -eq 0 ]; then
    for source in "$examples"/*/; do
        names+=("$(basename "$source")")
    done
fi

mkdir -p "$output"
# Two at once would install the same tools.
if command -v flock >/dev/null; then
    exec 9>"$output/.lock"
    flock 9
fi

# build NAME
build() {
    source=$examples/$1 work=$output/build/$1
    [ -f "$source/expected.toml" ] || fail "there is no example \`$1\`" "Choose among: $(cd "$examples" && echo */ | tr -d /)."
    if up_to_date "$1"; then
        return
    fi
    say "building $1"
    mkdir -p "$work"
    built=$work/$1.wasm
    "build_${1//-/_}"
    # Complete or not there at all.
    chmod 644 "$built"
    touch "$built"
    mv "$built" "$output/$1.wasm"
}

# All are tried, so that all that is missing is named at once.
failed=0
for name in "${names[@]}"; do
    set +e
    (set -e && build "${name%/}")
    [ $? -eq 0 ] || failed=1
    set -e
done
exit $failed
