//! A layer for any service of HTTP: what comes to it passes the filters, and so does what the service answers.
//!
//! ```text
//!  client ─► FilterService ─ request head, body ─► Instance ─ request ─► the inner service: the upstream
//!         ◄─               ◄─ response ───────────          ◄─ response ─
//!                                                     └─ callouts ─► the client that the layer was given
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `worker` | an instance, and the ways to those who are waiting for what it says |
//! | `exchange` | one request and its response, polled by whoever wants the response |
//! | `message` | bodies on their way in |
//! | `pipe` | a body on its way out |
//! | `callout` | requests of the filters' own |

mod callout;
mod exchange;
mod message;
mod pipe;
mod worker;

use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body as HttpBody;
use tower_layer::Layer;
use tower_service::Service;

pub use self::callout::{Answer, Callouts, Refuse, ServiceCallouts};
pub use self::exchange::{Aborted, Body};
pub use self::pipe::Piped;
use self::worker::Workers;
use crate::event::Failure;
use crate::{Error, Filter};

/// Any error.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// A body of any kind.
pub type BoxBody = Pin<Box<dyn HttpBody<Data = Bytes, Error = BoxError> + Send>>;

/// Why there is no response, in Envoy's words: an error of the inner service, or of a client for callouts, that is this one
/// decides how it is answered. Any other one counts as a connection that could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendError {
    /// Envoy's word for it.
    pub failure: Failure,
    /// What the log says of it besides; nothing, where it is empty.
    pub cause: String,
}

impl SendError {
    fn of(error: BoxError) -> Self {
        match error.downcast::<Self>() {
            Ok(known) => *known,
            Err(error) => Self { failure: Failure::ConnectionFailed, cause: error.to_string() },
        }
    }
}

impl std::fmt::Display for SendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}: {}", self.failure, self.cause)
    }
}

impl StdError for SendError {}

/// Puts filters before a service.
///
/// It has a number of instances, as Envoy has one for each worker thread; each is made when it is first needed, and made anew
/// when its filter trapped. A Tokio runtime is needed: callouts and ticks are tasks in it.
#[derive(Clone, Debug)]
pub struct FilterLayer {
    workers: Arc<Workers>,
    tls: bool,
}

impl FilterLayer {
    /// The layer of a filter, with an instance for each processor. Its callouts are refused.
    pub fn new(filter: Filter) -> Self {
        let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { workers: Arc::new(Workers::new(filter, count, Arc::new(Refuse))), tls: false }
    }

    /// The same with so many instances; at least one.
    #[must_use]
    pub fn instances(self, count: usize) -> Self {
        Self { workers: Arc::new(self.workers.with_count(count.max(1))), ..self }
    }

    /// The same, with callouts sent by this client: a [`ServiceCallouts`] of hyper-util's, say.
    #[must_use]
    pub fn callouts(self, client: impl Callouts) -> Self {
        Self { workers: Arc::new(self.workers.with_client(Arc::new(client))), ..self }
    }

    /// The same for requests that came over TLS.
    #[must_use]
    pub fn tls(self, tls: bool) -> Self {
        Self { tls, ..self }
    }
}

impl FilterLayer {
    /// Makes an instance now, in a Tokio runtime: a filter that refuses to start is known before the first request, and its
    /// ticks begin.
    ///
    /// # Errors
    /// Those of [`Filter::instance`].
    pub fn warm(&self) -> Result<(), Error> {
        self.workers.warm()
    }
}

impl<S> Layer<S> for FilterLayer {
    type Service = FilterService<S>;

    fn layer(&self, inner: S) -> FilterService<S> {
        FilterService { inner, layer: self.clone() }
    }
}

/// A service with filters before it.
///
/// The inner service is the upstream: it gets what the filters let through, with the address of the cluster that the route
/// names, an [`Origin`](crate::Origin), among the extensions. It may be called again for one request, where a route retries.
#[derive(Clone, Debug)]
pub struct FilterService<S> {
    inner: S,
    layer: FilterLayer,
}

impl<S> FilterService<S> {
    /// Carries a request through, and answers nothing where the filter broke the exchange off before there was a response: a
    /// server then closes the connection, as Envoy does. As a [`Service`] it answers 502 instead.
    pub fn exchange<B, R>(
        &mut self,
        request: Request<B>,
    ) -> impl Future<Output = Result<Response<Body>, Aborted>> + Send + use<S, B, R>
    where
        S: Service<Request<Piped>, Response = Response<R>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
        R: HttpBody<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
    {
        // The one that was asked whether it is ready is the one that is called.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        exchange::carry(self.layer.workers.clone(), self.layer.tls, inner, request)
    }
}

impl<S, B, R> Service<Request<B>> for FilterService<S>
where
    S: Service<Request<Piped>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    /// Filters may answer without it: whether the inner service is ready is asked when it is needed.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answer = self.exchange(request);
        Box::pin(async move {
            Ok(answer.await.unwrap_or_else(|Aborted| {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::BAD_GATEWAY;
                response
            }))
        })
    }
}
