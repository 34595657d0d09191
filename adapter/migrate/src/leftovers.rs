//! What nobody read: it goes into the report, as a known field that is left behind, or as an unknown one.

use std::collections::HashSet;

use crate::fields::Message;
use crate::hints;
use crate::node::{Node, Place, is_field};
use crate::report::Report;

/// Writes all that was not read of this document into the report.
pub(crate) fn report(report: &Report, document: &Node) {
    if document.is_used() || document.message().is_some() {
        within(report, document, "the file");
    }
}

fn within(report: &Report, node: &Node, object: &str) {
    let named = node.message().and_then(|message| named(message, node));
    let object = named.as_deref().unwrap_or(object);
    let mut seen = HashSet::new();
    for entry in node.entries() {
        if !seen.insert(entry.key.as_str()) {
            let what = format!("`{}` stands there more than once; the last counts, as in Envoy", entry.key);
            report.differs(object, entry.place, what, "Take the others out.");
        }
        if entry.node.is_used() || entry.node.message().is_some() {
            within(report, &entry.node, object);
        } else if entry.key != "@type" && !entry.node.is_null() {
            unread(report, node, object, &entry.key, entry.place);
        }
    }
    for item in node.items() {
        if item.is_used() || item.message().is_some() {
            within(report, item, object);
        } else {
            report.lost(object, item.place(), "it is not read", "See whether anything depends on it.");
        }
    }
}

/// What messages call the object of this message; nothing, where it is only a part of one.
fn named(message: Message, node: &Node) -> Option<String> {
    let word = match message {
        Message::HttpConnectionManager => return Some("the connection manager".into()),
        Message::Route if node.peek("name").is_none() => return Some("a route without a name".into()),
        Message::Filter => "network filter",
        Message::HttpFilter => "filter",
        Message::PluginConfig => "plugin",
        Message::Listener => "listener",
        Message::Cluster => "cluster",
        Message::Route => "route",
        Message::RouteConfiguration => "route configuration",
        Message::VirtualHost => "virtual host",
        _ => return None,
    };
    Some(format!("{word} `{}`", node.peek_text("name").unwrap_or_default()))
}

fn unread(report: &Report, node: &Node, object: &str, key: &str, place: Place) {
    let Some(message) = node.message() else {
        report.lost(object, place, format!("`{key}` is not read"), "See whether anything depends on it.");
        return;
    };
    if message.fields().iter().any(|field| is_field(key, field)) {
        let remedy = hints::of(key).unwrap_or("See whether anything depends on it: the component does without.");
        report.lost(object, place, format!("`{key}` is not carried"), remedy);
    } else {
        report.unknown(
            object,
            place,
            format!("`{key}` is no field of Envoy's {message:?}"),
            "Is it a slip? Envoy refuses it.",
        );
    }
}
