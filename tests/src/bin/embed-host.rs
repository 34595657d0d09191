//! A host made of the library for embedders: hyper in front, the tower layer, and hyper's client behind, for the upstream and
//! for callouts. It has one instance, as Envoy in the tests has one worker.

use std::error::Error as StdError;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use anyhow::Result;
use clap::Parser;
use http::header::HOST;
use http::{Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use proxy_wasm_adapter_embed::layer::{BoxError, FilterService, Piped, SendError, ServiceCallouts};
use proxy_wasm_adapter_embed::{Failure, Filter, FilterLayer, Level, Optimization, Options, Origin};
use tokio::net::TcpListener;
use tower_layer::Layer;
use tower_service::Service;

#[derive(Parser)]
struct Arguments {
    component: PathBuf,
    /// An upstream that speaks HTTP/2.
    #[arg(long)]
    upstream_h2c: Option<String>,
    /// Where compiled code is kept.
    #[arg(long)]
    cache: Option<PathBuf>,
    /// Compiles in a fraction of the time, to what runs slower.
    #[arg(long)]
    quickly: bool,
}

/// Sends what the filters let through, and what they ask for by themselves.
#[derive(Clone)]
struct Hyper {
    http1: Client<HttpConnector, Piped>,
    http2: Client<HttpConnector, Piped>,
    h2c: Option<String>,
}

impl Service<Request<Piped>> for Hyper {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Piped>) -> Self::Future {
        // A callout's target is absolute.
        if let Some(Origin { authority, .. }) = request.extensions().get() {
            let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
            match format!("http://{authority}{path}").parse::<Uri>() {
                Ok(uri) => *request.uri_mut() = uri,
                Err(error) => return Box::pin(async move { Err(error.into()) }),
            }
        }
        let is_h2c = request.version() == Version::HTTP_2
            || request.uri().authority().is_some_and(|to| Some(to.as_str()) == self.h2c.as_deref());
        let client = if is_h2c { &self.http2 } else { &self.http1 };
        if is_h2c {
            // The authority says it.
            request.headers_mut().remove(HOST);
        }
        *request.version_mut() = if is_h2c { Version::HTTP_2 } else { Version::HTTP_11 };
        let answer = client.request(request);
        Box::pin(async move { Ok(answer.await.map_err(|error| failed(&error))?) })
    }
}

/// What an error of the client means.
fn failed(error: &hyper_util::client::legacy::Error) -> SendError {
    let mut source = Some(error as &(dyn StdError + 'static));
    let (mut refused, mut parse, mut reset) = (false, false, false);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            refused |= error.kind() == std::io::ErrorKind::ConnectionRefused;
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            parse |= error.is_parse();
        }
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            reset |= error.is_reset();
        }
        source = error.source();
    }
    let (failure, cause) = match () {
        () if refused => (Failure::ConnectionFailed, "the connection is refused"),
        () if error.is_connect() => (Failure::ConnectionFailed, ""),
        () if parse => (Failure::ProtocolError, "what it answers is no valid HTTP"),
        () if reset => (Failure::RemoteReset, ""),
        () => (Failure::ConnectionTerminated, ""),
    };
    SendError { failure, cause: cause.into() }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let log = |level: Level, text: &str| eprintln!("[{level}] {text}");
    let optimization = if arguments.quickly { Optimization::None } else { Optimization::Speed };
    let options = Options { optimization, log: Arc::new(log), cache: arguments.cache, ..Options::default() };
    let filter = Filter::from_component(&std::fs::read(arguments.component)?, options)?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = |http2| {
        let mut builder = Client::builder(TokioExecutor::new());
        builder.http2_only(http2).retry_canceled_requests(true);
        builder.build(connector.clone())
    };
    let upstream = Hyper { http1: client(false), http2: client(true), h2c: arguments.upstream_h2c };
    let layer = FilterLayer::new(filter).instances(1).callouts(ServiceCallouts(upstream.clone()));
    layer.warm()?;
    let service = layer.layer(upstream);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("Serving HTTP on http://{}/", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream, service.clone()));
    }
}

async fn serve(stream: tokio::net::TcpStream, service: FilterService<Hyper>) {
    let answer = service_fn(|request: Request<Incoming>| {
        let mut service = service.clone();
        async move { service.exchange(request).await }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().half_close(false);
    // How a connection ends is for the client to see.
    let _: Result<(), BoxError> = builder.serve_connection(TokioIo::new(stream), answer).await;
}
