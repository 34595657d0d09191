//! The options that say how to adapt a filter.

use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;
use proxy_wasm_abi::settings::{Action, GrpcTransport, MetricsTo, Profile, SharedStateIn};
use proxy_wasm_adapter::Options;
use proxy_wasm_adapter::bridge::Kind;
use proxy_wasm_adapter::error::Severity;
use proxy_wasm_adapter::exports::Exports;
use proxy_wasm_adapter::settings::{self, Configuration, DirectResponse, Entries, Input, Value};
use proxy_wasm_adapter::shim::{Flavour, Shim};
use proxy_wasm_adapter::values::{parse_buffer, parse_milliseconds};
use proxy_wasm_adapter::wasi::{Next, Wasi};

use super::failure::{Failure, Message, reason};
use super::input;

/// How to adapt filters.
#[derive(Clone, Debug, Default, PartialEq, clap::Args)]
#[group(skip)]
pub(super) struct AdaptOptions {
    /// Settings in TOML, all that the options below say and with the keys shown at the end; options count over them
    #[arg(long, value_name = "FILE", help_heading = "Plugin")]
    settings: Option<PathBuf>,

    /// Name of the plugin, in its log lines and as the property plugin_name
    #[arg(long, value_name = "NAME", help_heading = "Plugin")]
    plugin_name: Option<String>,

    /// Which of the filter's root contexts to use [default: the one without a name]
    #[arg(long, value_name = "ID", help_heading = "Plugin")]
    root_id: Option<String>,

    /// The property plugin_vm_id
    #[arg(long, value_name = "ID", help_heading = "Plugin")]
    vm_id: Option<String>,

    /// Configuration of the plugin
    #[arg(long, value_name = "FILE", help_heading = "Plugin")]
    config: Option<PathBuf>,

    /// Configuration of the plugin, as text
    #[arg(long, value_name = "TEXT", conflicts_with = "config", help_heading = "Plugin")]
    config_text: Option<String>,

    /// Configuration of the VM
    #[arg(long, value_name = "FILE", help_heading = "Plugin")]
    vm_config: Option<PathBuf>,

    /// Configuration of the VM, as text
    #[arg(long, value_name = "TEXT", conflicts_with = "vm_config", help_heading = "Plugin")]
    vm_config_text: Option<String>,

