//! Odd answers of an upstream, byte by byte: what `serve` makes of each is what Envoy makes of it, or stricter for a
//! reason that stands beside the case.

mod cases;

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::{Arguments, Trial};
use proxy_wasm_adapter_peers::http1::blocking::Reader;
use proxy_wasm_adapter_tests::client::{self, Received, Reply, Told};
use proxy_wasm_adapter_tests::hosts::{Chain, Host, Running};
use proxy_wasm_adapter_tests::pool::Pool;
use proxy_wasm_adapter_tests::settings;
use proxy_wasm_adapter_tests::trial::trial;

use crate::cases::{Case, Here, cases};

const PATIENCE: Duration = Duration::from_secs(20);

/// A filter that looks at nothing.
const FILTER: &str = r#"(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 1024)))"#;

static STAGES: LazyLock<Pool<Host, Stage>> = LazyLock::new(Pool::default);

/// A host, and the upstream behind it.
struct Stage {
    host: Running,
    _upstream: Upstream,
}

fn main() -> Result<()> {
    let arguments = Arguments::from_args();
    let cases = Arc::new(cases());
    let trials = (0..cases.len()).map(|number| {
        for host in [Host::Envoy, Host::Serve] {
            STAGES.announce(&host);
        }
        let cases = cases.clone();
        trial(cases[number].name, move || run(&cases, number))
    });
    let mut trials: Vec<Trial> = trials.collect();
    STAGES.announce(&Host::Serve);
    trials.push(trial("the log names the upstream and what is wrong with its answer", {
        let cases = cases.clone();
        move || log(&cases)
    }));
    let conclusion = libtest_mimic::run(&arguments, trials);
    STAGES.clear();
    conclusion.exit()
}

fn run(cases: &Arc<Vec<Case>>, number: usize) -> Result<()> {
    let case = &cases[number];
    // Announced, so both are to be used.
    let (envoy, here) = (ask(cases, Host::Envoy, number), ask(cases, Host::Serve, number));
    let (envoy, here) = (envoy.context("on Envoy")?, here.context("on serve")?);
    let again = ask_again(cases, number).context("on serve, again")?;
    ensure!(again == here, "the first time it is `{here}`, on a connection that was used before `{again}`");
    match case.here {
        Here::AsEnvoy => ensure!(here == envoy, "on Envoy it is `{envoy}`, on serve `{here}`"),
        Here::Stricter(reason) => {
            ensure!(here != envoy, "it no longer differs: `{envoy}`; take the reason out: {reason}");
            let refused = here.starts_with("502 ") || here.ends_with("cut off");
            ensure!(refused && envoy.starts_with(['1', '2']), "not stricter: `{here}` for `{envoy}`");
        }
    }
    Ok(())
}

/// What the client gets.
fn ask(cases: &Arc<Vec<Case>>, host: Host, number: usize) -> Result<String> {
    let start = || stage(cases, host);
    STAGES.with(&host, start, |stage| send(stage.host.address, &cases[number], &number.to_string()))
}

/// The same over a connection that served a request before.
fn ask_again(cases: &Arc<Vec<Case>>, number: usize) -> Result<String> {
    STAGES.announce(&Host::Serve);
    let start = || stage(cases, Host::Serve);
    STAGES.with(&Host::Serve, start, |stage| {
        send(stage.host.address, &cases[0], "0")?;
        send(stage.host.address, &cases[number], &number.to_string())
    })
}

fn stage(cases: &Arc<Vec<Case>>, host: Host) -> Result<Stage> {
    let upstream = Upstream::start(cases.clone())?;
    let mut chain = Chain::one(wat::parse_str(FILTER)?, settings::to_upstream(upstream.address));
    chain.trailers = true;
    Ok(Stage { host: host.start(&chain)?, _upstream: upstream })
}

fn send(address: SocketAddr, case: &Case, path: &str) -> Result<String> {
    let method = if case.to_head { "HEAD" } else { "GET" };
    let request = format!("{method} /{path} HTTP/1.1\r\nhost: example.test\r\n\r\n");
    let write = |stream: &mut TcpStream, _: &_| stream.write_all(request.as_bytes());
    let told = Told { to_head: case.to_head, looks_on: false };
    let reply = client::exchange(address, PATIENCE, told, &Received::default(), write, || {})?;
    Ok(shown(&reply))
}

/// The status with its name, the body and how it ended. How much of a body comes before it is cut off is nobody's promise.
fn shown(reply: &Reply) -> String {
    let Some(head) = &reply.head else { return reply.end.unwrap_or("nothing").to_owned() };
    // Long ones are told by their length.
    let body = match reply.body.len() {
        _ if reply.end.is_some() => String::new(),
        0..=200 => String::from_utf8_lossy(&reply.body).into_owned(),
        length => format!("{length} bytes"),
    };
    let field = head.headers.iter().find(|(name, _)| name == b"x-a");
    let field = field.map_or(0, |(_, value)| value.len());
    let line = String::from_utf8_lossy(&head.start).into_owned();
    let status = line.split_once(' ').map_or("", |(_, status)| status);
    format!("{status} {field} {body:?} {}", reply.end.unwrap_or("ended"))
}

/// What an operator reads of a refused answer.
fn log(cases: &Arc<Vec<Case>>) -> Result<()> {
    let number = cases.iter().position(|case| case.name == "both lengths").context("there is such a case")?;
    STAGES.with(
        &Host::Serve,
        || stage(cases, Host::Serve),
        |stage| {
            let lines = &stage.host.child.lines;
            let from = lines.count();
            send(stage.host.address, &cases[number], &number.to_string())?;
            let upstream = stage._upstream.address;
            for part in [
                format!("upstream http://{upstream}: its answer is refused: it has both a `content-length` and a"),
                format!(": upstream http://{upstream}: protocol error: what it answers is no valid HTTP"),
            ] {
                ensure!(lines.wait(from, PATIENCE, |line| line.contains(&part)), "no `{part}` in:\n{lines}");
            }
            match lines.since(from).iter().any(|line| line.contains("the filter made")) {
                true => bail!("the filter is blamed:\n{lines}"),
                false => Ok(()),
            }
        },
    )
}

/// Answers each request as the case says whose number is its path.
struct Upstream {
    address: SocketAddr,
}

impl Upstream {
    fn start(cases: Arc<Vec<Case>>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let cases = cases.clone();
                // A connection that fails is the other side's affair.
                std::thread::spawn(move || stream.and_then(|stream| serve(&cases, stream)));
            }
        });
        Ok(Self { address })
    }
}

fn serve(cases: &[Case], mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = Reader::new(stream.try_clone()?);
    while let Some(head) = reader.head()? {
        let target = head.start.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        let number = std::str::from_utf8(target).ok().and_then(|target| target.trim_start_matches('/').parse().ok());
        let Some(case) = number.and_then(|number: usize| cases.get(number)) else { return Ok(()) };
        stream.write_all(&case.answer)?;
        if case.closes {
            return stream.shutdown(std::net::Shutdown::Both);
        }
    }
    Ok(())
}
