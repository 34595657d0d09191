//! What the tests of the adapter's packages share: filters, a stand-in for the shim, processes, clients.

mod bodies;
mod client;
mod process;

use std::fmt::Write;
use std::path::Path;

use proxy_wasm_abi::bridge;
use proxy_wasm_abi::callbacks::Id;
use proxy_wasm_abi::foreign_functions::FOREIGN_FUNCTIONS;
use proxy_wasm_abi::host_calls::{HOST_CALLS, Type};
use proxy_wasm_abi::settings::{Plugin, Settings};
use proxy_wasm_adapter::Options;
use proxy_wasm_adapter::shim::{Flavour, Shim};

pub use bodies::{Fed, Repeated, Watch, Watched, collect};
pub use client::{Answer, AnyClient, client, exchange, get, h2_client, raw, request};
pub use process::Process;

/// The top of the repository.
///
/// # Panics
/// Never: this package stands in it.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the package stands in the repository")
}

/// A filter in the text format, as a module.
pub fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

/// A small filter with every part that the adapter asks for, and more of the test's own.
pub fn filter(more: &str) -> Vec<u8> {
    wat(&filter_text(more))
}

/// The text of [`filter`].
pub fn filter_text(more: &str) -> String {
    format!(
        r#"(module {more}
             (memory (export "memory") 1)
             (func (export "proxy_abi_version_0_2_1"))
             (func (export "malloc") (param i32) (result i32) i32.const 1024)
             (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) i32.const 0))"#
    )
}

/// The text of a filter that logs a word of five letters when it starts, its settings, and `headers` when it has some.
pub fn logging(word: &str) -> String {
    let text = r#"(module
        (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "start,headers")
        (func (export "proxy_abi_version_0_1_0"))
        (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
        (func (export "_start") (drop (call $log (i32.const 2) (i32.const 0) (i32.const 6))))
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
          (call $log (i32.const 2) (local.get 0) (local.get 1)))
        (func (export "proxy_on_request_headers") (param i32 i32) (result i32)
          (call $log (i32.const 2) (i32.const 6) (i32.add (local.get 0) (i32.const 5)))))"#;
    text.replace("\"start,", &format!("\"{word},"))
}

/// Runs `start` of a component with the [stand-in](stand_in), and returns what the filters logged.
pub fn run(component: &[u8]) -> String {
    use wasmtime::component::{Component, Linker};
    let engine = wasmtime::Engine::default();
    let component = Component::new(&engine, component).unwrap();
    let mut linker = Linker::new(&engine);
    linker.define_unknown_imports_as_traps(&component).unwrap();
    let mut store = wasmtime::Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &component).unwrap();
    let interface = instance.get_export_index(&mut store, None, "proxy-wasm:adapter/plugin@0.1.0").unwrap();
    let start = instance.get_export_index(&mut store, Some(&interface), "start").unwrap();
    let start = instance.get_typed_func::<(), (Result<(), String>,)>(&mut store, start).unwrap();
    start.call(&mut store, ()).unwrap().0.unwrap_err()
}

/// Settings that answer every request with 200.
pub fn settings() -> Settings {
    let plugins = vec![Plugin { name: "test".into(), log_level: 2, ..Plugin::default() }];
    let mut settings = Settings { plugins, ..Settings::default() };
    settings.set_direct_response(200, "");
    settings
}

/// Options with the [stand-in](stand_in).
pub fn options() -> Options {
    Options { shim: Shim::from_bytes(Flavour::Plain, stand_in(1)), ..Options::new(settings()) }
}

