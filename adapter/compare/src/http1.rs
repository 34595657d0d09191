//! HTTP/1.1 on a connection, read and written as plainly as can be: what a comparison shows is what was on the wire.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use proxy_wasm_adapter_peers::http1::{self, Broken, Fields, Head, Length, Sink};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::message::{End, Message};
use super::requests::{Body, Headers, LARGEST};

/// Reads messages from a connection.
pub(super) struct Reader<R>(http1::Reader<R>);

/// A message that others look at while it comes.
pub(super) struct Coming(pub(super) Arc<Mutex<Message>>);

impl Sink for Message {
    fn data(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        if self.body.len() + bytes.len() > LARGEST {
            return Err(Broken::Garbage(format!("the body is larger than {LARGEST} bytes")));
        }
        self.body.extend_from_slice(bytes);
        Ok(())
    }

    fn trailer(&mut self, name: &[u8], value: &[u8]) -> Result<(), Broken> {
        self.trailers.push(header(name, value));
        Ok(())
    }
}

impl Sink for Coming {
    fn data(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).data(bytes)
    }

    fn trailer(&mut self, name: &[u8], value: &[u8]) -> Result<(), Broken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).trailer(name, value)
    }
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(super) fn new(connection: R) -> Self {
        Self(http1::Reader::new(connection))
    }

    /// The head of a request into this message, and how long its body is. Nothing where no request comes any more.
    pub(super) async fn request(&mut self, into: &mut Message) -> Result<Option<Length>, End> {
        let Some(head) = self.0.head(b"").await.map_err(broken)? else { return Ok(None) };
        let first = String::from_utf8_lossy(&head.start).into_owned();
        let asked = first.strip_suffix(" HTTP/1.1").or_else(|| first.strip_suffix(" HTTP/1.0"));
        into.first = Some(asked.ok_or_else(|| End::Garbage(format!("`{first}` begins no request")))?.to_owned());
        into.headers = owned(&head.headers);
        length(&head).map(|length| Some(length.unwrap_or(Length::Bytes(0))))
    }

    /// The head of a response into this message, and how long its body is. Heads of interim responses are passed over.
    pub(super) async fn response(&mut self, method: &str, into: &mut Message) -> Result<Length, End> {
        loop {
            let head = self.0.head(b"HTTP/1.").await.map_err(broken)?.ok_or(End::Closed)?;
            if head.is_interim() {
                continue;
            }
            into.first = Some(String::from_utf8_lossy(head.status()).into_owned());
            into.headers = owned(&head.headers);
            if head.is_without_body(method == "HEAD") {
                return Ok(Length::Bytes(0));
            }
            return length(&head).map(|length| length.unwrap_or(Length::Rest));
        }
    }

    /// The body and the trailers into a message.
    pub(super) async fn body(&mut self, length: Length, into: &mut impl Sink) -> Result<(), End> {
        self.0.body(length, into).await.map_err(broken)
    }
}

fn broken(broken: Broken) -> End {
    match broken {
        Broken::Closed => End::Closed,
        Broken::Failed(error) => end(&error),
        Broken::Garbage(reason) => End::Garbage(reason),
    }
}

/// What an error on a connection means for a message.
pub(super) fn end(error: &io::Error) -> End {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => End::Reset(None),
        _ => End::Reset(Some(error.to_string())),
    }
}

fn owned(fields: &Fields) -> Headers {
    fields.iter().map(|(name, value)| header(name, value)).collect()
}

fn header(name: &[u8], value: &[u8]) -> (String, Vec<u8>) {
    (String::from_utf8_lossy(name).into_owned(), value.trim_ascii().to_vec())
}

fn length(head: &Head) -> Result<Option<Length>, End> {
    head.length().map_err(|text| End::Garbage(format!("`{text}` is no content-length")))
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
    headers.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case("transfer-encoding") && value.to_ascii_lowercase().ends_with(b"chunked")
    })
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
