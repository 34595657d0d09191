//! Requests that a connection manager refuses by its own options, and a component takes.

use crate::hints;
use crate::node::{Node, Place};
use crate::read::Reader;

/// Says what it refuses, and passes over what changes nothing here.
pub(crate) fn report(reader: Reader<'_>, manager: &Node) {
    let lost = |place: Place, what: &str, remedy: &str| reader.report.lost(reader.object, place, what, remedy);
    let unguarded = |place: Place, what: &str| {
        let what = format!("{what}, and a component takes");
        reader.report.unguarded(reader.object, place, what, "Refuse them in front of the component, or in a filter.");
    };
    let place_in = |node: &Node, field: &str| node.peek(field).map_or(node.place(), Node::place);
    match reader.choice(manager, SLASHES, &SLASHES_ACTIONS).and_then(|action| SLASHES_ACTIONS.get(action)) {
        Some(&"REJECT_REQUEST") => unguarded(place_in(manager, SLASHES), "Envoy refuses paths with `%2F` or `%5C`"),
        Some(action) if action.starts_with("UNESCAPE") => {
            let what = format!("`{SLASHES}` is not carried");
            lost(place_in(manager, SLASHES), &what, hints::of(SLASHES).unwrap_or_default());
        }
        _ => {}
    }
    if manager.peek_text("server_header_transformation") == Some("PASS_THROUGH") {
        manager.pass(&["server_header_transformation"]);
    }
    let Some(options) = manager.get("common_http_protocol_options") else { return };
    match reader.choice(options, UNDERSCORES, &UNDERSCORES_ACTIONS).and_then(|action| UNDERSCORES_ACTIONS.get(action)) {
        Some(&"REJECT_REQUEST") => {
            unguarded(place_in(options, UNDERSCORES), "Envoy refuses requests with `_` in the name of a header");
        }
        Some(&"DROP_HEADER") => {
            let what = "headers with `_` in their names, which Envoy drops, come to filters and to the upstream";
            let remedy = "Drop them in front of the component, or in a filter: some servers take `_` for `-`.";
            lost(place_in(options, UNDERSCORES), what, remedy);
        }
        _ => {}
    }
    for (field, what, remedy) in OPTIONS {
        if let Some(node) = options.peek(field) {
            node.mark_all();
            lost(node.place(), what, remedy);
        }
    }
}

const SLASHES: &str = "path_with_escaped_slashes_action";
const SLASHES_ACTIONS: [&str; 5] = [
    "IMPLEMENTATION_SPECIFIC_DEFAULT",
    "KEEP_UNCHANGED",
    "REJECT_REQUEST",
    "UNESCAPE_AND_REDIRECT",
    "UNESCAPE_AND_FORWARD",
];

const UNDERSCORES: &str = "headers_with_underscores_action";
const UNDERSCORES_ACTIONS: [&str; 3] = ["ALLOW", "REJECT_REQUEST", "DROP_HEADER"];

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
