//! The input as one bootstrap, as Envoy itself would be started with it: for a comparison.
//!
//! Nothing of it is read as a message here. References that a file cannot follow alone (routes and filters by discovery) are
//! joined, and texts and numbers are those that Envoy's reader of YAML makes of them.

use serde_json::{Map, Value as Json, json};

use crate::gather::Resources;
use crate::node::{Node, Value};
use crate::report::Report;
use crate::yaml;
use crate::{File, Kind};

/// The type of a connection manager.
const MANAGER: &str =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// The bootstrap that these files come to; none, if they are not Envoy's own configuration. Each of its listeners has the
/// name that [`Component::listener`](crate::Component) gives.
pub fn bootstrap(files: &[File], from: Option<Kind>) -> Option<Json> {
    let mut documents = Vec::new();
    for (index, file) in files.iter().enumerate() {
        let mut read = yaml::read(index, &file.name, &file.bytes).ok()?;
        // As Envoy, which reads one.
        if read.first().is_some_and(|first| first.peek("static_resources").is_some()) {
            read.truncate(1);
        }
        documents.extend(read);
    }
    // What is wrong with it the migration tells.
    let report = Report::default();
    let mut resources = Resources::default();
    for document in documents.iter().filter(|document| !document.is_null()) {
        resources.take(&report, document, from);
    }
    if resources.listeners.is_empty() && resources.managers.is_empty() {
        return None;
    }
    let top = documents.iter().find(|document| document.peek("static_resources").is_some());
    let mut top = top.map_or_else(Map::new, |document| match convert(document, &resources) {
        Json::Object(map) => map,
        _ => Map::new(),
    });
    let listeners = resources.listeners.iter().map(|node| listener(node, &resources));
    let managers = resources.managers.iter().map(|node| manager(node, &resources));
    let listeners: Vec<Json> = listeners.chain(managers).collect();
    let mut clusters: Vec<Json> = Vec::new();
    for node in &resources.clusters {
        let cluster = untyped(convert(node, &resources));
        // A dump has the static ones twice.
        if !clusters.iter().any(|other| other.get("name") == cluster.get("name")) {
            clusters.push(cluster);
        }
    }
    top.remove("staticResources");
    let mut statics = top.remove("static_resources").unwrap_or_else(|| json!({}));
    if let Some(statics) = statics.as_object_mut() {
        statics.insert("listeners".into(), listeners.into());
        statics.insert("clusters".into(), clusters.into());
    }
    top.insert("static_resources".into(), statics);
    Some(Json::Object(top))
}

/// What a listener is called: by its name, or else by its port.
pub(crate) fn label(name: &str, port: Option<u16>) -> String {
    match (name, port) {
        (name, _) if !name.is_empty() => name.into(),
        (_, Some(port)) => format!("port-{port}"),
        _ => "listener".into(),
    }
}

fn listener(node: &Node, resources: &Resources<'_>) -> Json {
    let listener = untyped(convert(node, resources));
    let address = node.peek("address").and_then(|address| address.peek("socket_address"));
    let port = address.and_then(|socket| socket.peek("port_value")).and_then(|port| match port.value() {
        Value::Int(port) => u16::try_from(*port).ok(),
        Value::Text(port) => port.parse().ok(),
        _ => None,
    });
    // One without a host is none to the migration either.
    let port =
        port.filter(|_| address.is_some_and(|socket| socket.peek_text("address").is_some_and(|it| !it.is_empty())));
    let name = label(node.peek_text("name").unwrap_or_default(), port);
    with(listener, "name", name.into())
}

fn manager(node: &Node, resources: &Resources<'_>) -> Json {
    let manager = with(convert(node, resources), "@type", MANAGER.into());
    json!({"name": "manager", "filter_chains": [{"filters": [{"name": "manager", "typed_config": manager}]}]})
}

/// A message with this field; what is none stays as it is.
fn with(mut message: Json, field: &str, value: Json) -> Json {
    if let Some(fields) = message.as_object_mut() {
        fields.insert(field.into(), value);
    }
    message
}

/// A message that stood in an `Any`, and now stands for itself.
fn untyped(mut message: Json) -> Json {
    if let Some(fields) = message.as_object_mut() {
        fields.remove("@type");
    }
    message
}

