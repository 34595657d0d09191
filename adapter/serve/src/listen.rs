//! Connections, and the end of them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulConnection;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::access_log::AccessLog;
use super::admin::Admin;
use super::body::woken::Woken;
use super::body::{Held, Reset};
use super::clusters::Clusters;
use super::connections::{self, Acceptor, Connections};
use super::counters::Counters;
use super::error::Error;
use super::exchange::Host;
use super::filters::Filters;
use super::front::Front;
use super::gate::Gate;
use super::instance::Recipe;
use super::logs::Output;
use super::memory::{self, Budget};
use super::nesting::Nesting;
use super::options::{HEAD_LIMIT_BYTES, Options};
use super::outgoing::{Client, Trust};
use super::policy::Policy;
use super::preinit;
use super::presence::{Limits, Presence, Watched};
use super::program;
use super::record::Observer;
use super::runner::Runner;
use super::shared::Shared;
use super::shutdown;
use super::stats::Stats;
use super::tags::StatsTag;
use super::tasks::Tasks;

/// How long a client may take nothing of a response that is complete: Envoy's default of `stream_flush_timeout`.
const SEND_TIMEOUT: Duration = Duration::from_secs(300);

/// How often idle instances are looked through.
const TRIM: Duration = Duration::from_secs(10);

/// A component that is ready to serve, and the address that it serves at.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    host: Arc<Host>,
    admin: Option<(TcpListener, SocketAddr, Arc<Stats>)>,
    connections: Arc<Connections>,
    tasks: Tasks,
    stats_tags: Vec<StatsTag>,
    access_log: Option<Arc<AccessLog>>,
    grace: Duration,
    no_date: bool,
}

impl Server {
    /// Compiles a component, starts its plugin and listens.
    ///
    /// # Errors
    /// When any of these fails: a plugin that refuses to start is never served.
    pub async fn bind(component: &[u8], options: &Options, output: Output) -> Result<Self, Error> {
        // What takes no time comes before what does: compiling.
        options.cache.as_deref().map(program::cache).transpose()?;
        let trust = Trust::new(options.upstream_ca.as_deref(), &options.upstream_sni)?;
        let nesting = Arc::new(Nesting::default());
        let depths = 0..=options.max_nesting;
        let drive = options.drive_through(component);
        let snapshot = preinit::snapshot(component, options, &output).await;
        let component = snapshot.as_deref().unwrap_or(component);
        let filters = Filters::of(component);
        let plugins = filters.names(None).map(str::to_owned);
        let counters = Counters::new(Clusters::of(component), plugins).with_prefix(&options.stat_prefix);
        let counters = Arc::new(counters);
        let client = Client::new(&options.upstream_h2c, &trust, &nesting, depths, &counters);
        let access_log = match &options.access_log {
            Some(place) => {
                let format = options.access_log_json.clone().or_else(|| options.access_log_format.clone());
                let route = counters.clusters.route().map(str::to_owned);
                Some(Arc::new(AccessLog::open(place, format, route, &counters).map_err(Error::AccessLog)?))
            }
            None => None,
        };
        let plugin = filters.plugins(None);
        let stats = options.admin.is_some().then(Arc::<Stats>::default);
        let recipe = Recipe {
            filters,
            client: Arc::new(client),
            form: output.form(options.log_format),
            output,
            budget: Budget::new(options.max_memory, options.max_total_memory.unwrap_or_else(memory::default_total)),
            cpu_timeout: options.cpu_timeout,
            stats: stats.clone(),
            counters: counters.clone(),
            logs_access: access_log.is_some(),
            shared: Shared::default(),
        };
        let policy = Policy::new(options.failure_policy.unwrap_or_default(), options.reload_backoff);
        let tasks = Tasks::default();
        let runner = Runner::start(component, drive, recipe, options, policy, tasks.clone()).await?;
        let host = Arc::new(Host {
            runner,
            gate: Gate::new(options.max_concurrency, options.max_queue, options.queue_timeout),
            plugin,
            observer: Observer::new(counters, access_log.clone()),
            nesting,
            max_nesting: options.max_nesting,
            tasks: tasks.clone(),
            draining: AtomicBool::new(false),
        });

        let (listener, address) = bind(options.listen, "--listen").await?;
        host.nesting.listen(address);
        let admin = match options.admin.zip(stats) {
            Some((admin, stats)) => {
                let (listener, address) = bind(admin, "--admin").await?;
                Some((listener, address, stats))
            }
            None => None,
        };
        let limits = Limits { head: options.request_headers_timeout, idle: options.idle_timeout, send: SEND_TIMEOUT };
        let max = options.max_connections.map_or_else(connections::default_max, |max| max as usize);
        let connections = Connections::new(max, limits);
        let (stats_tags, grace, no_date) = (options.stats_tag.clone(), options.shutdown_grace, options.no_date);
        Ok(Self { listener, address, host, admin, connections, tasks, stats_tags, access_log, grace, no_date })
    }

