//! One HTTP exchange: what has arrived, what was let through, and what each filter may touch right now.

use std::{cell::Cell, collections::VecDeque};

use proxy_wasm_abi::limits::HTTP2_BUFFER_LIMIT_BYTES;
use proxy_wasm_foreign::filter_state::FilterState;

use crate::{body::Body, headers::HeaderMap};

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the upstream: Envoy's decoding.
    Request,
    /// From the upstream to the client: Envoy's encoding.
    Response,
}

/// What the edge is to do, in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send a head: to the upstream for a request, to the client for a response.
    Headers {
        /// Which message.
        direction: Direction,
        /// Its head, pseudo-headers included.
        headers: HeaderMap,
        /// Whether nothing follows.
        end: bool,
    },
    /// Send body bytes.
    Data {
        /// Which message.
        direction: Direction,
        /// The bytes.
        bytes: Vec<u8>,
        /// Whether nothing follows.
        end: bool,
        /// Whether the filter changed these bytes or earlier ones.
        changed: bool,
    },
    /// Send trailers; nothing follows.
    Trailers {
        /// Which message.
        direction: Direction,
        /// The trailers.
        trailers: HeaderMap,
    },
    /// Break the exchange off: the client sees its connection or stream end.
    Reset(ResetReason),
}

/// Why an exchange is broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetReason {
    /// The filter closed the stream.
    ClosedByFilter,
    /// A local response, or the upstream's failure, came when the response's head was already sent.
    LocalReplyTooLate,
}

/// How far the filter has let a message go: Envoy's iteration state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Iteration {
    /// It passes.
    Continue,
    /// It is held, and the filter still sees what arrives.
    StopSingle,
    /// It is held and collected, and the filter sees nothing until it continues.
    StopAll {
        /// Past the buffer limit reading stops, instead of the exchange failing.
        watermark: bool,
    },
}

/// The bytes that a body callback is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyView {
    /// None: outside the body callbacks.
    Absent,
    /// The bytes that just arrived.
    Chunk,
    /// All bytes held so far.
    Held,
}

/// A message of the exchange, as all plugins see it.
#[derive(Debug, Default)]
pub(crate) struct Message {
    pub(crate) headers: Option<HeaderMap>,
    pub(crate) trailers: Option<HeaderMap>,
    /// The bytes that just arrived, while filters look at them.
    pub(crate) chunk: Body,
    /// The bytes held for a filter; stays, empty, once there were any.
    pub(crate) held: Option<Body>,
    /// All of it has arrived.
    pub(crate) complete: bool,
    /// Its end left the last filter.
    pub(crate) passed: bool,
    /// Past the buffer limit reading stops; otherwise the exchange fails.
    pub(crate) streaming: bool,
    /// A filter changed body bytes.
    pub(crate) changed: bool,
    /// Bytes of body that arrived, or that the filters let through, whichever Envoy counts.
    pub(crate) body_bytes: u64,
}

impl Message {
    /// Moves bytes to those held.
    pub(crate) fn hold(&mut self, bytes: Vec<u8>) {
        self.held.get_or_insert_default().append(bytes);
    }

    /// Moves the bytes that just arrived to those held.
    pub(crate) fn hold_chunk(&mut self) {
        let chunk = self.chunk.take();
        self.hold(chunk);
    }

    pub(crate) fn held_len(&self) -> usize {
        self.held.as_ref().map_or(0, Body::len)
    }
}

/// What a plugin does with a message.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) iteration: Iteration,
    /// The head went on to the next hop.
    pub(crate) headers_continued: bool,
    /// The filter has seen the message's end.
    pub(crate) end_shown: bool,
    /// The last body callback asked to buffer, so the next one sees everything.
    pub(crate) buffering: bool,
    /// The trailers have come as far as this filter.
    pub(crate) trailers_reached: bool,
    /// The filter may touch the head now.
    pub(crate) headers_live: bool,
    /// The filter may touch the trailers now.
    pub(crate) trailers_live: bool,
    /// What the body buffer is now.
    pub(crate) view: BodyView,
}

impl Side {
    const NEW: Self = Self {
        iteration: Iteration::Continue,
        headers_continued: false,
        end_shown: false,
        buffering: false,
        trailers_reached: false,
        headers_live: false,
        trailers_live: false,
        view: BodyView::Absent,
    };

    pub(crate) fn stopped_all(&self) -> bool {
        matches!(self.iteration, Iteration::StopAll { .. })
    }
}

/// A plugin's part in an exchange: its stream context.
#[derive(Debug)]
pub(crate) struct StreamFilter {
    pub(crate) vm: usize,
    pub(crate) context: u32,
    /// The filter knows of the context.
    pub(crate) created: bool,
    pub(crate) request: Side,
    pub(crate) response: Side,
    /// The filter saw `end_of_stream` in its latest callback.
    pub(crate) end_of_stream: bool,
    /// `proxy_on_log` is running: the maps are those of the whole exchange.
    pub(crate) logging: bool,
    /// The property names that the filter declared.
    pub(crate) declared_properties: Vec<Vec<u8>>,
}

