//! Envoy's configuration for filters and their settings.
//!
//! What Envoy adds by itself is turned off where it can be: its own `server` header, `x-envoy-*` of the router. Trailers
//! of HTTP/1 are passed on, as hosts of components do.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proxy_wasm_abi::settings::{Action, Cluster, Plugin, Route, Settings};
use serde_json::{Map, Value, json};

/// The name of the listener.
pub(super) const LISTENER: &str = "main";

/// How long Envoy tries to connect.
const CONNECT_TIMEOUT: &str = "5s";

/// `files` hold the filters, one for each plugin.
pub(super) fn of(settings: &Settings, files: &[PathBuf]) -> Value {
    let connection = &settings.connection;
    let wasm = |(plugin, file): (&Plugin, &PathBuf)| {
        let wasm = json!({"config": self::plugin(plugin, file)});
        json!({"name": "wasm", "typed_config": typed("envoy.extensions.filters.http.wasm.v3.Wasm", wasm)})
    };
    let mut filters: Vec<Value> = settings.plugins.iter().zip(files).map(wasm).collect();
    let router = json!({"suppress_envoy_headers": true});
    filters.push(json!({
        "name": "router",
        "typed_config": typed("envoy.extensions.filters.http.router.v3.Router", router),
    }));
    let routes: Vec<Value> = settings.routes.iter().map(route).collect();
    let manager = json!({
        "stat_prefix": LISTENER,
        "server_header_transformation": "PASS_THROUGH",
        "generate_request_id": connection.request_id,
        "stream_idle_timeout": milliseconds(connection.stream_idle_timeout_ms),
        "http_protocol_options": {"enable_trailers": true},
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": filters,
    });
    let clusters: Vec<Value> = settings.clusters.iter().map(cluster).collect();
    const MANAGER: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    json!({
        "admin": {"address": socket("127.0.0.1", 0)},
        "static_resources": {
            "listeners": [{
                "name": LISTENER,
                "address": socket("127.0.0.1", 0),
                "per_connection_buffer_limit_bytes": connection.buffer_limit,
                "filter_chains": [{"filters": [{"name": "manager", "typed_config": typed(MANAGER, manager)}]}],
            }],
            "clusters": clusters,
        },
    })
}

fn typed(name: &str, mut value: Value) -> Value {
    value["@type"] = json!(format!("type.googleapis.com/{name}"));
    value
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
                response["body"] = json!({"inline_bytes": STANDARD.encode(body)});
            }
            json!({"match": {"prefix": "/"}, "direct_response": response})
        }
    }
}

fn plugin(told: &Plugin, filter: &Path) -> Value {
    let environment: Map<String, Value> =
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
        config["configuration"] = bytes(&told.configuration);
    }
    if !told.vm_configuration.is_empty() {
        config["vm_config"]["configuration"] = bytes(&told.vm_configuration);
    }
    config
}

fn cluster(Cluster { name, origin }: &Cluster) -> Value {
    // One connection for each request, so that no exchange sees what another left behind.
    let protocol = json!({
        "explicit_http_config": {"http_protocol_options": {"enable_trailers": true}},
        "common_http_protocol_options": {"max_requests_per_connection": 1},
    });
    const PROTOCOL: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let (host, port) = origin.authority.rsplit_once(':').unwrap_or((&origin.authority, "80"));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": CONNECT_TIMEOUT,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {
            "address": socket(host, port.parse().unwrap_or(80)),
        }}]}]},
        "typed_extension_protocol_options": {PROTOCOL: typed(PROTOCOL, protocol)},
    })
}

fn socket(address: &str, port: u16) -> Value {
    json!({"socket_address": {"address": address, "port_value": port}})
}

fn milliseconds(time: u64) -> String {
    format!("{}.{:03}s", time / 1000, time % 1000)
}

/// Bytes of any kind: Envoy hands them to the filter as they are.
fn bytes(bytes: &[u8]) -> Value {
    typed("google.protobuf.BytesValue", json!({"value": STANDARD.encode(bytes)}))
}
