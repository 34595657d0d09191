//! Settings for filters of the tests.

use std::net::SocketAddr;

use proxy_wasm_abi::settings::{Connection, Origin, Plugin, Route, Settings, Upkeep};

/// Everything at its default, and a direct response.
pub fn direct() -> Settings {
    with_route(Route::DirectResponse { status: 200, body: b"direct".to_vec() })
}

/// Everything at its default, and this upstream, without a timeout.
pub fn to_upstream(address: SocketAddr) -> Settings {
    with_route(Route::Upstream { origin: Origin { tls: false, authority: address.to_string() }, timeout_ms: 0 })
}

/// Everything at its default, and this route.
pub fn with_route(route: Route) -> Settings {
    Settings {
        plugins: vec![Plugin { name: "test".into(), log_level: 2, ..Plugin::default() }],
        route,
        clusters: Vec::new(),
        properties: Vec::new(),
        property_headers: Vec::new(),
        connection: Connection::default(),
        upkeep: Upkeep::default(),
    }
}
