//! Envoy's attributes as values: the names that an expression can use, and their types.

use std::rc::Rc;

use proxy_wasm_abi::{enums::Status, pairs};

use super::value::Value;

/// Where attributes come from.
pub trait Attributes {
    /// The value at a path, segments joined by NUL, as `proxy_get_property` gives it.
    ///
    /// # Errors
    /// `SERIALIZATION_FAILURE` for what has attributes in it and no form as a whole, another status for what is not there.
    fn get(&self, path: &[u8]) -> Result<Vec<u8>, Status>;
}

/// Something that has attributes in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Attribute {
    path: Vec<u8>,
    /// Its keys can be listed.
    headers: bool,
}

/// The kind of value that a path leads to.
enum Kind {
    Container,
    Headers,
    String,
    Bytes,
    Int,
    Uint,
    Bool,
    Duration,
    Timestamp,
}

/// Objects of the filter state that have fields.
const OBJECTS_WITH_FIELDS: [&[u8]; 3] = [
    b"envoy.filters.listener.original_dst.local_ip",
    b"envoy.filters.listener.original_dst.remote_ip",
    b"envoy.network.transport_socket.original_dst_address",
];

fn kind(path: &[u8]) -> Kind {
    let segments: Vec<&[u8]> = path.split(|byte| *byte == 0).collect();
    match segments[..] {
        [
            b"connection" | b"destination" | b"metadata" | b"request" | b"response" | b"source" | b"upstream" | b"xds",
        ]
        | [b"filter_state" | b"upstream_filter_state"]
        | [b"metadata", ..]
        | [b"upstream", b"locality"]
        | [b"xds", b"node"]
        | [b"xds", b"node", b"metadata" | b"locality"] => Kind::Container,
        [b"xds", name] if name.ends_with(b"_metadata") => Kind::Container,
        [b"request" | b"response", b"headers"] | [b"response", b"trailers"] => Kind::Headers,
        [b"request", b"time"] => Kind::Timestamp,
        [b"request", b"duration"] | [b"response", b"backend_latency"] | [b"upstream", b"cx_pool_ready_duration"] => {
            Kind::Duration
        }
        [b"request" | b"response", b"headers_bytes" | b"size" | b"total_size"]
        | [b"response", b"code" | b"flags" | b"grpc_status"]
        | [b"source" | b"destination" | b"upstream", b"port"]
        | [b"filter_state", _, b"port"]
        | [b"xds", b"listener_direction"] => Kind::Int,
        [b"connection", b"id"] | [b"connection_id"] | [b"upstream", b"num_endpoints" | b"request_attempt_count"] => {
            Kind::Uint
        }
        [b"connection", b"mtls"] => Kind::Bool,
        [b"filter_state" | b"upstream_filter_state", name] if OBJECTS_WITH_FIELDS.contains(&name) => Kind::Container,
        [b"filter_state" | b"upstream_filter_state", _] => Kind::Bytes,
        [b"plugin_name" | b"plugin_root_id" | b"plugin_vm_id"] => Kind::String,
        // A property that a filter stored.
        [_] => Kind::Bytes,
        _ => Kind::String,
    }
}

/// The attribute at this path, if it is there.
fn read(path: Vec<u8>, attributes: &impl Attributes) -> Option<Value> {
    let kind = kind(&path);
    let bytes = match attributes.get(&path) {
        Ok(bytes) => bytes,
        Err(Status::SerializationFailure) => Vec::new(),
        Err(_) => return None,
    };
    let number = || <[u8; 8]>::try_from(bytes.as_slice()).ok();
    Some(match kind {
        Kind::Container => Value::Attribute(Rc::new(Attribute { path, headers: false })),
        Kind::Headers => Value::Attribute(Rc::new(Attribute { path, headers: true })),
        Kind::String => Value::String(String::from_utf8_lossy(&bytes).as_ref().into()),
        Kind::Bytes => Value::Bytes(bytes.into()),
        Kind::Int => Value::Int(i64::from_le_bytes(number()?)),
        Kind::Uint => Value::Uint(u64::from_le_bytes(number()?)),
        Kind::Bool => Value::Bool(bytes == [1]),
        Kind::Duration => Value::Duration(i64::from_le_bytes(number()?).into()),
        Kind::Timestamp => Value::Timestamp(i64::from_le_bytes(number()?).into()),
    })
}

/// The value of a name that is not part of a path.
pub(super) fn named(name: &str, attributes: &impl Attributes) -> Option<Value> {
    if name.contains('\0') { None } else { read(name.as_bytes().to_vec(), attributes) }
}

impl Attribute {
    /// The attribute of this name in it.
    pub(super) fn field(&self, name: &str, attributes: &impl Attributes) -> Option<Value> {
        // An empty last segment would be none.
        if name.is_empty() || name.contains('\0') {
            return None;
        }
        let path = [self.path.as_slice(), name.as_bytes()].join(&0);
        read(path, attributes)
    }

    /// The names in it that can be listed.
    pub(super) fn keys(&self, attributes: &impl Attributes) -> Vec<Value> {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        if self.headers {
            for (name, _) in pairs::decode(&attributes.get(&self.path).unwrap_or_default()).unwrap_or_default() {
                if !keys.iter().any(|key| *key == name) {
                    keys.push(name.to_vec());
                }
            }
        }
        keys.iter().map(|key| Value::string(&String::from_utf8_lossy(key))).collect()
    }

    /// How many [`keys`](Self::keys) there are; headers of one name count each.
    pub(super) fn size(&self, attributes: &impl Attributes) -> usize {
        if !self.headers {
            return 0;
        }
        pairs::decode(&attributes.get(&self.path).unwrap_or_default()).unwrap_or_default().len()
    }

    pub(super) fn bytes(&self, attributes: &impl Attributes) -> Result<Vec<u8>, Status> {
        attributes.get(&self.path)
    }
}
