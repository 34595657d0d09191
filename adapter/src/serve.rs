//! `proxy-wasm-adapter serve`

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use proxy_wasm_adapter::composition::{Hop, takes_exchanges};
use proxy_wasm_adapter::error::Severity;
use proxy_wasm_adapter::exports::Exports;
use proxy_wasm_adapter::settings::Input;
use proxy_wasm_adapter::wasi::Wasi;
use proxy_wasm_adapter::{Options, adapt, is_component};
use proxy_wasm_adapter_serve::{self as serve, Drive, FailurePolicy, ServerNameOf};
use serde_json::Value;

use super::compose;
use super::exit::Code;
use super::failure::{Failure, Message};
use super::help::{QUANTITIES, SETTINGS_FILE};
use super::input::{self, Given};
use super::migrated::{self, CodeOptions, Migrated};
use super::plugin::{self, AdaptOptions};
use super::report::Reporter;

/// The file of a directory that `migrate` wrote which says what is in it.
const REPORT: &str = "migration.json";

/// Serve filters, or a component that `adapt` made, or another service for WASI 0.3: for development and small deployments
#[derive(Debug, clap::Args)]
#[command(after_help = help())]
pub(super) struct Args {
    /// A filter, or several as a chain, or a component; `-` is stdin. Or a configuration of Envoy's (`.yaml`, `.json`), to
    /// migrate and serve, or a directory that `migrate` wrote
    #[arg(required_unless_present = "settings", value_name = "FILE")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    code: CodeOptions,

    /// Serve nothing of which something is lost: exit with 7
    #[arg(long, help_heading = "Configuration of Envoy")]
    strict: bool,

    /// Serve although something is left behind by which Envoy keeps requests out, such as `jwt_authn`: they are refused
    /// elsewhere
    #[arg(long, help_heading = "Configuration of Envoy")]
    allow_unguarded: bool,

    #[command(flatten)]
    plugin: AdaptOptions,

    #[command(flatten)]
    host: serve::Options,
}

fn help() -> String {
    format!(
        "{SETTINGS_FILE}
{QUANTITIES}
Examples:
  proxy-wasm-adapter serve filter.wasm --upstream http://127.0.0.1:9000
  proxy-wasm-adapter serve filter.component.wasm --listen 127.0.0.1:0
  proxy-wasm-adapter serve --settings chain.toml
  proxy-wasm-adapter serve filter.wasm --next service.wasm
  proxy-wasm-adapter serve envoy.yaml --code-dir filters
  proxy-wasm-adapter serve migrated

Limits that no option sets:
  60 KiB  the head of a request: 431
  80 KiB  the head of an upstream's response: 502
  5 min   in which a client takes nothing of a complete response: closed
  5 s     for a filter to end a request whose client has left
  1 s     or 16 MiB for the rest of a request that was answered early
  1 s     for connections without a request to end, when `serve` is told to
  15 s    for callouts on their way from an instance that has served enough
  60 s    after which an idle instance is dropped, save the last
  8 MiB   of log lines that wait for a reader; lost ones are counted, and told
  16      connections to `--admin`; the longest idle one makes room"
    )
}

