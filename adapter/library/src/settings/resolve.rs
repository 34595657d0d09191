//! From what was written to what counts: checks everything, fills in what is missing.

use std::collections::HashSet;
use std::path::Path;

use http::HeaderName;
use proxy_wasm_abi::enums::LogLevel;
use proxy_wasm_abi::foreign_functions::FOREIGN_FUNCTIONS;
use proxy_wasm_abi::limits;
use proxy_wasm_abi::properties::{Kind, kind};
use proxy_wasm_abi::settings::{Cluster, Connection, Plugin, Route, Settings, Upkeep};

use super::{Astray, DirectResponse, Input, Metrics, PluginInput, Problem, Source, State, Value, origin, path, title};
use crate::options::Options;

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

    fn settings(self, filters: usize, read: Read<'_>, problems: &mut Vec<Problem>) -> Option<Options> {
        duplicates("clusters", self.clusters.iter().map(|(name, _)| name), problems);
        foreign_functions(&self.foreign_functions, problems);
        duplicates("properties", self.properties.iter().map(|(path, _)| path), problems);
        duplicates("properties from headers", self.property_headers.iter().map(|(path, _)| path), problems);
        let route = route(self.upstream, self.upstream_timeout, self.direct_response, &self.astray, problems);
        let settings = Settings {
            plugins: plugins(self.plugin, self.plugins, filters, read, problems),
            clusters: clusters(self.clusters, problems),
            properties: properties(self.properties, problems),
            property_headers: property_headers(self.property_headers, problems),
            connection: Connection {
                forwarded_proto: self.x_forwarded_proto.unwrap_or(true),
                request_id: self.x_request_id.unwrap_or(true),
                buffer_limit: self.buffer_limit.unwrap_or(limits::BUFFER_LIMIT_BYTES),
                stream_idle_timeout_ms: self.stream_idle_timeout.unwrap_or(limits::STREAM_IDLE_TIMEOUT_MS),
            },
            upkeep: Upkeep {
                startup_ticks: self.startup_ticks.unwrap_or(0),
                grpc_transport: self.grpc_transport.unwrap_or_default(),
                host_state: self.state == Some(State::Host),
                log_metrics: self.metrics == Some(Metrics::Log),
                profile: self.profile.unwrap_or_default(),
                opens_bodies: false,
            },
            route: route?,
        };
        Some(Options {
            bridge: self.bridge.unwrap_or_default(),
            stub_unknown_imports: self.stub_unknown_imports.unwrap_or(false),
            foreign_functions: self.foreign_functions,
            ..Options::new(settings)
        })
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
    duplicates("environment variables", input.environment.iter().map(|(key, _)| key), problems);
    Plugin {
        // `adapt` numbers them.
        vm: 0,
        name: input.name.unwrap_or_default(),
        root_id: input.root_id.unwrap_or_default(),
        vm_id: input.vm_id.unwrap_or_default(),
        configuration: bytes("configuration", input.configuration, read, problems),
        vm_configuration: bytes("VM configuration", input.vm_configuration, read, problems),
        environment: environment(input.environment, problems),
        allow_on_headers_stop_iteration: input.allow_on_headers_stop_iteration.unwrap_or(false),
        log_level: log_level(input.log_level, problems),
    }
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

fn route(
    upstream: Option<String>,
    timeout: Option<u64>,
    direct: Option<DirectResponse>,
    astray: &[Astray],
    problems: &mut Vec<Problem>,
) -> Option<Route> {
    if upstream.is_none() && direct.is_some() && timeout.is_some() {
        problems.push(Problem::TimeoutWithoutUpstream);
    }
    let route = match (upstream, direct) {
        (None, None) => Err(match astray.first() {
            Some(Astray { key, table }) => Problem::RouteAstray { key, table },
            None => Problem::NoRoute,
        }),
        (Some(_), Some(_)) => Err(Problem::TwoRoutes),
        (Some(url), None) => origin::parse("the upstream", &url)
            .map(|origin| Route::Upstream { origin, timeout_ms: timeout.unwrap_or(limits::UPSTREAM_TIMEOUT_MS) }),
        (None, Some(DirectResponse { status, body })) => match status.parse() {
            // Envoy takes the same range for its direct responses.
            Ok(status @ 200..=599) => Ok(Route::DirectResponse { status, body }),
            _ => Err(Problem::Status { status }),
        },
    };
    keep(route, problems)
}

fn keep<T>(result: Result<T, Problem>, problems: &mut Vec<Problem>) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
}

fn bytes(of: &'static str, source: Option<Source>, read: Read<'_>, problems: &mut Vec<Problem>) -> Vec<u8> {
    match source {
        None => Vec::new(),
        Some(Source::Bytes(bytes)) => bytes,
        Some(Source::File(file)) => {
            let unreadable = |reason| Problem::Unreadable { of, file: file.display().to_string(), reason };
            keep(read(&file).map_err(unreadable), problems).unwrap_or_default()
        }
    }
}

