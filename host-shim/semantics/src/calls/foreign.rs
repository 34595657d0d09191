//! Foreign functions. Each takes and gives bytes.

use miniz_oxide::{
    deflate::compress_to_vec_zlib,
    inflate::{TINFLStatus, decompress_to_vec_zlib_with_limit},
};
use proxy_wasm_abi::{enums::Status, limits::UNCOMPRESSED_MAX_BYTES};

use super::CallResult;
use crate::state::State;

/// zlib's default.
const LEVEL: u8 = 6;

/// `compress`: the arguments in zlib's format. Another encoder than Envoy's may choose other bytes for the same.
pub fn compress(_state: &mut State, arguments: &[u8]) -> CallResult<Vec<u8>> {
    Ok(compress_to_vec_zlib(arguments, LEVEL))
}

/// `uncompress`: what [`compress`] took.
pub fn uncompress(_state: &mut State, arguments: &[u8]) -> CallResult<Vec<u8>> {
    decompress_to_vec_zlib_with_limit(arguments, UNCOMPRESSED_MAX_BYTES).map_err(|error| match error.status {
        TINFLStatus::HasMoreOutput => Status::InternalFailure,
        _ => Status::SerializationFailure,
    })
}

/// `clear_route_cache`: there is one route.
pub fn clear_route_cache(_state: &mut State, _arguments: &[u8]) -> CallResult<Vec<u8>> {
    Ok(Vec::new())
}

/// `declare_property`: the name, once in a context. A property need not be declared to be set.
pub fn declare_property(state: &mut State, arguments: &[u8]) -> CallResult<Vec<u8>> {
    let name = name_of(arguments).ok_or(Status::BadArgument)?;
    let declared = state.declared_properties();
    if declared.contains(&name) {
        return Err(Status::BadArgument);
    }
    declared.push(name);
    Ok(Vec::new())
}

/// Field 1 of a message that is well-formed, else nothing.
fn name_of(mut message: &[u8]) -> Option<Vec<u8>> {
    let mut name = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message)?;
        let len = match key & 7 {
            0 => varint(&mut message).map(|_| 0)?,
            1 => 8,
            2 => usize::try_from(varint(&mut message)?).ok()?,
            5 => 4,
            _ => return None,
        };
        let (field, rest) = message.split_at_checked(len)?;
        if key == (1 << 3 | 2) {
            name = field.to_vec();
        }
        message = rest;
    }
    Some(name)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// A foreign function in progress: the shim calls it through the bridge, which passes no bytes.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    arguments: Vec<u8>,
    result: Option<CallResult<Vec<u8>>>,
}

impl State {
    /// Keeps a foreign function's arguments for [`run_foreign`](Self::run_foreign).
    pub fn begin_foreign(&mut self, arguments: Vec<u8>) {
        self.foreign = Foreign { arguments, result: None };
    }

    /// Runs a foreign function. (Not by a pointer: what stands in a table can't be pruned.)
    pub fn run_foreign(&mut self, function: impl FnOnce(&mut Self, &[u8]) -> CallResult<Vec<u8>>) {
        let arguments = std::mem::take(&mut self.foreign.arguments);
        self.foreign.result = Some(function(self, &arguments));
    }

    /// What it came to; nothing, where the component does not have it.
    pub fn end_foreign(&mut self) -> Option<CallResult<Vec<u8>>> {
        std::mem::take(&mut self.foreign).result
    }
}
