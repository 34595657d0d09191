//! The hosts that cases share, and what each case has to show on one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use proxy_wasm_adapter_peers::lines::difference;

use super::{Case, Profile, Stage};
use crate::difference::Differences;
use crate::hosts::Host;
use crate::pool::Pool;

/// A host, what it is started with, and the case that has it for itself.
type Key = (Host, Profile, Option<String>);

/// Cases, by name and path, and the hosts that they run on.
#[derive(Debug)]
pub struct Stages {
    running: Pool<Key, Stage>,
    differences: Differences,
}

impl Stages {
    /// None is running.
    ///
    /// # Errors
    /// What is known to differ can't be read, or names other cases.
    pub fn new(cases: &BTreeSet<String>) -> Result<Self> {
        Ok(Self { running: Pool::default(), differences: Differences::read(cases)? })
    }

    /// What is known to differ.
    pub fn differences(&self) -> &Differences {
        &self.differences
    }

    /// This case will run there.
    pub fn announce(&self, name: &str, case: &Case, host: Host) {
        self.running.announce(&key(name, case, host));
    }

    /// Has a case run that was announced.
    ///
    /// # Errors
    /// It could not run.
    pub fn transcript(&self, name: &str, case: &Case, host: Host) -> Result<String> {
        self.running.with(&key(name, case, host), || case.profile.start(host), |stage| case.run(stage))
    }

    /// Compares its transcript with Envoy's.
    ///
    /// # Errors
    /// It could not run, or showed something else.
    pub fn check(&self, name: &str, path: &Path, case: &Case, host: Host) -> Result<()> {
        let golden = golden(path);
        let envoy = std::fs::read_to_string(&golden)
            .with_context(|| format!("`{}` is missing: write it with BLESS=1", golden.display()))?;
        let expected = self.differences.expected(name, host, &envoy)?;
        let at_times = self.differences.at_times(name, host, &envoy)?;
        let transcript = self.transcript(name, case, host)?;
        match difference(&expected, &transcript) {
            Some(difference) if transcript != at_times => bail!("{}\n{difference}", case.about),
            _ => Ok(()),
        }
    }

    /// Ends whatever is left: a run of one trial by name never comes to the others.
    pub fn clear(&self) {
        self.running.clear();
    }
}

/// Where Envoy's transcript is of the case in this file.
pub fn golden(case: &Path) -> PathBuf {
    case.with_extension("txt")
}

fn key(name: &str, case: &Case, host: Host) -> Key {
    (host, case.profile.clone(), case.profile.alone.then(|| name.to_string()))
}
