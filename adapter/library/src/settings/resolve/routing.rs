//! From routes as they were written to the table that the shim reads.

use std::collections::HashSet;

use http::HeaderName;
use proxy_wasm_abi::limits;
use proxy_wasm_abi::retries::RetryPolicy;
use proxy_wasm_abi::routing::{
    Action, AttemptCount, Forward, HeaderAddition, HeaderChange, HeaderChanges, HostRewrite, PathRewrite, PluginStates,
    Redirect, RedirectPath, Route, RouteTable, Substitution, Target, VirtualHost, Weighted,
};
use proxy_wasm_abi::settings;

use super::cors::Levels;
use super::formatter;
use super::metadata::metadata;
use super::respond;
use crate::settings::{
    ClusterInput, Entries, HeadersInput, HostRewriteInput, Input, Problem, RedirectInput, RouteInput, RoutingProblem,
    SubstitutionInput, VirtualHostInput, WeightedInput,
};

/// The virtual host of routes that are in none.
const DEFAULT: &str = "default";

/// What is read, and what is wrong with it.
pub(super) struct Reader<'a> {
    clusters: &'a Entries<ClusterInput>,
    /// The names of the plugins.
    plugins: Vec<String>,
    timeout_ms: u64,
    place: String,
    /// The numbers of the virtual host and of the route that are read.
    host: Option<usize>,
    route: Option<usize>,
    /// The virtual host's, for routes that say nothing of it.
    retry: Option<RetryPolicy>,
    /// Of pages of other origins.
    pub(super) cors: Levels,
    problems: &'a mut Vec<Problem>,
}

impl Input {
    /// The table of routes, where the settings have more than one plain route.
    pub(super) fn routing(&self, problems: &mut Vec<Problem>) -> Option<RouteTable> {
        let is_disabled = self.plugin.iter().map(|plugin| plugin.disabled).chain([self.disabled]);
        let disabled: Vec<_> = is_disabled.map(|is| is == Some(true)).collect();
        let is_plain = self.route.len() < 2 && self.route.iter().all(RouteInput::is_plain) && !disabled.contains(&true);
        if self.virtual_host.is_empty() && self.routes.is_none() && is_plain {
            return None;
        }
        let mut reader = Reader {
            clusters: &self.clusters,
            plugins: self.plugin_names(),
            timeout_ms: self.upstream_timeout.unwrap_or(limits::UPSTREAM_TIMEOUT_MS),
            place: "the table of routes".into(),
            host: None,
            route: None,
            retry: None,
            cors: Levels::default(),
            problems,
        };
        let besides = [
            ("upstream", self.upstream.is_some()),
            ("direct_response", self.direct_response.is_some()),
            ("[[route]]", !self.route.is_empty() && !self.virtual_host.is_empty()),
        ];
        if let Some((key, _)) = besides.into_iter().find(|(_, is_said)| *is_said) {
            reader.problem(RoutingProblem::Besides(key));
        } else if self.route.is_empty() && self.virtual_host.is_empty() {
            reader.problem(RoutingProblem::NoRoutes);
        }
        let told = self.routes.clone().unwrap_or_default();
        let headers = reader.changes(told.request_headers.as_ref(), told.response_headers.as_ref());
        let plugins = reader.plugins(&told.plugins);
        reader.cors_of_table(told.cors.as_ref());
        let routes = reader.routes(&self.route, "");
        let own = VirtualHost { name: DEFAULT.into(), domains: vec!["*".into()], routes, ..VirtualHost::default() };
        let mut virtual_hosts = reader.virtual_hosts(&self.virtual_host);
        if !self.route.is_empty() {
            virtual_hosts.push(own);
        }
        Some(RouteTable {
            virtual_hosts,
            headers,
            most_specific_wins: told.most_specific_header_mutations_wins.unwrap_or(false),
            ignore_port: told.ignore_port.unwrap_or(false),
            disabled: if self.plugin.is_empty() { places(&disabled) } else { places(&disabled[..self.plugin.len()]) },
            plugins,
            clusters: Vec::new(),
            cors: reader.cors.into_cors(told.cors_behind_plugins.unwrap_or(false)),
        })
    }

