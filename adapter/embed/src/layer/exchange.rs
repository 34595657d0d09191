//! One request and its response. It runs where it is polled: by the future of the response until there is a head, and then by
//! the response's body. So a client that leaves ends it by dropping either.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use proxy_wasm_abi::grpc;
use tower_service::Service;

use super::callout::declared;
use super::message::Message;
use super::pipe::{Pipe, Piped, pipe};
use super::worker::{Letter, Refused, Seat, Workers};
use super::{BoxError, SendError};
use crate::event::{Action, Begin, Event, Origin, Peer};

/// A filter broke the exchange off before there was a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aborted;

impl std::fmt::Display for Aborted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a filter broke the exchange off")
    }
}

impl std::error::Error for Aborted {}

/// The body of a response that has passed the filters.
pub struct Body(Inner);

enum Inner {
    Empty,
    /// What it is of carries it on.
    Running {
        exchange: Box<dyn Drive + Send>,
        declared: Option<u64>,
    },
}

/// An exchange, whatever its bodies are.
trait Drive {
    /// Carries it on as far as it goes; what is ready for the client.
    fn poll_client(&mut self, context: &mut Context<'_>) -> Poll<Option<Out>>;

    /// Whether nothing more comes for the client.
    fn is_finished(&self) -> bool;
}

/// Something for the client.
enum Out {
    Head(Response<()>, bool),
    Frame(Frame<Bytes>),
    /// It breaks off.
    Abort,
}

/// How a client's response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its head waits.
    Waiting,
    Open,
    /// All of it is in `out`.
    Ended,
}

struct Exchange<S, B, R> {
    seat: Seat,
    /// The client's request, until its end.
    request: Option<Message<B>>,
    inner: S,
    upstream: Upstream<R>,
    /// The upstream failed: told when the filters have what came from the client before, as in Envoy, where that does not wait
    /// for the upstream.
    failure: Option<Event>,
    /// Where the request goes on.
    pipe: Option<Pipe>,
    wants_request: bool,
    wants_response: bool,
    out: VecDeque<Out>,
    stage: Stage,
    is_grpc: bool,
    /// The instance knows no more of it.
    over: bool,
    /// What the client was given last it may not have got yet.
    is_unsent: bool,
}

enum Upstream<R> {
    Silent,
    Called(Called<R>),
    Answers(Message<R>),
}

/// The inner service, made ready and called.
type Called<R> = Pin<Box<dyn Future<Output = Result<Response<R>, BoxError>> + Send>>;

/// Carries a request through the filters, to the head of its response.
pub(super) async fn carry<S, B, R>(
    workers: Arc<Workers>,
    tls: bool,
    inner: S,
    request: Request<B>,
) -> Result<Response<Body>, Aborted>
where
    S: Service<Request<Piped>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    let (parts, body) = request.into_parts();
    let is_grpc = parts.headers.get(CONTENT_TYPE).is_some_and(|value| grpc::is_grpc(value.as_bytes()));
    let mut message = Message::new(body, parts.version);
    let begin = std::future::poll_fn(|context| {
        let Some(unread) = message.take() else { return Poll::Ready(Begin::Nothing) };
        let (begin, rest) = unread.begin(context);
        message = rest;
        Poll::Ready(begin)
    });
    let begin = begin.await;
    let mut is_told = false;
    let rest = |peer| {
        let event = message.as_mut()?.take_rest(peer);
        is_told = event.is_some();
        event
    };
    let seat = match workers.open(&parts, tls, begin, rest).await {
        Ok(seat) => seat,
        Err(Refused::TooLarge) => return Ok(reply(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, is_grpc)),
        Err(Refused::Unavailable) => return Ok(reply(StatusCode::SERVICE_UNAVAILABLE, is_grpc)),
    };
    let mut exchange = Box::new(Exchange {
        seat,
        request: message.filter(|_| !is_told),
        inner,
        upstream: Upstream::Silent,
        failure: None,
        pipe: None,
        wants_request: false,
        wants_response: false,
        out: VecDeque::new(),
        stage: Stage::Waiting,
        is_grpc,
        over: false,
        is_unsent: false,
    });
    match std::future::poll_fn(|context| exchange.poll_client(context)).await {
        Some(Out::Head(head, end)) if end => Ok(head.map(|()| Body::empty())),
        Some(Out::Head(head, _)) => {
            let declared = declared(head.headers());
            Ok(head.map(|()| Body(Inner::Running { exchange, declared })))
        }
        Some(Out::Frame(_) | Out::Abort) | None => Err(Aborted),
    }
}

