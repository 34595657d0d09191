//! Virtual hosts and routes, as sections of the settings file.

use std::collections::HashMap;

use toml::Value as Toml;

use crate::checks;
use crate::clusters::Known;
use crate::enabling::Filters;
use crate::fields::Message;
use crate::formatter::{self, Obstacle};
use crate::matching;
use crate::metadata;
use crate::node::{Node, Place};
use crate::read::Reader;
use crate::report::Report;
use crate::retries;
use crate::section::{Section, table};

/// What routes lead to.
pub(crate) struct Targets<'a> {
    pub(crate) clusters: &'a [Known],
    /// The answer of a listener of the same input, by the cluster that leads to it.
    pub(crate) answers: &'a HashMap<String, Answer>,
    /// Those listeners, which are done with.
    pub(crate) folded: &'a [Place],
    by_name: HashMap<&'a str, &'a Known>,
}

impl<'a> Targets<'a> {
    pub(crate) fn new(clusters: &'a [Known], answers: &'a HashMap<String, Answer>, folded: &'a [Place]) -> Self {
        Self { clusters, answers, folded, by_name: clusters.iter().map(|known| (known.name(), known)).collect() }
    }
}

/// What a route answers by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: i64,
    pub(crate) body: String,
}

impl Answer {
    fn toml(&self) -> Toml {
        table([
            ("status", Some(self.status.into())),
            ("body", (!self.body.is_empty()).then(|| self.body.clone().into())),
        ])
    }
}

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
    changes(reader, node, &mut table);
    filters.read(reader, node, &mut table);
    filters.cors.read(reader, node, &mut table);
    filters.cors.place(&mut table);
    let is_plain_table = table.keys.is_empty();
    if !is_plain_table {
        sections.push(table);
    }
    let hosts = reader.list(node, "virtual_hosts");
    checks::hosts(report, hosts);
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
    let root = table([("prefix", Some("/".into()))]);
    let is_simple = |(key, value): &(String, Toml)| match key.as_str() {
        "match" => *value == root,
        "cluster" | "direct_response" | "timeout" => true,
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
    changes(reader, node, &mut section);
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
    for (index, route_node) in reader.list(node, "routes").iter().enumerate() {
        let label = route_node.peek_text("name").map_or_else(|| (index + 1).to_string(), |name| format!("`{name}`"));
        let object = format!("route {label} of virtual host `{name}`");
        let reader = Reader { report, object: &object };
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
    let mut section = Section::new("[[virtual_host.route]]", node.place());
    section.set_text("name", &reader.text(node, "name").unwrap_or_default());
    let left_out = |place: Place, what: String, remedy: &str| {
        report.lost(object, place, what, remedy);
        // What the route would have done is left out with it.
        node.mark_all();
        None
    };
    match node.get("match") {
        Some(found) => match matching::read(reader, found) {
            Ok(value) => section.set("match", value),
            Err(unsayable) => {
                let what = format!(
                    "the route is left out, and its requests go to the routes behind it: its match has `{}`",
                    unsayable.field
                );
                return left_out(
                    found.place(),
                    what,
                    "Say it in another way, or keep this route in front of the component.",
                );
            }
        },
        None => report.wrong(object, node.place(), "it has no `match`", "Give it one; Envoy refuses it as it is."),
    }
    if let Some(action) = node.get("route") {
        forward(reader, action, targets, filters, &mut section);
    } else if let Some(redirect) = node.get("redirect") {
        section.set("redirect", self::redirect(reader, redirect));
    } else if let Some(direct) = node.get("direct_response") {
        section.set("direct_response", answer(reader, direct).toml());
    } else {
        let what = "the route is left out: it neither forwards, nor redirects, nor answers".to_owned();
        return left_out(node.place(), what, "Keep it in front of the component.");
    }
    changes(reader, node, &mut section);
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

/// What a direct response answers.
pub(crate) fn answer(reader: Reader<'_>, node: &Node) -> Answer {
    node.of(Message::DirectResponseAction);
    let status = reader.number(node, "status").unwrap_or(200);
    let mut body = String::new();
    if let Some(source) = node.get("body") {
        source.of(Message::DataSource);
        if let Some(text) = reader.text(source, "inline_string") {
            body = text;
        } else if let Some(text) = reader.text(source, "inline_bytes") {
            match crate::any::decode(&text).map(String::from_utf8) {
                Some(Ok(text)) => body = text,
                _ => reader.report.lost(
                    reader.object,
                    source.place(),
                    "the body of its answer is no text",
                    "Answer with text.",
                ),
            }
        } else {
            source.mark_all();
            reader.report.lost(
                reader.object,
                source.place(),
                "the body of its answer is not in the configuration",
                "Write it as `inline_string`.",
            );
        }
    }
    Answer { status, body }
}

fn target(reader: Reader<'_>, node: &Node, name: &str, targets: &Targets<'_>) -> bool {
    match targets.by_name.get(name) {
        Some(Known::Cluster(_)) => true,
        Some(Known::Without { .. }) => {
            let remedy = "Write its address into the settings file.";
            reader.report.wrong(
                reader.object,
                node.place(),
                format!("it leads to the cluster `{name}`, which has no address here"),
                remedy,
            );
            false
        }
        None => {
            let remedy = "Give the file that has the cluster, too.";
            reader.report.wrong(
                reader.object,
                node.place(),
                format!("it leads to the cluster `{name}`, which is not in the input"),
                remedy,
            );
            false
        }
    }
}

fn forward(reader: Reader<'_>, node: &Node, targets: &Targets<'_>, filters: &Filters, section: &mut Section) {
    node.of(Message::RouteAction);
    if let Some(cluster) = reader.text(node, "cluster") {
        if let Some(answer) = targets.answers.get(&cluster) {
            reader.report.differs(
                reader.object,
                node.place(),
                format!("the cluster `{cluster}` is another listener of the input: its answer became the route's"),
                "",
            );
            section.set("direct_response", answer.toml());
            // How to reach what is not reached has no meaning.
            node.mark_all();
            return;
        }
        target(reader, node, &cluster, targets);
        section.set("cluster", cluster);
    } else if let Some(weighted) = node.get("weighted_clusters") {
        section.set("weighted_clusters", self::weighted(reader, weighted, targets, filters));
    } else if let Some(header) = reader.text(node, "cluster_header") {
        section.set("cluster_header", header);
    } else {
        reader.report.lost(
            reader.object,
            node.place(),
            "how it finds its cluster is not known here",
            "Name a `cluster`.",
        );
    }
    if let Some(timeout) = reader.duration(node, "timeout") {
        section.set("timeout", i64::try_from(timeout).unwrap_or(i64::MAX));
    }
    let grpc = reader.duration(node, "max_grpc_timeout");
    let stream = node.get("max_stream_duration").map(|duration| duration.of(Message::MaxStreamDuration));
    let grpc = grpc.or_else(|| stream.and_then(|duration| reader.duration(duration, "grpc_timeout_header_max")));
    if let Some(grpc) = grpc {
        section.set("max_grpc_timeout", i64::try_from(grpc).unwrap_or(i64::MAX));
    }
    if let Some(prefix) = reader.text(node, "prefix_rewrite") {
        section.set("prefix_rewrite", prefix);
    }
    if let Some(regex) = node.get("regex_rewrite").and_then(|regex| substitution(reader, regex)) {
        section.set("regex_rewrite", regex);
    }
    if let Some(host) = reader.text(node, "host_rewrite_literal") {
        section.set("host_rewrite", host);
    }
    if let Some(header) = reader.text(node, "host_rewrite_header") {
        section.set("host_rewrite", table([("header", Some(header.into()))]));
    }
    if let Some(regex) = node.get("host_rewrite_path_regex").and_then(|regex| substitution(reader, regex)) {
        section.set("host_rewrite", regex);
    }
    if reader.boolean(node, "auto_host_rewrite") == Some(true) {
        let what = "`auto_host_rewrite` sends the endpoint's name as `host`: so does the component, everywhere but in a `serve` that says otherwise";
        reader.report.differs(reader.object, node.place(), what, "");
    }
    retries::read(reader, node, section);
    let codes = ["SERVICE_UNAVAILABLE", "NOT_FOUND", "INTERNAL_SERVER_ERROR"];
    if let Some(code) = reader.choice(node, "cluster_not_found_response_code", &codes) {
        section.set("cluster_not_found", [503_i64, 404, 500].get(code).copied().unwrap_or(503));
    }
}

fn weighted(reader: Reader<'_>, node: &Node, targets: &Targets<'_>, filters: &Filters) -> Toml {
    node.of(Message::WeightedCluster).pass(&["total_weight", "runtime_key_prefix"]);
    let items = reader.list(node, "clusters").iter().map(|item| {
        item.of(Message::ClusterWeight);
        let name = reader.text(item, "name").unwrap_or_default();
        target(reader, item, &name, targets);
        let mut section = Section::new("", item.place());
        section.set("cluster", name);
        section.set("weight", reader.number(item, "weight").unwrap_or(0));
        if let Some(host) = reader.text(item, "host_rewrite_literal") {
            section.set("host_rewrite", host);
        }
        changes(reader, item, &mut section);
        filters.cors.read(reader, item, &mut section);
        Toml::Table(section.keys.into_iter().collect())
    });
    Toml::Array(items.collect())
}

fn redirect(reader: Reader<'_>, node: &Node) -> Toml {
    node.of(Message::RedirectAction);
    let statuses = [301_i64, 302, 303, 307, 308];
    let names = ["MOVED_PERMANENTLY", "FOUND", "SEE_OTHER", "TEMPORARY_REDIRECT", "PERMANENT_REDIRECT"];
    let status = reader.choice(node, "response_code", &names).and_then(|choice| statuses.get(choice));
    let text = |field: &str| reader.text(node, field).map(Toml::from);
    let scheme = if reader.boolean(node, "https_redirect") == Some(true) {
        Some("https".into())
    } else {
        text("scheme_redirect")
    };
    let port = reader.number(node, "port_redirect").filter(|port| *port > 0);
    if port.is_some_and(|port| u16::try_from(port).is_err()) {
        let remedy = "Write a number up to 65535; Envoy sends clients there as it stands.";
        reader.report.wrong(reader.object, node.place(), "`port_redirect` is no port", remedy);
    }
    table([
        ("path", text("path_redirect")),
        ("prefix", text("prefix_rewrite")),
        ("regex", node.get("regex_rewrite").and_then(|regex| substitution(reader, regex))),
        ("host", text("host_redirect")),
        ("port", port.map(Toml::from)),
        ("scheme", scheme),
        ("status", status.filter(|status| **status != 301).map(|status| (*status).into())),
        ("strip_query", reader.boolean(node, "strip_query").filter(|is| *is).map(Toml::from)),
    ])
}

fn substitution(reader: Reader<'_>, node: &Node) -> Option<Toml> {
    node.of(Message::RegexMatchAndSubstitute);
    let substitution = reader.text(node, "substitution").unwrap_or_default();
    let Some(pattern) = node.get("pattern") else {
        reader.report.wrong(
            reader.object,
            node.place(),
            "its rewrite has no `pattern`; Envoy refuses it",
            "Give it one.",
        );
        return None;
    };
    match matching::expression(reader, pattern) {
        Ok(regex) => Some(table([("regex", Some(regex.into())), ("substitution", Some(substitution.into()))])),
        Err(unsayable) => {
            let what = format!("what its requests go on with is not changed: the rewrite has `{}`", unsayable.field);
            reader.report.lost(reader.object, node.place(), what, "Write the expression in another way.");
            None
        }
    }
}

/// The additions and removals of headers that stand on every level.
fn changes(reader: Reader<'_>, node: &Node, section: &mut Section) {
    checks::header_names(reader, node);
    for (key, add, remove) in [
        ("request_headers", "request_headers_to_add", "request_headers_to_remove"),
        ("response_headers", "response_headers_to_add", "response_headers_to_remove"),
    ] {
        let added: Vec<Toml> = reader.list(node, add).iter().filter_map(|option| addition(reader, option)).collect();
        let removed = reader.texts(node, remove);
        if !added.is_empty() || !removed.is_empty() {
            let added = (!added.is_empty()).then_some(Toml::Array(added));
            let removed = (!removed.is_empty()).then(|| removed.into());
            section.set(key, table([("add", added), ("remove", removed)]));
        }
    }
}

fn addition(reader: Reader<'_>, node: &Node) -> Option<Toml> {
    node.of(Message::HeaderValueOption);
    let header = node.get("header").map(|header| header.of(Message::HeaderValue));
    if let Some(obstacle) = header.and_then(|header| formatter::obstacle(header.peek_text("value")?)) {
        let name = header.and_then(|header| header.peek_text("key")).unwrap_or_default();
        match obstacle {
            Obstacle::Malformed => reader.report.wrong(
                reader.object,
                node.place(),
                format!("the value of the header `{name}` has a percent sign that begins no command; Envoy refuses it"),
                "Write `%%` for a percent sign.",
            ),
            Obstacle::Unknown(command) => reader.report.lost(
                reader.object,
                node.place(),
                format!("the header `{name}` is not added: a component does not know `%{command}%`"),
                "Let a filter add it, or what stands in front of the component or behind it.",
            ),
        }
        node.mark_all();
        return None;
    }
    let text = |field: &str| header.and_then(|header| reader.text(header, field)).map(Toml::from);
    let names = ["APPEND_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT", "OVERWRITE_IF_EXISTS_OR_ADD", "OVERWRITE_IF_EXISTS"];
    let actions = ["append", "add_if_absent", "overwrite", "overwrite_if_present"];
    let chosen = reader.choice(node, "append_action", &names);
    // The field before it, which counts where it is said.
    let append = reader.boolean(node, "append").map(|append| if append { 0 } else { 2 });
    let action = append.or(chosen).filter(|action| *action > 0).and_then(|action| actions.get(action));
    let keep = reader.boolean(node, "keep_empty_value").filter(|is| *is).map(Toml::from);
    Some(table([
        ("name", text("key")),
        ("value", text("value").filter(|value| value.as_str() != Some(""))),
        ("action", action.map(|action| (*action).into())),
        ("keep_empty", keep),
    ]))
}
