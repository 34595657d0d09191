//! HTTP/1.1 on a connection, read and written as plainly as can be: what a comparison shows is what was on the wire.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::message::{End, Message};
use super::requests::{Body, Headers, LARGEST};

/// Headers of one message.
const MOST_HEADERS: usize = 4096;

/// Bytes of a head.
const LARGEST_HEAD: usize = 4 << 20;

/// Reads messages from a connection.
pub(super) struct Reader<R> {
    connection: R,
    read: BytesMut,
}

/// Where what comes is kept: a message, or one that others look at while it comes.
pub(super) trait Sink {
    /// Adds something to it.
    fn add(&mut self, change: impl FnOnce(&mut Message) -> Result<(), End>) -> Result<(), End>;
}

impl Sink for Message {
    fn add(&mut self, change: impl FnOnce(&mut Message) -> Result<(), End>) -> Result<(), End> {
        change(self)
    }
}

impl Sink for Arc<Mutex<Message>> {
    fn add(&mut self, change: impl FnOnce(&mut Message) -> Result<(), End>) -> Result<(), End> {
        change(&mut self.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How long a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Bytes(usize),
    Chunks,
    /// Until the connection is closed.
    Rest,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(super) fn new(connection: R) -> Self {
        Self { connection, read: BytesMut::new() }
    }

    /// Reads more; false at the end of the connection.
    async fn more(&mut self) -> Result<bool, End> {
        self.connection.read_buf(&mut self.read).await.map(|count| count > 0).map_err(|error| end(&error))
    }

    /// The head of a request into this message, and how long its body is. Nothing where no request comes any more.
    pub(super) async fn request(&mut self, into: &mut Message) -> Result<Option<Length>, End> {
        loop {
            let mut headers = vec![httparse::EMPTY_HEADER; MOST_HEADERS];
            let mut request = httparse::Request::new(&mut headers);
            let parsed = request.parse(&self.read).map_err(|error| End::Garbage(error.to_string()))?;
            if let httparse::Status::Complete(size) = parsed {
                into.first = Some(format!("{} {}", request.method.unwrap_or(""), request.path.unwrap_or("")));
                into.headers = owned(request.headers);
                self.read.advance(size);
                return length(&into.headers).map(|length| Some(length.unwrap_or(Length::Bytes(0))));
            }
            if !self.goes_on().await? {
                return if self.read.is_empty() { Ok(None) } else { Err(End::Closed) };
            }
        }
    }

    /// The head of a response into this message, and how long its body is. Heads of interim responses are passed over.
    pub(super) async fn response(&mut self, method: &str, into: &mut Message) -> Result<Length, End> {
        loop {
            let mut headers = vec![httparse::EMPTY_HEADER; MOST_HEADERS];
            let mut response = httparse::Response::new(&mut headers);
            let parsed = response.parse(&self.read).map_err(|error| End::Garbage(error.to_string()))?;
            if let httparse::Status::Complete(size) = parsed {
                let status = response.code.unwrap_or(0);
                let headers = owned(response.headers);
                self.read.advance(size);
                if (100..200).contains(&status) && status != 101 {
                    continue;
                }
                into.first = Some(status.to_string());
                into.headers = headers;
                if method == "HEAD" || matches!(status, 204 | 304) {
                    return Ok(Length::Bytes(0));
                }
                return length(&into.headers).map(|length| length.unwrap_or(Length::Rest));
            }
            if !self.goes_on().await? {
                return Err(End::Closed);
            }
        }
    }

    /// Reads more of a head.
    async fn goes_on(&mut self) -> Result<bool, End> {
        if self.read.len() > LARGEST_HEAD {
            return Err(End::Garbage(format!("its head is larger than {LARGEST_HEAD} bytes")));
        }
        self.more().await
    }

    /// The body and the trailers into a message.
    pub(super) async fn body(&mut self, length: Length, into: &mut impl Sink) -> Result<(), End> {
        match length {
            Length::Bytes(count) => self.bytes(count, into).await,
            Length::Rest => loop {
                self.take(self.read.len(), into)?;
                if !self.more().await? {
                    return Ok(());
                }
            },
            Length::Chunks => loop {
                let line = self.line().await?;
                let digits = line.split(';').next().unwrap_or("").trim();
                let no_chunk = || End::Garbage(format!("`{line}` is no length of a chunk"));
                let count = usize::from_str_radix(digits, 16).map_err(|_| no_chunk())?;
                if count == 0 {
                    return self.trailers(into).await;
                }
                self.bytes(count, into).await?;
                if !self.line().await?.is_empty() {
                    return Err(End::Garbage("a chunk is longer than it says".into()));
                }
            },
        }
    }

    async fn bytes(&mut self, mut count: usize, into: &mut impl Sink) -> Result<(), End> {
        loop {
            let here = count.min(self.read.len());
            self.take(here, into)?;
            count -= here;
            if count == 0 {
                return Ok(());
            }
            if !self.more().await? {
                return Err(End::Closed);
            }
        }
    }

    fn take(&mut self, count: usize, into: &mut impl Sink) -> Result<(), End> {
        let bytes = self.read.split_to(count);
        into.add(|message| {
            if message.body.len() + bytes.len() > LARGEST {
                return Err(End::Garbage(format!("the body is larger than {LARGEST} bytes")));
            }
            message.body.extend_from_slice(&bytes);
            Ok(())
        })
    }

    async fn line(&mut self) -> Result<String, End> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line = self.read.split_to(end + 1);
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if !self.goes_on().await? {
                return Err(End::Closed);
            }
        }
    }

