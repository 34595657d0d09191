//! From what was written to what counts: checks everything, fills in what is missing.

use std::collections::HashSet;
use std::mem::take;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use http::HeaderName;
use http::uri::Authority;
use proxy_wasm_abi::capabilities::is_capability;
use proxy_wasm_abi::enums::LogLevel;
use proxy_wasm_abi::foreign_functions::FOREIGN_FUNCTIONS;
use proxy_wasm_abi::limits;
use proxy_wasm_abi::properties::{Kind, kind};
use proxy_wasm_abi::routing::RouteTable;
use proxy_wasm_abi::settings::{Action, Connection, Plugin, Route, Settings, UPSTREAM, Upkeep};

use super::{Configuration, DirectResponse, Entries, Input, PluginInput, Problem, RouteInput, Value, path, title};
use crate::exports::Exports;
use crate::options::Options;
use crate::shim::{Flavour, Shim};
use crate::wasi::Wasi;

/// Bytes of encoded settings: what a shim's memory holds with ease.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Reads a file that the settings name; the error says why it cannot.
pub type Read<'a> = &'a dyn Fn(&Path) -> Result<Vec<u8>, String>;

impl Input {
    /// What counts for so many filters, with the defaults for what is missing.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn resolve(self, filters: usize, read: Read<'_>) -> Result<Options, Vec<Problem>> {
        let mut problems = Vec::new();
        let options = self.settings(filters, read, &mut problems);
        match options {
            Some(options) if problems.is_empty() => {
                let size = options.settings.encode().len();
                if size > MAX_BYTES {
                    return Err(vec![Problem::TooLarge { size, limit: MAX_BYTES }]);
                }
                Ok(options)
            }
            _ => Err(problems),
        }
    }

    fn settings(mut self, filters: usize, read: Read<'_>, problems: &mut Vec<Problem>) -> Option<Options> {
        duplicates("clusters", self.clusters.keys(), problems);
        foreign_functions(&self.foreign_functions, problems);
        duplicates("properties", self.properties.keys(), problems);
        duplicates("properties from headers", self.property_headers.keys(), problems);
        let table = self.routing(problems);
        let routes = if table.is_some() { Some(Vec::new()) } else { self.routes(problems) };
        let wasi = self.wasi(problems);
        let alone = self.take_alone();
        let plugins = plugins(alone, take(&mut self.plugin), filters, read, problems);
        let (clusters, details) = clusters::clusters(self.upstream.take(), take(&mut self.clusters), problems);
        let routing = RouteTable { clusters: details, ..table.unwrap_or_default() };
        let settings = Settings {
            plugins,
            clusters: clusters.into(),
            properties: properties(self.properties, problems),
            property_headers: property_headers(self.property_headers, problems),
            connection: Connection {
                authority: self.authority.and_then(|text| authority(text, problems)),
                authority_header: self.authority_header.and_then(|name| authority_header(name, problems)),
                forwarded_proto: self.x_forwarded_proto.unwrap_or(true),
                request_id: self.x_request_id.unwrap_or(true),
                buffer_limit: self.buffer_limit.unwrap_or(limits::BUFFER_LIMIT_BYTES),
                stream_idle_timeout_ms: self.stream_idle_timeout.unwrap_or(limits::STREAM_IDLE_TIMEOUT_MS),
            },
            upkeep: Upkeep {
                startup_ticks: self.startup_ticks.unwrap_or_default(),
                grpc_transport: self.grpc_transport.unwrap_or_default(),
                state: self.state.unwrap_or_default(),
                metrics: self.metrics.unwrap_or_default(),
                profile: self.profile.unwrap_or_default(),
                instance_concurrency: self.instance_concurrency.map(NonZero::get),
                opens_bodies: false,
            },
            routes: routes?.into(),
            routing: if routing == RouteTable::default() { Vec::new() } else { routing.encode() }.into(),
        };
        Some(Options {
            wasi,
            shim: Shim::built_in(wasi, Flavour::Plain),
            exports: self.exports.unwrap_or_default(),
            bridge: self.bridge.unwrap_or_default(),
            stub_unknown_imports: self.stub_unknown_imports.unwrap_or(false),
            foreign_functions: self.foreign_functions,
            ..Options::new(settings)
        })
    }

    /// The version of WASI, with what it does not offer yet.
    fn wasi(&self, problems: &mut Vec<Problem>) -> Wasi {
        let default = if self.next.is_some() { Wasi::V0_3 } else { Wasi::V0_2 };
        let wasi = self.wasi.unwrap_or(default);
        match wasi {
            Wasi::V0_2 if self.next.is_some() => problems.push(Problem::NextOn02),
            Wasi::V0_2 if self.instance_concurrency.is_some() => problems.push(Problem::InstanceConcurrencyOn02),
            Wasi::V0_3 if self.exports.is_some_and(|exports| exports != Exports::Handler) => {
                problems.push(Problem::ExchangeOn03);
            }
            Wasi::V0_2 | Wasi::V0_3 => {}
        }
        wasi
    }

    /// The routes, with what the short forms stand for.
    fn routes(&self, problems: &mut Vec<Problem>) -> Option<Vec<Route>> {
        let short = |key: &'static str, is_said: bool| (is_said && !self.route.is_empty()).then_some(key);
        if let Some(key) = short("upstream", self.upstream.is_some())
            .or(short("direct_response", self.direct_response.is_some()))
            .or(short("next", self.next.is_some()))
        {
            problems.push(Problem::RouteBesides { key });
            return None;
        }
        if self.next.is_some() && (self.upstream.is_some() || self.direct_response.is_some()) {
            problems.push(Problem::NextBesides);
            return None;
        }
        if self.upstream.is_none() && self.direct_response.is_some() && self.upstream_timeout.is_some() {
            problems.push(Problem::TimeoutWithoutUpstream);
        }
        let timeout = self.upstream_timeout.unwrap_or(limits::UPSTREAM_TIMEOUT_MS);
        let to = |cluster: &str, timeout_ms| Ok(Action::Forward { cluster: cluster.into(), timeout_ms });
        let action = match (&self.upstream, &self.direct_response, self.route.as_slice()) {
            (Some(_), Some(_), _) => Err(Problem::TwoRoutes),
            (Some(_), None, _) => to(UPSTREAM, timeout),
            (None, Some(answer), _) => respond(answer),
            (None, None, []) if self.next.is_some() => Ok(Action::Next { timeout_ms: timeout }),
            (None, None, []) => Err(match self.astray() {
                Some((key, table)) => Problem::RouteAstray { key, table },
                None => Problem::NoRoute,
            }),
            (None, None, [RouteInput { cluster: Some(cluster), direct_response: None, timeout: own, .. }]) => {
                match self.clusters.has(cluster) {
                    true => to(cluster, own.unwrap_or(timeout)),
                    false => Err(Problem::UnknownCluster { cluster: cluster.clone() }),
                }
            }
            (None, None, [RouteInput { cluster: None, direct_response: Some(answer), timeout: None, .. }]) => {
                respond(answer)
            }
            (None, None, [RouteInput { cluster: None, direct_response: Some(_), .. }]) => {
                Err(Problem::TimeoutWithoutUpstream)
            }
            (None, None, _) => Err(Problem::RouteAction),
        };
        keep(action, problems).map(|action| vec![Route { action }])
    }
}