/// Says how long a body is, where a server would say so that sends it.
fn tell_length(fields: &mut HeaderMap, known: Option<u64>) {
    if let Some(length @ 1..) = known
        && !fields.contains_key(CONTENT_LENGTH)
        && !fields.contains_key(TRANSFER_ENCODING)
    {
        fields.insert(CONTENT_LENGTH, length.into());
    }
}

/// An answer of the layer's own, as Envoy's local replies without a body.
fn reply(status: StatusCode, is_grpc: bool) -> Response<Body> {
    reply_head(status, is_grpc).map(|()| Body::empty())
}

fn reply_head(status: StatusCode, is_grpc: bool) -> Response<()> {
    let mut response = Response::new(());
    if is_grpc {
        let fields = response.headers_mut();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static(grpc::CONTENT_TYPE));
        fields.insert("grpc-status", grpc::status_of_http(status.as_u16().into()).into());
    } else {
        *response.status_mut() = status;
    }
    response
}

impl<S, B, R> Exchange<S, B, R>
where
    S: Service<Request<Piped>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
    R: HttpBody<Data = Bytes> + 'static,
    R::Error: Into<BoxError>,
{
    /// Does what the instance says, and tells it what came; whether there was any of both.
    fn advance(&mut self, context: &mut Context<'_>) -> bool {
        let mut moved = false;
        while let Some(letter) = self.seat.mailbox.take(context.waker()) {
            self.act(letter);
            moved = true;
        }
        if moved {
            return true;
        }
        let events = self.look(context);
        if events.is_empty() {
            return false;
        }
        self.seat.step(events);
        true
    }

    fn act(&mut self, letter: Letter) {
        match letter {
            Letter::Do(Action::Request { to, head, end, .. }) => self.send(to, head, end),
            Letter::Do(Action::Response { head, end, .. }) => {
                self.stage = if end { Stage::Ended } else { Stage::Open };
                self.out.push_back(Out::Head(head, end));
            }
            Letter::Do(Action::Write(Peer::Client(_), bytes)) => self.out.push_back(Out::Frame(Frame::data(bytes))),
            Letter::Do(Action::Write(_, bytes)) => {
                if let Some(pipe) = &self.pipe {
                    pipe.write(bytes);
                }
            }
            Letter::Do(Action::Finish(Peer::Client(_), trailers)) => {
                self.stage = Stage::Ended;
                self.out.extend(trailers.map(Frame::trailers).map(Out::Frame));
            }
            Letter::Do(Action::Finish(_, trailers)) => {
                if let Some(pipe) = &self.pipe {
                    pipe.finish(trailers);
                }
            }
            Letter::Do(Action::Abort(_)) => self.abort(),
            Letter::Do(Action::Release(_)) => {
                self.upstream = Upstream::Silent;
                self.failure = None;
                self.pipe = None;
            }
            Letter::Do(Action::Want { request, response, .. }) => {
                (self.wants_request, self.wants_response) = (request, response);
            }
            Letter::Do(Action::Over { .. }) => self.end(),
            Letter::Lost => {
                if self.stage == Stage::Waiting {
                    self.stage = Stage::Ended;
                    self.out.push_back(Out::Head(reply_head(StatusCode::SERVICE_UNAVAILABLE, self.is_grpc), true));
                } else {
                    self.abort();
                }
                self.end();
            }
        }
    }

    fn abort(&mut self) {
        if self.stage != Stage::Ended {
            self.stage = Stage::Ended;
            self.out.push_back(Out::Abort);
        }
    }

    /// The instance knows no more of it: nothing more is asked of anyone.
    fn end(&mut self) {
        self.over = true;
        self.request = None;
        self.upstream = Upstream::Silent;
        self.pipe = None;
    }

    fn send(&mut self, to: Origin, head: Request<()>, end: bool) {
        let (pipe, piped) = pipe(end, declared(head.headers()));
        self.pipe = Some(pipe);
        let mut request = head.map(|()| piped);
        request.extensions_mut().insert(to);
        let clone = self.inner.clone();
        let mut service = std::mem::replace(&mut self.inner, clone);
        self.upstream = Upstream::Called(Box::pin(async move {
            std::future::poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into)?;
            service.call(request).await.map_err(Into::into)
        }));
    }

    /// What came meanwhile, of whom something is wanted.
    fn look(&mut self, context: &mut Context<'_>) -> Vec<Event> {
        let mut events = Vec::new();
        let upstream = Peer::Upstream(self.seat.id);
        let mut refused = false;
        if let Some(pipe) = &self.pipe
            && pipe.is_refused()
        {
            refused = true;
            events.push(Event::Refused(upstream));
        }
        let is_idle = refused || self.pipe.as_ref().is_none_or(|pipe| pipe.is_idle(context));
        if refused {
            self.pipe = None;
        }
        if self.wants_request
            && is_idle
            && let Some(message) = &mut self.request
            && let Poll::Ready(false) = message.poll(Peer::Client(self.seat.id), context, &mut events)
        {
            self.request = None;
        }
        let next = match &mut self.upstream {
            Upstream::Called(called) => match called.as_mut().poll(context) {
                Poll::Pending => None,
                Poll::Ready(Ok(response)) => {
                    let (mut parts, body) = response.into_parts();
                    tell_length(&mut parts.headers, body.size_hint().exact());
                    let message = Message::new(body, parts.version);
                    events.push(Event::Head {
                        peer: upstream,
                        head: Response::from_parts(parts, ()),
                        end: message.is_none(),
                    });
                    Some(message.map_or(Upstream::Silent, Upstream::Answers))
                }
                Poll::Ready(Err(error)) => {
                    let SendError { failure, cause } = SendError::of(error);
                    self.failure = Some(Event::Failed { peer: upstream, failure, cause });
                    self.pipe = None;
                    if events.is_empty() {
                        events.push(Event::Refused(upstream));
                    }
                    Some(Upstream::Silent)
                }
            },
            Upstream::Answers(message) if self.wants_response && self.out.is_empty() => {
                let is_over = message.poll(upstream, context, &mut events) == Poll::Ready(false);
                is_over.then_some(Upstream::Silent)
            }
            Upstream::Answers(_) | Upstream::Silent => None,
        };
        if let Some(next) = next {
            self.upstream = next;
        }
        if events.is_empty() {
            events.extend(self.failure.take());
        }
        events
    }
}

