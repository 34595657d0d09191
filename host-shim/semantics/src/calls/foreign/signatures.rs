//! `verify_signature` and `sign`.

use proxy_wasm_foreign::signatures;

use super::CallResult;
use crate::state::ChainState;

/// `verify_signature`
pub fn verify_signature(_state: &mut ChainState, arguments: &[u8]) -> CallResult<Vec<u8>> {
    signatures::verify(arguments)
}

/// `sign`
pub fn sign(_state: &mut ChainState, arguments: &[u8]) -> CallResult<Vec<u8>> {
    signatures::sign(arguments)
}
