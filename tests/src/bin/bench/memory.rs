//! What a virtual machine takes that has had requests and waits for more: that of a worker of Envoy's, and one of `serve`.
//!
//! Each host runs with some of them, and with twice as many. What it takes more is theirs, and whatever the host has besides
//! does not count; of Envoy, neither does what its workers take without a filter.

use std::time::Duration;

use anyhow::{Context, Result};
use proxy_wasm_adapter_tests::hosts::{self, Chain, Running};
use proxy_wasm_adapter_tests::memory;

use crate::measure::Load;
use crate::scenario::Scenario;

/// How many virtual machines, and then twice as many.
const COUNT: u32 = 8;

/// For how long all of them are asked, by so many clients each.
const ASKED: Duration = Duration::from_secs(2);
const CLIENTS: usize = 8;

/// Bytes that were written, and the process's part of all that is in memory.
type Bytes = (u64, u64);

pub(crate) fn print(scenario: &Scenario, rounds: usize) -> Result<()> {
    let chain = scenario.chain(None)?;
    let filter = chain.filters.first().context("a filter")?.len();
    println!("a live idle virtual machine of a filter of {filter} bytes, in KiB: {COUNT} and twice as many\n");
    println!("| | written by it alone (private dirty) | its part of all that is in memory (PSS) |\n|---|---|---|");
    let serve = |count| start_serve(&chain, count);
    line("serve", rounds, || difference(scenario, serve))?;
    let envoy = |has_filters| {
        let chain = &chain;
        move |count| hosts::start_envoy_workers(chain, has_filters, count)
    };
    line("envoy", rounds, || {
        let (with, without) = (difference(scenario, envoy(true))?, difference(scenario, envoy(false))?);
        Ok((with.0 - without.0, with.1 - without.1))
    })
}

fn start_serve(chain: &Chain, count: u32) -> Result<Running> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("component.wasm");
    std::fs::write(&file, hosts::adapt_for_exchanges(chain)?)?;
    hosts::start_serve(&file, &["--vms", &count.to_string()], directory)
}

/// The median of each, of so many rounds.
fn line(name: &str, rounds: usize, measure: impl Fn() -> Result<(f64, f64)>) -> Result<()> {
    let measured: Vec<(f64, f64)> = (0..rounds.max(1)).map(|_| measure()).collect::<Result<_>>()?;
    let median = |of: fn(&(f64, f64)) -> f64| {
        let mut values: Vec<f64> = measured.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    println!("| {name} | {:.0} | {:.0} |", median(|one| one.0), median(|one| one.1));
    Ok(())
}

/// What one virtual machine takes, in KiB.
fn difference(scenario: &Scenario, start: impl Fn(u32) -> Result<Running>) -> Result<(f64, f64)> {
    let [few, many] = [COUNT, 2 * COUNT].map(|count| taken(scenario, count, &start));
    let (few, many) = (few?, many?);
    let each = |few: u64, many: u64| (many as f64 - few as f64) / f64::from(COUNT) / 1024.0;
    Ok((each(few.0, many.0), each(few.1, many.1)))
}

/// What a host takes when all of its virtual machines were asked.
fn taken(scenario: &Scenario, count: u32, start: impl Fn(u32) -> Result<Running>) -> Result<Bytes> {
    let host = start(count)?;
    // The same number of connections, however many there are: these take memory, too.
    let load = Load { connections: CLIENTS * 2 * COUNT as usize, rate: None };
    load.run(host.address, host.child.id(), &scenario.request(), ASKED)?;
    memory::own(host.child.id())
}
