//! What a failed upstream means.

use proxy_wasm_semantics::UpstreamFailure;

use crate::bindings::wasi::http::types::ErrorCode;

/// Envoy's name for the error of a host.
pub(crate) fn upstream_failure(code: &ErrorCode) -> UpstreamFailure {
    use ErrorCode as E;
    match code {
        E::ConnectionTerminated | E::HttpResponseIncomplete | E::InternalError(_) => {
            UpstreamFailure::ConnectionTerminated
        }
        E::ConnectionReadTimeout | E::ConnectionWriteTimeout | E::HttpResponseTimeout => UpstreamFailure::Timeout,
        E::HttpProtocolError
        | E::HttpResponseHeaderSectionSize(_)
        | E::HttpResponseHeaderSize(_)
        | E::HttpResponseBodySize(_)
        | E::HttpResponseTrailerSectionSize(_)
        | E::HttpResponseTrailerSize(_)
        | E::HttpResponseTransferCoding(_)
        | E::HttpResponseContentCoding(_)
        | E::HttpUpgradeFailed => UpstreamFailure::ProtocolError,
        _ => UpstreamFailure::ConnectionFailed,
    }
}

/// What to tell the operator where Envoy's name for it says too little.
pub(crate) fn refusal(code: &ErrorCode) -> Option<&'static str> {
    match code {
        ErrorCode::HttpRequestDenied => Some("the host does not allow requests there"),
        ErrorCode::DnsError(_) | ErrorCode::DnsTimeout => Some("its name can't be resolved"),
        ErrorCode::TlsProtocolError | ErrorCode::TlsCertificateError | ErrorCode::TlsAlertReceived(_) => {
            Some("no TLS connection can be made")
        }
        ErrorCode::HttpRequestUriInvalid | ErrorCode::HttpRequestMethodInvalid => {
            Some("the host refuses the request's method or path")
        }
        _ => None,
    }
}
