//! Clients that leave, at each stage of an exchange: the filter's exchange ends, in an instance that goes on, and so does that
//! of a next component.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use proxy_wasm_adapter_compose::compose;
use proxy_wasm_adapter_tests::client;
use proxy_wasm_adapter_tests::hosts::{Host, Running};
use proxy_wasm_adapter_tests::tcp::accept;
use proxy_wasm_adapter_tests::trial::trial;

use crate::others::{self, middleware, other};
use crate::{PATIENCE, in_front_of};

type Run = fn() -> Result<()>;

pub(crate) fn trials() -> Vec<Trial> {
    let named = |(what, run): (&str, Run)| {
        trial(format!("the exchange of a client that leaves {what} ends on {}", Host::Serve03.name()), run)
    };
    let stages: [(&str, Run); 7] = [
        ("while the filter holds its request", while_held),
        ("in its request's body", in_its_body),
        ("before the upstream answers", before_the_answer),
        ("in the response's body", in_the_response),
        ("in a response that the filter holds", while_the_response_is_held),
        ("in a body that the next component reads", while_the_next_component_reads),
        ("in a body that the next component writes", while_the_next_component_writes),
    ];
    stages.map(named).into()
}

/// Logs its starts, and the beginning and end of each exchange. It holds requests to `/h`, and the bodies of responses to
/// `/r`.
const TELLS: &str = r#"(module
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
    (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "started" "begun" "ended" ":path")
    (global $letter (mut i32) (i32.const 0))
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
    (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
        (drop (call $log (i32.const 2) (i32.const 16) (i32.const 7)))
        (i32.const 1))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $log (i32.const 2) (i32.const 23) (i32.const 5)))
        (drop (call $get (i32.const 0) (i32.const 33) (i32.const 5) (i32.const 0) (i32.const 4)))
        (global.set $letter (i32.load8_u offset=1 (i32.load (i32.const 0))))
        (i32.eq (global.get $letter) (i32.const 104)))
    (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) (i32.const 0))
    (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32)
        (i32.eq (global.get $letter) (i32.const 114)))
    (func (export "proxy_on_log") (param i32)
        (drop (call $log (i32.const 2) (i32.const 28) (i32.const 5)))))"#;

fn start() -> Result<(TcpListener, Running)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let running = Host::Serve03.start(&in_front_of(&listener, TELLS)?)?;
    Ok((listener, running))
}

fn count(running: &Running, what: &str) -> usize {
    running.child.lines.since(0).iter().filter(|line| line.ends_with(what)).count()
}

/// Waits until so many exchanges have begun, or ended.
fn wait(running: &Running, what: &str, times: usize) -> Result<()> {
    let begun = Instant::now();
    while count(running, what) < times {
        ensure!(begun.elapsed() < PATIENCE, "not {times} exchanges have {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn send(running: &Running, request: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(running.address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    Ok(stream)
}

/// Lets clients leave one after another, each when its exchange is where it should be.
fn leave(running: &Running, mut client: impl FnMut() -> Result<TcpStream>) -> Result<()> {
    for number in 1..=3 {
        let stream = client()?;
        wait(running, "begun", number)?;
        drop(stream);
        wait(running, "ended", number)?;
    }
    ensure!(count(running, "started") == 1, "{} instances had them", count(running, "started"));
    Ok(())
}

fn while_held() -> Result<()> {
    let (_listener, running) = start()?;
    leave(&running, || send(&running, "GET /h HTTP/1.1\r\nhost: h\r\n\r\n"))
}

fn in_its_body() -> Result<()> {
    let (_listener, running) = start()?;
    leave(&running, || send(&running, "POST /h HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nabc"))
}

fn before_the_answer() -> Result<()> {
    let (listener, running) = start()?;
    let mut asked = Vec::new();
    leave(&running, || {
        let stream = send(&running, "GET / HTTP/1.1\r\nhost: h\r\n\r\n")?;
        asked.push(accept(&listener, PATIENCE)?);
        Ok(stream)
    })
}

/// The upstream takes the request, and sends a part of its response. In chunks: a head that declares a length waits for the
/// filter to let the first bytes through.
fn answer_begins(upstream: &mut TcpStream) -> Result<()> {
    until(upstream, b"\r\n\r\n")?;
    Ok(upstream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")?)
}

fn until(stream: &mut TcpStream, end: &[u8]) -> Result<()> {
    let mut all = Vec::new();
    while !all.ends_with(end) {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        all.extend(byte);
    }
    Ok(())
}

/// The part comes to the client.
fn in_the_response() -> Result<()> {
    let (listener, running) = start()?;
    let mut asked = Vec::new();
    leave(&running, || {
        let mut stream = send(&running, "GET / HTTP/1.1\r\nhost: h\r\n\r\n")?;
        let mut upstream = accept(&listener, PATIENCE)?;
        answer_begins(&mut upstream)?;
        asked.push(upstream);
        until(&mut stream, b"abc")?;
        Ok(stream)
    })
}

fn while_the_response_is_held() -> Result<()> {
    let (listener, running) = start()?;
    let mut asked = Vec::new();
    leave(&running, || {
        let mut stream = send(&running, "GET /r HTTP/1.1\r\nhost: h\r\n\r\n")?;
        let mut upstream = accept(&listener, PATIENCE)?;
        answer_begins(&mut upstream)?;
        asked.push(upstream);
        // The head goes on, and nothing behind it.
        stream.read_exact(&mut [0; 12])?;
        Ok(stream)
    })
}

fn in_front_of_next() -> Result<Running> {
    others::start(Host::Serve03, &compose(&[middleware(TELLS, 15_000)?, other("strange")?])?)
}

/// Waits until the next component has learned of so many clients.
fn wait_for_next(running: &Running, times: u32) -> Result<()> {
    let begun = Instant::now();
    loop {
        let get = b"GET /left HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
        let told = client::send(running.address, get, PATIENCE)?.body;
        if told == times.to_string().as_bytes() {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "it was told of {}, not of {times}", String::from_utf8_lossy(&told));
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn while_the_next_component_reads() -> Result<()> {
    let running = in_front_of_next()?;
    leave(&running, || send(&running, "POST /waits HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nabc"))?;
    wait_for_next(&running, 3)
}

fn while_the_next_component_writes() -> Result<()> {
    let running = in_front_of_next()?;
    leave(&running, || {
        let mut stream = send(&running, "GET /endless HTTP/1.1\r\nhost: h\r\n\r\n")?;
        until(&mut stream, b"xxx")?;
        Ok(stream)
    })?;
    wait_for_next(&running, 3)
}
