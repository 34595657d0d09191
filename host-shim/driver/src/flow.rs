//! How far a message is on its way over the edge.

/// A message that goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outgoing {
    /// Its head waits.
    Unsent,
    /// Its head was sent.
    Open {
        /// Bytes of it wait in the edge.
        unwritten: bool,
        /// Its end was handed to the edge.
        ended: bool,
    },
    /// Its body goes on as it comes, unread: only its end is told of.
    Unread,
    /// All of it was written, or the peer takes no more.
    Over,
}

impl Outgoing {
    /// A head was sent; `end`: and nothing follows.
    pub(crate) fn sent(end: bool) -> Self {
        if end { Self::Over } else { Self::Open { unwritten: false, ended: false } }
    }

    /// Whether bytes wait in the edge. While they do, what would add to them is not read.
    pub(crate) fn is_unwritten(self) -> bool {
        matches!(self, Self::Open { unwritten: true, .. })
    }

    /// Bytes, or the end, are handed to the edge; tells whether the peer takes any.
    pub(crate) fn hand_over(&mut self, end: bool) -> bool {
        if *self == Self::Unread {
            *self = Self::Open { unwritten: false, ended: false };
        }
        let Self::Open { unwritten, ended } = self else { return false };
        *unwritten = true;
        *ended |= end;
        true
    }

    /// All was written that the edge was given.
    pub(crate) fn written(&mut self) {
        match self {
            Self::Open { ended: true, .. } => *self = Self::Over,
            Self::Open { unwritten, .. } => *unwritten = false,
            Self::Unsent | Self::Unread | Self::Over => {}
        }
    }
}

/// A response that comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// Nobody was asked.
    Unasked,
    /// Its head is waited for.
    Head,
    /// Its body comes.
    Body,
    /// It ended, failed or was given up.
    Over,
}

impl Incoming {
    /// A head came; `end`: and nothing follows.
    pub(crate) fn after_head(end: bool) -> Self {
        if end { Self::Over } else { Self::Body }
    }

    /// Whether something may still come.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::Head | Self::Body)
    }
}
