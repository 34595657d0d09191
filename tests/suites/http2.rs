//! What is no HTTP/2, frame by frame, as RFC 9113 names it: `serve` and Envoy refuse it, each on the connection or on the
//! stream as it likes, and go on where the RFC has it so.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Result, ensure};
use libtest_mimic::Arguments;
use proxy_wasm_abi::bridge::AbiVersion;
use proxy_wasm_adapter_tests::hosts::{Chain, Host, Running};
use proxy_wasm_adapter_tests::http2::Fields;
use proxy_wasm_adapter_tests::http2::frame::{self, Decoder, Frame, flag, kind};
use proxy_wasm_adapter_tests::pool::Pool;
use proxy_wasm_adapter_tests::probe::{self, ForeignFunctions};
use proxy_wasm_adapter_tests::trial::trial;
use proxy_wasm_adapter_tests::{fixtures, settings};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a peer does with what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Resets the stream, says goodbye with an error, or closes.
    Refused,
    /// Answers the request.
    Answered,
    /// Goes on, with nothing to answer.
    GoesOn,
}

use Outcome::{Answered, GoesOn, Refused};

struct Case {
    /// The section of the RFC, and what is done.
    name: &'static str,
    frames: fn() -> Vec<Frame>,
    /// On Envoy and on ours.
    outcomes: [Outcome; 2],
}

const fn case(name: &'static str, outcome: Outcome, frames: fn() -> Vec<Frame>) -> Case {
    Case { name, frames, outcomes: [outcome; 2] }
}

/// A case that Envoy takes, against the RFC.
const fn laxer(name: &'static str, envoy: Outcome, frames: fn() -> Vec<Frame>) -> Case {
    Case { name, frames, outcomes: [envoy, Refused] }
}

const WHOLE: u8 = flag::END_HEADERS | flag::END_STREAM;
const PRIORITY: u8 = 2;
const PUSH_PROMISE: u8 = 5;