    /// The names of the plugins, in their order.
    fn plugin_names(&self) -> Vec<String> {
        match self.plugin.as_slice() {
            [] => vec![self.plugin_name.clone().unwrap_or_default()],
            all => all.iter().map(|plugin| plugin.name.clone().unwrap_or_default()).collect(),
        }
    }
}

/// Where it is so.
fn places(all: &[bool]) -> Vec<u32> {
    (0..).zip(all).filter(|(_, is)| **is).map(|(at, _)| at).collect()
}

impl Reader<'_> {
    pub(super) fn problem(&mut self, problem: RoutingProblem) {
        let (host, route) = (self.host, self.route);
        self.problems.push(Problem::Routing { place: self.place.clone(), host, route, problem });
    }

    fn virtual_hosts(&mut self, hosts: &[VirtualHostInput]) -> Vec<VirtualHost> {
        let mut known = HashSet::new();
        let one = |(at, host): (usize, &VirtualHostInput)| {
            let name = host.name.clone().unwrap_or_default();
            let title = if name.is_empty() { format!("number {}", at + 1) } else { format!("`{name}`") };
            self.place = format!("the virtual host {title}");
            (self.host, self.route) = (Some(at), None);
            if name.is_empty() {
                self.problem(RoutingProblem::NoName);
            }
            if host.domains.is_empty() {
                self.problem(RoutingProblem::NoDomains);
            }
            let domains: Vec<_> = host.domains.iter().map(|domain| domain.to_ascii_lowercase()).collect();
            for domain in &domains {
                let inner = domain.strip_prefix('*').or_else(|| domain.strip_suffix('*')).unwrap_or(domain);
                if domain.is_empty() || inner.contains('*') {
                    self.problem(RoutingProblem::Domain(domain.clone()));
                } else if !known.insert(domain.clone()) {
                    self.problem(RoutingProblem::DomainTwice(domain.clone()));
                }
            }
            let headers = self.changes(host.request_headers.as_ref(), host.response_headers.as_ref());
            self.cors_of_host(host.cors.as_ref());
            self.retry = host.retry_policy.as_ref().map(|told| self.retry(told));
            let attempt_count = AttemptCount {
                request: host.include_request_attempt_count.unwrap_or(false),
                response: host.include_attempt_count_in_response.unwrap_or(false),
            };
            let plugins = self.plugins(&host.plugins);
            let metadata = metadata(&host.metadata);
            let routes = self.routes(&host.route, &format!(" of {}", self.place));
            VirtualHost { name, domains, routes, headers, attempt_count, plugins, metadata }
        };
        hosts.iter().enumerate().map(one).collect()
    }

    fn routes(&mut self, routes: &[RouteInput], of: &str) -> Vec<Route> {
        let one = |(at, route): (usize, &RouteInput)| {
            self.route = Some(at);
            self.place = match &route.name {
                Some(name) => format!("the route `{name}`{of}"),
                None => format!("route {}{of}", at + 1),
            };
            let leads_to_cluster = route.redirect.is_none() && route.direct_response.is_none();
            let cors = if leads_to_cluster { self.cors_of_route(route.cors.as_ref()) } else { None };
            Some(Route {
                name: route.name.clone().unwrap_or_default(),
                matches: self.matches(route.matches.as_ref()),
                headers: self.changes(route.request_headers.as_ref(), route.response_headers.as_ref()),
                plugins: self.plugins(&route.plugins),
                metadata: metadata(&route.metadata),
                cors,
                action: self.action(route)?,
            })
        };
        routes.iter().enumerate().filter_map(one).collect()
    }

    /// The plugins of these names; one is also named by its number, where none has that name.
    fn plugins(&mut self, told: &Entries<bool>) -> PluginStates {
        let mut states = PluginStates::new();
        for (name, runs) in &told.0 {
            let mut places: Vec<_> = (0..).zip(&self.plugins).filter(|(_, one)| *one == name).collect();
            if places.is_empty() {
                places.extend((0..).zip(&self.plugins).filter(|(at, _)| (at + 1).to_string() == *name));
            }
            let places: Vec<u32> = places.into_iter().map(|(at, _)| at).collect();
            if places.is_empty() {
                self.problem(RoutingProblem::Plugin(name.clone()));
            }
            states.extend(places.into_iter().map(|at| (at, *runs)));
        }
        states
    }

    /// A header's name; one that begins with a colon only where it is read.
    pub(super) fn header(&mut self, name: &str, read: bool) -> String {
        let plain = if read { name.strip_prefix(':').unwrap_or(name) } else { name };
        if plain.parse::<HeaderName>().is_err() || (!read && name.eq_ignore_ascii_case("host")) {
            self.problem(RoutingProblem::Header(name.into()));
        }
        name.to_ascii_lowercase()
    }

    fn action(&mut self, route: &RouteInput) -> Option<Action> {
        const KEYS: &[&str] = &["cluster", "weighted_clusters", "cluster_header", "redirect", "direct_response"];
        let target = match (&route.cluster, route.weighted_clusters.as_slice(), &route.cluster_header) {
            (Some(cluster), [], None) => Some(Target::Cluster(self.cluster(cluster))),
            (None, weighted @ [_, ..], None) => Some(Target::Weighted(self.weighted(weighted))),
            (None, [], Some(header)) => Some(Target::Header(self.header(header, true))),
            (None, [], None) => None,
            _ => {
                self.problem(RoutingProblem::OneOf(KEYS));
                return None;
            }
        };
        match (target, &route.redirect, &route.direct_response) {
            (Some(target), None, None) => Some(Action::Forward(self.forward(target, route))),
            (None, Some(redirect), None) => {
                self.only_for_clusters(route);
                Some(Action::Redirect(self.redirect(redirect)))
            }
            (None, None, Some(answer)) => {
                self.only_for_clusters(route);
                match respond(answer) {
                    Ok(settings::Action::Respond { status, body }) => Some(Action::Respond { status, body }),
                    Ok(_) => None,
                    Err(problem) => {
                        self.problems.push(problem);
                        None
                    }
                }
            }
            _ => {
                self.problem(RoutingProblem::OneOf(KEYS));
                None
            }
        }
    }

    fn only_for_clusters(&mut self, route: &RouteInput) {
        let keys = [
            ("timeout", route.timeout.is_some()),
            ("max_grpc_timeout", route.max_grpc_timeout.is_some()),
            ("cluster_not_found", route.cluster_not_found.is_some()),
            ("retry_policy", route.retry_policy.is_some()),
            ("prefix_rewrite", route.prefix_rewrite.is_some()),
            ("regex_rewrite", route.regex_rewrite.is_some()),
            ("host_rewrite", route.host_rewrite.is_some()),
            ("auto_host_rewrite", route.auto_host_rewrite.is_some()),
            ("cors", route.cors.is_some()),
        ];
        for (key, _) in keys.into_iter().filter(|(_, is_said)| *is_said) {
            self.problem(RoutingProblem::WithoutCluster(key));
        }
    }

    fn cluster(&mut self, name: &str) -> String {
        if !self.clusters.has(name) {
            self.problem(RoutingProblem::Cluster(name.into()));
        }
        name.into()
    }

    fn weighted(&mut self, all: &[WeightedInput]) -> Vec<Weighted> {
        let total: u64 = all.iter().map(|one| u64::from(one.weight.unwrap_or(0))).sum();
        if total == 0 || total > u32::MAX.into() {
            self.problem(RoutingProblem::Weights);
        }
        let one = |one: &WeightedInput| Weighted {
            cluster: self.cluster(one.cluster.as_deref().unwrap_or_default()),
            weight: one.weight.unwrap_or(0),
            host: one.host_rewrite.clone(),
            headers: self.changes(one.request_headers.as_ref(), one.response_headers.as_ref()),
            cors: self.cors_of_cluster(one.cors.as_ref()),
        };
        all.iter().map(one).collect()
    }

    fn forward(&mut self, target: Target, route: &RouteInput) -> Forward {
        if route.prefix_rewrite.is_some() && route.regex_rewrite.is_some() {
            self.problem(RoutingProblem::AtMostOneOf(&["prefix_rewrite", "regex_rewrite"]));
        }
        let by_endpoint = route.auto_host_rewrite == Some(true);
        if by_endpoint && route.host_rewrite.is_some() {
            self.problem(RoutingProblem::AtMostOneOf(&["host_rewrite", "auto_host_rewrite"]));
        }
        let cluster_not_found = route.cluster_not_found.unwrap_or(503);
        if ![404, 500, 503].contains(&cluster_not_found) {
            self.problem(RoutingProblem::Status { status: cluster_not_found, wanted: "404, 500 or 503" });
        }
        Forward {
            target,
            path: self.rewrite(route.prefix_rewrite.as_ref(), route.regex_rewrite.as_ref()),
            host: route
                .host_rewrite
                .as_ref()
                .map(|host| match host {
                    HostRewriteInput::Literal(host) => HostRewrite::Literal(host.clone()),
                    HostRewriteInput::Header { header } => HostRewrite::Header(self.header(header, true)),
                    HostRewriteInput::Path(path) => HostRewrite::Path(self.substitution(path)),
                })
                .or(by_endpoint.then_some(HostRewrite::Endpoint)),
            timeout_ms: route.timeout.unwrap_or(self.timeout_ms),
            max_grpc_timeout_ms: route.max_grpc_timeout,
            cluster_not_found,
            retry: match &route.retry_policy {
                Some(told) => Some(self.retry(told)),
                None => self.retry.clone(),
            },
        }
    }

    fn rewrite(&mut self, prefix: Option<&String>, regex: Option<&SubstitutionInput>) -> Option<PathRewrite> {
        match (prefix, regex) {
            (Some(prefix), _) => Some(PathRewrite::Prefix(prefix.clone())),
            (None, Some(regex)) => Some(PathRewrite::Regex(self.substitution(regex))),
            (None, None) => None,
        }
    }

    fn substitution(&mut self, told: &SubstitutionInput) -> Substitution {
        Substitution { regex: self.regex(&told.regex), substitution: told.substitution.clone() }
    }

    fn redirect(&mut self, told: &RedirectInput) -> Redirect {
        const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];
        let paths = [told.path.is_some(), told.prefix.is_some(), told.regex.is_some()];
        if paths.into_iter().filter(|is_said| *is_said).count() > 1 {
            self.problem(RoutingProblem::AtMostOneOf(&["path", "prefix", "regex"]));
        }
        let status = told.status.unwrap_or(301);
        if !STATUSES.contains(&status) {
            self.problem(RoutingProblem::Status { status, wanted: "301, 302, 303, 307 or 308" });
        }
        let path = match &told.path {
            Some(path) => Some(RedirectPath::Path(path.clone())),
            None => self.rewrite(told.prefix.as_ref(), told.regex.as_ref()).map(RedirectPath::Rewrite),
        };
        Redirect {
            scheme: told.scheme.clone(),
            host: told.host.clone(),
            port: told.port,
            path,
            status,
            strip_query: told.strip_query.unwrap_or(false),
        }
    }

    fn changes(&mut self, request: Option<&HeadersInput>, response: Option<&HeadersInput>) -> HeaderChanges {
        HeaderChanges { request: self.change(request), response: self.change(response) }
    }

    fn change(&mut self, told: Option<&HeadersInput>) -> HeaderChange {
        let Some(told) = told else { return HeaderChange::default() };
        let remove = told.remove.iter().map(|name| self.header(name, false)).collect();
        let mut add = Vec::new();
        for one in &told.add {
            let name = self.header(one.name.as_deref().unwrap_or_default(), false);
            let text = one.value.as_deref().unwrap_or_default();
            match formatter::parse(text) {
                Ok(value) => add.push(HeaderAddition {
                    name,
                    value,
                    action: one.action.unwrap_or_default(),
                    keep_empty: one.keep_empty.unwrap_or(false),
                }),
                Err(part) => self.problem(RoutingProblem::Formatter { value: text.into(), part }),
            }
        }
        HeaderChange { remove, add }
    }
}
