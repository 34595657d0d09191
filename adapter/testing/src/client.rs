//! Clients.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::collect;

type AnyBody = BoxBody<Bytes, std::convert::Infallible>;
/// A client, of either version.
pub type AnyClient = Client<HttpConnector, AnyBody>;

/// A response, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as far as it came.
    pub body: Vec<u8>,
    /// Its trailers.
    pub trailers: Option<HeaderMap>,
    /// The body broke off.
    pub broken: bool,
}

/// An HTTP/1.1 client.
pub fn client() -> AnyClient {
    Client::builder(TokioExecutor::new()).build_http()
}

/// An HTTP/2 client by prior knowledge.
pub fn h2_client() -> AnyClient {
    Client::builder(TokioExecutor::new()).http2_only(true).http2_max_header_list_size(1 << 20).build_http()
}

/// The beginning of a request.
pub fn request(method: Method, address: SocketAddr, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("http://{address}{path}"))
}

/// Sends a request and reads the response to its end.
pub async fn exchange<B>(client: &AnyClient, request: Request<B>) -> Answer
where
    B: hyper::body::Body<Data = Bytes, Error = std::convert::Infallible> + Send + Sync + 'static,
{
    let response = client.request(request.map(BodyExt::boxed)).await.unwrap();
    let (parts, body) = response.into_parts();
    let (body, trailers, error) = collect(body).await;
    Answer { status: parts.status, headers: parts.headers, body, trailers, broken: error.is_some() }
}

/// Gets a path.
pub async fn get(address: SocketAddr, path: &str) -> Answer {
    exchange(&client(), request(Method::GET, address, path).body(Empty::new()).unwrap()).await
}

/// Sends bytes and reads all that comes, until the server closes.
pub async fn raw(address: SocketAddr, bytes: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset ends it as well.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}
