//! `compress` and `uncompress`: zlib's format.

use miniz_oxide::{
    deflate::compress_to_vec_zlib,
    inflate::{TINFLStatus, decompress_to_vec_zlib_with_limit},
};
use proxy_wasm_abi::{enums::Status, limits::UNCOMPRESSED_MAX_BYTES};

use super::CallResult;
use crate::state::ChainState;

/// zlib's default.
const LEVEL: u8 = 6;

/// `compress`: the arguments in zlib's format. Another encoder than Envoy's may choose other bytes for the same.
pub fn compress(_state: &mut ChainState, arguments: &[u8]) -> CallResult<Vec<u8>> {
    Ok(compress_to_vec_zlib(arguments, LEVEL))
}

/// `uncompress`: what [`compress`] took.
pub fn uncompress(_state: &mut ChainState, arguments: &[u8]) -> CallResult<Vec<u8>> {
    decompress_to_vec_zlib_with_limit(arguments, UNCOMPRESSED_MAX_BYTES).map_err(|error| match error.status {
        TINFLStatus::HasMoreOutput => Status::InternalFailure,
        _ => Status::SerializationFailure,
    })
}
