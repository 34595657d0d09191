//! Odd requests, byte by byte, to Envoy and to `serve`: the same outcome, but for what `tests/wire/differences.toml` lists
//! with its reason. Nothing that Envoy refuses reaches the upstream of `serve`, listed or not.
//!
//! `tests/wire/http1.toml` has the requests, and `http1.txt` what Envoy does with each, which `BLESS=1` writes.

mod outcome;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Arguments;
use proxy_wasm_adapter_peers::lines::difference;
use proxy_wasm_adapter_tests::difference::Differences;
use proxy_wasm_adapter_tests::hosts::{Chain, Host, Running};
use proxy_wasm_adapter_tests::message::{Action, Step, bytes};
use proxy_wasm_adapter_tests::pool::Pool;
use proxy_wasm_adapter_tests::trial::trial;
use proxy_wasm_adapter_tests::upstream::{Behaviour, Upstream, Version};
use proxy_wasm_adapter_tests::{fixtures, settings};
use serde::Deserialize;

/// A filter that looks on.
const FILTER: &str = r#"(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 0)))"#;

/// What the upstream answers.
const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    case: Vec<Case>,
}

/// One odd request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    send: Sent,
    /// So many header fields more, and the end of the head.
    fields: Option<usize>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Sent {
    Text(String),
    Steps(Vec<Step>),
}

impl Case {
    fn bytes(&self) -> Result<Vec<u8>> {
        let mut sent = match &self.send {
            Sent::Text(text) => bytes(text),
            Sent::Steps(steps) => steps.iter().map(step).collect::<Result<Vec<_>>>()?.concat(),
        };
        if let Some(fields) = self.fields {
            sent.extend((0..fields).flat_map(|at| format!("x-{at}: 1\r\n").into_bytes()));
            sent.extend_from_slice(b"\r\n");
        }
        Ok(sent)
    }
}

fn step(step: &Step) -> Result<Vec<u8>> {
    match step {
        Step::Text(text) => Ok(bytes(text)),
        Step::Other(Action::Fill(byte, count)) => Ok(vec![*byte; *count]),
        Step::Other(other) => bail!("a request of this suite has no {other:?}"),
    }
}

/// A host, and where it sends what it takes.
struct Stage {
    host: Running,
    upstream: Upstream,
}

static STAGES: LazyLock<Pool<Host, Stage>> = LazyLock::new(Pool::default);

/// What Envoy does now, where it is to be written down.
static BLESSED: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

fn main() -> Result<()> {
    let arguments = Arguments::from_args();
    let cases: Cases = toml::from_str(&read("http1.toml")?).context("reads http1.toml")?;
    let names: BTreeSet<String> = cases.case.iter().map(|case| case.name.clone()).collect();
    ensure!(names.len() == cases.case.len(), "two cases have one name");
    let bless = std::env::var_os("BLESS").is_some();
    let golden = Arc::new(if bless { BTreeMap::new() } else { sections(&read("http1.txt")?) });
    let differences = Arc::new(Differences::read_file("wire/differences.toml", &names)?);
    let mut trials = Vec::new();
    if !bless {
        let (golden, known) = (golden.clone(), differences.clone());
        trials.push(trial("every listed difference shows in a case", move || check_list(&golden, &known)));
    }
    let hosts: &[Host] = if bless { &[Host::Envoy] } else { &[Host::Envoy, Host::Serve] };
    for case in &cases.case {
        for &host in hosts {
            STAGES.announce(&host);
            let (case, golden, differences) = (case.clone(), golden.clone(), differences.clone());
            let name = format!("http1/{}::{}", case.name, host.name());
            trials.push(trial(name, move || run(&case, host, bless, &golden, &differences)));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    STAGES.clear();
    let blessed = std::mem::take(&mut *BLESSED.lock().unwrap_or_else(PoisonError::into_inner));
    if bless && blessed.len() == cases.case.len() {
        let section = |case: &Case| format!("# {}\n{}\n", case.name, blessed[&case.name]);
        let text: String = cases.case.iter().map(section).collect();
        std::fs::write(path("http1.txt"), text.trim_end().to_string() + "\n").context("writes http1.txt")?;
    }
    conclusion.exit()
}

fn path(name: &str) -> PathBuf {
    fixtures::root().join("tests/wire").join(name)
}

fn read(name: &str) -> Result<String> {
    std::fs::read_to_string(path(name)).with_context(|| format!("reads tests/wire/{name}"))
}

/// What Envoy does, by case.
fn sections(text: &str) -> BTreeMap<String, String> {
    let sections = text.split("# ").filter_map(|section| section.split_once('\n'));
    sections.map(|(name, outcome)| (name.to_owned(), outcome.trim_end().to_owned() + "\n")).collect()
}

fn run(
    case: &Case,
    host: Host,
    bless: bool,
    golden: &BTreeMap<String, String>,
    differences: &Differences,
) -> Result<()> {
    let outcome = STAGES.with(&host, || start(host), |stage| outcome::of(stage, &case.bytes()?))?;
    if bless {
        BLESSED.lock().unwrap_or_else(PoisonError::into_inner).insert(case.name.clone(), outcome);
        return Ok(());
    }
    let envoy = golden.get(&case.name).context("http1.txt has no such case: write it with BLESS=1")?;
    let expected = differences.expected(&case.name, host, envoy)?;
    if let Some(difference) = difference(&expected, &outcome) {
        let lenient = outcome::reaches(&outcome) && !outcome::reaches(envoy);
        bail!("{}{difference}", if lenient { "it is more lenient than Envoy\n" } else { "" });
    }
    Ok(())
}

fn start(host: Host) -> Result<Stage> {
    let upstream = Upstream::start_named(&format!("wire {}", host.name()), Version::Http1)?;
    upstream.behave(Behaviour { steps: vec![Step::Text(ANSWER.into())], wait: None });
    let filters = vec![wat::parse_str(FILTER)?];
    let settings = settings::to_upstream(upstream.address);
    let chain = Chain { filters, settings, trailers: true, upstream_http2: false };
    Ok(Stage { host: host.start(&chain)?, upstream })
}

/// No entry is out of date, and none lets through what Envoy refuses.
fn check_list(golden: &BTreeMap<String, String>, differences: &Differences) -> Result<()> {
    let transcripts: Vec<(String, String)> = golden.clone().into_iter().collect();
    let mut wrong = String::new();
    for entry in differences.stale(&transcripts, &[Host::Serve])? {
        let _ = writeln!(wrong, "no case shows: {}\n{}", entry.reason, entry.envoy);
    }
    for (name, envoy) in &transcripts {
        let expected = differences.expected(name, Host::Serve, envoy)?;
        if outcome::reaches(&expected) && !outcome::reaches(envoy) {
            let _ = writeln!(wrong, "more lenient than Envoy: {name}");
        }
    }
    ensure!(wrong.is_empty(), "differences.toml:\n{wrong}");
    Ok(())
}
