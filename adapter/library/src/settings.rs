//! What the user sets for the plugins: in a settings file, by options, or by calling the library.
//!
//! ```text
//! settings file ─► parse ─► Input ─┐
//!                                  ├─ over ─► Input ─► resolve ─► Options
//! options of the command ─► Input ─┘                   every problem at once
//! ```
//!
//! [`Input`] is what was written, with nothing checked and nothing filled in. [`Input::resolve`] checks all of it.

mod file;
mod json;
mod origin;
mod path;
mod plugin;
mod problem;
mod resolve;
mod shown;

use std::path::{Path, PathBuf};

use proxy_wasm_abi::settings::{GrpcTransport, Profile};

use crate::bridge::kind::Kind;

pub use file::parse;
pub use plugin::PluginInput;
pub(crate) use plugin::title;
pub use problem::Problem;
pub use resolve::Read;
pub use shown::{Shown, ShownPlugin};

/// What was written, by option or in a file. Each part may be missing.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "each is what `proxy_wasm_abi::settings` says of that name")]
#[non_exhaustive]
pub struct Input {
    /// What is said outside of `plugins`: for the one plugin that there is.
    pub plugin: PluginInput,
    /// The plugins, in the order in which a request passes them, where each is said by itself.
    pub plugins: Vec<PluginInput>,
    pub properties: Vec<(String, Value)>,
    pub property_headers: Vec<(String, String)>,
    pub upstream: Option<String>,
    pub upstream_timeout: Option<u64>,
    pub direct_response: Option<DirectResponse>,
    pub clusters: Vec<(String, String)>,
    pub x_forwarded_proto: Option<bool>,
    pub x_request_id: Option<bool>,
    pub buffer_limit: Option<u32>,
    pub stream_idle_timeout: Option<u64>,
    pub startup_ticks: Option<u32>,
    pub grpc_transport: Option<GrpcTransport>,
    pub metrics: Option<Metrics>,
    pub state: Option<State>,
    pub profile: Option<Profile>,
    pub bridge: Option<Kind>,
    pub stub_unknown_imports: Option<bool>,
    pub foreign_functions: Vec<String>,
    /// Where a route stands that is none.
    pub astray: Vec<Astray>,
}

/// A key of a settings file that stands in one of its tables, where it means something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Astray {
    /// The key.
    pub key: &'static str,
    /// The table.
    pub table: &'static str,
}

/// Bytes, or the file that holds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// These bytes.
    Bytes(Vec<u8>),
    /// What this file holds.
    File(PathBuf),
}

/// A property's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text; a path that has a type of its own gets a value of that type.
    Text(String),
    /// A number of 8 bytes.
    Int(i64),
    /// A number of 8 bytes with a fraction.
    Float(f64),
    /// One byte.
    Bool(bool),
}

/// Where the shim itself writes metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metrics {
    /// Nowhere: a host that wants them asks.
    None,
    /// Into the log.
    Log,
}

impl Metrics {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::None, Self::Log];

    /// Its name in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Log => "log",
        }
    }
}

/// Where shared data and shared queues are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// In the instance: each has its own.
    Vm,
    /// In the host, for all instances: the component imports `proxy-wasm:adapter/shared`.
    Host,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Vm, Self::Host];

    /// Its name in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vm => "vm",
            Self::Host => "host",
        }
    }
}

/// An answer that no upstream gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectResponse {
    /// Its status code, as written.
    pub status: String,
    /// Its body.
    pub body: Vec<u8>,
}

impl DirectResponse {
    /// What `STATUS[:BODY]` says.
    pub fn parse(text: &str) -> Self {
        let (status, body) = text.split_once(':').unwrap_or((text, ""));
        Self { status: status.trim().into(), body: body.into() }
    }
}

impl Input {
    /// This input, and where it says nothing, that one: what options say counts over what stands in a file.
    ///
    /// Lists are joined; an entry here takes the place of those with the same key there.
    #[must_use]
    pub fn over(mut self, below: Self) -> Self {
        // Where a request goes is one question with two possible answers.
        let routed = self.upstream.is_some() || self.direct_response.is_some();
        let (plugin, plugins) = match (self.plugins, below.plugins) {
            // With one plugin it makes no difference where it is said.
            (above, mut plugins) if above.is_empty() && plugins.len() == 1 => {
                plugins = plugins.into_iter().map(|plugin| self.plugin.clone().over(plugin)).collect();
                (below.plugin, plugins)
            }
            (above, plugins) => (self.plugin.over(below.plugin), if above.is_empty() { plugins } else { above }),
        };
        Self {
            plugin,
            plugins,
            properties: join(&mut self.properties, below.properties),
            property_headers: join(&mut self.property_headers, below.property_headers),
            upstream: self.upstream.or(below.upstream.filter(|_| !routed)),
            // That of an upstream which a direct response took the place of has no meaning any more.
            upstream_timeout: self
                .upstream_timeout
                .or(below.upstream_timeout.filter(|_| self.direct_response.is_none())),
            direct_response: self.direct_response.or(below.direct_response.filter(|_| !routed)),
            clusters: join(&mut self.clusters, below.clusters),
            x_forwarded_proto: self.x_forwarded_proto.or(below.x_forwarded_proto),
            x_request_id: self.x_request_id.or(below.x_request_id),
            buffer_limit: self.buffer_limit.or(below.buffer_limit),
            stream_idle_timeout: self.stream_idle_timeout.or(below.stream_idle_timeout),
            startup_ticks: self.startup_ticks.or(below.startup_ticks),
            grpc_transport: self.grpc_transport.or(below.grpc_transport),
            metrics: self.metrics.or(below.metrics),
            state: self.state.or(below.state),
            profile: self.profile.or(below.profile),
            bridge: self.bridge.or(below.bridge),
            stub_unknown_imports: self.stub_unknown_imports.or(below.stub_unknown_imports),
            foreign_functions: if self.foreign_functions.is_empty() {
                below.foreign_functions
            } else {
                self.foreign_functions
            },
            astray: if self.astray.is_empty() { below.astray } else { self.astray },
        }
    }
}

impl Input {
    /// This input with the file names in it taken as relative to a directory.
    #[must_use]
    pub fn relative_to(mut self, directory: &Path) -> Self {
        self.plugins.iter_mut().chain([&mut self.plugin]).for_each(|plugin| plugin.relative_to(directory));
        self
    }

    /// The files of the filters, one for each plugin.
    ///
    /// # Errors
    /// A problem for each plugin without one.
    pub fn filters(&self) -> Result<Vec<PathBuf>, Vec<Problem>> {
        let (mut files, mut problems) = (Vec::new(), Vec::new());
        for (index, plugin) in self.plugins.iter().enumerate() {
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
}

fn join<V>(over: &mut Vec<(String, V)>, below: Vec<(String, V)>) -> Vec<(String, V)> {
    let mut joined: Vec<_> = below.into_iter().filter(|(key, _)| over.iter().all(|(above, _)| above != key)).collect();
    joined.append(over);
    joined
}
