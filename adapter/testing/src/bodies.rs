//! Bodies to send, and to read.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use tokio::sync::{Notify, mpsc, oneshot};

/// A body that the test feeds frame by frame.
pub struct Fed(mpsc::Receiver<Frame<Bytes>>);

impl Fed {
    /// The body, and what feeds it. Holds one frame.
    pub fn new() -> (mpsc::Sender<Frame<Bytes>>, Self) {
        let (sender, receiver) = mpsc::channel(1);
        (sender, Self(receiver))
    }
}

impl Body for Fed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

/// A long body of equal bytes, made as it is read.
pub struct Repeated {
    /// Bytes that are to come.
    pub remaining: u64,
}

impl Body for Repeated {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        static CHUNK: [u8; 64 * 1024] = [b'x'; 64 * 1024];
        let size = self.remaining.min(CHUNK.len() as u64);
        self.remaining -= size;
        let chunk = &CHUNK[..usize::try_from(size).unwrap()];
        Poll::Ready((size > 0).then(|| Ok(Frame::data(Bytes::from_static(chunk)))))
    }
}

/// A body that counts what is taken of it, and tells when it is dropped.
pub struct Watched {
    body: Repeated,
    taken: Arc<AtomicU64>,
    moved: Arc<Notify>,
    dropped: Option<oneshot::Sender<()>>,
}

/// The other side of a [`Watched`] body.
pub struct Watch {
    taken: Arc<AtomicU64>,
    moved: Arc<Notify>,
    /// Ends when the body is dropped.
    pub dropped: oneshot::Receiver<()>,
}

impl Watched {
    /// A body of so many bytes, and what watches it.
    pub fn new(size: u64) -> (Self, Watch) {
        let (taken, moved) = (Arc::<AtomicU64>::default(), Arc::<Notify>::default());
        let (sender, dropped) = oneshot::channel();
        let watch = Watch { taken: taken.clone(), moved: moved.clone(), dropped };
        (Self { body: Repeated { remaining: size }, taken, moved, dropped: Some(sender) }, watch)
    }
}

impl Watch {
    /// Waits until nothing is taken any more, and says how many bytes were.
    pub async fn stalls(&self) -> u64 {
        while tokio::time::timeout(Duration::from_millis(500), self.moved.notified()).await.is_ok() {}
        self.taken.load(Ordering::SeqCst)
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let poll = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &poll {
            self.taken.fetch_add(frame.data_ref().map_or(0, Bytes::len) as u64, Ordering::SeqCst);
        }
        self.moved.notify_one();
        poll
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Whether anyone listens is the case's business.
        let _ = self.dropped.take().map(|dropped| dropped.send(()));
    }
}

/// Reads a body to its end: what came, the trailers, and the error if it broke off.
pub async fn collect<B>(mut body: B) -> (Vec<u8>, Option<HeaderMap>, Option<B::Error>)
where
    B: Body<Data = Bytes> + Unpin,
{
    let (mut data, mut trailers) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(bytes)) => data.extend_from_slice(&bytes),
            Ok(Err(frame)) => trailers = frame.into_trailers().ok(),
            Err(error) => return (data, trailers, Some(error)),
        }
    }
    (data, trailers, None)
}