    /// Environment variable that the filter sees; may be repeated, as all of NAME=VALUE may
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair, help_heading = "Plugin")]
    env: Vec<(String, String)>,

    /// Least severe log record to write [default: info]
    #[arg(long, value_name = "LEVEL", help_heading = "Plugin")]
    log_level: Option<String>,

    /// Let StopIteration on headers go on with the body, as Envoy's option of that name
    #[arg(long, help_heading = "Plugin")]
    allow_on_headers_stop_iteration: bool,

    /// Host call or callback that the filter may use, such as proxy_log; may be repeated [default: all]
    #[arg(long, value_name = "NAME", help_heading = "Plugin")]
    allow_capability: Vec<String>,

    /// Value of a property, such as source.address=192.0.2.1:4711
    #[arg(long, value_name = "PATH=VALUE", value_parser = pair, help_heading = "Plugin")]
    property: Vec<(String, String)>,

    /// Request header to read a property from, such as source.address=x-forwarded-for
    #[arg(long, value_name = "PATH=HEADER", value_parser = pair, help_heading = "Plugin")]
    property_header: Vec<(String, String)>,

    /// The component for WASI 0.3 that gets the requests which the filter lets through, linked behind it: a file, or
    /// `handler` for whatever it is composed with later
    #[arg(long, value_name = "FILE|handler", value_parser = next, help_heading = "Routing")]
    next: Option<Next>,

    /// Where requests go that the filter lets through. From `serve` they have the client's `host`, as from Envoy
    #[arg(long, value_name = "URL", help_heading = "Routing")]
    upstream: Option<String>,

    /// Time for the upstream's whole response, 0 for no limit; a number alone is milliseconds [default: 15s]
    #[arg(long, value_name = "TIME", value_parser = parse_milliseconds, help_heading = "Routing")]
    upstream_timeout: Option<u64>,

    /// Answer requests that the filter lets through, instead of sending them on
    #[arg(long, value_name = "STATUS[:BODY]", help_heading = "Routing")]
    direct_response: Option<String>,

    /// Cluster that the filter's callouts name
    #[arg(long, value_name = "NAME=URL", value_parser = pair, help_heading = "Routing")]
    cluster: Vec<(String, String)>,

    /// The authority of requests of which the host tells none, as Wasmtime 48 does of HTTP/1.1 with `--wasi 0.3`
    #[arg(long, value_name = "HOST[:PORT]", help_heading = "Routing")]
    authority: Option<String>,

    /// Request header that has the authority where the host tells none: a proxy in front sets it, and it is taken out
    #[arg(long, value_name = "HEADER", help_heading = "Routing")]
    authority_header: Option<String>,

    /// Do not add x-forwarded-proto to requests without one
    #[arg(long, help_heading = "Routing")]
    no_x_forwarded_proto: bool,

    /// Do not add x-request-id to requests without one
    #[arg(long, help_heading = "Routing")]
    no_x_request_id: bool,

    /// Bytes of a body that are held for a filter that buffers; by HTTP/2 `serve` holds 16 MiB, as Envoy [default: 1MiB]
    #[arg(long, value_name = "BYTES", value_parser = parse_buffer, help_heading = "Routing")]
    buffer_limit: Option<u32>,

    /// Time without progress until a stream is given up, 0 for no limit; a number alone is milliseconds [default: 5m]
    #[arg(long, value_name = "TIME", value_parser = parse_milliseconds, help_heading = "Routing")]
    stream_idle_timeout: Option<u64>,

    /// Ticks that run at once when the plugin starts, for a filter that fills a cache from them; requests wait up to 15 s
    #[arg(long, value_name = "N", help_heading = "Plugin")]
    startup_ticks: Option<u32>,

    /// Requests that one instance has at once, on WASI 0.3; hosts send more to other instances [default: 16]
    #[arg(long, value_name = "N", help_heading = "Plugin")]
    instance_concurrency: Option<NonZero<u32>>,

    /// What gRPC callouts are sent as: `grpc-web` is for hosts that only send HTTP/1.1 [default: http2]
    #[arg(long, value_name = "KIND", value_parser = named(GrpcTransport::ALL, GrpcTransport::name), help_heading = "Routing")]
    grpc_transport: Option<GrpcTransport>,

    /// Where shared data and queues are: `host` is for hosts that offer `proxy-wasm:adapter/shared`, as `serve` does
    /// [default: vm]
    #[arg(long, value_name = "WHERE", value_parser = named(SharedStateIn::ALL, SharedStateIn::name), help_heading = "Plugin")]
    state: Option<SharedStateIn>,

    /// Whose filters to take: `permissive` also takes those made for Higress, and lets filters read header maps after they
    /// continued [default: envoy]
    #[arg(long, value_name = "PROFILE", value_parser = profiles(), help_heading = "Plugin")]
    profile: Option<Profile>,

    /// Write metrics that changed as log records when a request ends: each is that of its instance alone
    #[arg(long, value_name = "WHERE", value_parser = named(MetricsTo::ALL, MetricsTo::name), help_heading = "Plugin")]
    metrics: Option<MetricsTo>,

    /// The version of WASI that the component is for [default: 0.2, or 0.3 with `--next`]
    #[arg(long, value_name = "VERSION", value_parser = named(Wasi::ALL, Wasi::name), help_heading = "Component")]
    wasi: Option<Wasi>,

    /// By which interface requests come: `exchange` is for hosts that carry the bytes themselves, such as
    /// `proxy-wasm-adapter-embed`; for WASI 0.2 [default: handler]
    #[arg(long, value_name = "INTERFACE", value_parser = named(Exports::ALL, Exports::name), help_heading = "Component")]
    exports: Option<Exports>,

    /// How bytes get between the memories: `portable` is for hosts without multi-memory, such as jco [default: memory-copy]
    #[arg(long, value_name = "KIND", value_parser = named(Kind::ALL, Kind::name), help_heading = "Component")]
    bridge: Option<Kind>,

    /// Let imports that are no host calls become functions that trap
    #[arg(long, help_heading = "Component")]
    stub_unknown_imports: bool,

    /// Foreign function to have, though its name does not stand in the filter; may be repeated
    #[arg(long, value_name = "NAME", help_heading = "Component")]
    foreign_function: Vec<String>,

    /// Write every call across the ABI to stderr, in the form of Envoy's `wasm:trace` log
    #[arg(long, help_heading = "Component")]
    trace: bool,

    /// Another build of the shim, to test it
    #[arg(long, value_name = "FILE", hide = true)]
    shim: Option<PathBuf>,
}

