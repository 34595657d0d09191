//! Shared data and queues over all instances, of components that leave them to the host.

use proxy_wasm_abi::settings::SharedStateIn;
use proxy_wasm_adapter_serve::Options;
use tokio::task::JoinSet;

use crate::support::{Running, Wasi, adapted_on_with, client, exchange, get, logged, request};

/// Each request adds 1 to a shared number by compare-and-swap, as often as it takes, and waits for nothing. The path
/// `/number` answers with the number as a body of four bytes.
const ADDER: &str = r#"(module
  (import "env" "proxy_get_shared_data" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_shared_data" (func $set (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value" (func $header (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response" (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "number" ":path")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
  (func $read
    (i32.store (i32.const 4096) (i32.const 0))
    (i32.store (i32.const 72) (i32.const 0))
    (drop (call $get (i32.const 0) (i32.const 6) (i32.const 64) (i32.const 68) (i32.const 72))))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $header (i32.const 0) (i32.const 6) (i32.const 5) (i32.const 80) (i32.const 84)))
    (if (i32.ne (i32.load (i32.const 84)) (i32.const 1))
      (then
        (call $read)
        (drop (call $answer (i32.const 200) (i32.const 0) (i32.const 0) (i32.const 4096) (i32.const 4) (i32.const 0)
          (i32.const 0) (i32.const -1)))
        (return (i32.const 1))))
    (loop $again
      (call $read)
      (i32.store (i32.const 4096) (i32.add (i32.load (i32.const 4096)) (i32.const 1)))
      (br_if $again (call $set (i32.const 0) (i32.const 6) (i32.const 4096) (i32.const 4) (i32.load (i32.const 72)))))
    (i32.const 0)))"#;

fn number(body: &[u8]) -> u32 {
    u32::from_le_bytes(body.try_into().unwrap())
}

/// A default build imports nothing beyond the proxy world, whatever the filter calls.
#[test]
fn only_a_component_that_asks_for_it_imports_it() {
    let filter = wat::parse_str(ADDER).unwrap();
    let imports = |wasi, state| {
        let component = adapted_on_with(wasi, &filter, None, |settings| settings.upkeep.state = state);
        let name = b"proxy-wasm:adapter/shared@0.1.0";
        component.windows(name.len()).any(|bytes| bytes == name)
    };
    for wasi in Wasi::ALL {
        assert_eq!((imports(wasi, SharedStateIn::Host), imports(wasi, SharedStateIn::Vm)), (true, false));
    }
}

/// By exchanges, where nothing is said of how often an instance is used.
async fn serve(wasi: Wasi, filter: &str, state: SharedStateIn, reuse: impl Into<Option<u32>>) -> Running {
    let component =
        adapted_on_with(wasi, &wat::parse_str(filter).unwrap(), None, |settings| settings.upkeep.state = state);
    let mut options = Options::default();
    options.max_instance_reuse = reuse.into();
    Running::start_component(&component, options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn of_ten_thousand_concurrent_increments_none_is_lost() {
    for wasi in Wasi::ALL {
        // Instances come and go meanwhile.
        let server = serve(wasi, ADDER, SharedStateIn::Host, 100).await;
        // The key must be there: a new one takes whatever is expected.
        get(server.address, "/").await;
        let mut clients = JoinSet::new();
        for _ in 0..50 {
            let address = server.address;
            clients.spawn(async move {
                let client = client();
                for _ in 0..200 {
                    let get = request(http::Method::GET, address, "/").body(http_body_util::Empty::new()).unwrap();
                    assert_eq!(exchange(&client, get).await.status, 200);
                }
            });
        }
        while let Some(done) = clients.join_next().await {
            done.unwrap();
        }
        assert_eq!(number(&get(server.address, "/number").await.body), 10_001);
    }
}

#[tokio::test]
async fn without_it_each_instance_has_its_own() {
    for wasi in Wasi::ALL {
        for (state, number_then) in [(SharedStateIn::Host, 3), (SharedStateIn::Vm, 0)] {
            let server = serve(wasi, ADDER, state, 1).await;
            for _ in 0..3 {
                get(server.address, "/").await;
            }
            assert_eq!(number(&get(server.address, "/number").await.body), number_then);
        }
    }
}

/// The owner of a queue is told in whatever instance it is, while that is idle, too.
#[tokio::test]
async fn the_owner_of_a_queue_is_told() {
    for wasi in Wasi::ALL {
        let filter = r#"(module
          (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
          (import "env" "proxy_register_shared_queue" (func $register (param i32 i32 i32) (result i32)))
          (import "env" "proxy_enqueue_shared_queue" (func $enqueue (param i32 i32 i32) (result i32)))
          (import "env" "proxy_dequeue_shared_queue" (func $dequeue (param i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) "qi")
          (func (export "proxy_abi_version_0_2_1"))
          (func (export "malloc") (param i32) (result i32) (i32.const 4096))
          (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (i32.eqz (call $register (i32.const 0) (i32.const 1) (i32.const 64))))
          (func (export "proxy_on_queue_ready") (param i32 i32)
            (drop (call $dequeue (local.get 1) (i32.const 68) (i32.const 72)))
            (drop (call $log (i32.const 2) (i32.load (i32.const 68)) (i32.load (i32.const 72)))))
          (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (call $enqueue (i32.load (i32.const 64)) (i32.const 1) (i32.const 1))))"#;
        for reuse in [Some(1), Some(1000), None] {
            let server = serve(wasi, filter, SharedStateIn::Host, reuse).await;
            for _ in 0..3 {
                assert_eq!(get(server.address, "/").await.status, 200);
            }
            if reuse == Some(1) {
                // Each instance is gone that could be told; a later one is.
                assert_eq!(get(server.address, "/").await.status, 200);
            }
            logged(&server, "i", 3).await;
        }
    }
}

/// A component for WASI 0.3 imports the interface of the 0.2 world.
#[test]
fn both_worlds_have_one_interface() {
    let of_02 = include_str!("../../../../wit/world.wit");
    let of_03 = include_str!("../../../../wit/wasi03/deps/adapter/shared.wit");
    let (package, interface) = of_03.split_once("\n\n").unwrap();
    assert!(of_02.starts_with(package) && of_02.contains(interface));
}
