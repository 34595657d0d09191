//! Settings for people: what stands in the provenance.

mod routes;

use proxy_wasm_abi::clusters::ClusterDetails;
use proxy_wasm_abi::enums::LogLevel;
use proxy_wasm_abi::routing::RouteTable;
use proxy_wasm_abi::settings::{
    Action, GrpcTransport, MetricsTo, Origin, Plugin, Profile, Settings, SharedStateIn, UPSTREAM,
};
use serde::{Deserialize, Serialize};

pub use routes::ShownHost;

use super::path;
use crate::digest::{hex, sha256};
use crate::wasi::Next;

/// A plugin's own settings for people, with bytes as text where they are text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is what `proxy_wasm_abi::settings` says of that name")]
pub struct ShownPlugin {
    pub name: String,
    pub root_id: String,
    pub vm_id: String,
    pub configuration: Bytes,
    pub vm_configuration: Bytes,
    pub environment: Vec<(String, String)>,
    pub allow_on_headers_stop_iteration: bool,
    pub log_level: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_capabilities: Vec<String>,
}

/// The other settings for people, with paths and origins as they are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is what `proxy_wasm_abi::settings` says of that name")]
pub struct Shown {
    pub properties: Vec<(String, Bytes)>,
    pub property_headers: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Next>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_timeout: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direct_response: Option<ShownResponse>,
    /// The cluster of the route, where it has another name than the upstream's; it is among `clusters`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_cluster: Option<String>,
    pub clusters: Vec<(String, String)>,
    /// The table of routes, where there is one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub virtual_hosts: Vec<ShownHost>,
    /// The clusters that routes of the table lead to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// The further endpoints of clusters, each with its cluster's name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority_header: Option<String>,
    pub x_forwarded_proto: bool,
    pub x_request_id: bool,
    pub buffer_limit: u32,
    pub stream_idle_timeout: u64,
    pub startup_ticks: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_concurrency: Option<u32>,
    pub grpc_transport: GrpcTransport,
    pub metrics: MetricsTo,
    pub state: SharedStateIn,
    #[serde(default, skip_serializing_if = "is_default")]
    pub profile: Profile,
}

/// Bytes for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Bytes {
    /// Text.
    Text(String),
    /// Bytes that are no text.
    Hex {
        /// In hexadecimal.
        hex: String,
    },
    /// More than people read: they stand in the component once, where the shim has them from.
    Long {
        /// How many.
        bytes: usize,
        /// Their SHA-256, in hexadecimal.
        sha256: String,
    },
}

/// Bytes that are shown as they are.
const SHOWN_BYTES: usize = 4096;

/// An answer that no upstream gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownResponse {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

impl Bytes {
    fn of(bytes: &[u8]) -> Self {
        if bytes.len() > SHOWN_BYTES {
            return Self::Long { bytes: bytes.len(), sha256: sha256(bytes) };
        }
        let is_text = |text: &&str| !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
        match std::str::from_utf8(bytes).ok().filter(is_text) {
            Some(text) => Self::Text(text.into()),
            None => Self::Hex { hex: hex(bytes) },
        }
    }
}

impl std::fmt::Display for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Hex { hex } => write!(f, "0x{hex}"),
            Self::Long { bytes, sha256 } => write!(f, "{bytes} bytes, sha256 {sha256}"),
        }
    }
}

impl ShownPlugin {
    pub(crate) fn of(plugin: &Plugin) -> Self {
        Self {
            name: plugin.name.clone(),
            root_id: plugin.root_id.clone(),
            vm_id: plugin.vm_id.clone(),
            configuration: Bytes::of(&plugin.configuration),
            vm_configuration: Bytes::of(&plugin.vm_configuration),
            environment: plugin.environment.clone(),
            allow_on_headers_stop_iteration: plugin.allow_on_headers_stop_iteration,
            log_level: LogLevel::from_u32(plugin.log_level.into()).map_or("", LogLevel::name).into(),
            allowed_capabilities: plugin.allowed_capabilities.clone(),
        }
    }
}

