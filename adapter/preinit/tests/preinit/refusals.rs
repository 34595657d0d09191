//! What is refused, each with its reason.

use proxy_wasm_abi::pairs;
use proxy_wasm_adapter::wasi::Wasi;
use proxy_wasm_adapter_preinit::{Options, Refusal, preinitialise};

use crate::filters::{adapt, component, done, filter, refusal, refused, settings, sharing};

const DRAWS: &str = "(drop (call $random_get (i32.const 0) (i32.const 8)))";

#[test]
fn random_bytes_unless_they_are_allowed() {
    let component = component(filter("", DRAWS));
    assert_eq!(refusal(&component), Refusal::Random { bytes: 8 });
    let allowed = preinitialise(&component, &Options { allow_random: true, ..Options::default() }).unwrap();
    assert_eq!(allowed.report.random_bytes, 8);
}

#[test]
fn callouts() {
    let head = pairs::encode(
        [(":method", "GET"), (":path", "/"), (":authority", "a")]
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
    );
    let text: String = head.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let items = format!(r#"(data (i32.const 0) "c") (data (i32.const 16) "{text}")"#);
    let call = format!(
        "(if (call $proxy_http_call (i32.const 0) (i32.const 1) (i32.const 16) (i32.const {}) (i32.const 0) (i32.const 0)
           (i32.const 0) (i32.const 0) (i32.const 1000) (i32.const 512)) (then (unreachable)))",
        head.len()
    );
    let filter = filter(&items, &call);
    for wasi in [Wasi::V0_2, Wasi::V0_3] {
        assert_eq!(refusal(&adapt(std::slice::from_ref(&filter), wasi, settings(1))), Refusal::Callouts);
    }
}

#[test]
fn state_that_its_host_shares() {
    let set =
        "(drop (call $proxy_set_shared_data (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 0)))";
    assert_eq!(refusal(&sharing(filter("", set))), Refusal::SharedState);
    // That of an instance is in the snapshot.
    done(&component(filter("", set)));
}

#[test]
fn a_start_that_fails() {
    let failing = filter("", "(return (i32.const 0))");
    let trapping = filter("", "(unreachable)");
    for wasi in [Wasi::V0_2, Wasi::V0_3] {
        let refused = refused(&adapt(std::slice::from_ref(&failing), wasi, settings(1)), &Options::default());
        assert_eq!(refused.refusal, Refusal::Failed);
        assert_eq!(refused.report.log, ["[critical] `proxy_on_configure` returned false"]);
        match refusal(&adapt(std::slice::from_ref(&trapping), wasi, settings(1))) {
            Refusal::Trapped { reason } => assert!(reason.contains("unreachable"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_start_that_takes_too_much() {
    let endless = component(filter("", "(loop $again (br $again))"));
    let limit = 1_000_000;
    let refused_ = refused(&endless, &Options { instructions_max: limit, ..Options::default() });
    assert_eq!(refused_.refusal, Refusal::TooLong { limit });
    let greedy = component(filter("", "(drop (memory.grow (i32.const 1000)))"));
    let limit = 32 << 20;
    let refused_ = refused(&greedy, &Options { memory_max: limit, ..Options::default() });
    assert_eq!(refused_.refusal, Refusal::TooLarge { limit });
}

#[test]
fn state_that_no_snapshot_holds() {
    for items in [
        "(table 1 funcref) (func (table.set (i32.const 0) (ref.null func)))",
        "(global (mut funcref) (ref.null func))",
        r#"(data "x") (func (data.drop 0))"#,
    ] {
        let refusal = refusal(&component(filter(items, "")));
        assert!(matches!(refusal, Refusal::Unsupported { .. }), "{items}: {refusal:?}");
    }
}

#[test]
fn other_files() {
    for text in ["(module)", "(component)", "(component (core module) (core instance (instantiate 0)))"] {
        assert_eq!(refusal(&wat::parse_str(text).unwrap()), Refusal::NotAdapted, "{text}");
    }
    assert_eq!(refusal(b"hello"), Refusal::NotAdapted);
    let composed = wat::parse_str("(component (component (core module)))").unwrap();
    assert_eq!(refusal(&composed), Refusal::Composed);
    let once = done(&component(filter("", ""))).component;
    assert_eq!(refusal(&once), Refusal::Already);
}
