//! Reading filters, or stdin, and what is said of them.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use proxy_wasm_adapter::error::Severity;
use proxy_wasm_adapter::settings::Input;
use proxy_wasm_adapter::wasi::Next;
use proxy_wasm_adapter::{Error, FilterProblem, Options, assemble, check};

use super::failure::{Failure, Message, reason};
use super::plugin::AdaptOptions;
use super::report::Reporter;

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

/// Refuses to read stdin twice.
pub(super) fn check_stdin(files: &[PathBuf]) -> Result<(), Failure> {
    if files.iter().filter(|file| is_stdin(file)).count() > 1 {
        return Err(Failure::Usage {
            message: "more than one file is to be read from stdin".into(),
            help: "Name a file for all but one.".into(),
        });
    }
    Ok(())
}

/// The module in a file of WebAssembly's binary or text format.
pub(super) fn read_module(file: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = read(file)?;
    let failed = |problem| Failure::filter(shown(file), vec![problem]);
    assemble(&bytes).map(std::borrow::Cow::into_owned).map_err(failed)
}

/// A file that a command was given, and what it holds.
pub(super) struct Module {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
}

impl AsRef<[u8]> for Module {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What messages call the files of these modules.
pub(super) fn names(modules: &[Module]) -> Vec<String> {
    modules.iter().map(|module| shown(&module.path)).collect()
}

/// Refuses filters that the settings give to other plugins than the command does.
fn check_order(files: &[PathBuf], settings: &Input) -> Result<(), Failure> {
    if settings.plugin.len() != files.len() {
        return Ok(());
    }
    let named = |at: usize| settings.plugin.get(at)?.filter.as_deref()?.file_name();
    for (at, file) in files.iter().enumerate() {
        let is_named = |other: usize| file.file_name().is_some_and(|name| named(other) == Some(name));
        if let Some(other) = (0..files.len()).find(|other| is_named(*other)).filter(|_| !is_named(at)) {
            return Err(Failure::Usage {
                message: format!(
                    "`{}` is filter {} of the command, and of plugin {} in the settings",
                    shown(file),
                    at + 1,
                    other + 1
                ),
                help:
                    "Give the filters in the order of the settings, or none: they are read from where the settings say."
                        .into(),
            });
        }
    }
    Ok(())
}

/// Filters, or a component, and what was said of them, with nothing checked.
pub(super) struct Given {
    pub(super) modules: Vec<Module>,
    plugin: AdaptOptions,
    input: Result<Input, Failure>,
    /// What is to be said of the settings, though they are right.
    warning: Option<Message>,
}

impl Given {
    /// Reads these files, or else those that the settings name.
    pub(super) fn read(files: Vec<PathBuf>, plugin: AdaptOptions) -> Result<Self, Failure> {
        let file = plugin.settings();
        let warning = file.as_ref().ok().and_then(|file| plugin.outdoes(file));
        let input = file.map(|file| plugin.own().over(file));
        let (files, input, by_settings) = match (files.is_empty(), input) {
            (false, input) => {
                input.as_ref().map_or(Ok(()), |input| check_order(&files, input))?;
                (files, input, None)
            }
            (true, input) => {
                let input = input?;
                (input.filters().map_err(Failure::settings)?, Ok(input), plugin.settings_file())
            }
        };
        check_stdin(&files)?;
        let (mut modules, mut failures) = (Vec::new(), Vec::new());
        for (index, path) in files.into_iter().enumerate() {
            match (read_module(&path), &by_settings) {
                (Ok(bytes), _) => modules.push(Module { path, bytes }),
                (Err(Failure::Read { file, error }), Some(settings)) => {
                    failures.push(Failure::ReadNamed { file, settings: settings.clone(), plugin: index + 1, error });
                }
                (Err(failure), _) => failures.push(failure),
            }
        }
        if failures.is_empty() { Ok(Self { modules, plugin, input, warning }) } else { Err(Failure::all(failures)) }
    }

    /// Says what may not be meant like this.
    pub(super) fn warn(&self, reporter: &Reporter) {
        self.warning.iter().for_each(|warning| reporter.message(warning));
    }

    /// Whether options for adapting were given.
    pub(super) fn has_options(&self) -> bool {
        self.plugin.is_given()
    }

    /// Whether they are middleware.
    pub(super) fn has_next(&self) -> bool {
        self.input.as_ref().is_ok_and(|input| input.next.is_some())
    }

    /// The component that is linked behind them, where a file is named.
    pub(super) fn next(&self) -> Option<PathBuf> {
        match self.input.as_ref().ok()?.next.as_ref()? {
            Next::Component(file) => Some(file.clone()),
            Next::Handler => None,
        }
    }

    /// The filters, and how to adapt them; what is not said of that is taken from `below`. What is wrong with either is told
    /// at once.
    pub(super) fn options(self, below: Input) -> Result<(Vec<Module>, Options), Failure> {
        let Self { modules, plugin, input, .. } = self;
        let profile = input.as_ref().ok().and_then(|input| input.profile).or(below.profile).unwrap_or_default();
        let read = |file: &Path| fs::read(file).map_err(|error| reason(&error));
        let located = |problems| Failure::settings(plugin.located(problems));
        let resolve = |input: Input| input.over(below).resolve(modules.len(), &read).map_err(located);
        let with_shim = |options: Options| Ok(Options { shim: plugin.shim(options.wasi)?, ..options });
        let options = input.and_then(resolve).and_then(with_shim);
        match options {
            Ok(options) => Ok((modules, options)),
            Err(failure) => {
                // Each filter once.
                let is_first = |(index, module): &(usize, &Module)| {
                    modules.iter().position(|other| other.bytes == module.bytes) == Some(*index)
                };
                let problems = modules.iter().enumerate().filter(is_first).flat_map(|(index, module)| {
                    let mut problems = check(&module.bytes, plugin.stubs_unknown_imports(), profile);
                    problems.retain(|problem| problem.severity() == Severity::Error);
                    problems.into_iter().map(move |problem| FilterProblem { plugin: Some(index), problem })
                });
                let problems: Vec<_> = problems.collect();
                let filters = (!problems.is_empty())
                    .then(|| Failure::Library { files: names(&modules), error: Error::Filter(problems) });
                Err(Failure::all(filters.into_iter().chain([failure]).collect()))
            }
        }
    }
}