fn environment(variables: Vec<(String, String)>, problems: &mut Vec<Problem>) -> Vec<(String, String)> {
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

fn clusters(clusters: Vec<(String, String)>, problems: &mut Vec<Problem>) -> Vec<Cluster> {
    let mut all = Vec::new();
    for (name, url) in clusters {
        if name.is_empty() {
            problems.push(Problem::ClusterName);
        } else if let Some(origin) = keep(origin::parse(format!("the cluster `{name}`"), &url), problems) {
            all.push(Cluster { name, origin });
        }
    }
    all
}

fn properties(properties: Vec<(String, Value)>, problems: &mut Vec<Problem>) -> Vec<(Vec<u8>, Vec<u8>)> {
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

fn property_headers(headers: Vec<(String, String)>, problems: &mut Vec<Problem>) -> Vec<(Vec<u8>, String)> {
    let mut all = Vec::new();
    for (text, header) in headers {
        let name = header.parse::<HeaderName>();
        match (path::parse(&text), name) {
            (Some(path), Ok(name)) => all.push((path, name.as_str().to_owned())),
            (None, _) => problems.push(Problem::Path { path: text }),
            (_, Err(_)) => problems.push(Problem::HeaderName { path: text, header }),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_files(_: &Path) -> Result<Vec<u8>, String> {
        Err("no such file".into())
    }

    #[test]
    fn defaults_are_envoys() {
        let input = Input { upstream: Some("http://a".into()), ..Input::default() };
        for filters in 1..3 {
            let settings = input.clone().resolve(filters, &no_files).unwrap().settings;
            assert_eq!(settings.plugins, vec![Plugin { log_level: 2, ..Plugin::default() }; filters]);
            assert_eq!(settings.connection, Connection::default());
            let Route::Upstream { timeout_ms, .. } = settings.route else { panic!("no upstream") };
            assert_eq!(timeout_ms, 15_000);
        }
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    fn problems(input: Input, filters: usize) -> Vec<String> {
        input.resolve(filters, &no_files).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_problem_at_once() {
        let input = Input {
            plugin: PluginInput {
                configuration: Some(Source::File("missing.json".into())),
                environment: vec![pair("A", "1"), pair("A", "2"), pair("", "3")],
                log_level: Some("loud".into()),
                ..PluginInput::default()
            },
            properties: vec![("source.port".into(), Value::Text("http".into())), ("a..b".into(), Value::Bool(true))],
            property_headers: vec![pair("source.address", "x y")],
            clusters: vec![pair("auth", "auth:80")],
            ..Input::default()
        };
        assert_eq!(
            problems(input, 1),
            [
                "there is neither an upstream nor a direct response",
                "`A` stands twice among the environment variables",
                "`missing.json`, for the configuration, cannot be read: no such file",
                "`` cannot be an environment variable as it is",
                "`loud` is not a log level",
                "the cluster `auth` cannot be at `auth:80`: it has no scheme",
                "`http` is not a value for the property `source.port`",
                "`a..b` is not the path of a property",
                "`x y`, for the property `source.address`, is not a header's name",
            ]
        );
    }

    #[test]
    fn problems_of_several_plugins() {
        let loud = |name: &str| PluginInput {
            name: Some(name.into()),
            log_level: Some("loud".into()),
            ..PluginInput::default()
        };
        let input = Input {
            upstream: Some("http://a".into()),
            plugin: PluginInput { name: Some("a".into()), vm_id: Some("b".into()), ..PluginInput::default() },
            plugins: vec![PluginInput::default(), loud("auth"), loud("")],
            ..Input::default()
        };
        assert_eq!(
            problems(input, 1),
            [
                "`plugin_name`, `vm_id` are said for all plugins at once",
                "there is 1 filter for 3 plugins",
                "plugin 2 (`auth`): `loud` is not a log level",
                "plugin 3: `loud` is not a log level",
            ]
        );
        let input = Input { upstream: Some("http://a".into()), ..Input::default() };
        assert_eq!(problems(input.clone(), 0), ["there is no filter"]);
        let named = PluginInput { name: Some("a".into()), ..PluginInput::default() };
        assert_eq!(problems(Input { plugin: named, ..input }, 2), ["`plugin_name` is said for all plugins at once"]);
    }

    #[test]
    fn options_count_over_the_file() {
        let below = Input {
            plugin: PluginInput {
                root_id: Some("file".into()),
                vm_id: Some("file".into()),
                environment: vec![pair("A", "file"), pair("B", "file")],
                ..PluginInput::default()
            },
            upstream: Some("http://a".into()),
            upstream_timeout: Some(1),
            ..Input::default()
        };
        let above = Input {
            plugin: PluginInput {
                root_id: Some("option".into()),
                environment: vec![pair("A", "option")],
                ..PluginInput::default()
            },
            direct_response: Some(DirectResponse::parse("204")),
            ..Input::default()
        };
        let in_table = Input { plugins: vec![below.plugin.clone()], plugin: PluginInput::default(), ..below.clone() };
        for below in [below, in_table] {
            let settings = above.clone().over(below).resolve(1, &no_files).unwrap().settings;
            let plugin = &settings.plugins[0];
            assert_eq!((plugin.root_id.as_str(), plugin.vm_id.as_str()), ("option", "file"));
            assert_eq!(settings.route, Route::DirectResponse { status: 204, body: Vec::new() });
            assert_eq!(plugin.environment, [pair("B", "file"), pair("A", "option")]);
        }
    }

    #[test]
    fn typed_values() {
        let encoded = |path, value| encode(path, kind(&path::parse(path).unwrap()), value).unwrap();
        assert_eq!(encoded("source.port", Value::Text("80".into())), 80_i64.to_le_bytes());
        assert_eq!(encoded("my.number", Value::Int(-1)), [0xff; 8]);
        assert_eq!(encoded("connection.mtls", Value::Bool(true)), [1]);
        assert_eq!(encoded("my.text", Value::Text("80".into())), b"80");
    }
}
