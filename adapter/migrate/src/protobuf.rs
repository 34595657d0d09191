//! Messages as JSON has them, to their bytes, as Envoy reads them.
//!
//! Source: `ParseMessage` and what it calls in `src/google/protobuf/json/internal/parser.cc` of protobuf, which is laxer than
//! protobuf's rules for JSON; each leniency was measured on Envoy 1.40 (`tests.rs`).

#[cfg(test)]
mod tests;
mod values;
mod wire;

use std::collections::HashSet;

use prost_reflect::{Cardinality, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use crate::api;
use crate::node::{Entry, Node, Place, Value};
pub(crate) use values::base64;
use wire::{Fields, Wire};

/// Why Envoy refuses a value. It holds nothing of the value: there are secrets among them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Problem {
    /// It is no table.
    NoTable,
    /// A table without an `@type`.
    NoType,
    /// An `@type` without a host part.
    NoHost,
    /// Envoy has no message of this name.
    UnknownType(String),
    /// The value has a field that this message has not.
    NoSuchField(String),
    /// There is more beside the `@type` and the `value` of this message.
    Beside(String),
    /// This message, or this field, does not allow the value.
    Mistyped(String),
    /// There is one value too many for what this message calls a `oneof`.
    Twice(String),
}

/// A problem, and the value that has it.
pub(crate) type Misplaced = (Place, Problem);

/// What a `google.protobuf.Any` holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Any {
    pub(crate) type_url: String,
    pub(crate) value: Vec<u8>,
    /// Whether there is a map of several entries in it, whose order Envoy leaves to chance.
    pub(crate) has_unordered: bool,
    /// Where there is what Envoy's dumps say in place of a secret.
    pub(crate) redacted: Option<Place>,
}

/// Reads an `Any`; one without anything in it has no type.
pub(crate) fn any(node: &Node) -> Result<Any, Misplaced> {
    let mut encoder = Encoder::default();
    let (type_url, value) = encoder.any(node)?;
    let Encoder { has_unordered, redacted } = encoder;
    Ok(Any { type_url, value, has_unordered, redacted })
}

/// What stands behind the last `/`: a type without a host part is none.
pub(crate) fn type_name(url: &str) -> Option<&str> {
    url.rsplit_once('/').filter(|(host, name)| !host.is_empty() && !name.is_empty()).map(|(_, name)| name)
}

/// The messages that JSON has a form of its own for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Special {
    Any,
    Wrapper,
    Struct,
    List,
    Value,
    Timestamp,
    Duration,
    FieldMask,
}

fn special(name: &str) -> Option<Special> {
    Some(match name.strip_prefix("google.protobuf.")? {
        "Any" => Special::Any,
        "Struct" => Special::Struct,
        "ListValue" => Special::List,
        "Value" => Special::Value,
        "Timestamp" => Special::Timestamp,
        "Duration" => Special::Duration,
        "FieldMask" => Special::FieldMask,
        "DoubleValue" | "FloatValue" | "Int64Value" | "UInt64Value" | "Int32Value" | "UInt32Value" | "BoolValue"
        | "StringValue" | "BytesValue" => Special::Wrapper,
        _ => return None,
    })
}

fn is_of(kind: &Kind, wanted: Special) -> bool {
    matches!(kind, Kind::Message(message) if special(message.full_name()) == Some(wanted))
}

/// Null is a value of these, and no value of any other.
fn takes_null(kind: &Kind) -> bool {
    is_of(kind, Special::Value) || matches!(kind, Kind::Enum(kind) if kind.full_name() == "google.protobuf.NullValue")
}

/// `[redacted]`, and its base64 (measured on Envoy 1.40).
const REDACTED: [&str; 2] = ["[redacted]", "W3JlZGFjdGVkXQ=="];

#[derive(Default)]
struct Encoder {
    has_unordered: bool,
    redacted: Option<Place>,
}

impl Encoder {
    fn any(&mut self, node: &Node) -> Result<(String, Vec<u8>), Misplaced> {
        let wrong = |problem| Err((node.place(), problem));
        if !node.is_map() {
            return wrong(Problem::NoTable);
        }
        if node.entries().is_empty() {
            return Ok((String::new(), Vec::new()));
        }
        let Some(url) = node.peek_text("@type") else { return wrong(Problem::NoType) };
        let Some(name) = type_name(url) else { return wrong(Problem::NoHost) };
        let Some(message) = api::messages().get_message_by_name(name) else {
            return wrong(Problem::UnknownType(name.into()));
        };
        Ok((url.into(), self.message(&message, node, true)?))
    }

