//! A connection's bytes, looked at for the heads of requests.
//!
//! Over HTTP/1.1 whatever comes while no request is in flight begins a head; over HTTP/2 a HEADERS frame does, and the last
//! of its CONTINUATION frames ends it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::Presence;

/// What HTTP/2 begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What is said to a client whose head is late: what Envoy says.
const HEAD_LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 22\r\ncontent-type: text/plain\r\n\
    connection: close\r\n\r\nrequest header timeout";

/// How long an end of HTTP/1 that comes while a request is in flight is held back. Envoy has answered before it looks for one
/// whatever needs nobody else, such as a filter's own response; here that takes a few turns of tasks.
const END_HELD: Duration = Duration::from_millis(10);

/// A connection's bytes, looked at as they come.
pub(crate) struct Watched<S: AsyncWrite + Unpin> {
    stream: S,
    presence: Arc<Presence>,
    reading: Reading,
    /// Until when the end is held back, once it came.
    end: Option<Pin<Box<Sleep>>>,
}

/// What is being read.
#[derive(Debug)]
enum Reading {
    /// So many bytes of HTTP/2's preface came, and nothing else.
    Preface(usize),
    Http1,
    Http2(Frames),
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    pub(crate) fn new(stream: S, presence: Arc<Presence>) -> Self {
        Self { stream, presence, reading: Reading::Preface(0), end: None }
    }

    fn written(&self, poll: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(poll, Poll::Ready(Ok(1..))) {
            self.presence.moves();
        }
        poll
    }

    /// The end came: it is told as soon as no request is in flight, and soon in any case.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !matches!(self.reading, Reading::Http1) || !self.presence.is_working() {
            return Poll::Ready(());
        }
        self.end.get_or_insert_with(|| Box::pin(tokio::time::sleep(END_HELD))).as_mut().poll(context)
    }

    fn see(&mut self, mut bytes: &[u8]) {
        if let Reading::Preface(seen) = &mut self.reading {
            let expected = PREFACE.get(*seen..).unwrap_or_default();
            let equal = expected.iter().zip(bytes).take_while(|(expected, byte)| expected == byte).count();
            *seen += equal;
            bytes = bytes.get(equal..).unwrap_or_default();
            if *seen == PREFACE.len() {
                self.presence.set_head(false);
                self.reading = Reading::Http2(Frames::default());
            } else if !bytes.is_empty() {
                self.reading = Reading::Http1;
            }
        }
        match &mut self.reading {
            Reading::Preface(_) => {}
            Reading::Http1 => {
                if !bytes.is_empty() {
                    self.presence.head_begins();
                }
            }
            Reading::Http2(frames) => {
                let before = frames.in_head;
                frames.see(bytes);
                if frames.in_head != before {
                    self.presence.set_head(frames.in_head);
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> Drop for Watched<S> {
    fn drop(&mut self) {
        // Who sent nothing at all is told nothing, as by Envoy.
        let began = matches!(self.reading, Reading::Http1 | Reading::Preface(1..));
        if began && self.presence.is_head_late() {
            // Nothing was written for a while: there is room for it, or nobody to read it.
            let _ = Pin::new(&mut self.stream).poll_write(&mut Context::from_waker(Waker::noop()), HEAD_LATE);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let has_room = buffer.remaining() > 0;
        let poll = Pin::new(&mut self.stream).poll_read(context, buffer);
        if has_room && buffer.filled().len() == before && matches!(poll, Poll::Ready(Ok(()))) {
            return self.poll_end(context).map(Ok);
        }
        if let Some(bytes) = buffer.filled().get(before..).filter(|bytes| !bytes.is_empty()) {
            self.presence.moves();
            self.see(bytes);
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(poll)
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
        let poll = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.written(poll)
    }
}

/// The frames of HTTP/2, as far as heads go.
#[derive(Debug, Default)]
struct Frames {
    header: [u8; 9],
    /// Bytes of the present frame's header that came.
    came: usize,
    /// Bytes of its payload that are to come.
    left: usize,
    /// With it ends a head.
    ends_head: bool,
    /// A head has begun and not ended.
    in_head: bool,
}

impl Frames {
    const HEADERS: u8 = 1;
    const CONTINUATION: u8 = 9;
    const END_HEADERS: u8 = 4;

    fn see(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let skipped = self.left.min(bytes.len());
                self.left -= skipped;
                bytes = bytes.get(skipped..).unwrap_or_default();
            } else {
                if let Some(place) = self.header.get_mut(self.came) {
                    *place = *first;
                }
                self.came += 1;
                bytes = rest;
                if self.came < self.header.len() {
                    continue;
                }
                self.came = 0;
                let [high, middle, low, kind, flags, ..] = self.header;
                self.left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
                self.in_head |= kind == Self::HEADERS;
                self.ends_head = [Self::HEADERS, Self::CONTINUATION].contains(&kind) && flags & Self::END_HEADERS != 0;
            }
            if self.left == 0 && self.ends_head {
                self.in_head = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::has;
    use super::*;

    fn watched() -> (Watched<tokio::io::Empty>, Arc<Presence>) {
        let presence = Arc::new(Presence::new());
        (Watched::new(tokio::io::empty(), presence.clone()), presence)
    }

    #[test]
    fn http1_heads_are_seen() {
        let (mut stream, presence) = watched();
        assert_eq!(has(&presence), Some(30), "it may send the first head that long");
        stream.see(b"PR");
        stream.see(b"OPFIND / HTTP/1.1\r\n\r\n");
        let request = presence.begin();
        assert_eq!((has(&presence), presence.idle_since()), (None, None));
        stream.see(b"a body");
        assert_eq!(has(&presence), None);
        drop(request);
        assert_eq!(has(&presence), Some(3600));
        assert!(presence.idle_since().is_some());
        stream.see(b"G");
        assert_eq!(has(&presence), Some(30));
    }

    #[test]
    fn http2_heads_are_seen() {
        let (mut stream, presence) = watched();
        for byte in PREFACE {
            assert_eq!(has(&presence), Some(30));
            stream.see(&[*byte]);
        }
        assert_eq!(has(&presence), Some(3600));
        // SETTINGS with nothing in it, HEADERS with 2 bytes, CONTINUATION with 1.
        stream.see(b"\0\0\0\x04\0\0\0\0\0");
        assert_eq!(has(&presence), Some(3600));
        stream.see(b"\0\0\x02\x01\0\0\0\0\x01");
        stream.see(b"\x82\x84");
        assert_eq!(has(&presence), Some(30));
        stream.see(b"\0\0\x01\x09\x04\0\0\0\x01");
        assert_eq!(has(&presence), Some(30));
        stream.see(b"\x86\0\0");
        assert_eq!(has(&presence), Some(3600));
        // A head with its end in one frame.
        stream.see(b"\x01\x01\x04\0\0\0\x03\x82");
        assert_eq!(has(&presence), Some(3600));
    }
}
