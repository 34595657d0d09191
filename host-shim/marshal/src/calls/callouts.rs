//! Callouts.

use proxy_wasm_semantics::Guest;

use crate::caller::{Caller, Memory, Outcome};

impl<G: Guest + Memory> Caller<'_, G> {
    pub(crate) fn http_call(
        &self,
        cluster: [u32; 2],
        headers: [u32; 2],
        body: [u32; 2],
        trailers: [u32; 2],
        timeout_ms: u32,
        token: u32,
    ) -> Outcome {
        let [cluster, headers, body, trailers] =
            [cluster, headers, body, trailers].map(|[at, len]| self.bytes(at, len));
        let (cluster, headers, body, trailers) = (cluster?, headers?, body?, trailers?);
        // If the call is refused, the token is 0; if the token can't be written, no call is made.
        self.put_u32(token, 0)?;
        let called = self.state().http_call(&cluster, &headers, body, &trailers, timeout_ms)?;
        self.put_u32(token, called)
    }
}
