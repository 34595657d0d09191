//! Bodies larger than memory, peers that do not read, and many requests at once.
//!
//! `PROXY_WASM_TEST_BODY_MIB` is the size of the large bodies (128 by default).

mod costs;

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::{Arguments, Trial};
use proxy_wasm_abi::bridge::AbiVersion;
use proxy_wasm_abi::settings::{Action, Route};
use proxy_wasm_adapter_compose::compose;
use proxy_wasm_adapter_peers::http1::Head;
use proxy_wasm_adapter_peers::http1::blocking::Reader;
use proxy_wasm_adapter_tests::hosts::{Chain, Host, Running, compile_for_speed, wasi03};
use proxy_wasm_adapter_tests::trial::trial;
use proxy_wasm_adapter_tests::{memory, probe, settings};

const HOSTS: [Host; 2] = [Host::Serve, Host::WasmtimeServe];

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A peer that took nothing for so long takes nothing more.
const STUCK: Duration = Duration::from_secs(1);

/// What a host's memory may grow by for a body of any size, whether it streams or is stuck.
const GROWTH: u64 = 32 << 20;

const PIECE: usize = 64 * 1024;

/// Touches headers only, so that bodies pass it by; on WASI 0.3 they go on unread.
const HEADERS_ONLY: &str = r#"(module
  (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "x-seen")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $add (i32.const 0) (i32.const 0) (i32.const 6) (i32.const 0) (i32.const 6)))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (call $add (i32.const 2) (i32.const 0) (i32.const 6) (i32.const 0) (i32.const 6))))"#;

/// Has callbacks for bodies, which take each piece as it comes.
const READS_BODIES: &str = r#"(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) (i32.const 0))
  (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32) (i32.const 0)))"#;

/// What bodies stream through.
#[derive(Clone, Copy)]
enum Way {
    /// A filter.
    Filter(Host),
    /// So many middlewares, of which some read them, in front of a service for WASI 0.3.
    Middlewares { host: Host, count: usize, read: usize },
}

impl Way {
    fn name(self) -> String {
        match self {
            Self::Filter(host) => host.name().to_owned(),
            Self::Middlewares { host, count: 0, .. } => format!("a service alone, on {}", host.name()),
            Self::Middlewares { host, count: 1, read: 0 } => format!("one middleware, on {}", host.name()),
            Self::Middlewares { host, count: 1, .. } => format!("one middleware that reads them, on {}", host.name()),
            Self::Middlewares { host, count, read } => {
                format!("{count} middlewares, {read} of which read bodies, on {}", host.name())
            }
        }
    }

