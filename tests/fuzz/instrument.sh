#!/usr/bin/env bash
# Cargo's wrapper of rustc for the packages of the workspace: compiles them so that libFuzzer sees which code an input
# reaches. What they depend on stays as it is, and is built once for tests and fuzzing.
set -euo pipefail
exec "$@" -Cpasses=sancov-module -Ccodegen-units=1 -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
