//! A table of routes, as Envoy's `RouteConfiguration`: written into the component by the adapter, read by the larger shim.

use serde::{Deserialize, Serialize};

use crate::{clusters::ClusterDetails, cors::Cors, metadata::Metadata, retries::RetryPolicy};

/// All routes of a component, and what is to be known of its clusters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTable {
    /// The virtual hosts; no domain stands in two of them. None, where the settings' one route counts.
    pub virtual_hosts: Vec<VirtualHost>,
    /// Changes of every head.
    pub headers: HeaderChanges,
    /// The route's changes come last, so that they count, instead of first.
    pub most_specific_wins: bool,
    /// The port of a request's authority does not count.
    pub ignore_port: bool,
    /// The plugins that run only where a route says so.
    pub disabled: Vec<u32>,
    /// Whether these plugins run, where neither route nor virtual host says it.
    pub plugins: PluginStates,
    /// The clusters of which there is more to know than the settings say.
    pub clusters: Vec<ClusterDetails>,
    /// Which pages of other origins may ask.
    pub cors: Cors,
}

/// Whether plugins run, by their places in the chain. Source: Envoy's `FilterConfig`.
pub type PluginStates = Vec<(u32, bool)>;

/// Routes for some domains.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualHost {
    /// Its name.
    pub name: String,
    /// Domains in lower case: exact, `*.suffix`, `prefix.*`, or `*`.
    pub domains: Vec<String>,
    /// Its routes, of which the first that matches counts.
    pub routes: Vec<Route>,
    /// Changes of the heads of its routes.
    pub headers: HeaderChanges,
    /// Whom `x-envoy-attempt-count` tells how often a request was sent.
    pub attempt_count: AttemptCount,
    /// Whether these plugins run, where the route does not say it.
    pub plugins: PluginStates,
    /// What a filter reads as `xds.virtual_host_metadata`.
    pub metadata: Metadata,
}

/// Whom `x-envoy-attempt-count` tells how often a request was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptCount {
    /// The cluster, in the request.
    pub request: bool,
    /// The client, in the response.
    pub response: bool,
}

/// What becomes of some requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Its name, which may be empty.
    pub name: String,
    /// The requests.
    pub matches: Match,
    /// What becomes of them.
    pub action: Action,
    /// Changes of their heads.
    pub headers: HeaderChanges,
    /// Whether these plugins run for them.
    pub plugins: PluginStates,
    /// What a filter reads as `xds.route_metadata`.
    pub metadata: Metadata,
    /// Its policy for pages of other origins, by place.
    pub cors: Option<u32>,
}

/// A condition for a request; all parts hold together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    /// Of its path without the query.
    pub path: PathMatch,
    /// Letters of the path count as the same in either case. Not for regular expressions.
    pub ignore_case: bool,
    /// Of its headers.
    pub headers: Vec<HeaderMatch>,
    /// Of the parameters of its query.
    pub query: Vec<QueryMatch>,
    /// It is gRPC.
    pub grpc: bool,
}

/// A condition for a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PathMatch {
    /// It begins so.
    Prefix(String),
    /// It is this.
    Exact(String),
    /// It is this, or begins with this and a slash.
    SeparatedPrefix(String),
    /// It is matched as a whole.
    Regex(String),
}

/// A condition for text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextMatch {
    /// How the text is compared.
    pub kind: TextMatchKind,
    /// With what.
    pub text: String,
    /// Letters count as the same in either case. Not for regular expressions.
    pub ignore_case: bool,
}

/// How text is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TextMatchKind {
    /// It is the same.
    Exact,
    /// It begins so.
    Prefix,
    /// It ends so.
    Suffix,
    /// It has this in it.
    Contains,
    /// It matches as a whole.
    Regex,
}

/// A condition for a header: one of its values fulfils it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderMatch {
    /// The header's name in lower case.
    pub name: String,
    /// Of its value.
    pub value: HeaderValueMatch,
    /// The condition holds where it would not.
    pub invert: bool,
    /// A header that is not there has an empty value.
    pub missing_as_empty: bool,
}

/// A condition for a header's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HeaderValueMatch {
    /// It is there, or is not.
    Present(bool),
    /// It is such text.
    Text(TextMatch),
    /// It is a number from the first on, and less than the second.
    Range(i64, i64),
}

/// A condition for a parameter of the query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryMatch {
    /// The parameter's name.
    pub name: String,
    /// Of its first value; without one, it is there or is not.
    pub value: Result<TextMatch, bool>,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// It goes to a cluster.
    Forward(Forward),
    /// Its client is sent elsewhere.
    Redirect(Redirect),
    /// This is the answer.
    Respond {
        /// The status code.
        status: u16,
        /// The body.
        body: Vec<u8>,
    },
}

/// How a request goes to a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// To which.
    pub target: Target,
    /// What its path becomes.
    pub path: Option<PathRewrite>,
    /// What its authority becomes.
    pub host: Option<HostRewrite>,
    /// Milliseconds from the end of the request to the end of the response; 0 is no limit.
    pub timeout_ms: u64,
    /// The most milliseconds that `grpc-timeout` may ask for instead, 0 being no limit; `None` where it does not count.
    pub max_grpc_timeout_ms: Option<u64>,
    /// The status of the answer where there is no such cluster.
    pub cluster_not_found: u16,
    /// When it goes there once more.
    pub retry: Option<RetryPolicy>,
}

