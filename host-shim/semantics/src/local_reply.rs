//! Responses that the proxy makes itself: for the filter, or because something failed.

use proxy_wasm_abi::grpc;

use crate::{
    chain::Chain,
    environment::Guest,
    headers::{HeaderMap, Kind},
    router,
    stream::{Direction, Effect, ResetReason},
};

/// A response of the proxy's own.
#[derive(Debug, Default)]
pub(crate) struct LocalReply {
    pub(crate) status: u32,
    pub(crate) body: Vec<u8>,
    /// Added to the response's head in turn.
    pub(crate) headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The gRPC status, where the filter gave one.
    pub(crate) grpc_status: Option<u32>,
    pub(crate) details: String,
    /// Envoy's response flags.
    pub(crate) flags: u64,
}

impl LocalReply {
    /// The answer to a body that is larger than what may be held.
    pub(crate) fn too_large(direction: Direction) -> Self {
        let (status, body, details) = match direction {
            Direction::Request => (413, "Payload Too Large", "request_payload_too_large"),
            Direction::Response => (500, "Internal Server Error", "response_payload_too_large"),
        };
        Self { status, body: body.into(), details: details.into(), ..Self::default() }
    }

    pub(crate) fn head(&self, is_grpc: bool, is_head: bool) -> HeaderMap {
        let mut headers = HeaderMap::new(Kind::Response);
        headers.add(b":status", self.status.to_string());
        for (name, value) in &self.headers {
            // Only the status above counts.
            if name.as_slice() != b":status" {
                headers.add(name, value.clone());
            }
        }
        if is_grpc {
            headers.set(b":status", "200");
            headers.set(b"content-type", grpc::CONTENT_TYPE);
            if !headers.contains(b"grpc-status") {
                let status = self.grpc_status.unwrap_or_else(|| grpc::status_of_http(self.status));
                headers.add(b"grpc-status", status.to_string());
            }
            if !self.body.is_empty() && !is_head {
                headers.set(b"grpc-message", percent_encode(&self.body));
            }
            headers.remove(b"content-length");
        } else if self.body.is_empty() {
            headers.remove(b"content-length");
            headers.remove(b"content-type");
        } else {
            headers.set(b"content-length", self.body.len().to_string());
            if !headers.contains(b"content-type") {
                headers.add(b"content-type", "text/plain");
            }
        }
        headers
    }
}

/// The head of the answer where there is no chain to ask: 503, or what stands for it in gRPC.
pub fn unavailable(is_grpc: bool) -> HeaderMap {
    LocalReply { status: 503, ..LocalReply::default() }.head(is_grpc, false)
}

impl<G: Guest> Chain<G> {
    /// Answers in the upstream's place: through the filter's response callbacks where the response has not begun, past
    /// them where it has, and by breaking the exchange off where its head is already on the way.
    pub(crate) fn local_reply(&self, id: u32, mut reply: LocalReply) {
        let (headers, end) = {
            let mut state = self.state.borrow_mut();
            let Some(stream) = state.streams.get_mut(id) else { return };
            if stream.response_ended || stream.destroyed {
                return;
            }
            stream.local_reply = true;
            stream.facts.response_flags |= reply.flags;
            stream.facts.response_code_details = Some(reply.details.clone());
            if stream.response_started {
                stream.reset(ResetReason::LocalReplyTooLate);
                return;
            }
            let mut headers = reply.head(stream.facts.is_grpc, stream.facts.is_head);
            if let Err(refusal) = router::check_size(&headers) {
                // No host takes what the filter asked for.
                reply = refusal;
                headers = reply.head(stream.facts.is_grpc, stream.facts.is_head);
            }
            // What a gRPC client gets is 200: this is what it stands for.
            stream.facts.response_code = u16::try_from(reply.status).ok();
            let end = reply.body.is_empty() || stream.facts.is_head || stream.facts.is_grpc;
            if stream.response.headers.is_some() {
                stream.response.headers = Some(headers.clone());
                stream.response_started = true;
                stream.response_ended = true;
                stream.effects.push_back(Effect::Headers { direction: Direction::Response, headers, end });
                if !end {
                    stream.response.body_bytes += reply.body.len() as u64;
                    let (direction, bytes) = (Direction::Response, reply.body);
                    stream.effects.push_back(Effect::Data { direction, bytes, end: true, changed: false });
                }
                return;
            }
            (headers, end)
        };
        self.receive_headers(id, Direction::Response, headers, end);
        if !end {
            self.receive_data(id, Direction::Response, reply.body, true);
        }
    }
}

/// Percent-encoding of a gRPC message: printable ASCII but `%` and `~` stays. Source: Envoy.
fn percent_encode(bytes: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(bytes.len());
    for &byte in bytes {
        if (b' '..b'~').contains(&byte) && byte != b'%' {
            encoded.push(byte);
        } else {
            encoded.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_messages_are_percent_encoded() {
        assert_eq!(percent_encode("a b%ü~\n".as_bytes()), b"a b%25%C3%BC%7E%0A");
    }

    #[test]
    fn what_is_unavailable_says_so_in_grpc() {
        assert_eq!(unavailable(false), HeaderMap::from_pairs(Kind::Response, [(":status", "503")]));
        let grpc = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "14")];
        assert_eq!(unavailable(true), HeaderMap::from_pairs(Kind::Response, grpc));
    }

    #[test]
    fn an_empty_body_has_no_content_headers() {
        let reply =
            LocalReply { status: 204, headers: vec![(b"content-type".into(), b"a/b".into())], ..LocalReply::default() };
        assert_eq!(reply.head(false, false).iter().count(), 1);
    }
}
