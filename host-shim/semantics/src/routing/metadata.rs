//! Metadata as a filter reads it: the whole as protobuf's bytes, and what is in it by its path.
//!
//! Source: Envoy's `serializeValue`; `routes/metadata` shows each kind of value.

use proxy_wasm_abi::{
    enums::Status,
    metadata::{Fields, Metadata, Value},
    pairs,
};

/// The only part that has values here.
const FILTERS: &str = "filter_metadata";

/// What stands at this path in it.
pub(super) fn read(metadata: &Metadata, path: &[&str]) -> Result<Vec<u8>, Status> {
    match path {
        [] => Ok(whole(metadata)),
        [FILTERS] => pairs_of(metadata.0.iter().map(|(name, fields)| Ok((name.as_bytes().to_vec(), map(fields)?)))),
        [FILTERS, namespace, rest @ ..] => {
            let (_, fields) = metadata.0.iter().find(|(name, _)| name == namespace).ok_or(Status::NotFound)?;
            within(fields, rest)
        }
        ["typed_filter_metadata"] => Ok(pairs::encode(std::iter::empty())),
        _ => Err(Status::NotFound),
    }
}

fn within(fields: &Fields, path: &[&str]) -> Result<Vec<u8>, Status> {
    let [key, rest @ ..] = path else { return map(fields) };
    let (_, value) = fields.iter().find(|(name, _)| name == key).ok_or(Status::NotFound)?;
    match (value, rest) {
        (Value::Map(fields), rest) => within(fields, rest),
        (value, []) => one(value),
        _ => Err(Status::NotFound),
    }
}

/// A value as a property has it.
fn one(value: &Value) -> Result<Vec<u8>, Status> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Bool(is) => Ok(vec![u8::from(*is)]),
        Value::Number(bits) => Ok(bits.to_le_bytes().to_vec()),
        Value::Text(text) => Ok(text.as_bytes().to_vec()),
        Value::List(values) => pairs_of(values.iter().map(|value| Ok((one(value)?, Vec::new())))),
        Value::Map(fields) => map(fields),
    }
}

fn map(fields: &Fields) -> Result<Vec<u8>, Status> {
    pairs_of(fields.iter().map(|(key, value)| Ok((key.as_bytes().to_vec(), one(value)?))))
}

fn pairs_of(all: impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), Status>>) -> Result<Vec<u8>, Status> {
    let all: Vec<(Vec<u8>, Vec<u8>)> = all.collect::<Result<_, _>>()?;
    Ok(pairs::encode(all.iter().map(|(key, value)| (key.as_slice(), value.as_slice()))))
}

/// All of it as protobuf's bytes: `map<string, Struct> filter_metadata = 1`.
fn whole(metadata: &Metadata) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, fields) in &metadata.0 {
        entry(&mut bytes, name, &structure(fields));
    }
    bytes
}

/// `map<string, Value> fields = 1`
fn structure(fields: &Fields) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, value) in fields {
        entry(&mut bytes, key, &encoded(value));
    }
    bytes
}

/// An entry of a map that is field 1.
fn entry(bytes: &mut Vec<u8>, key: &str, value: &[u8]) {
    let mut entry = Vec::new();
    delimited(&mut entry, 1, key.as_bytes());
    delimited(&mut entry, 2, value);
    delimited(bytes, 1, &entry);
}

/// A `google.protobuf.Value`.
fn encoded(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    match value {
        Value::Null => bytes.extend([1 << 3, 0]),
        Value::Number(bits) => {
            bytes.push(2 << 3 | 1);
            bytes.extend(bits.to_le_bytes());
        }
        Value::Text(text) => delimited(&mut bytes, 3, text.as_bytes()),
        Value::Bool(is) => bytes.extend([4 << 3, u8::from(*is)]),
        Value::Map(fields) => delimited(&mut bytes, 5, &structure(fields)),
        Value::List(values) => {
            let mut list = Vec::new();
            values.iter().for_each(|value| delimited(&mut list, 1, &encoded(value)));
            delimited(&mut bytes, 6, &list);
        }
    }
    bytes
}

/// A field that has its length before it.
fn delimited(bytes: &mut Vec<u8>, field: u8, content: &[u8]) {
    bytes.push(field << 3 | 2);
    let mut left = content.len();
    while left > 0x7f {
        bytes.push(left as u8 & 0x7f | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
    bytes.extend_from_slice(content);
}
