//! `serve` under load: what an ordinary client sees beside a thousand that hold it up, and whether anything is lost or kept
//! where clients leave. Prints a table; asserts nothing but what is exact.
//!
//! ```sh
//! cargo build --release
//! cargo run --release -p proxy-wasm-adapter-tests --bin load -- --program target/release/proxy-wasm-adapter
//! ```
//!
//! Each figure is that of one client that sends one request after another on connections of its own, with the time from
//! connecting to the last byte.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, ValueEnum};
use proxy_wasm_adapter_tests::memory;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Loads `serve`.
#[derive(Parser)]
struct Arguments {
    /// The program to load.
    #[arg(long, default_value = "target/release/proxy-wasm-adapter")]
    program: PathBuf,
    /// What to load it with; all of them unless given.
    #[arg(value_enum)]
    kinds: Vec<Kind>,
    /// Seconds that each takes.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Clients that hold it up.
    #[arg(long, default_value_t = 1000)]
    clients: usize,
    /// Requests of `aborts`, of which a tenth is left.
    #[arg(long, default_value_t = 200_000)]
    requests: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Nobody else.
    Nothing,
    /// Uploads of a byte each second.
    Uploads,
    /// Connections that send nothing.
    Sockets,
    /// Requests whose filter answers each callout with another one.
    Callouts,
    /// Clients that leave while their request is held.
    Aborts,
}

/// Passes requests; makes callouts for `/loop` for ever; holds `/hold`. It counts what it sees.
const FILTER: &str = r#"(module
  (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_increment_metric" (func $increment (param i32 i64) (result i32)))
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_http_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 4)
  (data (i32.const 0) "startsseenended:patha")
  (data (i32.const 128) "\03\00\00\00"
    "\07\00\00\00\03\00\00\00" "\05\00\00\00\01\00\00\00" "\0a\00\00\00\01\00\00\00"
    ":method\00GET\00" ":path\00/\00" ":authority\00a\00")
  (global $next (mut i32) (i32.const 4096))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param $size i32) (result i32) (local $at i32)
    (if (i32.gt_u (i32.add (global.get $next) (local.get $size)) (i32.const 200000))
      (then (global.set $next (i32.const 4096))))
    (local.set $at (global.get $next))
    (global.set $next (i32.add (global.get $next) (i32.and (i32.add (local.get $size) (i32.const 15)) (i32.const -16))))
    (local.get $at))
  (func $ask (drop (call $call (i32.const 20) (i32.const 1) (i32.const 128) (i32.const 61) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 1000) (i32.const 80))))
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (drop (call $define (i32.const 0) (i32.const 0) (i32.const 6) (i32.const 64)))
    (drop (call $define (i32.const 0) (i32.const 6) (i32.const 4) (i32.const 68)))
    (drop (call $define (i32.const 0) (i32.const 10) (i32.const 5) (i32.const 72)))
    (drop (call $increment (i32.load (i32.const 64)) (i64.const 1)))
    (i32.const 1))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $increment (i32.load (i32.const 68)) (i64.const 1)))
    (drop (call $get (i32.const 0) (i32.const 15) (i32.const 5) (i32.const 84) (i32.const 88)))
    (if (i32.ne (i32.load (i32.const 88)) (i32.const 5)) (then (return (i32.const 0))))
    ;; `/loop` and `/hold`
    (if (i32.eq (i32.load8_u offset=1 (i32.load (i32.const 84))) (i32.const 108)) (then (call $ask)))
    (i32.const 1))
  (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32) (call $ask))
  (func (export "proxy_on_log") (param i32)
    (drop (call $increment (i32.load (i32.const 72)) (i64.const 1)))))"#;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let kinds = if arguments.kinds.is_empty() { Kind::value_variants() } else { &arguments.kinds };
    let (upstream, asked) = upstream().await?;
    println!("| beside | requests | not 200 | median ms | 99 % ms | longest ms | memory at most, MiB |");
    println!("|---|---|---|---|---|---|---|");
    for kind in kinds {
        let serve = Serve::start(&arguments.program, upstream)?;
        match kind {
            Kind::Aborts => aborts(&serve, arguments.requests).await?,
            kind => {
                let asked_before = asked.load(Relaxed);
                beside(&serve, *kind, &arguments).await?;
                if *kind == Kind::Callouts {
                    println!("callouts: {}", asked.load(Relaxed) - asked_before);
                }
            }
        }
    }
    Ok(())
}

