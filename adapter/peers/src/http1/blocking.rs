//! The same reader for threads.

use std::io::{self, Read};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Buf;
use tokio::io::{AsyncRead, ReadBuf};

use super::{Broken, Fields, Head, Length, Sink};

/// A message's body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// All of it that came.
    pub bytes: Vec<u8>,
    /// The trailers.
    pub trailers: Fields,
    /// There is no more of it because the connection ended before it did.
    pub cut: bool,
}

impl Sink for Body {
    fn data(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn trailer(&mut self, name: &[u8], value: &[u8]) -> Result<(), Broken> {
        self.trailers.push((name.to_vec(), value.to_vec()));
        Ok(())
    }
}

/// Reads messages from a connection.
#[derive(Debug)]
pub struct Reader<R>(super::Reader<Blocking<R>>);

impl<R: Read> Reader<R> {
    /// Nothing read yet.
    pub fn new(connection: R) -> Self {
        Self(super::Reader::new(Blocking(connection)))
    }

    /// What came and was not read as a message.
    pub fn rest(&self) -> &[u8] {
        self.0.rest()
    }

    /// The next head, or nothing where the connection ends before it begins.
    ///
    /// # Errors
    /// It is not all there.
    pub fn head(&mut self) -> io::Result<Option<Head>> {
        now(self.0.head(b"")).map_err(|broken| match broken {
            Broken::Closed => io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended within a head"),
            Broken::Failed(error) => error,
            Broken::Garbage(reason) => io::Error::new(io::ErrorKind::InvalidData, reason),
        })
    }

    /// The body of a request.
    pub fn request_body(&mut self, head: &Head) -> Body {
        match head.length() {
            Ok(Some(length @ (Length::Bytes(_) | Length::Chunks))) => self.body(length),
            Ok(Some(Length::Rest)) => self.body(Length::Bytes(head.content_length().ok().flatten().unwrap_or(0))),
            Ok(None) | Err(_) => Body::default(),
        }
    }

    /// The body of a response.
    pub fn response_body(&mut self, head: &Head, to_head: bool) -> Body {
        if head.is_without_body(to_head) {
            return Body::default();
        }
        match head.length() {
            Ok(Some(Length::Chunks)) => self.body(Length::Chunks),
            _ => self.body(head.content_length().ok().flatten().map_or(Length::Rest, Length::Bytes)),
        }
    }

    fn body(&mut self, length: Length) -> Body {
        let mut body = Body::default();
        let result = now(self.0.body(length, &mut body));
        // What goes on until the end is whole whichever end that is.
        Body { cut: result.is_err() && length != Length::Rest, ..body }
    }

    /// Passes on as much of what follows as comes, up to this many bytes; how many there were.
    ///
    /// # Errors
    /// The connection's, or what `take` returns.
    pub fn pass(&mut self, length: u64, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<u64> {
        let reader = &mut self.0;
        let mut passed = 0;
        while passed < length {
            if reader.read.is_empty() {
                match now(reader.more()) {
                    Ok(true) => {}
                    Err(Broken::Failed(error)) => return Err(error),
                    _ => break,
                }
            }
            let size = usize::try_from(length - passed).unwrap_or(usize::MAX).min(reader.read.len());
            take(&reader.read[..size])?;
            reader.read.advance(size);
            passed += size as u64;
        }
        Ok(passed)
    }
}

/// A connection that is read while its thread waits.
#[derive(Debug)]
struct Blocking<R>(R);

/// Nothing points into it.
impl<R> Unpin for Blocking<R> {}

impl<R: Read> AsyncRead for Blocking<R> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let size = self.0.read(into.initialize_unfilled())?;
        into.advance(size);
        Poll::Ready(Ok(()))
    }
}

/// What a future comes to that waits for nothing but [`Blocking`].
pub(super) fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("such a connection is always ready"),
    }
}
