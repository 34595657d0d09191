//! Virtual hosts and routes, as sections of the settings file.

use toml::Value as Toml;

use crate::actions::{self, Targets};
use crate::checks;
use crate::enabling::Filters;
use crate::fields::Message;
use crate::header_changes;
use crate::matching;
use crate::metadata;
use crate::node::Node;
use crate::read::Reader;
use crate::report::Report;
use crate::retries;
use crate::section::{Section, table};

/// The sections of a route configuration. One route for everything has the short form.
pub(crate) fn read(report: &Report, node: &Node, targets: &Targets<'_>, filters: &Filters) -> Vec<Section> {
    let name = node.get("name").and_then(Node::as_text).unwrap_or_default();
    let object = format!("route configuration `{name}`");
    let reader = Reader { report, object: &object };
    node.of(Message::RouteConfiguration);
    node.pass(&["validate_clusters"]);
    let mut sections = Vec::new();
    let mut table = Section::new("[routes]", node.place());
    if reader.boolean(node, "most_specific_header_mutations_wins") == Some(true) {
        table.set("most_specific_header_mutations_wins", true);
    }
    if reader.boolean(node, "ignore_port_in_host_matching") == Some(true) {
        table.set("ignore_port", true);
    }
    header_changes::read(reader, node, &mut table);
    filters.read(reader, node, &mut table);
    filters.cors.read(reader, node, &mut table);
    filters.cors.place(&mut table);
    let is_plain_table = table.keys.is_empty();
    if !is_plain_table {
        sections.push(table);
    }
    let hosts = reader.list(node, "virtual_hosts");
    checks::hosts(report, hosts);
    if hosts.is_empty() && node.peek("vhds").is_none() {
        let what = "it has no virtual host: all requests are answered 404, as in Envoy";
        report.differs(&object, node.place(), what, "Give it one, with routes, if requests are to go anywhere.");
        let mut none = Section::new("[[virtual_host]]", node.place());
        none.set("name", "none");
        none.set("domains", vec!["*"]);
        sections.push(none);
    }
    for host in hosts {
        virtual_host(report, host, &From { table: node, targets, filters }, &mut sections);
    }
    shorten(&mut sections);
    sections
}

/// One virtual host for all domains with one route for all paths needs no words for them.
fn shorten(sections: &mut Vec<Section>) {
    let [host, route] = sections.as_slice() else { return };
    let everything = Toml::Array(vec!["*".into()]);
    let is_all = host.keys.iter().all(|(key, value)| key == "name" || (key == "domains" && *value == everything));
    let root = table_of_all();
    let is_simple = |(key, value): &(String, Toml)| match key.as_str() {
        "match" => *value == root,
        // One with a `location` needs its route.
        "direct_response" => {
            let status = value.get("status").or(Some(value)).and_then(Toml::as_integer).unwrap_or_default();
            status != 201 && !(300..400).contains(&status)
        }
        "cluster" | "timeout" => true,
        _ => false,
    };
    if host.head != "[[virtual_host]]" || !is_all || !route.keys.iter().all(is_simple) {
        return;
    }
    let mut route = route.clone();
    route.head = "[[route]]".into();
    route.keys.retain(|(key, _)| key != "match");
    *sections = vec![route];
}

/// What a virtual host is read with.
struct From<'a> {
    table: &'a Node,
    targets: &'a Targets<'a>,
    filters: &'a Filters,
}

