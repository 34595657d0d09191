//! Files that can't be read or written, and components that can't be taken apart.

use proxy_wasm_adapter_testing::{filter, wat};

use super::{Case, adapted, command, cut_off};

pub(super) fn cases() -> Vec<Case> {
    const ROUTE: [&str; 2] = ["--direct-response", "200"];
    let adapt = |name, filter, args: &[&'static str]| command(name, filter, &[&["adapt"], args, &ROUTE].concat());
    let serve = |name, more: &[&'static str]| {
        command(name, filter(""), &[&["serve", "filter.wasm", "--direct-response", "200"], more].concat())
    };
    vec![
        adapt("filter-missing", filter(""), &["missing.wasm", "-o", "out.wasm"]),
        adapt("filter-is-a-directory", filter(""), &[".", "-o", "out.wasm"]),
        adapt("output-is-the-input", filter(""), &["filter.wasm", "-o", "filter.wasm"]),
        adapt("output-is-the-input-by-another-name", filter(""), &["filter.wasm", "-o", "./././filter.wasm"]),
        adapt("output-is-a-directory", filter(""), &["filter.wasm", "-o", "."]),
        adapt("output-in-no-directory", filter(""), &["filter.wasm", "-o", "missing/out.wasm"]),
        command("filter-and-settings", b"hello".to_vec(), &["adapt", "filter.wasm", "-o", "out.wasm"]),
        adapt("full-disk", filter(""), &["filter.wasm", "-o", "/dev/full"]),
        command("extract-from-a-module", filter(""), &["extract", "filter.wasm", "-o", "out.wasm"]),
        command("extract-from-text", b"hello".to_vec(), &["extract", "filter.wasm", "-o", "out.wasm"]),
        command("extract-from-another-component", wat("(component)"), &["extract", "filter.wasm", "-o", "out.wasm"]),
        command("extract-from-what-was-cut-off", cut_off(), &["extract", "filter.wasm", "-o", "out.wasm"]),
        command("extract-from-a-newer-one", newer(), &["extract", "filter.wasm", "-o", "out.wasm"]),
        command("extract-from-a-changed-one", changed(), &["extract", "filter.wasm", "-o", "out.wasm"]),
        command("extract-onto-itself", adapted(), &["extract", "filter.wasm", "-o", "filter.wasm"]),
        command("serve-text", b"hello".to_vec(), &["serve", "filter.wasm", "--direct-response", "200"]),
        command("serve-what-was-cut-off", cut_off(), &["serve", "filter.wasm"]),
        command("inspect-what-was-cut-off", cut_off(), &["inspect", "filter.wasm"]),
        command("serve-a-directory-with-code", filter(""), &["serve", ".", "--code-dir", "."]),
        command("serve-without-a-route", filter(""), &["serve", "filter.wasm"]),
        command(
            "serve-listen-without-an-address",
            filter(""),
            &["serve", "filter.wasm", "--direct-response", "200", "--listen", ":8080"],
        ),
        serve("serve-reuse-by-exchanges", &["--drive", "exchange", "--max-instance-reuse", "5"]),
        serve("serve-virtual-machines-and-reuse", &["--vms", "2", "--max-instance-reuse", "5"]),
        serve("serve-virtual-machines-and-an-instance-each", &["--vms", "2", "--max-instance-reuse", "1"]),
        serve("serve-virtual-machines-by-wasi-http", &["--drive", "wasi-http", "--vms", "2"]),
        serve("serve-virtual-machines-on-wasi-0-3", &["--wasi", "0.3", "--vms", "2"]),
        serve("serve-virtual-machines-of-a-handler", &["--exports", "handler", "--vms", "2"]),
        serve("serve-virtual-machines-and-open", &["--failure-policy", "open", "--vms", "2"]),
        serve("serve-concurrency-on-wasi-0-2", &["--max-instance-concurrency", "5"]),
        serve("serve-exchanges-on-wasi-0-3", &["--wasi", "0.3", "--drive", "exchange"]),
        serve("serve-backoff-without-reload", &["--failure-policy", "closed", "--reload-backoff", "1s"]),
        serve("serve-open-by-exchanges", &["--drive", "exchange", "--failure-policy", "open"]),
        serve("serve-buffer-that-is-too-large", &["--buffer-limit", "99999999999999999999"]),
        serve("serve-h2c-without-an-address", &["--upstream-h2c", ":::"]),
        serve("serve-without-memory", &["--max-memory", "1"]),
        serve("serve-cache-is-a-file", &["--cache", "filter.wasm"]),
        serve("serve-access-log-is-a-directory", &["--access-log", "."]),
        command("serve-adapted-with-options", adapted(), &["serve", "filter.wasm", "--root-id", "a"]),
        command("no-output", filter(""), &["adapt", "filter.wasm", "--direct-response", "200"]),
    ]
}

fn newer() -> Vec<u8> {
    replace(adapted(), br#"{"form":1,"#, br#"{"form":9,"#)
}

fn changed() -> Vec<u8> {
    // The shim stands before the filter and has no such name.
    replace(adapted(), b"\x06malloc", b"\x06mallox")
}

/// Replaces the first of `from`.
fn replace(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    bytes[at..at + from.len()].copy_from_slice(to);
    bytes
}
