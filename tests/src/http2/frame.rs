//! Frames (RFC 9113, 4 and 6) and the fields in them, which go out as plainly as HPACK (RFC 7541) lets them: so a peer
//! sends just the lines that it is told to.

use std::io::{self, Read};

use super::Fields;

/// What a client's connection begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The largest frame that a peer takes which said nothing else.
pub const LARGEST: usize = 16_384;

/// Types of frames.
#[allow(missing_docs, reason = "RFC 9113 says it")]
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames.
#[allow(missing_docs, reason = "RFC 9113 says it")]
pub mod flag {
    pub const ACK: u8 = 1;
    pub const END_STREAM: u8 = 1;
    pub const END_HEADERS: u8 = 4;
    pub const PADDED: u8 = 8;
    pub const PRIORITY: u8 = 32;
}

/// The setting of the window that streams begin with.
pub const INITIAL_WINDOW_SIZE: u16 = 4;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0 is the connection.
    pub stream: u32,
    /// What it holds.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A frame.
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, flags, stream, payload: payload.into() }
    }

    /// As it goes over the connection.
    pub fn bytes(&self) -> Vec<u8> {
        let size = u32::try_from(self.payload.len()).unwrap_or(u32::MAX).to_be_bytes();
        let head = [size[1], size[2], size[3], self.kind, self.flags];
        [&head, self.stream.to_be_bytes().as_slice(), &self.payload].concat()
    }

    /// The next one.
    ///
    /// # Errors
    /// The connection's, or it ends.
    pub fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut head = [0; 9];
        from.read_exact(&mut head)?;
        let size = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; size as usize];
        from.read_exact(&mut payload)?;
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        Ok(Self { kind: head[3], flags: head[4], stream, payload })
    }

    /// Whether it has this flag.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The 32-bit number at this place of what it holds.
    pub fn number(&self, at: usize) -> Option<u32> {
        let bytes = self.payload.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    }

    /// What it holds without padding and, of HEADERS, priority.
    pub fn content(&self) -> &[u8] {
        let mut content = self.payload.as_slice();
        if self.has(flag::PADDED) && !content.is_empty() {
            content = content.get(1..content.len().saturating_sub(content[0].into())).unwrap_or_default();
        }
        let is_head = self.kind == kind::HEADERS;
        if is_head && self.has(flag::PRIORITY) { content.get(5..).unwrap_or_default() } else { content }
    }
}

/// Fields as literals that no table keeps.
pub fn encode(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend_from_slice(text);
        }
    }
    block
}

/// A length, in the seven bits of a byte and as many more as it needs.
fn length(block: &mut Vec<u8>, length: usize) {
    const PREFIX: usize = 127;
    if length < PREFIX {
        block.push(length as u8);
        return;
    }
    block.push(PREFIX as u8);
    let mut rest = length - PREFIX;
    while rest >= 128 {
        block.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    block.push(rest as u8);
}

/// Reads the fields of a connection's heads, which refer to those before.
pub struct Decoder(loona_hpack::Decoder<'static>);

impl Default for Decoder {
    fn default() -> Self {
        Self(loona_hpack::Decoder::new())
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decoder")
    }
}

impl Decoder {
    /// The fields of a head.
    ///
    /// # Errors
    /// It is none.
    pub fn decode(&mut self, block: &[u8]) -> io::Result<Fields> {
        self.0.decode(block).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{error:?}")))
    }
}

/// The name of an error code.
pub fn error_name(code: u32) -> String {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    NAMES.get(code as usize).map_or_else(|| code.to_string(), |name| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let fields: Fields = vec![(b":path".into(), b"/".into()), (b"X".into(), vec![b'v'; 300])];
        let frame = Frame::new(kind::HEADERS, flag::END_HEADERS, 3, encode(&fields));
        let read = Frame::read(&mut frame.bytes().as_slice()).unwrap();
        assert_eq!(read, frame);
        assert_eq!(Decoder::default().decode(read.content()).unwrap(), fields);
    }

    #[test]
    fn leaves_out_padding_and_priority() {
        let payload = [&[2][..], &[0; 5], b"abc", &[0; 2]].concat();
        let frame = Frame::new(kind::HEADERS, flag::PADDED | flag::PRIORITY, 1, payload);
        assert_eq!(frame.content(), b"abc");
    }
}
