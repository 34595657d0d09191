//! Protobuf messages, read and written by hand.
//!
//! The messages of this ABI have a handful of fields: a library for them, and the types that it generates, would weigh
//! more in each component than what is done with them.

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A variable-length integer; also booleans and enumerations.
    Number(u64),
    /// A string, bytes, or a message.
    Bytes(&'a [u8]),
    /// Four or eight bytes, which no message of this ABI has.
    Other,
}

/// Hands over each field of a message, number and value; nothing where the bytes are no message.
pub fn each_field<'a>(bytes: &'a [u8], mut visit: impl FnMut((u64, Value<'a>)) -> Option<()>) -> Option<()> {
    walk(bytes, &mut visit)
}

/// The same for any visitor: it is not compiled once for each of them.
fn walk<'a>(mut bytes: &'a [u8], visit: &mut dyn FnMut((u64, Value<'a>)) -> Option<()>) -> Option<()> {
    /// The fields of groups, which nobody uses, are passed over; so deep.
    const DEPTH_MAX: usize = 100;
    let mut groups = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let number = tag >> 3;
        if number == 0 || tag > u64::from(u32::MAX) {
            return None;
        }
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut bytes)?),
            1 => take(&mut bytes, 8).map(|_| Value::Other)?,
            2 => {
                let len = varint(&mut bytes)?;
                Value::Bytes(take(&mut bytes, usize::try_from(len).ok()?)?)
            }
            3 if groups.len() < DEPTH_MAX => {
                groups.push(number);
                continue;
            }
            4 if groups.pop() == Some(number) => continue,
            5 => take(&mut bytes, 4).map(|_| Value::Other)?,
            _ => return None,
        };
        if groups.is_empty() {
            visit((number, value))?;
        }
    }
    groups.is_empty().then_some(())
}

/// A string of a message. If it is not UTF-8, the message is malformed.
pub fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// Appends a field with these bytes; an empty one is left out, as it is the default.
pub fn put_bytes(message: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    if !bytes.is_empty() {
        message.push(number << 3 | 2);
        let mut rest = bytes.len();
        while rest > 0x7f {
            message.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        message.push(rest as u8);
        message.extend_from_slice(bytes);
    }
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

/// A number of up to ten bytes, each of seven bits, the lowest first.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..70).step_by(7) {
        let byte = take(bytes, 1)?[0];
        number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(bytes: &[u8]) -> Option<Vec<(u64, Value<'_>)>> {
        let mut fields = Vec::new();
        each_field(bytes, |field| {
            fields.push(field);
            Some(())
        })?;
        Some(fields)
    }

    #[test]
    fn fields_of_each_kind() {
        assert_eq!(fields(b""), Some(vec![]));
        assert_eq!(
            fields(b"\x08\x96\x01\x12\x03abc\x1d1234\x2112345678"),
            Some(vec![(1, Value::Number(150)), (2, Value::Bytes(b"abc")), (3, Value::Other), (4, Value::Other)])
        );
        assert_eq!(fields(b"\x0b\x10\x01\x0c"), Some(vec![]), "a group is passed over");
    }

    #[test]
    fn what_is_no_message() {
        for bytes in [&b"\xff"[..], b"\x12\x03ab", b"\x0b", b"\x0c", b"\x00\x01", b"\x0f", b"\x08", b"\x0b\x14"] {
            assert_eq!(fields(bytes), None, "{bytes:?}");
        }
        assert_eq!(fields(&[0x0b; 200]), None);
    }

    #[test]
    fn lengths_of_written_bytes() {
        for len in [0, 1, 127, 128, 300, 20_000] {
            let mut message = Vec::new();
            let bytes = vec![7; len];
            put_bytes(&mut message, 3, &bytes);
            let expected = if len == 0 { vec![] } else { vec![(3, Value::Bytes(bytes.as_slice()))] };
            assert_eq!(fields(&message), Some(expected));
        }
    }
}
