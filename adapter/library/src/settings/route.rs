//! Where requests go, as it was written: routes and direct responses.

use serde::{Deserialize, Serialize};

use super::keys::{Entries, Keys, keys};
use super::routing::{
    CorsInput, HeadersInput, HostRewriteInput, MatchInput, RedirectInput, RetryInput, SubstitutionInput, WeightedInput,
};
use super::written::milliseconds;

keys! {
    /// A route: one of `[[route]]`.
    pub struct RouteInput {
        /// The cluster that requests go to.
        pub cluster: Option<String>,
        /// The answer to them instead.
        pub direct_response: Option<DirectResponse>,
        /// How long the cluster may take for its whole response, in milliseconds.
        #[serde(deserialize_with = "milliseconds")]
        pub timeout: Option<u64>,
        /// Its name, as the property `xds.route_name` has it.
        pub name: Option<String>,
        /// The requests that take it; without this, all.
        #[serde(rename = "match")]
        pub matches: Option<MatchInput>,
        /// The clusters that requests go to by chance.
        pub weighted_clusters: Vec<WeightedInput>,
        /// The request header that names the cluster.
        pub cluster_header: Option<String>,
        /// Where its clients are sent instead.
        pub redirect: Option<RedirectInput>,
        /// The most milliseconds that `grpc-timeout` may ask for, which counts only with this.
        #[serde(deserialize_with = "milliseconds")]
        pub max_grpc_timeout: Option<u64>,
        /// The status of the answer where there is no cluster of that name.
        pub cluster_not_found: Option<u16>,
        /// When a request is sent once more.
        pub retry_policy: Option<RetryInput>,
        /// What takes the place of the path's matched part.
        pub prefix_rewrite: Option<String>,
        /// What each match in the path becomes.
        pub regex_rewrite: Option<SubstitutionInput>,
        /// What the authority becomes.
        pub host_rewrite: Option<HostRewriteInput>,
        /// The authority becomes the name of the endpoint that is asked, which an IP address is not.
        pub auto_host_rewrite: Option<bool>,
        /// Changes of the request's head.
        pub request_headers: Option<HeadersInput>,
        /// Changes of the response's head.
        pub response_headers: Option<HeadersInput>,
        /// Whether plugins run, by their names.
        pub plugins: Entries<bool>,
        /// What a filter reads as `xds.route_metadata`.
        pub metadata: Entries<Entries<toml::Value>>,
        /// Which pages of other origins may ask.
        pub cors: Option<CorsInput>,
    }
}

impl RouteInput {
    /// Whether all that it says is where requests go.
    pub(super) fn is_plain(&self) -> bool {
        self.said().iter().all(|key| ["cluster", "direct_response", "timeout"].contains(key))
    }
}

/// An answer that no upstream gave.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "Direct", into = "Direct")]
pub struct DirectResponse {
    /// Its status code, as written.
    pub status: String,
    /// Its body.
    pub body: String,
}

impl DirectResponse {
    /// What `STATUS[:BODY]` says.
    pub fn parse(text: &str) -> Self {
        let (status, body) = text.split_once(':').unwrap_or((text, ""));
        Self { status: status.trim().into(), body: body.into() }
    }
}

/// `{ status = 200, body = "…" }`, or `"200:…"`, or `200`.
#[derive(Deserialize, Serialize)]
#[serde(untagged, expecting = "expected a status code, \"STATUS:BODY\" or { status = STATUS, body = \"BODY\" }")]
enum Direct {
    Status(i64),
    Text(String),
    Table(DirectTable),
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct DirectTable {
    status: i64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    body: String,
}

impl From<Direct> for DirectResponse {
    fn from(direct: Direct) -> Self {
        match direct {
            Direct::Status(status) => Self { status: status.to_string(), body: String::new() },
            Direct::Text(text) => Self::parse(&text),
            Direct::Table(DirectTable { status, body }) => Self { status: status.to_string(), body },
        }
    }
}

impl From<DirectResponse> for Direct {
    fn from(DirectResponse { status, body }: DirectResponse) -> Self {
        match status.parse() {
            Ok(status) => Self::Table(DirectTable { status, body }),
            // As wrong as it was written.
            Err(_) => Self::Text(format!("{status}:{body}")),
        }
    }
}
