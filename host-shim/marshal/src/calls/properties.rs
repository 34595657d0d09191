//! Properties and configuration.

use proxy_wasm_semantics::Guest;

use crate::caller::{Caller, Memory, Outcome};

impl<G: Guest + Memory> Caller<'_, G> {
    pub(crate) fn get_property(&self, path: u32, path_len: u32, ptr: u32, size: u32) -> Outcome {
        let path = self.text(path, path_len)?;
        let value = self.state().get_property(&path)?;
        self.give(&value, ptr, size)
    }

    pub(crate) fn set_property(&self, path: u32, path_len: u32, value: u32, value_len: u32) -> Outcome {
        let (path, value) = (self.bytes(path, path_len)?, self.bytes(value, value_len)?);
        self.state().set_property(&path, &value)
    }

    pub(crate) fn get_configuration(&self, ptr: u32, size: u32) -> Outcome {
        let configuration = self.state().get_configuration().to_vec();
        self.give(&configuration, ptr, size)
    }

    pub(crate) fn get_status(&self, code: u32, ptr: u32, size: u32) -> Outcome {
        let (number, message) = {
            let state = self.state();
            let (number, message) = state.get_status();
            (number, message.to_vec())
        };
        self.put_u32(code, number)?;
        self.give(&message, ptr, size)
    }
}
