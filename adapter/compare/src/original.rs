//! The operator's own configuration on Envoy, changed as little as a comparison can do with.
//!
//! What is changed, and nothing else:
//!
//! | part | becomes |
//! |---|---|
//! | addresses of the listener, and of those that its clusters lead to | free ports of this machine |
//! | the admin's address | the same |
//! | other listeners | left out: they get no requests |
//! | `dynamic_resources`, `bootstrap_extensions`, `stats_sinks` | left out: nothing outside is asked, and nothing beside runs |
//! | code | the files that the migration found for it |
//! | a cluster's type, endpoints and health checks | one of the comparison's servers |
//! | TLS on either side | left out, with what of a filter chain's match depends on it |
//! | HTTP/2 to a cluster | HTTP/1.1, which the servers speak |
//! | where access logs are written | `/dev/null` |
//! | `suppress_envoy_headers` of the router | true, as the component adds no `x-envoy-*` |

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use proxy_wasm_abi::settings::Settings;
use serde_json::{Value, json};
use tokio::net::TcpSocket;

use super::error::Error;
use super::origin;
use super::origins::Origins;

/// A configuration of Envoy's that was migrated.
#[derive(Clone, Debug)]
pub struct Original {
    /// As one bootstrap, see `proxy_wasm_adapter_migrate::bootstrap`.
    pub bootstrap: Value,
    /// The name of the listener that is compared.
    pub listener: String,
    /// The code that was found for its plugins.
    pub code: Vec<Code>,
}

/// Code of a plugin.
#[derive(Clone, Debug)]
pub struct Code {
    /// The plugin's name.
    pub plugin: String,
    /// Where the configuration says that it is.
    pub from: String,
    /// The module.
    pub bytes: Vec<u8>,
}

/// A configuration that can be run.
pub(super) struct Staged {
    pub(super) configuration: Value,
    /// Where the listener is.
    pub(super) address: SocketAddr,
    /// What was changed, in words.
    pub(super) changes: Vec<String>,
    /// Keep the ports while it runs.
    _ports: Vec<TcpSocket>,
}

