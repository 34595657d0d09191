//! `tests/scenarios/EXAMPLE/NAME.yaml`: a request file for an example filter, with the settings in `NAME.toml` or else in
//! `plugin.toml`. In `tests/scenarios/chains` the settings name the examples of a chain, each as the `filter` of its
//! `[[plugin]]`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use proxy_wasm_adapter::settings::{self, Input};
use proxy_wasm_adapter::shim::Flavour;
use proxy_wasm_adapter::wasi::Wasi;
use proxy_wasm_adapter_compare::known;
use proxy_wasm_adapter_compare::report::{Report, Style, terminal};
use proxy_wasm_adapter_compare::{self as compare, Comparison, Host, requests};
use proxy_wasm_adapter_tests::examples::Example;
use proxy_wasm_adapter_tests::fixtures;
use proxy_wasm_adapter_tests::hosts::shim;
use proxy_wasm_adapter_tests::trial::trial;

use crate::differences::Differences;

/// Scenarios whose traces have to be Envoy's, call by call.
const IDENTICAL: usize = 56;

/// A scenario.
#[derive(Clone)]
struct Scenario {
    /// `EXAMPLE/NAME`
    name: String,
    /// The example; none for a chain, whose settings name its filters.
    example: Option<Example>,
    examples: Arc<Vec<Example>>,
    requests: PathBuf,
}

pub(crate) fn trials() -> Result<Vec<Trial>> {
    let differences = Differences::read()?;
    let mut trials = Vec::new();
    let mut names = Vec::new();
    let everything = std::env::var_os("SCENARIOS").is_some();
    let both = all()?.into_iter().enumerate().flat_map(|(index, scenario)| {
        // A third on WASI 0.3, on which all conformance cases run, too; with `SCENARIOS=all` all.
        let takes = move |wasi: &Wasi| *wasi == Wasi::V0_2 || everything || index % 3 == 0;
        Wasi::ALL.into_iter().filter(takes).map(move |wasi| (scenario.clone(), wasi))
    });
    for (scenario, wasi) in both {
        let name = match wasi {
            Wasi::V0_2 => scenario.name.clone(),
            Wasi::V0_3 => format!("{} on WASI 0.3", scenario.name),
        };
        if wasi == Wasi::V0_2 {
            names.push(scenario.name.clone());
        }
        let expected = differences.of(&scenario.name, wasi);
        let listed = differences.listed(&scenario.name, wasi)?;
        let what = if expected.is_empty() { "is the same" } else { "differs as it is listed" };
        let shown = name.clone();
        let check = move || {
            let mut report = scenario.run(wasi)?;
            let found = differing_lines(&report);
            ensure!(
                found == expected,
                "listed as different:\n{expected:#?}\nfound:\n{found:#?}\n{}",
                terminal(&report, Style::default())
            );
            known::leave_out(&mut report, &listed);
            ensure!(
                report.same,
                "not all that is listed is known to `--known`:\n{}",
                terminal(&report, Style::default())
            );
            Ok(())
        };
        trials.push(trial(format!("{name} {what}"), move || {
            check().or_else(|first: anyhow::Error| {
                // On WASI 0.3 an answer may overtake the end of its request, and then ends the connection.
                if wasi == Wasi::V0_2 || check().is_err() {
                    return Err(first);
                }
                // `tests/run` looks for this line.
                eprintln!("passed only when tried again: {shown}\n{first:#}");
                Ok(())
            })
        }));
    }
    trials.push(trial("most scenarios have Envoy's trace, call by call", move || {
        differences.check_names(&names)?;
        let different =
            names.iter().filter(|name| differences.of(name, Wasi::V0_2).iter().any(|line| line.contains(", trace ")));
        let identical = names.len() - different.count();
        ensure!(identical >= IDENTICAL, "{identical} of {}", names.len());
        let said = format!("Of the {} [scenarios](tests/scenarios) that the tests run, {identical} have", names.len());
        ensure!(std::fs::read_to_string(fixtures::root().join("README.md"))?.contains(&said), "README.md: {said}");
        Ok(())
    }));
    trials.push(trial("the README's request files can be read", || {
        let readme = std::fs::read_to_string(fixtures::root().join("README.md"))?;
        let blocks: Vec<&str> = readme.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        ensure!(blocks.len() == 2, "there are {} blocks", blocks.len());
        for block in blocks {
            requests::parse(block).map_err(|problems| anyhow::anyhow!("{problems:#?}"))?;
        }
        Ok(())
    }));
    Ok(trials)
}

