//! Requests that the component forwards.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Frame, Incoming};
use proxy_wasm_adapter_serve::Options;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};

use crate::support::{Answer, Fed, Running, Upstream, Watched, client, collect, exchange, h2_client, raw, request};

/// Error numbers of `wasi:http`, as `/forward` writes them.
const DNS_ERROR: &str = "01";
const CONNECTION_REFUSED: &str = "06";
const CONNECTION_TERMINATED: &str = "07";
const CONNECTION_READ_TIMEOUT: &str = "09";
const HTTP_PROTOCOL_ERROR: &str = "35";

async fn forward(server: &Running, to: &str, method: Method, body: &'static str) -> Answer {
    let request = request(method, server.address, "/forward").header("x-to", to).body(Full::from(body)).unwrap();
    exchange(&client(), request).await
}

/// What came, in words.
async fn describe(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let (body, trailers, _) = collect(body).await;
    let text = format!(
        "{} {} {:?} host={:?} length={:?} te={:?} body={} trailers={trailers:?}",
        parts.method,
        parts.uri.path(),
        parts.version,
        parts.headers.get("host"),
        parts.headers.get("content-length"),
        parts.headers.get("transfer-encoding"),
        String::from_utf8(body).unwrap(),
    );
    Response::new(Full::from(text))
}

/// An HTTP/2 server whose first frame on a stream is one of trailers.
#[tokio::test]
async fn trailers_without_a_head_are_no_response() {
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    // The stream 1 ends with it; within, `x-a: b` as HPACK has it without a table.
    const TRAILERS: &[u8] = b"\x00\x00\x07\x01\x05\x00\x00\x00\x01\x00\x03x-a\x01b";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&[SETTINGS, TRAILERS].concat()).await.unwrap();
        let mut rest = Vec::new();
        // Until the client leaves.
        let _ = stream.read_to_end(&mut rest).await;
    });
    let mut options = Options::default();
    options.upstream_h2c = vec![to.clone()];
    let server = Running::start(options).await;
    let answer = forward(&server, &to, Method::GET, "").await;
    assert_eq!(String::from_utf8(answer.body).unwrap(), HTTP_PROTOCOL_ERROR);
}

#[tokio::test]
async fn forwards_with_pooled_connections() {
    let upstream = Upstream::start(describe).await;
    let server = Running::start(Options::default()).await;
    let to = upstream.address.to_string();
    for _ in 0..5 {
        let answer = forward(&server, &to, Method::POST, "hello").await;
        let expected =
            format!("POST /forward HTTP/1.1 host=Some(\"{to}\") length=Some(\"5\") te=None body=hello trailers=None");
        assert_eq!(String::from_utf8(answer.body).unwrap(), expected);
    }
    assert_eq!(upstream.connections(), 1, "the connection is reused");
}

#[tokio::test]
async fn a_get_is_framed_by_whether_it_has_a_body() {
    let upstream = Upstream::start(describe).await;
    let server = Running::start(Options::default()).await;
    let to = upstream.address.to_string();
    let answer = forward(&server, &to, Method::GET, "").await;
    let text = String::from_utf8(answer.body).unwrap();
    assert!(text.contains("length=None te=None body= "), "{text}");

    // hyper's client would not send it, so by hand.
    let chunked = format!(
        "GET /forward HTTP/1.1\r\nhost: h\r\nx-to: {to}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
         5\r\nasked\r\n0\r\n\r\n"
    );
    let answer = raw(server.address, &chunked).await;
    assert!(answer.contains("te=Some(\"chunked\") body=asked"), "{answer}");
}

#[tokio::test]
async fn speaks_http2_without_tls_where_told() {
    let upstream = Upstream::start(describe).await;
    let mut options = Options::default();
    options.upstream_h2c = vec![upstream.address.to_string()];
    let server = Running::start(options).await;
    let to = upstream.address.to_string();
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let post = request(Method::POST, server.address, "/forward").header("x-to", &to).body(Full::from("hello"));
        requests.spawn(async move { exchange(&h2_client(), post.unwrap()).await });
    }
    while let Some(answer) = requests.join_next().await {
        let text = String::from_utf8(answer.unwrap().body).unwrap();
        assert!(text.starts_with("POST /forward HTTP/2.0 host=None length=Some(\"5\")"), "{text}");
    }
    assert_eq!(upstream.connections(), 1, "one connection carries them all");
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let upstream = Upstream::start(|request: Request<Incoming>| async move {
        assert_eq!(request.version(), Version::HTTP_2);
        let (_, trailers, _) = collect(request.into_body()).await;
        Response::new(Full::from("x").with_trailers(std::future::ready(trailers.map(Ok))))
    })
    .await;
    let mut options = Options::default();
    options.upstream_h2c = vec![upstream.address.to_string()];
    let server = Running::start(options).await;
    let sent = HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("1"))]);
    let body = Full::from("x").with_trailers(std::future::ready(Some(Ok(sent.clone()))));
    let post =
        request(Method::POST, server.address, "/forward").header("x-to", upstream.address.to_string()).body(body);
    let answer = exchange(&h2_client(), post.unwrap()).await;
    assert_eq!((answer.body.as_slice(), answer.trailers), (&b"x"[..], Some(sent)));
}

