//! The same filters, settings and traffic on the real Envoy and on the adapted component, and where they differ.
//!
//! ```text
//!                       ┌─► Envoy, the filters as they are ──┐
//!  request file ─► client                                     ├─► upstream, callout clusters (the request file's answers)
//!                       └─► a host, the filters adapted ─────┘
//!                             │ log and trace of each
//!                             ▼
//!                 normalise ─► align ─► Report ─► terminal, JSON, page
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `requests` | the request file |
//! | `envoy`, `adapted` | the two sides' processes |
//! | `original` | Envoy's configuration, where it is the operator's own |
//! | `running`, `process` | a side while it runs, and its output |
//! | `client`, `origins`, `origin`, `http1`, `message` | the traffic |
//! | `exchanges` | one request after another, on both |
//! | `expectations` | what a request file expects, beside what was seen |
//! | `alone` | one request after another, on the component alone: `test` |
//! | `output`, `trace` | from output to log lines and calls |
//! | `normalise`, `align`, `sections` | from both sides to rows |
//! | `known` | what differs, and is known to |
//! | `report` | what was found, and how a terminal shows it |
//! | `page` | the same as an HTML page |
//!
//! Architecture invariant: nothing that a filter or a host does keeps a comparison from ending. Each wait is bounded,
//! and children end with what holds them.

mod adapted;
mod align;
pub mod alone;
mod client;
mod envoy;
mod error;
mod exchanges;
mod expectations;
mod http1;
pub mod known;
mod message;
mod normalise;
mod origin;
pub mod original;
mod origins;
mod output;
pub mod page;
mod process;
pub mod report;
pub mod requests;
mod running;
mod sections;
mod trace;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use proxy_wasm_abi::clusters::ClusterDetails;
use proxy_wasm_abi::enums::LogLevel;
use proxy_wasm_abi::routing::RouteTable;
use proxy_wasm_abi::settings::{Action, Settings};
use tempfile::TempDir;

use proxy_wasm_adapter::exports::Exports;
use proxy_wasm_adapter::shim::{Flavour, Shim};
use proxy_wasm_adapter::wasi::Wasi;
use proxy_wasm_adapter::{Options, adapt};
use proxy_wasm_adapter_compose::compose;

pub use adapted::Host;
pub use envoy::Envoy;
pub use error::Error;

use adapted::Role;
use alone::Tested;
use original::Original;
use origins::Origins;
use report::Report;
use requests::Requests;
use running::{Running, Started};

/// What to compare.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The filters, in the order of the plugins that they are for.
    pub filters: Vec<NamedFilter>,
    /// How to adapt them. The upstream and the clusters are servers of the comparison's own, whatever stands here.
    pub options: Options,
    /// The component for WASI 0.3 that is linked behind the filters, where their settings name a next handler.
    pub next: Option<Next>,
    /// What Envoy is configured with, where the filters and options were migrated from that.
    pub original: Option<Original>,
    /// What to send.
    pub requests: Requests,
    /// Envoy's program; the one on `PATH` unless it is given.
    pub envoy: Option<PathBuf>,
    /// The other side.
    pub host: Host,
    /// How long a response may take.
    pub timeout: Duration,
    /// How long a side may take to start.
    pub start_timeout: Duration,
    /// Where the upstream listens: an endpoint has to send its requests there for them to be compared.
    pub upstream: Option<SocketAddr>,
    /// Where the files stay that both sides were run with; they go away unless it is given.
    pub keep: Option<PathBuf>,
}

/// A component that is linked behind the filters, and that answers behind Envoy.
#[derive(Clone, Debug)]
pub struct Next {
    /// The component: a service.
    pub component: Vec<u8>,
    /// What runs it behind Envoy.
    pub host: Host,
}

/// A filter to compare.
#[derive(Clone, Debug)]
pub struct NamedFilter {
    /// What reports call it.
    pub file: String,
    /// The core module.
    pub bytes: Vec<u8>,
}

