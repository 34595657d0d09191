//! A filter traps in one of 16 exchanges that an instance has: what becomes of the others, and of those that come after.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use proxy_wasm_abi::limits::INSTANCE_CONCURRENCY;
use proxy_wasm_adapter_peers::http1::Head;
use proxy_wasm_adapter_peers::http1::blocking::Reader;
use proxy_wasm_adapter_tests::hosts::{Host, Running};
use proxy_wasm_adapter_tests::tcp::accept;
use proxy_wasm_adapter_tests::trial::trial;

use crate::{PATIENCE, in_front_of};

/// The requests that an instance has at once by default.
const INSTANCE: usize = INSTANCE_CONCURRENCY as usize;

/// Envoy shows what is right: there the others end as soon as something comes for them, and here at once. `serve` by exchanges
/// shows that it is the same in both versions of WASI.
pub(crate) fn trials() -> [Trial; 4] {
    [Host::Envoy, Host::Serve, Host::Serve03, Host::WasmtimeServe03].map(|host| {
        let name = format!("a trap ends all 16 exchanges of its instance, and no other, on {}", host.name());
        trial(name, move || run(host))
    })
}

/// Counts in its memory the requests that it gets, and takes the time of its start for the name of its instance; logs both.
/// Holds a request with a body. Traps where a response has more than eight headers.
const COUNTS: &str = r#"(module
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
    (import "env" "proxy_get_current_time_nanoseconds" (func $now (param i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "counted 00 of 0000000000000000")
    (global $count (mut i32) (i32.const 0))
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
    (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
        (local $digit i32)
        (local.set $digit (i32.const 16))
        (drop (call $now (i32.const 0)))
        (loop $writes
            (local.set $digit (i32.sub (local.get $digit) (i32.const 1)))
            (i32.store8 offset=30 (local.get $digit)
                (i32.add (i32.const 97) (i32.and (i32.wrap_i64 (i64.load (i32.const 0))) (i32.const 15))))
            (i64.store (i32.const 0) (i64.shr_u (i64.load (i32.const 0)) (i64.const 4)))
            (br_if $writes (local.get $digit)))
        (i32.const 1))
    (func (export "proxy_on_request_headers") (param i32 i32) (param $end i32) (result i32)
        (global.set $count (i32.add (global.get $count) (i32.const 1)))
        (i32.store8 (i32.const 24) (i32.add (i32.const 48) (i32.div_u (global.get $count) (i32.const 10))))
        (i32.store8 (i32.const 25) (i32.add (i32.const 48) (i32.rem_u (global.get $count) (i32.const 10))))
        (drop (call $log (i32.const 2) (i32.const 16) (i32.const 30)))
        (i32.eqz (local.get $end)))
    (func (export "proxy_on_response_headers") (param i32) (param $headers i32) (param i32) (result i32)
        (if (i32.gt_u (local.get $headers) (i32.const 8)) (then unreachable))
        (i32.const 0))
    (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32) (i32.const 0)))"#;

/// How far an exchange has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The filter holds the request, which has not ended.
    Held,
    /// The upstream has the request, and has not answered.
    Asked,
    /// The client has the head of the response, and half of its body, whose length is known.
    Sized,
    /// The same where it comes in chunks.
    Chunked,
}

const STAGES: [Stage; 4] = [Stage::Held, Stage::Asked, Stage::Sized, Stage::Chunked];

/// Each request comes to the upstream by a connection of its own.
const CLOSE: &str = "connection: close\r\n";

/// What a client got: a status, the body, and whether it broke off.
type Got = (String, String, bool);

/// An exchange that is under way.
struct Exchange {
    stage: Stage,
    path: String,
    /// Which instance has it, and how many that had before it and with it.
    instance: String,
    count: u32,
    reader: Reader<TcpStream>,
    /// Of the response, where the client has it.
    head: Option<Head>,
    upstream: Option<TcpStream>,
}

