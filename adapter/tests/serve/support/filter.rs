//! Filters, adapted.

use std::net::SocketAddr;
use std::time::Duration;

use proxy_wasm_abi::settings::{Cluster, Connection, Origin, Plugin, Route, Settings, Upkeep};

use super::Running;

/// A filter, adapted, with a cluster `a`; what it lets through is answered 200.
pub(crate) fn adapted(filter: &[u8], cluster: Option<SocketAddr>) -> Vec<u8> {
    adapted_with(filter, cluster, |_| {})
}

/// The same with other settings.
pub(crate) fn adapted_with(filter: &[u8], cluster: Option<SocketAddr>, change: impl FnOnce(&mut Settings)) -> Vec<u8> {
    let cluster = cluster.map(|address| Cluster {
        name: String::from("a"),
        origin: Origin { tls: false, authority: address.to_string() },
    });
    let mut settings = Settings {
        plugins: vec![Plugin { name: String::from("t"), log_level: 2, ..Plugin::default() }],
        route: Route::DirectResponse { status: 200, body: Vec::new() },
        clusters: cluster.into_iter().collect(),
        properties: Vec::new(),
        property_headers: Vec::new(),
        connection: Connection::default(),
        upkeep: Upkeep::default(),
    };
    change(&mut settings);
    proxy_wasm_adapter::adapt(&[filter], &proxy_wasm_adapter::Options::new(settings)).unwrap().component
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
