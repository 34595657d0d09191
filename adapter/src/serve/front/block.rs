//! Lines up to an empty one: those of a head, and those of trailers.

use super::refusal::Refusal;

/// A header field: its name in lower case, its value without blanks around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) value: Vec<u8>,
}

/// Looks for the empty line that ends a block, without looking twice.
#[derive(Debug, Default)]
pub(super) struct End {
    scanned: usize,
    line: usize,
}

impl End {
    /// The length of the block in these bytes, which are those of the last time and more.
    pub(super) fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        while let Some(at) = memchr::memchr(b'\n', bytes.get(self.scanned..)?) {
            let end = self.scanned + at;
            let is_empty = stripped(&bytes[self.line..end]).is_empty();
            (self.scanned, self.line) = (end + 1, end + 1);
            if is_empty {
                return Some(end + 1);
            }
        }
        self.scanned = bytes.len();
        None
    }

    /// Where the first line ends that is not ended yet.
    pub(super) fn line(&self) -> usize {
        self.line
    }
}

/// The lines of a block, without their ends. A line ends with a newline; returns before it belong to it.
pub(super) fn lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    block.split(|byte| *byte == b'\n').map(stripped).take_while(|line| !line.is_empty())
}

fn stripped(mut line: &[u8]) -> &[u8] {
    while let [rest @ .., b'\r'] = line {
        line = rest;
    }
    line
}

/// The fields in these lines. A line that begins with a blank goes on with the value before it.
pub(super) fn fields<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Field>, Refusal> {
    let mut fields: Vec<Field> = Vec::new();
    for line in lines {
        if let [b' ' | b'\t', ..] = line {
            fields.last_mut().ok_or(Refusal::BAD_REQUEST)?.value.extend_from_slice(line);
            continue;
        }
        let colon = memchr::memchr(b':', line).ok_or(Refusal::BAD_REQUEST)?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let name = str::from_utf8(name).ok().filter(|name| is_token(name)).ok_or(Refusal::BAD_REQUEST)?;
        fields.push(Field { name: name.to_ascii_lowercase(), value: value.to_vec() });
    }
    for field in &mut fields {
        if !is_value(&field.value) {
            return Err(Refusal::BAD_REQUEST);
        }
        let trimmed = field.value.trim_ascii();
        if trimmed.len() < field.value.len() {
            field.value = trimmed.to_vec();
        }
    }
    Ok(fields)
}

fn is_token(name: &str) -> bool {
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_of_token)
}

/// A return within a line ends it for some; other control characters are nobody's.
fn is_value(value: &[u8]) -> bool {
    value.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f))
}

/// Writes fields, each as one line.
pub(super) fn write(fields: &[Field], to: &mut impl Extend<u8>) {
    for Field { name, value } in fields {
        to.extend(name.bytes().chain(*b": ").chain(value.iter().copied()).chain(*b"\r\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_with_an_empty_line() {
        for block in ["a\r\nb\r\n\r\n", "a\nb\n\n", "a\r\n\n", "a\r\r\n\r\r\n"] {
            for cut in 0..block.len() {
                let mut end = End::default();
                assert_eq!(end.find(&block.as_bytes()[..cut]), None);
                assert_eq!(end.find([block, "more"].concat().as_bytes()), Some(block.len()), "{block:?} cut at {cut}");
            }
        }
    }

    fn parse(block: &str) -> Result<Vec<(String, String)>, Refusal> {
        let text = |field: Field| (field.name, field.value.iter().map(|byte| char::from(*byte)).collect());
        Ok(fields(lines(block.as_bytes()))?.into_iter().map(text).collect())
    }

    #[test]
    fn fields_are_trimmed_and_unfolded() {
        let block = "A: 1\r\nb:\t2 \nC_d:\r\ne: x\r\n y\r\n\tz\r\n\r\nnot: this";
        let expected = [("a", "1"), ("b", "2"), ("c_d", ""), ("e", "x y\tz")];
        let expected: Vec<_> = expected.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        assert_eq!(parse(block), Ok(expected));
    }

    #[test]
    fn what_is_no_field() {
        for line in [
            "a",
            ": 1",
            " a: 1",
            "a : 1",
            "a b: 1",
            "a\0: 1",
            "a: \0",
            "a: \u{1b}",
            "a: b\rc",
            "a: \u{7f}",
            "\"a\": 1",
            "a:\u{b}b",
        ] {
            assert_eq!(parse(&format!("{line}\r\n\r\n")), Err(Refusal::BAD_REQUEST), "{line:?}");
        }
    }
}
