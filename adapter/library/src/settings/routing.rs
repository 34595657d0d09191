//! A table of routes as it was written, and what can be wrong with it.

use std::fmt;

use proxy_wasm_abi::retries::RetryOn;
use proxy_wasm_abi::routing::AppendAction;
use serde::{Deserialize, Serialize};

use super::RouteInput;
use super::keys::{Entries, keys};
use super::written::milliseconds;

keys! {
    /// What counts for all routes: `[routes]`.
    pub struct RoutesInput {
        /// The route's header changes come last, so that they count, instead of first.
        pub most_specific_header_mutations_wins: Option<bool>,
        /// The port of a request's authority does not count.
        pub ignore_port: Option<bool>,
        /// Changes of every request's head.
        pub request_headers: Option<HeadersInput>,
        /// Changes of every response's head.
        pub response_headers: Option<HeadersInput>,
        /// Whether plugins run, by their names, where neither route nor virtual host says it.
        pub plugins: Entries<bool>,
        /// Which pages of other origins may ask, where neither route nor virtual host says it.
        pub cors: Option<CorsInput>,
        /// Requests are asked for it behind the last plugin, instead of before the first.
        pub cors_behind_plugins: Option<bool>,
    }
}

keys! {
    /// Routes for some domains: one of `[[virtual_host]]`.
    pub struct VirtualHostInput {
        /// Its name, as the property `xds.virtual_host_name` has it.
        pub name: Option<String>,
        /// Its domains: exact, `*.suffix`, `prefix.*` or `*`.
        pub domains: Vec<String>,
        /// Changes of its requests' heads.
        pub request_headers: Option<HeadersInput>,
        /// Changes of its responses' heads.
        pub response_headers: Option<HeadersInput>,
        /// When requests are sent once more, for routes that say nothing of it.
        pub retry_policy: Option<RetryInput>,
        /// Whether `x-envoy-attempt-count` tells clusters how often a request was sent.
        pub include_request_attempt_count: Option<bool>,
        /// Whether it tells clients.
        pub include_attempt_count_in_response: Option<bool>,
        /// Whether plugins run, by their names, where the route does not say it.
        pub plugins: Entries<bool>,
        /// What a filter reads as `xds.virtual_host_metadata`.
        pub metadata: Entries<Entries<toml::Value>>,
        /// Which pages of other origins may ask, where the route does not say it.
        pub cors: Option<CorsInput>,
        /// Its routes.
        pub route: Vec<RouteInput>,
    }
}

keys! {
    /// When a request is sent once more.
    pub struct RetryInput {
        /// The outcomes, by Envoy's names.
        pub retry_on: Vec<String>,
        /// How often after the first time, 1 by default.
        pub num_retries: Option<u32>,
        /// How long each try may take, in milliseconds.
        #[serde(deserialize_with = "milliseconds")]
        pub per_try_timeout: Option<u64>,
        /// The statuses that `retriable-status-codes` means.
        pub retriable_status_codes: Vec<u16>,
        /// The headers that `retriable-headers` means.
        pub retriable_headers: Vec<HeaderMatchInput>,
        /// Less than so many milliseconds go by before the first retry, 25 by default; twice as many before each further one.
        #[serde(deserialize_with = "milliseconds")]
        pub base_interval: Option<u64>,
        /// But never more than these: ten times the base by default.
        #[serde(deserialize_with = "milliseconds")]
        pub max_interval: Option<u64>,
    }
}

keys! {
    /// A condition for a request: one of the first four, and all others together.
    pub struct MatchInput {
        /// The path begins so.
        pub prefix: Option<String>,
        /// The path is this.
        pub path: Option<String>,
        /// The path is this, or begins with this and a slash.
        pub separated_prefix: Option<String>,
        /// The whole path matches.
        pub regex: Option<String>,
        /// Whether upper and lower case of the path differ, as by default.
        pub case_sensitive: Option<bool>,
        /// It is gRPC.
        pub grpc: Option<bool>,
        /// Of headers.
        pub headers: Vec<HeaderMatchInput>,
        /// Of the query's parameters.
        pub query: Vec<QueryMatchInput>,
    }
}

