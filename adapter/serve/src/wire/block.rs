//! Lines up to an empty one: those of a head, and those of trailers.

use std::borrow::Cow;

use bytes::BufMut;

use super::{FIELDS_MAX, Fault};

/// Looks for the empty line that ends a block, without looking twice.
#[derive(Debug, Default)]
pub(crate) struct End {
    looked: usize,
    line: usize,
}

impl End {
    /// The length of the block in these bytes, which are those of the last time and more.
    pub(crate) fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        while let Some(at) = memchr::memchr(b'\n', bytes.get(self.looked..)?) {
            let end = self.looked + at;
            let is_empty = is_end(&bytes[self.line..end]);
            (self.looked, self.line) = (end + 1, end + 1);
            if is_empty {
                return Some(end + 1);
            }
        }
        self.looked = bytes.len();
        None
    }

    /// Where the first line begins that has not ended yet.
    pub(crate) fn line(&self) -> usize {
        self.line
    }
}

/// A header field.
#[derive(Debug)]
pub(crate) struct Field<'a> {
    name: &'a str,
    value: Cow<'a, [u8]>,
}

impl Field<'_> {
    /// Whether it has this name, in whatever case.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Writes it as one line, its name in lower case, its value without blanks around it.
    pub(crate) fn write(&self, into: &mut impl BufMut) {
        if self.name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            into.put_slice(self.name.to_ascii_lowercase().as_bytes());
        } else {
            into.put_slice(self.name.as_bytes());
        }
        for part in [b": ", &*self.value, b"\r\n"] {
            into.put_slice(part);
        }
    }
}

/// The lines of a head or of trailers.
#[derive(Debug)]
pub(crate) struct Block<'a> {
    /// Empty in trailers.
    start: &'a [u8],
    fields: Vec<Field<'a>>,
}

impl<'a> Block<'a> {
    /// Reads a head, its empty line included.
    pub(crate) fn head(bytes: &'a [u8]) -> Result<Self, Fault> {
        let mut lines = lines(bytes);
        let start = lines.next().unwrap_or_default();
        if start.contains(&b'\r') {
            return Err(Fault::BareCarriageReturn);
        }
        Ok(Self { start, fields: fields(lines)? })
    }

    /// Reads trailers, their empty line included.
    pub(crate) fn trailers(bytes: &'a [u8]) -> Result<Self, Fault> {
        Ok(Self { start: b"", fields: fields(lines(bytes))? })
    }

    /// The first line, without its end.
    pub(crate) fn start(&self) -> &'a [u8] {
        self.start
    }

    /// The fields, in their order.
    pub(crate) fn fields(&self) -> &[Field<'a>] {
        &self.fields
    }

    /// The values of a field.
    pub(crate) fn values<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b [u8]> {
        self.fields.iter().filter(move |field| field.is(name)).map(|field| field.value.as_ref())
    }

    /// The items of a field that is a list.
    pub(crate) fn items<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b [u8]> {
        let items = self.values(name).flat_map(|value| value.split(|byte| *byte == b','));
        items.map(<[u8]>::trim_ascii).filter(|item| !item.is_empty())
    }
}

/// The lines of a block, without their ends. A line ends with a newline; returns before it belong to that end, but for those of
/// the empty one: with more than one, it does not end the block, and is none.
pub(crate) fn lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(block);
    let line = move || {
        let bytes = rest?;
        let end = memchr::memchr(b'\n', bytes);
        rest = end.map(|end| &bytes[end + 1..]);
        Some(&bytes[..end.unwrap_or(bytes.len())])
    };
    std::iter::from_fn(line).take_while(|line| !is_end(line)).map(stripped)
}

/// Whether this line, without its newline, is the empty one that ends a block.
fn is_end(line: &[u8]) -> bool {
    matches!(line, [] | [b'\r'])
}

fn stripped(mut line: &[u8]) -> &[u8] {
    while let [rest @ .., b'\r'] = line {
        line = rest;
    }
    line
}

/// The fields in these lines. A line that begins with a blank goes on with the value before it, the blank included.
fn fields<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Field<'a>>, Fault> {
    let mut fields: Vec<Field<'a>> = Vec::new();
    for line in lines {
        // Some take it for the end of a line. Of an empty one only returns are left out.
        if line.is_empty() || line.contains(&b'\r') {
            return Err(Fault::BareCarriageReturn);
        }
        if matches!(line, [b' ' | b'\t', ..]) {
            fields.last_mut().ok_or(Fault::FieldName)?.value.to_mut().extend_from_slice(line);
            continue;
        }
        let colon = memchr::memchr(b':', line).ok_or(Fault::FieldName)?;
        let (name, value) = (&line[..colon], Cow::Borrowed(&line[colon + 1..]));
        let name = str::from_utf8(name).ok().filter(|name| is_token(name)).ok_or(Fault::FieldName)?;
        if fields.len() == FIELDS_MAX {
            return Err(Fault::TooManyFields);
        }
        fields.push(Field { name, value });
    }
    for Field { value, .. } in &mut fields {
        // All of them are looked at: without an early end it is many at a time.
        if !value.iter().fold(true, |valid, byte| valid & (*byte == b'\t' || (*byte >= b' ' && *byte != 0x7f))) {
            return Err(Fault::FieldValue);
        }
        match value {
            Cow::Borrowed(bytes) => *bytes = bytes.trim_ascii(),
            Cow::Owned(bytes) => *bytes = bytes.trim_ascii().to_vec(),
        }
    }
    Ok(fields)
}

