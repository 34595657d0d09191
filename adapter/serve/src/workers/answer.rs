//! A response's body, and the fate of the instance that writes it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;
use wasmtime_wasi_http::{Error, WasiBody};

/// Whether an instance trapped, and whether anybody who was told still reads from it.
#[derive(Clone, Debug)]
pub(super) struct Fate(Arc<AtomicBool>);

impl Fate {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    /// It did. To be said before its store goes.
    pub(super) fn seal(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether more than so many know of it.
    pub(super) fn is_known_to_more_than(&self, holders: usize) -> bool {
        Arc::strong_count(&self.0) > holders
    }

    fn is_sealed(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A body that fails where its instance trapped: `wasmtime-wasi-http` then takes it for one that ended.
pub(super) struct Followed {
    body: WasiBody,
    fate: Fate,
    /// Dropped when it is over.
    ended: Option<oneshot::Sender<()>>,
}

impl Followed {
    pub(super) fn new(body: WasiBody, fate: Fate, ended: oneshot::Sender<()>) -> Self {
        Self { body, fate, ended: Some(ended) }
    }
}

impl Body for Followed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        match frame {
            Some(Ok(frame)) => Poll::Ready(Some(Ok(frame))),
            // Only where it has not ended before.
            None if self.fate.is_sealed() && self.ended.is_some() => {
                self.ended = None;
                Poll::Ready(Some(Err(Error::ConnectionTerminated)))
            }
            end => {
                self.ended = None;
                Poll::Ready(end)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && !self.fate.is_sealed()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
