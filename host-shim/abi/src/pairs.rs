//! The wire format of header maps.
//!
//! ```text
//! u32 count; count × (u32 key length, u32 value length); count × (key, NUL, value, NUL)      little-endian
//! ```

use crate::limits::{PAIRS_MAX_BYTES, PAIRS_MAX_COUNT};

/// The pairs as bytes.
pub fn encode<'a, I>(pairs: I) -> Vec<u8>
where
    I: Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
{
    let (count, text) =
        pairs.clone().fold((0, 0), |(count, text), (key, value)| (count + 1, text + key.len() + value.len() + 2));
    let mut bytes = Vec::with_capacity(4 + count * 8 + text);
    push_u32(&mut bytes, count);
    for (key, value) in pairs.clone() {
        push_u32(&mut bytes, key.len());
        push_u32(&mut bytes, value.len());
    }
    for (key, value) in pairs {
        bytes.extend_from_slice(key);
        bytes.push(0);
        bytes.extend_from_slice(value);
        bytes.push(0);
    }
    bytes
}

/// The pairs in these bytes, or `None` where they are malformed or past a limit.
///
/// Envoy takes such bytes as an empty map, and no error: the caller does that.
pub fn decode(bytes: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    if bytes.len() > PAIRS_MAX_BYTES {
        return None;
    }
    let mut sizes = bytes;
    let count = take_u32(&mut sizes)?;
    if count > PAIRS_MAX_COUNT {
        return None;
    }
    let mut text = sizes.get(count * 8..)?;
    let mut pairs = Vec::with_capacity(count);
    for _ in 0..count {
        let (key_len, value_len) = (take_u32(&mut sizes)?, take_u32(&mut sizes)?);
        let key = take_terminated(&mut text, key_len)?;
        let value = take_terminated(&mut text, value_len)?;
        pairs.push((key, value));
    }
    text.is_empty().then_some(pairs)
}

fn push_u32(bytes: &mut Vec<u8>, number: usize) {
    // A map lives in a 32-bit memory on both sides, so its lengths fit.
    bytes.extend_from_slice(&(number as u32).to_le_bytes());
}

fn take_u32(bytes: &mut &[u8]) -> Option<usize> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    usize::try_from(u32::from_le_bytes(*head)).ok()
}

fn take_terminated<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let text = bytes.get(..len)?;
    let rest = bytes.get(len..)?.strip_prefix(b"\0")?;
    *bytes = rest;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        encode([(b"a".as_slice(), b"12".as_slice()), (b"bc", b"")].into_iter())
    }

    #[test]
    fn layout_is_the_specifications() {
        assert_eq!(sample(), b"\x02\0\0\0\x01\0\0\0\x02\0\0\0\x02\0\0\0\0\0\0\0a\x0012\0bc\0\0");
    }

    #[test]
    fn round_trips() {
        assert_eq!(decode(&sample()).unwrap(), [(b"a".as_slice(), b"12".as_slice()), (b"bc", b"")]);
        assert_eq!(decode(b"\0\0\0\0").unwrap(), []);
    }

    #[test]
    fn refuses_what_is_malformed() {
        let good = sample();
        for len in 0..good.len() {
            assert!(decode(&good[..len]).is_none(), "cut at {len}");
        }
        assert!(decode(&[good.as_slice(), b"\0"].concat()).is_none(), "a trailing byte");
        assert!(decode(&u32::MAX.to_le_bytes()).is_none(), "too many pairs");
        let mut lengths = good.clone();
        lengths[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(decode(&lengths).is_none(), "a length past the end");
        let mut terminator = good;
        *terminator.last_mut().unwrap() = b'x';
        assert!(decode(&terminator).is_none(), "no NUL");
    }
}