/// Which bytes a name is made of.
const OF_TOKEN: [bool; 256] = {
    let marks = b"!#$%&'*+-.^_`|~";
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut index = 0;
    while index < marks.len() {
        table[marks[index] as usize] = true;
        index += 1;
    }
    table
};

fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| OF_TOKEN[usize::from(byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(head: &[u8]) -> Result<String, Fault> {
        let head = Block::head(head)?;
        let mut bytes = [head.start(), b"|"].concat();
        head.fields().iter().for_each(|field| field.write(&mut bytes));
        Ok(String::from_utf8_lossy(&bytes).replace("\r\n", "|"))
    }

    #[test]
    fn the_end_is_found_wherever_the_bytes_are_cut() {
        for block in ["a\r\nb: c\r\n\r\n", "a\nb\n\n", "a\r\n\n", "a\r\r\n\r\n", "\r\n", "\n"] {
            for cut in 0..block.len() {
                let mut end = End::default();
                assert_eq!(end.find(&block.as_bytes()[..cut]), None);
                assert_eq!(end.find([block, "more"].concat().as_bytes()), Some(block.len()), "{block:?} cut at {cut}");
            }
        }
        for open in ["a\r\nb: c\r\n\rd", "a\r\nb: c\r\n\r\r\n"] {
            assert_eq!(End::default().find(open.as_bytes()), None, "{open:?}");
        }
    }

    #[test]
    fn an_empty_line_with_more_than_one_return_is_none() {
        for head in ["S\r\nb: c\r\n\r\r\nd: e\r\n\r\n", "S\r\n\r\r\n\n"] {
            assert_eq!(written(head.as_bytes()), Err(Fault::BareCarriageReturn), "{head:?}");
        }
    }

    #[test]
    fn fields_are_written_in_one_form() {
        let head = b"S\nx-a:1\r\nX-B: \t 2 \t\r\nx_c: 3\r\n 4\nx-d:\r\n\t\r\nx-e:\r\r\n\r\nnot: this";
        assert_eq!(written(head).unwrap(), "S|x-a: 1|x-b: 2|x_c: 3 4|x-d: |x-e: |");
        assert_eq!(written(b"S\r\n\r\n").unwrap(), "S|");
    }

    #[test]
    fn values_and_items() {
        let head = Block::head(b"S\r\nA: b,, c \r\nd: e\r\na:f\r\n\r\n").unwrap();
        assert_eq!(head.values("a").collect::<Vec<_>>(), [b"b,, c".as_slice(), b"f"]);
        assert_eq!(head.items("a").collect::<Vec<_>>(), [b"b", b"c", b"f"]);
        assert_eq!(head.items("g").count(), 0);
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for (line, fault) in [
            (b"x-a".as_slice(), Fault::FieldName),
            (b": x", Fault::FieldName),
            (b":status: 500", Fault::FieldName),
            (b"x-a : x", Fault::FieldName),
            (b"x a: x", Fault::FieldName),
            (b"x\0: x", Fault::FieldName),
            (b"\"x\": x", Fault::FieldName),
            (b"x\xe9: x", Fault::FieldName),
            (b"x\xc3\xa9: x", Fault::FieldName),
            (b" x-a: folded with nothing before", Fault::FieldName),
            (b"x-a: a\0b", Fault::FieldValue),
            (b"x-a: a\x1bb", Fault::FieldValue),
            (b"x-a: a\x7fb", Fault::FieldValue),
            (b"x-a: a\x0bb", Fault::FieldValue),
            (b"x-a: a\rx-b: c", Fault::BareCarriageReturn),
        ] {
            assert_eq!(written(&[b"S\r\n", line, b"\r\n\r\n"].concat()), Err(fault), "{line:?}");
        }
        assert_eq!(written(b"S\rx\r\n\r\n"), Err(Fault::BareCarriageReturn));
        let many = |count: usize| [b"S\r\n".as_slice(), &b"x: y\r\n".repeat(count), b"\r\n"].concat();
        assert!(written(&many(FIELDS_MAX)).is_ok());
        assert_eq!(written(&many(FIELDS_MAX + 1)), Err(Fault::TooManyFields));
    }
}
