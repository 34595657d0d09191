//! A body on its way out: filled by an instance's actions, read by whoever sends it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::BoxError;

/// The end that is written to. Dropped before its end, the body breaks off.
#[derive(Debug)]
pub(super) struct Pipe(Arc<Mutex<State>>);

/// The body of a request that filters let through, or that they make.
#[derive(Debug)]
pub struct Piped(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Frame<Bytes>>,
    end: End,
    /// Nobody reads any more.
    dropped: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Bytes that the head says there are.
    declared: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    #[default]
    Open,
    Ended,
    Broken,
}

/// Makes a body; `ended`: of nothing.
pub(super) fn pipe(ended: bool, declared: Option<u64>) -> (Pipe, Piped) {
    let end = if ended { End::Ended } else { End::Open };
    let state = Arc::new(Mutex::new(State { end, declared, ..State::default() }));
    (Pipe(state.clone()), Piped(state))
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pipe {
    pub(super) fn write(&self, bytes: Bytes) {
        self.push(Some(Frame::data(bytes)), End::Open);
    }

    pub(super) fn finish(&self, trailers: Option<HeaderMap>) {
        self.push(trailers.map(Frame::trailers), End::Ended);
    }

    fn push(&self, frame: Option<Frame<Bytes>>, end: End) {
        let mut state = lock(&self.0);
        if state.end == End::Open {
            state.frames.extend(frame);
            state.end = end;
        }
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Whether all that was written was read.
    pub(super) fn is_idle(&self, context: &Context<'_>) -> bool {
        let mut state = lock(&self.0);
        state.writer = Some(context.waker().clone());
        state.frames.is_empty() || state.dropped
    }

    /// Whether the reader let go of it before its end.
    pub(super) fn is_refused(&self) -> bool {
        let state = lock(&self.0);
        state.dropped && (state.end == End::Open || !state.frames.is_empty())
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.push(None, End::Broken);
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        state.dropped = true;
        let writer = state.writer.take();
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
    }
}

impl Body for Piped {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut state = lock(&self.0);
        let frame = state.frames.pop_front();
        if let (Some(bytes), Some(left)) = (frame.as_ref().and_then(Frame::data_ref), state.declared) {
            state.declared = Some(left.saturating_sub(bytes.len() as u64));
        }
        if state.frames.is_empty()
            && let Some(writer) = state.writer.take()
        {
            writer.wake();
        }
        match (frame, state.end) {
            (Some(frame), _) => Poll::Ready(Some(Ok(frame))),
            (None, End::Ended) => Poll::Ready(None),
            (None, End::Broken) => Poll::Ready(Some(Err("the exchange was broken off".into()))),
            (None, End::Open) => {
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let state = lock(&self.0);
        state.frames.is_empty() && state.end == End::Ended
    }

    fn size_hint(&self) -> SizeHint {
        let state = lock(&self.0);
        match state.declared {
            Some(declared) => SizeHint::with_exact(declared),
            None if state.frames.is_empty() && state.end == End::Ended => SizeHint::with_exact(0),
            None => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(piped: &mut Piped) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(piped).poll_frame(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn what_is_written_is_read_to_the_end() {
        let (pipe, mut piped) = pipe(false, Some(3));
        let context = Context::from_waker(Waker::noop());
        assert!(read(&mut piped).is_pending() && pipe.is_idle(&context));
        pipe.write(Bytes::from_static(b"abc"));
        assert!(!pipe.is_idle(&context));
        assert_eq!(piped.size_hint().exact(), Some(3));
        let Poll::Ready(Some(Ok(frame))) = read(&mut piped) else { panic!("a frame") };
        assert_eq!(frame.into_data().ok().as_deref(), Some(b"abc".as_slice()));
        assert!(pipe.is_idle(&context) && !piped.is_end_stream());
        pipe.finish(None);
        drop(pipe);
        assert!(matches!(read(&mut piped), Poll::Ready(None)));
    }

    #[test]
    fn either_side_may_let_go() {
        let (writer, mut piped) = pipe(false, None);
        drop(writer);
        assert!(matches!(read(&mut piped), Poll::Ready(Some(Err(_)))));
        let (writer, piped) = pipe(false, None);
        drop(piped);
        assert!(writer.is_refused());
        let (writer, piped) = pipe(true, None);
        drop(piped);
        assert!(!writer.is_refused());
    }
}