    /// The bytes of a message; `in_any`, its fields stand beside an `@type`.
    fn message(&mut self, message: &MessageDescriptor, node: &Node, in_any: bool) -> Result<Vec<u8>, Misplaced> {
        let special = special(message.full_name());
        let mistyped = || (node.place(), Problem::Mistyped(message.full_name().into()));
        // Some may also be written as a table of their fields.
        let is_table = node.is_map();
        match special {
            _ if in_any => {}
            Some(Special::Any) => {
                let (type_url, value) = self.any(node)?;
                let any = prost_types::Any { type_url, value };
                return Ok(prost::Message::encode_to_vec(&any));
            }
            Some(Special::Value) => return self.value(message, node),
            Some(Special::Struct) => return self.only_field(message, node),
            Some(Special::List) if !is_table => return self.only_field(message, node),
            Some(Special::Wrapper) if !is_table => {
                let mut fields = Fields::default();
                if let (Some(field), false) = (message.get_field(1), node.is_null()) {
                    fields.set(&field, self.singular(&field, node)?);
                }
                return Ok(fields.into_bytes());
            }
            Some(Special::Timestamp | Special::Duration) if node.is_null() => return Ok(Vec::new()),
            Some(Special::Timestamp) if !is_table => return values::timestamp(node).ok_or_else(mistyped),
            Some(Special::Duration) if !is_table => return values::duration(node).ok_or_else(mistyped),
            Some(Special::FieldMask) if !is_table => return values::field_mask(node).ok_or_else(mistyped),
            _ => {}
        }
        if !node.is_map() {
            return Err(mistyped());
        }
        let mut fields = Fields::default();
        let mut oneofs = HashSet::new();
        let mut whole = None;
        for entry in last_of_each(node) {
            if in_any && entry.key == "@type" {
                continue;
            }
            if in_any && special.is_some() {
                if entry.key != "value" {
                    return Err((entry.place, Problem::Beside(message.full_name().into())));
                }
                whole = Some(self.message(message, &entry.node, false)?);
                continue;
            }
            let field = message.get_field_by_json_name(&entry.key).or_else(|| message.get_field_by_name(&entry.key));
            let field = field.ok_or_else(|| (entry.place, Problem::NoSuchField(message.full_name().into())))?;
            if entry.node.is_null() && !takes_null(&field.kind()) {
                continue;
            }
            let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
            if oneof.is_some_and(|oneof| !oneofs.insert(oneof.full_name().to_owned())) {
                return Err((entry.place, Problem::Twice(message.full_name().into())));
            }
            self.field(&field, &entry.node, &mut fields)?;
        }
        Ok(whole.unwrap_or_else(|| fields.into_bytes()))
    }

    /// A message that is written as its one field is.
    fn only_field(&mut self, message: &MessageDescriptor, node: &Node) -> Result<Vec<u8>, Misplaced> {
        let mut fields = Fields::default();
        if let (Some(field), false) = (message.get_field(1), node.is_null()) {
            // A list of one may not be written as that one here.
            if field.is_list() && !matches!(node.value(), Value::List(_)) {
                return Err((node.place(), Problem::Mistyped(message.full_name().into())));
            }
            self.field(&field, node, &mut fields)?;
        }
        Ok(fields.into_bytes())
    }

    fn field(&mut self, field: &FieldDescriptor, node: &Node, fields: &mut Fields) -> Result<(), Misplaced> {
        if field.is_map() {
            return self.map(field, node, fields);
        }
        if field.cardinality() != Cardinality::Repeated {
            fields.set(field, self.singular(field, node)?);
            return Ok(());
        }
        // One value that stands there without a list is a list of one.
        match node.value() {
            Value::List(items) => self.items(field, items, fields),
            _ => {
                fields.push(field, self.singular(field, node)?);
                Ok(())
            }
        }
    }

