//! Where a request's body ends.

use super::refusal::Refusal;

/// The longest body that hyper counts.
const MOST: u64 = u64::MAX - 2;

/// Where a request's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    None,
    /// After so many bytes.
    Length(u64),
    /// With its last chunk.
    Chunked,
}

impl Framing {
    /// Judges the values of all `content-length` and `transfer-encoding` fields.
    ///
    /// Who judges otherwise takes a part of one request for another one, or the other way round: so nothing is let
    /// through that can be read in two ways, however likely one of them is.
    pub(super) fn of(lengths: &[&[u8]], codings: &[&[u8]]) -> Result<Self, Refusal> {
        match (lengths, codings) {
            ([], []) => Ok(Self::None),
            ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Self::Chunked),
            ([], _) => Err(Refusal::NOT_IMPLEMENTED),
            ([length], []) => number(length).map(Self::Length).ok_or(Refusal::BAD_REQUEST),
            _ => Err(Refusal::BAD_REQUEST),
        }
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok().filter(|length| *length <= MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_way_to_read_it_or_none() {
        let bytes = |values: &[&'static str]| values.iter().map(|value| value.as_bytes()).collect::<Vec<_>>();
        let of = |lengths: &[&'static str], codings: &[&'static str]| Framing::of(&bytes(lengths), &bytes(codings));
        assert_eq!(of(&[], &[]), Ok(Framing::None));
        assert_eq!(of(&["007"], &[]), Ok(Framing::Length(7)));
        assert_eq!(of(&["18446744073709551613"], &[]), Ok(Framing::Length(MOST)));
        assert_eq!(of(&[], &["Chunked"]), Ok(Framing::Chunked));
        for lengths in [&["1", "1"][..], &["1, 1"], &["+1"], &["-1"], &["0x1"], &[""], &["18446744073709551616"]] {
            assert_eq!(of(lengths, &[]), Err(Refusal::BAD_REQUEST), "{lengths:?}");
        }
        for codings in [&["chunked", "chunked"][..], &["gzip, chunked"], &["identity"], &[""], &["chunked,"]] {
            assert_eq!(of(&[], codings), Err(Refusal::NOT_IMPLEMENTED), "{codings:?}");
        }
        assert_eq!(of(&["0"], &["chunked"]), Err(Refusal::BAD_REQUEST));
    }
}
