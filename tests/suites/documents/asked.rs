//! What a filter gets that asks for every WASI function and every documented property.
//!
//! The filter is made here. When a request is over it makes the calls one after another, each with zeros for all
//! arguments but a file descriptor, and logs the numbers that came back, each as a character.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use proxy_wasm_abi::host_calls::{Family, HOST_CALLS, HostCall, Type};
use proxy_wasm_adapter_tests::hosts::{Chain, Host};
use proxy_wasm_adapter_tests::message::Step;
use proxy_wasm_adapter_tests::trial::trial;
use proxy_wasm_adapter_tests::upstream::{Behaviour, Upstream};
use proxy_wasm_adapter_tests::{client, settings};

use crate::support;

/// Added to a number to make it a character that no log escapes.
const FIRST: u8 = b'0';

/// In front of the answers, in the log.
const MARK: &str = "answers ";

const REQUEST: &[u8] = b"GET /path?query=1 HTTP/1.1\r\nhost: example.test\r\nreferer: http://example.test/\r\n\
    user-agent: test\r\nconnection: close\r\n\r\n";

/// Functions that Envoy offers under another signature than WASI's, so that no filter can have them there.
const UNLINKABLE_ON_ENVOY: &[&str] = &["path_link", "path_symlink"];

/// A WASI call that the filter makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WasiCall {
    /// Its name.
    pub(crate) name: &'static str,
    /// The file descriptor that it is given, where it takes one.
    pub(crate) descriptor: Option<u32>,
}

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for host in [Host::Serve, Host::WasmtimeServe] {
        trials.push(trial(format!("wasi::{}", host.name()), move || ensure_same(&wasi(Host::Envoy)?, &wasi(host)?)));
    }
    trials.push(trial("properties", properties));
    trials
}

fn ensure_same(envoy: &[(WasiCall, u8)], ours: &[(WasiCall, u8)]) -> Result<()> {
    let linkable = ours.iter().filter(|(call, _)| !UNLINKABLE_ON_ENVOY.contains(&call.name));
    let differences: Vec<String> = envoy
        .iter()
        .zip(linkable)
        .filter(|(envoy, ours)| envoy != ours)
        .map(|(envoy, ours)| format!("Envoy: {envoy:?}\nours:  {ours:?}"))
        .collect();
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    Ok(())
}

/// Each WASI call, with what it returns on this host.
pub(crate) fn wasi(host: Host) -> Result<Vec<(WasiCall, u8)>> {
    let mut calls = wasi_calls();
    if host == Host::Envoy {
        calls.retain(|call| !UNLINKABLE_ON_ENVOY.contains(&call.name));
    }
    let answers = ask(host, &calls, &[])?;
    Ok(calls.into_iter().zip(answers).collect())
}

/// Each path of the document has the status that the document says.
fn properties() -> Result<()> {
    let paths: Vec<&str> = support::ANSWERED.iter().flat_map(|(_, paths, _)| paths.iter()).copied().collect();
    let answers = ask(Host::Serve, &[], &[&paths, support::NOT_FOUND].concat())?;
    for (path, answer) in paths.iter().zip(&answers) {
        ensure!(*answer == 0, "`{path}` is documented as answered, and gives {answer}");
    }
    for (path, answer) in support::NOT_FOUND.iter().zip(&answers[paths.len()..]) {
        ensure!(*answer == 1, "`{path}` is documented as not found, and gives {answer}");
    }
    Ok(())
}

fn wasi_calls() -> Vec<WasiCall> {
    let mut calls = Vec::new();
    for call in HOST_CALLS.iter().filter(|call| call.family == Family::Wasi && call.result) {
        let descriptors: &[Option<u32>] = match call.name.split('_').next() {
            Some("fd") => &[Some(1), Some(3)],
            Some("path" | "sock") => &[Some(3)],
            _ => &[None],
        };
        calls.extend(descriptors.iter().map(|descriptor| WasiCall { name: call.name, descriptor: *descriptor }));
    }
    calls
}

