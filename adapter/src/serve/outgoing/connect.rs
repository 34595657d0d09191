//! Connections to upstreams: names, TCP, TLS.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http::Uri;
use http::uri::Scheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::super::nesting::{self, Nesting};
use super::failure::ConnectFailure;
use super::raw::{Revealing, Targets};

/// Opens connections.
#[derive(Clone)]
pub(super) struct Connector {
    tls: TlsConnector,
    nesting: Arc<Nesting>,
    targets: Arc<Targets>,
    /// Of the requests that go over its connections.
    depth: u32,
}

impl Connector {
    pub(super) fn new(tls: Arc<ClientConfig>, nesting: Arc<Nesting>, targets: Arc<Targets>, depth: u32) -> Self {
        Self { tls: TlsConnector::from(tls), nesting, targets, depth }
    }

    async fn connect(self, uri: Uri) -> Result<Upstream, ConnectFailure> {
        let tls = uri.scheme() == Some(&Scheme::HTTPS);
        // An IPv6 address stands in brackets.
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let stream = open(&host, port).await?;
        let own = self.nesting.connected(&stream, self.depth);
        if !tls {
            return Ok(Upstream::new(Box::new(Revealing::new(stream, self.targets)), false, own));
        }
        let name = ServerName::try_from(host).map_err(|error| ConnectFailure::Name(io::Error::other(error)))?;
        let stream = self.tls.connect(name, stream).await.map_err(ConnectFailure::Tls)?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Upstream::new(Box::new(stream), http2, own))
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = Upstream;
    type Error = ConnectFailure;
    type Future = Pin<Box<dyn Future<Output = Result<Upstream, ConnectFailure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectFailure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

/// Connects to the first of a host's addresses that answers.
async fn open(host: &str, port: u16) -> Result<TcpStream, ConnectFailure> {
    let addresses = tokio::net::lookup_host((host, port)).await.map_err(ConnectFailure::Name)?;
    let mut last = None;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(ConnectFailure::Tcp)?;
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(match last {
        Some(error) => ConnectFailure::Tcp(error),
        None => ConnectFailure::Name(io::Error::from(io::ErrorKind::NotFound)),
    })
}

/// Whether a connection has been used.
#[derive(Clone, Debug)]
pub(super) struct Use(Arc<AtomicBool>);

impl Use {
    /// Reads it from what a request captured.
    pub(super) fn of(connected: &Connected) -> Option<Self> {
        let mut extensions = http::Extensions::new();
        connected.get_extras(&mut extensions);
        extensions.remove()
    }

    /// Uses it once more. Says whether it had been used before.
    pub(super) fn begin(&self) -> bool {
        self.0.swap(true, Ordering::Relaxed)
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection to an upstream, with or without TLS.
pub(super) struct Upstream {
    stream: TokioIo<Box<dyn Stream>>,
    http2: bool,
    used: Use,
    /// Where it leads to this host itself.
    _own: Option<nesting::Connection>,
}

impl Upstream {
    fn new(stream: Box<dyn Stream>, http2: bool, own: Option<nesting::Connection>) -> Self {
        Self { stream: TokioIo::new(stream), http2, used: Use(Arc::default()), _own: own }
    }
}

impl Connection for Upstream {
    fn connected(&self) -> Connected {
        let connected = Connected::new().extra(self.used.clone());
        if self.http2 { connected.negotiated_h2() } else { connected }
    }
}

impl Read for Upstream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl Write for Upstream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}
