//! `tests/known-differences.toml`: where a host of components can't do what Envoy does, or where we choose otherwise.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::fixtures;
use crate::hosts::Host;

/// One way in which transcripts differ from Envoy's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// The cases, as `family/name`; without any, it is so wherever Envoy's part stands.
    #[serde(default)]
    pub cases: BTreeSet<String>,
    /// The hosts, if not all but Envoy. `serve` is meant with `serve-wasi-http`, where that does not stand alone.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// It is so through the library for embedders, too, which has no `wasi:http` in it.
    #[serde(default)]
    pub embed: bool,
    /// It is so at times, and at times as on Envoy: what is first there, of two that come at once, nobody decides.
    #[serde(default)]
    pub sometimes: bool,
    /// Part of Envoy's transcript.
    pub envoy: String,
    /// What stands here instead.
    pub here: String,
    /// Why.
    pub reason: String,
    /// Which of the two is better for users.
    pub better: Better,
}

/// A judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Better {
    Envoy,
    Here,
    Neither,
}

/// All that is known.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Differences {
    /// The entries.
    #[serde(default)]
    pub difference: Vec<Difference>,
}

impl Differences {
    /// Reads the file.
    ///
    /// # Errors
    /// It is malformed, or names a case that there is none of.
    pub fn read(cases: &BTreeSet<String>) -> Result<Self> {
        Self::read_file("known-differences.toml", cases)
    }

    /// Reads another such file below `tests`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_file(name: &str, cases: &BTreeSet<String>) -> Result<Self> {
        let path = fixtures::root().join("tests").join(name);
        let text = std::fs::read_to_string(&path).with_context(|| format!("reads {}", path.display()))?;
        let differences: Self = toml::from_str(&text).with_context(|| format!("reads {}", path.display()))?;
        for difference in &differences.difference {
            for case in &difference.cases {
                ensure!(cases.contains(case), "{name}: there is no case `{case}`");
            }
            for host in &difference.hosts {
                ensure!(Host::from_name(host).is_some(), "{name}: there is no host `{host}`");
            }
        }
        Ok(differences)
    }

    /// What this host's transcript of this case has to be, given Envoy's.
    ///
    /// # Errors
    /// An entry does not apply any more.
    pub fn expected(&self, case: &str, host: Host, envoy: &str) -> Result<String> {
        self.apply(case, host, envoy, |_| true, &mut BTreeSet::new())
    }

    /// What it has to be where nothing is so that is so at times; the same, where nothing is.
    ///
    /// # Errors
    /// As [`expected`](Self::expected).
    pub fn at_times(&self, case: &str, host: Host, envoy: &str) -> Result<String> {
        self.apply(case, host, envoy, |entry| !entry.sometimes, &mut BTreeSet::new())
    }

    fn apply(
        &self,
        case: &str,
        host: Host,
        envoy: &str,
        counts: impl Fn(&Difference) -> bool,
        used: &mut BTreeSet<usize>,
    ) -> Result<String> {
        let mut expected = envoy.to_string();
        if host == Host::Envoy {
            return Ok(expected);
        }
        let concerned = self.difference.iter().enumerate().filter(|(_, entry)| entry.concerns(case, host));
        for (i, difference) in concerned.filter(|(_, entry)| counts(entry)) {
            ensure!(difference.envoy != difference.here, "an entry for `{case}` says nothing");
            if expected.contains(&difference.envoy) {
                used.insert(i);
            } else if !difference.cases.is_empty() {
                bail!("an entry for `{case}` speaks of what Envoy does not do:\n{}", difference.envoy);
            }
            expected = expected.replace(&difference.envoy, &difference.here);
        }
        Ok(expected)
    }

    /// The entries that apply to none of these transcripts of Envoy's, each with its case's name.
    ///
    /// # Errors
    /// As [`expected`](Self::expected).
    pub fn stale(&self, transcripts: &[(String, String)], hosts: &[Host]) -> Result<Vec<&Difference>> {
        let mut used = BTreeSet::new();
        for (case, envoy) in transcripts {
            for host in hosts {
                self.apply(case, *host, envoy, |_| true, &mut used)?;
            }
        }
        Ok(self.difference.iter().enumerate().filter(|(i, _)| !used.contains(i)).map(|(_, entry)| entry).collect())
    }
}

impl Difference {
    fn concerns(&self, case: &str, host: Host) -> bool {
        let is_its = match host {
            Host::Embed => self.embed,
            _ => {
                let mut hosts = self.hosts.iter();
                self.hosts.is_empty()
                    || hosts.any(|name| [host.name(), host.answers_as().name()].contains(&name.as_str()))
            }
        };
        is_its && (self.cases.is_empty() || self.cases.contains(case))
    }
}
