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
//! | `endpoints` | which of a cluster's endpoints |
//! | `metadata` | what filters read of it |
//! | `retries` | whether a request is sent once more |
//! | `cors` | which pages of other origins may ask |
//!
//! Only the larger shim has this; the other has `no_routing.rs`.

mod changes;
mod cors;
mod endpoints;
mod expressions;
mod hosts;
mod matches;
mod metadata;
mod retries;
mod rewrites;
mod timeouts;

use std::cell::OnceCell;

use proxy_wasm_abi::{
    clusters::ClusterDetails,
    enums::Status,
    metadata::Metadata,
    routing::{Action, Forward, HeaderChanges, PluginStates, Route, RouteTable, Target, VirtualHost, Weighted},
    settings::{Cluster, Origin, Settings},
};

use crate::{
    environment::{Capabilities, Host},
    headers::{HeaderMap, Kind},
    local_reply::LocalReply,
    router::{self, DIRECT_RESPONSE, Destination},
    stream::{Direction, Stream},
};
use changes::Told;
use cors::Granted;
use endpoints::Turns;
use expressions::Expressions;
pub use retries::Outcome;
use retries::Tries;

/// The table of a component, if it has one.
#[derive(Debug, Default)]
pub(crate) struct Routing {
    /// Decoded when it is first needed.
    table: OnceCell<Option<RouteTable>>,
    expressions: Expressions,
    turns: Turns,
}

/// The route of a stream. See the picture above.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    /// One number for all choices of the stream, as in Envoy.
    random: OnceCell<u64>,
    chosen: OnceCell<Selection>,
    stale: bool,
    /// Once the request was sent.
    tries: Option<Tries>,
    /// Where the page of another origin may read the response.
    granted: Option<Granted>,
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

