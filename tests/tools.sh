#!/usr/bin/env bash
# Prints where a tool is that the tests run, or installs what they need.
#
#   tests/tools.sh [--install] [envoy|chromium|jco|asc|wat2wasm|wasm-opt|go|grpcio|rust|cxx...]
#
# For each name one line: the program's path, or for `grpcio` the PYTHONPATH. `rust` (for wasm32-unknown-unknown and
# wasm32-wasip1) and `cxx` are only checked for. Without names: all of them. `--install` installs what is missing; see
# tests/toolchain.sh.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/toolchain.sh"

names=()
for argument; do
    case $argument in
        --install) install=1 ;;
        *) names+=("$argument") ;;
    esac
done
[ ${#names[@]} -gt 0 ] || names=(rust cxx go asc wat2wasm wasm-opt jco chromium grpcio envoy)

locate() {
    case $1 in
        envoy) find_envoy && echo "$envoy" ;;
        chromium) find_chromium && echo "$chromium" ;;
        jco | asc | wat2wasm | wasm-opt) find_npm "$1" && echo "$npm_tool" ;;
        go) find_go && command -v "${go[@]: -1}" ;;
        grpcio) find_grpcio && echo "$grpcio" ;;
        rust) find_rust wasm32-unknown-unknown && find_rust wasm32-wasip1 && echo "$rustc_version" ;;
        cxx) find_cxx && command -v "${cxx[0]}" ;;
        *) fail "unknown tool \`$1\`" "Usage: tests/tools.sh [--install] [envoy|chromium|jco|asc|wat2wasm|wasm-opt|go|grpcio|rust|cxx...]" ;;
    esac
}

# All are tried, so that all that is missing is named at once.
failed=0
for name in "${names[@]}"; do
    set +e
    (set -e && locate "$name")
    [ $? -eq 0 ] || failed=1
    set -e
done
exit $failed
