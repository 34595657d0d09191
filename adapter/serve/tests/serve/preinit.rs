//! Plugins that are started once, for instances that serve few requests.

use proxy_wasm_abi::settings::Settings;
use proxy_wasm_adapter_serve::{Error, Options};

use crate::support::{Running, Wasi, adapted, adapted_chain, get, logged, options};

/// Logs `s` when it is configured, which counts, and `h` at each request, where it counts on: the counts are the metric `c`,
/// and the header `x-count` of the answer as one letter. `configure`: what it does besides.
pub(crate) fn counting(configure: &str) -> Vec<u8> {
    let filter = format!(
        r#"(module
          (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
          (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) "sh@x-count")
          (func (export "proxy_abi_version_0_2_1"))
          (func (export "malloc") (param i32) (result i32) (i32.const 4096))
          (func $count (i32.store8 (i32.const 2) (i32.add (i32.load8_u (i32.const 2)) (i32.const 1))))
          (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (call $count)
            (drop (call $log (i32.const 2) (i32.const 0) (i32.const 1)))
            {configure}
            (i32.const 1))
          (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (call $count)
            (drop (call $log (i32.const 2) (i32.const 1) (i32.const 1)))
            (i32.const 0))
          (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
            (drop (call $add (i32.const 2) (i32.const 3) (i32.const 7) (i32.const 2) (i32.const 1)))
            (i32.const 0)))"#
    );
    wat::parse_str(filter).unwrap()
}

/// How often the filter has started when two requests were answered.
async fn starts(filter: &[u8], set: impl FnOnce(&mut Options)) -> usize {
    starts_of(&adapted(filter, None), set).await
}

/// The same of one that is adapted.
pub(crate) async fn starts_of(component: &[u8], set: impl FnOnce(&mut Options)) -> usize {
    let server = Running::start_component(component, options(set)).await.unwrap();
    for _ in 0..2 {
        let answer = get(server.address, "/").await;
        assert_eq!(answer.headers["x-count"], "B", "each instance begins where the start ended");
    }
    logged(&server, "h", 2).await.matches(": s\n").count()
}

#[tokio::test]
async fn they_are_started_once_where_each_request_has_an_instance() {
    let filter = counting("");
    assert_eq!(starts(&filter, |options| options.max_instance_reuse = Some(1)).await, 1);
    let anew = |options: &mut Options| (options.max_instance_reuse, options.no_preinit) = (Some(1), true);
    assert!(starts(&filter, anew).await >= 2);
}

#[tokio::test]
async fn those_that_ask_for_random_bytes_are_started_with_each_instance() {
    let filter = counting("(drop (call $random (i32.const 64) (i32.const 8)))");
    assert!(starts(&filter, |options| options.max_instance_reuse = Some(1)).await >= 2);
}

#[tokio::test]
async fn a_start_that_fails_is_told_of_as_ever() {
    for (configure, expected) in
        [("(return (i32.const 0))", "`proxy_on_configure` returned false"), ("unreachable", "trap")]
    {
        let component = adapted(&counting(configure), None);
        let set = options(|options| options.max_instance_reuse = Some(1));
        let error = Running::start_component(&component, set).await.err().unwrap();
        assert!(matches!(error, Error::Refused { .. } | Error::StartTrapped { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

/// Each virtual machine of a filter begins with its own.
#[tokio::test]
async fn each_virtual_machine_is_started_once() {
    let filters = [("a", counting("")), ("b", counting(""))];
    let own = |settings: &mut Settings| settings.plugins[1].vm_id = "own".into();
    let set = options(|options| options.max_instance_reuse = Some(1));
    let server = Running::start_component(&adapted_chain(Wasi::V0_2, &filters, own), set).await.unwrap();
    let counts: Vec<_> = get(server.address, "/").await.headers.get_all("x-count").iter().cloned().collect();
    assert_eq!(counts, ["B", "B"]);
    assert_eq!(logged(&server, "h", 2).await.matches(": s\n").count(), 2);
}