/// What was changed, each once.
#[derive(Default)]
struct Changes(BTreeSet<&'static str>);

impl Changes {
    /// Takes fields out; says so if there were any.
    fn take_out(&mut self, from: &mut Value, fields: &[&str], why: &'static str) {
        let there = fields.iter().filter(|field| take(from, field).is_some_and(|value| !value.is_null())).count();
        if there > 0 {
            self.0.insert(why);
        }
    }
}

impl Original {
    /// The names of the clusters that get a server of the comparison's own.
    pub(super) fn clusters(&self, settings: &Settings) -> Vec<String> {
        let clusters = self.all("clusters").filter(|cluster| self.behind(cluster, settings).is_none());
        clusters.filter_map(|cluster| Some(cluster.get("name")?.as_str()?.to_owned())).collect()
    }

    fn all(&self, list: &str) -> impl Iterator<Item = &Value> {
        let list = self.bootstrap.get("static_resources").and_then(|statics| statics.get(list));
        list.and_then(Value::as_array).into_iter().flatten()
    }

    /// The listener of the same configuration that a cluster leads to: only where the settings do without the cluster, as
    /// that listener's answer became the route's.
    fn behind(&self, cluster: &Value, settings: &Settings) -> Option<&str> {
        let name = cluster.get("name")?.as_str()?;
        if settings.cluster(name.as_bytes()).is_some() {
            return None;
        }
        let endpoints = first(field(field(cluster, "load_assignment")?, "endpoints")?);
        let endpoint = first(field(endpoints, "lb_endpoints")?);
        let (host, port) = socket(field(field(endpoint, "endpoint")?, "address")?)?;
        let is_local = |other: &str| matches!(host, "127.0.0.1" | "localhost" | "::1" | "0.0.0.0") || other == host;
        let is_it = |listener: &&Value| {
            let address = listener.get("address").and_then(socket);
            address.is_some_and(|(other, its)| its == port && is_local(other))
        };
        self.all("listeners").find(is_it)?.get("name")?.as_str()
    }

    /// The configuration with these servers; code is written into the directory.
    pub(super) fn stage(&self, settings: &Settings, origins: &Origins, directory: &Path) -> Result<Staged, Error> {
        let behind: Vec<(String, String)> = self
            .all("clusters")
            .filter_map(|cluster| {
                let listener = self.behind(cluster, settings)?;
                Some((cluster.get("name")?.as_str()?.to_owned(), listener.to_owned()))
            })
            .collect();
        let mut changes = Changes::default();
        let (mut listeners, mut ports, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
        let mut left_out = 0;
        for found in self.all("listeners") {
            let name = found.get("name").and_then(Value::as_str).unwrap_or_default();
            if name != self.listener && !behind.iter().any(|(_, listener)| listener == name) {
                left_out += 1;
                continue;
            }
            let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let (port, address) = origin::reserve(any).map_err(|source| Error::Listen { address: any, source })?;
            ports.push(port);
            addresses.push((name.to_owned(), address));
            listeners.push(listener(found.clone(), address, &mut changes));
        }
        if left_out > 0 {
            changes.0.insert("Envoy runs without the other listeners: they would get no requests.");
        }
        let of = |listener: &str| addresses.iter().find(|(name, _)| name == listener).map(|(_, address)| *address);
        let mut clusters = Vec::new();
        for found in self.all("clusters") {
            let name = found.get("name").and_then(Value::as_str).unwrap_or_default();
            let own = behind.iter().find(|(cluster, _)| cluster == name).and_then(|(_, listener)| of(listener));
            let Some(address) = own.or_else(|| origins.cluster(name)) else { continue };
            clusters.push(cluster(found.clone(), name, address, &mut changes));
        }
        let mut configuration = self.bootstrap.clone();
        top(&mut configuration, &mut changes);
        configuration["static_resources"]["listeners"] = listeners.into();
        configuration["static_resources"]["clusters"] = clusters.into();
        let mut code = Vec::new();
        for (index, found) in self.code.iter().enumerate() {
            let file = directory.join(format!("code-{}.wasm", index + 1));
            std::fs::write(&file, &found.bytes)
                .map_err(|source| Error::Machine { doing: "write a file for Envoy", source })?;
            code.push((found, file.display().to_string()));
        }
        walk(&mut configuration, &mut |object| {
            plugin(object, &code);
            access_log(object, &mut changes);
            router(object, &mut changes);
        });
        let address = of(&self.listener).unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let mut told = vec![
            "Envoy runs the configuration as it is, but for addresses, ports and code: its clusters are servers of the \
             comparison's own."
                .to_owned(),
        ];
        told.extend(changes.0.into_iter().map(str::to_owned));
        Ok(Staged { configuration, address, changes: told, _ports: ports })
    }
}

fn top(configuration: &mut Value, changes: &mut Changes) {
    for key in ["admin", "dynamicResources", "staticResources"] {
        take(configuration, key);
    }
    configuration["admin"] = json!({"address": address(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))});
    let why = "`dynamic_resources` is left out: no control plane is asked.";
    changes.take_out(configuration, &["dynamic_resources"], why);
    let why = "`bootstrap_extensions` is left out: services beside the requests don't run.";
    changes.take_out(configuration, &["bootstrap_extensions"], why);
    let why = "`stats_sinks` is left out: nothing outside is told.";
    changes.take_out(configuration, &["stats_sinks", "stats_flush_interval"], why);
}

/// What the type of a Wasm filter's configuration has in its name.
const WASM_FILTER: &str = "extensions.filters.http.wasm.";

fn listener(mut listener: Value, at: SocketAddr, changes: &mut Changes) -> Value {
    listener["address"] = address(at);
    for key in ["additional_addresses", "enable_reuse_port", "reuse_port", "socket_options", "tcp_backlog_size"] {
        take(&mut listener, key);
    }
    let mut chains = take(&mut listener, "filter_chains").map(many).unwrap_or_default();
    chains.extend(take(&mut listener, "default_filter_chain"));
    take(&mut listener, "filter_chain_matcher");
    let count = chains.len();
    // The one that `migrate` carries: the first with a Wasm filter, whose configuration may be elsewhere.
    let has = |part: &'static str| chains.iter().position(|chain| chain.to_string().contains(part));
    let carried = has(WASM_FILTER).or_else(|| has("config_discovery")).or_else(|| has("configDiscovery")).unwrap_or(0);
    if let Some(mut chain) = chains.into_iter().nth(carried) {
        let why = "TLS of the listener is left out: requests come in clear.";
        changes.take_out(&mut chain, &["transport_socket", "tls_context"], why);
        let is_matched = take(&mut chain, "filter_chain_match").is_some_and(|found| found != json!({}));
        if count > 1 || is_matched {
            changes.0.insert(
                "Of the listener's filter chains only the one with the Wasm filters is left, for all requests.",
            );
        }
        listener["filter_chains"] = json!([chain]);
    }
    listener
}

fn cluster(mut cluster: Value, name: &str, at: SocketAddr, changes: &mut Changes) -> Value {
    let hostname = hostname(&cluster);
    let replaced = ["type", "cluster_type", "load_assignment", "eds_cluster_config", "hosts", "upstream_bind_config"];
    for key in replaced {
        take(&mut cluster, key);
    }
    cluster["type"] = json!("STATIC");
    cluster["load_assignment"] = json!({
        "cluster_name": name,
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(at), "hostname": hostname}}]}],
    });
    let why = "TLS to clusters is left out: they get requests in clear.";
    changes.take_out(&mut cluster, &["transport_socket", "transport_socket_matches", "tls_context"], why);
    let why = "Health checks of clusters are left out.";
    changes.take_out(&mut cluster, &["health_checks"], why);
    let why = "HTTP/2 to clusters is left out: they speak HTTP/1.1.";
    changes.take_out(&mut cluster, &["http2_protocol_options", "protocol_selection"], why);
    let extensions = field_mut(&mut cluster, "typed_extension_protocol_options").and_then(Value::as_object_mut);
    for (_, options) in extensions.into_iter().flatten().filter(|(kind, _)| kind.ends_with("HttpProtocolOptions")) {
        let is_plain = field(options, "explicit_http_config").is_some_and(|explicit| {
            field(explicit, "http2_protocol_options").is_none() && field(explicit, "http3_protocol_options").is_none()
        });
        if !is_plain {
            changes.0.insert(why);
            for key in ["explicit_http_config", "use_downstream_protocol_config", "auto_config"] {
                take(options, key);
            }
            options["explicit_http_config"] = json!({"http_protocol_options": {}});
        }
    }
    cluster
}

