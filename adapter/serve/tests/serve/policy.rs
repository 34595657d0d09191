//! What becomes of requests after a plugin failed. The expectations are what Envoy does, with one worker.

use std::time::Duration;

use http::{Method, Request};
use http_body_util::Empty;
use proxy_wasm_abi::settings::Settings;
use proxy_wasm_adapter_serve::{Error, FailurePolicy, Options};

use crate::support::{Running, StartMode, Wasi, adapted_chain, adapted_on, client, exchange, guest, logged, request};

/// Answers 403, and traps at the path `/trap`; with a tick that traps where a period is given.
fn filter(period: u32) -> Vec<u8> {
    let filter = format!(
        r#"(module
          (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
          (import "env" "proxy_set_tick_period_milliseconds" (func $period (param i32) (result i32)))
          (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
          (import "env" "proxy_send_local_response"
            (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) ":path/tick")
          (func (export "proxy_abi_version_0_2_1"))
          (func (export "malloc") (param i32) (result i32) (i32.const 4096))
          (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (drop (call $period (i32.const {period})))
            (i32.const 1))
          (func (export "proxy_on_tick") (param i32)
            (drop (call $log (i32.const 2) (i32.const 6) (i32.const 1)))
            unreachable)
          (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (drop (call $get (i32.const 0) (i32.const 0) (i32.const 5) (i32.const 64) (i32.const 68)))
            (if (i32.eq (i32.load (i32.const 68)) (i32.const 5)) (then unreachable))
            (drop (call $answer (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
              (i32.const 0) (i32.const -1)))
            (i32.const 1)))"#
    );
    wat::parse_str(filter).unwrap()
}

async fn serve(wasi: Wasi, policy: FailurePolicy, backoff: Duration, period: u32) -> Running {
    let mut options = Options::default();
    options.failure_policy = Some(policy);
    options.reload_backoff = backoff;
    options.admin = Some(([127, 0, 0, 1], 0).into());
    Running::start_component(&adapted_on(wasi, &filter(period), None), options).await.unwrap()
}

async fn statuses(server: &Running, paths: &[&str]) -> Vec<u16> {
    let client = client();
    let mut statuses = Vec::new();
    for path in paths {
        let get: Request<Empty<_>> = request(Method::GET, server.address, path).body(Empty::new()).unwrap();
        statuses.push(exchange(&client, get).await.status.as_u16());
    }
    statuses
}

async fn ready(server: &Running) -> (u16, String) {
    let get = request(Method::GET, server.admin.unwrap(), "/ready").body(Empty::new()).unwrap();
    let answer = exchange(&client(), get).await;
    (answer.status.as_u16(), String::from_utf8(answer.body).unwrap())
}

const PATHS: [&str; 4] = ["/", "/trap", "/", "/trap"];

#[tokio::test]
async fn closed_answers_503_for_good() {
    for wasi in Wasi::ALL {
        let server = serve(wasi, FailurePolicy::Closed, Duration::ZERO, 0).await;
        assert_eq!(ready(&server).await, (200, String::from("LIVE\n")));
        assert_eq!(statuses(&server, &PATHS).await, [403, 503, 503, 503]);
        assert_eq!(ready(&server).await, (503, String::from("FAILED\n")));
    }
}

#[tokio::test]
async fn open_lets_later_requests_pass_without_the_filter() {
    for wasi in Wasi::ALL {
        let server = serve(wasi, FailurePolicy::Open, Duration::ZERO, 0).await;
        assert_eq!(statuses(&server, &PATHS).await, [403, 503, 200, 200]);
        assert_eq!(ready(&server).await, (200, String::from("LIVE\n")));
    }
}

#[tokio::test]
async fn reload_gives_later_requests_other_instances() {
    for wasi in Wasi::ALL {
        let server = serve(wasi, FailurePolicy::Reload, Duration::ZERO, 0).await;
        assert_eq!(statuses(&server, &PATHS).await, [403, 503, 403, 503]);
    }
}

/// Answers at the path of the one letter, and traps at that of the other.
fn one_of_a_chain(status: u16, answers: char, traps: char) -> Vec<u8> {
    let (answers, traps) = (u32::from(answers), u32::from(traps));
    let filter = format!(
        r#"(module
          (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
          (import "env" "proxy_send_local_response"
            (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) ":path")
          (func (export "proxy_abi_version_0_2_1"))
          (func (export "malloc") (param i32) (result i32) (i32.const 4096))
          (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (local $letter i32)
            (drop (call $get (i32.const 0) (i32.const 0) (i32.const 5) (i32.const 64) (i32.const 68)))
            (local.set $letter (i32.load8_u (i32.const 4097)))
            (if (i32.eq (local.get $letter) (i32.const {traps})) (then unreachable))
            (if (result i32) (i32.eq (local.get $letter) (i32.const {answers}))
              (then
                (drop (call $answer (i32.const {status}) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                  (i32.const 0) (i32.const 0) (i32.const -1)))
                (i32.const 1))
              (else (i32.const 0)))))"#
    );
    wat::parse_str(filter).unwrap()
}

/// Plugins fail with their virtual machine, as in Envoy.
#[tokio::test]
async fn open_goes_on_with_the_plugins_that_did_not_fail() {
    for wasi in Wasi::ALL {
        let filters = [("a", one_of_a_chain(401, 'A', 'a')), ("b", one_of_a_chain(402, 'B', 'b'))];
        let chain = [filters[0].clone(), filters[1].clone(), ("c", filters[0].1.clone())];
        // With 1, instances begin with their plugins started.
        for reuse in [1000, 1] {
            let mut options = Options::default();
            options.failure_policy = Some(FailurePolicy::Open);
            options.max_instance_reuse = Some(reuse);
            let server = Running::start_component(&adapted_chain(wasi, &chain, |_| {}), options.clone()).await.unwrap();
            assert_eq!(statuses(&server, &["/A", "/B", "/-", "/a"]).await, [401, 402, 200, 503]);
            assert_eq!(statuses(&server, &["/A", "/B", "/a", "/b"]).await, [200, 402, 200, 503]);
            assert_eq!(statuses(&server, &["/A", "/B", "/a", "/b"]).await, [200, 200, 200, 200]);

            let own = |settings: &mut Settings| settings.plugins[2].vm_id = "own".into();
            let server = Running::start_component(&adapted_chain(wasi, &chain, own), options).await.unwrap();
            assert_eq!(statuses(&server, &["/a", "/A", "/a", "/A"]).await, [503, 401, 503, 200]);
        }
    }
}

/// As Envoy does: for so long after the instance was made, not after it failed.
#[tokio::test]
async fn reload_waits_where_told() {
    for wasi in Wasi::ALL {
        let server = serve(wasi, FailurePolicy::Reload, Duration::from_secs(3600), 0).await;
        assert_eq!(statuses(&server, &PATHS).await, [403, 503, 503, 503]);
        let server = serve(wasi, FailurePolicy::Reload, Duration::from_millis(300), 0).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(statuses(&server, &PATHS[..3]).await, [403, 503, 403]);
    }
}

#[tokio::test]
async fn a_trap_in_a_tick_is_a_failure() {
    for wasi in Wasi::ALL {
        for (policy, then) in [(FailurePolicy::Closed, 503), (FailurePolicy::Open, 200), (FailurePolicy::Reload, 403)] {
            let server = serve(wasi, policy, Duration::ZERO, 20).await;
            logged(&server, "t", 1).await;
            // The tick has begun; its end is a moment away. An instance that is made anew has the next one a moment later.
            let mut answered = Vec::new();
            for _ in 0..500 {
                answered = statuses(&server, &["/"]).await;
                if answered == [then] {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert_eq!(answered, [then], "{policy:?}");
        }
    }
}

/// What was made before there was a way past the filter.
#[tokio::test]
async fn open_needs_a_component_that_can() {
    let mut options = Options::default();
    options.failure_policy = Some(FailurePolicy::Open);
    let error = Running::start_component(&guest(StartMode::Starts), options).await.err().unwrap();
    assert!(matches!(error, Error::NoBypass), "{error}");
}