impl Shown {
    /// The clusters, by name, each with its URL, and as often as it has endpoints.
    pub fn all_clusters(&self) -> impl Iterator<Item = (&str, &str)> {
        let upstream = self.upstream.iter().map(|url| (UPSTREAM, url.as_str()));
        upstream.chain(self.clusters.iter().chain(&self.endpoints).map(|(name, url)| (name.as_str(), url.as_str())))
    }

    /// The name of the cluster that the route leads to, if it leads to one.
    pub fn routed_cluster(&self) -> Option<&str> {
        self.route_cluster.as_deref().or(self.upstream.as_ref().map(|_| UPSTREAM))
    }

    /// Whether a route leads to the cluster of this name.
    pub fn is_target(&self, name: &str) -> bool {
        self.routed_cluster() == Some(name) || self.targets.iter().any(|target| target == name)
    }

    pub(crate) fn of(settings: &Settings) -> Self {
        let (upstream_timeout, direct_response) = match settings.default_route().map(|route| &route.action) {
            Some(Action::Forward { timeout_ms, .. } | Action::Next { timeout_ms }) => (Some(*timeout_ms), None),
            Some(Action::Respond { status, body }) => {
                (None, Some(ShownResponse { status: *status, body: Bytes::of(body) }))
            }
            None => (None, None),
        };
        let (upstream, clusters): (Vec<_>, Vec<_>) = settings
            .clusters
            .iter()
            .partition(|cluster| cluster.name == UPSTREAM && settings.upstream() == Some(cluster));
        let table = if settings.routing.is_empty() { None } else { RouteTable::decode(&settings.routing) };
        let further = |details: &ClusterDetails| {
            let urls: Vec<_> = details.endpoints.iter().skip(1).map(|endpoint| url(&endpoint.origin)).collect();
            urls.into_iter().map(|url| (details.name.clone(), url)).collect::<Vec<_>>()
        };
        let is_next = matches!(settings.default_route().map(|route| &route.action), Some(Action::Next { .. }));
        Self {
            next: is_next.then_some(Next::Handler),
            properties: settings.properties.iter().map(|(path, value)| (path::show(path), Bytes::of(value))).collect(),
            property_headers: settings
                .property_headers
                .iter()
                .map(|(path, header)| (path::show(path), header.clone()))
                .collect(),
            upstream: upstream.first().map(|cluster| url(&cluster.origin)),
            upstream_timeout,
            direct_response,
            route_cluster: settings.upstream().map(|cluster| cluster.name.clone()).filter(|name| name != UPSTREAM),
            clusters: clusters.iter().map(|cluster| (cluster.name.clone(), url(&cluster.origin))).collect(),
            virtual_hosts: table.as_ref().map(routes::hosts).unwrap_or_default(),
            targets: table.as_ref().map(|table| routes::targets(table, &settings.clusters)).unwrap_or_default(),
            endpoints: table.unwrap_or_default().clusters.iter().flat_map(further).collect(),
            authority: settings.connection.authority.clone(),
            authority_header: settings.connection.authority_header.clone(),
            x_forwarded_proto: settings.connection.forwarded_proto,
            x_request_id: settings.connection.request_id,
            buffer_limit: settings.connection.buffer_limit,
            stream_idle_timeout: settings.connection.stream_idle_timeout_ms,
            startup_ticks: settings.upkeep.startup_ticks,
            instance_concurrency: settings.upkeep.instance_concurrency,
            grpc_transport: settings.upkeep.grpc_transport,
            state: settings.upkeep.state,
            metrics: settings.upkeep.metrics,
            profile: settings.upkeep.profile,
        }
    }
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn url(origin: &Origin) -> String {
    format!("{}://{}", if origin.tls { "https" } else { "http" }, origin.authority)
}
