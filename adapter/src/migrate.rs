//! `proxy-wasm-adapter migrate`

use std::fs;
use std::path::{Path, PathBuf};

use proxy_wasm_adapter::error::Severity;
use proxy_wasm_adapter::{Error, adapt, assemble, settings};
use proxy_wasm_adapter_migrate::{Component, File, Migration, Options, Outcome, Wanted, migrate};

use super::exit::Code;
use super::failure::{Failure, Message, reason};
use super::plugin::AdaptOptions;
use super::report::Reporter;
use super::{input, output};

/// Make components of what Envoy, Istio or Envoy Gateway is configured with, and say what is left behind
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The directory gets, for each listener with Wasm filters, its settings file, its filters and the component; and migration.md
and migration.json, which say of every part of the input what became of it.

Examples:
  proxy-wasm-adapter migrate envoy.yaml -o migrated
  proxy-wasm-adapter migrate envoy.yaml --check
  proxy-wasm-adapter migrate wasmplugin.yaml -o migrated --code auth=auth.wasm --upstream http://127.0.0.1:9000
  curl -s http://127.0.0.1:9901/config_dump | proxy-wasm-adapter migrate - -o migrated --code-dir filters")]
pub(super) struct Args {
    /// Configurations in YAML or JSON, which are taken together; `-` is stdin
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// The directory to write into; it is made if need be
    #[arg(short, long, value_name = "DIR", required_unless_present = "check")]
    output: Option<PathBuf>,

    /// Write nothing; exit with 7 if anything of the input is lost
    #[arg(long)]
    check: bool,

    /// Take any loss for an error: exit with 7
    #[arg(long)]
    strict: bool,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,

    /// Code that is not where the input says, by the plugin's name, or by its path there or the last part of that
    #[arg(long, value_name = "NAME=FILE", value_parser = parse_code)]
    code: Vec<(String, PathBuf)>,

    /// A directory with code, by the last part of its path in the input
    #[arg(long, value_name = "DIR")]
    code_dir: Vec<PathBuf>,

    /// Where requests go, for input that has no routes
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,

    /// The one listener to take
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
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

impl Args {
    /// The file that has this code.
    fn code_file(&self, wanted: Wanted<'_>) -> Option<PathBuf> {
        let base = base_name(wanted.from);
        let names = [wanted.plugin, wanted.from, base];
        if let Some((_, file)) = self.code.iter().find(|(name, _)| names.contains(&name.as_str())) {
            return Some(file.clone());
        }
        let local = wanted.from.strip_prefix("file://").unwrap_or(wanted.from);
        let beside = self.files.iter().filter_map(|file| Some(file.parent()?.join(local)));
        let in_directories =
            self.code_dir.iter().flat_map(|directory| [directory.join(base), directory.join(format!("{base}.wasm"))]);
        // A directory is named to be looked into before what happens to lie about.
        in_directories.chain(beside).chain([PathBuf::from(local)]).find(|file| file.is_file())
    }
}

pub(super) fn run(args: &Args, reporter: &Reporter) -> Result<Code, Failure> {
    let (mut files, mut failures) = (Vec::new(), Vec::new());
    for file in &args.files {
        match input::read(file) {
            Ok(bytes) => files.push(File { name: input::shown(file), bytes }),
            Err(failure) => failures.push(failure),
        }
    }
    if !failures.is_empty() {
        return Err(Failure::all(failures));
    }
    let find = |wanted: Wanted<'_>| fs::read(args.code_file(wanted)?).ok();
    let options = Options { find: &find, upstream: args.upstream.as_deref(), listener: args.listener.as_deref() };
    let migration = migrate(&files, &options);
    for finding in migration.findings.iter().filter(|finding| finding.outcome != Outcome::Carried) {
        let severity = if finding.outcome == Outcome::Wrong { Severity::Error } else { Severity::Warning };
        let help = (!finding.remedy.is_empty()).then(|| finding.remedy.clone());
        reporter.message(&Message { severity, text: format!("{}: {finding}", finding.outcome), help });
    }
    if args.json {
        output::stdout(format!("{}\n", migration.to_json()).as_bytes())?;
    }
    if let (Some(directory), false) = (&args.output, args.check) {
        write(directory, &migration, reporter)?;
    }
    Ok(code(args, &migration))
}

fn code(args: &Args, migration: &Migration) -> Code {
    match () {
        () if migration.has_errors() => Code::Settings,
        () if (args.check || args.strict) && migration.has_losses() => Code::Lost,
        () => Code::Done,
    }
}

fn write(directory: &Path, migration: &Migration, reporter: &Reporter) -> Result<(), Failure> {
    let option = "-o";
    fs::create_dir_all(directory).map_err(|error| Failure::Write {
        file: directory.display().to_string(),
        option: Some(option),
        error,
    })?;
    let write = |name: &str, bytes: &[u8]| output::write(&directory.join(name), bytes, option);
    // The report first: it is of use, too, where a component can't be made.
    write("migration.md", migration.to_markdown().as_bytes())?;
    write("migration.json", migration.to_json().as_bytes())?;
    let mut failures = Vec::new();
    for component in &migration.components {
        for file in component.files.iter().chain([&component.settings]) {
            write(&file.name, &file.bytes)?;
        }
        // With an error in it the input means something else than its settings say.
        if !component.is_whole() || migration.has_errors() {
            continue;
        }
        match build(directory, component, reporter) {
            Ok(bytes) => write(&format!("{}.component.wasm", component.name), &bytes)?,
            Err(failure) => failures.push(failure),
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(Failure::all(failures)) }
}

/// The component of these settings.
fn build(directory: &Path, component: &Component, reporter: &Reporter) -> Result<Vec<u8>, Failure> {
    let file = |name: &str| directory.join(name).display().to_string();
    let text = String::from_utf8_lossy(&component.settings.bytes);
    let wrong = |problem| Failure::settings(vec![problem]);
    let input = settings::parse(&file(&component.settings.name), &text).map_err(wrong)?.relative_to(directory);
    let names: Vec<&String> = component.filters.iter().flatten().collect();
    let mut filters = Vec::new();
    for name in &names {
        let bytes = component.files.iter().find(|file| file.name == **name).map(|file| file.bytes.as_slice());
        let module =
            assemble(bytes.unwrap_or_default()).map_err(|problem| Failure::filter(file(name), vec![problem]))?;
        filters.push(module);
    }
    let read = |file: &Path| fs::read(file).map_err(|error| reason(&error));
    let options = input.resolve(filters.len(), &read).map_err(Failure::settings)?;
    let shim = AdaptOptions::default().shim(options.wasi)?;
    let files: Vec<String> = names.into_iter().map(|name| file(name)).collect();
    let options = proxy_wasm_adapter::Options { shim, ..options };
    let adapted = adapt(&filters, &options).map_err(|error: Error| Failure::Library { files: files.clone(), error })?;
    for warning in &adapted.warnings {
        reporter.message(&Message::of(&files, warning));
    }
    Ok(adapted.component)
}
