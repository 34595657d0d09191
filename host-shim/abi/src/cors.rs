//! Which pages of other origins may ask, as Envoy's filter for CORS answers them.

use serde::{Deserialize, Serialize};

use crate::routing::TextMatch;

/// The policies of a table of routes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cors {
    /// Routes and weighted clusters name them by place.
    pub policies: Vec<CorsPolicy>,
    /// Requests are asked behind the last plugin, instead of before the first.
    pub behind_plugins: bool,
}

/// What holds for the requests of a route, of all levels together. Source: Envoy's `CorsFilter`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorsPolicy {
    /// The origins that are allowed; one that fits `*` allows all.
    pub origins: Vec<TextMatch>,
    /// The value of `access-control-allow-methods`, if any; `*` is the method that was asked for.
    pub methods: String,
    /// The value of `access-control-allow-headers`, if any; `*` is what was asked for.
    pub headers: String,
    /// The value of `access-control-expose-headers`, if any.
    pub expose: String,
    /// The value of `access-control-max-age`, if any.
    pub max_age: String,
    /// Say `access-control-allow-credentials`.
    pub credentials: bool,
    /// Say `access-control-allow-private-network` to those who ask.
    pub private_network: bool,
    /// Preflights of other origins go on; else they are answered, too.
    pub forward_others: bool,
}
