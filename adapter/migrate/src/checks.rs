//! What Envoy refuses, though each part of it can be read: it is said, so that nobody takes the component for proved.
//!
//! Source: the answers of Envoy 1.40 to `--mode validate`.

use std::collections::HashMap;

use crate::node::{Node, Place};
use crate::protobuf::base64;
use crate::read::{Reader, as_number};
use crate::report::Report;

/// Where the name of a header is said, in additions and removals of every level.
const ADDITIONS: [&str; 2] = ["request_headers_to_add", "response_headers_to_add"];
const REMOVALS: [&str; 2] = ["request_headers_to_remove", "response_headers_to_remove"];

/// Checks a connection manager, but for its routes.
pub(crate) fn manager(reader: Reader<'_>, node: &Node) {
    let differs = |place: Place, what: &str, remedy: &str| reader.report.differs(reader.object, place, what, remedy);
    if node.peek_text("stat_prefix").unwrap_or_default().is_empty() {
        differs(
            node.place(),
            "it has no `stat_prefix`, and Envoy 1.40 refuses it",
            "Give it one, such as `stat_prefix: http`.",
        );
    }
    let filters = node.peek("http_filters").map(Node::many).unwrap_or_default();
    for filter in filters.iter().filter(|filter| filter.peek_text("name").unwrap_or_default().is_empty()) {
        differs(filter.place(), "a filter has no name, and Envoy 1.40 refuses it", "Give it a `name`.");
    }
    let is_router = |filter: &&Node| {
        let config = filter.peek("typed_config");
        let is_typed = |config: &Node| {
            let url = config.peek_text("type_url").or_else(|| config.peek_text("@type")).unwrap_or_default();
            url.ends_with(".router.v3.Router")
        };
        config.map_or_else(
            || matches!(filter.peek_text("name"), Some("envoy.router" | "envoy.filters.http.router")),
            is_typed,
        )
    };
    match filters.iter().position(|filter| is_router(&filter)) {
        None => differs(
            node.place(),
            "no router is the last of its `http_filters`, and Envoy 1.40 refuses it",
            "Give it one: `{name: envoy.filters.http.router, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}`.",
        ),
        Some(at) if at + 1 < filters.len() => {
            let place = filters.get(at + 1).map_or(node.place(), Node::place);
            let what = "a filter stands behind the router, and Envoy refuses it";
            reader.report.wrong(reader.object, place, what, "Let the router be the last of the `http_filters`.");
        }
        Some(_) => {}
    }
}

/// Checks the names and domains of virtual hosts.
pub(crate) fn hosts(report: &Report, hosts: &[Node]) {
    let mut seen: HashMap<String, String> = HashMap::new();
    for host in hosts {
        let name = host.peek_text("name").unwrap_or_default();
        let object = format!("virtual host `{name}`");
        if name.is_empty() {
            report.differs(&object, host.place(), "it has no name, and Envoy refuses it", "Give it a `name`.");
        }
        let domains = host.peek("domains").map(Node::many).unwrap_or_default();
        if domains.is_empty() {
            let remedy = "Name them, or write `domains: [\"*\"]` for all.";
            report.wrong(&object, host.place(), "it has no `domains`; Envoy refuses it as it is", remedy);
        }
        for domain in domains {
            let Some(text) = domain.as_text() else { continue };
            if let Some(other) = seen.insert(text.to_ascii_lowercase(), name.to_owned()) {
                let what = format!("its domain `{text}` is also one of virtual host `{other}`; Envoy refuses both");
                report.wrong(&object, domain.place(), what, "Leave it to one of them.");
            }
        }
    }
}

