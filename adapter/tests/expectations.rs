//! `proxy-wasm-adapter test`: what a request file expects, on the adapted component alone.

use std::fs;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Denies `/deny`, traps at `/trap`, calls `auth` at `/call`, and logs and marks all else; refuses a configuration that is
/// not empty.
const FILTER: &str = r#"(module
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
    (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_send_local_response"
        (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_http_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
    (import "env" "proxy_set_effective_context" (func $of (param i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) ":path")
    (data (i32.const 16) "x-mark")
    (data (i32.const 32) "seen")
    (data (i32.const 48) "denied")
    (data (i32.const 64) "refused")
    (data (i32.const 80) "auth")
    (data (i32.const 96) "\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\06\00\00\00\0a\00\00\00\04\00\00\00"
        ":method\00GET\00:path\00/check\00:authority\00auth\00")
    (global $free (mut i32) (i32.const 4096))
    (global $stream (mut i32) (i32.const 0))
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32)
        (global.get $free) (global.set $free (i32.add (global.get $free) (local.get 0))))
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
        (if (local.get 1) (then (drop (call $log (i32.const 3) (i32.const 64) (i32.const 7)))))
        (i32.eqz (local.get 1)))
    ;; The second byte of the path.
    (func $kind (result i32)
        (drop (call $get (i32.const 0) (i32.const 0) (i32.const 5) (i32.const 200) (i32.const 204)))
        (i32.load8_u offset=1 (i32.load (i32.const 200))))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (local $kind i32)
        (global.set $stream (local.get 0))
        (local.set $kind (call $kind))
        (if (i32.eq (local.get $kind) (i32.const 116)) (then unreachable))
        (if (i32.eq (local.get $kind) (i32.const 100)) (then
            (drop (call $answer (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 48) (i32.const 6) (i32.const 0)
                (i32.const 0) (i32.const -1)))
            (return (i32.const 1))))
        (drop (call $log (i32.const 2) (i32.const 32) (i32.const 4)))
        (drop (call $add (i32.const 0) (i32.const 16) (i32.const 6) (i32.const 32) (i32.const 4)))
        (if (i32.eq (local.get $kind) (i32.const 99)) (then
            (drop (call $call (i32.const 80) (i32.const 4) (i32.const 96) (i32.const 69) (i32.const 0) (i32.const 0)
                (i32.const 0) (i32.const 0) (i32.const 5000) (i32.const 220)))
            (return (i32.const 1))))
        (i32.const 0))
    (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
        (drop (call $of (global.get $stream))) (drop (call $continue (i32.const 0))))
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
        (drop (call $add (i32.const 2) (i32.const 16) (i32.const 6) (i32.const 32) (i32.const 4))) (i32.const 0))
    (func (export "proxy_on_log") (param i32)))"#;

struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    directory: TempDir,
}

/// `test filter.wat` with these request files, each `--requests NAME`, and these options.
fn test(files: &[(&str, &str)], options: &[&str]) -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("filter.wat"), FILTER).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_proxy-wasm-adapter"));
    command.args(["test", "filter.wat"]).current_dir(&directory).stdin(Stdio::null());
    // It has to do without one.
    command.env("ENVOY", "/nonexistent");
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
        command.args(["--requests", name]);
    }
    let output = command.args(options).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr), directory }
}

#[test]
fn what_holds_is_ok() {
    let first = r#"
requests:
  - path: /x
    headers: {x-old: a}
    expect:
      status: 200
      headers: {x-mark: seen, content-type: {contains: plain}, content-length: 3}
      no_headers: [x-other]
      body: "ok\n"
      log: ["[info] seen", {matches: '^.info. s\w+$'}]
      no_log: refused
      upstream: {method: GET, path: /x, headers: {x-mark: seen, x-old: a}, no_headers: x-new, body: ""}
      callouts: {auth: none}
  - path: /deny
    expect: {status: 403, body: {matches: '^den'}, upstream: none}
  - path: /call
    expect: {status: 200, callouts: {auth: [{method: GET, path: /check}]}}
  - {path: /nothing-expected}
"#;
    let second = "requests: [{path: /t, upstream: {status: 204}, expect: {status: 503}}]";
    let outcome = test(&[("first.yaml", first), ("second.yaml", second)], &["--junit", "results.xml"]);
    assert_eq!(
        (outcome.code, outcome.stderr.as_str(), outcome.stdout.replace(env!("CARGO_PKG_VERSION"), "VERSION").as_str()),
        (
            Some(0),
            "",
            "first.yaml, on proxy-wasm-adapter VERSION serve\nok        start\nok        GET /x\nok        GET /deny\n\
             ok        GET /call\nsent      GET /nothing-expected\n\n\
             second.yaml, on proxy-wasm-adapter VERSION serve\nok        start\nok        GET /t\n\nok: 5 requests, 25 expectations\n"
        )
    );
    let junit = fs::read_to_string(outcome.directory.path().join("results.xml")).unwrap();
    assert!(junit.contains("tests=\"7\" failures=\"0\" errors=\"0\" skipped=\"0\""), "{junit}");
}

