//! gRPC callouts on their way: bodies that flow both ways at once.

use proxy_wasm_abi::settings::{GrpcTransport, Origin};
use proxy_wasm_semantics::{CallId, Chain, GrpcAction, GrpcRequest, Guest, HeaderMap, UpstreamFailure};

use crate::{
    bindings::wasi::{
        clocks::monotonic_clock,
        http::types::{ErrorCode, FutureIncomingResponse},
        io::poll::Pollable,
    },
    callouts::FAILURES_AT_ONCE,
    failure::{cause, upstream_failure, warn},
    reader::{Arrival, Reader},
    response, upstream,
    writer::Writer,
};

const NANOS_PER_MS: u64 = 1_000_000;

/// The gRPC callouts of an instance whose responses have not ended.
#[derive(Default)]
pub(crate) struct GrpcCalls(Vec<Call>);

struct Call {
    id: CallId,
    origin: Origin,
    writer: Option<Writer>,
    // The pollable is the future's child, so it goes first.
    pollable: Option<Pollable>,
    future: Option<FutureIncomingResponse>,
    /// A head that may be all of the response, until that is known.
    head: Option<HeaderMap>,
    reader: Option<Reader>,
    started: u64,
    /// When something moved last.
    moved: u64,
    deadline: Option<u64>,
}

/// How a call fares.
#[derive(PartialEq, Eq)]
enum Progress {
    None,
    Some,
    Over,
}

impl GrpcCalls {
    /// Does what the filter asked for, and moves everything that can move; tells whether the filter was told anything.
    pub(crate) fn step<G: Guest>(&mut self, chain: &Chain<G>) -> bool {
        let mut moved = self.act(chain);
        let mut index = 0;
        while let Some(call) = self.0.get_mut(index) {
            let progress = call.step(chain);
            moved |= progress != Progress::None;
            if progress == Progress::Over {
                self.0.remove(index);
            } else {
                index += 1;
            }
        }
        moved
    }

    fn act<G: Guest>(&mut self, chain: &Chain<G>) -> bool {
        let mut moved = false;
        let mut failed = 0;
        while failed < FAILURES_AT_ONCE
            && let Some(action) = chain.next_grpc()
        {
            moved = true;
            match action {
                GrpcAction::Start(request) => {
                    let (id, origin) = (request.id, request.origin.clone());
                    let http2 = chain.state().settings().upkeep.grpc_transport == GrpcTransport::Http2;
                    match Call::start(request, http2) {
                        Ok(call) => self.0.push(call),
                        Err(code) => {
                            fail(chain, id, &origin, upstream_failure(&code), cause(&code));
                            failed += 1;
                        }
                    }
                }
                GrpcAction::Send { id, bytes, end } => {
                    let call = self.0.iter_mut().find(|call| call.id == id);
                    if let Some(writer) = call.and_then(|call| call.writer.as_mut()) {
                        writer.push(bytes);
                        if end {
                            writer.end(None);
                        }
                    }
                }
                GrpcAction::Cancel(id) => self.0.retain(|call| call.id != id),
            }
        }
        moved
    }

    /// What to wait for.
    pub(crate) fn pollables<'a>(&'a mut self, into: &mut Vec<&'a Pollable>) {
        for call in &mut self.0 {
            if let Some(future) = &call.future {
                into.push(call.pollable.get_or_insert_with(|| future.subscribe()));
            } else if let Some(reader) = call.reader.as_mut().filter(|reader| reader.is_waiting()) {
                into.push(reader.pollable());
            }
            if let Some(writer) = call.writer.as_mut().filter(|writer| !writer.is_idle()) {
                into.extend(writer.pollable());
            }
        }
    }

    /// Whether bytes wait to be written.
    pub(crate) fn is_writing(&self) -> bool {
        self.0.iter().filter_map(|call| call.writer.as_ref()).any(|writer| !writer.is_idle())
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When the last thing moved, by the monotonic clock.
    pub(crate) fn last_moved(&self) -> Option<u64> {
        self.0.iter().map(|call| call.moved).max()
    }

    /// When the next one has taken too long, by the monotonic clock.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.0.iter().filter_map(|call| call.deadline).min()
    }

    /// Ends those that have taken too long.
    pub(crate) fn check_deadlines<G: Guest>(&mut self, chain: &Chain<G>, now: u64) {
        while let Some(index) = self.0.iter().position(|call| call.deadline.is_some_and(|deadline| deadline <= now)) {
            let Call { id, origin, head, .. } = self.0.remove(index);
            if let Some(headers) = head {
                chain.grpc_head(id, headers, false, 0);
            }
            fail(chain, id, &origin, UpstreamFailure::Timeout, None);
        }
    }
}

