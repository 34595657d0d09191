//! The ends of bodies, as Envoy shows them to filters.
//!
//! Envoy shows a filter a head that is all of a message otherwise than one that an empty body follows, with or without
//! trailers; and over HTTP/2 last bytes with END_STREAM otherwise than those that a further frame follows. Over HTTP/1 the
//! end always comes behind the bytes. `wasi:http` has no word for it, so ours is when a body ends: what ends with what came
//! before is over when it is next read, and nothing else is (see `start` in `wit/`).

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// What a poll of a body gives when it is ready.
type Polled<B> = Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>;

/// A body whose end does not come with what was before it, unless it does on the wire.
pub(super) struct Apart<B: Body> {
    body: B,
    multiplexed: bool,
    /// An end that came at the next poll would look as if it came with what was before.
    holds: bool,
    /// Who reads it is told of an end as such.
    is_told: bool,
    /// Bytes came.
    began: bool,
    /// An end, or what is no bytes, that was held for a poll.
    kept: Option<Polled<B>>,
}

impl<B: Body> Apart<B> {
    /// The body of a message whose head has come; `multiplexed`: over HTTP/2.
    pub(super) fn new(body: B, multiplexed: bool) -> Self {
        let holds = !body.is_end_stream();
        Self { body, multiplexed, holds, is_told: false, began: false, kept: None }
    }

    /// For one who is told of ends as such, by exchanges: behind bytes none has to wait. It is over at once only where its end
    /// came with what was before.
    pub(super) fn told(self) -> Self {
        Self { is_told: true, ..self }
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
        // All bytes that were declared are there. The connection tells the end when it next has its turn, and an answer to a
        // callout could overtake that.
        if this.is_told && this.began && !this.multiplexed && this.body.is_end_stream() {
            this.holds = false;
            return Poll::Ready(None);
        }
        let poll = Pin::new(&mut this.body).poll_frame(context);
        let holds = std::mem::replace(&mut this.holds, false);
        match poll {
            Poll::Ready(frame) if has_bytes(frame.as_ref()) => {
                this.began = true;
                this.holds = !this.multiplexed || !this.body.is_end_stream();
                Poll::Ready(frame)
            }
            Poll::Ready(frame) if holds && !(this.is_told && this.began) => {
                this.kept = Some(frame);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            poll => poll,
        }
    }

    fn is_end_stream(&self) -> bool {
        !self.holds && self.kept.is_none() && self.body.is_end_stream()
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

    /// Frames that are all there. `known`: with the last of them it is known that there are no more.
    struct Frames {
        frames: VecDeque<Frame<Bytes>>,
        known: bool,
    }

    /// Bytes of a declared length, whose connection has not had its turn since.
    struct Declared(Option<Bytes>);

    impl Body for Declared {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.0.take().map_or(Poll::Pending, |bytes| Poll::Ready(Some(Ok(Frame::data(bytes)))))
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_none()
        }
    }

    impl Body for Frames {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.frames.pop_front().map(Ok))
        }

        fn is_end_stream(&self) -> bool {
            self.known && self.frames.is_empty()
        }
    }

    fn frames<const N: usize>(frames: [Frame<Bytes>; N]) -> Frames {
        Frames { frames: frames.into(), known: N > 0 }
    }

    /// What polls give until the end: bytes of each frame, `-` for nothing yet, `.` for the end.
    fn polls<B>(body: B, multiplexed: bool) -> String
    where
        B: Body<Data = Bytes, Error = Infallible> + Unpin,
    {
        let mut body = Apart::new(body, multiplexed);
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut seen = String::new();
        while !seen.ends_with('.') {
            let poll = Pin::new(&mut body).poll_frame(&mut context);
            let frame = poll.map(|frame| frame.map(|frame| frame.unwrap().data_ref().map_or(0, Bytes::len)));
            seen += &match frame {
                Poll::Pending => String::from("-"),
                Poll::Ready(Some(bytes)) => bytes.to_string(),
                Poll::Ready(None) => String::from("."),
            };
        }
        seen
    }

    #[test]
    fn who_is_told_of_ends_waits_for_none_behind_bytes() {
        let mut context = Context::from_waker(std::task::Waker::noop());
        for (multiplexed, joined) in [(false, false), (true, true)] {
            let mut body = Apart::new(frames([Frame::data(Bytes::from_static(b"abc"))]), multiplexed).told();
            assert!(matches!(Pin::new(&mut body).poll_frame(&mut context), Poll::Ready(Some(Ok(_)))));
            assert_eq!(body.is_end_stream(), joined, "with the bytes only where it came with them");
            assert!(matches!(Pin::new(&mut body).poll_frame(&mut context), Poll::Ready(None)));
            let mut empty = Apart::new(frames([]), multiplexed).told();
            assert!(Pin::new(&mut empty).poll_frame(&mut context).is_pending(), "it is not the head's");
        }
    }

    #[test]
    fn who_is_told_of_ends_does_not_wait_for_that_of_a_declared_length() {
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut body = Apart::new(Declared(Some(Bytes::from_static(b"abc"))), false).told();
        assert!(matches!(Pin::new(&mut body).poll_frame(&mut context), Poll::Ready(Some(Ok(_)))));
        assert!(!body.is_end_stream(), "it comes behind the bytes");
        assert!(matches!(Pin::new(&mut body).poll_frame(&mut context), Poll::Ready(None)));
        assert!(body.is_end_stream());
    }

    #[test]
    fn only_what_has_no_body_ends_at_once() {
        for multiplexed in [false, true] {
            assert_eq!(polls(Empty::new(), multiplexed), ".");
            assert_eq!(polls(frames([]), multiplexed), "-.");
            let trailers = Frame::trailers(http::HeaderMap::new());
            assert_eq!(polls(frames([trailers]), multiplexed), "-0.");
            assert_eq!(polls(frames([Frame::data(Bytes::new())]), multiplexed), "-0.");
        }
    }

    #[test]
    fn the_end_comes_with_the_last_bytes_where_it_does_on_the_wire() {
        let ok = || Frame::data(Bytes::from("ok"));
        assert_eq!(polls(Full::from("ok"), false), "2-.");
        assert_eq!(polls(Full::from("ok"), true), "2.");
        assert_eq!(polls(frames([ok(), ok()]), true), "22.");
        // A further frame brings the end.
        assert_eq!(polls(frames([ok(), Frame::data(Bytes::new())]), true), "2-0.");
        assert_eq!(polls(frames([ok(), Frame::trailers(http::HeaderMap::new())]), true), "2-0.");
    }
}
