//! The real Envoy.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use proxy_wasm_abi::enums::LogLevel;
use proxy_wasm_abi::settings::{self, Action, Cluster, Route};
use serde_json::{Value, json};

use super::{Chain, Child, Running};
use crate::{client, fixtures};

/// Starts it with this chain in front of the router, everything else at its defaults.
pub(super) fn start(chain: &Chain, directory: tempfile::TempDir) -> Result<Running> {
    let file = |name: &str| directory.path().join(name);
    let mut filters = Vec::new();
    for (place, (filter, told)) in chain.filters.iter().zip(&chain.settings.plugins).enumerate() {
        let path = file(&format!("{place}.wasm"));
        std::fs::write(&path, filter).context("writes the filter")?;
        filters.push(wasm(told, &path));
    }
    std::fs::write(file("envoy.json"), configuration(chain, filters).to_string())
        .context("writes Envoy's configuration")?;

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
    let address = text.trim().strip_prefix("main::").with_context(|| format!("a listener in `{text}`"))?;
    Ok(address.parse()?)
}

fn configuration(chain: &Chain, mut filters: Vec<Value>) -> Value {
    let settings = &chain.settings;
    filters.push(json!({"name": "router", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
        "suppress_envoy_headers": true,
    }}));
    let connection = &settings.connection;
    let routes: Vec<Value> = settings.routes.iter().map(route).collect();
    let mut manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "main",
        "generate_request_id": connection.request_id,
        "stream_idle_timeout": milliseconds(connection.stream_idle_timeout_ms),
        "route_config": {"virtual_hosts": [{
            "name": "all",
            "domains": ["*"],
            "routes": routes,
        }]},
        "http_filters": filters,
    });
    if chain.trailers {
        manager["http_protocol_options"] = json!({"enable_trailers": true});
    }
    json!({
        "admin": {"address": socket("127.0.0.1", 0)},
        "static_resources": {
            "listeners": [{
                "name": "main",
                "address": socket("127.0.0.1", 0),
                "per_connection_buffer_limit_bytes": connection.buffer_limit,
                "filter_chains": [{"filters": [{"name": "manager", "typed_config": manager}]}],
            }],
            "clusters": clusters(chain),
        },
    })
}

fn route(route: &Route) -> Value {
    match &route.action {
        Action::Forward { cluster, timeout_ms } => json!({
            "match": {"prefix": "/"},
            "route": {"cluster": cluster, "timeout": milliseconds(*timeout_ms)},
        }),
        Action::Respond { status, body } => {
            let mut response = json!({"status": status});
            if !body.is_empty() {
                response["body"] = json!({"inline_string": String::from_utf8_lossy(body)});
            }
            json!({"match": {"prefix": "/"}, "direct_response": response})
        }
    }
}

fn wasm(told: &settings::Plugin, filter: &Path) -> Value {
    let environment: serde_json::Map<String, Value> =
        told.environment.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let mut config = json!({
        "name": told.name,
        "root_id": told.root_id,
        "allow_on_headers_stop_iteration": told.allow_on_headers_stop_iteration,
        "vm_config": {
            "vm_id": told.vm_id,
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": filter}},
            "environment_variables": {"key_values": environment},
        },
    });
    if !told.configuration.is_empty() {
        config["configuration"] = string(&told.configuration);
    }
    if !told.vm_configuration.is_empty() {
        config["vm_config"]["configuration"] = string(&told.vm_configuration);
    }
    json!({"name": "wasm", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
        "config": config,
    }})
}

fn clusters(chain: &Chain) -> Vec<Value> {
    let upstream = chain.settings.upstream();
    let told = |told: &Cluster| {
        // gRPC needs HTTP/2. Which clusters are spoken to in gRPC their names tell here.
        let http2 = if Some(told) == upstream { chain.upstream_http2 } else { told.name.starts_with("grpc") };
        cluster(&told.name, &told.origin.authority, http2, chain.trailers)
    };
    chain.settings.clusters.iter().map(told).collect()
}

fn cluster(name: &str, authority: &str, http2: bool, trailers: bool) -> Value {
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
    let mut protocol = match http2 {
        true => json!({"explicit_http_config": {"http2_protocol_options": {}}}),
        false => json!({"explicit_http_config": {"http_protocol_options": {"enable_trailers": trailers}}}),
    };
    // One connection for each request, so that no exchange sees what another left behind.
    protocol["common_http_protocol_options"] = json!({"max_requests_per_connection": 1});
    protocol["@type"] = json!("type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions");
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {
            "address": socket(host, port.parse().unwrap_or(80)),
        }}]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol},
    })
}

fn socket(address: &str, port: u16) -> Value {
    json!({"socket_address": {"address": address, "port_value": port}})
}

fn milliseconds(time: u64) -> String {
    format!("{}.{:03}s", time / 1000, time % 1000)
}

fn string(bytes: &[u8]) -> Value {
    json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": String::from_utf8_lossy(bytes)})
}
