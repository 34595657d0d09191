//! Guests: the whole life of a filter, which makes any host calls with any arguments in each of its callbacks. Each call has
//! a status of the ABI, none reaches out of the filter's memory, and every exchange ends.
//!
//! The input: a byte for the life that the filter has, and its program, which each callback takes a piece of: how many calls,
//! each call, and what the callback returns. When the program is over, the filter does nothing any more.

#![no_main]

use std::{cell::RefCell, rc::Rc};

use libfuzzer_sys::{Corpus, fuzz_target};
use proxy_wasm_abi::{callbacks::Id, pairs, settings::GrpcTransport};
use proxy_wasm_driver::{Action, Driver, Input, Peer, Turn};
use proxy_wasm_marshal::testing::{Allocator, Bed, CALLS, Fake, MEMORY, Running, make};
use proxy_wasm_semantics::{HeaderMap, Kind, Request, UpstreamFailure};

/// Where things stand that a host call may be given: before the allocator's memory.
const GOODS: u32 = 1_024;

/// Nanoseconds of a round: shorter than a callout's time limit of the filter's, mostly, and longer than a tick.
const ROUND: u64 = 50_000_000;

/// Rounds of this length end what nothing else ends: it is longer than the idle timeout.
const LONG_ROUND: u64 = 400_000_000_000;

/// The most bytes of log for a byte of the program. A call logs no more than the filter has memory.
const LOG_MAX: usize = 2 * MEMORY as usize;

/// The part of the program that is left.
struct Program(Vec<u8>);

impl Program {
    fn byte(&mut self) -> u8 {
        self.0.pop().unwrap_or_default()
    }

    fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    fn number(&mut self) -> u32 {
        u32::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// Numbers that are often something: a small one, a good pointer and its length, a place for a result, an edge.
    fn arguments(&mut self, goods: &[(u32, u32)]) -> [u32; 12] {
        let mut arguments = [0; 12];
        let mut rest = arguments.as_mut_slice();
        while let [first, after @ ..] = rest {
            let byte = self.byte();
            let low = u32::from(byte & 31);
            rest = after;
            match byte >> 5 {
                0 | 1 => *first = low,
                2 | 3 => {
                    let (at, len) = goods[low as usize % goods.len()];
                    *first = at;
                    if let [second, after @ ..] = rest {
                        *second = len;
                        rest = after;
                    }
                }
                4 => *first = 64 + 8 * low,
                5 => *first = MEMORY - 16 + low,
                6 => *first = u32::MAX - low,
                _ => *first = self.number(),
            }
        }
        arguments
    }

    fn allocator(&mut self) -> Allocator {
        match self.byte() % 16 {
            0 => Allocator::ReturnsZero,
            1 => Allocator::EndsOutOfBounds,
            2 => Allocator::ReturnsMax,
            3 => Allocator::Grows,
            _ => Allocator::Works,
        }
    }

    fn run(&mut self, running: &Running<'_>, callback: Id) -> u32 {
        let goods = put_goods(running);
        for _ in 0..self.byte() % 8 {
            running.set_allocator(self.allocator());
            let which = self.byte() % CALLS;
            make(running, which, self.arguments(&goods));
        }
        let returned = self.byte();
        match callback {
            Id::VmStart | Id::Configure => u32::from(returned != 1),
            _ if returned < 8 => returned.into(),
            _ => 0,
        }
    }
}

/// Writes what is good for something; where each of it stands.
fn put_goods(running: &Running<'_>) -> Vec<(u32, u32)> {
    let map = |entries: &[(&[u8], &[u8])]| pairs::encode(entries.iter().copied());
    let head = map(&[(b":method", b"POST"), (b":path", b"/c"), (b":authority", b"a"), (b"content-length", b"2")]);
    let goods: [&[u8]; 24] = [
        b"auth",
        b"x",
        b":path",
        b":status",
        b"content-length",
        b"5",
        b"value\n\0",
        &head,
        &map(&[(b":method", b"GET"), (b":path", b"/"), (b":authority", b"a")]),
        &map(&[(b"", b""), (b"x-a", b"1"), (b"X-A", b"\r\n")]),
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b"request\0path",
        b"response\0code",
        b"plugin_name",
        b"filter_state\0x",
        b"queue",
        b"compress",
        b"uncompress",
        b"declare_property",
        b"clear_route_cache",
        b"expr_create",
        b"expr_evaluate",
        b"set_envoy_filter_state",
        b"\x0a\x06\x12\x04auth",
    ];
    let mut at = GOODS;
    let mut put = |bytes: &&[u8]| {
        let good = (at, bytes.len() as u32);
        running.write(at, bytes);
        at += good.1;
        good
    };
    goods.iter().map(&mut put).collect()
}

/// The acts of the peers, by the bits of a byte.
#[derive(Clone, Copy)]
struct Life(u8);

impl Life {
    fn is(self, bit: u8) -> bool {
        self.0 >> bit & 1 == 1
    }

    fn body(self) -> bool {
        self.is(0)
    }

    fn trailers(self) -> bool {
        self.is(1)
    }

    fn upstream_fails(self) -> bool {
        self.is(2)
    }

    fn callouts_fail(self) -> bool {
        self.is(3)
    }

    fn client_leaves(self) -> bool {
        self.is(4)
    }

    fn two_plugins(self) -> bool {
        self.is(5)
    }

    fn web(self) -> bool {
        self.is(6)
    }

