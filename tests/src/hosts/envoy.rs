//! The real Envoy.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use proxy_wasm_abi::enums::LogLevel;
use proxy_wasm_adapter_peers::envoy::{self, Peers};
use serde_json::{Value, json};

use super::{Chain, Child, Running};
use crate::{client, fixtures};

/// Starts it with this chain in front of the router, everything else as it is by default.
pub(super) fn start(chain: &Chain, directory: tempfile::TempDir) -> Result<Running> {
    start_with(chain, directory, 1, |_| {})
}

/// The same with so many workers, but for its HTTP filters, all of which `change` gets.
fn start_with(
    chain: &Chain,
    directory: tempfile::TempDir,
    workers: u32,
    change: impl FnOnce(&mut Vec<Value>),
) -> Result<Running> {
    let file = |name: &str| directory.path().join(name);
    let mut files = Vec::new();
    for (place, filter) in chain.filters.iter().enumerate() {
        files.push(file(&format!("{place}.wasm")));
        std::fs::write(&files[place], filter).context("writes the filter")?;
    }
    // Which clusters are spoken to in gRPC, which needs HTTP/2, their names tell here.
    let clusters = chain.settings.clusters.iter().map(|cluster| cluster.name.as_str());
    let http2_clusters: Vec<&str> = clusters.filter(|name| name.starts_with("grpc")).collect();
    let peers = Peers {
        trailers: chain.trailers,
        http2_upstream: chain.upstream_http2,
        http2_clusters: &http2_clusters,
        ..Peers::default()
    };
    let mut configuration = envoy::configuration(&chain.settings, &files, peers);
    const FILTERS: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters";
    change(configuration.pointer_mut(FILTERS).and_then(Value::as_array_mut).context("the HTTP filters")?);
    std::fs::write(file("envoy.json"), configuration.to_string()).context("writes Envoy's configuration")?;

    let level = LogLevel::from_u32(chain.settings.plugins[0].log_level.into()).context("a log level")?;
    let mut command = Command::new(fixtures::tool("envoy", "ENVOY")?);
    command.arg("-c").arg(file("envoy.json")).arg("--admin-address-path").arg(file("admin"));
    command.args([
        "--concurrency",
        &workers.to_string(),
        "--disable-hot-restart",
        "-l",
        "info",
        "--log-format",
        "[%l][%n] %v",
    ]);
    command.args(["--component-log-level", &format!("wasm:{}", spdlog_name(level))]);
    let mut child = Child::start(&mut command)?;
    child.wait_for("workers", |line| line.contains("starting workers").then_some(()))?;
    let admin = std::fs::read_to_string(file("admin")).context("reads the admin address")?;
    let address = listener(admin.trim().parse().context("the admin address")?)
        .with_context(|| format!("Envoy wrote:\n{}", child.lines))?;
    Ok(Running { address, child, _directory: directory })
}

/// Starts it with so many workers.
pub(super) fn start_workers(chain: &Chain, directory: tempfile::TempDir, workers: u32) -> Result<Running> {
    start_with(chain, directory, workers, |_| {})
}

/// The same with a filter in Lua in the place of the chain's, or with none.
pub(super) fn start_without(
    chain: &Chain,
    lua: Option<&str>,
    directory: tempfile::TempDir,
    workers: u32,
) -> Result<Running> {
    start_with(chain, directory, workers, |filters| {
        filters.retain(|filter| filter["name"] == "router");
        let lua = lua.map(|code| {
            json!({
                "name": "lua",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
                    "default_source_code": {"inline_string": code},
                },
            })
        });
        filters.splice(..0, lua);
    })
}

fn spdlog_name(level: LogLevel) -> &'static str {
    if level == LogLevel::Warn { "warning" } else { level.name() }
}

/// The address that the listener got.
fn listener(admin: SocketAddr) -> Result<SocketAddr> {
    let reply = client::send(admin, b"GET /listeners HTTP/1.1\r\nhost: admin\r\n\r\n", Duration::from_secs(5))?;
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    envoy::listener(&text).with_context(|| format!("a listener in `{text}`"))
}
