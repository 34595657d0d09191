//! By exchanges, an instance for each request.

use std::time::{Duration, Instant};

use http::Method;
use http_body_util::{Empty, Full};
use proxy_wasm_adapter_serve::{FailurePolicy, Options};

use crate::preinit::{counting, starts_of};
use crate::support::{Running, Upstream, client, exchange, get, joined, logged, options, request};

fn single(set: impl FnOnce(&mut Options)) -> Options {
    options(|options| {
        options.max_instance_reuse = Some(1);
        set(options);
    })
}

/// Calls `a` at each request, and goes on: it logs `q` then, and `r` at the answer. By `PUT` it traps instead.
fn calling() -> Vec<u8> {
    let filter = r#"(module
      (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
      (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
      (import "env" "proxy_http_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 0) "aqr:method")
      (data (i32.const 64) "\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\01\00\00\00"
        ":method\00GET\00:path\00/\00:authority\00a\00")
      (func (export "proxy_abi_version_0_2_1"))
      (func (export "malloc") (param i32) (result i32) (i32.const 4096))
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $get (i32.const 0) (i32.const 3) (i32.const 7) (i32.const 48) (i32.const 52)))
        (if (i32.eq (i32.load8_u (i32.const 4096)) (i32.const 0x50)) (then unreachable))
        (drop (call $log (i32.const 2) (i32.const 1) (i32.const 1)))
        (drop (call $call (i32.const 0) (i32.const 1) (i32.const 64) (i32.const 61) (i32.const 0) (i32.const 0)
          (i32.const 0) (i32.const 0) (i32.const 5000) (i32.const 160)))
        (i32.const 0))
      (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
        (drop (call $log (i32.const 2) (i32.const 2) (i32.const 1)))))"#;
    wat::parse_str(filter).unwrap()
}

#[tokio::test]
async fn it_begins_with_its_plugins_started() {
    let component = joined(&counting(""), None);
    assert_eq!(starts_of(&component, |options| *options = single(|_| {})).await, 1);
    assert!(starts_of(&component, |options| *options = single(|options| options.no_preinit = true)).await >= 2);
}

#[tokio::test]
async fn it_stays_for_the_answer_to_a_callout() {
    let upstream = Upstream::start(|_| async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        http::Response::new(Full::new(bytes::Bytes::from("yes")))
    })
    .await;
    let component = joined(&calling(), Some(upstream.address));
    let server = Running::start_component(&component, single(|_| {})).await.unwrap();
    for _ in 0..3 {
        assert_eq!(get(server.address, "/").await.status, 200);
    }
    let text = logged(&server, "r", 3).await;
    assert!(text.find(": r\n") > text.rfind(": q\n"), "each is answered before its callout is: {text}");
    let mut answers = text.lines().filter(|line| line.ends_with(": r"));
    assert!(answers.all(|line| line.contains("] request ")), "each line says whose callout it was: {text}");
}

#[tokio::test]
async fn a_trap_ends_one_request() {
    let upstream = Upstream::start(|_| async { http::Response::new(Full::new(bytes::Bytes::new())) }).await;
    let component = joined(&calling(), Some(upstream.address));
    let server = Running::start_component(&component, single(|_| {})).await.unwrap();
    for _ in 0..3 {
        let put = request(Method::PUT, server.address, "/").body(Empty::new()).unwrap();
        assert_eq!(exchange(&client(), put).await.status, 503);
        assert_eq!(get(server.address, "/").await.status, 200);
    }
}

/// Each waits for a callout that nobody answers. There is no place for one more then; that is no fault of the plugin, which would
/// close the service for good.
#[tokio::test]
async fn others_that_wait_are_no_failure_of_the_plugin() {
    let upstream = Upstream::start(|_| std::future::pending::<http::Response<Full<bytes::Bytes>>>()).await;
    let component = joined(&calling(), Some(upstream.address));
    let few = single(|options| {
        options.max_concurrency = 1;
        options.failure_policy = Some(FailurePolicy::Closed);
    });
    let server = Running::start_component(&component, few).await.unwrap();
    let mut refused = 0;
    for _ in 0..90 {
        refused += u32::from(get(server.address, "/").await.status == 503);
    }
    assert!(refused > 0, "there is a place for each");
    let begun = Instant::now();
    while get(server.address, "/").await.status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is closed");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