/// The action of a direct response.
fn respond(DirectResponse { status, body }: &DirectResponse) -> Result<Action, Problem> {
    match status.parse() {
        // Envoy takes the same range for its direct responses.
        Ok(status @ 200..=599) => Ok(Action::Respond { status, body: body.clone().into() }),
        _ => Err(Problem::Status { status: status.clone() }),
    }
}

/// The plugins for so many filters.
fn plugins(
    alone: PluginInput,
    mut plugins: Vec<PluginInput>,
    filters: usize,
    read: Read<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<Plugin> {
    if plugins.is_empty() && filters == 1 {
        plugins.push(alone);
    } else {
        let keys = alone.keys();
        if !keys.is_empty() {
            problems.push(Problem::ForAllPlugins { keys });
        }
        if plugins.is_empty() {
            plugins.resize(filters, PluginInput::default());
        }
    }
    if plugins.len() != filters || filters == 0 {
        problems.push(Problem::FilterCount { filters, plugins: plugins.len() });
    }
    let several = plugins.len() > 1;
    let resolve = |(index, input): (usize, PluginInput)| {
        let mut own = Vec::new();
        let plugin = plugin(input, read, &mut own);
        let title = title(index, &plugin.name);
        problems.extend(own.into_iter().map(|problem| match several {
            true => Problem::OfPlugin { plugin: title.clone(), problem: Box::new(problem) },
            false => problem,
        }));
        plugin
    };
    plugins.into_iter().enumerate().map(resolve).collect()
}

fn plugin(input: PluginInput, read: Read<'_>, problems: &mut Vec<Problem>) -> Plugin {
    duplicates("environment variables", input.environment.keys(), problems);
    Plugin {
        // `adapt` numbers them.
        vm: 0,
        name: input.name.unwrap_or_default(),
        root_id: input.root_id.unwrap_or_default(),
        vm_id: input.vm_id.unwrap_or_default(),
        configuration: bytes("configuration", input.configuration, input.configuration_file, read, problems),
        vm_configuration: bytes(
            "VM configuration",
            input.vm_configuration,
            input.vm_configuration_file,
            read,
            problems,
        ),
        environment: environment(input.environment, problems),
        allow_on_headers_stop_iteration: input.allow_on_headers_stop_iteration.unwrap_or(false),
        log_level: log_level(input.log_level, problems),
        allowed_capabilities: capabilities(input.allowed_capabilities, problems),
    }
}

/// In their order, so that equal ones are the same for virtual machines, too.
fn capabilities(mut names: Vec<String>, problems: &mut Vec<Problem>) -> Vec<String> {
    let unknown = names.iter().filter(|name| !is_capability(name));
    problems.extend(unknown.map(|name| Problem::Capability { name: name.clone() }));
    names.sort();
    names.dedup();
    names
}

fn foreign_functions(names: &[String], problems: &mut Vec<Problem>) {
    let is_known = |name: &&String| FOREIGN_FUNCTIONS.iter().any(|known| known.name == *name);
    let unknown = names.iter().filter(|name| !is_known(name));
    problems.extend(unknown.map(|name| Problem::ForeignFunction { name: name.clone() }));
}

fn duplicates<'a>(list: &'static str, keys: impl Iterator<Item = &'a String>, problems: &mut Vec<Problem>) {
    let mut seen = HashSet::new();
    problems.extend(keys.filter(|key| !seen.insert(*key)).map(|key| Problem::Duplicate { list, key: key.clone() }));
}