/// A host may begin another instance where one has no time at the moment, so there are more exchanges than one instance has.
fn run(host: Host) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let running = host.start(&in_front_of(&listener, COUNTS)?)?;
    let (mut from, mut exchanges) = (0, Vec::new());
    let full = loop {
        ensure!(exchanges.len() < 4 * INSTANCE, "no instance had {INSTANCE} exchanges at once");
        let exchange = begin(&running, &listener, &mut from, exchanges.len())?;
        let (instance, count) = (exchange.instance.clone(), exchange.count);
        exchanges.push(exchange);
        // The one that traps is one that was asked.
        let is_asked = |other: &Exchange| other.instance == instance && other.stage == Stage::Asked;
        if count as usize == INSTANCE && exchanges.iter().any(is_asked) {
            break instance;
        }
    };
    let (mut ended, mut others): (Vec<_>, Vec<_>) =
        exchanges.into_iter().partition(|exchange| exchange.instance == full);
    ensure!(ended.len() == INSTANCE, "the instance had {} exchanges", ended.len());
    let at = ended.iter().position(|exchange| exchange.stage == Stage::Asked).context("one that was asked")?;
    let trapping = ended[at].upstream.as_mut().context("an upstream")?;
    let headers = "x-trap: yes\r\n".repeat(8);
    write!(trapping, "HTTP/1.1 200 OK\r\n{CLOSE}content-length: 2\r\n{headers}\r\nok")?;
    if host == Host::Envoy {
        let trapped = got(&mut ended[at])?;
        ensure!(trapped == ("503".into(), String::new(), false), "the one that traps got {trapped:?}");
        ended.remove(at);
        // The others end when something comes for them; those that it holds wait until they time out.
        ended.retain(|exchange| exchange.stage != Stage::Held);
        ended.iter_mut().try_for_each(answer)?;
    }
    for exchange in &mut ended {
        let (path, got) = (exchange.path.clone(), got(exchange)?);
        let expected = ended_by_a_trap(host, exchange.stage, &path);
        ensure!(got == expected, "{path}, {:?}: {got:?}, and not {expected:?}", exchange.stage);
        // Nobody goes on with what they sent. Envoy's upstreams have answered.
        if host != Host::Envoy
            && let Some(upstream) = &mut exchange.upstream
        {
            let read = upstream.read(&mut [0; 16]);
            ensure!(matches!(read, Ok(0)), "the request to the upstream of {path} goes on: {read:?}");
        }
    }
    // Those of other instances go on.
    for exchange in &mut others {
        finishes(exchange)?;
    }
    // By default Envoy answers all further ones 503.
    for number in 0..if host == Host::Envoy { 0 } else { 2 } {
        let mut exchange = begin(&running, &listener, &mut from, 4 * number + 2)?;
        ensure!(exchange.instance != full, "a further request came to the instance that trapped");
        finishes(&mut exchange)?;
    }
    Ok(())
}

