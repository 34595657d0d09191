//! How many instructions of WebAssembly fixed exchanges take, held against `tests/budget.toml`: a shim that became slower is
//! seen at once, whatever the machine. They are counted, not timed, so they are the same in each run but for what depends on
//! clocks and randomness.
//!
//! `BLESS=1` writes what was counted. A commit that does says why more is worth it.

mod host;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::Request;
use libtest_mimic::Arguments;
use proxy_wasm_abi::settings::{Origin, Settings};
use proxy_wasm_adapter::bridge;
use proxy_wasm_adapter_preinit::{Options, preinitialise};
use proxy_wasm_adapter_tests::examples::Example;
use proxy_wasm_adapter_tests::fixtures;
use proxy_wasm_adapter_tests::hosts;
use proxy_wasm_adapter_tests::settings::routed;
use proxy_wasm_adapter_tests::trial::trial;
use proxy_wasm_adapter_tests::upstream::Upstream;

use self::host::Counted;

/// How much more than recorded is let pass, of a thousand; less is to be recorded, too.
const ALLOWANCE: u64 = 20;

/// Exchanges before the one that counts, where instances are reused.
const WARM_UP: usize = 3;

/// What was counted, by script.
type Counts = BTreeMap<String, u64>;

/// A fixed exchange.
#[derive(Clone)]
struct Script {
    name: &'static str,
    example: &'static str,
    configuration: &'static str,
    instance: Instance,
    /// Bytes that the upstream answers with; without, the response is a direct one.
    upstream: Option<usize>,
    /// Routes, where they are a table: the last one is for all requests.
    routes: Option<usize>,
    request: fn() -> http::request::Builder,
    /// Bytes.
    body: usize,
    status: u16,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Instance {
    /// It is made for the request, which counts with it.
    New,
    /// The same, of a component whose plugins were started before.
    Preinitialised,
    /// It had others before.
    Reused,
}

/// One header more, each way; everything else differs from it.
const HEADER: Script = Script {
    name: "one header",
    example: "rust-headers",
    configuration: "mark = seen\n",
    instance: Instance::Reused,
    upstream: None,
    routes: None,
    request: || get("/"),
    body: 0,
    status: 200,
};

fn scripts() -> Vec<Script> {
    use Instance::{New, Preinitialised};
    let go = Script { example: "go-log", configuration: "", ..HEADER };
    vec![
        HEADER,
        Script { name: "thirty headers", request: || (0..30).fold(get("/"), with_header), ..HEADER },
        Script {
            name: "a local response",
            configuration: "forbidden = /secret\n",
            request: || get("/secret"),
            status: 403,
            ..HEADER
        },
        Script { name: "to an upstream", upstream: Some(64), ..HEADER },
        Script { name: "1 MiB from an upstream", upstream: Some(1 << 20), ..HEADER },
        Script { name: "1 MiB to an upstream", upstream: Some(64), request: post, body: 1 << 20, ..HEADER },
        Script {
            name: "64 KiB rewritten each way (C++)",
            example: "cpp-body",
            configuration: "",
            upstream: Some(64 << 10),
            request: || post().header("content-type", "application/x-www-form-urlencoded"),
            body: 64 << 10,
            ..HEADER
        },
        Script { name: "one route of one", routes: Some(1), ..HEADER },
        Script { name: "the last of ten routes", routes: Some(10), ..HEADER },
        Script { name: "the last of a thousand routes", routes: Some(1000), ..HEADER },
        Script { name: "one record (Go)", ..go.clone() },
        Script { name: "new: one header", instance: New, ..HEADER },
        Script { name: "new: one record (Go)", instance: New, ..go.clone() },
        Script { name: "pre-initialised: one header", instance: Preinitialised, ..HEADER },
        Script { name: "pre-initialised: one record (Go)", instance: Preinitialised, ..go },
    ]
}

fn get(path: &str) -> http::request::Builder {
    Request::get(path).header("host", "example.com").header("user-agent", "budget/1").header("accept", "*/*")
}

fn post() -> http::request::Builder {
    Request::post("/").header("host", "example.com").header("user-agent", "budget/1")
}

fn with_header(request: http::request::Builder, number: usize) -> http::request::Builder {
    request.header(format!("x-header-{number}"), format!("the value of number {number}"))
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let bless = std::env::var_os("BLESS").is_some();
    let recorded: Arc<Counts> = Arc::new(toml::from_str(&std::fs::read_to_string(path())?)?);
    let counted: Arc<Mutex<Counts>> = Arc::default();
    let mut trials = Vec::new();
    for script in scripts() {
        let (recorded, counted) = (recorded.clone(), counted.clone());
        trials.push(trial(script.name, move || {
            let count = script.count()?;
            counted.lock().unwrap_or_else(PoisonError::into_inner).insert(script.name.to_string(), count);
            if bless { Ok(()) } else { compare(&recorded, script.name, count) }
        }));
    }
    let names: Vec<&str> = scripts().iter().map(|script| script.name).collect();
    let stale = recorded.keys().find(|name| !names.contains(&name.as_str()) && !bless).cloned();
    trials.push(trial("every recorded count is of a script", move || {
        ensure!(stale.is_none(), "`tests/budget.toml` has {stale:?}, which is none");
        Ok(())
    }));
    let conclusion = libtest_mimic::run(&arguments, trials);
    if bless {
        let counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
        let all = recorded.iter().chain(counted.iter()).filter(|(name, _)| names.contains(&name.as_str()));
        let all: Counts = all.map(|(name, count)| (name.clone(), *count)).collect();
        let words = "# Written by `BLESS=1 cargo test --test budget`: instructions of WebAssembly, by exchange.\n";
        std::fs::write(path(), format!("{words}{}", toml::to_string(&all)?))?;
    }
    Ok(conclusion.exit_code())
}

fn path() -> PathBuf {
    fixtures::root().join("tests/budget.toml")
}

fn compare(recorded: &Counts, name: &str, count: u64) -> Result<()> {
    let budget = recorded.get(name).context("nothing is recorded: run it with BLESS=1")?;
    let allowed = budget * ALLOWANCE / 1000;
    ensure!(
        count.abs_diff(*budget) <= allowed,
        "{count} instructions, where `tests/budget.toml` has {budget}: find out why, or record it with BLESS=1"
    );
    Ok(())
}

impl Script {
    /// Runs it.
    fn count(&self) -> Result<u64> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.run(&self.component()?))
    }

    async fn run(&self, component: &[u8]) -> Result<u64> {
        let counted = Counted::new(component)?;
        let upstream = Bytes::from(vec![b'a'; self.upstream.unwrap_or_default()]);
        let (mut instance, made) = counted.instance(&upstream).await?;
        let mut others = if self.instance == Instance::Reused { 0 } else { made.instructions };
        let mut warm_up = if self.instance == Instance::Reused { WARM_UP } else { 0 };
        loop {
            let (response, cost) = instance.answer(self.request()?).await?;
            ensure!(response.status() == self.status, "it answered {}", response.status());
            if warm_up == 0 {
                others += cost.instructions;
                return Ok(others);
            }
            warm_up -= 1;
        }
    }

    fn request(&self) -> Result<Request<Bytes>> {
        let mut request = (self.request)();
        if self.body > 0 {
            request = request.header("content-length", self.body);
        }
        Ok(request.body(Bytes::from(vec![b'a'; self.body]))?)
    }

    fn component(&self) -> Result<Vec<u8>> {
        let examples = Example::all()?;
        let example = examples.iter().find(|example| example.name == self.example).context("no such example")?;
        let mut chain = example.chain(&Upstream::start()?)?;
        self.set(&mut chain.settings)?;
        let component = hosts::adapt(&chain, bridge::Kind::MemoryCopy)?;
        if self.instance != Instance::Preinitialised {
            return Ok(component);
        }
        let options = Options { allow_random: true, ..Options::default() };
        Ok(preinitialise(&component, &options).map_err(anyhow::Error::new)?.component)
    }

    /// What differs from the example's own settings.
    fn set(&self, settings: &mut Settings) -> Result<()> {
        match self.upstream {
            Some(_) => settings.set_upstream(Origin { tls: false, authority: "upstream.test:80".into() }, 0),
            None => match self.routes {
                Some(count) => settings.routing = routed(count)?.routing,
                None => settings.set_direct_response(200, "direct"),
            },
        }
        // Counted are exchanges, not what reads their log.
        settings.plugins[0].log_level = 5;
        if !self.configuration.is_empty() {
            settings.plugins[0].configuration = self.configuration.into();
        }
        Ok(())
    }
}
