//! A body in chunks, read strictly and written in chunks of our own: one for all bytes that came together, without extensions.
//! So a body of tiny chunks costs no more than its bytes, and a filter is shown what came in a read at once, as in Envoy.

use bytes::{Buf, BytesMut};

use super::block::{Block, End};
use super::{CHUNK_LINE_LIMIT, Fault};

/// Fields that say where a body ends, where a request goes or what becomes of the connection: too late for any of it.
/// Source: measured.
const NO_TRAILERS: [&str; 5] = ["connection", "content-length", "host", "keep-alive", "transfer-encoding"];

/// Where in a body it is.
#[derive(Debug)]
pub(crate) struct Chunks {
    at: At,
    /// Bytes of this line so far.
    line: usize,
    /// Bytes that trailers may have.
    trailers_limit: usize,
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
    /// So many bytes of a chunk are left.
    Data(u64),
    /// Behind a chunk's bytes, so many of return and newline to come.
    DataEnd(&'static [u8]),
    Trailers(End),
}

const START: At = At::Size { size: 0, digits: false };

/// The line before the bytes of a chunk: its size is written over it when that is known.
const SIZE_LINE: &[u8] = b"00000000\r\n";

/// A chunk that is being written.
#[derive(Default)]
struct Run {
    /// Where it begins in the output.
    start: Option<usize>,
}

impl Run {
    fn write(&mut self, bytes: &[u8], output: &mut BytesMut) {
        if self.start.is_none() {
            self.start = Some(output.len());
            output.extend_from_slice(SIZE_LINE);
        }
        output.extend_from_slice(bytes);
    }

    fn end(&mut self, output: &mut BytesMut) {
        let Some(start) = self.start.take() else { return };
        let size = output.len() - start - SIZE_LINE.len();
        let digits = SIZE_LINE.len() - b"\r\n".len();
        if let Some(line) = output.get_mut(start..start + digits) {
            line.copy_from_slice(format!("{size:0digits$x}").as_bytes());
        }
        output.extend_from_slice(b"\r\n");
    }
}

impl Chunks {
    /// At the first chunk.
    pub(crate) fn new(trailers_limit: usize) -> Self {
        Self { at: START, line: 0, trailers_limit }
    }