/// What the first endpoint of a cluster is called, for routes that tell it so.
fn hostname(cluster: &Value) -> Option<String> {
    let locality = first(field(field(cluster, "load_assignment")?, "endpoints")?);
    let endpoint = field(first(field(locality, "lb_endpoints")?), "endpoint")?;
    let address = || socket(field(endpoint, "address")?).map(|(host, _)| host);
    let is_name = |host: &&str| host.parse::<IpAddr>().is_err();
    let own = field(endpoint, "hostname").and_then(Value::as_str).filter(|own| !own.is_empty());
    own.or_else(|| address().filter(is_name)).map(str::to_owned)
}

/// Puts the file in the place of a plugin's code that was found; what stands in the configuration itself stays.
fn plugin(object: &mut Value, code: &[(&Code, String)]) {
    let name = object.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(source) = field_mut(object, "vm_config").and_then(|vm| field_mut(vm, "code")) else { return };
    let file = field(source, "local").and_then(|local| field(local, "filename"));
    let uri = || field(field(field(source, "remote")?, "http_uri")?, "uri");
    let Some(from) = file.or_else(uri).and_then(Value::as_str) else { return };
    if let Some((_, file)) = code.iter().find(|(code, _)| code.plugin == name && code.from == from) {
        *source = json!({"local": {"filename": file}});
    }
}

fn access_log(object: &mut Value, changes: &mut Changes) {
    const FILE: &str = "envoy.extensions.access_loggers.file.v3.FileAccessLog";
    let Some(kind) = object.get("@type").and_then(Value::as_str) else { return };
    if ["FileAccessLog", "StdoutAccessLog", "StderrAccessLog"].iter().any(|log| kind.ends_with(log)) {
        *object = json!({"@type": format!("type.googleapis.com/{FILE}"), "path": "/dev/null"});
        changes.0.insert("Access logs are written nowhere.");
    }
}

fn router(object: &mut Value, changes: &mut Changes) {
    let is_router = object.get("@type").and_then(Value::as_str).is_some_and(|kind| kind.ends_with(".router.v3.Router"));
    if is_router && field(object, "suppress_envoy_headers") != Some(&Value::Bool(true)) {
        take(object, "suppress_envoy_headers");
        object["suppress_envoy_headers"] = true.into();
        changes
            .0
            .insert("The router adds no `x-envoy-*` headers (`suppress_envoy_headers`), as the component adds none.");
    }
}

/// Calls this with each object, the outer ones first.
fn walk(value: &mut Value, with: &mut impl FnMut(&mut Value)) {
    if value.is_object() {
        with(value);
    }
    match value {
        Value::Object(fields) => fields.values_mut().for_each(|value| walk(value, with)),
        Value::Array(items) => items.iter_mut().for_each(|value| walk(value, with)),
        _ => {}
    }
}

/// Host and port of an address.
fn socket(address: &Value) -> Option<(&str, u64)> {
    let socket = field(address, "socket_address")?;
    let port = field(socket, "port_value")?;
    let port = port.as_u64().or_else(|| port.as_str()?.parse().ok())?;
    Some((field(socket, "address")?.as_str()?, port))
}

fn address(at: SocketAddr) -> Value {
    json!({"socket_address": {"address": at.ip().to_string(), "port_value": at.port()}})
}

/// The first of a repeated field, which may stand without a list.
fn first(list: &Value) -> &Value {
    list.as_array().and_then(|items| items.first()).unwrap_or(list)
}

fn many(list: Value) -> Vec<Value> {
    match list {
        Value::Array(list) => list,
        sole => vec![sole],
    }
}