fn convert(node: &Node, resources: &Resources<'_>) -> Json {
    match node.value() {
        Value::Null => Json::Null,
        Value::Bool(is) => (*is).into(),
        Value::Int(int) => (*int).into(),
        Value::Float(float) => (*float).into(),
        Value::Text(text) => text.as_str().into(),
        Value::List(items) => items.iter().map(|item| convert(item, resources)).collect(),
        // Of two with the same key the last counts, as in Envoy.
        Value::Map(entries) => {
            let entries = entries.iter().map(|entry| (entry.key.clone(), convert(&entry.node, resources)));
            join(node, entries.collect(), resources)
        }
    }
}

/// Puts what is discovered in the place of where to discover it.
fn join(node: &Node, mut fields: Map<String, Json>, resources: &Resources<'_>) -> Json {
    let named = |nodes: &[&Node], name: Option<&str>| {
        nodes.iter().find(|node| name.is_some() && node.peek_text("name") == name).map(|node| convert(node, resources))
    };
    if let Some(rds) = node.peek("rds")
        && let Some(table) = named(&resources.tables, rds.peek_text("route_config_name"))
    {
        fields.remove("rds");
        fields.insert("route_config".into(), untyped(table));
    }
    if node.peek("config_discovery").is_some()
        && let Some(mut extension) = named(&resources.extensions, node.peek_text("name"))
    {
        fields.retain(|key, _| !matches!(key.as_str(), "config_discovery" | "configDiscovery"));
        let config = ["typed_config", "typedConfig"].into_iter().find_map(|key| extension.as_object_mut()?.remove(key));
        fields.extend(config.map(|config| ("typed_config".to_owned(), config)));
    }
    Json::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Json> {
        bootstrap(&[File { name: "t.yaml".into(), bytes: text.as_bytes().into() }], None)
    }

    #[test]
    fn a_bootstrap_stays_as_it_is() {
        let text = "admin: {address: {pipe: {path: /a}}}\nstatic_resources:\n  listeners:\n  - {name: a, per_connection_buffer_limit_bytes: 0x10}\n  clusters: {name: c, connect_timeout: 0.25s, ratio: 1.5}\n";
        let expected = json!({
            "admin": {"address": {"pipe": {"path": "/a"}}},
            "static_resources": {
                "listeners": [{"name": "a", "per_connection_buffer_limit_bytes": 16}],
                "clusters": [{"name": "c", "connect_timeout": "0.25s", "ratio": "1.5"}],
            },
        });
        assert_eq!(of(text), Some(expected));
    }

    #[test]
    fn what_is_discovered_is_joined() {
        let text = r#"
- {"@type": a/envoy.config.listener.v3.Listener, address: {socket_address: {address: h, port_value: 80}}, filter_chains: [{filters: [{typed_config: {rds: {route_config_name: r}, http_filters: [{name: w, configDiscovery: {}}]}}]}]}
- {"@type": a/envoy.config.route.v3.RouteConfiguration, name: r, virtual_hosts: []}
- {"@type": a/envoy.config.core.v3.TypedExtensionConfig, name: w, typed_config: {"@type": x/y}}
"#;
        let expected = json!({"static_resources": {"clusters": [], "listeners": [{
            "name": "port-80",
            "address": {"socket_address": {"address": "h", "port_value": 80}},
            "filter_chains": [{"filters": [{"typed_config": {
                "route_config": {"name": "r", "virtual_hosts": []},
                "http_filters": [{"name": "w", "typed_config": {"@type": "x/y"}}],
            }}]}],
        }]}});
        assert_eq!(of(text), Some(expected));
    }

    #[test]
    fn what_is_not_recognized_is_what_it_is_said_to_be() {
        let files = [File { name: "t.yaml".into(), bytes: b"{name: l, use_original_dst: true}".into() }];
        assert_eq!(bootstrap(&files, None), None);
        assert!(bootstrap(&files, Some(Kind::Listener)).is_some());
    }

    #[test]
    fn an_object_of_a_control_plane_is_no_configuration_of_envoy() {
        assert_eq!(of("{apiVersion: a/v1, kind: WasmPlugin}"), None);
    }
}
