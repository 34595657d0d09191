//! A listener, or a connection manager that came alone: the plugins of its chain, and its routes.

use std::collections::{HashMap, HashSet};

use crate::access_log;
use crate::actions::{self, Answer, Targets};
use crate::any;
use crate::bootstrap;
use crate::checks;
use crate::clients;
use crate::clusters::{self, Cluster, Known};
use crate::cors;
use crate::enabling::Filters;
use crate::fields::Message;
use crate::filter::http_filter;
use crate::gather::Resources;
use crate::metadata;
use crate::neighbours;
use crate::node::{Node, Place};
use crate::plugin::Plugin;
use crate::read::Reader;
use crate::refusals;
use crate::report::Report;
use crate::routes;
use crate::section::Section;
use crate::upstream;

/// The names that connection managers had, when names told types.
const MANAGER_NAMES: &[&str] = &["envoy.http_connection_manager", "envoy.filters.network.http_connection_manager"];

/// What a component is made of.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) plugins: Vec<Plugin>,
    /// What stands before the plugins in the settings file.
    pub(crate) top: Section,
    pub(crate) routes: Vec<Section>,
    /// Where the input listens.
    pub(crate) address: Option<(String, u16)>,
    /// What its metrics are called by.
    pub(crate) stat_prefix: Option<String>,
}

impl Draft {
    /// The words in the configurations of its plugins: a cluster that is among them may be called.
    pub(crate) fn words(&self) -> HashSet<String> {
        let mut words = HashSet::new();
        let all = self.plugins.iter().flat_map(|plugin| [&plugin.configuration, &plugin.vm_configuration]);
        for bytes in all {
            let text = String::from_utf8_lossy(bytes);
            let is_between = |c: char| c.is_whitespace() || c.is_control() || "\"',;{}[]()<>".contains(c);
            for word in text.split(is_between).filter(|word| !word.is_empty()) {
                // `cluster=auth` and `cluster:auth`, where a name may have either in it.
                words.extend([word, word.trim_end_matches(':')].map(str::to_owned));
                words.extend(word.split_once(['=', ':']).map(|(_, value)| value.to_owned()));
            }
        }
        words
    }
}

/// The connection managers of a listener.
fn managers(listener: &Node) -> Vec<&Node> {
    let chains = listener.peek("filter_chains").map(Node::many).unwrap_or_default().iter();
    let chains = chains.chain(listener.peek("default_filter_chain"));
    let filters = chains.flat_map(|chain| chain.peek("filters").map(Node::many).unwrap_or_default());
    fn config(filter: &Node) -> Option<&Node> {
        let typed = filter.peek("typed_config");
        let is_manager =
            |config: &&Node| config.peek_text("@type").is_some_and(|url| url.ends_with("HttpConnectionManager"));
        let is_old = filter.peek_text("name").is_some_and(|name| MANAGER_NAMES.contains(&name));
        typed.filter(is_manager).or_else(|| filter.peek("config").filter(|_| is_old))
    }
    filters.filter_map(config).collect()
}

/// The answer of each cluster that is another listener of the input, where it answers everything itself; and those listeners.
pub(crate) fn answers(
    report: &Report,
    resources: &Resources<'_>,
    clusters: &[Known],
) -> (HashMap<String, Answer>, Vec<Place>) {
    let mut folded = Vec::new();
    let scratch = Report::default();
    let mut answers = HashMap::new();
    let mut by_port: HashMap<u16, Vec<&Cluster>> = HashMap::new();
    for known in clusters {
        if let Known::Cluster(cluster) = known {
            by_port.entry(cluster.port).or_default().push(cluster);
        }
    }
    let mut others: Vec<&Cluster> = Vec::new();
    for listener in &resources.listeners {
        let reader = Reader { report: &scratch, object: "" };
        let Some((host, port)) = listener.peek("address").and_then(|address| clusters::socket(reader, address)) else {
            continue;
        };
        let is_here = |cluster: &&&Cluster| {
            matches!(cluster.host.as_str(), "127.0.0.1" | "localhost" | "::1" | "0.0.0.0") || cluster.host == host
        };
        for cluster in by_port.get(&port).into_iter().flatten().filter(is_here) {
            match whole_answer(&scratch, listener) {
                Some(answer) => {
                    let what = format!("its answer is that of the routes to the cluster `{}`", cluster.name);
                    report.carried("the listener", listener.place(), what);
                    listener.mark_all();
                    folded.push(listener.place());
                    answers.insert(cluster.name.clone(), answer);
                }
                None => others.push(cluster),
            }
        }
    }
    // Of several listeners at a port, each at another address, the one that answers is meant.
    for cluster in others.into_iter().filter(|cluster| !answers.contains_key(&cluster.name)) {
        let what = "it is another listener of the input, which does more than answer: it is a component, or a server, of its own";
        report.lost(
            &format!("cluster `{}`", cluster.name),
            cluster.place,
            what,
            "Run what becomes of that listener too, and write its address as the `url` of this cluster.",
        );
    }
    (answers, folded)
}

