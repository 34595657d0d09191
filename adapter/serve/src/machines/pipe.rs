//! A body between an instance, which writes it at once, and a connection, which takes it when it can.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame};
use wasmtime_wasi_http::Error;

/// Bytes that may wait for the reader while more is asked for, as in the buffers of `wasi:http`.
const AHEAD_BYTES: usize = 64 * 1024;

/// Where a body is written. Dropped before the end, it breaks the body off.
pub(super) struct Writer(Arc<Pipe>);

/// What is read of it.
pub(super) struct PipeBody(Arc<Pipe>);

#[derive(Default)]
struct Pipe(Mutex<State>);

#[derive(Default)]
struct State {
    pieces: VecDeque<Bytes>,
    /// Their bytes.
    waiting: usize,
    trailers: Option<HeaderMap>,
    end: End,
    /// Nobody reads it any more.
    is_left: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum End {
    /// More may come.
    #[default]
    Open,
    /// All of it was written.
    Ended,
    /// It broke off.
    Broken,
    /// The reader knows of its end.
    Told,
}

/// The two ends of a body.
pub(super) fn pipe() -> (Writer, PipeBody) {
    let pipe = Arc::<Pipe>::default();
    (Writer(pipe.clone()), PipeBody(pipe))
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes it, and wakes the reader.
    fn give(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Writer {
    pub(super) fn write(&self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.0.give(|state| {
                state.waiting += bytes.len();
                state.pieces.push_back(bytes);
            });
        }
    }

    pub(super) fn finish(self, trailers: Option<HeaderMap>) {
        self.0.give(|state| {
            state.trailers = trailers;
            state.end = End::Ended;
        });
    }

    /// Whether so much was taken of what was written that more may come, or nobody takes it.
    pub(super) fn poll_taken(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        if state.waiting < AHEAD_BYTES || state.is_left {
            return Poll::Ready(());
        }
        state.writer = Some(context.waker().clone());
        Poll::Pending
    }

    /// Whether nobody reads it any more.
    pub(super) fn poll_left(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        if state.is_left {
            return Poll::Ready(());
        }
        state.writer = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.give(|state| {
            if state.end == End::Open {
                state.end = End::Broken;
            }
        });
    }
}

impl Body for PipeBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut state = self.0.lock();
        if let Some(bytes) = state.pieces.pop_front() {
            state.waiting -= bytes.len();
            let writer = if state.waiting < AHEAD_BYTES { state.writer.take() } else { None };
            drop(state);
            if let Some(writer) = writer {
                writer.wake();
            }
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match state.end {
            End::Open => {
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
            End::Ended => {
                state.end = End::Told;
                Poll::Ready(state.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
            }
            End::Broken => {
                state.end = End::Told;
                Poll::Ready(Some(Err(Error::ConnectionTerminated)))
            }
            End::Told => Poll::Ready(None),
        }
    }

    // Only when it was read to its end: a body that was opened is one, also where it is empty, and how long it is only its head
    // can say.
    fn is_end_stream(&self) -> bool {
        self.0.lock().end == End::Told
    }
}

impl Drop for PipeBody {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_left = true;
        state.pieces.clear();
        let writer = state.writer.take();
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn what_is_written_is_read_in_order_and_to_its_end() {
        let (writer, body) = pipe();
        writer.write(Bytes::from_static(b"a"));
        writer.write(Bytes::new());
        writer.write(Bytes::from_static(b"b"));
        assert!(!body.is_end_stream());
        let mut trailers = HeaderMap::new();
        trailers.insert("x", http::HeaderValue::from_static("y"));
        writer.finish(Some(trailers));
        let collected = body.collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["x"], "y");
        assert_eq!(collected.to_bytes(), "ab");
    }

    #[tokio::test]
    async fn without_an_end_it_breaks_off_behind_its_bytes() {
        let (writer, mut body) = pipe();
        writer.write(Bytes::from_static(b"a"));
        drop(writer);
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "a");
        assert!(body.frame().await.unwrap().is_err());
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn the_writer_is_told_when_all_is_taken_and_when_nobody_reads() {
        let (writer, mut body) = pipe();
        writer.write(vec![0; AHEAD_BYTES].into());
        let taken = tokio::spawn(async move {
            std::future::poll_fn(|context| writer.poll_taken(context)).await;
            writer
        });
        tokio::task::yield_now().await;
        assert!(!taken.is_finished());
        body.frame().await.unwrap().unwrap();
        let writer = taken.await.unwrap();
        drop(body);
        std::future::poll_fn(|context| writer.poll_left(context)).await;
    }
}