/// A cluster, or how it is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// The one of this name.
    Cluster(String),
    /// One of these, by chance.
    Weighted(Vec<Weighted>),
    /// The one that this header names.
    Header(String),
}

/// A cluster of several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weighted {
    /// Its name.
    pub cluster: String,
    /// How often it is taken, beside the others' weights.
    pub weight: u32,
    /// What the authority becomes, instead of what the route says.
    pub host: Option<String>,
    /// Changes of the heads.
    pub headers: HeaderChanges,
    /// Its policy for pages of other origins, by place.
    pub cors: Option<u32>,
}

/// What a path becomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PathRewrite {
    /// This instead of what the route's condition matched.
    Prefix(String),
    /// Each match of the expression becomes the substitution. The query stays.
    Regex(Substitution),
}

/// What an authority becomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostRewrite {
    /// This.
    Literal(String),
    /// The value of this header, where it is there.
    Header(String),
    /// What the path becomes by this.
    Path(Substitution),
    /// The name of the endpoint that is asked, where it has one.
    Endpoint,
}

/// A replacement of all matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Substitution {
    /// The expression.
    pub regex: String,
    /// What takes the place of a match; `\1` is its first group, `\0` all of it, `\\` a backslash.
    pub substitution: String,
}

/// Where a client is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// Another scheme.
    pub scheme: Option<String>,
    /// Another host.
    pub host: Option<String>,
    /// Another port.
    pub port: Option<u16>,
    /// Another path.
    pub path: Option<RedirectPath>,
    /// The status code.
    pub status: u16,
    /// Leave the query out.
    pub strip_query: bool,
}

/// Another path for a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RedirectPath {
    /// This one, which may have a query of its own.
    Path(String),
    /// As for an upstream.
    Rewrite(PathRewrite),
}

/// Changes of heads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderChanges {
    /// Of the request's.
    pub request: HeaderChange,
    /// Of the response's.
    pub response: HeaderChange,
}

/// Changes of one head. Removals come first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderChange {
    /// Names in lower case.
    pub remove: Vec<String>,
    /// What is added, in this order.
    pub add: Vec<HeaderAddition>,
}

/// A header that is added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderAddition {
    /// Its name in lower case.
    pub name: String,
    /// Its value.
    pub value: Vec<Piece>,
    /// What becomes of one that is there.
    pub action: AppendAction,
    /// Add it where its value is empty, too.
    pub keep_empty: bool,
}

/// A part of a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Piece {
    /// This text.
    Text(String),
    /// The request's header, or the other one where it is not there; this many bytes at most. Nothing without either.
    Request(String, Option<String>, Option<u32>),
    /// The same of the response.
    Response(String, Option<String>, Option<u32>),
    /// `HTTP/1.1` or `HTTP/2`.
    Protocol,
    /// The response's status.
    ResponseCode,
    /// The route's name.
    RouteName,
    /// The virtual host's.
    VirtualHost,
    /// The cluster's.
    Cluster,
}

/// What becomes of a header that is there, when one is added. Source: Envoy's `HeaderAppendAction`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AppendAction {
    /// It stays beside the new one.
    #[default]
    #[serde(rename = "append")]
    Append,
    /// It stays, and there is no new one.
    #[serde(rename = "add_if_absent")]
    AddIfAbsent,
    /// The new one takes its place, or is added.
    #[serde(rename = "overwrite")]
    Overwrite,
    /// The new one takes its place, and is not added where there is none.
    #[serde(rename = "overwrite_if_present")]
    OverwriteIfPresent,
}

impl RouteTable {
    /// The clusters that routes name, each as often as it is named.
    pub fn clusters(&self) -> impl Iterator<Item = &str> {
        let routes = self.virtual_hosts.iter().flat_map(|host| &host.routes);
        routes.flat_map(|route| match &route.action {
            Action::Forward(Forward { target: Target::Cluster(name), .. }) => vec![name.as_str()],
            Action::Forward(Forward { target: Target::Weighted(all), .. }) => {
                all.iter().map(|one| one.cluster.as_str()).collect()
            }
            _ => Vec::new(),
        })
    }

    /// Whether chance decides where some requests go.
    pub fn is_by_chance(&self) -> bool {
        let routes = self.virtual_hosts.iter().flat_map(|host| &host.routes);
        let mut targets = routes.filter_map(|route| match &route.action {
            Action::Forward(Forward { target: Target::Weighted(all), .. }) => Some(all),
            _ => None,
        });
        targets.any(|all| all.iter().filter(|one| one.weight > 0).count() > 1)
    }

    /// The table as bytes.
    ///
    /// # Panics
    /// Never: serializing into memory cannot fail for these types.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("plain data serializes")
    }

    /// The table that [`encode`](Self::encode) made these bytes of.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}
