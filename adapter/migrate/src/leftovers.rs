//! What nobody read: it goes into the report, as a known field that is left behind, or as an unknown one.

use std::collections::HashSet;

use crate::node::{Node, Place, is_field};
use crate::report::Report;

/// What is to be done about a field that is left behind, by its name; where its name says nothing, that is said.
const HINTS: &[(&str, &str)] = &[
    (
        "bootstrap_extensions",
        "A Wasm service that runs beside the requests is not carried; what it does in ticks, a filter can do.",
    ),
    ("access_log", "Give `serve` an access log: `--access-log FILE`, with `--access-log-format`."),
    ("admin", "Give `serve` an address for it: `--admin ADDRESS`."),
    ("cors", "Answer CORS in front of the component."),
    (
        "hash_policy",
        "A component asks the endpoints of a cluster in turn; put a balancer in front of them, if that matters.",
    ),
    ("health_checks", "Let the host, or the platform, check the upstream."),
    ("http_protocol_options", "See whether the host has the like."),
    ("listener_filters", "The host accepts the connections; see whether it has the like."),
    ("metadata", "A filter that reads it finds nothing: `[properties]` of the settings file can give it values."),
    ("rate_limits", "Limit in front of the component."),
    ("request_mirror_policies", "Mirror in front of the component."),
    ("tracing", "Trace in front of the component."),
    ("transport_socket", "Let `serve`, or what stands in front of it, end TLS."),
    (
        "typed_per_filter_config",
        "A filter that is off for some routes here runs for them in the component: make components of their own for those.",
    ),
    ("upgrade_configs", "`wasi:http` has no upgrades."),
    ("use_remote_address", "See `[property_headers]` for who tells the client's address."),
];

/// Writes all that was not read of this document into the report.
pub(crate) fn report(report: &Report, document: &Node) {
    if document.is_used() || document.message().is_some() {
        within(report, document, "the file");
    }
}

fn within(report: &Report, node: &Node, object: &str) {
    let named = node.message().zip(node.peek_text("name")).map(|(message, name)| format!("{message:?} `{name}`"));
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

fn unread(report: &Report, node: &Node, object: &str, key: &str, place: Place) {
    let Some(message) = node.message() else {
        report.lost(object, place, format!("`{key}` is not read"), "See whether anything depends on it.");
        return;
    };
    if message.fields().iter().any(|field| is_field(key, field)) {
        let hint = HINTS.iter().find(|(field, _)| is_field(key, field)).map(|(_, hint)| *hint);
        let remedy = hint.unwrap_or("See whether anything depends on it: the component does without.");
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
