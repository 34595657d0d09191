//! What routes do: where they lead, and what they answer.

use std::collections::HashMap;

use toml::Value as Toml;

use crate::clusters::Known;
use crate::enabling::Filters;
use crate::fields::Message;
use crate::header_changes;
use crate::matching;
use crate::node::{Node, Place};
use crate::read::Reader;
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
    pub(crate) fn toml(&self) -> Toml {
        table([
            ("status", Some(self.status.into())),
            ("body", (!self.body.is_empty()).then(|| self.body.clone().into())),
        ])
    }
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
            match crate::protobuf::base64(&text).map(String::from_utf8) {
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
    if let Some(format) = node.get("body_format") {
        format.mark_all();
        formatted(reader, format, &mut body);
    }
    Answer { status, body }
}

/// What a format makes of a body, where it is the same for all requests.
fn formatted(reader: Reader<'_>, format: &Node, body: &mut String) {
    let lost = |what: &str, remedy: &str| reader.report.lost(reader.object, format.place(), what, remedy);
    let source = format.peek("text_format_source");
    let bytes = source.and_then(|source| source.peek_text("inline_bytes")).and_then(crate::protobuf::base64);
    let text = source.and_then(|source| source.peek_text("inline_string")).or_else(|| format.peek_text("text_format"));
    let text = text.map(str::to_owned).or_else(|| String::from_utf8(bytes?).ok());
    const BODY: &str = "%LOCAL_REPLY_BODY%";
    let is_fixed = |text: &String| !text.replace(BODY, "").replace("%%", "").contains('%');
    match text.filter(is_fixed) {
        Some(text) => *body = text.replace("%%", "%").replace(BODY, body),
        None => lost(
            "its answer has no `body_format`: only its `body` counts, or there is none",
            "Write into `body` what comes out of the format.",
        ),
    }
    if let Some(kind) = format.peek_text("content_type").filter(|kind| *kind != "text/plain") {
        let what = format!("the `content-type` of its answer is `text/plain`, not `{kind}`");
        lost(&what, "Say it by `response_headers_to_add` of the route, with `OVERWRITE_IF_EXISTS_OR_ADD`.");
    }
}

fn target(reader: Reader<'_>, node: &Node, name: &str, targets: &Targets<'_>) -> bool {
    match targets.by_name.get(name) {
        Some(Known::Cluster(_)) => true,
        Some(Known::Without { .. } | Known::Empty { .. }) => {
            let remedy = "Give it an endpoint with a host and a port, or let the route lead elsewhere.";
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

pub(crate) fn forward(
    reader: Reader<'_>,
    node: &Node,
    targets: &Targets<'_>,
    filters: &Filters,
    section: &mut Section,
) {
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
        if let Some(Known::Empty { .. }) = targets.by_name.get(cluster.as_str()) {
            let what = format!("its requests are answered 503, as in Envoy: the cluster `{cluster}` has no endpoint");
            reader.report.differs(reader.object, node.place(), what, "");
            section.set("direct_response", Answer { status: 503, body: "no healthy upstream".into() }.toml());
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
        let what = "its requests are answered 503: how it finds its cluster is not known here";
        reader.report.lost(reader.object, node.place(), what, "Name a `cluster`.");
        section.set("direct_response", Toml::from(503));
        node.mark_all();
        return;
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
        section.set("auto_host_rewrite", true);
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
        header_changes::read(reader, item, &mut section);
        filters.cors.read(reader, item, &mut section);
        Toml::Table(section.keys.into_iter().collect())
    });
    Toml::Array(items.collect())
}

pub(crate) fn redirect(reader: Reader<'_>, node: &Node) -> Toml {
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
