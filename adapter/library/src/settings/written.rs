//! Values as a settings file writes them.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::json;
use super::keys::Entries;
use crate::values::{parse_buffer, parse_milliseconds};

/// `15000`, or `"15s"`.
pub(super) fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    quantity(deserializer, parse_milliseconds).map(Some)
}

/// `1048576`, or `"1MiB"`.
pub(super) fn buffer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    quantity(deserializer, parse_buffer).map(Some)
}

/// A number, or text with a unit, as an option of the command takes it.
fn quantity<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: fn(&str) -> Result<T, String>,
) -> Result<T, D::Error> {
    let text = match toml::Value::deserialize(deserializer)? {
        toml::Value::String(text) => text,
        other => other.to_string(),
    };
    parse(&text).map_err(D::Error::custom)
}

/// A configuration: text as it is, or a table or an array, which becomes JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Configuration {
    /// This text.
    Text(String),
    /// The JSON of this table or array.
    Json(toml::Value),
}

impl Configuration {
    /// What the filter reads.
    pub(super) fn bytes(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_bytes(),
            // What JSON has no value for was refused when it was read.
            Self::Json(value) => json::from_toml(&value).unwrap_or_default().to_string().into_bytes(),
        }
    }

    /// Whether it is a table with this key.
    pub(super) fn has(&self, key: &str) -> bool {
        matches!(self, Self::Json(toml::Value::Table(table)) if table.contains_key(key))
    }
}

impl<'de> Deserialize<'de> for Configuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Ok(Self::Text(text)),
            value @ (toml::Value::Table(_) | toml::Value::Array(_)) => {
                json::from_toml(&value).map_err(D::Error::custom)?;
                Ok(Self::Json(value))
            }
            other => Err(D::Error::custom(format!("a configuration is a string, a table or an array, not {other}"))),
        }
    }
}

/// A property's value.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Text; a path that has a type of its own gets a value of that type.
    Text(String),
    /// A number of 8 bytes.
    Int(i64),
    /// A number of 8 bytes with a fraction.
    Float(f64),
    /// One byte.
    Bool(bool),
}

/// Entries by path. A table within is a longer path, so that `source.address = "…"` and `"source.address" = "…"` are the
/// same.
pub(super) fn by_path<'de, T, D>(deserializer: D) -> Result<Entries<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let nodes = BTreeMap::<String, Node<T>>::deserialize(deserializer)?;
    let mut all = Vec::new();
    for (key, node) in nodes {
        node.flatten(key, &mut all);
    }
    Ok(Entries(all))
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a string, a number, a boolean or a table of such")]
enum Node<T> {
    Leaf(T),
    Table(BTreeMap<String, Node<T>>),
}

impl<T> Node<T> {
    fn flatten(self, path: String, all: &mut Vec<(String, T)>) {
        match self {
            Self::Leaf(leaf) => all.push((path, leaf)),
            Self::Table(inner) => inner.into_iter().for_each(|(key, node)| node.flatten(format!("{path}.{key}"), all)),
        }
    }
}
