//! Adapting: any bytes become a component or are refused, and a component gives its filter back.
//!
//! Half of the inputs are bytes as they are; from the others a valid module is made, which imports host calls and exports
//! callbacks, so that the stages behind validation are reached.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{self, Unstructured};
use libfuzzer_sys::{Corpus, fuzz_target};
use proxy_wasm_abi::host_calls::{HOST_CALLS, Type};
use proxy_wasm_adapter::settings::{DirectResponse, Input};
use proxy_wasm_adapter::{Options, adapt, extract, inspect};
use wasm_smith::{Config, Module};

/// A module that imports every host call: what modules are made from may import each of them.
static IMPORTS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let name = |kind: Type| match kind {
        Type::I32 => "i32",
        Type::I64 => "i64",
    };
    let mut text = String::from("(module");
    for call in HOST_CALLS {
        for module in call.module.names() {
            let params: Vec<&str> = call.params().map(name).collect();
            let result = if call.result { "(result i32)" } else { "" };
            text += &format!("(import {module:?} {:?} (func (param {}) {result}))", call.name, params.join(" "));
        }
    }
    text += ")";
    wat::parse_str(text).expect("the text is WebAssembly")
});

/// A module with the exports of a filter.
static EXPORTS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let text = r#"(module
        (memory (export "memory") 1)
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "proxy_on_memory_allocate") (param i32) (result i32) unreachable)
        (func (export "proxy_on_context_create") (param i32 i32))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) unreachable))"#;
    wat::parse_str(text).expect("the text is WebAssembly")
});

static OPTIONS: LazyLock<Options> = LazyLock::new(|| {
    let mut input = Input::default();
    input.direct_response = Some(DirectResponse::parse("200"));
    input.resolve(1, &|_| Err("no file is named".into())).expect("the settings are right")
});

fn module(bytes: &[u8]) -> arbitrary::Result<Vec<u8>> {
    let mut bytes = Unstructured::new(bytes);
    let config = Config {
        available_imports: Some(IMPORTS.clone()),
        exports: Some(EXPORTS.clone()),
        max_memories: 2,
        max_imports: 50,
        threads_enabled: false,
        ..Config::default()
    };
    Ok(Module::new(config, &mut bytes)?.to_bytes())
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((kind, rest)) = input.split_first() else { return Corpus::Reject };
    let filter = match kind & 1 {
        0 => rest.to_vec(),
        _ => match module(rest) {
            Ok(filter) => filter,
            Err(_) => return Corpus::Reject,
        },
    };
    let _ = inspect(&filter);
    if let Ok(adapted) = adapt(&[&filter], &OPTIONS) {
        let extracted = extract(&adapted.component, None).expect("a component of ours gives its filter back");
        assert_eq!(extracted, filter, "the filter comes back byte for byte");
    }
    Corpus::Keep
});