impl StreamFilter {
    pub(crate) fn new(vm: usize, context: u32) -> Self {
        Self {
            vm,
            context,
            created: false,
            request: Side::NEW,
            response: Side::NEW,
            end_of_stream: false,
            logging: false,
            declared_properties: Vec::new(),
        }
    }

    pub(crate) fn side(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }
}

/// An exchange.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) request: Message,
    pub(crate) response: Message,
    /// One for each plugin of the chain, in its order.
    pub(crate) filters: Vec<StreamFilter>,
    /// The response is ours, so the request goes no further.
    pub(crate) local_reply: bool,
    /// The response's head left the filters.
    pub(crate) response_started: bool,
    /// The response's end left the filters, or the exchange was broken off.
    pub(crate) response_ended: bool,
    /// Milliseconds that the upstream has, once the request was handed to it; 0 is no limit.
    pub(crate) upstream_timeout_ms: Option<u64>,
    /// `proxy_on_done` and `proxy_on_delete` run.
    pub(crate) destroyed: bool,
    pub(crate) effects: VecDeque<Effect>,
    /// What `proxy_set_property` stored, for all plugins.
    pub(crate) filter_state: Vec<(Vec<u8>, Vec<u8>)>,
    /// What a filter stored of Envoy's own kinds.
    pub(crate) filter_objects: FilterState,
    pub(crate) facts: Facts,
}

/// What properties tell of an exchange besides its messages.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) is_head: bool,
    pub(crate) http2: bool,
    pub(crate) is_grpc: bool,
    /// Nanoseconds since 1970, once a filter asked.
    pub(crate) start: Cell<Option<u64>>,
    /// Nanoseconds of the monotonic clock.
    pub(crate) start_monotonic: u64,
    /// When the request went to the upstream, by the monotonic clock.
    pub(crate) upstream_start: Option<u64>,
    /// Nanoseconds from then until all of the response was there.
    pub(crate) backend_latency: Option<u64>,
    /// The exchange is over, and how long it took can be asked for.
    pub(crate) over: bool,
    /// Nanoseconds from the start, once a filter asked.
    pub(crate) duration: Cell<Option<u64>>,
    /// The response's status, once there is one.
    pub(crate) response_code: Option<u16>,
    pub(crate) response_code_details: Option<String>,
    /// Envoy's response flags, a bit set.
    pub(crate) response_flags: u64,
    /// Properties that the settings read from request headers.
    pub(crate) from_headers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Stream {
    pub(crate) fn new(facts: Facts, filters: Vec<StreamFilter>) -> Self {
        Self {
            request: Message::default(),
            response: Message::default(),
            filters,
            local_reply: false,
            response_started: false,
            response_ended: false,
            upstream_timeout_ms: None,
            destroyed: false,
            effects: VecDeque::new(),
            filter_state: Vec::new(),
            filter_objects: FilterState::default(),
            facts,
        }
    }

    pub(crate) fn message(&mut self, direction: Direction) -> &mut Message {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }

    /// The body that this plugin may read and change now.
    pub(crate) fn body(&mut self, direction: Direction, plugin: usize) -> Option<&mut Body> {
        let side = self.filters.get_mut(plugin)?.side(direction);
        let (view, buffering) = (side.view, side.buffering);
        let message = self.message(direction);
        match view {
            BodyView::Absent => None,
            BodyView::Held => Some(message.held.get_or_insert_default()),
            BodyView::Chunk if buffering => Some(message.held.get_or_insert_default()),
            BodyView::Chunk => Some(&mut message.chunk),
        }
    }

    /// A message, and what a plugin does with it.
    pub(crate) fn parts(&mut self, direction: Direction, plugin: usize) -> (&mut Message, &mut Side) {
        let message = match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        };
        (message, self.filters[plugin].side(direction))
    }

    /// Whether what arrives in this direction goes nowhere any more.
    pub(crate) fn stopped(&self, direction: Direction) -> bool {
        match direction {
            Direction::Request => self.local_reply || self.response_ended || self.destroyed,
            Direction::Response => self.response_ended || self.destroyed,
        }
    }

    /// Whether what the upstream sends in this direction counts no more, as the response is ours.
    pub(crate) fn answered(&self, direction: Direction) -> bool {
        direction == Direction::Response && self.local_reply
    }

    /// Notes that a piece of a message arrived, at this time of the monotonic clock.
    pub(crate) fn arrived(&mut self, direction: Direction, end: bool, now: u64) {
        self.message(direction).complete |= end;
        if end && direction == Direction::Response && !self.local_reply {
            self.facts.backend_latency = self.facts.upstream_start.map(|start| now.saturating_sub(start));
        }
    }

    /// Bytes of a body that are held, where the settings say this. By HTTP/2 Envoy holds what a stream's window lets in,
    /// whatever the listener's limit.
    pub(crate) fn buffer_limit(&self, set: u32) -> usize {
        if self.facts.http2 { HTTP2_BUFFER_LIMIT_BYTES } else { set as usize }
    }

    /// Breaks the exchange off.
    pub(crate) fn reset(&mut self, reason: ResetReason) {
        if !self.response_ended {
            self.response_ended = true;
            self.effects.push_back(Effect::Reset(reason));
        }
    }
}
