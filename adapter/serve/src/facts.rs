//! `/server_info`: what runs here, in the fields that Envoy has for it.

use std::time::Duration;

use serde_json::json;

use super::samples::ServerState;

/// The facts.
pub(super) fn json(state: ServerState, uptime: Duration, plugins: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let state = match state {
        ServerState::Live => "LIVE",
        ServerState::Draining => "DRAINING",
    };
    let uptime = format!("{}s", uptime.as_secs());
    let profile = if cfg!(debug_assertions) { "DEBUG" } else { "RELEASE" };
    let facts = json!({
        "version": format!("proxy-wasm-adapter/{version}/{profile}"),
        "state": state,
        "uptime_current_epoch": uptime,
        "uptime_all_epochs": uptime,
        "node": {
            "user_agent_name": "proxy-wasm-adapter",
            "metadata": {"plugins": plugins, "envoy_semantics": "1.40", "build.type": profile},
        },
    });
    format!("{facts:#}\n")
}
