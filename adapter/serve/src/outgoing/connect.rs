//! Connections to upstreams: names, TCP, TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::super::clusters::Cluster;
use super::super::counters::{Counters, Held};
use super::super::nesting::{self, Nesting};
use super::Trust;
use super::failure::Failure;
use super::raw::{Revealing, Targets};
use super::target::Target;
use super::tls::ServerNames;

/// Opens connections.
#[derive(Clone)]
pub(super) struct Connector {
    tls: TlsConnector,
    names: Arc<ServerNames>,
    nesting: Arc<Nesting>,
    targets: Arc<Targets>,
    counters: Arc<Counters>,
    /// Of the requests that go over its connections.
    depth: u32,
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection on which nothing was sent.
pub(super) struct Connected {
    pub(super) stream: Box<dyn Stream>,
    /// ALPN chose HTTP/2.
    pub(super) http2: bool,
    pub(super) address: Option<SocketAddr>,
    pub(super) kept: Kept,
}

/// What is held for as long as a connection is there.
pub(super) struct Kept {
    /// Where it leads to this host itself.
    _own: Option<nesting::Connection>,
    _active: Held,
}

impl Connector {
    pub(super) fn new(
        trust: &Trust,
        nesting: Arc<Nesting>,
        targets: Arc<Targets>,
        counters: Arc<Counters>,
        depth: u32,
    ) -> Self {
        let (tls, names) = (TlsConnector::from(trust.config.clone()), trust.names.clone());
        Self { tls, names, nesting, targets, counters, depth }
    }

    /// The cluster of a target.
    pub(super) fn cluster(&self, target: &Target) -> &Arc<Cluster> {
        self.counters.clusters.get(&target.authority())
    }

    /// Connects to the first of the target's addresses that answers.
    pub(super) async fn connect(&self, target: &Target) -> Result<Connected, Failure> {
        let active = self.cluster(target).connect();
        let stream = open(target.host(), target.port()).await?;
        let address = stream.peer_addr().ok();
        let kept = Kept { _own: self.nesting.connected(&stream, self.depth), _active: active };
        if !target.tls() {
            let stream = Box::new(Revealing::new(stream, self.targets.clone()));
            return Ok(Connected { stream, http2: false, address, kept });
        }
        let name = self.names.of(target).map_err(|error| Failure::Name(Arc::new(error)))?;
        let stream = self.tls.connect(name, stream).await.map_err(|error| Failure::Tls(Arc::new(error)))?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Connected { stream: Box::new(stream), http2, address, kept })
    }
}

async fn open(host: &str, port: u16) -> Result<TcpStream, Failure> {
    let no_name = |error| Failure::Name(Arc::new(error));
    let refused = |error| Failure::Tcp(Arc::new(error));
    let mut last = None;
    for address in tokio::net::lookup_host((host, port)).await.map_err(no_name)? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(refused)?;
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(|| no_name(io::Error::from(io::ErrorKind::NotFound)), refused))
}
