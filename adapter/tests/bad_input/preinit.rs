//! Filters that can't be started before.

use proxy_wasm_adapter_testing::filter;

use super::{Case, settings};

/// A filter that does this when it is configured.
fn configures(code: &str) -> Vec<u8> {
    filter(&format!(
        r#"(import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
           (func (export "proxy_on_configure") (param i32 i32) (result i32) {code})"#
    ))
}

pub(super) fn cases() -> Vec<Case> {
    let route = ["--direct-response", "200"];
    let adapt = |name, code, options: &[&'static str]| settings(name, configures(code), &[&route, options].concat());
    let draws = "(drop (call $random (i32.const 0) (i32.const 16))) (i32.const 1)";
    vec![
        adapt("preinit-random", draws, &["--preinit"]),
        adapt("preinit-random-tried", draws, &["--preinit=try"]),
        adapt("preinit-refused", "(i32.const 0)", &["--preinit"]),
        adapt("preinit-trapped", "(unreachable)", &["--preinit"]),
        adapt("preinit-allow-alone", draws, &["--preinit-allow", "random"]),
        adapt("preinit-of-another-word", draws, &["--preinit=maybe"]),
    ]
}