keys! {
    /// A condition for a header.
    pub struct HeaderMatchInput {
        /// The header's name.
        pub name: Option<String>,
        /// Its value is this.
        pub exact: Option<String>,
        /// Its value begins so.
        pub prefix: Option<String>,
        /// Its value ends so.
        pub suffix: Option<String>,
        /// Its value has this in it.
        pub contains: Option<String>,
        /// Its whole value matches.
        pub regex: Option<String>,
        /// It is there, or is not.
        pub present: Option<bool>,
        /// Its value is a number from the first on, and less than the second.
        pub range: Option<[i64; 2]>,
        /// Upper and lower case are the same.
        pub ignore_case: Option<bool>,
        /// The condition holds where it would not.
        pub invert: Option<bool>,
        /// A header that is not there has an empty value.
        pub missing_as_empty: Option<bool>,
    }
}

keys! {
    /// A condition for a parameter of the query.
    pub struct QueryMatchInput {
        /// The parameter's name.
        pub name: Option<String>,
        /// Its value is this.
        pub exact: Option<String>,
        /// Its value begins so.
        pub prefix: Option<String>,
        /// Its value ends so.
        pub suffix: Option<String>,
        /// Its value has this in it.
        pub contains: Option<String>,
        /// Its whole value matches.
        pub regex: Option<String>,
        /// It is there, or is not.
        pub present: Option<bool>,
        /// Upper and lower case are the same.
        pub ignore_case: Option<bool>,
    }
}

keys! {
    /// One of several clusters.
    pub struct WeightedInput {
        /// Its name.
        pub cluster: Option<String>,
        /// How often it is taken, beside the others' weights.
        pub weight: Option<u32>,
        /// What the authority becomes.
        pub host_rewrite: Option<String>,
        /// Changes of the request's head.
        pub request_headers: Option<HeadersInput>,
        /// Changes of the response's head.
        pub response_headers: Option<HeadersInput>,
        /// Which pages of other origins may ask, instead of what the route says.
        pub cors: Option<CorsInput>,
    }
}

keys! {
    /// Which pages of other origins may ask. Each key counts where it is said nearest to the route, but `enabled`: of
    /// that the nearest of all these tables speaks.
    pub struct CorsInput {
        /// Whether any of this counts, as by default.
        pub enabled: Option<bool>,
        /// The origins that are allowed; one that fits `*` allows all.
        pub allow_origins: Vec<OriginInput>,
        /// The methods of `access-control-allow-methods`; `*` is the one that was asked for.
        pub allow_methods: Option<String>,
        /// The headers of `access-control-allow-headers`; `*` is those that were asked for.
        pub allow_headers: Option<String>,
        /// The headers of `access-control-expose-headers`.
        pub expose_headers: Option<String>,
        /// The seconds of `access-control-max-age`.
        pub max_age: Option<String>,
        /// Whether `access-control-allow-credentials` is said.
        pub allow_credentials: Option<bool>,
        /// Whether `access-control-allow-private-network` is said to those who ask.
        pub allow_private_network: Option<bool>,
        /// Whether preflights of other origins go on, as by default; else they are answered without an origin.
        pub forward_not_matching_preflights: Option<bool>,
    }
}

keys! {
    /// Origins: one of the first five.
    pub struct OriginInput {
        /// It is this.
        pub exact: Option<String>,
        /// It begins so.
        pub prefix: Option<String>,
        /// It ends so.
        pub suffix: Option<String>,
        /// It has this in it.
        pub contains: Option<String>,
        /// All of it matches.
        pub regex: Option<String>,
        /// Upper and lower case are the same.
        pub ignore_case: Option<bool>,
    }
}

