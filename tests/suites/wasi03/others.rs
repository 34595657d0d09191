//! Components that others made: by `wit-bindgen` and its executor, and by hand, against what a next component may do.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use proxy_wasm_abi::settings::{Action, Plugin, Route, Settings};
use proxy_wasm_adapter::composition::parts;
use proxy_wasm_adapter_compose::compose;
use proxy_wasm_adapter_tests::client::{self, Reply};
use proxy_wasm_adapter_tests::fixtures::{forget_package, root};
use proxy_wasm_adapter_tests::hosts::{Chain, Host, Running, wasi03};
use proxy_wasm_adapter_tests::trial::trial;
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::{PATIENCE, status};

const HANDLER: &str = "wasi:http/handler@0.3.0";

pub(crate) fn trials(host: Host) -> Vec<Trial> {
    let named = |what: &str, run: fn(Host) -> Result<()>| {
        let name = format!("{what} on {}", host.name());
        trial(name, move || run(host))
    };
    vec![
        named("filters stand before and behind middleware of others", both_orders),
        named("a service of others answers behind filters, composed as Spin does", as_spin_does),
        named("a next component that never answers holds nobody up", never_answers),
        named("a next component that traps is told from one that fails", fails),
    ]
}

/// Adds to a request and to a response what they passed.
const MARKS: &str = r#"(module
    (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "x-passed" "ours")
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
    (func $mark (param i32)
        (drop (call $add (local.get 0) (i32.const 16) (i32.const 8) (i32.const 24) (i32.const 4))))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (call $mark (i32.const 0)) (i32.const 0))
    (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) (i32.const 0))
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) (call $mark (i32.const 2)) (i32.const 0)))"#;

fn ours(timeout_ms: u64) -> Result<Vec<u8>> {
    middleware(MARKS, timeout_ms)
}

/// The filter as middleware, which gives its next component so many milliseconds.
pub(crate) fn middleware(filter: &str, timeout_ms: u64) -> Result<Vec<u8>> {
    let mut settings = Settings { plugins: vec![Plugin::default()], ..Settings::default() };
    settings.routes = vec![Route { action: Action::Next { timeout_ms } }].into();
    wasi03::service(&Chain::one(wat::parse_str(filter)?, settings))
}

/// A component that `tests/fixtures/others/build.sh` builds.
pub(crate) fn other(name: &str) -> Result<Vec<u8>> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let mut command = Command::new(root().join("tests/fixtures/others/build.sh"));
        forget_package(&mut command);
        let output = command.output().map_err(|error| error.to_string())?;
        let text = || String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(text()) }
    });
    if let Err(error) = built {
        anyhow::bail!("tests/fixtures/others/build.sh: {error}");
    }
    let module = root().join("target/others").join(name).with_extension("wasm");
    let module = std::fs::read(&module).with_context(|| format!("reads {}", module.display()))?;
    ComponentEncoder::default().module(&module)?.validate(true).encode()
}

/// A service whose export is this: it gets a request, and what it returns the host does. `$again` waits once more, whatever
/// has come.
fn by_hand(begin: &str) -> Result<Vec<u8>> {
    let mut module = wat::parse_str(format!(
        r#"(module
            (import "$root" "[waitable-set-new]" (func $set (result i32)))
            (import "[export]{HANDLER}" "[task-return]handle"
                (func $return (param i32 i32 i32 i64 i32 i32 i32 i32)))
            (memory (export "memory") 1)
            (global $waits (mut i32) (i32.const 0))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
            (func $again (result i32)
                (if (i32.eqz (global.get $waits)) (then
                    (global.set $waits (i32.or (i32.const 2) (i32.shl (call $set) (i32.const 4))))))
                (global.get $waits))
            (func (export "[async-lift]{HANDLER}#handle") (param i32) (result i32) {begin})
            (func (export "[callback][async-lift]{HANDLER}#handle") (param i32 i32 i32) (result i32) (call $again)))"#
    ))?;
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(root().join("wit/wasi03"))?;
    let http = resolve.packages.iter().find(|(_, package)| package.name.to_string() == "wasi:http@0.3.0");
    let http = http.map_or(package, |(id, _)| id);
    let world = resolve.select_world(&[http], Some("service"))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)?;
    ComponentEncoder::default().module(&module)?.validate(true).encode()
}

pub(crate) fn start(host: Host, component: &[u8]) -> Result<Running> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("composed.wasm");
    std::fs::write(&file, component)?;
    host.start_component(&file, directory)
}

