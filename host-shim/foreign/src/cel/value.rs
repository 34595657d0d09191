//! Values, and what is the same for all of them: equality, order, their bytes as a result.

use std::cmp::Ordering;
use std::rc::Rc;

use proxy_wasm_abi::{enums::Status, pairs};

use super::attributes::{Attribute, Attributes};

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Rc<str>),
    Bytes(Rc<[u8]>),
    List(Rc<Vec<Value>>),
    /// In the order of its making.
    Map(Rc<Vec<(Value, Value)>>),
    /// Nanoseconds.
    Duration(i128),
    /// Nanoseconds since 1970.
    Timestamp(i128),
    /// A type, by its name.
    Type(&'static str),
    /// A map of attributes, looked up as they are needed.
    Attribute(Rc<Attribute>),
}

impl Value {
    pub(super) fn string(text: &str) -> Self {
        Self::String(text.into())
    }

    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) | Self::Attribute(_) => "map",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Type(_) => "type",
        }
    }

    /// Numbers of different types are equal where they are the same number; values of different types never are.
    pub(super) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Type(one), Self::Type(other)) => one == other,
            (Self::List(one), Self::List(other)) => {
                one.len() == other.len() && one.iter().zip(other.iter()).all(|(one, other)| one.equals(other))
            }
            (Self::Map(one), Self::Map(other)) => {
                let same = |(key, value): &(Self, Self)| find(other, key).is_some_and(|other| value.equals(other));
                one.len() == other.len() && one.iter().all(same)
            }
            (Self::Attribute(one), Self::Attribute(other)) => one == other,
            _ => self.compare(other) == Some(Ordering::Equal),
        }
    }

    /// The cost of looking at the value itself, without those in it.
    pub(super) fn weight(&self) -> usize {
        1 + match self {
            Self::String(text) => text.len() / 16,
            Self::Bytes(bytes) => bytes.len() / 16,
            _ => 0,
        }
    }

    /// The order of two values that have one.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(one), Self::Bool(other)) => Some(one.cmp(other)),
            (Self::String(one), Self::String(other)) => Some(one.cmp(other)),
            (Self::Bytes(one), Self::Bytes(other)) => Some(one.cmp(other)),
            (Self::Duration(one), Self::Duration(other)) | (Self::Timestamp(one), Self::Timestamp(other)) => {
                Some(one.cmp(other))
            }
            (Self::Int(one), Self::Int(other)) => Some(one.cmp(other)),
            (Self::Uint(one), Self::Uint(other)) => Some(one.cmp(other)),
            (Self::Int(one), Self::Uint(other)) => Some(i128::from(*one).cmp(&i128::from(*other))),
            (Self::Uint(one), Self::Int(other)) => Some(i128::from(*one).cmp(&i128::from(*other))),
            // Whole numbers are compared with others as the latter are.
            (Self::Double(one), Self::Double(other)) => one.partial_cmp(other),
            (Self::Double(one), Self::Int(other)) => one.partial_cmp(&(*other as f64)),
            (Self::Int(one), Self::Double(other)) => (*one as f64).partial_cmp(other),
            (Self::Double(one), Self::Uint(other)) => one.partial_cmp(&(*other as f64)),
            (Self::Uint(one), Self::Double(other)) => (*one as f64).partial_cmp(other),
            _ => None,
        }
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Int(_) | Self::Uint(_) | Self::Double(_))
    }

    /// As a filter gets it.
    pub(super) fn serialize(&self, attributes: &impl Attributes) -> Result<Vec<u8>, Status> {
        let map = |pairs: Vec<(Vec<u8>, Vec<u8>)>| {
            pairs::encode(pairs.iter().map(|(key, value)| (key.as_slice(), value.as_slice())))
        };
        match self {
            Self::Null | Self::Type(_) => Err(Status::SerializationFailure),
            Self::Bool(value) => Ok(vec![(*value).into()]),
            Self::Int(value) => Ok(value.to_le_bytes().to_vec()),
            Self::Uint(value) => Ok(value.to_le_bytes().to_vec()),
            Self::Double(value) => Ok(value.to_le_bytes().to_vec()),
            Self::String(text) => Ok(text.as_bytes().to_vec()),
            Self::Bytes(bytes) => Ok(bytes.to_vec()),
            Self::Duration(nanoseconds) | Self::Timestamp(nanoseconds) => {
                let clamped = (*nanoseconds).clamp(i64::MIN.into(), i64::MAX.into()) as i64;
                Ok(clamped.to_le_bytes().to_vec())
            }
            // A list is a map whose values are empty.
            Self::List(list) => {
                let elements = list.iter().map(|element| Ok((element.serialize(attributes)?, Vec::new())));
                Ok(map(elements.collect::<Result<_, Status>>()?))
            }
            Self::Map(entries) => {
                let pair = |(key, value): &(Self, Self)| Ok((key.serialize(attributes)?, value.serialize(attributes)?));
                Ok(map(entries.iter().map(pair).collect::<Result<_, Status>>()?))
            }
            Self::Attribute(attribute) => attribute.bytes(attributes),
        }
    }
}

/// The entry of a map with this key.
pub(super) fn find<'a>(map: &'a [(Value, Value)], key: &Value) -> Option<&'a Value> {
    map.iter().find(|(present, _)| present.equals(key)).map(|(_, value)| value)
}
