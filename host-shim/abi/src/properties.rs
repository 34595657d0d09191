//! Property paths with a fixed type, so that a value given as text gets the bytes that a filter expects.

/// How a property's value is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The bytes as they are.
    String,
    /// 8 bytes, little-endian; also durations and timestamps in nanoseconds.
    Int,
    /// One byte, 0 or 1.
    Bool,
}

/// Paths, segments joined by `.`, whose values are no strings. Source: Envoy's attributes, which
/// `Context::findValue` brings.
const TYPED: &[(&str, Kind)] = &[
    ("connection.id", Kind::Int),
    ("connection.mtls", Kind::Bool),
    ("connection_id", Kind::Int),
    ("destination.port", Kind::Int),
    ("request.duration", Kind::Int),
    ("request.size", Kind::Int),
    ("request.time", Kind::Int),
    ("request.total_size", Kind::Int),
    ("response.backend_latency", Kind::Int),
    ("response.code", Kind::Int),
    ("response.flags", Kind::Int),
    ("response.grpc_status", Kind::Int),
    ("response.size", Kind::Int),
    ("response.total_size", Kind::Int),
    ("source.port", Kind::Int),
    ("upstream.num_endpoints", Kind::Int),
    ("upstream.port", Kind::Int),
    ("upstream.request_attempt_count", Kind::Int),
    ("xds.listener_direction", Kind::Int),
];

/// The type of the property at this path (segments joined by NUL).
pub fn kind(path: &[u8]) -> Kind {
    let same = |typed: &str| typed.bytes().map(|byte| if byte == b'.' { 0 } else { byte }).eq(path.iter().copied());
    TYPED.iter().find(|(typed, _)| same(typed)).map_or(Kind::String, |(_, kind)| *kind)
}

impl Kind {
    /// The bytes of a value given as text, or `None` where the text is not such a value.
    pub fn encode(self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::String => Some(text.to_vec()),
            Self::Int => {
                let number: i64 = std::str::from_utf8(text).ok()?.trim().parse().ok()?;
                Some(number.to_le_bytes().to_vec())
            }
            Self::Bool => match text {
                b"true" | b"1" => Some(vec![1]),
                b"false" | b"0" => Some(vec![0]),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_by_path() {
        assert_eq!(kind(b"source\0port"), Kind::Int);
        assert_eq!(kind(b"source\0address"), Kind::String);
        assert_eq!(kind(b"source.port"), Kind::String, "one segment with a dot in it");
    }

    #[test]
    fn encodings() {
        assert_eq!(Kind::Int.encode(b"8080"), Some(8080i64.to_le_bytes().to_vec()));
        assert_eq!(Kind::Int.encode(b"http"), None);
        assert_eq!(Kind::Bool.encode(b"true"), Some(vec![1]));
    }
}
