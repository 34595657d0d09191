//! Connections, and the end of them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::admin::Admin;
use super::error::Error;
use super::exchange::Host;
use super::gate::Gate;
use super::instance::Recipe;
use super::logs::Output;
use super::nesting::Nesting;
use super::options::{HEAD_LIMIT_BYTES, Options};
use super::outgoing::Client;
use super::policy::{FailurePolicy, Policy};
use super::pool::Pool;
use super::program::Program;
use super::stats::Stats;

/// How long a client may take to send the head of an HTTP/1.1 request, and how long an idle connection stays open.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// How often idle instances are looked through.
const TRIM: Duration = Duration::from_secs(10);

/// How long to wait after the system refused a connection, typically for want of file descriptors.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A component that is ready to serve, and the address that it serves at.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    host: Arc<Host>,
    admin: Option<(TcpListener, SocketAddr, Arc<Stats>)>,
    grace: Duration,
}

impl Server {
    /// Compiles a component, starts its plugin and listens.
    ///
    /// # Errors
    /// When any of these fails: a plugin that refuses to start is never served.
    pub async fn bind(component: &[u8], options: &Options, output: Output) -> Result<Self, Error> {
        let nesting = Arc::new(Nesting::default());
        let depths = 0..=options.max_nesting;
        let client = Client::new(&options.upstream_h2c, options.upstream_ca.as_deref(), &nesting, depths)?;
        let program = Program::new(component, options.cache.as_deref())?;
        if options.failure_policy == FailurePolicy::Open && !program.plugin.can_bypass() {
            return Err(Error::NoBypass);
        }
        let plugin = program.filters.plugins(None);
        let stats = options.admin.is_some().then(Arc::<Stats>::default);
        let recipe = Recipe {
            program,
            client: Arc::new(client),
            output,
            max_memory: options.max_memory,
            cpu_timeout: options.cpu_timeout,
            stats: stats.clone(),
            shared: Arc::default(),
        };
        let policy = Policy::new(options.failure_policy, options.reload_backoff);
        let pool = Pool::start(recipe, options.max_instance_reuse, policy).await?;
        let host = Arc::new(Host {
            pool: Arc::new(pool),
            gate: Gate::new(options.max_concurrency, options.max_queue),
            plugin,
            nesting,
            max_nesting: options.max_nesting,
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
        Ok(Self { listener, address, host, admin, grace: options.shutdown_grace })
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
        let Self { listener, host, grace, admin, .. } = self;
        let connection = builder();
        let _admin = admin.map(|(listener, _, stats)| {
            let admin = Admin { host: host.clone(), stats };
            Aborted(tokio::spawn(admin.serve(listener, builder())))
        });
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let keeper = Aborted(tokio::spawn(host.pool.clone().keep()));
        let mut trim = tokio::time::interval(TRIM);
        let mut end = std::pin::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let connection = graceful.watch(serve(&connection, stream, peer, host.clone()));
                        connections.spawn(async move {
                            if let Err(error) = connection.await {
                                tracing::debug!(?error, "a connection ended");
                            }
                        });
                    }
                    Err(error) => {
                        tracing::error!(%error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next() => {}
                _ = trim.tick() => host.pool.trim(),
            }
        }

        host.draining.store(true, Ordering::Relaxed);
        drop((listener, keeper));
        tracing::info!(running = host.gate.running(), "shutting down");
        let drained = async {
            graceful.shutdown().await;
            host.gate.all_left().await;
        };
        if tokio::time::timeout(grace, drained).await.is_err() {
            tracing::warn!(running = host.gate.running(), "the grace period is over: cutting off what still runs");
        }
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

/// HTTP/1.1, and HTTP/2 by prior knowledge.
fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_LIMIT_BYTES as usize);
    builder.http2().timer(TokioTimer::new()).max_header_list_size(HEAD_LIMIT_BYTES);
    builder
}

fn serve(
    builder: &auto::Builder<TokioExecutor>,
    stream: TcpStream,
    peer: SocketAddr,
    host: Arc<Host>,
) -> impl hyper_util::server::graceful::GracefulConnection<Error: std::fmt::Debug> + use<> {
    // Small responses must not wait for more to come.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let ends = stream.local_addr().map(|local| (peer, local));
    let depth = OnceLock::new();
    let service = service_fn(move |request| {
        let depth = *depth.get_or_init(|| ends.as_ref().map_or(0, |ends| host.nesting.depth(*ends)));
        host.clone().answer(request, depth)
    });
    builder.serve_connection(TokioIo::new(stream), service).into_owned()
}
