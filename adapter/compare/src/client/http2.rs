//! HTTP/2, without TLS and known before.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::Builder;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::task::JoinSet;

use super::connect;
use crate::message::{End, Last, Message, Then};
use crate::requests::{Headers, LARGEST, Request};

/// What may come on a stream, and on the connection, before it is taken.
const WINDOW: u32 = 4 << 20;

/// How long a stream may last after its response, where the request's body need not have been read.
const BEFORE_RESET: Duration = Duration::from_millis(500);

/// A stream that has brought a whole response, on its connection.
pub(crate) struct Held {
    stream: SendStream<Bytes>,
    /// The request has a body, which the other side need not have read.
    has_body: bool,
    /// What reads and writes the connection ends with this.
    _connection: JoinSet<()>,
}

impl Held {
    /// Whether the stream was reset after its response.
    pub(super) async fn then(mut self) -> Option<Then> {
        let stream = &mut self.stream;
        let reset = std::future::poll_fn(|context| stream.poll_reset(context));
        let patience = if self.has_body { BEFORE_RESET } else { Duration::ZERO };
        let reason = tokio::time::timeout(patience, reset).await.ok()?.ok()?;
        Some(Then::StreamReset(format!("{reason:?}")))
    }
}

pub(super) async fn exchange(
    request: &Request,
    headers: &Headers,
    address: SocketAddr,
    into: &mut Message,
) -> Result<Held, End> {
    let head = head(request, headers).map_err(End::Garbage)?;
    let connection = connect(address).await?;
    let mut builder = Builder::new();
    builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
    let (sender, connection) = builder.handshake::<_, Bytes>(connection).await.map_err(|error| end(&error))?;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        // Its streams tell what went wrong with it.
        let _ = connection.await;
    });
    let mut sender = sender.ready().await.map_err(|error| end(&error))?;
    let is_empty = request.body.is_empty() && request.trailers.is_empty();
    let (response, mut stream) = sender.send_request(head, is_empty).map_err(|error| end(&error))?;
    let sending = async {
        if !is_empty {
            // Where the stream is gone, its response tells.
            let _ = send_body(request, &mut stream).await;
        }
        std::future::pending::<()>().await;
    };
    let receiving = async {
        let response = response.await.map_err(|error| end(&error))?;
        into.first = Some(response.status().as_u16().to_string());
        into.headers = fields(response.headers());
        receive_body(response.into_body(), into).await
    };
    tokio::select! {
        result = receiving => result?,
        () = sending => {}
    }
    Ok(Held { stream, has_body: !is_empty, _connection: tasks })
}

/// Sends the body piece by piece, and the trailers.
async fn send_body(request: &Request, stream: &mut SendStream<Bytes>) -> Result<(), h2::Error> {
    for piece in &request.body.pieces {
        tokio::time::sleep(piece.after).await;
        stream.send_data(piece.bytes.clone(), false)?;
    }
    if request.trailers.is_empty() {
        return stream.send_data(Bytes::new(), true);
    }
    stream.send_trailers(request.trailers.iter().filter_map(|(name, value)| field(name, value).ok()).collect())
}

/// Takes the body and the trailers, and what the stream ends with.
async fn receive_body(mut body: RecvStream, into: &mut Message) -> Result<(), End> {
    into.without_data = true;
    if body.is_end_stream() {
        into.last = Some(Last::Head);
        return Ok(());
    }
    while let Some(data) = body.data().await {
        let data = data.map_err(|error| end(&error))?;
        into.without_data = false;
        if into.body.len() + data.len() > LARGEST {
            return Err(End::Garbage(format!("the body is larger than {LARGEST} bytes")));
        }
        into.body.extend_from_slice(&data);
        // Fails only for more than there was.
        let _ = body.flow_control().release_capacity(data.len());
    }
    let trailers = body.trailers().await.map_err(|error| end(&error))?;
    into.last = Some(if trailers.is_some() { Last::Trailers } else { Last::Data });
    into.trailers = trailers.as_ref().map(fields).unwrap_or_default();
    Ok(())
}

fn head(request: &Request, headers: &Headers) -> Result<http::Request<()>, String> {
    let authority = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
    let authority = authority.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default();
    let uri = format!("http://{authority}{}", request.path);
    let mut head = http::Request::builder()
        .method(request.method.as_str())
        .uri(&uri)
        .version(http::Version::HTTP_2)
        .body(())
        .map_err(|error| format!("`{} {uri}` is nothing that HTTP/2 can ask for: {error}", request.method))?;
    for (name, value) in headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")) {
        let (name, value) = field(name, value)?;
        head.headers_mut().append(name, value);
    }
    Ok(head)
}

fn field(name: &str, value: &[u8]) -> Result<(HeaderName, HeaderValue), String> {
    let failed = |error: &dyn std::fmt::Display| format!("the header `{name}` can't be sent: {error}");
    let key = HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()).map_err(|error| failed(&error))?;
    Ok((key, HeaderValue::from_bytes(value).map_err(|error| failed(&error))?))
}

fn fields(headers: &HeaderMap) -> Headers {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

fn end(error: &h2::Error) -> End {
    End::Reset(Some(error.to_string()))
}
