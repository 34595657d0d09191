#!/usr/bin/env bash
# Builds the shim, and ties the committed build to its sources.
#
#   host-shim/build.sh [--install]            builds target/shim/wasi02.wasm, wasi02-extra.wasm with the larger foreign
#                                             functions, and -trace.wasm of both, which trace calls; each with its
#                                             description beside it; and the same of wasi03
#   host-shim/build.sh [--install] --commit   and puts them into adapter/library/shim/, from where the adapter takes them
#   host-shim/build.sh --digest               prints the digest of the sources of each, and builds nothing
#   host-shim/build.sh … wasi03               all that for the shim of one version of WASI alone
#   host-shim/build.sh --digest --verbose     prints what the digest is made of
#
# The description, a .toml file:
#   sources    sha256 of what `--digest --verbose` prints: see `sources` below
#   artifact   sha256 of the .wasm file
#   bytes      its size
#   toolchain  what built it. Another compiler, or a std that was compiled otherwise, gives other bytes; the same one
#              gives the same bytes on any machine and in any directory. Its last step is Binaryen's wasm-opt, which
#              takes a tenth off: it merges functions that are alike, and sees what LLVM no longer does.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../tests/toolchain.sh"

target=wasm32-unknown-unknown
# Of 225, LLVM's own: a tenth less of the size, for half a hundredth more of an exchange's instructions.
inlining=-Cllvm-args=-inline-threshold=140
all=(wasi02 wasi03)

# worlds EDGE: where the WIT of an edge is. That of 0.2 stands around that of 0.3.
worlds() {
    case $1 in
        wasi02) echo wit/world.wit wit/deps ;;
        wasi03) echo wit/wasi03 ;;
    esac
}

# sources EDGE: everything that decides what the shim is, one line each.
#  - the Rust files and manifests of the crates that go into it (not their tests), and the WIT, by sha256;
#  - the version of each crate that the lock file gives it;
#  - its profiles, what is inlined, and the version of wasm-opt.
sources() {
    local edge=$1
    (
        cd "$root"
        export LC_ALL=C
        # shellcheck disable=SC2046  # one word for each
        find host-shim/abi host-shim/driver host-shim/foreign host-shim/semantics host-shim/shared host-shim/marshal "host-shim/$edge" $(worlds "$edge") -type f \
            \( -name '*.rs' -o -name Cargo.toml -o -name '*.wit' \) ! -path '*/tests/*' | sort | while read -r file; do
            printf '%s  %s\n' "$(sha256 <"$file" | cut -d ' ' -f 1)" "$file"
        done
        dependencies "proxy-wasm-shim-$edge"
        awk '/^\[/ { inside = /^\[profile\.shim[.\]]/ } inside && NF && !/^#/' Cargo.toml
        echo "$inlining"
        grep '"binaryen":' tests/tools/package.json
    )
}

# dependencies PACKAGE: `name version` of every locked package that it depends on. Read from the lock file itself, so
# that it needs neither a network nor a particular cargo.
dependencies() {
    awk -v start="$1" '
        /^\[\[package\]\]/ { name = version = "" }
        /^name = / { name = unquoted($3) }
        /^version = / { version = unquoted($3); key = name " " version; keys[name] = keys[name] "\n" key; versions[key] = 1 }
        /^dependencies = \[/ { inside = 1; next }
        /^\]/ { inside = 0 }
        # `name`, or `name version` where the lock file has several.
        inside { gsub(/[",]/, ""); sub(/^ +/, ""); needs[key] = needs[key] "\n" $0 }
        END {
            visit(start)
            for (key in seen) print key | "sort"
        }
        function unquoted(text) { gsub(/"/, "", text); return text }
        function visit(name,    found, count, i) {
            split(name, words, " ")
            if (words[2] != "") { found = words[1] " " words[2] } else { found = substr(keys[name], 2) }
            if (found in seen) return
            seen[found] = 1
            walk(needs[found])
        }
        function walk(list,    count, names, i) {
            count = split(substr(list, 2), names, "\n")
            for (i = 1; i <= count; i++) if (names[i] != "") visit(names[i])
        }
    ' "$root/Cargo.lock"
}

# digest EDGE
digest() {
    sources "$1" | sha256 | cut -d ' ' -f 1
}

commit='' only_digest='' verbose='' edges=()
for argument; do
    case $argument in
        --install) install=1 ;;
        --commit) commit=1 ;;
        --digest) only_digest=1 ;;
        --verbose) verbose=1 ;;
        wasi02 | wasi03) edges+=("$argument") ;;
        *) fail "unknown argument \`$argument\`" "Usage: host-shim/build.sh [--install] [--commit] [wasi02|wasi03] | --digest [--verbose] [wasi02|wasi03]" ;;
    esac
