//! A table of routes for people: a line for each.

use std::collections::BTreeSet;

use proxy_wasm_abi::routing::{Action, Forward, Match, PathMatch, Redirect, RedirectPath, Route, RouteTable, Target};
use proxy_wasm_abi::settings::Cluster;
use serde::{Deserialize, Serialize};

/// A virtual host for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownHost {
    /// Its name.
    pub name: String,
    /// Its domains.
    pub domains: Vec<String>,
    /// For each route, which requests take it and what becomes of them.
    pub routes: Vec<String>,
}

/// The names of the clusters that routes of a table lead to: all of them, where a header names one.
pub(super) fn targets(table: &RouteTable, clusters: &[Cluster]) -> Vec<String> {
    let mut targets = BTreeSet::new();
    for route in table.virtual_hosts.iter().flat_map(|host| &host.routes) {
        let Action::Forward(forward) = &route.action else { continue };
        match &forward.target {
            Target::Cluster(name) => targets.extend([name]),
            Target::Weighted(all) => targets.extend(all.iter().map(|one| &one.cluster)),
            Target::Header(_) => targets.extend(clusters.iter().map(|cluster| &cluster.name)),
        }
    }
    targets.into_iter().cloned().collect()
}

/// The virtual hosts of a table.
pub(super) fn hosts(table: &RouteTable) -> Vec<ShownHost> {
    let host = |host: &proxy_wasm_abi::routing::VirtualHost| ShownHost {
        name: host.name.clone(),
        domains: host.domains.clone(),
        routes: host.routes.iter().map(route).collect(),
    };
    table.virtual_hosts.iter().map(host).collect()
}

fn route(route: &Route) -> String {
    let name = if route.name.is_empty() { String::new() } else { format!("{}: ", route.name) };
    format!("{name}{} -> {}", requests(&route.matches), becomes(&route.action))
}

fn requests(matches: &Match) -> String {
    let mut text = match &matches.path {
        PathMatch::Prefix(path) => format!("{path}*"),
        PathMatch::Exact(path) => path.clone(),
        PathMatch::SeparatedPrefix(path) => format!("{path}, {path}/*"),
        PathMatch::Regex(regex) => format!("/{regex}/"),
    };
    let more = matches.headers.len() + matches.query.len() + usize::from(matches.grpc);
    match more {
        0 => {}
        1 => text.push_str(" with a condition"),
        more => text.push_str(&format!(" with {more} conditions")),
    }
    text
}

fn becomes(action: &Action) -> String {
    match action {
        Action::Respond { status, .. } => format!("direct response {status}"),
        Action::Redirect(redirect) => format!("redirect {} {}", redirect.status, location(redirect)),
        Action::Forward(Forward { target, .. }) => match target {
            Target::Cluster(name) => format!("cluster {name}"),
            Target::Header(name) => format!("the cluster that the header {name} names"),
            Target::Weighted(all) => {
                let one = |one: &proxy_wasm_abi::routing::Weighted| format!("{} ({})", one.cluster, one.weight);
                format!("clusters {}", all.iter().map(one).collect::<Vec<_>>().join(", "))
            }
        },
    }
}

/// Where a client is sent, with a star for the parts that stay.
fn location(redirect: &Redirect) -> String {
    let port = redirect.port.map(|port| format!(":{port}")).unwrap_or_default();
    let path = match &redirect.path {
        Some(RedirectPath::Path(path)) => path.clone(),
        Some(RedirectPath::Rewrite(_)) => "/*, rewritten".into(),
        None => "/*".into(),
    };
    let text = |part: &Option<String>| part.clone().unwrap_or_else(|| "*".into());
    format!("{}://{}{port}{path}", text(&redirect.scheme), text(&redirect.host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::parse;

    #[test]
    fn a_line_for_each_route() {
        let text = r#"
[[virtual_host]]
name = "v"
domains = ["a.example", "*"]
route = [
  { name = "n", match = { path = "/a", headers = [{ name = "x" }] }, cluster = "c" },
  { match = { separated_prefix = "/b" }, weighted_clusters = [{ cluster = "c", weight = 2 }] },
  { match = { regex = "/[cd]" }, redirect = { scheme = "https", port = 8443 } },
  { direct_response = 404 },
]
[clusters]
c = "http://c"
"#;
        let resolved = parse("t", text).unwrap().resolve(1, &|_| Err("no files".into())).unwrap();
        let [host] = hosts(&RouteTable::decode(&resolved.settings.routing).unwrap()).try_into().unwrap();
        let expected = [
            "n: /a with a condition -> cluster c",
            "/b, /b/* -> clusters c (2)",
            "//[cd]/ -> redirect 301 https://*:8443/*",
            "/* -> direct response 404",
        ];
        assert_eq!(host.routes, expected);
    }
}
