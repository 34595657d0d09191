//! HTTP/1.1 read as plainly as can be: what is shown of a message is what was on the wire, byte for byte.
//!
//! A reader takes heads that a server would refuse. Who reads decides what is no HTTP.

pub mod blocking;

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes of a head, of trailers, or of the line before a chunk.
const LARGEST_HEAD: usize = 4 << 20;

/// Names and values in the order of the connection, as they came.
pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// A message's first line and headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The first line.
    pub start: Vec<u8>,
    /// The headers.
    pub headers: Fields,
}

/// How long a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// This many bytes.
    Bytes(usize),
    /// Until a chunk of no length, and trailers.
    Chunks,
    /// Until the connection is closed.
    Rest,
}

/// Why a message is not all there.
#[derive(Debug)]
pub enum Broken {
    /// The connection was closed before its end.
    Closed,
    /// The connection failed.
    Failed(io::Error),
    /// It is no HTTP.
    Garbage(String),
}

/// Where a body goes while it comes.
pub trait Sink {
    /// A piece of it.
    ///
    /// # Errors
    /// It is too much.
    fn data(&mut self, bytes: &[u8]) -> Result<(), Broken>;

    /// A trailer.
    ///
    /// # Errors
    /// It is too much.
    fn trailer(&mut self, name: &[u8], value: &[u8]) -> Result<(), Broken>;
}

impl Head {
    /// The first header of this name, which is in lower case.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| value.as_slice())
    }

    /// The second word of the first line: a response's status, or what a request asks for.
    pub fn second(&self) -> &[u8] {
        self.start.split(|byte| *byte == b' ').nth(1).unwrap_or_default()
    }

    /// The status of a response.
    pub fn status(&self) -> &[u8] {
        self.second()
    }

    /// The number in `content-length`; an error with what stands there if it is none.
    ///
    /// # Errors
    /// It is no number.
    pub fn content_length(&self) -> Result<Option<usize>, String> {
        let Some(value) = self.get("content-length") else { return Ok(None) };
        let text = String::from_utf8_lossy(value);
        text.trim().parse().map(Some).map_err(|_| text.into_owned())
    }

    /// How long the body is, where a header says it.
    ///
    /// # Errors
    /// As for [`content_length`](Self::content_length).
    pub fn length(&self) -> Result<Option<Length>, String> {
        match self.get("transfer-encoding") {
            Some(coding) if coding.to_ascii_lowercase().ends_with(b"chunked") => Ok(Some(Length::Chunks)),
            Some(_) => Ok(Some(Length::Rest)),
            None => Ok(self.content_length()?.map(Length::Bytes)),
        }
    }

    /// Whether a response has no body whatever its headers say. `to_head`: the request's method was `HEAD`.
    pub fn is_without_body(&self, to_head: bool) -> bool {
        to_head || matches!(self.status(), b"204" | b"304")
    }

    /// Whether the real response is still to come.
    pub fn is_interim(&self) -> bool {
        self.status().starts_with(b"1") && self.status() != b"101"
    }
}

/// Reads messages from a connection.
#[derive(Debug)]
pub struct Reader<R> {
    connection: R,
    read: BytesMut,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// Nothing read yet.
    pub fn new(connection: R) -> Self {
        Self { connection, read: BytesMut::new() }
    }

    /// What came and was not read as a message.
    pub fn rest(&self) -> &[u8] {
        &self.read
    }

    /// Reads more; false at the end of the connection.
    async fn more(&mut self) -> Result<bool, Broken> {
        self.connection.read_buf(&mut self.read).await.map(|count| count > 0).map_err(Broken::Failed)
    }

    /// Reads more of what has to have an end.
    async fn goes_on(&mut self) -> Result<(), Broken> {
        if self.read.len() > LARGEST_HEAD {
            return Err(Broken::Garbage(format!("its head is larger than {LARGEST_HEAD} bytes")));
        }
        if self.more().await? { Ok(()) } else { Err(Broken::Closed) }
    }

    /// The next head, or nothing where the connection ends before it begins. It has to begin like this.
    ///
    /// # Errors
    /// It is not all there, or begins with something else.
    pub async fn head(&mut self, begin: &[u8]) -> Result<Option<Head>, Broken> {
        let end = loop {
            let there = self.read.len().min(begin.len());
            if self.read[..there] != begin[..there] {
                let line = self.read[..].split(|byte| *byte == b'\n').next().unwrap_or_default();
                let line = String::from_utf8_lossy(&line[..line.len().min(100)]).into_owned();
                return Err(Broken::Garbage(format!("`{}` begins no message", line.trim_end())));
            }
            if let Some(end) = find(&self.read, b"\r\n\r\n") {
                break end;
            }
            match self.goes_on().await {
                Err(Broken::Closed) if self.read.is_empty() => return Ok(None),
                result => result?,
            }
        };
        let bytes = self.read.split_to(end + 4);
        let mut lines = bytes[..end].split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let start = lines.next().unwrap_or_default().to_vec();
        let owned = |(name, value): (&[u8], &[u8])| (name.to_vec(), value.to_vec());
        Ok(Some(Head { start, headers: lines.map(field).map(owned).collect() }))
    }

