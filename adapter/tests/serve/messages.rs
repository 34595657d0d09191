//! What `serve` says of requests that fail.

use std::process::Command;

use http::StatusCode;
use proxy_wasm_adapter_testing::{Process, get};
use serde_json::{Value, json};

/// What a client gets of this filter, and what is said, with these options besides.
async fn serve_with(filter: &str, options: &[&str]) -> (StatusCode, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("filter.wat");
    std::fs::write(&file, filter).unwrap();
    let process = Process::spawn(
        Command::new(env!("CARGO_BIN_EXE_proxy-wasm-adapter"))
            .arg("serve")
            .arg(file)
            .args(["--listen", "127.0.0.1:0", "--plugin-name", "auth", "--direct-response", "200"])
            .args(options),
    );
    let answer = get(process.address, "/").await;
    (answer.status, process.end())
}

/// The last message, without the time and what follows in further lines indented.
#[track_caller]
fn assert_said(stderr: &str, expected: &str) {
    assert!(stderr.ends_with(&format!("Z [error] request 1: {expected}\n")), "{stderr}");
}

/// A filter whose callback for requests has this body.
fn filter(name: &str, get: &str, allocate: &str, read: &str, request: &str) -> String {
    format!(
        r#"(module {name}
             (import "env" "proxy_get_header_map_pairs" (func {get} (param i32 i32 i32) (result i32)))
             (memory (export "memory") 1)
             (func (export "proxy_abi_version_0_2_1"))
             (func {allocate} (export "malloc") (param i32) (result i32) unreachable)
             (func {read} (drop (call 0 (i32.const 0) (i32.const 16) (i32.const 20))))
             (func {request} (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
               (call 3)
               (i32.const 0)))"#
    )
}

/// Options by which shim and filter are modules of their own, and by which they are one.
const MODULES: [&[&str]; 2] = [&[], &["--max-instance-reuse", "1"]];

#[tokio::test]
async fn a_filter_that_traps() {
    for options in MODULES {
        let filter = filter("$broken", "$get", "$my_allocator", "$read_headers", "$on_request");
        let (status, stderr) = serve_with(&filter, options).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_said(
            &stderr,
            "`auth` trapped in `proxy_on_request_headers`, in the host call `proxy_get_header_map_pairs`: \
             wasm trap: wasm `unreachable` instruction executed\n    \
             at broken!my_allocator\n    \
             at proxy-wasm shim!proxy_get_header_map_pairs\n    \
             at broken!read_headers\n    \
             at broken!on_request",
        );
    }
}

/// Of a chain in which one filter runs in two virtual machines, with instances that begin with their plugins started, too.
#[tokio::test]
async fn one_of_a_chain_that_traps() {
    let directory = tempfile::tempdir().unwrap();
    let filter = |callback: &str| {
        format!(
            r#"(module
                 (memory (export "memory") 1)
                 (func (export "proxy_abi_version_0_2_1"))
                 (func (export "malloc") (param i32) (result i32) (i32.const 4096))
                 (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0)) {callback})"#
        )
    };
    let passes = filter("");
    let traps = filter(r#"(func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) unreachable)"#);
    std::fs::write(directory.path().join("passes.wat"), passes).unwrap();
    std::fs::write(directory.path().join("traps.wat"), traps).unwrap();
    let plugins = [("a", "passes"), ("b", "passes"), ("c", "traps")];
    let plugins = plugins
        .map(|(name, filter)| format!("[[plugin]]\nname = '{name}'\nvm_id = '{name}'\nfilter = '{filter}.wat'\n"));
    let settings = format!("direct_response = 200\n{}", plugins.concat());
    std::fs::write(directory.path().join("chain.toml"), settings).unwrap();
    for options in [&[][..], &["--max-instance-reuse", "1"]] {
        let process = Process::spawn(
            Command::new(env!("CARGO_BIN_EXE_proxy-wasm-adapter"))
                .args(["serve", "--settings"])
                .arg(directory.path().join("chain.toml"))
                .args(["--listen", "127.0.0.1:0"])
                .args(options),
        );
        assert_eq!(get(process.address, "/").await.status, StatusCode::SERVICE_UNAVAILABLE);
        let stderr = process.end();
        assert!(stderr.contains("`c` trapped in `proxy_on_response_headers`: wasm trap"), "{options:?}: {stderr}");
    }
}

#[tokio::test]
async fn a_filter_without_names_that_traps() {
    for options in MODULES {
        let (status, stderr) = serve_with(&filter("", "", "", "", ""), options).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_said(
            &stderr,
            "`auth` trapped in `proxy_on_request_headers`, in the host call `proxy_get_header_map_pairs`: \
             wasm trap: wasm `unreachable` instruction executed\n    \
             at proxy-wasm shim!proxy_get_header_map_pairs\n    \
             at filter!proxy_on_request_headers\n    \
             and 2 without a name",
        );
    }
}

/// Each instance counts its streams from 2 on, and the requests are told apart all the same.
#[tokio::test]
async fn lines_tell_the_request() {
    let filter = r#"(module
      (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 0) "seen")
      (func (export "proxy_abi_version_0_2_1"))
      (func (export "malloc") (param i32) (result i32) (i32.const 4096))
      (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $log (i32.const 3) (i32.const 0) (i32.const 4)))
        (i32.const 0))
      (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) unreachable))"#;
    let (_, text) = serve_with(filter, &[]).await;
    let lines: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once("Z ")?.1)).collect();
    assert_eq!(lines[0], "[warn] request 1: auth #2: seen");
    assert!(lines[1].starts_with("[error] request 1: `auth` trapped in `proxy_on_response_headers`"), "{text}");

    let (_, text) = serve_with(filter, &["--log-format", "json"]).await;
    let objects: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut seen = objects[0].clone();
    assert!(seen.as_object_mut().unwrap().remove("time").unwrap().as_str().unwrap().ends_with('Z'));
    assert_eq!(seen, json!({"level": "warn", "request": 1, "source": "component", "message": "auth #2: seen"}));
    assert_eq!((&objects[1]["source"], &objects[1]["request"]), (&json!("host"), &json!(1)));
}
