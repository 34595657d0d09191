//! `google.protobuf.Any`: of what type it is, and the bytes that Envoy gives a filter for it.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use prost::Message as _;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct};

use crate::node::{Node, Value};
use crate::read::Reader;

/// The name of the type in an `@type`, and the node that has the fields: a `TypedStruct` is looked through.
pub(crate) fn content(node: &Node) -> Option<(&str, &Node)> {
    let name = type_name(node.get("@type")?.as_text()?)?;
    if !is_typed_struct(name) {
        return Some((name, node));
    }
    let inner = type_name(node.get("type_url")?.as_text()?)?;
    Some((inner, node.get("value").unwrap_or(node)))
}

/// What stands behind the last `/`: a type without a host part is none.
fn type_name(url: &str) -> Option<&str> {
    url.rsplit_once('/').map(|(_, name)| name).filter(|name| !name.is_empty())
}

fn is_typed_struct(name: &str) -> bool {
    matches!(name, "udpa.type.v1.TypedStruct" | "xds.type.v3.TypedStruct")
}

/// `xds.type.v3.TypedStruct`, and `udpa.type.v1.TypedStruct`, which has the same fields.
#[derive(Clone, PartialEq, prost::Message)]
struct TypedStruct {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Struct>,
}

/// The bytes that a filter gets as its configuration: those of a StringValue or BytesValue, of anything else its protobuf.
///
/// Source: `MessageUtil::anyToBytes` in Envoy; that a Struct is no exception was measured on Envoy 1.40.
pub(crate) fn bytes(reader: Reader<'_>, node: &Node, field: &str) -> Option<Vec<u8>> {
    node.mark_all();
    if node.entries().is_empty() && node.is_map() {
        return Some(Vec::new());
    }
    let wrong = |what: &str, remedy: &str| {
        reader.report.wrong(reader.object, node.place(), format!("`{field}` {what}"), remedy);
        None
    };
    let Some(url) = node.peek_text("@type") else {
        return wrong(
            "has no `@type`",
            "Write `\"@type\": type.googleapis.com/google.protobuf.StringValue` and the text as `value`; Envoy refuses it as it is.",
        );
    };
    let Some(name) = type_name(url) else {
        return wrong(
            "has an `@type` without a host part",
            "Write `type.googleapis.com/` before the name of the type.",
        );
    };
    let value = value(reader, node, name, field)?;
    let mistyped = || {
        wrong(
            "has a `value` that its type does not allow",
            "Write it as protobuf's JSON does; Envoy refuses it as it is.",
        )
    };
    let encoded = match name {
        "google.protobuf.StringValue" => match value.map(Node::value) {
            None => Some(Vec::new()),
            Some(Value::Text(text)) => Some(text.clone().into_bytes()),
            Some(_) => None,
        },
        "google.protobuf.BytesValue" => match value {
            None => Some(Vec::new()),
            Some(value) => value.as_text().and_then(decode),
        },
        "google.protobuf.Empty" => Some(Vec::new()),
        "google.protobuf.Struct" => match value {
            None => Some(Vec::new()),
            Some(value) => structure(value).map(|value| value.encode_to_vec()),
        },
        "google.protobuf.Value" => Some(
            node.entries()
                .iter()
                .rfind(|entry| entry.key == "value")
                .map_or_else(Vec::new, |entry| any_value(&entry.node).encode_to_vec()),
        ),
        "google.protobuf.ListValue" => match value {
            None => Some(Vec::new()),
            Some(value) => matches!(value.value(), Value::List(_)).then(|| list(value).encode_to_vec()),
        },
        "google.protobuf.BoolValue" => match value.map(Node::value) {
            None => Some(Vec::new()),
            Some(Value::Bool(is)) => Some(is.encode_to_vec()),
            Some(_) => None,
        },
        "google.protobuf.Duration" => value
            .and_then(Node::as_text)
            .and_then(|text| text.parse::<prost_types::Duration>().ok())
            .map(|value| value.encode_to_vec()),
        "google.protobuf.Int32Value" => number::<i32>(value).map(|value| value.encode_to_vec()),
        "google.protobuf.Int64Value" => number::<i64>(value).map(|value| value.encode_to_vec()),
        "google.protobuf.UInt32Value" => number::<u32>(value).map(|value| value.encode_to_vec()),
        "google.protobuf.UInt64Value" => number::<u64>(value).map(|value| value.encode_to_vec()),
        "google.protobuf.FloatValue" => number::<f32>(value).map(|value| value.encode_to_vec()),
        "google.protobuf.DoubleValue" => number::<f64>(value).map(|value| value.encode_to_vec()),
        "google.protobuf.Timestamp" => value
            .and_then(Node::as_text)
            .and_then(|text| text.parse::<prost_types::Timestamp>().ok())
            .map(|value| value.encode_to_vec()),
        "google.protobuf.FieldMask" => value.and_then(Node::as_text).map(|text| field_mask(text).encode_to_vec()),
        // Of a StringValue and its like there are the bytes of its text, and not the message that stands in another one.
        "google.protobuf.Any" => return inner_any(reader, value, field),
        name if is_typed_struct(name) => {
            let type_url = node.peek_text("type_url").unwrap_or_default().to_owned();
            match node.peek("value") {
                None => Some(TypedStruct { type_url, value: None }.encode_to_vec()),
                Some(value) => {
                    structure(value).map(|value| TypedStruct { type_url, value: Some(value) }.encode_to_vec())
                }
            }
        }
        _ => {
            reader.report.lost(
                reader.object,
                node.place(),
                format!("`{field}` is of the type `{name}`, whose bytes are not known here"),
                "Give its serialized bytes as a `google.protobuf.BytesValue`.",
            );
            return None;
        }
    };
    if encoded.is_none() {
        return mistyped();
    }
    if matches!(name, "google.protobuf.Struct" | "google.protobuf.Value") || is_typed_struct(name) {
        reader.report.differs(
            reader.object,
            node.place(),
            format!("`{field}` is given to the filter as protobuf, as Envoy does, with the keys of maps in order: Envoy's order changes from start to start"),
            "",
        );
    }
    encoded
}

