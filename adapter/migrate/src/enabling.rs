//! Which filters run for which routes: `disabled` in the chain, and `typed_per_filter_config` of routes, virtual hosts and tables.

use toml::Value as Toml;

use crate::any;
use crate::cors::Cors;
use crate::fields::Message;
use crate::node::Node;
use crate::plugin::Plugin;
use crate::read::Reader;
use crate::section::Section;

/// The type that says of a filter whether it runs.
const FILTER_CONFIG: &str = "envoy.config.route.v3.FilterConfig";

/// The filters of a chain.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    /// For each Wasm filter the name by which routes know it, and the settings' name for its plugin.
    wasm: Vec<(String, String)>,
    pub(crate) cors: Cors,
}

impl Filters {
    /// Those of these plugins, and that for CORS. Where a plugin's name is another's too, or none, its number is its name.
    pub(crate) fn of(plugins: &[Plugin], cors: Cors) -> Self {
        let key = |(index, plugin): (usize, &Plugin)| {
            let same = plugins.iter().filter(|other| other.name == plugin.name).count();
            match plugin.name.as_str() {
                "" => (index + 1).to_string(),
                name if same == 1 => name.to_owned(),
                _ => (index + 1).to_string(),
            }
        };
        let wasm = plugins.iter().enumerate().map(|one| (one.1.filter_name.clone(), key(one))).collect();
        Self { wasm, cors }
    }

    /// What the settings call the plugin at this place of the chain.
    pub(crate) fn key(&self, index: usize) -> &str {
        self.wasm.get(index).map_or("", |(_, key)| key)
    }

    /// Reads which of them run here, into the section.
    pub(crate) fn read(&self, reader: Reader<'_>, node: &Node, section: &mut Section) {
        let Some(configs) = node.peek("typed_per_filter_config") else { return };
        let mut states = toml::Table::new();
        for entry in configs.entries() {
            let keys: Vec<&String> =
                self.wasm.iter().filter(|(name, _)| *name == entry.key).map(|(_, key)| key).collect();
            // That for CORS is read elsewhere; those of others are left to the report of what was not read.
            if keys.is_empty() {
                continue;
            }
            node.get("typed_per_filter_config");
            if let Some(runs) = said(reader, &entry.key, &entry.node) {
                states.extend(keys.into_iter().map(|key| (key.clone(), Toml::Boolean(runs))));
            }
        }
        if !states.is_empty() {
            section.set("plugins", states);
        }
    }
}

/// Whether this says that a Wasm filter runs.
fn said(reader: Reader<'_>, name: &str, node: &Node) -> Option<bool> {
    let wrong = |what: &str, remedy: &str| {
        node.mark_all();
        reader.report.wrong(reader.object, node.place(), format!("the filter `{name}` {what}"), remedy);
        None
    };
    let remedy = "Write `disabled: true`, or `config: {}`, with `\"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig`.";
    match any::content(node) {
        Some((FILTER_CONFIG, content)) => {
            content.of(Message::FilterConfig).pass(&["@type", "is_optional"]);
            if reader.boolean(content, "disabled") == Some(true) {
                content.pass(&["config"]);
                return Some(false);
            }
            match content.get("config") {
                Some(config) if config.entries().is_empty() => Some(true),
                Some(_) => {
                    wrong("has a configuration for a route, which a Wasm filter has not; Envoy refuses it", remedy)
                }
                None => wrong("has a `FilterConfig` here that says nothing; Envoy refuses it", remedy),
            }
        }
        Some(_) => wrong("has a configuration for a route, which a Wasm filter has not; Envoy refuses it", remedy),
        None => wrong("has a `typed_per_filter_config` without an `@type` that Envoy reads", remedy),
    }
}

/// Whether any level of a table names this filter.
pub(crate) fn is_named(table: &Node, name: &str) -> bool {
    let names = |node: &Node| {
        let configs = node.peek("typed_per_filter_config").map(Node::entries).unwrap_or_default();
        configs.iter().any(|entry| entry.key == name)
    };
    let list =
        |node: &Node, field: &str| -> Vec<Node> { node.peek(field).map(Node::many).unwrap_or_default().to_vec() };
    names(table)
        || list(table, "virtual_hosts").iter().any(|host| names(host) || list(host, "routes").iter().any(names))
}
