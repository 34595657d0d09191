//! What the user sets for the plugins: in a settings file, by options, or by calling the library.
//!
//! ```text
//! settings file ─► parse ─► Input ─┐
//!                                  ├─ over ─► Input ─► resolve ─► Options
//! options of the command ─► Input ─┘                   every problem at once
//! ```
//!
//! [`Input`] is what was written, with nothing checked and nothing filled in: the file, the options, and whatever program
//! writes a file for people to review have this one type. [`Input::resolve`] checks all of it.

mod cluster;
mod file;
mod json;
mod keys;
mod located;
mod origin;
mod path;
mod plugin;
mod problem;
mod resolve;
mod route;
mod routing;
mod shown;
mod written;

use std::num::NonZero;
use std::path::{Path, PathBuf};

use proxy_wasm_abi::settings::{GrpcTransport, MetricsTo, Profile, SharedStateIn};

use crate::bridge::kind::Kind;
use crate::exports::Exports;
use crate::wasi::{Next, Wasi};

pub use cluster::{ClusterInput, ClusterTable, EndpointInput, EndpointTable};
pub use file::{parse, write};
pub use keys::Entries;
pub use located::located;
pub use plugin::PluginInput;
pub(crate) use plugin::title;
pub use problem::Problem;
pub use resolve::Read;
pub use route::{DirectResponse, RouteInput};
pub use routing::{
    AdditionInput, CorsInput, HeaderMatchInput, HeadersInput, HostRewriteInput, MatchInput, OriginInput,
    QueryMatchInput, RedirectInput, RetryInput, RoutesInput, RoutingProblem, SubstitutionInput, VirtualHostInput,
    WeightedInput,
};
pub(crate) use shown::is_default;
pub use shown::{Shown, ShownHost, ShownPlugin};
pub use written::{Configuration, Value};

use keys::{Keys, keys};
use written::{buffer, by_path, milliseconds};

keys! {
    /// What was written, by option or in a file. Each part may be missing; most are what `proxy_wasm_abi::settings` says of
    /// that name.
    pub struct Input {
        /// The name of the one plugin that there is; so are the eleven keys behind this one.
        pub plugin_name: Option<String>,
        /// See [`PluginInput`].
        pub root_id: Option<String>,
        /// See [`PluginInput`].
        pub vm_id: Option<String>,
        /// See [`PluginInput`].
        pub configuration: Option<Configuration>,
        /// See [`PluginInput`].
        pub configuration_file: Option<PathBuf>,
        /// See [`PluginInput`].
        pub vm_configuration: Option<Configuration>,
        /// See [`PluginInput`].
        pub vm_configuration_file: Option<PathBuf>,
        /// See [`PluginInput`].
        pub environment: Entries<String>,
        /// See [`PluginInput`].
        pub allow_on_headers_stop_iteration: Option<bool>,
        /// See [`PluginInput`].
        pub log_level: Option<String>,
        /// See [`PluginInput`].
        pub allowed_capabilities: Vec<String>,
        /// See [`PluginInput`].
        pub disabled: Option<bool>,
        /// The plugins, in the order in which a request passes them, where each is said by itself.
        pub plugin: Vec<PluginInput>,
        /// Property values, by path.
        #[serde(deserialize_with = "by_path")]
        pub properties: Entries<Value>,
        /// Request headers that properties are read from, by path.
        #[serde(deserialize_with = "by_path")]
        pub property_headers: Entries<String>,
        /// Where requests go: the first that matches.
        pub route: Vec<RouteInput>,
        /// The version of WASI that the component is for.
        pub wasi: Option<Wasi>,
        /// Short for a route to the component that is linked behind it.
        pub next: Option<Next>,
        /// The same by domain.
        pub virtual_host: Vec<VirtualHostInput>,
        /// What counts for all of these.
        pub routes: Option<RoutesInput>,
        /// Short for a cluster of that name and a route to it.
        pub upstream: Option<String>,
        /// The timeout of the route, where that says none.
        #[serde(deserialize_with = "milliseconds")]
        pub upstream_timeout: Option<u64>,
        /// Short for a route with this answer.
        pub direct_response: Option<DirectResponse>,
        /// Clusters, by name.
        pub clusters: Entries<ClusterInput>,
        /// The authority of requests of which the host tells none.
        pub authority: Option<String>,
        /// The request header that has it then.
        pub authority_header: Option<String>,
        /// Whether to add `x-forwarded-proto`.
        pub x_forwarded_proto: Option<bool>,
        /// Whether to add `x-request-id`.
        pub x_request_id: Option<bool>,
        /// Bytes of a body that are held for a filter.
        #[serde(deserialize_with = "buffer")]
        pub buffer_limit: Option<u32>,
        /// Milliseconds without progress until a stream is given up.
        #[serde(deserialize_with = "milliseconds")]
        pub stream_idle_timeout: Option<u64>,
        /// Ticks that run when the plugin starts.
        pub startup_ticks: Option<u32>,
        /// Requests that an instance has at once, on WASI 0.3.
        pub instance_concurrency: Option<NonZero<u32>>,
        /// What gRPC callouts are sent as.
        pub grpc_transport: Option<GrpcTransport>,
        /// Where the shim itself writes metrics.
        pub metrics: Option<MetricsTo>,
        /// Where shared data and queues are.
        pub state: Option<SharedStateIn>,
        /// Whose filters are taken.
        pub profile: Option<Profile>,
        /// By which interfaces requests come, on WASI 0.2.
        pub exports: Option<Exports>,
        /// How bytes get between the memories.
        pub bridge: Option<Kind>,
        /// Whether imports that are no host calls become functions that trap.
        pub stub_unknown_imports: Option<bool>,
        /// Foreign functions to have.
        pub foreign_functions: Vec<String>,
    }
}

