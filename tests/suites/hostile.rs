//! Filters that mean harm, or that are broken: the host calls answer as Envoy's do, and nothing but the filter's own
//! trap is a trap.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::{Arguments, Trial};
use proxy_wasm_abi::bridge::AbiVersion;
use proxy_wasm_abi::enums::Status;
use proxy_wasm_abi::host_calls::{HostCall, Support};
use proxy_wasm_adapter_tests::client::{self, Reply};
use proxy_wasm_adapter_tests::hostile;
use proxy_wasm_adapter_tests::hosts::{Chain, Host, Running, compile_for_speed};
use proxy_wasm_adapter_tests::pool::Pool;
use proxy_wasm_adapter_tests::trial::trial;
use proxy_wasm_adapter_tests::upstream::{Behaviour, Upstream, Version};
use proxy_wasm_adapter_tests::{message::Step, settings};

const PATIENCE: Duration = Duration::from_secs(20);

/// What allocators of the filters return: an address, nothing, an address beyond the memory.
const ALLOCATORS: [(&str, &str); 3] = [
    ("a good allocator", "(i32.const 1024)"),
    ("an allocator that returns nothing", "(i32.const 0)"),
    ("an allocator that returns what is out of bounds", "(i32.const 0xfffffff0)"),
];

type Key = (Host, AbiVersionKey, &'static str);
type AbiVersionKey = u32;

static STAGES: LazyLock<Pool<Key, Stage>> = LazyLock::new(Pool::default);

struct Stage {
    host: Running,
    _upstream: Upstream,
}

fn main() -> Result<()> {
    let arguments = Arguments::from_args();
    // Some compute for as long as they may.
    compile_for_speed();
    let mut trials = wrong_arguments();
    trials.extend(plugins_that_do_not_start());
    trials.extend(traps());
    trials.push(trial("host calls from a start section do not trap", calls_while_starting));
    trials.push(trial("endless logging does not fill memory", endless_logging));
    let conclusion = libtest_mimic::run(&arguments, trials);
    STAGES.clear();
    conclusion.exit()
}

/// Each host call with every wrong argument: the results are Envoy's, or 12 where the call is not implemented.
fn wrong_arguments() -> Vec<Trial> {
    let mut trials = Vec::new();
    for version in [AbiVersion::V0_2_1, AbiVersion::V0_1_0] {
        for (number, call) in hostile::calls(version).into_iter().enumerate() {
            // Everything that 0.2.1 has too was tried with it.
            if version == AbiVersion::V0_1_0 && call.versions.contains(&AbiVersion::V0_2_1) {
                continue;
            }
            for (name, allocator) in ALLOCATORS {
                STAGES.announce(&(Host::Serve, version as u32, allocator));
                if call.support != Support::Unimplemented {
                    STAGES.announce(&(Host::Envoy, version as u32, allocator));
                }
                let name = format!("{} takes every wrong argument with {name}", call.name);
                trials.push(trial(name, move || {
                    let here = results(Host::Serve, version, allocator, number);
                    if call.support == Support::Unimplemented {
                        return compare(call, |_| Some(UNIMPLEMENTED), &here?);
                    }
                    // Announced, so also to be used.
                    let envoy = results(Host::Envoy, version, allocator, number)?;
                    compare(call, |i| result(&envoy, i), &here?)
                }));
            }
        }
    }
    trials
}

const UNIMPLEMENTED: u8 = Status::Unimplemented as u8;

fn compare(call: &HostCall, expected: impl Fn(usize) -> Option<u8>, here: &str) -> Result<()> {
    let mut differences = BTreeMap::new();
    for (i, arguments) in hostile::arguments(call).iter().enumerate() {
        if result(here, i) != expected(i) {
            differences.insert(format!("{arguments:x?}"), (expected(i), result(here, i)));
        }
    }
    ensure!(differences.is_empty(), "other results than expected: {differences:?}");
    Ok(())
}

/// The result of the call with this number.
fn result(results: &str, number: usize) -> Option<u8> {
    results.as_bytes().get(number).map(|byte| byte.wrapping_sub(b'0'))
}

fn results(host: Host, version: AbiVersion, allocator: &'static str, number: usize) -> Result<String> {
    let start = || {
        let name = format!("hostile {} {allocator} {}", version.marker(), host.name());
        let upstream = Upstream::start_named(&name, Version::Http1)?;
        upstream.behave(ok());
        let mut settings = settings::to_upstream(upstream.address);
        settings.plugins[0].allow_on_headers_stop_iteration = true;
        let plugin = Chain::one(hostile::filter(version, allocator), settings);
        Ok(Stage { host: host.start(&plugin)?, _upstream: upstream })
    };
    STAGES.with(&(host, version as u32, allocator), start, |stage| {
        let lines = &stage.host.child.lines;
        let mut from = lines.count();
        let body = "b".repeat(number + 1);
        let request = format!(
            "POST / HTTP/1.1\r\nhost: example.test\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        );
        let reply = client::send(stage.host.address, request.as_bytes(), PATIENCE)?;
        let find = |line: &str| line.split_once("@hostile ").map(|(_, results)| results.to_string());
        lines
            .next(&mut from, PATIENCE, &find)
            .with_context(|| format!("nothing was logged; the client got {reply:?}; the host wrote:\n{lines}"))
    })
}

/// Callbacks of the start and what they do wrong.
const BAD_STARTS: [(&str, &str); 4] = [
    ("on_vm_start returns false", r#"(func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 0))"#),
    (
        "on_configure returns false",
        r#"(func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 0))"#,
    ),
    ("on_vm_start traps", r#"(func (export "proxy_on_vm_start") (param i32 i32) (result i32) unreachable)"#),
    ("on_configure traps", r#"(func (export "proxy_on_configure") (param i32 i32) (result i32) unreachable)"#),
];

fn filter(functions: &str) -> Result<Vec<u8>> {
    Ok(wat::parse_str(format!(
        r#"(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes" (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 1024))
  {functions})"#
    ))?)
}

fn plugins_that_do_not_start() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, functions) in BAD_STARTS {
        for host in [Host::Envoy, Host::Serve] {
            trials.push(trial(format!("a plugin whose {name} is refused by {}", host.name()), move || {
                match host.start(&chain(functions)?) {
                    Ok(_) => bail!("it serves"),
                    Err(error) => {
                        let error = format!("{error:#}");
                        ensure!(error.contains("the host ended with"), "{error}");
                        Ok(())
                    }
                }
            }));
        }
        for host in [Host::WasmtimeServe, Host::WasmtimeServeReuse] {
            trials.push(trial(format!("a plugin whose {name} answers nothing on {}", host.name()), move || {
                let running = host.start(&chain(functions)?)?;
                // Also where an instance is asked again.
                for _ in 0..2 {
                    let reply = get(&running)?;
                    // A trap is the host's to answer.
                    let expected = if name.contains("traps") { "500" } else { "503" };
                    ensure!(status(&reply) == expected, "{reply:?}\n{}", running.child.lines);
                    ensure!(expected == "500" || reply.body.is_empty(), "{reply:?}");
                }
                Ok(())
            }));
        }
    }
    trials
}

/// A trap in each callback of a stream.
fn traps() -> Vec<Trial> {
    let callbacks = [
        ("proxy_on_request_headers", "(param i32 i32 i32) (result i32)"),
        ("proxy_on_request_body", "(param i32 i32 i32) (result i32)"),
        ("proxy_on_response_headers", "(param i32 i32 i32) (result i32)"),
        ("proxy_on_response_body", "(param i32 i32 i32) (result i32)"),
    ];
    let mut trials = Vec::new();
    for (callback, signature) in callbacks {
        trials.push(trial(format!("a trap in {callback} is answered 503 by serve, which goes on"), move || {
            let functions = format!(r#"(func (export "{callback}") {signature} unreachable)"#);
            let upstream = Upstream::start_named(&format!("hostile {callback}"), Version::Http1)?;
            upstream.behave(ok());
            let settings = settings::to_upstream(upstream.address);
            let running = Host::Serve.start(&Chain::one(filter(&functions)?, settings))?;
            for _ in 0..2 {
                let reply = post(&running)?;
                // The head of a response may have gone before its body.
                let late = callback == "proxy_on_response_body" && reply.end.is_some();
                ensure!(
                    late || (status(&reply) == "503" && reply.body.is_empty()),
                    "{reply:?}\n{}",
                    running.child.lines
                );
            }
            let named = |line: &str| line.contains(callback).then_some(());
            let told = running.child.lines.next(&mut 0, PATIENCE, &named);
            told.with_context(|| format!("it does not tell which callback; it wrote:\n{}", running.child.lines))
        }));
    }
    trials
}

fn calls_while_starting() -> Result<()> {
    // In a start section the host may not even reach the filter's memory; in a start function Envoy allows these.
    let calls = r#"
      (func $allowed
        (drop (call $log (i32.const 2) (i32.const 0) (i32.const 4)))
        (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 12)))
        (drop (call $environ (i32.const 8) (i32.const 12)))
        (drop (call $random (i32.const 8) (i32.const 4)))
        (drop (call $clock (i32.const 0) (i64.const 1) (i32.const 8))))
      (func $all
        (call $allowed)
        (drop (call $property (i32.const 0) (i32.const 4) (i32.const 8) (i32.const 12)))
        (drop (call $pairs (i32.const 0) (i32.const 8) (i32.const 12)))
        (drop (call $buffer (i32.const 7) (i32.const 0) (i32.const 4) (i32.const 8) (i32.const 12))))
      (start $all)
      (func (export "_initialize") (call $allowed))"#;
    for host in [Host::Serve, Host::WasmtimeServe, Host::Jco] {
        let running = host.start(&chain(calls)?).with_context(|| host.name())?;
        let reply = get(&running)?;
        ensure!(status(&reply) == "200", "{}: {reply:?}\n{}", host.name(), running.child.lines);
    }
    Ok(())
}

fn endless_logging() -> Result<()> {
    // 64 MiB of log for one request.
    let functions = r#"
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (local $left i32)
        (local.set $left (i32.const 1024))
        (loop $again
          (drop (call $log (i32.const 2) (i32.const 0) (i32.const 65536)))
          (local.set $left (i32.sub (local.get $left) (i32.const 1)))
          (br_if $again (local.get $left)))
        (i32.const 0))
      (data (i32.const 0) "text")"#;
    // Printable, since escapes would make it six times as much.
    let text = filter(functions)?;
    let running = Host::WasmtimeServe.start(&Chain::one(text, settings::direct()))?;
    let reply = get(&running)?;
    ensure!(status(&reply) == "200", "{reply:?}");
    let peak = proxy_wasm_adapter_tests::memory::peak(running.child.id())?;
    ensure!(peak < 512 << 20, "the host took {} MiB", peak >> 20);
    Ok(())
}

fn ok() -> Behaviour {
    Behaviour { steps: vec![Step::Text("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".into())], wait: None }
}

fn chain(functions: &str) -> Result<Chain> {
    Ok(Chain::one(filter(functions)?, settings::direct()))
}

fn get(running: &Running) -> Result<Reply> {
    Ok(client::send(running.address, b"GET / HTTP/1.1\r\nhost: example.test\r\n\r\n", PATIENCE)?)
}

fn post(running: &Running) -> Result<Reply> {
    let request = b"POST / HTTP/1.1\r\nhost: example.test\r\ncontent-length: 3\r\n\r\nabc";
    Ok(client::send(running.address, request, PATIENCE)?)
}

fn status(reply: &Reply) -> String {
    reply.head.as_ref().map(|head| String::from_utf8_lossy(head.status()).into_owned()).unwrap_or_default()
}
