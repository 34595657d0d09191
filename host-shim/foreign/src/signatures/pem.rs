//! PEM: DER as text, between lines that say what it is.

/// The bytes between the first such lines, and the label that the lines give them.
pub(super) fn read(text: &str) -> Option<(&str, Vec<u8>)> {
    let mut lines = text.lines().map(str::trim_end);
    let label = lines.find_map(|line| line.strip_prefix("-----BEGIN ")?.strip_suffix("-----"))?;
    let mut base64 = String::new();
    for line in lines {
        if let Some(end) = line.strip_prefix("-----END ") {
            return (end.strip_suffix("-----") == Some(label)).then(|| Some((label, decode(base64.as_bytes())?)))?;
        }
        base64.push_str(line);
    }
    None
}

fn decode(base64: &[u8]) -> Option<Vec<u8>> {
    let digits = base64.strip_suffix(b"==").or_else(|| base64.strip_suffix(b"=")).unwrap_or(base64);
    if !base64.len().is_multiple_of(4) {
        return None;
    }
    let mut bytes = Vec::with_capacity(base64.len() / 4 * 3);
    for group in digits.chunks(4) {
        let mut number = 0_u32;
        for digit in group {
            number = number << 6 | u32::from(value(*digit)?);
        }
        let whole = (number << (6 * (4 - group.len()))).to_be_bytes();
        // The first of the four is empty; as many others are there as there are digits but one.
        bytes.extend_from_slice(whole.get(1..group.len())?);
    }
    Some(bytes)
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        for (base64, bytes) in
            [("", Some(&b""[..])), ("YQ==", Some(b"a")), ("YWI=", Some(b"ab")), ("YWJj", Some(b"abc"))]
        {
            assert_eq!(decode(base64.as_bytes()).as_deref(), bytes);
        }
        for bad in ["Y", "YQ", "YQ=", "Y===", "====", "Y!==", "YQ==YQ=="] {
            assert!(decode(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn labels_agree() {
        let text = "words\n-----BEGIN X Y-----\r\nYW\nJj\n-----END X Y-----\nmore";
        assert_eq!(read(text), Some(("X Y", b"abc".to_vec())));
        for bad in ["-----BEGIN X-----\nYWJj\n-----END Y-----", "-----BEGIN X-----\nYWJj", "YWJj", ""] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
