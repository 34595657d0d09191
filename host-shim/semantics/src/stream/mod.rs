//! One HTTP exchange: two messages, each plugin's part in them, and the effects for the edge.
//!
//! The response decides how far an exchange is:
//!
//! ```text
//!   Pending ── its head leaves the filters ──► Started ── its end does ──► Ended
//!      │                                          │                          │
//!      └──── the exchange is broken off ──────────┴────────────────────────► │
//!                                                                            ▼
//!                            proxy_on_log of all plugins runs              Over
//!                                                                            │
//!                            proxy_on_done and proxy_on_delete run           ▼
//!                                                                        Destroyed
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `message` | a message as all plugins see it: what arrived, what is held |
//! | `side` | one filter's side of a message: how far it lets the message go, what it may touch |
//! | `facts` | other facts that properties show |
//! | `effect` | the effects that the edge carries out |

mod effect;
mod facts;
mod message;
mod side;

use std::collections::VecDeque;

use proxy_wasm_abi::limits::HTTP2_BUFFER_LIMIT_BYTES;
use proxy_wasm_foreign::filter_state::FilterState;

use crate::{body::Body, routing::Choice};

pub use effect::{Direction, Effect, ResetReason};
pub(crate) use facts::Facts;
pub(crate) use message::{MapKind, Message, PastLimit, Room, Source};
pub(crate) use side::{Iteration, Side, StreamContext};

/// How far an exchange is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    /// Nothing of the response has left the filters.
    Pending,
    /// The response's head has.
    Started,
    /// The response's end has, or the exchange was broken off.
    Ended,
    /// The edge closed it: the last callbacks run.
    Over,
    /// `proxy_on_log` has returned. Envoy's `destroyed_`: no host call reaches the stream any more.
    Destroyed,
}

/// An exchange.
#[derive(Debug)]
pub(crate) struct Stream {
    request: Message,
    response: Message,
    /// One for each plugin of the chain, in its order.
    contexts: Vec<StreamContext>,
    progress: Progress,
    /// The response is the proxy's own, so the request goes no further, and the upstream's response is ignored.
    local_reply: bool,
    /// Milliseconds that the upstream has, once the request was handed to it; 0 means no limit.
    upstream_timeout_ms: Option<u64>,
    effects: VecDeque<Effect>,
    /// The properties that `proxy_set_property` stored, for all plugins.
    pub(crate) filter_state: Vec<(Vec<u8>, Vec<u8>)>,
    /// The objects of Envoy's own kinds that a filter stored.
    pub(crate) filter_objects: FilterState,
    pub(crate) facts: Facts,
    /// Its route.
    pub(crate) choice: Choice,
}

impl Stream {
    pub(crate) fn new(facts: Facts, contexts: Vec<StreamContext>, choice: Choice) -> Self {
        Self {
            request: Message::default(),
            response: Message::default(),
            contexts,
            progress: Progress::Pending,
            local_reply: false,
            upstream_timeout_ms: None,
            effects: VecDeque::new(),
            filter_state: Vec::new(),
            filter_objects: FilterState::default(),
            facts,
            choice,
        }
    }

    pub(crate) fn message(&self, direction: Direction) -> &Message {
        match direction {
            Direction::Request => &self.request,
            Direction::Response => &self.response,
        }
    }

    pub(crate) fn message_mut(&mut self, direction: Direction) -> &mut Message {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }

    pub(crate) fn contexts(&self) -> &[StreamContext] {
        &self.contexts
    }

    /// A plugin's stream context.
    pub(crate) fn context_mut(&mut self, plugin: usize) -> &mut StreamContext {
        &mut self.contexts[plugin]
    }