/// Answers 200 as soon as a head is there, on as many connections as come. Counts them.
async fn upstream() -> Result<(SocketAddr, Arc<AtomicU64>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let asked = Arc::new(AtomicU64::new(0));
    let count = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let count = count.clone();
            tokio::spawn(async move {
                let mut buffer = vec![0; 16 * 1024];
                let mut head = Vec::new();
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    head.extend_from_slice(&buffer[..read]);
                    // Of an upload the head alone is answered: never, as its end is what the answer would be to.
                    while let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
                        let upload = head.starts_with(b"POST");
                        head.drain(..end + 4);
                        count.fetch_add(1, Relaxed);
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                        if !upload && stream.write_all(answer).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    Ok((address, asked))
}

/// `serve`, as a process.
struct Serve {
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
    _filter: tempfile::NamedTempFile,
}

impl Serve {
    fn start(program: &PathBuf, upstream: SocketAddr) -> Result<Self> {
        let filter = tempfile::Builder::new().suffix(".wasm").tempfile()?;
        std::fs::write(filter.path(), wat::parse_str(FILTER)?)?;
        let mut command = Command::new(program);
        command.arg("serve").arg(filter.path()).args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.arg("--upstream").arg(format!("http://{upstream}"));
        command.arg("--cluster").arg(format!("a=http://{upstream}"));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().context("starts the program")?;
        let mut lines = BufReader::new(child.stderr.take().context("has no stderr")?).lines().map_while(Result::ok);
        let mut address = |prefix: &str| -> Result<SocketAddr> {
            let line = lines.find_map(|line| line.strip_prefix(prefix).map(str::to_owned));
            Ok(line.context("it does not start")?.parse()?)
        };
        let (address, admin) = (address("listening on http://")?, address("admin on http://")?);
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, address, admin, _filter: filter })
    }

    async fn metric(&self, name: &str) -> Result<u64> {
        let text = ask(self.admin, "/stats/prometheus").await?;
        let prefix = format!("{name}{{}} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&prefix));
        Ok(value.with_context(|| format!("no metric `{name}`"))?.parse()?)
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request on a connection of its own.
async fn ask(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// An ordinary client beside those of a kind.
async fn beside(serve: &Serve, kind: Kind, arguments: &Arguments) -> Result<()> {
    let mut others = JoinSet::new();
    let address = serve.address;
    for _ in 0..if kind == Kind::Nothing { 0 } else { arguments.clients } {
        others.spawn(async move {
            // Who is thrown out comes again.
            loop {
                let _ = hold(address, kind).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
    }
    // Until they are there.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let end = Instant::now() + Duration::from_secs(arguments.seconds);
    let (mut times, mut failed, mut longest_memory) = (Vec::new(), 0_u64, 0);
    while Instant::now() < end {
        let begun = Instant::now();
        let answer = tokio::time::timeout(Duration::from_secs(30), ask(address, "/ok")).await;
        let answer = match answer {
            Ok(Ok(answer)) if answer.starts_with("HTTP/1.1 200") => None,
            Ok(Ok(answer)) => Some(answer.lines().next().unwrap_or("no answer").to_owned()),
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(String::from("no answer in 30 s")),
        };
        if let Some(answer) = answer {
            failed += 1;
            eprintln!("{kind:?}: {answer}");
        }
        times.push(begun.elapsed());
        longest_memory = memory::now(serve.child.id())?.max(longest_memory);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    times.sort_unstable();
    let at = |share: usize| times.get((times.len() * share / 100).min(times.len() - 1)).copied().unwrap_or_default();
    println!(
        "| {kind:?} | {} | {failed} | {:.1} | {:.1} | {:.1} | {} |",
        times.len(),
        at(50).as_secs_f64() * 1000.0,
        at(99).as_secs_f64() * 1000.0,
        at(100).as_secs_f64() * 1000.0,
        longest_memory >> 20
    );
    Ok(())
}

/// What one of those clients does, until it is thrown out.
async fn hold(address: SocketAddr, kind: Kind) -> Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    match kind {
        Kind::Uploads => {
            stream.write_all(b"POST /upload HTTP/1.1\r\nhost: h\r\ncontent-length: 100000\r\n\r\n").await?;
            loop {
                stream.write_all(b"x").await?;
                let answered = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut [0; 64])).await;
                if answered.is_ok() {
                    return Ok(());
                }
            }
        }
        Kind::Callouts => stream.write_all(b"GET /loop HTTP/1.1\r\nhost: h\r\n\r\n").await?,
        Kind::Sockets | Kind::Nothing | Kind::Aborts => {}
    }
    // Whatever comes, an answer or the end, the client is done.
    let _ = stream.read(&mut [0; 64]).await?;
    Ok(())
}

/// Requests of which each tenth is held, and left by its client. Everything is counted, and nothing kept.
async fn aborts(serve: &Serve, requests: u64) -> Result<()> {
    const CLIENTS: u64 = 16;
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    let (sent, address, halved) = (Arc::new(AtomicU64::new(0)), serve.address, Arc::new(AtomicBool::new(false)));
    let mut half = 0;
    for _ in 0..CLIENTS {
        let sent = sent.clone();
        clients.spawn(async move {
            let mut stream = TcpStream::connect(address).await?;
            loop {
                let number = sent.fetch_add(1, Relaxed);
                if number >= requests {
                    return anyhow::Ok(());
                }
                if number % 10 == 9 {
                    let mut left = TcpStream::connect(address).await?;
                    left.write_all(b"GET /hold HTTP/1.1\r\nhost: h\r\n\r\n").await?;
                    // Long enough for its head to be read: what never came to the filter is not counted by Envoy either.
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    continue;
                }
                stream.write_all(b"GET /ok HTTP/1.1\r\nhost: h\r\n\r\n").await?;
                let mut answer = Vec::new();
                while !answer.ends_with(b"ok") {
                    ensure!(stream.read_buf(&mut answer).await? > 0, "the connection ended");
                }
                ensure!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
            }
        });
    }
    loop {
        tokio::select! {
            next = clients.join_next() => match next {
                Some(result) => result??,
                None => break,
            },
            () = tokio::time::sleep(Duration::from_millis(200)) => {
                if sent.load(Relaxed) >= requests / 2 && !halved.swap(true, Relaxed) {
                    half = memory::now(serve.child.id())?;
                }
            }
        }
    }
    let waited = Instant::now();
    while serve.metric("ended").await? < requests {
        if waited.elapsed() > Duration::from_secs(30) {
            bail!("{} of {requests} were told to the filter to be over", serve.metric("ended").await?);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!(
        "aborts: {requests} requests in {:.0} s: seen {}, ended {}, starts {}; memory {} MiB at half, {} MiB at the end, {} MiB \
         at most",
        begun.elapsed().as_secs_f64(),
        serve.metric("seen").await?,
        serve.metric("ended").await?,
        serve.metric("starts").await?,
        half >> 20,
        memory::now(serve.child.id())? >> 20,
        memory::peak(serve.child.id())? >> 20
    );
    Ok(())
}
