//! `proxy-wasm-adapter test`

use std::path::PathBuf;
use std::process::ExitCode;

use proxy_wasm_adapter_compare as compare;
use proxy_wasm_adapter_compare::alone::{Tested, junit, terminal};
use proxy_wasm_adapter_serve as serve;

use super::compare::REQUEST_FILE;
use super::failure::Failure;
use super::help::QUANTITIES;
use super::input;
use super::output;
use super::plugin::AdaptOptions;
use super::report::Reporter;
use super::traffic::{self, DIFFERENT, Filters, NOT_RUN, Run, SAME};

/// Send a filter, or a chain of filters, the requests of a file, and check what the file expects; needs no Envoy
///
/// The filter is adapted and served, with an upstream and callout clusters that answer as the file says. Each file is run on
/// an instance of its own, with every level of the filter's log. The same file serves `compare`.
#[derive(Debug, clap::Args)]
#[command(after_help = help())]
pub(super) struct Args {
    /// The filter: a core module in WebAssembly's binary or text format; `-` is stdin. Several are a chain
    #[arg(required_unless_present = "settings", value_name = "FILTER")]
    filters: Vec<PathBuf>,

    /// What to send, how the upstream answers, and what to expect, in YAML; see the end. May be repeated
    #[arg(long, value_name = "FILE", required = true)]
    requests: Vec<PathBuf>,

    /// Write the results as JUnit XML too, as CI servers read it; `-` is stdout, instead of the text
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    #[command(flatten)]
    run: Run,

    #[command(flatten)]
    plugin: AdaptOptions,
}

fn help() -> String {
    format!(
        "{REQUEST_FILE}
{QUANTITIES}
Exit codes:
  {SAME}  every expectation is met
  {DIFFERENT}  one is not
  {NOT_RUN}  the test could not be run

Examples:
  proxy-wasm-adapter test filter.wasm --requests requests.yaml
  proxy-wasm-adapter test filter.wasm --requests requests.yaml \\
    --settings plugin.toml --junit results.xml"
    )
}

pub(super) fn run(args: Args, reporter: &Reporter) -> ExitCode {
    let color = reporter.colors_stdout();
    let result = test(&args).and_then(|files| {
        match &args.junit {
            Some(file) if input::is_stdin(file) => output::stdout(junit(&files).as_bytes())?,
            Some(file) => {
                output::write(file, junit(&files).as_bytes(), "--junit")?;
                output::stdout(terminal(&files, color).as_bytes())?;
            }
            None => output::stdout(terminal(&files, color).as_bytes())?,
        }
        Ok(files.iter().all(|(_, tested)| tested.holds()))
    });
    ExitCode::from(match result {
        Ok(true) => SAME,
        Ok(false) => DIFFERENT,
        Err(failure) => {
            reporter.failure(&failure);
            NOT_RUN
        }
    })
}

fn test(args: &Args) -> Result<Vec<(String, Tested)>, Failure> {
    input::check_stdin(&[args.filters.as_slice(), &args.requests].concat())?;
    let (mut read, mut failures) = (Vec::new(), Vec::new());
    for path in &args.requests {
        match traffic::requests(path) {
            Ok(requests) if requests.expectations() == 0 => failures.push(Failure::Usage {
                message: format!("`{}` expects nothing, so there is nothing to test", input::shown(path)),
                help: "Say what should come of a request, such as `expect: {status: 200}`.".into(),
            }),
            Ok(requests) => read.push((input::shown(path), requests)),
            Err(failure) => failures.push(failure),
        }
    }
    if !failures.is_empty() {
        return Err(Failure::all(failures));
    }
    let filters = Filters::read("test", args.filters.clone(), args.plugin.clone())?;
    if let Some(junit) = args.junit.as_deref().filter(|junit| !input::is_stdin(junit)) {
        output::check(filters.paths().chain(args.requests.iter().map(PathBuf::as_path)), junit, "--junit")?;
    }
    let mut tested = Vec::new();
    for (file, requests) in read {
        let comparison = args.run.comparison(&filters, requests)?;
        let result = compare::test(&comparison, serve::told_to_end())
            .map_err(|error| traffic::failure(filters.names(), error))?;
        tested.push((file, result));
    }
    Ok(tested)
}