    /// Lists within a list are read as if their brackets were not there, and null as the value that is the default.
    fn items(&mut self, field: &FieldDescriptor, items: &[Node], fields: &mut Fields) -> Result<(), Misplaced> {
        let kind = field.kind();
        let is_flat = !is_of(&kind, Special::Value) && !is_of(&kind, Special::List);
        for item in items {
            match item.value() {
                Value::List(within) if is_flat => self.items(field, within, fields)?,
                Value::Null if !takes_null(&kind) => fields.push(field, Wire::zero(&kind)),
                _ => fields.push(field, self.singular(field, item)?),
            }
        }
        Ok(())
    }

    fn map(&mut self, field: &FieldDescriptor, node: &Node, fields: &mut Fields) -> Result<(), Misplaced> {
        let mistyped = |place| (place, Problem::Mistyped(field.full_name().into()));
        let Kind::Message(entry_type) = field.kind() else { return Err(mistyped(node.place())) };
        if !node.is_map() {
            return Err(mistyped(node.place()));
        }
        let (key_field, value_field) = (entry_type.map_entry_key_field(), entry_type.map_entry_value_field());
        let mut entries = last_of_each(node);
        entries.sort_by(|one, other| one.key.cmp(&other.key));
        self.has_unordered |= entries.len() > 1;
        for entry in entries {
            let key = values::map_key(&key_field.kind(), &entry.key).ok_or_else(|| mistyped(entry.place))?;
            let value_kind = value_field.kind();
            let value = match entry.node.value() {
                Value::Null if !takes_null(&value_kind) => Wire::zero(&value_kind),
                _ => self.singular(&value_field, &entry.node)?,
            };
            let mut pair = Vec::new();
            key.write(1, &mut pair);
            value.write(2, &mut pair);
            fields.push(field, Wire::Bytes(pair));
        }
        Ok(())
    }

    /// The value of a field that has one, or one of the values of a field that has several.
    fn singular(&mut self, field: &FieldDescriptor, node: &Node) -> Result<Wire, Misplaced> {
        match field.kind() {
            Kind::Message(message) => Ok(Wire::Bytes(self.message(&message, node, false)?)),
            kind => {
                let is_of_envoy = field.parent_message().package_name() != "google.protobuf";
                if is_of_envoy && node.as_text().is_some_and(|text| REDACTED.contains(&text)) {
                    self.redacted.get_or_insert(node.place());
                }
                values::read(&kind, node).ok_or_else(|| (node.place(), Problem::Mistyped(field.full_name().into())))
            }
        }
    }

    /// A `google.protobuf.Value`, each of whose fields is there even where it is zero.
    fn value(&mut self, message: &MessageDescriptor, node: &Node) -> Result<Vec<u8>, Misplaced> {
        #[allow(clippy::cast_precision_loss, reason = "numbers of a Value are doubles")]
        let (number, wire) = match node.value() {
            Value::Null => (1, Wire::Varint(0)),
            Value::Int(int) => (2, Wire::double(*int as f64)),
            Value::Float(float) => (2, Wire::double(*float)),
            Value::Text(text) => (3, Wire::Bytes(text.clone().into_bytes())),
            Value::Bool(is) => (4, Wire::Varint(u64::from(*is))),
            Value::Map(_) | Value::List(_) => {
                let number = if node.is_map() { 5 } else { 6 };
                let Some(Kind::Message(within)) = message.get_field(number).map(|field| field.kind()) else {
                    return Err((node.place(), Problem::Mistyped(message.full_name().into())));
                };
                (number, Wire::Bytes(self.only_field(&within, node)?))
            }
        };
        let mut bytes = Vec::new();
        wire.write(number, &mut bytes);
        Ok(bytes)
    }
}

/// The entries of a table; of those with the same key the last.
fn last_of_each(node: &Node) -> Vec<&Entry> {
    let mut seen = HashSet::new();
    let mut entries: Vec<&Entry> = node.entries().iter().rev().filter(|entry| seen.insert(&entry.key)).collect();
    entries.reverse();
    entries
}

/// The number of an enum's value: a name in any case wins over one that is a number.
fn enum_number(kind: &EnumDescriptor, text: &str) -> Option<i32> {
    let exact = kind.get_value_by_name(text);
    let named = exact.or_else(|| kind.values().find(|value| value.name().eq_ignore_ascii_case(text)));
    named.map(|value| value.number()).or_else(|| text.trim_ascii().parse().ok())
}
