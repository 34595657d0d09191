//! Filters of Higress's.

use proxy_wasm_abi::settings::Profile;
use proxy_wasm_adapter_serve::Options;

use crate::support::{Running, adapted_with, get};

/// Answers with 400 and what a host call of Higress's returns.
const FILTER: &str = r#"(module
  (import "env" "proxy_redis_init" (func $init (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response" (func $respond (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_100"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
  (func (export "proxy_on_redis_call_response") (param i32 i32 i32 i32))
  (func (export "proxy_on_request_headers") (param i32 i32) (param $end i32) (result i32)
    (drop (call $respond
      (i32.add (i32.const 400) (call $init (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const 0) (i32.const 1000)))
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))
    (i32.const 1)))"#;

#[tokio::test]
async fn what_higress_adds_returns_unimplemented() {
    let filter = wat::parse_str(FILTER).unwrap();
    let component = adapted_with(&filter, None, |settings| settings.upkeep.profile = Profile::Permissive);
    let server = Running::start_component(&component, Options::default()).await.unwrap();
    assert_eq!(get(server.address, "/").await.status, 412);
}
