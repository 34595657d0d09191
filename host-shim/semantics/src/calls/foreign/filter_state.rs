//! `set_envoy_filter_state`, which sets what can be read as a property.

use proxy_wasm_abi::enums::Status;
use proxy_wasm_foreign::filter_state;

use super::CallResult;
use crate::state::ChainState;

/// `set_envoy_filter_state`: an object of the stream, which only streams have.
pub fn set_envoy_filter_state(state: &mut ChainState, arguments: &[u8]) -> CallResult<Vec<u8>> {
    match state.stream_mut() {
        Some((stream, _)) => stream.filter_objects.set(arguments)?,
        None => {
            filter_state::check(arguments)?;
            return Err(Status::NotFound);
        }
    }
    Ok(Vec::new())
}
