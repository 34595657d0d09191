//! The settings file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use proxy_wasm_abi::settings::{GrpcTransport, Profile};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::{Astray, DirectResponse, Input, Metrics, PluginInput, Problem, Source, State, Value, json};
use crate::bridge::kind::Kind;
use crate::values::{parse_buffer, parse_milliseconds};

/// What a settings file says; messages call it by this name. File names in it stay as they are written: relative to the settings file.
///
/// # Errors
/// [`Problem::Syntax`], with line and column.
pub fn parse(name: &str, text: &str) -> Result<Input, Problem> {
    let wrong = |message: &str| Problem::Syntax { file: name.into(), message: message.trim_end().into() };
    let file: File = toml::from_str(text).map_err(|error| {
        let message = error.to_string();
        wrong(&explained(message.strip_prefix("TOML parse error ").unwrap_or(&message)))
    })?;
    let astray = file.astray();
    file.input().map(|input| Input { astray, ..input }).map_err(|message| wrong(&message))
}

/// The keys that are said once for all plugins.
const OF_ALL: [&str; 18] = [
    "bridge",
    "buffer_limit",
    "clusters",
    "direct_response",
    "foreign_functions",
    "grpc_transport",
    "metrics",
    "profile",
    "properties",
    "property_headers",
    "startup_ticks",
    "state",
    "stream_idle_timeout",
    "stub_unknown_imports",
    "upstream",
    "upstream_timeout",
    "x_forwarded_proto",
    "x_request_id",
];

/// What the parser says, and what the user most likely meant.
fn explained(message: &str) -> String {
    let unknown = message.split_once("unknown field `").filter(|(_, rest)| rest.contains("expected one of `filter`"));
    let unknown = unknown.and_then(|(_, rest)| rest.split('`').next());
    let meant = match unknown {
        Some(key) if OF_ALL.contains(&key) => {
            format!(
                "`{key}` is said for all plugins: it stands before the first `[[plugin]]`, as all behind one is that plugin's"
            )
        }
        Some("plugin_name") => "in a `[[plugin]]` it is `name`".into(),
        _ if message.contains("[plugin]") && !message.contains("[[plugin]") => {
            "write `[[plugin]]`, in two brackets".into()
        }
        _ => return message.trim_end().into(),
    };
    format!("{}\n{meant}", message.trim_end())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    plugin_name: Option<String>,
    root_id: Option<String>,
    vm_id: Option<String>,
    configuration: Option<Configuration>,
    configuration_file: Option<PathBuf>,
    vm_configuration: Option<Configuration>,
    vm_configuration_file: Option<PathBuf>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    allow_on_headers_stop_iteration: Option<bool>,
    log_level: Option<String>,
    #[serde(default)]
    plugin: Vec<Table>,
    #[serde(default)]
    properties: ByPath<Leaf>,
    #[serde(default)]
    property_headers: ByPath<String>,
    upstream: Option<String>,
    upstream_timeout: Option<Milliseconds>,
    direct_response: Option<Direct>,
    #[serde(default)]
    clusters: BTreeMap<String, String>,
    x_forwarded_proto: Option<bool>,
    x_request_id: Option<bool>,
    buffer_limit: Option<Buffer>,
    stream_idle_timeout: Option<Milliseconds>,
    startup_ticks: Option<u32>,
    grpc_transport: Option<GrpcTransport>,
    metrics: Option<Metrics>,
    state: Option<State>,
    profile: Option<Profile>,
    bridge: Option<Kind>,
    stub_unknown_imports: Option<bool>,
    #[serde(default)]
    foreign_functions: Vec<String>,
}

/// One of `[[plugin]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    filter: Option<PathBuf>,
    name: Option<String>,
    root_id: Option<String>,
    vm_id: Option<String>,
    configuration: Option<Configuration>,
    configuration_file: Option<PathBuf>,
    vm_configuration: Option<Configuration>,
    vm_configuration_file: Option<PathBuf>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    allow_on_headers_stop_iteration: Option<bool>,
    log_level: Option<String>,
}

