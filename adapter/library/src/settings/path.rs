//! Property paths: `source.address`. A dot within a segment is written `\.`, a backslash `\\`.

/// The path's segments joined by NUL, as filters write it; `None` for what is no path.
pub(super) fn parse(text: &str) -> Option<Vec<u8>> {
    let mut segments = vec![Vec::new()];
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let segment = segments.last_mut()?;
        match byte {
            0 => return None,
            b'\\' => segment.push(bytes.next().filter(|escaped| matches!(escaped, b'.' | b'\\'))?),
            b'.' => segments.push(Vec::new()),
            byte => segment.push(byte),
        }
    }
    segments.iter().all(|segment| !segment.is_empty()).then(|| segments.join(&0))
}

/// The text that [`parse`] reads as this path.
pub(super) fn show(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(path);
    text.replace('\\', "\\\\").replace('.', "\\.").replace('\0', ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments() {
        assert_eq!(parse("source.address").unwrap(), b"source\0address");
        assert_eq!(parse(r"xds.node.metadata.a\.b\\c").unwrap(), b"xds\0node\0metadata\0a.b\\c");
        for text in ["", ".", "a.", ".a", "a..b", r"a\", r"a\b", "a\0b"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn round_trips() {
        for text in ["source.address", r"a\.b.c\\d"] {
            assert_eq!(show(&parse(text).unwrap()), text);
        }
    }
}
