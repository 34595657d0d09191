//! A request or a response as it was seen on a connection.

use std::time::Duration;

use super::requests::Headers;

/// What came, as far as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// `200` or `GET /path`; none where no head came.
    pub(super) first: Option<String>,
    /// In the order of the connection, names as they came.
    pub(super) headers: Headers,
    pub(super) body: Vec<u8>,
    /// Not even an empty piece of a body came, where that shows: in HTTP/2.
    pub(super) without_data: bool,
    pub(super) trailers: Headers,
    pub(super) end: End,
    /// What of it ended it, where that shows: in HTTP/2.
    pub(super) last: Option<Last>,
    /// What became afterwards of what it came on, where that was looked at.
    pub(super) then: Option<Then>,
}

/// What a message of HTTP/2 ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// Its head: there is no body.
    Head,
    /// A piece of its body, which may be empty.
    Data,
    Trailers,
}

/// What becomes of a connection, or of a stream of HTTP/2, after a whole response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// The connection can be used again.
    Kept,
    /// The connection is closed.
    Closed,
    /// The connection is reset.
    Reset,
    /// The stream is reset, for this reason.
    StreamReset(String),
}

/// How a message ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    /// It is still coming.
    #[default]
    Open,
    /// As it should.
    Complete,
    /// The connection was closed before its end.
    Closed,
    /// The connection or stream was reset.
    Reset(Option<String>),
    /// It was no HTTP.
    Garbage(String),
    /// The client went away.
    Aborted,
    /// Nothing more came for this long.
    TimedOut(Duration),
    /// There was no connection.
    Unconnected(String),
}

impl Message {
    /// The status code of a response.
    pub(super) fn status(&self) -> Option<u16> {
        self.first.as_ref()?.parse().ok()
    }
}

impl Last {
    /// How reports say it, after `complete`.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Head => "with the head",
            Self::Data => "with data",
            Self::Trailers => "with trailers",
        }
    }
}

impl std::fmt::Display for Then {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kept => f.write_str("the connection is kept"),
            Self::Closed => f.write_str("the connection is closed"),
            Self::Reset => f.write_str("the connection is reset"),
            Self::StreamReset(reason) => write!(f, "the stream is reset: {reason}"),
        }
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open => f.write_str("has not ended"),
            Self::Complete => f.write_str("complete"),
            Self::Closed => f.write_str("closed before its end"),
            Self::Reset(None) => f.write_str("reset"),
            Self::Reset(Some(reason)) => write!(f, "reset: {reason}"),
            Self::Garbage(reason) => write!(f, "no HTTP: {reason}"),
            Self::Aborted => f.write_str("the client went away"),
            Self::TimedOut(time) => write!(f, "not within {time:?}"),
            Self::Unconnected(reason) => write!(f, "no connection: {reason}"),
        }
    }
}