#[tokio::test]
async fn failures_have_their_names() {
    let server = Running::start(Options::default()).await;
    // A port that was free a moment ago.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let answer = forward(&server, &closed.to_string(), Method::GET, "").await;
    assert_eq!((answer.status, answer.body.as_slice()), (StatusCode::BAD_GATEWAY, CONNECTION_REFUSED.as_bytes()));
    let answer = forward(&server, "no-such-host.invalid:80", Method::GET, "").await;
    assert_eq!(String::from_utf8(answer.body).unwrap(), DNS_ERROR);

    // One that closes without a word, and one that talks nonsense.
    for (word, error) in [("", CONNECTION_TERMINATED), ("nonsense\r\n\r\n", HTTP_PROTOCOL_ERROR)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = [0; 1024];
                let _ = stream.read(&mut head).await;
                let _ = stream.write_all(word.as_bytes()).await;
            }
        });
        let answer = forward(&server, &to, Method::POST, "x").await;
        assert_eq!(String::from_utf8(answer.body).unwrap(), error, "for {word:?}");
    }
}

#[tokio::test]
async fn time_limits_are_kept() {
    // The head never comes.
    let upstream = Upstream::start(|_| std::future::pending::<Response<Empty<Bytes>>>()).await;
    let server = Running::start(Options::default()).await;
    let hurry = |to: String| {
        let get = request(Method::GET, server.address, "/forward").header("x-to", to).header("x-hurry", "1");
        get.body(Empty::new()).unwrap()
    };
    let answer = exchange(&client(), hurry(upstream.address.to_string())).await;
    assert_eq!(String::from_utf8(answer.body).unwrap(), CONNECTION_READ_TIMEOUT);

    // The body stops in the middle: the response is broken off.
    let (sender, body) = Fed::new();
    let body = Arc::new(std::sync::Mutex::new(Some(body)));
    sender.send(Frame::data(Bytes::from_static(b"begun"))).await.unwrap();
    let upstream = Upstream::start(move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async move { Response::new(body) }
    })
    .await;
    let answer = exchange(&client(), hurry(upstream.address.to_string())).await;
    assert_eq!((answer.status, answer.body.as_slice(), answer.broken), (StatusCode::OK, &b"begun"[..], true));
    drop(sender);
}

/// An upstream that answers the first request of each connection. The next one it reads, unless it closes before.
async fn once_a_connection(reads_on: bool) -> (String, mpsc::UnboundedReceiver<Method>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap().to_string();
    let (seen, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let seen = seen.clone();
            tokio::spawn(async move {
                let mut head = [0; 1024];
                for answers in [true, false] {
                    if !answers && !reads_on {
                        return;
                    }
                    let Ok(size @ 1..) = stream.read(&mut head).await else { return };
                    let method = head[..size].split(|byte| *byte == b' ').next().unwrap();
                    seen.send(Method::from_bytes(method).unwrap()).unwrap();
                    if answers {
                        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                    }
                }
            });
        }
    });
    (to, requests)
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_replaced() {
    let (to, mut requests) = once_a_connection(false).await;
    let server = Running::start(Options::default()).await;
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::POST] {
        let answer = forward(&server, &to, method.clone(), "").await;
        assert_eq!(answer.body, b"ok", "{method}");
        assert_eq!(requests.recv().await, Some(method));
    }
}

/// As on Envoy, whatever the method: the upstream may have acted on it.
#[tokio::test]
async fn a_request_that_was_read_is_not_sent_again() {
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::POST] {
        let (to, mut requests) = once_a_connection(true).await;
        let server = Running::start(Options::default()).await;
        assert_eq!(forward(&server, &to, method.clone(), "").await.body, b"ok");
        let answer = forward(&server, &to, method.clone(), "").await;
        assert_eq!(String::from_utf8(answer.body).unwrap(), CONNECTION_TERMINATED, "{method}");
        let mut seen = Vec::new();
        while let Ok(method) = requests.try_recv() {
            seen.push(method);
        }
        assert_eq!(seen, [method.clone(), method]);
    }
}

/// No client chooses that its request goes out as frames of HTTP/2: what its body says would then be read as requests.
#[tokio::test]
async fn a_client_does_not_choose_the_protocol() {
    let upstream = Upstream::start(describe).await;
    let server = Running::start(Options::default()).await;
    for (name, value) in [("content-type", "application/grpc"), ("http2-settings", ""), ("http2-settings", "AAMAAABk")]
    {
        let post = request(Method::POST, server.address, "/forward").header("x-to", upstream.address.to_string());
        let answer = exchange(&client(), post.header(name, value).body(Full::from("x")).unwrap()).await;
        let text = String::from_utf8(answer.body).unwrap();
        assert!(text.starts_with("POST /forward HTTP/1.1 "), "with {name}: {text}");
    }
}

