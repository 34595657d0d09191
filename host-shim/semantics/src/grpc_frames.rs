//! gRPC's framing: a flag byte, a length of four bytes, and the message.

use proxy_wasm_abi::limits::GRPC_MESSAGE_MAX_BYTES;

const PREFIX_BYTES: usize = 5;

/// The message is compressed.
const COMPRESSED: u8 = 1;

/// In gRPC-Web: the frame holds the trailers.
const TRAILERS: u8 = 0x80;

/// A frame for a message.
pub(crate) fn frame(message: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(PREFIX_BYTES + message.len());
    frame.push(0);
    frame.extend_from_slice(&(message.len() as u32).to_be_bytes());
    frame.extend_from_slice(message);
    frame
}

/// The content of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Message(Vec<u8>),
    /// A message that nobody said how to read.
    Compressed,
    Trailers(Vec<u8>),
}

/// Takes frames out of a body.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The bytes of frames that are not complete.
    held: Vec<u8>,
}

impl Decoder {
    /// The frames that these bytes complete; `None` where one of them is malformed, or too large.
    pub(crate) fn decode(&mut self, bytes: &[u8], web: bool) -> Option<Vec<Received>> {
        self.held.extend_from_slice(bytes);
        let mut frames = Vec::new();
        let mut rest = self.held.as_slice();
        while let Some((&flags, _)) = rest.split_first() {
            let is_trailers = web && flags == TRAILERS;
            if flags & !COMPRESSED != 0 && !is_trailers {
                return None;
            }
            let Some((prefix, after)) = rest.split_first_chunk::<PREFIX_BYTES>() else { break };
            let [_, length @ ..] = *prefix;
            let length = u32::from_be_bytes(length) as usize;
            if length > GRPC_MESSAGE_MAX_BYTES {
                return None;
            }
            let Some((content, after)) = after.split_at_checked(length) else { break };
            frames.push(match flags {
                TRAILERS => Received::Trailers(content.to_vec()),
                COMPRESSED if length > 0 => Received::Compressed,
                _ => Received::Message(content.to_vec()),
            });
            rest = after;
        }
        let used = self.held.len() - rest.len();
        self.held.drain(..used);
        Some(frames)
    }
}

/// The trailers that a frame of gRPC-Web holds: a line each, as in HTTP/1.1.
pub(crate) fn trailer_lines(block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    block.split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((line[..colon].trim_ascii(), line[colon + 1..].trim_ascii()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_however_they_are_cut() {
        let bytes = [frame(b"one"), frame(b""), frame(b"three")].concat();
        let expected = [b"one".as_slice(), b"", b"three"].map(|message| Received::Message(message.into()));
        for size in 1..=bytes.len() {
            let mut decoder = Decoder::default();
            let frames: Vec<_> =
                bytes.chunks(size).flat_map(|chunk| decoder.decode(chunk, false).expect("they are frames")).collect();
            assert_eq!(frames, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn a_frame_too_large_or_with_unknown_flags_is_none() {
        let too_large = (GRPC_MESSAGE_MAX_BYTES as u32 + 1).to_be_bytes();
        for (bytes, web) in [
            (b"\x02".to_vec(), false),
            (b"\x80\0\0\0\0".to_vec(), false),
            (b"\x81".to_vec(), true),
            ([b"\0".as_slice(), &too_large].concat(), false),
        ] {
            assert_eq!(Decoder::default().decode(&bytes, web), None, "{bytes:?}");
        }
        assert_eq!(
            Decoder::default().decode(b"\x01\0\0\0\x01z\x01\0\0\0\0", false).unwrap(),
            [Received::Compressed, Received::Message(Vec::new())]
        );
    }

    #[test]
    fn trailers_of_grpc_web_are_lines() {
        let frames = Decoder::default().decode(b"\x80\0\0\0\x13grpc-status: 0\r\nA:b", true).unwrap();
        let [Received::Trailers(block)] = frames.as_slice() else { panic!("{frames:?}") };
        let lines: Vec<_> = trailer_lines(block).collect();
        assert_eq!(lines, [(b"grpc-status".as_slice(), b"0".as_slice()), (b"A", b"b")]);
    }
}
