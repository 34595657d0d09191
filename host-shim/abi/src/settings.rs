//! The user's settings for the plugins of a component: written into it by the adapter, read by the shim.

use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Serialize};

use crate::{
    clusters::{ClusterDetails, Endpoint},
    limits,
    routing::RouteTable,
};

/// Everything that the shim needs to know besides the filters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The chain: the plugins in the order in which a request passes them.
    pub plugins: Vec<Plugin>,
    /// Where a request goes that the filters let through: the first route that matches. All match as yet, and without one
    /// the answer is 404.
    pub routes: Live<Vec<Route>>,
    /// Instead of these, an encoded [`RouteTable`](crate::routing::RouteTable), or nothing. Only the larger shim reads it:
    /// to the other one it is some bytes.
    pub routing: Live<Vec<u8>>,
    /// The clusters that routes and callouts name.
    pub clusters: Live<Vec<Cluster>>,
    /// Property values set by hand: the path's segments joined by NUL, and the value as the ABI encodes it.
    pub properties: Vec<(Vec<u8>, Vec<u8>)>,
    /// Properties read from a request header: the path's segments joined by NUL, and the header's name in lower case.
    pub property_headers: Vec<(Vec<u8>, String)>,
    /// Where the shim takes the connection manager's part.
    pub connection: Connection,
    /// Settings that make up for gaps of hosts.
    pub upkeep: Upkeep,
}

/// Settings that make up for gaps of hosts (some give an instance only while a request runs, some send HTTP/1.1 only),
/// and those that go beyond Envoy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upkeep {
    /// Ticks that run at once when the plugin starts, where it asked for ticks.
    pub startup_ticks: u32,
    /// The wire form of gRPC callouts.
    pub grpc_transport: GrpcTransport,
    /// Where shared data and shared queues are.
    pub state: SharedStateIn,
    /// Where the shim itself writes metrics that changed, when a request ends.
    pub metrics: MetricsTo,
    /// Whose filters are taken.
    pub profile: Profile,
    /// Requests that an instance has at once, where its edge can have several: the host begins no more. `None` is
    /// [`INSTANCE_CONCURRENCY`](limits::INSTANCE_CONCURRENCY).
    pub instance_concurrency: Option<u32>,
    /// Open the body of a response that has none, and say that its length is 0: jco waits for the body's end.
    pub opens_bodies: bool,
}

/// What must not be taken from a snapshot of a started component: it is read anew from the settings, as it tells where the
/// component runs and not what its filters made of their configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Live<T>(pub T);

impl<T> Deref for Live<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Live<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> From<T> for Live<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

/// An enum whose values the settings name.
macro_rules! named {
    ($(#[$meta:meta])* pub enum $type:ident { $($(#[$of:meta])* $value:ident = $name:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $type {
            $($(#[$of])* #[serde(rename = $name)] $value,)+
        }

        impl $type {
            /// All of them.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$value),+];

            /// Its name in the settings.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $name,)+
                }
            }
        }
    };
}

named! {
    /// Where shared data and shared queues are.
    pub enum SharedStateIn {
        /// In the instance: each has its own.
        #[default]
        Vm = "vm",
        /// In the host, for all instances: the component imports `proxy-wasm:adapter/shared`.
        Host = "host",
    }
}

named! {
    /// Where the shim itself writes metrics.
    pub enum MetricsTo {
        /// Nowhere: a host that wants them asks.
        #[default]
        None = "none",
        /// Into the log.
        Log = "log",
    }
}

named! {
    /// Whose filters are taken, and what they are granted.
    pub enum Profile {
        /// Those made for Envoy. They get what Envoy gives them.
        #[default]
        Envoy = "envoy",
        /// Those made for its kin too: the marker of [Higress](crate::higress) counts, and header maps can be read for
        /// longer.
        Permissive = "permissive",
    }
}

named! {
    /// The wire form of gRPC callouts.
    pub enum GrpcTransport {
        /// gRPC, where the host sends it by HTTP/2.
        #[default]
        Http2 = "http2",
        /// gRPC-Web, which HTTP/1.1 can carry: the trailers are in the body.
        GrpcWeb = "grpc-web",
    }
}

/// A plugin as its filter sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plugin {
    /// Which of the component's virtual machines runs it. They are numbered from 0 in the order of the plugins that come
    /// first with one; the plugins of one have the same `vm_id`, `vm_configuration`, `environment`
    /// and `allowed_capabilities`.
    pub vm: u32,
    /// `plugin_name`, also the prefix of its log lines.
    pub name: String,
    /// `plugin_root_id`: which of the module's registered root contexts to use.
    pub root_id: String,
    /// `plugin_vm_id`.
    pub vm_id: String,
    /// The bytes that `proxy_on_configure` reads.
    pub configuration: Vec<u8>,
    /// The bytes that `proxy_on_vm_start` reads.
    pub vm_configuration: Vec<u8>,
    /// The variables that WASI's `environ_get` shows.
    pub environment: Vec<(String, String)>,
    /// Let `StopIteration` from a headers callback hold the headers and go on with the body.
    pub allow_on_headers_stop_iteration: bool,
    /// The least severe log record that is written, as a number of the ABI.
    pub log_level: u8,
    /// The host calls and callbacks that the filter may use, by name; without any, all.
    pub allowed_capabilities: Vec<String>,
}

