//! Settings for filters of the tests.

use std::net::SocketAddr;

use proxy_wasm_abi::settings::{Origin, Plugin, Settings};

/// Everything at its default, and a direct response.
pub fn direct() -> Settings {
    let mut settings = unrouted();
    settings.set_direct_response(200, "direct");
    settings
}

/// Everything at its default, and this upstream, without a timeout.
pub fn to_upstream(address: SocketAddr) -> Settings {
    let mut settings = unrouted();
    settings.set_upstream(Origin { tls: false, authority: address.to_string() }, 0);
    settings
}

fn unrouted() -> Settings {
    let plugins = vec![Plugin { name: "test".into(), log_level: 2, ..Plugin::default() }];
    Settings { plugins, ..Settings::default() }
}
