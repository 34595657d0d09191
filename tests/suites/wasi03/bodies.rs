//! Bodies that no filter can want go on unread, with what follows them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use proxy_wasm_adapter_tests::hosts::Host;
use proxy_wasm_adapter_tests::memory;
use proxy_wasm_adapter_tests::tcp::accept;
use proxy_wasm_adapter_tests::trial::trial;

use crate::{PATIENCE, in_front_of};

/// The bytes each way, of which the host holds few.
const BYTES: usize = 64 << 20;
const HELD_BYTES: u64 = 32 << 20;

/// Has no callback for bodies or trailers, nor for what comes at an exchange's end. `(response)` is what it does with a
/// response's head.
fn filter(response: &str) -> String {
    format!(
        r#"(module
            (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
            (import "env" "proxy_replace_header_map_value" (func $replace (param i32 i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 16) "x-filter")
            (data (i32.const 32) "201")
            (data (i32.const 48) ":status")
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
            (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
                (drop (call $add (i32.const 0) (i32.const 16) (i32.const 8) (i32.const 32) (i32.const 3)))
                (i32.const 0))
            (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
                {response}
                (i32.const 0)))"#
    )
}

/// With a head that changed, a message is made anew; otherwise a response goes on in one piece.
const ADDS: &str = "(drop (call $add (i32.const 2) (i32.const 16) (i32.const 8) (i32.const 32) (i32.const 3)))";
const SETS_STATUS: &str =
    "(drop (call $replace (i32.const 2) (i32.const 48) (i32.const 7) (i32.const 32) (i32.const 3)))";

pub(crate) fn trials(host: Host) -> Vec<Trial> {
    let cases = [("changes a head", ADDS, 200), ("sets a status", SETS_STATUS, 201), ("changes nothing", "", 200)];
    let named = |(what, response, status): (&str, &'static str, u16)| {
        let name = format!("bodies go on unread behind a filter that {what} on {}", host.name());
        trial(name, move || passes(host, response, status))
    };
    cases.map(named).into()
}

fn passes(host: Host, response: &str, status: u16) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let running = host.start(&in_front_of(&listener, &filter(response))?)?;
    let before = memory::peak(running.child.id())?;
    thread::scope(|scope| {
        let upstream = scope.spawn(|| answer(&mut accept(&listener, PATIENCE)?));
        let mut stream = TcpStream::connect(running.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\nte: trailers\r\ncontent-length: {BYTES}\r\n\r\n"
        )?;
        send(&mut stream, BYTES)?;
        let mut reader = BufReader::new(stream);
        let head = head(&mut reader)?;
        ensure!(head[0].starts_with(&format!("HTTP/1.1 {status} ")), "the client got {head:?}");
        ensure!(head.contains(&"x-upstream: yes".into()), "a header is missing: {head:?}");
        ensure!(head.contains(&"x-filter: 201".into()) == (response == ADDS), "the filter's header: {head:?}");
        let mut rest = Vec::new();
        let taken = take(&mut reader, &mut rest)?;
        let asked = upstream.join().expect("an upstream that does not panic")?;
        ensure!(asked.contains(&"x-filter: 201".into()), "the upstream got {asked:?}");
        ensure!(taken >= BYTES, "the client got {taken} bytes");
        let end = String::from_utf8_lossy(&rest).to_ascii_lowercase();
        ensure!(end.ends_with("0\r\nx-end: yes\r\n\r\n"), "it ended with {end:?}");
        anyhow::Ok(())
    })?;
    let grown = memory::peak(running.child.id())? - before;
    ensure!(grown < HELD_BYTES, "it took {grown} bytes for {BYTES} each way");
    Ok(())
}

/// Takes a request, and answers in chunks, with trailers.
fn answer(stream: &mut TcpStream) -> Result<Vec<String>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let asked = head(&mut reader)?;
    std::io::copy(&mut reader.by_ref().take(BYTES as u64), &mut std::io::sink())?;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nx-upstream: yes\r\ntrailer: x-end\r\ntransfer-encoding: chunked\r\n\r\n{BYTES:x}\r\n"
    )?;
    send(stream, BYTES)?;
    write!(stream, "\r\n0\r\nx-end: yes\r\n\r\n")?;
    Ok(asked)
}

fn send(stream: &mut TcpStream, count: usize) -> Result<()> {
    let piece = vec![b'x'; 64 << 10];
    for _ in 0..count / piece.len() {
        stream.write_all(&piece)?;
    }
    Ok(())
}

/// Reads all that comes: says how many bytes, and keeps the last ones.
fn take(reader: &mut impl Read, end: &mut Vec<u8>) -> Result<usize> {
    let (mut piece, mut count) = (vec![0; 64 << 10], 0);
    loop {
        let read = reader.read(&mut piece)?;
        if read == 0 {
            return Ok(count);
        }
        count += read;
        end.extend_from_slice(&piece[..read]);
        end.drain(..end.len().saturating_sub(64));
    }
}

/// The lines of a head.
fn head(reader: &mut impl BufRead) -> Result<Vec<String>> {
    let lines = reader.lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let lines: Vec<String> = lines.collect();
    ensure!(!lines.is_empty(), "no head came");
    Ok(lines)
}