const CASES: &[Case] = &[
    case("3.4 a request", Answered, || vec![get(1)]),
    case("4.1 a frame of an unknown type is ignored", Answered, || vec![Frame::new(22, 0, 0, *b"abcd"), get(1)]),
    case("4.1 unknown flags are ignored", Answered, || vec![Frame::new(kind::PING, 0x16, 0, [0; 8]), get(1)]),
    case("4.1 the reserved bit is ignored", Answered, || vec![Frame::new(kind::PING, 0, 1 << 31, [0; 8]), get(1)]),
    case("4.2 a DATA frame beyond the largest size", Refused, || {
        vec![post(1), Frame::new(kind::DATA, flag::END_STREAM, 1, vec![0; 16_385])]
    }),
    case("4.2 a HEADERS frame beyond the largest size", Refused, || {
        vec![Frame::new(kind::HEADERS, WHOLE, 1, vec![0; 16_385])]
    }),
    case("4.3 a head that is no HPACK", Refused, || vec![Frame::new(kind::HEADERS, WHOLE, 1, [0xff; 8])]),
    case("4.3 another frame within a head", Refused, || {
        vec![Frame::new(kind::HEADERS, flag::END_STREAM, 1, block(&[])), Frame::new(kind::PING, 0, 0, [0; 8])]
    }),
    case("5.1 DATA on an idle stream", Refused, || vec![Frame::new(kind::DATA, flag::END_STREAM, 1, *b"abc")]),
    case("5.1 RST_STREAM on an idle stream", Refused, || vec![Frame::new(kind::RST_STREAM, 0, 1, [0, 0, 0, 8])]),
    case("5.1 WINDOW_UPDATE on an idle stream", Refused, || vec![Frame::new(kind::WINDOW_UPDATE, 0, 1, [0, 0, 0, 8])]),
    case("5.1 CONTINUATION on an idle stream", Refused, || {
        vec![Frame::new(kind::CONTINUATION, flag::END_HEADERS, 1, block(&[]))]
    }),
    case("5.1 DATA after the end", Refused, || vec![get(1), Frame::new(kind::DATA, flag::END_STREAM, 1, *b"abc")]),
    case("5.1 HEADERS after the end", Refused, || vec![get(1), get(1)]),
    case("5.1.1 an even stream", Refused, || vec![get(2)]),
    laxer("5.1.1 a stream below the last one", Answered, || vec![get(5), get(3)]),
    laxer("5.3.1 a stream that depends on itself", GoesOn, || vec![Frame::new(PRIORITY, 0, 1, [0, 0, 0, 1, 16])]),
    case("5.4.2 a hundred calls that are cancelled at once", Answered, || {
        let cancelled = |stream| [post(stream), Frame::new(kind::RST_STREAM, 0, stream, [0, 0, 0, 8])];
        (0..100).flat_map(|call| cancelled(2 * call + 1)).chain([get(201)]).collect()
    }),
    case("6.1 thousands of small frames at once", Answered, || {
        let small = || Frame::new(kind::DATA, 0, 1, [0, 0, 0, 0, 1, b'a']);
        [post(1)].into_iter().chain((0..5000).map(|_| small())).chain([get(3)]).collect()
    }),
    case("6.1 DATA on the connection", Refused, || vec![Frame::new(kind::DATA, flag::END_STREAM, 0, *b"abc")]),
    case("6.1 more padding than there is", Refused, || {
        vec![post(1), Frame::new(kind::DATA, flag::PADDED | flag::END_STREAM, 1, *b"\x09abc")]
    }),
    case("6.2 HEADERS on the connection", Refused, || vec![get(0)]),
    case("6.2 more padding than there is", Refused, || {
        vec![Frame::new(kind::HEADERS, WHOLE | flag::PADDED, 1, [&[250], block(&[]).as_slice()].concat())]
    }),
    laxer("6.3 PRIORITY on the connection", GoesOn, || vec![Frame::new(PRIORITY, 0, 0, [0, 0, 0, 0, 16])]),
    case("6.3 PRIORITY of another size", Refused, || vec![get(1), Frame::new(PRIORITY, 0, 3, [0, 0, 0, 0])]),
    case("6.4 RST_STREAM on the connection", Refused, || vec![Frame::new(kind::RST_STREAM, 0, 0, [0, 0, 0, 8])]),
    case("6.4 RST_STREAM of another size", Refused, || vec![post(1), Frame::new(kind::RST_STREAM, 0, 1, [0, 0, 8])]),
    case("6.5 SETTINGS with ACK and something in it", Refused, || {
        vec![Frame::new(kind::SETTINGS, flag::ACK, 0, [0, 3, 0, 0, 0, 9])]
    }),
    case("6.5 SETTINGS on a stream", Refused, || vec![Frame::new(kind::SETTINGS, 0, 1, [0, 3, 0, 0, 0, 9])]),
    case("6.5 SETTINGS of another size", Refused, || vec![Frame::new(kind::SETTINGS, 0, 0, [0, 3, 0])]),
    case("6.5.2 ENABLE_PUSH beyond 1", Refused, || vec![Frame::new(kind::SETTINGS, 0, 0, [0, 2, 0, 0, 0, 2])]),
    case("6.5.2 a window beyond the largest", Refused, || {
        vec![Frame::new(kind::SETTINGS, 0, 0, [0, 4, 0x80, 0, 0, 0])]
    }),
    case("6.5.2 a frame size below the least", Refused, || {
        vec![Frame::new(kind::SETTINGS, 0, 0, [0, 5, 0, 0, 0x3f, 0xff])]
    }),
    case("6.5.2 an unknown setting is ignored", Answered, || {
        vec![Frame::new(kind::SETTINGS, 0, 0, [0, 0xff, 0, 0, 0, 1]), get(1)]
    }),
    case("6.6 PUSH_PROMISE of a client", Refused, || {
        vec![Frame::new(PUSH_PROMISE, flag::END_HEADERS, 1, [&[0, 0, 0, 2], block(&[]).as_slice()].concat())]
    }),
    case("6.7 PING on a stream", Refused, || vec![Frame::new(kind::PING, 0, 1, [0; 8])]),
    case("6.7 PING of another size", Refused, || vec![Frame::new(kind::PING, 0, 0, [0; 6])]),
    case("6.8 GOAWAY on a stream", Refused, || vec![Frame::new(kind::GOAWAY, 0, 1, [0; 8])]),
    case("6.9 WINDOW_UPDATE by nothing on the connection", Refused, || {
        vec![Frame::new(kind::WINDOW_UPDATE, 0, 0, [0; 4])]
    }),
    case("6.9 WINDOW_UPDATE by nothing on a stream", Refused, || {
        vec![post(1), Frame::new(kind::WINDOW_UPDATE, 0, 1, [0; 4])]
    }),
    case("6.9 WINDOW_UPDATE of another size", Refused, || vec![Frame::new(kind::WINDOW_UPDATE, 0, 0, [0; 3])]),
    case("6.9.1 a window of the connection beyond the largest", Refused, || {
        vec![Frame::new(kind::WINDOW_UPDATE, 0, 0, [0x7f, 0xff, 0xff, 0xff])]
    }),
    case("6.9.1 a window of a stream beyond the largest", Refused, || {
        vec![post(1), Frame::new(kind::WINDOW_UPDATE, 0, 1, [0x7f, 0xff, 0xff, 0xff])]
    }),
    case("6.10 CONTINUATION goes on with a head", Answered, || {
        let block = block(&[]);
        let (first, rest) = block.split_at(10);
        vec![
            Frame::new(kind::HEADERS, flag::END_STREAM, 1, first),
            Frame::new(kind::CONTINUATION, 0, 1, []),
            Frame::new(kind::CONTINUATION, flag::END_HEADERS, 1, rest),
        ]
    }),
    case("6.10 CONTINUATION of another stream", Refused, || {
        vec![
            Frame::new(kind::HEADERS, flag::END_STREAM, 1, block(&[])),
            Frame::new(kind::CONTINUATION, flag::END_HEADERS, 3, []),
        ]
    }),
    case("6.10 CONTINUATION after a whole head", Refused, || {
        vec![get(1), Frame::new(kind::CONTINUATION, flag::END_HEADERS, 1, block(&[]))]
    }),
    case("8.1 trailers that do not end the request", Refused, || {
        vec![post(1), Frame::new(kind::HEADERS, flag::END_HEADERS, 1, frame::encode(&[field("x-t", "1")]))]
    }),
    case("8.2.1 a name in upper case", Refused, || vec![with(1, &[("X-Upper", "1")])]),
    case("8.2.1 a name that is no token", Refused, || vec![with(1, &[("x\"", "1")])]),
    case("8.2.1 a name that is no token, in trailers", Refused, || with_trailers(&[field("x\"", "1")])),
    case("8.1 more trailers than a hundred", Refused, || {
        with_trailers(&(0..101).map(|number| field(&format!("x-{number}"), "1")).collect::<Fields>())
    }),
    case("8.2.2 a header of the connection", Refused, || vec![with(1, &[("connection", "close")])]),
    case("8.2.2 `te` that is not `trailers`", Refused, || vec![with(1, &[("te", "trailers, deflate")])]),
    case("8.3.1 OPTIONS of the whole server", Answered, || {
        let head = [(":method", "OPTIONS"), (":scheme", "http"), (":authority", "example.test"), (":path", "*")];
        let fields: Fields = head.iter().map(|(name, value)| field(name, value)).collect();
        vec![Frame::new(kind::HEADERS, WHOLE, 1, frame::encode(&fields))]
    }),
    case("8.3 an unknown pseudo-header", Refused, || vec![with(1, &[(":other", "1")])]),
    case("8.3 a pseudo-header of responses", Refused, || vec![with(1, &[(":status", "200")])]),
    case("8.3 a pseudo-header after another header", Refused, || {
        let fields = [field("x-a", "1"), field(":method", "GET"), field(":scheme", "http"), field(":path", "/")];
        vec![Frame::new(kind::HEADERS, WHOLE, 1, frame::encode(&fields))]
    }),
    case("8.3.1 an empty path", Refused, || {
        let fields = [field(":method", "GET"), field(":scheme", "http"), field(":path", "")];
        vec![Frame::new(kind::HEADERS, WHOLE, 1, frame::encode(&fields))]
    }),
    case("8.3.1 an empty scheme", Refused, || {
        let fields = [(":method", "GET"), (":scheme", ""), (":authority", "h"), (":path", "/")];
        vec![Frame::new(kind::HEADERS, WHOLE, 1, frame::encode(&fields.map(|(name, value)| field(name, value))))]
    }),
    case("8.3.1 an empty `host` beside the authority", Refused, || vec![with(1, &[("host", "")])]),
    case("8.3.1 a `host` that is none beside the authority", Refused, || vec![with(1, &[("host", "a/b")])]),
    case("8.3.1 another `host` beside the authority", Answered, || vec![with(1, &[("host", "other.test")])]),
    case("8.1.1 an empty length", Refused, || vec![with(1, &[("content-length", "")])]),
    case("8.3.1 no method", Refused, || {
        vec![Frame::new(kind::HEADERS, WHOLE, 1, frame::encode(&[field(":scheme", "http"), field(":path", "/")]))]
    }),
    case("8.3.1 a method twice", Refused, || vec![with(1, &[(":method", "GET")])]),
    case("8.1.1 a length that is not the body's", Refused, || {
        // The filter holds it, or it would be answered before its body comes.
        let mut post = with(1, &[("content-length", "1"), ("x-script", "request_headers=return|1")]);
        post.flags = flag::END_HEADERS;
        vec![post, Frame::new(kind::DATA, flag::END_STREAM, 1, *b"abc")]
    }),
];

