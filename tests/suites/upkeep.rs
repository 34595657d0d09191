//! What a plugin does between requests, and before the first one: a filter that fetches keys in its ticks and refuses
//! requests without them (`tests/fixtures/keys.wat`).

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Arguments;
use proxy_wasm_abi::settings::{Cluster, MetricsTo, Origin, Settings, Upkeep};
use proxy_wasm_adapter_peers::http1::blocking::Reader;
use proxy_wasm_adapter_tests::client;
use proxy_wasm_adapter_tests::hosts::{Chain, Host, Running};
use proxy_wasm_adapter_tests::settings;
use proxy_wasm_adapter_tests::trial::trial;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A tick that does not come within a test.
const NEVER: u32 = 3_600_000;

/// Counts requests.
const COUNTER: &str = r#"(module
  (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_increment_metric" (func $increment (param i32 i64) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "requests")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (i32.eqz (call $define (i32.const 0) (i32.const 0) (i32.const 8) (i32.const 64))))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $increment (i32.load (i32.const 64)) (i64.const 1))))"#;

fn main() -> Result<()> {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for host in [Host::Envoy, Host::Serve] {
        let name = format!("keys of a tick between requests are there on {}", host.name());
        trials.push(trial(name, move || between_requests(host)));
    }
    for host in [Host::Serve, Host::WasmtimeServe, Host::WasmtimeServeReuse] {
        let name = format!("keys of a startup tick are there for the first request on {}", host.name());
        trials.push(trial(name, move || at_start(host)));
        let name = format!("a startup tick whose keys never come holds no request for long on {}", host.name());
        trials.push(trial(name, move || keys_that_never_come(host)));
    }
    for host in Host::ALL {
        let name = format!("without a startup tick the first request has no keys on {}", host.name());
        trials.push(trial(name, move || without(host)));
    }
    for host in [Host::Serve, Host::WasmtimeServe, Host::WasmtimeServeReuse] {
        trials.push(trial(format!("metrics that changed are logged on {}", host.name()), move || log_metrics(host)));
    }
    libtest_mimic::run(&arguments, trials).exit()
}

fn between_requests(host: Host) -> Result<()> {
    let keys = Keys::start()?;
    let running = start(host, &keys, 100, 0)?;
    // Envoy's other virtual machines fetch theirs, too; the fourth fetch of any is after the first answer to each.
    for _ in 0..8 {
        keys.fetched.recv_timeout(PATIENCE).context("no tick fetches the keys")?;
    }
    ensure!(status(&running)? == "200");
    Ok(())
}

fn at_start(host: Host) -> Result<()> {
    let keys = Keys::start()?;
    let running = start(host, &keys, NEVER, 1)?;
    for request in 0..3 {
        ensure!(status(&running)? == "200", "request {request}");
    }
    Ok(())
}

/// The callout has its own time limit, and the filter answers by itself.
fn keys_that_never_come(host: Host) -> Result<()> {
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let (_, fetched) = mpsc::channel();
    let keys = Keys { address: silent.local_addr()?, fetched };
    let running = start(host, &keys, NEVER, 1)?;
    ensure!(status(&running)? == "503");
    Ok(())
}

fn without(host: Host) -> Result<()> {
    let keys = Keys::start()?;
    let running = start(host, &keys, NEVER, 0)?;
    ensure!(status(&running)? == "503");
    ensure!(keys.fetched.try_recv().is_err(), "a tick came that nobody asked for");
    Ok(())
}

fn log_metrics(host: Host) -> Result<()> {
    let settings = Settings { upkeep: Upkeep { metrics: MetricsTo::Log, ..Upkeep::default() }, ..settings::direct() };
    let running = host.start(&Chain::one(wat::parse_str(COUNTER)?, settings))?;
    for _ in 0..2 {
        ensure!(status(&running)? == "200");
    }
    // Each instance has its own; only one that is reused gets to 2.
    let counts: &[&str] = if host == Host::WasmtimeServe { &["1", "1"] } else { &["1", "2"] };
    let mut from = 0;
    for count in counts {
        let line = format!("test: metric counter requests {count}");
        let found = running.child.lines.next(&mut from, PATIENCE, &|found: &str| found.contains(&line).then_some(()));
        found.with_context(|| format!("`{line}` is not in the log:\n{}", running.child.lines))?;
    }
    Ok(())
}

fn start(host: Host, keys: &Keys, period: u32, startup_ticks: u32) -> Result<Running> {
    let filter = include_str!("../fixtures/keys.wat").replace("PERIOD", &period.to_string());
    let origin = Origin { tls: false, authority: keys.address.to_string() };
    let settings = Settings {
        clusters: vec![Cluster { name: "keys".into(), origin }].into(),
        upkeep: Upkeep { startup_ticks, ..Upkeep::default() },
        ..settings::direct()
    };
    host.start(&Chain::one(wat::parse_str(filter)?, settings))
}

fn status(running: &Running) -> Result<String> {
    let reply = client::send(running.address, b"GET / HTTP/1.1\r\nhost: example.test\r\n\r\n", PATIENCE)?;
    Ok(String::from_utf8_lossy(reply.head.context("no response")?.status()).into_owned())
}

/// A server of keys, which tells of each fetch.
struct Keys {
    address: SocketAddr,
    fetched: Receiver<()>,
}

impl Keys {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (fetch, fetched) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let fetch = fetch.clone();
                // Each connection is kept; one that fails shows in what the filter has.
                thread::spawn(move || -> io::Result<()> {
                    let mut reader = Reader::new(stream.try_clone()?);
                    while reader.head()?.is_some() {
                        (&stream).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nkeys")?;
                        // Nobody listens any more when the test is over.
                        let _ = fetch.send(());
                    }
                    Ok(())
                });
            }
        });
        Ok(Self { address, fetched })
    }
}
