//! Callouts: requests of the filters' own, each a task.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use tower_service::Service;

use super::message::Message;
use super::pipe::{Pipe, Piped, pipe};
use super::{BoxBody, BoxError, SendError};
use crate::event::{CalloutId, Event, Failure, Origin, Peer};

/// The answer to a callout that is under way.
pub type Answer = Pin<Box<dyn Future<Output = Result<Response<BoxBody>, BoxError>> + Send>>;

/// Sends callouts.
pub trait Callouts: Send + Sync + 'static {
    /// Sends a request, whose target is absolute. `http2`: nothing else will do, as for gRPC.
    ///
    /// An error that is a [`SendError`] is passed on to the filter as it is.
    fn send(&self, request: Request<Piped>, to: &Origin, http2: bool) -> Answer;
}

/// Refuses them all, as if nothing could be reached.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refuse;

impl Callouts for Refuse {
    fn send(&self, _: Request<Piped>, _: &Origin, _: bool) -> Answer {
        let failure = Failure::ConnectionFailed;
        let cause = "the layer has no client for callouts: `FilterLayer::callouts` gives it one".into();
        Box::pin(async move { Err(SendError { failure, cause }.into()) })
    }
}

/// Sends them by a service, such as the client of hyper-util.
#[derive(Clone, Debug)]
pub struct ServiceCallouts<S>(pub S);

impl<S, R> Callouts for ServiceCallouts<S>
where
    S: Service<Request<Piped>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    fn send(&self, mut request: Request<Piped>, _: &Origin, http2: bool) -> Answer {
        let mut service = self.0.clone();
        if http2 {
            *request.version_mut() = http::Version::HTTP_2;
        }
        Box::pin(async move {
            std::future::poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into)?;
            let response = service.call(request).await.map_err(Into::into)?;
            Ok(response.map(|body| Box::pin(Boxed(Box::pin(body))) as BoxBody))
        })
    }
}

/// A body whose error is boxed.
struct Boxed<B>(Pin<Box<B>>);

impl<B: Body<Data = Bytes>> Body for Boxed<B>
where
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.as_mut().poll_frame(context).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// A callout on its way. Dropped, it is given up.
pub(super) struct Running {
    pipe: Pipe,
    task: tokio::task::AbortHandle,
}

impl Running {
    /// Sends it, and tells what comes back.
    pub(super) fn start(
        client: &dyn Callouts,
        id: CalloutId,
        to: Origin,
        head: Request<()>,
        end: bool,
        http2: bool,
        tell: impl Fn(Vec<Event>) + Send + Sync + 'static,
    ) -> Self {
        let peer = Peer::Callout(id);
        let declared = declared(head.headers());
        let (pipe, piped) = pipe(end, declared);
        let answer = absolute(head, &to).map(|head| client.send(head.map(|()| piped), &to, http2));
        let task = tokio::spawn(async move {
            let answered = match answer {
                Ok(answer) => answer.await.map_err(SendError::of),
                Err(error) => Err(error),
            };
            match answered {
                Ok(response) => receive(peer, response, &tell).await,
                Err(SendError { failure, cause }) => tell(vec![Event::Failed { peer, failure, cause }]),
            }
        });
        Self { pipe, task: task.abort_handle() }
    }

    pub(super) fn write(&self, bytes: Bytes) {
        self.pipe.write(bytes);
    }

    pub(super) fn finish(&self, trailers: Option<HeaderMap>) {
        self.pipe.finish(trailers);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn receive(peer: Peer, response: Response<BoxBody>, tell: &impl Fn(Vec<Event>)) {
    let (parts, body) = response.into_parts();
    let message = Message::new(body, parts.version);
    tell(vec![Event::Head { peer, head: Response::from_parts(parts, ()), end: message.is_none() }]);
    let Some(mut message) = message else { return };
    loop {
        let mut events = Vec::new();
        let more = std::future::poll_fn(|context| message.poll(peer, context, &mut events)).await;
        tell(events);
        if !more {
            return;
        }
    }
}

/// The length that a head says its body has.
pub(super) fn declared(fields: &HeaderMap) -> Option<u64> {
    fields.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The request with the address of its cluster as target; its `host` stays.
fn absolute(head: Request<()>, to: &Origin) -> Result<Request<()>, SendError> {
    let (mut parts, ()) = head.into_parts();
    let mut uri = parts.uri.into_parts();
    uri.scheme = Some(if to.tls { Scheme::HTTPS } else { Scheme::HTTP });
    let invalid = |cause: String| SendError { failure: Failure::ConnectionFailed, cause };
    uri.authority = Some(Authority::try_from(to.authority.as_str()).map_err(|error| invalid(error.to_string()))?);
    parts.uri = Uri::from_parts(uri).map_err(|error| invalid(error.to_string()))?;
    Ok(Request::from_parts(parts, ()))
}
