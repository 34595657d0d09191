//! What instances do between requests.

use std::time::Duration;

use http_body_util::Full;
use proxy_wasm_adapter_serve::Options;

use crate::support::{Running, Upstream, Wasi, adapted, adapted_on, get, logged};

/// A filter whose tick does what stands there; `$log` writes one letter.
fn ticking(tick: &str) -> Vec<u8> {
    let filter = format!(
        r#"(module $ticker
          (import "env" "proxy_log" (func $proxy_log (param i32 i32 i32) (result i32)))
          (import "env" "proxy_set_tick_period_milliseconds" (func $period (param i32) (result i32)))
          (import "env" "proxy_http_call"
            (func $proxy_http_call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) "abcdefghijklmnopqrstuvwxyz")
          (data (i32.const 64) "\03\00\00\00"
            "\07\00\00\00\03\00\00\00" "\05\00\00\00\01\00\00\00" "\0a\00\00\00\01\00\00\00"
            ":method\00GET\00" ":path\00/\00" ":authority\00a\00")
          (global $ticks (mut i32) (i32.const 0))
          (func $log (param i32) (drop (call $proxy_log (i32.const 2) (local.get 0) (i32.const 1))))
          (func $call_out
            (drop (call $proxy_http_call (i32.const 0) (i32.const 1) (i32.const 64) (i32.const 61) (i32.const 0)
              (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 5000) (i32.const 160))))
          (func (export "proxy_abi_version_0_2_1"))
          (func (export "malloc") (param i32) (result i32) (i32.const 4096))
          (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (drop (call $period (i32.const 20)))
            (call $log (i32.const 18))
            (i32.const 1))
          (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
            (call $log (i32.const 17)))
          (func (export "proxy_on_tick") (param i32)
            (global.set $ticks (i32.add (global.get $ticks) (i32.const 1)))
            {tick}))"#
    );
    wat::parse_str(filter).unwrap()
}

#[tokio::test]
async fn an_idle_instance_ticks() {
    for wasi in Wasi::ALL {
        let component = adapted_on(wasi, &ticking("(call $log (i32.const 19))"), None);
        let server = Running::start_component(&component, Options::default()).await.unwrap();
        logged(&server, "t", 3).await;
        assert_eq!(get(server.address, "/").await.status, 200);
        let text = logged(&server, "t", 6).await;
        // The first request got the instance that ticked.
        assert_eq!(text.matches(": s\n").count(), 1, "{text}");
    }
}

#[tokio::test]
async fn answers_to_callouts_come_between_requests() {
    for wasi in Wasi::ALL {
        let upstream = Upstream::start(|_| async { http::Response::new(Full::new(bytes::Bytes::from("yes"))) }).await;
        let component = adapted_on(wasi, &ticking("(call $call_out)"), Some(upstream.address));
        let server = Running::start_component(&component, Options::default()).await.unwrap();
        logged(&server, "r", 3).await;
    }
}

/// Its instance is gone, the next request gets another one, which ticks as well.
#[tokio::test]
async fn a_trap_in_a_tick_ends_the_instance() {
    for wasi in Wasi::ALL {
        let tick = "(call $log (i32.const 19)) (if (i32.eq (global.get $ticks) (i32.const 2)) (then unreachable))";
        let component = adapted_on(wasi, &ticking(tick), None);
        let server = Running::start_component(&component, Options::default()).await.unwrap();
        logged(&server, "t", 2).await;
        assert_eq!(get(server.address, "/").await.status, 200);
        let text = logged(&server, "t", 4).await;
        assert!(text.matches(": s\n").count() >= 2, "{text}");
    }
}

/// One that never ends is stopped, and holds no request for long.
#[tokio::test(flavor = "multi_thread")]
async fn a_tick_that_computes_forever_is_stopped() {
    for wasi in Wasi::ALL {
        let tick = "(call $log (i32.const 19)) (loop $forever (br $forever))";
        let mut options = Options::default();
        options.cpu_timeout = Duration::from_millis(300);
        let server = Running::start_component(&adapted_on(wasi, &ticking(tick), None), options).await.unwrap();
        logged(&server, "t", 1).await;
        assert_eq!(get(server.address, "/").await.status, 200);
        logged(&server, "t", 2).await;
    }
}

/// The caches of a plugin that ticks outlive the number of requests that an instance serves.
#[tokio::test]
async fn the_last_instance_of_a_plugin_that_ticks_stays() {
    let component = adapted(&ticking("(call $log (i32.const 19))"), None);
    for (reuse, instances) in [(2, 1), (1, 5)] {
        let mut options = Options::default();
        options.max_instance_reuse = Some(reuse);
        // Each instance tells that it starts.
        options.no_preinit = true;
        let server = Running::start_component(&component, options).await.unwrap();
        for _ in 0..5 {
            assert_eq!(get(server.address, "/").await.status, 200);
        }
        let text = logged(&server, "s", instances).await;
        assert_eq!(text.matches(": s\n").count(), instances, "{text}");
    }
}