fn virtual_host(report: &Report, node: &Node, from: &From<'_>, sections: &mut Vec<Section>) {
    let From { table, targets, filters } = *from;
    node.of(Message::VirtualHost);
    let name = node.get("name").and_then(Node::as_text).unwrap_or_default().to_owned();
    let object = format!("virtual host `{name}`");
    let reader = Reader { report, object: &object };
    let mut section = Section::new("[[virtual_host]]", node.place());
    section.set("name", name.as_str());
    let (domains, never): (Vec<String>, Vec<String>) =
        reader.texts(node, "domains").into_iter().partition(|domain| is_domain(domain));
    for domain in &never {
        let what = format!("its domain `{domain}` is that of no request, and left out");
        report.differs(&object, node.place(), what, "Is it a slip? A `*` stands at one end.");
    }
    if domains.is_empty() && !never.is_empty() {
        node.mark_all();
        return;
    }
    section.set("domains", domains);
    header_changes::read(reader, node, &mut section);
    filters.read(reader, node, &mut section);
    filters.cors.read(reader, node, &mut section);
    let cors = filters.cors.old_of_host(reader, table, node);
    metadata::read(reader, node, &mut section);
    retries::read(reader, node, &mut section);
    for key in ["include_request_attempt_count", "include_attempt_count_in_response"] {
        if reader.boolean(node, key) == Some(true) {
            section.set(key, true);
        }
    }
    sections.push(section);
    report.carried(&object, node.place(), "a virtual host");
    let requires_tls = reader.choice(node, "require_tls", &["NONE", "EXTERNAL_ONLY", "ALL"]);
    if requires_tls.is_some_and(|requires| requires > 0) {
        report.lost(
            &object,
            node.place(),
            "`require_tls` redirects to https; the component does not",
            "Let what ends TLS redirect.",
        );
    }
    if let Some(matcher) = node.peek("matcher") {
        matcher.mark_all();
        let what = "its requests are answered 503: it chooses routes by a `matcher`";
        report.lost(&object, matcher.place(), what, "Write them as `routes`.");
        let mut all = Section::new("[[virtual_host.route]]", matcher.place());
        all.set("match", table_of_all());
        sections.push(refusing(all));
    }
    let most = reader.number(table, "max_direct_response_body_size_bytes").unwrap_or(ENVOYS_MOST_BODY);
    for (index, route_node) in reader.list(node, "routes").iter().enumerate() {
        let label = route_node.peek_text("name").map_or_else(|| (index + 1).to_string(), |name| format!("`{name}`"));
        let object = format!("route {label} of virtual host `{name}`");
        let reader = Reader { report, object: &object };
        checks::answer_body(reader, route_node, most);
        let Some(mut section) = route(reader, route_node, targets, filters) else { continue };
        if let Some(action) = route_node.peek("route") {
            let levels = [table, node, route_node];
            let old = filters.cors.old_of_route(reader, levels, action, cors.as_ref());
            if let Some(policy) = old.filter(|_| !section.has("direct_response")) {
                section.set("cors", policy);
            }
        }
        sections.push(section);
    }
}

/// Whether a host can have it: Envoy takes any text, and one star at one end for a wildcard.
fn is_domain(text: &str) -> bool {
    let inner = text.strip_prefix('*').or_else(|| text.strip_suffix('*')).unwrap_or(text);
    !text.is_empty() && !inner.contains('*')
}

fn route(reader: Reader<'_>, node: &Node, targets: &Targets<'_>, filters: &Filters) -> Option<Section> {
    let (report, object) = (reader.report, reader.object);
    node.of(Message::Route);
    node.pass(&["decorator", "stat_prefix", "tracing"]);
    checks::route(reader, node);
    if let Some(why) = node.peek("match").and_then(matching::is_for_none) {
        node.mark_all();
        report.differs(
            object,
            node.place(),
            format!("it is left out, as Envoy never takes it: {why}"),
            "Is it a slip?",
        );
        return None;
    }
    let mut section = Section::new("[[virtual_host.route]]", node.place());
    section.set_text("name", &reader.text(node, "name").unwrap_or_default());
    match node.get("match") {
        Some(found) => match matching::read(reader, found) {
            Ok(value) => section.set("match", value),
            Err(unsayable) => {
                let (remedy, field) =
                    ("Say it in another way, or keep this route in front of the component.", unsayable.field);
                // What the route would have done is lost with it.
                node.mark_all_but(found);
                let Some(wider) = matching::wider(found) else {
                    let what = format!("the route is left out: its match has `{field}`");
                    report.lost(object, found.place(), what, remedy);
                    return None;
                };
                let what = format!(
                    "all requests that come to it with such a path are answered 503, those of routes behind it too: its match has `{field}`"
                );
                report.lost(object, found.place(), what, remedy);
                section.set("match", wider);
                return Some(refusing(section));
            }
        },
        None => report.wrong(object, node.place(), "it has no `match`", "Give it one; Envoy refuses it as it is."),
    }
    if let Some(action) = node.get("route") {
        actions::forward(reader, action, targets, filters, &mut section);
    } else if let Some(redirect) = node.get("redirect") {
        section.set("redirect", actions::redirect(reader, redirect));
    } else if let Some(direct) = node.get("direct_response") {
        section.set("direct_response", actions::answer(reader, direct).toml());
    } else {
        let what = "its requests are answered 503: it neither forwards, nor redirects, nor answers";
        report.lost(object, node.place(), what, "Keep it in front of the component.");
        node.mark_all();
        return Some(refusing(section));
    }
    header_changes::read(reader, node, &mut section);
    filters.read(reader, node, &mut section);
    // A route that answers by itself has no policy, in Envoy neither.
    let policy = filters.cors.policy(reader, node);
    if let Some(policy) = policy.filter(|_| !section.has("direct_response") && !section.has("redirect")) {
        section.set("cors", policy);
    }
    metadata::read(reader, node, &mut section);
    report.carried(object, node.place(), "a route");
    Some(section)
}

/// Bytes of a direct response's body. Source: Envoy's `max_direct_response_body_size_bytes`.
const ENVOYS_MOST_BODY: i64 = 4096;

fn table_of_all() -> Toml {
    table([("prefix", Some("/".into()))])
}

/// A route of which something is not known that decides: the routes behind it may let through what it refuses.
fn refusing(mut section: Section) -> Section {
    section.set("direct_response", Toml::from(503));
    section
}
