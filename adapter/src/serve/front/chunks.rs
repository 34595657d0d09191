//! A body in chunks, read strictly and written in the one way to write it: no extensions, no blanks.

use bytes::{Buf, BytesMut};

use super::block::{self, End};
use super::refusal::Refusal;

/// The most bytes of a line that tells a chunk's size; Envoy has no limit.
const MOST_LINE: usize = 16 * 1024;

/// The most bytes of trailers: hyper's.
const MOST_TRAILERS: usize = 16 * 1024;

/// Fields that say where a body ends or where a request goes: too late for either.
const NO_TRAILERS: [&str; 3] = ["content-length", "host", "transfer-encoding"];

/// Where in a body it is.
#[derive(Debug)]
pub(super) struct Chunks {
    at: At,
    /// Bytes of this line so far.
    line: usize,
}

#[derive(Debug)]
enum At {
    /// In the digits of a size.
    Size {
        size: u64,
        digits: bool,
    },
    /// In the blanks behind them.
    Blanks(u64),
    /// Behind a semicolon.
    Extension(u64),
    /// Between return and newline.
    SizeEnd(u64),
    Data(u64),
    /// Behind a chunk's bytes, so many of return and newline to come.
    DataEnd(&'static [u8]),
    Trailers(End),
}

const START: At = At::Size { size: 0, digits: false };

impl Chunks {
    pub(super) fn new() -> Self {
        Self { at: START, line: 0 }
    }

    /// Takes what it can from `input`, and gives what it is to be read as. Whether that was the end of the body.
    pub(super) fn advance(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Result<bool, Refusal> {
        while !input.is_empty() {
            match &mut self.at {
                At::Data(left) => {
                    let size = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                    *left -= size as u64;
                    if *left == 0 {
                        self.at = At::DataEnd(b"\r\n");
                    }
                    output.extend_from_slice(&input.split_to(size));
                }
                At::Trailers(end) => {
                    let found = end.find(input);
                    if found.unwrap_or(input.len()) > MOST_TRAILERS {
                        return Err(Refusal::TOO_LARGE);
                    }
                    let Some(length) = found else { return Ok(false) };
                    let mut fields = block::fields(block::lines(&input.split_to(length)))?;
                    fields.retain(|field| !NO_TRAILERS.contains(&field.name.as_str()));
                    output.extend_from_slice(b"0\r\n");
                    block::write(&fields, output);
                    output.extend_from_slice(b"\r\n");
                    return Ok(true);
                }
                _ => self.step(input.get_u8(), output)?,
            }
        }
        Ok(false)
    }

    /// One byte between the bytes of chunks.
    fn step(&mut self, byte: u8, output: &mut BytesMut) -> Result<(), Refusal> {
        self.line += 1;
        if self.line > MOST_LINE {
            return Err(Refusal::BAD_REQUEST);
        }
        self.at = match (&self.at, byte) {
            (At::Size { size, .. }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                let size = size.checked_mul(16).and_then(|size| size.checked_add(digit)).ok_or(Refusal::BAD_REQUEST)?;
                At::Size { size, digits: true }
            }
            (At::Size { size, digits: true } | At::Blanks(size), b' ' | b'\t') => At::Blanks(*size),
            (At::Size { size, digits: true } | At::Blanks(size), b';') => At::Extension(*size),
            (At::Size { size, digits: true } | At::Blanks(size) | At::Extension(size), b'\r') => At::SizeEnd(*size),
            (At::Extension(size), byte) if byte != b'\n' => At::Extension(*size),
            (At::SizeEnd(0), b'\n') => At::Trailers(End::default()),
            (At::SizeEnd(size), b'\n') => {
                output.extend_from_slice(format!("{size:x}\r\n").as_bytes());
                At::Data(*size)
            }
            (At::DataEnd([b'\r', rest @ ..]), b'\r') => At::DataEnd(rest),
            (At::DataEnd([b'\n']), b'\n') => {
                output.extend_from_slice(b"\r\n");
                self.line = 0;
                START
            }
            _ => return Err(Refusal::BAD_REQUEST),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However it is cut, it is read alike.
    fn read(body: &str) -> Result<String, Refusal> {
        let mut results = [1, 2, 3, usize::MAX].map(|piece| {
            let (mut chunks, mut input, mut output) = (Chunks::new(), BytesMut::new(), BytesMut::new());
            for piece in body.as_bytes().chunks(piece.min(body.len())) {
                input.extend_from_slice(piece);
                if chunks.advance(&mut input, &mut output)? {
                    assert!(input.len() < 3, "{input:?}");
                    return Ok(String::from_utf8(output.to_vec()).unwrap());
                }
            }
            Ok(format!("{} and more", String::from_utf8(output.to_vec()).unwrap()))
        });
        results.sort_by_key(|result| format!("{result:?}"));
        assert_eq!(results[0], results[3], "{body:?}");
        results[0].clone()
    }

    #[test]
    fn there_is_one_way_to_write_it() {
        let written = Ok("2\r\nab\r\n0\r\n\r\n".to_string());
        for body in [
            "2\r\nab\r\n0\r\n\r\n",
            "002\r\nab\r\n000\r\n\r\n",
            "2 \t\r\nab\r\n0\r\n\n",
            "2 ;a=\"b;c\"\r\nab\r\n0;d\r\n\r\n",
            "2\r\nab\r\n0\r\ncontent-length: 5\r\nhost: x\r\n\r\n",
        ] {
            assert_eq!(read(body), written, "{body:?}");
        }
        assert_eq!(
            read("A\r\n0123456789\r\n0\r\nA:b\r\n c\r\n\r\n"),
            Ok("a\r\n0123456789\r\n0\r\na: b c\r\n\r\n".into())
        );
        assert_eq!(read("5\r\nab"), Ok("5\r\nab and more".into()));
    }

    #[test]
    fn what_is_no_chunk() {
        for body in [
            "zz\r\n",
            "\r\n",
            "-2\r\n",
            "+2\r\n",
            " 2\r\n",
            "0x2\r\n",
            "2\nab",
            "2\rab",
            "2;a\nab",
            "2;a\rb\r\n",
            "2 2\r\n",
            "10000000000000000\r\n",
            "2\r\nabc\r\n",
            "2\r\nab\n0\r\n\r\n",
            "0\r\na\r\n\r\n",
            "0\r\n:a: b\r\n\r\n",
            "0\r\na: \0\r\n\r\n",
        ] {
            assert_eq!(read(body), Err(Refusal::BAD_REQUEST), "{body:?}");
        }
        assert_eq!(read(&format!("2;{}", "a".repeat(MOST_LINE))), Err(Refusal::BAD_REQUEST));
        assert_eq!(read(&format!("0\r\na: {}", "a".repeat(MOST_TRAILERS))), Err(Refusal::TOO_LARGE));
    }
}
