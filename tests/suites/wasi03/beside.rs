//! Several exchanges in one instance.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use proxy_wasm_adapter_tests::client;
use proxy_wasm_adapter_tests::hosts::Host;
use proxy_wasm_adapter_tests::tcp::accept;
use proxy_wasm_adapter_tests::trial::trial;

use crate::{PATIENCE, in_front_of, status};

pub(crate) fn trials(host: Host) -> [Trial; 3] {
    let named =
        |what: &str, run: fn(Host) -> Result<()>| trial(format!("{what} on {}", host.name()), move || run(host));
    [
        named("requests that are held at once see their own maps, bodies and properties", holds_several),
        named("an instance has no more requests at once than the settings allow", has_few),
        named("ticks that take longer than their period keep nobody waiting", ticks_late),
    ]
}

/// Adds to a request what it sees of it: a header of its map, and a property; to a response a header of its map. Logs each
/// start.
const MIRRORS: &str = r#"(module
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
    (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) ":path")
    (data (i32.const 32) "request\00path")
    (data (i32.const 48) "x-map")
    (data (i32.const 64) "x-property")
    (data (i32.const 80) "one more instance")
    (data (i32.const 112) "x-echo")
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
    (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
        (drop (call $log (i32.const 2) (i32.const 80) (i32.const 17)))
        (i32.const 1))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $get (i32.const 0) (i32.const 16) (i32.const 5) (i32.const 0) (i32.const 4)))
        (drop (call $add (i32.const 0) (i32.const 48) (i32.const 5) (i32.load (i32.const 0)) (i32.load (i32.const 4))))
        (drop (call $property (i32.const 32) (i32.const 12) (i32.const 0) (i32.const 4)))
        (drop (call $add (i32.const 0) (i32.const 64) (i32.const 10) (i32.load (i32.const 0)) (i32.load (i32.const 4))))
        (i32.const 0))
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
        (drop (call $get (i32.const 2) (i32.const 112) (i32.const 6) (i32.const 0) (i32.const 4)))
        (drop (call $add (i32.const 2) (i32.const 48) (i32.const 5) (i32.load (i32.const 0)) (i32.load (i32.const 4))))
        (i32.const 0))
    (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32) (i32.const 0)))"#;