done
[ ${#edges[@]} -gt 0 ] || edges=("${all[@]}")
if [ "$only_digest" ]; then
    for edge in "${edges[@]}"; do
        if [ "$verbose" ]; then sources "$edge"; else digest "$edge"; fi
    done
    exit
fi

# build SHIM OPTION...: builds one; it is optimized and described beside the building of the next.
build() {
    local shim=$1 package=proxy-wasm-shim-${1%%-*}
    shift
    # Who traces doesn't ask for speed, and with the larger foreign functions no file of the tree may be larger.
    local flags=("$inlining")
    if [[ $shim = *-trace ]]; then
        set -- "$@" --config 'profile.shim.opt-level="s"'
        flags=()
    fi
    cargo_as rustc "$target" "$root/Cargo.toml" "$root/target/shim-build" --package "$package" --profile shim "$@" \
        -- ${flags[@]+"${flags[@]}"}
    mv "$root/target/shim-build/$target/shim/${package//-/_}.wasm" "$output/.$shim.unoptimized"
    finish "$shim" &
    finishing+=($!)
}

finishing=()

# finish SHIM: optimizes what was built.
finish() {
    local shim=$1
    # It goes on until nothing becomes smaller where it pays: a large shim takes a minute by that, for a four hundredth of its size.
    local converge=
    [[ $shim = *-* ]] || converge=--converge
    # The features are those that Rust has on by default for this target. `-g` keeps the names of functions. Those that differ
    # in constants alone become one before they are optimized (what grows a vector, most of all), and what is called most gets
    # the shortest numbers: a hundredth of the size, with that.
    # shellcheck disable=SC2086  # no option is no argument
    "$npm_tool" --merge-similar-functions -Os $converge --reorder-functions -g \
        --enable-bulk-memory --enable-multivalue --enable-mutable-globals --enable-reference-types \
        --enable-sign-ext --enable-nontrapping-float-to-int \
        "$output/.$shim.unoptimized" -o "$output/.$shim.wasm"
    rm "$output/.$shim.unoptimized"
    # Complete or not there at all.
    chmod 644 "$output/.$shim.wasm"
    mv "$output/.$shim.wasm" "$output/$shim.wasm"
    cat >"$output/$shim.toml" <<END
# Written by host-shim/build.sh, which says what these mean.
sources = "$before"
artifact = "$(sha256 <"$output/$shim.wasm" | cut -d ' ' -f 1)"
bytes = $(wc -c <"$output/$shim.wasm" | tr -d ' ')
toolchain = "$rustc_version, $wasm_opt_version"
END
    cat "$output/$shim.toml"
}

output=$root/target/shim
mkdir -p "$output"
find_npm wasm-opt
wasm_opt_version=$("$npm_tool" --version)
for edge in "${edges[@]}"; do
    before=$(digest "$edge")
    build "$edge"
    build "$edge-extra" --features extra
    build "$edge-trace" --features trace
    build "$edge-extra-trace" --features extra,trace
    for one in "${finishing[@]}"; do wait "$one"; done
    finishing=()
    [ "$before" = "$(digest "$edge")" ] || fail "the sources changed during the build" "Run it again."
    if [ "$commit" ]; then
        mkdir -p "$root/adapter/library/shim"
        for shim in "$edge" "$edge-extra" "$edge-trace" "$edge-extra-trace"; do
            cp "$output/$shim.wasm" "$output/$shim.toml" "$root/adapter/library/shim/"
        done
    fi
done