fn post(running: &Running) -> Result<Reply> {
    let post = b"POST / HTTP/1.1\r\nhost: example.test\r\nx-test-authority: example.test\r\nconnection: close\r\n\
                 content-length: 3\r\n\r\nabc";
    Ok(client::send(running.address, post, PATIENCE)?)
}

/// What a response passed, in order.
fn passed(reply: &Reply) -> Result<String> {
    let head = reply.head.as_ref().context("a head")?;
    let lines = head.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"x-passed"));
    let values: Vec<String> = lines.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect();
    Ok(values.join(", "))
}

fn both_orders(host: Host) -> Result<()> {
    let (ours, middleware, service) = (ours(15_000)?, other("middleware")?, other("service")?);
    for (parts, request, response) in [
        ([&ours, &middleware, &service], "ours, other: abc", "other, ours"),
        ([&middleware, &ours, &service], "other, ours: abc", "ours, other"),
    ] {
        let running = start(host, &compose(&parts)?)?;
        for _ in 0..2 {
            let reply = post(&running)?;
            ensure!(reply.body == request.as_bytes(), "the service got {:?}", String::from_utf8_lossy(&reply.body));
            let passed = passed(&reply)?;
            ensure!(passed == response, "the response passed {passed:?}");
        }
    }
    Ok(())
}

/// The calls with which Spin puts `dependencies.middleware` before a component, when it loads it: by this exact name.
fn as_spin_does(host: Host) -> Result<()> {
    let mut graph = CompositionGraph::new();
    let mut register = |name: &str, bytes: Vec<u8>| -> Result<_> {
        let package = Package::from_bytes(name, None, bytes, graph.types_mut())?;
        Ok(graph.register_package(package)?)
    };
    let components = [ours(15_000)?, other("middleware")?, other("service")?];
    let [first, second, last] = components.clone();
    let middlewares = [register("middleware0", first)?, register("middleware1", second)?];
    let primary = register("primary", last)?;
    let instance = graph.instantiate(primary);
    let mut handler = graph.alias_instance_export(instance, HANDLER)?;
    for middleware in middlewares.into_iter().rev() {
        let instance = graph.instantiate(middleware);
        graph.set_instantiation_argument(instance, HANDLER, handler)?;
        handler = graph.alias_instance_export(instance, HANDLER)?;
    }
    graph.export(handler, HANDLER)?;
    let composed = graph.encode(EncodeOptions::default())?;
    ensure!(parts(&composed) == components, "its parts are not told apart");
    let running = start(host, &composed)?;
    let reply = post(&running)?;
    ensure!(reply.body == b"ours, other: abc", "the service got {:?}", String::from_utf8_lossy(&reply.body));
    Ok(())
}

/// Nor does it let itself be cancelled. Those whose clients wait are answered in time, and those whose clients left are over.
fn never_answers(host: Host) -> Result<()> {
    let running = start(host, &compose(&[ours(300)?, by_hand("(call $again)")?])?)?;
    for _ in 0..3 {
        let mut stream = TcpStream::connect(running.address)?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: example.test\r\nx-test-authority: h\r\n\r\n")?;
    }
    let begun = Instant::now();
    for _ in 0..3 {
        // A body would have to be taken before the time counts.
        let get = b"GET / HTTP/1.1\r\nhost: example.test\r\nx-test-authority: h\r\nconnection: close\r\n\r\n";
        let status = status(&client::send(running.address, get, PATIENCE)?);
        ensure!(status == Some(504), "it was answered {status:?}");
    }
    ensure!(begun.elapsed() < PATIENCE, "it took {:?}", begun.elapsed());
    Ok(())
}

/// It answers with an error: 503. Where it traps, the instance is gone.
fn fails(host: Host) -> Result<()> {
    let error = "(call $return (i32.const 1) (i32.const 7) (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0)
                   (i32.const 0) (i32.const 0)) (i32.const 0)";
    let running = start(host, &compose(&[ours(15_000)?, by_hand(error)?])?)?;
    for _ in 0..2 {
        let status = status(&post(&running)?);
        ensure!(status == Some(503), "for an error it was answered {status:?}");
    }
    let running = start(host, &compose(&[ours(15_000)?, by_hand("unreachable")?])?)?;
    let after_a_trap = if host == Host::Serve03 { 503 } else { 500 };
    for _ in 0..2 {
        let status = status(&post(&running)?);
        ensure!(status == Some(after_a_trap), "for a trap it was answered {status:?}");
    }
    Ok(())
}
