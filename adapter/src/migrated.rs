//! Configurations of Envoy as the input of a command: their files, the code that they name, and what becomes of a listener.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proxy_wasm_abi::settings::Profile;
use proxy_wasm_adapter::bundle::{self, Named};
use proxy_wasm_adapter::error::Severity;
use proxy_wasm_adapter::{Error, Options, check, is_component};
use proxy_wasm_adapter_compare::original::{Code, Original};
use proxy_wasm_adapter_migrate::{self as migrate, Component, File, Finding, Kind, Migration, Outcome, Wanted};

use super::failure::{Failure, Message};
use super::input;
use super::oci;
use super::plugin::{self, AdaptOptions};
use super::report::Reporter;

/// Where code is that is not where a configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
#[group(skip)]
pub(super) struct CodeOptions {
    /// Code that is not where the configuration says, by the plugin's name, or by its path there or the last part of that: a
    /// module, an image's layout, or an archive as `docker save` writes it
    #[arg(long, value_name = "NAME=FILE", value_parser = parse_code, help_heading = "Configuration of Envoy")]
    code: Vec<(String, PathBuf)>,

    /// A directory with code, by the last part of its path in the configuration; `NAME.wasm`, `NAME.tar` or a layout there
    #[arg(long, value_name = "DIR", help_heading = "Configuration of Envoy")]
    code_dir: Vec<PathBuf>,

    /// The one listener to take
    #[arg(long, value_name = "NAME", help_heading = "Configuration of Envoy")]
    pub(super) listener: Option<String>,

    /// What the files are, where that can't be recognized
    #[arg(
        long,
        value_name = "KIND",
        value_parser = plugin::named(Kind::ALL, Kind::name),
        help_heading = "Configuration of Envoy"
    )]
    from: Option<Kind>,
}

fn parse_code(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => Ok((name.into(), file.into())),
        _ => Err("write NAME=FILE".into()),
    }
}

/// The last part of a path or an address, without a tag.
fn base_name(from: &str) -> &str {
    let path = from.split(['?', '#', '@']).next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    name.split(':').next().unwrap_or_default()
}

/// By which names `--code` knows it.
fn names(wanted: Wanted<'_>) -> [&str; 3] {
    [wanted.plugin, wanted.from, base_name(wanted.from)]
}

/// Whether it is an image's layout on disk.
fn is_layout(directory: &Path) -> bool {
    directory.join("index.json").is_file()
}