fn all() -> Result<Vec<Scenario>> {
    let root = fixtures::root().join("tests/scenarios");
    let examples = Arc::new(Example::all()?);
    let mut scenarios = Vec::new();
    let alone = examples.iter().map(|example| (example.name.as_str(), Some(example)));
    for (name, example) in alone.chain([("chains", None)]) {
        let directory = root.join(name);
        if !directory.exists() {
            // Its requests need more than a scripted upstream.
            continue;
        }
        let entries = std::fs::read_dir(&directory).with_context(|| format!("reads {}", directory.display()))?;
        for entry in entries {
            let requests = entry?.path();
            if requests.extension().is_some_and(|extension| extension == "yaml") {
                let file = requests.file_stem().context("a name")?.to_string_lossy();
                let name = format!("{name}/{file}");
                let (example, examples) = (example.cloned(), examples.clone());
                scenarios.push(Scenario { name, example, examples, requests });
            }
        }
    }
    scenarios.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(scenarios)
}

/// The lines that differ, and the expectations that are not met: `PART, KIND SIGN LINE`.
fn differing_lines(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for part in &report.parts {
        for section in &part.sections {
            let kind = section.kind.name();
            for row in section.rows.iter().filter(|row| !row.same) {
                let side = |sign: &str, line: &Option<String>| {
                    line.as_ref().map(|line| format!("{}, {kind} {sign} {line}", part.name))
                };
                lines.extend(side("-", &row.envoy));
                lines.extend(side("+", &row.here));
            }
        }
        lines.extend(part.unmet.iter().map(|unmet| format!("{}, expected {unmet}", part.name)));
    }
    lines.sort();
    lines
}

impl Scenario {
    fn run(&self, wasi: Wasi) -> Result<Report> {
        let text = std::fs::read_to_string(&self.requests).context("reads the request file")?;
        let requests =
            requests::parse(&text).map_err(|problems| anyhow::anyhow!("{}: {problems:#?}", self.requests.display()))?;
        let (filters, options) = self.plugins(wasi)?;
        let comparison = Comparison {
            filters,
            options,
            next: None,
            original: None,
            requests,
            envoy: Some(fixtures::tool("envoy", "ENVOY")?),
            host: Host::Embedded { program: fixtures::binary("proxy-wasm-adapter")?, cache: None },
            timeout: Duration::from_secs(20),
            start_timeout: Duration::from_secs(120),
            upstream: None,
            keep: None,
        };
        Ok(compare::run(&comparison, std::future::pending())?)
    }

    fn plugins(&self, wasi: Wasi) -> Result<(Vec<compare::NamedFilter>, proxy_wasm_adapter::Options)> {
        let own = self.requests.with_extension("toml");
        let file = if own.exists() { own } else { self.requests.with_file_name("plugin.toml") };
        let text = std::fs::read_to_string(&file).with_context(|| format!("reads {}", file.display()))?;
        let shown = file.display().to_string();
        let mut input = settings::parse(&shown, &text).map_err(|problem| anyhow::anyhow!("{problem}"))?;
        input.wasi = Some(wasi);
        let mut below = Input::default();
        below.upstream = Some("http://127.0.0.1:1".into());
        let filter = |example: &Example| {
            anyhow::Ok(compare::NamedFilter { file: example.name.clone(), bytes: example.filter()? })
        };
        let filters = match &self.example {
            Some(example) => vec![filter(example)?],
            None => {
                let files = input.filters().map_err(|problems| anyhow::anyhow!("{shown}: {problems:?}"))?;
                files.iter().map(|named| filter(self.named(named)?)).collect::<Result<_>>()?
            }
        };
        let read = |path: &Path| std::fs::read(path).map_err(|error| error.to_string());
        let options = input.over(below).resolve(filters.len(), &read);
        let mut options = options.map_err(|problems| anyhow::anyhow!("{shown}: {problems:?}"))?;
        options.shim = shim(options.wasi, Flavour::Tracing)?;
        Ok((filters, options))
    }

    fn named(&self, name: &Path) -> Result<&Example> {
        let example = self.examples.iter().find(|example| Path::new(&example.name) == name);
        example.with_context(|| format!("there is no example `{}`", name.display()))
    }
}
