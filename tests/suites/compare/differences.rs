//! `tests/scenarios/differences.toml`: where the sides differ in scenarios, and why.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use proxy_wasm_adapter::wasi::Wasi;
use proxy_wasm_adapter_compare::known::Known;
use proxy_wasm_adapter_tests::fixtures;
use serde::Deserialize;

/// All of them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Differences {
    #[serde(default)]
    difference: Vec<Difference>,
}

/// A reason for lines to differ.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    reason: String,
    /// Which side is better off.
    better: Better,
    /// The version of WASI on which they do, where it is only one.
    wasi: Option<Wasi>,
    /// The lines that differ by it, by scenario.
    lines: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Better {
    Envoy,
    Here,
    Neither,
}

impl Differences {
    pub(crate) fn read() -> Result<Self> {
        let file = fixtures::root().join("tests/scenarios/differences.toml");
        let text = std::fs::read_to_string(&file).with_context(|| format!("reads {}", file.display()))?;
        toml::from_str(&text).with_context(|| format!("reads {}", file.display()))
    }

    /// The lines of this scenario that differ, sorted.
    pub(crate) fn of(&self, scenario: &str, wasi: Wasi) -> Vec<String> {
        let of_it = self.difference.iter().filter(|difference| difference.wasi.is_none_or(|only| only == wasi));
        let lines = of_it.filter_map(|difference| difference.lines.get(scenario));
        let mut lines: Vec<String> = lines.flatten().cloned().collect();
        lines.sort();
        lines
    }

    /// What a user lists for `--known`, as it is no difference of every filter: that of one version of WASI alone.
    pub(crate) fn listed(&self, scenario: &str, wasi: Wasi) -> Result<Known> {
        let of_it = self.difference.iter().filter(|difference| difference.wasi == Some(wasi));
        let listed = of_it.filter_map(|difference| Some((&difference.reason, difference.lines.get(scenario)?)));
        let text: String =
            listed.map(|(reason, lines)| format!("[[difference]]\nreason = {reason:?}\nlines = {lines:?}\n")).collect();
        Known::parse(&text).map_err(|reason| anyhow::anyhow!("{reason}\n{text}"))
    }

    /// Fails where a scenario is named that there is none of.
    pub(crate) fn check_names(&self, scenarios: &[String]) -> Result<()> {
        for difference in &self.difference {
            let Difference { reason, better, lines, .. } = difference;
            for name in lines.keys() {
                ensure!(scenarios.contains(name), "there is no scenario `{name}` ({reason}; better: {better:?})");
            }
        }
        Ok(())
    }
}
