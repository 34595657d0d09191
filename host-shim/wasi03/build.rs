//! Has the shim begin with a heap, so that no instance has to grow its memory for the first allocation.

/// A page of WebAssembly, which is what the allocator asks for at a time; a typical exchange takes less.
const INITIAL_HEAP: usize = 64 * 1024;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_CFG_TARGET_ARCH").is_some_and(|arch| arch == "wasm32") {
        println!("cargo::rustc-cdylib-link-arg=--initial-heap={INITIAL_HEAP}");
    }
}
