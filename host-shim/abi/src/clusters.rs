//! What is to be known of a cluster besides its name and its first endpoint: part of a
//! [`RouteTable`](crate::routing::RouteTable), so only the larger shim reads it.

use serde::{Deserialize, Serialize};

use crate::{metadata::Metadata, settings::Origin};

/// A cluster of more than a name and an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterDetails {
    /// Its name; one of the settings' clusters has it.
    pub name: String,
    /// All its endpoints; none, where the settings' is the one, and has no name but that of its address.
    pub endpoints: Vec<Endpoint>,
    /// How one of them is chosen.
    pub balancing: Balancing,
    /// It speaks HTTP/2, which has to be known before where there is no TLS.
    pub http2: bool,
    /// What a filter reads as `xds.cluster_metadata`.
    pub metadata: Metadata,
}

impl ClusterDetails {
    /// Nothing more than a name.
    pub fn named(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

/// One of a cluster's endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Where it is.
    pub origin: Origin,
    /// How often it is taken, beside the others' weights; 1 or more.
    pub weight: u32,
    /// What it is called, where that is not the name in its address. Source: Envoy's `Endpoint.hostname`.
    pub hostname: Option<String>,
}

impl Endpoint {
    /// What it is called: an IP address is no name.
    pub fn name(&self) -> Option<&str> {
        self.hostname.as_deref().or_else(|| self.origin.name())
    }
}

/// How an endpoint is chosen. Source: Envoy's `lb_policy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Balancing {
    /// One after the other, as their weights say.
    #[default]
    #[serde(rename = "round_robin")]
    RoundRobin,
    /// By chance, whatever their weights.
    #[serde(rename = "random")]
    Random,
}