    fn hold_small(self) -> bool {
        self.is(7)
    }
}

/// The edge: what was asked of each peer and what it has not answered yet.
struct Edge {
    life: Life,
    /// By exchange: the pieces of the request that have not come.
    open: Vec<(u32, Vec<Input>)>,
    /// Who was asked, and the pieces of the answer that have not come.
    asked: Vec<(Peer, Vec<Input>)>,
}

impl Edge {
    fn message(&self, head: Option<Kind>, bytes: &[&[u8]]) -> Vec<Input> {
        let trailers = HeaderMap::from_pairs(Kind::Trailers, [("grpc-status", "0"), ("x-t", "1")]);
        let mut pieces = vec![Input::End(self.life.trailers().then_some(trailers))];
        pieces.extend(bytes.iter().rev().map(|bytes| Input::Data(bytes.to_vec(), false)));
        if let Some(kind) = head {
            let headers = [(":status", "200"), ("content-type", "application/grpc"), ("x-r", "2")];
            pieces.push(Input::Head(HeaderMap::from_pairs(kind, headers), false));
        }
        pieces
    }

    fn answer(&self, peer: Peer, http2: bool) -> Vec<Input> {
        let (fails, is_callout) = match peer {
            Peer::Callout(_) => (self.life.callouts_fail(), true),
            _ => (self.life.upstream_fails(), false),
        };
        if fails {
            return vec![Input::Failed(UpstreamFailure::ConnectionFailed, None)];
        }
        let frames: &[&[u8]] = &[b"\0\0\0\0\x02ok\0", b"\0\0\0\0\x01\0\0\0\0"];
        let bodies: &[&[u8]] = &[b"hello", b"", b" world"];
        let is_grpc = is_callout && (http2 || self.life.web());
        self.message(Some(Kind::Response), if is_grpc { frames } else { bodies })
    }

    fn perform(&mut self, turn: &mut Turn<'_, '_, Fake>, action: Action) {
        match action {
            Action::Request { peer, http2, .. } => {
                let answer = self.answer(peer, http2);
                self.asked.push((peer, answer));
            }
            Action::Write(peer, _) | Action::Finish(peer, _) => turn.written(peer),
            Action::Release(peer) => self.asked.retain(|(asked, _)| *asked != peer),
            Action::Response { .. } | Action::Abort(_) => {}
        }
    }

    fn open(&mut self, turn: &mut Turn<'_, '_, Fake>) {
        let body = self.life.body();
        let request = Request {
            method: if body { b"POST".into() } else { b"GET".into() },
            path: b"/p?q".into(),
            authority: b"h".into(),
            scheme: b"http".into(),
            headers: vec![(b"x".into(), b"1".into()), (b"content-type".into(), b"application/grpc".into())],
            ..Request::default()
        };
        let id = turn.open(request, !body);
        let pieces = if body { self.message(None, &[b"some", b"thing"]) } else { Vec::new() };
        self.open.push((id, pieces));
    }

    /// Does what is to be done, gives what is wanted, and ends what is over.
    fn round(&mut self, turn: &mut Turn<'_, '_, Fake>) {
        turn.expire();
        while turn.poll_moved().is_some() {}
        for (id, mut pieces) in std::mem::take(&mut self.open) {
            while let Some(action) = turn.poll(id) {
                self.perform(turn, action);
            }
            if turn.is_over(id) {
                self.asked.retain(|(asked, _)| *asked != Peer::Upstream(id));
                turn.close(id);
                continue;
            }
            if !pieces.is_empty() && turn.wants(Peer::Client(id)) {
                let piece = pieces.pop().expect("there are some");
                let leaves = pieces.is_empty() && self.life.client_leaves();
                turn.input(Peer::Client(id), if leaves { Input::Broken } else { piece });
            }
            self.open.push((id, pieces));
        }
        while let Some(action) = turn.poll_calls() {
            self.perform(turn, action);
        }
        for (peer, mut pieces) in std::mem::take(&mut self.asked) {
            if turn.wants(peer)
                && let Some(piece) = pieces.pop()
            {
                turn.input(peer, piece);
            }
            if !pieces.is_empty() {
                self.asked.push((peer, pieces));
            }
        }
        turn.work();
        turn.stays();
        // Asked before the edge waits; idle timeouts begin here.
        turn.deadline();
    }
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let [life, bytes @ ..] = input else { return Corpus::Reject };
    let life = Life(*life);
    let len = bytes.len();
    let program = Rc::new(RefCell::new(Program(bytes.iter().rev().copied().collect())));
    let runs = program.clone();
    let bed = Bed::new(
        |settings| {
            if life.web() {
                settings.upkeep.grpc_transport = GrpcTransport::GrpcWeb;
            }
            if life.two_plugins() {
                settings.plugins.push(settings.plugins[0].clone());
            }
            if life.hold_small() {
                settings.connection.buffer_limit = 8;
            }
        },
        move |running, callback| runs.borrow_mut().run(running, callback),
    );
    let mut driver = Driver::new(&bed.chain);
    if driver.turn().start(true).is_err() {
        return Corpus::Keep;
    }
    let mut edge = Edge { life, open: Vec::new(), asked: Vec::new() };
    edge.open(&mut driver.turn());
    edge.open(&mut driver.turn());
    let mut now = 77;
    // Each round takes something of the program, or of what time ends: there are few things, and each has its limit.
    for round in 0.. {
        now += if round < 16 && !program.borrow().is_over() { ROUND } else { LONG_ROUND };
        bed.set_clock(now);
        edge.round(&mut driver.turn());
        if edge.open.is_empty() {
            break;
        }
        assert!(round < 64 + len, "{:?} never end", edge.open);
    }
    driver.turn().finish();
    driver.turn().tend();
    driver.turn().work();
    driver.turn().rest();
    let logged: usize = bed.log().iter().map(String::len).sum();
    assert!(logged <= (1 + len) * LOG_MAX, "{logged} bytes of log for {len} of program");
    Corpus::Keep
});