/// The answer of a listener that has the same one for everything.
fn whole_answer(scratch: &Report, listener: &Node) -> Option<Answer> {
    let managers = managers(listener);
    let [manager] = managers.as_slice() else { return None };
    let filters = manager.peek("http_filters")?.many();
    let [host] = manager.peek("route_config")?.peek("virtual_hosts")?.many() else { return None };
    let [route] = host.peek("routes")?.many() else { return None };
    let [domain] = host.peek("domains")?.many() else { return None };
    let is_root = route.peek("match")?.peek_text("prefix") == Some("/") && route.peek("match")?.entries().len() == 1;
    if filters.len() > 1 || domain.as_text() != Some("*") || !is_root {
        return None;
    }
    // What it adds to its answers would be lost.
    let adds = |node: &Node| {
        node.entries().iter().any(|entry| entry.key.contains("headers_to") || entry.key.contains("eadersTo"))
    };
    if adds(host) || adds(route) || adds(manager.peek("route_config")?) {
        return None;
    }
    Some(actions::answer(Reader { report: scratch, object: "" }, route.peek("direct_response")?))
}

/// What becomes of a listener; nothing, if it has no Wasm filter.
pub(crate) fn read(report: &Report, node: &Node, resources: &Resources<'_>, targets: &Targets<'_>) -> Option<Draft> {
    if targets.folded.contains(&node.place()) {
        return None;
    }
    node.of(Message::Listener);
    let name = node.get("name").and_then(Node::as_text).unwrap_or_default().to_owned();
    let port = node
        .peek("address")
        .and_then(|address| clusters::socket(Reader { report: &Report::default(), object: "" }, address));
    let label = bootstrap::label(&name, port.map(|(_, port)| port));
    let object = format!("listener `{label}`");
    let reader = Reader { report, object: &object };
    let address = node.get("address").and_then(|address| clusters::socket(reader, address));
    let buffer = reader.number(node, "per_connection_buffer_limit_bytes");
    let mut drafts = Vec::new();
    let noted = report.len();
    for chain in reader.list(node, "filter_chains").iter().chain(node.get("default_filter_chain")) {
        chain.of(Message::FilterChain).pass(&["name"]);
        let is_first = drafts.is_empty();
        for filter in reader.list(chain, "filters") {
            drafts.extend(network_filter(reader, filter, &label, resources, targets));
        }
        if is_first && !drafts.is_empty() {
            clients::let_in(reader, chain);
        }
    }
    let mut drafts = drafts.into_iter();
    let Some(mut draft) = drafts.next() else {
        node.mark_all();
        report.is_of_nothing(noted);
        let folded = "it has no Wasm HTTP filter, and becomes no component";
        report.lost(&object, node.place(), folded, "Keep it where it is, if anything needs it.");
        return None;
    };
    for other in drafts {
        let remedy = "Give each of its chains a listener of its own, and migrate them one by one.";
        report.lost(
            &object,
            other.place,
            "of several filter chains with Wasm filters only the first is carried",
            remedy,
        );
    }
    metadata::properties(reader, node, &mut draft.top);
    if let Some(buffer) = buffer {
        draft.top.set("buffer_limit", buffer);
    }
    if let Some((host, port)) = address {
        let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let what = format!("where it listens is said when the component is run: `serve --listen {shown}:{port}`");
        report.differs(&object, node.place(), what, "");
        draft.address = Some((host, port));
    }
    Some(draft)
}

fn network_filter(
    reader: Reader<'_>,
    filter: &Node,
    label: &str,
    resources: &Resources<'_>,
    targets: &Targets<'_>,
) -> Option<Draft> {
    filter.of(Message::Filter);
    let name = filter.get("name").and_then(Node::as_text).unwrap_or_default();
    if let Some(old) = filter.get("config") {
        if !MANAGER_NAMES.contains(&name) {
            old.mark_all();
            let what =
                format!("the filter `{name}` has `config`, which is of Envoy's API v2, and Envoy 1.40 refuses it");
            reader.report.lost(
                reader.object,
                old.place(),
                what,
                "Write `typed_config`, with the `@type` of the filter.",
            );
            return None;
        }
        let what = "the connection manager's `config` is of Envoy's API v2, which Envoy 1.40 refuses; it was read as `typed_config`";
        reader.report.differs(reader.object, old.place(), what, "Write `typed_config` with `\"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`.");
        return manager(reader, old, label, resources, targets);
    }
    let config = filter.get("typed_config")?;
    match any::content(config) {
        Some((name, content)) if name.ends_with(".HttpConnectionManager") => {
            manager(reader, content, label, resources, targets)
        }
        Some((name, content)) => {
            content.mark_all();
            config.mark_all();
            let what = if name.contains("wasm") {
                "a Wasm filter for TCP"
            } else {
                "a network filter that is no HTTP connection manager"
            };
            let (object, place) = (reader.object, config.place());
            if neighbours::is_guard(name) {
                let what = format!("{what} (`{name}`); what it refuses in Envoy passes");
                reader.report.unguarded(object, place, what, "Refuse connections in front of the component.");
            } else {
                let remedy =
                    neighbours::known_remedy(name).unwrap_or("Leave it in Envoy: WASI has no proxy world for TCP.");
                reader.report.lost(object, place, format!("{what} (`{name}`)"), remedy);
            }
            None
        }
        None => {
            config.mark_all();
            reader.report.wrong(
                reader.object,
                config.place(),
                "its `typed_config` has no `@type` that Envoy reads",
                "Give it one, with a host part: `type.googleapis.com/…`.",
            );
            None
        }
    }
}

