//! The layer, in an application and around services of the tests' own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use proxy_wasm_adapter_embed::layer::{Body, BoxError, FilterService, Piped, ServiceCallouts};
use proxy_wasm_adapter_embed::{Filter, FilterLayer, Options, Origin};
use tower_layer::Layer;
use tower_service::Service;

use crate::filters::{filter, logging, module};

#[path = "../../examples/axum.rs"]
#[allow(dead_code, reason = "the example's `main` is its own")]
mod example;

/// A service that answers with what it was asked, behind its fields.
#[derive(Clone, Default)]
struct Echo {
    calls: Arc<AtomicUsize>,
}

impl Service<Request<Piped>> for Echo {
    type Response = Response<BoxedBody>;
    type Error = BoxError;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response<BoxedBody>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), BoxError>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Piped>) -> Self::Future {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            if request.uri().path() == "/fails" {
                return Err("it fails".into());
            }
            let to = request.extensions().get::<Origin>().unwrap().authority.clone();
            let response =
                Response::builder().header("x-to", to).header("x-seen", request.headers()["x-filter"].clone());
            let body: BoxedBody = request.into_body().boxed_unsync();
            Ok(response.body(body)?)
        })
    }
}

type BoxedBody = http_body_util::combinators::UnsyncBoxBody<Bytes, BoxError>;

fn service(filter: Filter) -> FilterService<Echo> {
    FilterLayer::new(filter).instances(2).layer(Echo::default())
}

fn request(path: &str, body: &'static str) -> Request<Full<Bytes>> {
    let request = Request::post(path).header("host", "h");
    request.body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap()
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_of_axum_has_a_filter() {
    let app = example::app(&module("", ""), "configured").unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app).into_future());
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let ask = |method: &str, path: &str, body: Vec<u8>| {
        let request = Request::builder().method(method).uri(format!("http://{address}{path}"));
        client.request(request.body(Full::new(body.into())).unwrap())
    };
    let answers = (0..20).map(|_| ask("GET", "/hello", Vec::new())).map(tokio::spawn).collect::<Vec<_>>();
    for answer in answers {
        let answer = answer.await.unwrap().unwrap();
        assert_eq!((answer.status(), &answer.headers()["x-filter"]), (StatusCode::OK, &"1".parse().unwrap()));
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hello\n");
    }
    let large = vec![b'x'; 1 << 20];
    let answer = ask("POST", "/echo", large.clone()).await.unwrap();
    assert_eq!(answer.headers()["content-length"], "1048576");
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), large);
}

#[tokio::test]
async fn bodies_stream_through_and_trailers_with_them() {
    let (filter, _) = filter(&module("", ""), "");
    let mut service = service(filter);
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, BoxError>>(1);
    let stream = Receiver(receiver);
    let asked = Request::post("/p").header("host", "h").body(StreamBody::new(stream)).unwrap();
    sender.send(Ok(Frame::data("one".into()))).await.unwrap();
    let response = service.call(asked).await.unwrap();
    assert_eq!(
        (&response.headers()["x-seen"], &response.headers()["x-filter"]),
        (&"1".parse().unwrap(), &"1".parse().unwrap())
    );
    assert_eq!(response.headers()["x-to"], "upstream.invalid");
    let mut body = response.into_body();
    // Each piece comes before the next is sent.
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
    sender.send(Ok(Frame::data("two".into()))).await.unwrap();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "two");
    let trailers = http::HeaderMap::from_iter([("x-t".parse().unwrap(), "1".parse().unwrap())]);
    sender.send(Ok(Frame::trailers(trailers.clone()))).await.unwrap();
    assert_eq!(body.frame().await.unwrap().unwrap().into_trailers().unwrap(), trailers);
    assert!(body.frame().await.is_none());
}

/// A channel as a stream.
struct Receiver<T>(tokio::sync::mpsc::Receiver<T>);

impl<T> futures_core::Stream for Receiver<T> {
    type Item = T;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<T>> {
        self.0.poll_recv(context)
    }
}

#[tokio::test]
async fn a_failing_service_is_a_failing_upstream() {
    let (filter, lines) = filter(&module("", ""), "");
    let response = service(filter).call(request("/fails", "")).await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()["x-filter"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
    );
    let text = text(response).await;
    assert!(text.ends_with("reset reason: remote connection failure"), "{text}");
    assert!(lines.lock().unwrap().iter().any(|line| line.ends_with(": it fails")), "{lines:?}");
}