keys! {
    /// Where clients are sent.
    pub struct RedirectInput {
        /// Another scheme.
        pub scheme: Option<String>,
        /// Another host.
        pub host: Option<String>,
        /// Another port.
        pub port: Option<u16>,
        /// Another path.
        pub path: Option<String>,
        /// What takes the place of the path's matched part.
        pub prefix: Option<String>,
        /// What each match in the path becomes.
        pub regex: Option<SubstitutionInput>,
        /// The status code, 301 by default.
        pub status: Option<u16>,
        /// Leave the query out.
        pub strip_query: Option<bool>,
    }
}

keys! {
    /// Changes of a head. Removals come first.
    pub struct HeadersInput {
        /// What is added.
        pub add: Vec<AdditionInput>,
        /// Names of headers.
        pub remove: Vec<String>,
    }
}

keys! {
    /// A header that is added.
    pub struct AdditionInput {
        /// Its name.
        pub name: Option<String>,
        /// Its value, in which `%REQ(name)%` and its like stand for what they name.
        pub value: Option<String>,
        /// What becomes of one that is there.
        pub action: Option<AppendAction>,
        /// Add it where its value is empty, too.
        pub keep_empty: Option<bool>,
    }
}

/// `{ regex = "…", substitution = "…" }`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SubstitutionInput {
    /// The expression.
    pub regex: String,
    /// What takes the place of a match; `\1` is its first group.
    pub substitution: String,
}

/// What an authority becomes: text, `{ header = "NAME" }`, or `{ regex = "…", substitution = "…" }` of the path.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(
    untagged,
    expecting = "expected a host, { header = \"NAME\" } or { regex = \"REGEX\", substitution = \"TEXT\" }"
)]
pub enum HostRewriteInput {
    /// This.
    Literal(String),
    /// A header's value.
    Header {
        /// The header's name.
        header: String,
    },
    /// What the path becomes by this.
    Path(SubstitutionInput),
}

/// What can be wrong with a table of routes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoutingProblem {
    /// Both `[[route]]` and `[[virtual_host]]`, or one of these with a short form.
    Besides(&'static str),
    /// `[routes]` without routes.
    NoRoutes,
    /// A virtual host without a name.
    NoName,
    /// A virtual host without domains.
    NoDomains,
    /// A wildcard where none can be.
    Domain(String),
    /// A domain that an earlier virtual host has.
    DomainTwice(String),
    /// Not exactly one of these keys.
    OneOf(&'static [&'static str]),
    /// More than one of these keys.
    AtMostOneOf(&'static [&'static str]),
    /// A key that says nothing here, as there is no cluster.
    WithoutCluster(&'static str),
    /// A cluster that is not there.
    Cluster(String),
    /// All weights are 0, or together more than 4294967295.
    Weights,
    /// An expression that the shim does not compile.
    Regex {
        /// The expression.
        regex: String,
        /// Why.
        reason: String,
    },
    /// Not a header's name, or one that may not change.
    Header(String),
    /// A value with a `%…%` that nobody answers.
    Formatter {
        /// The value.
        value: String,
        /// The part.
        part: String,
    },
    /// A status code that is not of these.
    Status {
        /// What was written.
        status: u16,
        /// What could be.
        wanted: &'static str,
    },
    /// A key of `cors` that is no header's value.
    Value(&'static str),
    /// A path that does not begin with a slash.
    Path(String),
    /// A number range without numbers.
    Range(i64, i64),
    /// A plugin that is not there.
    Plugin(String),
    /// An outcome that is none.
    RetryOn(String),
    /// A first back-off of nothing, or a longest one that is shorter.
    BackOff {
        /// Milliseconds of the first.
        base: u64,
        /// Milliseconds of the longest.
        max: u64,
    },
}

/// Keys in a sentence.
fn listed(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

impl RoutingProblem {
    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            Self::Besides(key) => format!("Leave out `{key}`, or write it as a `[[virtual_host.route]]`."),
            Self::NoRoutes => "Add a `[[route]]` or a `[[virtual_host]]`.".into(),
            Self::NoName => "Add `name = \"NAME\"`.".into(),
            Self::NoDomains => "Add `domains = [\"*\"]` for all, or name them.".into(),
            Self::Domain(_) => "Write a host, `*.SUFFIX`, `PREFIX.*` or `*`.".into(),
            Self::DomainTwice(_) => "Leave out all but one.".into(),
            Self::OneOf(keys) => format!("Write one of {}.", listed(keys)),
            Self::AtMostOneOf(_) => "Leave out all but one.".into(),
            Self::WithoutCluster(key) => format!("Leave out `{key}`, or let the route lead to a cluster."),
            Self::Cluster(cluster) => format!("Say where it is: `[clusters.{cluster}]`, with a `url`."),
            Self::Weights => "Write weights that are more than 0 together, and less than 4294967296.".into(),
            Self::Regex { .. } => {
                "Write it without lookaround, backreferences, Unicode classes (`\\p{…}`) and `\\Q…\\E`.".into()
            }
            Self::Header(_) => "Write a header's name, as in `x-forwarded-for`; `host` and names that begin with `:` \
                                are changed by rewrites."
                .into(),
            Self::Formatter { .. } => {
                "Write `%REQ(NAME)%`, `%REQ(NAME?OTHER):LENGTH%`, `%RESP(NAME)%`, `%PROTOCOL%`, `%RESPONSE_CODE%`, \
                 `%ROUTE_NAME%`, `%VIRTUAL_HOST_NAME%` or `%UPSTREAM_CLUSTER%`; a percent sign is `%%`."
                    .into()
            }
            Self::Value(_) => "Write it as the header has it, in one line.".into(),
            Self::Status { wanted, .. } => format!("Write {wanted}."),
            Self::Path(_) => "Begin it with `/`.".into(),
            Self::Range(..) => "Let the first number be less than the second.".into(),
            Self::Plugin(_) => "Write the `name` of a `[[plugin]]`, or its number, which begins with 1.".into(),
            Self::RetryOn(_) => {
                format!("Write of these: {}.", listed(&RetryOn::ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>()))
            }
            Self::BackOff { .. } => "Let `base_interval` be 1 or more, and `max_interval` no less.".into(),
        }
    }
}

