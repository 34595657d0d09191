//! An embedded host for adapted components, on Wasmtime, `wasmtime-wasi-http` and hyper.
//!
//! It is a development and small-deployment host: one component, one listener, plain HTTP in (TLS belongs to what
//! stands before it), no reload. It exists because only a host of our own can answer as Envoy does where a component
//! cannot: a filter that traps answers 503, and a plugin that does not start keeps the host from starting.
//!
//! ```text
//!            listen ──► exchange ──► machines ──► the component, by exchanges: many at once, as in Envoy's workers
//!  client ◄────────────── body ◄─────────┘  │
//!                              outgoing ◄───┘──► upstream
//!
//!            listen ──► exchange ──► pool ──► instance ──► the component, by `wasi:http`
//!  client ◄────────────── body ◄───────────────┘  │
//!                                    outgoing ◄───┘──► upstream
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `options` | what a user can set |
//! | `preinit` | the plugins' start, once for all instances |
//! | `program` | the compiled component, linked |
//! | `state` | what a store holds: WASI, HTTP, limits |
//! | `departure` | clients that leave, and how a component is told |
//! | `memory` | how much of it they may take, each and together |
//! | `meter` | how long a filter computes, and when it is stopped |
//! | `instance` | one running component, from its start to its last request |
//! | `plugin` | what an adapted component exports besides its handler |
//! | `pool` | idle instances, ready for the next request, and what they do meanwhile |
//! | `workers` | instances for WASI 0.3, each with several requests at once |
//! | `machines` | virtual machines, each with any number of requests at once, without `wasi:http` |
//! | `runner` | the one or the other |
//! | `policy` | what becomes of requests after the plugin failed |
//! | `shared` | shared data and queues, for components that leave them to the host |
//! | `stats` | the filter's metrics, over all instances |
//! | `counters`, `clusters` | what this host counts of itself, and of upstreams |
//! | `record`, `recorded` | one request, as counters and access log see it, and its body |
//! | `access_log` | a line for each request that is over |
//! | `samples`, `tags` | all metrics, and what of their names becomes labels |
//! | `prometheus`, `listing` | the same as text |
//! | `admin`, `facts` | where they are shown, and what runs here |
//! | `gate` | how many requests run and wait |
//! | `pace` | how long requests keep others waiting for their clients and callouts |
//! | `nesting` | which requests this host sent to itself, and how deep |
//! | `front` | what is before hyper on the way in: it judges the bytes |
//! | `target` | request targets that `http::Uri` has no place for |
//! | `exchange` | one request and its response |
//! | `reply` | responses of the host's own |
//! | `apart` | the ends of bodies, told apart as Envoy tells filters |
//! | `fields` | header fields, in the order of the wire |
//! | `request` | the request's body, and one that is left unread |
//! | `body` | the response's body: ended, cut off or reset |
//! | `outgoing` | requests to upstreams, over pooled connections |
//! | `wire` | HTTP/1 as it stands on the wire, before hyper reads it |
//! | `http2` | how a component asks for HTTP/2 without TLS |
//! | `filters` | the filters in a component, and what messages call their plugins |
//! | `trap` | what a trap says about the filter |
//! | `logs` | what a component writes to its stdout and stderr |
//! | `log_format` | what log lines look like, and the request that each belongs to |
//! | `sink` | the process's stdout and stderr, which nobody may read |
//! | `connections` | how many are open, which one makes room for another, and how they end |
//! | `presence` | what a client does between requests, and how long it may take |
//! | `listen` | all of it together, from the first connection to the last |
//! | `tasks` | where instances run, and the end of them |
//! | `shutdown` | the signals that end the host |
//!
//! Unlike Envoy's default, a trap fails the requests of its own instance only: the next request gets another instance,
//! as with Envoy's `FAIL_RELOAD`, but at once. Envoy's other ways are there to be chosen.
//!
//! An instance is to a plugin what a worker thread's VM is to Envoy: each ticks by itself, from its start on, and gets the
//! answers to its own callouts. By exchanges there are as many as there are processors. By `wasi:http` they come and go with
//! the traffic, so a plugin that ticks is never left without one, and one that needs a cache filled before it sees a request
//! says so by `--startup-ticks`.
//!
//! Architecture invariant: by `wasi:http` 0.2 an instance serves one request at a time, and an instance that did not come back
//! from a request in good order never serves another.

