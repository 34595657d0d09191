//! Filters that do what their configuration says.

use std::sync::{Arc, Mutex};

use proxy_wasm_adapter_embed::{Filter, Level, Options};

/// A filter that adds `x-filter: 1` to requests and responses, and logs that there was a request. `items` are further parts of
/// the module; `request` is what it does with a request's head before it lets it on.
pub(crate) fn module(items: &str, request: &str) -> Vec<u8> {
    let imports = [
        ("env", "proxy_log", "(param i32 i32 i32) (result i32)"),
        ("env", "proxy_add_header_map_value", "(param i32 i32 i32 i32 i32) (result i32)"),
        ("env", "proxy_set_tick_period_milliseconds", "(param i32) (result i32)"),
        ("env", "proxy_set_shared_data", "(param i32 i32 i32 i32 i32) (result i32)"),
        ("env", "proxy_http_call", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)"),
        ("env", "proxy_continue_stream", "(param i32) (result i32)"),
        ("env", "proxy_set_effective_context", "(param i32) (result i32)"),
        ("env", "proxy_define_metric", "(param i32 i32 i32 i32) (result i32)"),
        ("env", "proxy_increment_metric", "(param i32 i64) (result i32)"),
        ("env", "proxy_register_shared_queue", "(param i32 i32 i32) (result i32)"),
        ("env", "proxy_resolve_shared_queue", "(param i32 i32 i32 i32 i32) (result i32)"),
        ("env", "proxy_enqueue_shared_queue", "(param i32 i32 i32) (result i32)"),
    ];
    let imports: String = imports
        .iter()
        .map(|(module, name, ty)| format!(r#"(import "{module}" "{name}" (func ${name} {ty}))"#))
        .collect();
    let configure = if items.contains("proxy_on_configure") {
        ""
    } else {
        r#"(func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))"#
    };
    let text = format!(
        r#"(module {imports}
             (memory (export "memory") 1)
             (data (i32.const 0) "x-filter1a request")
             (func (export "proxy_abi_version_0_2_1"))
             (func (export "malloc") (param i32) (result i32) (i32.const 4096))
             {configure}
             (func $mark (param i32)
               (drop (call $proxy_add_header_map_value (local.get 0) (i32.const 0) (i32.const 8) (i32.const 8) (i32.const 1))))
             (func (export "proxy_on_request_headers") (param $id i32) (param i32 i32) (result i32)
               (call $mark (i32.const 0))
               (drop (call $proxy_log (i32.const 3) (i32.const 9) (i32.const 9)))
               {request}
               (i32.const 0))
             (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
               (call $mark (i32.const 2))
               (i32.const 0))
             {items})"#
    );
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

/// Lines that were logged.
pub(crate) type Lines = Arc<Mutex<Vec<String>>>;

/// Options that keep the log.
pub(crate) fn logging() -> (Options, Lines) {
    let lines = Lines::default();
    let kept = lines.clone();
    let log = move |level: Level, text: &str| kept.lock().unwrap().push(format!("{level}: {text}"));
    (Options { log: Arc::new(log), ..Options::default() }, lines)
}

/// The settings of a filter in front of an upstream.
pub(crate) const UPSTREAM: &str = "upstream = \"http://upstream.example:81\"\nplugin_name = \"p\"";

/// The filter of a module, with these settings.
pub(crate) fn filter(module: &[u8], settings: &str) -> (Filter, Lines) {
    let (options, lines) = logging();
    let filter = Filter::from_filter(module, settings, options).unwrap_or_else(|error| panic!("{error:?}"));
    (filter, lines)
}