impl fmt::Display for RoutingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Besides(key) => write!(f, "stands beside `{key}`, which says where all requests go"),
            Self::NoRoutes => write!(f, "has no routes"),
            Self::NoName => write!(f, "has no name"),
            Self::NoDomains => write!(f, "has no domains"),
            Self::Domain(domain) => write!(f, "has the domain `{domain}`, which is none"),
            Self::DomainTwice(domain) => write!(f, "has the domain `{domain}`, which stands twice"),
            Self::OneOf(keys) => write!(f, "has not exactly one of {}", listed(keys)),
            Self::AtMostOneOf(keys) => write!(f, "has more than one of {}", listed(keys)),
            Self::WithoutCluster(key) => write!(f, "has `{key}`, but leads to no cluster"),
            Self::Cluster(cluster) => write!(f, "leads to the cluster `{cluster}`, which is not there"),
            Self::Weights => write!(f, "has clusters whose weights are 0 or too large together"),
            Self::Regex { regex, reason } => write!(f, "has the expression `{regex}`, which is none: {reason}"),
            Self::Header(name) => write!(f, "has the header name `{name}`, which cannot be one here"),
            Self::Formatter { value, part } => write!(f, "has the value `{value}`, of which `{part}` is not known"),
            Self::Value(key) => write!(f, "has a `{key}` of `cors` that is no header's value"),
            Self::Status { status, .. } => write!(f, "has the status {status}, which cannot be one here"),
            Self::Path(path) => write!(f, "has the path `{path}`, which no request has"),
            Self::Plugin(name) => write!(f, "names the plugin `{name}`, which is not there"),
            Self::RetryOn(name) => write!(f, "has `{name}` in `retry_on`, which is no outcome"),
            Self::BackOff { base, max } => {
                write!(f, "has a back-off of {base} milliseconds at first and {max} at most, which cannot be")
            }
            Self::Range(start, end) => write!(f, "has the range from {start} to {end}, which is empty"),
        }
    }
}
