//! Real gRPC clients to real gRPC servers, with the probe between them: what both see is the same through Envoy and through
//! `serve`.
//!
//! The peers are made with tonic (`tests/fixtures/grpc-peers/src`) and with Python's grpcio (`peers.py` beside it). Each
//! client calls each server. Frame by frame the cases in `tests/conformance/grpc-streams` show the same.

mod cases;
mod peers;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use cases::{CASES, Case, End};
use libtest_mimic::Arguments;
use peers::Language;
use proxy_wasm_abi::bridge::AbiVersion;
use proxy_wasm_adapter_peers::lines::difference;
use proxy_wasm_adapter_tests::hosts::{Chain, Child, Host, Lines, Running};
use proxy_wasm_adapter_tests::script::Script;
use proxy_wasm_adapter_tests::trial::trial;
use proxy_wasm_adapter_tests::{probe, settings};

/// How long a server may take to see that a call is over.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the peers of each case see, by its name.
type Transcripts = BTreeMap<&'static str, String>;

/// A client, a server, and what they see through Envoy and through `serve`: all calls are made before the first is looked at.
struct Pair {
    client: Language,
    server: Language,
    seen: OnceLock<Result<[Transcripts; 2], String>>,
}

fn main() -> Result<()> {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for client in Language::ALL {
        for server in Language::ALL {
            let pair = Arc::new(Pair { client, server, seen: OnceLock::new() });
            for case in CASES {
                let name = format!("{}::{}-to-{}", case.name, client.name(), server.name());
                let pair = pair.clone();
                trials.push(trial(name, move || pair.check(case)));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit()
}

impl Pair {
    fn check(&self, case: &Case) -> Result<()> {
        let both = || Ok([self.through(Host::Envoy)?, self.through(Host::Serve)?]);
        let seen = self.seen.get_or_init(|| both().map_err(|error: anyhow::Error| format!("{error:#}")));
        let transcripts = seen.as_ref().map_err(|error| anyhow!("{error}"))?;
        let [envoy, serve] = transcripts.each_ref().map(|transcripts| transcripts.get(case.name));
        let envoy = envoy.context("there is no such call through Envoy")?;
        for part in case.seen {
            ensure!(envoy.contains(part), "`{part}` is not among what the peers see through Envoy:\n{envoy}");
        }
        match difference(envoy, serve.context("there is no such call through serve")?) {
            Some(difference) => bail!("it is not the same through Envoy and through serve:\n{difference}"),
            None => Ok(()),
        }
    }

    /// What the peers see through this host.
    fn through(&self, host: Host) -> Result<Transcripts> {
        let mut server = peers::Server::start(self.client, self.server, host)?;
        let probe = probe::probe(AbiVersion::V0_2_1, probe::ForeignFunctions::Unnamed)?;
        let mut chain = Chain::one(probe, settings::to_upstream(server.address));
        chain.upstream_http2 = true;
        let running = host.start(&chain).with_context(|| format!("starts {}", host.name()))?;
        // Those of the second part come when the server has gone.
        let (present, gone): (Vec<&Case>, Vec<&Case>) = CASES.iter().partition(|case| !case.server_is_gone);
        let calls = call_all(self.client.command()?, &running, &present)?;
        server.child.wait().context("the server ends when it is asked to")?;
        let later = call_all(self.client.command()?, &running, &gone)?;
        let sections = sections(&calls).chain(sections(&later)).collect::<BTreeMap<_, _>>();
        let mut transcripts = Transcripts::new();
        for case in CASES {
            let client = sections.get(case.name).with_context(|| format!("no call `{}` in:\n{calls}", case.name))?;
            transcripts.insert(case.name, format!("{client}{}", at_server(&server.child.lines, case)?));
        }
        Ok(transcripts)
    }
}

/// What the client writes about these calls.
fn call_all(mut client: Command, running: &Running, cases: &[&Case]) -> Result<String> {
    client.args(["call", &format!("http://{}", running.address)]);
    for case in cases {
        client.args(["--case", case.name, "--method", case.method]);
        client.args(case.arguments.iter().flat_map(|(name, value)| [*name, *value]));
        if !case.script.is_empty() {
            let script: Script = toml::from_str(case.script).with_context(|| format!("the script of {}", case.name))?;
            client.arg("--metadata").arg(format!("x-script={}", script.encode()));
        }
    }
    let child = Child::start(&mut client)?;
    child.output().with_context(|| format!("makes the calls; the host wrote:\n{}", running.child.lines))
}

/// What stands below each `case NAME`.
fn sections(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split("case ").filter_map(|section| section.split_once('\n'))
}

/// What the server saw of a call, which has ended.
fn at_server(lines: &Lines, case: &Case) -> Result<String> {
    let about = |line: &str| Some(line.strip_prefix('@')?.strip_prefix(case.name)?.strip_prefix(' ')?.to_owned());
    let end = match case.end {
        End::Unseen => None,
        End::Ended => Some("ended"),
        End::Cancelled => Some("cancelled"),
        End::Begun => Some("gets"),
    };
    if let Some(end) = end {
        let is_it = |line: &str| about(line).is_some_and(|line| line.starts_with(end));
        ensure!(lines.wait(0, PATIENCE, is_it), "the server does not say that `{}` {end}:\n{lines}", case.name);
    }
    let mut text = String::new();
    for line in lines.since(0).iter().filter_map(|line| about(line)) {
        writeln!(text, "  server {line}")?;
    }
    Ok(text)
}
