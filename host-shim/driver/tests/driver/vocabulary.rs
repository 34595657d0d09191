//! The words of an edge, here of one whose types are as those that are made from the WIT.

use proxy_wasm_driver::{Input, UpstreamFailure as F};

#[derive(Debug, PartialEq)]
pub(crate) enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
    Other(String),
}

#[derive(Debug, PartialEq)]
pub(crate) enum Scheme {
    Http,
    Https,
    Other(String),
}

pub(crate) enum ErrorCode {
    DnsTimeout,
    DnsError(()),
    DestinationNotFound,
    DestinationUnavailable,
    DestinationIpProhibited,
    DestinationIpUnroutable,
    ConnectionRefused,
    ConnectionTerminated,
    ConnectionTimeout,
    ConnectionReadTimeout,
    ConnectionWriteTimeout,
    TlsProtocolError,
    TlsCertificateError,
    TlsAlertReceived(()),
    HttpRequestDenied,
    HttpRequestMethodInvalid,
    HttpRequestUriInvalid,
    HttpResponseIncomplete,
    HttpResponseHeaderSectionSize(()),
    HttpResponseHeaderSize(()),
    HttpResponseBodySize(()),
    HttpResponseTrailerSectionSize(()),
    HttpResponseTrailerSize(()),
    HttpResponseTransferCoding(()),
    HttpResponseContentCoding(()),
    HttpResponseTimeout,
    HttpUpgradeFailed,
    HttpProtocolError,
    LoopDetected,
    InternalError(()),
}

proxy_wasm_driver::names!(Method, Scheme);
proxy_wasm_driver::failures!(ErrorCode);

#[test]
fn methods_and_schemes_have_the_same_names_both_ways() {
    for (name, word) in [
        ("GET", Method::Get),
        ("HEAD", Method::Head),
        ("POST", Method::Post),
        ("PUT", Method::Put),
        ("DELETE", Method::Delete),
        ("CONNECT", Method::Connect),
        ("OPTIONS", Method::Options),
        ("TRACE", Method::Trace),
        ("PATCH", Method::Patch),
        ("get", Method::Other("get".into())),
        ("", Method::Other(String::new())),
    ] {
        assert_eq!(method(name.into()), word);
        assert_eq!(method_name(word), name);
    }
    assert_eq!([scheme(false), scheme(true)], [Scheme::Http, Scheme::Https]);
    let names = [Scheme::Http, Scheme::Https, Scheme::Other("x".into())].map(scheme_name);
    assert_eq!(names, ["http", "https", "x"]);
}

#[test]
fn a_failure_has_envoys_name_and_a_cause_where_the_name_does_not_tell() {
    use ErrorCode as E;
    let resolved = Some("its name can't be resolved");
    let tls = Some("no TLS connection can be made");
    let invalid = Some("the host refuses the request's method or path");
    let nothing = Some("nothing can be reached there");
    let large = Some("its head is too large");
    for (code, failure, cause) in [
        (E::ConnectionTerminated, F::ConnectionTerminated, None),
        (E::HttpResponseIncomplete, F::ConnectionTerminated, None),
        (E::InternalError(()), F::ConnectionTerminated, None),
        (E::ConnectionReadTimeout, F::Timeout, None),
        (E::ConnectionWriteTimeout, F::Timeout, None),
        (E::HttpResponseTimeout, F::Timeout, None),
        (E::HttpProtocolError, F::ProtocolError, Some("what it answers is no valid HTTP")),
        (E::HttpResponseHeaderSectionSize(()), F::ProtocolError, large),
        (E::HttpResponseHeaderSize(()), F::ProtocolError, large),
        (E::HttpResponseBodySize(()), F::ProtocolError, None),
        (E::HttpResponseTrailerSectionSize(()), F::ProtocolError, None),
        (E::HttpResponseTrailerSize(()), F::ProtocolError, None),
        (E::HttpResponseTransferCoding(()), F::ProtocolError, None),
        (E::HttpResponseContentCoding(()), F::ProtocolError, None),
        (E::HttpUpgradeFailed, F::ProtocolError, None),
        (E::HttpRequestDenied, F::ConnectionFailed, Some("the host does not allow requests there")),
        (E::DnsError(()), F::ConnectionFailed, resolved),
        (E::DnsTimeout, F::ConnectionFailed, resolved),
        (E::TlsProtocolError, F::ConnectionFailed, tls),
        (E::TlsCertificateError, F::ConnectionFailed, tls),
        (E::TlsAlertReceived(()), F::ConnectionFailed, tls),
        (E::HttpRequestUriInvalid, F::ConnectionFailed, invalid),
        (E::HttpRequestMethodInvalid, F::ConnectionFailed, invalid),
        (E::ConnectionRefused, F::ConnectionFailed, Some("the connection is refused")),
        (E::ConnectionTimeout, F::ConnectionFailed, Some("there is no connection in time")),
        (E::DestinationNotFound, F::ConnectionFailed, nothing),
        (E::DestinationUnavailable, F::ConnectionFailed, nothing),
        (E::DestinationIpUnroutable, F::ConnectionFailed, nothing),
        (E::LoopDetected, F::ConnectionFailed, Some("it leads back to this host too often")),
        (E::DestinationIpProhibited, F::ConnectionFailed, None),
    ] {
        let Input::Failed(told, why) = failed(&code) else { panic!("a failure") };
        assert_eq!((told, why.as_deref()), (failure, cause));
    }
}
