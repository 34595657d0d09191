//! Where a message ends, by its fields alone.

use super::{Block, Fault};

/// What a message's fields say of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// So many bytes.
    Sized(u64),
    /// In chunks.
    Chunked,
    /// Nothing.
    Unsaid,
}

/// The largest length: hyper has a use of its own for the numbers above.
const LENGTH_MAX: u64 = u64::MAX - 2;

/// Reads the one length that a message may have.
pub(crate) fn length(head: &Block<'_>) -> Result<Length, Fault> {
    let (mut lengths, mut codings) = (head.values("content-length"), head.values("transfer-encoding"));
    match (lengths.next(), codings.next()) {
        (Some(_), Some(_)) => Err(Fault::TwoLengths),
        (None, None) => Ok(Length::Unsaid),
        (Some(length), None) if lengths.next().is_none() => number(length).map(Length::Sized),
        (Some(_), None) => Err(Fault::ContentLength),
        (None, Some(coding)) if codings.next().is_none() && coding.eq_ignore_ascii_case(b"chunked") => {
            Ok(Length::Chunked)
        }
        (None, Some(_)) => Err(Fault::TransferEncoding),
    }
}

fn number(digits: &[u8]) -> Result<u64, Fault> {
    // `parse` also takes a sign.
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(Fault::ContentLength);
    }
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    number.filter(|number| *number <= LENGTH_MAX).ok_or(Fault::ContentLength)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_length_or_none() {
        use Fault::{ContentLength, TransferEncoding, TwoLengths};
        for (fields, expected) in [
            ("", Ok(Length::Unsaid)),
            ("content-length: 2", Ok(Length::Sized(2))),
            ("content-length: 00002 \t", Ok(Length::Sized(2))),
            ("Transfer-Encoding: CHUNKED", Ok(Length::Chunked)),
            ("content-length: 2\r\ncontent-length: 2", Err(ContentLength)),
            ("content-length: 2, 2", Err(ContentLength)),
            ("content-length: +2", Err(ContentLength)),
            ("content-length: -2", Err(ContentLength)),
            ("content-length: 0x2", Err(ContentLength)),
            ("content-length:", Err(ContentLength)),
            ("content-length: 18446744073709551613", Ok(Length::Sized(u64::MAX - 2))),
            ("content-length: 18446744073709551614", Err(ContentLength)),
            ("content-length: 99999999999999999999", Err(ContentLength)),
            ("transfer-encoding: gzip", Err(TransferEncoding)),
            ("transfer-encoding: gzip, chunked", Err(TransferEncoding)),
            ("transfer-encoding: chunked, chunked", Err(TransferEncoding)),
            ("transfer-encoding: chunked\r\ntransfer-encoding: chunked", Err(TransferEncoding)),
            ("transfer-encoding: identity", Err(TransferEncoding)),
            ("transfer-encoding: chunked;q=1", Err(TransferEncoding)),
            ("transfer-encoding:", Err(TransferEncoding)),
            ("content-length: 2\r\ntransfer-encoding: chunked", Err(TwoLengths)),
            ("transfer-encoding: gzip\r\ncontent-length: 2", Err(TwoLengths)),
        ] {
            let head = format!("S\r\n{fields}{}\r\n", if fields.is_empty() { "" } else { "\r\n" });
            assert_eq!(length(&Block::head(head.as_bytes()).unwrap()), expected, "{fields}");
        }
    }
}
