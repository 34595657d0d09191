//! The `GrpcService` message by which a filter can say where a gRPC callout goes.
//!
//! A reader of its few fields by hand: a protobuf library, and Envoy's messages with it (the crate `envoy-types`, by
//! which the tests check this), would weigh more in each component than all gRPC callouts do.

/// What a filter names with a serialized `envoy.config.core.v3.GrpcService`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct GrpcService {
    pub(crate) target: Target,
    /// Added to the request's head, before the call's own.
    pub(crate) initial_metadata: Vec<(Vec<u8>, Vec<u8>)>,
}

/// By which of Envoy's two clients.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Target {
    /// The message does not say.
    #[default]
    Unset,
    /// Envoy's own, to a cluster.
    Envoy(EnvoyGrpc),
    /// Google's, which is not there.
    Google,
}

/// A cluster.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct EnvoyGrpc {
    pub(crate) cluster: Vec<u8>,
    /// Instead of the cluster's name; empty is none.
    pub(crate) authority: Vec<u8>,
    /// Without `x-envoy-internal`. Source: measured; the other header of that kind stays.
    pub(crate) skip_envoy_headers: bool,
}

impl GrpcService {
    /// Reads the message; nothing where the bytes are none. A filter may as well hand over a cluster's name.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let mut service = Self::default();
        each_field(bytes, |field| {
            match field {
                (1, Value::Bytes(message)) => {
                    let mut envoy = match std::mem::take(&mut service.target) {
                        Target::Envoy(envoy) => envoy,
                        _ => EnvoyGrpc::default(),
                    };
                    envoy.merge(message)?;
                    service.target = Target::Envoy(envoy);
                }
                (2, Value::Bytes(message)) => {
                    each_field(message, |_| Some(()))?;
                    service.target = Target::Google;
                }
                // The timeout, which Envoy does not look at here, and the rules for retries.
                (3 | 6, Value::Bytes(message)) => each_field(message, |_| Some(()))?,
                (5, Value::Bytes(message)) => service.initial_metadata.push(header(message)?),
                _ => {}
            }
            Some(())
        })?;
        Some(service)
    }
}

impl EnvoyGrpc {
    fn merge(&mut self, message: &[u8]) -> Option<()> {
        each_field(message, |field| {
            match field {
                (1, Value::Bytes(name)) => self.cluster = text(name)?,
                (2, Value::Bytes(authority)) => self.authority = text(authority)?,
                (3 | 4, Value::Bytes(message)) => each_field(message, |_| Some(()))?,
                (5, Value::Number(skip)) => self.skip_envoy_headers = skip != 0,
                _ => {}
            }
            Some(())
        })
    }
}

/// A `HeaderValue`.
fn header(message: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mut key, mut value) = (Vec::new(), Vec::new());
    each_field(message, |field| {
        match field {
            (1, Value::Bytes(bytes)) => key = text(bytes)?,
            (2, Value::Bytes(bytes)) => value = text(bytes)?,
            _ => {}
        }
        Some(())
    })?;
    Some((key, value))
}

/// A string of a message is UTF-8, or the message is none.
fn text(bytes: &[u8]) -> Option<Vec<u8>> {
    std::str::from_utf8(bytes).ok().map(|text| text.as_bytes().to_vec())
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

/// Hands over each field of a message; nothing where the bytes are no message.
fn each_field<'a>(mut bytes: &'a [u8], mut visit: impl FnMut((u64, Value<'a>)) -> Option<()>) -> Option<()> {
    /// The fields of groups, which nobody uses, are passed over; so deep.
    const DEPTH_MAX: usize = 100;
    let mut groups = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let number = tag >> 3;
        if number == 0 || tag > u64::from(u32::MAX) {
            return None;
        }
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut bytes)?),
            1 => take(&mut bytes, 8).map(|_| Value::Other)?,
            2 => {
                let len = varint(&mut bytes)?;
                Value::Bytes(take(&mut bytes, usize::try_from(len).ok()?)?)
            }
            3 if groups.len() < DEPTH_MAX => {
                groups.push(number);
                continue;
            }
            4 if groups.pop() == Some(number) => continue,
            5 => take(&mut bytes, 4).map(|_| Value::Other)?,
            _ => return None,
        };
        if groups.is_empty() {
            visit((number, value))?;
        }
    }
    groups.is_empty().then_some(())
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

/// A number of up to ten bytes, each of seven bits, the lowest first.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..70).step_by(7) {
        let byte = take(bytes, 1)?[0];
        number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}