impl CodeOptions {
    /// The option that was given of those which say how to read a configuration, and where its filters are.
    pub(super) fn about_code(&self) -> Option<&'static str> {
        let said = [
            ("--code", !self.code.is_empty()),
            ("--code-dir", !self.code_dir.is_empty()),
            ("--from", self.from.is_some()),
        ];
        said.into_iter().find(|(_, is_said)| *is_said).map(|(option, _)| option)
    }

    /// The file that has this code; `files` are those of the configuration.
    fn file(&self, files: &[PathBuf], wanted: Wanted<'_>) -> Option<PathBuf> {
        let base = base_name(wanted.from);
        if let Some((_, file)) = self.code.iter().find(|(name, _)| names(wanted).contains(&name.as_str())) {
            return Some(file.clone());
        }
        let local = wanted.from.strip_prefix("file://").unwrap_or(wanted.from);
        let beside = files.iter().filter_map(|file| Some(file.parent()?.join(local)));
        let forms = |directory: &PathBuf| {
            [base.to_owned(), format!("{base}.wasm"), format!("{base}.tar")].map(|name| directory.join(name))
        };
        let in_directories = self.code_dir.iter().flat_map(forms).filter(|file| file.is_file() || is_layout(file));
        // A directory is named to be looked into before what happens to lie about.
        in_directories.chain(beside.chain([PathBuf::from(local)]).filter(|file| file.is_file())).next()
    }

    /// The code in a file; that of an image, if it is one.
    fn read(file: &Path) -> Result<Vec<u8>, Failure> {
        match oci::filter(file) {
            Some(Ok(bytes)) => Ok(bytes),
            Some(Err(why)) => Err(Failure::Migration(vec![Message {
                severity: Severity::Error,
                text: format!("`{}` is an image, and {why}", file.display()),
                help: Some("Give the filter itself, or another copy of the image.".into()),
            }])),
            None => {
                let read = fs::read(file).map_err(|error| Failure::Read { file: input::shown(file), error })?;
                // What is wrong with text is told of the filter, later.
                Ok(proxy_wasm_adapter::assemble(&read).map_or(read.clone(), Cow::into_owned))
            }
        }
    }

    /// Whether any of them was given.
    pub(super) fn is_given(&self) -> bool {
        *self != Self::default()
    }

    /// Migrates files, with the code that they name.
    pub(super) fn migrate(&self, paths: &[PathBuf], upstream: Option<&str>) -> Result<Read, Failure> {
        let (mut files, mut failures) = (Vec::new(), Vec::new());
        for path in paths {
            match input::read(path) {
                Ok(bytes) => files.push(File { name: input::shown(path), bytes }),
                Err(failure) => failures.push(failure),
            }
        }
        for directory in &self.code_dir {
            if let Err(error) = fs::read_dir(directory) {
                failures.push(Failure::Read { file: input::shown(directory), error });
            }
        }
        if !failures.is_empty() {
            return Err(Failure::all(failures));
        }
        let (code, failures) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let asked = RefCell::new(Vec::new());
        let find = |wanted: Wanted<'_>| {
            asked.borrow_mut().extend(names(wanted).map(str::to_owned));
            let file = self.file(paths, wanted)?;
            let read = Self::read(&file).and_then(|bytes| {
                let is_none = is_component(&bytes).then(|| check(&bytes, false, Profile::default()));
                let failed = |problems| Failure::filter(input::shown(&file), problems);
                is_none.map_or(Ok(bytes), |problems| Err(failed(problems)))
            });
            let bytes = read.map_err(|failure| failures.borrow_mut().push(failure)).ok()?;
            let (plugin, from) = (wanted.plugin.to_owned(), wanted.from.to_owned());
            code.borrow_mut().push(Code { plugin, from, bytes: bytes.clone() });
            Some(bytes)
        };
        let options = migrate::Options { find: &find, upstream, listener: self.listener.as_deref(), from: self.from };
        let migration = migrate::migrate(&files, &options);
        let failures = failures.into_inner();
        if !failures.is_empty() {
            return Err(Failure::all(failures));
        }
        let asked = asked.into_inner();
        let unused = self.code.iter().map(|(name, _)| name).filter(|name| !asked.contains(name)).cloned();
        // Nobody asks for that of other listeners.
        let unused = if self.listener.is_none() { unused.collect() } else { Vec::new() };
        let code = code.into_inner();
        Ok(Read { files, from: self.from, migration, code, unused })
    }
}

/// What was read, and what became of it.
pub(super) struct Read {
    files: Vec<File>,
    from: Option<Kind>,
    pub(super) migration: Migration,
    code: Vec<Code>,
    /// The names for which there is code that nothing asks for.
    unused: Vec<String>,
}

/// What a component is made of.
pub(super) struct Migrated {
    pub(super) filters: Vec<Named>,
    pub(super) options: Options,
}

/// There is no telling which of these is meant.
pub(super) fn several_listeners<'a>(listeners: impl Iterator<Item = &'a str>) -> Failure {
    let mut names: Vec<String> = listeners.map(|listener| format!("`--listener {listener}`")).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    let help = match names.len() == count {
        true => format!("Choose one: {}.", names.join(", ")),
        false => "Some have the same name: give their files one by one, or rename them.".into(),
    };
    Failure::Usage { message: format!("{count} listeners have Wasm filters, and each is a component of its own"), help }
}

/// Something is left behind by which Envoy keeps requests out, as was said there.
pub(super) fn unguarded(severity: Severity, place: &str) -> Message {
    Message {
        severity,
        text: format!("requests pass that Envoy refuses: see what is `unguarded` {place}"),
        help: Some(
            "Have them refused in front of `serve`, or by a filter; then serve with `--allow-unguarded`.".into(),
        ),
    }
}

/// A finding as something to say.
pub(super) fn message(finding: &Finding) -> Message {
    let severity = if finding.outcome == Outcome::Wrong { Severity::Error } else { Severity::Warning };
    let help = (!finding.remedy.is_empty()).then(|| finding.remedy.clone());
    Message { severity, text: format!("{}: {finding}", finding.outcome), help }
}

