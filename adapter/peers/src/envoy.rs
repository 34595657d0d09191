//! Envoy's configuration for filters and their settings.
//!
//! The router adds no `x-envoy-*` headers. All else that neither the settings nor [`Peers`] say is at its default.

mod routes;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proxy_wasm_abi::clusters::{Balancing, ClusterDetails, Endpoint};
use proxy_wasm_abi::routing::RouteTable;
use proxy_wasm_abi::settings::{Action, Cluster, Plugin, Route, Settings};
use serde_json::{Map, Value, json};

/// The name of the listener.
const LISTENER: &str = "main";

/// How long Envoy tries to connect.
const CONNECT_TIMEOUT: &str = "5s";

/// What settings do not say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Peers<'a> {
    /// Envoy's own `server` header is left out.
    pub no_server_header: bool,
    /// Trailers of HTTP/1 are passed on, as hosts of components do.
    pub trailers: bool,
    /// The upstream speaks HTTP/2, known before.
    pub http2_upstream: bool,
    /// The clusters that do.
    pub http2_clusters: &'a [&'a str],
}

/// The configuration, as the file has it. `files` hold the filters, one for each plugin.
pub fn configuration(settings: &Settings, files: &[PathBuf], peers: Peers<'_>) -> Value {
    let connection = &settings.connection;
    let table = if settings.routing.is_empty() { None } else { RouteTable::decode(&settings.routing) };
    let is_disabled =
        |at| table.as_ref().is_some_and(|table| table.disabled.iter().any(|disabled| *disabled as usize == at));
    let wasm = |(at, (plugin, file)): (usize, (&Plugin, &PathBuf))| {
        let wasm = json!({"config": self::plugin(plugin, file)});
        let wasm = typed("envoy.extensions.filters.http.wasm.v3.Wasm", wasm);
        let mut filter = json!({"name": filter_name(at), "typed_config": wasm});
        if is_disabled(at) {
            filter["disabled"] = json!(true);
        }
        filter
    };
    let mut filters: Vec<Value> = settings.plugins.iter().zip(files).enumerate().map(wasm).collect();
    let cors = table.as_ref().map(|table| &table.cors).filter(|cors| !cors.policies.is_empty());
    if let Some(cors) = cors {
        let place = if cors.behind_plugins { filters.len() } else { 0 };
        filters.insert(place, self::routes::cors_filter());
    }
    let router = json!({"suppress_envoy_headers": true});
    filters.push(json!({
        "name": "router",
        "typed_config": typed("envoy.extensions.filters.http.router.v3.Router", router),
    }));
    let routes: Vec<Value> = settings.routes.iter().map(route).collect();
    let routes = match &table {
        Some(table) if !table.virtual_hosts.is_empty() => self::routes::configuration(table),
        _ => json!({"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]}),
    };
    let mut manager = json!({
        "stat_prefix": LISTENER,
        "generate_request_id": connection.request_id,
        "stream_idle_timeout": milliseconds(connection.stream_idle_timeout_ms),
        "route_config": routes,
        "http_filters": filters,
    });
    if peers.no_server_header {
        manager["server_header_transformation"] = json!("PASS_THROUGH");
    }
    if peers.trailers {
        manager["http_protocol_options"] = json!({"enable_trailers": true});
    }
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
            "clusters": clusters(settings, &table.unwrap_or_default().clusters, peers),
        },
    })
}

/// The address of the listener, by what Envoy answers to `GET /listeners` of its admin.
pub fn listener(answer: &str) -> Option<SocketAddr> {
    answer.trim().strip_prefix(LISTENER)?.strip_prefix("::")?.parse().ok()
}

fn typed(name: &str, mut value: Value) -> Value {
    value["@type"] = json!(format!("type.googleapis.com/{name}"));
    value
}

/// What the filter of a plugin is called, by its place.
fn filter_name(at: usize) -> String {
    format!("wasm-{at}")
}

fn route(route: &Route) -> Value {
    match &route.action {
        Action::Forward { cluster, timeout_ms } => json!({
            "match": {"prefix": "/"},
            "route": {"cluster": cluster, "timeout": milliseconds(*timeout_ms)},
        }),
        // Envoy has none, and nothing that has one is compared with it.
        Action::Next { .. } => json!({"match": {"prefix": "/"}, "direct_response": {"status": 503}}),
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
    if !told.allowed_capabilities.is_empty() {
        let allowed = told.allowed_capabilities.iter().map(|name| (name.clone(), json!({})));
        config["vm_config"]["capability_restriction_config"] =
            json!({"allowed_capabilities": Value::Object(allowed.collect())});
    }
    if !told.configuration.is_empty() {
        config["configuration"] = bytes(&told.configuration);
    }
    if !told.vm_configuration.is_empty() {
        config["vm_config"]["configuration"] = bytes(&told.vm_configuration);
    }
    config
}

fn clusters(settings: &Settings, details: &[ClusterDetails], peers: Peers<'_>) -> Vec<Value> {
    let upstream = settings.upstream();
    let one = |it: &Cluster| {
        let http2 = match upstream {
            Some(upstream) if upstream == it => peers.http2_upstream,
            _ => peers.http2_clusters.contains(&it.name.as_str()),
        };
        let details = details.iter().find(|details| details.name == it.name);
        cluster(it, details, http2 || details.is_some_and(|details| details.http2), peers.trailers)
    };
    settings.clusters.iter().map(one).collect()
}

fn cluster(it: &Cluster, details: Option<&ClusterDetails>, http2: bool, trailers: bool) -> Value {
    let mut protocol = match http2 {
        true => json!({"explicit_http_config": {"http2_protocol_options": {}}}),
        false => json!({"explicit_http_config": {"http_protocol_options": {"enable_trailers": trailers}}}),
    };
    // One connection for each request, so that no exchange sees what another left behind.
    protocol["common_http_protocol_options"] = json!({"max_requests_per_connection": 1});
    const PROTOCOL: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let only = [Endpoint { origin: it.origin.clone(), weight: 1, hostname: None }];
    let all = details.map(|details| details.endpoints.as_slice()).filter(|all| !all.is_empty()).unwrap_or(&only);
    let mut value = json!({
        "name": it.name,
        "type": if all.iter().any(|endpoint| endpoint.origin.name().is_some()) { "STRICT_DNS" } else { "STATIC" },
        "dns_lookup_family": "V4_ONLY",
        "connect_timeout": CONNECT_TIMEOUT,
        "lb_policy": match details.map(|details| details.balancing).unwrap_or_default() {
            Balancing::RoundRobin => "ROUND_ROBIN",
            Balancing::Random => "RANDOM",
        },
        "load_assignment": {
            "cluster_name": it.name,
            "endpoints": [{"lb_endpoints": all.iter().map(endpoint).collect::<Vec<_>>()}],
        },
        "typed_extension_protocol_options": {PROTOCOL: typed(PROTOCOL, protocol)},
    });
    if let Some(details) = details {
        routes::metadata(&mut value, &details.metadata);
    }
    value
}

fn endpoint(Endpoint { origin, weight, hostname }: &Endpoint) -> Value {
    let (host, port) = origin.authority.rsplit_once(':').unwrap_or((&origin.authority, "80"));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = socket(host, port.parse().unwrap_or(80));
    json!({"endpoint": {"address": address, "hostname": hostname}, "load_balancing_weight": weight})
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
