//! What a next component may do with a request, and how it may answer: the client gets what Envoy would give it behind such
//! an upstream, and the instance goes on.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use proxy_wasm_adapter_compose::compose;
use proxy_wasm_adapter_peers::http1::blocking::Reader;
use proxy_wasm_adapter_tests::hosts::{Host, Running};
use proxy_wasm_adapter_tests::trial::trial;

use crate::PATIENCE;
use crate::others::{middleware, other, start};

pub(crate) fn trials(host: Host) -> Vec<Trial> {
    let behind = [("reads bodies", READS), ("has no use for bodies", DOES_NOT)];
    let named = |(what, filter): (&str, &'static str)| {
        let name =
            |happens: &str| format!("a next component that {happens} behind a filter that {what} on {}", host.name());
        [
            trial(name("answers before it reads, or reads nothing"), move || answers_before_it_reads(host, filter)),
            trial(name("fails, or breaks its answer off"), move || fails(host, filter)),
            trial(name("traps in its answer"), move || traps(host, filter)),
            trial(name("writes a body to HEAD"), move || body_to_head(&in_front(host, filter)?)),
        ]
    };
    let alone = trial(format!("a service alone that writes a body to HEAD on {}", host.name()), move || {
        body_to_head(&start(host, &other("strange")?)?)
    });
    behind.into_iter().flat_map(named).chain([alone]).collect()
}

/// Sees the bodies of requests and responses.
const READS: &str = r#"(module
    (memory (export "memory") 1)
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0))
    (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) (i32.const 0))
    (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32) (i32.const 0)))"#;

/// Sees heads only.
const DOES_NOT: &str = r#"(module
    (memory (export "memory") 1)
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0)))"#;

/// What Envoy says of an upstream that ends its connection without an answer.
const TERMINATED: &str =
    "upstream connect error or disconnect/reset before headers. reset reason: connection termination";

/// What a client got.
#[derive(Debug, PartialEq, Eq)]
struct Got {
    status: String,
    body: String,
    /// It ended before it was complete.
    is_cut: bool,
}

impl Got {
    fn new(status: &str, body: &str, is_cut: bool) -> Self {
        Self { status: status.into(), body: body.into(), is_cut }
    }

    /// Whether it is an answer as far as that came, or none.
    fn is_a_part(&self) -> bool {
        ["200", "none"].contains(&self.status.as_str()) && "part".starts_with(&self.body)
    }
}

/// Sends a request with so many of the six bytes of its body, and reads the answer.
fn ask(running: &Running, path: &str, sent: usize) -> Result<Got> {
    let mut stream = TcpStream::connect(running.address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let head = "host: h\r\nx-test-authority: h\r\ncontent-length: 6\r\nconnection: close";
    // At once: the host may close the connection behind the head.
    stream.write_all(format!("POST {path} HTTP/1.1\r\n{head}\r\n\r\n{}", &"abcdef"[..sent]).as_bytes())?;
    let mut reader = Reader::new(stream);
    let Some(head) = reader.head()? else { return Ok(Got::new("none", "", true)) };
    let body = reader.response_body(&head, false);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Got { status: text(head.status()), body: text(&body.bytes), is_cut: body.cut })
}

fn in_front(host: Host, filter: &str) -> Result<Running> {
    start(host, &compose(&[middleware(filter, 15_000)?, other("strange")?])?)
}

/// The whole answer comes, whether the client has sent all of its request or half of it.
fn answers_before_it_reads(host: Host, filter: &str) -> Result<()> {
    let running = in_front(host, filter)?;
    for path in ["/reads-after", "/reads-part", "/drops", "/keeps"] {
        for sent in [6, 3, 3, 6] {
            let got = ask(&running, path, sent)?;
            ensure!(got == Got::new("200", "answered", false), "{path}, {sent} bytes sent: {got:?}");
        }
    }
    Ok(())
}

/// An error in place of an answer is 503, as that of an upstream. An answer that breaks off is cut: how much of it still goes out
/// is a race in every host, of the service alone, too.
fn fails(host: Host, filter: &str) -> Result<()> {
    let running = in_front(host, filter)?;
    for path in ["/fails", "/breaks", "/breaks-trailers", "/breaks-at-once"] {
        for _ in 0..2 {
            let got = ask(&running, path, 6)?;
            let is_right = match path {
                "/fails" => got == Got::new("503", TERMINATED, false),
                "/breaks-trailers" => got == Got::new("200", "part", false),
                _ => got.is_cut && got.is_a_part(),
            };
            ensure!(is_right, "{path}: {got:?}");
        }
    }
    Ok(())
}

/// Nobody wants the body. The service learns so, behind a middleware as where it stands alone.
fn body_to_head(running: &Running) -> Result<()> {
    let mut stream = TcpStream::connect(running.address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "HEAD /endless HTTP/1.1\r\nhost: h\r\nx-test-authority: h\r\n\r\n")?;
    let head = Reader::new(stream.try_clone()?).head()?.context("no answer")?;
    ensure!(head.status() == b"200", "{head:?}");
    let until = Instant::now() + PATIENCE;
    while ask(running, "/left", 6)?.body != "1" {
        ensure!(Instant::now() < until, "it writes on");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// All that the instance has ends with it. The next request gets another one.
fn traps(host: Host, filter: &str) -> Result<()> {
    let running = in_front(host, filter)?;
    for _ in 0..2 {
        let got = ask(&running, "/traps", 6)?;
        // The stock host ends what came in chunks as if it were all.
        ensure!(got.is_a_part() && (got.is_cut || !host.is_own()), "{got:?}");
        let got = ask(&running, "/drops", 6)?;
        ensure!(got == Got::new("200", "answered", false), "the next request got {got:?}");
    }
    Ok(())
}
