//! Responses of the host's own, as Envoy's local replies without a body.

use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use proxy_wasm_abi::grpc;

use super::exchange::{AnswerBody, nothing};

/// How a request is answered by the host itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// By the status.
    Http,
    /// By 200 and the gRPC status that stands for it: what a gRPC client understands.
    Grpc,
}

impl Reply {
    /// The one for a request of this head.
    pub(super) fn to(request: &HeaderMap) -> Self {
        let is_grpc = request.get(CONTENT_TYPE).is_some_and(|value| grpc::is_grpc(value.as_bytes()));
        if is_grpc { Self::Grpc } else { Self::Http }
    }

    /// The response that means this status. A head is all of it: over HTTP/1 hyper says that its length is 0.
    pub(super) fn with(self, status: StatusCode) -> Response<AnswerBody> {
        const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
        let mut response = Response::new(nothing(None));
        match self {
            Self::Http => *response.status_mut() = status,
            Self::Grpc => {
                let headers = response.headers_mut();
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(grpc::CONTENT_TYPE));
                headers.insert(GRPC_STATUS, grpc::status_of_http(status.as_u16().into()).into());
            }
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_answered_in_its_own_way() {
        let typed = |value| HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]);
        for (request, reply) in [
            (typed("application/grpc+proto"), Reply::Grpc),
            (typed("text/plain"), Reply::Http),
            (HeaderMap::new(), Reply::Http),
        ] {
            assert_eq!(Reply::to(&request), reply);
        }
        let response = Reply::Grpc.with(StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!((response.status(), &response.headers()["grpc-status"]), (StatusCode::OK, &HeaderValue::from(14)));
        assert_eq!(Reply::Http.with(StatusCode::LOOP_DETECTED).status(), StatusCode::LOOP_DETECTED);
    }
}
