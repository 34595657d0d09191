//! gRPC callouts.

use proxy_wasm_semantics::{GrpcTarget, Guest};

use crate::caller::{Caller, Memory, Outcome};

impl<G: Guest + Memory> Caller<'_, G> {
    pub(crate) fn grpc_call(&self, target: [[u32; 2]; 4], request: [u32; 2], timeout_ms: u32, token: u32) -> Outcome {
        let [service, name, method, metadata] = target.map(|[at, len]| self.bytes(at, len));
        let request = self.bytes(request[0], request[1])?;
        let target = GrpcTarget { service: &service?, name: &name?, method: &method?, metadata: &metadata? };
        let called = self.state().grpc_call(target, &request, timeout_ms)?;
        self.put_u32(token, called)
    }

    pub(crate) fn grpc_stream(&self, target: [[u32; 2]; 4], token: u32) -> Outcome {
        let [service, name, method, metadata] = target.map(|[at, len]| self.bytes(at, len));
        let target = GrpcTarget { service: &service?, name: &name?, method: &method?, metadata: &metadata? };
        let opened = self.state().grpc_stream(target)?;
        self.put_u32(token, opened)
    }

    pub(crate) fn grpc_send(&self, token: u32, message: [u32; 2], end: u32) -> Outcome {
        let message = self.bytes(message[0], message[1])?;
        self.state().grpc_send(token, &message, end != 0)
    }
}