impl AsRef<[u8]> for NamedFilter {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Runs a comparison, in a runtime of its own, until `end` is ready: it waits for what tells the process to end.
///
/// # Errors
/// It could not be run, or not to its end. A side that refuses a filter, fails or hangs is a difference instead.
pub fn run(comparison: &Comparison, end: impl Future<Output = io::Result<()>>) -> Result<Report, Error> {
    run_until(end, compare_sides(comparison))
}

/// Runs the request file on the adapted component alone, in a runtime of its own, until `end` is ready: Envoy is not
/// asked.
///
/// # Errors
/// It could not be run, or not to its end. A filter that is refused, fails or hangs meets no expectation instead.
pub fn test(comparison: &Comparison, end: impl Future<Output = io::Result<()>>) -> Result<Tested, Error> {
    run_until(end, alone::run(comparison))
}

fn run_until<T>(
    end: impl Future<Output = io::Result<()>>,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let machine = |doing| move |source| Error::Machine { doing, source };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(machine("start the runtime"))?.block_on(async {
        tokio::select! {
            // First, as what it waits for counts from then on.
            biased;
            end = end => Err(end.map_or_else(machine("wait for signals"), |()| Error::Interrupted)),
            result = work => result,
        }
    })
}

/// The recipe.
async fn compare_sides(comparison: &Comparison) -> Result<Report, Error> {
    let origins = Origins::new(comparison)?;
    let options = options(comparison, &origins);
    let component = component(comparison, &options)?;
    let envoy = Envoy::find(comparison.envoy.as_deref()).await?;
    origins.behave(None, &comparison.requests).await?;

    let directory = Arc::new(comparison.directory()?);
    let (settings, patience) = (&options.settings, comparison.start_timeout);
    let original = comparison.original.as_ref();
    let staged = original.map(|original| original.stage(settings, &origins, directory.path())).transpose()?;
    let next = next(comparison, &directory).await?;
    let for_envoy = match &next {
        Some(next) => behind_envoy(settings.clone(), next.address),
        None => settings.clone(),
    };
    let start = async {
        let plugins = &settings.plugins;
        match &staged {
            Some(it) => envoy.run(&it.configuration, Some(it.address), plugins, &directory, patience).await,
            None => envoy.start(&comparison.filters, &for_envoy, &directory, patience).await,
        }
    };
    let (envoy, here) = tokio::try_join!(
        start,
        comparison.host.start(
            Role::Adapted,
            &component,
            &settings.plugins,
            &directory,
            comparison.cpu_timeout(),
            patience
        ),
    )?;
    let mut found = exchanges::run(comparison, &origins, [envoy, here]).await?;
    found.note(staged.iter().flat_map(|staged| staged.changes.clone()));
    if next.is_some() {
        found.note([NEXT_UNSEEN.to_owned()]);
    }
    Ok(found.report(comparison, &options.settings, &origins))
}

/// What a report says where there is a next component.
const NEXT_UNSEEN: &str = "What the next component gets can't be seen: it is told by what that answers. Behind Envoy it is \
    served at an address of its own.";

/// The filters, adapted, with what is linked behind them.
fn component(comparison: &Comparison, options: &Options) -> Result<Vec<u8>, Error> {
    let component = adapt(&comparison.filters, options).map_err(Error::Adapt)?.component;
    match &comparison.next {
        Some(next) => compose(&[&component, &next.component]).map_err(Error::Compose),
        None => Ok(component),
    }
}

/// The next component as it answers behind Envoy, where there is one.
async fn next(comparison: &Comparison, directory: &Arc<TempDir>) -> Result<Option<Box<Running>>, Error> {
    let Some(Next { component, host }) = &comparison.next else { return Ok(None) };
    let (cpu_timeout, patience) = (comparison.cpu_timeout(), comparison.start_timeout);
    match host.start(Role::Next, component, &[], directory, cpu_timeout, patience).await? {
        Started::Running(running) => Ok(Some(running)),
        Started::Refused { side, words, .. } => Err(Error::Ended {
            command: side.command.unwrap_or(side.name),
            status: "it is not served".into(),
            output: words,
        }),
    }
}

/// Settings for Envoy, whose upstream is the next component.
fn behind_envoy(mut settings: Settings, address: SocketAddr) -> Settings {
    let timeout_ms = match settings.default_route().map(|route| &route.action) {
        Some(Action::Next { timeout_ms }) => *timeout_ms,
        _ => 0,
    };
    settings.set_upstream(proxy_wasm_abi::settings::Origin { tls: false, authority: address.to_string() }, timeout_ms);
    settings
}

/// The servers of a comparison speak HTTP/1.1.
fn speak_http1(settings: &mut Settings) {
    let Some(mut table) = RouteTable::decode(&settings.routing) else { return };
    table.clusters.iter_mut().for_each(|cluster| cluster.http2 = false);
    table.clusters.retain(|cluster| *cluster != ClusterDetails::named(&cluster.name));
    settings.routing = table.encode().into();
}

/// The options with what a comparison decides itself: where requests go, and that everything is told.
fn options(comparison: &Comparison, origins: &Origins) -> Options {
    let mut options = comparison.options.clone();
    let settings = &mut options.settings;
    for plugin in &mut settings.plugins {
        plugin.log_level = LogLevel::Trace as u8;
    }
    let upstream = settings.upstream().filter(|_| comparison.original.is_none()).map(|cluster| cluster.name.clone());
    settings.move_clusters(origins.clusters(upstream));
    speak_http1(settings);
    // As `serve` runs what it adapts.
    if matches!(comparison.host, Host::Embedded { .. }) && options.wasi == Wasi::V0_2 {
        options.exports = Exports::Exchange;
    }
    if options.shim == Shim::default() {
        options.shim = Shim::built_in(options.wasi, Flavour::Tracing);
    }
    options
}

impl Comparison {
    /// A directory for what the sides are run with.
    fn directory(&self) -> Result<TempDir, Error> {
        let machine = |source| Error::Machine { doing: "make a directory", source };
        let mut builder = tempfile::Builder::new();
        match &self.keep {
            None => builder.prefix("proxy-wasm-adapter-").tempdir(),
            Some(keep) => std::fs::create_dir_all(keep)
                .and_then(|()| std::path::absolute(keep))
                .and_then(|keep| builder.prefix("comparison-").disable_cleanup(true).tempdir_in(keep)),
        }
        .map_err(machine)
    }

    /// What a filter may compute on our own host: longer than the client waits, so that on both sides it is the client
    /// that gives up on one that hangs.
    fn cpu_timeout(&self) -> Duration {
        let longest = self.requests.requests.iter().filter_map(|request| request.timeout).max();
        longest.unwrap_or_default().max(self.timeout) * 2 + Duration::from_secs(1)
    }
}
