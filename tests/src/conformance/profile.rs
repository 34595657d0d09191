//! What a host is started with for a case.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, anyhow};
use proxy_wasm_abi::bridge::AbiVersion;
use proxy_wasm_abi::clusters::{ClusterDetails, Endpoint};
use proxy_wasm_abi::routing::RouteTable as Routes;
use proxy_wasm_abi::settings::{Cluster, Connection, Origin, Plugin as Told, Settings, UPSTREAM};
use proxy_wasm_adapter::settings::{PluginInput, parse};
use serde::Deserialize;

use super::{ClusterServer, Stage};
use crate::grpc::{GrpcServer, GrpcStep};
use crate::hosts::{Chain, Host};
use crate::message::{self, Step, bytes};
use crate::port::refused;
use crate::probe::{ForeignFunctions, probe};
use crate::script::Script;
use crate::upstream::{Upstream, Version};

/// What a host is started with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub struct Profile {
    abi: Option<String>,
    /// No other case shares the host.
    #[serde(default)]
    pub alone: bool,
    #[serde(default)]
    trailers: bool,
    #[serde(default)]
    plugin: PluginTable,
    #[serde(default)]
    chain: Vec<LinkTable>,
    #[serde(default)]
    connection: ConnectionTable,
    #[serde(default)]
    route: RouteTable,
    /// A table of routes as a settings file has it, instead.
    routes: Option<String>,
    #[serde(default)]
    clusters: BTreeMap<String, ClusterTable>,
    #[serde(default)]
    start: Script,
    /// Whether a script of the case calls one.
    #[serde(skip)]
    pub(super) foreign_functions: ForeignFunctions,
}

/// One plugin of a chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkTable {
    abi: Option<String>,
    #[serde(flatten)]
    plugin: PluginTable,
    #[serde(default)]
    start: Script,
}

