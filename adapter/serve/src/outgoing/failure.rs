//! What went wrong with an upstream: for the log in full, for the component in the words of `wasi:http`.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use h2::Reason;
use tokio_rustls::rustls;
use wasmtime_wasi_http::Error;

use super::answer::BadAnswer;

/// Why a request got no answer. Several requests that wait for one connection fail alike.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The host's name leads to no address.
    #[error("its name cannot be resolved: {0}")]
    Name(Arc<io::Error>),
    /// No address answers.
    #[error("cannot connect: {0}")]
    Tcp(Arc<io::Error>),
    /// The TLS handshake failed.
    #[error("cannot set up TLS: {0}")]
    Tls(Arc<io::Error>),
    /// The handshake of HTTP/2 failed.
    #[error("cannot set up HTTP/2: {0}")]
    Http2(String),
    /// There was no connection in time.
    #[error("no connection within {0:?}")]
    ConnectTimeout(Duration),
    /// The answer did not begin in time.
    #[error("no answer within {0:?}")]
    AnswerTimeout(Duration),
    /// The answer is refused.
    #[error("its answer is refused: {0}")]
    Answer(BadAnswer),
    /// The answer is none, or the request cannot be sent.
    #[error("protocol error: {0}")]
    Protocol(String),
    /// The request's `host` is none that HTTP/2 has a place for.
    #[error("the request's `:authority` is no host with a port, and HTTP/2 takes no other")]
    Authority,
    /// The upstream reset the request's stream of HTTP/2.
    #[error("it reset the stream: {0}")]
    Reset(Reason),
    /// The connection broke.
    #[error("the connection ended before its answer: {0}")]
    Lost(String),
}

impl Failure {
    /// What the component is told.
    pub(super) fn to_wasi(&self) -> Error {
        match self {
            Self::Name(error) => Error::DnsError { rcode: Some(error.to_string()), info_code: None },
            Self::Tcp(error) => of_tcp(error),
            Self::Tls(error) => of_tls(error),
            Self::ConnectTimeout(_) => Error::ConnectionTimeout,
            Self::AnswerTimeout(_) => Error::ConnectionReadTimeout,
            Self::Authority => Error::HttpRequestUriInvalid,
            Self::Http2(_) | Self::Answer(_) | Self::Protocol(_) => Error::HttpProtocolError,
            Self::Reset(_) | Self::Lost(_) => Error::ConnectionTerminated,
        }
    }

    /// An answer that did not come.
    pub(super) fn of_request(error: &hyper::Error) -> Self {
        if let Some(bad) = find::<BadAnswer>(error) {
            Self::Answer(*bad)
        } else if let Some(reason) = remote_reset(error) {
            Self::Reset(reason)
        } else if error.is_parse() || error.is_user() || breaks_http2(error) {
            Self::Protocol(story(error))
        } else {
            Self::Lost(story(error))
        }
    }
}

/// Why the upstream reset the stream of HTTP/2, if that is what happened.
fn remote_reset(error: &hyper::Error) -> Option<Reason> {
    find::<h2::Error>(error).filter(|error| error.is_remote() && error.is_reset())?.reason()
}

/// Whether what came breaks the rules of HTTP/2.
fn breaks_http2(error: &hyper::Error) -> bool {
    find::<h2::Error>(error).is_some_and(h2::Error::is_library)
}

/// A body that broke off: what to tell the user, and the component.
pub(super) fn of_body(error: &hyper::Error) -> (String, Error) {
    match find::<BadAnswer>(error) {
        Some(bad) => (format!("its answer is refused: {bad}"), Error::HttpProtocolError),
        None if error.is_parse() || breaks_http2(error) => {
            (format!("protocol error: {}", story(error)), Error::HttpProtocolError)
        }
        None => (format!("its answer is cut short: {}", story(error)), Error::HttpResponseIncomplete),
    }
}

/// An error with all its causes.
pub(super) fn story(error: &(dyn StdError + 'static)) -> String {
    let mut story = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Some repeat their cause.
        if !story.ends_with(&text) {
            let _ = write!(story, ": {text}");
        }
        cause = error.source();
    }
    story
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
        // The error in an `io::Error` is not its source, but the source's source.
        cause = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
