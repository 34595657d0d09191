//! Upstreams with TLS.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, Version};
use http_body_util::{Empty, Full};
use hyper::body::Incoming;
use proxy_wasm_adapter::serve::{Error, Options};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::support::{Running, Upstream, client, exchange, request};

/// `wasi:http`'s number for it, as `/forward` writes it.
const TLS_CERTIFICATE_ERROR: &str = "13";

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

async fn forwarded_version(protocols: &[&str]) -> String {
    let (certificate, acceptor) = acceptor(protocols);
    let upstream = Upstream::start_with(Some(acceptor), version).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), certificate).unwrap();
    let mut options = Options::default();
    options.upstream_ca = Some(file.path().to_owned());
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
        let error = Running::start_component(b"", options).await.err().unwrap();
        assert!(matches!(error, Error::Certificates { .. }), "{error}");
    }
}