/// Refuses filters that are to be linked with something, and are served alone.
pub(super) fn check_complete(command: &str, options: &Options) -> Result<(), Failure> {
    match options.settings.default_route().map(|route| &route.action) {
        Some(Action::Next { .. }) => Err(Failure::Usage {
            message: format!(
                "these filters are middleware: they need a next handler, and `{command}` has none for them"
            ),
            help: "Name the service behind them: `--next FILE`.".into(),
        }),
        _ => Ok(()),
    }
}

/// What `--next` names.
fn next(text: &str) -> Result<Next, String> {
    if text.is_empty() { Err("it names no file".into()) } else { Ok(Next::from(text.to_owned())) }
}

/// A value by its name, one of these.
pub(super) fn named<T: Copy + Send + Sync + 'static, const N: usize>(
    all: [T; N],
    name: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(all.map(name)).map(move |given| {
        all.into_iter().find(|value| name(*value) == given).expect("only names of these are possible")
    })
}

/// The profiles by their names.
pub(super) fn profiles() -> impl TypedValueParser<Value = Profile> {
    named(Profile::ALL, Profile::name)
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("there is no `=` in it")?;
    Ok((key.into(), value.into()))
}

impl AdaptOptions {
    /// Whether any of them was given.
    pub(super) fn is_given(&self) -> bool {
        *self != Self::default()
    }

