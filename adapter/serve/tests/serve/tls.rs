//! Upstreams with TLS.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Version};
use http_body_util::{Empty, Full};
use hyper::body::{Frame, Incoming};
use proxy_wasm_abi::settings::Origin;
use proxy_wasm_adapter_serve::{Error, Options, ServerNameOf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::support::{Fed, Running, StartMode, Upstream, adapted_with, client, collect, exchange, get, guest, request};

/// `wasi:http`'s number for it, as `/forward` writes it.
const TLS_CERTIFICATE_ERROR: &str = "13";

/// Makes a gRPC callout for each request, and answers with the message that comes back, or 418 where none does.
const GRPC: &str = r#"(module
  (import "env" "proxy_get_buffer_bytes" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
  (import "env" "proxy_send_local_response" (func $respond (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_grpc_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "a")
  (data (i32.const 8) "pkg.ServiceDo")
  (data (i32.const 32) "hello")
  (global $stream (mut i32) (i32.const 0))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
  (func (export "proxy_on_request_headers") (param $id i32) (param i32 i32) (result i32)
    (global.set $stream (local.get $id))
    (drop (call $call (i32.const 0) (i32.const 1) (i32.const 8) (i32.const 11) (i32.const 19) (i32.const 2)
      (i32.const 0) (i32.const 0) (i32.const 32) (i32.const 5) (i32.const 10000) (i32.const 64)))
    (i32.const 1))
  (func $answer (param $status i32) (param $size i32)
    (drop (call $effective (global.get $stream)))
    (drop (call $respond (local.get $status) (i32.const 0) (i32.const 0) (i32.const 4096) (local.get $size)
      (i32.const 0) (i32.const 0) (i32.const -1))))
  (func (export "proxy_on_grpc_receive") (param i32 i32) (param $size i32)
    (drop (call $get (i32.const 5) (i32.const 0) (local.get $size) (i32.const 64) (i32.const 68)))
    (call $answer (i32.const 200) (local.get $size)))
  (func (export "proxy_on_grpc_close") (param i32 i32 i32) (call $answer (i32.const 418) (i32.const 0))))"#;

/// A certificate for `localhost`, and a server that has it.
fn acceptor(protocols: &[&str]) -> (String, TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed([String::from("localhost")]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    (made.cert.pem(), TlsAcceptor::from(Arc::new(config)))
}

async fn version(request: Request<Incoming>) -> Response<Full<Bytes>> {
    Response::new(Full::from(format!("{:?}", request.version())))
}

/// Trusts this certificate, as long as the file is there.
fn trusting(certificate: &str) -> (tempfile::NamedTempFile, Options) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), certificate).unwrap();
    let mut options = Options::default();
    options.upstream_ca = Some(file.path().to_owned());
    (file, options)
}

async fn forwarded_version(protocols: &[&str]) -> String {
    let (certificate, acceptor) = acceptor(protocols);
    let upstream = Upstream::start_with(Some(acceptor), version).await;
    let (_file, options) = trusting(&certificate);
    let server = Running::start(options).await;
    let mut answers = Vec::new();
    for _ in 0..3 {
        let to = format!("localhost:{}", upstream.address.port());
        let get = request(Method::GET, server.address, "/forward").header("x-to", to).header("x-tls", "1");
        answers.push(exchange(&client(), get.body(Empty::new()).unwrap()).await.body);
    }
    assert_eq!(upstream.connections(), 1, "the connection is reused");
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    String::from_utf8(answers.remove(0)).unwrap()
}

#[tokio::test]
async fn the_protocol_is_negotiated() {
    assert_eq!(forwarded_version(&["h2", "http/1.1"]).await, format!("{:?}", Version::HTTP_2));
    assert_eq!(forwarded_version(&["http/1.1"]).await, format!("{:?}", Version::HTTP_11));
    assert_eq!(forwarded_version(&[]).await, format!("{:?}", Version::HTTP_11));
}

/// What a gRPC server says of a request: its version, and what it sent.
async fn grpc(request: Request<Incoming>) -> Response<Fed> {
    let mut text = format!("{:?} {}", request.version(), request.uri());
    let (message, _, error) = collect(request.into_body()).await;
    assert!(error.is_none());
    text.push_str(&format!(" {}", message.escape_ascii()));
    let (sender, body) = Fed::new();
    tokio::spawn(async move {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        let frame = [&[0], length.as_slice(), text.as_bytes()].concat();
        let trailers = HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))]);
        // The case fails where nobody reads it.
        let _ = sender.send(Frame::data(Bytes::from(frame))).await;
        let _ = sender.send(Frame::trailers(trailers)).await;
    });
    Response::builder().header("content-type", "application/grpc").body(body).unwrap()
}

