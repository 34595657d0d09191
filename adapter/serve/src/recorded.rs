//! Bodies that tell a request's record what passes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::log_format;
use super::record::Record;

/// A response's body.
pub(super) struct Recorded<B: Body> {
    body: B,
    record: Arc<Record>,
}

impl<B: Body> Recorded<B> {
    /// A body whose head is on its way.
    pub(super) fn new(body: B, record: Arc<Record>) -> Self {
        let recorded = Self { body, record };
        recorded.look();
        recorded
    }

    /// Nobody may ask a body for its end that is known to have come.
    fn look(&self) {
        if self.body.is_end_stream() || self.body.size_hint().exact() == Some(0) {
            self.record.send_end();
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Recorded<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let number = self.record.number();
        let poll = log_format::within(Some(number), || Pin::new(&mut self.body).poll_frame(context));
        match &poll {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    self.record.send(data.len());
                    self.look();
                } else if let Some(trailers) = frame.trailers_ref() {
                    self.record.send_trailers(trailers);
                    self.record.send_end();
                }
            }
            Poll::Ready(Some(Err(_))) => self.record.reset(),
            Poll::Ready(None) => self.record.send_end(),
            Poll::Pending => {}
        }
        poll
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B: Body> Drop for Recorded<B> {
    fn drop(&mut self) {
        self.record.leave();
    }
}
