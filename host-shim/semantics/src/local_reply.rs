//! Responses that the proxy makes itself: for the filter, or because something failed.

use proxy_wasm_abi::grpc;

use crate::{
    headers::{HeaderMap, Kind},
    stream::Direction,
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
    /// A reply with this body, and these details for the log.
    pub(crate) fn new(status: u32, body: impl AsRef<[u8]>, details: &str) -> Self {
        Self::of_bytes(status, body.as_ref(), details)
    }

    // Not inlined: replies are made in many places, each of them seldom.
    #[inline(never)]
    fn of_bytes(status: u32, body: &[u8], details: &str) -> Self {
        Self { status, body: body.into(), details: details.into(), ..Self::default() }
    }

    /// The answer to a body that is larger than what may be held.
    pub(crate) fn too_large(direction: Direction) -> Self {
        let (status, body, details) = match direction {
            Direction::Request => (413, "Payload Too Large", "request_payload_too_large"),
            Direction::Response => (500, "Internal Server Error", "response_payload_too_large"),
        };
        Self::new(status, body, details)
    }

    pub(crate) fn head(&self, is_grpc: bool, is_head: bool) -> HeaderMap {
        // Of a body it says two things.
        let mut headers = HeaderMap::with_room(Kind::Response, self.headers.len() + 3);
        headers.add(b":status", self.status.to_string());
        for (name, value) in &self.headers {
            // The status above replaces it.
            if name.as_slice() != b":status" {
                headers.add(name, value);
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

/// The head of the answer where no chain runs: 503, or its equivalent in gRPC.
pub(crate) fn unavailable(is_grpc: bool) -> HeaderMap {
    LocalReply { status: 503, ..LocalReply::default() }.head(is_grpc, false)
}

/// Percent-encoding of a gRPC message: printable ASCII but `%` and `~` stays. Source: Envoy's
/// `Http::Utility::PercentEncoding::encode`.
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