    async fn trailers(&mut self, into: &mut impl Sink) -> Result<(), End> {
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(':') else { return Ok(()) };
            let trailer = (name.to_owned(), value.trim().as_bytes().to_vec());
            into.add(|message| {
                message.trailers.push(trailer);
                Ok(())
            })?;
        }
    }
}

/// What an error on a connection means for a message.
pub(super) fn end(error: &io::Error) -> End {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => End::Reset(None),
        _ => End::Reset(Some(error.to_string())),
    }
}

fn owned(headers: &[httparse::Header<'_>]) -> Headers {
    headers.iter().map(|header| (header.name.to_owned(), header.value.to_vec())).collect()
}

fn length(headers: &Headers) -> Result<Option<Length>, End> {
    let find = |name: &str| headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name));
    if let Some((_, value)) = find("transfer-encoding") {
        let is_chunked = String::from_utf8_lossy(value).to_ascii_lowercase().contains("chunked");
        return Ok(Some(if is_chunked { Length::Chunks } else { Length::Rest }));
    }
    let Some((_, value)) = find("content-length") else { return Ok(None) };
    let text = String::from_utf8_lossy(value);
    let count = text.trim().parse().map_err(|_| End::Garbage(format!("`{text}` is no content-length")))?;
    Ok(Some(Length::Bytes(count)))
}

/// The head of a request.
pub(super) fn request_head(method: &str, path: &str, headers: &Headers) -> Vec<u8> {
    head(format!("{method} {path} HTTP/1.1\r\n"), headers)
}

/// The head of a response.
pub(super) fn response_head(status: u16, headers: &Headers) -> Vec<u8> {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("");
    head(format!("HTTP/1.1 {status} {reason}\r\n"), headers)
}

fn head(first: String, headers: &Headers) -> Vec<u8> {
    let mut head = first.into_bytes();
    for (name, value) in headers {
        field(&mut head, name, value);
    }
    head.extend_from_slice(b"\r\n");
    head
}

fn field(into: &mut Vec<u8>, name: &str, value: &[u8]) {
    into.extend_from_slice(name.as_bytes());
    into.extend_from_slice(b": ");
    into.extend_from_slice(value);
    into.extend_from_slice(b"\r\n");
}

/// The header that tells the body's length, unless the headers have one.
pub(super) fn framing(headers: &Headers, body: &Body) -> Option<(String, Vec<u8>)> {
    let is_framing =
        |name: &str| ["content-length", "transfer-encoding"].iter().any(|framing| name.eq_ignore_ascii_case(framing));
    if headers.iter().any(|(name, _)| is_framing(name)) {
        return None;
    }
    Some(if body.chunked {
        ("transfer-encoding".into(), b"chunked".to_vec())
    } else {
        ("content-length".into(), body.len().to_string().into_bytes())
    })
}

