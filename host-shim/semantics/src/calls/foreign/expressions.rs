//! `expr_create`, `expr_evaluate` and `expr_delete`.

use proxy_wasm_abi::enums::Status;
use proxy_wasm_foreign::cel::{Expressions, attributes::Attributes, token};

use super::CallResult;
use crate::state::ChainState;

impl Attributes for ChainState {
    fn get(&self, path: &[u8]) -> Result<Vec<u8>, Status> {
        self.get_property(path)
    }
}

impl ChainState {
    /// Those of the root context.
    fn expressions(&mut self) -> &mut Expressions {
        let plugin = self.plugin_index();
        &mut self.plugins[plugin].expressions
    }
}

/// `expr_create`: from an expression to its token.
pub fn expr_create(state: &mut ChainState, arguments: &[u8]) -> CallResult<Vec<u8>> {
    state.expressions().create(arguments).map(|token| token.to_le_bytes().to_vec())
}

/// `expr_evaluate`: from a token to a value.
pub fn expr_evaluate(state: &mut ChainState, arguments: &[u8]) -> CallResult<Vec<u8>> {
    let plugin = state.plugin_index();
    state.plugins[plugin].expressions.evaluate(token(arguments)?, state)
}

/// `expr_delete`
pub fn expr_delete(state: &mut ChainState, arguments: &[u8]) -> CallResult<Vec<u8>> {
    state.expressions().delete(token(arguments)?);
    Ok(Vec::new())
}