impl Call {
    fn start(request: GrpcRequest, http2: bool) -> Result<Self, ErrorCode> {
        let GrpcRequest { id, origin, headers, timeout_ms } = request;
        let (future, writer) = match http2 {
            true => upstream::send_http2(&origin, &headers)?,
            false => upstream::send(&origin, &headers, false)?,
        };
        let started = monotonic_clock::now();
        let timeout = u64::from(timeout_ms) * NANOS_PER_MS;
        Ok(Self {
            id,
            origin,
            writer,
            pollable: None,
            future: Some(future),
            head: None,
            reader: None,
            started,
            moved: started,
            deadline: (timeout > 0).then(|| started.saturating_add(timeout)),
        })
    }

    fn step<G: Guest>(&mut self, chain: &Chain<G>) -> Progress {
        if let Some(writer) = &mut self.writer
            && (writer.pump().is_err() || writer.is_finished())
        {
            // A peer that takes no more may still answer.
            self.writer = None;
        }
        let mut progress = Progress::None;
        if let Some(future) = &self.future {
            let Some(arrived) = future.get() else { return progress };
            self.pollable = None;
            self.future = None;
            self.note_move();
            match arrived {
                Ok(Ok(incoming)) => {
                    let response::Incoming { headers, body } = response::receive(&incoming, false);
                    self.head = Some(headers);
                    self.reader = body;
                    progress = Progress::Some;
                }
                Ok(Err(code)) => {
                    fail(chain, self.id, &self.origin, upstream_failure(&code), cause(&code));
                    return Progress::Over;
                }
                Err(()) => {
                    fail(chain, self.id, &self.origin, UpstreamFailure::ConnectionTerminated, None);
                    return Progress::Over;
                }
            }
        }
        let arrival = self.reader.as_mut().map_or(Arrival::End(None), Reader::read);
        let pending = matches!(arrival, Arrival::Pending);
        // A head with a status in it is most often all there is: what comes next tells.
        if let Some(headers) = self.head.take_if(|headers| !pending || !headers.contains(b"grpc-status")) {
            let end = matches!(arrival, Arrival::End(None));
            let elapsed_ms = self.moved.saturating_sub(self.started) / NANOS_PER_MS;
            if !chain.grpc_head(self.id, headers, end, elapsed_ms) {
                return Progress::Over;
            }
        }
        match arrival {
            Arrival::Pending => return progress,
            Arrival::Data(bytes) => {
                self.note_move();
                if chain.grpc_data(self.id, &bytes) {
                    return Progress::Some;
                }
            }
            Arrival::End(trailers) => chain.grpc_end(self.id, trailers),
            Arrival::Failed => {
                let failure = UpstreamFailure::ConnectionTerminated;
                fail(chain, self.id, &self.origin, failure, Some("its answer breaks off"));
            }
        }
        Progress::Over
    }

    fn note_move(&mut self) {
        self.moved = monotonic_clock::now();
    }
}

fn fail<G: Guest>(chain: &Chain<G>, id: CallId, origin: &Origin, failure: UpstreamFailure, cause: Option<&str>) {
    warn("gRPC callout to", origin, failure, cause);
    chain.grpc_failed(id, failure);
}
