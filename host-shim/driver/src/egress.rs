//! Messages that leave the exchange, in the form that strict hosts take: a body is as long as its `content-length` says.
//!
//! Envoy sends whatever a filter makes of a body after the head it sent before, and a peer then waits for bytes that
//! never come, or takes the surplus for the next message. Here the head of a sized body waits for the first body bytes
//! that the filter let through:
//! - they are all of the body: `content-length` becomes their number;
//! - the filter changed them: `content-length` goes, and the body is sent in chunks;
//! - they are unchanged: the head goes as it is, and a later change that alters the length breaks the exchange off.

use proxy_wasm_semantics::{Direction, HeaderMap, status};

use crate::bodies;

/// A piece of a message, ready to be written.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// The head.
    Headers {
        /// The head, pseudo-headers included.
        headers: HeaderMap,
        /// Whether nothing follows.
        end: bool,
    },
    /// Body bytes.
    Data(Vec<u8>),
    /// The end, with trailers or without.
    End(Option<HeaderMap>),
    /// The body is not as long as the head said, so it can't be ended.
    LengthMismatch {
        /// The value of `content-length`.
        declared: u64,
        /// The bytes that there were until then.
        actual: u64,
        /// The filter changed the body.
        changed: bool,
    },
}

/// One message on its way out.
#[derive(Debug)]
pub struct Egress {
    waiting: Option<HeaderMap>,
    declared: Option<u64>,
    sent: u64,
    /// The response to a HEAD request has a length and no body.
    length_is_free: bool,
    /// A response without a body says that its length is 0.
    says_empty: bool,
    failed: bool,
    /// The filter changed the body.
    changed: bool,
}

impl Egress {
    /// A message in this direction; `to_head` is a response to a HEAD request.
    pub fn new(direction: Direction, to_head: bool) -> Self {
        Self {
            waiting: None,
            declared: None,
            sent: 0,
            length_is_free: to_head && direction == Direction::Response,
            says_empty: false,
            failed: false,
            changed: false,
        }
    }

    /// The same, where a response without a body is to say that its length is 0: for a host that does not see that it has
    /// none.
    #[must_use]
    pub fn saying_empty(self, says_empty: bool) -> Self {
        Self { says_empty, ..self }
    }

    /// The head leaves the filters. `may_change`: a filter sees the body, so its length may change.
    pub fn head(&mut self, mut headers: HeaderMap, end: bool, may_change: bool, frames: &mut Vec<Frame>) {
        let bodiless = self.length_is_free || matches!(status(&headers), Some(204 | 304));
        let declared = content_length(&headers);
        if declared.is_none() {
            // The value is not a number.
            headers.remove(b"content-length");
        }
        if end {
            // A request's host would send an empty body in chunks. A response's host says it where that is needed: by HTTP/1.1,
            // which ends no head by itself.
            let is_request = headers.contains(b":method");
            let says_so = if is_request { !is_bodiless_request(&headers) } else { self.says_empty };
            if !bodiless && declared != Some(0) && (says_so || declared.is_some()) {
                headers.set(b"content-length", "0");
            }
            self.length_is_free = true;
            frames.push(Frame::Headers { headers, end: true });
        } else if declared.is_some() && may_change {
            self.waiting = Some(headers);
        } else {
            self.declared = declared;
            frames.push(Frame::Headers { headers, end: false });
        }
    }

    /// The body goes on unread: how long it is was for its sender to say.
    pub fn pass_on(&mut self) {
        self.length_is_free = true;
    }

    /// Body bytes leave the filters; `changed`: these or earlier ones are not those that came.
    pub fn data(&mut self, bytes: Vec<u8>, end: bool, changed: bool, frames: &mut Vec<Frame>) {
        if self.failed {
            return;
        }
        self.release(end.then_some(bytes.len()), changed, frames);
        self.sent += bytes.len() as u64;
        self.changed |= changed;
        if self.declared.is_some_and(|declared| self.sent > declared) {
            self.fail(frames);
            return;
        }
        if !bytes.is_empty() {
            frames.push(Frame::Data(bytes));
        }
        if end {
            self.end(None, frames);
        }
    }

    /// The trailers leave the filters.
    pub fn trailers(&mut self, trailers: HeaderMap, frames: &mut Vec<Frame>) {
        if self.failed {
            return;
        }
        // A head that still waits has a body of which the filter let nothing through.
        self.release(Some(0), false, frames);
        self.end(Some(trailers), frames);
    }

    /// Lets a waiting head go: `all` is the whole body's length, where it is known.
    fn release(&mut self, all: Option<usize>, changed: bool, frames: &mut Vec<Frame>) {
        let Some(mut headers) = self.waiting.take() else { return };
        match all {
            Some(len) if content_length(&headers) != Some(len as u64) => {
                headers.set(b"content-length", len.to_string());
                self.declared = Some(len as u64);
            }
            None if changed => headers.remove(b"content-length"),
            _ => self.declared = content_length(&headers),
        }
        frames.push(Frame::Headers { headers, end: false });
    }