#[tokio::test]
async fn grpc_callouts_go_by_http2() {
    let filter = wat::parse_str(GRPC).unwrap();
    let (certificate, acceptor) = acceptor(&["h2", "http/1.1"]);
    let upstream = Upstream::start_with(Some(acceptor), grpc).await;
    let authority = format!("localhost:{}", upstream.address.port());
    let component = adapted_with(&filter, Some(upstream.address), |settings| {
        settings.clusters[0].origin = Origin { tls: true, authority: authority.clone() };
    });
    let (_file, options) = trusting(&certificate);
    let server = Running::start_component(&component, options).await.unwrap();
    for _ in 0..3 {
        let answer = get(server.address, "/").await;
        // A gRPC service of Envoy's is told its cluster's name.
        let expected = r"HTTP/2.0 https://a/pkg.Service/Do \x00\x00\x00\x00\x05hello";
        assert_eq!((answer.status.as_u16(), String::from_utf8(answer.body).unwrap()), (200, expected.to_owned()));
    }
    assert_eq!(upstream.connections(), 1, "the connection is reused");

    // Whom nobody trusts gets nothing.
    let server = Running::start_component(&component, Options::default()).await.unwrap();
    assert_eq!(get(server.address, "/").await.status, 418);
}

/// The certificate is another name's than that by which the upstream is reached, and so is what is asked for.
#[tokio::test]
async fn a_name_of_its_own() {
    let (certificate, acceptor) = acceptor(&["http/1.1"]);
    let upstream = Upstream::start_with(Some(acceptor), version).await;
    let to = upstream.address.to_string();
    let (_file, mut options) = trusting(&certificate);
    let answer = async |options: Options| {
        let server = Running::start(options).await;
        let get = request(Method::GET, server.address, "/forward").header("x-to", to.clone()).header("x-tls", "1");
        String::from_utf8(exchange(&client(), get.body(Empty::new()).unwrap()).await.body).unwrap()
    };
    assert_eq!(answer(options.clone()).await, TLS_CERTIFICATE_ERROR);
    options.upstream_sni = vec![ServerNameOf::parse(&format!("{to}=localhost")).unwrap()];
    assert_eq!(answer(options).await, format!("{:?}", Version::HTTP_11));
}

#[test]
fn names_of_upstreams() {
    let parsed = ServerNameOf::parse("Api.Example:443=other.example").unwrap();
    assert_eq!((parsed.authority.as_str(), parsed.name.as_str()), ("api.example:443", "other.example"));
    for wrong in ["a:1", "a=b", ":1=b", "a:x=b", "a:1=", "a:1=-"] {
        assert!(ServerNameOf::parse(wrong).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn an_unknown_authority_is_not_trusted() {
    let (_, acceptor) = acceptor(&["h2"]);
    let upstream = Upstream::start_with(Some(acceptor), version).await;
    let server = Running::start(Options::default()).await;
    let to = format!("localhost:{}", upstream.address.port());
    let get = request(Method::GET, server.address, "/forward").header("x-to", to).header("x-tls", "1");
    let answer = exchange(&client(), get.body(Empty::new()).unwrap()).await;
    assert_eq!(String::from_utf8(answer.body).unwrap(), TLS_CERTIFICATE_ERROR);
}

#[tokio::test]
async fn a_file_without_certificates_is_refused() {
    for text in ["", "no pem"] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut options = Options::default();
        options.upstream_ca = Some(file.path().to_owned());
        let error = Running::start_component(&guest(StartMode::Starts), options).await.err().unwrap();
        assert!(matches!(error, Error::Certificates { .. }), "{error}");
    }
}
