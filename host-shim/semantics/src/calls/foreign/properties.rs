//! `declare_property`.

use proxy_wasm_abi::enums::Status;
use proxy_wasm_foreign::protobuf::{Value, each_field, text};

use super::CallResult;
use crate::state::ChainState;

/// `declare_property`: the name, once in a context. A property need not be declared to be set.
pub fn declare_property(state: &mut ChainState, arguments: &[u8]) -> CallResult<Vec<u8>> {
    let name = name_of(arguments).ok_or(Status::BadArgument)?;
    let declared = state.declared_properties();
    if declared.contains(&name) {
        return Err(Status::BadArgument);
    }
    declared.push(name);
    Ok(Vec::new())
}

/// Field 1 of a message that is well-formed, else nothing.
fn name_of(message: &[u8]) -> Option<Vec<u8>> {
    let mut name = "";
    each_field(message, |field| {
        if let (1, Value::Bytes(bytes)) = field {
            name = text(bytes)?;
        }
        Some(())
    })?;
    Some(name.as_bytes().to_vec())
}
