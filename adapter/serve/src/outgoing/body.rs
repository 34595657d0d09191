//! The bodies of a request to an upstream and of its response.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep};
use wasmtime_wasi_http::{Error, WasiBody};

use super::failure;
use super::target::Target;
use crate::log_format;
use crate::wire::FIELDS_MAX;

/// What a component writes to an upstream.
pub(super) struct RequestBody {
    written: WasiBody,
    /// The first piece, already taken.
    first: Option<Frame<Bytes>>,
    /// The component was given up: an end is no end.
    abandoned: Arc<AtomicBool>,
}

impl RequestBody {
    pub(super) fn new(written: WasiBody, abandoned: Arc<AtomicBool>) -> Self {
        Self { written, first: None, abandoned }
    }

    pub(super) fn empty() -> Self {
        let nothing = Empty::new().map_err(|never| match never {}).boxed_unsync();
        Self::new(nothing, Arc::default())
    }

    /// Waits for the first piece or the end; an empty body becomes one that is known to be empty.
    pub(super) async fn peek(&mut self) -> Result<bool, Error> {
        self.first = self.frame().await.transpose()?;
        if self.first.is_none() {
            self.written = Self::empty().written;
        }
        Ok(self.first.is_some())
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        match Pin::new(&mut self.written).poll_frame(context) {
            // A component that was torn down leaves a body that looks finished.
            Poll::Ready(None) if self.abandoned.load(Ordering::Acquire) => {
                Poll::Ready(Some(Err(Error::ConnectionTerminated)))
            }
            poll => poll,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.written.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.first.is_some() { SizeHint::default() } else { self.written.size_hint() }
    }
}

/// What an upstream sends, with a limit on the time between two pieces.
pub(crate) struct ResponseBody {
    incoming: Incoming,
    timeout: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
    /// Who sends it.
    target: Target,
    /// The request that it is sent for.
    request: Option<u64>,
}

impl ResponseBody {
    pub(super) fn new(incoming: Incoming, timeout: Duration, target: Target) -> Self {
        Self { incoming, timeout, deadline: None, target, request: log_format::current() }
    }

    /// It broke off.
    fn failed(&self, error: &hyper::Error) -> Error {
        let (story, error) = failure::of_body(error);
        self.warn(&story);
        error
    }

    /// Whoever reads it may be in a task of its own.
    fn warn(&self, what: &str) {
        log_format::within(self.request, || tracing::warn!("upstream {}: {what}", self.target));
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(context) {
            // The clock runs only while somebody waits: a slow reader is not the upstream's fault.
            this.deadline = None;
            return Poll::Ready(frame.map(|frame| match frame {
                // Of HTTP/1 they were counted before.
                Ok(frame) if frame.trailers_ref().is_some_and(|trailers| trailers.len() > FIELDS_MAX) => {
                    this.warn(&format!("its answer has more than {FIELDS_MAX} trailers"));
                    Err(Error::HttpProtocolError)
                }
                frame => frame.map_err(|error| this.failed(&error)),
            }));
        }
        let deadline = this.deadline.get_or_insert_with(|| Box::pin(sleep(this.timeout)));
        match deadline.as_mut().poll(context) {
            Poll::Ready(()) => {
                deadline.as_mut().reset(Instant::now() + this.timeout);
                this.warn(&format!("nothing of its answer's body within {:?}", this.timeout));
                Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
