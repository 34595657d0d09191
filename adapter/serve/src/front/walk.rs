//! From one request of a connection to the next.

use bytes::BytesMut;

use super::super::wire::{Chunks, End, Length, lines, shift};
use super::head::Head;
use super::line::RequestLine;
use super::refusal::Refusal;

/// How HTTP/2 begins where nothing was agreed on before.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What of it no request of HTTP/1.1 begins with.
const MAGIC: usize = b"PRI * HTTP/2".len();

/// What hyper gets in place of a head that is none: it has the answer in its order, and then closes the connection.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\n\r\n";

/// The most bytes of a request's trailers: hyper's.
const TRAILERS_LIMIT: usize = 16 * 1024;

/// Where on a connection it is.
#[derive(Debug)]
pub(crate) struct Walk {
    at: At,
    most_head: usize,
}

#[derive(Debug)]
enum At {
    /// Before the first byte that tells which protocol it is.
    Opening,
    Head(End),
    Sized(u64),
    Chunks(Chunks),
    Http2,
    /// Behind what was refused.
    Over,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The head of a request.
    Request {
        /// Where its head was read.
        method: Option<&'static str>,
        /// Path and query.
        target: String,
        /// What it is answered without asking the component.
        verdict: Option<Refusal>,
        /// Its body can still turn out to be none.
        breakable: bool,
    },
    /// The body of the last request is none.
    Broken(Refusal),
    /// It is no HTTP, and not worth an answer.
    Garbage,
}

impl Walk {
    /// At the beginning of a connection, whose heads may have so many bytes.
    pub(crate) fn new(most_head: usize) -> Self {
        Self { at: At::Opening, most_head }
    }