fn begin(running: &Running, listener: &TcpListener, from: &mut usize, number: usize) -> Result<Exchange> {
    let (stage, path) = (STAGES[number % STAGES.len()], format!("/{number:02}"));
    let mut client = TcpStream::connect(running.address)?;
    client.set_read_timeout(Some(PATIENCE))?;
    let waiting = client.try_clone()?;
    let (method, body) = if stage == Stage::Held { ("POST", "content-length: 6\r\n\r\nabc") } else { ("GET", "\r\n") };
    write!(client, "{method} {path} HTTP/1.1\r\nhost: h\r\nx-test-authority: h\r\nconnection: close\r\n{body}")?;
    let mut reader = Reader::new(client);
    let (mut upstream, mut response) = (None, None);
    if stage != Stage::Held {
        let mut stream = accept(listener, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let lines = BufReader::new(&stream).lines().map_while(Result::ok);
        let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        ensure!(head[0].starts_with(&format!("GET {path} ")), "the upstream got {head:?}");
        match stage {
            Stage::Sized => write!(stream, "HTTP/1.1 200 OK\r\n{CLOSE}content-length: 6\r\n\r\n{path}")?,
            Stage::Chunked => {
                write!(stream, "HTTP/1.1 200 OK\r\n{CLOSE}transfer-encoding: chunked\r\n\r\n3\r\n{path}\r\n")?;
            }
            Stage::Held | Stage::Asked => {}
        }
        if matches!(stage, Stage::Sized | Stage::Chunked) {
            response = reader.head()?;
            ensure!(response.as_ref().is_some_and(|head| head.status() == b"200"), "{path} is answered {response:?}");
            wait_for_half(&reader, &waiting, &path)?;
        }
        upstream = Some(stream);
    }
    let lines = &running.child.lines;
    let counted = |line: &str| {
        let (count, rest) = line.split_once("counted ")?.1.split_once(" of ")?;
        Some((count.parse().ok()?, rest.get(..16)?.to_owned()))
    };
    let counted = lines.next(from, PATIENCE, &counted).with_context(|| format!("{path} was not counted: {lines}"))?;
    let (count, instance) = counted;
    Ok(Exchange { stage, path, instance, count, reader, head: response, upstream })
}

/// Waits until half of the body has come, and leaves it to be read.
fn wait_for_half(reader: &Reader<TcpStream>, client: &TcpStream, path: &str) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    let has_it = |bytes: &[u8]| bytes.windows(path.len()).any(|window| window == path.as_bytes());
    let mut came = [0; 64];
    while !has_it(reader.rest()) {
        let count = client.peek(&mut came)?;
        if has_it(&came[..count]) {
            break;
        }
        ensure!(count > 0 && Instant::now() < until, "half of the body of {path} never came");
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// What a client gets where its instance traps. Envoy and `serve` answer 503, or break off what has begun. The stock host has a
/// page of its own, and ends chunks as if they were all.
fn ended_by_a_trap(host: Host, stage: Stage, path: &str) -> Got {
    let is_right = host == Host::Envoy || host.is_own();
    match stage {
        Stage::Held | Stage::Asked if is_right => ("503".into(), String::new(), false),
        Stage::Held | Stage::Asked => ("500".into(), WASMTIMES_PAGE.into(), false),
        Stage::Sized => ("200".into(), path.into(), true),
        Stage::Chunked => ("200".into(), path.into(), is_right),
    }
}

const WASMTIMES_PAGE: &str = "<!doctype html>\n<html>\n<head>\n    <title>500 Internal Server Error</title>\n</head>\n<body>\n    \
                              <center>\n        <h1>500 Internal Server Error</h1>\n        <hr>\n        wasmtime\n    \
                              </center>\n</body>\n</html>";

/// Its upstream answers, as far as it has not, and the client gets that answer. Where the filter holds it, nothing comes.
fn finishes(exchange: &mut Exchange) -> Result<()> {
    if exchange.stage == Stage::Held {
        return Ok(());
    }
    answer(exchange)?;
    let (path, got) = (exchange.path.clone(), got(exchange)?);
    ensure!(got == ("200".into(), format!("{path}end"), false), "{path} of another instance got {got:?}");
    Ok(())
}

/// Its upstream sends what is left of the answer.
fn answer(Exchange { stage, path, upstream, .. }: &mut Exchange) -> Result<()> {
    let Some(upstream) = upstream else { return Ok(()) };
    let left = match stage {
        Stage::Sized => "end".into(),
        Stage::Chunked => "3\r\nend\r\n0\r\n\r\n".into(),
        Stage::Held | Stage::Asked => format!("HTTP/1.1 200 OK\r\n{CLOSE}content-length: 6\r\n\r\n{path}end"),
    };
    // At once: the host may close the connection behind the head.
    Ok(upstream.write_all(left.as_bytes())?)
}

/// What a client got in all.
fn got(exchange: &mut Exchange) -> Result<Got> {
    let came = exchange.head.take();
    let head = if came.is_some() { came } else { exchange.reader.head()? };
    let Some(head) = head else { return Ok((String::from("none"), String::new(), true)) };
    let body = exchange.reader.response_body(&head, false);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((text(head.status()), text(&body.bytes), body.cut))
}
