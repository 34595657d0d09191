//! The streams between this instance and one peer: one body goes out, a message comes in.

use std::task::Poll;

use proxy_wasm_driver::{Input, Peer, Turn};
use proxy_wasm_semantics::{Direction, Guest, HeaderMap};

use crate::{
    canonical::{Call, Incoming as Unread, Sent},
    incoming,
    reader::{Reader, Whole},
    vocabulary::failed,
    writer::Writer,
};

/// What flows to a peer, and from it.
pub(crate) struct Streams {
    /// Where a body goes out.
    pub(crate) writer: Option<Writer>,
    incoming: Incoming,
}

/// What comes from it.
enum Incoming {
    /// The response to what was sent.
    Waiting {
        call: Call,
        to_head: bool,
        /// It is a component that answers, and not the host.
        is_next: bool,
    },
    Body(Reader),
    /// Its body went on to the other peer of its exchange, which is told of its end.
    HandedOn(Sent),
    /// It was handed on in one piece.
    Gone,
    Over,
}

impl Streams {
    /// A client, whose request has this body.
    pub(crate) fn client(body: Reader) -> Self {
        Self { writer: None, incoming: Incoming::Body(body) }
    }

    /// Whoever was sent a request; `to_head`: by HEAD; `is_next`: the next component.
    pub(crate) fn asked(writer: Option<Writer>, call: Call, to_head: bool, is_next: bool) -> Self {
        Self { writer, incoming: Incoming::Waiting { call, to_head, is_next } }
    }

    /// Whether a body comes of which nothing was read.
    pub(crate) fn is_unread(&self) -> bool {
        matches!(&self.incoming, Incoming::Body(reader) if reader.is_unread())
    }

    /// The body that comes, for another to read, where it is unread.
    pub(crate) fn hand_on(&mut self) -> Option<Unread> {
        match std::mem::replace(&mut self.incoming, Incoming::Over) {
            Incoming::Body(reader) => reader.hand_on(),
            Incoming::Waiting { .. } | Incoming::HandedOn(_) | Incoming::Gone | Incoming::Over => None,
        }
    }

    /// The body that was handed on is under way.
    pub(crate) fn handed_on(&mut self, sent: Sent) {
        self.incoming = Incoming::HandedOn(sent);
    }

    /// Whether a message with the fields of this head can be handed on as it came.
    pub(crate) fn is_whole(&self, head: &HeaderMap) -> bool {
        matches!(&self.incoming, Incoming::Body(reader) if reader.is_whole(head))
    }

    /// The message, to be handed on as it came, and the head that it had. Nobody is told of its end.
    pub(crate) fn hand_on_whole(&mut self) -> Option<(Whole, HeaderMap)> {
        match std::mem::replace(&mut self.incoming, Incoming::Gone) {
            Incoming::Body(reader) => reader.into_whole(),
            Incoming::Waiting { .. } | Incoming::HandedOn(_) | Incoming::Gone | Incoming::Over => None,
        }
    }

    /// Drops a message that is still in one piece.
    pub(crate) fn let_go_whole(&mut self) {
        if matches!(&self.incoming, Incoming::Body(reader) if reader.is_in_one_piece()) {
            self.incoming = Incoming::Gone;
        }
    }

    /// From now on the task that runs is told of what comes, and of room; says whether any of it would move something. What
    /// comes does where it is `wanted`.
    pub(crate) fn wait_here(&mut self, wanted: bool) -> bool {
        let comes = match &mut self.incoming {
            Incoming::Waiting { call, .. } => call.wait_here(),
            Incoming::Body(reader) => reader.wait_here() && wanted,
            Incoming::HandedOn(sent) => sent.wait_here(),
            Incoming::Gone | Incoming::Over => false,
        };
        self.writer.as_mut().is_some_and(Writer::wait_here) | comes
    }

    /// The task that runs is told of it no more: it ends.
    pub(crate) fn part(&mut self) {
        match &mut self.incoming {
            Incoming::Waiting { call, .. } => call.part(),
            Incoming::Body(reader) => reader.part(),
            Incoming::HandedOn(sent) => sent.part(),
            Incoming::Gone | Incoming::Over => {}
        }
        if let Some(writer) = &mut self.writer {
            writer.part();
        }
    }
}

impl proxy_wasm_driver::Streams for Streams {
    type Sink = Writer;

    fn sink(&mut self) -> &mut Option<Writer> {
        &mut self.writer
    }

    fn read<G: Guest>(&mut self, peer: Peer, turn: &Turn<'_, '_, G>, exact: bool) -> Option<Input> {
        let input = match &mut self.incoming {
            Incoming::Waiting { call, to_head, is_next } => match call.poll() {
                Poll::Pending => return None,
                Poll::Ready(Ok(response)) => {
                    // What follows its head stays unread, where nobody here can want it.
                    let passes = !matches!(peer, Peer::Callout(_)) && turn.passes(Direction::Response);
                    let (head, body) = incoming::response(response, *to_head, passes, exact && !*is_next);
                    self.incoming = body.map_or(Incoming::Over, Incoming::Body);
                    return Some(head);
                }
                Poll::Ready(Err(code)) => failed(&code),
            },
            Incoming::Body(reader) => reader.read()?,
            Incoming::HandedOn(sent) => match sent.poll() {
                Poll::Pending => return None,
                // That somebody wants no more of it is for him to tell: an upstream answers, a client is seen to leave.
                Poll::Ready(_) => Input::End(None),
            },
            Incoming::Gone => Input::End(None),
            Incoming::Over => return None,
        };
        if !matches!(input, Input::Data(_, false)) {
            self.incoming = Incoming::Over;
        }
        Some(input)
    }

    fn is_ahead(&self) -> bool {
        matches!(&self.incoming, Incoming::Body(reader) if reader.is_ahead())
    }

    fn is_over(&self) -> bool {
        matches!(self.incoming, Incoming::Over)
    }
}
