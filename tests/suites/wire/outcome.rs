//! What came of a request: what its client got, what its upstream got, and whether the connection went on.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use proxy_wasm_adapter_peers::http1::Head;
use proxy_wasm_adapter_peers::http1::blocking::Reader;
use proxy_wasm_adapter_tests::message::{Step, shown};
use proxy_wasm_adapter_tests::normal;
use proxy_wasm_adapter_tests::upstream::{Behaviour, Request};

use super::{ANSWER, Stage};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What comes behind each request.
const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nhost: next\r\nconnection: close\r\n\r\n";

/// How the outcome says that the upstream got something.
const UPSTREAM: &str = "upstream\n";

/// Sends these bytes, and another request behind them.
pub(crate) fn of(stage: &Stage, sent: &[u8]) -> Result<String> {
    stage.upstream.behave(Behaviour { steps: vec![Step::Text(ANSWER.into())], wait: None });
    let mut answers = answers(stage, sent)?;
    let mut requests = stage.upstream.requests(PATIENCE);
    let before = requests.len();
    requests.retain(|request| !request.head.start.starts_with(b"GET /next "));
    let goes_on = requests.len() < before;
    if goes_on {
        answers.pop();
    }
    let mut text = format!("client\n{}", answers.concat());
    // How much came of one that is cut off is a race, and the upstream won't take it for a request.
    for request in requests.iter().filter(|request| !request.body.cut) {
        text.push_str(UPSTREAM);
        text.push_str(&of_request(request));
    }
    text.push_str(if goes_on { "the connection goes on\n" } else { "the connection ends\n" });
    Ok(text)
}

/// Whether the upstream got anything.
pub(crate) fn reaches(outcome: &str) -> bool {
    outcome.contains(UPSTREAM)
}

/// The answers, up to the one that ends the connection.
fn answers(stage: &Stage, sent: &[u8]) -> Result<Vec<String>> {
    let stream = TcpStream::connect(stage.host.address).context("connects")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut writer = stream.try_clone()?;
    let mut answers = Vec::new();
    thread::scope(|scope| {
        // A peer that closes early makes writing fail; what it answered tells why.
        scope.spawn(move || writer.write_all(&[sent, NEXT].concat()));
        let mut reader = Reader::new(&stream);
        let mut to_head = sent.starts_with(b"HEAD ");
        while let Ok(Some(head)) = reader.head() {
            if head.status().starts_with(b"1") {
                answers.push(format!("  {}\n", shown(head.status())));
                continue;
            }
            let body = reader.response_body(&head, to_head).bytes;
            to_head = false;
            answers.push(of_answer(&head, &body));
            if head.get("connection").is_some_and(|value| value.eq_ignore_ascii_case(b"close")) {
                break;
            }
        }
        // Wakes a writer that is blocked.
        let _ = stream.shutdown(Shutdown::Both);
    });
    Ok(answers)
}

fn of_answer(head: &Head, body: &[u8]) -> String {
    let mut text = format!("  {}\n{}", shown(head.status()), of_fields(&head.headers, "  "));
    if !body.is_empty() {
        let _ = writeln!(text, "  body \"{}\"", shown(body));
    }
    text
}

fn of_request(request: &Request) -> String {
    let mut text = format!("  {}\n{}", shown(&request.head.start), of_fields(&request.head.headers, "  "));
    if !request.body.bytes.is_empty() {
        let _ = writeln!(text, "  body \"{}\"", shown(&request.body.bytes));
    }
    text.push_str(&of_fields(&request.body.trailers, "  trailer "));
    text
}

/// Fields as lines. `host` is no part of what is compared here: hosts of components send the upstream's.
fn of_fields(fields: &[(Vec<u8>, Vec<u8>)], mark: &str) -> String {
    let is_compared = |name: &[u8]| normal::is_compared(name) && !(mark.trim().is_empty() && name == b"host");
    let compared = fields.iter().filter(|(name, _)| is_compared(name));
    compared.map(|(name, value)| normal::line(&format!("{mark}{}: {}\n", shown(name), shown(value)), &[])).collect()
}
