//! The real Envoy.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use proxy_wasm_abi::enums::LogLevel;
use proxy_wasm_adapter_peers::envoy::{self, Peers};

use super::{Chain, Child, Running};
use crate::{client, fixtures};

/// Starts it with this chain in front of the router, everything else as it is by default.
pub(super) fn start(chain: &Chain, directory: tempfile::TempDir) -> Result<Running> {
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
    let configuration = envoy::configuration(&chain.settings, &files, peers);
    std::fs::write(file("envoy.json"), configuration.to_string()).context("writes Envoy's configuration")?;

    let level = LogLevel::from_u32(chain.settings.plugins[0].log_level.into()).context("a log level")?;
    let mut command = Command::new(fixtures::tool("envoy", "ENVOY")?);
    command.arg("-c").arg(file("envoy.json")).arg("--admin-address-path").arg(file("admin"));
    command.args(["--concurrency", "1", "--disable-hot-restart", "-l", "info", "--log-format", "[%l][%n] %v"]);
    command.args(["--component-log-level", &format!("wasm:{}", spdlog_name(level))]);
    let mut child = Child::start(&mut command)?;
    child.wait_for("workers", |line| line.contains("starting workers").then_some(()))?;
    let admin = std::fs::read_to_string(file("admin")).context("reads the admin address")?;
    let address = listener(admin.trim().parse().context("the admin address")?)
        .with_context(|| format!("Envoy wrote:\n{}", child.lines))?;
    Ok(Running { address, child, _directory: directory })
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
