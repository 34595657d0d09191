//! What `compare` and `test` have in common: filters, a request file, a host.

use std::path::{Path, PathBuf};
use std::time::Duration;

use proxy_wasm_adapter::bundle::Named;
use proxy_wasm_adapter::settings::Input;
use proxy_wasm_adapter::shim::{Flavour, Shim};
use proxy_wasm_adapter::values::parse_time;
use proxy_wasm_adapter::{Options, Reopened, is_component};
use proxy_wasm_adapter_compare::original::Original;
use proxy_wasm_adapter_compare::{self as compare, Comparison, Host, requests};

use super::compose;
use super::composed;
use super::failure::Failure;
use super::input::{self, Given};
use super::migrated::Migrated;
use super::plugin::{self, AdaptOptions};

/// The exit codes: nothing differs or fails, something does, nothing was run.
pub(super) const SAME: u8 = 0;
pub(super) const DIFFERENT: u8 = 1;
pub(super) const NOT_RUN: u8 = 2;

/// How to run the component and how long to wait.
#[derive(Debug, clap::Args)]
pub(super) struct Run {
    /// Command that serves the component instead of the embedded host, such as 'wasmtime serve --addr {address} {component}'
    #[arg(long, value_name = "COMMAND")]
    pub(super) host: Option<String>,

    /// How long a response may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_time)]
    timeout: Duration,

    /// How long a host, and Envoy, may take to start
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_time)]
    start_timeout: Duration,
}

/// Filters, and how to adapt them.
pub(super) struct Filters {
    filters: Vec<compare::NamedFilter>,
    options: Options,
    /// The component that is linked behind them.
    next: Option<Vec<u8>>,
    original: Option<Original>,
}

impl Filters {
    /// What was given to the command of this name.
    pub(super) fn read(command: &str, files: Vec<PathBuf>, given: AdaptOptions) -> Result<Self, Failure> {
        if let Some(option) = given.own_servers() {
            let (key, example) = match option {
                "--upstream" => ("upstream", "upstream: {status: 200, body: text}"),
                _ => ("clusters", "clusters: {auth: {status: 403}}"),
            };
            return Err(Failure::Usage {
                message: format!("`{option}` is not used: `{command}` answers in its place, with a server of its own"),
                help: format!(
                    "Leave it out, and say in the request file what it answers: `{example}`. In a settings file `{key}` may \
                     stay."
                ),
            });
        }
        let has_options = given.is_given();
        let given = Given::read(files, given.tracing())?;
        if let Some(component) = given.modules.iter().find(|module| is_component(&module.bytes)) {
            let file = input::shown(&component.path);
            let is_alone = given.modules.len() == 1;
            let Some((filters, next)) = composed::filters(&component.bytes)?.filter(|_| is_alone) else {
                return Err(composed::no_filter(command, &file, &component.bytes));
            };
            if has_options {
                return Err(Failure::Usage {
                    message: format!(
                        "`{file}` says how its filters were adapted, and options for that are given beside it"
                    ),
                    help: "Leave them out; or take its filter out with `extract`, and give that with them.".into(),
                });
            }
            compose::check_service(&component.path, &next)?;
            let named = |bytes| compare::NamedFilter { file: file.clone(), bytes };
            let Reopened { filters, mut options } = filters;
            options.shim = Shim::built_in(options.wasi, Flavour::Tracing);
            return Ok(Self {
                filters: filters.into_iter().map(named).collect(),
                options,
                next: Some(next),
                original: None,
            });
        }
        let next = given.next().map(|file| input::read(&file).map(|bytes| (file, bytes)));
        // Without a route of the user's own, the command's upstream is one.
        let mut below = Input::default();
        if !given.has_next() {
            below.upstream = Some("http://127.0.0.1:1".into());
        }
        let (modules, options) = given.options(below)?;
        let next = next.transpose()?;
        match &next {
            Some((file, bytes)) => compose::check_service(file, bytes)?,
            None => plugin::check_complete(command, &options)?,
        }
        let files = input::names(&modules);
        let filters = modules.into_iter().zip(files);
        let filters = filters.map(|(module, file)| compare::NamedFilter { file, bytes: module.bytes }).collect();
        Ok(Self { filters, options, next: next.map(|(_, bytes)| bytes), original: None })
    }

    /// What became of the listener of a configuration of Envoy's.
    pub(super) fn migrated(migrated: Migrated, original: Original) -> Self {
        let Migrated { filters, options } = migrated;
        let name =
            |filter: Named| compare::NamedFilter { file: filter.file.display().to_string(), bytes: filter.bytes };
        Self { filters: filters.into_iter().map(name).collect(), options, next: None, original: Some(original) }
    }

    /// Their files.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.filters.iter().map(|filter| Path::new(&filter.file))
    }

    /// What messages call them.
    pub(super) fn names(&self) -> Vec<String> {
        self.filters.iter().map(|filter| filter.file.clone()).collect()
    }
}

impl Run {
    /// What to compare, or to test, with these requests.
    pub(super) fn comparison(&self, filters: &Filters, requests: requests::Requests) -> Result<Comparison, Failure> {
        let embedded = Host::Embedded { program: program()?, cache: None };
        let next = filters.next.clone().map(|component| compare::Next { component, host: embedded.clone() });
        let host = self.host.clone().map_or(embedded, Host::Command);
        Ok(Comparison {
            filters: filters.filters.clone(),
            options: filters.options.clone(),
            next,
            original: filters.original.clone(),
            requests,
            envoy: None,
            host,
            timeout: self.timeout,
            start_timeout: self.start_timeout,
            upstream: None,
            keep: None,
        })
    }
}

fn program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| Failure::Read { file: "the path of this program".into(), error })
}

/// The requests of a file.
pub(super) fn requests(path: &Path) -> Result<requests::Requests, Failure> {
    let file = input::shown(path);
    let text = input::read(path)?;
    let text = String::from_utf8(text).map_err(|_| Failure::Usage {
        message: format!("`{file}` is no request file: it is not UTF-8"),
        help: "Its least form is `requests: [{method: GET, path: /}]`.".into(),
    })?;
    requests::parse(&text).map_err(|problems| Failure::Compare(compare::Error::Requests { file, problems }))
}

/// What a comparison, or a test, of these filters failed with.
pub(super) fn failure(files: Vec<String>, error: compare::Error) -> Failure {
    match error {
        compare::Error::Adapt(error) => Failure::Library { files, error },
        error => Failure::Compare(error),
    }
}
