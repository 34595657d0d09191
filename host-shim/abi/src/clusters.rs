//! What is to be known of a cluster besides its name and its first endpoint: part of a
//! [`RouteTable`](crate::routing::RouteTable), so only the larger shim reads it.

use serde::{Deserialize, Serialize};

use crate::{metadata::Metadata, settings::Origin};

/// A cluster of more than a name and an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterDetails {
    /// Its name; one of the settings' clusters has it.
    pub name: String,
    /// All its endpoints; none, where the settings' is the one.
    pub endpoints: Vec<Endpoint>,
    /// How one of them is chosen.
    pub balancing: Balancing,
    /// It speaks HTTP/2, which has to be known before where there is no TLS.
    pub http2: bool,
    /// What a filter reads as `xds.cluster_metadata`.
    pub metadata: Metadata,
}

/// One of a cluster's endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Where it is.
    pub origin: Origin,
    /// How often it is taken, beside the others' weights; 1 or more.
    pub weight: u32,
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