impl Plugin {
    /// Whether the filter may use this host call or callback.
    pub fn allows(&self, name: &str) -> bool {
        self.allowed_capabilities.is_empty() || self.allowed_capabilities.iter().any(|allowed| allowed == name)
    }
}

/// Where a request goes that the filters let through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// What becomes of the request.
    pub action: Action,
}

/// What becomes of a request that a route matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// It goes to a cluster.
    Forward {
        /// The cluster's name.
        cluster: String,
        /// Milliseconds from the end of the request to the end of the response; 0 is no limit.
        timeout_ms: u64,
    },
    /// It goes nowhere: this is the answer.
    Respond {
        /// The status code.
        status: u16,
        /// The body.
        body: Vec<u8>,
    },
    /// It goes to the component that is linked behind this one.
    Next {
        /// Milliseconds from the end of the request to the end of the response; 0 is no limit.
        timeout_ms: u64,
    },
}

/// A scheme and an authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// `https` rather than `http`.
    pub tls: bool,
    /// Host, and the port unless it is the scheme's own.
    pub authority: String,
}

impl Origin {
    /// The host without its port, where it is a name and no IP address.
    pub fn name(&self) -> Option<&str> {
        let host = self.authority.rsplit_once(':').map_or(self.authority.as_str(), |(host, _)| host);
        let is_address = self.authority.starts_with('[') || host.parse::<core::net::Ipv4Addr>().is_ok();
        (!is_address).then_some(host)
    }
}

/// A cluster that routes and callouts can name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub origin: Origin,
}

/// The name of the cluster that settings call "the upstream", where they name none for the route.
pub const UPSTREAM: &str = "upstream";

/// The part of Envoy's connection manager that the shim plays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// The authority of a request of which the host tells none.
    pub authority: Option<String>,
    /// The request header, in lower case, that has the authority where the host tells none: it is taken out, and counts
    /// before `authority`.
    pub authority_header: Option<String>,
    /// Add `x-forwarded-proto` to a request that has none.
    pub forwarded_proto: bool,
    /// Add `x-request-id` to a request that has none.
    pub request_id: bool,
    /// Bytes of a body that are held for a filter that asked to buffer.
    pub buffer_limit: u32,
    /// Milliseconds without progress until a stream is given up; 0 means no limit.
    pub stream_idle_timeout_ms: u64,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            authority: None,
            authority_header: None,
            forwarded_proto: true,
            request_id: true,
            buffer_limit: limits::BUFFER_LIMIT_BYTES,
            stream_idle_timeout_ms: limits::STREAM_IDLE_TIMEOUT_MS,
        }
    }
}

impl Settings {
    /// Sends all requests to an upstream: a cluster of the name [`UPSTREAM`], and a route to it.
    pub fn set_upstream(&mut self, origin: Origin, timeout_ms: u64) {
        self.clusters.retain(|cluster| cluster.name != UPSTREAM);
        self.clusters.insert(0, Cluster { name: UPSTREAM.into(), origin });
        self.routes = vec![Route { action: Action::Forward { cluster: UPSTREAM.into(), timeout_ms } }].into();
    }

    /// Answers all requests so.
    pub fn set_direct_response(&mut self, status: u16, body: impl Into<Vec<u8>>) {
        self.routes = vec![Route { action: Action::Respond { status, body: body.into() } }].into();
    }

    /// Puts each cluster at the one place that stands here. With a table of routes its endpoint is called what the first one
    /// was called.
    pub fn move_clusters(&mut self, clusters: Vec<Cluster>) {
        if let Some(mut table) = RouteTable::decode(&self.routing) {
            let mut details: Vec<_> = clusters.iter().map(|cluster| self.moved(cluster, &table)).collect();
            details.retain(|details| *details != ClusterDetails::named(&details.name));
            table.clusters = details;
            self.routing = table.encode().into();
        }
        self.clusters = clusters.into();
    }

    /// What is to be known of a cluster that is elsewhere now.
    fn moved(&self, to: &Cluster, table: &RouteTable) -> ClusterDetails {
        let before = table.clusters.iter().find(|details| details.name == to.name);
        let first = before.and_then(|details| details.endpoints.first());
        let origin = self.cluster(to.name.as_bytes()).map(|cluster| &cluster.origin);
        let hostname = first.map_or_else(|| origin.and_then(Origin::name), Endpoint::name).map(str::to_owned);
        let endpoint = hostname.is_some().then(|| Endpoint { origin: to.origin.clone(), weight: 1, hostname });
        let details = before.cloned().unwrap_or_else(|| ClusterDetails::named(&to.name));
        ClusterDetails { endpoints: endpoint.into_iter().collect(), ..details }
    }

    /// The cluster of this name.
    pub fn cluster(&self, name: &[u8]) -> Option<&Cluster> {
        self.clusters.iter().find(|cluster| cluster.name.as_bytes() == name)
    }

    /// The route for all requests that no other matches.
    pub fn default_route(&self) -> Option<&Route> {
        self.routes.last()
    }

    /// The cluster that the default route leads to, if it leads to one.
    pub fn upstream(&self) -> Option<&Cluster> {
        match &self.default_route()?.action {
            Action::Forward { cluster, .. } => self.cluster(cluster.as_bytes()),
            Action::Respond { .. } | Action::Next { .. } => None,
        }
    }

    /// The settings as bytes.
    ///
    /// # Panics
    /// Never: serializing into memory cannot fail for these types.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("plain data serializes")
    }

    /// The settings that [`encode`](Self::encode) made these bytes of.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}
