//! What is answered to requests that never reach the component.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

use super::super::wire::Fault;

/// An answer in place of the component's, as Envoy gives it, with Envoy's word for the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// What came is no request that HTTP knows: the status' own words, and the connection ends.
    Codec(StatusCode, &'static str),
    /// It is one, but this host does not take it: an empty answer, and the connection ends.
    Manager(StatusCode, &'static str),
    /// Its target is no path: 404, and the connection goes on.
    NoPath,
    /// Nothing: the stream of HTTP/2 is reset.
    Stream,
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::TransferEncoding => Self::NOT_IMPLEMENTED,
            Fault::HeadTooLarge { .. } | Fault::TrailersTooLarge { .. } => Self::TOO_LARGE,
            Fault::TooManyFields => Self::TOO_MANY,
            Fault::FieldValue => Self::INVALID_CHARACTERS,
            Fault::TwoLengths => Self::codec("http1.content_length_and_chunked_not_allowed"),
            _ => Self::BAD_REQUEST,
        }
    }
}

impl Refusal {
    pub(super) const BAD_REQUEST: Self = Self::codec("http1.codec_error");
    pub(super) const BODY_DISALLOWED: Self = Self::codec("http1.body_disallowed");
    pub(super) const CONNECTION_REJECTED: Self = Self::codec("http1.connection_header_rejected");
    pub(super) const INVALID_AUTHORITY: Self = Self::codec("http.invalid_authority");
    pub(super) const INVALID_CHARACTERS: Self = Self::codec("http1.invalid_characters");
    pub(super) const INVALID_SCHEME: Self = Self::codec("http1.invalid_scheme");
    pub(super) const INVALID_URL: Self = Self::codec("http1.invalid_url");
    pub(super) const NOT_IMPLEMENTED: Self =
        Self::Codec(StatusCode::NOT_IMPLEMENTED, "http1.invalid_transfer_encoding");
    pub(super) const UPGRADE_REQUIRED: Self = Self::Codec(StatusCode::UPGRADE_REQUIRED, "low_version");
    pub(super) const TOO_LARGE: Self =
        Self::Codec(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "http1.headers_too_large");
    pub(super) const TOO_MANY: Self =
        Self::Codec(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "http1.too_many_headers");

    pub(super) const CONNECT: Self = Self::Manager(StatusCode::NOT_FOUND, "route_not_found");
    pub(super) const FRAGMENT: Self = Self::Manager(StatusCode::BAD_REQUEST, "path_normalization_failed");
    pub(super) const MISSING_HOST: Self = Self::Manager(StatusCode::BAD_REQUEST, "missing_host_header");
    pub(super) const QUERY: Self = Self::Manager(StatusCode::BAD_REQUEST, "query_missing_content_type");
    pub(super) const UPGRADE: Self = Self::Manager(StatusCode::FORBIDDEN, "upgrade_failed");

    const fn codec(details: &'static str) -> Self {
        Self::Codec(StatusCode::BAD_REQUEST, details)
    }

    /// Whether nothing after it on the connection is read.
    pub(super) fn ends_the_connection(self) -> bool {
        self != Self::NoPath
    }

    /// Whether nothing is known of the request's head.
    pub(crate) fn hides_the_head(self) -> bool {
        matches!(self, Self::Codec(..) | Self::Stream)
    }

    /// What an access log has for it: Envoy's words and response flag, as far as they are known.
    pub(crate) fn in_the_log(self) -> (Option<&'static str>, u64) {
        const NO_ROUTE_FOUND: u64 = 1 << 8;
        const PROTOCOL_ERROR: u64 = 1 << 18;
        match self {
            Self::Codec(_, details) => (Some(details), PROTOCOL_ERROR),
            Self::Manager(StatusCode::NOT_FOUND, details) => (Some(details), NO_ROUTE_FOUND),
            Self::Manager(_, details) => (Some(details), 0),
            Self::NoPath => (Some("absolute_path_rejected"), 0),
            Self::Stream => (None, PROTOCOL_ERROR),
        }
    }

    /// The answer, if there is one. Over HTTP/2 a stream ends by itself, and has no `connection` header.
    pub(crate) fn response(self, multiplexed: bool) -> Option<Response<Full<Bytes>>> {
        let (status, body) = match self {
            Self::Codec(status, _) => (status, status.canonical_reason().unwrap_or_default()),
            Self::Manager(status, _) => (status, ""),
            Self::NoPath => (StatusCode::NOT_FOUND, ""),
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