/// Where a request goes, and the milliseconds that the response may take; or the answer instead.
type Routed = Result<(Destination, u64), LocalReply>;

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

    /// How often the request was sent, once it was.
    pub(crate) fn attempts(&self) -> Option<u32> {
        self.tries.as_ref().map(Tries::count)
    }

    /// Adds to the router's own answer to a request that was sent what its client is told of it.
    pub(crate) fn tell_client_of_failure(&self, headers: &mut Vec<(Vec<u8>, Vec<u8>)>) {
        if let Some(tries) = &self.tries {
            tries.tell_client_of_failure(headers);
        }
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

    fn expressions(&self) -> &Expressions {
        &self.expressions
    }

    /// What there is more to know of a cluster than the settings say.
    fn details(&self, settings: &Settings, name: &str) -> Option<&ClusterDetails> {
        self.table(settings)?.clusters.iter().find(|details| details.name == name)
    }

    /// Where the next request to a cluster goes.
    pub(crate) fn endpoint(&self, settings: &Settings, cluster: &Cluster, host: &dyn Host) -> Origin {
        self.named_endpoint(settings, cluster, host).0
    }

    /// The same with the name that the endpoint has, if it has one.
    fn named_endpoint<'a>(
        &'a self,
        settings: &'a Settings,
        cluster: &'a Cluster,
        host: &dyn Host,
    ) -> (Origin, Option<&'a str>) {
        let details = self.details(settings, &cluster.name);
        match details.and_then(|details| self.turns.next(details, host)) {
            Some(endpoint) => (endpoint.origin.clone(), endpoint.name()),
            None => (cluster.origin.clone(), cluster.origin.name()),
        }
    }

    /// Whether only HTTP/2 will do for the endpoint at this place.
    pub(crate) fn speaks_http2(&self, settings: &Settings, origin: &Origin) -> bool {
        let Some(table) = self.table(settings) else { return false };
        let is_there = |details: &ClusterDetails| match details.endpoints.as_slice() {
            [] => settings.cluster(details.name.as_bytes()).is_some_and(|cluster| cluster.origin == *origin),
            all => all.iter().any(|endpoint| endpoint.origin == *origin),
        };
        table.clusters.iter().any(|details| details.http2 && is_there(details))
    }

    /// The route of a request with this head.
    pub(crate) fn choose(&self, settings: &Settings, headers: &HeaderMap, host: &dyn Host) -> Choice {
        let choice = Choice::default();
        if let Some(table) = self.routes(settings) {
            let random = *choice.random.get_or_init(|| random(host));
            choice.chosen.get_or_init(|| self.select(table, settings, headers, random));
        }
        choice
    }

    /// Whether a plugin hears nothing of the requests of this route: decided once, when the filters of a stream are made.
    /// Source: Envoy's `FilterChainOptions::filterDisabled`.
    pub(crate) fn leaves_out(&self, settings: &Settings, choice: &Choice, plugin: usize) -> bool {
        let Some(table) = self.table(settings) else { return false };
        let selected = choice.chosen.get().and_then(|selection| selection.of(table));
        let said =
            |states: &PluginStates| states.iter().find(|(number, _)| *number as usize == plugin).map(|(_, runs)| *runs);
        let levels = selected.map(|selected| [&selected.route.plugins, &selected.host.plugins, &table.plugins]);
        let runs = levels.and_then(|levels| levels.into_iter().find_map(said));
        !runs.unwrap_or_else(|| !table.disabled.iter().any(|number| *number as usize == plugin))
    }

    /// The table, if it has routes.
    fn routes(&self, settings: &Settings) -> Option<&RouteTable> {
        self.table(settings).filter(|table| !table.virtual_hosts.is_empty())
    }

    fn chosen<'a>(
        &'a self,
        settings: &Settings,
        stream: &'a Stream,
        host: &dyn Host,
    ) -> Option<(&'a RouteTable, &'a Selection)> {
        let table = self.routes(settings)?;
        let choose = || {
            let random = *stream.choice.random.get_or_init(|| random(host));
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
        let asked = matches::Asked::of(headers, &self.expressions);
        let found = routes.iter().position(|route| asked.fulfils(&route.matches));
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
    ) -> Option<Routed> {
        stream.choice.renew();
        let (found, tries) = self.route_chosen(settings, stream, host, headers, capabilities)?;
        stream.choice.tries = tries;
        Some(found)
    }

    /// The same with the route that counts, and with the tries that a request has which goes to a cluster.
    fn route_chosen(
        &self,
        settings: &Settings,
        stream: &Stream,
        host: &dyn Host,
        headers: &mut HeaderMap,
        capabilities: Capabilities,
    ) -> Option<(Routed, Option<Tries>)> {
        let (table, selection) = self.chosen(settings, stream, host)?;
        let Some(selected) = selection.of(table) else { return Some((Err(router::no_route()), None)) };
        let mut tries = None;
        let found = match &selected.route.action {
            Action::Respond { status, body } => {
                let reply = LocalReply::new(u32::from(*status), body, DIRECT_RESPONSE);
                // Envoy's `Filter::decodeHeaders` of the router has it lead where the request came to.
                let leads = *status == 201 || (300..400).contains(status);
                let location = || rewrites::own_location(&selected.route.matches, headers, &self.expressions);
                let headers = leads.then(|| (b"location".to_vec(), location())).into_iter().collect();
                Err(LocalReply { headers, ..reply })
            }
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
                    router::check_request(headers, capabilities).map(|()| {
                        let told = selected.host.attempt_count;
                        let name = cluster.name.as_bytes();
                        let all = router::own_timeout(headers).unwrap_or(timeout);
                        let first = Tries::new(forward.retry.as_ref(), headers, all, told, name);
                        first.tell_cluster(headers);
                        let time = first.time_ms().unwrap_or(all);
                        timeouts::tell(forward.max_grpc_timeout_ms, stream.facts.is_grpc, time, headers);
                        tries = Some(first);
                        let (endpoint, name) = self.named_endpoint(settings, cluster, host);
                        rewrites::host_of_endpoint(forward, name, headers);
                        (Destination::Upstream(endpoint), timeout)
                    })
                }
            },
        };
        Some((found, tries))
    }

    /// Where a later try goes. Its head tells the endpoint its name, where its route says so.
    fn next_endpoint(
        &self,
        settings: &Settings,
        stream: &Stream,
        cluster: &Cluster,
        host: &dyn Host,
        headers: &mut HeaderMap,
    ) -> Origin {
        let (endpoint, name) = self.named_endpoint(settings, cluster, host);
        let selected = |table| stream.choice.chosen.get()?.of(table);
        if let Some(Selected { route: Route { action: Action::Forward(forward), .. }, .. }) =
            self.table(settings).and_then(selected)
        {
            rewrites::host_of_endpoint(forward, name, headers);
        }
        endpoint
    }

    /// Makes the changes of a response's head, before the filters see it. Source: Envoy's `finalizeResponseHeaders`.
    pub(crate) fn respond(&self, settings: &Settings, stream: &Stream, headers: &mut HeaderMap) {
        let code = router::status(headers).unwrap_or(0);
        self.change_response(settings, stream, headers, code);
        if let Some(tries) = &stream.choice.tries {
            tries.tell_client(headers);
        }
    }

    /// The same of a local response, which has no status yet: what is added stands before the response's own headers, which
    /// stay as they are. Only the route's own answer, its `location`, is changed. An answer of another's, on a route that
    /// answers itself, is left as it is.
    /// Source: `routes/header-changes`; Envoy's `FilterManager` asks the route only where it has a `routeEntry`.
    pub(crate) fn respond_locally(
        &self,
        settings: &Settings,
        stream: &Stream,
        headers: &mut Vec<(Vec<u8>, Vec<u8>)>,
        details: &str,
    ) {
        let own = match self.answers(settings, stream) {
            false => Vec::new(),
            true if details == DIRECT_RESPONSE => std::mem::take(headers),
            true => return,
        };
        let mut changed = HeaderMap::new(Kind::Response);
        for (name, value) in own {
            changed.add(&name, value);
        }
        self.change_response(settings, stream, &mut changed, 0);
        headers.splice(0..0, changed.iter().map(|(name, value)| (name.to_vec(), value.to_vec())));
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
        if *segments == ["upstream", "num_endpoints"] {
            let selection = self.chosen(settings, stream, host).map(|(_, selection)| selection);
            let cluster = match selection {
                Some(selection) => selection.cluster.as_deref().and_then(|name| settings.cluster(name)),
                None => settings.upstream(),
            };
            let count = |cluster: &Cluster| {
                let details = self.details(settings, &cluster.name);
                details.map_or(1, |details| details.endpoints.len().max(1)) as u64
            };
            return Some(cluster.map(|cluster| count(cluster).to_le_bytes().to_vec()).ok_or(Status::NotFound));
        }
        let (table, selection) = self.chosen(settings, stream, host)?;
        let host = selection.host.map(|at| &table.virtual_hosts[at]);
        let cluster = selection.cluster.as_deref().and_then(|name| settings.cluster(name));
        match *segments {
            ["xds", "virtual_host_name"] => Some(Ok(host.map(|host| host.name.clone().into()).unwrap_or_default())),
            ["xds", "route_name"] => {
                Some(selection.of(table).map(|selected| selected.route.name.clone().into()).ok_or(Status::NotFound))
            }
            ["xds", "cluster_name"] => Some(cluster.map(|cluster| cluster.name.clone().into()).ok_or(Status::NotFound)),
            ["xds", "virtual_host_metadata", ref path @ ..] => {
                Some(host.map_or(Err(Status::NotFound), |host| metadata::read(&host.metadata, path)))
            }
            ["xds", "route_metadata", ref path @ ..] => {
                let route = selection.of(table).map(|selected| &selected.route.metadata);
                Some(route.map_or(Err(Status::NotFound), |route| metadata::read(route, path)))
            }
            ["xds", "cluster_metadata", ref path @ ..] => Some(match cluster {
                Some(cluster) => {
                    let details = self.details(settings, &cluster.name).map(|details| &details.metadata);
                    metadata::read(details.unwrap_or(&Metadata::default()), path)
                }
                None => Err(Status::NotFound),
            }),
            _ => None,
        }
    }
}

/// A number that can't be guessed.
fn random(host: &dyn Host) -> u64 {
    let mut bytes = [0; 8];
    host.random(&mut bytes);
    u64::from_le_bytes(bytes)
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
