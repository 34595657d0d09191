//! The answers that come on a connection of HTTP/1, looked at before hyper reads them: what Envoy answers with 502 is
//! refused, and the rest gets one form. Measured in `tests/suites/upstream_wire.rs`.

use bytes::{Buf, BytesMut};

use super::super::wire::{self, Block, Chunks, End, Fault, Length};

/// The largest head of an answer in HTTP/1, and its largest trailers, by their bytes as they come: Envoy's limit.
pub(super) const HEAD_LIMIT: usize = 80 * 1024;

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadAnswer {
    /// The message.
    #[error(transparent)]
    Message(#[from] Fault),
    /// A status that no header of a response can have.
    #[error("its status is no number from 100 to 999")]
    Status,
    /// A response that has no body says that it has one.
    #[error("its status {0} allows no body, and it says that it has one")]
    Body(u16),
    /// 101 without having been asked.
    #[error("it changes to another protocol, which nobody asked for")]
    Switching,
    /// Bytes while no answer is due.
    #[error("bytes came that belong to no answer")]
    Unasked,
    /// The connection's end.
    #[error("it ends within its head")]
    CutHead,
}

/// Where a connection stands.
#[derive(Debug)]
enum State {
    /// No answer is due.
    Idle,
    Head {
        end: End,
        to_head: bool,
    },
    /// So many bytes of a body are left.
    Sized(u64),
    Chunked(Chunks),
    /// A body that ends with the connection.
    UntilClosed,
}

/// The answers on one connection.
#[derive(Debug)]
pub(crate) struct Answers {
    state: State,
}

impl Answers {
    /// A new connection.
    pub(crate) fn new() -> Self {
        Self { state: State::Idle }
    }

    /// From now on an answer is due, to a request that may be a HEAD. `unread`: what came before.
    pub(crate) fn expect(&mut self, to_head: bool, unread: &[u8]) -> Result<(), BadAnswer> {
        if !unread.is_empty() || !matches!(self.state, State::Idle) {
            return Err(BadAnswer::Unasked);
        }
        self.state = State::Head { end: End::default(), to_head };
        Ok(())
    }

    /// Takes what it can from the input. What is left then waits for more, or belongs to no answer.
    pub(crate) fn take(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Result<(), BadAnswer> {
        while !input.is_empty() {
            match &mut self.state {
                // What came before it is an answer all the same.
                State::Idle if !output.is_empty() => return Ok(()),
                State::Idle => return Err(BadAnswer::Unasked),
                State::Head { end, to_head } => {
                    let to_head = *to_head;
                    let Some(size) = head_end(input, end)? else { return Ok(()) };
                    self.state = head(&input[..size], to_head, output)?;
                    input.advance(size);
                }
                State::Sized(left) => {
                    let size = wire::shift(input, output, *left);
                    self.pass(size);
                }
                State::Chunked(chunks) => {
                    if !chunks.take(input, output)? {
                        // What is left is the beginning of trailers.
                        return Ok(());
                    }
                    self.state = State::Idle;
                }
                State::UntilClosed => {
                    wire::shift(input, output, u64::MAX);
                }
            }
        }
        Ok(())
    }

    /// How many of the next bytes are for hyper as they are, where nothing is left to be taken.
    pub(crate) fn passes(&self) -> u64 {
        match self.state {
            State::Sized(left) => left,
            State::UntilClosed => u64::MAX,
            _ => 0,
        }
    }

    /// So many of them went.
    pub(crate) fn pass(&mut self, size: u64) {
        if let State::Sized(left) = &mut self.state {
            *left -= size;
            if *left == 0 {
                self.state = State::Idle;
            }
        }
    }

    /// The connection ended, with this left to read. An end within a body hyper sees by itself.
    pub(crate) fn end(&self, unread: &[u8]) -> Result<(), BadAnswer> {
        if matches!(self.state, State::Head { .. }) && !unread.is_empty() { Err(BadAnswer::CutHead) } else { Ok(()) }
    }
}

/// Where a head ends, as soon as that is known. What can't be one is refused before its end.
fn head_end(bytes: &[u8], end: &mut End) -> Result<Option<usize>, BadAnswer> {
    const START: &[u8] = b"HTTP/";
    let beginning = &bytes[..bytes.len().min(START.len())];
    if !START.starts_with(beginning) {
        return Err(Fault::StartLine.into());
    }
    let found = end.find(bytes);
    if found.unwrap_or(bytes.len()) > HEAD_LIMIT {
        return Err(Fault::HeadTooLarge { limit: HEAD_LIMIT }.into());
    }
    if found.is_none()
        && let Some(line) = memchr::memchr(b'\n', bytes)
    {
        status(&bytes[..line])?;
    }
    Ok(found)
}

/// Judges a head and writes it; what comes next.
fn head(bytes: &[u8], to_head: bool, output: &mut BytesMut) -> Result<State, BadAnswer> {
    let head = Block::head(bytes)?;
    let (minor, status) = status(head.start())?;
    if status == 101 {
        return Err(BadAnswer::Switching);
    }
    let length = wire::length(&head)?;
    if minor == 0 && length == Length::Chunked {
        return Err(Fault::TransferEncodingInHttp10.into());
    }
    let says_body = match length {
        Length::Unsaid => false,
        Length::Chunked => true,
        // A 204 may say 0, but in no other way.
        Length::Sized(_) if status == 204 => head.values("content-length").any(|value| value != b"0"),
        Length::Sized(length) => length > 0,
    };
    if (status < 200 || status == 204) && says_body {
        return Err(BadAnswer::Body(status));
    }
    if status < 200 {
        // An interim answer: nobody here has a use for it.
        return Ok(State::Head { end: End::default(), to_head });
    }
    output.extend_from_slice(format!("HTTP/1.{minor} {status} \r\n").as_bytes());
    head.fields().iter().for_each(|field| field.write(output));
    output.extend_from_slice(b"\r\n");
    Ok(match length {
        _ if to_head || matches!(status, 204 | 304) => State::Idle,
        Length::Sized(0) => State::Idle,
        Length::Sized(length) => State::Sized(length),
        Length::Chunked => State::Chunked(Chunks::new(HEAD_LIMIT)),
        Length::Unsaid => State::UntilClosed,
    })
}

/// The version, as far as it matters, and the status: what follows them says nothing.
fn status(line: &[u8]) -> Result<(u8, u16), BadAnswer> {
    let line = line.trim_ascii_end();
    let (major, minor, rest) = match line {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor, rest @ ..]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            (*major, *minor, rest)
        }
        _ => return Err(Fault::StartLine.into()),
    };
    // Envoy takes other versions for 1.1, and so do those that send them.
    let minor = u8::from((major, minor) != (b'1', b'0'));
    let trimmed = rest.trim_ascii_start();
    let end = trimmed.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(trimmed.len());
    let (digits, reason) = trimmed.split_at(end);
    if trimmed.len() == rest.len() {
        return Err(Fault::StartLine.into());
    }
    if !matches!(reason, [] | [b' ' | b'\t', ..]) {
        return Err(BadAnswer::Status);
    }
    if reason.contains(&b'\r') {
        return Err(Fault::BareCarriageReturn.into());
    }
    if !reason.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f)) {
        return Err(Fault::StartLine.into());
    }
    let status = match digits {
        [b'1'..=b'9', _, _] => std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()),
        _ => None,
    };
    Ok((minor, status.ok_or(BadAnswer::Status)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What hyper gets of these bytes as the answer to a request, and how it ends. Cut in two at every place.
    fn read(bytes: &[u8], to_head: bool) -> (String, Result<(), BadAnswer>) {
        let mut results = (0..=bytes.len()).map(|cut| {
            let (mut answers, mut input, mut output) = (Answers::new(), BytesMut::new(), BytesMut::new());
            answers.expect(to_head, b"").unwrap();
            let mut all = Vec::new();
            let mut step = |part: &[u8]| {
                input.extend_from_slice(part);
                // As often as the connection is asked for more.
                loop {
                    answers.take(&mut input, &mut output)?;
                    if output.is_empty() {
                        return Ok(());
                    }
                    all.extend_from_slice(&output.split());
                }
            };
            let result = step(&bytes[..cut]).and_then(|()| step(&bytes[cut..]));
            let result = result.and_then(|()| answers.end(&input));
            (String::from_utf8_lossy(&all).replace("\r\n", "|"), result)
        });
        let first = results.next().unwrap();
        assert!(results.all(|result| result == first), "{}", bytes.escape_ascii());
        first
    }

    fn takes(bytes: &[u8], expected: &str) {
        assert_eq!(read(bytes, false), (expected.to_owned(), Ok(())), "{}", bytes.escape_ascii());
    }

    fn refuses(bytes: &[u8], expected: impl Into<BadAnswer>) {
        assert_eq!(read(bytes, false), (String::new(), Err(expected.into())), "{}", bytes.escape_ascii());
    }

    #[test]
    fn answers_get_one_form() {
        takes(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", "HTTP/1.1 200 |content-length: 2||ok");
        takes(b"HTTP/2.0  600\nX:y\n\n", "HTTP/1.1 600 |x: y||");
        takes(b"HTTP/1.0\t200 \r\n\r\nuntil\nclosed", "HTTP/1.0 200 ||until\nclosed");
        takes(b"HTTP/1.1 200\r\ntransfer-encoding:\r\n chunked\r\n\r\n01;x\r\nk\r\n0\r\n\r\n", {
            "HTTP/1.1 200 |transfer-encoding: chunked||00000001|k|0||"
        });
        takes(b"HTTP/1.1 204 No\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 204 |content-length: 0||");
        takes(b"HTTP/1.1 304 No\r\ncontent-length: 5\r\n\r\n", "HTTP/1.1 304 |content-length: 5||");
        takes(b"", "");
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
        assert_eq!(read(head, true), ("HTTP/1.1 200 |content-length: 5||".to_owned(), Ok(())));
    }

    #[test]
    fn interim_answers_are_dropped() {
        takes(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 X\r\n\r\n", "HTTP/1.1 204 ||");
        takes(b"HTTP/1.1 103 X\r\ncontent-length: 0\r\n\r\n", "");
        refuses(b"HTTP/1.1 103 X\r\ncontent-length: 1\r\n\r\n", BadAnswer::Body(103));
        refuses(b"HTTP/1.1 100 X\r\ntransfer-encoding: chunked\r\n\r\n", BadAnswer::Body(100));
        refuses(b"HTTP/1.1 101 X\r\nupgrade: websocket\r\n\r\n", BadAnswer::Switching);
    }

    #[test]
    fn start_lines_are_strict() {
        for line in ["http/1.1 200 OK", "ICY 200 OK", "HTTP/1.11 200 OK", "HTTP/01.1 200", "HTTP/1 200", "HTTP/1.1"] {
            refuses(format!("{line}\r\n\r\n").as_bytes(), Fault::StartLine);
        }
        for line in
            ["HTTP/1.1 abc", "HTTP/1.1 99 X", "HTTP/1.1 099 X", "HTTP/1.1 1000 X", "HTTP/1.1 +20 OK", "HTTP/1.1 200OK"]
        {
            refuses(format!("{line}\r\n\r\n").as_bytes(), BadAnswer::Status);
        }
        refuses(b"HTTP/1.1 200 O\x01K\r\n\r\n", Fault::StartLine);
        refuses(b"HTTP/1.1 200 O\rK\r\n\r\n", Fault::BareCarriageReturn);
        refuses(b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", Fault::StartLine);
        // Before there is an end.
        refuses(b"no HTTP at all", Fault::StartLine);
        refuses(b"HTTP/1.1 nonsense\r\n", BadAnswer::Status);
    }

    #[test]
    fn what_does_not_end_where_it_says_is_refused() {
        refuses(b"HTTP/1.1 200 X\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n", Fault::TwoLengths);
        refuses(b"HTTP/1.0 200 X\r\ntransfer-encoding: chunked\r\n\r\n", Fault::TransferEncodingInHttp10);
        refuses(b"HTTP/1.1 204 X\r\ncontent-length: 5\r\n\r\n", BadAnswer::Body(204));
        refuses(b"HTTP/1.1 204 X\r\ncontent-length: 00\r\n\r\n", BadAnswer::Body(204));
        refuses(b"HTTP/1.1 200 X\r\ncontent-le", BadAnswer::CutHead);
        let (output, result) = read(b"HTTP/1.1 200 X\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 X\r\n\r\n", false);
        assert_eq!((output.as_str(), result), ("HTTP/1.1 200 |content-length: 2||ok", Err(BadAnswer::Unasked)));
        let mut answers = Answers::new();
        assert_eq!(answers.expect(false, b"HTTP"), Err(BadAnswer::Unasked));
    }

    #[test]
    fn heads_have_one_limit_however_they_come() {
        for (size, fits) in [(HEAD_LIMIT, true), (HEAD_LIMIT + 1, false)] {
            let frame = b"HTTP/1.1 204 X\r\nx: \r\n\r\n";
            let head = [b"HTTP/1.1 204 X\r\nx: ".as_slice(), &b"y".repeat(size - frame.len()), b"\r\n\r\n"].concat();
            for piece in [1000, 70_000, 100_000] {
                let (mut answers, mut input, mut output) = (Answers::new(), BytesMut::new(), BytesMut::new());
                answers.expect(false, b"").unwrap();
                let result = head.chunks(piece).try_for_each(|piece| {
                    input.extend_from_slice(piece);
                    answers.take(&mut input, &mut output)
                });
                assert_eq!(result.is_ok(), fits, "{size} in pieces of {piece}");
            }
        }
    }
}