/// A field in either of the forms that protobuf's JSON has for its name.
fn field<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    value.get(name).or_else(|| value.get(camel(name)))
}

fn field_mut<'v>(value: &'v mut Value, name: &str) -> Option<&'v mut Value> {
    let key = if value.get(name).is_some() { name.to_owned() } else { camel(name) };
    value.get_mut(key)
}

fn take(value: &mut Value, name: &str) -> Option<Value> {
    let fields = value.as_object_mut()?;
    let (plain, camel) = (fields.remove(name), fields.remove(&camel(name)));
    plain.or(camel)
}

/// `rootId` of `root_id`.
fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        text.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        text.push_str(letters.as_str());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_field() {
        assert_eq!(camel("load_assignment"), "loadAssignment");
        let mut value = json!({"loadAssignment": 1, "load_assignment": 2});
        assert_eq!(take(&mut value, "load_assignment"), Some(json!(2)));
        assert_eq!(value, json!({}));
    }

    #[test]
    fn a_cluster_leads_to_the_server_of_the_comparison() {
        let given = json!({
            "name": "c", "type": "STRICT_DNS", "connect_timeout": "1s", "lb_policy": "RANDOM",
            "loadAssignment": {"endpoints": [{"lbEndpoints": [{"endpoint": {"address": {"socketAddress": {
                "address": "c.example", "portValue": 80,
            }}}}]}]},
            "transport_socket": {"name": "tls"}, "http2_protocol_options": {},
            "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {"auto_config": {}}},
        });
        let mut changes = Changes::default();
        let expected = json!({
            "name": "c", "type": "STATIC", "connect_timeout": "1s", "lb_policy": "RANDOM",
            "load_assignment": {"cluster_name": "c", "endpoints": [{"lb_endpoints": [{"endpoint": {
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": 9}},
                "hostname": "c.example",
            }}]}]},
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions":
                    {"explicit_http_config": {"http_protocol_options": {}}},
            },
        });
        assert_eq!(cluster(given, "c", "127.0.0.1:9".parse().unwrap(), &mut changes), expected);
        assert_eq!(changes.0.len(), 2);
    }

    #[test]
    fn of_several_filter_chains_the_one_with_wasm_filters_is_left() {
        let chain = |kind: &str| json!({"filters": [{"typed_config": {"@type": kind}}]});
        let wasm = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
        let (mut plain, mut filtered) = (chain("a"), chain(wasm));
        plain["filter_chain_match"] = json!({"server_names": ["a.example"]});
        filtered["filterChainMatch"] = json!({"server_names": ["b.example"]});
        filtered["transport_socket"] = json!({"name": "tls"});
        let at: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let left = json!({"name": "l", "address": address(at), "filter_chains": [chain(wasm)]});
        for given in [
            json!({"name": "l", "filterChains": [&plain, &filtered]}),
            json!({"name": "l", "filter_chains": [&plain], "default_filter_chain": &filtered}),
        ] {
            let mut changes = Changes::default();
            assert_eq!(listener(given, at, &mut changes), left);
            assert_eq!(changes.0.len(), 2, "TLS, and the other chain");
        }
        // A sole one without a match is as it was.
        let mut changes = Changes::default();
        listener(json!({"filter_chains": [chain(wasm)]}), at, &mut changes);
        assert!(changes.0.is_empty());
    }

    #[test]
    fn code_and_logs_and_the_router_are_changed_wherever_they_are() {
        let mut value = json!([{
            "config": {"name": "p", "vmConfig": {"code": {"local": {"filename": "/etc/p.wasm"}}}},
            "log": {"@type": "a/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog", "log_format": {}},
            "router": {"@type": "a/envoy.extensions.filters.http.router.v3.Router", "suppressEnvoyHeaders": false},
            "other": {"name": "q", "vm_config": {"code": {"local": {"inline_string": "(module)"}}}},
        }]);
        let code = Code { plugin: "p".into(), from: "/etc/p.wasm".into(), bytes: Vec::new() };
        let mut changes = Changes::default();
        walk(&mut value, &mut |object| {
            plugin(object, &[(&code, "/tmp/code-1.wasm".into())]);
            access_log(object, &mut changes);
            router(object, &mut changes);
        });
        let expected = json!([{
            "config": {"name": "p", "vmConfig": {"code": {"local": {"filename": "/tmp/code-1.wasm"}}}},
            "log": {"@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": "/dev/null"},
            "router": {"@type": "a/envoy.extensions.filters.http.router.v3.Router", "suppress_envoy_headers": true},
            "other": {"name": "q", "vm_config": {"code": {"local": {"inline_string": "(module)"}}}},
        }]);
        assert_eq!(value, expected);
    }
}
