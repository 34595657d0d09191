//! Each case of `tests/conformance`, on Envoy and on hosts of components: the same transcript, but for what
//! `known-differences.toml` names.
//!
//! Of two hosts that share their parts with others a sample of the cases runs: the library for embedders, and `serve` by
//! `wasi:http`; all of them with `EMBED=1` and `WASI_HTTP=1`.
//!
//! `BLESS=1` writes what Envoy does into the case's `.txt`; with `PREINIT=1` the plugins of each component are started before
//! its host is, wherever that can be.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use proxy_wasm_adapter_tests::conformance::{Case, Stages, golden};
use proxy_wasm_adapter_tests::difference::Differences;
use proxy_wasm_adapter_tests::fixtures;
use proxy_wasm_adapter_tests::hosts::{Host, preinit};
use proxy_wasm_adapter_tests::trial::{arguments_of_waiting_trials, trial};

const HOSTS_OF_COMPONENTS: [Host; 6] =
    [Host::Serve, Host::ServeByWasiHttp, Host::WasmtimeServe, Host::Serve03, Host::WasmtimeServe03, Host::Embed];

/// The families of cases that run on these hosts, where not all are asked for by a variable of this name: they share their
/// parts with the others.
const SAMPLED: [(Host, &str); 2] = [(Host::Embed, "EMBED"), (Host::ServeByWasiHttp, "WASI_HTTP")];
const SAMPLE: [&str; 3] = ["proxy_on_request_headers", "proxy_on_response_body", "proxy_on_tick"];

fn main() -> Result<()> {
    let arguments = arguments_of_waiting_trials();
    if !arguments.list {
        // Not even a run of our side alone passes without Envoy.
        fixtures::tool("envoy", "ENVOY")?;
    }
    if std::env::var_os("PREINIT").is_some() {
        preinit::begin();
    }
    let cases = Case::all()?;
    let names: BTreeSet<String> = cases.iter().map(|(name, ..)| name.clone()).collect();
    let stages = Arc::new(Stages::new(&names)?);
    let mut trials = vec![trial("fails where Envoy is missing", fails_without_envoy)];
    let (all, known) = (names.clone(), stages.clone());
    trials.push(trial("every known difference shows in a case", move || {
        shows_every_difference(&all, known.differences())
    }));
    for (name, path, case) in cases {
        let is_sample = SAMPLE.contains(&name.split('/').next().unwrap_or_default());
        let hosts = HOSTS_OF_COMPONENTS.into_iter().filter(|host| is_sample || runs_all(*host));
        for host in [Host::Envoy].into_iter().chain(hosts) {
            if matches!(host, Host::WasmtimeServe | Host::WasmtimeServe03) && case.needs_http2() {
                // The stock one only speaks HTTP/1.1; the example `ext-authz` shows gRPC-Web.
                continue;
            }
            if case.refused_by.iter().any(|refusing| refusing == host.name()) {
                continue;
            }
            stages.announce(&name, &case, host);
            let (name, path, case, stages) = (name.clone(), path.clone(), case.clone(), stages.clone());
            trials.push(trial(format!("{name}::{}", host.name()), move || run(&name, &path, &case, host, &stages)));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    stages.clear();
    for (outcome, count) in preinit::counts() {
        eprintln!("{count} components: {outcome}");
    }
    conclusion.exit()
}

/// Whether all cases run on this host.
fn runs_all(host: Host) -> bool {
    SAMPLED.iter().all(|(sampled, variable)| *sampled != host || std::env::var_os(variable).is_some())
}

fn run(name: &str, path: &Path, case: &Case, host: Host, stages: &Stages) -> Result<()> {
    if host == Host::Envoy && std::env::var_os("BLESS").is_some() {
        return std::fs::write(golden(path), stages.transcript(name, case, host)?).context("writes what Envoy does");
    }
    stages.check(name, path, case, host)
}

/// This very suite, run again with `ENVOY` pointing nowhere.
fn fails_without_envoy() -> Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env("ENVOY", "/nowhere/envoy").args(["--exact", "abi-versions/a-filter-of-0-2-0::serve"]);
    let output = command.output().context("runs this suite")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!output.status.success(), "the suite passes without Envoy");
    ensure!(said.contains("tests/tools.sh --install envoy"), "it does not say how to get Envoy:\n{said}");
    Ok(())
}

/// An entry that no transcript of Envoy's has is out of date, whether or not it names its cases.
fn shows_every_difference(names: &BTreeSet<String>, differences: &Differences) -> Result<()> {
    let directory = fixtures::root().join("tests/conformance");
    let read = |name: &String| {
        let path = directory.join(name).with_extension("txt");
        Ok((name.clone(), std::fs::read_to_string(&path).with_context(|| format!("reads {}", path.display()))?))
    };
    let transcripts: Vec<(String, String)> = names.iter().map(read).collect::<Result<_>>()?;
    let stale = differences.stale(&transcripts, &HOSTS_OF_COMPONENTS)?;
    let stale: Vec<String> = stale.iter().map(|entry| format!("{}\n{}", entry.reason, entry.envoy)).collect();
    ensure!(stale.is_empty(), "known-differences.toml has what no case shows:\n{}", stale.join("\n"));
    Ok(())
}
