//! Metadata of routes, virtual hosts and clusters: Envoy's `Metadata`, as far as it is `filter_metadata`.

use serde::{Deserialize, Serialize};

/// For each namespace, such as `envoy.lb`, its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata(pub Vec<(String, Fields)>);

/// Values by key.
pub type Fields = Vec<(String, Value)>;

/// A value: protobuf's `Value`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// None.
    Null,
    /// A truth.
    Bool(bool),
    /// A number, as the bits of a double.
    Number(u64),
    /// Text.
    Text(String),
    /// Values.
    List(Vec<Value>),
    /// Values by key.
    Map(Fields),
}

impl Value {
    /// This number.
    pub fn number(number: f64) -> Self {
        Self::Number(number.to_bits())
    }
}

impl Metadata {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
