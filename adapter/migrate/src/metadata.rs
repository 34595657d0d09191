//! Metadata of routes, virtual hosts, clusters and listeners, which filters read as properties.

use toml::Value as Toml;

use crate::fields::Message;
use crate::node::{Node, Value};
use crate::read::Reader;
use crate::section::Section;

/// Reads `metadata` into the section's key of that name.
pub(crate) fn read(reader: Reader<'_>, node: &Node, section: &mut Section) {
    let namespaces = filter_metadata(reader, node);
    if !namespaces.is_empty() {
        section.set("metadata", namespaces);
    }
}

/// The namespaces of `filter_metadata`, each a table.
fn filter_metadata(reader: Reader<'_>, node: &Node) -> toml::Table {
    let Some(metadata) = node.get("metadata").map(|metadata| metadata.of(Message::Metadata)) else {
        return toml::Table::new();
    };
    let Some(namespaces) = metadata.get("filter_metadata") else { return toml::Table::new() };
    namespaces.mark_all();
    let one = |entry: &crate::node::Entry| {
        let value = value(reader, &entry.node).filter(Toml::is_table);
        if value.is_none() {
            let what = format!("the metadata of `{}` is no table", entry.key);
            reader.report.wrong(reader.object, entry.place, what, "Write a table; Envoy refuses anything else.");
        }
        Some((entry.key.clone(), value?))
    };
    namespaces.entries().iter().filter_map(one).collect()
}

/// A value for the settings file, which knows no null.
fn value(reader: Reader<'_>, node: &Node) -> Option<Toml> {
    match node.value() {
        Value::Null => {
            let remedy = "A filter that reads it finds nothing there, as it would read nothing.";
            reader.report.differs(reader.object, node.place(), "a null in metadata is left out", remedy);
            None
        }
        Value::Bool(is) => Some((*is).into()),
        Value::Int(number) => Some((*number).into()),
        Value::Float(number) => Some((*number).into()),
        Value::Text(text) => Some(text.as_str().into()),
        Value::List(items) => Some(Toml::Array(items.iter().filter_map(|item| value(reader, item)).collect())),
        Value::Map(entries) => {
            let one = |entry: &crate::node::Entry| Some((entry.key.clone(), value(reader, &entry.node)?));
            Some(Toml::Table(entries.iter().filter_map(one).collect()))
        }
    }
}

/// The listener's metadata and direction, which are properties with one value for all requests.
pub(crate) fn properties(reader: Reader<'_>, listener: &Node, top: &mut Section) {
    let mut properties = toml::Table::new();
    let direction = reader.choice(listener, "traffic_direction", &["UNSPECIFIED", "INBOUND", "OUTBOUND"]).unwrap_or(0);
    if direction > 0 {
        properties.insert("xds.listener_direction".into(), i64::try_from(direction).unwrap_or(0).into());
    }
    let metadata = filter_metadata(reader, listener);
    let is_there = !metadata.is_empty();
    for (namespace, fields) in metadata {
        flatten(&format!("xds.listener_metadata.filter_metadata.{}", segment(&namespace)), fields, &mut properties);
    }
    if is_there {
        let what = "its metadata is there value by value: a filter that reads a table or a list of it, or the whole, finds nothing";
        reader.report.differs(reader.object, listener.place(), what, "");
    }
    if !properties.is_empty() {
        top.set("properties", properties);
    }
}

fn flatten(path: &str, value: Toml, properties: &mut toml::Table) {
    match value {
        Toml::Table(table) => {
            for (key, value) in table {
                flatten(&format!("{path}.{}", segment(&key)), value, properties);
            }
        }
        Toml::Array(_) => {}
        // Numbers of metadata are doubles.
        #[allow(clippy::cast_precision_loss, reason = "numbers of metadata are doubles")]
        Toml::Integer(number) => {
            properties.insert(path.into(), (number as f64).into());
        }
        value => {
            properties.insert(path.into(), value);
        }
    }
}

/// A segment of a path as the settings file writes it.
fn segment(name: &str) -> String {
    name.replace('\\', "\\\\").replace('.', "\\.")
}
