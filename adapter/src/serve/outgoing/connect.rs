//! Connections to upstreams: names, TCP, TLS.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::super::nesting::{self, Nesting};
use super::failure::Failure;
use super::raw::{Revealing, Targets};
use super::target::Target;

/// Opens connections.
#[derive(Clone)]
pub(super) struct Connector {
    tls: TlsConnector,
    nesting: Arc<Nesting>,
    targets: Arc<Targets>,
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
    /// Where it leads to this host itself.
    pub(super) own: Option<nesting::Connection>,
}

impl Connector {
    pub(super) fn new(tls: Arc<ClientConfig>, nesting: Arc<Nesting>, targets: Arc<Targets>, depth: u32) -> Self {
        Self { tls: TlsConnector::from(tls), nesting, targets, depth }
    }

    /// Connects to the first of the target's addresses that answers.
    pub(super) async fn connect(&self, target: &Target) -> Result<Connected, Failure> {
        let stream = open(target.host(), target.port()).await?;
        let own = self.nesting.connected(&stream, self.depth);
        if !target.tls() {
            let stream = Box::new(Revealing::new(stream, self.targets.clone()));
            return Ok(Connected { stream, http2: false, own });
        }
        let name = ServerName::try_from(target.host().to_owned());
        let name = name.map_err(|error| Failure::Name(Arc::new(io::Error::other(error))))?;
        let stream = self.tls.connect(name, stream).await.map_err(|error| Failure::Tls(Arc::new(error)))?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Connected { stream: Box::new(stream), http2, own })
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