fn keep<T>(result: Result<T, Problem>, problems: &mut Vec<Problem>) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
}

fn bytes(
    of: &'static str,
    inline: Option<Configuration>,
    file: Option<PathBuf>,
    read: Read<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<u8> {
    match (inline, file) {
        (Some(configuration), _) => configuration.bytes(),
        (None, Some(file)) => {
            let unreadable = |reason| Problem::Unreadable { of, file: file.display().to_string(), reason };
            keep(read(&file).map_err(unreadable), problems).unwrap_or_default()
        }
        (None, None) => Vec::new(),
    }
}

fn environment(Entries(variables): Entries<String>, problems: &mut Vec<Problem>) -> Vec<(String, String)> {
    for (key, value) in &variables {
        if key.is_empty() || key.contains(['=', '\0']) || value.contains('\0') {
            problems.push(Problem::Environment { key: key.clone() });
        }
    }
    variables
}

fn log_level(level: Option<String>, problems: &mut Vec<Problem>) -> u8 {
    let found = match level {
        None => None,
        Some(level) => {
            let known = (0..).map_while(LogLevel::from_u32).find(|known| known.name() == level);
            keep(known.ok_or(Problem::LogLevel { level }), problems)
        }
    };
    found.unwrap_or(LogLevel::Info) as u8
}

fn properties(Entries(properties): Entries<Value>, problems: &mut Vec<Problem>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut all = Vec::new();
    for (text, value) in properties {
        match path::parse(&text) {
            None => problems.push(Problem::Path { path: text }),
            Some(path) => {
                if let Some(value) = keep(encode(&text, kind(&path), value), problems) {
                    all.push((path, value));
                }
            }
        }
    }
    all
}

/// The value as the ABI encodes it.
fn encode(path: &str, kind: Kind, value: Value) -> Result<Vec<u8>, Problem> {
    let wanted = match kind {
        Kind::String => "text",
        Kind::Int => "a whole number",
        Kind::Bool => "`true` or `false`",
    };
    let refused = |value: String| Problem::Value { path: path.into(), value, wanted };
    match value {
        Value::Text(text) => kind.encode(text.as_bytes()).ok_or_else(|| refused(text)),
        Value::Int(number) if kind != Kind::Bool => Ok(number.to_le_bytes().into()),
        Value::Float(number) if kind == Kind::String => Ok(number.to_le_bytes().into()),
        Value::Bool(value) if kind != Kind::Int => Ok(vec![value.into()]),
        Value::Int(number) => Err(refused(number.to_string())),
        Value::Float(number) => Err(refused(number.to_string())),
        Value::Bool(value) => Err(refused(value.to_string())),
    }
}

/// A host, and perhaps a port.
fn authority(text: String, problems: &mut Vec<Problem>) -> Option<String> {
    let is_one = text.parse::<Authority>().is_ok_and(|parsed| !parsed.host().is_empty() && !text.contains('@'));
    if !is_one {
        problems.push(Problem::Authority { authority: text.clone() });
    }
    is_one.then_some(text)
}

/// The name of a header, in lower case.
fn authority_header(name: String, problems: &mut Vec<Problem>) -> Option<String> {
    match name.parse::<HeaderName>() {
        Ok(name) => Some(name.as_str().to_owned()),
        Err(_) => {
            problems.push(Problem::HeaderName { of: "the authority".into(), header: name });
            None
        }
    }
}

fn property_headers(Entries(headers): Entries<String>, problems: &mut Vec<Problem>) -> Vec<(Vec<u8>, String)> {
    let mut all = Vec::new();
    for (text, header) in headers {
        let name = header.parse::<HeaderName>();
        match (path::parse(&text), name) {
            (Some(path), Ok(name)) => all.push((path, name.as_str().to_owned())),
            (None, _) => problems.push(Problem::Path { path: text }),
            (_, Err(_)) => problems.push(Problem::HeaderName { of: format!("the property `{text}`"), header }),
        }
    }
    all
}

mod clusters;
mod cors;
mod formatter;
mod matches;
mod metadata;
mod retries;
mod routing;
#[cfg(test)]
mod tests;
