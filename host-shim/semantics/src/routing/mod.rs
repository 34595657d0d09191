//! A table of routes: which one a request takes, what becomes of its head, and of the response's.
//!
//! ```text
//!   a head arrives ──► chosen ── a filter changes the head, or clears the choice ──► stale
//!                        ▲                                                            │
//!                        └──────────────────── the router needs it ───────────────────┘
//! ```
//!
//! Properties tell of a stale choice, as Envoy's do: `routes/the-route-of-a-changed-head`.
//!
//! | file | idea |
//! |---|---|
//! | `hosts` | the virtual host of an authority |
//! | `matches` | conditions of routes |
//! | `expressions` | regular expressions |
//! | `rewrites` | paths, authorities, redirects |
//! | `changes` | header additions and removals |
//! | `timeouts` | the time that an upstream has |
//!
//! Only the larger shim has this; the other has `no_routing.rs`.

mod changes;
mod expressions;
mod hosts;
mod matches;
mod rewrites;
mod timeouts;

use std::cell::OnceCell;

use proxy_wasm_abi::{
    enums::Status,
    routing::{Action, Forward, HeaderChanges, Route, RouteTable, Target, VirtualHost, Weighted},
    settings::Settings,
};

use crate::{
    environment::{Capabilities, Host},
    headers::{HeaderMap, Kind},
    local_reply::LocalReply,
    router::{self, DIRECT_RESPONSE, Destination},
    stream::{Direction, Stream},
};
use changes::Told;
use expressions::Expressions;

/// The table of a component, if it has one.
#[derive(Debug, Default)]
pub(crate) struct Routing {
    /// Decoded when it is first needed.
    table: OnceCell<Option<RouteTable>>,
    expressions: Expressions,
}

/// The route of a stream. See the picture above.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    /// One number for all choices of the stream, as in Envoy.
    random: OnceCell<u64>,
    chosen: OnceCell<Selection>,
    stale: bool,
}

/// What was chosen, by position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    host: Option<usize>,
    route: Option<usize>,
    weighted: Option<usize>,
    /// The cluster's name, where the route leads to one.
    cluster: Option<Vec<u8>>,
}

/// A selection with what it stands for.
struct Selected<'a> {
    host: &'a VirtualHost,
    route: &'a Route,
    weighted: Option<&'a Weighted>,
}

impl Choice {
    /// The router chooses anew.
    pub(crate) fn clear(&mut self) {
        self.stale = true;
    }

    /// Forgets a stale choice.
    fn renew(&mut self) {
        if std::mem::take(&mut self.stale) {
            self.chosen = OnceCell::new();
        }
    }
}

impl Selection {
    fn of<'a>(&self, table: &'a RouteTable) -> Option<Selected<'a>> {
        let host = &table.virtual_hosts[self.host?];
        let route = &host.routes[self.route?];
        let weighted = match &route.action {
            Action::Forward(Forward { target: Target::Weighted(all), .. }) => self.weighted.and_then(|at| all.get(at)),
            _ => None,
        };
        Some(Selected { host, route, weighted })
    }
}

impl Selected<'_> {
    /// The changes of all levels, in the order in which they are made.
    fn changes<'a>(&'a self, table: &'a RouteTable) -> Vec<&'a HeaderChanges> {
        let weighted = self.weighted.map(|weighted| &weighted.headers);
        let mut levels: Vec<_> =
            weighted.into_iter().chain([&self.route.headers, &self.host.headers, &table.headers]).collect();
        if table.most_specific_wins {
            levels.reverse();
        }
        levels
    }
}

impl Routing {
    fn table(&self, settings: &Settings) -> Option<&RouteTable> {
        let decode = || if settings.routing.is_empty() { None } else { RouteTable::decode(&settings.routing) };
        self.table.get_or_init(decode).as_ref()
    }

    /// Chooses a stream's route, unless it was.
    pub(crate) fn choose(&self, settings: &Settings, stream: &Stream, host: &dyn Host) {
        self.chosen(settings, stream, host);
    }