    fn end(&mut self, trailers: Option<HeaderMap>, frames: &mut Vec<Frame>) {
        if !self.length_is_free && self.declared.is_some_and(|declared| self.sent != declared) {
            self.fail(frames);
        } else {
            frames.push(Frame::End(trailers));
        }
    }

    fn fail(&mut self, frames: &mut Vec<Frame>) {
        self.failed = true;
        let declared = self.declared.unwrap_or(0);
        frames.push(Frame::LengthMismatch { declared, actual: self.sent, changed: self.changed });
    }
}

/// Whether this is a request that says nothing of its length where it has no body. Source: `request-framing/methods`,
/// `request-framing/methods-with-a-body`.
fn is_bodiless_request(headers: &HeaderMap) -> bool {
    const BODILESS: &[&[u8]] = &[b"CONNECT", b"DELETE", b"GET", b"HEAD", b"TRACE"];
    headers.get(b":method").is_some_and(|method| BODILESS.contains(&method))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    bodies::length(headers.get(b"content-length")?)
}

#[cfg(test)]
mod tests {
    use proxy_wasm_semantics::Kind;

    use super::*;

    const D: Direction = Direction::Response;

    fn head(length: &str) -> HeaderMap {
        HeaderMap::from_pairs(Kind::Response, [(":status", "200"), ("content-length", length)])
    }

    fn sent(egress: &mut Egress, headers: HeaderMap, end: bool, may_change: bool) -> Vec<Frame> {
        let mut frames = Vec::new();
        egress.head(headers, end, may_change, &mut frames);
        frames
    }

    fn data(egress: &mut Egress, bytes: &[u8], end: bool, changed: bool) -> Vec<Frame> {
        let mut frames = Vec::new();
        egress.data(bytes.to_vec(), end, changed, &mut frames);
        frames
    }

    fn lengths(frames: &[Frame]) -> Vec<Option<&[u8]>> {
        frames
            .iter()
            .filter_map(|frame| match frame {
                Frame::Headers { headers, .. } => Some(headers.get(b"content-length")),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_head_waits_and_gets_the_length_of_what_is_all_of_the_body() {
        let mut egress = Egress::new(D, false);
        assert!(sent(&mut egress, head("3"), false, true).is_empty());
        let frames = data(&mut egress, b"hello", true, true);
        assert_eq!(lengths(&frames), [Some(b"5".as_slice())]);
        assert_eq!(frames[1..], [Frame::Data(b"hello".to_vec()), Frame::End(None)]);
    }

    #[test]
    fn a_changed_first_piece_makes_it_chunked() {
        let mut egress = Egress::new(D, false);
        sent(&mut egress, head("3"), false, true);
        let frames = data(&mut egress, b"hello", false, true);
        assert_eq!(lengths(&frames), [None]);
        let frames = data(&mut egress, b"", true, true);
        assert_eq!(frames, [Frame::End(None)]);
    }

    #[test]
    fn a_late_change_is_a_mismatch() {
        for (second, ok) in [("lo", true), ("lo!", false), ("l", false)] {
            let mut egress = Egress::new(D, false);
            sent(&mut egress, head("5"), false, true);
            let first = data(&mut egress, b"hel", false, false);
            assert_eq!(lengths(&first), [Some(b"5".as_slice())]);
            let frames = data(&mut egress, second.as_bytes(), true, true);
            assert_eq!(matches!(frames.last(), Some(Frame::End(None))), ok, "{second}");
        }
    }

    #[test]
    fn a_message_without_a_body_says_so_where_its_host_does_not() {
        let zero = Some(b"0".as_slice());
        for (headers, says_empty, length) in [
            (vec![(":status", "200")], false, None),
            (vec![(":status", "200")], true, zero),
            (vec![(":status", "200"), ("content-length", "5")], false, zero),
            (vec![(":status", "204")], true, None),
            (vec![(":method", "POST")], false, zero),
            (vec![(":method", "GET")], true, None),
        ] {
            let mut egress = Egress::new(D, false).saying_empty(says_empty);
            let headers = HeaderMap::from_pairs(Kind::Response, headers);
            let frames = sent(&mut egress, headers, true, true);
            assert_eq!(lengths(&frames), [length]);
        }
    }

    #[test]
    fn a_response_to_head_keeps_its_length() {
        let mut egress = Egress::new(D, true);
        let frames = sent(&mut egress, head("5"), true, true);
        assert_eq!(lengths(&frames), [Some(b"5".as_slice())]);
    }

    #[test]
    fn without_a_filter_that_looks_nothing_waits() {
        let mut egress = Egress::new(D, false);
        let frames = sent(&mut egress, head("5"), false, false);
        assert_eq!(frames.len(), 1);
    }
}
