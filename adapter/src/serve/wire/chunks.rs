//! A body in chunks.

use bytes::{Buf, BytesMut};

use super::{Block, Fault, block_end};

/// Reads a body in chunks and writes it in the strict form: sizes without leading zeros, no extensions.
#[derive(Debug)]
pub(in crate::serve) struct Chunks {
    state: State,
    /// Bytes that trailers may have.
    trailers_limit: usize,
}

#[derive(Debug)]
enum State {
    /// In the size of a chunk.
    Size {
        size: u64,
        any: bool,
    },
    /// Behind the size: white space, or an extension, up to the end of the line.
    Rest {
        size: u64,
        extension: bool,
    },
    /// Behind the carriage return of that line.
    SizeEnd {
        size: u64,
    },
    /// So many bytes of a chunk are left.
    Data(u64),
    /// So many bytes of the line's end behind a chunk were seen.
    DataEnd {
        seen: usize,
    },
    /// Trailers, of which so many bytes were looked at.
    Trailers {
        looked: usize,
    },
    Done,
}

impl Chunks {
    /// At the first chunk.
    pub(in crate::serve) fn new(trailers_limit: usize) -> Self {
        Self { state: State::Size { size: 0, any: false }, trailers_limit }
    }

    /// Takes what it can from the input; whether the body is over.
    pub(in crate::serve) fn take(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Result<bool, Fault> {
        loop {
            match &mut self.state {
                State::Done => return Ok(true),
                State::Data(left) => {
                    if input.is_empty() {
                        return Ok(false);
                    }
                    let size = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                    output.extend_from_slice(&input[..size]);
                    input.advance(size);
                    *left -= size as u64;
                    if *left == 0 {
                        self.state = State::DataEnd { seen: 0 };
                    }
                }
                State::Trailers { looked } => {
                    let Some(size) = trailers_end(input, *looked) else {
                        *looked = input.len();
                        return if input.len() > self.trailers_limit {
                            Err(Fault::TrailersTooLarge { limit: self.trailers_limit })
                        } else {
                            Ok(false)
                        };
                    };
                    if size > self.trailers_limit {
                        return Err(Fault::TrailersTooLarge { limit: self.trailers_limit });
                    }
                    Block::trailers(&input[..size])?.write_fields(output);
                    input.advance(size);
                    self.state = State::Done;
                }
                _ => {
                    let Some(byte) = input.first().copied() else { return Ok(false) };
                    input.advance(1);
                    self.step(byte, output)?;
                }
            }
        }
    }

    /// One byte between the data of chunks.
    fn step(&mut self, byte: u8, output: &mut BytesMut) -> Result<(), Fault> {
        self.state = match (&self.state, byte) {
            (State::Size { size, .. }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                let size = size.checked_mul(16).and_then(|size| size.checked_add(digit.into()));
                State::Size { size: size.ok_or(Fault::ChunkSize)?, any: true }
            }
            (State::Size { any: false, .. }, _) => return Err(Fault::ChunkSize),
            (State::Size { size, .. }, b' ' | b'\t') => State::Rest { size: *size, extension: false },
            (State::Size { size, .. } | State::Rest { size, .. }, b';') => State::Rest { size: *size, extension: true },
            (State::Size { size, .. } | State::Rest { size, .. }, b'\r') => State::SizeEnd { size: *size },
            (State::Rest { size, extension: false }, b' ' | b'\t') => State::Rest { size: *size, extension: false },
            (State::Rest { size, extension: true }, byte) if byte != b'\n' => {
                State::Rest { size: *size, extension: true }
            }
            (State::SizeEnd { size }, b'\n') => {
                output.extend_from_slice(format!("{size:x}\r\n").as_bytes());
                if *size == 0 { State::Trailers { looked: 0 } } else { State::Data(*size) }
            }
            (State::DataEnd { seen: 0 }, b'\r') => State::DataEnd { seen: 1 },
            (State::DataEnd { seen: 1 }, b'\n') => {
                output.extend_from_slice(b"\r\n");
                State::Size { size: 0, any: false }
            }
            (State::DataEnd { .. }, _) => return Err(Fault::ChunkEnd),
            _ => return Err(Fault::ChunkSize),
        };
        Ok(())
    }
}

/// Where trailers end, of which there may be none: then there is an empty line alone.
fn trailers_end(bytes: &[u8], looked: usize) -> Option<usize> {
    match bytes {
        [b'\n', ..] => Some(1),
        [b'\r', b'\n', ..] => Some(2),
        _ => block_end(bytes, looked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 100;

    /// What is written of a body, and what is left, cut in two at every place.
    fn read(body: &[u8]) -> Result<(String, usize), Fault> {
        let mut results = (0..=body.len()).map(|cut| {
            let (mut chunks, mut input, mut output) = (Chunks::new(LIMIT), BytesMut::new(), BytesMut::new());
            let mut done = false;
            for part in [&body[..cut], &body[cut..]] {
                input.extend_from_slice(part);
                done = chunks.take(&mut input, &mut output)?;
            }
            let end = if done { "" } else { "..." };
            let text = String::from_utf8_lossy(&output).replace("\r\n", "|");
            Ok((format!("{text}{end}"), if done { input.len() } else { 0 }))
        });
        let first = results.next().unwrap();
        assert!(results.all(|result| result == first), "{body:?}");
        first
    }

    #[test]
    fn bodies_are_written_in_one_form() {
        for (body, written, left) in [
            (b"2\r\nok\r\n0\r\n\r\n".as_slice(), "2|ok|0||", 0),
            (b"0002 \t\r\nok\r\n00\r\n\r\nHTTP", "2|ok|0||", 4),
            (b"2;a=\"b;c\x01\"\r\nok\r\n0;x\r\n\r\n", "2|ok|0||", 0),
            (b"2 ;a\r\nok\r\nA\r\n0123456789\r\n0\r\n\r\n", "2|ok|a|0123456789|0||", 0),
            (b"0\r\nx-a:1\r\nx-b: 2\n\r\n", "0|x-a: 1|x-b: 2||", 0),
            (b"0\r\n\n", "0||", 0),
            (b"2\r\no", "2|o...", 0),
            (b"2\r\nok\r\n", "2|ok|...", 0),
            (b"0\r\nx-a: 1\r\n", "0|...", 0),
        ] {
            assert_eq!(read(body), Ok((written.to_owned(), left)), "{body:?}");
        }
    }

    #[test]
    fn sizes_and_ends_are_strict() {
        for (body, fault) in [
            (b"zz\r\n".as_slice(), Fault::ChunkSize),
            (b"-2\r\nok", Fault::ChunkSize),
            (b"+2\r\nok", Fault::ChunkSize),
            (b"0x2\r\nok", Fault::ChunkSize),
            (b" 2\r\nok", Fault::ChunkSize),
            (b"\r\nok", Fault::ChunkSize),
            (b"2\nok\r\n", Fault::ChunkSize),
            (b"2;a\nok\r\n", Fault::ChunkSize),
            (b"2;a\rb\r\nok\r\n", Fault::ChunkSize),
            (b"2 2\r\nok\r\n", Fault::ChunkSize),
            (b"fffffffffffffffff\r\n", Fault::ChunkSize),
            (b"2\r\nok0\r\n\r\n", Fault::ChunkEnd),
            (b"2\r\nok\n0\r\n\r\n", Fault::ChunkEnd),
            (b"2\r\nokk\r\n0\r\n\r\n", Fault::ChunkEnd),
            (b"0\r\n:status: 500\r\n\r\n", Fault::FieldName),
            (b"0\r\n x: y\r\n\r\n", Fault::FieldName),
            (b"0\r\nx: a\0\r\n\r\n", Fault::FieldValue),
        ] {
            assert_eq!(read(body), Err(fault), "{body:?}");
        }
        let long = [b"0\r\nx: ".as_slice(), &b"y".repeat(LIMIT), b"\r\n\r\n"].concat();
        assert_eq!(read(&long), Err(Fault::TrailersTooLarge { limit: LIMIT }));
    }
}
