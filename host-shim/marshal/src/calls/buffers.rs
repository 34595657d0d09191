//! Body and configuration buffers.

use proxy_wasm_semantics::Guest;

use crate::caller::{Caller, Memory, Outcome};

impl<G: Guest + Memory> Caller<'_, G> {
    pub(crate) fn get_buffer_bytes(&self, buffer: u32, start: u32, len: u32, ptr: u32, size: u32) -> Outcome {
        let blob = self.state().get_buffer_bytes(buffer, start, len)?;
        self.give_blob(blob, ptr, size)
    }

    pub(crate) fn get_buffer_status(&self, buffer: u32, len: u32, flags: u32) -> Outcome {
        let bytes = self.state().get_buffer_status(buffer)?;
        self.put_u32(len, bytes)?;
        self.put_u32(flags, 0)
    }

    pub(crate) fn set_buffer_bytes(&self, buffer: u32, start: u32, len: u32, data: u32, data_len: u32) -> Outcome {
        // Envoy looks for the buffer first, then at the pointer.
        self.state().get_buffer_status(buffer)?;
        let data = self.bytes(data, data_len)?;
        self.state().set_buffer_bytes(buffer, start, len, &data)
    }
}
