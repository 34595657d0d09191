//! `expr_create`, `expr_evaluate` and `expr_delete`.

use proxy_wasm_abi::enums::Status;
use proxy_wasm_foreign::cel::{attributes::Attributes, token};

use super::CallResult;
use crate::vm::Vm;

impl Attributes for Vm {
    fn get(&self, path: &[u8]) -> Result<Vec<u8>, Status> {
        self.get_property(path)
    }
}

/// `expr_create`: from an expression to its token.
pub fn expr_create(vm: &mut Vm, arguments: &[u8]) -> CallResult<Vec<u8>> {
    vm.foreign.expressions.create(arguments).map(|token| token.to_le_bytes().to_vec())
}

/// `expr_evaluate`: from a token to a value.
pub fn expr_evaluate(vm: &mut Vm, arguments: &[u8]) -> CallResult<Vec<u8>> {
    vm.foreign.expressions.evaluate(token(arguments)?, vm)
}

/// `expr_delete`
pub fn expr_delete(vm: &mut Vm, arguments: &[u8]) -> CallResult<Vec<u8>> {
    vm.foreign.expressions.delete(token(arguments)?);
    Ok(Vec::new())
}
