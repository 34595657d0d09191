//! `proxy-wasm-adapter migrate`

use std::fs;
use std::path::{Path, PathBuf};

use proxy_wasm_adapter::error::Severity;
use proxy_wasm_adapter_migrate::{Host, Migration, Outcome, RunFile};

use super::exit::Code;
use super::failure::{Failure, Message};
use super::input;
use super::migrated::{self, CodeOptions, Migrated};
use super::output;
use super::plugin::{self, AdaptOptions};
use super::report::Reporter;

/// Make components of what Envoy, Istio or Envoy Gateway is configured with, and say what is left behind
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The directory gets, for each listener with Wasm filters, its settings file, its filters and the component; and migration.md \
and migration.json, which say of every part of the input what became of it.

Examples:
  proxy-wasm-adapter migrate envoy.yaml -o migrated --code-dir filters
  proxy-wasm-adapter migrate envoy.yaml --check --code-dir filters
  proxy-wasm-adapter migrate envoy.yaml -o out --code-dir filters --host spin
  proxy-wasm-adapter migrate wasmplugin.yaml -o out --code auth=auth.wasm \\
    --upstream http://web:80
  curl -s http://web:9901/config_dump | \\
    proxy-wasm-adapter migrate - -o out --code-dir filters")]
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

    /// Where requests go, for input that has no routes
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,

    /// Write the files by which this host runs the component, too; may be repeated
    #[arg(long, value_name = "HOST", value_parser = plugin::named(Host::ALL, Host::name))]
    host: Vec<Host>,

    #[command(flatten)]
    code: CodeOptions,
}

pub(super) fn run(args: &Args, reporter: &Reporter) -> Result<Code, Failure> {
    input::check_stdin(&args.files)?;
    let read = args.code.migrate(&args.files, args.upstream.as_deref())?;
    read.warn_of_unused(reporter);
    if args.upstream.is_some() {
        read.warn_of_routes(reporter);
    }
    let migration = &read.migration;
    for finding in migration.findings.iter().filter(|finding| finding.outcome != Outcome::Carried) {
        reporter.message(&migrated::message(finding));
    }
    if migration.is_unguarded() && !migration.has_errors() {
        reporter.message(&migrated::unguarded(Severity::Warning, "above"));
    }
    if args.json {
        output::stdout(format!("{}\n", migration.to_json()).as_bytes())?;
    }
    if let (Some(directory), false) = (&args.output, args.check) {
        write(directory, migration, &args.host, reporter)?;
    }
    if args.check {
        check(migration)?;
    }
    let code = code(args, migration);
    if code == Code::Lost {
        let option = if args.strict { "--strict" } else { "--check" };
        reporter.message(&Message {
            severity: Severity::Error,
            text: format!("something of the input is left behind, which `{option}` takes for an error"),
            help: Some(
                "Mend what is said above, or leave it behind knowingly: without the option it is no error.".into(),
            ),
        });
    }
    Ok(code)
}

/// Whether the settings can be read from which each component would be made.
fn check(migration: &Migration) -> Result<(), Failure> {
    let whole = migration
        .components
        .iter()
        .filter(|component| component.is_whole() && component.is_routed && !migration.has_errors());
    let read = whole.map(|component| Migrated::of(component, Path::new(""), &AdaptOptions::default()));
    let failures: Vec<Failure> = read.filter_map(Result::err).collect();
    if failures.is_empty() { Ok(()) } else { Err(Failure::all(failures)) }
}

fn code(args: &Args, migration: &Migration) -> Code {
    match () {
        () if migration.has_errors() => Code::Settings,
        () if (args.check || args.strict) && migration.has_losses() => Code::Lost,
        () => Code::Done,
    }
}

fn write(directory: &Path, migration: &Migration, hosts: &[Host], reporter: &Reporter) -> Result<(), Failure> {
    let option = "-o";
    let make = |directory: &Path| {
        let failed = |error| Failure::Write { file: directory.display().to_string(), option: Some(option), error };
        fs::create_dir_all(directory).map_err(failed)
    };
    make(directory)?;
    let write = |name: &str, bytes: &[u8]| output::write(&directory.join(name), bytes, option);
    // The report first: it is of use, too, where a component can't be made.
    write("migration.md", migration.to_markdown(hosts).as_bytes())?;
    write("migration.json", migration.to_json().as_bytes())?;
    if migration.has_errors() {
        // The input means something else than its settings would say: a plugin may be missing in them.
        reporter.message(&Message {
            severity: Severity::Error,
            text: format!("nothing but the report is written to `{}`", directory.display()),
            help: Some("Mend what is wrong, and migrate again.".into()),
        });
        return Ok(());
    }
    let mut failures = Vec::new();
    for component in &migration.components {
        for file in component.files.iter().chain([&component.settings]) {
            write(&file.name, &file.bytes)?;
        }
        for RunFile { file, .. } in hosts.iter().flat_map(|host| component.run_files(*host)) {
            make(directory.join(&file.name).parent().unwrap_or(directory))?;
            write(&file.name, &file.bytes)?;
        }
        let file = format!("{}.component.wasm", component.name);
        let adapted = || Migrated::of(component, directory, &AdaptOptions::default())?.adapt(directory, reporter);
        if !component.is_routed {
            failures.push(Failure::Migration(vec![Message {
                severity: Severity::Error,
                text: format!(
                    "`{file}` is not written to `{}`: where its requests go is not known",
                    directory.display()
                ),
                help: Some("Give `--upstream URL`, or what the proxy itself has: its `/config_dump`.".into()),
            }]));
        }
        match (component.is_whole() && component.is_routed).then(adapted).transpose() {
            Ok(Some(bytes)) => write(&file, &bytes)?,
            made => {
                // One that an earlier migration left there is not of these settings.
                let _ = fs::remove_file(directory.join(file));
                failures.extend(made.err());
            }
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(Failure::all(failures)) }
}
