//! An upstream's connection that speaks HTTP/2, known before: each request is answered by the steps that it is told.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::Message;
use super::connection::Connection;
use super::frame::Frame;
use crate::message::{Action, Step, bytes, fields, framed};
use crate::upstream::{Behaviour, Request, Shared};

/// How long a proxy may take for what it is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves a connection until it ends.
///
/// # Errors
/// The connection's.
pub(crate) fn serve(shared: &Arc<Shared>, stream: TcpStream) -> io::Result<()> {
    let connection = Connection::start(preface(stream)?, false, None)?;
    let opened = |stream| {
        let (shared, connection) = (shared.clone(), connection.clone());
        thread::spawn(move || answer(&shared, &connection, stream));
    };
    connection.read(opened, |_| {});
    Ok(())
}

/// The connection behind what a client says first.
fn preface(mut stream: TcpStream) -> io::Result<TcpStream> {
    let mut preface = [0; super::frame::PREFACE.len()];
    io::Read::read_exact(&mut stream, &mut preface)?;
    let is_it = preface == *super::frame::PREFACE;
    let other = || io::Error::new(io::ErrorKind::InvalidData, "the proxy does not speak HTTP/2");
    if is_it { Ok(stream) } else { Err(other()) }
}

fn answer(shared: &Shared, connection: &Connection, stream: u32) {
    let (slot, behaviour) = shared.begin(Request::from(connection.message(stream)));
    let reads = |step: &Step| matches!(step, Step::Other(Action::ReadHead(_) | Action::Read(_) | Action::ReadAll(_)));
    if !behaviour.steps.iter().any(reads) {
        connection.wait_for_end(stream, PATIENCE);
    }
    // A proxy that takes no more gave up; what came until then is kept.
    let goes_on = respond(&behaviour, connection, stream).unwrap_or(false);
    if goes_on {
        connection.wait_for_end(stream, PATIENCE);
    }
    shared.end(slot, Request::from(connection.message(stream)));
}

/// Whether the request is read to its end afterwards.
fn respond(behaviour: &Behaviour, connection: &Connection, stream: u32) -> io::Result<bool> {
    connection.wait_for_settings(PATIENCE);
    for (place, step) in behaviour.steps.iter().enumerate() {
        let is_last = place + 1 == behaviour.steps.len();
        match step {
            Step::Text(text) => connection.data(stream, &bytes(text), is_last)?,
            Step::Other(Action::Fill(byte, count)) => connection.data(stream, &vec![*byte; *count], is_last)?,
            Step::Other(Action::Message(text)) => connection.data(stream, &framed(text), is_last)?,
            Step::Other(Action::Head(told)) => {
                let mut head = fields(told);
                if !head.iter().any(|(name, _)| name == b":status") {
                    head.insert(0, (b":status".into(), b"200".into()));
                }
                connection.fields(stream, &head, is_last)?;
            }
            Step::Other(Action::Trailers(trailers)) => connection.fields(stream, &fields(trailers), true)?,
            Step::Other(Action::End(_)) => connection.data(stream, &[], true)?,
            Step::Other(Action::Frame(kind, flags, text)) => {
                connection.send(&Frame::new(*kind, *flags, stream, bytes(text)))?;
            }
            Step::Other(Action::Rst(code)) => {
                connection.reset(stream, *code)?;
                return Ok(false);
            }
            Step::Other(Action::Read(bytes)) => {
                connection.wait_for_data(stream, *bytes, PATIENCE);
            }
            Step::Other(Action::ReadAll(_)) => {
                connection.wait_for_end(stream, PATIENCE);
            }
            Step::Other(action @ (Action::Await(_) | Action::AwaitClient(_))) => {
                if !behaviour.wait.as_ref().is_none_or(|wait| wait(action)) {
                    return Ok(false);
                }
            }
            Step::Other(Action::Pause(milliseconds)) => thread::sleep(Duration::from_millis(*milliseconds)),
            Step::Other(Action::Hang(_)) => {
                connection.wait_for_reset(stream, PATIENCE);
                return Ok(false);
            }
            Step::Other(Action::Close(_)) => {
                connection.close()?;
                return Ok(false);
            }
            Step::Other(Action::Reset(_)) => {
                connection.abort()?;
                return Ok(false);
            }
            Step::Other(Action::ReadHead(_) | Action::AwaitUpstream(_) | Action::Give(_)) => {}
        }
    }
    Ok(true)
}

impl From<Message> for Request {
    fn from(message: Message) -> Self {
        let head = message.head.unwrap_or_default();
        let get = |name: &str| head.iter().find(|(key, _)| key == name.as_bytes()).map(|(_, value)| value.as_slice());
        let start = [get(":method").unwrap_or_default(), b" ", get(":path").unwrap_or_default(), b" HTTP/2"].concat();
        Self {
            head: proxy_wasm_adapter_peers::http1::Head { start, headers: head },
            body: proxy_wasm_adapter_peers::http1::blocking::Body {
                bytes: message.data,
                trailers: message.trailers,
                cut: false,
            },
            ending: Some(message.ending),
        }
    }
}