/// What waits for one connection fails as that does.
#[tokio::test]
async fn all_who_wait_for_a_connection_get_the_same_error() {
    // A port that was free a moment ago.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let mut options = Options::default();
    options.upstream_h2c = vec![closed.clone()];
    let server = Running::start(options).await;
    let post = || forward(&server, &closed, Method::POST, "x");
    let (first, second, third) = tokio::join!(post(), post(), post());
    for answer in [first, second, third] {
        assert_eq!(String::from_utf8(answer.body).unwrap(), CONNECTION_REFUSED);
    }
}

#[tokio::test]
async fn a_client_that_leaves_cancels_the_upstream() {
    let (heard, mut hear) = mpsc::channel(4);
    let upstream = Upstream::start(move |request: Request<Incoming>| {
        let heard = heard.clone();
        async move {
            let mut body = request.into_body();
            let first = body.frame().await.unwrap().unwrap();
            heard.send(Ok(first.into_data().unwrap())).await.unwrap();
            let (rest, _, error) = collect(body).await;
            heard.send(Err((rest, error.is_some()))).await.unwrap();
            Response::new(Empty::new())
        }
    })
    .await;
    let server = Running::start(Options::default()).await;
    let (sender, body) = Fed::new();
    let post = request(Method::POST, server.address, "/forward").header("x-to", upstream.address.to_string());
    let client = client();
    let pending = tokio::spawn(client.request(post.body(body.boxed()).unwrap()));
    sender.send(Frame::data(Bytes::from_static(b"begun"))).await.unwrap();
    assert_eq!(hear.recv().await.unwrap(), Ok(Bytes::from_static(b"begun")));
    pending.abort();
    assert_eq!(hear.recv().await.unwrap(), Err((Vec::new(), true)), "the upstream sees the request break off");
    assert_eq!(forward(&server, &upstream.address.to_string(), Method::POST, "x").await.status, StatusCode::OK);
}

/// A client that leaves while it reads.
#[tokio::test]
async fn a_reader_that_leaves_cancels_the_upstream() {
    let (body, watch) = Watched::new(u64::MAX);
    let upstream = once(body).await;
    let mut options = Options::default();
    options.max_concurrency = 1;
    let server = Running::start(options).await;
    let get = request(Method::GET, server.address, "/forward").header("x-to", upstream.address.to_string());
    let mut response = client().request(get.body(Empty::new().boxed()).unwrap()).await.unwrap();
    response.frame().await.unwrap().unwrap();
    drop(response);
    watch.dropped.await.unwrap();
    // The one turn that there is became free.
    assert_eq!(get_ok(&server).await, b"ok");
}

async fn get_ok(server: &Running) -> Vec<u8> {
    exchange(&client(), request(Method::GET, server.address, "/ok").body(Empty::new()).unwrap()).await.body
}

/// More than all buffers on the way can hold.
const ENOUGH: u64 = 256 << 20;

/// A client that does not read must stop the upstream, not fill memory.
#[tokio::test]
async fn a_slow_client_stops_the_upstream() {
    let (body, watch) = Watched::new(ENOUGH);
    let upstream = once(body).await;
    let server = Running::start(Options::default()).await;
    let get = request(Method::GET, server.address, "/forward").header("x-to", upstream.address.to_string());
    let response = client().request(get.body(Empty::new().boxed()).unwrap()).await.unwrap();
    let taken = watch.stalls().await;
    assert!(taken < ENOUGH / 4, "{taken} bytes were taken from the upstream for a client that read none");
    let (body, _, error) = collect(response.into_body()).await;
    assert!(error.is_none());
    assert_eq!(body.len() as u64, ENOUGH);
}

/// The same the other way round.
#[tokio::test]
async fn a_slow_upstream_stops_the_client() {
    let go_on = Arc::new(Notify::new());
    let permission = go_on.clone();
    let upstream = Upstream::start(move |request: Request<Incoming>| {
        let permission = permission.clone();
        async move {
            permission.notified().await;
            let (body, _, error) = collect(request.into_body()).await;
            assert!(error.is_none());
            Response::new(Full::from(body.len().to_string()))
        }
    })
    .await;
    let server = Running::start(Options::default()).await;
    let (body, watch) = Watched::new(ENOUGH);
    let post = request(Method::POST, server.address, "/forward").header("x-to", upstream.address.to_string());
    let client = client();
    let answer = tokio::spawn(async move { exchange(&client, post.body(body).unwrap()).await });
    let taken = watch.stalls().await;
    assert!(taken < ENOUGH / 4, "{taken} bytes were taken from the client for an upstream that read none");
    go_on.notify_one();
    assert_eq!(answer.await.unwrap().body, ENOUGH.to_string().into_bytes());
}

/// An upstream that answers once, with this body.
async fn once(body: Watched) -> Upstream {
    let body = Arc::new(std::sync::Mutex::new(Some(body)));
    Upstream::start(move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async move { Response::new(body) }
    })
    .await
}
