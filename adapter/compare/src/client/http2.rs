//! HTTP/2, without TLS and known before.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::BodyExt;
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::mpsc;

use super::connect;
use crate::message::{End, Message};
use crate::requests::{Headers, LARGEST, Request};

/// A body that is sent as its frames come. Without frames it has none.
struct Frames(Option<mpsc::Receiver<Frame<Bytes>>>);

impl hyper::body::Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Some(frames) => frames.poll_recv(context).map(|frame| frame.map(Ok)),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

pub(super) async fn exchange(
    request: &Request,
    headers: &Headers,
    address: SocketAddr,
    into: &mut Message,
) -> Result<(), End> {
    let connection = connect(address).await?;
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(connection)).await;
    let (mut sender, connection) = handshake.map_err(|error| end(&error))?;
    let (body, sending) = body(request);
    let head = head(request, headers).map_err(End::Garbage)?;
    let exchange = async {
        let response = sender.send_request(head.map(|()| body)).await.map_err(|error| end(&error))?;
        into.first = Some(response.status().as_u16().to_string());
        into.headers = fields(response.headers());
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            match frame.map_err(|error| end(&error))?.into_data() {
                Ok(data) if into.body.len() + data.len() > LARGEST => {
                    return Err(End::Garbage(format!("the body is larger than {LARGEST} bytes")));
                }
                Ok(data) => into.body.extend_from_slice(&data),
                Err(frame) => into.trailers.extend(frame.trailers_ref().map(fields).into_iter().flatten()),
            }
        }
        Ok(())
    };
    // The connection and the sending of the body go on for as long as the exchange does.
    let forever = async {
        tokio::join!(sending, async { connection.await.ok() });
        std::future::pending::<()>().await;
    };
    tokio::select! {
        result = exchange => result,
        () = forever => Ok(()),
    }
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

/// The body, and what sends it piece by piece.
fn body(request: &Request) -> (Frames, impl Future<Output = ()> + use<>) {
    let (sender, receiver) = mpsc::channel(1);
    let (pieces, trailers) = (request.body.pieces.clone(), request.trailers.clone());
    let is_empty = request.body.is_empty() && trailers.is_empty();
    let sending = async move {
        for piece in pieces {
            tokio::time::sleep(piece.after).await;
            if sender.send(Frame::data(piece.bytes)).await.is_err() {
                return;
            }
        }
        if !trailers.is_empty() {
            let fields: HeaderMap = trailers.iter().filter_map(|(name, value)| field(name, value).ok()).collect();
            // Where the stream is gone, its response tells.
            let _ = sender.send(Frame::trailers(fields)).await;
        }
    };
    (Frames((!is_empty).then_some(receiver)), sending)
}

fn fields(headers: &HeaderMap) -> Headers {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

fn end(error: &hyper::Error) -> End {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    let mut reason = error.to_string();
    while let Some(error) = source {
        reason = error.to_string();
        source = error.source();
    }
    End::Reset(Some(reason))
}
