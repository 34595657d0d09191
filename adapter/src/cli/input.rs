//! Reading files, or stdin.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use proxy_wasm_adapter::error::Severity;
use proxy_wasm_adapter::settings::Input;
use proxy_wasm_adapter::{Error, Options, assemble, check};

use super::failure::Failure;
use super::plugin::Plugin;

/// What messages call the file.
pub(super) fn shown(file: &Path) -> String {
    if is_stdin(file) { "stdin".into() } else { file.display().to_string() }
}

/// Whether the name stands for stdin.
pub(super) fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// The bytes of a file, or of stdin for `-`.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let result = if is_stdin(file) {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(file)
    };
    result.map_err(|error| Failure::Read { file: shown(file), error })
}

/// A filter, and how to adapt it; what is wrong with either is said at once.
pub(super) fn read_both(file: &Path, plugin: Plugin) -> Result<(Vec<u8>, Options), Failure> {
    let filter = read_module(file)?;
    options(file, &filter, plugin).map(|options| (filter, options))
}

/// How to adapt this filter; where that is wrong, also what is wrong with the filter.
pub(super) fn options(file: &Path, filter: &[u8], plugin: Plugin) -> Result<Options, Failure> {
    options_over(file, filter, plugin, Input::default())
}

/// The same; what the options do not say is taken from here.
pub(super) fn options_over(file: &Path, filter: &[u8], plugin: Plugin, below: Input) -> Result<Options, Failure> {
    let stubs = plugin.stubs_unknown_imports();
    plugin.resolve(below).map_err(|failure| {
        let mut problems = check(filter, stubs);
        problems.retain(|problem| problem.severity() == Severity::Error);
        if problems.is_empty() {
            return failure;
        }
        Failure::Several(vec![Failure::Library { file: shown(file), error: Error::Filter(problems) }, failure])
    })
}

/// The module in a file of WebAssembly's binary or text format.
pub(super) fn read_module(file: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = read(file)?;
    let failed = |problem| Failure::Library { file: shown(file), error: Error::Filter(vec![problem]) };
    assemble(&bytes).map(std::borrow::Cow::into_owned).map_err(failed)
}
