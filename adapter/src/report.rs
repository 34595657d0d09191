//! What goes to stderr.

use std::io::{IsTerminal, Write, stderr, stdout};

use clap::ValueEnum;
use proxy_wasm_adapter::error::Severity;

use super::failure::{Failure, Message};

/// When to color messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    Auto,
    Always,
    Never,
}

/// Writes messages.
pub(super) struct Reporter {
    color: bool,
    stdout_color: bool,
    verbose: bool,
}

impl Reporter {
    pub(super) fn new(color: Color, verbose: bool) -> Self {
        let on = |is_terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        Self { color: on(stderr().is_terminal()), stdout_color: on(stdout().is_terminal()), verbose }
    }

    /// Whether what goes to stdout has colors.
    pub(super) fn colors_stdout(&self) -> bool {
        self.stdout_color
    }

    pub(super) fn failure(&self, failure: &Failure) {
        for message in failure.messages() {
            self.message(&message);
        }
    }

    pub(super) fn message(&self, message: &Message) {
        let (word, style) = match message.severity {
            Severity::Error => ("error", "1;31"),
            Severity::Warning => ("warning", "1;33"),
        };
        self.line(&format!("{}: {}", self.styled(style, word), message.text));
        if let Some(help) = &message.help {
            self.line(&format!("  {}: {help}", self.styled("1;36", "help")));
        }
    }

    /// Passes on what a filter logged.
    pub(super) fn log(&self, line: &str) {
        self.line(line);
    }

    /// Says what was done, if that was asked for.
    pub(super) fn verbose(&self, text: impl FnOnce() -> String) {
        if self.verbose {
            self.line(&text());
        }
    }

    fn styled(&self, style: &str, text: &str) -> String {
        if self.color { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn line(&self, line: &str) {
        // Where stderr cannot be written there is no one to tell; the exit code still says it.
        let _ = writeln!(stderr().lock(), "{line}");
    }
}
