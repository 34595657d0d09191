//! A connection of HTTP/1 on which hyper sees only answers that have been looked at.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::answer::{Answers, BadAnswer};
use super::connect::Stream;

/// How much is read of an upstream's answer at once, at first.
const READ_BYTES: usize = 16 * 1024;

/// How much is read of an upstream's answer at once where each read gets all that it asked for.
const READ_MAX_BYTES: usize = 64 * 1024;

/// Tells a connection what the next request on it is. The connection itself only sees bytes, in which a new request
/// cannot be told from the rest of a body whose answer is already over.
#[derive(Clone, Debug, Default)]
pub(super) struct Announcer(Arc<AtomicU8>);

const NOTHING: u8 = 0;
const HEAD: u8 = 1;
const OTHER: u8 = 2;

impl Announcer {
    /// The next request is sent from now on.
    pub(super) fn announce(&self, to_head: bool) {
        self.0.store(if to_head { HEAD } else { OTHER }, Ordering::Release);
    }

    fn take(&self) -> Option<bool> {
        match self.0.swap(NOTHING, Ordering::AcqRel) {
            NOTHING => None,
            announced => Some(announced == HEAD),
        }
    }
}

/// The connection.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    announced: Announcer,
    answers: Answers,
    /// Read, and not looked at.
    raw: BytesMut,
    /// How much is read at once next.
    reads: usize,
    /// Looked at, and not read by hyper.
    judged: BytesMut,
    ended: bool,
    /// What is wrong with what comes behind `judged`.
    refused: Option<BadAnswer>,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>, announced: Announcer) -> Self {
        let (raw, judged) = (BytesMut::new(), BytesMut::new());
        Self { stream, announced, answers: Answers::new(), raw, reads: READ_BYTES, judged, ended: false, refused: None }
    }

    /// Before bytes are written: they may begin a request.
    fn begin(&mut self) -> io::Result<()> {
        match self.announced.take() {
            Some(to_head) => self.answers.expect(to_head, &self.raw).map_err(refused),
            None => Ok(()),
        }
    }

    /// Reads until there is something for hyper, or the end.
    fn fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.judged.is_empty() {
            if let Some(bad) = self.refused {
                return Poll::Ready(Err(refused(bad)));
            }
            // What came before that goes on, as on Envoy.
            self.refused = self.answers.take(&mut self.raw, &mut self.judged).err();
            if self.refused.is_some() || !self.judged.is_empty() {
                continue;
            }
            if self.ended {
                break;
            }
            self.raw.reserve(self.reads);
            // It holds nothing that would be lost with it.
            let read = pin!(self.stream.read_buf(&mut self.raw));
            let read = ready!(read.poll(context))?;
            self.reads = if read >= self.reads { 2 * self.reads } else { read };
            self.reads = self.reads.clamp(READ_BYTES, READ_MAX_BYTES);
            if read == 0 {
                self.ended = true;
                self.refused = self.answers.end(&self.raw).err();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.judged.is_empty() {
            // What needs no look hyper reads by itself.
            let is_read = this.raw.is_empty() && this.refused.is_none() && !this.ended;
            if is_read && (1..=this.answers.passes()).contains(&(into.remaining() as u64)) {
                let before = into.filled().len();
                ready!(Pin::new(&mut this.stream).poll_read(context, into))?;
                let size = into.filled().len() - before;
                this.ended = size == 0;
                this.answers.pass(size as u64);
                return Poll::Ready(Ok(()));
            }
            ready!(this.fill(context))?;
        }
        let size = this.judged.len().min(into.remaining());
        into.put_slice(&this.judged[..size]);
        this.judged.advance(size);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.begin()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.begin()?;
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }
}

fn refused(bad: BadAnswer) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, bad)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn hyper_reads_no_further_than_the_body() {
        for room in [1, 7, 64, 4096] {
            let (near, mut far) = tokio::io::duplex(1 << 20);
            let announcer = Announcer::default();
            let mut wire = Wire::new(Box::new(near), announcer.clone());
            announcer.announce(false);
            wire.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            far.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await.unwrap();
            let mut read = vec![0; room];
            let mut all = Vec::new();
            while !all.ends_with(b"\r\n\r\n") {
                let size = wire.read(&mut read).await.unwrap();
                all.extend_from_slice(&read[..size]);
            }
            let head = all.len();
            far.write_all(&[&[b'a'; 1000][..], b"HTTP/1.1 200 OK\r\n\r\n"].concat()).await.unwrap();
            let error = loop {
                match wire.read(&mut read).await {
                    Ok(size) => all.extend_from_slice(&read[..size]),
                    Err(error) => break error,
                }
            };
            assert_eq!(all[head..], [b'a'; 1000], "with room for {room} bytes");
            assert_eq!(error.to_string(), BadAnswer::Unasked.to_string());
        }
    }
}