#[test]
fn what_does_not_hold_is_told_in_its_place() {
    let requests = "\
requests:
  - path: /x
    expect:
      status: 403
      no_headers: [x-mark]
      upstream: {headers: {x-mark: other}}
  - path: /trap
    expect: {status: 200}
";
    let outcome = test(&[("a.yaml", requests)], &["--junit", "-"]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("tests=\"3\" failures=\"2\""), "{}", outcome.stdout);
    let outcome = test(&[("a.yaml", requests)], &[]);
    for part in [
        "\nFAILED    GET /x\n    a.yaml:4:15: the status is 200, expected 403\n",
        "\n    a.yaml:5:20: the response has the header `x-mark` as \"seen\", expected none of that name\n",
        "\n    a.yaml:6:36: the upstream got the header `x-mark` as \"seen\", expected \"other\"\n",
        "\n    the filter's log:\n      [info] seen\n",
        "\n    a.yaml:8:22: the status is 503, expected 200\n    the host:\n",
        "trapped in `proxy_on_request_headers`",
        "\nfailed: 4 not met, of 2 requests and 5 expectations\n",
    ] {
        assert!(outcome.stdout.contains(part), "{part}\n{}", outcome.stdout);
    }
}

#[test]
fn a_plugin_that_refuses() {
    let settings = ["--config-text", "anything"];
    let outcome = test(&[("a.yaml", "requests: [{expect: {status: 200}}]")], &settings);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    for part in [
        "FAILED    start\n    a.yaml: the plugin did not start: the plugin cannot start: `proxy_on_configure` returned false",
        "the filter's log:\n      [warn] refused\n",
        "not sent  GET /\n    the plugin did not start\n",
        "failed: 1 not met, 1 request not sent, of 1 request and 1 expectation\n",
    ] {
        assert!(outcome.stdout.contains(part), "{part}\n{}", outcome.stdout);
    }
    let refused = "start: {refused: true, log: refused}";
    assert_eq!(test(&[("a.yaml", refused)], &settings).code, Some(0));
    let outcome = test(&[("a.yaml", refused)], &[]);
    assert!(
        outcome.stdout.contains("a.yaml:1:18: the plugin started, expected that it is refused\n"),
        "{}",
        outcome.stdout
    );
}

#[test]
fn what_can_not_be_tested() {
    const ONE: &str = "requests: [{expect: {status: 200}}]";
    for (requests, options, message) in [
        ("requests: [{}]", &[][..], "error: `a.yaml` expects nothing, so there is nothing to test\n"),
        (ONE, &["--upstream", "http://a"], "error: `--upstream` is not used: `test` answers in its place"),
        (ONE, &["--cluster", "a=http://a"], "error: `--cluster` is not used: `test` answers in its place"),
        (ONE, &["--host", "sleep 1"], "there is no `{component}`"),
        (ONE, &["--junit", "filter.wat"], "help: Name another file with `--junit`.\n"),
        (
            ONE,
            &["--junit", "missing/a.xml"],
            "help: Make the directory first, or choose another place with `--junit`.\n",
        ),
        ("start: {refused: true}\nrequests: [{}]", &[], "though the plugin is not to start"),
        (
            "requests: [{expect: {headers: {x: {matches: '('}}, upstream: nobody}}]",
            &[],
            "error: a.yaml:1:35: requests[0].expect.headers.x: `(` is no regular expression: ",
        ),
        (
            "requests: [{expect: {headers: {x: {matches: '('}}, upstream: nobody}}]",
            &[],
            "error: a.yaml:1:62: requests[0].expect.upstream: `nobody` is no request: it is `none`, or ",
        ),
        (
            "requests: [{expect: {body: 1.5}}]",
            &[],
            "expected text (in quotes if it is neither a word nor a whole number)",
        ),
        ("requests: [{expect: {stat: 1}}]", &[], "unknown field `stat`, expected one of `status`, `headers`"),
    ] {
        let outcome = test(&[("a.yaml", requests)], options);
        assert_eq!(outcome.code, Some(2), "{requests}\n{}", outcome.stdout);
        assert!(outcome.stderr.contains(message), "{message}\n{}", outcome.stderr);
    }
}
