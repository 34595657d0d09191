//! What can be wrong with settings.

use std::fmt;

use proxy_wasm_abi::foreign_functions::FOREIGN_FUNCTIONS;

use super::RoutingProblem;

/// Something wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The settings file does not parse, or has a key that is none.
    Syntax {
        /// The file.
        file: String,
        /// What the parser says, with line, column and the text there.
        message: String,
    },
    /// Not as many filters as plugins, or none at all.
    FilterCount {
        /// How many filters.
        filters: usize,
        /// How many plugins.
        plugins: usize,
    },
    /// A plugin without a filter.
    NoFilter {
        /// What messages call it.
        plugin: String,
    },
    /// Settings that each of several plugins has for itself.
    ForAllPlugins {
        /// Their keys.
        keys: Vec<&'static str>,
    },
    /// A problem with one of several plugins.
    OfPlugin {
        /// What messages call it.
        plugin: String,
        /// What is wrong.
        problem: Box<Problem>,
    },
    /// Neither an upstream nor a direct response.
    NoRoute,
    /// Neither, but this key in a table of the settings file.
    RouteAstray {
        /// The key.
        key: &'static str,
        /// The table.
        table: &'static str,
    },
    /// Both an upstream and a direct response.
    TwoRoutes,
    /// A next handler, and an upstream or a direct response.
    NextBesides,
    /// A next handler, and a version of WASI that has none.
    NextOn02,
    /// Several requests in an instance, and a version of WASI whose instances have one at a time.
    InstanceConcurrencyOn02,
    /// The interface for exchanges, on a version of WASI whose shim has none.
    ExchangeOn03,
    /// A `[[route]]`, and a short form of one.
    RouteBesides {
        /// The short form's key.
        key: &'static str,
    },
    /// A `[[route]]` with neither a cluster nor a direct response, or with both.
    RouteAction,
    /// A problem whose place in the settings file is known.
    Located {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// What is wrong.
        problem: Box<Problem>,
    },
    /// A problem of a table of routes.
    Routing {
        /// Which route, virtual host or table.
        place: String,
        /// The number of the virtual host, from 0, if it is about one.
        host: Option<usize>,
        /// The number of the route, from 0, if it is about one.
        route: Option<usize>,
        /// What is wrong.
        problem: RoutingProblem,
    },
    /// A route to a cluster that there is not.
    UnknownCluster {
        /// Its name.
        cluster: String,
    },
    /// A cluster of the name that the upstream has.
    ClusterNamedUpstream,
    /// A time limit for an upstream where there is none.
    TimeoutWithoutUpstream,
    /// Not the URL of an origin.
    Url {
        /// Whose URL.
        of: String,
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Not a status code that a response can have.
    Status {
        /// What was written.
        status: String,
    },
    /// Not a log level.
    LogLevel {
        /// What was written.
        level: String,
    },
    /// Not a foreign function that there is.
    ForeignFunction {
        /// What was written.
        name: String,
    },
    /// Neither a host call nor a callback.
    Capability {
        /// What was written.
        name: String,
    },
    /// Not a property path.
    Path {
        /// What was written.
        path: String,
    },
    /// Not a value for a property of this path.
    Value {
        /// The path.
        path: String,
        /// What was written.
        value: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// Not an authority.
    Authority {
        /// What was written.
        authority: String,
    },
    /// Not a header's name.
    HeaderName {
        /// What is read from it.
        of: String,
        /// What was written.
        header: String,
    },
    /// Not a variable that an environment can have.
    Environment {
        /// Its name.
        key: String,
    },
    /// A cluster without a name.
    ClusterName,
    /// A cluster that is nowhere, or in two ways.
    ClusterPlace {
        /// Its name.
        cluster: String,
    },
    /// Endpoints of a cluster that are chosen never, or too often.
    EndpointWeight {
        /// The cluster's name.
        cluster: String,
    },
    /// The same key twice.
    Duplicate {
        /// The list that it is in.
        list: &'static str,
        /// The key.
        key: String,
    },
    /// A file that cannot be read.
    Unreadable {
        /// What it would be used for.
        of: &'static str,
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// More bytes than a component should carry.
    TooLarge {
        /// How many.
        size: usize,
        /// How many may be.
        limit: usize,
    },
}

impl Problem {
    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            Self::Syntax { .. } => "Correct the file: it is TOML, with the keys of the settings.".into(),
            Self::FilterCount { filters: 0, plugins: 0 } => {
                "Give one, or several for a chain; or a settings file in which each `[[plugin]]` names its own.".into()
            }
            Self::FilterCount { .. } => "Give one for each `[[plugin]]` of the settings, in the same order.".into(),
            Self::NoFilter { .. } => {
                "Name it in its `[[plugin]]`, as in `filter = \"FILE\"`, or give every plugin's on the command line."
                    .into()
            }
            Self::ForAllPlugins { keys } => {
                let it = if keys.len() == 1 { "it" } else { "them" };
                format!("Say {it} for each plugin by itself: in a settings file with a `[[plugin]]` for each filter.")
            }
            Self::OfPlugin { problem, .. } | Self::Located { problem, .. } => problem.remedy(),
            Self::NoRoute => {
                "Say where requests go that the filter lets through: `--upstream URL`, or answer them with \
                 `--direct-response STATUS[:BODY]`."
                    .into()
            }
            Self::RouteAstray { key, .. } => {
                format!("Let `{key}` stand before the first table: all that stands below `[…]` belongs to that.")
            }
            Self::NextBesides => "Leave out `--next`, or else `--upstream` and `--direct-response`.".into(),
            Self::NextOn02 => "Leave out `--wasi 0.2`, or name an `--upstream` instead of the next handler.".into(),
            Self::InstanceConcurrencyOn02 => "Leave out `--instance-concurrency`, or say `--wasi 0.3`.".into(),
            Self::ExchangeOn03 => "Leave out `--exports`, or `--wasi 0.3`.".into(),
            Self::TwoRoutes => "Leave out `--upstream` or `--direct-response`.".into(),
            Self::RouteBesides { key } => format!("Leave out `{key}`, or the `[[route]]`."),
            Self::RouteAction => "Give it a `cluster`, or else a `direct_response`.".into(),
            Self::Routing { problem, .. } => problem.remedy(),
            Self::UnknownCluster { cluster } => format!("Say where it is: `[clusters.{cluster}]`, with a `url`."),
            Self::ClusterNamedUpstream => {
                "Give it another name; or leave out the upstream, and route to it by a `[[route]]`.".into()
            }
            Self::TimeoutWithoutUpstream => "Leave out `--upstream-timeout`, or give an `--upstream`.".into(),
            Self::Url { .. } => "Write `http://HOST[:PORT]` or `https://HOST[:PORT]`.".into(),
            Self::Status { .. } => "Write a number from 200 to 599, then `:` and the body if there is one.".into(),
            Self::LogLevel { .. } => "Write `trace`, `debug`, `info`, `warn`, `error` or `critical`.".into(),
            Self::ForeignFunction { .. } => {
                let names: Vec<String> =
                    FOREIGN_FUNCTIONS.iter().map(|function| format!("`{}`", function.name)).collect();
                format!("Write one of {}.", names.join(", "))
            }
            Self::Capability { .. } => {
                "Write names of host calls and callbacks, such as `proxy_log`; SUPPORT.md has them all.".into()
            }
            Self::Path { .. } => {
                "Write segments separated by dots, as in `source.address`; a dot within a segment is `\\.`.".into()
            }
            Self::Value { wanted, .. } => format!("Write {wanted}."),
            Self::Authority { .. } => "Write a host, and a port where there is one, as in `example.test:8080`.".into(),
            Self::HeaderName { .. } => "Write a header's name, as in `x-forwarded-for`.".into(),
            Self::Environment { .. } => "Write `NAME=VALUE`, with a name, and no NUL.".into(),
            Self::ClusterName => "Write `NAME=URL`.".into(),
            Self::ClusterPlace { .. } => {
                "Write `url = \"URL\"`, or `endpoints = [\"URL\", { url = \"URL\", weight = 2 }]`.".into()
            }
            Self::EndpointWeight { .. } => {
                "Write weights that are more than 0 each, and less than 4294967296 together.".into()
            }
            Self::Duplicate { .. } => "Leave out all but one.".into(),
            Self::Unreadable { .. } => "Name a file that can be read.".into(),
            Self::TooLarge { .. } => "Shorten the configuration, or let the filter fetch it.".into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { file, message } => write!(f, "`{file}` is not valid: {message}"),
            Self::FilterCount { filters: 0, plugins: 0 } => write!(f, "there is no filter"),
            Self::FilterCount { filters, plugins } => {
                let counted = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
                let are = if *filters == 1 { "is" } else { "are" };
                write!(f, "there {are} {} for {}", counted(*filters, "filter"), counted(*plugins, "plugin"))
            }
            Self::NoFilter { plugin } => write!(f, "{plugin} has no filter"),
            Self::ForAllPlugins { keys } => {
                let (is, keys) = (if keys.len() == 1 { "is" } else { "are" }, keys.join("`, `"));
                write!(f, "`{keys}` {is} said for all plugins at once")
            }
            Self::OfPlugin { plugin, problem } => write!(f, "{plugin}: {problem}"),
            Self::NoRoute => write!(f, "there is neither an upstream nor a direct response"),
            Self::RouteAstray { key, table } => {
                write!(f, "there is neither an upstream nor a direct response, but a `{key}` in the table `[{table}]`")
            }
            Self::NextBesides => write!(f, "there is a next handler, and another route besides"),
            Self::NextOn02 => {
                write!(f, "WASI 0.2 has no next handler: its components are not linked one behind another")
            }
            Self::InstanceConcurrencyOn02 => f.write_str(
                "with WASI 0.2 an instance has one request at a time, so `instance_concurrency` says nothing there",
            ),
            Self::ExchangeOn03 => {
                write!(f, "a component for WASI 0.3 takes requests by `wasi:http` alone")
            }
            Self::TwoRoutes => write!(f, "there is both an upstream and a direct response"),
            Self::RouteBesides { key } => {
                write!(f, "there is a `[[route]]`, and `{key}` besides, which is short for one")
            }
            Self::RouteAction => write!(f, "a `[[route]]` leads to one cluster or to one direct response"),
            Self::Located { file, line, column, problem } => write!(f, "{file}:{line}:{column}: {problem}"),
            Self::Routing { place, problem, .. } => write!(f, "{place} {problem}"),
            Self::UnknownCluster { cluster } => {
                write!(f, "a `[[route]]` leads to the cluster `{cluster}`, which is not there")
            }
            Self::ClusterNamedUpstream => write!(f, "there is a cluster `upstream`, which is the upstream's own name"),
            Self::TimeoutWithoutUpstream => {
                write!(f, "there is a time limit for the upstream, but a direct response instead of one")
            }
            Self::Url { of, url, reason } => write!(f, "{of} cannot be at `{url}`: {reason}"),
            Self::Status { status } => write!(f, "`{status}` is not a status code for the direct response"),
            Self::LogLevel { level } => write!(f, "`{level}` is not a log level"),
            Self::ForeignFunction { name } => write!(f, "there is no foreign function `{name}`"),
            Self::Capability { name } => write!(f, "`{name}` is neither a host call nor a callback"),
            Self::Path { path } => write!(f, "`{path}` is not the path of a property"),
            Self::Value { path, value, .. } => write!(f, "`{value}` is not a value for the property `{path}`"),
            Self::Authority { authority } => write!(f, "`{authority}` is not an authority"),
            Self::HeaderName { of, header } => write!(f, "`{header}`, for {of}, is not a header's name"),
            Self::Environment { key } => write!(f, "`{key}` cannot be an environment variable as it is"),
            Self::ClusterName => write!(f, "there is a cluster without a name"),
            Self::ClusterPlace { cluster } => {
                write!(f, "the cluster `{cluster}` has not exactly one of `url` and `endpoints`")
            }
            Self::EndpointWeight { cluster } => {
                write!(f, "the cluster `{cluster}` has endpoints whose weights are 0 or too large together")
            }
            Self::Duplicate { list, key } => write!(f, "`{key}` stands twice among the {list}"),
            Self::Unreadable { of, file, reason } => write!(f, "`{file}`, for the {of}, cannot be read: {reason}"),
            Self::TooLarge { size, limit } => {
                write!(f, "the settings are {size} bytes long, and {limit} is the most")
            }
        }
    }
}
