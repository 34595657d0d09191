//! The messages of gRPC callouts: however their bytes come in pieces, a filter is told of what a reader of all the bytes
//! finds in them, and what a filter sends is such bytes.
//!
//! The input: how it is sent and how it ends, how many pieces there are, how long each is, and the bytes.

#![no_main]

#[allow(dead_code, unused_imports, reason = "the semantics' test bed, of which each user takes a part")]
#[path = "../../../host-shim/semantics/tests/semantics/common/mod.rs"]
mod common;
#[allow(dead_code, reason = "the driver's test bed, of which each user takes a part")]
#[path = "../../../host-shim/driver/tests/driver/world.rs"]
mod world;

use libfuzzer_sys::{Corpus, fuzz_target};
use proxy_wasm_abi::{enums::BufferType, limits::GRPC_MESSAGE_MAX_BYTES, settings::GrpcTransport};
use proxy_wasm_driver::{Action, Input};
use proxy_wasm_semantics::{HeaderMap, Kind};

use common::{Id, text};
use world::{METHOD, World, bed_with, callout};

/// A finding of the plain reader.
#[derive(Clone, Copy)]
enum Found<'a> {
    Message(&'a [u8]),
    Compressed,
    Trailers(&'a [u8]),
    Malformed,
}

impl Found<'_> {
    fn ends(self) -> bool {
        !matches!(self, Self::Message(_))
    }
}

/// All that is in these bytes, each with the number of bytes that it takes to know.
fn read(bytes: &[u8], web: bool) -> Vec<(Found<'_>, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let flags = bytes[at];
        if !(flags <= 1 || web && flags == 0x80) {
            found.push((Found::Malformed, at + 1));
            break;
        }
        let Some(length) = bytes.get(at + 1..at + 5) else { break };
        let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        if length > GRPC_MESSAGE_MAX_BYTES {
            found.push((Found::Malformed, at + 5));
            break;
        }
        let Some(content) = bytes.get(at + 5..at + 5 + length) else { break };
        at += 5 + length;
        let kind = match flags {
            0x80 => Found::Trailers(content),
            1 if length > 0 => Found::Compressed,
            _ => Found::Message(content),
        };
        found.push((kind, at));
    }
    found
}

/// How many trailers there are, and the status among them.
fn trailers(block: &[u8]) -> (usize, u32) {
    let text = String::from_utf8_lossy(block);
    let lines = text.split('\n').filter_map(|line| line.split_once(':'));
    let trim = |text: &str| text.trim_matches([' ', '\t', '\r', '\n', '\x0c']).to_string();
    let lines: Vec<(String, String)> = lines.map(|(name, value)| (trim(name), trim(value))).collect();
    let status = lines.iter().find(|(name, _)| name.eq_ignore_ascii_case("grpc-status"));
    let number = |value: &str| value.trim().parse().ok().filter(|code| *code <= 16).unwrap_or(u32::MAX);
    (lines.len(), status.map_or(2, |(_, value)| number(value)))
}

/// Whose token it is, and whether it is a call's.
struct Told {
    token: u32,
    is_call: bool,
    lines: Vec<String>,
}

impl Told {
    fn message(&mut self, message: &[u8]) {
        self.lines.push(format!("grpc_receive(1,{},{})", self.token, message.len()));
        self.lines.push(format!("  {}", text(message)));
    }

    /// The end, with so many trailers.
    fn end(&mut self, trailers: usize, code: u32, response: Option<&[u8]>) {
        match (self.is_call, code, response) {
            (true, 0, Some(response)) => self.message(response),
            (true, 0, None) => self.lines.push(format!("grpc_close(1,{},13)", self.token)),
            (true, ..) => self.lines.push(format!("grpc_close(1,{},{code})", self.token)),
            (false, ..) => {
                self.lines.push(format!("grpc_receive_trailing_metadata(1,{},{trailers})", self.token));
                self.lines.push(format!("grpc_close(1,{},{code})", self.token));
            }
        }
    }
}

