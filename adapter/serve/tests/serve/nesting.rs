//! Filters that send requests to the host that runs them.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::Full;
use proxy_wasm_abi::settings::Origin;
use proxy_wasm_adapter_serve::Options;
use tokio::net::TcpSocket;
use tokio::time::timeout;

use crate::support::{Answer, Running, Upstream, adapted_with, get, logged};

/// How long an answer may take, on a busy machine. Without a bound on nesting it takes as long as a callout may.
const PATIENCE: Duration = Duration::from_secs(5);

/// A filter that answers `/0` with 200, and calls out with one less than the digit in its path, for `/n` always with
/// `/n`. It answers 418 where the callout was not answered 200.
const HTTP: &str = r#"(func $call_out (param $digit i32)
    (i32.store8 (i32.const 111) (local.get $digit))
    (drop (call $http_call (i32.const 0) (i32.const 1) (i32.const 64) (i32.const 62) (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0) (i32.const 15000) (i32.const 160))))"#;

/// The same by gRPC, which goes by HTTP/2. The path is that of the method.
const GRPC: &str = r#"(func $call_out (param $digit i32)
    (i32.store8 (i32.const 48) (local.get $digit))
    (drop (call $grpc_call (i32.const 0) (i32.const 1) (i32.const 8) (i32.const 0) (i32.const 48) (i32.const 1)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 15000) (i32.const 160))))"#;

