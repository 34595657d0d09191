//! Wasm filters behind the router: those of the router itself, and those of clusters. They become the last of the chain.
//!
//! Of such a filter Envoy calls no `proxy_on_log` (`tests/migrations/filters-behind-the-router`).

use toml::Value as Toml;

use crate::any;
use crate::enabling::Filters;
use crate::filter::{has_wasm, http_filter};
use crate::gather::Resources;
use crate::node::Node;
use crate::plugin::Plugin;
use crate::report::Report;
use crate::section::Section;

const LAST: &str = "it stands behind the router in Envoy, and becomes the last of the chain: it sees a request before the route changes it, once, whatever is tried again, and `proxy_on_log`, which Envoy does not call there";
const REMEDY: &str = "See that the filter does not count on it.";

/// The plugins among the filters of the router.
pub(crate) fn of_router(report: &Report, manager: &Node, resources: &Resources<'_>) -> Vec<Plugin> {
    let filters = manager.peek("http_filters").map(Node::many).unwrap_or_default();
    let configs = filters.iter().filter_map(|filter| any::content(filter.peek("typed_config")?));
    let routers = configs.filter(|(kind, _)| kind.ends_with(".Router"));
    let upstream =
        routers.flat_map(|(_, config)| config.peek("upstream_http_filters").map(Node::many).unwrap_or_default());
    let plugins: Vec<Plugin> = upstream.filter_map(|filter| plugin(report, filter, resources)).collect();
    for plugin in &plugins {
        report.differs(&plugin.label(), plugin.place, LAST, REMEDY);
    }
    plugins
}

/// A plugin that routes do not know by its filter's name.
fn plugin(report: &Report, filter: &Node, resources: &Resources<'_>) -> Option<Plugin> {
    let plugin = http_filter(report, filter, resources, None)?;
    Some(Plugin { filter_name: String::new(), ..plugin })
}

/// The filters of a cluster.
fn filters(cluster: &Node) -> &[Node] {
    let options = cluster.peek("typed_extension_protocol_options").map(Node::entries).unwrap_or_default();
    let filters = options.iter().find_map(|entry| {
        let (kind, content) = any::content(&entry.node)?;
        content.peek("http_filters").filter(|_| kind.ends_with(".HttpProtocolOptions"))
    });
    filters.map(Node::many).unwrap_or_default()
}

/// The plugins of the clusters to which a table of routes leads, each with the name of its cluster.
pub(crate) fn of_clusters(report: &Report, table: Option<&Node>, resources: &Resources<'_>) -> Vec<(String, Plugin)> {
    let Some(table) = table else { return Vec::new() };
    let mut found = Vec::new();
    let mut seen = Vec::new();
    for cluster in &resources.clusters {
        let name = cluster.peek_text("name").unwrap_or_default();
        if seen.contains(&name) || !filters(cluster).iter().any(has_wasm) || !leads_to(table, name) {
            continue;
        }
        seen.push(name);
        let plugins = filters(cluster).iter().filter_map(|filter| plugin(report, filter, resources));
        found.extend(plugins.map(|plugin| (name.to_owned(), plugin)));
    }
    found
}

/// Whether any route names this cluster.
fn leads_to(node: &Node, name: &str) -> bool {
    let is_here = |action: &Node| {
        let weighted = action.peek("weighted_clusters").and_then(|weighted| weighted.peek("clusters"));
        let mut weighted = weighted.map(Node::many).unwrap_or_default().iter();
        action.peek_text("cluster") == Some(name)
            || action.peek("cluster_header").is_some()
            || weighted.any(|cluster| cluster.peek_text("name") == Some(name))
    };
    let hosts = node.peek("virtual_hosts").map(Node::many).unwrap_or_default().iter();
    let mut routes = hosts.flat_map(|host| host.peek("routes").map(Node::many).unwrap_or_default());
    routes.any(|route| route.peek("route").is_some_and(is_here))
}

/// Lets each of these plugins run for the routes to its cluster alone; `first` is the place of the first among the plugins.
pub(crate) fn enable(
    report: &Report,
    plugins: &mut [Plugin],
    first: usize,
    clusters: &[String],
    filters: &Filters,
    routes: &mut [Section],
) {
    for (index, cluster) in clusters.iter().enumerate() {
        let Some(plugin) = plugins.get_mut(first + index) else { continue };
        report.differs(&plugin.label(), plugin.place, LAST, REMEDY);
        let is_of_it =
            |route: &Section| route.keys.iter().any(|(key, value)| key == "cluster" && value.as_str() == Some(cluster));
        let is_route = |section: &&Section| section.head.ends_with("route]]");
        if routes.iter().filter(is_route).all(is_of_it) {
            continue;
        }
        plugin.is_disabled = true;
        let by_chance = |route: &Section| {
            route.keys.iter().any(|(key, value)| match key.as_str() {
                "cluster_header" => true,
                "weighted_clusters" => value.as_array().is_some_and(|all| {
                    all.iter().any(|one| one.get("cluster").and_then(Toml::as_str) == Some(cluster))
                }),
                _ => false,
            })
        };
        if routes.iter().any(by_chance) {
            let what = format!("it is not there for routes that only sometimes lead to its cluster `{cluster}`");
            report.lost(&plugin.label(), plugin.place, what, "Put it among the `http_filters`, for all routes.");
        }
        let key = filters.key(first + index);
        for route in routes.iter_mut().filter(|route| is_of_it(route)) {
            match route.keys.iter_mut().find(|(key, _)| key == "plugins") {
                Some((_, Toml::Table(states))) => {
                    states.insert(key.to_owned(), true.into());
                }
                _ => route.set("plugins", toml::Table::from_iter([(key.to_owned(), Toml::Boolean(true))])),
            }
        }
    }
}