mod access_log;
mod admin;
mod apart;
mod body;
mod clusters;
mod connections;
mod counters;
mod departure;
mod error;
mod exchange;
mod facts;
mod fields;
mod filters;
mod front;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod http2;
mod instance;
mod listen;
mod listing;
mod log_format;
mod logs;
mod machines;
mod memory;
mod meter;
mod nesting;
mod options;
mod outgoing;
mod pace;
mod plugin;
mod policy;
mod pool;
mod preinit;
mod presence;
mod program;
mod prometheus;
mod record;
mod recorded;
mod reply;
mod request;
mod runner;
mod samples;
mod shared;
mod shutdown;
mod sink;
mod state;
mod stats;
mod tags;
mod target;
mod tasks;
mod trap;
mod wire;
mod workers;

use tokio::sync::oneshot;

use self::log_format::Form;
use self::sink::Sink;

pub use access_log::{AccessFormat, Place};
pub use error::Error;
pub use listen::Server;
pub use log_format::LogFormat;
pub use logs::Output;
pub use options::{Drive, Options, ServerNameOf};
pub use policy::FailurePolicy;
pub use shutdown::told_to_end;
pub use tags::StatsTag;

/// Serves a component until the process is told to end by SIGTERM or SIGINT.
///
/// Builds its own runtime. Where the process has no `tracing` subscriber yet, sets one that writes to stderr.
///
/// # Errors
/// When the component cannot run here, when its plugin refuses to start, and when the address cannot be listened on.
pub fn run(component: Vec<u8>, options: Options) -> Result<(), Error> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let form = Form::of_process(options.log_format);
    Sink::stderr().set_form(form);
    // What is in color, and what is not, the form says.
    let subscriber = tracing_subscriber::fmt().with_writer(Sink::stderr()).with_ansi(false).event_format(form);
    // A caller's own subscriber stays.
    let _ = subscriber.with_env_filter(filter).try_init();

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Error::Runtime)?;
    let served = runtime.block_on(async {
        // Before the address is announced: who reads it may send the signal at once.
        let mut signals = shutdown::Signals::new().map_err(Error::Runtime)?;
        shutdown::outlive().map_err(Error::Runtime)?;
        connections::raise_descriptor_limit();
        // Compiling takes seconds, and a thread.
        let runtime = tokio::runtime::Handle::current();
        let bind = move || runtime.block_on(Server::bind(&component, &options, Output::Process));
        let server = tokio::select! {
            server = tokio::task::spawn_blocking(bind) => match server {
                Ok(server) => server?,
                Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
            },
            () = signals.next() => {
                tracing::info!("told to end before it listened");
                return Ok(());
            }
        };
        let address = server.local_addr();
        Sink::stderr().push(form.announcement(&format!("listening on http://{address}")).as_bytes());
        if let Some(address) = server.admin_addr() {
            Sink::stderr().push(form.announcement(&format!("admin on http://{address}")).as_bytes());
        }
        let ((first, end), (second, cut)) = (oneshot::channel(), oneshot::channel());
        tokio::spawn(async move {
            for told in [first, second] {
                signals.next().await;
                let _ = told.send(());
            }
        });
        let told = async |signal: oneshot::Receiver<()>| drop(signal.await);
        server.serve_until(told(end), told(cut)).await;
        Ok(())
    });
    // Not for names that are still being resolved.
    runtime.shutdown_background();
    Sink::stdout().flush();
    Sink::stderr().flush();
    served
}
