//! A block of lines that an empty line ends: a head, or trailers.

use std::borrow::Cow;

use bytes::BytesMut;

use super::{FIELDS_MAX, Fault};

/// Where a block ends that begins at the first byte: behind its empty line. `from` is how far it was looked for before.
pub(in crate::serve) fn block_end(bytes: &[u8], from: usize) -> Option<usize> {
    // The end of the line before may have been looked at already.
    let mut at = from.saturating_sub(2);
    while let Some(found) = memchr::memchr(b'\n', bytes.get(at..)?) {
        let next = at + found + 1;
        match bytes.get(next..) {
            Some([b'\n', ..]) => return Some(next + 1),
            Some([b'\r', b'\n', ..]) => return Some(next + 2),
            _ => at = next,
        }
    }
    None
}

/// A field: its name as it was sent, its value without the white space around it.
type Field<'a> = (&'a [u8], Cow<'a, [u8]>);

/// The lines of a head or of trailers.
#[derive(Debug)]
pub(in crate::serve) struct Block<'a> {
    /// Empty in trailers.
    start: &'a [u8],
    fields: Vec<Field<'a>>,
}

impl<'a> Block<'a> {
    /// Reads a head, its empty line included.
    pub(in crate::serve) fn head(bytes: &'a [u8]) -> Result<Self, Fault> {
        let mut lines = lines(bytes);
        let start = lines.next().unwrap_or_default();
        if start.contains(&b'\r') {
            return Err(Fault::BareCarriageReturn);
        }
        Ok(Self { start, fields: fields(lines)? })
    }

    /// Reads trailers, their empty line included.
    pub(in crate::serve) fn trailers(bytes: &'a [u8]) -> Result<Self, Fault> {
        Ok(Self { start: b"", fields: fields(lines(bytes))? })
    }

    /// The first line, without its end.
    pub(in crate::serve) fn start(&self) -> &'a [u8] {
        self.start
    }

    /// The values of a field, whose name is in lower case.
    pub(in crate::serve) fn values<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b [u8]> {
        let same = move |field: &&Field<'_>| field.0.eq_ignore_ascii_case(name.as_bytes());
        self.fields.iter().filter(same).map(|(_, value)| value.as_ref())
    }

    /// Writes the fields and the empty line, in the strict form.
    pub(in crate::serve) fn write_fields(&self, into: &mut BytesMut) {
        for (name, value) in &self.fields {
            into.extend_from_slice(name);
            into.extend_from_slice(b": ");
            into.extend_from_slice(value);
            into.extend_from_slice(b"\r\n");
        }
        into.extend_from_slice(b"\r\n");
    }
}

/// The lines before the empty one, without their ends.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    // The empty line and what stands behind its end are the last two.
    let count = memchr::memchr_iter(b'\n', bytes).count();
    lines.take(count.saturating_sub(1))
}

fn fields<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Field<'a>>, Fault> {
    let mut fields: Vec<Field<'a>> = Vec::new();
    for line in lines {
        if line.contains(&b'\r') {
            return Err(Fault::BareCarriageReturn);
        }
        if matches!(line, [b' ' | b'\t', ..]) {
            // A folded line goes on with the value before, its white space included.
            let (_, value) = fields.last_mut().ok_or(Fault::FieldName)?;
            value.to_mut().extend_from_slice(line);
            continue;
        }
        let colon = memchr::memchr(b':', line).ok_or(Fault::FieldName)?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
            return Err(Fault::FieldName);
        }
        if fields.len() == FIELDS_MAX {
            return Err(Fault::TooManyFields);
        }
        fields.push((name, Cow::Borrowed(value)));
    }
    for (_, value) in &mut fields {
        if !value.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f)) {
            return Err(Fault::FieldValue);
        }
        match value {
            Cow::Borrowed(bytes) => *bytes = bytes.trim_ascii(),
            Cow::Owned(bytes) => *bytes = bytes.trim_ascii().to_vec(),
        }
    }
    Ok(fields)
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(head: &[u8]) -> Result<String, Fault> {
        let head = Block::head(head)?;
        let mut bytes = BytesMut::from(head.start());
        bytes.extend_from_slice(b"|");
        head.write_fields(&mut bytes);
        Ok(String::from_utf8_lossy(&bytes).replace("\r\n", "|"))
    }

    #[test]
    fn the_end_is_found_wherever_the_bytes_are_cut() {
        for (head, end) in [
            (b"a\r\nb: c\r\n\r\nd".as_slice(), Some(11)),
            (b"a\nb: c\n\nd", Some(8)),
            (b"a\r\nb: c\r\n\nd", Some(10)),
            (b"a\r\nb: c\r\n\rd", None),
            (b"\r\n\r\nd", Some(4)),
        ] {
            for cut in 0..head.len() {
                let found = block_end(&head[..cut], 0).or_else(|| block_end(head, cut));
                assert_eq!(found, end, "{head:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn fields_are_written_in_one_form() {
        let head = b"S\nx-a:1\r\nX-B: \t 2 \t\r\nx-c: 3\r\n 4\nx-d:\r\n\t\r\nx-e:\r\n\r\n";
        assert_eq!(written(head).unwrap(), "S|x-a: 1|X-B: 2|x-c: 3 4|x-d: |x-e: ||");
        assert_eq!(written(b"S\r\n\r\n").unwrap(), "S||");
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for (line, fault) in [
            (b"x-a".as_slice(), Fault::FieldName),
            (b": x", Fault::FieldName),
            (b":status: 500", Fault::FieldName),
            (b"x-a : x", Fault::FieldName),
            (b"x a: x", Fault::FieldName),
            (b"x\xe9: x", Fault::FieldName),
            (b" x-a: folded with nothing before", Fault::FieldName),
            (b"x-a: a\0b", Fault::FieldValue),
            (b"x-a: a\x7fb", Fault::FieldValue),
            (b"x-a: a\x0bb", Fault::FieldValue),
            (b"x-a: a\rx-b: c", Fault::BareCarriageReturn),
            (b"x-a: a\r", Fault::BareCarriageReturn),
        ] {
            assert_eq!(written(&[b"S\r\n", line, b"\r\n\r\n"].concat()), Err(fault), "{line:?}");
        }
        assert_eq!(written(b"S\rx\r\n\r\n"), Err(Fault::BareCarriageReturn));
        let many = |count: usize| [b"S\r\n".as_slice(), &b"x: y\r\n".repeat(count), b"\r\n"].concat();
        assert!(written(&many(FIELDS_MAX)).is_ok());
        assert_eq!(written(&many(FIELDS_MAX + 1)), Err(Fault::TooManyFields));
    }
}