fn field(name: &str, value: &str) -> (Vec<u8>, Vec<u8>) {
    (name.into(), value.into())
}

/// The fields of a request, and some more.
fn block(more: &[(&str, &str)]) -> Vec<u8> {
    let usual = [(":method", "GET"), (":scheme", "http"), (":authority", "example.test"), (":path", "/")];
    let fields: Fields = usual.iter().chain(more).map(|(name, value)| field(name, value)).collect();
    frame::encode(&fields)
}

fn with(stream: u32, more: &[(&str, &str)]) -> Frame {
    Frame::new(kind::HEADERS, WHOLE, stream, block(more))
}

/// A request without a body.
/// A request whose head the filter holds: it would be answered before its trailers.
fn with_trailers(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<Frame> {
    let mut post = with(1, &[("x-script", "request_headers=return|1")]);
    post.flags = flag::END_HEADERS;
    let trailers = Frame::new(kind::HEADERS, WHOLE, 1, frame::encode(fields));
    vec![post, Frame::new(kind::DATA, 0, 1, *b"abc"), trailers]
}

fn get(stream: u32) -> Frame {
    with(stream, &[])
}

/// The head of a request whose body is to come.
fn post(stream: u32) -> Frame {
    Frame::new(kind::HEADERS, flag::END_HEADERS, stream, block(&[]))
}

static HOSTS: LazyLock<Pool<Host, Running>> = LazyLock::new(Pool::default);

fn main() -> Result<()> {
    let arguments = Arguments::from_args();
    if !arguments.list {
        fixtures::tool("envoy", "ENVOY")?;
    }
    let mut trials = Vec::new();
    for host in [Host::Envoy, Host::Serve] {
        for case in CASES {
            HOSTS.announce(&host);
            trials.push(trial(format!("{}::{}", case.name, host.name()), move || run(case, host)));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    HOSTS.clear();
    conclusion.exit()
}

fn run(case: &Case, host: Host) -> Result<()> {
    let start =
        || host.start(&Chain::one(probe::probe(AbiVersion::V0_2_1, ForeignFunctions::default())?, settings::direct()));
    HOSTS.with(&host, start, |running| {
        let (outcome, seen) = send(running.address, &(case.frames)())?;
        let expected = case.outcomes[usize::from(host != Host::Envoy)];
        ensure!(outcome == expected, "{outcome:?} and not {expected:?}: {seen}");
        // Whatever that was, the next client is served.
        let (outcome, seen) = send(running.address, &[get(1)])?;
        ensure!(outcome == Answered, "the next request: {outcome:?}: {seen}");
        Ok(())
    })
}

/// Sends these frames on a connection of their own and then a PING, which a peer that goes on answers; and another one
/// then, since a peer may answer it before it resets a stream.
fn send(address: SocketAddr, frames: &[Frame]) -> Result<(Outcome, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut bytes = [frame::PREFACE, &Frame::new(kind::SETTINGS, 0, 0, []).bytes()].concat();
    frames.iter().for_each(|frame| bytes.extend(frame.bytes()));
    let ping = *b"the last";
    bytes.extend(Frame::new(kind::PING, 0, 0, ping).bytes());
    // A peer that refuses may close before it has read all.
    let _ = stream.write_all(&bytes);
    let asks = frames.iter().any(|frame| frame.kind == kind::HEADERS && frame.has(flag::END_STREAM));
    let (mut answered, mut pongs, mut seen) = (false, 0, String::new());
    let mut decoder = Decoder::default();
    loop {
        let Ok(frame) = Frame::read(&mut stream) else { return Ok((Refused, seen + "the end")) };
        let code = |at| frame.number(at).map(frame::error_name).unwrap_or_default();
        match frame.kind {
            kind::HEADERS => {
                let status = decoder.decode(frame.content())?.into_iter().find(|(name, _)| name == b":status");
                let status = status.map(|(_, value)| value).unwrap_or_default();
                seen.push_str(&format!("status {} ", String::from_utf8_lossy(&status)));
                if status == b"400" {
                    return Ok((Refused, seen));
                }
                answered = true;
            }
            // Without an error it says that the rest of a request is not wanted: its answer was there before.
            kind::RST_STREAM if frame.number(0) != Some(0) => return Ok((Refused, seen + "reset " + &code(0))),
            kind::GOAWAY if frame.number(4) != Some(0) => return Ok((Refused, seen + "goodbye " + &code(4))),
            kind::PING if frame.has(flag::ACK) && frame.payload == ping => {
                pongs += 1;
                let _ = stream.write_all(&Frame::new(kind::PING, 0, 0, ping).bytes());
            }
            _ => {}
        }
        let goes_on = pongs > 1;
        if goes_on && answered {
            return Ok((Answered, seen));
        }
        if goes_on && !asks {
            return Ok((GoesOn, seen));
        }
    }
}