/// The `value` of a well-known type; nothing, if there is more beside it than Envoy reads.
///
/// A message of one field may also be written as a table of it (measured on Envoy 1.40).
fn value<'n>(reader: Reader<'_>, node: &'n Node, name: &str, field: &str) -> Option<Option<&'n Node>> {
    let known = name.starts_with("google.protobuf.");
    let fields: &[&str] = if name == "google.protobuf.Empty" { &["@type"] } else { &["@type", "value"] };
    let is_odd = |node: &Node, fields: &[&str]| {
        known && node.entries().iter().any(|entry| !fields.contains(&entry.key.as_str()))
    };
    // Its name may be a part of the configuration, which nobody is to see.
    let unknown = || {
        let what = format!("`{field}` has a field that a `{name}` has not");
        let remedy = "Leave it with `@type` and `value`; Envoy refuses it as it is.";
        reader.report.wrong(reader.object, node.place(), what, remedy);
    };
    if is_odd(node, fields) {
        unknown();
        return None;
    }
    let value = node.peek("value");
    let is_wrapper = name.strip_prefix("google.protobuf.").is_some_and(|name| {
        matches!(
            name.strip_suffix("Value"),
            Some("String" | "Bytes" | "Bool" | "Int32" | "Int64" | "UInt32" | "UInt64" | "Float" | "Double")
        )
    });
    match value.filter(|value| is_wrapper && value.is_map()) {
        Some(table) if is_odd(table, &["value"]) => {
            unknown();
            None
        }
        Some(table) => Some(table.peek("value")),
        None => Some(value),
    }
}

/// An `Any` in an `Any`.
fn inner_any(reader: Reader<'_>, value: Option<&Node>, field: &str) -> Option<Vec<u8>> {
    let Some(inner) = value else { return Some(Vec::new()) };
    let type_url = inner.peek_text("@type").unwrap_or_default().to_owned();
    let bytes = bytes(reader, inner, field)?;
    let value = match type_name(&type_url) {
        Some("google.protobuf.StringValue") => String::from_utf8_lossy(&bytes).into_owned().encode_to_vec(),
        Some("google.protobuf.BytesValue") => bytes.encode_to_vec(),
        _ => bytes,
    };
    Some(prost_types::Any { type_url, value }.encode_to_vec())
}

/// A number, which protobuf's JSON also takes as text.
fn number<T: std::str::FromStr + Default>(value: Option<&Node>) -> Option<T> {
    match value.map(Node::value) {
        None => Some(T::default()),
        Some(Value::Int(int)) => int.to_string().parse().ok(),
        Some(Value::Float(float)) => float.to_string().parse().ok(),
        Some(Value::Text(text)) => text.parse().ok(),
        Some(_) => None,
    }
}

/// Paths in lowerCamelCase, with commas between them.
fn field_mask(text: &str) -> prost_types::FieldMask {
    let snake = |path: &str| {
        path.chars().fold(String::new(), |mut path, letter| {
            if letter.is_ascii_uppercase() {
                path.push('_');
            }
            path.push(letter.to_ascii_lowercase());
            path
        })
    };
    prost_types::FieldMask { paths: text.split(',').filter(|path| !path.is_empty()).map(snake).collect() }
}

