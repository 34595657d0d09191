//! Bodies to send, and to read.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;

/// A body that the test feeds frame by frame.
pub(crate) struct Fed(mpsc::Receiver<Frame<Bytes>>);

impl Fed {
    /// The body, and what feeds it. Holds one frame.
    pub(crate) fn new() -> (mpsc::Sender<Frame<Bytes>>, Self) {
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
pub(crate) struct Repeated {
    pub(crate) remaining: u64,
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

/// Reads a body to its end: what came, the trailers, and the error if it broke off.
pub(crate) async fn collect<B>(mut body: B) -> (Vec<u8>, Option<HeaderMap>, Option<B::Error>)
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