/// A message with what stands before it.
fn framed(message: &[u8]) -> Vec<u8> {
    [&[0], (message.len() as u32).to_be_bytes().as_slice(), message].concat()
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let [how, count, rest @ ..] = input else { return Corpus::Reject };
    let Some((sizes, bytes)) = rest.split_at_checked((*count).into()) else { return Corpus::Reject };
    let (web, is_call, ending) = (how & 1 == 1, how & 2 == 2, how >> 2 & 3);

    let bed = bed_with(|settings| {
        settings.upkeep.grpc_transport = if web { GrpcTransport::GrpcWeb } else { GrpcTransport::Http2 };
    });
    let mut world = World::on(&bed);
    bed.on(Id::RequestHeaders, move |filter| {
        let mut state = filter.state();
        let token = if is_call { state.grpc_call(METHOD, b"", 0) } else { state.grpc_stream(METHOD) };
        drop(state);
        token.expect("it is accepted");
        0
    });
    bed.on(Id::GrpcReceive, move |filter| {
        let blob = filter.state().get_buffer_bytes(BufferType::GrpcMessage as u32, 0, u32::MAX).expect("it is there");
        let message = filter.state().bytes(blob).to_vec();
        filter.note(text(&message));
        if !is_call {
            filter.state().grpc_send(filter.token(), &message, false).expect("the stream is open");
        }
        0
    });
    world.get();
    let token = if is_call { 5 } else { 6 };
    let peer = callout(token);
    world.turn().work();
    world.head(peer, &[], false);
    world.turn().work();
    world.calls();
    bed.trace();

    let mut sent = Vec::new();
    let mut rest = bytes;
    let mut ends = Vec::new();
    for size in sizes.iter().map(|size| usize::from(*size)).chain([usize::MAX]) {
        let (piece, after) = rest.split_at(size.min(rest.len()));
        rest = after;
        ends.push(bytes.len() - rest.len());
        world.turn().input(peer, Input::Data(piece.to_vec(), false));
        world.turn().work();
        let mut turn = world.driver.turn();
        while let Some(action) = turn.poll_calls() {
            if let Action::Write(_, bytes) = action {
                sent.extend(bytes);
            }
        }
    }
    let input = match ending {
        0 => Input::Broken,
        1 => Input::End(None),
        _ => Input::End(Some(HeaderMap::from_pairs(Kind::Trailers, [("grpc-status", "0")]))),
    };
    world.turn().input(peer, input);

    let mut found = read(bytes, web);
    // As in Envoy, whose decoder gives nothing out of a piece in which it finds a fault.
    let piece = |known: usize| ends.iter().position(|end| *end >= known);
    if let Some((Found::Malformed, known)) = found.last().copied() {
        let fault = piece(known);
        found.retain(|(item, known)| matches!(item, Found::Malformed) || piece(*known) < fault);
    }
    let last = found.iter().position(|(item, _)| item.ends());
    let items = found.into_iter().take(last.map_or(usize::MAX, |last| last + 1));
    let mut told = Told { token, is_call, lines: Vec::new() };
    let mut messages = Vec::new();
    let mut response = None;
    for (item, _) in items {
        match item {
            Found::Message(message) => {
                messages.extend(framed(message));
                response = Some(message);
                if !is_call {
                    told.message(message);
                }
            }
            Found::Trailers(block) => {
                let (count, code) = trailers(block);
                told.end(count, code, response);
            }
            Found::Compressed | Found::Malformed => told.end(0, 13, response),
        }
    }
    if last.is_none() {
        match ending {
            0 => told.end(0, 13, response),
            1 => told.end(0, 2, response),
            _ => told.end(1, 0, response),
        }
    }
    assert_eq!(bed.trace(), told.lines);
    assert!(is_call || messages.starts_with(&sent), "{sent:?} of {messages:?}");
    assert!(is_call || last.is_some() || messages == sent, "{sent:?} of {messages:?}");
    Corpus::Keep
});