impl Table {
    fn input(self) -> Result<PluginInput, String> {
        let source = |inline: Option<Configuration>, file: Option<PathBuf>, key: &str| match (inline, file) {
            (Some(_), Some(_)) => Err(format!("it has both `{key}` and `{key}_file`")),
            (inline, file) => Ok(inline.map(|inline| Source::Bytes(inline.bytes)).or(file.map(Source::File))),
        };
        Ok(PluginInput {
            filter: self.filter,
            name: self.name,
            root_id: self.root_id,
            vm_id: self.vm_id,
            configuration: source(self.configuration, self.configuration_file, "configuration")?,
            vm_configuration: source(self.vm_configuration, self.vm_configuration_file, "vm_configuration")?,
            environment: self.environment.into_iter().collect(),
            allow_on_headers_stop_iteration: self.allow_on_headers_stop_iteration,
            log_level: self.log_level,
        })
    }
}

impl File {
    /// Where the file's route may stand without being one: below the head of a table, all keys are the table's.
    fn astray(&self) -> Vec<Astray> {
        let mut astray = Vec::new();
        for key in ["upstream", "direct_response"] {
            let mut within = |table: &'static str, is_within: bool| {
                if is_within {
                    astray.push(Astray { key, table });
                }
            };
            let is_in = |configuration: &Option<Configuration>| {
                configuration.as_ref().is_some_and(|configuration| configuration.keys.iter().any(|known| known == key))
            };
            within("clusters", self.clusters.contains_key(key));
            within("properties", self.properties.0.iter().any(|(path, _)| path == key));
            within("property_headers", self.property_headers.0.iter().any(|(path, _)| path == key));
            within("environment", self.environment.contains_key(key));
            within("configuration", is_in(&self.configuration));
            within("vm_configuration", is_in(&self.vm_configuration));
            let of_plugins = |is_in: &dyn Fn(&Table) -> bool| self.plugin.iter().any(is_in);
            within("plugin.environment", of_plugins(&|plugin| plugin.environment.contains_key(key)));
            within("plugin.configuration", of_plugins(&|plugin| is_in(&plugin.configuration)));
        }
        astray
    }

    fn input(self) -> Result<Input, String> {
        let plugin = Table {
            filter: None,
            name: self.plugin_name,
            root_id: self.root_id,
            vm_id: self.vm_id,
            configuration: self.configuration,
            configuration_file: self.configuration_file,
            vm_configuration: self.vm_configuration,
            vm_configuration_file: self.vm_configuration_file,
            environment: self.environment,
            allow_on_headers_stop_iteration: self.allow_on_headers_stop_iteration,
            log_level: self.log_level,
        };
        Ok(Input {
            astray: Vec::new(),
            plugin: plugin.input()?,
            plugins: self.plugin.into_iter().map(Table::input).collect::<Result<_, _>>()?,
            properties: self.properties.0.into_iter().map(|(path, leaf)| (path, leaf.into())).collect(),
            property_headers: self.property_headers.0,
            upstream: self.upstream,
            upstream_timeout: self.upstream_timeout.map(|quantity| quantity.0),
            direct_response: self.direct_response.map(Into::into),
            clusters: self.clusters.into_iter().collect(),
            x_forwarded_proto: self.x_forwarded_proto,
            x_request_id: self.x_request_id,
            buffer_limit: self.buffer_limit.map(|quantity| quantity.0),
            stream_idle_timeout: self.stream_idle_timeout.map(|quantity| quantity.0),
            startup_ticks: self.startup_ticks,
            grpc_transport: self.grpc_transport,
            metrics: self.metrics,
            state: self.state,
            profile: self.profile,
            bridge: self.bridge,
            stub_unknown_imports: self.stub_unknown_imports,
            foreign_functions: self.foreign_functions,
        })
    }
}

/// `15000`, or `"15s"`.
struct Milliseconds(u64);

/// `1048576`, or `"1MiB"`.
struct Buffer(u32);

impl<'de> Deserialize<'de> for Milliseconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        quantity(deserializer, parse_milliseconds).map(Self)
    }
}

