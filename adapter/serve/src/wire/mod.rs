//! HTTP/1 as it stands on the wire, looked at before hyper reads it.
//!
//! hyper forgives what Envoy refuses, and tells nobody: a length beside a coding, a list of lengths, a chunk whose end is
//! missing. Two that read the same bytes differently is how messages are smuggled past a filter. So every byte passes
//! here first, and hyper gets the message in the one form that can be read in one way only.
//!
//! Nothing here does I/O or waits. Requests (`front`) and answers (`outgoing/answer`) are read alike; their first lines, and
//! what they mean, are decided there. Both are compared with Envoy, by the suites `wire` and `upstream_wire`.
//!
//! | file | holds |
//! |---|---|
//! | `block` | a start line and fields, or the fields of trailers |
//! | `chunks` | a body in chunks, with its trailers |
//! | `framing` | where a message's fields say that it ends |

mod block;
mod chunks;
mod framing;

use bytes::{Buf, BytesMut};

pub(crate) use self::block::{Block, End, lines};
pub(crate) use self::chunks::Chunks;
pub(crate) use self::framing::{Length, length};

/// The most fields in a head or in trailers, of requests and answers: Envoy's default.
pub(crate) const FIELDS_MAX: usize = 100;

/// The longest line, in bytes, that says how long a chunk is. Envoy has no limit; nobody sees what stands in such a line.
const CHUNK_LINE_LIMIT: usize = 128 * 1024;

/// Moves so many bytes, or all that are there, and says how many.
pub(crate) fn shift(from: &mut BytesMut, to: &mut BytesMut, most: u64) -> u64 {
    let size = usize::try_from(most).unwrap_or(usize::MAX).min(from.len());
    if to.is_empty() && size == from.len() {
        std::mem::swap(from, to);
    } else {
        to.extend_from_slice(&from[..size]);
        from.advance(size);
    }
    size as u64
}

/// What is wrong with a message. To a client that is a status; to an operator the texts go on from "its message is refused: ".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// Not the start of a message of HTTP/1.
    #[error("it does not begin with a line of HTTP/1")]
    StartLine,
    /// More bytes than the limit.
    #[error("its head is larger than {} KiB", limit / 1024)]
    HeadTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// More trailers than the limit.
    #[error("its trailers are larger than {} KiB", limit / 1024)]
    TrailersTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// More fields than the limit.
    #[error("it has more than {FIELDS_MAX} fields")]
    TooManyFields,
    /// A line without a name and a colon, or with white space between them.
    #[error("a line of its fields has no valid name")]
    FieldName,
    /// A control character.
    #[error("a value of its fields has a control character in it")]
    FieldValue,
    /// Some end a line there.
    #[error("it has a carriage return that ends no line")]
    BareCarriageReturn,
    /// Not one number, or too large a one.
    #[error("its `content-length` is no number, or there are several")]
    ContentLength,
    /// Anything but the one coding `chunked`.
    #[error("its `transfer-encoding` is another than `chunked`, or there are several")]
    TransferEncoding,
    /// HTTP/1.0 knows none.
    #[error("it has a `transfer-encoding` in HTTP/1.0")]
    TransferEncodingInHttp10,
    /// Two ends.
    #[error("it has both a `content-length` and a `transfer-encoding`")]
    TwoLengths,
    /// A line that says how long a chunk is.
    #[error("the size of a chunk is no number")]
    ChunkSize,
    /// Longer than the limit.
    #[error("a line with the size of a chunk is longer than {} KiB", CHUNK_LINE_LIMIT / 1024)]
    ChunkLine,
    /// What follows a chunk is not the end of a line.
    #[error("a chunk is longer or shorter than its size says")]
    ChunkEnd,
}
