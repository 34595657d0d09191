//! What the adaptation costs, in bytes and in time. Prints a table; asserts nothing.
//!
//! ```sh
//! tests/fixtures/bare/build.sh
//! cargo run --release -p proxy-wasm-adapter-tests --bin bench
//! ```
//!
//! Requests are compared pair by pair, one after the other on the same machine, all on the stock `wasmtime serve` and all
//! answered by an empty 200: by an adapted filter, by a component that does nothing, and by the same filter on the least
//! that a shim can be. Figures hold for the machine and the hour; the ratios are what counts.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use proxy_wasm_adapter::shim::{Flavour, Shim};
use proxy_wasm_adapter::{Options, adapt};
use proxy_wasm_adapter_peers::http1::blocking::Reader;
use proxy_wasm_adapter_tests::examples::Example;
use proxy_wasm_adapter_tests::hosts::{Host, Running};
use proxy_wasm_adapter_tests::{fixtures, settings};
use wit_component::ComponentEncoder;

/// How long a host is asked before that counts.
const WARM_UP: Duration = Duration::from_millis(500);

/// Measures what the adaptation costs.
#[derive(Parser)]
struct Arguments {
    /// The example that is measured.
    #[arg(long, default_value = "rust-headers")]
    example: String,
    /// Rounds of each measurement; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds that each round of requests takes.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Connections, each with one request at a time.
    #[arg(long, default_value_t = 16)]
    connections: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if cfg!(debug_assertions) {
        eprintln!("warning: not a release build");
    }
    let filter = filter(&arguments.example)?;
    size(&filter)?;
    adapting(&arguments)?;
    println!(
        "\nrequests/s: the example `{}` with a direct response, over a component that does nothing and over the least shim",
        arguments.example
    );
    println!("| instances | nothing | least shim | adapted | least over nothing | adapted over nothing | over least |");
    println!("|---|---|---|---|---|---|---|");
    for (name, host) in [("one per request", Host::WasmtimeServe), ("reused", Host::WasmtimeServeReuse)] {
        requests(&arguments, name, host, &filter)?;
    }
    Ok(())
}

fn filter(name: &str) -> Result<Vec<u8>> {
    let examples = Example::all()?;
    examples.iter().find(|example| example.name == name).with_context(|| format!("no example `{name}`"))?.filter()
}

fn size(filter: &[u8]) -> Result<()> {
    let component = adapt(&[filter], &Options::new(settings::direct()))?.component;
    println!("size: the shim has {} bytes", Shim::default().bytes().len());
    println!("size: a component has {} bytes more than its filter", component.len() - filter.len());
    Ok(())
}

fn adapting(arguments: &Arguments) -> Result<()> {
    let filter = large_filter()?;
    let options = Options::new(settings::direct());
    let mut times = Vec::new();
    for _ in 0..arguments.rounds.max(1) * 4 {
        let began = Instant::now();
        adapt(&[&filter], &options)?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    println!("adapt: {:.1} ms for a filter of {} bytes", median(&mut times), filter.len());
    Ok(())
}

/// About 1 MiB, most of it code.
fn large_filter() -> Result<Vec<u8>> {
    let mut functions = String::new();
    for number in 0..20_000 {
        writeln!(
            functions,
            "(func $f{number} (param i32 i32) (result i32)
               (i32.store (local.get 0) (i32.add (i32.mul (local.get 1) (i32.const {number})) (i32.const 123456789)))
               (if (result i32) (i32.lt_u (local.get 0) (i32.const {number}))
                 (then (i32.load offset=8 (local.get 1))) (else (i32.xor (local.get 0) (i32.const 987654321)))))"
        )?;
    }
    Ok(wat::parse_str(format!(
        r#"(module
             (import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))
             (memory (export "memory") 1)
             (func (export "proxy_abi_version_0_2_1"))
             (func (export "malloc") (param i32) (result i32) (i32.const 1024))
             (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0))
             {functions})"#
    ))?)
}

fn requests(arguments: &Arguments, name: &str, host: Host, filter: &[u8]) -> Result<()> {
    let mut settings = settings::direct();
    settings.set_direct_response(200, "");
    // Its log would measure who reads it.
    settings.plugins[0].log_level = 3;
    settings.plugins[0].configuration = b"mark = seen\n".to_vec();
    let nothing = ComponentEncoder::default().module(&bare("do-nothing")?)?.encode()?;
    let mut options = Options::new(settings);
    let ours = adapt(&[filter], &options)?.component;
    options.shim = Shim::from_bytes(Flavour::Plain, bare("least")?);
    let least = adapt(&[filter], &options).context("only two examples run on the least shim")?.component;
    let components = [nothing, least, ours];
    let mut rates: [Vec<f64>; 3] = Default::default();
    let mut ratios: [Vec<f64>; 3] = Default::default();
    for _ in 0..arguments.rounds.max(1) {
        // Anew in each round: how many instances a host happens to have can cost it a third of its speed, for as long as it
        // lives.
        let running: Vec<Running> = components.iter().map(|component| start(host, component)).collect::<Result<_>>()?;
        for host in &running {
            load(arguments, host.address, WARM_UP)?;
        }
        let time = Duration::from_secs(arguments.seconds);
        let loads: Vec<f64> = running.iter().map(|host| load(arguments, host.address, time)).collect::<Result<_>>()?;
        for (rates, rate) in rates.iter_mut().zip(&loads) {
            rates.push(*rate);
        }
        for (ratios, [rate, floor]) in ratios.iter_mut().zip([[1, 0], [2, 0], [2, 1]]) {
            ratios.push(loads[rate] / loads[floor]);
        }
    }
    let [nothing, least, ours] = rates.map(|mut rates| median(&mut rates));
    let [least_over, over_nothing, over_least] = ratios.map(|mut ratios| median(&mut ratios));
    println!(
        "| {name} | {nothing:.0} | {least:.0} | {ours:.0} | {least_over:.2} | {over_nothing:.2} | {over_least:.2} |"
    );
    Ok(())
}

/// A module that `tests/fixtures/bare/build.sh` builds.
fn bare(name: &str) -> Result<Vec<u8>> {
    let path = fixtures::root().join(format!("target/bare/{name}.wasm"));
    std::fs::read(&path).with_context(|| format!("no {}: run tests/fixtures/bare/build.sh", path.display()))
}

fn start(host: Host, component: &[u8]) -> Result<Running> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("component.wasm");
    std::fs::write(&file, component)?;
    host.start_component(&file, directory)
}

/// Requests per second.
fn load(arguments: &Arguments, address: SocketAddr, time: Duration) -> Result<f64> {
    let over = AtomicBool::new(false);
    let count = AtomicU64::new(0);
    let began = Instant::now();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..arguments.connections).map(|_| scope.spawn(|| ask(address, &over, &count))).collect();
        thread::sleep(time);
        over.store(true, Ordering::Relaxed);
        clients.into_iter().try_for_each(|client| client.join().expect("a client does not panic"))
    })?;
    Ok(count.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
}

/// One request after the other until it is over.
fn ask(address: SocketAddr, over: &AtomicBool, count: &AtomicU64) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut reader = Reader::new(stream.try_clone()?);
    while !over.load(Ordering::Relaxed) {
        stream.write_all(b"GET /hello HTTP/1.1\r\nhost: example.test\r\nuser-agent: bench\r\naccept: */*\r\n\r\n")?;
        let head = reader.head()?.context("no response")?;
        let body = reader.response_body(&head, false);
        ensure!(head.status() == b"200" && !body.cut, "{head:?}");
        count.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
