//! What went wrong with an upstream, in the words of `wasi:http`.

use std::error::Error as StdError;
use std::io;

use hyper_util::client::legacy;
use tokio_rustls::rustls;
use wasmtime_wasi_http::Error;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectFailure {
    /// The host's name leads to no address.
    #[error("cannot resolve the name: {0}")]
    Name(#[source] io::Error),
    /// No address answers.
    #[error("cannot connect: {0}")]
    Tcp(#[source] io::Error),
    /// The TLS handshake failed.
    #[error("cannot set up TLS: {0}")]
    Tls(#[source] io::Error),
}

impl ConnectFailure {
    fn to_wasi(&self) -> Error {
        match self {
            Self::Name(error) => Error::DnsError { rcode: Some(error.to_string()), info_code: None },
            Self::Tcp(error) => of_tcp(error),
            Self::Tls(error) => of_tls(error),
        }
    }
}

/// A request that got no response.
pub(super) fn of_request(error: &legacy::Error) -> Error {
    if let Some(failure) = find::<ConnectFailure>(error) {
        tracing::warn!("{failure}");
        return failure.to_wasi();
    }
    if error.is_connect() {
        // The handshake of HTTP/2 failed.
        return Error::HttpProtocolError;
    }
    match find::<hyper::Error>(error) {
        Some(error) => of_hyper(error, Error::ConnectionTerminated),
        None => Error::InternalError(Some(error.to_string())),
    }
}

/// A response that broke off.
pub(super) fn of_response(error: &hyper::Error) -> Error {
    of_hyper(error, Error::HttpResponseIncomplete)
}

/// `broken` is what a broken connection means at this point.
fn of_hyper(error: &hyper::Error, broken: Error) -> Error {
    if error.is_timeout() {
        Error::ConnectionReadTimeout
    } else if error.is_parse_too_large() {
        Error::HttpResponseHeaderSectionSize(None)
    } else if error.is_parse() || error.is_user() {
        Error::HttpProtocolError
    } else {
        broken
    }
}

fn of_tcp(error: &io::Error) -> Error {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable, TimedOut};
    match error.kind() {
        ConnectionRefused => Error::ConnectionRefused,
        TimedOut => Error::ConnectionTimeout,
        HostUnreachable | NetworkUnreachable => Error::DestinationIpUnroutable,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Error::ConnectionTerminated,
        _ => Error::DestinationUnavailable,
    }
}

fn of_tls(error: &io::Error) -> Error {
    match error.get_ref().and_then(|source| source.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            Error::TlsCertificateError
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            Error::TlsAlertReceived { alert_id: Some(u8::from(*alert)), alert_message: Some(format!("{alert:?}")) }
        }
        Some(_) => Error::TlsProtocolError,
        None => Error::ConnectionTerminated,
    }
}

/// The first error of a type in a chain of causes.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}