/// A shim for so many virtual machines that shows that the parts of a component reach one another, and does nothing else.
///
/// `start` goes through the virtual machines. It starts the filter, gives it the settings through its
/// allocator and its memory, and calls `proxy_on_configure` and `proxy_on_request_headers`. Then it fails with all that the
/// filters logged.
pub fn stand_in(vms: usize) -> Vec<u8> {
    let mut text = String::from("(module\n");
    let list = |keyword: &str, types: &mut dyn Iterator<Item = Type>| {
        let types: String = types.map(|ty| if ty == Type::I64 { " i64" } else { " i32" }).collect();
        if types.is_empty() { types } else { format!(" ({keyword}{types})") }
    };
    for (name, params, results) in bridge::FUNCTIONS {
        let (params, results) =
            (list("param", &mut params.iter().copied()), list("result", &mut results.iter().copied()));
        writeln!(text, r#"(import "bridge" "{name}" (func ${name}{params}{results}))"#).unwrap();
    }
    for call in HOST_CALLS.iter().filter(|call| call.name != "proxy_log") {
        let (params, result) = (list("param", &mut call.params()), if call.result { "(result i32)" } else { "" });
        let body = if call.result { "i32.const 12" } else { "" };
        writeln!(text, r#"(func (export "{}"){params} {result} {body})"#, call.name).unwrap();
    }
    for function in FOREIGN_FUNCTIONS {
        writeln!(text, r#"(func (export "{}"))"#, function.export).unwrap();
    }
    for (name, id) in [("configure", Id::Configure), ("request_headers", Id::RequestHeaders)] {
        writeln!(text, "(global ${name} i32 (i32.const {}))", id as u32).unwrap();
    }
    text.push_str(
        r#"
        (memory (export "memory") 4)
        (global $heap (mut i32) (i32.const 131072))
        (global $log (mut i32) (i32.const 65536))
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
          (global.get $heap)
          (global.set $heap (i32.and (i32.add (i32.add (global.get $heap) (local.get 3)) (i32.const 15)) (i32.const -16))))
        (global $vm (mut i32) (i32.const 0))
        (func (export "proxy_log") (param i32 i32 i32) (result i32)
          (call $memory_read (global.get $vm) (global.get $log) (local.get 1) (local.get 2))
          (global.set $log (i32.add (global.get $log) (local.get 2)))
          (i32.const 0))
        (func (export "wasi:http/incoming-handler@0.2.0#handle") (param i32 i32))
        (func $run (param $vm i32)
          (local $size i32) (local $at i32)
          (global.set $vm (local.get $vm))
          (drop (call $start (local.get $vm) (i32.const 0)))
          (drop (call $start (local.get $vm) (i32.const 1)))
          (drop (call $start (local.get $vm) (i32.const 2)))
          (drop (call $start (local.get $vm) (i32.const 3)))
          (local.set $size (i32.wrap_i64 (call $fact (local.get $vm) (i32.const 0))))
          (call $settings_read (i32.const 4096))
          (local.set $at (call $allocate (local.get $vm) (local.get $size)))
          (call $memory_write (local.get $vm) (local.get $at) (i32.const 4096) (local.get $size))
          (drop (call $call (local.get $vm) (global.get $configure) (local.get $at) (local.get $size)
            (i32.const 0) (i32.const 0) (i32.const 0)))
          (drop (call $call (local.get $vm) (global.get $request_headers) (i32.const 2) (i32.const 3) (i32.const 1)
            (i32.const 0) (i32.const 0)))
          (drop (call $memory_pages (local.get $vm))))
        (func (export "proxy-wasm:adapter/plugin@0.1.0#start") (result i32)
"#,
    );
    for vm in 0..vms {
        writeln!(text, "(call $run (i32.const {vm}))").unwrap();
    }
    text.push_str(
        r#"
          (i32.store (i32.const 16) (i32.const 1))
          (i32.store (i32.const 20) (i32.const 65536))
          (i32.store (i32.const 24) (i32.sub (global.get $log) (i32.const 65536)))
          (i32.const 16)))"#,
    );
    let mut module = wat(&text);
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve.push_dir(root().join("wit")).unwrap_or_else(|error| panic!("{error:#}"));
    let world = resolve.select_world(&[package], Some("adapted")).unwrap();
    let plugin = resolve.packages[package].interfaces["plugin"];
    resolve.interfaces[plugin].functions.retain(|name, _| name == "start");
    // What a component for hosts of `wasi:http` has no need of.
    let exchange = wit_parser::WorldKey::Interface(resolve.packages[package].interfaces["exchange"]);
    resolve.worlds[world].exports.shift_remove(&exchange);
    let utf8 = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, utf8, false).unwrap();
    module
}
