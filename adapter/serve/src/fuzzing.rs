//! The ways in for fuzzing: what reads the bytes of clients and upstreams.

use bytes::BytesMut;

use crate::front::{Event, Walk};
use crate::outgoing::Answers;

/// What is made of a request: its target, and whether it is refused. Which of its faults is named, and with which status, may
/// depend on what has come.
pub type Judged = (String, bool);

/// What the HTTP library gets of a connection that comes in these pieces, and its requests.
pub fn requests(pieces: &[&[u8]]) -> (Vec<u8>, Vec<Judged>) {
    let mut walk = Walk::new(60 * 1024);
    let (mut input, mut output, mut judged) = (BytesMut::new(), BytesMut::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        while let Some(event) = walk.advance(&mut input, &mut output) {
            judged.push(match event {
                Event::Request { target, verdict, .. } => (target, verdict.is_some()),
                Event::Broken(_) | Event::Garbage => (String::new(), true),
            });
        }
    }
    (output.to_vec(), judged)
}

/// What the HTTP library gets of an answer that comes in these pieces.
///
/// # Errors
/// It is refused.
pub fn answers(pieces: &[&[u8]]) -> Result<Vec<u8>, String> {
    let mut answers = Answers::new();
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    answers.expect(false, &[]).map_err(|error| error.to_string())?;
    for piece in pieces {
        input.extend_from_slice(piece);
        answers.take(&mut input, &mut output).map_err(|error| error.to_string())?;
    }
    answers.end(&input).map_err(|error| error.to_string())?;
    Ok(output.to_vec())
}