    /// Starts it in front of an upstream.
    fn start(self, upstream: SocketAddr) -> Result<Running> {
        let settings = settings::to_upstream(upstream);
        let chain = |filter: &str| anyhow::Ok(Chain::one(wat::parse_str(filter)?, settings.clone()));
        match self {
            Self::Filter(host) => host.start(&chain(HEADERS_ONLY)?),
            Self::Middlewares { host, count, read } => {
                let filters = std::iter::repeat_n(HEADERS_ONLY, count - read);
                let middlewares = filters.chain(std::iter::repeat_n(READS_BODIES, read)).map(|filter| {
                    let mut chain = chain(filter)?;
                    chain.settings.routes = vec![Route { action: Action::Next { timeout_ms: 0 } }].into();
                    wasi03::service(&chain)
                });
                let mut components = middlewares.collect::<Result<Vec<_>>>()?;
                components.push(wasi03::service(&chain(HEADERS_ONLY)?)?);
                let directory = tempfile::tempdir()?;
                let file = directory.path().join("composed.wasm");
                std::fs::write(&file, compose(&components)?)?;
                host.start_component(&file, directory)
            }
        }
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::from_args();
    // All of a large body goes through the component.
    compile_for_speed();
    let mut trials = Vec::new();
    for host in HOSTS {
        let (on, way) = (host.name(), Way::Filter(host));
        trials.push(trial(format!("a large request streams through {on}"), move || upload(way)));
        trials.push(trial(format!("a large response streams through {on}"), move || download(way)));
        trials.extend(slow(way));
        let name = format!("of 200 requests that are held at once none is lost or mixed up on {on}");
        trials.push(trial(name, move || many(host)));
    }
    for (host, read) in [0, 1, 2].map(|read| (Host::Serve03, read)).into_iter().chain([(Host::WasmtimeServe03, 1)]) {
        trials.extend(slow(Way::Middlewares { host, count: 2, read }));
    }
    for (count, read) in [(0, 0), (1, 0), (1, 1)] {
        let way = Way::Middlewares { host: Host::WasmtimeServe03, count, read };
        trials.push(trial(format!("large bodies both ways through {}", way.name()), move || costs::run(way)));
    }
    libtest_mimic::run(&arguments, trials).exit()
}

/// A peer that does not read slows the other one.
fn slow(way: Way) -> [Trial; 2] {
    let on = way.name();
    [
        trial(format!("a client that does not read stops the upstream on {on}"), move || slow_client(way)),
        trial(format!("an upstream that does not read stops the client on {on}"), move || slow_upstream(way)),
    ]
}

/// What may be under way between two peers that are stuck. Most of it is in the kernel: the buffers of two connections,
/// each as large as the machine lets it grow.
fn under_way_limit() -> u64 {
    size() / 2
}

fn size() -> u64 {
    let mebibytes = std::env::var("PROXY_WASM_TEST_BODY_MIB").ok().and_then(|text| text.parse().ok());
    mebibytes.unwrap_or(128u64) << 20
}

fn upload(way: Way) -> Result<()> {
    let upstream = Server::start(|stream, mut reader, head| {
        let length = head.content_length().ok().flatten().unwrap_or(0) as u64;
        let mut is_intact = true;
        let read = reader.pass(length, |bytes| {
            is_intact &= is_body(bytes);
            Ok(())
        })?;
        respond(stream, &format!("{read} {is_intact}"))
    })?;
    let running = way.start(upstream.address)?;
    let before = warm_up(&running)?;
    let (stream, mut reader) = connect(&running)?;
    request(&stream, "POST", size())?;
    // Where that fails, the answer tells why.
    let written = write_pieces(&stream, size());
    let answer = answer(&mut reader).with_context(|| format!("written: {written:?}"))?;
    ensure!(answer == format!("{} true", size()), "the upstream got {answer} (bytes, and whether they were those)");
    grew_little(&running, before)
}

fn download(way: Way) -> Result<()> {
    let upstream = Server::start(|stream, _, head| {
        if head.start.starts_with(b"POST") {
            return respond(stream, "warm");
        }
        write!(&mut &*stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", size())?;
        write_pieces(stream, size())
    })?;
    let running = way.start(upstream.address)?;
    let before = warm_up(&running)?;
    let (stream, mut reader) = connect(&running)?;
    request(&stream, "GET", 0)?;
    let read = read_all(&mut reader)?;
    ensure!(read == size(), "{read} bytes came");
    grew_little(&running, before)
}

fn slow_client(way: Way) -> Result<()> {
    let sent = Arc::new(Signal::default());
    let (told, released) = (sent.clone(), Arc::new(Barrier::new(2)));
    let release = released.clone();
    let upstream = Server::start(move |stream, _, _| {
        write!(&mut &*stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", size())?;
        let written = write_until_stuck(stream, size())?;
        told.set(written);
        released.wait();
        stream.set_write_timeout(Some(PATIENCE))?;
        write_pieces(stream, size() - written)
    })?;
    let running = way.start(upstream.address)?;
    let before = memory::peak(running.child.id())?;
    let (stream, mut reader) = connect(&running)?;
    request(&stream, "GET", 0)?;
    let under_way = sent.wait()?;
    eprintln!("{} MiB under way", under_way >> 20);
    ensure!(under_way < under_way_limit(), "the upstream could send {under_way} bytes that nobody read");
    grew_little(&running, before)?;
    release.wait();
    let read = read_all(&mut reader)?;
    ensure!(read == size(), "then {read} bytes came");
    Ok(())
}

fn slow_upstream(way: Way) -> Result<()> {
    let released = Arc::new(Barrier::new(2));
    let release = released.clone();
    let upstream = Server::start(move |stream, mut reader, head| {
        released.wait();
        let read = reader.pass(head.content_length().ok().flatten().unwrap_or(0) as u64, |_| Ok(()))?;
        respond(stream, &read.to_string())
    })?;
    let running = way.start(upstream.address)?;
    let before = memory::peak(running.child.id())?;
    let (stream, mut reader) = connect(&running)?;
    request(&stream, "POST", size())?;
    let under_way = write_until_stuck(&stream, size())?;
    eprintln!("{} MiB under way", under_way >> 20);
    ensure!(under_way < under_way_limit(), "the client could send {under_way} bytes that nobody read");
    grew_little(&running, before)?;
    release.wait();
    stream.set_write_timeout(Some(PATIENCE))?;
    write_pieces(&stream, size() - under_way)?;
    let answer = answer(&mut reader).with_context(|| format!("the host wrote:\n{}", running.child.lines))?;
    ensure!(answer == size().to_string(), "then the upstream got {answer} bytes");
    Ok(())
}

/// All are held by the filter, half of their bodies sent, before any goes on.
fn many(host: Host) -> Result<()> {
    const COUNT: usize = 200;
    const SCRIPT: &str = "request_body=return|1;request_body_end=return|0;response_headers=add|2|x-seen|yes";
    let arrived = Arc::new(AtomicU64::new(0));
    let counting = arrived.clone();
    let upstream = Server::start(move |stream, mut reader, head| {
        counting.fetch_add(1, Ordering::SeqCst);
        let id = String::from_utf8_lossy(head.get("x-id").unwrap_or_default()).into_owned();
        let body = String::from_utf8_lossy(&reader.request_body(&head).bytes).into_owned();
        let text = format!("{id} {body}");
        write!(
            &mut &*stream,
            "HTTP/1.1 200 OK\r\nconnection: close\r\nx-id: {id}\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        )
    })?;
    let plugin = Chain::one(
        probe::probe(AbiVersion::V0_2_1, probe::ForeignFunctions::Unnamed)?,
        settings::to_upstream(upstream.address),
    );
    let running = host.start(&plugin)?;

    let mut clients = Vec::new();
    for id in 0..COUNT {
        let (stream, reader) = connect(&running)?;
        let body = format!("first-{id:03}");
        write!(
            &mut &stream,
            "POST / HTTP/1.1\r\nhost: example.test\r\nx-id: {id:03}\r\nx-script: {SCRIPT}\r\ncontent-length: {}\r\n\r\n{body}",
            2 * body.len()
        )?;
        clients.push((stream, reader));
    }
    let mut from = 0;
    for held in 0..COUNT {
        let is_held = |line: &str| line.contains("request_body(9, 0)").then_some(());
        let found = running.child.lines.next(&mut from, PATIENCE, &is_held);
        found.with_context(|| format!("only {held} were held at once; the host wrote:\n{}", running.child.lines))?;
    }
    ensure!(arrived.load(Ordering::SeqCst) == 0, "some went on before they were complete");
    for (id, (stream, _)) in clients.iter().enumerate() {
        write!(&mut &*stream, "secnd-{id:03}")?;
    }
    for (id, (_, reader)) in clients.iter_mut().enumerate() {
        let head = reader.head()?.with_context(|| format!("request {id} was lost"))?;
        let body = reader.response_body(&head, false);
        let text = String::from_utf8_lossy(&body.bytes).into_owned();
        ensure!(head.status() == b"200", "request {id}: {text}\n{}", running.child.lines);
        ensure!(head.get("x-id") == Some(format!("{id:03}").as_bytes()), "request {id} got another's head");
        ensure!(head.get("x-seen") == Some(b"yes"), "request {id} was not seen by the filter");
        ensure!(text == format!("{id:03} first-{id:03}secnd-{id:03}"), "request {id} got another's body: {text}");
    }
    Ok(())
}

/// A first request, so that what a host allocates once is there; its memory then.
fn warm_up(running: &Running) -> Result<u64> {
    let (stream, mut reader) = connect(running)?;
    request(&stream, "POST", 1)?;
    write_pieces(&stream, 1)?;
    answer(&mut reader)?;
    memory::peak(running.child.id())
}

fn grew_little(running: &Running, before: u64) -> Result<()> {
    let peak = memory::peak(running.child.id())?;
    eprintln!("{} MiB of body: {} MiB before, {} MiB at most", size() >> 20, before >> 20, peak >> 20);
    ensure!(peak < before + GROWTH, "its memory grew from {} to {} MiB", before >> 20, peak >> 20);
    Ok(())
}

fn connect(running: &Running) -> Result<(TcpStream, Reader<TcpStream>)> {
    let stream = TcpStream::connect(running.address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let reader = Reader::new(stream.try_clone()?);
    Ok((stream, reader))
}

fn request(mut stream: &TcpStream, method: &str, length: u64) -> io::Result<()> {
    let length = if length > 0 { format!("content-length: {length}\r\n") } else { String::new() };
    stream.write_all(format!("{method} / HTTP/1.1\r\nhost: h\r\nx-test-authority: h\r\n{length}\r\n").as_bytes())
}

/// A body of these bytes.
static BODY: [u8; PIECE] = [1; PIECE];

/// Whether all of these are a body's.
fn is_body(bytes: &[u8]) -> bool {
    bytes.chunks(PIECE).all(|piece| *piece == BODY[..piece.len()])
}

fn write_pieces(mut stream: &TcpStream, length: u64) -> io::Result<()> {
    let mut left = length;
    while left > 0 {
        let size = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        stream.write_all(&BODY[..size])?;
        left -= size as u64;
    }
    Ok(())
}

/// As much of such a body as the other side takes without reading; how much that is.
fn write_until_stuck(mut stream: &TcpStream, length: u64) -> io::Result<u64> {
    stream.set_write_timeout(Some(STUCK))?;
    let mut written = 0;
    while written < length {
        let size = usize::try_from(length - written).unwrap_or(PIECE).min(PIECE);
        match stream.write(&BODY[..size]) {
            Ok(size) => written += size as u64,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

/// A short response's body.
fn answer(reader: &mut Reader<TcpStream>) -> Result<String> {
    let head = reader.head()?.context("no response")?;
    let body = reader.response_body(&head, false);
    ensure!(head.status() == b"200" && !body.cut, "{head:?} {}", String::from_utf8_lossy(&body.bytes));
    ensure!(head.get("x-seen") == Some(b"x-seen"), "the filter did not see it");
    Ok(String::from_utf8_lossy(&body.bytes).into_owned())
}

/// The length of a sized response that is read and dropped.
fn read_all(reader: &mut Reader<TcpStream>) -> Result<u64> {
    let head = reader.head()?.context("no response")?;
    ensure!(head.status() == b"200" && head.content_length() == Ok(Some(usize::try_from(size())?)), "{head:?}");
    let mut is_intact = true;
    let read = reader.pass(size(), |bytes| {
        is_intact &= is_body(bytes);
        Ok(())
    })?;
    ensure!(is_intact, "other bytes came");
    Ok(read)
}

fn respond(mut stream: &TcpStream, text: &str) -> io::Result<()> {
    // Its connection ends with it: a host that did not know might send the next request on it.
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", text.len());
    stream.write_all(format!("{head}{text}").as_bytes())
}

/// An upstream that does one thing with each request, each on a connection of its own.
struct Server {
    address: SocketAddr,
}

impl Server {
    fn start(
        answer: impl Fn(&TcpStream, Reader<TcpStream>, Head) -> io::Result<()> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answer = answer.clone();
                // A connection that fails shows in what its client gets.
                thread::spawn(move || -> io::Result<()> {
                    let mut reader = Reader::new(stream.try_clone()?);
                    match reader.head()? {
                        Some(head) => answer(&stream, reader, head),
                        None => Ok(()),
                    }
                });
            }
        });
        Ok(Self { address })
    }
}

/// A number that one thread tells another.
#[derive(Default)]
struct Signal {
    value: Mutex<Option<u64>>,
    changed: Condvar,
}

impl Signal {
    fn set(&self, value: u64) {
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        self.changed.notify_all();
    }

    fn wait(&self) -> Result<u64> {
        let value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        let (value, _) = self
            .changed
            .wait_timeout_while(value, PATIENCE, |value| value.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        value.context("the upstream never stopped")
    }
}