/// Base64 as protobuf's JSON reads it: either alphabet, padded or not.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let alphabet = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    GeneralPurpose::new(alphabet, config).decode(text).ok()
}

fn structure(node: &Node) -> Option<Struct> {
    node.is_map().then(|| Struct {
        fields: node.entries().iter().map(|entry| (entry.key.clone(), any_value(&entry.node))).collect(),
    })
}

fn list(node: &Node) -> ListValue {
    ListValue { values: node.items().iter().map(any_value).collect() }
}

fn any_value(node: &Node) -> prost_types::Value {
    #[allow(clippy::cast_precision_loss, reason = "numbers of a Struct are doubles")]
    let kind = match node.value() {
        Value::Null => Kind::NullValue(0),
        Value::Bool(is) => Kind::BoolValue(*is),
        Value::Int(int) => Kind::NumberValue(*int as f64),
        Value::Float(float) => Kind::NumberValue(*float),
        Value::Text(text) => Kind::StringValue(text.clone()),
        Value::List(_) => Kind::ListValue(list(node)),
        Value::Map(_) => Kind::StructValue(structure(node).unwrap_or_default()),
    };
    prost_types::Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;

    fn of(text: &str) -> Option<Vec<u8>> {
        let report = Report::default();
        let nodes = crate::yaml::read(0, "t.yaml", text.as_bytes()).unwrap();
        bytes(Reader { report: &report, object: "t" }, &nodes[0], "configuration")
    }

    /// The protobuf bytes are written out by hand, after its encoding.
    #[test]
    fn bytes_of_each_type() {
        let typed = |name: &str, value: &str| {
            of(&format!("{{'@type': type.googleapis.com/google.protobuf.{name}, value: {value}}}"))
        };
        assert_eq!(typed("StringValue", "'a\\n'"), Some(b"a\\n".to_vec()));
        assert_eq!(typed("StringValue", "1.5"), Some(b"1.5".to_vec()));
        assert_eq!(typed("StringValue", "5"), None);
        assert_eq!(typed("StringValue", "true"), None);
        assert_eq!(typed("StringValue", "{}"), Some(Vec::new()));
        assert_eq!(typed("StringValue", "{value: x}"), Some(b"x".to_vec()));
        assert_eq!(typed("StringValue", "{a: x}"), None);
        assert_eq!(typed("StringValue", "x, other: 1"), None);
        assert_eq!(typed("Int32Value", "{value: 3}"), Some(vec![8, 3]));
        assert_eq!(typed("Struct", "{a: b}, other: 1"), None);
        assert_eq!(typed("BytesValue", "_-8"), Some(vec![0xff, 0xef]));
        assert_eq!(typed("BytesValue", "/+8="), Some(vec![0xff, 0xef]));
        assert_eq!(typed("Struct", "{a: b}"), Some(b"\x0a\x08\x0a\x01a\x12\x03\x1a\x01b".to_vec()));
        assert_eq!(typed("Value", "null"), Some(vec![8, 0]));
        assert_eq!(typed("Value", "x"), Some(b"\x1a\x01x".to_vec()));
        assert_eq!(typed("ListValue", "[y]"), Some(b"\x0a\x02\x20\x01".to_vec()));
        assert_eq!(typed("Duration", "2s"), Some(vec![8, 2]));
        assert_eq!(typed("UInt64Value", "'300'"), Some(vec![8, 0xac, 2]));
        assert_eq!(typed("Int32Value", "x"), None);
        assert_eq!(typed("DoubleValue", "0.0"), Some(Vec::new()));
        assert_eq!(typed("FieldMask", "'a,bC'"), Some(b"\x0a\x01a\x0a\x03b_c".to_vec()));
        let inner = "{'@type': t/google.protobuf.StringValue, value: x}";
        assert_eq!(typed("Any", inner), Some(b"\x0a\x1dt/google.protobuf.StringValue\x12\x03\x0a\x01x".to_vec()));
        assert_eq!(of("{}"), Some(Vec::new()));
        assert_eq!(of("{value: x}"), None);
        assert_eq!(of("{'@type': google.protobuf.StringValue, value: x}"), None);
        let typed_struct = of("{'@type': x/xds.type.v3.TypedStruct, type_url: t, value: {a: b}}");
        assert_eq!(typed_struct, Some(b"\x0a\x01t\x12\x0a\x0a\x08\x0a\x01a\x12\x03\x1a\x01b".to_vec()));
    }
}