    /// Takes what it can from `input`, and gives what hyper is to read, up to the next event. What comes without one
    /// leaves nothing to do until there is more input.
    pub(crate) fn advance(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Option<Event> {
        loop {
            match &mut self.at {
                At::Opening => {
                    let same = input.iter().zip(PREFACE).take_while(|(came, expected)| came == expected).count();
                    if same == PREFACE.len() {
                        self.at = At::Http2;
                    } else if same == input.len() {
                        return None;
                    } else if same >= MAGIC {
                        self.at = At::Over;
                        return Some(Event::Garbage);
                    } else {
                        self.at = At::Head(End::default());
                    }
                }
                At::Head(_) => match self.head(input, output)? {
                    Ok(event) => return Some(event),
                    Err(refusal) => {
                        self.at = At::Over;
                        output.extend_from_slice(STAND_IN);
                        let verdict = Some(refusal);
                        return Some(Event::Request { method: None, target: "/".into(), verdict, breakable: false });
                    }
                },
                At::Sized(_) if input.is_empty() => return None,
                At::Sized(left) => {
                    let size = shift(input, output, *left);
                    self.pass(size);
                }
                At::Chunks(chunks) => match chunks.take(input, output) {
                    Ok(true) => self.at = At::Head(End::default()),
                    Ok(false) => return None,
                    Err(fault) => {
                        self.at = At::Over;
                        return Some(Event::Broken(fault.into()));
                    }
                },
                At::Http2 => {
                    shift(input, output, u64::MAX);
                    return None;
                }
                At::Over => {
                    input.clear();
                    return None;
                }
            }
        }
    }

    /// The next head, if all of it is there.
    fn head(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Option<Result<Event, Refusal>> {
        let At::Head(end) = &mut self.at else { return None };
        if end.line() == 0 {
            // Some clients end a body with a line too many.
            let blank = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            if blank > 0 {
                let _ = input.split_to(blank);
                *end = End::default();
            }
        }
        let first = input.first()?;
        if !first.is_ascii_graphic() {
            return Some(Err(Refusal::BAD_REQUEST));
        }
        let begun = end.line() > 0;
        let found = end.find(input);
        if found.unwrap_or(input.len()) > self.most_head {
            return Some(Err(Refusal::TOO_LARGE));
        }
        let Some(length) = found else {
            // Who speaks another protocol may wait for an answer here.
            let line = input.get(..end.line()).filter(|line| !begun && !line.is_empty())?;
            let line = lines(line).next().unwrap_or_default();
            return RequestLine::parse(line).err().map(Err);
        };
        Some(Head::judge(&input.split_to(length)).map(|head| {
            let Head { method, target, verdict, .. } = head;
            let method = Some(method);
            output.extend_from_slice(&head.bytes);
            if verdict.is_some_and(Refusal::ends_the_connection) {
                self.at = At::Over;
                return Event::Request { method, target, verdict, breakable: false };
            }
            let breakable = head.length == Length::Chunked;
            self.at = match head.length {
                Length::Unsaid | Length::Sized(0) => At::Head(End::default()),
                Length::Sized(length) => At::Sized(length),
                Length::Chunked => At::Chunks(Chunks::new(TRAILERS_LIMIT)),
            };
            Event::Request { method, target, verdict, breakable }
        }))
    }

    /// How many of the next bytes are for hyper as they are.
    pub(crate) fn passes(&self) -> u64 {
        match self.at {
            At::Sized(left) => left,
            At::Http2 => u64::MAX,
            _ => 0,
        }
    }

    /// So many of them went.
    pub(crate) fn pass(&mut self, size: u64) {
        if let At::Sized(left) = &mut self.at {
            *left -= size;
            if *left == 0 {
                self.at = At::Head(End::default());
            }
        }
    }

    /// Whether nothing more is read.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.at, At::Over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What hyper reads, and the events, the same however the bytes are cut.
    fn walk(bytes: &str) -> (String, Vec<Event>) {
        let results = [1, 7, bytes.len()].map(|piece| {
            let mut walk = Walk::new(1000);
            let (mut input, mut output, mut events) = (BytesMut::new(), BytesMut::new(), Vec::new());
            for piece in bytes.as_bytes().chunks(piece) {
                input.extend_from_slice(piece);
                while let Some(event) = walk.advance(&mut input, &mut output) {
                    events.push(event);
                }
            }
            (String::from_utf8(output.to_vec()).unwrap(), events)
        });
        assert_eq!(results[0], results[2]);
        assert_eq!(results[1], results[2]);
        let [first, ..] = results;
        first
    }

    fn request(method: &'static str, target: &str, breakable: bool) -> Event {
        Event::Request { method: Some(method), target: target.into(), verdict: None, breakable }
    }

    fn refused(refusal: Refusal) -> Event {
        Event::Request { method: None, target: "/".into(), verdict: Some(refusal), breakable: false }
    }

    #[test]
    fn one_request_after_another() {
        let (read, events) = walk(
            "\r\nGET /a HTTP/1.1\nhost: a\n\nPOST /b HTTP/1.1\r\nhost: b\r\ncontent-length: 3\r\n\r\nxyz\r\n\
             POST /c HTTP/1.1\r\nhost: c\r\ntransfer-encoding: chunked\r\n\r\n1;e\r\nx\r\n0\r\n\r\nGET /d HTTP/1.1\r\nhost: d\r\n\r\n",
        );
        assert_eq!(
            read,
            "GET / HTTP/1.1\r\nhost: a\r\n\r\nPOST / HTTP/1.1\r\nhost: b\r\ncontent-length: 3\r\n\r\nxyz\
             POST / HTTP/1.1\r\nhost: c\r\ntransfer-encoding: chunked\r\n\r\n00000001\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\nhost: d\r\n\r\n"
        );
        let requests = [("GET", "/a", false), ("POST", "/b", false), ("POST", "/c", true), ("GET", "/d", false)];
        assert_eq!(events, requests.map(|(method, target, breakable)| request(method, target, breakable)));
    }

    #[test]
    fn nothing_is_read_behind_what_is_refused() {
        let after = "GET /b HTTP/1.1\r\nhost: b\r\n\r\n";
        let (read, events) = walk(&format!("GET /a HTTP/1.1\r\nhost : a\r\n\r\n{after}"));
        assert_eq!((read.as_bytes(), events), (STAND_IN, vec![refused(Refusal::BAD_REQUEST)]));
        // Who it came from is known.
        let fields = "host: a\r\nuser-agent: b\r\n";
        let (read, events) = walk(&format!("POST /a#b HTTP/1.1\r\n{fields}content-length: 99\r\n\r\n{after}"));
        let (method, target, verdict) = (Some("POST"), "/a#b".into(), Some(Refusal::FRAGMENT));
        let judged = Event::Request { method, target, verdict, breakable: false };
        assert_eq!((read, events), (format!("GET / HTTP/1.1\r\n{fields}\r\n"), vec![judged]));
        let head = "POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        let (read, events) = walk(&format!("{head}x\r\n{after}"));
        assert_eq!(read, head.replace("/a", "/"));
        assert_eq!(events, [request("POST", "/a", true), Event::Broken(Refusal::BAD_REQUEST)]);
    }

    #[test]
    fn other_protocols_are_answered_at_once() {
        for bytes in ["\u{16}\u{3}", "hello you\n", "GET a HTTP/1.1\r\nhost"] {
            assert_eq!(walk(bytes).1, [refused(Refusal::BAD_REQUEST)], "{bytes}");
        }
        assert_eq!(walk("GET /a HTTP/1.0\r\nhost").1, []);
        assert_eq!(walk("PRI * HTTP/2.0\r\n\r\nXX").1, [Event::Garbage]);
        let http2 = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nanything";
        assert_eq!(walk(http2), (http2.into(), vec![]));
    }

    #[test]
    fn heads_have_a_limit() {
        let head = |size: usize| format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(size - 32));
        assert_eq!(head(1000).len(), 1000);
        assert_eq!(walk(&head(1000)).1, [request("GET", "/", false)]);
        assert_eq!(walk(&head(1001)).1, [refused(Refusal::TOO_LARGE)]);
        assert_eq!(walk(&head(2000)[..1001]).1, [refused(Refusal::TOO_LARGE)]);
    }
}
