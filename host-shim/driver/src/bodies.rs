//! Whether a body follows a head, as far as the head says.

use proxy_wasm_semantics::{HeaderMap, Kind, NANOS_PER_MS, Request};

use crate::action::Input;

/// Methods whose requests have a body only by way of exception.
const RARELY_WITH_BODY: &[&[u8]] = &[b"GET", b"HEAD", b"OPTIONS", b"DELETE", b"TRACE"];

/// Nanoseconds that a request which most likely has no body waits for the host to say so.
const MOMENT: u64 = 20 * NANOS_PER_MS;

/// The answer of a request's head to whether something follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// Nothing does.
    Nothing,
    /// A body does.
    Body,
    /// It does not say: the edge looks at what has come.
    Unknown {
        /// The body may be nothing but trailers, which were announced. Waiting for them, where they were not, would cost every
        /// message without a body.
        trailers: bool,
        /// Nanoseconds that the edge waits for the host to know. What is not known then has a body.
        patience: u64,
    },
}

/// Whether there is a body, as far as an edge that looks can tell at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// There is none.
    Nothing,
    /// There is one, or trailers.
    Something,
    /// Nothing came yet, nor the end.
    Unknown,
}

impl Look {
    /// A look that `read` this, which is kept `ahead` for the next read. It `is_at_end` where all bytes of the body were read
    /// before, and what may follow them is not looked for: one that is over at once is none.
    pub fn of(read: Option<Input>, is_at_end: bool, ahead: &mut Option<Input>) -> Self {
        match read {
            None if is_at_end => Self::Nothing,
            None => Self::Unknown,
            Some(Input::End(None)) => Self::Nothing,
            something => {
                *ahead = something;
                Self::Something
            }
        }
    }
}

/// Tells what follows a request's head. An `exact` host knows at once whether there is a body: there, one that is not over
/// yet is one.
pub fn follows(request: &Request<'_>, exact: bool) -> Follows {
    match declared_length(request) {
        Some(0) => Follows::Nothing,
        Some(_) => Follows::Body,
        None => {
            let is_waited_for = !exact && RARELY_WITH_BODY.contains(&&*request.method);
            let patience = if is_waited_for { MOMENT } else { 0 };
            Follows::Unknown { trailers: request.field("trailer").is_some(), patience }
        }
    }
}

/// Whether a request most likely has no body, and says nothing of its length then.
pub(crate) fn is_mostly_nothing(request: &Request<'_>) -> bool {
    const METHODS: &[&[u8]] = &[b"DELETE", b"GET", b"HEAD", b"TRACE"];
    METHODS.contains(&&*request.method)
}

/// How long a request's body is, where the head says so.
pub(crate) fn declared_length(request: &Request<'_>) -> Option<u64> {
    length(request.field("content-length")?)
}

/// The head of a response, and whether a body may follow it; `to_head`: it answers HEAD.
pub fn response_head(status: u16, mut fields: Vec<(String, Vec<u8>)>, to_head: bool) -> (HeaderMap, bool) {
    fields.insert(0, (":status".into(), status.to_string().into()));
    let (headers, is_bodiless) = received(HeaderMap::from_pairs(Kind::Response, fields));
    (headers, !(is_bodiless || to_head))
}

/// The head of a response as filters see it; `true`: and no body may follow it.
pub(crate) fn received(mut headers: HeaderMap) -> (HeaderMap, bool) {
    let status = headers.get(b":status");
    let (is_204, is_304) = (status == Some(b"204"), status == Some(b"304"));
    if is_204 {
        headers.remove(b"content-length");
    }
    let is_bodiless = is_204 || is_304 || headers.get(b"content-length") == Some(b"0");
    (headers, is_bodiless)
}

/// The number that a `content-length` is.
pub(crate) fn length(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 { None } else { number.checked_mul(10)?.checked_add(digit.into()) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_digits_that_fit() {
        for text in ["0", "007", "18446744073709551615", "000000000000000000000000018446744073709551615"] {
            assert_eq!(length(text.as_bytes()), Some(text.parse().unwrap()), "{text}");
        }
        for text in ["", " 1", "1 ", "+1", "-1", "1,1", "0x1", "18446744073709551616", "99999999999999999999", "\u{e9}"]
        {
            assert_eq!(length(text.as_bytes()), None, "{text}");
        }
    }
}
