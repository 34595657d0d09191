//! Components whose plugins were started before their host was: the examples answer as they should, and those cases of
//! `tests/conformance` that show what a start leaves behind have the same transcripts. All of the cases do with `PREINIT=1`
//! and the suite `conformance`.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Arguments;
use proxy_wasm_adapter::{bridge, extract};
use proxy_wasm_adapter_preinit::{Options, preinitialise};
use proxy_wasm_adapter_tests::conformance::{Case, Stages};
use proxy_wasm_adapter_tests::examples::Example;
use proxy_wasm_adapter_tests::hosts::{self, Host, preinit};
use proxy_wasm_adapter_tests::trial::trial;
use proxy_wasm_adapter_tests::upstream::Upstream;

/// The families whose cases show what a start leaves behind: contexts, ticks, metrics, shared state, settings.
const FAMILIES: [&str; 12] = [
    "abi-versions",
    "proxy_define_metric",
    "proxy_dequeue_shared_queue",
    "proxy_get_configuration",
    "proxy_get_shared_data",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_queue_ready",
    "proxy_on_tick",
    "proxy_on_vm_start",
    "proxy_set_tick_period_milliseconds",
    "wasi",
];

const HOSTS: [Host; 2] = [Host::WasmtimeServe, Host::WasmtimeServe03];

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    preinit::begin();
    let mut trials = Vec::new();
    for example in Example::all()? {
        for host in [Host::ServeByWasiHttp, Host::WasmtimeServe] {
            let example = example.clone();
            let name = format!("{} answers as it should on {}", example.name, host.name());
            trials.push(trial(name, move || example.run(host)));
        }
        let name = format!("{} comes out of its component unchanged", example.name);
        trials.push(trial(name, move || comes_out_unchanged(&example)));
    }
    let cases = Case::all()?;
    let names = cases.iter().map(|(name, ..)| name.clone()).collect();
    let stages = Arc::new(Stages::new(&names)?);
    for (name, path, case) in cases {
        let family = name.split('/').next().unwrap_or_default();
        if !FAMILIES.contains(&family) || case.needs_http2() {
            continue;
        }
        for host in HOSTS {
            if case.refused_by.iter().any(|refusing| refusing == host.name()) {
                continue;
            }
            stages.announce(&name, &case, host);
            let (name, path, case, stages) = (name.clone(), path.clone(), case.clone(), stages.clone());
            trials.push(trial(format!("{name}::{}", host.name()), move || stages.check(&name, &path, &case, host)));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    stages.clear();
    let counts = preinit::counts();
    for (outcome, count) in &counts {
        eprintln!("{count} components: {outcome}");
    }
    // What is not pre-initialised shows nothing here.
    let all: usize = counts.values().sum();
    let done = counts.get(preinit::DONE).copied().unwrap_or_default();
    if done * 10 < all * 9 {
        eprintln!("of {all} components only {done} were pre-initialised");
        return Ok(ExitCode::FAILURE);
    }
    Ok(conclusion.exit_code())
}

fn comes_out_unchanged(example: &Example) -> Result<()> {
    let chain = example.chain(&Upstream::start()?)?;
    let options = Options { allow_random: true, ..Options::default() };
    let component = hosts::adapt(&chain, bridge::Kind::MemoryCopy)?;
    let [first, second] = [(); 2].map(|()| preinitialise(&component, &options));
    let (first, second) = (first.context("pre-initialises")?, second.context("pre-initialises")?);
    ensure!(first.component == second.component, "other bytes each time");
    let filter = extract(&first.component, None).context("extracts")?;
    ensure!(filter == chain.filters[0], "another filter");
    Ok(())
}
