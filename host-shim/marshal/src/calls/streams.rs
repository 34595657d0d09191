//! Continuing, closing and answering streams.

use proxy_wasm_semantics::Guest;

use crate::caller::{Caller, Memory, Outcome};

impl<G: Guest + Memory> Caller<'_, G> {
    pub(crate) fn continue_stream(&self, stream: u32) -> Outcome {
        self.state().continue_stream(stream)
    }

    pub(crate) fn close_stream(&self, stream: u32) -> Outcome {
        self.state().close_stream(stream)
    }

    pub(crate) fn send_local_response(
        &self,
        status: u32,
        details: [u32; 2],
        body: [u32; 2],
        headers: [u32; 2],
        grpc_status: u32,
    ) -> Outcome {
        let [details, body, headers] = [details, body, headers].map(|[at, len]| self.bytes(at, len));
        self.state().send_local_response(status, &details?, &body?, &headers?, grpc_status)
    }
}