/// Whether the headers say that the body comes in chunks.
fn in_chunks(headers: &Headers) -> bool {
    matches!(length(headers), Ok(Some(Length::Chunks)))
}

/// Writes a message: what was built of its head, then its body, cut off after `most` bytes of it.
///
/// What is not waited for is written at once, as a server or client with all of it at hand would.
pub(super) async fn write<W: AsyncWrite + Unpin>(
    connection: &mut W,
    head: Vec<u8>,
    headers: &Headers,
    body: &Body,
    trailers: &Headers,
    most: Option<usize>,
) -> io::Result<()> {
    let chunked = in_chunks(headers);
    let mut pending = head;
    let mut left = most.unwrap_or(usize::MAX);
    for piece in &body.pieces {
        if piece.after > Duration::ZERO {
            flush(connection, &mut pending).await?;
            tokio::time::sleep(piece.after).await;
        }
        let bytes = &piece.bytes[..piece.bytes.len().min(left)];
        if chunked && !piece.bytes.is_empty() {
            pending.extend_from_slice(format!("{:x}\r\n", piece.bytes.len()).as_bytes());
        }
        pending.extend_from_slice(bytes);
        left -= bytes.len();
        if most.is_some() && left == 0 {
            return flush(connection, &mut pending).await;
        }
        if chunked && !piece.bytes.is_empty() {
            pending.extend_from_slice(b"\r\n");
        }
    }
    if chunked {
        pending.extend_from_slice(b"0\r\n");
        for (name, value) in trailers {
            field(&mut pending, name, value);
        }
        pending.extend_from_slice(b"\r\n");
    }
    flush(connection, &mut pending).await
}

async fn flush<W: AsyncWrite + Unpin>(connection: &mut W, pending: &mut Vec<u8>) -> io::Result<()> {
    connection.write_all(pending).await?;
    pending.clear();
    connection.flush().await
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::requests::Piece;

    async fn response(bytes: &[u8], method: &str) -> Message {
        let mut message = Message::default();
        let mut reader = Reader::new(bytes);
        let read = async {
            let length = reader.response(method, &mut message).await?;
            reader.body(length, &mut message).await
        };
        let end = read.await.err().unwrap_or(End::Complete);
        Message { end, ..message }
    }

    #[tokio::test]
    async fn reads_what_write_writes() {
        let body = |chunked| Body {
            pieces: ["ab", "", "c"].map(|text| Piece { bytes: Bytes::from(text), after: Duration::ZERO }).into(),
            chunked,
        };
        let trailers = vec![("x-t".to_owned(), b"1".to_vec())];
        for (chunked, sent) in [(true, &trailers), (false, &Vec::new())] {
            let body = body(chunked);
            let headers = vec![framing(&Vec::new(), &body).unwrap()];
            let mut bytes = Vec::new();
            write(&mut bytes, response_head(200, &headers), &headers, &body, sent, None).await.unwrap();
            let message = response(&bytes, "GET").await;
            assert_eq!(
                (message.status(), message.body.as_slice(), &message.end),
                (Some(200), &b"abc"[..], &End::Complete)
            );
            assert_eq!((&message.headers, &message.trailers), (&headers, sent));

            let mut cut = Vec::new();
            write(&mut cut, response_head(200, &headers), &headers, &body, sent, Some(2)).await.unwrap();
            let message = response(&cut, "GET").await;
            assert_eq!((message.body.as_slice(), message.end), (&b"ab"[..], End::Closed));
        }
    }

    #[tokio::test]
    async fn knows_where_there_is_no_body() {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
        assert_eq!(response(head, "HEAD").await.end, End::Complete);
        assert_eq!(response(head, "GET").await.end, End::Closed);
        let interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(response(interim, "GET").await.first.as_deref(), Some("204"));
        assert!(matches!(response(b"hello", "GET").await.end, End::Garbage(_)));
    }
}