    /// The address that it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The address that metrics and readiness are told at, if they are.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|(_, address, _)| *address)
    }

    /// Serves until `end`, and then finishes what is in flight, as long as that takes at most the grace period.
    pub async fn serve(self, end: impl Future<Output = ()>) {
        self.serve_until(end, std::future::pending()).await;
    }

    /// The same, but cuts off what is still in flight as soon as `cut` comes after `end`.
    pub(super) async fn serve_until(self, end: impl Future<Output = ()>, cut: impl Future<Output = ()>) {
        let Self { listener, host, grace, admin, connections, tasks, stats_tags, access_log, no_date, .. } = self;
        let _reopening = access_log.map(|log| Aborted(tokio::spawn(shutdown::reopen(move || log.reopen()))));
        let builder = builder(!no_date);
        let _admin = admin.map(|(listener, _, stats)| {
            let admin = Admin { host: host.clone(), stats, tags: stats_tags };
            Aborted(tokio::spawn(admin.serve(listener, builder.clone(), connections.clone())))
        });
        let mut acceptor = Acceptor::new(listener, connections.clone(), None);
        let mut served = JoinSet::new();
        let keeper = Aborted(tokio::spawn(host.runner.clone().keep()));
        let mut trim = tokio::time::interval(TRIM);
        let mut end = std::pin::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => break,
                (stream, peer, place) = acceptor.accept() => {
                    let connection = serve(&builder, stream, peer, host.clone(), place.presence.clone());
                    served.spawn(place.serve(connection));
                }
                Some(_) = served.join_next() => {}
                _ = trim.tick() => host.runner.trim(),
                () = host.runner.is_pressed() => host.runner.drop_idle(),
            }
        }

        host.draining.store(true, Ordering::Relaxed);
        drop((acceptor, keeper));
        tracing::info!(running = host.gate.count(), "shutting down");
        let drained = async {
            connections.drain().await;
            host.gate.all_left().await;
        };
        tokio::select! {
            drained = tokio::time::timeout(grace, drained) => if drained.is_err() {
                tracing::warn!(running = host.gate.count(), "the grace period is over: cutting off what still runs");
            },
            () = cut => {
                tracing::warn!(running = host.gate.count(), "told to end again: cutting off what still runs");
            }
        }
        host.runner.end();
        served.shutdown().await;
        tasks.end().await;
    }
}

/// A task that ends with its owner.
struct Aborted(JoinHandle<()>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Listens at an address that an option gave.
async fn bind(address: SocketAddr, option: &'static str) -> Result<(TcpListener, SocketAddr), Error> {
    let failed = |source| Error::Listen { address, option, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// What a client of HTTP/2 may send of one body that nobody takes yet.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;

/// The same of all on a connection: one body that nobody takes does not hold up the others. And h2 ends a connection for a burst of
/// small frames by half of it: frames of 6 bytes by 33,000.
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// Requests that are cancelled before they were looked at: a client of gRPC may give up all its calls at once.
const CANCELLED_AT_ONCE: usize = 500;

/// HTTP/1.1, and HTTP/2 by prior knowledge. What clients may take is bounded by [`Place`](super::connections::Place).
fn builder(dates: bool) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().auto_date_header(dates);
    builder.http2().auto_date_header(dates);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEAD_LIMIT_BYTES as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_LIMIT_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_pending_accept_reset_streams(CANCELLED_AT_ONCE);
    builder
}

fn serve(
    builder: &auto::Builder<TokioExecutor>,
    stream: TcpStream,
    peer: SocketAddr,
    host: Arc<Host>,
    presence: Arc<Presence>,
) -> impl GracefulConnection<Error: std::fmt::Debug> + use<> {
    // Small responses must not wait for more to come.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let ends = stream.local_addr().map(|local| (peer, local)).ok();
    let downstream = &host.observer.counters.downstream;
    downstream.connections.add();
    let active = downstream.active_connections.enter();
    let (stream, arrivals) = Front::new(Watched::new(stream, presence.clone()), HEAD_LIMIT_BYTES as usize);
    let depth = OnceLock::new();
    let service = service_fn(move |request| {
        // It lives as long as the connection.
        let _active = &active;
        let depth = *depth.get_or_init(|| ends.map_or(0, |ends| host.nesting.depth(ends)));
        let in_flight = presence.begin();
        let answer = host.clone().receive(request, arrivals.clone(), depth, in_flight.flight(), ends);
        let mut answer = Box::pin(answer);
        // hyper looks whether the client has left before it polls this at first: one whose head came is to be seen by the
        // filter all the same, as on Envoy.
        let begun = answer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        async move {
            let answered = match begun {
                Poll::Ready(answered) => answered,
                Poll::Pending => answer.await,
            };
            Ok::<_, Reset>(answered?.map(|body| Woken::new(Held::new(body, in_flight))))
        }
    });
    builder.serve_connection(TokioIo::new(stream), service).into_owned()
}