impl<'de> Deserialize<'de> for Buffer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        quantity(deserializer, parse_buffer).map(Self)
    }
}

/// A number, or text with a unit, as an option of the command takes it.
fn quantity<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: fn(&str) -> Result<T, String>,
) -> Result<T, D::Error> {
    let text = match toml::Value::deserialize(deserializer)? {
        toml::Value::String(text) => text,
        other => other.to_string(),
    };
    parse(&text).map_err(D::Error::custom)
}

/// Text as it is, or a table or an array as JSON.
struct Configuration {
    bytes: Vec<u8>,
    /// Of a table.
    keys: Vec<String>,
}

impl<'de> Deserialize<'de> for Configuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Ok(Self { bytes: text.into_bytes(), keys: Vec::new() }),
            value @ (toml::Value::Table(_) | toml::Value::Array(_)) => {
                let bytes = json::from_toml(&value).map_err(D::Error::custom)?.to_string().into_bytes();
                let keys = value.as_table().map(|table| table.keys().cloned().collect()).unwrap_or_default();
                Ok(Self { bytes, keys })
            }
            other => Err(D::Error::custom(format!("a configuration is a string, a table or an array, not {other}"))),
        }
    }
}

/// `{ status = 200, body = "…" }`, or `"200:…"`, or `200`.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a status code, \"STATUS:BODY\" or { status = STATUS, body = \"BODY\" }")]
enum Direct {
    Status(i64),
    Text(String),
    Table(DirectTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DirectTable {
    status: i64,
    #[serde(default)]
    body: String,
}

impl From<Direct> for DirectResponse {
    fn from(direct: Direct) -> Self {
        match direct {
            Direct::Status(status) => Self { status: status.to_string(), body: Vec::new() },
            Direct::Text(text) => Self::parse(&text),
            Direct::Table(DirectTable { status, body }) => Self { status: status.to_string(), body: body.into_bytes() },
        }
    }
}

/// Entries by path. A table within is a longer path, so that `source.address = "…"` and `"source.address" = "…"` are the
/// same.
struct ByPath<T>(Vec<(String, T)>);

impl<T> Default for ByPath<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ByPath<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let nodes: BTreeMap<String, Node<T>> = BTreeMap::deserialize(deserializer)?;
        let mut all = Vec::new();
        for (key, node) in nodes {
            match node {
                Node::Leaf(leaf) => all.push((key, leaf)),
                Node::Table(inner) => {
                    all.extend(inner.0.into_iter().map(|(rest, leaf)| (format!("{key}.{rest}"), leaf)))
                }
            }
        }
        Ok(Self(all))
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a string, a number, a boolean or a table of such")]
enum Node<T> {
    Leaf(T),
    Table(ByPath<T>),
}

/// A property's value as TOML has it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Leaf {
    Text(String),
    Bool(bool),
    Int(i64),
    Float(f64),
}

impl From<Leaf> for Value {
    fn from(leaf: Leaf) -> Self {
        match leaf {
            Leaf::Text(text) => Self::Text(text),
            Leaf::Bool(value) => Self::Bool(value),
            Leaf::Int(number) => Self::Int(number),
            Leaf::Float(number) => Self::Float(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_by_either_way_of_writing() {
        let input =
            parse("t", "[properties]\nsource.address = 'a'\n'source.port' = 80\nx.y.z = true\nr = 0.5\n").unwrap();
        assert_eq!(
            input.properties,
            [
                ("r".into(), Value::Float(0.5)),
                ("source.address".into(), Value::Text("a".into())),
                ("source.port".into(), Value::Int(80)),
                ("x.y.z".into(), Value::Bool(true)),
            ]
        );
    }

    #[test]
    fn configurations() {
        let bytes = |text: &str| parse("t", text).unwrap().plugin.configuration.unwrap();
        assert_eq!(bytes("configuration = 'a'"), Source::Bytes(b"a".into()));
        assert_eq!(
            bytes("[configuration]\nb = [1, 2.5]\na.c = 'x'\n"),
            Source::Bytes(br#"{"a":{"c":"x"},"b":[1,2.5]}"#.into())
        );
        assert_eq!(bytes("configuration_file = 'c.json'"), Source::File("c.json".into()));
    }

    #[test]
    fn plugins_in_order() {
        let text =
            "log_level = 'warn'\n[[plugin]]\nfilter = 'a.wasm'\nname = 'a'\n[[plugin]]\nconfiguration_file = 'b'\n";
        let input = parse("t", text).unwrap().relative_to(std::path::Path::new("dir"));
        assert_eq!(input.plugin.keys(), ["log_level"]);
        let [a, b] = input.plugins.as_slice() else { panic!("{:?}", input.plugins) };
        assert_eq!((a.filter.as_deref(), a.name.as_deref()), (Some(std::path::Path::new("dir/a.wasm")), Some("a")));
        assert_eq!(b.configuration, Some(Source::File("dir/b".into())));
        let Err(Problem::Syntax { message, .. }) = parse("t", "[[plugin]]\nplugin_name = 'a'\n") else {
            panic!("no error")
        };
        assert!(message.contains("unknown field `plugin_name`") && message.ends_with("it is `name`"), "{message}");
    }

    /// A key of the file itself behind a `[[plugin]]` is that plugin's for TOML.
    #[test]
    fn keys_behind_a_plugin() {
        for key in OF_ALL {
            let message = |text: &str| match parse("t", text) {
                Err(Problem::Syntax { message, .. }) => message,
                other => panic!("{key}: {other:?}"),
            };
            let behind = message(&format!("[[plugin]]\nfilter = 'a.wasm'\n{key} = -1\n"));
            assert!(behind.contains("line 3") && behind.contains("before the first `[[plugin]]`"), "{behind}");
            // By itself it may be wrong only in its value.
            if let Err(Problem::Syntax { message, .. }) = parse("t", &format!("{key} = -1\n")) {
                assert!(!message.contains("unknown field"), "{key}: {message}");
            }
        }
    }

    #[test]
    fn a_route_astray() {
        for (table, text) in [
            ("clusters", "[clusters]\nauth = 'http://a'\nupstream = 'http://b'\n"),
            ("properties", "[properties]\nupstream = 'http://b'\n"),
            ("property_headers", "[property_headers]\nupstream = 'http://b'\n"),
            ("environment", "[environment]\nupstream = 'http://b'\n"),
            ("configuration", "[configuration]\nupstream = 'http://b'\n"),
            ("plugin.configuration", "[[plugin]]\n[plugin.configuration]\nupstream = 'http://b'\n"),
        ] {
            let problems = parse("t", text).unwrap().resolve(1, &|_| Ok(Vec::new())).unwrap_err();
            // A name that no header can have is told besides.
            assert_eq!(problems.first(), Some(&Problem::RouteAstray { key: "upstream", table }));
        }
    }

    #[test]
    fn quantities() {
        let input = parse("t", "upstream_timeout = '15s'\nbuffer_limit = '2MiB'\nstream_idle_timeout = 7\n").unwrap();
        let found = (input.upstream_timeout, input.buffer_limit, input.stream_idle_timeout);
        assert_eq!(found, (Some(15_000), Some(2 << 20), Some(7)));
        let no_time = "is not a time: write a number";
        let wrong = ["'15 parsecs'", "-1", "true", "[]"].map(|wrong| (wrong, no_time));
        for (wrong, why) in wrong.into_iter().chain([("1.5", "does not come to a whole number of `ms`")]) {
            let Err(Problem::Syntax { message, .. }) = parse("t", &format!("upstream_timeout = {wrong}\n")) else {
                panic!("{wrong}")
            };
            assert!(message.contains("line 1") && message.contains(why), "{message}");
        }
    }

    #[test]
    fn unknown_keys_have_a_place() {
        let Err(Problem::Syntax { message, .. }) = parse("t", "root_id = 'a'\nrootid = 'b'\n") else {
            panic!("no error")
        };
        assert!(message.contains("line 2, column 1"), "{message}");
        assert!(message.contains("unknown field `rootid`"), "{message}");
    }
}
