//! Exit codes.

use std::fmt::Write;
use std::process::ExitCode;

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Code {
    Done = 0,
    Internal = 1,
    Usage = 2,
    Unusable = 3,
    Settings = 4,
    Io = 5,
    Refused = 6,
    Lost = 7,
}

/// Every code, with what it means.
pub(super) const CODES: &[(Code, &str)] = &[
    (Code::Done, "done"),
    (Code::Internal, "a mistake in this program"),
    (Code::Usage, "wrong usage of the command"),
    (Code::Unusable, "the file is no filter or component that can be used"),
    (Code::Settings, "the settings are wrong, or a file that they name cannot be read"),
    (Code::Io, "a file cannot be read or written, or an address cannot be listened on"),
    (Code::Refused, "the plugin did not start"),
    (Code::Lost, "something is left behind, and `--check`, `--strict` or a guard forbids it"),
];

/// The codes for the help.
pub(super) fn help() -> String {
    let mut text = String::from("Exit codes:\n");
    for (code, meaning) in CODES {
        writeln!(text, "  {}  {meaning}", *code as u8).expect("a string takes all text");
    }
    text.push_str("`test` and `compare` have codes of their own, which their help tells.\n");
    text.push_str("\nExamples: proxy-wasm-adapter help <COMMAND>");
    text
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}