impl Read {
    /// Says which code was given for nothing: its name may be mistyped.
    pub(super) fn warn_of_unused(&self, reporter: &Reporter) {
        let known: BTreeSet<_> = self.code.iter().map(|code| format!("`{}`", code.plugin)).collect();
        for name in &self.unused {
            let help = match known.is_empty() {
                true => "The names of the plugins are said below, where their code is missing.".into(),
                false => format!("Code was found for {}.", known.iter().cloned().collect::<Vec<_>>().join(", ")),
            };
            let text = format!(
                "`--code {name}=…` is for nothing: no plugin of that name, and no code from there, is in the input"
            );
            reporter.message(&Message { severity: Severity::Warning, text, help: Some(help) });
        }
    }

    /// Says that `--upstream` does nothing where the input has routes of its own.
    pub(super) fn warn_of_routes(&self, reporter: &Reporter) {
        for component in self.migration.components.iter().filter(|component| component.has_routes) {
            reporter.message(&Message {
                severity: Severity::Warning,
                text: format!("`--upstream` is for nothing: `{}` has routes of its own", component.listener),
                help: Some("Leave it out; `serve --upstream URL` sends all requests to one place.".into()),
            });
        }
    }

    /// Whether something of the input is lost.
    pub(super) fn has_losses(&self) -> bool {
        self.migration.has_losses()
    }

    /// Whether something is left behind that keeps requests out.
    pub(super) fn is_unguarded(&self) -> bool {
        self.migration.is_unguarded()
    }

    /// The one component that there is; what is lost on the way is told.
    pub(super) fn only(&self, reporter: &Reporter) -> Result<&Component, Failure> {
        let of = |is: fn(Outcome) -> bool| self.migration.findings.iter().filter(move |finding| is(finding.outcome));
        if self.migration.has_errors() {
            return Err(Failure::Migration(of(|outcome| outcome == Outcome::Wrong).map(message).collect()));
        }
        let component = match self.migration.components.as_slice() {
            [component] => component,
            several => return Err(several_listeners(several.iter().map(|component| component.listener.as_str()))),
        };
        for finding in of(Outcome::is_loss) {
            reporter.message(&message(finding));
        }
        Ok(component)
    }

    /// Tells what is done in another way than Envoy's, where there is something to do about it.
    pub(super) fn warn_of_differences(&self, reporter: &Reporter) {
        let differs = |finding: &&Finding| finding.outcome == Outcome::CarriedWithDifference;
        for finding in self.migration.findings.iter().filter(differs).filter(|finding| !finding.remedy.is_empty()) {
            reporter.message(&message(finding));
        }
    }

    /// Envoy's side of a component.
    pub(super) fn original(&self, component: &Component) -> Result<Original, Failure> {
        let bootstrap = migrate::bootstrap(&self.files, self.from).ok_or_else(|| Failure::Usage {
            message: "these files are no configuration that Envoy itself can be started with".into(),
            help: "Give what the proxy has: its `/config_dump`, or `istioctl proxy-config all POD -o json`.".into(),
        })?;
        Ok(Original { bootstrap, listener: component.listener.clone(), code: self.code.clone() })
    }
}

impl Migrated {
    /// The filters of a component, and how to adapt them. `directory` is where its files are, or will be.
    pub(super) fn of(component: &Component, directory: &Path, adapt: &AdaptOptions) -> Result<Self, Failure> {
        let text = String::from_utf8_lossy(&component.settings.bytes);
        let read = |path: &Path| {
            let file = component.files.iter().find(|file| Path::new(&file.name) == path);
            file.map(|file| file.bytes.clone()).ok_or_else(|| "it is not at hand".to_owned())
        };
        let shown = |name: &Path| directory.join(name).display().to_string();
        let over = adapt.own();
        let whole = bundle::read(&shown(Path::new(&component.settings.name)), &text, over, &read);
        let (filters, options) = whole.map_err(|error| {
            let files = component.filters.iter().flatten().map(|name| shown(Path::new(name)));
            Failure::Library { files: files.collect(), error }
        })?;
        let shim = adapt.shim(options.wasi)?;
        Ok(Self { filters, options: Options { shim, ..options } })
    }

    /// The component.
    pub(super) fn adapt(&self, directory: &Path, reporter: &Reporter) -> Result<Vec<u8>, Failure> {
        let files: Vec<String> =
            self.filters.iter().map(|filter| directory.join(&filter.file).display().to_string()).collect();
        let adapted = proxy_wasm_adapter::adapt(&self.filters, &self.options);
        let adapted = adapted.map_err(|error: Error| Failure::Library { files: files.clone(), error })?;
        for warning in &adapted.warnings {
            reporter.message(&Message::of(&files, warning));
        }
        Ok(adapted.component)
    }
}