/// What the filter got on this host, in order.
fn ask(host: Host, calls: &[WasiCall], paths: &[&str]) -> Result<Vec<u8>> {
    // With a direct response there is nothing to tell of an upstream.
    let upstream = Upstream::start()?;
    let answer = Step::Text("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok".into());
    upstream.behave(Behaviour { steps: vec![answer], wait: None });
    let settings = settings::to_upstream(upstream.address);
    let filter = wat::parse_str(module(calls, paths)?)?;
    let running = host.start(&Chain::one(filter, settings))?;
    client::send(running.address, REQUEST, Duration::from_secs(10))?;
    let answers = running.child.lines.next(&mut 0, Duration::from_secs(10), &|line| {
        Some(line.split_once(MARK)?.1.bytes().map(|byte| byte.wrapping_sub(FIRST)).collect::<Vec<u8>>())
    });
    let answers = answers.with_context(|| format!("the filter logged nothing:\n{}", running.child.lines))?;
    ensure!(answers.len() == calls.len() + paths.len(), "{} answers", answers.len());
    Ok(answers)
}

/// The filter in WebAssembly's text format. Addresses from 0 are scratch, from 1024 the log record, from 8192 the paths.
fn module(calls: &[WasiCall], paths: &[&str]) -> Result<String> {
    const RECORD: usize = 1024;
    const PATHS: usize = 8192;
    let mut imports = String::new();
    let mut data = format!("(data (i32.const {RECORD}) \"{MARK}\")\n");
    let mut body = String::new();
    let mut at = RECORD + MARK.len();
    let mut store = |call: String| {
        let stored = format!("(i32.store8 (i32.const {at}) (i32.add (i32.const {FIRST}) {call}))\n");
        at += 1;
        stored
    };
    let asked = |call: &&HostCall| calls.iter().any(|asked| asked.name == call.name);
    for call in HOST_CALLS.iter().filter(asked) {
        let params: String = call.params().map(type_name).collect();
        writeln!(
            imports,
            "(import \"wasi_snapshot_preview1\" \"{0}\" (func ${0} (param{params}) (result i32)))",
            call.name
        )?;
    }
    for call in calls {
        let signature = HostCall::find("wasi_snapshot_preview1", call.name).context("a WASI function")?;
        let mut arguments = String::new();
        for (i, param) in signature.params().enumerate() {
            // The descriptor comes first.
            let value = if i == 0 { call.descriptor.unwrap_or(0) } else { 0 };
            write!(arguments, " ({}.const {value})", type_name(param).trim())?;
        }
        body += &store(format!("(call ${}{arguments})", call.name));
    }
    let mut path_at = PATHS;
    for path in paths {
        let path = path.replace('.', "\\00");
        let len = path.replace("\\00", ".").len();
        writeln!(data, "(data (i32.const {path_at}) \"{path}\")")?;
        let place = format!("(i32.const {path_at}) (i32.const {len})");
        body += &store(format!("(call $get_property {place} (i32.const 0) (i32.const 4))"));
        path_at += len;
    }
    let len = at - RECORD;
    Ok(format!(
        r#"(module
{imports}
(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
(import "env" "proxy_get_property" (func $get_property (param i32 i32 i32 i32) (result i32)))
(memory (export "memory") 2)
{data}
(func (export "proxy_abi_version_0_2_1"))
;; What is allocated is not looked at.
(func (export "malloc") (param i32) (result i32) (i32.const 65536))
(func (export "proxy_on_context_create") (param i32 i32))
(func (export "proxy_on_log") (param i32)
{body}
(drop (call $log (i32.const 2) (i32.const {RECORD}) (i32.const {len})))))"#
    ))
}

fn type_name(of: Type) -> &'static str {
    match of {
        Type::I32 => " i32",
        Type::I64 => " i64",
    }
}