pub(super) fn run(args: Args, reporter: &Reporter) -> Result<Code, Failure> {
    let Args { files, code, strict, allow_unguarded, mut plugin, mut host } = args;
    check_drive(&host)?;
    let component = match Source::of(files)? {
        Source::Filters(files) => {
            if code.is_given() || strict || allow_unguarded {
                return Err(Failure::Usage {
                    message:
                        "`--code`, `--code-dir`, `--listener`, `--from`, `--strict` and `--allow-unguarded` are of a \
                              configuration of Envoy's"
                            .into(),
                    help: "Serve one, such as `envoy.yaml`, or leave them out.".into(),
                });
            }
            of_filters(files, plugin, &host, reporter)?
        }
        Source::Directory(directory) => {
            if let Some(option) = code.about_code() {
                let why = format!("what `migrate` wrote into `{}` names its filters", directory.display());
                return Err(without_effect(option, &why, "Leave it out, or serve the configuration itself."));
            }
            let written = Written::read(&directory, code.listener.as_deref())?;
            if strict && written.has_losses {
                return Ok(lost(&directory.join(REPORT).display().to_string(), reporter));
            }
            if written.is_unguarded && !allow_unguarded {
                reporter.message(&migrated::unguarded(
                    Severity::Error,
                    &format!("in `{}`", directory.join("migration.md").display()),
                ));
                return Ok(Code::Lost);
            }
            follow(&mut host, &written.options);
            plugin = plugin.with_settings(directory.join(written.settings))?;
            of_filters(Vec::new(), plugin, &host, reporter)?
        }
        Source::Envoy(files) => {
            input::check_stdin(&files)?;
            plugin.check_sole(&format!("`{}`", input::shown(&files[0])))?;
            let read = code.migrate(&files, plugin.upstream())?;
            read.warn_of_unused(reporter);
            let component = read.only(reporter)?;
            read.warn_of_differences(reporter);
            if strict && read.has_losses() {
                return Ok(lost(&input::shown(&files[0]), reporter));
            }
            if read.is_unguarded() && !allow_unguarded {
                reporter.message(&migrated::unguarded(Severity::Error, "above"));
                return Ok(Code::Lost);
            }
            if let (Some(option), true) = (plugin.sole_route(), component.has_routes) {
                reporter.message(&plugin::counts_over(option, &component.listener));
            }
            follow(&mut host, &component.serve_options);
            let mut migrated = Migrated::of(component, Path::new(""), &plugin)?;
            suit(&mut migrated.options, plugin.asks_for_exports(), &host);
            plugin::check_complete("serve", &migrated.options)?;
            migrated.adapt(Path::new(""), reporter)?
        }
    };
    check_kind(&component, &host)?;
    serve::run(component, host).map_err(Failure::Serve)?;
    Ok(Code::Done)
}

/// Says that `--strict` has an effect.
fn lost(of: &str, reporter: &Reporter) -> Code {
    reporter.message(&Message {
        severity: Severity::Error,
        text: format!("`{of}` is not served: something of it is lost, and `--strict` was given"),
        help: Some("Mend what is said to be lost, or leave out `--strict`.".into()),
    });
    Code::Lost
}

/// What there is to serve.
enum Source {
    /// Filters, or a component, or what settings name.
    Filters(Vec<PathBuf>),
    /// What `migrate` wrote.
    Directory(PathBuf),
    /// Configurations of Envoy's.
    Envoy(Vec<PathBuf>),
}

impl Source {
    fn of(files: Vec<PathBuf>) -> Result<Self, Failure> {
        let is_text = |file: &PathBuf| {
            let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known))
        };
        match files.as_slice() {
            [directory] if directory.is_dir() => Ok(Self::Directory(directory.clone())),
            [_, ..] if files.iter().all(is_text) => Ok(Self::Envoy(files)),
            _ => match files.iter().find(|file| is_text(file) || file.is_dir()) {
                Some(whole) => Err(Failure::Usage {
                    message: format!("`{}` names its filters itself, so others can't be served with it", whole.display()),
                    help: "Give it alone. `--code` and `--code-dir` say where the filters of a configuration of Envoy's are."
                        .into(),
                }),
                None => Ok(Self::Filters(files)),
            },
        }
    }
}

/// A component of a directory that `migrate` wrote.
struct Written {
    settings: String,
    /// The options that `migrate` gives `serve`.
    options: Vec<String>,
    has_losses: bool,
    /// Something is left behind that keeps requests out.
    is_unguarded: bool,
}

