//! A body that lets hyper go on with the next request of its connection.
//!
//! hyper asks a body twice in one turn. Where the second time ends the response, hyper (1.10 to 1.12 at least) sends it and
//! waits for the socket, though the client's next request may lie in its buffer already: a client that pipelines gets no
//! further answer. So a body that let hyper wait has it look once more.

use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Frame, SizeHint};

pub(in super::super) struct Woken<B> {
    body: B,
    /// Nothing was there when it was asked last.
    waits: bool,
}

impl<B> Woken<B> {
    pub(in super::super) fn new(body: B) -> Self {
        Self { body, waits: false }
    }
}

impl<B: Body + Unpin> Body for Woken<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let poll = Pin::new(&mut self.body).poll_frame(context);
        if std::mem::replace(&mut self.waits, poll.is_pending()) && poll.is_ready() {
            context.waker().wake_by_ref();
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Another thread writes the body between two polls.
    #[derive(Default)]
    struct Late {
        polls: u32,
    }

    impl Body for Late {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.polls += 1;
            match self.polls {
                1 => Poll::Pending,
                2 => Poll::Ready(Some(Ok(Frame::data(Bytes::from("hello"))))),
                _ => Poll::Ready(None),
            }
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(5)
        }
    }

    /// How many answers a client gets that sends two requests at once.
    async fn answers<B>(body: fn() -> B) -> usize
    where
        B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
    {
        let (mut client, server) = tokio::io::duplex(4096);
        let service = service_fn(move |_| async move { Ok::<_, Infallible>(http::Response::new(body())) });
        // A task of its own: nothing else wakes it.
        let served = tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(server), service));
        client.write_all(&b"GET / HTTP/1.1\r\nhost: h\r\n\r\n".repeat(2)).await.unwrap();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        served.abort();
        let _ = served.await;
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        got.windows(5).filter(|bytes| bytes == b"hello").count()
    }

    #[tokio::test]
    async fn a_pipelined_request_is_answered() {
        assert_eq!(answers(|| Woken::new(Late::default())).await, 2);
    }

    /// Where this fails, hyper does it by itself, and [`Woken`] can go.
    #[tokio::test]
    async fn hyper_forgets_it() {
        assert_eq!(answers(Late::default).await, 1);
    }
}
