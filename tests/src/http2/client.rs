//! A client that speaks HTTP/2, known before.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::connection::Connection;
use super::frame::Frame;
use super::{Fields, Message};
use crate::client::Received;
use crate::message::{Action, Step, bytes, fields, framed};

/// The stream of the one request.
const STREAM: u32 = 1;

/// A request.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The head, pseudo-headers among it.
    pub head: Fields,
    /// What follows it.
    pub steps: Vec<Step>,
    /// The bytes that a response may have until more is asked for.
    pub window: Option<u32>,
}

impl Request {
    /// Sends it and takes what comes at the same time. `wait` waits for what an action names; it is told when the
    /// response is there. `stay` leads to the end of the connection, which comes after it.
    ///
    /// # Errors
    /// There is no connection.
    pub fn exchange(
        &self,
        address: SocketAddr,
        patience: Duration,
        received: &Received,
        wait: impl Fn(&Action, &AtomicBool) + Sync,
        stay: impl FnOnce(),
    ) -> io::Result<Message> {
        let connection = Connection::start(TcpStream::connect(address)?, true, self.window)?;
        let reading = {
            let (connection, received) = (connection.clone(), received.clone());
            thread::spawn(move || connection.read(|_| {}, |bytes| received.add(bytes)))
        };
        let finished = AtomicBool::new(false);
        thread::scope(|scope| {
            // Where the peer takes no more, its answer tells why.
            let writing = scope.spawn(|| self.write(&connection, &|action| wait(action, &finished)));
            connection.wait_for_end(STREAM, patience);
            let is_there = connection.message(STREAM).ending.is_some();
            finished.store(true, Ordering::SeqCst);
            if is_there {
                stay();
            }
            connection.settle(patience);
            let message = connection.message(STREAM);
            // Wakes a writer that is blocked, and the reader.
            let _ = connection.close();
            let _ = (writing.join(), reading.join());
            Ok(message)
        })
    }

    fn write(&self, connection: &Arc<Connection>, wait: &dyn Fn(&Action)) -> io::Result<()> {
        connection.wait_for_settings(Duration::from_secs(10));
        connection.fields(STREAM, &self.head, self.steps.is_empty())?;
        for (place, step) in self.steps.iter().enumerate() {
            let is_last = place + 1 == self.steps.len();
            match step {
                Step::Text(text) => connection.data(STREAM, &bytes(text), is_last)?,
                Step::Other(Action::Fill(byte, count)) => connection.data(STREAM, &vec![*byte; *count], is_last)?,
                Step::Other(Action::Message(text)) => connection.data(STREAM, &framed(text), is_last)?,
                Step::Other(Action::End(_)) => connection.data(STREAM, &[], true)?,
                Step::Other(Action::Trailers(trailers)) => connection.fields(STREAM, &fields(trailers), true)?,
                Step::Other(Action::Rst(code)) => connection.reset(STREAM, *code)?,
                Step::Other(Action::Frame(kind, flags, text)) => {
                    connection.send(&Frame::new(*kind, *flags, STREAM, bytes(text)))?;
                }
                Step::Other(Action::Give(size)) => connection.give(STREAM, *size)?,
                Step::Other(Action::Close(_)) => return connection.close(),
                Step::Other(Action::Reset(_)) => return connection.abort(),
                Step::Other(action) => wait(action),
            }
        }
        Ok(())
    }
}
