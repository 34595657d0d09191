//! Requests that a connection manager refuses by its own options, and a component takes.

use crate::node::{Node, Place};
use crate::read::Reader;

/// Says what it refuses, and passes over what changes nothing here.
pub(crate) fn report(reader: Reader<'_>, manager: &Node) {
    let says = |node: Option<&Node>, value: &str| node.and_then(Node::as_text) == Some(value);
    let unguarded = |place: Place, what: &str| {
        let what = format!("{what}, and a component takes");
        reader.report.unguarded(reader.object, place, what, "Refuse them in front of the component, or in a filter.");
    };
    let slashes = manager.peek("path_with_escaped_slashes_action");
    if let Some(node) = slashes.filter(|_| says(slashes, "REJECT_REQUEST")) {
        node.mark_all();
        unguarded(node.place(), "Envoy refuses paths with `%2F` or `%5C`");
    } else if says(slashes, "KEEP_UNCHANGED") || says(slashes, "IMPLEMENTATION_SPECIFIC_DEFAULT") {
        manager.pass(&["path_with_escaped_slashes_action"]);
    }
    if says(manager.peek("server_header_transformation"), "PASS_THROUGH") {
        manager.pass(&["server_header_transformation"]);
    }
    let Some(options) = manager.get("common_http_protocol_options") else { return };
    options.mark_all();
    let lost = |node: &Node, what: &str, remedy: &str| reader.report.lost(reader.object, node.place(), what, remedy);
    let action = options.peek("headers_with_underscores_action");
    match action.map(|node| (node, node.as_text().unwrap_or_default())) {
        Some((node, "REJECT_REQUEST")) => {
            unguarded(node.place(), "Envoy refuses requests with `_` in the name of a header")
        }
        Some((node, "DROP_HEADER")) => {
            let what = "headers with `_` in their names, which Envoy drops, come to filters and to the upstream";
            lost(node, what, "Drop them in front of the component, or in a filter: some servers take `_` for `-`.");
        }
        _ => {}
    }
    for (field, what, remedy) in OPTIONS {
        if let Some(node) = options.peek(field) {
            lost(node, what, remedy);
        }
    }
}

/// The other options, what becomes of them, and what to do.
const OPTIONS: [(&str, &str, &str); 5] = [
    ("idle_timeout", "its `idle_timeout` is not carried", "Give `serve` the time: `--idle-timeout TIME`."),
    (
        "max_connection_duration",
        "connections last as long as they are used, whatever `max_connection_duration` says",
        "Let what stands in front of the component end them.",
    ),
    (
        "max_headers_count",
        "requests have up to 100 headers, as in Envoy by default, whatever `max_headers_count` says",
        "Where fewer matter, refuse them in front of the component, or in a filter.",
    ),
    (
        "max_stream_duration",
        "requests may take as long as something goes on in them, whatever `max_stream_duration` says",
        "The `timeout` of a route limits what follows the last byte of a request.",
    ),
    (
        "max_requests_per_connection",
        "connections have as many requests as come, whatever `max_requests_per_connection` says",
        "Let what stands in front of the component end them.",
    ),
];
