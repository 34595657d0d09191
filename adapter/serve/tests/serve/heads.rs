//! The heads of requests and responses, byte by byte.

use proxy_wasm_adapter_serve::Options;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::support::{Running, raw};

/// An upstream that answers once, with these bytes, and tells the head that it got.
async fn upstream(answer: &'static str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(head).unwrap()
    });
    (address, task)
}

/// The names of a head's fields, without those that the server adds.
fn names(head: &str) -> Vec<&str> {
    let (head, _) = head.split_once("\r\n\r\n").unwrap();
    let names = head.lines().skip(1).map(|line| line.split_once(": ").unwrap().0);
    names.filter(|name| *name != "date").collect()
}

#[tokio::test]
async fn fields_keep_their_order() {
    let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\nserver: test\r\nx-b: 1\r\ntransfer-encoding: chunked\r\n\
                  x-c: 2\r\nx-d: 3\r\nx-e: 4\r\n\r\n0\r\n\r\n";
    let (to, upstream) = upstream(answer).await;
    let server = Running::start(Options::default()).await;
    let request = format!(
        "GET /forward HTTP/1.1\r\nHost: h\r\nUser-Agent: test\r\nConnection: close\r\nAccept: */*\r\nX-To: {to}\r\n\
         X-A: 1\r\nX-Z: 2\r\n\r\n"
    );
    let answer = raw(server.address, &request).await;
    let sent = upstream.await.unwrap();
    assert_eq!(names(&sent), ["host", "user-agent", "accept", "x-to", "x-a", "x-z"], "host first, as Envoy sends it");
    assert!(sent.contains(&format!("host: {to}\r\n")), "{sent}");
    let added = ["connection", "transfer-encoding"];
    let answered: Vec<_> = names(&answer).into_iter().filter(|name| !added.contains(name)).collect();
    assert_eq!(answered, ["server", "x-b", "x-c", "x-d", "x-e"]);
}

#[tokio::test]
async fn a_304_keeps_its_content_length() {
    let server = Running::start(Options::default()).await;
    for (answer, length) in [
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\netag: x\r\n\r\n", Some("content-length: 5\r\n")),
        ("HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n", None),
    ] {
        let (to, upstream) = upstream(answer).await;
        // The second request shows that nothing but a head was sent.
        let request = format!("GET /forward HTTP/1.1\r\nhost: h\r\nx-to: {to}\r\n\r\n");
        let second = "GET /ok HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
        let answers = raw(server.address, &(request + second)).await;
        upstream.await.unwrap();
        assert!(answers.starts_with("HTTP/1.1 304 Not Modified\r\n"), "{answers}");
        let (head, next) = answers.split_once("\r\n\r\n").unwrap();
        match length {
            Some(length) => assert!(head.contains(length.trim_end()), "{answers}"),
            None => assert!(!head.contains("content-length"), "{answers}"),
        }
        assert!(next.starts_with("HTTP/1.1 200 OK\r\n"), "{answers}");
    }
}

/// A client that sends its whole body before it reads anything.
#[tokio::test]
async fn an_early_response_reaches_a_client_that_still_sends() {
    const SIZE: usize = 8 << 20;
    let server = Running::start(Options::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!("POST /ok HTTP/1.1\r\nhost: h\r\ncontent-length: {SIZE}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; SIZE]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\r\nok\r\n"), "{answer}");
}

/// Reading on must not ask for a body that the client keeps back.
#[tokio::test]
async fn an_early_response_asks_for_no_body() {
    let server = Running::start(Options::default()).await;
    let head = "POST /ok HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n";
    let answer = raw(server.address, head).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}
