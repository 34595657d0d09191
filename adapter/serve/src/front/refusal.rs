//! What is answered to requests that never reach the component.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

use super::super::wire::Fault;

/// An answer in place of the component's, as Envoy gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// What came is no request that HTTP knows: the status' own words, and the connection ends.
    Codec(StatusCode),
    /// It is one, but this host does not take it: an empty answer, and the connection ends.
    Manager(StatusCode),
    /// There is no route for it: an empty answer, and the connection goes on.
    NoRoute,
    /// Nothing: the stream of HTTP/2 is reset.
    Stream,
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::TransferEncoding => Self::NOT_IMPLEMENTED,
            Fault::HeadTooLarge { .. } | Fault::TrailersTooLarge { .. } | Fault::TooManyFields => Self::TOO_LARGE,
            _ => Self::BAD_REQUEST,
        }
    }
}

impl Refusal {
    pub(super) const BAD_REQUEST: Self = Self::Codec(StatusCode::BAD_REQUEST);
    pub(super) const NOT_IMPLEMENTED: Self = Self::Codec(StatusCode::NOT_IMPLEMENTED);
    pub(super) const UPGRADE_REQUIRED: Self = Self::Codec(StatusCode::UPGRADE_REQUIRED);
    pub(super) const TOO_LARGE: Self = Self::Codec(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);

    /// Whether nothing after it on the connection is read.
    pub(super) fn ends_the_connection(self) -> bool {
        self != Self::NoRoute
    }

    /// What an access log has for it: Envoy's words and response flag, as far as they are known.
    pub(crate) fn in_the_log(self) -> (Option<&'static str>, u64) {
        const NO_ROUTE: (Option<&str>, u64) = (Some("route_not_found"), 1 << 8);
        const PROTOCOL_ERROR: u64 = 1 << 18;
        match self {
            Self::BAD_REQUEST => (Some("http1.codec_error"), PROTOCOL_ERROR),
            Self::UPGRADE_REQUIRED => (Some("low_version"), PROTOCOL_ERROR),
            Self::NOT_IMPLEMENTED => (Some("http1.invalid_transfer_encoding"), PROTOCOL_ERROR),
            Self::Codec(_) | Self::Stream => (None, PROTOCOL_ERROR),
            Self::NoRoute | Self::Manager(StatusCode::NOT_FOUND) => NO_ROUTE,
            Self::Manager(_) => (None, 0),
        }
    }

    /// The answer, if there is one. Over HTTP/2 a stream ends by itself, and has no `connection` header.
    pub(crate) fn response(self, multiplexed: bool) -> Option<Response<Full<Bytes>>> {
        let (status, body) = match self {
            Self::Codec(status) => (status, status.canonical_reason().unwrap_or_default()),
            Self::Manager(status) => (status, ""),
            Self::NoRoute => (StatusCode::NOT_FOUND, ""),
            Self::Stream => return None,
        };
        let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        if !body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        }
        if self.ends_the_connection() && !multiplexed {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Some(response)
    }
}
