//! The user's settings for the plugins of a component: written into it by the adapter, read by the shim.

use serde::{Deserialize, Serialize};

use crate::limits;

/// Everything that the shim needs to know besides the filters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The chain: the plugins in the order in which a request passes them.
    pub plugins: Vec<Plugin>,
    /// Where a request goes that the filter lets through.
    pub route: Route,
    /// The clusters that callouts name.
    pub clusters: Vec<Cluster>,
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
    /// Leave shared data and shared queues to the host, which all instances share.
    pub host_state: bool,
    /// Write metrics that changed as log records when a request ends.
    pub log_metrics: bool,
    /// Whose filters are taken.
    pub profile: Profile,
    /// Open the body of a response that has none, and say that its length is 0: jco waits for the body's end.
    pub opens_bodies: bool,
}

/// Whose filters are taken, and what they are granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Those made for Envoy. They get what Envoy gives them.
    #[default]
    Envoy,
    /// Those made for its kin too: the marker of [Higress](crate::higress) counts, and header maps can be read for longer.
    Permissive,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Envoy, Self::Permissive];

    /// Its name in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Envoy => "envoy",
            Self::Permissive => "permissive",
        }
    }
}

/// The wire form of gRPC callouts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GrpcTransport {
    /// gRPC, where the host sends it by HTTP/2.
    #[default]
    Http2,
    /// gRPC-Web, which HTTP/1.1 can carry: the trailers are in the body.
    GrpcWeb,
}

impl GrpcTransport {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Http2, Self::GrpcWeb];

    /// Its name in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http2 => "http2",
            Self::GrpcWeb => "grpc-web",
        }
    }
}

/// A plugin as its filter sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plugin {
    /// Which of the component's virtual machines runs it. They are numbered from 0 in the order of the plugins that come
    /// first with one; the plugins of one have the same `vm_id`, `vm_configuration` and `environment`.
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
}

/// Where a request goes that the filter lets through.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Route {
    /// To this origin.
    Upstream {
        /// The origin.
        origin: Origin,
        /// Milliseconds from the end of the request to the end of the response; 0 means no limit.
        timeout_ms: u64,
    },
    /// Nowhere: this is the answer.
    DirectResponse {
        /// The status code.
        status: u16,
        /// The body.
        body: Vec<u8>,
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

/// A cluster that callouts can name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub origin: Origin,
}

/// The part of Envoy's connection manager that the shim plays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
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
            forwarded_proto: true,
            request_id: true,
            buffer_limit: limits::BUFFER_LIMIT_BYTES,
            stream_idle_timeout_ms: limits::STREAM_IDLE_TIMEOUT_MS,
        }
    }
}

impl Settings {
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