/// Where callouts go.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClusterTable {
    #[serde(default = "message::ok")]
    answer: Vec<Step>,
    #[serde(default)]
    refused: bool,
    /// Servers of the case by name, or `refused`, with their weights.
    #[serde(default)]
    endpoints: Vec<(String, u32)>,
    #[serde(default)]
    http2: bool,
    grpc: Option<Vec<GrpcStep>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PluginTable {
    name: Option<String>,
    root_id: String,
    vm_id: Option<String>,
    configuration: Option<String>,
    vm_configuration: Option<String>,
    environment: BTreeMap<String, String>,
    allow_on_headers_stop_iteration: bool,
    log_level: Option<u8>,
    allowed_capabilities: Vec<String>,
    disabled: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ConnectionTable {
    buffer_limit: Option<u32>,
    stream_idle_timeout_ms: Option<u64>,
    upstream_timeout_ms: Option<u64>,
    request_id: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RouteTable {
    direct_response: Option<DirectResponse>,
    refused: bool,
    http2: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
struct DirectResponse {
    status: u16,
    #[serde(default)]
    body: String,
}

impl Profile {
    /// Whether it has several plugins.
    pub fn is_chain(&self) -> bool {
        !self.chain.is_empty()
    }

    /// Whether a plugin has a script of its own.
    pub(super) fn has_start(&self) -> bool {
        self.links().iter().any(|link| !link.start.is_empty())
    }

    /// Whether a plugin's own script makes this host call.
    pub(super) fn calls(&self, host_call: &str) -> bool {
        self.links().iter().any(|link| link.start.calls(host_call))
    }

    /// How many root contexts each start makes: those that are alike are one.
    pub(super) fn roots(&self) -> usize {
        let links = self.links();
        (0..links.len()).filter(|&at| !links[..at].contains(&links[at])).count()
    }

    /// Whether a server speaks HTTP/2.
    pub(super) fn needs_http2(&self) -> bool {
        self.route.http2 || self.clusters.values().any(|cluster| cluster.grpc.is_some())
    }

    /// Starts this host for it.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(&self, host: Host) -> Result<Stage> {
        // Components that are equal but for the addresses in them get the same ones.
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let component = self.chain(nowhere, self.clusters.keys().map(|name| (name, nowhere)))?.digest();
        let port = |server: &str| format!("{} {component} {server}", host.name());
        let (version, upstream) = match self.route.http2 {
            true => (Version::Http2, "upstream of HTTP/2"),
            false => (Version::Http1, "upstream"),
        };
        let upstream = Upstream::start_named(&port(upstream), version)?;
        let start = |(name, told): (&String, &ClusterTable)| -> Result<ClusterServer> {
            let port = port(&format!("cluster {name}"));
            let (server, grpc) = match &told.grpc {
                Some(steps) => (Upstream::start()?, Some((GrpcServer::start_named(&port)?, steps.clone()))),
                None => (Upstream::start_named(&port, Version::Http1)?, None),
            };
            let address = match &grpc {
                _ if told.refused => refused()?,
                Some((server, _)) => server.address,
                None => server.address,
            };
            Ok(ClusterServer { name: name.clone(), server, grpc, address, answer: told.answer.clone() })
        };
        let clusters = self.clusters.iter().map(start).collect::<Result<Vec<_>>>()?;
        let chain = self.chain(upstream.address, clusters.iter().map(|cluster| (&cluster.name, cluster.address)))?;
        let last = chain.settings.plugins.last().map(|told| told.name.as_str()).filter(|name| *name != "probe");
        let last_line = last.map_or("@cb delete()".into(), |name| format!("@cb {name}: delete()"));
        let running = host.start(&chain)?;
        Ok(Stage { kind: host, host: running, upstream, clusters, is_chain: self.is_chain(), last_line })
    }

    fn chain<'a>(
        &self,
        upstream: SocketAddr,
        clusters: impl Iterator<Item = (&'a String, SocketAddr)>,
    ) -> Result<Chain> {
        let told = |link: &LinkTable| link.told(self.is_chain(), self.foreign_functions);
        let chain: Vec<_> = self.links().iter().map(told).collect::<Result<_>>()?;
        let (filters, plugins) = chain.into_iter().unzip();
        let defaults = Connection::default();
        let mut clusters: Vec<_> =
            clusters.map(|(name, address)| Cluster { name: name.clone(), origin: origin(address) }).collect();
        let details = self.details(&clusters, upstream)?;
        for more in &details {
            if let Some(cluster) = clusters.iter_mut().find(|cluster| cluster.name == more.name) {
                cluster.origin = more.endpoints[0].origin.clone();
            }
        }
        let mut settings = Settings {
            plugins,
            clusters: clusters.into(),
            // What Envoy's configuration of the tests calls it, unless the case says it.
            properties: match self.routes {
                Some(_) => Vec::new(),
                None => vec![(b"xds\0virtual_host_name".to_vec(), b"all".to_vec())],
            },
            connection: Connection {
                request_id: self.connection.request_id.unwrap_or(defaults.request_id),
                buffer_limit: self.connection.buffer_limit.unwrap_or(defaults.buffer_limit),
                stream_idle_timeout_ms: self
                    .connection
                    .stream_idle_timeout_ms
                    .unwrap_or(defaults.stream_idle_timeout_ms),
                ..defaults
            },
            ..Settings::default()
        };
        self.route(&mut settings, upstream)?;
        if !details.is_empty() {
            let table = Routes::decode(&settings.routing).unwrap_or_default();
            settings.routing = Routes { clusters: details, ..table }.encode().into();
        }
        Ok(Chain { filters, settings, trailers: self.trailers, upstream_http2: self.route.http2 })
    }

    /// The clusters of several endpoints.
    fn details(&self, clusters: &[Cluster], upstream: SocketAddr) -> Result<Vec<ClusterDetails>> {
        let place = |name: &str| match name {
            "refused" => Ok(origin(refused()?)),
            UPSTREAM => Ok(origin(upstream)),
            "localhost" => Ok(Origin { tls: false, authority: format!("localhost:{}", upstream.port()) }),
            name => {
                let found = clusters.iter().find(|cluster| cluster.name == name);
                found.map(|cluster| cluster.origin.clone()).with_context(|| format!("there is no server `{name}`"))
            }
        };
        let endpoint =
            |(server, weight): &(String, u32)| Ok(Endpoint { origin: place(server)?, weight: *weight, hostname: None });
        let several = self.clusters.iter().filter(|(_, told)| !told.endpoints.is_empty());
        let details = several.map(|(name, told)| {
            let endpoints = told.endpoints.iter().map(endpoint).collect::<Result<_>>()?;
            Ok(ClusterDetails { name: name.clone(), endpoints, http2: told.http2, ..ClusterDetails::default() })
        });
        details.collect()
    }

    fn links(&self) -> Vec<LinkTable> {
        if self.is_chain() {
            return self.chain.clone();
        }
        vec![LinkTable { abi: self.abi.clone(), plugin: self.plugin.clone(), start: self.start.clone() }]
    }

    fn route(&self, settings: &mut Settings, upstream: SocketAddr) -> Result<()> {
        if let Some(DirectResponse { status, body }) = &self.route.direct_response {
            settings.set_direct_response(*status, bytes(body));
            return Ok(());
        }
        let address = if self.route.refused { refused()? } else { upstream };
        let timeout_ms = self.connection.upstream_timeout_ms.unwrap_or(proxy_wasm_abi::limits::UPSTREAM_TIMEOUT_MS);
        settings.set_upstream(origin(address), timeout_ms);
        if let Some(text) = &self.routes {
            settings.routes = Vec::new().into();
            settings.routing = self.table(text)?.into();
        }
        Ok(())
    }

    /// The table of routes that a settings file with this in it makes.
    fn table(&self, text: &str) -> Result<Vec<u8>> {
        let mut input = parse("routes", text).map_err(|problem| anyhow!("{problem}"))?;
        let names = self.clusters.keys().map(String::as_str).chain([UPSTREAM]);
        input.clusters =
            names.map(|name| (name.to_owned(), "http://nowhere".to_owned().into())).collect::<Vec<_>>().into();
        let told = |link: &LinkTable| {
            let mut plugin = PluginInput::default();
            plugin.name = Some(link.plugin.name());
            plugin.disabled = Some(link.plugin.disabled);
            plugin
        };
        input.plugin = self.links().iter().map(told).collect();
        let filters = input.plugin.len();
        let resolved = input.resolve(filters, &|_| Err("no files".into())).map_err(|problems| {
            anyhow!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        })?;
        Ok(resolved.settings.routing.0)
    }
}

impl LinkTable {
    /// In a chain, a plugin that names no VM has its own. Only that one has its script for VM configuration: those that
    /// share a VM have to agree on it.
    fn told(&self, in_chain: bool, foreign: ForeignFunctions) -> Result<(Vec<u8>, Told)> {
        let version = match self.abi.as_deref() {
            None => AbiVersion::V0_2_1,
            Some(name) => AbiVersion::ALL.into_iter().find(|abi| abi.name() == name).context("an ABI version")?,
        };
        let plugin = &self.plugin;
        let script = self.start.encode();
        let (vm_id, vm_script) = match &plugin.vm_id {
            Some(id) if in_chain => (id.clone(), String::new()),
            Some(id) => (id.clone(), script.clone()),
            None if in_chain => (plugin.name(), script.clone()),
            None => (String::new(), script.clone()),
        };
        let told = Told {
            vm: 0,
            name: plugin.name(),
            root_id: plugin.root_id.clone(),
            vm_id,
            configuration: plugin.configuration.as_ref().unwrap_or(&script).clone().into_bytes(),
            vm_configuration: plugin.vm_configuration.as_ref().unwrap_or(&vm_script).clone().into_bytes(),
            environment: plugin.environment.clone().into_iter().collect(),
            allow_on_headers_stop_iteration: plugin.allow_on_headers_stop_iteration,
            log_level: plugin.log_level.unwrap_or(2),
            allowed_capabilities: plugin.allowed_capabilities.clone(),
        };
        Ok((probe(version, foreign)?, told))
    }
}

impl PluginTable {
    fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| "probe".into())
    }
}

fn origin(address: SocketAddr) -> Origin {
    Origin { tls: false, authority: address.to_string() }
}