#[tokio::test]
async fn a_trap_is_answered_and_a_new_instance_made() {
    // It traps where the request's head has nothing but what each has.
    let trap = "(if (i32.eq (local.get 1) (i32.const 6)) (then (unreachable)))";
    let (filter, _) = filter(&module("", trap), "");
    let mut service = FilterLayer::new(filter).instances(1).layer(Echo::default());
    let response = service.call(request("/", "")).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(text(response).await, "");
    let longer = || {
        let mut longer = request("/", "body");
        longer.headers_mut().insert("x-longer", "1".parse().unwrap());
        longer
    };
    // None is made at once.
    assert_eq!(service.call(longer()).await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let response = service.call(longer()).await.unwrap();
    assert_eq!((response.status(), text(response).await), (StatusCode::OK, "body".into()));
}

/// Asks a cluster, and answers when it has answered.
const CALLS_OUT: &str = r#"
    (data (i32.const 64) "auth")
    (data (i32.const 96) "\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\05\00\00\00\0a\00\00\00\01\00\00\00:method\00GET\00:path\00/auth\00:authority\00a\00")
    (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
      (drop (call $proxy_log (i32.const 3) (i32.const 9) (i32.const 9)))
      (drop (call $proxy_set_effective_context (i32.load (i32.const 200))))
      (drop (call $proxy_continue_stream (i32.const 0))))"#;
const ASK: &str = r#"
    (i32.store (i32.const 200) (local.get $id))
    (drop (call $proxy_http_call (i32.const 64) (i32.const 4) (i32.const 96) (i32.const 65) (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0) (i32.const 5000) (i32.const 204)))
    (return (i32.const 1))"#;

#[tokio::test]
async fn callouts_go_where_the_layer_says() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = format!("[clusters]\nauth = \"http://{}\"", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let auth = axum::Router::new().route(
        "/auth",
        axum::routing::get(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            async { "yes" }
        }),
    );
    tokio::spawn(axum::serve(listener, auth).into_future());
    let (filter, _) = filter(&module(CALLS_OUT, ASK), &settings);
    let client = Client::builder(TokioExecutor::new()).build_http::<Piped>();
    let mut service = FilterLayer::new(filter.clone()).callouts(ServiceCallouts(client)).layer(Echo::default());
    let response = service.call(request("/", "body")).await.unwrap();
    assert_eq!((response.status(), asked.load(Ordering::Relaxed)), (StatusCode::OK, 1));
    assert_eq!(text(response).await, "body");
    // Without a client the filter is told that it failed.
    let response = FilterLayer::new(filter).layer(Echo::default()).call(request("/", "body")).await.unwrap();
    assert_eq!((response.status(), asked.load(Ordering::Relaxed)), (StatusCode::OK, 1));
}

#[tokio::test]
async fn requests_wait_for_callouts_of_the_start() {
    let asks = r#"
        (data (i32.const 64) "auth")
        (data (i32.const 96) "\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\05\00\00\00\0a\00\00\00\01\00\00\00:method\00GET\00:path\00/auth\00:authority\00a\00")
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
          (drop (call $proxy_http_call (i32.const 64) (i32.const 4) (i32.const 96) (i32.const 65) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 0) (i32.const 5000) (i32.const 204)))
          (i32.const 1))
        (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
          (drop (call $proxy_log (i32.const 3) (i32.const 64) (i32.const 4))))"#;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = format!("[clusters]\nauth = \"http://{}\"", listener.local_addr().unwrap());
    let late = axum::routing::get(|| tokio::time::sleep(Duration::from_millis(50)));
    tokio::spawn(axum::serve(listener, axum::Router::new().route("/auth", late)).into_future());
    let (filter, lines) = filter(&module(asks, ""), &settings);
    let client = Client::builder(TokioExecutor::new()).build_http::<Piped>();
    let layer = FilterLayer::new(filter).instances(1).callouts(ServiceCallouts(client));
    let response = layer.layer(Echo::default()).call(request("/", "")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let lines = lines.lock().unwrap();
    let [start, request] = &lines[..] else { panic!("{lines:?}") };
    assert!(start.ends_with("auth") && request.ends_with("a request"), "{lines:?}");
}

/// Registers a queue where the request has more fields than each has; else puts an item into it, where another instance has it.
const PUT: &str = r#"
    (if (i32.gt_u (local.get 1) (i32.const 6))
      (then
        (i32.store (i32.const 200) (i32.const 1))
        (drop (call $proxy_register_shared_queue (i32.const 64) (i32.const 5) (i32.const 204))))
      (else (if (i32.eqz (i32.load (i32.const 200)))
        (then
          (drop (call $proxy_resolve_shared_queue (i32.const 0) (i32.const 0) (i32.const 64) (i32.const 5) (i32.const 204)))
          (drop (call $proxy_enqueue_shared_queue (i32.load (i32.const 204)) (i32.const 69) (i32.const 4)))
          (drop (call $proxy_log (i32.const 3) (i32.const 64) (i32.const 5)))))))"#;
const HEAR: &str = r#"
    (data (i32.const 64) "queueitem")
    (func (export "proxy_on_queue_ready") (param i32 i32)
      (drop (call $proxy_log (i32.const 3) (i32.const 69) (i32.const 4))))"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_hears_of_items_that_another_one_put() {
    let (filter, lines) = filter(&module(HEAR, PUT), "state = \"host\"");
    let mut service = service(filter);
    let mut registers = request("/", "");
    registers.headers_mut().insert("x-longer", "1".parse().unwrap());
    service.call(registers).await.unwrap();
    let logged = |text: &str| lines.lock().unwrap().iter().any(|line| line.ends_with(text));
    // Each thread has an instance that it prefers.
    while !logged("queue") {
        let (runtime, mut service) = (tokio::runtime::Handle::current(), service.clone());
        let asks = move || runtime.block_on(service.call(request("/", ""))).map(drop);
        tokio::task::spawn_blocking(|| std::thread::spawn(asks).join()).await.unwrap().unwrap().unwrap();
    }
    // No request comes to the other one.
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !logged("item") {
        assert!(std::time::Instant::now() < deadline, "it never hears of them");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn who_leaves_is_let_go() {
    let ends = r#"(func (export "proxy_on_log") (param i32)
        (drop (call $proxy_log (i32.const 3) (i32.const 9) (i32.const 1))))"#;
    let (options, lines) = logging();
    let filter = Filter::from_filter(&module(ends, ""), "", Options { ..options }).unwrap();
    let mut service = service(filter);
    let (_sender, receiver) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, BoxError>>(1);
    let asked = Request::post("/p").header("host", "h").body(StreamBody::new(Receiver(receiver))).unwrap();
    let response = service.call(asked).await.unwrap();
    assert_eq!(lines.lock().unwrap().len(), 1);
    drop(response);
    // Its last callbacks are called in a call of their own, which is due at once.
    while lines.lock().unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
}
