//! Components for WASI 0.3: the examples on the stock `wasmtime serve`, as services and as middleware, and what they are made
//! of.

mod beside;
mod bodies;
mod held;
mod leaving;
mod next;
mod others;
mod traps;

use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Result, ensure};
use libtest_mimic::{Arguments, Trial};
use proxy_wasm_abi::settings::{Origin, Plugin, Settings};
use proxy_wasm_adapter::composition::OF_PLUGINS;
use proxy_wasm_adapter_tests::client::Reply;
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
    for host in Host::OF_03 {
        trials.extend(beside::trials(host));
        trials.extend(bodies::trials(host));
    }
    for host in [Host::Serve03, Host::WasmtimeServe03] {
        trials.extend(others::trials(host));
        trials.extend(next::trials(host));
        trials.push(held::trial_of(host));
    }
    trials.extend(leaving::trials());
    trials.extend(traps::trials());
    libtest_mimic::run(&arguments, trials).exit()
}

fn of(example: &Example, what: &str, run: fn(&Chain) -> Result<()>) -> Trial {
    let name = format!("{} {what}", example.name);
    let example = example.clone();
    trial(name, move || run(&example.chain(&Upstream::start()?)?))
}

fn is_service(chain: &Chain) -> Result<()> {
    has_worlds(&wasi03::service(chain)?, &OF_PLUGINS, &[])
}

fn is_middleware(chain: &Chain) -> Result<()> {
    has_worlds(&wasi03::middleware(chain)?, &OF_PLUGINS, &[HANDLER])
}

/// Two of its parts have plugins, so neither shows them.
fn is_complete(chain: &Chain) -> Result<()> {
    let component = wasi03::behind_middleware(chain)?;
    has_worlds(&component, &[], &[])
}

/// Exports one handler, and what a host asks plugins by; imports the service world's interfaces and these besides.
fn has_worlds(component: &[u8], of_plugins: &[&str], besides: &[&str]) -> Result<()> {
    let (imports, mut exports) = (imports(component)?, exports(component)?);
    exports.sort();
    let expected: Vec<&str> = of_plugins.iter().copied().chain([HANDLER]).collect();
    ensure!(exports == expected, "it exports {exports:?}");
    let others: Vec<&str> = imports.iter().map(String::as_str).filter(|name| !SERVICE_WORLD.contains(name)).collect();
    ensure!(others == besides, "it imports {others:?} besides what every service may");
    Ok(())
}

/// A filter that sends requests to whoever accepts here.
fn in_front_of(listener: &TcpListener, filter: &str) -> Result<Chain> {
    let mut settings = Settings { plugins: vec![Plugin::default()], ..Settings::default() };
    settings.set_upstream(Origin { tls: false, authority: listener.local_addr()?.to_string() }, 0);
    Ok(Chain::one(wat::parse_str(filter)?, settings))
}

/// The status of a reply, if it has one.
fn status(reply: &Reply) -> Option<u16> {
    std::str::from_utf8(reply.head.as_ref()?.status()).ok()?.parse().ok()
}
