//! Messages without a body, told apart from those whose body is empty.
//!
//! Envoy shows a filter a head that is all of a message otherwise than one that an empty body follows, with or without
//! trailers. `wasi:http` has no word for it, so ours is when a body ends: that of a message without one is over when it is
//! first read, and no other is (see `start` in `wit/`).

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// What a poll of a body gives when it is ready.
type Polled<B> = Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>;

/// A body that does not end at its first poll, unless there is none.
pub(super) struct Apart<B: Body> {
    body: B,
    /// The reader knows that there is a body, or there is none.
    is_known: bool,
    /// What came at the first poll.
    kept: Option<Polled<B>>,
}

impl<B: Body> Apart<B> {
    /// The body of a message whose head has come.
    pub(super) fn new(body: B) -> Self {
        let is_known = body.is_end_stream();
        Self { body, is_known, kept: None }
    }
}

impl<B> Body for Apart<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        if let Some(kept) = this.kept.take() {
            return Poll::Ready(kept);
        }
        let poll = Pin::new(&mut this.body).poll_frame(context);
        if std::mem::replace(&mut this.is_known, true) {
            return poll;
        }
        match poll {
            Poll::Ready(frame) if !has_bytes(frame.as_ref()) => {
                this.kept = Some(frame);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            poll => poll,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_known && self.kept.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn has_bytes<E>(frame: Option<&Result<Frame<Bytes>, E>>) -> bool {
    let data = frame.and_then(|frame| frame.as_ref().ok()?.data_ref());
    data.is_some_and(|data| !data.is_empty())
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;

    use http_body_util::{Empty, Full};

    use super::*;

    struct Frames(VecDeque<Frame<Bytes>>);

    impl Body for Frames {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(Ok))
        }
    }

    fn first<B>(body: B) -> (Poll<Option<usize>>, Poll<Option<usize>>)
    where
        B: Body<Data = Bytes, Error = Infallible> + Unpin,
    {
        let mut body = Apart::new(body);
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut poll = || {
            Pin::new(&mut body)
                .poll_frame(&mut context)
                .map(|frame| frame.map(|frame| frame.unwrap().data_ref().map_or(0, Bytes::len)))
        };
        (poll(), poll())
    }

    #[test]
    fn only_what_has_no_body_ends_at_once() {
        assert_eq!(first(Empty::new()), (Poll::Ready(None), Poll::Ready(None)));
        assert_eq!(first(Full::from("ok")), (Poll::Ready(Some(2)), Poll::Ready(None)));
        assert_eq!(first(Frames(VecDeque::new())), (Poll::Pending, Poll::Ready(None)));
        let trailers = Frame::trailers(http::HeaderMap::new());
        assert_eq!(first(Frames([trailers].into())), (Poll::Pending, Poll::Ready(Some(0))));
        assert_eq!(first(Frames([Frame::data(Bytes::new())].into())), (Poll::Pending, Poll::Ready(Some(0))));
    }
}