/// What `serve` calls the metrics by, where that is another name than its own and can be said in a command.
fn stat_prefix(reader: Reader<'_>, node: &Node) -> Option<String> {
    let prefix = reader.text(node, "stat_prefix").filter(|prefix| !matches!(prefix.as_str(), "" | "main"))?;
    if prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)) {
        return Some(prefix);
    }
    let what = format!("metrics have `main` in their names in place of the `stat_prefix` `{prefix}`");
    reader.report.differs(reader.object, node.place(), what, "Say it by `serve --stat-prefix`.");
    None
}

/// What becomes of a connection manager; nothing, if it has no Wasm filter.
pub(crate) fn manager(
    reader: Reader<'_>,
    node: &Node,
    label: &str,
    resources: &Resources<'_>,
    targets: &Targets<'_>,
) -> Option<Draft> {
    let report = reader.report;
    node.of(Message::HttpConnectionManager);
    node.pass(&["codec_type"]);
    refusals::report(reader, node);
    let stat_prefix = stat_prefix(reader, node);
    let found = table(node, resources);
    let table = found.as_ref().ok().copied().flatten();
    let filters = reader.list(node, "http_filters");
    let others = filters.iter().enumerate().filter(|(_, filter)| !cors::is_filter(filter));
    let in_chain = others.filter_map(|(at, filter)| Some((at, http_filter(report, filter, resources, table)?)));
    let (places, mut plugins): (Vec<usize>, Vec<Plugin>) = in_chain.unzip();
    plugins.extend(upstream::of_router(report, node, resources));
    let first = plugins.len();
    let (clusters, behind): (Vec<_>, Vec<_>) = upstream::of_clusters(report, table, resources).into_iter().unzip();
    plugins.extend(behind);
    if plugins.is_empty() {
        return None;
    }
    // Of a manager without a Wasm filter, what is missing matters to nobody.
    if let Err((place, what)) = found {
        let remedy = "Give the file that has it, too: a RouteConfiguration, or a config dump.";
        report.wrong(reader.object, place, what, remedy);
    }
    checks::manager(reader, node);
    access_log::report(reader, node);
    let mut top = Section { head: String::new(), origin: None, keys: Vec::new() };
    if let Some(timeout) = reader.duration(node, "stream_idle_timeout") {
        top.set("stream_idle_timeout", i64::try_from(timeout).unwrap_or(i64::MAX));
    }
    if let Some(generates) = reader.boolean(node, "generate_request_id") {
        top.set("x_request_id", generates);
    }
    let is_plugin_behind_router = plugins.len() > places.len();
    let cors = cors::of_chain(reader, filters, &places, is_plugin_behind_router);
    let filters = Filters::of(&plugins, cors);
    let mut routes = table.map(|table| routes::read(report, table, targets, &filters)).unwrap_or_default();
    upstream::enable(report, &mut plugins, first, &clusters, &filters, &mut routes);
    Some(Draft { name: label.into(), place: node.place(), plugins, top, routes, address: None, stat_prefix })
}

/// The route configuration of a manager; or where it is missing, why, and what to do.
fn table<'n>(node: &'n Node, resources: &Resources<'n>) -> Result<Option<&'n Node>, (Place, String)> {
    if let Some(table) = node.get("route_config") {
        return Ok(Some(table));
    }
    let Some(rds) = node.get("rds") else { return Ok(None) };
    rds.mark_all();
    let name = rds.peek_text("route_config_name").unwrap_or_default();
    let named = resources.tables.iter().find(|table| table.peek_text("name") == Some(name));
    named
        .copied()
        .map(Some)
        .ok_or_else(|| (rds.place(), format!("its route configuration `{name}` is not in the input")))
}
