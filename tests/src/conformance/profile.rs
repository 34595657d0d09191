//! What a host is started with for a case.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use proxy_wasm_abi::bridge::AbiVersion;
use proxy_wasm_abi::settings::{Cluster, Connection, Origin, Plugin as Told, Route, Settings, Upkeep};
use serde::Deserialize;
use tokio::net::TcpSocket;

use super::{ClusterServer, Stage};
use crate::grpc::{GrpcServer, GrpcStep};
use crate::hosts::{Host, Plugin};
use crate::message::{self, Step, bytes};
use crate::probe::probe;
use crate::script::Script;
use crate::upstream::Upstream;

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
    connection: ConnectionTable,
    #[serde(default)]
    route: RouteTable,
    #[serde(default)]
    clusters: BTreeMap<String, ClusterTable>,
    #[serde(default)]
    pub(super) start: Script,
}

/// Where callouts go.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClusterTable {
    #[serde(default = "message::ok")]
    answer: Vec<Step>,
    #[serde(default)]
    refused: bool,
    grpc: Option<Vec<GrpcStep>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PluginTable {
    name: Option<String>,
    root_id: String,
    vm_id: String,
    configuration: Option<String>,
    vm_configuration: Option<String>,
    environment: BTreeMap<String, String>,
    allow_on_headers_stop_iteration: bool,
    log_level: Option<u8>,
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
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
struct DirectResponse {
    status: u16,
    #[serde(default)]
    body: String,
}

impl Profile {
    /// Whether it has a cluster that speaks gRPC.
    pub fn calls_grpc(&self) -> bool {
        self.clusters.values().any(|cluster| cluster.grpc.is_some())
    }

    /// Starts this host for it.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(&self, host: Host) -> Result<Stage> {
        let upstream = Upstream::start()?;
        let start = |(name, told): (&String, &ClusterTable)| -> Result<ClusterServer> {
            let server = Upstream::start()?;
            let grpc = told.grpc.as_ref().map(|steps| anyhow::Ok((GrpcServer::start()?, steps.clone()))).transpose()?;
            let address = match &grpc {
                _ if told.refused => refused()?,
                Some((server, _)) => server.address,
                None => server.address,
            };
            Ok(ClusterServer { name: name.clone(), server, grpc, address, answer: told.answer.clone() })
        };
        let clusters = self.clusters.iter().map(start).collect::<Result<Vec<_>>>()?;
        let plugin = self.plugin(&upstream, &clusters)?;
        Ok(Stage { kind: host, host: host.start(&plugin)?, upstream, clusters })
    }

    fn plugin(&self, upstream: &Upstream, clusters: &[ClusterServer]) -> Result<Plugin> {
        let version = match self.abi.as_deref() {
            None => AbiVersion::V0_2_1,
            Some(name) => AbiVersion::ALL.into_iter().find(|abi| abi.name() == name).context("an ABI version")?,
        };
        let told = &self.plugin;
        let script = self.start.encode();
        let defaults = Connection::default();
        let settings = Settings {
            plugins: vec![Told {
                vm: 0,
                name: told.name.clone().unwrap_or_else(|| "probe".into()),
                root_id: told.root_id.clone(),
                vm_id: told.vm_id.clone(),
                configuration: told.configuration.as_ref().unwrap_or(&script).clone().into_bytes(),
                vm_configuration: told.vm_configuration.as_ref().unwrap_or(&script).clone().into_bytes(),
                environment: told.environment.clone().into_iter().collect(),
                allow_on_headers_stop_iteration: told.allow_on_headers_stop_iteration,
                log_level: told.log_level.unwrap_or(2),
            }],
            route: self.route(upstream)?,
            clusters: clusters
                .iter()
                .map(|cluster| Cluster { name: cluster.name.clone(), origin: origin(cluster.address) })
                .collect(),
            // What Envoy's configuration of the tests calls it.
            properties: vec![(b"xds\0virtual_host_name".to_vec(), b"all".to_vec())],
            property_headers: Vec::new(),
            upkeep: Upkeep::default(),
            connection: Connection {
                request_id: self.connection.request_id.unwrap_or(defaults.request_id),
                buffer_limit: self.connection.buffer_limit.unwrap_or(defaults.buffer_limit),
                stream_idle_timeout_ms: self
                    .connection
                    .stream_idle_timeout_ms
                    .unwrap_or(defaults.stream_idle_timeout_ms),
                ..defaults
            },
        };
        Ok(Plugin { filter: probe(version)?, settings, trailers: self.trailers })
    }

    fn route(&self, upstream: &Upstream) -> Result<Route> {
        if let Some(DirectResponse { status, body }) = &self.route.direct_response {
            return Ok(Route::DirectResponse { status: *status, body: bytes(body) });
        }
        let address = if self.route.refused { refused()? } else { upstream.address };
        let timeout_ms = self.connection.upstream_timeout_ms.unwrap_or(proxy_wasm_abi::limits::UPSTREAM_TIMEOUT_MS);
        Ok(Route::Upstream { origin: origin(address), timeout_ms })
    }
}

fn origin(address: SocketAddr) -> Origin {
    Origin { tls: false, authority: address.to_string() }
}

/// Where nobody listens, and nobody can: the port stays taken.
fn refused() -> Result<SocketAddr> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = socket.local_addr()?;
    std::mem::forget(socket);
    Ok(address)
}