impl Input {
    /// This input, and where it says nothing, that one: what options say counts over what stands in a file.
    ///
    /// Lists are joined; an entry here takes the place of those with the same key there.
    #[must_use]
    pub fn over(mut self, mut below: Self) -> Self {
        let alone = self.take_alone();
        // With one plugin it makes no difference where it is said.
        match below.plugin.as_mut_slice() {
            [only] if self.plugin.is_empty() => *only = alone.over(std::mem::take(only)),
            _ => below.set_alone(|below| alone.over(below)),
        }
        self.route_over(&mut below);
        self.merged(below)
    }

    /// Where a request goes is one question with several possible answers: this one's counts alone.
    fn route_over(&mut self, below: &mut Self) {
        if let [route] = below.route.as_mut_slice() {
            route.timeout = self.upstream_timeout.or(route.timeout);
            if self.upstream.is_some() {
                self.upstream_timeout = route.timeout;
            }
        }
        let says_one = self.next.is_some() || self.upstream.is_some() || self.direct_response.is_some();
        if says_one || !self.route.is_empty() || !self.virtual_host.is_empty() {
            (below.next, below.upstream, below.direct_response, below.route) = (None, None, None, Vec::new());
            (below.virtual_host, below.routes) = (Vec::new(), None);
        }
        if self.direct_response.is_some() {
            // That of an upstream which a direct response took the place of has no meaning any more.
            below.upstream_timeout = None;
        }
    }

    /// The keys of the one plugin, which this loses.
    fn take_alone(&mut self) -> PluginInput {
        PluginInput {
            filter: None,
            name: self.plugin_name.take(),
            root_id: self.root_id.take(),
            vm_id: self.vm_id.take(),
            configuration: self.configuration.take(),
            configuration_file: self.configuration_file.take(),
            vm_configuration: self.vm_configuration.take(),
            vm_configuration_file: self.vm_configuration_file.take(),
            environment: std::mem::take(&mut self.environment),
            allow_on_headers_stop_iteration: self.allow_on_headers_stop_iteration.take(),
            log_level: self.log_level.take(),
            allowed_capabilities: std::mem::take(&mut self.allowed_capabilities),
            disabled: self.disabled.take(),
        }
    }

    /// Changes the keys of the one plugin.
    fn set_alone(&mut self, change: impl FnOnce(PluginInput) -> PluginInput) {
        let alone = change(self.take_alone());
        self.plugin_name = alone.name;
        self.root_id = alone.root_id;
        self.vm_id = alone.vm_id;
        self.configuration = alone.configuration;
        self.configuration_file = alone.configuration_file;
        self.vm_configuration = alone.vm_configuration;
        self.vm_configuration_file = alone.vm_configuration_file;
        self.environment = alone.environment;
        self.allow_on_headers_stop_iteration = alone.allow_on_headers_stop_iteration;
        self.log_level = alone.log_level;
        self.allowed_capabilities = alone.allowed_capabilities;
        self.disabled = alone.disabled;
    }

    /// This input with the file names in it taken as relative to a directory.
    #[must_use]
    pub fn relative_to(mut self, directory: &Path) -> Self {
        self.set_alone(|mut alone| {
            alone.relative_to(directory);
            alone
        });
        self.plugin.iter_mut().for_each(|plugin| plugin.relative_to(directory));
        if let Some(Next::Component(file)) = &mut self.next {
            *file = directory.join(&*file);
        }
        self
    }

    /// The files of the filters, one for each plugin.
    ///
    /// # Errors
    /// A problem for each plugin without one.
    pub fn filters(&self) -> Result<Vec<PathBuf>, Vec<Problem>> {
        let (mut files, mut problems) = (Vec::new(), Vec::new());
        for (index, plugin) in self.plugin.iter().enumerate() {
            match &plugin.filter {
                Some(file) => files.push(file.clone()),
                None => {
                    let plugin = title(index, plugin.name.as_deref().unwrap_or_default());
                    problems.push(Problem::NoFilter { plugin });
                }
            }
        }
        if problems.is_empty() { Ok(files) } else { Err(problems) }
    }

    /// Where a route may stand that is none, by its key and the table: below the head of a table, all keys are the table's.
    fn astray(&self) -> Option<(&'static str, &'static str)> {
        let tables = |key: &str| {
            let json = |configuration: &Option<Configuration>| configuration.as_ref().is_some_and(|json| json.has(key));
            let plugins = &self.plugin;
            [
                (self.clusters.has(key), "clusters"),
                (self.properties.has(key), "properties"),
                (self.property_headers.has(key), "property_headers"),
                (self.environment.has(key), "environment"),
                (json(&self.configuration), "configuration"),
                (json(&self.vm_configuration), "vm_configuration"),
                (plugins.iter().any(|plugin| plugin.environment.has(key)), "plugin.environment"),
                (plugins.iter().any(|plugin| json(&plugin.configuration)), "plugin.configuration"),
            ]
        };
        ["next", "upstream", "direct_response"].into_iter().find_map(|key| {
            let (_, table) = tables(key).into_iter().find(|(is_in, _)| *is_in)?;
            Some((key, table))
        })
    }
}
