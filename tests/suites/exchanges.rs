//! Each case of `tests/cases`, on Envoy and on hosts of components: the same transcript, but for what
//! `known-differences.toml` names.
//!
//! `BLESS=1` writes what Envoy does into the case's `.txt`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use anyhow::{Context, Result, bail};
use libtest_mimic::Arguments;
use proxy_wasm_adapter_tests::difference::Differences;
use proxy_wasm_adapter_tests::exchange::{Case, Profile, Stage};
use proxy_wasm_adapter_tests::fixtures;
use proxy_wasm_adapter_tests::hosts::Host;
use proxy_wasm_adapter_tests::pool::Pool;
use proxy_wasm_adapter_tests::trial::{compare, trial};

const HOSTS: [Host; 3] = [Host::Envoy, Host::Serve, Host::WasmtimeServe];

/// A host, what it is started with, and the case that has it for itself.
type Key = (Host, Profile, Option<String>);

static STAGES: LazyLock<Pool<Key, Stage>> = LazyLock::new(Pool::default);

fn main() -> Result<()> {
    let arguments = Arguments::from_args();
    let cases = cases(&fixtures::root().join("tests/cases"))?;
    let names: BTreeSet<String> = cases.iter().map(|(name, ..)| name.clone()).collect();
    let differences = Arc::new(Differences::read(&names)?);
    let mut trials = Vec::new();
    for (name, path, case) in cases {
        for host in HOSTS {
            STAGES.announce(&key(&name, &case, host));
            let (name, path, case, differences) = (name.clone(), path.clone(), case.clone(), differences.clone());
            trials
                .push(trial(format!("{name}::{}", host.name()), move || run(&name, &path, &case, host, &differences)));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    STAGES.clear();
    conclusion.exit()
}

fn run(name: &str, path: &Path, case: &Case, host: Host, differences: &Differences) -> Result<()> {
    let transcript = STAGES.with(&key(name, case, host), || case.profile.start(host), |stage| case.run(stage))?;
    let golden = path.with_extension("txt");
    if host == Host::Envoy && std::env::var_os("BLESS").is_some() {
        return std::fs::write(&golden, transcript).context("writes what Envoy does");
    }
    let envoy = std::fs::read_to_string(&golden)
        .with_context(|| format!("`{}` is missing: write it with BLESS=1", golden.display()))?;
    let expected = differences.expected(name, host, &envoy)?;
    if let Some(difference) = compare(&expected, &transcript) {
        bail!("{}\n{difference}", case.about);
    }
    Ok(())
}

fn key(name: &str, case: &Case, host: Host) -> Key {
    (host, case.profile.clone(), case.profile.alone.then(|| name.to_string()))
}

/// Each case with its name and file.
fn cases(directory: &Path) -> Result<Vec<(String, PathBuf, Case)>> {
    let mut cases = Vec::new();
    for family in sorted(directory)? {
        for path in sorted(&family)?.into_iter().filter(|path| path.extension().is_some_and(|is| is == "toml")) {
            let text = std::fs::read_to_string(&path)?;
            let case: Case = toml::from_str(&text).with_context(|| format!("reads {}", path.display()))?;
            let name = path.with_extension("").strip_prefix(directory)?.to_string_lossy().into_owned();
            cases.push((name, path, case));
        }
    }
    Ok(cases)
}

fn sorted(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(directory).with_context(|| format!("reads {}", directory.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}