    /// Takes what it can from the input, and gives what it is to be read as. Whether that was the end of the body.
    pub(crate) fn take(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Result<bool, Fault> {
        let mut run = Run::default();
        let taken = self.take_run(input, output, &mut run);
        run.end(output);
        taken
    }

    fn take_run(&mut self, input: &mut BytesMut, output: &mut BytesMut, run: &mut Run) -> Result<bool, Fault> {
        while !input.is_empty() {
            match &mut self.at {
                At::Data(left) => {
                    let size = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                    *left -= size as u64;
                    if *left == 0 {
                        self.at = At::DataEnd(b"\r\n");
                    }
                    run.write(&input[..size], output);
                    input.advance(size);
                }
                At::Trailers(end) => {
                    let found = end.find(input);
                    if found.unwrap_or(input.len()) > self.trailers_limit {
                        return Err(Fault::TrailersTooLarge { limit: self.trailers_limit });
                    }
                    let Some(size) = found else { return Ok(false) };
                    let block = Block::trailers(&input[..size])?;
                    run.end(output);
                    output.extend_from_slice(b"0\r\n");
                    for field in block.fields() {
                        if !NO_TRAILERS.iter().any(|name| field.is(name)) {
                            field.write(output);
                        }
                    }
                    output.extend_from_slice(b"\r\n");
                    input.advance(size);
                    return Ok(true);
                }
                _ => self.step(input.get_u8())?,
            }
        }
        Ok(false)
    }

    /// One byte between the bytes of chunks.
    fn step(&mut self, byte: u8) -> Result<(), Fault> {
        self.line += 1;
        if self.line > CHUNK_LINE_LIMIT {
            return Err(Fault::ChunkLine);
        }
        self.at = match (&self.at, byte) {
            (At::Size { size, .. }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                let size = size.checked_mul(16).and_then(|size| size.checked_add(digit)).ok_or(Fault::ChunkSize)?;
                At::Size { size, digits: true }
            }
            (At::Size { size, digits: true } | At::Blanks(size), b' ' | b'\t') => At::Blanks(*size),
            (At::Size { size, digits: true } | At::Blanks(size), b';') => At::Extension(*size),
            (At::Size { size, digits: true } | At::Blanks(size) | At::Extension(size), b'\r') => At::SizeEnd(*size),
            (At::Extension(size), byte) if byte != b'\n' => At::Extension(*size),
            (At::SizeEnd(0), b'\n') => At::Trailers(End::default()),
            (At::SizeEnd(size), b'\n') => At::Data(*size),
            (At::DataEnd([b'\r', rest @ ..]), b'\r') => At::DataEnd(rest),
            (At::DataEnd([b'\n']), b'\n') => {
                self.line = 0;
                START
            }
            (At::DataEnd(_), _) => return Err(Fault::ChunkEnd),
            _ => return Err(Fault::ChunkSize),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 100;

    /// The bytes of all chunks, and what follows them.
    fn joined(output: &[u8]) -> String {
        let (mut bytes, mut rest) = (Vec::new(), output);
        while !rest.is_empty() {
            let line = rest.iter().position(|byte| *byte == b'\r').unwrap();
            let size = usize::from_str_radix(str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
            if size == 0 {
                break;
            }
            let (chunk, behind) = rest[line + 2..].split_at(size);
            bytes.extend_from_slice(chunk);
            rest = behind.strip_prefix(b"\r\n").unwrap();
        }
        format!("{}|{}", String::from_utf8_lossy(&bytes), String::from_utf8_lossy(rest).replace("\r\n", "|"))
    }

    /// What is written of a body, and what is left, cut in two at every place.
    fn read(body: &[u8]) -> Result<(String, usize), Fault> {
        let mut results = (0..=body.len()).map(|cut| {
            let (mut chunks, mut input, mut output) = (Chunks::new(LIMIT), BytesMut::new(), BytesMut::new());
            let mut done = false;
            for part in [&body[..cut], &body[cut..]] {
                input.extend_from_slice(part);
                if !done {
                    done = chunks.take(&mut input, &mut output)?;
                }
            }
            let end = if done { "" } else { "..." };
            Ok((format!("{}{end}", joined(&output)), if done { input.len() } else { 0 }))
        });
        let first = results.next().unwrap();
        assert!(results.all(|result| result == first), "{}", body.escape_ascii());
        first
    }

    #[test]
    fn there_is_one_way_to_write_it() {
        for (body, written, left) in [
            (b"2\r\nok\r\n0\r\n\r\n".as_slice(), "ok|0||", 0),
            (b"0002 \t\r\nok\r\n00\r\n\r\nHTTP", "ok|0||", 4),
            (b"2;a=\"b;c\x01\"\r\nok\r\n0;x\r\n\r\n", "ok|0||", 0),
            (b"2 ;a\r\nok\r\nA\r\n0123456789\r\n0\r\n\r\n", "ok0123456789|0||", 0),
            (b"0\r\nX-a:1\r\nx-b: 2\n 3\r\n\r\n", "|0|x-a: 1|x-b: 2 3||", 0),
            (b"0\r\nContent-Length: 5\r\nhost: x\r\ntransfer-encoding: chunked\r\nx: y\r\n\r\n", "|0|x: y||", 0),
            (b"0\r\n\n", "|0||", 0),
            (b"2\r\no", "o|...", 0),
            (b"2\r\nok\r\n", "ok|...", 0),
            (b"0\r\nx-a: 1\r\n", "|...", 0),
        ] {
            assert_eq!(read(body), Ok((written.to_owned(), left)), "{}", body.escape_ascii());
        }
    }

    #[test]
    fn what_comes_together_is_one_chunk() {
        let mut chunks = Chunks::new(LIMIT);
        let mut output = BytesMut::new();
        chunks.take(&mut b"1\r\na\r\n1\r\nb\r\n3\r\nc".as_slice().into(), &mut output).unwrap();
        assert_eq!(output, b"00000003\r\nabc\r\n".as_slice());
        output.clear();
        chunks.take(&mut b"de\r\n0\r\n\r\n".as_slice().into(), &mut output).unwrap();
        assert_eq!(output, b"00000002\r\nde\r\n0\r\n\r\n".as_slice());
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
            (b"2\rok\r\n", Fault::ChunkSize),
            (b"2;a\nok\r\n", Fault::ChunkSize),
            (b"2;a\rb\r\nok\r\n", Fault::ChunkSize),
            (b"2 2\r\nok\r\n", Fault::ChunkSize),
            (b"10000000000000000\r\n", Fault::ChunkSize),
            (b"2\r\nok0\r\n\r\n", Fault::ChunkEnd),
            (b"2\r\nok\n0\r\n\r\n", Fault::ChunkEnd),
            (b"2\r\nokk\r\n0\r\n\r\n", Fault::ChunkEnd),
            (b"0\r\na\r\n\r\n", Fault::FieldName),
            (b"0\r\n:status: 500\r\n\r\n", Fault::FieldName),
            (b"0\r\n x: y\r\n\r\n", Fault::FieldName),
            (b"0\r\nx: a\0\r\n\r\n", Fault::FieldValue),
        ] {
            assert_eq!(read(body), Err(fault), "{}", body.escape_ascii());
        }
    }

    #[test]
    fn lines_and_trailers_have_limits() {
        let long = [b"0\r\nx: ".as_slice(), &b"y".repeat(LIMIT), b"\r\n\r\n"].concat();
        assert_eq!(read(&long), Err(Fault::TrailersTooLarge { limit: LIMIT }));
        for (size, fits) in [(CHUNK_LINE_LIMIT, true), (CHUNK_LINE_LIMIT + 1, false)] {
            let mut line = BytesMut::from([b"2;".as_slice(), &b"a".repeat(size - 4), b"\r\n"].concat().as_slice());
            let taken = Chunks::new(LIMIT).take(&mut line, &mut BytesMut::new());
            assert_eq!(taken, if fits { Ok(false) } else { Err(Fault::ChunkLine) });
        }
    }
}
