//! Foreign functions.

use proxy_wasm_abi::{enums::Status, foreign_functions::FOREIGN_NAMES};
use proxy_wasm_semantics::Guest;

use crate::caller::{Caller, Memory, Outcome};

impl<G: Guest + Memory> Caller<'_, G> {
    pub(crate) fn resolve_dns(&self, name: u32, len: u32, token: u32) -> Outcome {
        let name = self.bytes(name, len)?;
        // If the token can't be written, the name is not resolved.
        self.put_u32(token, 0)?;
        let asked = self.state().resolve_dns(&name);
        self.put_u32(token, asked)
    }

    pub(crate) fn call_foreign_function(
        &self,
        name: [u32; 2],
        arguments: [u32; 2],
        pointer: u32,
        size: u32,
    ) -> Outcome {
        let [name, arguments] = [name, arguments].map(|[at, len]| self.bytes(at, len));
        let (name, arguments) = (name?, arguments?);
        let function = FOREIGN_NAMES.iter().position(|known| known.as_bytes() == name).ok_or(Status::NotFound)?;
        self.state().begin_foreign(arguments);
        self.memory().foreign(function as u32);
        let Some(result) = self.state().end_foreign() else {
            self.state().note_left_out(FOREIGN_NAMES[function]);
            return Err(Status::Unimplemented);
        };
        // Where the filter wants no result, it gets none.
        let wanted = pointer != 0 && size != 0;
        match result {
            Ok(bytes) if wanted => self.give(&bytes, pointer, size),
            Ok(_) => Ok(()),
            Err(status) => {
                if wanted {
                    self.put_u32(pointer, 0)?;
                    self.put_u32(size, 0)?;
                }
                Err(status)
            }
        }
    }
}