    /// The option among them that names a server, where a command has servers of its own.
    pub(super) fn own_servers(&self) -> Option<&'static str> {
        let upstream = self.upstream.is_some().then_some("--upstream");
        upstream.or((!self.cluster.is_empty()).then_some("--cluster"))
    }

    /// The option among them that says where all requests go.
    pub(super) fn sole_route(&self) -> Option<&'static str> {
        let upstream = self.upstream.is_some().then_some("--upstream");
        let next = || self.next.is_some().then_some("--next");
        upstream.or_else(next).or_else(|| self.direct_response.is_some().then_some("--direct-response"))
    }

    /// Where requests go, by option.
    pub(super) fn upstream(&self) -> Option<&str> {
        self.upstream.as_deref()
    }

    /// They with this settings file, where none was given.
    pub(super) fn with_settings(self, file: PathBuf) -> Result<Self, Failure> {
        self.check_sole(&format!("`{}`", file.display()))?;
        Ok(Self { settings: Some(file), ..self })
    }

    /// Refuses a settings file beside settings that come from there.
    pub(super) fn check_sole(&self, from: &str) -> Result<(), Failure> {
        match &self.settings {
            None => Ok(()),
            Some(given) => Err(Failure::Usage {
                message: format!("both {from} and `--settings {}` are settings", given.display()),
                help: "Leave one out.".into(),
            }),
        }
    }

    /// What messages call the settings file.
    pub(super) fn settings_file(&self) -> Option<String> {
        self.settings.as_ref().map(|file| file.display().to_string())
    }

    /// They, and every call across the ABI traced.
    pub(super) fn tracing(self) -> Self {
        Self { trace: true, ..self }
    }

    /// Whether they say by which interface requests come.
    pub(super) fn asks_for_exports(&self) -> bool {
        self.exports.is_some()
    }

    /// Whether imports that are no host calls may stay.
    pub(super) fn stubs_unknown_imports(&self) -> bool {
        self.stub_unknown_imports
    }

    /// The shim that they choose.
    pub(super) fn shim(&self, wasi: Wasi) -> Result<Shim, Failure> {
        let flavour = if self.trace { Flavour::Tracing } else { Flavour::Plain };
        match &self.shim {
            Some(file) => Ok(Shim::from_bytes(flavour, input::read(file)?)),
            None => Ok(Shim::built_in(wasi, flavour)),
        }
    }

    /// What the settings file says; nothing where there is none.
    pub(super) fn settings(&self) -> Result<Input, Failure> {
        Ok(self.settings.as_deref().map(settings_file).transpose()?.unwrap_or_default())
    }

    /// What is to be said of a settings file whose routes all go for one option.
    pub(super) fn outdoes(&self, file: &Input) -> Option<Message> {
        let is_table = file.route.len() > 1 || !file.virtual_host.is_empty();
        let option = self.sole_route().filter(|_| is_table)?;
        Some(counts_over(option, &self.settings_file()?))
    }

    /// These problems, with their places in the settings file.
    pub(super) fn located(&self, problems: Vec<settings::Problem>) -> Vec<settings::Problem> {
        let Some(file) = &self.settings else { return problems };
        // It was read before; where it is gone meanwhile, the problems stand without places.
        match fs::read_to_string(file) {
            Ok(text) => settings::located(&file.display().to_string(), &text, problems),
            Err(_) => problems,
        }
    }

    /// What they say beside the settings file.
    pub(super) fn own(&self) -> Input {
        self.clone().into_own()
    }

    fn into_own(self) -> Input {
        let text = |(path, value)| (path, Value::Text(value));
        let cluster = |(name, url): (String, String)| (name, url.into());
        let mut input = Input::default();
        input.plugin_name = self.plugin_name;
        input.root_id = self.root_id;
        input.vm_id = self.vm_id;
        input.configuration = self.config_text.map(Configuration::Text);
        input.configuration_file = self.config;
        input.vm_configuration = self.vm_config_text.map(Configuration::Text);
        input.vm_configuration_file = self.vm_config;
        input.environment = self.env.into();
        input.log_level = self.log_level;
        input.allowed_capabilities = self.allow_capability;
        input.allow_on_headers_stop_iteration = self.allow_on_headers_stop_iteration.then_some(true);
        input.properties = Entries(self.property.into_iter().map(text).collect());
        input.property_headers = self.property_header.into();
        input.wasi = self.wasi;
        input.next = self.next;
        input.upstream = self.upstream;
        input.upstream_timeout = self.upstream_timeout;
        input.direct_response = self.direct_response.as_deref().map(DirectResponse::parse);
        input.clusters = Entries(self.cluster.into_iter().map(cluster).collect());
        input.authority = self.authority;
        input.authority_header = self.authority_header;
        input.x_forwarded_proto = self.no_x_forwarded_proto.then_some(false);
        input.x_request_id = self.no_x_request_id.then_some(false);
        input.buffer_limit = self.buffer_limit;
        input.stream_idle_timeout = self.stream_idle_timeout;
        input.startup_ticks = self.startup_ticks;
        input.instance_concurrency = self.instance_concurrency;
        input.grpc_transport = self.grpc_transport;
        input.metrics = self.metrics;
        input.state = self.state;
        input.profile = self.profile;
        input.exports = self.exports;
        input.bridge = self.bridge;
        input.stub_unknown_imports = self.stub_unknown_imports.then_some(true);
        input.foreign_functions = self.foreign_function;
        input
    }
}

/// Says that an option takes the place of all that is configured there.
pub(super) fn counts_over(option: &str, routes_of: &str) -> Message {
    Message {
        severity: Severity::Warning,
        text: format!("`{option}` counts over all routes of `{routes_of}`"),
        help: Some("Leave it out to have requests go by these.".into()),
    }
}

fn settings_file(file: &Path) -> Result<Input, Failure> {
    let unreadable = |reason: String| {
        Failure::settings(vec![settings::Problem::Unreadable {
            of: "settings",
            file: file.display().to_string(),
            reason,
        }])
    };
    let text = fs::read(file).map_err(|error| unreadable(reason(&error)))?;
    let text = String::from_utf8(text).map_err(|_| unreadable("it is not UTF-8".into()))?;
    let input =
        settings::parse(&file.display().to_string(), &text).map_err(|problem| Failure::settings(vec![problem]))?;
    Ok(input.relative_to(file.parent().unwrap_or(Path::new(""))))
}