fn filter(call_out: &str, request: &str, configure: &str) -> Vec<u8> {
    let filter = format!(
        r#"(module $nesting
          (import "env" "proxy_log" (func $proxy_log (param i32 i32 i32) (result i32)))
          (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
          (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
          (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
          (import "env" "proxy_send_local_response" (func $respond (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
          (import "env" "proxy_set_tick_period_milliseconds" (func $period (param i32) (result i32)))
          (import "env" "proxy_http_call" (func $http_call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
          (import "env" "proxy_grpc_call"
            (func $grpc_call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) "a")
          (data (i32.const 16) ":path:status")
          (data (i32.const 64) "\03\00\00\00"
            "\07\00\00\00\03\00\00\00" "\05\00\00\00\02\00\00\00" "\0a\00\00\00\01\00\00\00"
            ":method\00GET\00" ":path\00/0\00" ":authority\00a\00")
          (data (i32.const 200) "ty")
          (global $stream (mut i32) (i32.const 0))
          {call_out}
          (func $log (param i32) (drop (call $proxy_log (i32.const 2) (local.get 0) (i32.const 1))))
          (func (export "proxy_abi_version_0_2_1"))
          (func (export "malloc") (param i32) (result i32) (i32.const 4096))
          (func (export "proxy_on_configure") (param i32 i32) (result i32) {configure} (i32.const 1))
          (func (export "proxy_on_tick") (param i32) (call $log (i32.const 200)) (call $call_out (i32.const 49)))
          (func (export "proxy_on_request_headers") (param $id i32) (param i32 i32) (result i32)
            (local $digit i32)
            (global.set $stream (local.get $id))
            (drop (call $get (i32.const 0) (i32.const 16) (i32.const 5) (i32.const 168) (i32.const 172)))
            ;; The last byte of the path: gRPC puts the service before it.
            (local.set $digit
              (i32.load8_u (i32.sub (i32.add (i32.load (i32.const 168)) (i32.load (i32.const 172))) (i32.const 1))))
            {request}
            (if (i32.eq (local.get $digit) (i32.const 48)) (then (return (i32.const 0))))
            (if (i32.ne (local.get $digit) (i32.const 110))
              (then (local.set $digit (i32.sub (local.get $digit) (i32.const 1)))))
            (call $call_out (local.get $digit))
            (i32.const 1))
          (func $go_on (param $good i32)
            (drop (call $effective (global.get $stream)))
            (if (local.get $good)
              (then (drop (call $continue (i32.const 0))))
              (else (drop (call $respond (i32.const 418) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                (i32.const 0) (i32.const 0) (i32.const -1))))))
          (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
            (if (i32.eqz (global.get $stream)) (then (call $log (i32.const 201)) (return)))
            (drop (call $get (i32.const 6) (i32.const 21) (i32.const 7) (i32.const 168) (i32.const 172)))
            (call $go_on (i32.eq (i32.load8_u (i32.load (i32.const 168))) (i32.const 50))))
          (func (export "proxy_on_grpc_close") (param i32 i32 i32) (call $go_on (i32.const 1))))"#
    );
    wat::parse_str(filter).unwrap()
}

/// A free address, which stays so for one who listens there: a socket holds it.
fn address() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// A filter whose cluster is the server itself.
async fn calling_itself(filter: &[u8], set: impl FnOnce(&mut Options)) -> (TcpSocket, Running) {
    let (socket, address) = address();
    let component = adapted_with(filter, Some(address), |_| {});
    let mut options = Options::default();
    options.listen = address;
    set(&mut options);
    (socket, Running::start_at(&component, options).await.unwrap())
}

async fn soon(server: &Running, path: &str) -> Answer {
    timeout(PATIENCE, get(server.address, path)).await.expect("an answer in time")
}

#[tokio::test]
async fn endless_callouts_end_with_an_answer() {
    for (call_out, endless) in [(HTTP, 418), (GRPC, 200)] {
        let (_socket, server) = calling_itself(&filter(call_out, "", ""), |_| {}).await;
        for _ in 0..20 {
            assert_eq!(soon(&server, "/n").await.status, endless);
            // Two levels, and three, are nobody's mistake.
            assert_eq!(soon(&server, "/2").await.status, 200);
            assert_eq!(soon(&server, "/3").await.status, 200);
        }
    }
}

#[tokio::test]
async fn the_depth_is_what_was_asked_for() {
    let filter = filter(HTTP, "", "");
    for (max, path, status) in
        [(0, "/0", 200), (0, "/1", 418), (1, "/1", 200), (1, "/2", 418), (5, "/5", 200), (5, "/6", 418)]
    {
        let (_socket, server) = calling_itself(&filter, |options| options.max_nesting = max).await;
        assert_eq!(soon(&server, path).await.status, status, "{path} of {max}");
    }
}

/// By HTTP/1.1, and by HTTP/2.
#[tokio::test]
async fn an_upstream_that_is_the_host_itself_is_answered_508() {
    let filter = wat::parse_str(
        r#"(module (memory (export "memory") 1)
          (func (export "proxy_abi_version_0_2_1"))
          (func (export "malloc") (param i32) (result i32) (i32.const 4096))
          (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0)))"#,
    );
    let filter = filter.unwrap();
    for h2c in [false, true] {
        let (_socket, address) = address();
        let origin = Origin { tls: false, authority: address.to_string() };
        let component = adapted_with(&filter, None, |settings| {
            settings.set_upstream(origin, 15_000);
        });
        let mut options = Options::default();
        options.listen = address;
        options.upstream_h2c = h2c.then(|| address.to_string()).into_iter().collect();
        let server = Running::start_at(&component, options).await.unwrap();
        for _ in 0..20 {
            assert_eq!(soon(&server, "/").await.status, 508);
        }
    }
}

/// Nobody else waits for it, and it does not wait for itself.
#[tokio::test]
async fn a_loop_takes_no_turn_that_it_waits_for() {
    let (_socket, server) = calling_itself(&filter(HTTP, "", ""), |options| options.max_concurrency = 2).await;
    let mut loops = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let address = server.address;
        loops.spawn(async move { timeout(PATIENCE, get(address, "/n")).await.map(|answer| answer.status.as_u16()) });
    }
    while let Some(status) = loops.join_next().await {
        assert_eq!(status.unwrap().expect("an answer in time"), 418);
    }
    assert_eq!(soon(&server, "/0").await.status, 200);
}

/// Each request has a new instance, whose start makes another request.
#[tokio::test]
async fn a_start_that_needs_an_instance_ends() {
    let filter = filter(HTTP, "", "(call $call_out (i32.const 48))");
    let (_socket, server) = calling_itself(&filter, |options| options.max_instance_reuse = Some(1)).await;
    for _ in 0..5 {
        assert_eq!(soon(&server, "/0").await.status, 200);
    }
}

#[tokio::test]
async fn ticks_that_call_the_host_itself_go_on() {
    // More often they take all of a busy machine, with what they call.
    let (_socket, server) = calling_itself(&filter(HTTP, "", "(drop (call $period (i32.const 200)))"), |_| {}).await;
    logged(&server, "t", 10).await;
    for _ in 0..20 {
        assert_eq!(soon(&server, "/0").await.status, 200);
    }
    let text = logged(&server, "t", 20).await;
    assert!(!text.contains("trap"), "{text}");
}

/// An upstream sees nothing of it, and who comes from another place is nobody's own, whatever the request says.
#[tokio::test]
async fn nothing_shows() {
    let upstream = Upstream::start(|request: http::Request<hyper::body::Incoming>| async move {
        let names: Vec<_> = request.headers().keys().map(|name| name.as_str().to_owned()).collect();
        http::Response::new(Full::new(bytes::Bytes::from(names.join(" "))))
    })
    .await;
    let component = adapted_with(&filter(HTTP, "(return (i32.const 0))", ""), None, |settings| {
        let origin = Origin { tls: false, authority: upstream.address.to_string() };
        settings.set_upstream(origin, 15_000);
    });
    let server = Running::start_component(&component, Options::default()).await.unwrap();
    let seen = soon(&server, "/").await.body;
    assert_eq!(String::from_utf8(seen).unwrap(), "host x-forwarded-proto x-request-id");
}