/// Checks a route, but for what its match says.
pub(crate) fn route(reader: Reader<'_>, node: &Node) {
    let wrong = |place: Place, what: String, remedy: &str| reader.report.wrong(reader.object, place, what, remedy);
    let prefix = node.peek("match").and_then(|found| found.peek("path_separated_prefix"));
    if let Some((place, text)) = prefix.and_then(|prefix| Some((prefix.place(), prefix.as_text()?)))
        && (text.len() < 2 || text.ends_with('/') || text.contains(['?', '#']))
    {
        let what = format!("`{text}` is no `path_separated_prefix` to Envoy, which refuses it");
        wrong(place, what, "Write it without `/` at its end, and without `?` and `#`; for all paths, `prefix: /`.");
    }
    let actions = ["route", "redirect", "direct_response", "filter_action", "non_forwarding_action"];
    let said: Vec<&str> = actions.into_iter().filter(|action| node.peek(action).is_some()).collect();
    if said.is_empty() {
        let remedy = "Give it a `route`, a `redirect` or a `direct_response`.";
        wrong(node.place(), "it has no action; Envoy refuses it".into(), remedy);
    }
    if said.len() > 1 {
        let what = format!("it has both `{}`; Envoy refuses it", said.join("` and `"));
        wrong(node.place(), what, "Leave one.");
    }
    if let Some(action) = node.peek("route") {
        rewrites(reader, action, &["prefix_rewrite", "regex_rewrite", "path_rewrite_policy"]);
        if let Some(weighted) = action.peek("weighted_clusters") {
            let weight = |cluster: &Node| cluster.peek("weight").and_then(as_number).unwrap_or(0);
            let clusters = weighted.peek("clusters").map(Node::many).unwrap_or_default();
            if clusters.iter().map(weight).sum::<i64>() <= 0 {
                let remedy = "Give one a `weight`.";
                wrong(weighted.place(), "the weights of its clusters come to 0; Envoy refuses it".into(), remedy);
            }
        }
    }
    if let Some(redirect) = node.peek("redirect") {
        rewrites(reader, redirect, &["path_redirect", "prefix_rewrite", "regex_rewrite"]);
    }
    if let Some(answer) = node.peek("direct_response") {
        let status = answer.peek("status").map_or(Some(0), as_number);
        if status.is_some_and(|status| !(200..600).contains(&status)) {
            let what = "the `status` of its answer is none from 200 to 599; Envoy refuses it".into();
            wrong(answer.place(), what, "Write one of these.");
        }
    }
}

/// Checks the size of a body that a route answers with.
pub(crate) fn answer_body(reader: Reader<'_>, node: &Node, most: i64) {
    let Some(body) = node.peek("direct_response").and_then(|answer| answer.peek("body")) else { return };
    let bytes = body.peek_text("inline_bytes").and_then(base64).map(|bytes| bytes.len());
    let size = body.peek_text("inline_string").map(str::len).or(bytes).unwrap_or(0);
    if i64::try_from(size).is_ok_and(|size| size > most) {
        let what = format!("the body of its answer has {size} bytes; Envoy refuses more than {most}");
        let remedy = "Shorten it, or raise `max_direct_response_body_size_bytes` of the route configuration.";
        reader.report.wrong(reader.object, body.place(), what, remedy);
    }
}

fn rewrites(reader: Reader<'_>, node: &Node, fields: &[&str]) {
    let said: Vec<&str> = fields.iter().copied().filter(|field| node.peek(field).is_some()).collect();
    if said.len() > 1 {
        let what = format!("it has both `{}`; Envoy refuses it", said.join("` and `"));
        reader.report.wrong(reader.object, node.place(), what, "Leave one.");
    }
}

/// Checks the names of headers that are added and removed.
pub(crate) fn header_names(reader: Reader<'_>, node: &Node) {
    let listed = |field: &&str| node.peek(field).map(Node::many).unwrap_or_default();
    let added = ADDITIONS.iter().flat_map(listed).filter_map(|option| option.peek("header"));
    let added = added.map(|header| (header.place(), header.peek_text("key").unwrap_or_default()));
    let removed = REMOVALS.iter().flat_map(listed).map(|name| (name.place(), name.as_text().unwrap_or_default()));
    for (place, name) in added.chain(removed) {
        let (what, remedy) = match name {
            "" => ("a header without a name is added or removed; Envoy refuses it".into(), "Name it."),
            name if name.starts_with(':') || name.eq_ignore_ascii_case("host") => (
                format!("`{name}` is added or removed, which Envoy refuses"),
                "Change it by a rewrite: `host_rewrite_literal`, `prefix_rewrite`.",
            ),
            _ => continue,
        };
        reader.report.wrong(reader.object, place, what, remedy);
    }
}
