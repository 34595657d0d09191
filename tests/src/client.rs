//! A client that sends the very bytes it is told to.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use proxy_wasm_adapter_peers::http1::Head;
use proxy_wasm_adapter_peers::http1::blocking::Reader;

use crate::http2::{Ending, Fields, Message};

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// The head, unless none came.
    pub head: Option<Head>,
    /// The body.
    pub body: Vec<u8>,
    /// The trailers.
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
    /// How it ended, where it is not with the message.
    pub end: Option<&'static str>,
    /// What became of the connection afterwards, where that was asked.
    pub then: Option<Then>,
    /// How a response by HTTP/2 ended, and the code of the reset that came then.
    pub ending: Option<(Option<Ending>, Option<u32>)>,
}

/// What became of a connection after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It was closed.
    Closed,
    /// It was reset.
    Reset,
    /// The next request was answered.
    GoesOn,
}

/// Sends these bytes and reads one response.
///
/// # Errors
/// There is no connection.
pub fn send(address: SocketAddr, request: &[u8], patience: Duration) -> io::Result<Reply> {
    exchange(address, patience, Told::default(), &Received::default(), |stream, _| stream.write_all(request), || {})
}

/// What is known of an exchange before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    /// The request's method is HEAD.
    pub to_head: bool,
    /// Look at what becomes of the connection.
    pub looks_on: bool,
}

/// Sends what `write` sends and reads one response at the same time. `write` is told when the response is there, after
/// which nothing matters that it does; the connection ends after `stay`, which a whole response leads to.
///
/// # Errors
/// There is no connection.
pub fn exchange(
    address: SocketAddr,
    patience: Duration,
    told: Told,
    received: &Received,
    write: impl FnOnce(&mut TcpStream, &AtomicBool) -> io::Result<()> + Send,
    stay: impl FnOnce(),
) -> io::Result<Reply> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let mut writer = stream.try_clone()?;
    let finished = AtomicBool::new(false);
    let reply = thread::scope(|scope| {
        // A peer that closes early makes writing fail; what it answered tells why.
        let writing = scope.spawn(|| write(&mut writer, &finished));
        let mut reader = Reader::new(Tee { stream: &stream, received });
        let mut reply = read(&mut reader, told.to_head);
        if reply.end.is_none() {
            stay();
        }
        if told.looks_on {
            reply.then = then(&stream, &mut reader, &reply);
        }
        finished.store(true, Ordering::SeqCst);
        // Wakes a writer that is blocked.
        let _ = stream.shutdown(Shutdown::Both);
        let _ = writing.join();
        reply
    });
    Ok(reply)
}

/// What came so far, for others to wait for.
#[derive(Clone, Debug, Default)]
pub struct Received(Arc<(Mutex<Vec<u8>>, Condvar)>);

impl Received {
    /// Adds what came.
    pub fn add(&self, bytes: &[u8]) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        self.0.1.notify_all();
    }

    /// Whether this text comes within this time.
    pub fn wait_for(&self, text: &[u8], time: Duration) -> bool {
        let bytes = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = |bytes: &mut Vec<u8>| !bytes.windows(text.len()).any(|window| window == text);
        let waited = self.0.1.wait_timeout_while(bytes, time, missing);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

/// Reads from a connection and notes what came.
struct Tee<'a> {
    stream: &'a TcpStream,
    received: &'a Received,
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.stream.read(buffer)?;
        self.received.add(&buffer[..size]);
        Ok(size)
    }
}

/// What becomes of the connection after this reply: one that was not said to be closed is asked once more.
fn then(mut stream: &TcpStream, reader: &mut Reader<impl Read>, reply: &Reply) -> Option<Then> {
    let closes = |head: &Head| head.get("connection").is_some_and(|value| value.eq_ignore_ascii_case(b"close"));
    if reply.end.is_none() && !reply.head.as_ref().is_some_and(closes) {
        // Where it is closed by now, reading tells.
        let _ = stream.write_all(b"GET /and-then HTTP/1.1\r\nhost: example.test\r\n\r\n");
    }
    match reader.head() {
        Ok(Some(_)) => Some(Then::GoesOn),
        Ok(None) => Some(Then::Closed),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Some(Then::Reset),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Some(Then::Closed),
        // Neither.
        Err(_) => None,
    }
}

impl From<Message> for Reply {
    fn from(message: Message) -> Self {
        let head = |headers: Fields| {
            let status = headers.iter().find(|(name, _)| name == b":status");
            let status = status.map(|(_, value)| value.as_slice()).unwrap_or_default();
            Head { start: [b"HTTP/2 ", status].concat(), headers }
        };
        Self {
            head: message.head.map(head),
            body: message.data,
            trailers: message.trailers,
            end: None,
            then: None,
            ending: Some((message.ending, message.after)),
        }
    }
}

fn read(reader: &mut Reader<impl Read>, to_head: bool) -> Reply {
    loop {
        match reader.head() {
            // An interim response.
            Ok(Some(head)) if head.is_interim() => {}
            Ok(Some(head)) => {
                let body = reader.response_body(&head, to_head);
                let end = body.cut.then_some("cut off");
                return Reply { head: Some(head), body: body.bytes, trailers: body.trailers, end, ..Reply::default() };
            }
            Ok(None) => return Reply { end: Some("closed without an answer"), ..Reply::default() },
            Err(error) => {
                let end = match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer",
                    _ => "closed without an answer",
                };
                return Reply { end: Some(end), body: reader.rest().to_vec(), ..Reply::default() };
            }
        }
    }
}
