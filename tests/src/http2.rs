//! HTTP/2 frame by frame: what peers on both ends of a proxy send and see, which no library for it shows.
//!
//! | file | idea |
//! |---|---|
//! | `frame` | frames, and the fields in them |
//! | `connection` | a connection of many streams, as either end has it |
//! | `client` | one request |
//! | `server` | an upstream that does what it is told |

pub mod client;
pub mod connection;
pub mod frame;
pub mod server;

use std::fmt;

/// Names and values in the order of the connection, pseudo-headers among them.
pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// What came on a stream, as far as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The fields of the head, once it is there.
    pub head: Option<Fields>,
    /// The body.
    pub data: Vec<u8>,
    /// The trailers.
    pub trailers: Fields,
    /// How it ended.
    pub ending: Option<Ending>,
    /// The code of the reset that came when it had ended.
    pub after: Option<u32>,
}

/// What a message ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its head: there is no body.
    Head,
    /// The last of its body, which may be empty.
    Data,
    /// Its trailers.
    Trailers,
    /// A reset with this code.
    Reset(u32),
    /// A reset of our own.
    Left,
    /// The end of the connection, with this code if there was a word about it.
    Connection(Option<u32>),
}

impl Ending {
    /// Whether the message is all there.
    pub fn is_complete(self) -> bool {
        matches!(self, Self::Head | Self::Data | Self::Trailers)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => f.write_str("ends with its head"),
            Self::Data => f.write_str("ends with data"),
            Self::Trailers => f.write_str("ends with trailers"),
            Self::Reset(code) => write!(f, "reset {}", frame::error_name(*code)),
            Self::Left => f.write_str("left"),
            Self::Connection(None) => f.write_str("the connection ended"),
            Self::Connection(Some(code)) => write!(f, "the connection ended: {}", frame::error_name(*code)),
        }
    }
}
