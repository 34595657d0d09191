//! A cluster as it was written.

use std::fmt;
use std::marker::PhantomData;

use proxy_wasm_abi::clusters::Balancing;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::keys::{Entries, keys};

keys! {
    /// A cluster: one of `[clusters.NAME]`.
    pub struct ClusterTable {
        /// Where it is.
        pub url: Option<String>,
        /// Where it is, instead, if it is at several places.
        pub endpoints: Vec<EndpointInput>,
        /// How one of them is chosen.
        pub lb_policy: Option<Balancing>,
        /// Whether it speaks HTTP/2. Where there is TLS, both sides find out.
        pub http2: Option<bool>,
        /// What a filter reads as `xds.cluster_metadata`.
        pub metadata: Entries<Entries<toml::Value>>,
    }
}

keys! {
    /// An endpoint that has a weight.
    pub struct EndpointTable {
        /// Where it is.
        pub url: Option<String>,
        /// How often it is taken, beside the others' weights: 1 by default.
        pub weight: Option<u32>,
        /// What it is called, where that is not the name in its URL.
        pub hostname: Option<String>,
    }
}

/// A cluster, of which the URL alone can be written.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ClusterInput(pub ClusterTable);

/// An endpoint, of which the URL alone can be written.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct EndpointInput(pub EndpointTable);

impl From<String> for ClusterInput {
    fn from(url: String) -> Self {
        Self(ClusterTable { url: Some(url), ..ClusterTable::default() })
    }
}

impl From<String> for EndpointInput {
    fn from(url: String) -> Self {
        Self(EndpointTable { url: Some(url), ..EndpointTable::default() })
    }
}

impl<'de> Deserialize<'de> for ClusterInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        url_or_table(deserializer, Self)
    }
}

impl<'de> Deserialize<'de> for EndpointInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        url_or_table(deserializer, Self)
    }
}

/// Either form. Not by `untagged`, which would not say which key of a table is none.
fn url_or_table<'de, D, Table, Both>(deserializer: D, of: fn(Table) -> Both) -> Result<Both, D::Error>
where
    D: Deserializer<'de>,
    Table: DeserializeOwned,
    Both: From<String>,
{
    struct Either<Table, Both>(fn(Table) -> Both, PhantomData<Table>);

    impl<'de, Table: DeserializeOwned, Both: From<String>> Visitor<'de> for Either<Table, Both> {
        type Value = Both;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a URL or { url = \"URL\" }")
        }

        fn visit_str<E>(self, url: &str) -> Result<Both, E> {
            Ok(url.to_owned().into())
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Both, A::Error> {
            Table::deserialize(MapAccessDeserializer::new(map)).map(self.0)
        }
    }

    deserializer.deserialize_any(Either(of, PhantomData))
}
