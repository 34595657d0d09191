//! A client that sends the very bytes it is told to.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::http1::{Head, Reader};

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
}

/// Sends these bytes and reads one response.
///
/// # Errors
/// There is no connection.
pub fn send(address: SocketAddr, request: &[u8], patience: Duration) -> io::Result<Reply> {
    exchange(address, patience, false, &Received::default(), |stream, _| stream.write_all(request), || {})
}

/// Sends what `write` sends and reads one response at the same time. `write` is told when the response is there, after
/// which nothing matters that it does; the connection ends after `stay`,
/// which a whole response leads to.
///
/// # Errors
/// There is no connection.
pub fn exchange(
    address: SocketAddr,
    patience: Duration,
    to_head: bool,
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
        let reply = read(Tee { stream: &stream, received }, to_head);
        if reply.end.is_none() {
            stay();
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
        self.received.0.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..size]);
        self.received.0.1.notify_all();
        Ok(size)
    }
}

fn read(stream: impl Read, to_head: bool) -> Reply {
    let mut reader = Reader::new(stream);
    loop {
        match reader.head() {
            // An interim response.
            Ok(Some(head)) if head.status().starts_with(b"1") && head.status() != b"101" => {}
            Ok(Some(head)) => {
                let body = reader.response_body(&head, to_head);
                let end = body.cut.then_some("cut off");
                return Reply { head: Some(head), body: body.bytes, trailers: body.trailers, end };
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