impl Written {
    fn read(directory: &Path, listener: Option<&str>) -> Result<Self, Failure> {
        let file = directory.join(REPORT);
        let none = |why: String| Failure::Usage {
            message: format!("`{}` is no directory that `migrate` wrote: {why}", directory.display()),
            help: "Write one: `proxy-wasm-adapter migrate envoy.yaml -o DIR`; or serve a file.".into(),
        };
        let bytes = match fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(none(format!("`{REPORT}` is not in it")));
            }
            Err(error) => return Err(Failure::Read { file: file.display().to_string(), error }),
        };
        let report: Value = serde_json::from_slice(&bytes).map_err(|error| none(format!("`{REPORT}`: {error}")))?;
        let findings = report["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
        if findings.iter().any(|finding| finding["outcome"] == "wrong") {
            return Err(Failure::Migration(vec![Message {
                severity: Severity::Error,
                text: format!(
                    "`{}` is of a migration whose input is wrong, and may lack a filter",
                    directory.display()
                ),
                help: Some(format!("Mend what `{}` says is wrong, and migrate again.", file.display())),
            }]));
        }
        let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let all = report["components"].as_array().map(Vec::as_slice).unwrap_or_default();
        let wanted = |one: &&Value| {
            listener.is_none_or(|wanted| [text(one, "listener"), text(one, "name")].contains(&wanted.to_owned()))
        };
        let found: Vec<&Value> = all.iter().filter(wanted).collect();
        let component = match found.as_slice() {
            [component] => *component,
            [] => return Err(none("there is no such component in it".into())),
            several => {
                let names: Vec<String> = several.iter().map(|one| text(one, "name")).collect();
                return Err(migrated::several_listeners(names.iter().map(String::as_str)));
            }
        };
        let options: Vec<String> = component["serve_options"]
            .as_array()
            .map(|options| options.iter().filter_map(|option| option.as_str().map(str::to_owned)).collect())
            .unwrap_or_default();
        let is_of_it = |finding: &&Value| finding["listener"].is_null() || finding["listener"] == component["listener"];
        let count = |outcomes: &[&str]| {
            let of_these =
                |finding: &&Value| finding["outcome"].as_str().is_some_and(|outcome| outcomes.contains(&outcome));
            findings.iter().filter(is_of_it).filter(of_these).count()
        };
        Ok(Self {
            settings: text(component, "settings"),
            options,
            has_losses: count(&["not_carried", "unguarded", "unknown"]) > 0,
            is_unguarded: count(&["unguarded"]) > 0,
        })
    }
}

/// Takes up the options that `migrate` gives `serve`; what the command says itself counts over them.
fn follow(host: &mut serve::Options, options: &[String]) {
    for pair in options.chunks_exact(2) {
        let [option, value] = pair else { continue };
        match option.as_str() {
            "--failure-policy" => {
                host.failure_policy = host.failure_policy.or_else(|| FailurePolicy::from_str(value, false).ok());
            }
            "--stat-prefix" if host.stat_prefix == serve::Options::default().stat_prefix => {
                host.stat_prefix.clone_from(value);
            }
            "--upstream-sni" => {
                let name = ServerNameOf::parse(value).ok();
                let said = |name: &ServerNameOf| host.upstream_sni.iter().any(|own| own.authority == name.authority);
                let name = name.filter(|name| !said(name));
                host.upstream_sni.extend(name);
            }
            _ => {}
        }
    }
}

/// Says that an option has no effect.
fn without_effect(option: &str, why: &str, help: &str) -> Failure {
    Failure::Usage { message: format!("`{option}` would do nothing: {why}"), help: help.into() }
}

/// Refuses options that mean nothing to a component of its kind.
fn check_kind(component: &[u8], host: &serve::Options) -> Result<(), Failure> {
    let is_of_02 = || takes_exchanges(component) || Hop::of(component) == Some(Hop::ServiceOf02);
    if host.max_instance_concurrency.is_some() && is_of_02() {
        let why = "on WASI 0.2 an instance has one request at a time by `wasi:http`, and any number by exchanges";
        return Err(without_effect("--max-instance-concurrency", why, "Leave it out, or adapt for WASI 0.3."));
    }
    let option = match (host.vms, host.drive) {
        (Some(_), _) => "--vms",
        (None, Some(Drive::Exchange)) => "--drive exchange",
        _ => return Ok(()),
    };
    let (why, help) = match Hop::of(component) {
        Some(Hop::Service) => ("on WASI 0.3 requests go by `wasi:http`", "Leave it out, or adapt for WASI 0.2."),
        // That it has no exchanges is said where `--drive` asks for them.
        _ if host.vms.is_some() && host.failure_policy == Some(FailurePolicy::Open) => {
            ("with `--failure-policy open` requests go by `wasi:http`", "Leave it out.")
        }
        _ if host.vms.is_some() && !takes_exchanges(component) => {
            ("the component takes requests by `wasi:http` alone", "Leave it out, or adapt with `--exports exchange`.")
        }
        _ => return Ok(()),
    };
    Err(without_effect(option, why, help))
}

