//! The words for methods, schemes and failures. Every edge has types of its own for them, with the same variants, which are
//! those of `wasi:http`: so the tables stand here, as macros over these types.

/// Defines `method` and `method_name`, from a name to an edge's `Method` and back, and `scheme` and `scheme_name`.
#[macro_export]
macro_rules! names {
    ($Method:ident, $Scheme:ident) => {
        $crate::names! {
            $Method, $Scheme,
            Get "GET", Head "HEAD", Post "POST", Put "PUT", Delete "DELETE", Connect "CONNECT", Options "OPTIONS",
            Trace "TRACE", Patch "PATCH",
        }
    };
    ($Method:ident, $Scheme:ident, $($variant:ident $name:literal,)*) => {
        pub(crate) fn method(name: String) -> $Method {
            match name.as_str() {
                $($name => $Method::$variant,)*
                _ => $Method::Other(name),
            }
        }

        pub(crate) fn method_name(method: $Method) -> String {
            match method {
                $($Method::$variant => $name.into(),)*
                $Method::Other(name) => name,
            }
        }

        pub(crate) fn scheme(tls: bool) -> $Scheme {
            if tls { $Scheme::Https } else { $Scheme::Http }
        }

        pub(crate) fn scheme_name(scheme: $Scheme) -> String {
            match scheme {
                $Scheme::Http => "http".into(),
                $Scheme::Https => "https".into(),
                $Scheme::Other(name) => name,
            }
        }
    };
}

/// Defines `failed`: what an edge's `ErrorCode` of a request that was sent means. That is Envoy's name for it, and the cause
/// that the log adds to the name.
#[macro_export]
macro_rules! failures {
    ($ErrorCode:ident) => {
        pub(crate) fn failed(code: &$ErrorCode) -> $crate::Input {
            use $ErrorCode as E;
            use $crate::UpstreamFailure as F;
            let (failure, cause) = match code {
                E::ConnectionTerminated | E::HttpResponseIncomplete | E::InternalError(_) => {
                    (F::ConnectionTerminated, None)
                }
                E::ConnectionReadTimeout | E::ConnectionWriteTimeout | E::HttpResponseTimeout => (F::Timeout, None),
                E::HttpProtocolError => (F::ProtocolError, Some("what it answers is no valid HTTP")),
                E::HttpResponseHeaderSectionSize(_) | E::HttpResponseHeaderSize(_) => {
                    (F::ProtocolError, Some("its head is too large"))
                }
                E::HttpResponseBodySize(_)
                | E::HttpResponseTrailerSectionSize(_)
                | E::HttpResponseTrailerSize(_)
                | E::HttpResponseTransferCoding(_)
                | E::HttpResponseContentCoding(_)
                | E::HttpUpgradeFailed => (F::ProtocolError, None),
                E::HttpRequestDenied => (F::ConnectionFailed, Some("the host does not allow requests there")),
                E::DnsError(_) | E::DnsTimeout => (F::ConnectionFailed, Some("its name can't be resolved")),
                E::TlsProtocolError | E::TlsCertificateError | E::TlsAlertReceived(_) => {
                    (F::ConnectionFailed, Some("no TLS connection can be made"))
                }
                E::HttpRequestUriInvalid | E::HttpRequestMethodInvalid => {
                    (F::ConnectionFailed, Some("the host refuses the request's method or path"))
                }
                E::ConnectionRefused => (F::ConnectionFailed, Some("the connection is refused")),
                E::ConnectionTimeout => (F::ConnectionFailed, Some("there is no connection in time")),
                E::DestinationNotFound | E::DestinationUnavailable | E::DestinationIpUnroutable => {
                    (F::ConnectionFailed, Some("nothing can be reached there"))
                }
                E::LoopDetected => (F::ConnectionFailed, Some("it leads back to this host too often")),
                _ => (F::ConnectionFailed, None),
            };
            $crate::Input::Failed(failure, cause.map(Into::into))
        }
    };
}
