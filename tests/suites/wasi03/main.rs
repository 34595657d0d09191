//! Components for WASI 0.3: the examples on the stock `wasmtime serve`, as services and as middleware, and what they are made
//! of.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::{Arguments, Trial};
use proxy_wasm_abi::settings::{Origin, Plugin, Settings};
use proxy_wasm_adapter_tests::client::{self, Reply};
use proxy_wasm_adapter_tests::component::{HANDLER, SERVICE_WORLD, exports, imports};
use proxy_wasm_adapter_tests::examples::Example;
use proxy_wasm_adapter_tests::hosts::{Chain, Host, wasi03};
use proxy_wasm_adapter_tests::trial::trial;
use proxy_wasm_adapter_tests::upstream::Upstream;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> Result<()> {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for example in Example::all()? {
        for host in Host::OF_03 {
            let example = example.clone();
            let name = format!("{} answers as it should on {}", example.name, host.name());
            trials.push(trial(name, move || example.run(host)));
        }
        trials.push(of(&example, "is a service: it imports no more than that world, and no handler", is_service));
        trials.push(of(&example, "is middleware: it imports the handler that it exports", is_middleware));
        trials.push(of(&example, "needs nothing more when it is composed", is_complete));
    }
    let headers = Example::all()?.into_iter().find(|example| example.name == "rust-headers");
    let headers = headers.context("there is no example `rust-headers`")?;
    for host in [Host::Serve03, Host::WasmtimeServe03] {
        let (headers, name) = (headers.clone(), host.name());
        trials.push(trial(format!("requests that are held at once get their own answers on {name}"), move || {
            holds_several(&headers, host)
        }));
        trials.push(trial(format!("a trap ends no more than the requests of its instance on {name}"), move || {
            traps_beside_others(host)
        }));
    }
    libtest_mimic::run(&arguments, trials).exit()
}

fn of(example: &Example, what: &str, run: fn(&Chain) -> Result<()>) -> Trial {
    let name = format!("{} {what}", example.name);
    let example = example.clone();
    trial(name, move || run(&example.chain(&Upstream::start()?)?))
}

fn is_service(chain: &Chain) -> Result<()> {
    has_worlds(&wasi03::service(chain)?, &[])
}

fn is_middleware(chain: &Chain) -> Result<()> {
    has_worlds(&wasi03::middleware(chain)?, &[HANDLER])
}

fn is_complete(chain: &Chain) -> Result<()> {
    let component = wasi03::behind_middleware(chain)?;
    has_worlds(&component, &[])
}

/// Exports one handler, and imports the service world's interfaces and these besides.
fn has_worlds(component: &[u8], besides: &[&str]) -> Result<()> {
    let (imports, exports) = (imports(component)?, exports(component)?);
    ensure!(exports == [HANDLER], "it exports {exports:?}");
    let others: Vec<&str> = imports.iter().map(String::as_str).filter(|name| !SERVICE_WORLD.contains(name)).collect();
    ensure!(others == besides, "it imports {others:?} besides what every service may");
    Ok(())
}

/// Requests that are held at once, and let go in the reverse order: each gets its own answer, and an instance has several.
fn holds_several(example: &Example, host: Host) -> Result<()> {
    const REQUESTS: usize = 200;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut chain = example.chain(&Upstream::start()?)?;
    let origin = Origin { tls: false, authority: listener.local_addr()?.to_string() };
    chain.settings.set_upstream(origin, 0);
    let running = host.start(&chain)?;
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
            let (stream, _) = listener.accept()?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut line = String::new();
            BufReader::new(stream.try_clone()?).read_line(&mut line)?;
            let path = line.split(' ').nth(1).context("a request line")?.to_owned();
            held.push((stream, path));
        }
        for (mut stream, path) in held.into_iter().rev() {
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{path}", path.len())?;
        }
        for (index, asking) in asking.into_iter().enumerate() {
            let reply = asking.join().expect("a client that does not panic")?;
            let body = String::from_utf8_lossy(&reply.body).into_owned();
            ensure!(body == format!("/held/{index}"), "request {index} got `{body}`: {:?}", reply.end);
        }
        let starts = running.child.lines.since(0).iter().filter(|line| line.contains("configured with mark")).count();
        ensure!(starts < REQUESTS, "{starts} instances had {REQUESTS} requests");
        Ok(())
    })
}

/// Traps where a request has a body.
const TRAPS_ON_BODIES: &str = r#"(module
    (memory (export "memory") 1)
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
    (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) unreachable))"#;

/// One traps while others wait for their upstream: each is answered, by the upstream or as after a trap, and so are further
/// ones.
fn traps_beside_others(host: Host) -> Result<()> {
    const OTHERS: usize = 15;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut settings = Settings { plugins: vec![Plugin::default()], ..Settings::default() };
    settings.set_upstream(Origin { tls: false, authority: listener.local_addr()?.to_string() }, 0);
    let running = host.start(&Chain::one(wat::parse_str(TRAPS_ON_BODIES)?, settings))?;
    let address = running.address;
    let get = || client::send(address, b"GET / HTTP/1.1\r\nhost: example.test\r\nconnection: close\r\n\r\n", PATIENCE);
    let post = b"POST / HTTP/1.1\r\nhost: example.test\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc";
    let after_a_trap = if host == Host::Serve03 { 503 } else { 500 };
    let answer = |stream: &mut TcpStream| {
        let head = BufReader::new(&*stream).lines();
        head.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
        // One whose request was given up is gone.
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
    };
    thread::scope(|scope| {
        let asking: Vec<_> = (0..OTHERS).map(|_| scope.spawn(get)).collect();
        let mut held = (0..OTHERS).map(|_| Ok(listener.accept()?.0)).collect::<Result<Vec<_>>>()?;
        let trapped = status(&client::send(address, post, PATIENCE)?);
        ensure!(trapped == Some(after_a_trap), "the one that traps got {trapped:?}");
        held.iter_mut().for_each(answer);
        for asking in asking {
            let status = status(&asking.join().expect("a client that does not panic")?);
            ensure!(status == Some(200) || status == Some(after_a_trap), "one beside it got {status:?}");
        }
        let further = scope.spawn(get);
        answer(&mut listener.accept()?.0);
        let further = status(&further.join().expect("a client that does not panic")?);
        ensure!(further == Some(200), "a further one got {further:?}");
        Ok(())
    })
}

/// The status of a reply, if it has one.
fn status(reply: &Reply) -> Option<u16> {
    std::str::from_utf8(reply.head.as_ref()?.status()).ok()?.parse().ok()
}