impl<S, B, R> Drive for Exchange<S, B, R>
where
    S: Service<Request<Piped>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
    R: HttpBody<Data = Bytes> + 'static,
    R::Error: Into<BoxError>,
{
    fn poll_client(&mut self, context: &mut Context<'_>) -> Poll<Option<Out>> {
        while self.out.is_empty() && !self.is_finished() {
            if !self.advance(context) {
                return Poll::Pending;
            }
        }
        let Some(out) = self.out.pop_front() else { return Poll::Ready(None) };
        match out {
            // A server that was told to break off throws away what it has not sent.
            Out::Abort if std::mem::take(&mut self.is_unsent) => {
                self.out.push_front(Out::Abort);
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Out::Frame(_) => {
                self.is_unsent = true;
                // A server lets go of a body when it has as many bytes as were declared: what is known to follow them is told
                // the filters before.
                while self.out.is_empty() && !self.is_finished() && self.advance(context) {}
            }
            Out::Head(..) => self.is_unsent = true,
            Out::Abort => {}
        }
        Poll::Ready(Some(out))
    }

    fn is_finished(&self) -> bool {
        (self.over || self.stage == Stage::Ended) && self.out.is_empty()
    }
}

impl<S, B, R> Drop for Exchange<S, B, R> {
    fn drop(&mut self) {
        if !self.over {
            self.seat.leave();
        }
    }
}

// Nothing in it is pinned but what is boxed.
impl<S, B, R> Unpin for Exchange<S, B, R> {}

impl Body {
    /// One without a byte.
    pub fn empty() -> Self {
        Self(Inner::Empty)
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Body").field(&self.is_end_stream()).finish()
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Inner::Running { exchange, .. } = &mut self.0 else { return Poll::Ready(None) };
        exchange.poll_client(context).map(|out| match out? {
            Out::Frame(frame) => Some(Ok(frame)),
            Out::Head(..) | Out::Abort => Some(Err(Aborted.into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Empty => true,
            Inner::Running { exchange, .. } => exchange.is_finished(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Empty => SizeHint::with_exact(0),
            Inner::Running { declared: Some(declared), .. } => SizeHint::with_exact(*declared),
            Inner::Running { declared: None, .. } => SizeHint::default(),
        }
    }
}
