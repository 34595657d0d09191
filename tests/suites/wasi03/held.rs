//! A thousand exchanges, all of which a filter holds at once: hundreds in each instance.

use std::io::Write;
use std::net::TcpStream;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use proxy_wasm_abi::limits::INSTANCE_CONCURRENCY;
use proxy_wasm_adapter_peers::http1::blocking::Reader;
use proxy_wasm_adapter_tests::hosts::{Chain, Host, Running, start_serve, start_wasmtime, wasi03};
use proxy_wasm_adapter_tests::message::Step;
use proxy_wasm_adapter_tests::settings;
use proxy_wasm_adapter_tests::trial::trial;
use proxy_wasm_adapter_tests::upstream::{Behaviour, Upstream};

use crate::PATIENCE;

pub(crate) fn trial_of(host: Host) -> Trial {
    trial(format!("a thousand requests that a filter holds go on in few instances on {}", host.name()), move || {
        run(host)
    })
}

const REQUESTS: usize = 1_000;

/// Hosts begin a further instance where one has no time at the moment. By default, twice as many would have them.
const MOST_INSTANCES: usize = REQUESTS / INSTANCE_CONCURRENCY as usize / 2;

/// Holds requests until they have come to their end. A response is told the path of its request.
const HOLDS: &str = r#"(module
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
    (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_property" (func $keep (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "request\00path")
    (data (i32.const 32) "x-path" "started" "held")
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
    (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
        (drop (call $log (i32.const 2) (i32.const 38) (i32.const 7)))
        (i32.const 1))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $property (i32.const 16) (i32.const 12) (i32.const 0) (i32.const 4)))
        (drop (call $keep (i32.const 34) (i32.const 4) (i32.load (i32.const 0)) (i32.load (i32.const 4))))
        (i32.const 0))
    (func (export "proxy_on_request_body") (param i32 i32) (param $end i32) (result i32)
        (if (local.get $end) (then (return (i32.const 0))))
        (drop (call $log (i32.const 2) (i32.const 45) (i32.const 4)))
        (i32.const 1))
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
        (drop (call $property (i32.const 34) (i32.const 4) (i32.const 0) (i32.const 4)))
        (drop (call $add (i32.const 2) (i32.const 32) (i32.const 6) (i32.load (i32.const 0)) (i32.load (i32.const 4))))
        (i32.const 0)))"#;

fn run(host: Host) -> Result<()> {
    let upstream = Upstream::start()?;
    let answer = Step::Text("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".into());
    upstream.behave(Behaviour { steps: vec![answer], wait: None });
    let mut settings = settings::to_upstream(upstream.address);
    settings.upkeep.instance_concurrency = Some(REQUESTS.try_into()?);
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("holds.wasm");
    std::fs::write(&file, wasi03::service(&Chain::one(wat::parse_str(HOLDS)?, settings))?)?;
    let count = (2 * REQUESTS).to_string();
    let running = match host {
        Host::Serve03 => {
            let options = ["--max-instance-concurrency", "--max-concurrency", "--max-connections"];
            start_serve(&file, &options.map(|option| [option, count.as_str()]).concat(), directory)?
        }
        _ => {
            let options = [
                "--max-instance-concurrent-reuse-count",
                "--max-instance-reuse-count",
                "--max-concurrent-requests",
                "--max-concurrent-connections",
            ];
            let options = options.map(|option| [option, count.as_str()]).concat();
            start_wasmtime(&file, &[&["-S", "p3", "-W", "component-model-async"], &options[..]].concat(), directory)?
        }
    };
    let lines = &running.child.lines;
    let mut from = 0;
    let mut clients = Vec::new();
    for number in 0..REQUESTS {
        clients.push(begin(&running, number)?);
        let is_held = |line: &str| line.ends_with("held").then_some(());
        lines.next(&mut from, PATIENCE, &is_held).with_context(|| format!("only {number} were held: {lines}"))?;
    }
    let starts = lines.since(0).iter().filter(|line| line.ends_with("started")).count();
    ensure!(starts <= MOST_INSTANCES, "{starts} instances had them");
    for mut stream in &clients {
        stream.write_all(b"def")?;
    }
    for (number, stream) in clients.into_iter().enumerate() {
        let head = Reader::new(stream).head().ok().flatten().with_context(|| format!("request {number} was lost"))?;
        let path = head.get("x-path").map(String::from_utf8_lossy);
        let is_its = path.as_deref() == Some(&format!("/{number}"));
        ensure!(head.status() == b"200" && is_its, "request {number} got the answer of {path:?}");
    }
    Ok(())
}

/// Sends half of a request.
fn begin(running: &Running, number: usize) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(running.address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let head = "host: h\r\nx-test-authority: h\r\ncontent-length: 6\r\nconnection: close";
    stream.write_all(format!("POST /{number} HTTP/1.1\r\n{head}\r\n\r\nabc").as_bytes())?;
    Ok(stream)
}