    /// A body, and its trailers.
    ///
    /// # Errors
    /// It is not all there, or the sink takes no more.
    pub async fn body(&mut self, length: Length, into: &mut impl Sink) -> Result<(), Broken> {
        match length {
            Length::Bytes(count) => self.bytes(count, into).await,
            Length::Rest => loop {
                into.data(&self.read.split())?;
                if !self.more().await? {
                    return Ok(());
                }
            },
            Length::Chunks => loop {
                let line = self.line().await?;
                let line = String::from_utf8_lossy(&line).into_owned();
                let digits = line.split(';').next().unwrap_or("").trim();
                let no_chunk = |_| Broken::Garbage(format!("`{line}` is no length of a chunk"));
                let count = usize::from_str_radix(digits, 16).map_err(no_chunk)?;
                if count == 0 {
                    return self.trailers(into).await;
                }
                self.bytes(count, into).await?;
                if !self.line().await?.is_empty() {
                    return Err(Broken::Garbage("a chunk is longer than it says".into()));
                }
            },
        }
    }

    async fn bytes(&mut self, mut count: usize, into: &mut impl Sink) -> Result<(), Broken> {
        loop {
            let here = count.min(self.read.len());
            into.data(&self.read[..here])?;
            self.read.advance(here);
            count -= here;
            if count == 0 {
                return Ok(());
            }
            if !self.more().await? {
                return Err(Broken::Closed);
            }
        }
    }

    async fn line(&mut self) -> Result<BytesMut, Broken> {
        loop {
            if let Some(end) = find(&self.read, b"\r\n") {
                let mut line = self.read.split_to(end + 2);
                line.truncate(end);
                return Ok(line);
            }
            self.goes_on().await?;
        }
    }

    async fn trailers(&mut self, into: &mut impl Sink) -> Result<(), Broken> {
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok(());
            }
            let (name, value) = field(&line);
            into.trailer(name, value)?;
        }
    }
}

/// A header's name, and its value without the one space before it.
fn field(line: &[u8]) -> (&[u8], &[u8]) {
    let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
    let value = line.get(colon + 1..).unwrap_or_default();
    (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

#[cfg(test)]
mod tests {
    use super::blocking::{Body, Reader};
    use super::*;

    fn response(mut bytes: &[u8]) -> (Head, Body) {
        let mut reader = Reader::new(&mut bytes);
        let head = reader.head().unwrap().unwrap();
        let body = reader.response_body(&head, false);
        (head, body)
    }

    fn body(bytes: &str, cut: bool) -> Body {
        Body { bytes: bytes.into(), cut, ..Body::default() }
    }

    #[test]
    fn reads_what_ends_in_each_way() {
        assert_eq!(response(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nabc").1, body("ab", false));
        assert_eq!(response(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nabc").1, body("abc", true));
        assert_eq!(response(b"HTTP/1.1 200 OK\r\n\r\nabc").1, body("abc", false));
        assert_eq!(response(b"HTTP/1.1 204 No Content\r\n\r\nabc").1, body("", false));
        let chunks =
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nx-t:  1\r\n\r\n";
        let whole = Body { trailers: vec![(b"x-t".to_vec(), b" 1".to_vec())], ..body("abc", false) };
        assert_eq!(response(chunks).1, whole);
        assert_eq!(response(&chunks[..chunks.len() - 2]).1, Body { cut: true, ..whole });
        assert_eq!(response(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n").1, body("", true));
    }

    #[test]
    fn shows_a_head_as_it_came() {
        let (head, _) = response(b"HTTP/1.1 200 \xff\r\nX-A:  1 \r\nno colon\r\nx-a: 2\r\n\r\n");
        assert_eq!((head.start.as_slice(), head.status()), (&b"HTTP/1.1 200 \xff"[..], &b"200"[..]));
        let pair = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        assert_eq!(head.headers, [pair("X-A", " 1 "), pair("no colon", ""), pair("x-a", "2")]);
        assert_eq!(head.get("x-a"), Some(&b" 1 "[..]));
    }

    #[test]
    fn tells_what_is_no_head() {
        let head = |mut bytes: &[u8]| Reader::new(&mut bytes).head();
        assert_eq!(head(b"").unwrap(), None);
        assert_eq!(head(b"HTTP/1.1 200").unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let begins = |bytes: &'static [u8]| {
            blocking::now(super::Reader::new(bytes).head(b"HTTP/1.")).map_err(|error| format!("{error:?}"))
        };
        assert_eq!(begins(b"hello\nyou").unwrap_err(), "Garbage(\"`hello` begins no message\")");
        assert_eq!(begins(b"HTT").unwrap_err(), "Closed");
    }

    #[test]
    fn passes_on_what_is_too_long_to_keep() {
        let mut bytes = &b"abcdef"[..];
        let mut reader = Reader::new(&mut bytes);
        let mut taken = Vec::new();
        let mut take = |bytes: &[u8]| {
            taken.extend_from_slice(bytes);
            Ok(())
        };
        assert_eq!(reader.pass(4, &mut take).unwrap(), 4);
        assert_eq!(reader.pass(4, &mut take).unwrap(), 2);
        assert_eq!(taken, b"abcdef");
    }
}
