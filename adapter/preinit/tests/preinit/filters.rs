//! Filters that do something when they are configured, and components of them.

use proxy_wasm_abi::settings::{Action, Cluster, Origin, Plugin, Route, Settings, SharedStateIn};
use proxy_wasm_adapter::shim::{Flavour, Shim};
use proxy_wasm_adapter::wasi::Wasi;
use proxy_wasm_adapter_preinit::{Options, Preinitialised, Refusal, Refused, preinitialise};

/// A filter in the text format. `items`: what it has besides the usual; `configure`: what it does before it accepts its
/// configuration.
pub(crate) fn filter(items: &str, configure: &str) -> Vec<u8> {
    let imports = [
        ("env", "proxy_log", "(param i32 i32 i32) (result i32)"),
        ("env", "proxy_set_tick_period_milliseconds", "(param i32) (result i32)"),
        ("env", "proxy_get_current_time_nanoseconds", "(param i32) (result i32)"),
        ("env", "proxy_set_shared_data", "(param i32 i32 i32 i32 i32) (result i32)"),
        ("env", "proxy_http_call", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)"),
        ("wasi_snapshot_preview1", "random_get", "(param i32 i32) (result i32)"),
        ("wasi_snapshot_preview1", "clock_time_get", "(param i32 i64 i32) (result i32)"),
    ];
    let imports: String = imports
        .iter()
        .map(|(module, name, ty)| format!(r#"(import "{module}" "{name}" (func ${name} {ty}))"#))
        .collect();
    let memory = if items.contains("(memory (export") { "" } else { r#"(memory (export "memory") 1)"# };
    let text = format!(
        r#"(module {imports} {memory}
             (func (export "proxy_abi_version_0_2_1"))
             (func (export "malloc") (param i32) (result i32) (i32.const 1024))
             (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0))
             (func (export "proxy_on_configure") (param i32 i32) (result i32) {configure} (i32.const 1))
             {items})"#
    );
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

/// Settings of so many plugins, each with a virtual machine of its own.
pub(crate) fn settings(plugins: usize) -> Settings {
    let plugin = |index: usize| Plugin {
        name: format!("p{index}"),
        vm_configuration: vec![index as u8],
        configuration: vec![b'c'; index],
        log_level: 2,
        ..Plugin::default()
    };
    Settings {
        plugins: (0..plugins).map(plugin).collect(),
        routes: vec![Route { action: Action::Respond { status: 200, body: Vec::new() } }].into(),
        clusters: vec![Cluster { name: "c".into(), origin: Origin { tls: false, authority: "127.0.0.1:1".into() } }]
            .into(),
        ..Settings::default()
    }
}

/// The component of these filters.
pub(crate) fn adapt(filters: &[Vec<u8>], wasi: Wasi, settings: Settings) -> Vec<u8> {
    let mut options = proxy_wasm_adapter::Options::new(settings);
    options.wasi = wasi;
    options.shim = Shim::built_in(wasi, Flavour::Plain);
    proxy_wasm_adapter::adapt(filters, &options).unwrap_or_else(|error| panic!("{error:?}")).component
}

/// The component of a filter.
pub(crate) fn component(filter: Vec<u8>) -> Vec<u8> {
    adapt(&[filter], Wasi::V0_2, settings(1))
}

/// That of one that leaves shared data to the host.
pub(crate) fn sharing(filter: Vec<u8>) -> Vec<u8> {
    let mut settings = settings(1);
    settings.upkeep.state = SharedStateIn::Host;
    adapt(&[filter], Wasi::V0_2, settings)
}

#[track_caller]
pub(crate) fn done(component: &[u8]) -> Preinitialised {
    preinitialise(component, &Options::default()).unwrap_or_else(|refused| panic!("{refused:?}"))
}

#[track_caller]
pub(crate) fn refused(component: &[u8], options: &Options) -> Refused {
    match preinitialise(component, options) {
        Ok(_) => panic!("it was pre-initialised"),
        Err(refused) => refused,
    }
}

#[track_caller]
pub(crate) fn refusal(component: &[u8]) -> Refusal {
    refused(component, &Options::default()).refusal
}
