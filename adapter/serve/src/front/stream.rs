//! The connection as hyper sees it.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};

use super::refusal::Refusal;
use super::walk::{Event, Walk};
use super::{Arrival, Arrivals, Body};

/// How many bytes are read at once.
const PIECE: usize = 16 * 1024;

/// How long a client that was refused has to read why: as long as with Envoy.
const LINGER: Duration = Duration::from_secs(1);

/// How much a client that was refused may send meanwhile.
const LINGER_BYTES: usize = 16 << 20;

/// A connection whose client is judged before hyper reads it.
#[derive(Debug)]
pub(crate) struct Front<S> {
    inner: S,
    walk: Walk,
    input: BytesMut,
    output: BytesMut,
    arrivals: Arrivals,
    /// Tells who answers the last request that its body is none.
    breaks: Option<oneshot::Sender<Refusal>>,
    end: End,
}

/// How reading ends.
#[derive(Debug)]
enum End {
    /// With the connection.
    Own,
    /// Nothing more is read, as far as hyper can see.
    Closed,
    /// Nothing more comes; the answer that is due closes the connection.
    Refused,
    /// It was answered; the client may still read.
    Lingering { deadline: Pin<Box<Sleep>>, left: usize },
}

impl<S> Front<S> {
    /// A connection whose heads may have so many bytes, and what is known of its requests.
    pub(crate) fn new(inner: S, most_head: usize) -> (Self, Arrivals) {
        let arrivals = Arrivals::default();
        let front = Self {
            inner,
            walk: Walk::new(most_head),
            input: BytesMut::new(),
            output: BytesMut::new(),
            arrivals: arrivals.clone(),
            breaks: None,
            end: End::Own,
        };
        (front, arrivals)
    }

    /// Judges what is there.
    fn advance(&mut self) {
        while let Some(event) = self.walk.advance(&mut self.input, &mut self.output) {
            match event {
                Event::Request { method, target, verdict, breakable } => {
                    let (breaks, broken) = breakable.then(oneshot::channel).unzip();
                    self.breaks = breaks;
                    self.arrivals.lock().push_back(Arrival { method, target, verdict, body: Body(broken) });
                    if self.walk.is_over() {
                        self.end = End::Refused;
                    }
                }
                Event::Broken(refusal) => {
                    // Who was to answer may have done so already.
                    let _ = self.breaks.take().map(|breaks| breaks.send(refusal));
                    self.end = End::Closed;
                }
                Event::Garbage => self.end = End::Closed,
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Front<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.output.is_empty() {
                let size = this.output.len().min(buffer.remaining());
                buffer.put_slice(&this.output[..size]);
                this.output.advance(size);
                return Poll::Ready(Ok(()));
            }
            match this.end {
                End::Own => {}
                End::Closed => return Poll::Ready(Ok(())),
                // What hyper has to answer it has; when it has, it closes the connection.
                End::Refused | End::Lingering { .. } => return Poll::Pending,
            }
            let passes = this.walk.passes();
            if passes >= buffer.remaining() as u64 {
                let before = buffer.filled().len();
                ready!(Pin::new(&mut this.inner).poll_read(context, buffer))?;
                this.walk.pass((buffer.filled().len() - before) as u64);
                return Poll::Ready(Ok(()));
            }
            // A connection that waits holds no memory for it.
            let mut piece = [const { MaybeUninit::uninit() }; PIECE];
            let mut piece = ReadBuf::uninit(&mut piece);
            ready!(Pin::new(&mut this.inner).poll_read(context, &mut piece))?;
            if piece.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.input.extend_from_slice(piece.filled());
            this.advance();
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Front<S> {
    /// Reads on for a while: a client that still sends when the connection is closed may never see the answer.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let End::Lingering { deadline, left } = &mut self.end else { return Poll::Ready(()) };
        loop {
            let mut piece = [const { MaybeUninit::uninit() }; PIECE];
            let mut piece = ReadBuf::uninit(&mut piece);
            match Pin::new(&mut self.inner).poll_read(context, &mut piece) {
                Poll::Ready(Ok(())) if !piece.filled().is_empty() => *left = left.saturating_sub(piece.filled().len()),
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return deadline.as_mut().poll(context),
            }
            if *left == 0 {
                return Poll::Ready(());
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Front<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !matches!(this.end, End::Lingering { .. }) {
            ready!(Pin::new(&mut this.inner).poll_shutdown(context))?;
            if !this.walk.is_over() {
                return Poll::Ready(Ok(()));
            }
            this.end = End::Lingering { deadline: Box::pin(sleep(LINGER)), left: LINGER_BYTES };
        }
        this.poll_linger(context).map(Ok)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