    /// A message, and a plugin's side of it.
    pub(crate) fn parts(&mut self, direction: Direction, plugin: usize) -> (&mut Message, &mut Side) {
        let message = match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        };
        (message, self.contexts[plugin].side_mut(direction))
    }

    /// A plugin's side of a message.
    pub(crate) fn side_mut(&mut self, direction: Direction, plugin: usize) -> &mut Side {
        self.contexts[plugin].side_mut(direction)
    }

    /// The body that this plugin may read and change now.
    pub(crate) fn body_mut(&mut self, direction: Direction, plugin: usize) -> Option<&mut Body> {
        let source = self.contexts.get(plugin)?.side(direction).open_body()?;
        Some(self.message_mut(direction).body_mut(source))
    }

    /// The response's head left the filters.
    pub(crate) fn start_response(&mut self) {
        self.progress = self.progress.max(Progress::Started);
    }

    /// The response's end left the filters, or the exchange is broken off.
    pub(crate) fn end_response(&mut self) {
        self.progress = self.progress.max(Progress::Ended);
    }

    /// The edge closes the exchange.
    pub(crate) fn finish(&mut self) {
        self.progress = self.progress.max(Progress::Over);
    }

    /// `proxy_on_log` of all plugins has returned.
    pub(crate) fn destroy(&mut self) {
        self.progress = Progress::Destroyed;
    }

    pub(crate) fn response_started(&self) -> bool {
        self.progress >= Progress::Started
    }

    pub(crate) fn response_ended(&self) -> bool {
        self.progress >= Progress::Ended
    }

    /// Whether it is over, so that it has a duration.
    pub(crate) fn is_over(&self) -> bool {
        self.progress >= Progress::Over
    }

    /// The proxy answers itself.
    pub(crate) fn answer_locally(&mut self) {
        self.local_reply = true;
    }

    pub(crate) fn is_answered_locally(&self) -> bool {
        self.local_reply
    }

    /// Whether pieces that arrive in this direction are dropped.
    pub(crate) fn stopped(&self, direction: Direction) -> bool {
        self.response_ended() || (direction == Direction::Request && self.local_reply)
    }

    /// Whether pieces that the upstream sends in this direction are ignored, as the response is the proxy's own.
    pub(crate) fn answered(&self, direction: Direction) -> bool {
        direction == Direction::Response && self.local_reply
    }

    /// Notes that a piece of a message arrived, at this time of the monotonic clock.
    pub(crate) fn arrived(&mut self, direction: Direction, end: bool, now: u64) {
        if !end {
            return;
        }
        self.message_mut(direction).complete();
        if direction == Direction::Response && !self.local_reply {
            self.facts.backend_latency = self.facts.upstream_start.map(|start| now.saturating_sub(start));
        }
    }

    /// The request goes to the upstream, which has this time; the head is what it gets.
    pub(crate) fn send_upstream(&mut self, head: Effect, timeout_ms: u64, now: u64) {
        self.upstream_timeout_ms = Some(timeout_ms);
        self.facts.upstream_start = Some(now);
        self.effects.push_back(head);
    }

    /// Milliseconds that the upstream has, once the request was handed to it; 0 means no limit.
    pub(crate) fn upstream_timeout_ms(&self) -> Option<u64> {
        self.upstream_timeout_ms
    }

    /// Bytes of a body that are held, where the settings say this. By HTTP/2 Envoy holds what a stream's window lets in,
    /// whatever the listener's limit.
    pub(crate) fn buffer_limit(&self, set: u32) -> usize {
        if self.facts.http2 { HTTP2_BUFFER_LIMIT_BYTES } else { set as usize }
    }

    /// Bytes of both bodies that are held.
    pub(crate) fn held_bytes(&self) -> usize {
        [Direction::Request, Direction::Response].map(|direction| self.message(direction).held_len()).iter().sum()
    }

    /// Gives the edge something to do.
    pub(crate) fn push(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    /// The next thing for the edge to do.
    pub(crate) fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    pub(crate) fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    /// Breaks the exchange off.
    pub(crate) fn reset(&mut self, reason: ResetReason) {
        if !self.response_ended() {
            self.end_response();
            self.effects.push_back(Effect::Reset(reason));
        }
    }
}
