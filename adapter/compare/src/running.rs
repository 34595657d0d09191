//! One of the two sides while it runs.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use super::output::{EnvoyLines, Line, ShimLines};
use super::process::Process;
use super::report::Side;
use super::trace;

/// How often the output is looked at.
pub(super) const GLANCE: Duration = Duration::from_millis(5);

/// How often it is looked whether it writes too much.
const WATCH: Duration = Duration::from_millis(100);

/// How long nothing more may come, where all that is known to be expected is there.
const QUIET: Duration = Duration::from_millis(30);

/// How long what is expected is waited for, once the client has what it wanted.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long the rest of a start is waited for, where it has begun.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// A side that can be asked.
pub(super) struct Running {
    pub(super) side: Side,
    pub(super) address: SocketAddr,
    pub(super) output: Output,
    /// Lines that came while it started.
    pub(super) early: Vec<Line>,
    /// Lives as long as what uses it.
    pub(super) _directory: Arc<TempDir>,
}

/// What can be read of a side besides its answers.
pub(super) enum Output {
    Envoy(Process, EnvoyLines),
    Shim(Process, ShimLines),
    /// It ran before.
    Nothing,
}

/// What became of a side's start.
pub(super) enum Started {
    Running(Box<Running>),
    /// It runs no such plugin, in its own words; what the plugin did before.
    Refused {
        side: Side,
        words: String,
        lines: Vec<Line>,
    },
}

impl Running {
    /// Lines that were written since the last call.
    pub(super) fn lines(&mut self) -> io::Result<Vec<Line>> {
        let mut lines = std::mem::take(&mut self.early);
        lines.extend(match &mut self.output {
            Output::Envoy(process, lines) => lines.read(&process.output()?).1,
            Output::Shim(process, lines) => lines.read(&process.output()?),
            Output::Nothing => Vec::new(),
        });
        Ok(lines)
    }

    /// How its process ended, if it did.
    pub(super) fn ended(&mut self) -> Option<String> {
        let (Output::Envoy(process, _) | Output::Shim(process, _)) = &mut self.output else { return None };
        if process.check_output().unwrap_or(false) {
            return Some("wrote too much and was ended".into());
        }
        process.ended().map(|status| format!("ended ({status})"))
    }

    /// Looks from time to time whether it writes too much, which ends it.
    pub(super) async fn watch(&mut self) {
        loop {
            tokio::time::sleep(WATCH).await;
            self.ended();
        }
    }

    /// Adds what is written of the start: until so many plugins are configured, where any begins to start.
    pub(super) async fn settle_start(
        &mut self,
        lines: &mut Vec<Line>,
        ends: &[&str],
        configured: usize,
    ) -> io::Result<()> {
        let begin = Instant::now();
        loop {
            self.settle(lines, ends).await?;
            let has_begun = trace::is_traced(lines);
            let is_over = !has_begun || trace::configured(lines) >= configured;
            if is_over || begin.elapsed() >= START_PATIENCE || self.ended().is_some() {
                return Ok(());
            }
        }
    }

    /// Adds what is written until all that is expected is there: of every stream, one of the callbacks that end it.
    pub(super) async fn settle(&mut self, lines: &mut Vec<Line>, ends: &[&str]) -> io::Result<()> {
        let begin = Instant::now();
        let mut changed = begin;
        loop {
            let more = self.lines()?;
            if !more.is_empty() {
                changed = Instant::now();
                lines.extend(more);
            }
            let quiet = changed.elapsed() >= QUIET;
            if quiet && (trace::is_settled(lines, ends) || begin.elapsed() >= PATIENCE || self.ended().is_some()) {
                return Ok(());
            }
            tokio::time::sleep(GLANCE).await;
        }
    }
}