/// Requests that are held at once, and let go in the reverse order: each gets its own answer, and an instance has several.
fn holds_several(host: Host) -> Result<()> {
    const REQUESTS: usize = 200;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let running = host.start(&in_front_of(&listener, MIRRORS)?)?;
    let address = running.address;
    let ask = |index: usize| {
        let request = format!("GET /held/{index} HTTP/1.1\r\nhost: example.test\r\nconnection: close\r\n\r\n");
        client::send(address, request.as_bytes(), PATIENCE)
    };
    thread::scope(|scope| {
        let asking: Vec<_> = (0..REQUESTS).map(|index| scope.spawn(move || ask(index))).collect();
        // All of them are there before the first is answered.
        let mut held = Vec::new();
        for _ in 0..REQUESTS {
            let stream = accept(&listener, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let head: Vec<String> = head(&stream).collect();
            let path = head.first().and_then(|line| line.split(' ').nth(1)).context("a request line")?.to_owned();
            for seen in [format!("x-map: {path}"), format!("x-property: {path}")] {
                ensure!(head.contains(&seen), "no `{seen}` in {head:?}");
            }
            held.push((stream, path));
        }
        for (mut stream, path) in held.into_iter().rev() {
            write!(stream, "HTTP/1.1 200 OK\r\nx-echo: {path}\r\ncontent-length: {}\r\n\r\n{path}", path.len())?;
        }
        for (index, asking) in asking.into_iter().enumerate() {
            let reply = asking.join().expect("a client that does not panic")?;
            let head = reply.head.as_ref().context("a response")?;
            let path = format!("/held/{index}").into_bytes();
            let seen = [head.get("x-map"), Some(&*reply.body)];
            ensure!(seen.iter().all(|seen| *seen == Some(&*path)), "request {index} got {seen:?}: {:?}", reply.end);
        }
        let starts = running.child.lines.since(0).iter().filter(|line| line.contains("one more instance")).count();
        ensure!(starts < REQUESTS, "{starts} instances had {REQUESTS} requests");
        Ok(())
    })
}

/// Two at once in each: eight need four instances.
fn has_few(host: Host) -> Result<()> {
    const REQUESTS: usize = 8;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut chain = in_front_of(&listener, MIRRORS)?;
    chain.settings.upkeep.instance_concurrency = Some(2);
    let running = host.start(&chain)?;
    let address = running.address;
    let get = || client::send(address, b"GET / HTTP/1.1\r\nhost: example.test\r\nconnection: close\r\n\r\n", PATIENCE);
    thread::scope(|scope| {
        let asking: Vec<_> = (0..REQUESTS).map(|_| scope.spawn(get)).collect();
        let held = (0..REQUESTS).map(|_| Ok(accept(&listener, PATIENCE)?)).collect::<Result<Vec<_>>>()?;
        held.into_iter().for_each(|mut stream| answer(&mut stream));
        for asking in asking {
            let status = status(&asking.join().expect("a client that does not panic")?);
            ensure!(status == Some(200), "one of them got {status:?}");
        }
        let starts = running.child.lines.since(0).iter().filter(|line| line.contains("one more instance")).count();
        ensure!(starts >= REQUESTS / 2, "{starts} instances had {REQUESTS} requests");
        Ok(())
    })
}

/// Ticks each 5 ms, for 30 ms; holds each request until the next tick.
const TICKS_LATE: &str = r#"(module
    (import "env" "proxy_set_tick_period_milliseconds" (func $period (param i32) (result i32)))
    (import "env" "proxy_get_current_time_nanoseconds" (func $now (param i32) (result i32)))
    (import "env" "proxy_set_effective_context" (func $become (param i32) (result i32)))
    (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
    (memory (export "memory") 1)
    (global $held (mut i32) (i32.const 0))
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
        (drop (call $period (i32.const 5)))
        (i32.const 1))
    (func $time (result i64) (drop (call $now (i32.const 0))) (i64.load (i32.const 0)))
    (func (export "proxy_on_tick") (param i32)
        (local $end i64)
        (local.set $end (i64.add (call $time) (i64.const 30000000)))
        (loop $works (br_if $works (i64.lt_u (call $time) (local.get $end))))
        (if (global.get $held) (then
            (drop (call $become (global.get $held)))
            (drop (call $continue (i32.const 0)))
            (global.set $held (i32.const 0)))))
    (func (export "proxy_on_request_headers") (param $context i32) (param i32 i32) (result i32)
        (global.set $held (local.get $context))
        (i32.const 1)))"#;

/// The next tick is due whenever one ends: still each request goes on, and to its upstream.
fn ticks_late(host: Host) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let running = host.start(&in_front_of(&listener, TICKS_LATE)?)?;
    let address = running.address;
    let get = || client::send(address, b"GET / HTTP/1.1\r\nhost: example.test\r\nconnection: close\r\n\r\n", PATIENCE);
    thread::scope(|scope| {
        for number in 0..5 {
            let asking = scope.spawn(get);
            answer(&mut accept(&listener, PATIENCE)?);
            let status = status(&asking.join().expect("a client that does not panic")?);
            ensure!(status == Some(200), "request {number} got {status:?}");
        }
        Ok(())
    })
}

/// Answers a request without a body. One whose request was given up is gone.
fn answer(stream: &mut TcpStream) {
    head(stream).for_each(drop);
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
}

/// The lines of a head. Nothing must follow it.
fn head(stream: &TcpStream) -> impl Iterator<Item = String> {
    BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty())
}
