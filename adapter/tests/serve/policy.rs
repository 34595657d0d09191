//! What becomes of requests after a plugin failed, in the virtual machines that `serve` has by default. The expectations are
//! what Envoy does, with one worker; the library's own tests have those of instances by `wasi:http`.

use proxy_wasm_adapter_testing::{Process, get};

use crate::strained::command;

/// Answers 403, and traps at the path `/trap`.
const FAILS: &str = r#"(module
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response" (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) ":path")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $get (i32.const 0) (i32.const 0) (i32.const 5) (i32.const 64) (i32.const 68)))
    (if (i32.eq (i32.load (i32.const 68)) (i32.const 5)) (then unreachable))
    (drop (call $answer (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.const -1)))
    (i32.const 1)))"#;

/// The statuses of a request, one that traps, and both once more.
async fn statuses(options: &[&str]) -> [u16; 4] {
    let (mut command, _file) = command(FAILS, options);
    let process = Process::spawn(&mut command);
    let mut statuses = [0; 4];
    for (status, path) in statuses.iter_mut().zip(["/", "/trap", "/", "/trap"]) {
        *status = get(process.address, path).await.status.as_u16();
    }
    statuses
}

#[tokio::test]
async fn reload_makes_another_one() {
    assert_eq!(statuses(&["--vms", "1"]).await, [403, 503, 403, 503]);
}

#[tokio::test]
async fn reload_waits_where_told() {
    assert_eq!(statuses(&["--vms", "1", "--reload-backoff", "1h"]).await, [403, 503, 503, 503]);
}

#[tokio::test]
async fn closed_answers_503_for_good() {
    assert_eq!(statuses(&["--vms", "1", "--failure-policy", "closed"]).await, [403, 503, 503, 503]);
}

/// This takes requests by `wasi:http`.
#[tokio::test]
async fn open_lets_requests_pass() {
    assert_eq!(statuses(&["--failure-policy", "open"]).await, [403, 503, 200, 200]);
}

/// The limit counts what instances take on top of what each begins with, on both ways.
#[tokio::test]
async fn a_small_limit_of_all_memory_keeps_nothing_from_starting() {
    for drive in ["exchange", "wasi-http"] {
        let (mut command, _file) = command(FAILS, &["--drive", drive, "--max-total-memory", "2MiB"]);
        let process = Process::spawn(&mut command);
        assert_eq!(get(process.address, "/").await.status.as_u16(), 403, "{drive}");
    }
}

#[test]
fn a_start_that_traps_is_told_of_with_its_callback() {
    const TRAPS: &str = r#"(module
      (memory (export "memory") 1)
      (func (export "proxy_abi_version_0_2_1"))
      (func (export "malloc") (param i32) (result i32) (i32.const 4096))
      (func (export "proxy_on_vm_start") (param i32 i32) (result i32) unreachable))"#;
    let (mut command, _file) = command(TRAPS, &[]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("trapped in `proxy_on_vm_start`"), "{said}");
}
