//! Filters, adapted.

use std::net::SocketAddr;
use std::time::Duration;

use proxy_wasm_abi::settings::{Cluster, Origin, Plugin, Settings};
use proxy_wasm_adapter::exports::Exports;
use proxy_wasm_adapter::shim::{Flavour, Shim};
use proxy_wasm_adapter::wasi::Wasi;

use super::Running;

/// A filter, adapted, with a cluster `a`; what it lets through is answered 200.
pub(crate) fn adapted(filter: &[u8], cluster: Option<SocketAddr>) -> Vec<u8> {
    adapted_with(filter, cluster, |_| {})
}

/// The same for a version of WASI.
pub(crate) fn adapted_on(wasi: Wasi, filter: &[u8], cluster: Option<SocketAddr>) -> Vec<u8> {
    adapted_on_with(wasi, filter, cluster, |_| {})
}

/// The same, as `serve` adapts filters where each request has an instance of its own: to take requests by exchanges, and in one
/// core module.
pub(crate) fn joined(filter: &[u8], cluster: Option<SocketAddr>) -> Vec<u8> {
    let mut options = proxy_wasm_adapter::Options::new(settings(cluster));
    options.exports = Exports::Exchange;
    options.joined = true;
    proxy_wasm_adapter::adapt(&[filter], &options).unwrap().component
}

/// A chain of filters with these plugin names, adapted; what they let through is answered 200.
pub(crate) fn adapted_chain(wasi: Wasi, filters: &[(&str, Vec<u8>)], change: impl FnOnce(&mut Settings)) -> Vec<u8> {
    let mut settings = settings(None);
    let plugin = |(name, _): &(&str, _)| Plugin { name: (*name).into(), ..settings.plugins[0].clone() };
    settings.plugins = filters.iter().map(plugin).collect();
    change(&mut settings);
    let filters: Vec<&[u8]> = filters.iter().map(|(_, filter)| filter.as_slice()).collect();
    adapt(wasi, &filters, settings)
}

fn adapt(wasi: Wasi, filters: &[&[u8]], settings: Settings) -> Vec<u8> {
    let mut options = proxy_wasm_adapter::Options::new(settings);
    options.wasi = wasi;
    options.shim = Shim::built_in(wasi, Flavour::Plain);
    proxy_wasm_adapter::adapt(filters, &options).unwrap().component
}

/// The same as [`adapted`] with other settings.
pub(crate) fn adapted_with(filter: &[u8], cluster: Option<SocketAddr>, change: impl FnOnce(&mut Settings)) -> Vec<u8> {
    adapted_on_with(Wasi::V0_2, filter, cluster, change)
}

/// The same for a version of WASI.
pub(crate) fn adapted_on_with(
    wasi: Wasi,
    filter: &[u8],
    cluster: Option<SocketAddr>,
    change: impl FnOnce(&mut Settings),
) -> Vec<u8> {
    let mut settings = settings(cluster);
    change(&mut settings);
    adapt(wasi, &[filter], settings)
}

fn settings(cluster: Option<SocketAddr>) -> Settings {
    let plugins = vec![Plugin { name: String::from("t"), log_level: 2, ..Plugin::default() }];
    let mut settings = Settings { plugins, ..Settings::default() };
    settings.set_direct_response(200, "");
    settings.clusters.extend(cluster.map(|address| Cluster {
        name: String::from("a"),
        origin: Origin { tls: false, authority: address.to_string() },
    }));
    settings
}

/// Waits until so many lines `[info] t: …` of this letter were written.
pub(crate) async fn logged(server: &Running, letter: &str, times: usize) -> String {
    let line = format!(": {letter}\n");
    for _ in 0..1000 {
        let text = String::from_utf8(server.logs.lock().unwrap().clone()).unwrap();
        if text.matches(&line).count() >= times {
            return text;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("`{letter}` was not written {times} times: {:?}", server.logs.lock().unwrap());
}
