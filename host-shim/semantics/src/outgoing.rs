//! Heads and trailers on their way out, as the host lets them.

use proxy_wasm_abi::pairs;

use crate::{calls::push_escaped, chain::Chain, environment::Guest, headers::HeaderMap};

impl<G: Guest> Chain<G> {
    /// The fields of a head, or of trailers, that go out: everything but pseudo-headers. Those that the host forbids are
    /// left out, with a warning: sending them would let a filter forge messages.
    pub fn fields<'h>(&self, headers: &'h HeaderMap) -> Vec<(&'h str, &'h [u8])> {
        let mut fields = Vec::with_capacity(headers.len());
        for (name, value) in headers.iter().filter(|(name, _)| !name.starts_with(b":")) {
            match std::str::from_utf8(name) {
                Ok(text) if !self.capabilities.forbidden.contains(&text) => {
                    fields.push((text, value));
                }
                _ => self.field_refused(name),
            }
        }
        fields
    }

    /// A head, or trailers, in one piece, pseudo-headers first, in the ABI's wire format; without what [`fields`](Self::fields)
    /// leaves out.
    pub fn message(&self, headers: &HeaderMap) -> Vec<u8> {
        self.message_with(headers, None)
    }

    /// The same of a response, which may end the client's connection.
    pub fn response(&self, headers: &HeaderMap, closes: bool) -> Vec<u8> {
        self.message_with(headers, closes.then_some((b"connection", b"close")))
    }

    fn message_with(&self, headers: &HeaderMap, more: Option<(&[u8], &[u8])>) -> Vec<u8> {
        let is_sent = |name: &[u8]| !self.capabilities.forbidden.iter().any(|forbidden| forbidden.as_bytes() == name);
        headers.iter().filter(|(name, _)| !is_sent(name)).for_each(|(name, _)| self.field_refused(name));
        pairs::encode(headers.iter().filter(|(name, _)| is_sent(name)).chain(more))
    }

    /// Warns of a field that is left out: it is none of those that a host of this kind forbids, and this one refuses it all
    /// the same.
    #[cold]
    pub fn field_refused(&self, name: &[u8]) {
        let mut line = String::from("[warn] header `");
        push_escaped(&mut line, name);
        line.push_str("` is left out: the host refuses it");
        self.log(&line);
    }

    /// The status that is sent instead of one that the host refuses. The semantics let no status through that is none; a
    /// host may still know fewer.
    #[cold]
    pub fn status_refused(&self) -> u16 {
        self.log("[warn] the host refuses the response's status: 502 is sent");
        502
    }
}