    fn chosen<'a>(
        &'a self,
        settings: &Settings,
        stream: &'a Stream,
        host: &dyn Host,
    ) -> Option<(&'a RouteTable, &'a Selection)> {
        let table = self.table(settings)?;
        let choose = || {
            let random = *stream.choice.random.get_or_init(|| {
                let mut bytes = [0; 8];
                host.random(&mut bytes);
                u64::from_le_bytes(bytes)
            });
            let headers = stream.message(Direction::Request).headers();
            headers.map(|headers| self.select(table, settings, headers, random)).unwrap_or_default()
        };
        Some((table, stream.choice.chosen.get_or_init(choose)))
    }

    /// The route that a head matches. Source: Envoy's `RouteMatcher::route`.
    fn select(&self, table: &RouteTable, settings: &Settings, headers: &HeaderMap, random: u64) -> Selection {
        if !router::has_route(headers, settings.connection.forwarded_proto) {
            return Selection::default();
        }
        let authority = headers.get(b":authority").unwrap_or_default();
        let Some(at) = hosts::find(table, authority) else { return Selection::default() };
        let routes = &table.virtual_hosts[at].routes;
        let found = routes.iter().position(|route| matches::matches(&route.matches, headers, &self.expressions));
        let Some(found) = found else { return Selection { host: Some(at), ..Selection::default() } };
        let (weighted, cluster) = match &routes[found].action {
            Action::Forward(forward) => match &forward.target {
                Target::Cluster(name) => (None, Some(name.as_bytes().to_vec())),
                Target::Header(name) => (None, Some(headers.get(name.as_bytes()).unwrap_or_default().to_vec())),
                Target::Weighted(all) => {
                    let at = pick(all, random);
                    (at, at.map(|at| all[at].cluster.as_bytes().to_vec()))
                }
            },
            Action::Redirect(_) | Action::Respond { .. } => (None, None),
        };
        Selection { host: Some(at), route: Some(found), weighted, cluster }
    }

    /// Where a request goes, and the milliseconds that the response may take, with its head changed for there; or the answer
    /// instead. `None` without a table. Source: Envoy's `Router::Filter::decodeHeaders`.
    pub(crate) fn route(
        &self,
        settings: &Settings,
        stream: &mut Stream,
        host: &dyn Host,
        headers: &mut HeaderMap,
        capabilities: Capabilities,
    ) -> Option<Result<(Destination, u64), LocalReply>> {
        stream.choice.renew();
        let stream = &*stream;
        let (table, selection) = self.chosen(settings, stream, host)?;
        let Some(selected) = selection.of(table) else { return Some(Err(router::no_route())) };
        let found = match &selected.route.action {
            Action::Respond { status, body } => Err(LocalReply::new(u32::from(*status), body, DIRECT_RESPONSE)),
            Action::Redirect(redirect) => {
                let location = rewrites::location(redirect, &selected.route.matches, headers, &self.expressions);
                let reply = LocalReply::new(u32::from(redirect.status), "", DIRECT_RESPONSE);
                Err(LocalReply { headers: vec![(b"location".to_vec(), location)], ..reply })
            }
            Action::Forward(forward) => match settings.cluster(selection.cluster.as_deref().unwrap_or_default()) {
                None => Err(router::no_cluster(forward.cluster_not_found)),
                Some(cluster) => {
                    let cluster_name = selection.cluster.as_deref();
                    let told = Told { stream, selection: &selected, cluster: cluster_name, code: 0 };
                    for level in selected.changes(table) {
                        changes::apply(&level.request, headers, None, &told);
                    }
                    let rewrite = selected.weighted.and_then(|weighted| weighted.host.as_deref());
                    rewrites::host(forward, rewrite, headers, &self.expressions);
                    rewrites::path(forward, &selected.route.matches, headers, &self.expressions);
                    let timeout = timeouts::of(forward, stream.facts.is_grpc, headers);
                    timeouts::tell(forward.max_grpc_timeout_ms, stream.facts.is_grpc, timeout, headers);
                    router::check_request(headers, capabilities)
                        .map(|()| (Destination::Upstream(cluster.origin.clone()), timeout))
                }
            },
        };
        Some(found)
    }

    /// Makes the changes of a response's head, before the filters see it. Source: Envoy's `finalizeResponseHeaders`.
    pub(crate) fn respond(&self, settings: &Settings, stream: &Stream, headers: &mut HeaderMap) {
        let code = router::status(headers).unwrap_or(0);
        self.change_response(settings, stream, headers, code);
    }

    /// The same of a local response, which has no status yet: what is added stands before the response's own headers, and
    /// behind those of the route's own answer. An answer of another's, on a route that answers itself, is left as it is.
    /// Source: `routes/header-changes`; Envoy's `FilterManager` asks the route only where it has a `routeEntry`.
    pub(crate) fn respond_locally(
        &self,
        settings: &Settings,
        stream: &Stream,
        headers: &mut Vec<(Vec<u8>, Vec<u8>)>,
        details: &str,
    ) {
        let place = match self.answers(settings, stream) {
            false => 0,
            true if details == DIRECT_RESPONSE => headers.len(),
            true => return,
        };
        let mut added = HeaderMap::new(Kind::Response);
        self.change_response(settings, stream, &mut added, 0);
        headers.splice(place..place, added.iter().map(|(name, value)| (name.to_vec(), value.to_vec())));
    }

    /// Whether the chosen route is one that answers itself.
    fn answers(&self, settings: &Settings, stream: &Stream) -> bool {
        let selected = |table| stream.choice.chosen.get()?.of(table);
        let selected = self.table(settings).and_then(selected);
        selected.is_some_and(|selected| matches!(selected.route.action, Action::Redirect(_) | Action::Respond { .. }))
    }

    fn change_response(&self, settings: &Settings, stream: &Stream, headers: &mut HeaderMap, code: u16) {
        let Some(table) = self.table(settings) else { return };
        let Some(selection) = stream.choice.chosen.get() else { return };
        let Some(selected) = selection.of(table) else { return };
        let told = Told { stream, selection: &selected, cluster: selection.cluster.as_deref(), code };
        for level in selected.changes(table) {
            let shown = headers.clone();
            changes::apply(&level.response, headers, Some(&shown), &told);
        }
    }

    /// What a property tells of the route; `None` where it tells nothing of it, or there is no table.
    pub(crate) fn property(
        &self,
        settings: &Settings,
        stream: &Stream,
        host: &dyn Host,
        segments: &[&str],
    ) -> Option<Result<Vec<u8>, Status>> {
        let (table, selection) = self.chosen(settings, stream, host)?;
        let host = selection.host.map(|at| &table.virtual_hosts[at]);
        let cluster = selection.cluster.as_deref().and_then(|name| settings.cluster(name));
        match *segments {
            ["xds", "virtual_host_name"] => Some(Ok(host.map(|host| host.name.clone().into()).unwrap_or_default())),
            ["xds", "route_name"] => {
                Some(selection.of(table).map(|selected| selected.route.name.clone().into()).ok_or(Status::NotFound))
            }
            ["xds", "cluster_name"] => Some(cluster.map(|cluster| cluster.name.clone().into()).ok_or(Status::NotFound)),
            ["upstream", "num_endpoints"] => Some(cluster.map(|_| 1u64.to_le_bytes().to_vec()).ok_or(Status::NotFound)),
            _ => None,
        }
    }
}

/// Which of the clusters a random number picks. Source: Envoy's `WeightedClusterUtil`.
fn pick(all: &[Weighted], random: u64) -> Option<usize> {
    let total: u64 = all.iter().map(|one| u64::from(one.weight)).sum();
    let mut left = random.checked_rem(total)?;
    all.iter().position(|one| {
        let is_here = left < u64::from(one.weight);
        left = left.saturating_sub(u64::from(one.weight));
        is_here
    })
}

#[cfg(test)]
mod tests;
