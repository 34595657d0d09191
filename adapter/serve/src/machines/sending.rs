//! Requests that an instance sends: to its upstream and in callouts.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Body;
use proxy_wasm_adapter_embed::{Event, Failure, Origin, Peer, RawPath};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::Shop;
use super::pipe::{PipeBody, Writer, pipe};
use crate::fields;
use crate::http2;
use crate::outgoing::{AnswerBody, Sender};
use crate::target::RawTarget;

type Answered = Pin<Box<dyn Future<Output = Result<Response<AnswerBody>, Error>> + Send>>;

/// What comes of a request that was sent.
pub(super) enum Incoming {
    /// Its head.
    Head(Answered),
    /// Its body.
    Body(Pin<Box<AnswerBody>>),
    /// Nothing more.
    Over,
}

/// Sends a request; the writer is for its body.
pub(super) fn send(
    shop: &Arc<Shop>,
    sender: Sender,
    to: &Origin,
    head: Request<()>,
    end: bool,
    asks_for_http2: bool,
) -> (Option<Writer>, Incoming) {
    let (writer, body) = if end {
        (None, None)
    } else {
        let (writer, body) = pipe();
        (Some(writer), Some(body))
    };
    let Some(request) = request(to, head, body, asks_for_http2) else {
        return (None, Incoming::Head(Box::pin(std::future::ready(Err(Error::HttpRequestUriInvalid)))));
    };
    let sent = shop.recipe.client.send(request, RequestOptions::default(), sender);
    (writer, Incoming::Head(Box::pin(sent)))
}

fn request(to: &Origin, head: Request<()>, body: Option<PipeBody>, asks_for_http2: bool) -> Option<Request<WasiBody>> {
    let (mut head, ()) = head.into_parts();
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(if to.tls { Scheme::HTTPS } else { Scheme::HTTP });
    uri.authority = Some(Authority::try_from(to.authority.as_str()).ok()?);
    let path = || head.uri.path_and_query().cloned();
    uri.path_and_query = path().or_else(|| Some(PathAndQuery::from_static("/")));
    head.uri = Uri::from_parts(uri).ok()?;
    // It keeps the `host` that its filters left, as Envoy's does; by `wasi:http` a component says it (`crate::http2`).
    head.headers = fields::sendable(head.headers);
    if let Some(RawPath(path)) = head.extensions.remove() {
        head.extensions.insert(RawTarget(String::from_utf8_lossy(&path).into_owned()));
    }
    if asks_for_http2 {
        http2::ask(&mut head.headers);
    }
    let body = body.map_or_else(|| Empty::new().map_err(|never| match never {}).boxed_unsync(), BodyExt::boxed_unsync);
    Some(Request::from_parts(head, body))
}

impl Incoming {
    /// What came next; of a head, what came with it, too. `wants` says whether more of a body is wanted.
    pub(super) fn poll(&mut self, peer: Peer, wants: bool, context: &mut Context<'_>) -> Poll<Vec<Event>> {
        match self {
            Self::Head(answered) => match ready!(answered.as_mut().poll(context)) {
                Ok(response) => {
                    let (head, body) = response.into_parts();
                    let end = body.is_end_stream();
                    *self = if end { Self::Over } else { Self::Body(Box::pin(body.told())) };
                    let mut events = vec![Event::Head { peer, head: Response::from_parts(head, ()), end }];
                    if let Poll::Ready(more) = self.poll_body(peer, context) {
                        events.extend(more);
                    }
                    Poll::Ready(events)
                }
                Err(error) => {
                    *self = Self::Over;
                    Poll::Ready(vec![failure(peer, error)])
                }
            },
            Self::Body(_) if wants => self.poll_body(peer, context).map(|event| event.into_iter().collect()),
            Self::Body(_) | Self::Over => Poll::Pending,
        }
    }

    /// What is left of a body all of whose declared bytes came: its end, where it is there.
    pub(super) fn poll_rest(&mut self, peer: Peer, context: &mut Context<'_>) -> Option<Event> {
        match self {
            Self::Body(body) if body.size_hint().exact() == Some(0) => match self.poll_body(peer, context) {
                Poll::Ready(event) => event,
                Poll::Pending => None,
            },
            _ => None,
        }
    }

    fn poll_body(&mut self, peer: Peer, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let Self::Body(body) = self else { return Poll::Pending };
        let part = ready!(poll_part(body, context));
        if !matches!(part, Part::Bytes(_, false)) {
            *self = Self::Over;
        }
        Poll::Ready(Some(part.event(peer)))
    }
}

/// A part of a body.
pub(super) enum Part {
    /// Bytes, and whether the end came with them.
    Bytes(Bytes, bool),
    /// Its end.
    End(Option<HeaderMap>),
    /// It breaks off.
    Broken,
}

impl Part {
    /// What the instance is told.
    pub(super) fn event(self, peer: Peer) -> Event {
        match self {
            Self::Bytes(bytes, end) => Event::Data { peer, bytes, end },
            Self::End(trailers) => Event::End { peer, trailers },
            Self::Broken => Event::Broken(peer),
        }
    }
}

/// The next part of a body.
pub(super) fn poll_part<B>(body: &mut B, context: &mut Context<'_>) -> Poll<Part>
where
    B: Body<Data = Bytes> + Unpin,
{
    Poll::Ready(match ready!(Pin::new(&mut *body).poll_frame(context)) {
        Some(Ok(frame)) => match frame.into_data() {
            Ok(bytes) => Part::Bytes(bytes, body.is_end_stream()),
            Err(frame) => Part::End(frame.into_trailers().ok().filter(|trailers| !trailers.is_empty())),
        },
        Some(Err(_)) => Part::Broken,
        None => Part::End(None),
    })
}

/// Why a request has no answer: in Envoy's words, as far as this host's client tells it apart, and the cause that the log adds.
fn failure(peer: Peer, error: Error) -> Event {
    let (failure, cause) = match error {
        Error::ConnectionReadTimeout => (Failure::Timeout, ""),
        Error::HttpProtocolError => (Failure::ProtocolError, "what it answers is no valid HTTP"),
        Error::HttpResponseHeaderSectionSize(_) => (Failure::ProtocolError, "its head is too large"),
        Error::ConnectionRefused => (Failure::ConnectionFailed, "the connection is refused"),
        Error::ConnectionTimeout => (Failure::ConnectionFailed, "there is no connection in time"),
        Error::DestinationUnavailable | Error::DestinationIpUnroutable => {
            (Failure::ConnectionFailed, "nothing can be reached there")
        }
        Error::DnsError { .. } => (Failure::ConnectionFailed, "its name can't be resolved"),
        Error::TlsProtocolError | Error::TlsCertificateError | Error::TlsAlertReceived { .. } => {
            (Failure::ConnectionFailed, "no TLS connection can be made")
        }
        Error::HttpRequestUriInvalid => {
            (Failure::ConnectionFailed, "the host refuses the request's method, authority or path")
        }
        Error::LoopDetected => (Failure::ConnectionFailed, "it leads back to this host too often"),
        _ => (Failure::ConnectionTerminated, ""),
    };
    Event::Failed { peer, failure, cause: cause.into() }
}
