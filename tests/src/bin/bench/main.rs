//! What a request costs, by host: Envoy with the filter in V8, the adapter's own host, and the code of `wasmtime serve`.
//!
//! ```sh
//! cargo run --release -p proxy-wasm-adapter-tests --bin bench
//! ```
//!
//! Contestants take turns, round by round on the same machine, and each round's figures are compared with those of the first
//! one, which is Envoy: figures hold for the machine and the hour; the ratios are what counts. It asserts nothing.
//!
//! | file | idea |
//! |---|---|
//! | `scenario` | a filter, a request, and where that goes |
//! | `contestant` | a host and what it runs |
//! | `cores` | who gets which processor |
//! | `measure` | load, and what it costs the host |
//! | `report` | figures as a table and as a picture |
//! | `size` | what adapting costs, in bytes and in time |
//! | `memory` | what a virtual machine takes |

mod contestant;
mod cores;
mod measure;
mod memory;
mod report;
mod scenario;
mod size;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use proxy_wasm_adapter_tests::hosts::{Running, compile_for_speed};

use self::contestant::Contestant;
use self::cores::Cores;
use self::measure::Load;
use self::report::Line;
use self::scenario::Scenario;

/// How long a host is asked before that counts.
const WARM_UP: Duration = Duration::from_millis(700);

/// Measures what requests cost.
#[derive(Parser)]
struct Arguments {
    /// Only these scenarios.
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
    /// Only these contestants; all are compared with the first of them.
    #[arg(long, value_name = "NAME")]
    contestant: Vec<String>,
    /// Rounds of each; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds that each contestant is asked in a round.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Connections, each with one request at a time.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Requests per second of all connections together; without, as many as are answered.
    #[arg(long)]
    rate: Option<f64>,
    /// Lets hosts and who asks them share all processors; without, a host has one, and one thread that answers.
    #[arg(long)]
    unpinned: bool,
    /// Writes BENCHMARK.md and the plots beside it into this directory.
    #[arg(long, value_name = "DIRECTORY")]
    write: Option<PathBuf>,
    /// Prints what adapting costs, and measures nothing else.
    #[arg(long)]
    size: bool,
    /// Prints what a live idle virtual machine takes, of the first scenario, and measures nothing else.
    #[arg(long)]
    memory: bool,
    /// Prints the names of scenarios and contestants, and measures nothing.
    #[arg(long)]
    list: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if cfg!(debug_assertions) {
        eprintln!("warning: not a release build");
    }
    let scenarios = chosen(&scenario::ALL, &arguments.scenario, "scenario", |scenario| scenario.name)?;
    let contestants = chosen(&contestant::ALL, &arguments.contestant, "contestant", |contestant| contestant.name)?;
    if arguments.list {
        scenarios.iter().for_each(|scenario| println!("{}: {}", scenario.name, scenario.about));
        contestants.iter().for_each(|contestant| println!("{}", contestant.name));
        return Ok(());
    }
    compile_for_speed();
    if arguments.size {
        return size::print(arguments.rounds);
    }
    if arguments.memory {
        return memory::print(scenarios.first().context("a scenario")?, arguments.rounds);
    }
    let mut text = about();
    let cores = if arguments.unpinned { None } else { Cores::split() };
    if let Some(cores) = &cores {
        cores.leave();
    }
    for scenario in &scenarios {
        let lines = run(&arguments, scenario, &contestants, cores.as_ref())?;
        let table = report::table(scenario, &lines);
        println!("{table}");
        text += &table;
        if let Some(directory) = &arguments.write {
            text += &write_plot(scenario, &lines, directory)?;
        }
        text += "\n";
    }
    if let Some(directory) = &arguments.write {
        std::fs::write(directory.join("BENCHMARK.md"), text.trim_end().to_owned() + "\n")
            .context("writes the tables")?;
    }
    Ok(())
}

/// Begins what is written: by which command, and how to read it.
fn about() -> String {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    format!(
        "# Benchmark\n\nWritten by `cargo run --release -p proxy-wasm-adapter-tests --bin bench -- {}`. {} Figures hold for one \
         machine and hour; ratios are those of each round, and their median counts. All are compared with the first line.\n\n",
        asked.join(" "),
        if asked.iter().any(|word| word == "--unpinned") {
            "Hosts and who asks them share all processors."
        } else {
            "A host has one processor, and who asks has the others."
        }
    )
}

fn write_plot(scenario: &Scenario, lines: &[Line], directory: &Path) -> Result<String> {
    let file = format!("tests/plots/{}.svg", scenario.name);
    std::fs::create_dir_all(directory.join("tests/plots"))?;
    report::plot(scenario, lines, &directory.join(&file))?;
    Ok(format!("\n![CPU time a request: {}]({file})\n", scenario.name))
}

/// Those of a list that were named, in the order in which they were; or all.
fn chosen<T: Copy>(all: &[T], names: &[String], kind: &str, name_of: impl Fn(&T) -> &str) -> Result<Vec<T>> {
    if names.is_empty() {
        return Ok(all.to_vec());
    }
    let find = |name: &String| {
        let found = all.iter().find(|one| name_of(one) == name);
        match found {
            Some(one) => Ok(*one),
            None => bail!("no {kind} `{name}`: `--list` prints their names"),
        }
    };
    names.iter().map(find).collect()
}

fn run(
    arguments: &Arguments,
    scenario: &Scenario,
    contestants: &[Contestant],
    cores: Option<&Cores>,
) -> Result<Vec<Line>> {
    let upstream = scenario.upstream().map(measure::upstream).transpose()?;
    let chain = scenario.chain(upstream)?;
    let contestants = contestants.iter().filter(|contestant| contestant.runs(scenario));
    let mut lines: Vec<Line> =
        contestants.map(|contestant| Line { contestant: *contestant, rounds: Vec::new() }).collect();
    let load = Load { connections: arguments.connections.max(1), rate: arguments.rate };
    let request = scenario.request();
    let start = |line: &Line| -> Result<Running> {
        let start = || line.contestant.start(scenario, &chain);
        let started = cores.map_or_else(start, |cores| cores.start(start));
        started.with_context(|| format!("starts `{}`", line.contestant.name))
    };
    for _ in 0..arguments.rounds.max(1) {
        // Anew in each round: how many instances a host happens to have can cost it a third of its speed, for as long as it
        // lives.
        for line in &mut lines {
            let host = start(line)?;
            let ask = |time| load.run(host.address, host.child.id(), &request, time);
            let asked = ask(WARM_UP).and_then(|_| ask(Duration::from_secs(arguments.seconds)));
            line.rounds.push(asked.with_context(|| format!("asks `{}`", line.contestant.name))?);
        }
    }
    Ok(lines)
}
