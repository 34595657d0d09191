//! Sends one request, on a connection of its own, and takes what comes.

mod http2;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use super::http1::{self, Reader};
use super::message::{End, Message, Then};
use super::requests::{Headers, Request, Version};

/// How long a connection that is said to be closed may stay open.
const BEFORE_CLOSE: Duration = Duration::from_secs(2);

/// What a whole response came on: it stays until what follows has been looked at.
pub(super) enum Held {
    Http1 { connection: TcpStream, is_to_close: bool },
    Http2(http2::Held),
}

impl Held {
    /// What became of it. What a peer does without being asked, it has done by now, unless it said that it will close.
    pub(super) async fn then(self) -> Option<Then> {
        match self {
            Self::Http1 { connection, is_to_close } => Some(then(&connection, is_to_close).await),
            Self::Http2(held) => held.then().await,
        }
    }
}

/// Sends a request to this address, with this `host` unless it has its own; waits this long at most. A connection that
/// brought less than a whole response is closed.
pub(super) async fn send(
    request: &Request,
    address: SocketAddr,
    host: &str,
    patience: Duration,
) -> (Message, Option<Held>) {
    let mut message = Message::default();
    let headers = headers(request, host);
    let exchange = async {
        match request.version {
            Version::Http1 => http1(request, &headers, address, &mut message).await,
            Version::Http2 => http2::exchange(request, &headers, address, &mut message).await.map(Held::Http2),
        }
    };
    let patience = request.timeout.unwrap_or(patience);
    let (limit, given_up) = match request.abort {
        Some(time) if time < patience => (time, End::Aborted),
        _ => (patience, End::TimedOut(patience)),
    };
    // Going away drops the connection.
    let (end, held) = match tokio::time::timeout(limit, exchange).await {
        Ok(Ok(held)) => (End::Complete, Some(held)),
        Ok(Err(end)) => (end, None),
        Err(_) => (given_up, None),
    };
    message.end = end;
    (message, held)
}

/// The headers that are sent: `host` first, then the request's own, then what tells the body's length.
fn headers(request: &Request, host: &str) -> Headers {
    let mut headers = Headers::new();
    if !request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        headers.push(("host".into(), host.as_bytes().to_vec()));
    }
    headers.extend_from_slice(&request.headers);
    if request.version == Version::Http1 && (!request.body.is_empty() || !request.trailers.is_empty()) {
        let mut body = request.body.clone();
        body.chunked |= !request.trailers.is_empty();
        headers.extend(http1::framing(&request.headers, &body));
    }
    headers
}

async fn connect(address: SocketAddr) -> Result<TcpStream, End> {
    let connected = TcpStream::connect(address).await.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
    connected.map_err(|error| End::Unconnected(error.to_string()))
}

async fn http1(request: &Request, headers: &Headers, address: SocketAddr, into: &mut Message) -> Result<Held, End> {
    let mut connection = connect(address).await?;
    let (from, mut to) = connection.split();
    let mut reader = Reader::new(from);
    let head = http1::request_head(&request.method, &request.path, headers);
    let sending = async {
        // A response may come before the request is sent, and the connection be closed then: that is no error.
        let _ = http1::write(&mut to, head, headers, &request.body, &request.trailers, None).await;
        std::future::pending::<()>().await;
    };
    let reading = async {
        let length = reader.response(&request.method, into).await?;
        reader.body(length, into).await
    };
    tokio::select! {
        result = reading => result?,
        () = sending => {}
    }
    let closes = |(name, value): &(String, Vec<u8>)| {
        name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case(b"close")
    };
    Ok(Held::Http1 { connection, is_to_close: into.headers.iter().any(closes) })
}

/// What became of a connection of HTTP/1.1.
async fn then(connection: &TcpStream, is_to_close: bool) -> Then {
    if is_to_close {
        // Where it stays open, reading finds nothing.
        let _ = tokio::time::timeout(BEFORE_CLOSE, connection.readable()).await;
    }
    let mut byte = [0];
    loop {
        match connection.try_read(&mut byte) {
            Ok(0) => return Then::Closed,
            // More than the response.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Then::Kept,
            Err(_) => return Then::Reset,
        }
    }
}