/// Refuses options that mean nothing in the way in which requests are to go, or after a failure.
fn check_drive(host: &serve::Options) -> Result<(), Failure> {
    if let (Some(policy @ (FailurePolicy::Closed | FailurePolicy::Open)), false) =
        (host.failure_policy, host.reload_backoff.is_zero())
    {
        let name = policy.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let why = format!("with `--failure-policy {name}` no instance takes the place of one that failed");
        return Err(without_effect("--reload-backoff", &why, "Leave it out, or choose `reload`."));
    }
    let (option, why, help) = match (host.drive, host.max_instance_reuse, host.vms) {
        (Some(Drive::Exchange), Some(2..), _) => (
            "--max-instance-reuse",
            "by exchanges instances are not replaced",
            "Leave it out, or choose `--drive wasi-http`.",
        ),
        (None, Some(2..), Some(_)) => (
            "--max-instance-reuse",
            "`--vms` is by exchanges, where instances are not replaced",
            "Leave one of the two out.",
        ),
        (None | Some(Drive::Exchange), Some(_), Some(_)) => (
            "--vms",
            "with `--max-instance-reuse 1` each request has an instance of its own",
            "Leave one of the two out.",
        ),
        (Some(Drive::WasiHttp), _, Some(_)) => (
            "--vms",
            "by `wasi:http` there are as many as the traffic needs",
            "Leave it out, or choose `--drive exchange`.",
        ),
        _ => return Ok(()),
    };
    Err(without_effect(option, why, help))
}

/// Has a component take requests in the way in which they come here, unless the user says how it takes them; and suit how often
/// instances are made.
fn suit(options: &mut Options, is_asked: bool, host: &serve::Options) {
    let drive = host.preferred_drive();
    options.joined = host.max_instance_reuse == Some(1);
    if !is_asked && options.wasi == Wasi::V0_2 && options.exports == Exports::Handler && drive == Drive::Exchange {
        options.exports = Exports::Exchange;
    }
}

/// The component of filters, or the one that was given.
fn of_filters(
    files: Vec<PathBuf>,
    plugin: AdaptOptions,
    host: &serve::Options,
    reporter: &Reporter,
) -> Result<Vec<u8>, Failure> {
    let is_asked = plugin.asks_for_exports();
    let given = Given::read(files, plugin)?;
    given.warn(reporter);
    match given.modules.as_slice() {
        [module] if is_component(&module.bytes) => {
            if given.has_options() {
                let file = input::shown(&module.path);
                return Err(Failure::Usage {
                    message: format!("`{file}` is a component, so the options for adapting a filter come too late"),
                    help: "Leave them out, or serve the filter itself.".into(),
                });
            }
            Ok(module.bytes.clone())
        }
        _ => {
            let next = given.next().map(|file| input::read(&file).map(|bytes| (file, bytes)));
            let (modules, mut options) = given.options(Input::default())?;
            suit(&mut options, is_asked, host);
            let next = next.transpose()?;
            if next.is_none() {
                plugin::check_complete("serve", &options)?;
            }
            let files = input::names(&modules);
            let adapted =
                adapt(&modules, &options).map_err(|error| Failure::Library { files: files.clone(), error })?;
            for warning in &adapted.warnings {
                reporter.message(&Message::of(&files, warning));
            }
            match next {
                None => Ok(adapted.component),
                Some(next) => compose::with_next(adapted.component, next),
            }
        }
    }
}
