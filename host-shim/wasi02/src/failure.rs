//! The meaning of a failed upstream.

use proxy_wasm_driver::Input;
use proxy_wasm_semantics::UpstreamFailure;

use crate::bindings::wasi::http::types::ErrorCode;

/// A response that can't be had.
pub(crate) fn input(code: &ErrorCode) -> Input {
    Input::Failed(upstream_failure(code), cause(code))
}

/// Envoy's name for the error of a host.
fn upstream_failure(code: &ErrorCode) -> UpstreamFailure {
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

/// The cause that the log adds to Envoy's name for the failure.
fn cause(code: &ErrorCode) -> Option<&'static str> {
    use ErrorCode as E;
    match code {
        E::HttpRequestDenied => Some("the host does not allow requests there"),
        E::DnsError(_) | E::DnsTimeout => Some("its name can't be resolved"),
        E::TlsProtocolError | E::TlsCertificateError | E::TlsAlertReceived(_) => Some("no TLS connection can be made"),
        E::HttpRequestUriInvalid | E::HttpRequestMethodInvalid => Some("the host refuses the request's method or path"),
        E::ConnectionRefused => Some("the connection is refused"),
        E::ConnectionTimeout => Some("there is no connection in time"),
        E::DestinationNotFound | E::DestinationUnavailable | E::DestinationIpUnroutable => {
            Some("nothing can be reached there")
        }
        E::HttpProtocolError => Some("what it answers is no valid HTTP"),
        E::HttpResponseHeaderSectionSize(_) | E::HttpResponseHeaderSize(_) => Some("its head is too large"),
        E::LoopDetected => Some("it leads back to this host too often"),
        _ => None,
    }
}
